//! Filters: `GStreamerFilter`, `ImageOverlayFilter`, `FaceOverlayFilter`, `ZBarFilter`, `ChromaFilter`.

use crate::{
    Limits,
    call::{Asked, Call},
    processing::Answer,
};
use salono_kurento_model::{Error, ErrorCode, Map, Value};
use salono_media_api::{
    MediaKind,
    processing::{FilterSpec, Picture, Place, ProcessorCall, Window},
};
use std::collections::BTreeSet;

/// State of a filter.
#[derive(Debug)]
pub(crate) enum Filter {
    /// `GStreamerFilter`.
    GStreamer {
        /// As given.
        command: String,
    },
    /// `ImageOverlayFilter`.
    ImageOverlay {
        /// Ids of the pictures.
        pictures: BTreeSet<String>,
        /// Most of them.
        limit: usize,
    },
    /// `FaceOverlayFilter`.
    FaceOverlay,
    /// `ZBarFilter`.
    ZBar,
    /// `ChromaFilter`.
    Chroma,
}

impl Filter {
    /// A filter of an available class.
    pub(crate) fn new(
        qualified: &str,
        params: &Map<String, Value>,
        limits: &Limits,
    ) -> Option<Self> {
        Some(match qualified {
            "kurento.GStreamerFilter" => Self::GStreamer {
                command: text(params, "command").to_owned(),
            },
            "kurento.ImageOverlayFilter" => Self::ImageOverlay {
                pictures: BTreeSet::new(),
                limit: limits.pictures_per_filter,
            },
            "kurento.FaceOverlayFilter" => Self::FaceOverlay,
            "kurento.ZBarFilter" => Self::ZBar,
            "chroma.ChromaFilter" => Self::Chroma,
            _ => return None,
        })
    }

    /// Operations of filters.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Option<Result<Answer, Error>> {
        let given = |name: &str| call.text(name).unwrap_or_default().to_owned();
        let answer = match (self, call.operation) {
            (Self::GStreamer { command }, "getCommand") => Answer::Now(command.as_str().into()),
            (Self::GStreamer { .. }, "setElementProperty") => {
                let request = ProcessorCall::SetElementProperty {
                    name: given("propertyName"),
                    value: given("propertyValue"),
                };
                Answer::Ask(request, Asked::ElementProperty)
            }
            (Self::ImageOverlay { pictures, limit }, "addImage") => {
                let id = given("id");
                if !pictures.contains(&id) && pictures.len() >= *limit {
                    return Some(Err(Error::new(
                        ErrorCode::NotEnoughResources,
                        format!("Reached the limit of {limit} pictures of one filter"),
                    )));
                }
                pictures.insert(id.clone());
                let request = ProcessorCall::AddPicture {
                    id,
                    picture: picture(call),
                    keep_aspect: call.flag("keepAspectRatio").unwrap_or_default(),
                    center: call.flag("center").unwrap_or_default(),
                };
                Answer::Ask(request, Asked::Picture)
            }
            (Self::ImageOverlay { pictures, .. }, "removeImage") => {
                let id = given("id");
                pictures.remove(&id);
                Answer::success(ProcessorCall::RemovePicture { id })
            }
            (Self::FaceOverlay, "setOverlayedImage") => {
                let request = ProcessorCall::SetFacePicture {
                    picture: Some(picture(call)),
                };
                Answer::Ask(request, Asked::Picture)
            }
            (Self::FaceOverlay, "unsetOverlayedImage") => {
                Answer::success(ProcessorCall::SetFacePicture { picture: None })
            }
            (Self::Chroma, "setBackground") => Answer::Ask(
                ProcessorCall::SetBackground { uri: given("uri") },
                Asked::Picture,
            ),
            (Self::Chroma, "unsetBackground") => {
                Answer::success(ProcessorCall::SetBackground { uri: String::new() })
            }
            _ => return None,
        };
        Some(Ok(answer))
    }
}

/// What the engine makes a filter from.
pub(crate) fn spec(filter: &Filter, params: &Map<String, Value>) -> Result<FilterSpec, Error> {
    Ok(match filter {
        Filter::GStreamer { command } => {
            let kind = match text(params, "filterType") {
                "AUDIO" => Some(MediaKind::Audio),
                "VIDEO" => Some(MediaKind::Video),
                _ => None,
            };
            FilterSpec::GStreamer {
                command: command.clone(),
                kind,
                takes: kind.unwrap_or_else(|| likely_kind(command)),
            }
        }
        Filter::ImageOverlay { .. } => FilterSpec::ImageOverlay,
        Filter::FaceOverlay => FilterSpec::FaceOverlay { picture: None },
        Filter::ZBar => FilterSpec::ZBar,
        Filter::Chroma => FilterSpec::Chroma {
            window: window(params)?,
            background: text(params, "backgroundImage").to_owned(),
        },
    })
}

/// What a GStreamer element works on, by its name. The element itself decides: where this is wrong it
/// refuses to be created.
fn likely_kind(command: &str) -> MediaKind {
    const OF_SOUND: &[&str] = &[
        "volume",
        "level",
        "freeverb",
        "stereo",
        "pitch",
        "rgvolume",
        "cutter",
        "removesilence",
        "speed",
        "scaletempo",
    ];
    let name = command.split_whitespace().next().unwrap_or_default();
    let is_sound =
        name.starts_with("audio") || name.starts_with("equalizer-") || OF_SOUND.contains(&name);
    if is_sound {
        MediaKind::Audio
    } else {
        MediaKind::Video
    }
}

fn text<'a>(params: &'a Map<String, Value>, name: &str) -> &'a str {
    params.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The picture that a call is about, in shares of what it is drawn over.
fn picture(call: &Call<'_>) -> Picture {
    Picture {
        uri: call.text("uri").unwrap_or_default().to_owned(),
        place: Place {
            x: call.float("offsetXPercent"),
            y: call.float("offsetYPercent"),
            width: call.float("widthPercent"),
            height: call.float("heightPercent"),
        },
    }
}

fn window(params: &Map<String, Value>) -> Result<Window, Error> {
    let member = |name: &str| {
        let window = params.get("window").and_then(Value::as_object);
        let number = window.and_then(|window| window.get(name)?.as_i64());
        let number = number.and_then(|number| i32::try_from(number).ok());
        number.filter(|number| *number >= 0).ok_or_else(|| {
            Error::new(
                ErrorCode::MediaObjectIllegalParam,
                format!("'{name}' of the window is out of range"),
            )
        })
    };
    Ok(Window {
        x: member("topRightCornerX")?,
        y: member("topRightCornerY")?,
        width: member("width")?,
        height: member("height")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_gstreamer_element_is_told_by_its_name() {
        for sound in [
            "volume volume=0.5",
            "audioecho",
            "equalizer-3bands",
            " level ",
        ] {
            assert_eq!(likely_kind(sound), MediaKind::Audio, "{sound}");
        }
        for pictures in ["videoflip method=4", "agingtv", "volumes", ""] {
            assert_eq!(likely_kind(pictures), MediaKind::Video, "{pictures}");
        }
    }
}
