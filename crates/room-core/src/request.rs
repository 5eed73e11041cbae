//! The requests that rooms make of a media server: documented Kurento API, and beyond that only what
//! the server says that it has.

use salono_kurento_model::wire::{Notification, Request};
use salono_kurento_model::{Map, Value};

use crate::chain::Change;
use crate::command::{IceCandidate, SdpType, VideoLayer};

pub(crate) fn create_pipeline() -> Request {
    create("MediaPipeline", Map::new())
}

pub(crate) fn create_endpoint(web: bool, pipeline: &str, data_channels: bool) -> Request {
    let mut params = in_pipeline(pipeline);
    if web && data_channels {
        params.insert("useDataChannels".into(), Value::Bool(true));
    }
    create(if web { "WebRtcEndpoint" } else { "RtpEndpoint" }, params)
}

pub(crate) fn create_pass_through(pipeline: &str) -> Request {
    create("PassThrough", in_pipeline(pipeline))
}

pub(crate) fn subscribe(object: &str, event: &str) -> Request {
    Request::Subscribe {
        object: object.into(),
        event: event.into(),
    }
}

pub(crate) fn release(object: String) -> Request {
    Request::Release { object }
}

pub(crate) fn set_bandwidth(
    endpoint: &str,
    operation: &str,
    parameter: &str,
    kbps: u32,
) -> Request {
    invoke(endpoint, operation, [(parameter, kbps.into())])
}

pub(crate) fn generate_offer(endpoint: &str) -> Request {
    invoke(endpoint, "generateOffer", [])
}

pub(crate) fn process(endpoint: &str, sdp_type: SdpType, sdp: String) -> Request {
    match sdp_type {
        SdpType::Offer => invoke(endpoint, "processOffer", [("offer", sdp.into())]),
        SdpType::Answer => invoke(endpoint, "processAnswer", [("answer", sdp.into())]),
    }
}

pub(crate) fn gather_candidates(endpoint: &str) -> Request {
    invoke(endpoint, "gatherCandidates", [])
}

pub(crate) fn add_ice_candidate(endpoint: &str, candidate: IceCandidate) -> Request {
    let mut value = Map::new();
    value.insert("__module__".into(), "kurento".into());
    value.insert("__type__".into(), "IceCandidate".into());
    value.insert("candidate".into(), candidate.candidate.into());
    value.insert("sdpMid".into(), candidate.sdp_mid.into());
    value.insert("sdpMLineIndex".into(), candidate.sdp_m_line_index.into());
    invoke(
        endpoint,
        "addIceCandidate",
        [("candidate", Value::Object(value))],
    )
}

pub(crate) fn change(change: Change) -> Request {
    let mut params = Map::new();
    params.insert("sink".into(), change.sink.into());
    if let Some(media) = change.media {
        params.insert("mediaType".into(), media.wire_name().into());
    }
    Request::Invoke {
        object: change.source,
        operation: if change.connect {
            "connect"
        } else {
            "disconnect"
        }
        .into(),
        params: Some(Value::Object(params)),
    }
}

/// The candidate in an `IceCandidateFound` event, if it has one.
pub(crate) fn found_candidate(notification: &Notification) -> Option<IceCandidate> {
    let candidate = notification.data.get("candidate")?;
    let index = candidate.get("sdpMLineIndex")?.as_i64()?;
    Some(IceCandidate {
        candidate: candidate.get("candidate")?.as_str()?.to_owned(),
        sdp_mid: candidate.get("sdpMid")?.as_str()?.to_owned(),
        sdp_m_line_index: i32::try_from(index).ok()?,
    })
}

/// An `Error` event as participants are told of it.
pub(crate) fn error_description(notification: &Notification) -> String {
    let text = |key: &str| {
        notification
            .data
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let code = notification
        .data
        .get("errorCode")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    format!("{}: {}(errCode={code})", text("type"), text("description"))
}

/// Events of the detector of speakers.
pub(crate) const ACTIVE_SPEAKER_CHANGED: &str = "ActiveSpeakerChanged";
pub(crate) const AUDIO_LEVELS: &str = "AudioLevels";

/// Asks what the media server has.
pub(crate) fn server_info() -> Request {
    invoke("manager_ServerManager", "getInfo", [])
}

/// Whether a media server's info lists a class of the module `salono`.
pub(crate) fn has_class(info: &Value, class: &str) -> bool {
    let modules = info.get("modules").and_then(Value::as_array);
    modules.into_iter().flatten().any(|module| {
        let factories = module.get("factories").and_then(Value::as_array);
        module.get("name").and_then(Value::as_str) == Some("salono")
            && factories
                .into_iter()
                .flatten()
                .any(|factory| factory.as_str() == Some(class))
    })
}

pub(crate) fn create_speaker_detector(pipeline: &str) -> Request {
    create("salono.SpeakerDetector", in_pipeline(pipeline))
}

pub(crate) fn set_loudest(detector: &str, loudest: u16) -> Request {
    invoke(detector, "setLoudest", [("loudest", loudest.into())])
}

pub(crate) fn set_level_interval(detector: &str, milliseconds: u32) -> Request {
    let interval = [("levelInterval", milliseconds.into())];
    invoke(detector, "setLevelInterval", interval)
}

/// Event of the adaptation of an endpoint.
pub(crate) const LAYER_CHANGED: &str = "LayerChanged";

/// Bytes of the name of a viewer; longer ones are left out.
const MAX_VIEWER: usize = 256;

pub(crate) fn create_video_adaptation(endpoint: &str, viewer: &str) -> Request {
    let mut params = Map::new();
    params.insert("endpoint".into(), endpoint.into());
    if viewer.len() <= MAX_VIEWER {
        params.insert("viewer".into(), viewer.into());
    }
    create("salono.VideoAdaptation", params)
}

pub(crate) fn set_preferred_height(adaptation: &str, height: u16) -> Request {
    let height = [("preferredHeight", height.into())];
    invoke(adaptation, "setPreferredHeight", height)
}

pub(crate) fn set_priority(adaptation: &str, priority: u8) -> Request {
    invoke(adaptation, "setPriority", [("priority", priority.into())])
}

/// The quality in a `LayerChanged` event, if it is one.
pub(crate) fn changed_layer(notification: &Notification) -> Option<VideoLayer> {
    let number = |name: &str| notification.data.get(name).and_then(Value::as_u64);
    Some(VideoLayer {
        spatial: number("spatialLayer")?.try_into().ok()?,
        temporal: number("temporalLayer")?.try_into().ok()?,
        height: number("height").and_then(|height| height.try_into().ok()),
    })
}

fn create(class: &str, params: Map<String, Value>) -> Request {
    Request::Create {
        class: class.into(),
        params: Some(Value::Object(params)),
    }
}

fn in_pipeline(pipeline: &str) -> Map<String, Value> {
    let mut params = Map::new();
    params.insert("mediaPipeline".into(), pipeline.into());
    params
}

fn invoke<const N: usize>(object: &str, operation: &str, params: [(&str, Value); N]) -> Request {
    let params: Map<String, Value> = params
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    Request::Invoke {
        object: object.into(),
        operation: operation.into(),
        params: (!params.is_empty()).then_some(Value::Object(params)),
    }
}
