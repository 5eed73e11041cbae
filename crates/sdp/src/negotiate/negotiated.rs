//! The outcome of a negotiation.

use crate::attribute::{Address, Fingerprint, IceCredentials, Rid, RtcpAddress};
use crate::codec::CodecKind;
use crate::description::{Description, MediaKind};
use crate::extension::ExtensionKind;

use super::feedback::Feedback;

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Our description: the answer, or the offer that was answered.
    pub local: Description,
    /// One entry per m-line, in order.
    pub media: Vec<NegotiatedMedia>,
    /// The transports of the accepted m-lines; at most
    /// [`MAX_TRANSPORTS`](super::MAX_TRANSPORTS).
    pub transports: Vec<TransportParams>,
}

/// Why an m-line was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The offer itself had port 0.
    Disabled,
    /// Neither audio, video nor application.
    UnsupportedKind,
    /// There are too many m-lines of this type.
    Surplus,
    /// Not a protocol of WebRTC, plain `RTP/AVP` for one.
    UnsupportedProtocol,
    /// No codec in common.
    UnsupportedCodecs,
    /// An application m-line without data channels being enabled, or one that is not for them.
    NoDataChannels,
    /// ICE credentials or fingerprint are missing.
    IncompleteTransport,
    /// The answer rejected what we offered.
    RejectedByPeer,
    /// There is no local port left.
    NoPort,
    /// No common crypto suite, or a key that cannot be used.
    NoCrypto,
}

/// One m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedMedia {
    /// Position of the m-line.
    pub index: usize,
    /// Media type.
    pub kind: MediaKind,
    /// `a=mid` as written, if any.
    pub mid: Option<String>,
    /// Why it was rejected; `None` when accepted. The fields below are empty when rejected.
    pub rejection: Option<Rejection>,
    /// Index into [`Negotiated::transports`]; `None` when rejected.
    pub transport: Option<usize>,
    /// We may send.
    pub send: bool,
    /// The peer may send.
    pub recv: bool,
    /// Codecs in the order of the offer; what to send when nothing else decides is the first.
    pub codecs: Vec<NegotiatedCodec>,
    /// Header extensions with the identifiers of both directions.
    pub extensions: Vec<NegotiatedExtension>,
    /// SSRCs that the peer announced for what it sends, in the order of its `SIM` group.
    pub remote_sources: Vec<RemoteSource>,
    /// Simulcast streams that the peer will send, in the order of its `a=simulcast`.
    pub rids: Vec<Rid>,
    /// RTP and RTCP share one port, as they always do in a BUNDLE group (RFC 8843 §9.3).
    pub rtcp_mux: bool,
    /// Reduced-size RTCP may be sent.
    pub rtcp_rsize: bool,
    /// The peer may be asked for keyframes. A peer with DTLS takes such requests unasked; one with
    /// plain RTP only when it negotiated them.
    pub keyframe_requests: bool,
    /// Where the peer says to send RTP without ICE: address and port.
    pub remote_address: Option<(Address, u16)>,
    /// Where the peer says to send RTCP without ICE and multiplexing.
    pub remote_rtcp: Option<RtcpAddress>,
    /// The SCTP association of an application m-line.
    pub sctp: Option<NegotiatedSctp>,
}

impl NegotiatedMedia {
    /// Whether the m-line is in use.
    pub fn accepted(&self) -> bool {
        self.rejection.is_none()
    }
}

/// A codec that both sides take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// Which.
    pub kind: CodecKind,
    /// RTP clock rate in Hz.
    pub clock: u32,
    /// Channels as in `a=rtpmap`.
    pub channels: u8,
    /// The peer's format parameters, ours when it gave none.
    pub fmtp: Option<String>,
    /// Payload type that we must send with: what the peer declared.
    pub send_pt: u8,
    /// Payload type that the peer sends with: what we declared.
    pub receive_pt: u8,
    /// Payload type of retransmissions that we send.
    pub send_rtx_pt: Option<u8>,
    /// Payload type of retransmissions that the peer sends.
    pub receive_rtx_pt: Option<u8>,
    /// RTCP feedback in use.
    pub feedback: Feedback,
}

/// A header extension in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedExtension {
    /// Identifier in packets of both directions.
    pub id: u8,
    /// Which.
    pub kind: ExtensionKind,
    /// We may put it into what we send.
    pub send: bool,
    /// The peer may put it into what it sends.
    pub recv: bool,
}

/// A stream that the peer announced by SSRC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSource {
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of its retransmissions (`FID` group).
    pub rtx_ssrc: Option<u32>,
    /// RTCP canonical name.
    pub cname: Option<String>,
    /// One of several simulcast layers (`SIM` group).
    pub is_layer: bool,
}

/// An SCTP association for data channels (RFC 8841).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiatedSctp {
    /// Our port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// Largest message that the peer accepts, in bytes; `u64::MAX` when it sets no limit.
    pub remote_max_message_size: u64,
}

/// Our part in the DTLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// We are the client and start.
    Active,
    /// We are the server and wait.
    Passive,
}

/// One ICE and DTLS transport and what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportParams {
    /// The accepted m-lines that it carries. None when all of them were stopped: the transport is
    /// to be closed, and another one may take its place.
    pub mlines: Vec<usize>,
    /// Our ICE credentials.
    ///
    /// Transports of an offer whose answer refused BUNDLE share them: tell those apart by the
    /// peer's user name fragment.
    pub local_ice: IceCredentials,
    /// The peer's ICE credentials.
    pub remote_ice: IceCredentials,
    /// The peer is an ICE-lite agent, so that we must be controlling.
    pub remote_ice_lite: bool,
    /// The peer's certificate must match one of these. All have the same, the strongest offered,
    /// hash function; never empty.
    pub remote_fingerprints: Vec<Fingerprint>,
    /// Our part in the DTLS handshake.
    pub dtls_role: DtlsRole,
    /// Candidates in the description, `candidate:…`, without repetitions.
    pub remote_candidates: Vec<String>,
    /// The description holds all candidates that there will be.
    pub remote_end_of_candidates: bool,
}

/// Why nothing could be negotiated at all. Single m-lines are rejected instead: [`Rejection`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The description has no m-line.
    #[error("the description has no media")]
    NoMedia,
    /// Two m-lines have the same identification, so that groups and candidates are ambiguous.
    #[error("two m-lines have the mid {0:?}")]
    DuplicateMid(String),
    /// The answer does not have the m-lines of the offer (RFC 3264 §6).
    #[error("{answered} m-lines answer {offered}")]
    MediaCount {
        /// M-lines in the offer.
        offered: usize,
        /// M-lines in the answer.
        answered: usize,
    },
    /// An m-line of the answer has another type than the one it answers.
    #[error("m-line {index} of the answer has another type than offered")]
    MediaKind {
        /// Position of the m-line.
        index: usize,
    },
    /// A further description changes the peer's certificate or which m-lines share a transport.
    #[error("the transports are not those of the session")]
    Transport,
    /// An m-line of the answer has another mid than the one it answers.
    #[error("m-line {index} of the answer has another mid than offered")]
    Mid {
        /// Position of the m-line.
        index: usize,
    },
}
