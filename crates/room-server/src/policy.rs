//! What names and texts may look like.
//!
//! They are data and are passed on as they are; what shows them must show them as text. Only what
//! no honest client sends is refused: control characters in names, and texts beyond their length.

use salono_jsonrpc::room::envelope::Failure;
use salono_room_proto::{ErrorCode, Request};

/// Longest id of a stream, in characters.
const MAX_STREAM_CHARS: usize = 64;

/// Caps on the texts that clients send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Longest room or user name, in characters; a longer one fails with code 999. Default 128.
    pub max_name_chars: usize,
    /// Longest chat message, in characters; a longer one fails with code 999. Default 8192.
    pub max_message_chars: usize,
    /// Longest session description, in bytes; a longer one fails with code 302.
    /// Default 262 144.
    pub max_sdp_bytes: usize,
    /// Longest ICE candidate or `mid`, in bytes; a longer one fails with code 999. Default 2048.
    pub max_candidate_bytes: usize,
    /// Longest token or resume token, in bytes; a longer one fails with code 402. Default 8192.
    pub max_token_bytes: usize,
    /// Most streams in one request that says how they are shown; more fail with code 999.
    /// Default 1000.
    pub max_preferences: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_name_chars: 128,
            max_message_chars: 8192,
            max_sdp_bytes: 256 << 10,
            max_candidate_bytes: 2048,
            max_token_bytes: 8192,
            max_preferences: 1000,
        }
    }
}

/// A request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Violation {
    /// As the client hears of it.
    pub(crate) fn failure(self) -> Failure {
        Failure::refused(self.code.number(), self.message)
    }
}

impl Policy {
    /// Checks every text in a request.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Violation> {
        match request {
            Request::JoinRoom(join) => {
                self.name("room", &join.room)?;
                self.name("user", &join.user)?;
                self.token(join.token.as_deref())?;
                self.token(join.resume_token.as_deref())
            }
            Request::PublishVideo(publish) => {
                self.stream(&publish.stream)?;
                self.sdp(&publish.sdp_offer)
            }
            Request::UnpublishVideo(stream) => self.stream(stream),
            Request::RestartIce(restart) => {
                if let Some(sender) = &restart.sender {
                    self.name("sender", &sender.user)?;
                }
                self.stream(&restart.stream)?;
                self.sdp(&restart.sdp_offer)
            }
            Request::MuteMedia(mute) => self.name("sender", &mute.sender.user),
            Request::EvictParticipant(user) => self.name("user", user),
            Request::ReceiveVideoFrom(receive) => {
                self.name("sender", &receive.sender.user)?;
                self.sdp(&receive.sdp_offer)
            }
            Request::UnsubscribeFromVideo(sender) => self.name("sender", &sender.user),
            Request::OnIceCandidate(candidate) => {
                self.name("endpointName", &candidate.endpoint_name)?;
                self.candidate("candidate", &candidate.candidate)?;
                self.candidate("sdpMid", &candidate.sdp_mid)?;
                self.stream(&candidate.stream)
            }
            Request::SendMessage(message) => {
                if message
                    .message
                    .chars()
                    .nth(self.max_message_chars)
                    .is_some()
                {
                    return Err(Violation {
                        code: ErrorCode::Generic,
                        message: format!(
                            "message is longer than {} characters",
                            self.max_message_chars
                        ),
                    });
                }
                Ok(())
            }
            Request::SetVideoPreferences(entries) if entries.len() > self.max_preferences => {
                Err(Violation {
                    code: ErrorCode::Generic,
                    message: format!("more than {} preferences", self.max_preferences),
                })
            }
            Request::SetVideoPreferences(entries) => entries
                .iter()
                .try_for_each(|entry| self.name("sender", &entry.sender.user)),
            Request::LeaveRoom
            | Request::CloseRoom
            | Request::LockRoom(_)
            | Request::CustomRequest(_) => Ok(()),
        }
    }

    pub(crate) fn name(&self, what: &str, name: &str) -> Result<(), Violation> {
        if name.chars().nth(self.max_name_chars).is_some() {
            return Err(Violation {
                code: ErrorCode::Generic,
                message: format!("{what} is longer than {} characters", self.max_name_chars),
            });
        }
        if name.chars().any(char::is_control) {
            return Err(Violation {
                code: ErrorCode::Generic,
                message: format!("{what} contains control characters"),
            });
        }
        Ok(())
    }

    /// Ids of streams end up in `<user>_<stream>`, which is split at the last underscore.
    fn stream(&self, stream: &str) -> Result<(), Violation> {
        let is_fit = (1..=MAX_STREAM_CHARS).contains(&stream.chars().count())
            && !stream.chars().any(|c| c == '_' || c.is_control());
        if is_fit {
            return Ok(());
        }
        Err(Violation {
            code: ErrorCode::Generic,
            message: format!(
                "a stream's id has 1 to {MAX_STREAM_CHARS} characters, without underscores and \
                 control characters"
            ),
        })
    }

    fn token(&self, token: Option<&str>) -> Result<(), Violation> {
        if token.is_some_and(|token| token.len() > self.max_token_bytes) {
            return Err(Violation {
                code: ErrorCode::TokenInvalid,
                message: format!("the token is longer than {} bytes", self.max_token_bytes),
            });
        }
        Ok(())
    }

    fn sdp(&self, sdp: &str) -> Result<(), Violation> {
        if sdp.len() > self.max_sdp_bytes {
            return Err(Violation {
                code: ErrorCode::MediaSdp,
                message: format!("sdpOffer is longer than {} bytes", self.max_sdp_bytes),
            });
        }
        Ok(())
    }

    fn candidate(&self, what: &str, text: &str) -> Result<(), Violation> {
        if text.len() > self.max_candidate_bytes {
            return Err(Violation {
                code: ErrorCode::Generic,
                message: format!("{what} is longer than {} bytes", self.max_candidate_bytes),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use salono_room_proto::{ErrorCode, Request};
    use serde_json::{Value, json};

    use super::Policy;

    fn check(method: &str, params: Value) -> Result<(), ErrorCode> {
        let request = Request::parse(method, Some(&params)).unwrap();
        Policy::default().check(&request).map_err(|v| v.code)
    }

    #[test]
    fn names_may_be_anything_printable_up_to_their_length() {
        let name = "Žofie <b>& 😀_".repeat(9);
        assert_eq!(
            check("joinRoom", json!({ "room": name, "user": name })),
            Ok(())
        );
        let long = "😀".repeat(129);
        for (room, user) in [
            ("r", long.as_str()),
            (long.as_str(), "u"),
            ("r\0", "u"),
            ("r", "a\nb"),
        ] {
            assert_eq!(
                check("joinRoom", json!({ "room": room, "user": user })),
                Err(ErrorCode::Generic)
            );
        }
    }

    #[test]
    fn texts_have_a_length() {
        let chat = |n| json!({ "userMessage": "a", "roomMessage": "r", "message": "é".repeat(n) });
        assert_eq!(check("sendMessage", chat(8192)), Ok(()));
        assert_eq!(check("sendMessage", chat(8193)), Err(ErrorCode::Generic));
        let sdp = json!({ "sdpOffer": "x".repeat(262_145), "doLoopback": false });
        assert_eq!(check("publishVideo", sdp), Err(ErrorCode::MediaSdp));
        let candidate = json!({
            "endpointName": "a", "candidate": "x".repeat(3000), "sdpMid": "0", "sdpMLineIndex": 0
        });
        assert_eq!(check("onIceCandidate", candidate), Err(ErrorCode::Generic));
    }
}
