//! A track that another shard receives and this one has a copy of.

use super::{CapturePoint, Inbound, Taken};
use crate::config::Limits;
use crate::demux::EndpointSlot;
use crate::links::{Capture, Copied, Description, State, StreamState};
use crate::track::Clock;
use salono_media_api::MediaKind;
use salono_sdp::negotiate::{Feedback, NegotiatedMedia};
use std::time::Instant;

/// What is known of the source of a mirror.
#[derive(Debug)]
pub(super) struct Original {
    stream: Option<StreamState>,
    /// Nobody else is fed by it, and its publisher can be asked to send less.
    is_alone: bool,
    /// The highest spatial layer that was asked for, in which version of the needs, and up to which layer packets are
    /// complete.
    asked: u8,
    version: u8,
    crossing: u8,
}

impl Default for Original {
    fn default() -> Self {
        Self {
            stream: None,
            is_alone: false,
            asked: u8::MAX,
            version: 0,
            crossing: u8::MAX,
        }
    }
}

impl Inbound {
    /// A track without a peer: nothing is asked of anybody but by its shard.
    pub(crate) fn mirror(kind: MediaKind, description: &Description, limits: &Limits) -> Self {
        let owner = EndpointSlot::default();
        let mut track = Self::new(owner, kind, &description.media, 0, limits);
        track.original = Some(Original::default());
        if description.ssrc != 0 {
            track.begin(description.ssrc);
        }
        track
    }

    /// What the publisher sends of this stream, as its shard said last; `None` before, and for a track of this shard.
    pub(crate) fn stream_state(&self) -> Option<StreamState> {
        self.original.as_ref()?.stream
    }

    pub(crate) fn set_stream_state(&mut self, state: StreamState) {
        if self.name().is_some() {
            self.set_height(state.height);
            if let Some(original) = &mut self.original {
                original.stream = Some(state);
            }
        }
    }

    /// Bits per second that the publisher sends, whether they cross or not.
    pub(crate) fn bitrate_as_sent(&mut self, now: Instant) -> u64 {
        match self.stream_state().filter(|_| self.links.is_empty()) {
            Some(state) => state.bitrate,
            None => self.bitrate(now),
        }
    }

    /// Takes in what is known of the source; true when higher layers cross from now on.
    pub(crate) fn take_state(&mut self, state: &State) -> bool {
        let Some(original) = &mut self.original else {
            return false;
        };
        original.is_alone = state.is_alone;
        // What was said before it heard what is needed now may hold no longer.
        let rises = state.version == original.version && state.spatial > original.crossing;
        if rises {
            original.crossing = state.spatial;
        }
        rises
    }

    /// The shard of the source was asked for layers up to this one; true when that is less than before.
    pub(crate) fn ask_spatial(&mut self, spatial: u8, version: u8) -> bool {
        let Some(original) = &mut self.original else {
            return false;
        };
        original.asked = spatial;
        original.version = version;
        let falls = spatial < original.crossing;
        original.crossing = original.crossing.min(spatial);
        falls
    }

    /// Whether the shard of the source is to be asked for this layer.
    pub(crate) fn lacks_spatial(&self, spatial: u8) -> bool {
        let original = self.original.as_ref();
        original.is_some_and(|original| spatial > original.asked)
    }

    /// The highest spatial layer within the stream whose packets are complete.
    pub(crate) fn crossing_spatial(&self) -> u8 {
        let original = self.original.as_ref();
        original.map_or(u8::MAX, |original| original.crossing)
    }

    /// Whether the publisher, which another shard has, can be asked for less for the sake of a receiver here.
    pub(crate) fn is_steered_from_here(&self) -> bool {
        let original = self.original.as_ref();
        original.is_some_and(|original| original.is_alone)
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
        self.meter.add(copied.payload, arrival);
        if header.marker {
            self.frames.add(arrival);
        }
        self.last_packet = Some(arrival);
        self.store(bytes, header, copied.payload, copied.seq, arrival)
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
