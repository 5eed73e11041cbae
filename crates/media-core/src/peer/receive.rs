//! RTP that comes from a peer: opened, told apart by its SSRC, and handed to its track.

use super::Peer;
use crate::track::{Inbound, Router, Taken, TrackSlot};
use salono_media_api::{Event, ShardMetrics};
use salono_rtp::ext;
use salono_rtp::header::Header;
use std::collections::VecDeque;
use std::time::Instant;

/// SSRCs that are remembered besides those of each line; beyond that the oldest is forgotten.
const SPARE_SOURCES: usize = 32;
/// SSRCs that are remembered for each line.
const SOURCES_PER_LINE: usize = 4;

/// What an SSRC of a peer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) ssrc: u32,
    pub(super) track: TrackSlot,
    pub(super) is_rtx: bool,
}

impl Peer {
    /// Takes in one RTP packet; false when it is not authentic.
    pub(crate) fn receive_rtp(
        &mut self,
        transport: usize,
        datagram: &mut [u8],
        router: &mut Router,
        metrics: &mut ShardMetrics,
        events: &mut VecDeque<Event>,
        now: Instant,
    ) -> bool {
        let Ok(header) = Header::parse(datagram) else {
            return false;
        };
        let Some(srtp) = self.endpoint.srtp_mut(transport) else {
            return false;
        };
        let Ok(opened) = srtp.opener.open_rtp(datagram, &header) else {
            return false;
        };
        metrics.rtp_received += 1;
        let Some(packet) = datagram.get_mut(..opened.plain_len) else {
            return false;
        };
        let Some(source) = self.source(transport, &header, packet, router) else {
            self.note_stray(transport, &header, packet, router, now);
            return true;
        };
        let Some(track) = router.track_mut(source.track) else {
            return true;
        };
        if let Some(seq) = header
            .extensions(packet)
            .find(track.extensions().transport_cc)
            .and_then(ext::transport_sequence)
        {
            self.feedback.record(transport, seq, header.ssrc, now);
        }
        let taken = if source.is_rtx {
            receive_repair(track, packet, &header, now)
        } else if track.takes_ssrc(header.ssrc, now) {
            track.receive(packet, &header, opened.seq, now)
        } else {
            return true;
        };
        if taken == Taken::First {
            router.mark_dirty(source.track);
        }
        self.note_media(router.source_of(source.track), router, events, now);
        true
    }

    /// Counts a packet that is of no track for congestion control, which would miss it.
    fn note_stray(
        &mut self,
        transport: usize,
        header: &Header,
        packet: &[u8],
        router: &Router,
        now: Instant,
    ) {
        let mut lines = self.lines.iter().filter(|line| line.transport == transport);
        let Some(track) = lines.find_map(|line| router.track(line.inbound?)) else {
            return;
        };
        let value = header
            .extensions(packet)
            .find(track.extensions().transport_cc);
        if let Some(seq) = value.and_then(ext::transport_sequence) {
            self.feedback.record(transport, seq, header.ssrc, now);
        }
    }

    /// How many SSRCs are remembered.
    pub(super) fn max_sources(&self) -> usize {
        SPARE_SOURCES + SOURCES_PER_LINE * self.lines.len()
    }

    /// What an SSRC is: as announced; when it was not, what its packet says of its m-line
    /// (RFC 8843 §9.2), or else the first m-line of its payload type.
    fn source(
        &mut self,
        transport: usize,
        header: &Header,
        packet: &[u8],
        router: &Router,
    ) -> Option<Source> {
        if let Some(source) = self
            .sources
            .iter()
            .find(|source| source.ssrc == header.ssrc)
        {
            return Some(*source);
        }
        let (track, is_rtx) = self
            .lines
            .iter()
            .filter(|line| line.transport == transport)
            .find_map(|line| {
                let slot = line.inbound?;
                let track = router.track(slot)?;
                let mid = header.extensions(packet).find(track.extensions().mid);
                let is_other = mid.is_some_and(|mid| !line.is_named(mid));
                let is_rtx = track.owns(header.payload_type).filter(|_| !is_other)?;
                Some((slot, is_rtx))
            })?;
        let track = router.layer_named(track, header, packet, is_rtx)?;
        if self.sources.len() >= self.max_sources() {
            // A sender that begins anew picks another SSRC each time; one that is still in use is
            // found again by its payload type.
            self.sources.remove(0);
        }
        let source = Source {
            ssrc: header.ssrc,
            track,
            is_rtx,
        };
        self.sources.push(source);
        Some(source)
    }
}

/// Undoes RFC 4588 in place: the original packet begins two bytes later, behind a shifted header.
fn receive_repair(track: &mut Inbound, packet: &mut [u8], header: &Header, now: Instant) -> Taken {
    let length = header.len();
    let Some(original) = packet
        .get(length..length + 2)
        .and_then(|osn| <[u8; 2]>::try_from(osn).ok())
        .map(u16::from_be_bytes)
    else {
        return Taken::Known;
    };
    let Some(payload_type) = track.primary_of(header.payload_type) else {
        return Taken::Known;
    };
    packet.copy_within(..length, 2);
    let header = Header {
        payload_type,
        sequence_number: original,
        ssrc: track.ssrc(),
        ..*header
    };
    match packet.get(2..) {
        Some(packet) => track.receive_repair(packet, &header, now),
        None => Taken::Known,
    }
}
