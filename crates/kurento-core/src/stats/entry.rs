//! One entry of `getStats`, by class. Names of members and types are Kurento's; its list of types
//! has none for codecs, certificates and media streams, which go under the nearest.

use crate::{Now, call::media_type};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use salono_kurento_model::{KURENTO, Map, Value, tagged};
use salono_media_api::{
    CandidatePairState, CandidatePairStats, CandidateStats, CertificateStats, CodecStats,
    DataChannelState, DataChannelStats, ElementStats, LatencyStats, MediaKind, StreamDirection,
    StreamStats, TransportStats,
};

/// An entry that is being made.
pub(super) struct Entry {
    id: String,
    class: &'static str,
    members: Map<String, Value>,
}

/// What identifies a candidate on its transport.
pub(super) fn identity(candidate: &CandidateStats) -> String {
    let CandidateStats {
        address,
        port,
        protocol,
        kind,
        ..
    } = candidate;
    format!("{protocol} {address} {port} {kind}")
}

impl Entry {
    pub(super) fn new(id: String, now: Now) -> Self {
        let members = Map::from_iter([
            ("id".to_owned(), id.as_str().into()),
            ("timestampMillis".to_owned(), now.unix_ms.into()),
            // Version 6: seconds. Its Java client takes no statistics without.
            ("timestamp".to_owned(), (now.unix_ms / 1_000).into()),
        ]);
        Self {
            id,
            class: "Stats",
            members,
        }
    }

    /// Adds the entry to the others.
    pub(super) fn put(self, entries: &mut Map<String, Value>) {
        entries.insert(self.id, tagged(KURENTO, self.class, self.members));
    }

    fn is(mut self, class: &'static str, kind: &str) -> Self {
        self.class = class;
        self.with("type", kind)
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// An RTP stream, with ids of what it refers to.
    pub(super) fn stream(self, stream: &StreamStats, links: [(&str, String); 4]) -> Self {
        let entry = match stream.direction {
            StreamDirection::Inbound => self.is("RTCInboundRTPStreamStats", "inboundrtp"),
            StreamDirection::Outbound => self.is("RTCOutboundRTPStreamStats", "outboundrtp"),
        };
        let remb = stream.remb.map_or(0, |rate| rate.as_bps());
        let entry = links
            .into_iter()
            .fold(entry, |entry, (name, id)| entry.with(name, id))
            .with("ssrc", stream.ssrc.to_string())
            .with("isRemote", false)
            .with("firCount", stream.fir_count)
            .with("pliCount", stream.pli_count)
            .with("nackCount", stream.nack_count)
            .with("sliCount", 0)
            .with("remb", remb)
            .with("packetsLost", stream.packets_lost)
            .with("fractionLost", stream.fraction_lost);
        let entry = match &stream.rid {
            Some(rid) => entry.with("rid", rid.as_str()),
            None => entry,
        };
        match stream.direction {
            StreamDirection::Inbound => entry
                .with("packetsReceived", stream.packets)
                .with("bytesReceived", stream.bytes)
                .with("jitter", stream.jitter.as_secs_f64()),
            StreamDirection::Outbound => entry
                .with("packetsSent", stream.packets)
                .with("bytesSent", stream.bytes)
                .with("targetBitrate", stream.bitrate.as_bps())
                .with(
                    "roundTripTime",
                    stream.round_trip_time.unwrap_or_default().as_secs_f64(),
                ),
        }
    }

    pub(super) fn codec(self, codec: &CodecStats) -> Self {
        let kind = media_type(codec.kind).to_ascii_lowercase();
        self.is("RTCCodec", "track")
            .with("payloadType", codec.payload_type)
            .with("codec", format!("{kind}/{}", codec.name))
            .with("clockRate", codec.clock_rate)
            .with("channels", codec.channels)
            .with("parameters", codec.parameters.as_str())
    }

    /// A track. Nothing is decoded: levels are zero, and sizes but for the height that keyframes tell.
    pub(super) fn track(self, stream: &StreamStats) -> Self {
        let remote = stream.direction == StreamDirection::Inbound;
        let (frames, rate) = match stream.kind {
            MediaKind::Video => (stream.frames, stream.frames_per_second),
            MediaKind::Audio | MediaKind::Data => (0, 0),
        };
        let ssrcs = Value::Array(vec![stream.ssrc.to_string().into()]);
        let entry = self
            .is("RTCMediaStreamTrackStats", "track")
            .with(
                "trackIdentifier",
                format!(
                    "{}-{}",
                    media_stream_name(remote),
                    media_type(stream.kind).to_ascii_lowercase()
                ),
            )
            .with("remoteSource", remote)
            .with("ssrcIds", ssrcs)
            .with("framesSent", if remote { 0 } else { frames })
            .with("framesReceived", if remote { frames } else { 0 })
            .with("framesPerSecond", rate)
            .with("frameHeight", stream.frame_height.unwrap_or(0));
        [
            "frameWidth",
            "framesDecoded",
            "framesDropped",
            "framesCorrupted",
            "audioLevel",
            "echoReturnLoss",
            "echoReturnLossEnhancement",
        ]
        .into_iter()
        .fold(entry, |entry, unknown| entry.with(unknown, 0))
    }

    pub(super) fn media_stream(self, remote: bool, tracks: Vec<Value>) -> Self {
        self.is("RTCMediaStreamStats", "track")
            .with("streamIdentifier", media_stream_name(remote))
            .with("trackIds", Value::Array(tracks))
    }

    pub(super) fn channel(self, channel: &DataChannelStats) -> Self {
        let state = match channel.state {
            DataChannelState::Connecting => "connecting",
            DataChannelState::Open => "open",
            DataChannelState::Closing => "closing",
            DataChannelState::Closed => "closed",
        };
        self.is("RTCDataChannelStats", "datachannel")
            .with("label", channel.label.as_str())
            .with("protocol", channel.protocol.as_str())
            .with("datachannelid", channel.id)
            .with("state", state)
            .with("messagesSent", channel.messages_sent)
            .with("bytesSent", channel.bytes_sent)
            .with("messagesReceived", channel.messages_received)
            .with("bytesReceived", channel.bytes_received)
    }

    pub(super) fn association(self, opened: u64, closed: u64) -> Self {
        self.is("RTCPeerConnectionStats", "session")
            .with("dataChannelsOpened", opened)
            .with("dataChannelsClosed", closed)
    }

    pub(super) fn transport(
        self,
        transport: &TransportStats,
        selected: String,
        [local, remote]: [String; 2],
    ) -> Self {
        self.is("RTCTransportStats", "transport")
            .with("bytesSent", transport.bytes_sent)
            .with("bytesReceived", transport.bytes_received)
            // RTCP takes the same transport.
            .with("rtcpTransportStatsId", "")
            .with("activeConnection", !selected.is_empty())
            .with("selectedCandidatePairId", selected)
            .with("localCertificateId", local)
            .with("remoteCertificateId", remote)
    }

    pub(super) fn candidate(self, candidate: &CandidateStats, local: bool) -> Self {
        let kind = match candidate.kind.as_str() {
            "srflx" => "serverreflexive",
            "prflx" => "peerreflexive",
            "relay" => "relayed",
            _ => "host",
        };
        let place = if local {
            "localcandidate"
        } else {
            "remotecandidate"
        };
        self.is("RTCIceCandidateAttributes", place)
            .with("ipAddress", candidate.address.as_str())
            .with("portNumber", candidate.port)
            .with("transport", candidate.protocol.as_str())
            .with("candidateType", kind)
            .with("priority", candidate.priority)
            .with("addressSourceUrl", "")
    }

    pub(super) fn pair(
        self,
        pair: &CandidatePairStats,
        transport: &TransportStats,
        transport_id: &str,
        [local, remote]: [String; 2],
    ) -> Self {
        let state = match pair.state {
            CandidatePairState::Frozen => "frozen",
            CandidatePairState::Waiting => "waiting",
            CandidatePairState::InProgress => "inprogress",
            CandidatePairState::Succeeded => "succeeded",
            CandidatePairState::Failed => "failed",
        };
        let works = pair.state == CandidatePairState::Succeeded;
        let bytes = |bytes: u64| if pair.selected { bytes } else { 0 };
        let rate = |rate: Option<salono_media_api::Bitrate>| rate.map_or(0, |rate| rate.as_bps());
        self.is("RTCIceCandidatePairStats", "candidatepair")
            .with("transportId", transport_id)
            .with("localCandidateId", local)
            .with("remoteCandidateId", remote)
            .with("state", state)
            .with(
                "priority",
                pair_priority(pair.local.priority, pair.remote.priority),
            )
            .with("nominated", pair.selected)
            .with("writable", works)
            .with("readable", works)
            .with("bytesSent", bytes(transport.bytes_sent))
            .with("bytesReceived", bytes(transport.bytes_received))
            .with(
                "roundTripTime",
                pair.round_trip_time.unwrap_or_default().as_secs_f64(),
            )
            .with("availableOutgoingBitrate", rate(pair.available_outgoing))
            .with("availableIncomingBitrate", rate(pair.available_incoming))
    }

    pub(super) fn certificate(self, certificate: &CertificateStats) -> Self {
        self.is("RTCCertificateStats", "transport")
            .with("fingerprint", certificate.fingerprint.as_str())
            .with("fingerprintAlgorithm", certificate.algorithm.as_str())
            .with(
                "base64Certificate",
                STANDARD.encode(&certificate.certificate),
            )
            .with("issuerCertificateId", "")
    }

    /// Latency of an element.
    pub(super) fn latency(
        self,
        is_endpoint: bool,
        stats: &ElementStats,
        kind: Option<MediaKind>,
    ) -> Self {
        // Data has no latency: asked for it, Kurento tells everything.
        let kind = kind.filter(|kind| *kind != MediaKind::Data);
        let list = |latencies: &[LatencyStats]| -> Value {
            latencies
                .iter()
                .filter(|latency| kind.is_none_or(|kind| kind == latency.kind))
                .map(|latency| {
                    let media = media_type(latency.kind);
                    let nanoseconds = u64::try_from(latency.average.as_nanos()).unwrap_or(u64::MAX);
                    let name = format!("sink_{}_default", media.to_ascii_lowercase());
                    let members = Map::from_iter([
                        ("name".to_owned(), name.into()),
                        ("type".to_owned(), media.into()),
                        ("avg".to_owned(), nanoseconds.into()),
                    ]);
                    tagged(KURENTO, "MediaLatencyStat", members)
                })
                .collect()
        };
        let input = list(&stats.input_latency);
        // Version 6 had a member for each kind besides, which its Java client insists on.
        let former = |latencies: &[LatencyStats], wanted: MediaKind| -> f64 {
            let latency = latencies.iter().find(|latency| latency.kind == wanted);
            latency.map_or(0.0, |latency| latency.average.as_secs_f64() * 1e9)
        };
        let (audio, video) = (MediaKind::Audio, MediaKind::Video);
        let entry = self
            .with("inputLatency", input)
            .with("inputAudioLatency", former(&stats.input_latency, audio))
            .with("inputVideoLatency", former(&stats.input_latency, video));
        if is_endpoint {
            let end_to_end = &stats.end_to_end_latency;
            entry
                .is("EndpointStats", "endpoint")
                .with("E2ELatency", list(end_to_end))
                .with("audioE2ELatency", former(end_to_end, audio))
                .with("videoE2ELatency", former(end_to_end, video))
        } else {
            entry.is("ElementStats", "element")
        }
    }
}

fn media_stream_name(remote: bool) -> &'static str {
    if remote { "remote" } else { "local" }
}

/// RFC 8445 §6.1.2.3, as if we were not controlling: the roles decide the last bit only.
fn pair_priority(one: u32, other: u32) -> u64 {
    let (min, max) = (one.min(other), one.max(other));
    (u64::from(min) << 32) + 2 * u64::from(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_candidate_of_a_pair_decides_less_than_the_worse() {
        assert_eq!(pair_priority(1, 2), (1 << 32) + 4);
        assert_eq!(pair_priority(2, 1), pair_priority(1, 2));
        assert!(pair_priority(0x7fff_ffff, 1) < pair_priority(2, 2));
    }
}
