//! What we bring to a negotiation.

use std::net::{IpAddr, Ipv4Addr};

use crate::attribute::{Direction, Fingerprint, IceCredentials};
use crate::codec::CodecKind;
use crate::extension::ExtensionKind;

/// Most transports that one session can have: as many m-lines without BUNDLE are carried at a time.
pub const MAX_TRANSPORTS: usize = 16;

/// Everything of ours that a description depends on. One value serves one endpoint.
#[derive(Debug, Clone)]
pub struct Local {
    /// Session identifier in `o=`; Kurento takes seconds since 1900.
    pub session_id: u64,
    /// Version in `o=`.
    pub session_version: u64,
    /// Address in `o=` and, until a candidate is known, in `c=`.
    pub address: IpAddr,
    /// `s=`
    pub session_name: String,
    /// ICE credentials by transport, at most [`MAX_TRANSPORTS`] are used. A bundled session needs
    /// one; m-lines for whose transport there are none are rejected.
    pub ice: Vec<IceCredentials>,
    /// Fingerprints of our certificate.
    pub fingerprints: Vec<Fingerprint>,
    /// RTCP canonical name of our streams.
    pub cname: String,
    /// `MediaStream` identifier that our first audio and video share, so that they are in sync.
    /// Second ones share another, and so on.
    pub stream_id: String,
    /// What we send, by m-line; those of application m-lines are left alone. Audio and video
    /// m-lines that have none are rejected.
    pub sources: Vec<LocalSource>,
    /// Audio codecs in the order of our offers. `telephone-event` needs no entry: it is accepted
    /// beside an accepted codec of its clock rate. Nor does redundant Opus: it is accepted beside
    /// Opus, and never offered.
    pub audio_codecs: Vec<LocalCodec>,
    /// Video codecs in the order of our offers.
    pub video_codecs: Vec<LocalCodec>,
    /// Header extensions that we accept and offer.
    pub extensions: Vec<ExtensionKind>,
    /// Accept and offer data channels.
    pub sctp: Option<LocalSctp>,
    /// Direction of the m-lines in our offers; answers follow the offer.
    pub offer_direction: Direction,
    /// Negotiate retransmission streams (RFC 4588).
    pub rtx: bool,
    /// Negotiate transport-wide congestion control feedback.
    pub transport_cc: bool,
    /// Accept simulcast that is offered by `a=rid` and `a=simulcast`.
    pub simulcast: bool,
    /// Accept header extensions in the two-byte form (RFC 8285 §4.3), and so identifiers above 14.
    pub mixed_extensions: bool,
    /// `b=AS` of the audio m-line in kbit/s; 0 writes none.
    pub max_audio_recv_kbps: u32,
    /// `b=AS` of the video m-line in kbit/s; 0 writes none.
    pub max_video_recv_kbps: u32,
}

impl Local {
    /// The default set of codecs, extensions and feedback with this identity.
    pub fn new(
        session_id: u64,
        ice: Vec<IceCredentials>,
        fingerprint: Fingerprint,
        stream_id: &str,
        sources: Vec<LocalSource>,
    ) -> Self {
        Self {
            session_id,
            session_version: session_id,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            session_name: "Salono".to_owned(),
            ice,
            fingerprints: vec![fingerprint],
            cname: stream_id.to_owned(),
            stream_id: stream_id.to_owned(),
            sources,
            audio_codecs: LocalCodec::default_audio(),
            video_codecs: LocalCodec::default_video(),
            extensions: ExtensionKind::ALL.to_vec(),
            sctp: None,
            offer_direction: Direction::SendRecv,
            rtx: true,
            transport_cc: true,
            simulcast: true,
            mixed_extensions: false,
            max_audio_recv_kbps: 0,
            max_video_recv_kbps: 0,
        }
    }
}

/// A stream that we send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSource {
    /// SSRC of the media.
    pub ssrc: u32,
    /// SSRC of its retransmissions; used for video when `rtx` is negotiated.
    pub rtx_ssrc: Option<u32>,
    /// Identifier of the track in `a=msid`.
    pub track_id: String,
}

/// Our end of an SCTP association (RFC 8841).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalSctp {
    /// `a=sctp-port`
    pub port: u16,
    /// `a=max-message-size` in bytes: the largest message that we accept.
    pub max_message_size: u64,
}

impl Default for LocalSctp {
    fn default() -> Self {
        Self {
            port: 5_000,
            max_message_size: 262_144,
        }
    }
}

/// A codec that we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCodec {
    /// Which.
    pub kind: CodecKind,
    /// Its parameters: offered as they are, and compared with those of an offer by
    /// [`CodecKind::compatible`].
    pub fmtp: Option<String>,
}

impl LocalCodec {
    /// A codec with its parameters.
    pub fn new(kind: CodecKind, fmtp: Option<&str>) -> Self {
        Self {
            kind,
            fmtp: fmtp.map(str::to_owned),
        }
    }

    /// H.265 main profile, as browsers describe it.
    pub fn h265() -> Self {
        let fmtp = "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST";
        Self::new(CodecKind::H265, Some(fmtp))
    }

    /// Opus, PCMU, PCMA.
    pub fn default_audio() -> Vec<Self> {
        vec![
            Self::new(CodecKind::Opus, Some("minptime=10;useinbandfec=1")),
            Self::new(CodecKind::Pcmu, None),
            Self::new(CodecKind::Pcma, None),
        ]
    }

    /// VP8, VP9 with 8 bits, H.264 baseline in both packetization modes, AV1 main.
    ///
    /// H.264 stops at baseline because that is what all browsers decode: a publisher that had
    /// agreed on the high profile could not be forwarded to them.
    pub fn default_video() -> Vec<Self> {
        let h264 = |fmtp| Self::new(CodecKind::H264, Some(fmtp));
        vec![
            Self::new(CodecKind::Vp8, None),
            Self::new(CodecKind::Vp9, Some("profile-id=0")),
            h264("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
            h264("level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
            h264("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
            h264("level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f"),
            Self::new(CodecKind::Av1, Some("level-idx=5;profile=0;tier=0")),
        ]
    }
}
