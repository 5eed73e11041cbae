//! The media socket of a processor: packets go in messages, with credit in both directions, and what finds neither
//! credit nor room waits up to a bound, where the oldest gives way.
//!
//! What a processor sends is not trusted: one that breaks the rules is ended like one that does not read.

use super::slots::Key;
use super::{Heard, Network, Served, Socket};
use crate::os::{Interest, Poller};
use salono_media_api::processing::frames::{INITIAL_CREDIT, MAX_MESSAGE, push_credit};
use salono_media_core::{NOWHERE, Outgoing, SocketId};
use socket2::Socket as RawSocket;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Most bytes that wait for a processor. What is beyond is dropped, the oldest packet first: late media is
/// worth nothing.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// Most packets that wait.
const MAX_WAITING_PACKETS: usize = 1_024;

/// Memory that is kept when nothing waits.
const KEPT_BYTES: usize = 64 * 1024;

/// So much must have been taken in before credit for it is sent.
const CREDIT_STEP: u32 = 256 * 1024;

/// A processor that has taken nothing for so long although something waits is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Bytes before each packet of a message, its length.
const HEADER_BYTES: usize = 2;

/// Our end of the socket.
#[derive(Debug)]
pub(super) struct MediaSocket {
    /// Non-blocking; `None` once it has ended, until the processor is reported lost.
    socket: Option<RawSocket>,
    /// Of the poller.
    token: u64,
    /// Packets that wait, each behind its length, as they are in a message.
    waiting: VecDeque<u8>,
    /// Bytes of each in `waiting`.
    items: VecDeque<usize>,
    /// Bytes of packets that the processor still takes.
    credit: u32,
    /// Bytes of packets that came in and for which no credit was sent yet.
    owed: u32,
    /// What the poller watches for.
    interest: Interest,
    /// Since when nothing was taken although something waits.
    stuck_since: Option<Instant>,
    /// Has something new to write since the last write.
    pub(super) touched: bool,
}

impl MediaSocket {
    /// Takes a `SOCK_SEQPACKET` socket and lets the poller watch it.
    pub(super) fn new(socket: OwnedFd, token: u64, poller: &Poller) -> io::Result<Self> {
        let socket = RawSocket::from(socket);
        socket.set_nonblocking(true)?;
        poller.add(&socket, token)?;
        Ok(Self {
            socket: Some(socket),
            token,
            waiting: VecDeque::new(),
            items: VecDeque::new(),
            credit: INITIAL_CREDIT,
            owed: 0,
            interest: Interest::Read,
            stuck_since: None,
            touched: false,
        })
    }

    /// Queues a packet. Returns how many gave way to it, itself if it is none that can be sent.
    pub(super) fn push(&mut self, packet: &[u8]) -> u64 {
        let fits = packet.len() + HEADER_BYTES <= MAX_MESSAGE;
        let Some(length) = u16::try_from(packet.len())
            .ok()
            .filter(|len| *len > 0 && fits)
        else {
            return 1;
        };
        if self.socket.is_none() {
            return 1;
        }
        let mut dropped = 0;
        let bytes = packet.len() + HEADER_BYTES;
        while self.items.len() >= MAX_WAITING_PACKETS
            || self.waiting.len() + bytes > MAX_WAITING_BYTES
        {
            let Some(oldest) = self.items.pop_front() else {
                break;
            };
            self.waiting.drain(..oldest);
            dropped += 1;
        }
        self.waiting.extend(length.to_be_bytes());
        self.waiting.extend(packet);
        self.items.push_back(bytes);
        dropped
    }

    /// Writes what there is credit and room for. Returns the number of packets.
    ///
    /// # Errors
    /// When the processor is gone, or has taken nothing for too long.
    pub(super) fn write(&mut self, poller: &Poller) -> io::Result<u64> {
        self.touched = false;
        let mut packets = 0;
        let mut blocked = false;
        while let Some(socket) = &self.socket {
            let (count, bytes) = self.next_message();
            if count == 0 {
                break;
            }
            let (head, tail) = self.waiting.as_slices();
            let head = &head[..head.len().min(bytes)];
            let tail = &tail[..bytes - head.len()];
            match socket.send_vectored(&[IoSlice::new(head), IoSlice::new(tail)]) {
                Ok(_) => {
                    self.waiting.drain(..bytes);
                    self.items.drain(..count);
                    self.credit -= (bytes - count * HEADER_BYTES) as u32;
                    self.stuck_since = None;
                    packets += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_full(&error) => {
                    blocked = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.settle(blocked, poller)?;
        Ok(packets)
    }

    /// Looks after what is left: memory, patience, what the poller watches for.
    fn settle(&mut self, blocked: bool, poller: &Poller) -> io::Result<()> {
        if self.items.is_empty() {
            self.waiting.shrink_to(KEPT_BYTES);
            self.stuck_since = None;
        } else {
            let since = *self.stuck_since.get_or_insert_with(Instant::now);
            if since.elapsed() > STUCK_AFTER {
                let text = "takes no media any more";
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
        }
        let interest = match blocked {
            true => Interest::Both,
            false => Interest::Read,
        };
        if let Some(socket) = self.socket.as_ref().filter(|_| self.interest != interest) {
            poller.change(socket, self.token, interest)?;
            self.interest = interest;
        }
        Ok(())
    }

    /// Packets and bytes of the longest message that there is credit for.
    fn next_message(&self) -> (usize, usize) {
        let (mut count, mut bytes, mut credit) = (0, 0, self.credit as usize);
        for item in &self.items {
            let packet = item - HEADER_BYTES;
            if bytes + item > MAX_MESSAGE || packet > credit {
                break;
            }
            count += 1;
            bytes += item;
            credit -= packet;
        }
        (count, bytes)
    }

    /// Takes in one message. Returns the number of packets; `None` when nothing is there.
    ///
    /// # Errors
    /// When the processor is gone, or breaks the rules.
    fn read(
        &mut self,
        buffer: &mut [u8],
        mut handle: impl FnMut(&mut [u8]),
    ) -> io::Result<Option<u64>> {
        let Some(socket) = self.socket.as_mut() else {
            return Ok(None);
        };
        let received = loop {
            match socket.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => break received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        let mut packets = 0;
        let mut rest = &mut buffer[..received];
        while !rest.is_empty() {
            let (item, after) = split_item(rest).ok_or_else(garbage)?;
            rest = after;
            match item {
                Item::Packet(packet) => {
                    self.owed = self.owed.saturating_add(packet.len() as u32);
                    // Credit is sent long before all of it is owed.
                    if self.owed > INITIAL_CREDIT {
                        return Err(io::Error::other("sends more media than it may"));
                    }
                    packets += 1;
                    handle(packet);
                }
                Item::Credit(bytes) => {
                    let credit = self.credit.checked_add(bytes).filter(|_| bytes > 0);
                    self.credit = credit
                        .filter(|it| *it <= INITIAL_CREDIT)
                        .ok_or_else(garbage)?;
                }
            }
        }
        self.grant()?;
        Ok(Some(packets))
    }

    /// Sends the credit that is owed, if that is enough to be worth a message.
    fn grant(&mut self) -> io::Result<()> {
        let Some(socket) = self.socket.as_ref().filter(|_| self.owed >= CREDIT_STEP) else {
            return Ok(());
        };
        let mut message = Vec::with_capacity(8);
        if !push_credit(&mut message, self.owed) {
            return Ok(());
        }
        match socket.send(&message) {
            Ok(_) => self.owed = 0,
            // It is owed on; the next message tries again.
            Err(error) if is_full(&error) || error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// One item of a message; see [`frames`](salono_media_api::processing::frames).
enum Item<'a> {
    Packet(&'a mut [u8]),
    Credit(u32),
}

/// The first item and what follows it; `None` when it is cut off.
fn split_item(message: &mut [u8]) -> Option<(Item<'_>, &mut [u8])> {
    let (length, after) = message.split_first_chunk_mut::<HEADER_BYTES>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 {
        let (credit, after) = after.split_first_chunk_mut::<4>()?;
        return Some((Item::Credit(u32::from_be_bytes(*credit)), after));
    }
    let (packet, after) = after.split_at_mut_checked(length)?;
    Some((Item::Packet(packet), after))
}

fn garbage() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "sends what is no media")
}

/// Whether the kernel has no room for now.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

impl Network {
    /// Gives the media socket of a processor an id and watches it.
    ///
    /// # Errors
    /// When the shard has as many sockets as it can.
    pub(crate) fn add_media(&mut self, socket: OwnedFd) -> io::Result<SocketId> {
        let poller = &self.poller;
        let key = self.sockets.insert_with(|key| {
            let media = MediaSocket::new(socket, key.to_bits(), poller)?;
            Ok(Socket::Media(Box::new(media)))
        })?;
        Ok(SocketId(key.index as u16))
    }

    /// Closes a media socket; its id is free at once.
    pub(crate) fn close_media(&mut self, socket: SocketId) {
        if let Some(key) = self.sockets.key(u32::from(socket.0))
            && let Some(Socket::Media(_)) = self.sockets.get(key)
        {
            self.sockets.remove(key);
        }
    }

    /// The next media socket that has ended by itself, and why. Its id stays taken until it is closed.
    pub(crate) fn poll_broken(&mut self) -> Option<(SocketId, String)> {
        self.broken.pop_front()
    }

    /// Whether [`Network::poll_broken`] has something.
    pub(crate) fn has_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Queues the datagrams of a flush that are for a media socket; false when it is none.
    pub(super) fn send_media(
        &mut self,
        id: SocketId,
        arena: &[u8],
        datagrams: &[Outgoing],
    ) -> bool {
        let Some(key) = self.sockets.key(u32::from(id.0)) else {
            return false;
        };
        let Some(Socket::Media(media)) = self.sockets.get_mut(key) else {
            return false;
        };
        for stretch in self.by_socket.stretches(id) {
            for datagram in &datagrams[stretch] {
                let start = datagram.start as usize;
                let bytes = arena.get(start..start + datagram.len as usize);
                self.traffic.processor_drops += media.push(bytes.unwrap_or_default());
            }
        }
        if !std::mem::replace(&mut media.touched, true) {
            self.touched.push(key.to_bits());
        }
        true
    }

    /// Hands over what a processor sends, and writes on if there is room again.
    pub(super) fn serve_media(&mut self, key: Key, handle: &mut impl FnMut(Heard<'_>)) -> Served {
        let Some(Socket::Media(media)) = self.sockets.get_mut(key) else {
            return Served::default();
        };
        let id = SocketId(key.index as u16);
        let read = media.read(&mut self.scratch, |packet| {
            handle(Heard::Datagram(id, NOWHERE, packet));
        });
        // Credit may have come, or room.
        let result = read.and_then(|read| {
            let written = media.write(&self.poller)?;
            self.traffic.processor_sent += written;
            Ok(read)
        });
        match result {
            Ok(read) => {
                let packets = read.unwrap_or_default();
                self.traffic.processor_received += packets;
                Served {
                    worked: packets > 0,
                    more: read.is_some(),
                }
            }
            Err(error) => {
                self.end_media(key, &error);
                Served {
                    worked: true,
                    more: false,
                }
            }
        }
    }

    /// A media socket is of no use any more: closes it, but keeps its id until the owner knows.
    pub(super) fn end_media(&mut self, key: Key, error: &io::Error) {
        if let Some(Socket::Media(media)) = self.sockets.get_mut(key)
            && media.socket.take().is_some()
        {
            media.items.clear();
            media.waiting = VecDeque::new();
            let id = SocketId(key.index as u16);
            self.broken.push_back((id, error.to_string()));
        }
    }
}
