//! What an endpoint counted, read on demand.

use super::Peer;
use crate::track::Router;
use salono_media_api::{Bitrate, CodecStats, ElementStats, LatencyStats, MediaKind};
use salono_sdp::MediaKind as SdpKind;
use salono_sdp::negotiate::NegotiatedMedia;
use std::time::{Duration, Instant};

impl Peer {
    pub(crate) fn stats(&self, router: &mut Router, now: Instant) -> ElementStats {
        let mut stats = ElementStats::default();
        for line in &self.lines {
            let Some(source) = line.inbound else { continue };
            for layer in router.layer_tracks(source).into_iter().flatten() {
                if let Some(track) = router.track_mut(layer) {
                    stats.streams.push(track.stats(now));
                }
            }
        }
        for line in &self.lines {
            let Some(out) = line.outbound else { continue };
            if let Some(out) = router.out_mut(out) {
                let mut stream = out.stats(now);
                stream.transport = u16::try_from(line.transport + 1).ok();
                stats.streams.push(stream);
            }
        }
        if let Some(endpoint) = self.endpoint.web_rtc() {
            stats.transports = endpoint.transport_stats();
            for (transport, stats) in stats.transports.iter_mut().enumerate() {
                let sender = self.sender(transport);
                let estimate = sender.and_then(|sender| router.available(sender));
                for pair in stats.pairs.iter_mut().filter(|pair| pair.selected) {
                    pair.available_outgoing = estimate.map(Bitrate::bps);
                }
            }
            for line in &self.lines {
                let out = line.outbound.and_then(|out| router.out(out));
                if let Some((transport, out)) = stats.transports.get_mut(line.transport).zip(out) {
                    transport.bytes_sent += out.wire_bytes();
                }
            }
        }
        for media in self.endpoint.media().into_iter().flatten() {
            stats.codecs.extend(codecs(media));
        }
        if let Some(data) = self.endpoint.data() {
            let (opened, closed) = data.counts();
            stats.data_channels = data.stats();
            stats.data_channels_opened = Some(opened);
            stats.data_channels_closed = closed;
        }
        if self.measures_latency {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                let Some(out) = self.lines.first(kind).and_then(|line| line.outbound) else {
                    continue;
                };
                let source = router.out(out).and_then(|out| out.followed());
                let average = router.latency_of(source);
                stats.input_latency.push(LatencyStats { kind, average });
                let average = router
                    .out(out)
                    .and_then(|out| out.latency())
                    .unwrap_or(Duration::ZERO);
                stats
                    .end_to_end_latency
                    .push(LatencyStats { kind, average });
            }
        }
        stats
    }

    /// Measures how long packets stay in the process, or no longer.
    pub(crate) fn measure_latency(&mut self, on: bool, router: &mut Router) {
        self.measures_latency = on;
        for line in &self.lines {
            let layers = line.inbound.map(|source| router.layer_tracks(source));
            for layer in layers.into_iter().flatten().flatten() {
                if let Some(track) = router.track_mut(layer) {
                    track.measure_latency(on);
                }
            }
            if let Some(out) = line.outbound.and_then(|out| router.out_mut(out)) {
                out.measure_latency(on);
            }
        }
    }
}

/// Codecs of an m-line that is in use.
fn codecs(media: &NegotiatedMedia) -> impl Iterator<Item = CodecStats> + '_ {
    let kind = match media.kind {
        SdpKind::Audio => Some(MediaKind::Audio),
        SdpKind::Video => Some(MediaKind::Video),
        SdpKind::Application | SdpKind::Other => None,
    };
    let kind = kind.filter(|_| media.transport.is_some());
    kind.into_iter().flat_map(|kind| {
        media.codecs.iter().map(move |codec| CodecStats {
            kind,
            payload_type: codec.receive_pt,
            name: codec.kind.name().to_owned(),
            clock_rate: codec.clock,
            channels: match kind {
                MediaKind::Audio => codec.channels,
                MediaKind::Video | MediaKind::Data => 0,
            },
            parameters: codec.fmtp.clone().unwrap_or_default(),
        })
    })
}
