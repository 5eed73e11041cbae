//! A media server that does not answer costs those who wait for it half a minute, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use salono_kurento_model::wire::Request;
use salono_room_core::{
    Command, Effect, Listens, Loopback, Outcome, ParticipantId, Room, RoomConfig, RoomError,
    RoomErrorCode, SdpType, Ticket, Token, WEBCAM,
};

const LIMIT: Duration = Duration::from_secs(30);

#[allow(
    clippy::disallowed_methods,
    reason = "any point in time will do as the first"
)]
fn start() -> Instant {
    Instant::now()
}

fn join() -> Command {
    Command::Join {
        participant: ParticipantId::from("1"),
        user: "ann".into(),
        data_channels: false,
        web: true,
        listens: Listens::default(),
    }
}

fn publish() -> Command {
    Command::Publish {
        participant: ParticipantId::from("1"),
        sdp_type: SdpType::Offer,
        sdp: "offer".into(),
        loopback: Loopback::Off,
        elements: Vec::new(),
        stream: WEBCAM.into(),
    }
}

/// What the room wants done, sorted by kind.
struct Wanted {
    requests: Vec<(Token, Request)>,
    done: Vec<(Ticket, Result<Outcome, RoomError>)>,
}

fn wanted(room: &mut Room) -> Wanted {
    let mut wanted = Wanted {
        requests: Vec::new(),
        done: Vec::new(),
    };
    while let Some(effect) = room.poll_effect() {
        match effect {
            Effect::Request { token, request } => wanted.requests.push((token, request)),
            Effect::Done { ticket, result } => wanted.done.push((ticket, result)),
            Effect::Event(_) => {}
        }
    }
    wanted
}

fn release_of(object: &str) -> Request {
    Request::Release {
        object: object.into(),
    }
}

#[test]
fn a_pipeline_that_comes_too_late_is_released() {
    let now = start();
    let mut room = Room::new("room", RoomConfig::default(), false);
    room.handle_command(Ticket(1), join(), now);
    let token = wanted(&mut room).requests[0].0;
    assert_eq!(room.poll_timeout(), Some(now + LIMIT));
    room.handle_timeout(now + LIMIT);
    let end = wanted(&mut room).done.remove(0);
    assert_eq!(end.0, Ticket(1));
    assert_eq!(end.1.unwrap_err().code, RoomErrorCode::RoomCannotBeCreated);
    assert!(room.is_closed(), "a room without anybody does not stay");
    assert!(room.awaits_replies());
    room.handle_reply(token, Ok("pipeline".into()), now + LIMIT);
    let requests = wanted(&mut room).requests;
    assert_eq!(requests[0].1, release_of("pipeline"));
}

#[test]
fn endpoints_that_come_too_late_are_released_and_publishing_works_again() {
    let now = start();
    let mut room = Room::new("room", RoomConfig::default(), false);
    room.handle_command(Ticket(1), join(), now);
    let token = wanted(&mut room).requests[0].0;
    room.handle_reply(token, Ok("pipeline".into()), now);
    wanted(&mut room);

    room.handle_command(Ticket(2), publish(), now);
    let creations = wanted(&mut room).requests;
    let [(endpoint, _), (pass_through, _)] = creations.as_slice() else {
        panic!("endpoint and pass-through are created: {creations:?}");
    };
    // One comes in time, the other does not.
    room.handle_reply(*endpoint, Ok("endpoint".into()), now);
    room.handle_timeout(now + LIMIT);
    let ended = wanted(&mut room);
    let error = ended.done[0].1.clone().unwrap_err();
    assert_eq!(error.code, RoomErrorCode::MediaEndpoint);
    assert_eq!(ended.requests[0].1, release_of("endpoint"));
    room.handle_reply(*pass_through, Ok("pass".into()), now + LIMIT);
    let requests = wanted(&mut room).requests;
    assert_eq!(requests[0].1, release_of("pass"));
    assert_eq!(room.poll_timeout(), None);

    room.handle_command(Ticket(3), publish(), now + LIMIT);
    assert_eq!(wanted(&mut room).requests.len(), 2);
    assert_eq!(room.poll_timeout(), Some(now + LIMIT + LIMIT));
}
