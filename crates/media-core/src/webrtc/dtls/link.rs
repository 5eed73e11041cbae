//! What OpenSSL reads from and writes to: one datagram in, datagrams out.

use super::timer;
use std::io;

/// A datagram that OpenSSL wrote.
pub(super) struct Datagram {
    /// Which copy of its flight it belongs to; 0 is to be sent now.
    pub(super) copy: u32,
    pub(super) bytes: Vec<u8>,
}

/// Keeps the boundaries of datagrams: a read takes a whole one, a write is one.
#[derive(Default)]
pub(super) struct Link {
    pub(super) incoming: Option<Vec<u8>>,
    pub(super) outgoing: Vec<Datagram>,
}

impl io::Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.incoming.take() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        // OpenSSL's buffer takes any record; a longer datagram loses its end, as from a socket.
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}

impl io::Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.push(Datagram {
            copy: timer::copy(),
            bytes: bytes.to_vec(),
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
