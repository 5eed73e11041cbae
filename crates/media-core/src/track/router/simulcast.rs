//! Sources that come in several streams, one per layer.
//!
//! The element graph knows a source by one track. With simulcast that track is one of several, all
//! of the same m-line, and a receiver of the source is linked to whichever of them it follows, and
//! while it waits for a keyframe of another to that one as well.

use super::{OutSlot, Router, TrackSlot};
use crate::processing::is_media;
use crate::track::inbound::Inbound;
use crate::track::layers::MAX_SPATIAL;
use salono_rtp::codec::Heights;
use salono_rtp::header::Header;
use salono_sdp::negotiate::{NegotiatedCodec, NegotiatedMedia, RemoteSource};
use salono_sdp::red_primary;
use std::time::Instant;

/// How a layer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerName {
    /// By the stream identifier in its packets (RFC 8852).
    Rid(Box<str>),
    /// By its announced SSRC.
    Source(RemoteSource),
}

/// The streams of one source.
#[derive(Default)]
pub(super) struct Simulcast {
    /// Ascending by the size of the picture; the source's own track is one of them.
    pub(super) layers: Vec<TrackSlot>,
    /// Bit `n`: layer `n` sends.
    pub(super) active: u8,
    /// Whom the source feeds.
    pub(super) outs: Vec<OutSlot>,
    pub(super) looked_at: Option<Instant>,
    /// Sum of the heights of the pictures when it was looked at last.
    pub(super) heights: u32,
    /// Bits per second of each layer when it last sent.
    pub(super) rates: [u64; MAX_SPATIAL],
}

impl Simulcast {
    /// The layer for a receiver that may get `spatial` at most: the best one that sends, or else
    /// the least beyond.
    pub(super) fn choose(&self, spatial: u8) -> Option<(usize, TrackSlot)> {
        let sends = |at: &usize| self.active >> *at & 1 == 1;
        let most = usize::from(spatial).min(self.layers.len().saturating_sub(1));
        let at = (0..=most)
            .rev()
            .find(sends)
            .or_else(|| (most..self.layers.len()).find(sends))?;
        self.layers.get(at).map(|layer| (at, *layer))
    }
}

/// The layers that an m-line comes in, in announced order; none when it is one stream.
pub(crate) fn names(media: &NegotiatedMedia) -> Vec<LayerName> {
    let rids = media
        .rids
        .iter()
        .map(|rid| LayerName::Rid(rid.id.as_str().into()));
    let sources = media.remote_sources.iter().filter(|source| source.is_layer);
    let sources = sources.cloned().map(LayerName::Source);
    let names: Vec<LayerName> = if media.rids.is_empty() {
        sources.take(MAX_SPATIAL).collect()
    } else {
        rids.take(MAX_SPATIAL).collect()
    };
    if names.len() > 1 { names } else { Vec::new() }
}

impl Router {
    /// Makes the tracks of the layers of a source, or holds those that are there to what was
    /// negotiated now. Returns the tracks in announced order.
    pub(crate) fn set_up_layers(
        &mut self,
        source: TrackSlot,
        media: &NegotiatedMedia,
        make: impl Fn() -> Inbound,
    ) -> Vec<TrackSlot> {
        let names = names(media);
        if names.is_empty() && !self.simulcasts.contains_key(source) {
            return vec![source];
        }
        let known = self.layer_tracks(source);
        let mut slots: Vec<Option<TrackSlot>> = names
            .iter()
            .map(|name| {
                let mut known = known.into_iter().flatten();
                known.find(|slot| self.tracks.get(*slot).and_then(Inbound::name) == Some(name))
            })
            .collect();
        if !slots.contains(&Some(source))
            && let Some(free) = slots.iter().position(Option::is_none).or(Some(0))
            && let Some(slot) = slots.get_mut(free)
        {
            *slot = Some(source);
        }
        let mut layers = Vec::new();
        for (name, slot) in names.iter().zip(slots) {
            let slot = slot.unwrap_or_else(|| self.tracks.insert(make()));
            if let Some(track) = self.tracks.get_mut(slot) {
                track.set_name(Some(name.clone()), Some(source));
                track.renegotiate(media);
            }
            layers.push(slot);
        }
        let is_known = self.simulcasts.get(source).is_some_and(|simulcast| {
            let mut kept = simulcast.layers.iter();
            simulcast.layers.len() == layers.len() && kept.all(|layer| layers.contains(layer))
        });
        if is_known {
            return layers;
        }
        let mut outs = match self.simulcasts.remove(source) {
            Some(simulcast) => simulcast.outs,
            None => self
                .tracks
                .get(source)
                .map_or_else(Vec::new, |track| track.links().to_vec()),
        };
        for slot in known.into_iter().flatten() {
            if !layers.contains(&slot) && slot != source {
                self.drop_layer(slot);
            }
        }
        if layers.is_empty() {
            if let Some(track) = self.tracks.get_mut(source) {
                track.set_name(None, None);
            }
            outs.retain(|out| self.outs.contains_key(*out));
            for out in outs {
                self.follow(out, None);
                self.link_track(out, source);
            }
            return vec![source];
        }
        self.simulcasts.insert(
            source,
            Simulcast {
                layers: layers.clone(),
                outs,
                ..Simulcast::default()
            },
        );
        layers
    }

    /// The tracks of a source: itself, or its layers in ascending order.
    pub(crate) fn layer_tracks(&self, source: TrackSlot) -> [Option<TrackSlot>; MAX_SPATIAL] {
        let mut tracks = [None; MAX_SPATIAL];
        match self.simulcasts.get(source) {
            Some(simulcast) => {
                for (entry, layer) in tracks.iter_mut().zip(&simulcast.layers) {
                    *entry = Some(*layer);
                }
            }
            None => tracks[0] = Some(source),
        }
        tracks
    }

    /// The source that a track is a layer of; itself when it is no layer.
    pub(crate) fn source_of(&self, track: TrackSlot) -> TrackSlot {
        let of = self.tracks.get(track).and_then(Inbound::layer_of);
        of.unwrap_or(track)
    }

    /// All streams that a source feeds, whichever layer they follow.
    pub(crate) fn receivers(&self, source: TrackSlot) -> &[OutSlot] {
        match self.simulcasts.get(source) {
            Some(simulcast) => &simulcast.outs,
            None => self.tracks.get(source).map_or(&[], Inbound::links),
        }
    }

    /// Whether a source comes in several streams.
    pub(super) fn has_layers(&self, source: TrackSlot) -> bool {
        self.simulcasts.contains_key(source)
    }

    /// When a source sent last, in whichever layer.
    pub(crate) fn last_packet(&self, source: TrackSlot) -> Option<Instant> {
        let tracks = self.layer_tracks(source).into_iter().flatten();
        tracks
            .filter_map(|track| self.tracks.get(track)?.last_packet())
            .max()
    }

    /// What a source sends with now.
    pub(crate) fn current_codec(&self, source: TrackSlot) -> Option<&NegotiatedCodec> {
        let tracks = self.layer_tracks(source).into_iter().flatten();
        tracks
            .filter_map(|track| self.tracks.get(track))
            .max_by_key(|track| track.last_packet())?
            .current_codec()
    }

    /// What a source sends with now, or else will probably: a codec that carries media by itself, with the payload
    /// type of its packets.
    pub(crate) fn codec_of(&self, source: TrackSlot) -> Option<&NegotiatedCodec> {
        let all = self.tracks.get(source)?.codecs();
        let current = self.current_codec(source).map(|codec| {
            let primary = red_primary(codec.fmtp.as_deref());
            let of = |pt| all.iter().find(|codec| codec.receive_pt == pt);
            if is_media(codec.kind) {
                Some(codec)
            } else {
                primary.and_then(of)
            }
        });
        current
            .flatten()
            .or_else(|| all.iter().find(|codec| is_media(codec.kind)))
    }

    /// Whether a receiver takes what a source sends as it is; `None` while both is possible.
    pub(crate) fn takes(&self, out: OutSlot, source: TrackSlot) -> Option<bool> {
        let track = self.tracks.get(source)?;
        self.outs
            .get(out)?
            .takes(track.codecs(), self.current_codec(source))
    }

    /// The track of a packet whose SSRC is new: the source itself, or the layer that its header
    /// names. `None` for a packet of a layered source that does not say which layer it is.
    pub(crate) fn layer_named(
        &self,
        source: TrackSlot,
        header: &Header,
        packet: &[u8],
        is_rtx: bool,
    ) -> Option<TrackSlot> {
        if !self.simulcasts.contains_key(source) {
            return Some(source);
        }
        let ids = self.tracks.get(source)?.extensions();
        let find = |id: u8| match id {
            0 => None,
            id => header.extensions(packet).find(id),
        };
        let rid = match is_rtx {
            true => find(ids.repaired_rid).or_else(|| find(ids.rid)),
            false => find(ids.rid),
        }?;
        let mut tracks = self.layer_tracks(source).into_iter().flatten();
        tracks.find(|track| {
            let name = self.tracks.get(*track).and_then(Inbound::name);
            matches!(name, Some(LayerName::Rid(known)) if known.as_bytes() == rid)
        })
    }

    /// When the publisher of a source is to be asked for something next.
    pub(crate) fn requests_due(&self, source: TrackSlot) -> Option<Instant> {
        let tracks = self.layer_tracks(source).into_iter().flatten();
        tracks
            .filter_map(|track| self.tracks.get(track)?.poll_timeout())
            .min()
    }

    /// The heights of a source's spatial layers, ascending; 0 where not known.
    pub(super) fn heights(&self, source: TrackSlot) -> Heights {
        let mut heights = Heights::default();
        match self.simulcasts.get(source) {
            Some(simulcast) => {
                for (height, layer) in heights.iter_mut().zip(&simulcast.layers) {
                    *height = self
                        .tracks
                        .get(*layer)
                        .and_then(Inbound::height)
                        .unwrap_or(0);
                }
            }
            None => {
                if let Some(track) = self.tracks.get(source) {
                    heights = track.heights();
                }
            }
        }
        heights
    }

    /// Removes the other layers of a source that goes.
    pub(super) fn remove_layers(&mut self, source: TrackSlot) {
        let Some(simulcast) = self.simulcasts.remove(source) else {
            return;
        };
        for out in simulcast.outs {
            if let Some(out) = self.outs.get_mut(out) {
                out.set_source(None);
            }
        }
        for layer in simulcast.layers {
            if layer != source {
                self.drop_layer(layer);
            }
        }
    }

    fn drop_layer(&mut self, layer: TrackSlot) {
        let Some(track) = self.tracks.remove(layer) else {
            return;
        };
        self.lost_before += track.lost();
        for out in track.links() {
            if let Some(out) = self.outs.get_mut(*out) {
                out.forget_layer(layer);
            }
        }
    }
}
