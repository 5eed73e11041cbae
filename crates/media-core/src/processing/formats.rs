//! How streams are encoded on the way to a processor and back, and which codec a receiver gets.

use salono_media_api::MediaKind;
use salono_media_api::processing::bridge::RtpFormat;
use salono_sdp::negotiate::{Feedback, NegotiatedCodec, NegotiatedMedia, RemoteSource};
use salono_sdp::{Codec, CodecKind};

/// What processors encode to: codec, payload type of outlets, format parameters.
const ENCODED: [(CodecKind, u8, &str); 13] = [
    (CodecKind::Vp8, 96, ""),
    (
        CodecKind::H264,
        97,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
    (
        CodecKind::H264,
        98,
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    ),
    (CodecKind::Vp9, 99, "profile-id=0"),
    (
        CodecKind::H265,
        100,
        "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST",
    ),
    (CodecKind::Av1, 101, "level-idx=5;profile=0;tier=0"),
    (CodecKind::H263, 34, ""),
    (CodecKind::H263v1998, 102, ""),
    (CodecKind::Opus, 111, "minptime=10;useinbandfec=1"),
    (CodecKind::Pcmu, 0, ""),
    (CodecKind::Pcma, 8, ""),
    (CodecKind::Amr, 103, "octet-align=1"),
    (CodecKind::Amr, 104, ""),
];

/// Whether a codec carries media by itself.
pub(crate) fn is_media(kind: CodecKind) -> bool {
    match kind {
        CodecKind::OpusRed | CodecKind::TelephoneEvent => false,
        CodecKind::Vp8
        | CodecKind::Vp9
        | CodecKind::H264
        | CodecKind::Av1
        | CodecKind::H265
        | CodecKind::H263
        | CodecKind::H263v1998
        | CodecKind::H263v2000
        | CodecKind::Mp4vEs
        | CodecKind::Opus
        | CodecKind::Pcmu
        | CodecKind::Pcma
        | CodecKind::Amr
        | CodecKind::AmrWb => true,
    }
}

/// A negotiated codec, with the payload type that its packets have.
pub(crate) fn format_of(codec: &NegotiatedCodec, payload_type: u8) -> RtpFormat {
    let is_audio = codec.kind.media() == salono_sdp::MediaKind::Audio;
    RtpFormat {
        codec: codec.kind.name().to_owned(),
        payload_type,
        clock_rate: codec.clock,
        channels: if is_audio { codec.channels } else { 0 },
        parameters: codec.fmtp.clone().unwrap_or_default(),
    }
}

/// What a receiver takes, in its order of preference.
pub(crate) fn taken(codecs: &[NegotiatedCodec]) -> Vec<RtpFormat> {
    let media = codecs.iter().filter(|codec| is_media(codec.kind));
    media.map(|codec| format_of(codec, codec.send_pt)).collect()
}

/// The codec that a format names; `None` for one that cannot be forwarded.
fn kind_of(format: &RtpFormat) -> Option<CodecKind> {
    CodecKind::of(&Codec {
        pt: format.payload_type,
        name: format.codec.clone(),
        clock: format.clock_rate,
        channels: format.channels.max(1),
        fmtp: None,
        feedback: Vec::new(),
    })
}

fn parameters(format: &RtpFormat) -> Option<&str> {
    Some(format.parameters.as_str()).filter(|text| !text.is_empty())
}

/// Whether a receiver of `to` can do something with packets in the format `from`.
fn fits(from: &RtpFormat, to: &RtpFormat) -> bool {
    let kinds = kind_of(from).zip(kind_of(to));
    kinds.is_some_and(|(of, taken)| of == taken && of.forwards(parameters(from), parameters(to)))
}

/// The format for a receiver that takes these, in its order: what there is already (`native`), or else something
/// that a processor can encode to. What is `forced` comes first, where the receiver takes it.
pub(crate) fn choose(
    takes: &[RtpFormat],
    native: Option<&RtpFormat>,
    forced: Option<&str>,
) -> Option<RtpFormat> {
    let is_forced =
        |format: &RtpFormat| forced.is_some_and(|forced| format.codec.eq_ignore_ascii_case(forced));
    let taken = |format: &RtpFormat| takes.iter().any(|to| fits(format, to));
    let is_possible = takes.iter().any(is_forced);
    let native = native.filter(|native| taken(native));
    if let Some(native) = native.filter(|native| !is_possible || is_forced(native)) {
        return Some(native.clone());
    }
    // VP8 takes far less to encode than what else there may be.
    let is_light = |format: &&RtpFormat| kind_of(format) == Some(CodecKind::Vp8);
    let forced = takes.iter().filter(|format| is_forced(format));
    let light = takes.iter().filter(is_light);
    forced.chain(light).chain(takes).find_map(encoded_for)
}

/// What a processor encodes to for a receiver of this format.
fn encoded_for(to: &RtpFormat) -> Option<RtpFormat> {
    let kind = kind_of(to)?;
    let all = ENCODED.iter().filter(|(encoded, _, _)| *encoded == kind);
    all.map(|(kind, payload_type, parameters)| RtpFormat {
        codec: kind.name().to_owned(),
        payload_type: *payload_type,
        clock_rate: kind.clock(),
        channels: match kind.media() {
            salono_sdp::MediaKind::Audio => kind.channels(),
            salono_sdp::MediaKind::Video
            | salono_sdp::MediaKind::Application
            | salono_sdp::MediaKind::Other => 0,
        },
        parameters: (*parameters).to_owned(),
    })
    .find(|from| fits(from, to))
}

/// Whether packets in one format can be handed on as the other.
pub(crate) fn is_same(one: &RtpFormat, other: &RtpFormat) -> bool {
    fits(one, other)
}

/// Which way a stream crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Into the processor.
    In,
    /// Out of it.
    Out,
}

/// The stream with this key as if it had been negotiated with the processor as a peer. `None` for a codec that
/// cannot be forwarded.
pub(crate) fn media(
    key: u32,
    kind: MediaKind,
    format: &RtpFormat,
    direction: Direction,
) -> Option<NegotiatedMedia> {
    let is_out = direction == Direction::Out;
    let is_video = kind == MediaKind::Video;
    let codec = NegotiatedCodec {
        kind: kind_of(format)?,
        clock: format.clock_rate,
        channels: format.channels.max(1),
        fmtp: parameters(format).map(str::to_owned),
        send_pt: format.payload_type,
        receive_pt: format.payload_type,
        send_rtx_pt: None,
        receive_rtx_pt: None,
        // The socket loses only what there is no room for, which is not worth repairing; and its capacity needs no
        // estimation: the processor is told what receivers bound, and nothing else.
        feedback: Feedback {
            nack: false,
            nack_pli: is_video,
            ccm_fir: false,
            goog_remb: is_video,
            transport_cc: is_video,
        },
    };
    let source = RemoteSource {
        ssrc: key,
        rtx_ssrc: None,
        cname: None,
        is_layer: false,
    };
    Some(NegotiatedMedia {
        index: 0,
        kind: codec.kind.media(),
        mid: None,
        rejection: None,
        transport: Some(0),
        send: !is_out,
        recv: is_out,
        codecs: vec![codec],
        extensions: Vec::new(),
        remote_sources: if is_out { vec![source] } else { Vec::new() },
        rids: Vec::new(),
        rtcp_mux: true,
        rtcp_rsize: false,
        keyframe_requests: is_out && is_video,
        remote_address: None,
        remote_rtcp: None,
        sctp: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(codec: &str, payload_type: u8, parameters: &str) -> RtpFormat {
        let (clock_rate, channels) = match codec {
            "opus" => (48_000, 2),
            "PCMU" | "PCMA" | "AMR" => (8_000, 1),
            _ => (90_000, 0),
        };
        RtpFormat {
            codec: codec.to_owned(),
            payload_type,
            clock_rate,
            channels,
            parameters: parameters.to_owned(),
        }
    }

    fn chosen(takes: &[RtpFormat], native: Option<&RtpFormat>, forced: Option<&str>) -> String {
        choose(takes, native, forced).map_or_else(String::new, |format| format.codec)
    }

    #[test]
    fn a_receiver_gets_what_there_is_already_and_else_the_lightest_that_it_takes() {
        let baseline = "packetization-mode=1;profile-level-id=42e01f";
        let takes = [
            format("VP9", 98, "profile-id=0"),
            format("H264", 102, baseline),
            format("VP8", 96, ""),
        ];
        let native = format("H264", 100, baseline);
        assert_eq!(choose(&takes, Some(&native), None), Some(native.clone()));
        assert_eq!(chosen(&takes, None, None), "VP8");
        assert_eq!(chosen(&takes[..2], None, None), "VP9");
        let high = format("H264", 100, "packetization-mode=1;profile-level-id=640028");
        assert_eq!(chosen(&takes[1..2], Some(&high), None), "H264");
        assert_ne!(choose(&takes[1..2], Some(&high), None), Some(high));
        assert_eq!(chosen(&takes, Some(&native), Some("vp9")), "VP9");
        assert_eq!(chosen(&takes, Some(&native), Some("AV1")), "H264");
        assert_eq!(chosen(&[], Some(&native), None), "");
        assert_eq!(chosen(&[format("MP4V-ES", 98, "")], None, None), "");
    }

    #[test]
    fn h264_and_amr_are_packed_as_the_receiver_takes_them() {
        let single = "packetization-mode=0;profile-level-id=42e01f";
        let one = choose(&[format("H264", 102, single)], None, None).expect("H264");
        assert!(one.parameters.contains("packetization-mode=0"));
        for (parameters, expected) in [("octet-align=1", 103), ("", 104)] {
            let amr = choose(&[format("AMR", 97, parameters)], None, None).expect("AMR");
            assert_eq!(amr.payload_type, expected);
        }
    }

    #[test]
    fn everything_that_is_encoded_can_be_received() {
        for (kind, payload_type, parameters) in ENCODED {
            let is_audio = kind.media() == salono_sdp::MediaKind::Audio;
            let channels = if is_audio { kind.channels() } else { 0 };
            let format = RtpFormat {
                codec: kind.name().to_owned(),
                payload_type,
                clock_rate: kind.clock(),
                channels,
                parameters: parameters.to_owned(),
            };
            assert!(is_same(&format, &format), "{format:?}");
            let of = if is_audio {
                MediaKind::Audio
            } else {
                MediaKind::Video
            };
            assert!(media(7, of, &format, Direction::Out).is_some());
        }
    }
}
