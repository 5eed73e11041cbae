//! The page about the protocol shows what is really spoken.

#![allow(missing_docs, reason = "a test")]

use std::collections::BTreeSet;

use salono_room_proto::{Notification, Request};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/room-protocol.md");

/// The frames of all blocks of JSON, one a line.
fn frames() -> Vec<Value> {
    let blocks = PAGE.split("```json\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split_once("```"));
    let lines = blocks.flat_map(|(frames, _)| frames.lines());
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

#[test]
fn every_frame_on_the_page_is_understood() {
    for frame in frames() {
        let method = frame["method"].as_str().expect("a method");
        let params = frame.get("params");
        assert_eq!(frame["jsonrpc"], "2.0", "{frame}");
        if frame.get("id").is_some() {
            if let Err(error) = Request::parse(method, params) {
                panic!("{frame}: {error}");
            }
        } else {
            let event = Notification::parse(method, params);
            let event = event.unwrap_or_else(|error| panic!("{frame}: {error}"));
            let written = serde_json::to_value(&event).unwrap();
            assert_eq!(Some(&written), params, "{method}");
        }
    }
}

#[test]
fn the_page_shows_every_request_and_event() {
    let shown: BTreeSet<String> = frames()
        .iter()
        .map(|frame| frame["method"].as_str().unwrap().to_owned())
        .collect();
    for method in [
        "joinRoom",
        "leaveRoom",
        "publishVideo",
        "unpublishVideo",
        "receiveVideoFrom",
        "unsubscribeFromVideo",
        "onIceCandidate",
        "sendMessage",
        "customRequest",
        "setVideoPreferences",
        "participantJoined",
        "participantPublished",
        "participantUnpublished",
        "participantLeft",
        "participantEvicted",
        "iceCandidate",
        "mediaError",
        "roomClosed",
        "activeSpeakerChanged",
        "audioLevels",
        "videoLayerChanged",
    ] {
        assert!(shown.contains(method), "{method} is not shown");
    }
}
