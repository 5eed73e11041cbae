//! Streams that the core asks for, to relays: TCP, with TLS on top when asked for.

use super::pipe::{Pipe, WRITE_BUFFER_BYTES};
use super::slots::Key;
use super::{Heard, Network, Served, Socket, Traffic};
use crate::os::{Interest, Poller};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use salono_media_core::{NetworkEvent, Outgoing, RequestId, SocketId};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A stream that is not connected, its TLS handshake included, after so long has failed.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What TLS may add to a message: headers and tags of the records that it is cut into.
const TLS_OVERHEAD_BYTES: usize = 256;

/// What waits while the peer reads nothing but keeps TLS answering; beyond it is hostile.
const MAX_WAITING_BYTES: usize = 2 * WRITE_BUFFER_BYTES;

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// TCP connects.
    Connecting,
    /// TLS shakes hands.
    Handshaking,
    /// The core may use it.
    Open,
}

/// A stream.
#[derive(Debug)]
pub(super) struct Outbound {
    request: RequestId,
    remote: SocketAddr,
    pipe: Pipe,
    tls: Option<ClientConnection>,
    stage: Stage,
    /// When connecting has taken too long.
    deadline: Instant,
}

/// What to connect to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Ties the answer to the request.
    pub(super) request: RequestId,
    /// Where to.
    pub(super) remote: SocketAddr,
    /// Speak TLS and expect a certificate for this name.
    pub(super) tls: Option<String>,
    /// When connecting has taken too long.
    pub(super) deadline: Instant,
}

impl Outbound {
    /// Begins to connect.
    fn new(
        target: Target,
        config: Option<Arc<ClientConfig>>,
        connect: impl FnOnce(TcpStream) -> io::Result<Pipe>,
    ) -> io::Result<Self> {
        let tls = match (target.tls, config) {
            (Some(name), Some(config)) => {
                let name = ServerName::try_from(name).map_err(io::Error::other)?;
                Some(ClientConnection::new(config, name).map_err(io::Error::other)?)
            }
            (Some(_), None) => return Err(io::Error::other("TLS is not set up")),
            (None, _) => None,
        };
        let domain = Domain::for_address(target.remote);
        let socket = RawSocket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&target.remote.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            request: target.request,
            remote: target.remote,
            // Watched from now on only: before connecting a socket counts as hung up.
            pipe: connect(socket.into())?,
            tls,
            stage: Stage::Connecting,
            deadline: target.deadline,
        })
    }

    /// Whether the core may use it.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Queues a message; false when there is no room for it.
    pub(super) fn push(&mut self, datagram: &Outgoing, message: &[u8]) -> bool {
        if !self.is_open() || !self.pipe.has_room(message.len() + TLS_OVERHEAD_BYTES) {
            return false;
        }
        self.pipe.set_dscp(datagram.dscp, self.remote);
        match self.tls.as_mut() {
            Some(tls) => {
                // Piece by piece, as TLS buffers only so much itself.
                let pushed = message.chunks(16_384).try_for_each(|piece| {
                    tls.writer().write_all(piece)?;
                    seal(tls, &mut self.pipe)
                });
                if let Err(error) = &pushed {
                    tracing::debug!(%error, "TLS takes nothing");
                }
                pushed.is_ok()
            }
            None => {
                self.pipe.tail().extend_from_slice(message);
                true
            }
        }
    }

    /// The connection.
    pub(super) fn pipe(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    /// Goes on with whatever is next, reading at most once.
    fn advance(
        &mut self,
        id: SocketId,
        desk: Desk<'_>,
        handle: &mut impl FnMut(Heard<'_>),
    ) -> io::Result<Served> {
        if self.stage == Stage::Connecting {
            self.pipe.connected()?;
            self.stage = Stage::Handshaking;
            match self.tls.as_mut() {
                Some(tls) => seal(tls, &mut self.pipe)?,
                None => self.open(id, handle)?,
            }
        }
        self.pipe.write(desk.poller)?;
        let Some(len) = self.pipe.read(desk.scratch)? else {
            let worked = self.is_open();
            return Ok(Served {
                worked,
                more: false,
            });
        };
        let more = len == desk.scratch.len();
        let bytes = &mut desk.scratch[..len];
        let remote = self.remote;
        if self.tls.is_none() {
            desk.traffic.received(bytes.len());
            handle(Heard::Datagram(id, remote, bytes));
            return Ok(Served { worked: true, more });
        }
        let mut sealed = &*bytes;
        while let Some(tls) = self.tls.as_mut().filter(|_| !sealed.is_empty()) {
            tls.read_tls(&mut sealed)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            seal(tls, &mut self.pipe)?;
            if self.stage == Stage::Handshaking && !tls.is_handshaking() {
                self.open(id, handle)?;
            }
            let Some(tls) = self.tls.as_mut() else { break };
            unseal(tls, desk.plain, |plain| {
                desk.traffic.received(plain.len());
                handle(Heard::Datagram(id, remote, plain));
            })?;
        }
        self.pipe.write(desk.poller)?;
        if self.pipe.waiting() > MAX_WAITING_BYTES {
            return Err(io::Error::other(
                "the peer reads nothing and makes TLS answer",
            ));
        }
        Ok(Served { worked: true, more })
    }

    /// Lets the core use the stream.
    fn open(&mut self, id: SocketId, handle: &mut impl FnMut(Heard<'_>)) -> io::Result<()> {
        self.stage = Stage::Open;
        handle(Heard::Event(NetworkEvent::Connected {
            request: self.request,
            socket: id,
            local: self.pipe.local_addr()?,
        }));
        Ok(())
    }
}

/// What a stream borrows while it is served.
struct Desk<'a> {
    poller: &'a Poller,
    scratch: &'a mut [u8],
    plain: &'a mut [u8],
    traffic: &'a mut Traffic,
}

/// Moves what TLS has to say to what waits to be written.
fn seal(tls: &mut ClientConnection, pipe: &mut Pipe) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(pipe.tail())?;
    }
    Ok(())
}

/// Hands over what TLS has unsealed.
fn unseal(
    tls: &mut ClientConnection,
    plain: &mut [u8],
    mut handle: impl FnMut(&mut [u8]),
) -> io::Result<()> {
    loop {
        match tls.reader().read(plain) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => handle(&mut plain[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

impl Network {
    /// Begins to connect; the answer comes later, or at once when it cannot even begin.
    pub(super) fn connect(&mut self, target: Target) {
        if target.tls.is_some() && self.trust.is_none() {
            self.await_trust(target);
            return;
        }
        let (request, deadline) = (target.request, target.deadline);
        let (poller, trust) = (&self.poller, self.trust.clone());
        let key = self.sockets.insert_with(|key| {
            let watch = |stream| Pipe::new(stream, key.to_bits(), Interest::Write, poller);
            Ok(Socket::Stream(Box::new(Outbound::new(
                target, trust, watch,
            )?)))
        });
        match key {
            Ok(key) => {
                self.timers.insert((deadline, key.to_bits()));
            }
            Err(error) => self.fail(request, &error),
        }
    }

    /// Goes on with a stream that is ready.
    pub(super) fn serve_outbound(
        &mut self,
        key: Key,
        handle: &mut impl FnMut(Heard<'_>),
    ) -> Served {
        let Some(Socket::Stream(stream)) = self.sockets.get_mut(key) else {
            return Served::default();
        };
        self.in_hand = Some(key.to_bits());
        let desk = Desk {
            poller: &self.poller,
            scratch: &mut self.scratch,
            plain: &mut self.plain,
            traffic: &mut self.traffic,
        };
        let result = stream.advance(SocketId(key.index as u16), desk, handle);
        self.in_hand = None;
        result.unwrap_or_else(|error| {
            self.end_outbound(key, &error);
            Served {
                worked: true,
                more: false,
            }
        })
    }

    /// Closes a stream and tells the core why.
    pub(super) fn end_outbound(&mut self, key: Key, error: &io::Error) {
        let Some(Socket::Stream(stream)) = self.sockets.get(key) else {
            return;
        };
        let (is_open, remote, request) = (stream.is_open(), stream.remote, stream.request);
        self.timers.remove(&(stream.deadline, key.to_bits()));
        self.sockets.remove(key);
        if is_open {
            tracing::debug!(%remote, %error, "stream ends");
            let socket = SocketId(key.index as u16);
            self.events
                .push_back(NetworkEvent::Ended { socket, remote });
        } else {
            self.fail(request, error);
        }
    }

    /// Says goodbye on a stream that the core closes and forgets it.
    pub(super) fn close_outbound(&mut self, key: Key) {
        if let Some(Socket::Stream(stream)) = self.sockets.get_mut(key) {
            self.timers.remove(&(stream.deadline, key.to_bits()));
            if let Some(tls) = stream.tls.as_mut() {
                tls.send_close_notify();
                // As far as it goes: the stream is closed in any case.
                let _ = seal(tls, &mut stream.pipe).and_then(|()| stream.pipe.write(&self.poller));
            }
        }
        self.sockets.remove(key);
    }

    /// Connecting may have taken too long.
    pub(super) fn check_connecting(&mut self, key: Key) {
        if let Some(Socket::Stream(stream)) = self.sockets.get(key)
            && !stream.is_open()
        {
            let text = "not connected in time";
            self.end_outbound(key, &io::Error::new(io::ErrorKind::TimedOut, text));
        }
    }
}
