//! `getStats`: counters of the engine in the shape of Kurento's statistics.

use crate::{
    Now, ObjectModel,
    call::{Call, Outcome, Then},
};
use salono_kurento_model::{Error, KURENTO, Map, Value, map_or_null, tagged};
use salono_media_api::{
    DataChannelState, DataChannelStats, ElementKey, ElementStats, MediaKind, Op, StreamDirection,
    StreamStats,
};

/// What an id in `getStats` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counted {
    /// A received stream, by its synchronisation source.
    Inbound(u32),
    /// A sent stream, by its synchronisation source.
    Outbound(u32),
    /// A data channel, by its SCTP stream id.
    Channel(u16),
    /// All data channels together.
    Association,
}

/// Ids that are remembered per endpoint; streams beyond get a new id at every reading.
const MAX_IDS: usize = 256;

impl ObjectModel {
    pub(crate) fn ask_stats(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let object = call.object;
        let kind = call.media_kind("mediaType");
        let pipeline = self.tree.get(object).and_then(|object| object.pipeline);
        let is_endpoint = self.endpoint_mut(object).is_some();
        let Some(pipeline) = pipeline.filter(|_| is_endpoint) else {
            let nothing = ElementStats::default();
            return Ok(Outcome::Value(
                self.stats_value(object, kind, &nothing, call.now),
            ));
        };
        let element = ElementKey(object);
        let token = self.ask(pipeline, |token| Op::Stats { token, element });
        Ok(Outcome::Later(token, Then::Stats { object, kind }))
    }

    /// The map of statistics by their ids.
    pub(crate) fn stats_value(
        &mut self,
        key: u64,
        kind: Option<MediaKind>,
        stats: &ElementStats,
        now: Now,
    ) -> Value {
        let mut map = Map::new();
        let wanted = |stream: &&StreamStats| kind.is_none_or(|kind| kind == stream.kind);
        for stream in stats.streams.iter().filter(wanted) {
            let counted = match stream.direction {
                StreamDirection::Inbound => Counted::Inbound(stream.ssrc),
                StreamDirection::Outbound => Counted::Outbound(stream.ssrc),
            };
            let id = self.stat_id(key, counted);
            map.insert(id.clone(), stream_value(stream, id, now));
        }
        if kind.is_none_or(|kind| kind == MediaKind::Data) {
            for channel in &stats.data_channels {
                let id = self.stat_id(key, Counted::Channel(channel.id));
                map.insert(id.clone(), channel_value(channel, id, now));
            }
            if let Some(opened) = stats.data_channels_opened {
                let id = self.stat_id(key, Counted::Association);
                let mut members = common(id.clone(), "session", now);
                members.insert("dataChannelsOpened".to_owned(), opened.into());
                let closed = stats.data_channels_closed;
                members.insert("dataChannelsClosed".to_owned(), closed.into());
                map.insert(id, tagged(KURENTO, "RTCPeerConnectionStats", members));
            }
        }
        if self.measures_latency(key)
            && let Some(object) = self.tree.get(key)
        {
            let id = object.id.as_ref().to_owned();
            let is_endpoint = object
                .element()
                .is_some_and(|element| element.web_rtc().is_some());
            map.insert(id.clone(), latency_value(id, is_endpoint, now));
        }
        map_or_null(map)
    }

    fn stat_id(&mut self, key: u64, counted: Counted) -> String {
        let fresh = self.random.uuid();
        let Some(endpoint) = self.endpoint_mut(key) else {
            return fresh;
        };
        if endpoint.stat_ids.len() >= MAX_IDS && !endpoint.stat_ids.contains_key(&counted) {
            return fresh;
        }
        endpoint.stat_ids.entry(counted).or_insert(fresh).clone()
    }
}

fn common(id: String, kind: &str, now: Now) -> Map<String, Value> {
    Map::from_iter([
        ("id".to_owned(), id.into()),
        ("type".to_owned(), kind.into()),
        ("timestampMillis".to_owned(), now.unix_ms.into()),
    ])
}

fn stream_value(stream: &StreamStats, id: String, now: Now) -> Value {
    let (name, kind) = match stream.direction {
        StreamDirection::Inbound => ("RTCInboundRTPStreamStats", "inboundrtp"),
        StreamDirection::Outbound => ("RTCOutboundRTPStreamStats", "outboundrtp"),
    };
    let mut members = common(id, kind, now);
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    put("ssrc", stream.ssrc.to_string().into());
    put("isRemote", false.into());
    for unused in ["associateStatsId", "mediaTrackId", "transportId", "codecId"] {
        put(unused, "".into());
    }
    put("firCount", stream.fir_count.into());
    put("pliCount", stream.pli_count.into());
    put("nackCount", stream.nack_count.into());
    put("sliCount", 0.into());
    let remb = stream.remb.map_or(0, |rate| rate.as_bps());
    put("remb", remb.into());
    put("packetsLost", stream.packets_lost.into());
    put("fractionLost", stream.fraction_lost.into());
    match stream.direction {
        StreamDirection::Inbound => {
            put("packetsReceived", stream.packets.into());
            put("bytesReceived", stream.bytes.into());
            put("jitter", stream.jitter.as_secs_f64().into());
        }
        StreamDirection::Outbound => {
            put("packetsSent", stream.packets.into());
            put("bytesSent", stream.bytes.into());
            put("targetBitrate", stream.bitrate.as_bps().into());
            let round_trip = stream.round_trip_time.unwrap_or_default();
            put("roundTripTime", round_trip.as_secs_f64().into());
        }
    }
    tagged(KURENTO, name, members)
}

fn channel_value(channel: &DataChannelStats, id: String, now: Now) -> Value {
    let state = match channel.state {
        DataChannelState::Connecting => "connecting",
        DataChannelState::Open => "open",
        DataChannelState::Closing => "closing",
        DataChannelState::Closed => "closed",
    };
    let mut members = common(id, "datachannel", now);
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    put("label", channel.label.as_str().into());
    put("protocol", channel.protocol.as_str().into());
    put("datachannelid", channel.id.into());
    put("state", state.into());
    put("messagesSent", channel.messages_sent.into());
    put("bytesSent", channel.bytes_sent.into());
    put("messagesReceived", channel.messages_received.into());
    put("bytesReceived", channel.bytes_received.into());
    tagged(KURENTO, "RTCDataChannelStats", members)
}

/// Latency of an element. Nothing is decoded or encoded here, so there is nothing to list.
fn latency_value(id: String, is_endpoint: bool, now: Now) -> Value {
    let (name, kind) = if is_endpoint {
        ("EndpointStats", "endpoint")
    } else {
        ("ElementStats", "element")
    };
    let mut members = common(id, kind, now);
    let nothing = Value::Array(Vec::new());
    members.insert("inputLatency".to_owned(), nothing.clone());
    if is_endpoint {
        members.insert("E2ELatency".to_owned(), nothing);
    }
    tagged(KURENTO, name, members)
}
