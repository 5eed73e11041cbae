//! Entering a room: what a participant brings along, and what it is told.

use std::fmt;

use salono_room_proto::{Grants, Peer, PeersReply};
use serde_json::{Map, Value, json};

/// How to enter a room: [`Join::new`], then what differs from the defaults.
///
/// Everything but the two names and `data_channels` goes beyond Kurento Room, whose servers ignore
/// it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Join {
    /// Which room. Salono makes it when nobody is there.
    pub room: String,
    /// The name to appear under, unique in the room.
    pub user: String,
    /// Whether the endpoints that one publishes with shall have data channels. Off.
    pub data_channels: bool,
    /// Whether to hear who speaks
    /// ([`ActiveSpeakerChanged`](crate::Notification::ActiveSpeakerChanged)). Off.
    pub active_speaker: bool,
    /// Whether to hear how loud everybody is ([`AudioLevels`](crate::Notification::AudioLevels)).
    /// Off.
    pub audio_levels: bool,
    /// Whether to hear in which quality streams come
    /// ([`VideoLayerChanged`](crate::Notification::VideoLayerChanged)). Off.
    pub video_layers: bool,
    /// Whether to see streams of others beside their webcams. On; off, the participant sees what a
    /// client of Kurento Room would see.
    pub streams: bool,
    /// Whether to hear of streams that are muted and rooms that are locked. On.
    pub moderation: bool,
    /// Whether to hear that the media server was lost and replaced, to publish anew. On; off, that
    /// is a `mediaError`.
    pub recovery: bool,
    /// Whether events that are missed in a lost connection shall come exactly once, and the
    /// participant can be replaced with a resume token. On.
    pub resume: bool,
    /// What allows to enter, for servers that ask for it: a JSON Web Token (RFC 7519).
    pub token: Option<String>,
    /// [`Joined::resume_token`] of an earlier time: whoever is in the room under it still, because
    /// its program crashed, is replaced.
    pub resume_token: Option<String>,
}

impl Join {
    /// With the defaults.
    #[must_use]
    pub fn new(room: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            room: room.into(),
            user: user.into(),
            data_channels: false,
            active_speaker: false,
            audio_levels: false,
            video_layers: false,
            streams: true,
            moderation: true,
            recovery: true,
            resume: true,
            token: None,
            resume_token: None,
        }
    }

    /// With a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// In the place of an earlier self.
    #[must_use]
    pub fn resume_token(mut self, token: impl Into<String>) -> Self {
        self.resume_token = Some(token.into());
        self
    }

    /// Exactly what a client of Kurento Room sends.
    #[must_use]
    pub fn plain(mut self) -> Self {
        (self.streams, self.moderation) = (false, false);
        (self.recovery, self.resume) = (false, false);
        self
    }

    /// What stands in `params`: what is off is left out.
    pub(crate) fn params(&self) -> Map<String, Value> {
        let mut params = Map::new();
        params.insert("room".to_owned(), json!(self.room));
        params.insert("user".to_owned(), json!(self.user));
        for (name, wanted) in [
            ("dataChannels", self.data_channels),
            ("activeSpeaker", self.active_speaker),
            ("audioLevels", self.audio_levels),
            ("videoLayers", self.video_layers),
            ("streams", self.streams),
            ("moderation", self.moderation),
            ("recovery", self.recovery),
            ("resume", self.resume),
        ] {
            if wanted {
                params.insert(name.to_owned(), Value::Bool(true));
            }
        }
        for (name, token) in [("token", &self.token), ("resumeToken", &self.resume_token)] {
            if let Some(token) = token {
                params.insert(name.to_owned(), json!(token));
            }
        }
        params
    }
}

/// Without the tokens: whoever reads a log must not be able to join by it.
impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("room", &self.room)
            .field("user", &self.user)
            .field("token", &self.token.is_some())
            .field("resume_token", &self.resume_token.is_some())
            .finish_non_exhaustive()
    }
}

/// What a participant is told when it has entered a room.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// Who was there already, in no order; with `streams` only who publishes.
    pub peers: Vec<Peer>,
    /// Proof of having been this participant, for [`Join::resume_token`] after a crash. Keep it
    /// where the program finds it again, and others do not.
    pub resume_token: Option<String>,
    /// The role that the token gave: `moderator`, `publisher` or `subscriber`.
    pub role: Option<String>,
    /// What the token allows; `None` where servers ask for no tokens.
    pub grants: Option<Grants>,
}

impl From<PeersReply> for Joined {
    fn from(reply: PeersReply) -> Self {
        Self {
            peers: reply.value,
            resume_token: reply.resume_token,
            role: reply.role,
            grants: reply.grants,
        }
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("peers", &self.peers)
            .field("resume_token", &self.resume_token.is_some())
            .field("role", &self.role)
            .field("grants", &self.grants)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Join, Joined, PeersReply};

    #[test]
    fn a_plain_join_is_what_kurento_room_knows() {
        let params = Join::new("r", "ann").plain().params();
        assert_eq!(Value::Object(params), json!({ "room": "r", "user": "ann" }));
    }

    #[test]
    fn what_is_wanted_is_asked_for() {
        let mut join = Join::new("r", "ann").token("T").resume_token("R");
        join.active_speaker = true;
        assert_eq!(
            Value::Object(join.params()),
            json!({
                "room": "r", "user": "ann", "activeSpeaker": true, "streams": true,
                "moderation": true, "recovery": true, "resume": true, "token": "T",
                "resumeToken": "R",
            })
        );
    }

    #[test]
    fn tokens_do_not_reach_logs() {
        let join = Join::new("r", "ann").token("SECRET").resume_token("SECRET");
        assert!(!format!("{join:?}").contains("SECRET"));
        let joined = json!({ "value": [], "resumeToken": "SECRET" });
        let joined: PeersReply = serde_json::from_value(joined).unwrap();
        let joined = Joined::from(joined);
        assert!(!format!("{joined:?}").contains("SECRET"));
    }
}
