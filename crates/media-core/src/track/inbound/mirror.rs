//! A track that another shard receives and this one has a copy of.

use super::{CapturePoint, Inbound, Taken};
use crate::config::Limits;
use crate::demux::EndpointSlot;
use crate::links::{Capture, Copied, Description};
use crate::track::Clock;
use salono_media_api::MediaKind;
use salono_sdp::negotiate::{Feedback, NegotiatedMedia};
use std::time::Instant;

impl Inbound {
    /// A track without a peer: nothing is asked of anybody but by its shard.
    pub(crate) fn mirror(kind: MediaKind, description: &Description, limits: &Limits) -> Self {
        let owner = EndpointSlot::default();
        let mut track = Self::new(owner, kind, &description.media, 0, limits);
        if description.ssrc != 0 {
            track.begin(description.ssrc);
        }
        track
    }

    /// Takes over what the endpoint negotiated anew.
    pub(crate) fn describe_again(&mut self, description: &Description) {
        self.renegotiate(&description.media);
        self.begin_if_new(description.ssrc);
    }

    /// Takes in a packet of the stream with this SSRC, as its shard has stored it.
    pub(crate) fn receive_copy(&mut self, ssrc: u32, copied: &Copied<'_>) -> Taken {
        self.begin_if_new(ssrc);
        let (header, bytes, arrival) = (&copied.header, copied.bytes, copied.arrival);
        let payload_bytes = header.payload(bytes).map_or(0, <[u8]>::len);
        self.meter.add(payload_bytes, arrival);
        if header.marker {
            self.frames.add(arrival);
        }
        self.last_packet = Some(arrival);
        self.store(bytes, header, copied.seq, arrival)
    }

    fn begin_if_new(&mut self, ssrc: u32) {
        if ssrc != 0 && self.ssrc != Some(ssrc) {
            self.begin(ssrc);
        }
    }

    /// Whether it is time to ask for a keyframe that is wanted.
    pub(crate) fn is_keyframe_due(&mut self, now: Instant) -> bool {
        self.throttle.poll(now)
    }

    /// When a keyframe is to be asked for next.
    pub(crate) fn keyframe_timeout(&self) -> Option<Instant> {
        self.throttle.poll_timeout()
    }

    /// What the publisher's last report says, for a mirror; and what to compare it by.
    pub(crate) fn capture(&self, clock: Clock, now: Instant) -> Option<(Capture, (u32, i64))> {
        let point = self.report?;
        let ahead = point.ntp.wrapping_sub(clock.ntp(now).bits().cast_signed());
        let capture = Capture {
            timestamp: point.timestamp,
            at: now,
            ahead,
        };
        Some((capture, (point.timestamp, point.ntp)))
    }

    /// Takes in what [`Inbound::capture`] said elsewhere.
    pub(crate) fn set_capture(&mut self, capture: Capture, clock: Clock) {
        let ntp = clock.ntp(capture.at).bits().cast_signed();
        self.report = Some(CapturePoint {
            timestamp: capture.timestamp,
            ntp: ntp.wrapping_add(capture.ahead),
        });
    }
}

impl Description {
    /// Of an m-line, with repairs and bitrates left to the shard that has the peer.
    pub(crate) fn new(media: &NegotiatedMedia, ssrc: u32) -> Self {
        let mut media = media.clone();
        for codec in &mut media.codecs {
            codec.feedback = Feedback::default();
        }
        Self { media, ssrc }
    }
}
