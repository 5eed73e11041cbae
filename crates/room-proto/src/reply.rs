//! What `result` holds when a request succeeds (the session id is added by the JSON-RPC layer).
//!
//! Requests not listed here answer an empty object.

use serde::{Deserialize, Serialize};

use crate::STREAM_ID;

/// One published stream of a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The stream's id; always [`STREAM_ID`] for participants that do not know of several streams.
    pub id: String,
}

impl StreamInfo {
    /// The stream that everybody knows of.
    #[must_use]
    pub fn webcam() -> Self {
        Self::named(STREAM_ID)
    }

    /// A stream of this id.
    #[must_use]
    pub fn named(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }
}

/// A participant who was in the room before the joiner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The participant's name.
    pub id: String,
    /// Its streams; the member is *absent*, not empty, when it does not publish: clients take the
    /// presence of the key for publishing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Vec<StreamInfo>>,
}

impl Peer {
    /// A peer who publishes its one stream, or none.
    #[must_use]
    pub fn new(name: impl Into<String>, publishing: bool) -> Self {
        Self {
            id: name.into(),
            streams: publishing.then(|| vec![StreamInfo::webcam()]),
        }
    }
}

/// The answer to `joinRoom`: `{"value":[…]}`, an empty list when nobody was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeersReply {
    /// Everybody who was in the room already, never the joiner.
    pub value: Vec<Peer>,
    /// What takes the joiner's place after a crash, for those who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_token: Option<String>,
    /// What the joiner is in the room, for those who came with a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What the joiner may do there, for those who came with a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Grants>,
}

/// What a participant may do in its room. Members that are left out are false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Send media.
    pub publish: bool,
    /// Receive media of others.
    pub subscribe: bool,
    /// Mute and evict others, lock and close the room.
    pub moderate: bool,
    /// Have the room recorded, where an application does so.
    pub record: bool,
}

/// The answer to `publishVideo` and `receiveVideoFrom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SdpAnswerReply {
    /// The session description (RFC 8866) that answers the request's offer.
    pub sdp_answer: String,
}

#[cfg(test)]
mod tests {
    use super::{Peer, PeersReply, SdpAnswerReply};

    #[test]
    fn streams_are_left_out_for_somebody_who_does_not_publish() {
        let reply = PeersReply {
            value: vec![Peer::new("ann", true), Peer::new("bob", false)],
            resume_token: None,
            role: None,
            grants: None,
        };
        assert_eq!(
            serde_json::to_string(&reply).unwrap(),
            r#"{"value":[{"id":"ann","streams":[{"id":"webcam"}]},{"id":"bob"}]}"#
        );
    }

    #[test]
    fn an_answer_is_called_sdp_answer() {
        let reply = SdpAnswerReply {
            sdp_answer: "v=0".into(),
        };
        assert_eq!(
            serde_json::to_string(&reply).unwrap(),
            r#"{"sdpAnswer":"v=0"}"#
        );
    }
}
