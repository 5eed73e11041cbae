//! `getStats`: counters of the engine in the shape of Kurento's statistics.
//!
//! Entries refer to each other by ids: streams to their codec, track, transport and the stream of
//! the other direction; transports to their pair and certificates; pairs to their candidates.

mod entry;

use crate::{
    Now, ObjectModel,
    call::{Call, Outcome, Then},
};
use entry::Entry;
use salono_kurento_model::{Error, Map, Value, map_or_null};
use salono_media_api::{
    ElementKey, ElementStats, MediaKind, Op, StreamDirection, StreamStats, TransportStats,
};

/// What an id in `getStats` stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counted {
    /// A received stream, by its synchronisation source.
    Inbound(u32),
    /// A sent stream, by its synchronisation source.
    Outbound(u32),
    /// What a decoder would see of a stream, by its synchronisation source.
    Track { remote: bool, ssrc: u32 },
    /// All tracks from the peer or to it.
    Stream { remote: bool },
    /// A codec, by its payload type.
    Codec(MediaKind, u8),
    /// A data channel, by its SCTP stream id.
    Channel(u16),
    /// All data channels together.
    Association,
    /// A transport, by its index.
    Transport(u16),
    /// A certificate of a transport.
    Certificate { transport: u16, local: bool },
    /// A candidate, by transport and what identifies it there.
    Candidate {
        transport: u16,
        local: bool,
        address: String,
    },
    /// A pair of candidates.
    Pair {
        transport: u16,
        local: String,
        remote: String,
    },
}

/// Ids that are remembered per endpoint; what is beyond gets a new id at every reading.
const MAX_IDS: usize = 256;

/// Entries of one reading.
type Entries = Map<String, Value>;

impl ObjectModel {
    pub(crate) fn ask_stats(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let object = call.object;
        let kind = call.media_kind("mediaType");
        let measures = self.measures_latency(object);
        let pipeline = self
            .tree
            .get(object)
            .filter(|object| {
                let is_counted = object.element().is_some_and(|it| it.is_counted());
                is_counted || measures
            })
            .and_then(|object| object.pipeline);
        let Some(pipeline) = pipeline else {
            return Ok(Outcome::Value(map_or_null(Map::new())));
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
        let mut entries = Entries::new();
        let streams: Vec<&StreamStats> = stats
            .streams
            .iter()
            .filter(|stream| kind.is_none_or(|kind| kind == stream.kind))
            .collect();
        for stream in &streams {
            self.add_stream(key, stream, stats, now, &mut entries);
        }
        for codec in &stats.codecs {
            if kind.is_none_or(|kind| kind == codec.kind) {
                let id = self.stat_id(key, Counted::Codec(codec.kind, codec.payload_type));
                Entry::new(id, now).codec(codec).put(&mut entries);
            }
        }
        self.add_tracks(key, &streams, now, &mut entries);
        for transport in &stats.transports {
            let carries = |stream: &&StreamStats| stream.transport == Some(transport.stream);
            if kind.is_none() || streams.iter().any(carries) {
                self.add_transport(key, transport, now, &mut entries);
            }
        }
        if kind.is_none_or(|kind| kind == MediaKind::Data) {
            for channel in &stats.data_channels {
                let id = self.stat_id(key, Counted::Channel(channel.id));
                Entry::new(id, now).channel(channel).put(&mut entries);
            }
            if let Some(opened) = stats.data_channels_opened {
                let id = self.stat_id(key, Counted::Association);
                Entry::new(id, now)
                    .association(opened, stats.data_channels_closed)
                    .put(&mut entries);
            }
        }
        if self.measures_latency(key)
            && let Some(object) = self.tree.get(key)
        {
            let id = object.id.as_ref().to_owned();
            let is_endpoint = object.element().is_some_and(|it| it.is_measured());
            Entry::new(id, now)
                .latency(is_endpoint, stats, kind)
                .put(&mut entries);
        }
        map_or_null(entries)
    }

    fn add_stream(
        &mut self,
        key: u64,
        stream: &StreamStats,
        stats: &ElementStats,
        now: Now,
        entries: &mut Entries,
    ) {
        let counted = |stream: &StreamStats| match stream.direction {
            StreamDirection::Inbound => Counted::Inbound(stream.ssrc),
            StreamDirection::Outbound => Counted::Outbound(stream.ssrc),
        };
        // An id names an entry of the same reading, or nothing.
        let mut id_of = |counted: Option<Counted>| {
            counted.map_or_else(String::new, |counted| self.stat_id(key, counted))
        };
        let other = stats
            .streams
            .iter()
            .find(|other| other.kind == stream.kind && other.direction != stream.direction);
        let codec = stream.payload_type.filter(|known| {
            let mut codecs = stats.codecs.iter();
            codecs.any(|codec| codec.kind == stream.kind && codec.payload_type == *known)
        });
        let transport = stream.transport.filter(|index| {
            let mut transports = stats.transports.iter();
            transports.any(|transport| transport.stream == *index)
        });
        let id = id_of(Some(counted(stream)));
        let links = [
            ("associateStatsId", id_of(other.map(counted))),
            ("mediaTrackId", id_of(Some(track_of(stream)))),
            ("transportId", id_of(transport.map(Counted::Transport))),
            (
                "codecId",
                id_of(codec.map(|codec| Counted::Codec(stream.kind, codec))),
            ),
        ];
        Entry::new(id, now).stream(stream, links).put(entries);
    }

    /// One track per stream, and one media stream per direction.
    fn add_tracks(&mut self, key: u64, streams: &[&StreamStats], now: Now, entries: &mut Entries) {
        for direction in [StreamDirection::Inbound, StreamDirection::Outbound] {
            let remote = direction == StreamDirection::Inbound;
            let mut tracks: Vec<Value> = Vec::new();
            for stream in streams.iter().filter(|it| it.direction == direction) {
                let id = self.stat_id(key, track_of(stream));
                tracks.push(id.as_str().into());
                Entry::new(id, now).track(stream).put(entries);
            }
            if !tracks.is_empty() {
                let id = self.stat_id(key, Counted::Stream { remote });
                Entry::new(id, now)
                    .media_stream(remote, tracks)
                    .put(entries);
            }
        }
    }

    fn add_transport(
        &mut self,
        key: u64,
        transport: &TransportStats,
        now: Now,
        entries: &mut Entries,
    ) {
        let index = transport.stream;
        let id = self.stat_id(key, Counted::Transport(index));
        let mut selected = String::new();
        for pair in &transport.pairs {
            let mut ends = [String::new(), String::new()];
            for (end, (candidate, local)) in ends
                .iter_mut()
                .zip([(&pair.local, true), (&pair.remote, false)])
            {
                *end = self.stat_id(
                    key,
                    Counted::Candidate {
                        transport: index,
                        local,
                        address: entry::identity(candidate),
                    },
                );
                Entry::new(end.clone(), now)
                    .candidate(candidate, local)
                    .put(entries);
            }
            let pair_id = self.stat_id(
                key,
                Counted::Pair {
                    transport: index,
                    local: entry::identity(&pair.local),
                    remote: entry::identity(&pair.remote),
                },
            );
            if pair.selected {
                selected.clone_from(&pair_id);
            }
            Entry::new(pair_id, now)
                .pair(pair, transport, &id, ends)
                .put(entries);
        }
        let mut certificates = [String::new(), String::new()];
        for certificate in &transport.certificates {
            let local = certificate.local;
            let counted = Counted::Certificate {
                transport: index,
                local,
            };
            let id = self.stat_id(key, counted);
            Entry::new(id.clone(), now)
                .certificate(certificate)
                .put(entries);
            certificates[usize::from(!local)] = id;
        }
        Entry::new(id, now)
            .transport(transport, selected, certificates)
            .put(entries);
    }

    /// The id of something: the same at every reading.
    fn stat_id(&mut self, key: u64, counted: Counted) -> String {
        let fresh = self.random.uuid();
        let Some(element) = self.tree.get_mut(key).and_then(|it| it.element_mut()) else {
            return fresh;
        };
        let ids = &mut element.stat_ids;
        if ids.len() >= MAX_IDS && !ids.contains_key(&counted) {
            return fresh;
        }
        ids.entry(counted).or_insert(fresh).clone()
    }
}

fn track_of(stream: &StreamStats) -> Counted {
    Counted::Track {
        remote: stream.direction == StreamDirection::Inbound,
        ssrc: stream.ssrc,
    }
}
