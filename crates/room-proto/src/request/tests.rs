//! Requests are read leniently and written exactly.

use serde_json::json;

use super::{
    IceCandidate, JoinRoom, MAX_REPORTED_METHOD_CHARS, MuteMedia, ParamsError, PublishVideo,
    ReceiveVideo, Request, RequestError, RestartIce, SendMessage, SenderRef, VideoPreference,
};

fn all() -> Vec<Request> {
    let sender = SenderRef {
        user: "ann".into(),
        stream: "webcam".into(),
    };
    vec![
        Request::JoinRoom(JoinRoom {
            room: "r".into(),
            user: "ann".into(),
            data_channels: true,
            active_speaker: true,
            audio_levels: true,
            video_layers: true,
            streams: true,
            moderation: true,
            recovery: true,
            resume: true,
            resume_token: Some("t".into()),
            token: Some("a.b.c".into()),
        }),
        Request::LeaveRoom,
        Request::PublishVideo(PublishVideo {
            sdp_offer: "v=0".into(),
            do_loopback: false,
            stream: "screen".into(),
        }),
        Request::UnpublishVideo("webcam".into()),
        Request::UnpublishVideo("screen".into()),
        Request::ReceiveVideoFrom(ReceiveVideo {
            sender: sender.clone(),
            sdp_offer: "v=0".into(),
        }),
        Request::UnsubscribeFromVideo(sender.clone()),
        Request::OnIceCandidate(IceCandidate {
            endpoint_name: "ann".into(),
            candidate: "candidate:1".into(),
            sdp_mid: "0".into(),
            sdp_m_line_index: 0,
            stream: "webcam".into(),
        }),
        Request::SendMessage(SendMessage {
            user_message: "ann".into(),
            room_message: "r".into(),
            message: "hi".into(),
        }),
        Request::CustomRequest(json!({ "hat": true }).as_object().cloned().unwrap()),
        Request::SetVideoPreferences(vec![VideoPreference {
            sender: sender.clone(),
            height: 180,
            priority: 2,
        }]),
        Request::RestartIce(RestartIce {
            sdp_offer: "v=0".into(),
            sender: Some(sender.clone()),
            stream: "webcam".into(),
        }),
        Request::RestartIce(RestartIce {
            sdp_offer: "v=0".into(),
            sender: None,
            stream: "screen".into(),
        }),
        Request::MuteMedia(MuteMedia {
            sender,
            audio: Some(true),
            video: None,
        }),
        Request::EvictParticipant("bob".into()),
        Request::CloseRoom,
        Request::LockRoom(true),
    ]
}

#[test]
fn every_request_reads_back_what_it_writes() {
    for request in all() {
        let params = serde_json::Value::Object(request.params());
        assert_eq!(Request::parse(request.method(), Some(&params)), Ok(request));
    }
}

#[test]
fn every_required_parameter_is_reported_in_the_order_of_extraction() {
    let order: [(&str, &[&'static str]); 5] = [
        ("joinRoom", &["room", "user"]),
        ("publishVideo", &["sdpOffer", "doLoopback"]),
        ("receiveVideoFrom", &["sender", "sdpOffer"]),
        (
            "onIceCandidate",
            &["endpointName", "candidate", "sdpMid", "sdpMLineIndex"],
        ),
        ("sendMessage", &["userMessage", "roomMessage", "message"]),
    ];
    for (method, names) in order {
        let mut params = json!({});
        for name in names {
            let error = Request::parse(method, Some(&params)).unwrap_err();
            assert_eq!(error, ParamsError::Missing(name).into(), "{method}");
            assert_eq!(error.code(), -1);
            params[name] = json!(if *name == "sender" { "a_webcam" } else { "1" });
        }
        Request::parse(method, Some(&params)).unwrap();
        assert!(Request::parse(method, None).is_err());
    }
}

#[test]
fn preferences_are_read_leniently_but_not_without_a_sender() {
    let read = |preferences: serde_json::Value| {
        let params = json!({ "preferences": preferences });
        let request = Request::parse("setVideoPreferences", Some(&params))?;
        let Request::SetVideoPreferences(entries) = request else {
            panic!("{request:?}");
        };
        Ok(entries)
    };
    assert_eq!(read(json!([])), Ok(Vec::new()));
    let numbers = |entry| read(json!([entry])).map(|read| (read[0].height, read[0].priority));
    assert_eq!(numbers(json!({ "sender": "a_webcam" })), Ok((0, 0)));
    let text = json!({ "sender": "a_webcam", "height": "360", "priority": 1.5 });
    assert_eq!(numbers(text), Ok((360, 1)));
    let far = json!({ "sender": "a_webcam", "height": 70_000, "priority": -1 });
    assert_eq!(numbers(far), Ok((u16::MAX, 0)));
    assert_eq!(numbers(json!({ "sender": "a" })), Err(RequestError::Sender));
    let missing = ParamsError::Missing("sender");
    assert_eq!(numbers(json!({ "height": 1 })), Err(missing.into()));
    assert_eq!(numbers(json!(5)), Err(ParamsError::NotAnObject.into()));
    let none = Request::parse("setVideoPreferences", None);
    assert_eq!(none, Err(ParamsError::Missing("preferences").into()));
    assert!(read(json!({})).is_err());
}

#[test]
fn requests_without_parameters_accept_their_absence() {
    assert_eq!(Request::parse("leaveRoom", None), Ok(Request::LeaveRoom));
    assert_eq!(
        Request::parse("unpublishVideo", None),
        Ok(Request::UnpublishVideo("webcam".into()))
    );
}

#[test]
fn unknown_parameters_are_ignored() {
    let params = json!({ "token": "x", "user": "a", "room": "r" });
    assert!(Request::parse("joinRoom", Some(&params)).is_ok());
}

#[test]
fn members_that_only_our_clients_know_are_no_fault_of_others() {
    let odd = json!({
        "user": "a", "room": "r", "token": 5, "resumeToken": {}, "resume": [], "streams": "maybe",
        "sdpOffer": "v=0", "doLoopback": false, "stream": 7
    });
    let Ok(Request::JoinRoom(join)) = Request::parse("joinRoom", Some(&odd)) else {
        panic!("not understood");
    };
    assert_eq!((join.token, join.resume_token), (None, None));
    assert!(!join.resume && !join.streams);
    let Ok(Request::PublishVideo(publish)) = Request::parse("publishVideo", Some(&odd)) else {
        panic!("not understood");
    };
    assert_eq!(publish.stream, "webcam");
}

#[test]
fn a_sender_splits_at_its_last_underscore() {
    let sender = SenderRef::parse("mary_ann_webcam").unwrap();
    assert_eq!(
        (sender.user.as_str(), sender.stream.as_str()),
        ("mary_ann", "webcam")
    );
    assert_eq!(SenderRef::parse("ann"), Err(RequestError::Sender));
    assert_eq!(RequestError::Sender.code(), -1);
}

#[test]
fn an_unknown_method_is_named_but_not_at_any_length() {
    let error = Request::parse(&"m".repeat(10_000), Some(&json!([]))).unwrap_err();
    assert_eq!(error.code(), -32601);
    assert_eq!(
        error,
        RequestError::UnknownMethod("m".repeat(MAX_REPORTED_METHOD_CHARS))
    );
}

#[test]
fn an_android_client_may_send_the_m_line_index_as_text() {
    let params = json!({
        "endpointName": "ann", "candidate": "candidate:1", "sdpMid": "video", "sdpMLineIndex": "1"
    });
    let Ok(Request::OnIceCandidate(candidate)) = Request::parse("onIceCandidate", Some(&params))
    else {
        panic!("not understood");
    };
    assert_eq!(candidate.sdp_m_line_index, 1);
}
