//! Where the datagrams of a flush go: to sockets at once, to streams behind what waits there.

use super::ice_tcp::{ACCEPTED, Accepted};
use super::slots::{Key, Slots};
use super::{Network, Socket};
use crate::udp::SendReport;
use salono_media_core::{Egress, Outgoing};
use std::io;

impl Network {
    /// Sends what waits and forgets it.
    pub(crate) fn send(&mut self, egress: &mut Egress) {
        self.by_socket.sort(egress.datagrams());
        let (arena, datagrams) = (egress.bytes(), egress.datagrams());
        let mut report = SendReport::default();
        for number in 0..self.by_socket.len() {
            let Some(id) = self.by_socket.socket(number) else {
                continue;
            };
            if self.send_media(id, arena, datagrams) {
                continue;
            }
            let stretches = self.by_socket.stretches(id);
            if let Some(Socket::Udp(socket)) = self.sockets.at(u32::from(id.0)) {
                let sent = self
                    .sender
                    .send_stretches(socket, arena, datagrams, stretches);
                report.add(sent);
                continue;
            }
            for datagram in stretches.flat_map(|stretch| &datagrams[stretch]) {
                let start = datagram.start as usize;
                let bytes = arena.get(start..start + datagram.len as usize);
                let bytes = bytes.unwrap_or_default();
                let queued = queue(
                    &mut self.sockets,
                    &mut self.accepted,
                    &mut self.touched,
                    datagram,
                    bytes,
                );
                match queued {
                    Some(true) => {
                        report.datagrams += 1;
                        report.bytes += bytes.len() as u64;
                    }
                    Some(false) => {
                        report.full += 1;
                        self.traffic.tcp_dropped_frames += 1;
                        self.traffic.tcp_dropped_bytes += bytes.len() as u64;
                    }
                    None => report.refused += 1,
                }
            }
        }
        egress.clear();
        self.traffic.datagrams_sent += report.datagrams;
        self.traffic.bytes_sent += report.bytes;
        self.traffic.send_drops += report.full + report.refused;
        while let Some(token) = self.touched.pop() {
            if let Err(error) = self.write(token) {
                self.end(token, &error);
            }
        }
    }

    /// Writes what waits on the stream with this token, as far as the peer takes it.
    fn write(&mut self, token: u64) -> io::Result<()> {
        let key = Key::from_bits(token & !ACCEPTED);
        if token & ACCEPTED == 0
            && let Some(Socket::Media(media)) = self.sockets.get_mut(key)
        {
            self.traffic.processor_sent += media.write(&self.poller)?;
            return Ok(());
        }
        let pipe = if token & ACCEPTED != 0 {
            self.accepted.get_mut(key).map(Accepted::pipe)
        } else if let Some(Socket::Stream(stream)) = self.sockets.get_mut(key) {
            Some(stream.pipe())
        } else {
            None
        };
        pipe.map_or(Ok(()), |pipe| pipe.write(&self.poller))
    }
}

/// Queues a packet on the stream that it is for. `None` when there is none, false when it is full.
fn queue(
    sockets: &mut Slots<Socket>,
    accepted: &mut Slots<Accepted>,
    touched: &mut Vec<u64>,
    datagram: &Outgoing,
    bytes: &[u8],
) -> Option<bool> {
    let key = sockets.key(u32::from(datagram.socket.0))?;
    let (queued, pipe, token) = match sockets.get_mut(key)? {
        Socket::Udp(_) | Socket::Media(_) => return None,
        Socket::IceTcp(listener) => {
            let key = listener.connection(datagram.remote)?;
            let connection = accepted.get_mut(key)?;
            let queued = connection.push(datagram, bytes);
            (queued, connection.pipe(), ACCEPTED | key.to_bits())
        }
        Socket::Stream(stream) => (stream.push(datagram, bytes), stream.pipe(), key.to_bits()),
    };
    if !std::mem::replace(&mut pipe.touched, true) {
        touched.push(token);
    }
    Some(queued)
}
