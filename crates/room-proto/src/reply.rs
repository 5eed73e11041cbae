//! What `result` holds when a request succeeds (the session id is added by the JSON-RPC layer).
//!
//! Requests not listed here answer an empty object.

use serde::{Deserialize, Serialize};

use crate::STREAM_ID;

/// One published stream of a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The stream's id; always [`STREAM_ID`] from this server.
    pub id: String,
}

impl StreamInfo {
    /// The one stream that a publishing participant has.
    #[must_use]
    pub fn webcam() -> Self {
        Self {
            id: STREAM_ID.to_owned(),
        }
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
pub struct PeersReply {
    /// Everybody who was in the room already, never the joiner.
    pub value: Vec<Peer>,
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
