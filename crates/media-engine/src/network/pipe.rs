//! A TCP connection that never waits: what the peer does not take is kept up to a bound.

use crate::os::{Interest, Poller};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Most bytes that may wait for one peer, half a second of 2 Mbit/s. What does not fit is dropped
/// message by message, as on the wire: late media is worth nothing.
pub(super) const WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// Bytes that the kernel may hold unsent in addition.
const UNSENT_BYTES: u32 = 64 * 1024;

/// Memory that is kept when nothing waits.
const KEPT_BYTES: usize = 16 * 1024;

/// A connected stream, or one that is about to be.
#[derive(Debug)]
pub(super) struct Pipe {
    stream: TcpStream,
    /// Of the poller.
    token: u64,
    /// What waits to be written, from `written` on.
    waiting: Vec<u8>,
    written: usize,
    /// What the poller watches for.
    interest: Interest,
    /// Code point of what is sent.
    dscp: u8,
    /// Has something new to write since the last [`Pipe::write`].
    pub(super) touched: bool,
}

impl Pipe {
    /// Takes a stream that is non-blocking and lets the poller watch it.
    pub(super) fn new(
        stream: TcpStream,
        token: u64,
        interest: Interest,
        poller: &Poller,
    ) -> io::Result<Self> {
        let socket = SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        // Only bounds how late dropping begins.
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
        poller.add_for(&stream, token, interest)?;
        Ok(Self {
            stream,
            token,
            waiting: Vec::new(),
            written: 0,
            interest,
            dscp: 0,
            touched: false,
        })
    }

    /// Our end.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// What became of connecting.
    pub(super) fn connected(&self) -> io::Result<()> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() - self.written
    }

    /// Whether a message of so many bytes fits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.waiting() + bytes <= WRITE_BUFFER_BYTES
    }

    /// Where to append what is to be written.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        if self.written > 0 {
            self.waiting.drain(..self.written);
            self.written = 0;
        }
        &mut self.waiting
    }

    /// Marks packets with a code point from now on; best effort.
    pub(super) fn set_dscp(&mut self, dscp: u8, remote: SocketAddr) {
        if dscp == self.dscp {
            return;
        }
        self.dscp = dscp;
        let (socket, class) = (SockRef::from(&self.stream), u32::from(dscp & 0x3f) << 2);
        let result = match remote {
            SocketAddr::V4(_) => socket.set_tos_v4(class),
            SocketAddr::V6(_) => socket.set_tclass_v6(class),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "cannot mark packets");
        }
    }

    /// Writes what the peer takes and watches for room while something is left.
    pub(super) fn write(&mut self, poller: &Poller) -> io::Result<()> {
        self.touched = false;
        while self.written < self.waiting.len() {
            match (&self.stream).write(&self.waiting[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.waiting() == 0 {
            self.waiting.clear();
            self.waiting.shrink_to(KEPT_BYTES);
            self.written = 0;
        }
        let interest = match self.waiting() {
            0 => Interest::Read,
            _ => Interest::Both,
        };
        self.watch(interest, poller)
    }

    fn watch(&mut self, interest: Interest, poller: &Poller) -> io::Result<()> {
        if self.interest != interest {
            poller.change(&self.stream, self.token, interest)?;
            self.interest = interest;
        }
        Ok(())
    }

    /// Reads what is there; `None` when nothing is, for now.
    ///
    /// # Errors
    /// Also when the peer has ended the connection.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            return match (&self.stream).read(buffer) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}
