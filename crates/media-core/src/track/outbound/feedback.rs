//! What a receiver reports and asks for, what it is told of its stream, and the counters.

use super::{Inbound, Outbound};
use crate::sending::{Caps, Grant, Preference};
use crate::track::Clock;
use salono_media_api::{Bitrate, StreamDirection, StreamStats};
use salono_rtp::codec::Descriptor;
use salono_rtp::munge::Offsets;
use salono_rtp::rtcp::{ReportBlock, Writer};
use salono_rtp::time::{self, Ntp};
use salono_sdp::negotiate::NegotiatedCodec;
use std::time::Instant;

impl Outbound {
    pub(crate) fn count_pli(&mut self) {
        self.feedback.plis += 1;
    }

    /// Counts a full intra request; false when it repeats the one before (RFC 5104 §4.3.1.2).
    pub(crate) fn count_fir(&mut self, command_sequence: u8) -> bool {
        let fresh = self.fir_sequence != Some(command_sequence);
        self.fir_sequence = Some(command_sequence);
        if fresh {
            self.feedback.firs += 1;
        }
        fresh
    }

    /// Bounds of what this receiver shall be sent, in bits per second; 0 is none.
    pub(crate) fn set_send_bounds(&mut self, min: u64, max: u64) {
        self.send_bounds = (min, max);
    }

    /// Bounds that were set of what this receiver shall be sent, in bits per second; 0 is none.
    pub(crate) fn send_bounds(&self) -> (u64, u64) {
        self.send_bounds
    }

    /// What this receiver bounds of what its source sends.
    pub(crate) fn caps(&self) -> Caps {
        let (min, max) = self.send_bounds;
        Caps {
            set: max,
            carried: self.grant.share.map_or(0, |share| share.max(min)),
        }
    }

    /// What this receiver gets of what the path to it carries.
    pub(crate) fn grant(&self) -> Grant {
        self.grant
    }

    pub(crate) fn set_grant(&mut self, grant: Grant) {
        self.grant = grant;
    }

    /// What the receiver wants of the stream.
    pub(crate) fn preference(&self) -> Preference {
        self.preference
    }

    pub(crate) fn set_remb(&mut self, bitrate: Bitrate) {
        self.feedback.remb = Some(bitrate);
    }

    pub(crate) fn take_report(&mut self, block: &ReportBlock, now: Ntp) {
        self.feedback.fraction_lost = f64::from(block.fraction_lost) / 256.0;
        self.feedback.packets_lost = i64::from(block.cumulative_lost);
        self.feedback.jitter = time::from_ticks(u64::from(block.jitter), self.clock_rate());
        let round_trip = time::round_trip(now, block.last_sender_report, block.delay_since_last);
        self.feedback.round_trip = round_trip.or(self.feedback.round_trip);
    }

    /// Writes a sender report (RFC 3550 §6.4.1) if anything was ever sent.
    pub(crate) fn write_report(
        &self,
        writer: &mut Writer<'_>,
        track: Option<&Inbound>,
        blocks: &[ReportBlock],
        clock: Clock,
        now: Instant,
    ) -> bool {
        if self.packets == 0 {
            return false;
        }
        let from_source = track
            .and_then(|track| track.capture_time(clock, now))
            .and_then(|source| self.to_outgoing(source));
        let Some(timestamp) = from_source.or_else(|| self.munger.timestamp_at(now)) else {
            return false;
        };
        let written = writer.sender_report(
            self.ssrc,
            clock.ntp(now),
            timestamp,
            self.packets as u32,
            self.octets as u32,
            blocks,
        );
        written.is_ok()
    }

    /// A timestamp of the current source in the clock of this stream.
    pub(super) fn to_outgoing(&self, source: u32) -> Option<u32> {
        let newest = self.munger.newest()?;
        let offsets: Offsets = self.munger.origin(newest.wire())?.offsets;
        Some(
            offsets
                .apply(newest, source, &Descriptor::default())
                .timestamp,
        )
    }

    /// What packets go out as now.
    fn current_codec(&self) -> Option<&NegotiatedCodec> {
        let (pt, _) = self.mapping?.pt?;
        self.codecs.iter().find(|codec| codec.send_pt == pt)
    }

    pub(super) fn clock_rate(&self) -> u32 {
        self.codecs.first().map_or(90_000, |codec| codec.clock)
    }

    pub(crate) fn stats(&mut self, now: Instant) -> StreamStats {
        StreamStats {
            direction: StreamDirection::Outbound,
            kind: self.kind,
            ssrc: self.ssrc,
            packets: self.packets,
            bytes: self.octets,
            packets_lost: self.feedback.packets_lost,
            fraction_lost: self.feedback.fraction_lost,
            jitter: self.feedback.jitter,
            round_trip_time: self.feedback.round_trip,
            fir_count: self.feedback.firs,
            pli_count: self.feedback.plis,
            nack_count: self.feedback.nacks,
            remb: self.feedback.remb,
            bitrate: Bitrate::bps(self.bitrate(now)),
            frames: self.frames.total(),
            frames_per_second: self.frames.per_second(now),
            transport: None,
            payload_type: self.current_codec().map(|codec| codec.receive_pt),
            rid: None,
            frame_height: None,
        }
    }
}
