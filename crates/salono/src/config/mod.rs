//! Everything that `salono` can be told, as one typed value.
//!
//! A value comes from the first of these that names its key: a flag, a `SALONO_*` environment
//! variable, `salono.toml`, imported configuration files of Kurento, the default ([`load`]). Keys
//! are `section.name`; `keys` documents each of them, and a test holds the two together. Defaults
//! of caps are those of the parts that enforce them.

mod endpoint;
mod import;
mod keys;
mod kurento;
mod lenient;
mod listen;
mod load;
mod modules;
mod processor;
mod room;
mod tree;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use salono_kurento_server as kurento_server;
use salono_media_engine::udp::SocketOptions;
use salono_room_server::RoomServerConfig;
use serde::{Deserialize, Serialize};

pub(crate) use endpoint::Endpoint;
pub(crate) use import::Source;
pub(crate) use keys::{KEYS, environment_name};
pub(crate) use listen::Listen;
#[cfg(test)]
pub(crate) use load::load;
pub(crate) use load::{Error, Loaded, Setting, default_file, load_over};
pub(crate) use processor::Processor;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the certificate is kept.
    pub(crate) data_dir: PathBuf,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// HTTP and HTTPS.
    pub(crate) web: Web,
    /// Media shards and their sockets.
    pub(crate) media: Media,
    /// The Kurento Protocol.
    pub(crate) kurento: Kurento,
    /// What new endpoints start with.
    pub(crate) endpoint: Endpoint,
    /// Players, recorders, mixers, filters, transcoders.
    pub(crate) processor: Processor,
    /// Modules of third parties.
    pub(crate) modules: Modules,
    /// Rooms and their clients.
    pub(crate) room: Room,
}

/// Section `modules`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Modules {
    /// Directories that they are in.
    pub(crate) path: Vec<PathBuf>,
}

/// Section `log`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// Levels by target.
    pub(crate) filter: String,
    /// How lines look.
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// Section `web`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Web {
    /// The HTTPS listener.
    pub(crate) https: Listen,
    /// The plain listener.
    pub(crate) http: Listen,
    /// A certificate chain of one's own, PEM.
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub(crate) tls_key: Option<PathBuf>,
    /// Whether the demo page is served.
    pub(crate) demo: bool,
    /// Whether `/metrics` is served.
    pub(crate) metrics: bool,
    /// Pages that may open the room WebSocket.
    pub(crate) origins: Vec<String>,
    /// Connections of one listener at a time.
    pub(crate) max_connections: usize,
}

/// Section `media`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Media {
    /// Local addresses for media.
    pub(crate) ips: Vec<IpAddr>,
    /// Interfaces whose addresses are used as well.
    pub(crate) interfaces: Vec<String>,
    /// UDP port of the first shard.
    pub(crate) port: u16,
    /// Number of shards.
    pub(crate) shards: usize,
    /// Public IPv4 address of a NAT.
    pub(crate) announce_v4: Option<Ipv4Addr>,
    /// Public IPv6 address of a NAT.
    pub(crate) announce_v6: Option<Ipv6Addr>,
    /// Whether shards listen for ICE over TCP.
    pub(crate) tcp: bool,
    /// Certificates of relays to trust, PEM.
    pub(crate) relay_roots: Option<PathBuf>,
    /// Socket buffers asked for.
    pub(crate) socket_buffer_bytes: usize,
    /// Elements on one shard.
    pub(crate) max_elements: usize,
    /// Size of one session description.
    pub(crate) max_sdp_bytes: usize,
    /// m-lines of one session description.
    pub(crate) max_sdp_media: usize,
    /// Remote candidates of one endpoint.
    pub(crate) max_candidates: usize,
    /// Remote addresses of one transport.
    pub(crate) max_remote_addresses: usize,
    /// Retransmission store of one video stream.
    pub(crate) video_ring_bytes: usize,
    /// Retransmission store of one audio stream.
    pub(crate) audio_ring_bytes: usize,
    /// Data channels of one endpoint.
    pub(crate) max_data_channels: usize,
    /// One data channel message.
    pub(crate) max_message_bytes: usize,
    /// What may wait in the data channels of one endpoint.
    pub(crate) max_data_buffered_bytes: usize,
}

/// Section `kurento`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kurento {
    /// Listener of the Kurento Protocol.
    pub(crate) listen: Listen,
    /// The same over TLS.
    pub(crate) tls_listen: Listen,
    /// Certificate chain and key of that one in one file, PEM.
    pub(crate) tls_certificate: Option<PathBuf>,
    /// Of the key, if it is encrypted.
    pub(crate) tls_password: String,
    /// Connections that wait to be accepted.
    pub(crate) backlog: u32,
    /// Path of its WebSocket.
    pub(crate) path: String,
    /// Pages that may open it.
    pub(crate) origins: Vec<String>,
    /// Where to announce this server, as a WebSocket URL.
    pub(crate) registrar: Option<String>,
    /// The host by which it is announced.
    pub(crate) registrar_local_address: String,
    /// What `getMetadata` answers.
    pub(crate) metadata: String,
    /// Life of a session without a connection.
    pub(crate) session_period_s: u64,
    /// Whether answers are kept for repeated requests.
    pub(crate) request_cache: bool,
    /// Whether sessions see only their own objects.
    pub(crate) isolate_sessions: bool,
    /// Default of endpoints' `minVideoSendBandwidth`.
    pub(crate) min_video_send_kbps: Option<i32>,
    /// Default of endpoints' `maxVideoSendBandwidth`.
    pub(crate) max_video_send_kbps: Option<i32>,
    /// Connections at a time.
    pub(crate) max_connections: usize,
    /// One frame.
    pub(crate) max_frame_bytes: usize,
    /// Its nesting.
    pub(crate) max_json_depth: usize,
    /// Messages that wait for one client.
    pub(crate) max_outbound_messages: usize,
    /// Part of the process's limits above which nothing is created.
    pub(crate) exception_limit: f64,
    /// Part of them above which an idle server ends.
    pub(crate) kill_limit: Option<f64>,
    /// Media objects.
    pub(crate) max_objects: usize,
    /// Sessions.
    pub(crate) max_sessions: usize,
    /// Subscriptions of one session.
    pub(crate) max_subscriptions: usize,
}

/// Which media server a room gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KmsChoice {
    /// They take turns.
    RoundRobin,
    /// The least loaded one.
    LeastLoaded,
    /// The second least loaded one.
    NextLeastLoaded,
    /// The one or the other, by the name of who creates the room.
    ServiceLevel,
}

/// Section `room`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Room {
    /// Remote media servers of `salono room`.
    pub(crate) kms: Vec<String>,
    /// Who may prove that they are them.
    pub(crate) kms_certificates: Option<PathBuf>,
    /// Patience with one of their answers.
    pub(crate) kms_request_timeout_ms: u64,
    /// Files with the keys of tokens.
    pub(crate) token_keys: Vec<PathBuf>,
    /// Whether one may join without a token; unset, where there are no keys.
    pub(crate) open: Option<bool>,
    /// Which of them a room gets.
    pub(crate) kms_choice: KmsChoice,
    /// Pipelines that one of them may have; 0 is unlimited.
    pub(crate) kms_limit: usize,
    /// Names of users whose rooms get the least loaded one.
    pub(crate) kms_sla_users: String,
    /// How long a broken connection to one may take to come back.
    pub(crate) kms_reconnect_ms: u64,
    /// How long another one is looked for.
    pub(crate) kms_recovery_ms: u64,
    /// Names of users who may create rooms.
    pub(crate) creators: String,
    /// What administrators must show.
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Whether `POST /close` closes rooms.
    pub(crate) allow_close: bool,
    /// How long a client may be away.
    pub(crate) reconnection_grace_ms: u64,
    /// Distance of WebSocket pings.
    pub(crate) keepalive_s: u64,
    /// Rooms at a time.
    pub(crate) max_rooms: usize,
    /// Participants of one room.
    pub(crate) max_participants: usize,
    /// Open WebSockets.
    pub(crate) max_sockets: usize,
    /// Sessions.
    pub(crate) max_sessions: usize,
    /// One frame.
    pub(crate) max_frame_bytes: usize,
    /// Its nesting.
    pub(crate) max_json_depth: usize,
    /// Frames that wait for one client.
    pub(crate) max_outbound_frames: usize,
    /// Their size.
    pub(crate) max_outbound_bytes: usize,
    /// Room and user names.
    pub(crate) max_name_chars: usize,
    /// One chat message.
    pub(crate) max_message_chars: usize,
    /// One session description.
    pub(crate) max_sdp_bytes: usize,
    /// One candidate.
    pub(crate) max_candidate_bytes: usize,
    /// `setMaxVideoRecvBandwidth` of every endpoint.
    pub(crate) max_video_recv_kbps: Option<u32>,
    /// `setMinVideoRecvBandwidth`.
    pub(crate) min_video_recv_kbps: Option<u32>,
    /// `setMaxVideoSendBandwidth`.
    pub(crate) max_video_send_kbps: Option<u32>,
    /// `setMinVideoSendBandwidth`.
    pub(crate) min_video_send_kbps: Option<u32>,
    /// Participants whose sound is forwarded.
    pub(crate) loudest: u16,
    /// The demo page's own picture comes back through the server.
    pub(crate) loopback_remote: bool,
    /// And is shown next to the local one.
    pub(crate) loopback_and_local: bool,
    /// Parameter that the demo page's filter button sends.
    pub(crate) filter_request_param: String,
    /// Picture of the hat.
    pub(crate) hat_url: String,
    /// Its left edge, from that of the face, in widths of the face.
    pub(crate) hat_offset_x: f64,
    /// Its upper edge, from that of the face, in heights of the face.
    pub(crate) hat_offset_y: f64,
    /// Its width, in widths of the face.
    pub(crate) hat_width: f64,
    /// Its height, in heights of the face.
    pub(crate) hat_height: f64,
    /// `GET /getUpdateSpeakerInterval`.
    pub(crate) update_speaker_interval_ms: i32,
    /// `GET /getThresholdSpeaker`.
    pub(crate) threshold_speaker_db: i32,
}

impl Default for Config {
    fn default() -> Self {
        let media = salono_media_core::Limits::default();
        let server = kurento_server::Config::default();
        let listener = kurento_server::ListenerConfig::default();
        let rooms = RoomServerConfig::default();
        Self {
            data_dir: default_data_dir(),
            log: Log {
                filter: "info,salono_media_engine=warn,salono_kurento_client=warn".to_owned(),
                format: LogFormat::Text,
            },
            web: Web {
                https: Listen::At(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 8443)),
                http: Listen::Off,
                tls_cert: None,
                tls_key: None,
                demo: true,
                metrics: true,
                origins: Vec::new(),
                max_connections: 20_000,
            },
            media: Media {
                ips: Vec::new(),
                interfaces: Vec::new(),
                port: 0,
                shards: 0,
                announce_v4: None,
                announce_v6: None,
                tcp: true,
                relay_roots: None,
                socket_buffer_bytes: SocketOptions::default().buffer_bytes,
                max_elements: media.elements,
                max_sdp_bytes: media.sdp_bytes,
                max_sdp_media: media.sdp_media,
                max_candidates: media.candidates,
                max_remote_addresses: media.remote_addresses,
                video_ring_bytes: media.video_ring_bytes,
                audio_ring_bytes: media.audio_ring_bytes,
                max_data_channels: media.data_channels,
                max_message_bytes: media.message_bytes,
                max_data_buffered_bytes: media.data_buffered_bytes,
            },
            kurento: Kurento {
                listen: Listen::At(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8888)),
                tls_listen: Listen::Off,
                tls_certificate: None,
                tls_password: String::new(),
                backlog: 4_096,
                path: listener.path,
                origins: listener.origins,
                registrar: None,
                registrar_local_address: "localhost".to_owned(),
                metadata: server.model.metadata,
                session_period_s: server.model.session_period.as_secs(),
                request_cache: !server.model.reply_lifetime.is_zero(),
                isolate_sessions: server.model.isolate_sessions,
                min_video_send_kbps: server.model.min_video_send_kbps,
                max_video_send_kbps: server.model.max_video_send_kbps,
                max_connections: listener.connections,
                max_frame_bytes: listener.frames.max_bytes,
                max_json_depth: listener.frames.max_depth,
                max_outbound_messages: server.outbound_messages,
                exception_limit: server.model.exception_limit,
                kill_limit: server.kill_limit,
                max_objects: server.model.limits.objects,
                max_sessions: server.model.limits.sessions,
                max_subscriptions: server.model.limits.subscriptions_per_session,
            },
            endpoint: Endpoint::default(),
            processor: Processor::default(),
            modules: Modules::default(),
            room: Room {
                kms: vec!["ws://127.0.0.1:8888/kurento".to_owned()],
                kms_certificates: None,
                kms_request_timeout_ms: 20_000,
                token_keys: Vec::new(),
                open: None,
                kms_choice: KmsChoice::RoundRobin,
                kms_limit: 0,
                kms_sla_users: "special.*".to_owned(),
                kms_reconnect_ms: millis(rooms.rooms.media_reconnect),
                kms_recovery_ms: millis(rooms.rooms.media_recovery),
                creators: String::new(),
                admin_token_file: None,
                allow_close: rooms.allow_close,
                reconnection_grace_ms: millis(rooms.sessions.reconnection_grace),
                keepalive_s: rooms.keepalive.map_or(0, |pause| pause.as_secs()),
                max_rooms: rooms.rooms.rooms,
                max_participants: rooms.rooms.room.limits.participants,
                max_sockets: rooms.sessions.max_sockets,
                max_sessions: rooms.sessions.max_sessions,
                max_frame_bytes: rooms.max_frame_bytes,
                max_json_depth: rooms.max_json_depth,
                max_outbound_frames: rooms.max_outbound_frames,
                max_outbound_bytes: rooms.max_outbound_bytes,
                max_name_chars: rooms.policy.max_name_chars,
                max_message_chars: rooms.policy.max_message_chars,
                max_sdp_bytes: rooms.policy.max_sdp_bytes,
                max_candidate_bytes: rooms.policy.max_candidate_bytes,
                max_video_recv_kbps: rooms.rooms.room.bandwidth.max_video_recv,
                min_video_recv_kbps: rooms.rooms.room.bandwidth.min_video_recv,
                max_video_send_kbps: rooms.rooms.room.bandwidth.max_video_send,
                min_video_send_kbps: rooms.rooms.room.bandwidth.min_video_send,
                loudest: rooms.rooms.room.loudest,
                loopback_remote: rooms.client.loopback_remote,
                loopback_and_local: rooms.client.loopback_and_local,
                filter_request_param: rooms.client.filter_request_param,
                hat_url: String::new(),
                hat_offset_x: -0.25,
                hat_offset_y: -0.9,
                hat_width: 1.5,
                hat_height: 1.0,
                update_speaker_interval_ms: rooms.update_speaker_interval_ms,
                threshold_speaker_db: rooms.threshold_speaker_db,
            },
        }
    }
}

/// `$XDG_DATA_HOME/salono`, else `~/.local/share/salono`, else `/var/lib/salono`; for root, and
/// under systemd's `StateDirectory=`, the place that services use.
fn default_data_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(state) = set("STATE_DIRECTORY") {
        return state.into();
    }
    if let Some(data) = set("XDG_DATA_HOME") {
        return Path::new(&data).join("salono");
    }
    match set("HOME") {
        Some(home) if home != "/" && home != "/root" => {
            Path::new(&home).join(".local/share/salono")
        }
        Some(_) | None => PathBuf::from("/var/lib/salono"),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
