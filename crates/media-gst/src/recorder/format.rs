//! What a track consists of, as containers want to know it: codec, size, rate, decoder configuration.
//!
//! [`Format::from_caps`] reads it from GStreamer's description of a parsed stream. Pictures of VP8, VP9 and AV1
//! say their size themselves, in keyframes; [`Format::complete`] looks there.

use super::bitstream;
use gstreamer as gst;

/// A compression that some container takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 6386.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1, in units without temporal delimiters.
    Av1,
    /// H.264, NAL units after their length.
    H264,
    /// H.265, NAL units after their length.
    H265,
    /// H.263.
    H263,
    /// Whole JPEG pictures.
    Jpeg,
    /// RFC 6716.
    Opus,
    /// Vorbis.
    Vorbis,
    /// AAC without ADTS headers.
    Aac,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Speex.
    Speex,
    /// G.722.
    G722,
    /// AMR narrow band, each frame after its table of contents.
    AmrNb,
}

impl Codec {
    /// Sound, as opposed to pictures.
    pub fn is_audio(self) -> bool {
        match self {
            Self::Opus
            | Self::Vorbis
            | Self::Aac
            | Self::Pcmu
            | Self::Pcma
            | Self::Speex
            | Self::G722
            | Self::AmrNb => true,
            Self::Vp8
            | Self::Vp9
            | Self::Av1
            | Self::H264
            | Self::H265
            | Self::H263
            | Self::Jpeg => false,
        }
    }

    /// Of GStreamer's media type; `None` for what no container here takes.
    pub fn from_structure(structure: &gst::StructureRef) -> Option<Self> {
        Some(match structure.name().as_str() {
            "video/x-vp8" => Self::Vp8,
            "video/x-vp9" => Self::Vp9,
            "video/x-av1" => Self::Av1,
            "video/x-h264" => Self::H264,
            "video/x-h265" => Self::H265,
            "video/x-h263" => Self::H263,
            "image/jpeg" => Self::Jpeg,
            "audio/x-opus" => Self::Opus,
            "audio/x-vorbis" => Self::Vorbis,
            "audio/mpeg" if structure.get::<i32>("mpegversion").unwrap_or(0) >= 2 => Self::Aac,
            "audio/x-mulaw" => Self::Pcmu,
            "audio/x-alaw" => Self::Pcma,
            "audio/x-speex" => Self::Speex,
            "audio/G722" => Self::G722,
            "audio/AMR" => Self::AmrNb,
            _ => return None,
        })
    }

    /// What brings a stream of this codec into the form that is stored here, in `gst-launch` syntax.
    pub fn parser(self) -> &'static str {
        match self {
            // Parameter sets again and again in band: a picture of another size needs no other file.
            Self::H264 => {
                "h264parse config-interval=-1 ! video/x-h264,stream-format=avc,alignment=au"
            }
            Self::H265 => {
                "h265parse config-interval=-1 ! video/x-h265,stream-format=hvc1,alignment=au"
            }
            Self::Av1 => "av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu",
            Self::Vp9 => "vp9parse ! video/x-vp9,alignment=super-frame",
            Self::Aac => "aacparse ! audio/mpeg,mpegversion=4,stream-format=raw",
            Self::Vp8
            | Self::H263
            | Self::Jpeg
            | Self::Opus
            | Self::Vorbis
            | Self::Pcmu
            | Self::Pcma
            | Self::Speex
            | Self::G722
            | Self::AmrNb => "identity",
        }
    }
}

/// A track, as the head of a file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Compression.
    pub codec: Codec,
    /// What a decoder needs beforehand: `avcC`, `hvcC`, `av1C`, `OpusHead`, AudioSpecificConfig, Vorbis headers in Xiph
    /// lacing; empty where there is none.
    pub private: Vec<u8>,
    /// Pixels; 0 while unknown, and for sound.
    pub width: u32,
    /// Pixels; 0 while unknown, and for sound.
    pub height: u32,
    /// Samples per second; 0 for pictures.
    pub rate: u32,
    /// Channels; 0 for pictures.
    pub channels: u32,
}

impl Format {
    /// Of a stream as [`Codec::parser`] makes it; `None` for what no container here takes.
    pub fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        let codec = Codec::from_structure(structure)?;
        let number = |name: &str| {
            structure
                .get::<i32>(name)
                .ok()
                .and_then(|v| u32::try_from(v).ok())
                .unwrap_or(0)
        };
        let mut private = structure
            .get::<gst::Buffer>("codec_data")
            .ok()
            .and_then(|buffer| buffer.map_readable().ok().map(|map| map.to_vec()))
            .unwrap_or_default();
        let (mut rate, mut channels) = (0, 0);
        if codec.is_audio() {
            (rate, channels) = (number("rate"), number("channels").max(1));
            let headers = stream_headers(structure);
            match codec {
                Codec::Opus => {
                    rate = 48_000;
                    private = match headers.into_iter().next() {
                        Some(head) if head.starts_with(b"OpusHead") => head,
                        Some(_) | None => opus_head(channels),
                    };
                    channels = private.get(9).map_or(channels, |n| u32::from(*n));
                }
                Codec::Vorbis => private = xiph_lacing(&headers)?,
                Codec::Speex => private = headers.into_iter().next().unwrap_or_default(),
                Codec::Pcmu | Codec::Pcma | Codec::AmrNb => {
                    rate = if rate == 0 { 8_000 } else { rate }
                }
                Codec::G722 => rate = 16_000,
                Codec::Aac => {}
                Codec::Vp8
                | Codec::Vp9
                | Codec::Av1
                | Codec::H264
                | Codec::H265
                | Codec::H263
                | Codec::Jpeg => {}
            }
            if rate == 0 {
                rate = 16_000;
            }
        }
        Some(Self {
            codec,
            private,
            width: number("width"),
            height: number("height"),
            rate,
            channels,
        })
    }

    /// Takes from a keyframe what the description lacked. False when the track still cannot be described.
    pub fn complete(&mut self, keyframe: &[u8]) -> bool {
        match self.codec {
            Codec::Vp8 => {
                if let Some((width, height)) = bitstream::vp8_size(keyframe) {
                    (self.width, self.height) = (width, height);
                }
            }
            Codec::Av1 => {
                if let Some(sequence) = bitstream::av1_sequence(keyframe) {
                    (self.width, self.height) = (sequence.width, sequence.height);
                    self.private = sequence.configuration;
                }
                return !self.private.is_empty();
            }
            Codec::Jpeg => {
                if let Some((width, height)) = bitstream::jpeg_size(keyframe) {
                    (self.width, self.height) = (width, height);
                }
            }
            Codec::H264 | Codec::H265 => return !self.private.is_empty() && self.width > 0,
            Codec::Vp9 | Codec::H263 => {}
            Codec::Aac => return !self.private.is_empty(),
            Codec::Opus
            | Codec::Vorbis
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::Speex
            | Codec::G722
            | Codec::AmrNb => return true,
        }
        self.width > 0 && self.height > 0
    }
}

fn stream_headers(structure: &gst::StructureRef) -> Vec<Vec<u8>> {
    let Ok(array) = structure.get::<gst::Array>("streamheader") else {
        return Vec::new();
    };
    array
        .iter()
        .filter_map(|value| value.get::<gst::Buffer>().ok())
        .filter_map(|buffer| buffer.map_readable().ok().map(|map| map.to_vec()))
        .collect()
}

/// RFC 7845 section 5.1, for a stream that is joined in its midst: nothing to skip.
fn opus_head(channels: u32) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(if channels >= 2 { 2 } else { 1 });
    head.extend_from_slice(&0_u16.to_le_bytes());
    head.extend_from_slice(&48_000_u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    head
}

/// The three headers of Vorbis as Matroska stores them.
fn xiph_lacing(headers: &[Vec<u8>]) -> Option<Vec<u8>> {
    let [identification, comment, setup] = headers else {
        return None;
    };
    let mut out = vec![2];
    for header in [identification, comment] {
        out.resize(out.len() + header.len() / 255, 255);
        out.push(u8::try_from(header.len() % 255).expect("remainder of 255"));
    }
    for header in [identification, comment, setup] {
        out.extend_from_slice(header);
    }
    Some(out)
}
