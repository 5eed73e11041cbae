//! Receiving: one `recvmmsg` fills up to 32 buffers, each with a run of equal-sized datagrams of
//! one sender when the kernel coalesces (`UDP_GRO`).

use super::UdpSocket;
use super::sockaddr::RawAddress;
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::SocketAddr;
use std::ptr;
use std::time::{Duration, SystemTime};

/// Most messages of one system call. Beyond this the call costs more than it saves.
const MAX_MESSAGES: usize = 32;

/// Fewest messages that are asked for: preparing unused ones costs time too.
const MIN_MESSAGES: usize = 8;

/// Bytes of one buffer: the largest message, plus three cache lines so that the beginnings of the
/// buffers do not share cache sets.
const BUFFER_BYTES: usize = 65_536 + 192;

/// Control data of one message, in aligned words: the segment size takes three, the time of arrival four.
const CONTROL_WORDS: usize = 8;

/// What one call brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Received {
    /// Datagrams handed over.
    pub datagrams: u64,
    /// Bytes handed over.
    pub bytes: u64,
    /// Messages that were unusable: truncated, or without a sender.
    pub refused: u64,
    /// The socket may hold more.
    pub more: bool,
}

/// Buffers for receiving, for one thread and any number of sockets.
///
/// Takes 2 MiB of address space; resident is only what messages ever filled.
pub struct Receiver {
    /// `MAX_MESSAGES` buffers one after the other.
    buffers: Box<[u8]>,
    /// Sender of each message.
    addresses: [RawAddress; MAX_MESSAGES],
    /// Control data of each message.
    controls: [[u64; CONTROL_WORDS]; MAX_MESSAGES],
    /// Messages to ask for next; follows the load.
    depth: usize,
}

impl Receiver {
    /// Takes the buffers.
    pub fn new() -> Self {
        Self {
            buffers: vec![0; BUFFER_BYTES * MAX_MESSAGES].into_boxed_slice(),
            addresses: [RawAddress::empty(); MAX_MESSAGES],
            controls: [[0; CONTROL_WORDS]; MAX_MESSAGES],
            depth: MIN_MESSAGES,
        }
    }

    /// Receives what is there, at most one batch, and hands each datagram to `handle` in order of
    /// arrival.
    ///
    /// # Errors
    /// What the kernel says, except for "nothing there", interruptions and errors that earlier
    /// sends caused; those are not about receiving.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut handle: impl FnMut(SocketAddr, &mut [u8]),
    ) -> io::Result<Received> {
        self.receive_batch::<false>(socket, |remote, datagram, _| handle(remote, datagram))
    }

    /// As [`Receiver::receive`], with the time at which the kernel took each datagram in if the
    /// socket was bound with [`SocketOptions::timestamps`](super::SocketOptions::timestamps).
    ///
    /// # Errors
    /// As [`Receiver::receive`].
    pub fn receive_timed(
        &mut self,
        socket: &UdpSocket,
        handle: impl FnMut(SocketAddr, &mut [u8], Option<SystemTime>),
    ) -> io::Result<Received> {
        self.receive_batch::<true>(socket, handle)
    }

    fn receive_batch<const TIMED: bool>(
        &mut self,
        socket: &UdpSocket,
        mut handle: impl FnMut(SocketAddr, &mut [u8], Option<SystemTime>),
    ) -> io::Result<Received> {
        let asked = self.depth;
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MAX_MESSAGES];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MAX_MESSAGES];
        let buffers = self.buffers.chunks_exact_mut(BUFFER_BYTES);
        let controls = self.controls.iter_mut().zip(&mut self.addresses);
        let slots = headers.iter_mut().zip(&mut vectors).take(asked);
        for (((header, vector), buffer), (control, address)) in slots.zip(buffers).zip(controls) {
            let vector = vector.write(libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            });
            *address = RawAddress::empty();
            // SAFETY: integers and pointers, for which zero is a valid value.
            let header = header.write(unsafe { zeroed() });
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = RawAddress::LEN;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
        }
        // SAFETY: the first `asked` headers are initialised and point to vectors, buffers,
        // addresses and control words of the stated sizes, which live and are not touched until
        // the call returns.
        let result = unsafe {
            libc::recvmmsg(
                socket.fd(),
                headers.as_mut_ptr().cast(),
                asked as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(result) else {
            return after_error(io::Error::last_os_error());
        };
        let mut received = Received {
            more: count >= asked,
            ..Received::default()
        };
        self.depth = if count >= asked {
            (asked * 2).min(MAX_MESSAGES)
        } else {
            (count + 1)
                .next_power_of_two()
                .clamp(MIN_MESSAGES, MAX_MESSAGES)
        };
        let buffers = self.buffers.chunks_exact_mut(BUFFER_BYTES);
        for ((header, buffer), address) in
            headers.iter().zip(buffers).zip(&self.addresses).take(count)
        {
            // SAFETY: the kernel filled `count` headers, no more than were initialised.
            let header = unsafe { header.assume_init_ref() };
            let truncated = header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
            let message = buffer.get_mut(..header.msg_len as usize);
            let (Some(message), Some(remote), false) =
                (message, address.to_socket_addr(), truncated)
            else {
                received.refused += 1;
                continue;
            };
            let segment = match segment_bytes(&header.msg_hdr) {
                Some(bytes) if bytes > 0 => bytes,
                Some(_) | None => message.len().max(1),
            };
            let time = TIMED.then(|| arrival(&header.msg_hdr)).flatten();
            received.bytes += message.len() as u64;
            for datagram in message.chunks_mut(segment) {
                received.datagrams += 1;
                handle(remote, datagram, time);
            }
        }
        Ok(received)
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

/// Size of the segments of a coalesced message; `None` when it is a single datagram.
fn segment_bytes(header: &libc::msghdr) -> Option<usize> {
    let data = control_data(header, libc::SOL_UDP, libc::UDP_GRO)?;
    // SAFETY: the kernel puts an `int` behind this header; it may be unaligned.
    let bytes: i32 = unsafe { data.cast::<i32>().read_unaligned() };
    usize::try_from(bytes).ok()
}

/// When the kernel took the message in.
fn arrival(header: &libc::msghdr) -> Option<SystemTime> {
    let data = control_data(header, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)?;
    // SAFETY: the kernel puts a `timespec` behind this header; it may be unaligned.
    let time: libc::timespec = unsafe { data.cast::<libc::timespec>().read_unaligned() };
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).ok()?);
    let nanos = Duration::from_nanos(u64::try_from(time.tv_nsec).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds + nanos)
}

/// What the kernel said of a message under this level and type.
fn control_data(header: &libc::msghdr, level: libc::c_int, kind: libc::c_int) -> Option<*const u8> {
    // SAFETY: the kernel filled the control data that the header points to and set its length.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: not null, so a complete control header within the control data.
        if unsafe { ((*control).cmsg_level, (*control).cmsg_type) } == (level, kind) {
            // SAFETY: as above.
            return Some(unsafe { libc::CMSG_DATA(control) }.cast_const());
        }
        // SAFETY: `control` is a header within the control data of `header`.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    None
}

/// Tells errors of receiving from those that only came up now.
fn after_error(error: io::Error) -> io::Result<Received> {
    let (more, real) = match error.raw_os_error() {
        Some(libc::EAGAIN) => (false, false),
        // ICMP answers to what was sent; taking note of them clears them.
        Some(
            libc::EINTR
            | libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::ENETDOWN
            | libc::EMSGSIZE
            | libc::EPERM
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EPROTO
            | libc::EOPNOTSUPP,
        ) => (true, false),
        Some(_) | None => (false, true),
    };
    if real {
        return Err(error);
    }
    Ok(Received {
        more,
        ..Received::default()
    })
}

/// Traffic class of the next datagram, received alone; waits for it up to 20 s.
#[cfg(test)]
pub(super) fn traffic_class(socket: &UdpSocket) -> u8 {
    use crate::os::{Poller, Ready};
    let poller = Poller::new().unwrap();
    poller.add(socket, 0).unwrap();
    poller
        .wait(&mut Ready::new(), Some(std::time::Duration::from_secs(20)))
        .unwrap();
    let (mut byte, mut control) = (0_u8, [0_u64; CONTROL_WORDS]);
    let mut vector = libc::iovec {
        iov_base: ptr::from_mut(&mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: `msghdr` is integers and pointers, for which zero is a valid value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
    // SAFETY: the header points to a vector, a byte and control words that live until it returns.
    let result = unsafe { libc::recvmsg(socket.fd(), &raw mut header, libc::MSG_DONTWAIT) };
    assert_eq!(result, 1, "{}", io::Error::last_os_error());
    // SAFETY: the kernel filled the control data; both options begin with the class on
    // little-endian systems, IPv4 as a byte, IPv6 as an `int`.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        assert!(!first.is_null(), "asked for the class");
        *libc::CMSG_DATA(first)
    }
}
