//! RTP header extensions that are understood.

use crate::description::MediaKind;

/// A header extension (RFC 8285) that endpoints negotiate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtensionKind {
    /// Absolute send time, 6.18 fixed point seconds; what REMB estimators work on.
    AbsSendTime,
    /// Transport-wide sequence number; what transport-wide congestion control works on.
    TransportCc,
    /// Client-to-mixer audio level (RFC 6464).
    AudioLevel,
    /// Media identification (RFC 8843 §15).
    Mid,
    /// RTP stream identifier (RFC 8852).
    Rid,
    /// Stream identifier that a retransmission belongs to (RFC 8852).
    RepairedRid,
    /// Coordination of video orientation (3GPP TS 26.114).
    VideoOrientation,
    /// Dependency descriptor of scalable streams (AOMedia, "RTP Payload Format For AV1").
    DependencyDescriptor,
}

impl ExtensionKind {
    /// All kinds, in the order in which offers number them.
    pub const ALL: [Self; 8] = [
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::AbsSendTime,
        Self::TransportCc,
        Self::Mid,
        Self::DependencyDescriptor,
        Self::Rid,
        Self::RepairedRid,
    ];

    /// The kind with this URI.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }

    /// The URI in `a=extmap`.
    pub fn uri(self) -> &'static str {
        match self {
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::TransportCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
        }
    }

    /// Whether the extension has a meaning on m-lines of this type.
    pub fn applies_to(self, media: MediaKind) -> bool {
        match self {
            Self::AbsSendTime | Self::TransportCc | Self::Mid => {
                matches!(media, MediaKind::Audio | MediaKind::Video)
            }
            Self::AudioLevel => media == MediaKind::Audio,
            Self::Rid | Self::RepairedRid | Self::VideoOrientation | Self::DependencyDescriptor => {
                media == MediaKind::Video
            }
        }
    }
}
