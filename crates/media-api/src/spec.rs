//! What an element is made from and what is asked of it.

use crate::processing::ProcessorSpec;
use crate::{Bitrate, ElementKey};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The kind of media that a connection carries.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Messages of data channels.
    Data,
}

impl MediaKind {
    /// All kinds, in the order in which an untyped connect makes its connections.
    pub const ALL: [Self; 3] = [Self::Audio, Self::Video, Self::Data];
}

/// Which of several streams of one kind.
///
/// An endpoint has a stream per m-line. The first m-line of a kind is its default one; every m-line
/// goes by its `a=mid`, too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum StreamName {
    /// The one that counts where none is named.
    #[default]
    Default,
    /// The one of this name.
    Named(Arc<str>),
}

/// Where a connection begins or ends: one stream of an element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pad {
    /// The element.
    pub element: ElementKey,
    /// Which of its streams of the kind that is connected.
    pub stream: StreamName,
}

impl From<ElementKey> for Pad {
    fn from(element: ElementKey) -> Self {
        Self {
            element,
            stream: StreamName::Default,
        }
    }
}

/// Everything that is fixed when an element is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementSpec {
    /// Talks WebRTC to one peer.
    WebRtc(WebRtcSpec),
    /// Talks plain RTP or SDES-keyed SRTP to one peer.
    Rtp(RtpSpec),
    /// Hands on what it receives; a fixed point to connect to.
    PassThrough,
    /// A port of a hub: takes media in, and lets out what `Op::Route` says.
    HubPort,
    /// Works on media itself; happens in another process.
    Processor(Box<ProcessorSpec>),
}

/// Constructor arguments of a WebRTC endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcSpec {
    /// What our own offers ask for; answers follow the offer.
    pub direction: OfferDirection,
    /// Accept and offer an `application` m-line.
    pub data_channels: bool,
    /// Which of the process's certificates to present; `None` leaves it to the engine.
    pub certificate: Option<CertificateKind>,
    /// Differentiated services code point (RFC 2474) of outgoing packets, 0 to 63.
    pub dscp: Option<u8>,
}

impl Default for WebRtcSpec {
    fn default() -> Self {
        Self {
            direction: OfferDirection::SendRecv,
            data_channels: false,
            certificate: None,
            dscp: None,
        }
    }
}

/// Constructor arguments of an RTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpSpec {
    /// Our SDES key (RFC 4568); `None` speaks plain RTP.
    pub crypto: Option<SdesKey>,
    /// Announce and use an IPv6 address.
    pub ipv6: bool,
    /// Local ports to choose from: an even one for RTP, the next for RTCP.
    pub ports: RangeInclusive<u16>,
}

impl Default for RtpSpec {
    fn default() -> Self {
        Self {
            crypto: None,
            ipv6: false,
            ports: 1_024..=65_535,
        }
    }
}

/// A key of SDES (RFC 4568 §6.1): the suite, and master key followed by master salt.
#[derive(Clone, PartialEq, Eq)]
pub struct SdesKey {
    /// Which transform.
    pub suite: CryptoSuite,
    /// 30 bytes with AES-128, 46 with AES-256.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for SdesKey {
    // Keys stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SdesKey")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// Crypto suites of SDES (RFC 4568 §6.2, RFC 6188).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CryptoSuite {
    /// `AES_CM_128_HMAC_SHA1_32`.
    Aes128CmSha1_32,
    /// `AES_CM_128_HMAC_SHA1_80`.
    Aes128CmSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`.
    Aes256CmSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`.
    Aes256CmSha1_80,
}

/// How the candidates of one endpoint are gathered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceSettings {
    /// Names of network interfaces to use; empty means all that the engine has.
    pub interfaces: Vec<String>,
    /// Announced instead of IPv4 host addresses (1:1 NAT).
    pub external_v4: Option<Ipv4Addr>,
    /// Announced instead of IPv6 host addresses.
    pub external_v6: Option<Ipv6Addr>,
    /// Offer ICE-TCP candidates (RFC 6544) too.
    pub tcp: bool,
    /// Where to learn our reflexive address.
    pub stun: Option<ServerAddress>,
    /// Where to allocate a relayed address.
    pub turn: Option<TurnServer>,
}

impl Default for IceSettings {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            external_v4: None,
            external_v6: None,
            tcp: true,
            stun: None,
            turn: None,
        }
    }
}

/// A server by name or IP address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerAddress {
    /// Host name, or address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A TURN server (RFC 8656) with long-term credentials.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TurnServer {
    /// Where it listens.
    pub server: ServerAddress,
    /// How it is reached.
    pub transport: TurnTransport,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for TurnServer {
    // Passwords stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnServer")
            .field("server", &self.server)
            .field("transport", &self.transport)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// How a TURN server is reached; the relayed transport is UDP always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TurnTransport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
}

/// Direction of the m-lines in an offer that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferDirection {
    /// Both ways.
    SendRecv,
    /// We only send.
    SendOnly,
    /// We only receive.
    RecvOnly,
}

/// Key type of the DTLS certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateKind {
    /// RSA 2048.
    Rsa,
    /// ECDSA on P-256.
    Ecdsa,
}

/// Which m-lines an offer of ours contains (data follows [`WebRtcSpec::data_channels`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferKinds {
    /// How many audio m-lines to offer; in a further offer, how many there are at least.
    pub audio: u16,
    /// How many video m-lines to offer; in a further offer, how many there are at least.
    pub video: u16,
    /// On an endpoint that is negotiated already: offer what was negotiated once more, and with
    /// `Some(true)` restart ICE (RFC 8445 §9). `None` is refused there.
    pub again: Option<bool>,
}

impl Default for OfferKinds {
    fn default() -> Self {
        Self {
            audio: 1,
            video: 1,
            again: None,
        }
    }
}

/// A remote ICE candidate as signalled (RFC 8840): candidate line plus the m-line it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCandidate {
    /// `candidate:…` line; empty means end of candidates.
    pub candidate: String,
    /// `a=mid` of the m-line.
    pub mid: String,
    /// Index of the m-line, from 0.
    pub mline_index: u16,
}

/// Bandwidth limits of an endpoint; `Bitrate::ZERO` is "unlimited" in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandwidth {
    /// Least video that we ask the peer to send.
    MinVideoRecv(Bitrate),
    /// Most video that we ask the peer to send.
    MaxVideoRecv(Bitrate),
    /// Most audio that we ask the peer to send.
    MaxAudioRecv(Bitrate),
    /// Least video that we send to the peer.
    MinVideoSend(Bitrate),
    /// Most video that we send to the peer.
    MaxVideoSend(Bitrate),
}

/// How the estimate moves that is sent to a peer as REMB, where the peer does not estimate itself.
/// Its numbers are finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RembParams {
    /// Packets from which the loss of an interval counts fully.
    pub packets_interval_top: u32,
    /// Growth per step below the threshold that the last loss has set, 0.04 for 4 %.
    pub exponential_factor: f64,
    /// Least growth per step above the threshold, in bits per second.
    pub linear_factor_min: u32,
    /// Steps from the threshold back to where loss occurred.
    pub linear_factor_grade: f64,
    /// Share of the bitrate that is left after loss.
    pub decrement_factor: f64,
    /// Threshold as a share of the bitrate at which loss occurred.
    pub threshold_factor: f64,
    /// Loss in 1/256 from which the estimate falls.
    pub up_losses: u8,
    /// Taken for the estimate of a peer until it reports as much, or less than before.
    pub on_connect: Bitrate,
}

// Without NaN, every value equals itself.
impl Eq for RembParams {}

impl Default for RembParams {
    /// Kurento's values.
    fn default() -> Self {
        Self {
            packets_interval_top: 100,
            exponential_factor: 0.04,
            linear_factor_min: 50,
            linear_factor_grade: 30.0,
            decrement_factor: 0.5,
            threshold_factor: 0.8,
            up_losses: 12,
            on_connect: Bitrate::kbps(300),
        }
    }
}

/// Arguments of a data channel that we open (RFC 8832).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataChannelSpec {
    /// Label, any text.
    pub label: String,
    /// Deliver in order.
    pub ordered: bool,
    /// Give a message up after this many milliseconds.
    pub max_packet_life_time: Option<u16>,
    /// Give a message up after this many retransmissions.
    pub max_retransmits: Option<u16>,
    /// Sub-protocol name.
    pub protocol: String,
}
