//! What a publisher is asked for and told: keyframes, repairs, its bitrate, reports; the counters.

use super::{CapturePoint, Inbound, LIFTS, UNLIMITED_BPS};
use crate::track::Clock;
use crate::track::router::LayerName;
use salono_media_api::{Bitrate, RembParams, StreamDirection, StreamStats};
use salono_rtp::recv;
use salono_rtp::rtcp::{FirEntry, ReportBlock, SenderReport, Writer};
use salono_rtp::time;
use salono_sdp::negotiate::NegotiatedCodec;
use std::time::{Duration, Instant};

/// What one stream may take of what its publisher sends, in bits per second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) ssrc: u32,
    /// `None` is no limit.
    pub(crate) limit: Option<u64>,
    /// What it takes now.
    pub(crate) taken: u64,
    /// The publisher is to be told now.
    pub(crate) is_due: bool,
}

impl Inbound {
    // Keyframes.

    /// Notes that a receiver needs a keyframe; true for the first of a batch.
    pub(crate) fn mark_keyframe_wanted(&mut self) -> bool {
        !std::mem::replace(&mut self.keyframe_wanted, true)
    }

    pub(crate) fn clear_keyframe_wanted(&mut self) {
        self.keyframe_wanted = false;
    }

    pub(crate) fn request_keyframe(&mut self, now: Instant) {
        self.throttle.request(now);
    }

    /// Writes a keyframe request if it is time for one.
    pub(crate) fn write_keyframe_request(&mut self, writer: &mut Writer<'_>, now: Instant) -> bool {
        if !self.can_ask {
            return false;
        }
        let Some(ssrc) = self.ssrc.or(self.announced_ssrc) else {
            return false;
        };
        if !self.throttle.poll(now) {
            return false;
        }
        let uses = |flag: fn(&NegotiatedCodec) -> bool| self.codecs.iter().any(flag);
        if !uses(|codec| codec.feedback.nack_pli) && uses(|codec| codec.feedback.ccm_fir) {
            self.fir_sequence = self.fir_sequence.wrapping_add(1);
            let entry = FirEntry {
                ssrc,
                command_sequence: self.fir_sequence,
            };
            self.requests.firs += 1;
            return writer.full_intra(self.local_ssrc, &[entry]).is_ok();
        }
        self.requests.plis += 1;
        writer.picture_loss(self.local_ssrc, ssrc).is_ok()
    }

    // Loss and bitrate.

    /// Writes a NACK for what is missing and due; returns how many packets it names.
    pub(crate) fn write_nack(
        &mut self,
        writer: &mut Writer<'_>,
        round_trip: Option<Duration>,
        now: Instant,
    ) -> usize {
        let (Some(ssrc), Some(nack)) = (self.ssrc, self.nack.as_mut()) else {
            return 0;
        };
        if nack.poll_timeout().is_none_or(|due| due > now) {
            return 0;
        }
        let mut lost = [0u16; 128];
        let count = nack.collect(round_trip, &mut lost, now);
        let given_up = nack.take_keyframe_request();
        if given_up {
            self.throttle.request(now);
        }
        if count == 0 {
            return 0;
        }
        self.requests.nacks += 1;
        writer
            .nack(self.local_ssrc, ssrc, lost.get(..count).unwrap_or(&[]))
            .unwrap_or(0)
    }

    /// How the estimate moves that REMB is made of.
    pub(crate) fn set_remb_params(&mut self, params: RembParams) {
        if let Some(remb) = self.remb.as_mut() {
            remb.configure(recv::RembConfig {
                packets_interval_top: params.packets_interval_top,
                exponential_factor: params.exponential_factor,
                linear_min_bps: u64::from(params.linear_factor_min),
                linear_grade: params.linear_factor_grade,
                decrement_factor: params.decrement_factor,
                threshold_factor: params.threshold_factor,
                up_losses: params.up_losses,
                ..recv::RembConfig::default()
            });
        }
    }

    /// Bounds of what REMB asks for, in bits per second; 0 is none.
    pub(crate) fn set_remb_bounds(&mut self, min: u64, max: u64) {
        let before = self.cap.bitrate();
        (self.cap.min, self.cap.max) = (min, max);
        self.apply_cap(before);
    }

    /// Whether the publisher understands what it is asked to keep to.
    pub(crate) fn can_be_capped(&self) -> bool {
        self.cap.is_possible
    }

    /// What receivers of this track shall be sent at most; 0 is no limit.
    pub(crate) fn set_downstream_cap(&mut self, bits_per_second: u64) {
        if self.cap.downstream != bits_per_second {
            let before = self.cap.bitrate();
            self.cap.downstream = bits_per_second;
            self.apply_cap(before);
        }
    }

    fn apply_cap(&mut self, before: u64) {
        let cap = self.cap.bitrate();
        if let Some(remb) = self.remb.as_mut() {
            let min = self.cap.min;
            remb.set_bounds(if cap == 0 { min } else { min.min(cap) }, cap);
        }
        if before > 0 && cap == 0 {
            self.cap.lifts = LIFTS;
        }
    }

    /// What of this track goes into the bound of its publisher: the receiver's estimate, or, where the publisher
    /// estimates for itself, the cap alone. `None` when nobody can be asked.
    pub(crate) fn share(&mut self, now: Instant) -> Option<Share> {
        let ssrc = self.ssrc.filter(|_| self.cap.is_possible)?;
        let taken = self.meter.bits_per_second(now);
        let (limit, is_due) = if self.remb.is_some() {
            let estimate = self.estimate(taken, now);
            let known = self.requests.remb.map(Bitrate::as_bps);
            (estimate.or(known), estimate.is_some())
        } else {
            match self.cap.bitrate() {
                0 => {
                    let is_due = self.cap.lifts > 0;
                    self.cap.lifts = self.cap.lifts.saturating_sub(1);
                    (None, is_due)
                }
                cap => (Some(cap), true),
            }
        };
        if is_due {
            self.requests.remb = Some(Bitrate::bps(limit.unwrap_or(UNLIMITED_BPS)));
        }
        Some(Share {
            ssrc,
            limit,
            taken,
            is_due,
        })
    }

    /// What the path from the publisher carries; `None` when nothing new is known.
    fn estimate(&mut self, taken: u64, now: Instant) -> Option<u64> {
        let remb = self.remb.as_mut()?;
        let (packets, lost) = (self.statistics.packets(), self.statistics.cumulative_lost());
        let arrived = packets.saturating_sub(self.remb_base.0);
        let missing = u64::try_from(lost.saturating_sub(self.remb_base.1)).unwrap_or(0);
        if arrived == 0 {
            return None;
        }
        let fraction = (missing * 256)
            .checked_div(arrived + missing)
            .unwrap_or(0)
            .min(255);
        let interval = recv::Interval {
            bitrate_bps: taken,
            fraction_lost: fraction as u8,
            packets: u32::try_from(arrived).unwrap_or(u32::MAX),
        };
        let bitrate = remb.update(interval, now)?;
        self.remb_base = (packets, lost);
        Some(bitrate)
    }

    /// When something of the above is due next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let nack = self
            .nack
            .as_ref()
            .and_then(recv::NackGenerator::poll_timeout);
        // Nobody can be asked before the publisher's SSRC is known.
        let keyframe = self
            .ssrc
            .or(self.announced_ssrc)
            .filter(|_| self.can_ask)
            .and_then(|_| self.throttle.poll_timeout());
        [nack, keyframe].into_iter().flatten().min()
    }

    // Reports.

    pub(crate) fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        self.ssrc?;
        self.statistics.report(now)
    }

    /// Takes in a sender report of the publisher. `offset` is our NTP clock minus the publisher's,
    /// one value for all of its tracks, so that they stay in step.
    pub(crate) fn take_sender_report(
        &mut self,
        report: &SenderReport<'_>,
        offset: i64,
        now: Instant,
    ) {
        if self.ssrc == Some(report.ssrc) {
            self.statistics.sender_report(report.ntp, now);
            let ntp = report.ntp.bits().cast_signed().wrapping_add(offset);
            self.report = Some(CapturePoint {
                timestamp: report.rtp_timestamp,
                ntp,
            });
        }
    }

    /// The publisher's timestamp of what it captures now; `None` before its first report.
    pub(crate) fn capture_time(&self, clock: Clock, now: Instant) -> Option<u32> {
        let point = self.report?;
        let elapsed = clock.ntp(now).bits().cast_signed().wrapping_sub(point.ntp);
        let ticks = (i128::from(elapsed) * i128::from(self.clock_rate())) >> 32;
        Some(point.timestamp.wrapping_add(ticks as u32))
    }

    /// A timestamp of the publisher and when it was current by our NTP clock, in fixed point seconds.
    pub(crate) fn capture_point(&self) -> Option<(u32, i64)> {
        self.report.map(|point| (point.timestamp, point.ntp))
    }

    /// When a timestamp of the publisher was current by our NTP clock, in fixed point seconds.
    pub(crate) fn captured_at(&self, timestamp: u32) -> Option<i64> {
        let point = self.report?;
        let ticks = i64::from(time::distance(timestamp, point.timestamp));
        let elapsed = (i128::from(ticks) << 32).checked_div(i128::from(self.clock_rate()))?;
        Some(point.ntp.wrapping_add(elapsed as i64))
    }

    pub(crate) fn lost(&self) -> u64 {
        u64::try_from(self.statistics.cumulative_lost()).unwrap_or(0)
    }

    pub(crate) fn stats(&mut self, now: Instant) -> StreamStats {
        StreamStats {
            direction: StreamDirection::Inbound,
            kind: self.kind,
            ssrc: self.ssrc(),
            packets: self.statistics.packets(),
            bytes: self.statistics.bytes(),
            packets_lost: self.statistics.cumulative_lost(),
            fraction_lost: f64::from(self.statistics.fraction_lost()) / 256.0,
            jitter: self.statistics.jitter(),
            round_trip_time: None,
            fir_count: self.requests.firs,
            pli_count: self.requests.plis,
            nack_count: self.requests.nacks,
            remb: self.requests.remb,
            bitrate: Bitrate::bps(self.meter.bits_per_second(now)),
            frames: self.frames.total(),
            frames_per_second: self.frames.per_second(now),
            transport: u16::try_from(self.transport + 1).ok(),
            payload_type: self.payload_type,
            rid: match self.name() {
                Some(LayerName::Rid(rid)) => Some(rid.to_string()),
                Some(LayerName::Source(_)) | None => None,
            },
            frame_height: self.height(),
        }
    }
}
