//! `/metrics` in the Prometheus text format, written from readings that are values.
//!
//! The names are documented in `docs/metrics.md`; a test holds the two together.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use salono_media_api::ShardMetrics;
use salono_media_engine::EngineHandle;
use salono_media_engine::processors::ProcessorMetrics;
use salono_room_server::{RoomServer, RoomServerMetrics};

/// Version 0.0.4 of the text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the figures are from.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// Of a room server.
    pub(crate) rooms: Option<RoomServer>,
    /// Of a media server.
    pub(crate) media: Option<EngineHandle>,
}

/// The route.
pub(crate) fn router(sources: Sources) -> Router {
    let sources = Arc::new(sources);
    Router::new().route(
        "/metrics",
        get(move || {
            let text = sources.text();
            async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response() }
        }),
    )
}

impl Sources {
    /// Everything, now.
    fn text(&self) -> String {
        let mut page = Page::default();
        page.metric("salono_build_info", "Version of this program.", Kind::Gauge);
        page.sample(
            "salono_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))],
            1,
        );
        if let Some(rooms) = &self.rooms {
            write_rooms(&mut page, &rooms.snapshot());
        }
        if let Some(media) = &self.media {
            write_processors(&mut page, media.processor_metrics());
            write_shards(&mut page, &media.metrics());
        }
        page.0
    }
}

/// What Prometheus does with a metric.
#[derive(Clone, Copy)]
enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// The text that is being written.
#[derive(Default)]
struct Page(String);

impl Page {
    /// The head of a metric.
    fn metric(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One value. Label values are ours and need no escapes.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A metric with one value.
    fn single(&mut self, name: &str, help: &str, kind: Kind, value: u64) {
        self.metric(name, help, kind);
        self.sample(name, &[], value);
    }
}

fn write_rooms(page: &mut Page, rooms: &RoomServerMetrics) {
    use Kind::{Counter, Gauge};
    page.single("salono_rooms", "Rooms now.", Gauge, rooms.rooms);
    page.single(
        "salono_room_participants",
        "Participants now, those on their way in included.",
        Gauge,
        rooms.participants,
    );
    page.single(
        "salono_room_sockets",
        "Open WebSockets of room clients.",
        Gauge,
        rooms.sockets,
    );
    page.single(
        "salono_room_sessions",
        "Sessions of room clients, those included whose client is away.",
        Gauge,
        rooms.sessions,
    );
    let name = "salono_room_requests_total";
    page.metric(name, "Requests of room clients.", Counter);
    for (method, count) in &rooms.requests {
        page.sample(name, &[("method", method)], count);
    }
    let counters = [
        ("errors", "Error replies to room clients.", rooms.errors),
        (
            "unusable_frames",
            "Frames of room clients that were not understood.",
            rooms.unusable_frames,
        ),
        (
            "duplicates",
            "Requests dropped as repetitions of one under way.",
            rooms.duplicates,
        ),
        (
            "slow_clients",
            "Room clients disconnected because they read too slowly.",
            rooms.slow_clients,
        ),
        (
            "missed_frames",
            "Frames lost because their room client was away for too long.",
            rooms.missed_frames,
        ),
        (
            "refused_connections",
            "Connections refused: too many, wrong origin, or shutting down.",
            rooms.refused_connections,
        ),
    ];
    for (name, help, value) in counters {
        page.single(&format!("salono_room_{name}_total"), help, Counter, value);
    }
}

/// Name, meaning, kind and value of one metric of a shard.
type OfShard = (&'static str, &'static str, Kind, fn(&ShardMetrics) -> f64);

/// All of them.
const OF_SHARD: &[OfShard] = &[
    ("pipelines", "Media pipelines now.", Kind::Gauge, |m| {
        m.pipelines as f64
    }),
    ("elements", "Media elements now.", Kind::Gauge, |m| {
        m.elements as f64
    }),
    (
        "endpoints",
        "Endpoints that talk to a peer, now.",
        Kind::Gauge,
        |m| m.endpoints as f64,
    ),
    (
        "endpoints_connected",
        "Endpoints with all transports connected, now.",
        Kind::Gauge,
        |m| m.endpoints_connected as f64,
    ),
    (
        "datagrams_received_total",
        "Datagrams received.",
        Kind::Counter,
        |m| m.datagrams_received as f64,
    ),
    (
        "bytes_received_total",
        "Bytes received.",
        Kind::Counter,
        |m| m.bytes_received as f64,
    ),
    (
        "datagrams_sent_total",
        "Datagrams sent.",
        Kind::Counter,
        |m| m.datagrams_sent as f64,
    ),
    ("bytes_sent_total", "Bytes sent.", Kind::Counter, |m| {
        m.bytes_sent as f64
    }),
    (
        "datagrams_refused_total",
        "Datagrams of nobody's, malformed, or not authentic.",
        Kind::Counter,
        |m| m.datagrams_refused as f64,
    ),
    (
        "rtp_received_total",
        "RTP packets received and authenticated.",
        Kind::Counter,
        |m| m.rtp_received as f64,
    ),
    (
        "rtp_forwarded_total",
        "RTP packets forwarded, one per receiver.",
        Kind::Counter,
        |m| m.rtp_forwarded as f64,
    ),
    (
        "rtp_lost_packets",
        "RTP packets missing on arrival; falls when late ones come.",
        Kind::Gauge,
        |m| m.rtp_lost as f64,
    ),
    (
        "rtp_retransmitted_total",
        "RTP packets retransmitted to receivers.",
        Kind::Counter,
        |m| m.rtp_retransmitted as f64,
    ),
    (
        "nacks_sent_total",
        "Negative acknowledgements sent to publishers.",
        Kind::Counter,
        |m| m.nacks_sent as f64,
    ),
    (
        "keyframe_requests_sent_total",
        "Keyframe requests sent to publishers.",
        Kind::Counter,
        |m| m.keyframe_requests_sent as f64,
    ),
    (
        "tracks",
        "Tracks now, copies of tracks of other shards included.",
        Kind::Gauge,
        |m| m.tracks as f64,
    ),
    (
        "mirrors",
        "Copies of tracks of other shards now.",
        Kind::Gauge,
        |m| m.mirrors as f64,
    ),
    (
        "mirrored_tracks",
        "Tracks that other shards have a copy of now, once per shard.",
        Kind::Gauge,
        |m| m.mirrored as f64,
    ),
    (
        "rtp_mirrored_total",
        "RTP packets copied to other shards.",
        Kind::Counter,
        |m| m.rtp_mirrored as f64,
    ),
    (
        "mirror_drops_total",
        "RTP packets dropped on the way to a shard that did not keep up.",
        Kind::Counter,
        |m| m.mirror_drops as f64,
    ),
    (
        "sockets",
        "UDP sockets and outgoing connections of sessions now.",
        Kind::Gauge,
        |m| m.sockets as f64,
    ),
    (
        "tcp_connections",
        "TCP connections with peers and relays now.",
        Kind::Gauge,
        |m| m.tcp_connections as f64,
    ),
    (
        "tcp_dropped_frames_total",
        "Frames dropped because a TCP connection did not keep up.",
        Kind::Counter,
        |m| m.tcp_dropped_frames as f64,
    ),
    (
        "tcp_dropped_bytes_total",
        "Bytes of the frames dropped because a TCP connection did not keep up.",
        Kind::Counter,
        |m| m.tcp_dropped_bytes as f64,
    ),
    (
        "processor_decoders",
        "Decoders at work in media processors now.",
        Kind::Gauge,
        |m| m.decoders as f64,
    ),
    (
        "processor_encoders",
        "Encoders at work in media processors now.",
        Kind::Gauge,
        |m| m.encoders as f64,
    ),
    (
        "processor_sent_total",
        "Packets that went to media processors.",
        Kind::Counter,
        |m| m.processor_sent as f64,
    ),
    (
        "processor_received_total",
        "Packets that came from media processors.",
        Kind::Counter,
        |m| m.processor_received as f64,
    ),
    (
        "processor_drops_total",
        "Packets for media processors that were dropped, as those did not keep up.",
        Kind::Counter,
        |m| m.processor_drops as f64,
    ),
    (
        "send_drops_total",
        "Datagrams that the socket refused.",
        Kind::Counter,
        |m| m.send_drops as f64,
    ),
    (
        "events_dropped_total",
        "Events dropped because the object model did not keep up.",
        Kind::Counter,
        |m| m.events_dropped as f64,
    ),
    (
        "loops_total",
        "Wake-ups of the shard loop.",
        Kind::Counter,
        |m| m.loops as f64,
    ),
    (
        "loop_busy_seconds_total",
        "Time that the shard loop worked.",
        Kind::Counter,
        |m| m.busy.as_secs_f64(),
    ),
    (
        "loop_longest_seconds",
        "Longest pass of the shard loop in the last second.",
        Kind::Gauge,
        |m| m.longest_loop.as_secs_f64(),
    ),
];

/// The metrics of media processors.
fn write_processors(page: &mut Page, metrics: ProcessorMetrics) {
    let figures = [
        (
            "running",
            "Media processors of pipelines now.",
            Kind::Gauge,
            metrics.running,
        ),
        (
            "warm",
            "Media processors that are kept ready now.",
            Kind::Gauge,
            metrics.warm,
        ),
        (
            "started_total",
            "Media processors that were started.",
            Kind::Counter,
            metrics.started,
        ),
        (
            "lost_total",
            "Media processors that ended without being told to, or had to be ended.",
            Kind::Counter,
            metrics.lost,
        ),
        (
            "hung_total",
            "Of these, those that no longer answered or took nothing.",
            Kind::Counter,
            metrics.hung,
        ),
        (
            "unavailable_total",
            "Times that no media processor could be had.",
            Kind::Counter,
            metrics.unavailable,
        ),
    ];
    for (name, help, kind, value) in figures {
        let name = format!("salono_processors_{name}");
        page.metric(&name, help, kind);
        page.sample(&name, &[], value);
    }
}

fn write_shards(page: &mut Page, shards: &[ShardMetrics]) {
    for (name, help, kind, read) in OF_SHARD {
        let name = format!("salono_media_{name}");
        page.metric(&name, help, *kind);
        for (index, shard) in shards.iter().enumerate() {
            page.sample(&name, &[("shard", &index.to_string())], read(shard));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented_and_has_its_help_and_type_once() {
        let mut page = Page::default();
        write_rooms(&mut page, &RoomServerMetrics::default());
        write_processors(&mut page, ProcessorMetrics::default());
        write_shards(
            &mut page,
            &[ShardMetrics::default(), ShardMetrics::default()],
        );
        let documentation = include_str!("../../../docs/metrics.md");
        let names: Vec<&str> = page
            .0
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        assert!(names.len() > 25);
        for name in &names {
            assert!(documentation.contains(&format!("`{name}`")), "{name}");
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1);
        }
        assert!(page.0.contains("salono_media_loops_total{shard=\"1\"} 0\n"));
    }
}
