//! What an element is made from and what is asked of it.

use crate::Bitrate;

/// The kind of media that a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// Everything that is fixed when an element is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementSpec {
    /// Talks WebRTC to one peer.
    WebRtc(WebRtcSpec),
    /// Hands on what it receives; a fixed point to connect to.
    PassThrough,
}

/// Constructor arguments of a WebRTC endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebRtcSpec {
    /// What our own offers ask for; answers follow the offer.
    pub direction: OfferDirection,
    /// Accept and offer an `application` m-line.
    pub data_channels: bool,
    /// Which of the process's certificates to present.
    pub certificate: CertificateKind,
    /// Differentiated services code point (RFC 2474) of outgoing packets, 0 to 63.
    pub dscp: Option<u8>,
}

impl Default for WebRtcSpec {
    fn default() -> Self {
        Self {
            direction: OfferDirection::SendRecv,
            data_channels: false,
            certificate: CertificateKind::Ecdsa,
            dscp: None,
        }
    }
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
    /// Offer an audio m-line.
    pub audio: bool,
    /// Offer a video m-line.
    pub video: bool,
}

impl Default for OfferKinds {
    fn default() -> Self {
        Self {
            audio: true,
            video: true,
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
