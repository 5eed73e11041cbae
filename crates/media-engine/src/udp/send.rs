//! Sending: runs of equal-sized datagrams to one peer become one segmented message
//! (`UDP_SEGMENT`), up to 64 messages become one `sendmmsg`. The kernel reads from the arena.

use super::sockaddr::RawAddress;
use super::{MAX_DATAGRAM_BYTES, MAX_SEGMENTS, UdpSocket};
use salono_media_core::{Outgoing, SocketId};
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::ops::Range;
use std::ptr;

/// Messages of one system call.
const MESSAGES: usize = 64;

/// Control data of one message in aligned words: segment size and traffic class, 24 bytes each on
/// 64-bit systems.
const CONTROL_WORDS: usize = 6;

/// What became of the datagrams of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendReport {
    /// Datagrams that the kernel took.
    pub datagrams: u64,
    /// Bytes that the kernel took.
    pub bytes: u64,
    /// Datagrams dropped because the socket buffer was full; a shard never waits for it.
    pub full: u64,
    /// Datagrams that the kernel refused for another reason: no route, filtered, too large.
    pub refused: u64,
    /// System calls.
    pub calls: u64,
}

impl SendReport {
    /// Adds the figures of another report.
    pub fn add(&mut self, other: Self) {
        self.datagrams += other.datagrams;
        self.bytes += other.bytes;
        self.full += other.full;
        self.refused += other.refused;
        self.calls += other.calls;
    }
}

/// A run of datagrams that is one message.
#[derive(Clone, Copy)]
struct Run {
    /// Index of the first datagram.
    first: usize,
    /// Number of datagrams.
    count: usize,
    /// Offset in the arena.
    start: usize,
    /// Bytes of all together.
    bytes: usize,
}

/// Message buffers for sending, for one thread and any number of sockets.
pub struct Sender {
    /// The messages of the next system call, at most [`MESSAGES`].
    runs: Vec<Run>,
    /// Destination of each message.
    addresses: [RawAddress; MESSAGES],
    /// Control data of each message.
    controls: [[u64; CONTROL_WORDS]; MESSAGES],
}

impl Sender {
    /// Takes the buffers.
    pub fn new() -> Self {
        Self {
            runs: Vec::with_capacity(MESSAGES),
            addresses: [RawAddress::empty(); MESSAGES],
            controls: [[0; CONTROL_WORDS]; MESSAGES],
        }
    }

    /// Sends those of `datagrams` that are for socket number `index`, in order; their bytes are
    /// ranges of `arena`. Never waits, never fails: what cannot be sent is counted.
    pub fn send(
        &mut self,
        socket: &UdpSocket,
        index: SocketId,
        arena: &[u8],
        datagrams: &[Outgoing],
    ) -> SendReport {
        let mut report = SendReport::default();
        let mut next = 0;
        while next < datagrams.len() {
            let stretch = datagrams[next..].chunk_by(|a, b| a.socket == b.socket);
            let end = next + stretch.take(1).map(<[Outgoing]>::len).sum::<usize>();
            if datagrams[next].socket == index {
                self.collect(socket, arena, datagrams, next..end, &mut report);
            }
            next = end;
        }
        self.send_runs(socket, arena, datagrams, &mut report);
        report
    }

    /// Sends the stretches of `datagrams` that are for this socket, in order.
    pub(crate) fn send_stretches(
        &mut self,
        socket: &UdpSocket,
        arena: &[u8],
        datagrams: &[Outgoing],
        stretches: impl Iterator<Item = Range<usize>>,
    ) -> SendReport {
        let mut report = SendReport::default();
        for stretch in stretches {
            self.collect(socket, arena, datagrams, stretch, &mut report);
        }
        self.send_runs(socket, arena, datagrams, &mut report);
        report
    }

    /// Makes runs of a stretch of datagrams and sends them as soon as a system call is full.
    fn collect(
        &mut self,
        socket: &UdpSocket,
        arena: &[u8],
        datagrams: &[Outgoing],
        stretch: Range<usize>,
        report: &mut SendReport,
    ) {
        let mut next = stretch.start;
        while next < stretch.end {
            let run = run_at(arena, datagrams, next, socket.segments());
            next += run.count;
            if run.bytes == 0 {
                report.refused += run.count as u64;
                continue;
            }
            self.runs.push(run);
            if self.runs.len() == MESSAGES {
                self.send_runs(socket, arena, datagrams, report);
            }
        }
    }

    /// Sends the collected runs and forgets them.
    fn send_runs(
        &mut self,
        socket: &UdpSocket,
        arena: &[u8],
        datagrams: &[Outgoing],
        report: &mut SendReport,
    ) {
        let mut done = 0;
        while done < self.runs.len() {
            report.calls += 1;
            match self.send_from(done, socket, arena, datagrams) {
                Ok(sent) => {
                    for run in &self.runs[done..done + sent] {
                        report.datagrams += run.count as u64;
                        report.bytes += run.bytes as u64;
                    }
                    done += sent;
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                        for run in &self.runs[done..] {
                            report.full += run.count as u64;
                        }
                        done = self.runs.len();
                    }
                    Some(_) | None => {
                        self.after_refusal(done, &error, socket, arena, datagrams, report);
                        done += 1;
                    }
                },
            }
        }
        self.runs.clear();
    }

    /// A message was refused: a run is tried again one by one, as it may be the offload that does
    /// not work; a single datagram is given up.
    fn after_refusal(
        &mut self,
        refused: usize,
        error: &io::Error,
        socket: &UdpSocket,
        arena: &[u8],
        datagrams: &[Outgoing],
        report: &mut SendReport,
    ) {
        let run = self.runs[refused];
        if run.count == 1 {
            tracing::trace!(local = %socket.local_addr(), %error, "datagram refused");
            report.refused += 1;
            return;
        }
        let mut sent = 0;
        for index in run.first..run.first + run.count {
            let single = run_at(arena, datagrams, index, false);
            let rest = std::mem::replace(&mut self.runs, vec![single]);
            report.calls += 1;
            match self.send_from(0, socket, arena, datagrams) {
                Ok(_) => {
                    sent += 1;
                    report.datagrams += 1;
                    report.bytes += single.bytes as u64;
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => report.full += 1,
                    Some(_) | None => report.refused += 1,
                },
            }
            self.runs = rest;
        }
        // The outgoing device cannot compute the checksums. Other refusals are about this peer
        // (segments larger than its path takes) and say nothing about the socket.
        if error.raw_os_error() == Some(libc::EIO) && sent > 0 {
            socket.give_up_segmentation(error);
        }
    }

    /// One system call for the runs from `first` on; returns how many were sent, at least one.
    fn send_from(
        &mut self,
        first: usize,
        socket: &UdpSocket,
        arena: &[u8],
        datagrams: &[Outgoing],
    ) -> io::Result<usize> {
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES];
        let runs = &self.runs[first..];
        let room = self.addresses.iter_mut().zip(&mut self.controls);
        let slots = headers.iter_mut().zip(&mut vectors).zip(room);
        for (run, ((header, vector), (address, control))) in runs.iter().zip(slots) {
            let datagram = &datagrams[run.first];
            let bytes = &arena[run.start..run.start + run.bytes];
            let (raw, address_len) = RawAddress::new(datagram.remote);
            *address = raw;
            // The kernel only reads through this pointer, although its type does not say so.
            let vector = vector.write(libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            });
            // SAFETY: integers and pointers, for which zero is a valid value.
            let header = header.write(unsafe { zeroed() });
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = address_len;
            let segment = if run.count > 1 {
                datagram.len as u16
            } else {
                0
            };
            let control_len = write_control(control, datagram, segment);
            if control_len > 0 {
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = control_len as _;
            }
        }
        // SAFETY: the first `runs.len()` headers are initialised and point to vectors, bytes, addresses and control
        // words of the stated sizes, which live and are not written until the call returns.
        let result = unsafe {
            libc::sendmmsg(
                socket.fd(),
                headers.as_mut_ptr().cast(),
                runs.len() as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        match usize::try_from(result) {
            Ok(0) => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
            Ok(sent) => Ok(sent),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

/// The run that begins at `first`: successive datagrams of one socket, peer and code point that
/// lie in succession and have equal sizes; the last may be shorter. A run of 0 bytes is one that
/// cannot be sent.
fn run_at(arena: &[u8], datagrams: &[Outgoing], first: usize, segmentation: bool) -> Run {
    let head = &datagrams[first];
    let start = head.start as usize;
    let segment = head.len as usize;
    let inside = start
        .checked_add(segment)
        .is_some_and(|end| end <= arena.len());
    let mut run = Run {
        first,
        count: 1,
        start,
        bytes: segment,
    };
    if !inside || segment > MAX_DATAGRAM_BYTES {
        run.bytes = 0;
        return run;
    }
    if !segmentation {
        return run;
    }
    for datagram in &datagrams[first + 1..] {
        let len = datagram.len as usize;
        let end = run.bytes + len;
        let joins = run.count < MAX_SEGMENTS
            && datagram.socket == head.socket
            && datagram.start as usize == start + run.bytes
            && len <= segment
            && len > 0
            && end <= MAX_DATAGRAM_BYTES
            && start + end <= arena.len()
            && datagram.dscp == head.dscp
            && datagram.remote == head.remote;
        if !joins {
            break;
        }
        run.count += 1;
        run.bytes = end;
        if len < segment {
            break;
        }
    }
    run
}

/// Writes the options of one message; returns the bytes used, 0 without options.
fn write_control(control: &mut [u64; CONTROL_WORDS], datagram: &Outgoing, segment: u16) -> usize {
    let mut used = 0;
    if segment > 0 {
        used += put_control(control, used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    if datagram.dscp > 0 {
        // RFC 2474: the code point is the upper six bits of the octet.
        let class = i32::from(datagram.dscp & 0x3f) << 2;
        used += if datagram.remote.is_ipv4() {
            put_control(control, used, libc::IPPROTO_IP, libc::IP_TOS, class)
        } else {
            put_control(control, used, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class)
        };
    }
    used
}

/// Appends one option at byte `at`, a multiple of the word size; returns the bytes it takes.
fn put_control<T: Copy>(
    control: &mut [u64; CONTROL_WORDS],
    at: usize,
    level: i32,
    kind: i32,
    value: T,
) -> usize {
    // SAFETY: both macros only compute.
    let (space, len) = unsafe {
        let value_len = size_of::<T>() as libc::c_uint;
        (
            libc::CMSG_SPACE(value_len) as usize,
            libc::CMSG_LEN(value_len),
        )
    };
    assert!(
        at + space <= size_of::<[u64; CONTROL_WORDS]>(),
        "control data has room for both options"
    );
    // SAFETY: header and value lie within `control`, as just checked; `at` is a multiple of the
    // word size, so the header is aligned; the value may be unaligned and is written as such.
    unsafe {
        let header = control.as_mut_ptr().byte_add(at).cast::<libc::cmsghdr>();
        // Some C libraries have padding in it, so not as a literal.
        header.write(zeroed());
        (*header).cmsg_len = len as _;
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
    }
    space
}

/// How many datagrams from `first` on become one message.
#[cfg(test)]
pub(super) fn run_len(
    arena: &[u8],
    datagrams: &[Outgoing],
    first: usize,
    segmentation: bool,
) -> usize {
    run_at(arena, datagrams, first, segmentation).count
}
