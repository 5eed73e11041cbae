//! Rooms that let in only whom a token allows, and those who keep order in them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use salono_room_client::{
    Error, ErrorCode, Event, Join, Joined, MuteChange, Notification, SenderRef,
};
use salono_room_server::{Access, RoomServerConfig};
use salono_room_token::{Claims, Key, KeySet, Role, sign};

use crate::support::{Participant, Rooms};

const SECRET: &str = "what the servers of these tests know";

fn keys(secret: &str) -> KeySet {
    KeySet::parse(secret, "tests").unwrap()
}

fn guarded() -> RoomServerConfig {
    RoomServerConfig {
        access: Access::Tokens {
            keys: Arc::new(Arc::new(keys(SECRET))),
            or_open: false,
        },
        ..RoomServerConfig::default()
    }
}

fn token(secret: &str, room: &str, user: &str, role: Role, expires: SystemTime) -> String {
    let claims = Claims::new(room, role, expires).for_user(user);
    let keys = keys(secret);
    let key: &Key = keys.signer(None).unwrap();
    sign(&claims, key).unwrap()
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

async fn join(participant: &Participant, user: &str, role: Role) -> Joined {
    let token = token(SECRET, "r", user, role, later());
    let join = Join::new("r", user).token(token);
    participant.client.join(&join).await.unwrap()
}

fn code<T>(result: Result<T, Error>) -> Option<ErrorCode> {
    result.err().and_then(|error| error.code())
}

#[tokio::test]
async fn tokens_that_do_not_fit_are_refused_for_what_is_wrong_with_them() {
    let rooms = Rooms::start(guarded()).await;
    let ann = rooms.connect().await;
    let other = "what quite different servers know of";
    let ended = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (token, expected) in [
        (None, ErrorCode::TokenMissing),
        (Some("no token".to_owned()), ErrorCode::TokenInvalid),
        (
            Some(token(other, "r", "ann", Role::Publisher, later())),
            ErrorCode::TokenInvalid,
        ),
        (
            Some(token(SECRET, "r", "ann", Role::Publisher, ended)),
            ErrorCode::TokenExpired,
        ),
        (
            Some(token(SECRET, "s", "ann", Role::Publisher, later())),
            ErrorCode::TokenMismatch,
        ),
        (
            Some(token(SECRET, "r", "bob", Role::Publisher, later())),
            ErrorCode::TokenMismatch,
        ),
    ] {
        let mut join = Join::new("r", "ann");
        join.token = token;
        assert_eq!(code(ann.client.join(&join).await), Some(expected));
    }
    // After all that the right one still opens.
    let joined = join(&ann, "ann", Role::Subscriber).await;
    assert_eq!(joined.role.as_deref(), Some("subscriber"));
    let grants = joined.grants.unwrap();
    assert!(grants.subscribe && !grants.publish && !grants.moderate);
    let refused = ann.client.publish_video("O", false).await;
    assert_eq!(code(refused), Some(ErrorCode::NotPermitted));
}

#[tokio::test]
async fn a_moderator_mutes_locks_evicts_and_closes_and_others_do_not() {
    let rooms = Rooms::start(guarded()).await;
    let (mut ann, mut bob) = (rooms.connect().await, rooms.connect().await);
    join(&ann, "ann", Role::Moderator).await;
    join(&bob, "bob", Role::Publisher).await;
    ann.hear_of().await;
    bob.client.publish_video("O", false).await.unwrap();
    ann.hear_of().await;
    let of = SenderRef::webcam("bob");
    let silence = MuteChange {
        audio: Some(true),
        video: None,
    };
    for refused in [
        bob.client.mute_media(&of, silence).await,
        bob.client.evict_participant("ann").await,
        bob.client.lock_room(true).await,
        bob.client.close_room().await,
    ] {
        assert_eq!(code(refused), Some(ErrorCode::NotPermitted));
    }

    ann.client.mute_media(&of, silence).await.unwrap();
    for participant in [&mut ann, &mut bob] {
        assert_eq!(
            participant.hear_of().await,
            Notification::MediaMuted {
                user: "bob".into(),
                stream: "webcam".into(),
                audio: true,
                video: false,
            }
        );
    }
    ann.client.lock_room(true).await.unwrap();
    for participant in [&mut ann, &mut bob] {
        assert_eq!(
            participant.hear_of().await,
            Notification::RoomLocked { locked: true }
        );
    }
    let carl = rooms.connect().await;
    let token = token(SECRET, "r", "carl", Role::Publisher, later());
    let refused = carl.client.join(&Join::new("r", "carl").token(token)).await;
    assert_eq!(code(refused), Some(ErrorCode::RoomLocked));

    ann.client.evict_participant("bob").await.unwrap();
    assert_eq!(bob.hear_of().await, Notification::ParticipantEvicted);
    let closing = ann.client.close_room().await;
    assert_eq!(closing, Ok(()));
    while ann.hear().await
        != Some(Event::Notification(Notification::RoomClosed {
            room: "r".into(),
        }))
    {}
}
