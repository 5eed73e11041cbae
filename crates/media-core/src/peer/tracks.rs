//! The tracks and streams of a peer: made by a negotiation, routed, and taken down.

use super::Peer;
use super::lines::Line;
use super::receive::Source;
use crate::config::Limits;
use crate::demux::EndpointSlot;
use crate::track::{Destination, Inbound, Outbound, Router, TrackSlot};
use rand::{Rng, rngs::StdRng};
use salono_media_api::{MediaKind, StreamName};
use salono_sdp::MediaKind as SdpKind;
use salono_sdp::negotiate::NegotiatedMedia;

impl Peer {
    /// Makes the tracks that were negotiated, or holds those that are there to what is now.
    pub(crate) fn set_up_tracks(
        &mut self,
        slot: EndpointSlot,
        limits: &Limits,
        router: &mut Router,
        rng: &mut StdRng,
    ) {
        let Some(negotiated) = self.endpoint.media() else {
            return;
        };
        // A cap is for all that a publisher sends: only of a single video it turns layers off.
        let is_video = |media: &&NegotiatedMedia| media.kind == SdpKind::Video && media.recv;
        let videos = negotiated.iter().filter(is_video).count();
        for media in negotiated {
            let kind = match media.kind {
                SdpKind::Audio => MediaKind::Audio,
                SdpKind::Video => MediaKind::Video,
                SdpKind::Application | SdpKind::Other => continue,
            };
            let ssrcs = self.endpoint.ssrcs(media);
            let (Some(transport), Some(ssrcs)) = (media.transport, ssrcs) else {
                continue;
            };
            let (ssrc, rtx) = (ssrcs.media, ssrcs.rtx);
            let line = self.lines.open(media.index, kind);
            let name = match media.mid.as_deref() {
                Some(mid) => StreamName::Named(mid.into()),
                None => StreamName::Default,
            };
            if line.kind != kind || line.name != name {
                // Another m-line took the place of one that was stopped (RFC 8829 §5.2.2).
                stop_receiving(line, &mut self.sources, router);
                if let Some(out) = line.outbound.take() {
                    router.remove_out(out);
                }
                line.kind = kind;
                line.name = name;
            }
            line.transport = transport;
            line.sends = media.send;
            if media.recv {
                let track = match line.inbound {
                    Some(track) => {
                        if let Some(track) = router.track_mut(track) {
                            track.renegotiate(media);
                        }
                        track
                    }
                    None => {
                        let mut track = Inbound::new(slot, kind, media, ssrc, limits);
                        track.set_remb_bounds(self.min_video_recv_bps, self.max_video_recv_bps);
                        track.set_remb_params(self.remb_params);
                        router.add_track(track)
                    }
                };
                line.inbound = Some(track);
                let layers = router.set_up_layers(track, media, || {
                    Inbound::new(slot, kind, media, ssrc, limits)
                });
                router.set_pausable(track, videos == 1);
                // Layers with identifiers are found by those.
                let announced = media
                    .remote_sources
                    .iter()
                    .filter(|_| media.rids.is_empty());
                for (source, track) in announced.zip(layers) {
                    note_source(&mut self.sources, source.ssrc, track, false);
                    if let Some(ssrc) = source.rtx_ssrc {
                        note_source(&mut self.sources, ssrc, track, true);
                    }
                }
            } else {
                stop_receiving(line, &mut self.sources, router);
            }
            let random = rng.next_u64();
            match line.outbound.and_then(|out| router.out_mut(out)) {
                Some(out) => out.renegotiate(media, rtx, random),
                None if media.send => {
                    let mut out = Outbound::new(slot, kind, media, ssrc, rtx, random);
                    if kind == MediaKind::Video {
                        out.set_send_bounds(self.video_send_bps.0, self.video_send_bps.1);
                    }
                    let out = router.add_out(out);
                    line.outbound = Some(out);
                    if let Some(wish) = self.video_wish.filter(|_| kind == MediaKind::Video) {
                        router.set_wish(out, wish);
                    }
                }
                None => {}
            }
        }
        // M-lines that were stopped. What was sent may go on later, with the next number.
        for line in self.lines.iter_mut() {
            let media = negotiated.get(line.index);
            if media.is_none_or(|media| media.transport.is_none()) {
                line.sends = false;
                stop_receiving(line, &mut self.sources, router);
            }
        }
        self.lines.mark_defaults();
        self.feedback.set_up(negotiated);
        self.set_up_senders(router);
    }

    pub(crate) fn remove_tracks(&mut self, router: &mut Router) {
        for line in self.lines.iter_mut() {
            if let Some(track) = line.inbound.take() {
                router.remove_track(track);
            }
            if let Some(out) = line.outbound.take() {
                router.remove_out(out);
            }
        }
        self.remove_senders(router);
    }

    /// Tells the streams to this peer where to go, after keys or path changed.
    pub(crate) fn refresh_outbound(&self, router: &mut Router) {
        for line in &self.lines {
            let Some(out) = line.outbound else { continue };
            let destination = self
                .endpoint
                .srtp(line.transport)
                .zip(self.endpoint.path(line.transport))
                .filter(|_| line.sends)
                .map(|(srtp, path)| Destination {
                    path,
                    sealer: srtp.rtp.clone(),
                    dscp: self.endpoint.dscp(),
                });
            let Some(stream) = router.out_mut(out) else {
                continue;
            };
            let starts = destination.is_some() && !stream.has_destination();
            stream.set_destination(destination);
            match starts {
                // A processor is told of a stream first.
                true if self.endpoint.crossing().is_some() => {
                    router.want_keyframe_for(out);
                }
                true => router.begin_stream(out),
                false => {}
            }
        }
    }
}

/// Nothing comes by this line any more.
fn stop_receiving(line: &mut Line, sources: &mut Vec<Source>, router: &mut Router) {
    if let Some(track) = line.inbound.take() {
        let layers = router.layer_tracks(track);
        router.remove_track(track);
        sources.retain(|source| !layers.contains(&Some(source.track)));
    }
}

/// Remembers an SSRC that the peer announced; a description has no more of them than may be.
fn note_source(sources: &mut Vec<Source>, ssrc: u32, track: TrackSlot, is_rtx: bool) {
    sources.retain(|known| known.ssrc != ssrc);
    sources.push(Source {
        ssrc,
        track,
        is_rtx,
    });
}
