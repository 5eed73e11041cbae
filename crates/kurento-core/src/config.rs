//! What an operator can set, and every cap of the object model.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Settings of an [`ObjectModel`](crate::ObjectModel). The defaults are Kurento's.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// A session without an open connection dies one to two of these after its last use.
    pub session_period: Duration,
    /// How long an answer is kept for a client that repeats its request; zero keeps none.
    pub reply_lifetime: Duration,
    /// How long the media engine may take for one command before the request fails.
    pub engine_patience: Duration,
    /// Sessions see only objects that they created or inherited references to. Off, any session
    /// can use any object whose id it knows, as Kurento lets it.
    pub isolate_sessions: bool,
    /// What `getMetadata` answers.
    pub metadata: String,
    /// Version in `getInfo`, and of the modules that have none of their own.
    pub version: String,
    /// `minVideoSendBandwidth` of new endpoints, kilobits per second. Unset, Kurento's 100 are
    /// answered and nothing is bounded.
    pub min_video_send_kbps: Option<i32>,
    /// `maxVideoSendBandwidth` of new endpoints, kilobits per second; 0 is unlimited. Unset,
    /// Kurento's 500 are answered and nothing is bounded.
    pub max_video_send_kbps: Option<i32>,
    /// What new endpoints start with, beyond that.
    pub endpoints: EndpointDefaults,
    /// What new endpoints with a URI and new hubs start with.
    pub uris: UriDefaults,
    /// Part of the process's limits of threads and files above which nothing is created, as the
    /// shell reports them ([`ObjectModel::handle_usage`](crate::ObjectModel::handle_usage)); 0 turns
    /// that off.
    pub exception_limit: f64,
    /// Operation in which the model panics, for tests of what surrounds it.
    #[cfg(feature = "fault-injection")]
    pub panic_at: Option<String>,
    /// The caps.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_period: Duration::from_secs(240),
            reply_lifetime: Duration::from_secs(20),
            engine_patience: Duration::from_secs(15),
            isolate_sessions: false,
            metadata: String::new(),
            version: "7.3.0".to_owned(),
            min_video_send_kbps: None,
            max_video_send_kbps: None,
            endpoints: EndpointDefaults::default(),
            uris: UriDefaults::default(),
            exception_limit: 0.8,
            #[cfg(feature = "fault-injection")]
            panic_at: None,
            limits: Limits::default(),
        }
    }
}

/// What elements that process media start with, as Kurento's module configuration files set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriDefaults {
    /// URI of the folder that uris of players and recorders without a scheme are in.
    pub default_path: String,
    /// Width in pixels of a `Composite` that is created without.
    pub composite_width: u16,
    /// Its height in pixels.
    pub composite_height: u16,
    /// Its frames per second.
    pub composite_framerate: u16,
}

impl Default for UriDefaults {
    fn default() -> Self {
        Self {
            default_path: "file:///var/lib/kurento".to_owned(),
            composite_width: 800,
            composite_height: 600,
            composite_framerate: 15,
        }
    }
}

/// Properties of new endpoints, as Kurento's module configuration files set them. Texts and numbers
/// are what the properties' getters answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointDefaults {
    /// `networkInterfaces`: names separated by commas; empty is all.
    pub network_interfaces: String,
    /// `iceTcp`: whether there are TCP candidates.
    pub ice_tcp: bool,
    /// `stunServerAddress`: an IP address; empty is none.
    pub stun_server_address: String,
    /// `stunServerPort`.
    pub stun_server_port: u16,
    /// `turnUrl`: `user:password@host:port?transport=udp|tcp|tls`; empty is none.
    pub turn_url: String,
    /// `externalIPv4`: announced instead of local addresses; empty is none.
    pub external_v4: String,
    /// `externalIPv6`.
    pub external_v6: String,
    /// `qosDscp` of endpoints created with `NO_VALUE` or without it: a name of `DSCPValue`; empty
    /// marks nothing.
    pub qos_dscp: String,
    /// Local UDP ports of RTP endpoints.
    pub rtp_ports: RangeInclusive<u16>,
    /// `mtu` in bytes.
    pub mtu: i32,
    /// `encoderBitrate` in bit/s.
    pub encoder_bitrate: i32,
    /// `minEncoderBitrate` in bit/s.
    pub min_encoder_bitrate: i32,
    /// `maxEncoderBitrate` in bit/s.
    pub max_encoder_bitrate: i32,
}

impl Default for EndpointDefaults {
    fn default() -> Self {
        Self {
            network_interfaces: String::new(),
            ice_tcp: true,
            stun_server_address: String::new(),
            stun_server_port: 3_478,
            turn_url: String::new(),
            external_v4: String::new(),
            external_v6: String::new(),
            qos_dscp: String::new(),
            rtp_ports: 1_024..=65_535,
            mtu: 1_200,
            encoder_bitrate: 300_000,
            min_encoder_bitrate: 0,
            max_encoder_bitrate: i32::MAX,
        }
    }
}

/// Caps on everything that clients can make grow. At a cap a request fails with 40009 and changes
/// nothing, unless the field says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Media objects of the process.
    pub objects: usize,
    /// Sessions that hold references.
    pub sessions: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session: usize,
    /// Tags of one object.
    pub tags_per_object: usize,
    /// Bytes of one stored text (names, tags, descriptions, addresses).
    pub text_bytes: usize,
    /// Sources that one element is connected to, over all kinds and descriptions.
    pub sources_per_element: usize,
    /// Bytes of one session description; longer ones fail with 40201.
    pub sdp_bytes: usize,
    /// Remote candidates of one endpoint.
    pub candidates_per_endpoint: usize,
    /// Answers kept for repeated requests; at the cap the oldest goes.
    pub replies: usize,
    /// Bytes of one kept answer; a longer one is not kept.
    pub reply_bytes: usize,
    /// Requests of one connection that wait for the media engine or behind a transaction.
    pub requests_per_connection: usize,
    /// Operations of one transaction.
    pub transaction_operations: usize,
    /// Transactions inside of transactions.
    pub transaction_depth: usize,
    /// Pictures of one `ImageOverlayFilter`.
    pub pictures_per_filter: usize,
    /// Longest interval of `getUsedCpu`; a client gives up long before.
    pub load_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects: 50_000,
            sessions: 10_000,
            subscriptions_per_session: 100_000,
            tags_per_object: 64,
            text_bytes: 16 * 1024,
            sources_per_element: 16,
            sdp_bytes: 64 * 1024,
            candidates_per_endpoint: 256,
            replies: 8_192,
            reply_bytes: 16 * 1024,
            requests_per_connection: 1_024,
            transaction_operations: 1_000,
            transaction_depth: 4,
            pictures_per_filter: 64,
            load_interval: Duration::from_mins(1),
        }
    }
}
