//! Encoders: which element, with which settings, at which rate.

use crate::codec::{Codec, is_installed};
use salono_media_api::processing::Encoding;
use salono_media_api::{Bitrate, MediaKind};

/// Who an encoder works for. Those of the same codec and class share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// People who look and listen now: follows their bandwidth.
    Live,
    /// The same, of pictures in slices that fit a packet each.
    Slices,
    /// A file: constant quality at a rate of its own.
    File {
        /// Bits per second; zero for the codec's usual one.
        bitrate: u32,
    },
}

/// Which encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// Makes this.
    pub codec: Codec,
    /// For these.
    pub purpose: Purpose,
}

/// The unit of an encoder's rate property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateUnit {
    Bps,
    Kbps,
}

/// An encoder as a piece of pipeline. The element that has the rate is named `encoder`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) text: String,
    /// Property and unit of its rate, when it can be changed.
    pub(crate) rate: Option<(&'static str, RateUnit)>,
    /// It wants even widths and heights.
    pub(crate) even: bool,
    /// It wants to be told a framerate, although pictures have their times.
    pub(crate) paced: bool,
}

/// Elements that make a codec, the best one first: text, rate property, evenness.
type Maker = (&'static str, Option<(&'static str, RateUnit)>, bool);

/// Bytes of a slice that fits a packet, with room for what the encoder is off by.
const MAX_SLICE: u32 = 1_100;

const VIDEO_RAW: &str = "videoconvert n-threads=1 ! video/x-raw,format=I420";

fn makers(codec: Codec) -> &'static [Maker] {
    use RateUnit::{Bps, Kbps};
    match codec {
        // One thread each: the workers of libvpx spin, and there are many encoders to a core.
        Codec::Vp8 => &[(
            "vp8enc name=encoder deadline=1 cpu-used=8 threads=1 lag-in-frames=0 end-usage=cbr \
             keyframe-max-dist=600 undershoot=95 overshoot=15 buffer-size=1000 \
             buffer-initial-size=500 buffer-optimal-size=600 min-quantizer=4 max-quantizer=56 \
             static-threshold=100",
            Some(("target-bitrate", Bps)),
            false,
        )],
        Codec::Vp9 => &[(
            "vp9enc name=encoder deadline=1 cpu-used=8 threads=1 lag-in-frames=0 end-usage=cbr \
             keyframe-max-dist=600 undershoot=95 overshoot=15 buffer-size=1000 \
             buffer-initial-size=500 buffer-optimal-size=600 min-quantizer=4 max-quantizer=56",
            Some(("target-bitrate", Bps)),
            false,
        )],
        // The element does not listen to wishes for keyframes, so they come often; its default bounds of the quantizer
        // make libaom abort.
        Codec::Av1 => &[(
            "av1enc name=encoder usage-profile=realtime cpu-used=9 threads=1 lag-in-frames=0 \
             end-usage=cbr min-quantizer=10 max-quantizer=56 keyframe-max-dist=60 ! av1parse ! \
             video/x-av1,stream-format=obu-stream,alignment=tu",
            Some(("target-bitrate", Kbps)),
            false,
        )],
        Codec::H264 => &[
            (
                "x264enc name=encoder speed-preset=veryfast tune=zerolatency key-int-max=600 \
                 threads=1 sliced-threads=false byte-stream=true ! \
                 video/x-h264,profile=constrained-baseline ! h264parse config-interval=-1 ! \
                 video/x-h264,stream-format=byte-stream,alignment=au",
                Some(("bitrate", Kbps)),
                true,
            ),
            (
                "openh264enc name=encoder rate-control=bitrate complexity=low gop-size=600 \
                 multi-thread=1 ! h264parse config-interval=-1 ! \
                 video/x-h264,stream-format=byte-stream,alignment=au",
                Some(("bitrate", Bps)),
                true,
            ),
        ],
        Codec::H265 => &[(
            "x265enc name=encoder speed-preset=ultrafast tune=zerolatency key-int-max=600 \
             option-string=pools=none:frame-threads=1 ! h265parse config-interval=-1 ! \
             video/x-h265,stream-format=byte-stream,alignment=au",
            Some(("bitrate", Kbps)),
            true,
        )],
        // Baseline knows five sizes only; CIF is the one that everything shows. Without headers of groups of blocks, which
        // come with a bound of packets, its payloader cuts nothing.
        Codec::H263 => &[(
            "videoscale ! video/x-raw,width=352,height=288 ! avenc_h263 name=encoder gop-size=120 ps=500",
            Some(("bitrate", Bps)),
            false,
        )],
        Codec::H263Plus => &[(
            "avenc_h263p name=encoder gop-size=120",
            Some(("bitrate", Bps)),
            true,
        )],
        Codec::Jpeg => &[("jpegenc name=encoder quality=85", None, false)],
        Codec::Opus => &[(
            "audio/x-raw,rate=48000 ! opusenc name=encoder inband-fec=true \
             packet-loss-percentage=10 frame-size=20",
            Some(("bitrate", Bps)),
            false,
        )],
        Codec::Pcmu => &[(
            "audio/x-raw,rate=8000,channels=1 ! mulawenc name=encoder",
            None,
            false,
        )],
        Codec::Pcma => &[(
            "audio/x-raw,rate=8000,channels=1 ! alawenc name=encoder",
            None,
            false,
        )],
        Codec::Amr => &[(
            "audio/x-raw,rate=8000,channels=1 ! amrnbenc name=encoder",
            None,
            false,
        )],
        Codec::Speex => &[(
            "audio/x-raw,rate=16000,channels=1 ! speexenc name=encoder mode=wb",
            None,
            false,
        )],
        Codec::G722 => &[(
            "audio/x-raw,rate=16000,channels=1 ! avenc_g722 name=encoder",
            None,
            false,
        )],
        Codec::Aac => &[
            (
                "audio/x-raw,rate=48000 ! avenc_aac name=encoder ! aacparse ! \
                 audio/mpeg,mpegversion=4,stream-format=raw",
                Some(("bitrate", Bps)),
                false,
            ),
            (
                "audio/x-raw,rate=48000 ! voaacenc name=encoder ! aacparse ! \
                 audio/mpeg,mpegversion=4,stream-format=raw",
                Some(("bitrate", Bps)),
                false,
            ),
        ],
    }
}

impl Class {
    /// For people who look and listen now.
    pub const fn live(codec: Codec) -> Self {
        Self {
            codec,
            purpose: Purpose::Live,
        }
    }

    /// The piece of pipeline that encodes; `None` when no such encoder is installed.
    pub(crate) fn recipe(self, encoding: &Encoding) -> Option<Recipe> {
        let (text, rate, even) = makers(self.codec)
            .iter()
            .find(|(text, ..)| is_installed(text))?;
        let live = match self.purpose {
            Purpose::Live | Purpose::Slices => true,
            Purpose::File { .. } => false,
        };
        let sliced;
        let text = match self.purpose {
            Purpose::Slices if self.codec == Codec::H264 => {
                sliced = slices(text)?;
                sliced.as_str()
            }
            Purpose::Slices | Purpose::Live | Purpose::File { .. } => text,
        };
        let text = match self.codec.kind() {
            MediaKind::Audio => {
                format!("audioconvert ! audioresample ! {text}")
            }
            MediaKind::Video | MediaKind::Data => {
                let crop = if *even { "videocrop name=crop ! " } else { "" };
                let pace = match encoding.video.as_ref().map(|form| form.framerate) {
                    Some(pace) if live && pace.numerator > 0 && pace.denominator > 0 => format!(
                        "videorate ! video/x-raw,framerate={}/{} ! ",
                        pace.numerator.min(240),
                        pace.denominator.min(10_000)
                    ),
                    Some(_) | None => String::new(),
                };
                format!("{crop}{pace}{VIDEO_RAW} ! {text}")
            }
        };
        Some(Recipe {
            text,
            rate: *rate,
            even: *even,
            paced: matches!(self.codec, Codec::H265 | Codec::H263 | Codec::H263Plus),
        })
    }

    /// The rate to encode with, in bits per second: what the receivers can take, within the limits.
    pub(crate) fn bitrate(self, encoding: &Encoding, estimate: Option<Bitrate>) -> u64 {
        let wanted = match (self.purpose, self.codec.kind()) {
            (Purpose::File { bitrate }, _) if bitrate > 0 => return u64::from(bitrate),
            (_, MediaKind::Audio) => {
                return self.sound(encoding.audio.as_ref().map(|form| form.bitrate));
            }
            (Purpose::File { .. }, _) => return 2_500_000,
            (Purpose::Live | Purpose::Slices, _) => estimate.unwrap_or(encoding.target),
        };
        let most = encoding.max.max(encoding.min);
        // Encoders know no pictures below this, and the property has 31 bits.
        wanted
            .clamp(encoding.min, most)
            .as_bps()
            .clamp(30_000, 100_000_000)
    }

    /// Sound has its own rate, whatever pictures are given.
    fn sound(self, forced: Option<Bitrate>) -> u64 {
        match forced.map(Bitrate::as_bps) {
            Some(bitrate) if bitrate > 0 => bitrate.clamp(6_000, 510_000),
            Some(_) | None if self.codec == Codec::Aac => 128_000,
            Some(_) | None => 48_000,
        }
    }
}

/// An encoder of H264 whose slices fit a packet each; `None` for one that cannot be told to.
fn slices(encoder: &str) -> Option<String> {
    let rest = encoder.strip_prefix("x264enc ")?;
    Some(format!(
        "x264enc option-string=slice-max-size={MAX_SLICE} {rest}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::default_encoding;

    #[test]
    fn the_rate_stays_within_its_limits() {
        let class = Class::live(Codec::Vp8);
        let encoding = Encoding {
            min: Bitrate::kbps(200),
            max: Bitrate::kbps(900),
            ..default_encoding()
        };
        assert_eq!(class.bitrate(&encoding, None), 300_000);
        assert_eq!(class.bitrate(&encoding, Some(Bitrate::kbps(50))), 200_000);
        assert_eq!(
            class.bitrate(&encoding, Some(Bitrate::kbps(5_000))),
            900_000
        );
    }

    #[test]
    fn sound_is_not_given_the_rate_of_pictures() {
        let class = Class::live(Codec::Opus);
        assert_eq!(
            class.bitrate(&default_encoding(), Some(Bitrate::bps(1))),
            48_000
        );
    }

    #[test]
    fn all_encoders_of_the_platform_can_be_made() {
        gstreamer::init().unwrap();
        for codec in Codec::all() {
            let recipe = Class::live(codec).recipe(&default_encoding());
            let recipe = recipe.unwrap_or_else(|| panic!("{codec:?} has no encoder"));
            gstreamer::parse::bin_from_description(&format!("{} ! fakesink", recipe.text), true)
                .unwrap_or_else(|error| panic!("{}: {error}", recipe.text));
        }
    }
}
