//! `UriEndpoint` with its classes `PlayerEndpoint` and `RecorderEndpoint`.
//!
//! What state such an endpoint is in, its element says: a call in the wrong state is not refused but
//! does nothing there. The object model keeps the last state and tells every change once.

use crate::{
    Config,
    call::{Asked, Call},
    processing::Answer,
};
use salono_kurento_model::{Error, ErrorCode, Map, Value};
use salono_media_api::processing::{
    PlayerSpec, ProcessorCall, RecorderSpec, RecordingProfile, UriState,
};

/// Files of one recorder that its last event lists.
const MAX_FILES: usize = 1_000;

/// State of a player or a recorder.
#[derive(Debug)]
pub(crate) struct UriEndpoint {
    /// As given, but for slashes.
    uri: String,
    state: UriState,
    /// A recorder that was asked to record and has not come to its end.
    active: bool,
    /// A recorder that has come to its end, and so never records again.
    ended: bool,
    /// Files that a recorder has completed.
    files: Vec<String>,
    duration_ms: u64,
    bytes: u64,
}

impl UriEndpoint {
    pub(crate) fn new(params: &Map<String, Value>) -> Self {
        let uri = params.get("uri").and_then(Value::as_str);
        Self {
            uri: uri.unwrap_or_default().replace("%2F", "/"),
            state: UriState::Stop,
            active: false,
            ended: false,
            files: Vec::new(),
            duration_ms: 0,
            bytes: 0,
        }
    }

    pub(crate) fn player_spec(&self, params: &Map<String, Value>, config: &Config) -> PlayerSpec {
        let cache = params.get("networkCache").and_then(Value::as_i64);
        PlayerSpec {
            uri: self.absolute(config),
            encoded: flag(params, "useEncodedMedia"),
            network_cache_ms: u32::try_from(cache.unwrap_or_default()).unwrap_or(0),
            reconnect: true,
        }
    }

    pub(crate) fn recorder_spec(
        &self,
        params: &Map<String, Value>,
        config: &Config,
    ) -> Result<RecorderSpec, Error> {
        let name = params.get("mediaProfile").and_then(Value::as_str);
        Ok(RecorderSpec {
            uri: self.absolute(config),
            profile: profile(name.unwrap_or("WEBM"))?,
            stop_on_end: flag(params, "stopOnEndOfStream"),
        })
    }

    /// A recorder that was asked to record and has not come to its end.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// What is no URI is a path in the configured place.
    fn absolute(&self, config: &Config) -> String {
        if is_uri(&self.uri) {
            return self.uri.clone();
        }
        let folder = config.uris.default_path.trim_end_matches('/');
        format!("{folder}/{}", self.uri)
    }

    /// Operations of players.
    pub(crate) fn call_player(&self, call: &Call<'_>) -> Option<Answer> {
        Some(match call.operation {
            "play" => Answer::success(ProcessorCall::Play),
            "getPosition" => Answer::Ask(ProcessorCall::Position, Asked::Position),
            "setPosition" => {
                let position = call.params.get("position").and_then(Value::as_i64);
                let position_ms = position.unwrap_or_default();
                Answer::Ask(ProcessorCall::SetPosition { position_ms }, Asked::Seek)
            }
            "getVideoInfo" => Answer::Ask(ProcessorCall::VideoInfo, Asked::VideoInfo),
            "getElementGstreamerDot" => Answer::Ask(ProcessorCall::Dot, Asked::Text),
            _ => return self.call(call),
        })
    }

    /// Operations of recorders.
    pub(crate) fn call_recorder(&mut self, call: &Call<'_>) -> Option<Answer> {
        Some(match call.operation {
            "record" => {
                self.active = !self.ended;
                Answer::success(ProcessorCall::Record)
            }
            "stopAndWait" => Answer::Complete,
            _ => return self.call(call),
        })
    }

    /// Operations of both.
    fn call(&self, call: &Call<'_>) -> Option<Answer> {
        Some(match call.operation {
            "getUri" => Answer::Now(self.uri.as_str().into()),
            "getState" => Answer::Now(state_name(self.state).into()),
            "pause" => Answer::success(ProcessorCall::Pause),
            "stop" => Answer::success(ProcessorCall::Stop),
            _ => return None,
        })
    }

    /// A recorder has completed a file.
    pub(crate) fn recorded(&mut self, uri: String, duration_ms: u64, bytes: u64) {
        self.duration_ms = self.duration_ms.saturating_add(duration_ms);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.files.len() < MAX_FILES {
            self.files.push(uri);
        }
    }

    /// The element is in this state now: the events that tell of it, in order.
    pub(crate) fn state_changed(
        &mut self,
        state: UriState,
        records: bool,
    ) -> Vec<(&'static str, Map<String, Value>)> {
        if state == UriState::Stop {
            self.ended |= std::mem::take(&mut self.active);
        }
        if std::mem::replace(&mut self.state, state) == state {
            return Vec::new();
        }
        let data = Map::from_iter([("state".to_owned(), state_name(state).into())]);
        let mut events = vec![("UriEndpointStateChanged", data)];
        if records {
            events.push(match state {
                UriState::Start => ("Recording", Map::new()),
                UriState::Pause => ("Paused", Map::new()),
                UriState::Stop => ("Stopped", self.result()),
            });
        }
        events
    }

    /// What was recorded: members of `Stopped` that Kurento does not have.
    fn result(&self) -> Map<String, Value> {
        let Some(uri) = self.files.last() else {
            return Map::new();
        };
        Map::from_iter([
            ("uri".to_owned(), uri.as_str().into()),
            ("uris".to_owned(), self.files.clone().into()),
            ("duration".to_owned(), self.duration_ms.into()),
            ("bytes".to_owned(), self.bytes.into()),
        ])
    }
}

fn flag(params: &Map<String, Value>, name: &str) -> bool {
    let flag = params.get(name).and_then(Value::as_bool);
    flag.unwrap_or_default()
}

fn state_name(state: UriState) -> &'static str {
    match state {
        UriState::Stop => "STOP",
        UriState::Start => "START",
        UriState::Pause => "PAUSE",
    }
}

/// Whether a text begins with a scheme (RFC 3986 §3.1).
fn is_uri(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else {
        return false;
    };
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_inner)
}

fn profile(name: &str) -> Result<RecordingProfile, Error> {
    Ok(match name {
        "WEBM" => RecordingProfile::Webm,
        "WEBM_VIDEO_ONLY" => RecordingProfile::WebmVideoOnly,
        "WEBM_AUDIO_ONLY" => RecordingProfile::WebmAudioOnly,
        "MKV" => RecordingProfile::Mkv,
        "MKV_VIDEO_ONLY" => RecordingProfile::MkvVideoOnly,
        "MKV_AUDIO_ONLY" => RecordingProfile::MkvAudioOnly,
        "MP4" => RecordingProfile::Mp4,
        "MP4_VIDEO_ONLY" => RecordingProfile::Mp4VideoOnly,
        "MP4_AUDIO_ONLY" => RecordingProfile::Mp4AudioOnly,
        "FLV" => RecordingProfile::Flv,
        "JPEG_VIDEO_ONLY" => RecordingProfile::JpegVideoOnly,
        // A plug-in of others, which Kurento answers so where it is missing.
        _ => {
            return Err(Error::new(
                ErrorCode::MediaObjectIllegalParam,
                "Kurento Split Recorder not supported",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_with_a_scheme_is_a_uri() {
        for uri in ["file:///a", "http://a", "a+b-c.d9:", "rtsp://x/y z"] {
            assert!(is_uri(uri), "{uri}");
        }
        for path in ["", "a.webm", "/tmp/a", "9a:b", "a b:c", ":x", "folder/a:b"] {
            assert!(!is_uri(path), "{path}");
        }
    }
}
