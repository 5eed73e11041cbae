//! Codecs: their names in SDP and in GStreamer, and the pieces of pipeline that they need.
//!
//! An encoded [`Stream`](crate::stream::Stream) has one form per codec, whoever publishes it: whole frames; H264 and H265
//! as byte stream with parameter sets before each keyframe, AAC raw with `codec_data`, AV1 as temporal units of OBUs.

use gstreamer as gst;
use salono_media_api::MediaKind;
use salono_media_api::processing::bridge::RtpFormat;

/// A codec that can be taken apart or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// RFC 6386, RTP by RFC 7741.
    Vp8,
    /// RTP by RFC 9628.
    Vp9,
    /// AOMedia Video 1.
    Av1,
    /// RTP by RFC 6184.
    H264,
    /// RTP by RFC 7798.
    H265,
    /// Baseline, RTP by RFC 2190.
    H263,
    /// With options, RTP by RFC 4629.
    H263Plus,
    /// RFC 6716, RTP by RFC 7587.
    Opus,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Narrowband, RTP by RFC 4867.
    Amr,
    /// RTP by RFC 5574.
    Speex,
    /// 64 kb/s.
    G722,
    /// MPEG-4 AAC, RTP by RFC 3640.
    Aac,
    /// JPEG pictures, RTP by RFC 2435.
    Jpeg,
}

/// What an origin has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pixels or samples.
    Raw,
    /// Frames of a codec.
    Encoded(Codec),
}

impl Format {
    /// Of caps; `None` for what no part of the processor knows.
    pub fn of_caps(caps: &gst::Caps) -> Option<Self> {
        let structure = caps.structure(0)?;
        let name = structure.name().as_str();
        let version = || structure.get::<i32>("mpegversion").ok();
        Some(Self::Encoded(match name {
            "video/x-raw" | "audio/x-raw" => return Some(Self::Raw),
            "video/x-vp8" => Codec::Vp8,
            "video/x-vp9" => Codec::Vp9,
            "video/x-av1" => Codec::Av1,
            "video/x-h264" => Codec::H264,
            "video/x-h265" => Codec::H265,
            "video/x-h263" => match structure.get::<&str>("h263version") {
                Ok("h263p" | "h263pp") => Codec::H263Plus,
                Ok(_) | Err(_) => Codec::H263,
            },
            "image/jpeg" => Codec::Jpeg,
            "audio/x-opus" => Codec::Opus,
            "audio/x-mulaw" => Codec::Pcmu,
            "audio/x-alaw" => Codec::Pcma,
            "audio/AMR" => Codec::Amr,
            "audio/x-speex" => Codec::Speex,
            "audio/G722" => Codec::G722,
            "audio/mpeg" if matches!(version(), Some(2 | 4)) => Codec::Aac,
            _ => return None,
        }))
    }
}

/// One row of the table below.
struct Row {
    codec: Codec,
    kind: MediaKind,
    /// Encoding names as in SDP, the first of which we write.
    names: &'static [&'static str],
    /// Payload type that stands for it where none was negotiated.
    payload_type: u8,
    clock_rate: u32,
    channels: u8,
    /// From RTP packets to frames.
    depay: &'static str,
    /// From what others hand over to the form of this module.
    parse: &'static str,
    /// From frames to raw.
    decode: &'static [&'static str],
    /// From frames to RTP packets.
    pay: &'static str,
}

const H264_FORM: &str =
    "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au";
const H265_FORM: &str =
    "h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au";

const ROWS: [Row; 15] = [
    Row {
        codec: Codec::Vp8,
        kind: MediaKind::Video,
        names: &["VP8"],
        payload_type: 96,
        clock_rate: 90_000,
        channels: 0,
        depay: "rtpvp8depay",
        parse: "identity silent=true",
        decode: &["vp8dec threads=1", "avdec_vp8 max-threads=1"],
        pay: "rtpvp8pay picture-id-mode=15-bit",
    },
    Row {
        codec: Codec::Vp9,
        kind: MediaKind::Video,
        names: &["VP9"],
        payload_type: 98,
        clock_rate: 90_000,
        channels: 0,
        depay: "rtpvp9depay",
        parse: "identity silent=true",
        decode: &["vp9dec threads=1", "avdec_vp9 max-threads=1"],
        pay: "rtpvp9pay picture-id-mode=15-bit",
    },
    Row {
        codec: Codec::Av1,
        kind: MediaKind::Video,
        names: &["AV1"],
        payload_type: 45,
        clock_rate: 90_000,
        channels: 0,
        // To and from packets by `av1`.
        depay: "av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu",
        parse: "av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu",
        decode: &["dav1ddec", "av1dec"],
        pay: "av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu",
    },
    Row {
        codec: Codec::H264,
        kind: MediaKind::Video,
        names: &["H264"],
        payload_type: 102,
        clock_rate: 90_000,
        channels: 0,
        depay: "rtph264depay ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au",
        parse: H264_FORM,
        decode: &["h264parse ! avdec_h264 max-threads=1", "openh264dec"],
        pay: "rtph264pay config-interval=-1 aggregate-mode=zero-latency",
    },
    Row {
        codec: Codec::H265,
        kind: MediaKind::Video,
        names: &["H265"],
        payload_type: 104,
        clock_rate: 90_000,
        channels: 0,
        depay: "rtph265depay ! h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au",
        parse: H265_FORM,
        decode: &[
            "h265parse ! avdec_h265 max-threads=1",
            "h265parse ! libde265dec",
        ],
        pay: "rtph265pay config-interval=-1 aggregate-mode=zero-latency",
    },
    Row {
        codec: Codec::H263,
        kind: MediaKind::Video,
        names: &["H263"],
        payload_type: 34,
        clock_rate: 90_000,
        channels: 0,
        depay: "rtph263depay",
        parse: "h263parse",
        decode: &["avdec_h263"],
        pay: "rtph263pay",
    },
    Row {
        codec: Codec::H263Plus,
        kind: MediaKind::Video,
        names: &["H263-1998", "H263-2000"],
        payload_type: 106,
        clock_rate: 90_000,
        channels: 0,
        depay: "rtph263pdepay",
        parse: "h263parse",
        decode: &["avdec_h263p", "avdec_h263"],
        pay: "rtph263ppay",
    },
    Row {
        codec: Codec::Opus,
        kind: MediaKind::Audio,
        names: &["opus"],
        payload_type: 111,
        clock_rate: 48_000,
        channels: 2,
        depay: "rtpopusdepay",
        parse: "opusparse",
        decode: &["opusdec plc=true use-inband-fec=true", "avdec_opus"],
        pay: "rtpopuspay",
    },
    Row {
        codec: Codec::Pcmu,
        kind: MediaKind::Audio,
        names: &["PCMU"],
        payload_type: 0,
        clock_rate: 8_000,
        channels: 1,
        depay: "rtppcmudepay",
        parse: "identity silent=true",
        decode: &["mulawdec", "avdec_pcm_mulaw"],
        // A packet each 20 ms, which every telephone takes.
        pay: "rtppcmupay min-ptime=20000000 max-ptime=20000000",
    },
    Row {
        codec: Codec::Pcma,
        kind: MediaKind::Audio,
        names: &["PCMA"],
        payload_type: 8,
        clock_rate: 8_000,
        channels: 1,
        depay: "rtppcmadepay",
        parse: "identity silent=true",
        decode: &["alawdec", "avdec_pcm_alaw"],
        pay: "rtppcmapay min-ptime=20000000 max-ptime=20000000",
    },
    Row {
        codec: Codec::Amr,
        kind: MediaKind::Audio,
        names: &["AMR"],
        payload_type: 107,
        clock_rate: 8_000,
        channels: 1,
        depay: "rtpamrdepay",
        parse: "amrparse",
        decode: &["amrnbdec", "avdec_amrnb"],
        pay: "rtpamrpay",
    },
    Row {
        codec: Codec::Speex,
        kind: MediaKind::Audio,
        names: &["speex"],
        payload_type: 108,
        clock_rate: 16_000,
        channels: 1,
        depay: "rtpspeexdepay",
        parse: "identity silent=true",
        decode: &["speexdec"],
        pay: "rtpspeexpay",
    },
    Row {
        codec: Codec::G722,
        kind: MediaKind::Audio,
        names: &["G722"],
        payload_type: 9,
        // RFC 3551 §4.5.2 fixes 8000 although it samples 16000.
        clock_rate: 8_000,
        channels: 1,
        depay: "rtpg722depay",
        parse: "identity silent=true",
        decode: &["avdec_g722"],
        pay: "rtpg722pay min-ptime=20000000 max-ptime=20000000",
    },
    Row {
        codec: Codec::Aac,
        kind: MediaKind::Audio,
        names: &["mpeg4-generic"],
        payload_type: 109,
        clock_rate: 48_000,
        channels: 2,
        depay: "rtpmp4gdepay ! aacparse ! audio/mpeg,mpegversion=4,stream-format=raw",
        parse: "aacparse ! audio/mpeg,mpegversion=4,stream-format=raw",
        decode: &["aacparse ! avdec_aac", "faad"],
        pay: "rtpmp4gpay",
    },
    Row {
        codec: Codec::Jpeg,
        kind: MediaKind::Video,
        names: &["JPEG"],
        payload_type: 26,
        clock_rate: 90_000,
        channels: 0,
        depay: "rtpjpegdepay",
        parse: "jpegparse",
        decode: &["jpegdec", "avdec_mjpeg"],
        pay: "rtpjpegpay",
    },
];

impl Codec {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.codec)
    }

    /// By encoding name as in SDP, without regard to case.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter()
            .find(|row| {
                row.names
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
            .map(|row| row.codec)
    }

    /// Encoding name as in SDP.
    pub fn name(self) -> &'static str {
        self.row().names[0]
    }

    /// Sound or pictures.
    pub fn kind(self) -> MediaKind {
        self.row().kind
    }

    /// From `application/x-rtp` to frames.
    pub fn depayloader(self) -> &'static str {
        self.row().depay
    }

    /// From frames in any form (of a container, say) to the form that streams have.
    pub fn parser(self) -> &'static str {
        self.row().parse
    }

    /// From frames to RTP packets.
    pub fn payloader(self) -> &'static str {
        self.row().pay
    }

    /// From frames to raw: the first of its decoders that is installed.
    pub fn decoder(self) -> Option<&'static str> {
        self.row()
            .decode
            .iter()
            .copied()
            .find(|text| is_installed(text))
    }

    /// How it is named where nothing was negotiated.
    pub fn native_format(self, caps: Option<&gst::Caps>) -> RtpFormat {
        let row = self.row();
        let field = |name: &str| {
            let structure = caps?.structure(0)?;
            structure.get::<i32>(name).ok()
        };
        let (mut clock_rate, mut channels) = (row.clock_rate, row.channels);
        if matches!(self, Self::Aac | Self::Speex) {
            let rate = field("rate").and_then(|rate| u32::try_from(rate).ok());
            clock_rate = rate.unwrap_or(clock_rate);
            let count = field("channels").and_then(|count| u8::try_from(count).ok());
            channels = count.unwrap_or(channels);
        }
        RtpFormat {
            codec: self.name().to_owned(),
            payload_type: row.payload_type,
            clock_rate,
            channels,
            parameters: String::new(),
        }
    }

    fn row(self) -> &'static Row {
        ROWS.iter()
            .find(|row| row.codec == self)
            .expect("every codec has a row")
    }
}

/// Whether all elements of a piece of pipeline are installed.
pub fn is_installed(text: &str) -> bool {
    text.split(" ! ")
        .filter_map(|element| element.split_whitespace().next())
        .filter(|name| !name.contains('/'))
        .all(|name| gst::ElementFactory::find(name).is_some())
}

/// Caps of the temporal units that [`av1`](crate::av1) puts together.
pub(crate) const AV1_UNITS: &str = "video/x-av1,stream-format=obu-stream,alignment=tu";

/// Caps of the frames that [`amr`](crate::amr) takes out of packets.
pub(crate) const AMR_FRAMES: &str = "audio/AMR,rate=8000,channels=1";

/// Caps of the RTP packets of a format.
pub fn rtp_caps(format: &RtpFormat, kind: MediaKind) -> gst::Caps {
    let media = match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video | MediaKind::Data => "video",
    };
    let mut caps = gst::Caps::builder("application/x-rtp")
        .field("media", media)
        .field("encoding-name", format.codec.to_ascii_uppercase())
        .field("payload", i32::from(format.payload_type))
        .field(
            "clock-rate",
            i32::try_from(format.clock_rate).unwrap_or(90_000),
        );
    if format.channels > 0 {
        caps = caps.field("encoding-params", format.channels.to_string());
    }
    for (name, value) in parameters(&format.parameters) {
        caps = caps.field(name.as_str(), value);
    }
    caps.build()
}

/// Parameters that a depayloader may need, by name; what could not be a caps field is left out.
fn parameters(text: &str) -> Vec<(String, String)> {
    text.split(';')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .filter(|(name, value)| {
            let mut letters = name.chars();
            letters
                .next()
                .is_some_and(|first| first.is_ascii_alphabetic())
                && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
                && !["media", "payload", "clock-rate", "encoding-name", "ssrc"]
                    .contains(&name.as_str())
                && !value.contains('\0')
        })
        .take(32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_can_be_looked_up_by_its_name() {
        for codec in Codec::all() {
            assert_eq!(Codec::from_name(&codec.name().to_lowercase()), Some(codec));
        }
        assert_eq!(Codec::from_name("telephone-event"), None);
    }

    #[test]
    fn all_decoders_and_payloaders_can_be_made() {
        gst::init().unwrap();
        for row in &ROWS {
            let installed = row.decode.iter().filter(|text| is_installed(text));
            for text in installed.chain([&row.depay, &row.parse, &row.pay]) {
                gst::parse::bin_from_description(&format!("{text} ! fakesink"), true)
                    .unwrap_or_else(|error| panic!("{text}: {error}"));
            }
        }
    }

    #[test]
    fn parameters_of_a_peer_become_fields_or_nothing() {
        gst::init().unwrap();
        let format = RtpFormat {
            codec: "H264".into(),
            payload_type: 102,
            clock_rate: 90_000,
            channels: 0,
            parameters: "packetization-mode=1; =x;1a=2;payload=3;sprop\"=1;profile-level-id=42e01f"
                .into(),
        };
        let caps = rtp_caps(&format, MediaKind::Video);
        let fields = caps.structure(0).unwrap();
        assert_eq!(fields.get::<i32>("payload").unwrap(), 102);
        assert_eq!(fields.get::<&str>("profile-level-id").unwrap(), "42e01f");
        assert_eq!(fields.n_fields(), 6);
    }
}
