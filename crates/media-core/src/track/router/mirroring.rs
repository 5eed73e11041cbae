//! What is told between a source and its mirrors on other shards.

use super::{Router, TrackSlot};
use crate::links::{State, StreamState};
use crate::track::inbound::Inbound;
use crate::track::outbound::Outbound;
use std::time::Instant;

impl Router {
    /// The highest spatial layer that a receiver of a source on this shard may get, now or once it is connected; 0
    /// without receivers.
    pub(crate) fn wanted_spatial(&self, source: TrackSlot) -> u8 {
        self.highest_limit(source, |_| true)
    }

    /// The highest spatial layer that one of these receivers of a source may get; 0 when there is none.
    pub(super) fn highest_limit(
        &self,
        source: TrackSlot,
        counts: impl Fn(&Outbound) -> bool,
    ) -> u8 {
        let heights = self.heights(source);
        let outs = self.receivers(source).iter();
        let limits = outs.filter_map(|out| {
            let out = self.outs.get(*out).filter(|out| counts(out))?;
            Some(out.limit(heights)?.spatial)
        });
        limits.max().unwrap_or(0)
    }

    /// What a source sends, for who mirrors it; streams in the order of `tracks`.
    pub(crate) fn state(&mut self, source: TrackSlot, tracks: &[TrackSlot], now: Instant) -> State {
        let mut state = State {
            spatial: self.mirrored.get(source).map_or(u8::MAX, |it| it.spatial),
            is_alone: self.is_free(source),
            ..State::default()
        };
        for (entry, slot) in state.streams.iter_mut().zip(tracks) {
            let (sends, usual) = match self.simulcasts.get(source) {
                Some(simulcast) => {
                    let rank = simulcast.layers.iter().position(|layer| layer == slot);
                    let rank = rank.unwrap_or(usize::MAX);
                    let usual = simulcast.rates.get(rank).copied().unwrap_or(0);
                    let sends = rank < simulcast.layers.len() && simulcast.active >> rank & 1 == 1;
                    (sends, usual)
                }
                // A mirror sees what there is of the one stream.
                None => continue,
            };
            if let Some(track) = self.tracks.get_mut(*slot) {
                *entry = StreamState {
                    sends,
                    bitrate: if sends { track.bitrate(now) } else { usual },
                    height: track.height().unwrap_or(0),
                    temporal: track.top_temporal(),
                };
            }
        }
        state
    }

    /// Whether the publisher of a source can be asked for less for the sake of another shard: nobody here is fed by
    /// it.
    fn is_free(&self, source: TrackSlot) -> bool {
        let is_fed = self.receivers(source).iter().any(|out| {
            let out = self.outs.get(*out);
            out.is_some_and(Outbound::has_destination)
        });
        let track = self.tracks.get(source);
        !is_fed && !self.has_layers(source) && track.is_some_and(Inbound::can_be_capped)
    }

    /// Takes in what is known of the source of a mirror, whose streams are `tracks`.
    pub(crate) fn set_state(
        &mut self,
        source: TrackSlot,
        tracks: &[TrackSlot],
        state: &State,
        now: Instant,
    ) {
        for (slot, stream) in tracks.iter().zip(state.streams) {
            if let Some(track) = self.tracks.get_mut(*slot) {
                track.set_stream_state(stream);
            }
        }
        let Some(track) = self.tracks.get_mut(source) else {
            return;
        };
        let rises = track.take_state(state);
        if self.has_layers(source) {
            self.look_after(source, now);
        } else if rises {
            self.choose_all(source);
        }
    }

    /// The shard of a mirror's source was asked for layers up to this one; what comes of others is not complete.
    pub(crate) fn ask_spatial(&mut self, source: TrackSlot, spatial: u8, version: u8) {
        let track = self.tracks.get_mut(source);
        if track.is_some_and(|track| track.ask_spatial(spatial, version)) {
            self.choose_all(source);
        }
    }

    /// A source of which other layers are sent than before.
    pub(crate) fn next_restated(&mut self) -> Option<TrackSlot> {
        self.restated.pop()
    }
}
