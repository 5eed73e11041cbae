//! The codecs that can be negotiated and when two descriptions of one mean the same.

use crate::description::{Codec, MediaKind};
use crate::h264;

/// A codec that endpoints forward.
///
/// Retransmission (`rtx`) is a property of its codec, not a codec of its own; `ulpfec` and comfort
/// noise are not negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodecKind {
    /// VP8 (RFC 7741)
    Vp8,
    /// VP9 (RFC 9628)
    Vp9,
    /// H.264 (RFC 6184)
    H264,
    /// AV1 (AOMedia, "RTP Payload Format For AV1")
    Av1,
    /// H.265 (RFC 7798)
    H265,
    /// H.263 (RFC 2190)
    H263,
    /// H.263 of 1998 (RFC 4629)
    H263v1998,
    /// H.263 of 2000 (RFC 4629)
    H263v2000,
    /// MPEG-4 Visual (RFC 6416)
    Mp4vEs,
    /// Opus (RFC 7587)
    Opus,
    /// G.711 µ-law (RFC 3551)
    Pcmu,
    /// G.711 A-law (RFC 3551)
    Pcma,
    /// AMR narrowband (RFC 4867)
    Amr,
    /// AMR wideband (RFC 4867)
    AmrWb,
    /// Redundant Opus (RFC 2198); accompanies Opus, whose payload type its parameters name.
    OpusRed,
    /// DTMF digits (RFC 4733); accompanies an audio codec of the same clock rate.
    TelephoneEvent,
}

impl CodecKind {
    const ALL: [Self; 16] = [
        Self::Vp8,
        Self::Vp9,
        Self::H264,
        Self::Av1,
        Self::H265,
        Self::H263,
        Self::H263v1998,
        Self::H263v2000,
        Self::Mp4vEs,
        Self::Opus,
        Self::Pcmu,
        Self::Pcma,
        Self::Amr,
        Self::AmrWb,
        Self::OpusRed,
        Self::TelephoneEvent,
    ];

    /// The kind of a described codec; `None` when name, clock rate and channels are not those of a
    /// codec that we know.
    pub fn of(codec: &Codec) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            kind.name().eq_ignore_ascii_case(&codec.name)
                && kind.channels() == codec.channels
                && match kind {
                    // The clock follows the codec that the events accompany (RFC 4733 §2.1).
                    Self::TelephoneEvent => true,
                    Self::Vp8
                    | Self::Vp9
                    | Self::H264
                    | Self::Av1
                    | Self::H265
                    | Self::H263
                    | Self::H263v1998
                    | Self::H263v2000
                    | Self::Mp4vEs
                    | Self::Opus
                    | Self::Pcmu
                    | Self::Pcma
                    | Self::Amr
                    | Self::AmrWb
                    | Self::OpusRed => kind.clock() == codec.clock,
                }
        })
    }

    /// Encoding name in `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::Av1 => "AV1",
            Self::H265 => "H265",
            Self::H263 => "H263",
            Self::H263v1998 => "H263-1998",
            Self::H263v2000 => "H263-2000",
            Self::Mp4vEs => "MP4V-ES",
            Self::Opus => "opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Amr => "AMR",
            Self::AmrWb => "AMR-WB",
            Self::OpusRed => "red",
            Self::TelephoneEvent => "telephone-event",
        }
    }

    /// RTP clock rate in Hz.
    pub fn clock(self) -> u32 {
        match self {
            Self::Vp8
            | Self::Vp9
            | Self::H264
            | Self::Av1
            | Self::H265
            | Self::H263
            | Self::H263v1998
            | Self::H263v2000
            | Self::Mp4vEs => 90_000,
            Self::Opus | Self::OpusRed => 48_000,
            Self::AmrWb => 16_000,
            Self::Pcmu | Self::Pcma | Self::Amr | Self::TelephoneEvent => 8_000,
        }
    }

    /// Channels in `a=rtpmap`; Opus always says 2 (RFC 7587 §7).
    pub fn channels(self) -> u8 {
        match self {
            Self::Opus | Self::OpusRed => 2,
            Self::Vp8
            | Self::Vp9
            | Self::H264
            | Self::Av1
            | Self::H265
            | Self::H263
            | Self::H263v1998
            | Self::H263v2000
            | Self::Mp4vEs
            | Self::Pcmu
            | Self::Pcma
            | Self::Amr
            | Self::AmrWb
            | Self::TelephoneEvent => 1,
        }
    }

    /// Payload type fixed by RFC 3551 §6.
    pub fn static_pt(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::H263 => Some(34),
            Self::Vp8
            | Self::Vp9
            | Self::H264
            | Self::Av1
            | Self::H265
            | Self::H263v1998
            | Self::H263v2000
            | Self::Mp4vEs
            | Self::Opus
            | Self::Amr
            | Self::AmrWb
            | Self::OpusRed
            | Self::TelephoneEvent => None,
        }
    }

    /// The media type that carries the codec.
    pub fn media(self) -> MediaKind {
        match self {
            Self::Vp8
            | Self::Vp9
            | Self::H264
            | Self::Av1
            | Self::H265
            | Self::H263
            | Self::H263v1998
            | Self::H263v2000
            | Self::Mp4vEs => MediaKind::Video,
            Self::Opus
            | Self::Pcmu
            | Self::Pcma
            | Self::Amr
            | Self::AmrWb
            | Self::OpusRed
            | Self::TelephoneEvent => MediaKind::Audio,
        }
    }

    /// Whether two sets of format parameters mean the same codec in an offer and its answer.
    ///
    /// The parameters that decide are the profile (VP9, AV1, H.264, H.265 where both say it) and the packetization mode
    /// (H.264), and how AMR lays out its frames; levels are limits of each receiver and do not.
    pub fn compatible(self, a: Option<&str>, b: Option<&str>) -> bool {
        match self {
            Self::Vp9 => same_number(a, b, "profile-id"),
            Self::Av1 => same_number(a, b, "profile"),
            Self::H264 => match (h264::Parameters::parse(a), h264::Parameters::parse(b)) {
                (Some(a), Some(b)) => a.compatible(&b),
                (None, _) | (_, None) => false,
            },
            Self::Amr | Self::AmrWb => same_number(a, b, "octet-align"),
            // Peers without WebRTC often leave it out and mean what they send.
            Self::H265 => match (profile_id(a), profile_id(b)) {
                (Some(a), Some(b)) => a == b,
                (None, _) | (_, None) => true,
            },
            Self::Vp8
            | Self::H263
            | Self::H263v1998
            | Self::H263v2000
            | Self::Mp4vEs
            | Self::Opus
            | Self::Pcmu
            | Self::Pcma
            | Self::OpusRed
            | Self::TelephoneEvent => true,
        }
    }

    /// Whether packets negotiated with the format parameters `from` can be forwarded unchanged to
    /// where `to` was negotiated. Weaker than [`CodecKind::compatible`], and not symmetric.
    pub fn forwards(self, from: Option<&str>, to: Option<&str>) -> bool {
        match self {
            Self::H264 => match (h264::Parameters::parse(from), h264::Parameters::parse(to)) {
                (Some(from), Some(to)) => from.understood_by(&to),
                (None, _) | (_, None) => false,
            },
            Self::Vp8
            | Self::Vp9
            | Self::Av1
            | Self::H265
            | Self::H263
            | Self::H263v1998
            | Self::H263v2000
            | Self::Mp4vEs
            | Self::Opus
            | Self::Pcmu
            | Self::Pcma
            | Self::Amr
            | Self::AmrWb
            | Self::OpusRed
            | Self::TelephoneEvent => self.compatible(from, to),
        }
    }
}

/// Value of one format parameter in `key=value;key=value`, keys compared without regard to case.
pub fn fmtp_value<'a>(fmtp: &'a str, key: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case(key).then(|| value.trim())
    })
}

fn profile_id(fmtp: Option<&str>) -> Option<&str> {
    fmtp_value(fmtp?, "profile-id")
}

/// Whether a numeric parameter, 0 when absent, is the same; unreadable ones are never.
fn same_number(a: Option<&str>, b: Option<&str>, key: &str) -> bool {
    let number = |fmtp: Option<&str>| match fmtp.and_then(|fmtp| fmtp_value(fmtp, key)) {
        Some(value) => value.parse::<u8>().ok(),
        None => Some(0),
    };
    number(a).is_some() && number(a) == number(b)
}

/// The codec that a described `rtx` retransmits (RFC 4588 §8.1), when it is one.
pub(crate) fn rtx_apt(codec: &Codec) -> Option<u8> {
    if !codec.name.eq_ignore_ascii_case("rtx") {
        return None;
    }
    fmtp_value(codec.fmtp.as_deref()?, "apt")?.parse().ok()
}

/// The payload type of the data that redundant audio with these parameters carries, as `111/111`
/// (RFC 2198 §5): that of its first block.
pub fn red_primary(fmtp: Option<&str>) -> Option<u8> {
    fmtp?.split('/').next()?.trim().parse().ok()
}

/// Encoding name and clock rate that RFC 3551 §6 gives a payload type without `a=rtpmap`.
pub(crate) fn static_mapping(pt: u8) -> Option<(&'static str, u32)> {
    match pt {
        0 => Some(("PCMU", 8_000)),
        3 => Some(("GSM", 8_000)),
        4 => Some(("G723", 8_000)),
        8 => Some(("PCMA", 8_000)),
        9 => Some(("G722", 8_000)),
        13 => Some(("CN", 8_000)),
        18 => Some(("G729", 8_000)),
        26 => Some(("JPEG", 90_000)),
        31 => Some(("H261", 90_000)),
        32 => Some(("MPV", 90_000)),
        33 => Some(("MP2T", 90_000)),
        34 => Some(("H263", 90_000)),
        _ => None,
    }
}
