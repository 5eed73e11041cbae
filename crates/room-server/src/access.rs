//! Who may enter a room, and what it may do there.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use salono_room_proto::{ErrorCode, JoinRoom, Request};
use salono_room_token::{Grants, KeySet, Role, TokenError};

use crate::policy::Violation;

/// What clients must show to enter a room.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Nothing: everybody may enter every room, send and receive there, as with Kurento Room. Tokens
    /// are not looked at, and nobody moderates.
    #[default]
    Open,
    /// A token that is signed with one of these keys.
    Tokens {
        /// The keys.
        keys: Arc<dyn KeySource>,
        /// Whether those without a token are let in as into an open server. One that brings a token
        /// must bring a good one.
        or_open: bool,
    },
}

/// Where the keys of tokens are from.
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The keys to check a token with now. Called for each token, so it should be quick.
    fn keys(&self) -> Arc<KeySet>;
}

impl KeySource for Arc<KeySet> {
    fn keys(&self) -> Arc<KeySet> {
        Self::clone(self)
    }
}

/// What a participant was let in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) grants: Grants,
    /// `None` for somebody without a token.
    pub(crate) role: Option<Role>,
}

impl Admission {
    /// Somebody without a token on a server that lets such people in.
    pub(crate) const OPEN: Self = Self {
        grants: Role::Publisher.grants(),
        role: None,
    };
}

impl Access {
    /// Decides on a join.
    pub(crate) fn admit(&self, join: &JoinRoom, now: SystemTime) -> Result<Admission, Violation> {
        let Self::Tokens { keys, or_open } = self else {
            return Ok(Admission::OPEN);
        };
        let Some(token) = &join.token else {
            if *or_open {
                return Ok(Admission::OPEN);
            }
            return Err(refusal(
                ErrorCode::TokenMissing,
                "joining a room takes a token here",
            ));
        };
        let claims = keys.keys().verify(token, now).map_err(|error| {
            let code = match error {
                TokenError::Expired | TokenError::NotYet => ErrorCode::TokenExpired,
                TokenError::Malformed | TokenError::UnknownKey | TokenError::Signature => {
                    ErrorCode::TokenInvalid
                }
            };
            refusal(code, error)
        })?;
        claims
            .check(&join.room, &join.user)
            .map_err(|error| refusal(ErrorCode::TokenMismatch, error))?;
        Ok(Admission {
            grants: claims.grants(),
            role: Some(claims.role),
        })
    }
}

/// Whether these grants allow a request.
pub(crate) fn check(request: &Request, grants: Grants) -> Result<(), Violation> {
    let (is_granted, what) = match request {
        Request::PublishVideo(_) => (grants.publish, "publishing"),
        Request::RestartIce(restart) if restart.sender.is_none() => (grants.publish, "publishing"),
        Request::ReceiveVideoFrom(_) | Request::RestartIce(_) => (grants.subscribe, "receiving"),
        Request::MuteMedia(_)
        | Request::EvictParticipant(_)
        | Request::CloseRoom
        | Request::LockRoom(_) => (grants.moderate, "moderating"),
        Request::JoinRoom(_)
        | Request::LeaveRoom
        | Request::UnpublishVideo(_)
        | Request::UnsubscribeFromVideo(_)
        | Request::OnIceCandidate(_)
        | Request::SendMessage(_)
        | Request::CustomRequest(_)
        | Request::SetVideoPreferences(_) => return Ok(()),
    };
    if is_granted {
        return Ok(());
    }
    Err(refusal(
        ErrorCode::NotPermitted,
        format_args!("{what} is not granted to the participant"),
    ))
}

fn refusal(code: ErrorCode, message: impl ToString) -> Violation {
    Violation {
        code,
        message: message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use salono_room_token::{Algorithm, Claims, Key, sign};
    use serde_json::json;

    use super::*;

    fn join(token: Option<&str>) -> JoinRoom {
        let mut params = json!({ "room": "r", "user": "ann" });
        if let Some(token) = token {
            params["token"] = token.into();
        }
        match Request::parse("joinRoom", Some(&params)) {
            Ok(Request::JoinRoom(join)) => join,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tokens_decide_where_there_are_keys_and_only_there() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let key = Key::generate(Algorithm::EdDsa, "k").unwrap();
        let token = |room: &str, user: &str, lifetime: u64| {
            let claims = Claims::new(room, Role::Moderator, now + Duration::from_secs(lifetime));
            sign(&claims.for_user(user), &key).unwrap()
        };
        let closed = |or_open| Access::Tokens {
            keys: Arc::new(Arc::new(KeySet::from_iter([key.clone()]))),
            or_open,
        };
        let code = |access: &Access, token: Option<&str>, later: u64| {
            let now = now + Duration::from_secs(later);
            access.admit(&join(token), now).map_err(|error| error.code)
        };
        let good = token("r", "ann", 60);
        let moderator = Admission {
            grants: Role::Moderator.grants(),
            role: Some(Role::Moderator),
        };
        for access in [closed(false), closed(true)] {
            assert_eq!(code(&access, Some(&good), 0), Ok(moderator));
            for (token, later, refused) in [
                ("nonsense".to_owned(), 0, ErrorCode::TokenInvalid),
                (good.clone() + "A", 0, ErrorCode::TokenInvalid),
                (good.clone(), 600, ErrorCode::TokenExpired),
                (token("s", "ann", 60), 0, ErrorCode::TokenMismatch),
                (token("r", "bob", 60), 0, ErrorCode::TokenMismatch),
            ] {
                assert_eq!(code(&access, Some(&token), later), Err(refused));
            }
        }
        assert_eq!(code(&closed(false), None, 0), Err(ErrorCode::TokenMissing));
        assert_eq!(code(&closed(true), None, 0), Ok(Admission::OPEN));
        assert_eq!(
            code(&Access::Open, Some("anything"), 0),
            Ok(Admission::OPEN)
        );
        const { assert!(!Admission::OPEN.grants.moderate) };
    }

    #[test]
    fn every_request_takes_its_grant() {
        let none = Grants {
            publish: false,
            subscribe: false,
            moderate: false,
            record: false,
        };
        let offer = json!({ "sdpOffer": "v=0", "doLoopback": false });
        let received = json!({ "sender": "a_webcam", "sdpOffer": "v=0" });
        let publish = Grants {
            publish: true,
            ..none
        };
        let subscribe = Grants {
            subscribe: true,
            ..none
        };
        let moderate = Grants {
            moderate: true,
            ..none
        };
        for (method, params, enough) in [
            ("publishVideo", &offer, publish),
            ("restartIce", &offer, publish),
            ("receiveVideoFrom", &received, subscribe),
            ("restartIce", &received, subscribe),
            ("muteMedia", &received, moderate),
            ("evictParticipant", &json!({ "user": "a" }), moderate),
            ("closeRoom", &json!({}), moderate),
            ("lockRoom", &json!({ "locked": true }), moderate),
        ] {
            let request = Request::parse(method, Some(params)).unwrap();
            assert_eq!(check(&request, enough), Ok(()), "{method}");
            let refused = check(&request, none).map_err(|error| error.code);
            assert_eq!(refused, Err(ErrorCode::NotPermitted), "{method}");
        }
        let leave = Request::parse("leaveRoom", None).unwrap();
        assert_eq!(check(&leave, none), Ok(()));
    }
}
