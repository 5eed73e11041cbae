//! Packets on their way in: whose they are, where they are kept, and what they say.

use super::fresh::{Fresh, dependency_of, look_into};
use super::{Inbound, MAX_FRESH, SSRC_HOLD, Taken};
use salono_media_api::MediaKind;
use salono_rtp::codec::{Codec, Heights};
use salono_rtp::header::Header;
use salono_rtp::layers::dependency::Structure;
use salono_rtp::recv;
use salono_rtp::ring::{PacketRef, PacketRing};
use salono_rtp::seq::ExtSeq;
use salono_sdp::CodecKind;
use std::time::Instant;

impl Inbound {
    /// Whether packets with this SSRC are the track. A browser may change it at will, which is a
    /// change of source for receivers; but while one stream flows, others beside it are not taken:
    /// a publisher that sends layers under one payload type would change the source per packet.
    pub(crate) fn takes_ssrc(&mut self, ssrc: u32, now: Instant) -> bool {
        if self.ssrc == Some(ssrc) {
            return true;
        }
        let flows = self
            .last_packet
            .is_some_and(|at| now.saturating_duration_since(at) < SSRC_HOLD);
        if flows {
            return false;
        }
        self.begin(ssrc);
        true
    }

    /// Takes up a stream, in place of the one before.
    pub(super) fn begin(&mut self, ssrc: u32) {
        if self.ssrc.is_some() {
            self.ring = PacketRing::new(self.ring_config);
            if let Some(nack) = self.nack.as_mut() {
                *nack = recv::NackGenerator::new(recv::NackConfig::default());
            }
            self.report = None;
            self.keyframe = None;
            self.clear_fresh(self.fresh.len());
            self.forwarded = None;
            self.withheld = None;
            self.remb_base = (0, 0);
            self.dependencies = Default::default();
        }
        self.ssrc = Some(ssrc);
        self.statistics = recv::Statistics::new(ssrc, self.clock_rate());
    }

    pub(super) fn clock_rate(&self) -> u32 {
        self.codecs.first().map_or(90_000, |codec| codec.clock)
    }

    /// Takes in a decrypted packet of the primary stream.
    pub(crate) fn receive(
        &mut self,
        packet: &[u8],
        header: &Header,
        seq: ExtSeq,
        now: Instant,
    ) -> Taken {
        let payload_bytes = header.payload(packet).map_or(0, <[u8]>::len);
        self.statistics
            .packet(seq, header.timestamp, payload_bytes, now);
        self.meter.add(payload_bytes, now);
        if header.marker {
            self.frames.add(now);
        }
        self.last_packet = Some(now);
        if let Some(nack) = self.nack.as_mut() {
            nack.packet(seq, now);
        }
        let taken = self.store(packet, header, payload_bytes, seq, now);
        if self.kind == MediaKind::Video && self.ring.newest() == Some(seq) {
            self.gathering.note(header.marker, now);
        }
        taken
    }

    /// Takes in the packet that a retransmission carried; its header names the primary stream.
    pub(crate) fn receive_repair(&mut self, packet: &[u8], header: &Header, now: Instant) -> Taken {
        let newest = self.ring.newest();
        let Some(seq) = newest.and_then(|newest| newest.nearest(header.sequence_number)) else {
            return Taken::Known;
        };
        // What nobody misses is a probe of the sender's bandwidth estimation.
        let missing = self.nack.as_mut().is_some_and(|nack| nack.packet(seq, now));
        if missing {
            let payload_bytes = header.payload(packet).map_or(0, <[u8]>::len);
            self.store(packet, header, payload_bytes, seq, now)
        } else {
            Taken::Known
        }
    }

    /// Stores a packet, of whose payload of `payload_bytes` there may be less here.
    pub(super) fn store(
        &mut self,
        packet: &[u8],
        header: &Header,
        payload_bytes: usize,
        seq: ExtSeq,
        now: Instant,
    ) -> Taken {
        let Some(codec) = self.codec(header.payload_type) else {
            return Taken::Known;
        };
        let kind = codec.kind;
        self.codec = look_into(kind);
        if kind != CodecKind::TelephoneEvent && self.payload_type != Some(header.payload_type) {
            self.payload_type = Some(header.payload_type);
            self.is_recoded = true;
        }
        if self.fresh.len() >= MAX_FRESH {
            return Taken::Known;
        }
        let frame_before = self.frame_before(seq);
        let Ok(stored) = self.ring.push(seq, header, packet, now) else {
            return Taken::Known;
        };
        let mut fresh = Fresh::read(self.codec, self.extensions, &stored);
        fresh.follow(frame_before, self.heights, self.codec, &stored);
        if let Some(value) = dependency_of(self.codec, self.extensions, &stored)
            && let Some(frame) = self.dependencies.read(value)
        {
            fresh.set_dependency(frame);
        }
        if self.kind == MediaKind::Video {
            if fresh.descriptor.is_keyframe_start {
                self.throttle.keyframe();
                self.keyframe = Some((seq, now));
                let heights = match self.dependencies.reader().current() {
                    Some(structure) => structure.heights(),
                    None => self.codec.heights(stored.payload()),
                };
                if heights != Heights::default() {
                    self.heights_changed |= self.heights != heights;
                    self.heights = heights;
                }
            }
            let (about, frame) = (&fresh.descriptor, fresh.dependency.as_ref());
            self.rates
                .add(about, frame, header.timestamp, payload_bytes, now);
        }
        self.fresh.push(fresh);
        if self.fresh.len() == 1 {
            Taken::First
        } else {
            Taken::Known
        }
    }

    /// What a stored packet says, as it said when it was fresh.
    pub(crate) fn describe(&self, packet: &PacketRef<'_>) -> Fresh {
        let mut fresh = Fresh::read(self.codec, self.extensions, packet);
        let frame_before = self.frame_before(packet.seq);
        fresh.follow(frame_before, self.heights, self.codec, packet);
        if let Some(value) = self.dependency_of(packet)
            && let Some(frame) = self.dependencies.reader().read_again(value)
        {
            fresh.set_dependency(frame);
        }
        fresh
    }

    /// The timestamp of the packet before one, where frames may begin with packets that are none of their own.
    fn frame_before(&self, seq: ExtSeq) -> Option<u32> {
        match self.codec {
            Codec::H264 | Codec::H265 => {
                let before = self.ring.get(seq.offset(-1))?;
                Some(before.header.timestamp)
            }
            Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opaque => None,
        }
    }

    /// The dependency descriptor of a stored packet.
    pub(crate) fn dependency_of<'a>(&self, packet: &PacketRef<'a>) -> Option<&'a [u8]> {
        dependency_of(self.codec, self.extensions, packet)
    }

    /// What dependency descriptors are read by.
    pub(crate) fn structure(&self, epoch: u8) -> Option<&Structure> {
        self.dependencies.reader().structure(epoch)
    }

    /// Whether a descriptor could not be read since this was asked last.
    pub(crate) fn take_lost_structure(&mut self) -> bool {
        self.dependencies.take_lost()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::demux::EndpointSlot;
    use salono_sdp::negotiate::NegotiatedMedia;

    fn track() -> Inbound {
        let media = NegotiatedMedia {
            index: 0,
            kind: salono_sdp::MediaKind::Video,
            mid: None,
            rejection: None,
            transport: Some(0),
            send: false,
            recv: true,
            codecs: Vec::new(),
            extensions: Vec::new(),
            remote_sources: Vec::new(),
            rids: Vec::new(),
            rtcp_mux: true,
            rtcp_rsize: true,
            keyframe_requests: true,
            remote_address: None,
            remote_rtcp: None,
            sctp: None,
        };
        Inbound::new(
            EndpointSlot::default(),
            MediaKind::Video,
            &media,
            1,
            &Limits::default(),
        )
    }

    #[test]
    fn a_second_stream_takes_over_only_once_the_first_is_silent() {
        let mut track = track();
        let start = Instant::now();
        let packet = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1];
        let header = Header::parse(&packet).unwrap();
        assert!(track.takes_ssrc(7, start));
        track.receive(&packet, &header, ExtSeq::new(1), start);
        assert!(!track.takes_ssrc(8, start + SSRC_HOLD / 2));
        assert_eq!(track.ssrc(), 7);
        assert!(track.takes_ssrc(7, start + SSRC_HOLD / 2));
        assert!(track.takes_ssrc(8, start + SSRC_HOLD));
        assert_eq!(track.ssrc(), 8);
    }
}
