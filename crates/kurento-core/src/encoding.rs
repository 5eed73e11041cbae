//! `MediaElement`: how what an element lets out is encoded, where a receiver needs that.
//!
//! The engine forwards media as it comes whenever the receivers take it, and is told of this only once
//! somebody asks for anything but Kurento's defaults.

use crate::{
    EndpointDefaults, ObjectModel,
    call::{Call, Outcome},
    element::PerKind,
};
use salono_kurento_model::{Error, Map, Value};
use salono_media_api::{
    Bitrate, ElementKey, MediaKind, Op,
    processing::{AudioForm, Encoding as EngineEncoding, Fraction, VideoForm},
};

/// Encoder bitrates, and the forms that clients asked for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Encoding {
    rate: EncoderBitrate,
    video: Option<VideoForm>,
    audio: Option<AudioForm>,
    /// Names of the codecs as clients gave them.
    names: PerKind<Option<String>>,
}

/// Bits per second; the target always lies between the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EncoderBitrate {
    target: i32,
    min: i32,
    max: i32,
}

impl Default for EncoderBitrate {
    fn default() -> Self {
        Self::new(&EndpointDefaults::default())
    }
}

impl EncoderBitrate {
    /// The configured ones, made to agree with each other.
    fn new(defaults: &EndpointDefaults) -> Self {
        // Kurento's own file writes 0 where it means that there is none.
        let max = match defaults.max_encoder_bitrate {
            ..=0 => i32::MAX,
            max => max,
        };
        let min = defaults.min_encoder_bitrate.clamp(0, max);
        Self {
            target: defaults.encoder_bitrate.clamp(min, max),
            min,
            max,
        }
    }
}

impl Encoding {
    /// The configured one.
    pub(crate) fn new(defaults: &EndpointDefaults) -> Self {
        Self {
            rate: EncoderBitrate::new(defaults),
            ..Self::default()
        }
    }

    /// The codec that a client asked for, by Kurento's name.
    pub(crate) fn codec(&self, kind: MediaKind) -> Option<&str> {
        self.names.get(kind)?.as_deref()
    }

    fn for_engine(&self) -> EngineEncoding {
        EngineEncoding {
            target: bitrate(self.rate.target),
            min: bitrate(self.rate.min),
            max: bitrate(self.rate.max),
            video: self.video.clone(),
            audio: self.audio.clone(),
        }
    }
}

impl ObjectModel {
    /// Tells the engine of configured bitrates, if they are not those that it assumes.
    pub(crate) fn order_initial_encoding(&mut self, key: u64) {
        let object = self.tree.get(key);
        let element = object.and_then(|object| object.element());
        if element.is_some_and(|it| it.encoding.rate != EncoderBitrate::default()) {
            self.order_encoding(key);
        }
    }

    fn order_encoding(&mut self, key: u64) {
        let Some(object) = self.tree.get(key) else {
            return;
        };
        if let (Some(pipeline), Some(element)) = (object.pipeline, object.element()) {
            let op = Op::SetEncoding {
                element: ElementKey(key),
                encoding: Box::new(element.encoding.for_engine()),
            };
            self.order(pipeline, op);
        }
    }

    /// `setAudioFormat`, `setVideoFormat`: the element lets nothing else out from now on. `RAW` names no
    /// codec, so that the receivers decide again.
    pub(crate) fn set_format(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let caps = call.params.get("caps").and_then(Value::as_object);
        let object = self.tree.get_mut(call.object);
        let element = object.and_then(|object| object.element_mut());
        let (Some(caps), Some(element)) = (caps, element) else {
            return Ok(Outcome::VOID);
        };
        let encoding = &mut element.encoding;
        let name = caps.get("codec").and_then(Value::as_str);
        let is_audio = call.operation == "setAudioFormat";
        let kind = if is_audio {
            MediaKind::Audio
        } else {
            MediaKind::Video
        };
        if let Some(codec) = encoding.names.get_mut(kind) {
            *codec = name.map(str::to_owned);
        }
        if is_audio {
            encoding.audio = Some(AudioForm {
                codec: name.and_then(encoding_name),
                bitrate: bitrate(number(caps, "bitrate")),
            });
        } else {
            let framerate = caps.get("framerate").and_then(Value::as_object);
            let part = |name| framerate.map_or(0, |it| number(it, name));
            encoding.video = Some(VideoForm {
                codec: name.and_then(encoding_name),
                framerate: Fraction {
                    numerator: u32::try_from(part("numerator")).unwrap_or(0),
                    denominator: u32::try_from(part("denominator")).unwrap_or(0),
                },
            });
        }
        self.order_encoding(call.object);
        Ok(Outcome::VOID)
    }

    /// Encoder bitrates: their accessors.
    pub(crate) fn call_encoder(&mut self, call: &Call<'_>) -> Option<Outcome> {
        let element = self.tree.get_mut(call.object)?.element_mut()?;
        let rate = &mut element.encoding.rate;
        let before = *rate;
        let given = |name: &str| call.int(name).unwrap_or_default();
        match call.operation {
            "getEncoderBitrate" => return Some(Outcome::Value(rate.target.into())),
            "getMinEncoderBitrate" => return Some(Outcome::Value(rate.min.into())),
            "getMaxEncoderBitrate" => return Some(Outcome::Value(rate.max.into())),
            "setEncoderBitrate" => {
                rate.target = given("encoderBitrate").clamp(rate.min, rate.max);
            }
            "setMinEncoderBitrate" => {
                rate.min = given("minEncoderBitrate").clamp(0, rate.max);
                rate.target = rate.target.max(rate.min);
            }
            "setMaxEncoderBitrate" => {
                rate.max = given("maxEncoderBitrate").max(rate.min);
                rate.target = rate.target.min(rate.max);
            }
            _ => return None,
        }
        if *rate != before {
            self.order_encoding(call.object);
        }
        Some(Outcome::VOID)
    }
}

/// Encoding name as in SDP; `None` for `RAW`.
fn encoding_name(codec: &str) -> Option<String> {
    match codec {
        "RAW" => None,
        "OPUS" => Some("opus".to_owned()),
        name => Some(name.to_owned()),
    }
}

fn number(members: &Map<String, Value>, name: &str) -> i32 {
    let number = members.get(name).and_then(Value::as_i64);
    number
        .and_then(|it| i32::try_from(it).ok())
        .unwrap_or_default()
}

/// Bits per second; none below zero.
fn bitrate(bits: i32) -> Bitrate {
    Bitrate::bps(u64::try_from(bits).unwrap_or(0))
}
