//! What one shard tells another.

use super::{MirrorSlot, Packets, Stream};
use crate::sending::Caps;
use crate::track::MAX_SPATIAL;
use salono_media_api::{ElementKey, PipelineKey};
use salono_sdp::negotiate::NegotiatedMedia;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One message from a shard to another; a plain value for whoever carries it.
#[derive(Debug)]
pub struct LinkMessage(pub(crate) Body);

impl LinkMessage {
    /// Bytes that the message keeps, roughly; what carries messages bounds their sum.
    pub fn weight(&self) -> usize {
        match &self.0 {
            Body::Packets { packets, .. } => packets.weight(),
            Body::Data(data) => data.weight(),
            Body::Restarted
            | Body::Heard
            | Body::Want { .. }
            | Body::Unwant { .. }
            | Body::Need { .. }
            | Body::Described { .. }
            | Body::Reported { .. }
            | Body::State { .. }
            | Body::Ended { .. }
            | Body::Flow { .. } => 0,
        }
    }
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum Body {
    /// The sender has lost everything; what it was told before counts no more.
    Restarted,
    /// The answer to [`Body::Restarted`]; what was sent before it is not meant for the new owner.
    Heard,
    /// A mirror of this source is wanted, from now on named `mirror`.
    Want { mirror: MirrorSlot, source: Stream },
    /// The mirror is not needed any more.
    Unwant { mirror: MirrorSlot },
    /// What the receivers of a mirror need has changed, or they need a keyframe of the layers whose
    /// bit is set.
    Need {
        mirror: MirrorSlot,
        needs: Needs,
        version: u8,
        keyframes: u8,
    },
    /// What the publisher sends of the source, and what of it crosses, since the packets before.
    State { mirror: MirrorSlot, state: State },
    /// The track is there, or was negotiated again.
    Described {
        mirror: MirrorSlot,
        description: Box<Description>,
    },
    /// Fresh packets of a layer, after `missed` of the source that were dropped on the way. Layers
    /// count in the order of their announcement; a source without has one.
    Packets {
        mirror: MirrorSlot,
        layer: u8,
        packets: Arc<Packets>,
        missed: u32,
    },
    /// The publisher reported how its timestamps relate to time.
    Reported {
        mirror: MirrorSlot,
        layer: u8,
        capture: Capture,
    },
    /// The track ended; the mirror stays wanted.
    Ended { mirror: MirrorSlot },
    /// A stream of media comes from the peer of an endpoint, or no longer.
    Flow { stream: Stream, flow: Flow },
    /// A message of a data channel.
    Data(Box<Data>),
}

/// What a mirror is made from.
#[derive(Debug)]
pub(crate) struct Description {
    /// The m-line, without what only its endpoint may do about it.
    pub(crate) media: NegotiatedMedia,
    /// Known already, or 0; layers are told apart by their packets.
    pub(crate) ssrc: u32,
}

/// What the receivers of a mirror need of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The most that they shall be sent.
    pub(crate) caps: Caps,
    /// The highest spatial layer that one of them may get.
    pub(crate) spatial: u8,
    /// Bit `n`: the `n`-th stream of the source, in the order of their announcement, is needed.
    pub(crate) streams: u8,
}

impl Needs {
    /// Whether a stream is to cross.
    pub(crate) fn has(&self, stream: u8) -> bool {
        self.streams >> (stream & 7) & 1 == 1
    }
}

impl Default for Needs {
    /// Everything, until it is known better.
    fn default() -> Self {
        Self {
            caps: Caps::default(),
            spatial: u8::MAX,
            streams: u8::MAX,
        }
    }
}

/// What a mirror's shard cannot see by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// The streams of the source, in the order of their announcement.
    pub(crate) streams: [StreamState; MAX_SPATIAL],
    /// The highest spatial layer whose packets cross complete.
    pub(crate) spatial: u8,
    /// The version of the needs that this is the answer to.
    pub(crate) version: u8,
    /// Nobody else is fed by the source, and its publisher can be asked to send less.
    pub(crate) is_alone: bool,
}

/// What is known of one stream of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StreamState {
    pub(crate) sends: bool,
    /// Bits per second.
    pub(crate) bitrate: u64,
    /// Lines of the picture, 0 where not known.
    pub(crate) height: u16,
    /// The highest temporal layer.
    pub(crate) temporal: u8,
}

/// One of the publisher's timestamps, and how far from `at` it was captured, in NTP's units: clocks
/// of shards may differ, the monotonic one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) timestamp: u32,
    pub(crate) at: Instant,
    pub(crate) ahead: i64,
}

/// What is known of media that comes from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flow {
    pub(crate) flows: bool,
    /// Something began or ceased, of whichever kind; else it is told for the latency only.
    pub(crate) is_news: bool,
    /// How long its packets wait to be forwarded, where that is measured.
    pub(crate) latency: Duration,
}

/// A message of a data channel that goes to sinks on another shard.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) pipeline: PipelineKey,
    pub(crate) source: ElementKey,
    pub(crate) label: String,
    pub(crate) binary: bool,
    pub(crate) payload: Vec<u8>,
}

impl Data {
    pub(crate) fn weight(&self) -> usize {
        self.label.len() + self.payload.len()
    }
}
