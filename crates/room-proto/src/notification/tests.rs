//! Events are written exactly and read again.

use serde_json::{Value, json};

use super::{AudioLevel, Notification, NotificationError};
use crate::reply::StreamInfo;

fn all() -> Vec<(Notification, &'static str, &'static str)> {
    vec![
        (
            Notification::ParticipantJoined { user: "a".into() },
            "participantJoined",
            r#"{"id":"a"}"#,
        ),
        (
            Notification::ParticipantPublished {
                user: "a".into(),
                streams: vec![StreamInfo::webcam()],
            },
            "participantPublished",
            r#"{"id":"a","streams":[{"id":"webcam"}]}"#,
        ),
        (
            Notification::ParticipantUnpublished {
                user: "a".into(),
                streams: None,
            },
            "participantUnpublished",
            r#"{"name":"a"}"#,
        ),
        (
            Notification::ParticipantUnpublished {
                user: "a".into(),
                streams: Some(vec![StreamInfo::named("screen")]),
            },
            "participantUnpublished",
            r#"{"name":"a","streams":[{"id":"screen"}]}"#,
        ),
        (
            Notification::ParticipantLeft { user: "a".into() },
            "participantLeft",
            r#"{"name":"a"}"#,
        ),
        (Notification::ParticipantEvicted, "participantEvicted", "{}"),
        (
            Notification::SendMessage {
                room: "r".into(),
                user: "a".into(),
                message: "<b>&'=\"é".into(),
            },
            "sendMessage",
            r#"{"room":"r","user":"a","message":"<b>&'=\"é"}"#,
        ),
        (
            Notification::IceCandidate {
                endpoint: "a".into(),
                sdp_m_line_index: 1,
                sdp_mid: "video".into(),
                candidate: "candidate:1".into(),
                stream: None,
            },
            "iceCandidate",
            r#"{"endpointName":"a","sdpMLineIndex":1,"sdpMid":"video","candidate":"candidate:1"}"#,
        ),
        (
            Notification::IceCandidate {
                endpoint: "a".into(),
                sdp_m_line_index: 0,
                sdp_mid: "0".into(),
                candidate: "candidate:1".into(),
                stream: Some("screen".into()),
            },
            "iceCandidate",
            r#"{"endpointName":"a","sdpMLineIndex":0,"sdpMid":"0","candidate":"candidate:1","stream":"screen"}"#,
        ),
        (
            Notification::MediaError {
                error: "X: y(errCode=1)".into(),
            },
            "mediaError",
            r#"{"error":"X: y(errCode=1)"}"#,
        ),
        (
            Notification::ActiveSpeakerChanged {
                speaker: Some(("a".into(), "webcam".into())),
            },
            "activeSpeakerChanged",
            r#"{"id":"a","stream":"webcam"}"#,
        ),
        (
            Notification::ActiveSpeakerChanged { speaker: None },
            "activeSpeakerChanged",
            "{}",
        ),
        (
            Notification::AudioLevels {
                levels: vec![AudioLevel {
                    user: "a".into(),
                    stream: "webcam".into(),
                    level: -30,
                }],
            },
            "audioLevels",
            r#"{"levels":[{"id":"a","stream":"webcam","level":-30}]}"#,
        ),
        (
            Notification::VideoLayerChanged {
                user: "a".into(),
                stream: "webcam".into(),
                spatial_layer: 1,
                temporal_layer: 2,
                height: Some(360),
            },
            "videoLayerChanged",
            r#"{"id":"a","stream":"webcam","spatialLayer":1,"temporalLayer":2,"height":360}"#,
        ),
        (
            Notification::VideoLayerChanged {
                user: "a".into(),
                stream: "webcam".into(),
                spatial_layer: 0,
                temporal_layer: 0,
                height: None,
            },
            "videoLayerChanged",
            r#"{"id":"a","stream":"webcam","spatialLayer":0,"temporalLayer":0}"#,
        ),
        (
            Notification::MediaMuted {
                user: "a".into(),
                stream: "webcam".into(),
                audio: true,
                video: false,
            },
            "mediaMuted",
            r#"{"id":"a","stream":"webcam","audio":true,"video":false}"#,
        ),
        (
            Notification::RoomLocked { locked: true },
            "roomLocked",
            r#"{"locked":true}"#,
        ),
        (
            Notification::Republish {
                streams: vec![StreamInfo::webcam()],
            },
            "republish",
            r#"{"streams":[{"id":"webcam"}]}"#,
        ),
        (
            Notification::RoomClosed { room: "r".into() },
            "roomClosed",
            r#"{"room":"r"}"#,
        ),
        (
            Notification::Custom(
                json!({ "MarkerFilterState": 1 })
                    .as_object()
                    .cloned()
                    .unwrap(),
            ),
            "custonNotification",
            r#"{"MarkerFilterState":1}"#,
        ),
    ]
}

#[test]
fn every_event_has_its_exact_name_and_members() {
    for (event, method, params) in all() {
        assert_eq!(event.method(), method);
        assert_eq!(serde_json::to_string(&event).unwrap(), params);
    }
}

#[test]
fn every_event_is_understood_again() {
    for (event, method, params) in all() {
        let params: Value = serde_json::from_str(params).unwrap();
        assert_eq!(Notification::parse(method, Some(&params)), Ok(event));
    }
    assert_eq!(
        Notification::parse("other", None),
        Err(NotificationError::UnknownMethod)
    );
}

#[test]
fn null_is_never_written() {
    let event = Notification::Custom(json!({ "a": null }).as_object().cloned().unwrap());
    assert_eq!(serde_json::to_string(&event).unwrap(), "{}");
}
