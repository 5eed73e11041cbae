//! The media socket: messages of RTP and RTCP packets, with credit both ways.
//!
//! Packets that go out while the supervisor has granted nothing, or takes nothing, wait in a queue of
//! bounded length whose oldest ones are dropped: media never waits. What comes in is granted again once it was taken.

use salono_media_api::processing::frames::{
    self, Frame, INITIAL_CREDIT, MAX_MESSAGE, push_credit, push_packet,
};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Packets that wait for credit.
pub const MAX_WAITING: usize = 2_048;

/// Longest packet that is sent.
pub const MAX_PACKET: usize = 1_500;

/// Taken bytes are granted again in portions of this.
const GRANT: u32 = INITIAL_CREDIT / 8;

/// How long the reader waits before it lets its owner look at the time.
const PATIENCE_MS: i32 = 20;

/// The sending side; clones are the same one, for any thread.
#[derive(Debug, Clone)]
pub struct MediaSocket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: Option<OwnedFd>,
    out: Mutex<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    credit: u32,
    waiting: VecDeque<Vec<u8>>,
    message: Vec<u8>,
    dropped: u64,
}

impl MediaSocket {
    /// Over this socket; without one, everything is dropped.
    pub fn new(socket: Option<OwnedFd>) -> Self {
        Self {
            inner: Arc::new(Inner {
                socket,
                out: Mutex::new(Outgoing {
                    credit: INITIAL_CREDIT,
                    waiting: VecDeque::new(),
                    message: Vec::new(),
                    dropped: 0,
                }),
            }),
        }
    }

    /// Sends packets as far as they are allowed to go; the rest waits, or displaces what waited longest.
    pub fn send<'a>(&self, packets: impl IntoIterator<Item = &'a [u8]>) {
        let mut out = self.lock();
        for packet in packets {
            if packet.is_empty() || packet.len() > MAX_PACKET {
                out.dropped = out.dropped.saturating_add(1);
                continue;
            }
            if out.waiting.len() >= MAX_WAITING {
                out.waiting.pop_front();
                out.dropped = out.dropped.saturating_add(1);
            }
            out.waiting.push_back(packet.to_vec());
        }
        self.flush(&mut out);
    }

    /// Packets that were dropped.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Takes what comes in until the socket closes. `take` gets each packet; `idle` is called after each message and at
    /// least every 20 ms.
    pub fn read(&self, mut take: impl FnMut(&[u8]), mut idle: impl FnMut()) {
        let Some(socket) = &self.inner.socket else {
            return;
        };
        let socket = socket.as_raw_fd();
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut owed: u32 = 0;
        loop {
            let grants = owed >= GRANT;
            match wait(socket, grants || self.is_blocked(), PATIENCE_MS) {
                Ok(ready) => {
                    if ready.writable {
                        if grants && grant(socket, owed) {
                            owed = 0;
                        }
                        let mut out = self.lock();
                        self.flush(&mut out);
                    }
                    if ready.readable {
                        match receive(socket, &mut buffer) {
                            Ok(0) => return,
                            Ok(length) => {
                                owed =
                                    owed.saturating_add(self.handle(
                                        buffer.get(..length).unwrap_or_default(),
                                        &mut take,
                                    ));
                            }
                            Err(error) if is_passing(&error) => {}
                            Err(_) => return,
                        }
                    } else if ready.closed {
                        return;
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(_) => return,
            }
            idle();
        }
    }

    /// Handles one message; returns the bytes of its packets.
    fn handle(&self, message: &[u8], take: &mut impl FnMut(&[u8])) -> u32 {
        let mut bytes: u32 = 0;
        for frame in frames::read(message) {
            match frame {
                Frame::Packet(packet) => {
                    bytes = bytes.saturating_add(u32::try_from(packet.len()).unwrap_or(u32::MAX));
                    take(packet);
                }
                Frame::Credit(granted) => {
                    let mut out = self.lock();
                    // More than this is a mistake, and would let queues grow.
                    out.credit = out.credit.saturating_add(granted).min(8 * INITIAL_CREDIT);
                    self.flush(&mut out);
                }
            }
        }
        bytes
    }

    fn is_blocked(&self) -> bool {
        let out = self.lock();
        out.waiting
            .front()
            .is_some_and(|packet| out.credit as usize >= packet.len())
    }

    fn flush(&self, out: &mut Outgoing) {
        let Some(socket) = &self.inner.socket else {
            out.waiting.clear();
            return;
        };
        loop {
            out.message.clear();
            let mut credit = out.credit;
            let mut count = 0;
            for packet in &out.waiting {
                let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
                if length > credit || !push_packet(&mut out.message, packet) {
                    break;
                }
                credit -= length;
                count += 1;
            }
            if count == 0 {
                return;
            }
            match transmit(socket.as_raw_fd(), &out.message) {
                Ok(()) => {
                    out.waiting.drain(..count);
                    out.credit = credit;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Full, or closed, which the reader notices.
                Err(_) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outgoing> {
        self.inner
            .out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// Grants bytes; false when it has to be tried again.
fn grant(socket: RawFd, bytes: u32) -> bool {
    let mut message = Vec::with_capacity(6);
    push_credit(&mut message, bytes) && transmit(socket, &message).is_ok()
}

/// What a socket is ready for.
struct Ready {
    readable: bool,
    writable: bool,
    closed: bool,
}

#[allow(
    unsafe_code,
    reason = "poll(2) has no safe face in the standard library"
)]
fn wait(socket: RawFd, write: bool, timeout_ms: i32) -> io::Result<Ready> {
    let mut poll = libc::pollfd {
        fd: socket,
        events: libc::POLLIN | if write { libc::POLLOUT } else { 0 },
        revents: 0,
    };
    // SAFETY: one valid entry, which lives for the call.
    let count = unsafe { libc::poll(&raw mut poll, 1, timeout_ms) };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Ready {
        readable: poll.revents & libc::POLLIN != 0,
        writable: poll.revents & libc::POLLOUT != 0,
        closed: poll.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0,
    })
}

#[allow(unsafe_code, reason = "recv(2) on a SOCK_SEQPACKET socket")]
fn receive(socket: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length.
    let length = unsafe {
        libc::recv(
            socket,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

#[allow(unsafe_code, reason = "send(2) on a SOCK_SEQPACKET socket")]
fn transmit(socket: RawFd, message: &[u8]) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the message is valid for its length.
    let length = unsafe { libc::send(socket, message.as_ptr().cast(), message.len(), flags) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::FromRawFd;

    #[allow(unsafe_code, reason = "socketpair(2) of this type has no safe face")]
    fn pair() -> (OwnedFd, OwnedFd) {
        let mut fds = [0; 2];
        // SAFETY: room for two descriptors, which are owned by nobody else.
        unsafe {
            let made = libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, fds.as_mut_ptr());
            assert_eq!(made, 0);
            (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
        }
    }

    #[test]
    fn without_credit_the_oldest_packets_are_dropped() {
        let (ours, theirs) = pair();
        let socket = MediaSocket::new(Some(ours));
        socket.lock().credit = 0;
        for number in 0..MAX_WAITING + 3 {
            socket.send([&u32::try_from(number).unwrap().to_be_bytes()[..]]);
        }
        assert_eq!(socket.dropped(), 3);
        let mut grant = Vec::new();
        assert!(push_credit(&mut grant, 4));
        socket.handle(&grant, &mut |_| ());
        let mut buffer = [0; 64];
        let length = receive(theirs.as_raw_fd(), &mut buffer).unwrap();
        let first: Vec<_> = frames::read(&buffer[..length]).collect();
        assert_eq!(first, [Frame::Packet(&3_u32.to_be_bytes())]);
        assert!(receive(theirs.as_raw_fd(), &mut buffer).is_err());
    }

    #[test]
    fn what_was_taken_is_granted_again() {
        let (ours, theirs) = pair();
        let socket = MediaSocket::new(Some(ours));
        let mut message = Vec::new();
        while push_packet(&mut message, &[0; 1_000]) {}
        let reader = std::thread::spawn(move || {
            let mut taken = 0;
            socket.read(|packet| taken += packet.len(), || ());
            taken
        });
        let mut granted = 0;
        let mut sent = 0;
        while granted == 0 {
            if transmit(theirs.as_raw_fd(), &message).is_ok() {
                sent += 65;
            }
            let mut buffer = [0; 64];
            if let Ok(length) = receive(theirs.as_raw_fd(), &mut buffer) {
                for frame in frames::read(&buffer[..length]) {
                    if let Frame::Credit(bytes) = frame {
                        granted += bytes;
                    }
                }
            }
        }
        drop(theirs);
        let taken = reader.join().unwrap();
        assert!(granted >= GRANT);
        assert!(taken <= sent * 1_000);
    }
}
