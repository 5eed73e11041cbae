//! RTP between peers: what comes in as a track, what goes out of it, and the router in between.

mod clock;
mod inbound;
mod latency;
mod layers;
mod outbound;
mod rates;
mod router;

pub(crate) use clock::Clock;
pub(crate) use inbound::{Inbound, Share, Taken, UNLIMITED_BPS};
pub(crate) use layers::{Layer, MAX_SPATIAL, Quality};
pub(crate) use outbound::{Destination, Outbound};
pub(crate) use router::{Mirrored, OutSlot, Router, TrackSlot, layer_names};
