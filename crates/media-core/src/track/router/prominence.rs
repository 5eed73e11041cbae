//! Whose picture comes first: that of the active speaker, for all who see it.

use super::{Router, TrackSlot};
use crate::demux::EndpointSlot;
use crate::track::Outbound;

impl Router {
    /// Notes whether a source is the picture of who speaks. True if that is news.
    pub(crate) fn set_prominent(&mut self, source: TrackSlot, is_prominent: bool) -> bool {
        let is_picture = self.tracks.get(source).is_some_and(|it| it.is_video());
        let before = self.is_prominent(source);
        if is_prominent && is_picture {
            self.prominent.insert(source, ());
        } else {
            self.prominent.remove(source);
        }
        before != (is_prominent && is_picture)
    }

    /// Whether a source is the picture of who speaks.
    pub(crate) fn is_prominent(&self, source: TrackSlot) -> bool {
        self.prominent.contains_key(source)
    }

    /// The peers that a source is sent to.
    pub(crate) fn viewers(&self, source: TrackSlot) -> Vec<EndpointSlot> {
        let outs = self.receivers(source).iter();
        outs.filter_map(|out| self.outs.get(*out).map(Outbound::owner))
            .collect()
    }
}
