//! The promises of the hub, in virtual time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Config, Effect, Hub, SocketId};
use crate::frame::Limits;
use crate::room::envelope::Failure;
use crate::room::{RequestId, SessionId, parse};

struct World {
    hub: Hub,
    now: Instant,
    sent: BTreeMap<SocketId, Vec<Value>>,
    closed: Vec<(SocketId, u16)>,
    probed: Vec<SocketId>,
    executing: Vec<(SessionId, RequestId, String)>,
    ended: Vec<SessionId>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
    fn new(config: Config) -> Self {
        let mut count = 0_u64;
        let hub = Hub::new(config, move |bytes| {
            count += 1;
            for (digit, byte) in bytes.iter_mut().enumerate().take(12) {
                *byte = ((count >> (5 * digit)) % 32) as u8;
            }
        });
        Self {
            hub,
            now: Instant::now(),
            sent: BTreeMap::new(),
            closed: Vec::new(),
            probed: Vec::new(),
            executing: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(effect) = self.hub.poll_effect() {
            match effect {
                Effect::Send { socket, text } => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(frame["jsonrpc"], "2.0");
                    self.sent.entry(socket).or_default().push(frame);
                }
                Effect::Close { socket, code, .. } => self.closed.push((socket, code)),
                Effect::Probe { socket } => self.probed.push(socket),
                Effect::Execute {
                    session,
                    id,
                    method,
                    ..
                } => self.executing.push((session, id, method)),
                Effect::Ended { session } => self.ended.push(session),
            }
        }
    }

    fn open(&mut self) -> SocketId {
        self.hub.handle_open().unwrap()
    }

    fn say(&mut self, socket: SocketId, id: i64, method: &str, params: Value) {
        let text = json!({ "id": id, "method": method, "params": params }).to_string();
        let frame = parse(&text, &Limits::default()).unwrap();
        self.hub.handle_frame(socket, frame, self.now);
        self.drain();
    }

    /// What was sent to a socket since the last time.
    fn heard(&mut self, socket: SocketId) -> Vec<Value> {
        self.sent.remove(&socket).unwrap_or_default()
    }

    fn hear_one(&mut self, socket: SocketId) -> Value {
        let mut frames = self.heard(socket);
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames.remove(0)
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.hub.poll_timeout()
            && at <= end
        {
            self.now = at;
            self.hub.handle_timeout(at);
            self.drain();
        }
        self.now = end;
    }

    fn close(&mut self, socket: SocketId) {
        self.hub.handle_close(socket, self.now);
        self.drain();
    }

    fn complete(&mut self, session: &SessionId, id: i64) {
        self.hub.complete(session, RequestId(id));
        self.drain();
    }

    /// Opens a socket and gives it a session.
    fn connect(&mut self) -> (SocketId, SessionId) {
        let socket = self.open();
        self.say(socket, 1, "connect", json!({}));
        let reply = self.hear_one(socket);
        assert_eq!(reply["result"]["value"], "OK");
        let session = reply["result"]["sessionId"].as_str().unwrap().into();
        (socket, session)
    }
}

fn world() -> World {
    World::new(Config::default())
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_socket_that_pings_is_closed_after_three_intervals_of_silence() {
    let mut w = world();
    let (socket, session) = w.connect();
    w.say(socket, 2, "ping", json!({ "interval": 5000 }));
    assert_eq!(
        w.hear_one(socket),
        json!({"id":2,"result":{"value":"pong"},"jsonrpc":"2.0"})
    );
    w.pass(seconds(14));
    assert!(w.closed.is_empty());
    // The interval is fixed by the first ping.
    w.say(socket, 3, "ping", json!({ "interval": 1000 }));
    w.pass(seconds(14));
    assert!(w.closed.is_empty());
    w.pass(seconds(1));
    assert_eq!(w.closed, [(socket, 1000)]);
    assert!(w.ended.is_empty());
    w.pass(seconds(10));
    assert_eq!(w.ended, [session]);
    assert_eq!((w.hub.sockets(), w.hub.sessions()), (0, 0));
    assert_eq!(w.hub.poll_timeout(), None);
}

#[test]
fn a_ping_without_an_interval_means_twenty_seconds() {
    let mut w = world();
    let (socket, _) = w.connect();
    w.say(socket, 2, "ping", json!({}));
    w.pass(seconds(59));
    assert!(w.closed.is_empty());
    w.pass(seconds(1));
    assert_eq!(w.closed, [(socket, 1000)]);
}

#[test]
fn a_socket_that_never_pings_is_never_closed_for_it() {
    let mut w = world();
    w.connect();
    assert_eq!(w.hub.poll_timeout(), None);
}

#[test]
fn absurd_ping_intervals_are_bounded() {
    let mut w = world();
    for interval in [
        json!(0),
        json!(-5),
        json!(u64::MAX),
        json!("x"),
        json!([]),
        json!(1e300),
    ] {
        let socket = w.open();
        w.say(socket, 1, "ping", json!({ "interval": interval }));
        w.close(socket);
    }
    assert_eq!(w.hub.poll_timeout(), None);
}

#[test]
fn a_ping_makes_no_session_and_repeats_the_one_it_names() {
    let mut w = world();
    let socket = w.open();
    w.say(socket, 0, "ping", json!({ "sessionId": "S" }));
    assert_eq!(
        w.hear_one(socket),
        json!({"id":0,"result":{"value":"pong","sessionId":"S"},"jsonrpc":"2.0"})
    );
    assert_eq!(w.hub.sessions(), 0);
}

#[test]
fn a_session_is_resumed_within_the_grace_and_not_after() {
    let mut w = world();
    let (socket, session) = w.connect();
    w.close(socket);
    w.pass(seconds(9));
    let second = w.open();
    w.say(
        second,
        2,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    let reply = w.hear_one(second);
    assert_eq!(reply["result"]["value"], "reconnection successful");
    assert_eq!(reply["result"]["sessionId"], session.as_str());
    w.pass(seconds(60));
    assert!(w.ended.is_empty());

    w.close(second);
    w.pass(seconds(10));
    assert_eq!(w.ended, std::slice::from_ref(&session));
    let third = w.open();
    w.say(
        third,
        3,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    assert_eq!(w.hear_one(third)["error"]["code"], 40007);
    w.say(third, 4, "connect", json!({}));
    assert_eq!(w.hear_one(third)["result"]["value"], "OK");
}

#[test]
fn what_happens_while_the_client_is_away_reaches_it_afterwards_in_order() {
    let mut w = World::new(Config {
        max_missed_frames: 2,
        ..Config::default()
    });
    let (socket, session) = w.connect();
    w.say(socket, 2, "joinRoom", json!({}));
    w.close(socket);
    assert!(w.hub.respond(&session, RequestId(2), &json!([])));
    w.complete(&session, 2);
    w.hub
        .notify(&session, "participantJoined", &json!({ "id": "bob" }));
    w.hub
        .notify(&session, "participantJoined", &json!({ "id": "too many" }));
    let second = w.open();
    w.say(
        second,
        7,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    let frames = w.heard(second);
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0]["id"], 7);
    assert_eq!(frames[1]["id"], 2);
    assert_eq!(frames[2]["params"]["id"], "bob");
    assert_eq!(w.hub.counters().missed, 1);
}

#[test]
fn a_live_session_is_not_given_to_another_socket() {
    let mut w = world();
    let (holder, session) = w.connect();
    let thief = w.open();

    w.say(
        thief,
        5,
        "leaveRoom",
        json!({ "sessionId": session.as_str() }),
    );
    assert_eq!(w.hear_one(thief)["error"]["code"], 40007);
    assert!(w.executing.is_empty());

    w.say(
        thief,
        6,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    assert_eq!(w.probed, [holder]);
    assert!(w.heard(thief).is_empty());
    w.hub.handle_pong(holder);
    w.drain();
    assert_eq!(w.hear_one(thief)["error"]["code"], 40007);
    w.pass(seconds(60));
    assert!(w.closed.is_empty());
    w.say(holder, 7, "publishVideo", json!({}));
    assert_eq!(w.executing.len(), 1);
}

#[test]
fn a_session_whose_socket_shows_no_sign_of_life_is_handed_over() {
    let mut w = world();
    let (dead, session) = w.connect();
    w.say(dead, 2, "ping", json!({ "interval": 5000 }));
    let heir = w.open();
    w.say(heir, 6, "connect", json!({ "sessionId": session.as_str() }));
    w.pass(seconds(3));
    assert_eq!(w.closed, [(dead, 1000)]);
    assert_eq!(
        w.hear_one(heir)["result"]["value"],
        "reconnection successful"
    );
    // The watchdog moves along.
    w.pass(seconds(14));
    assert_eq!(w.closed.len(), 1);
    w.pass(seconds(1));
    assert_eq!(w.closed[1], (heir, 1000));
}

#[test]
fn a_claim_is_granted_at_once_when_the_holder_closes_and_dropped_when_the_claimant_does() {
    let mut w = world();
    let (holder, session) = w.connect();
    let first = w.open();
    w.say(
        first,
        1,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    w.close(first);
    assert_eq!(w.hub.poll_timeout(), None);
    let second = w.open();
    w.say(
        second,
        2,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    w.close(holder);
    assert_eq!(
        w.hear_one(second)["result"]["value"],
        "reconnection successful"
    );
    assert_eq!(w.hub.poll_timeout(), None);
}

#[test]
fn a_claimant_that_made_a_session_of_its_own_meanwhile_keeps_that_one() {
    let mut w = world();
    let (holder, session) = w.connect();
    let other = w.open();
    w.say(
        other,
        1,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    w.say(other, 2, "joinRoom", json!({}));
    w.close(holder);
    assert_eq!(w.hear_one(other)["error"]["code"], 40007);
    assert_ne!(w.executing[0].0, session);
    w.pass(seconds(10));
    assert_eq!(w.ended, [session]);
}

#[test]
fn a_request_may_name_its_own_session_an_unknown_one_or_one_that_waits() {
    let mut w = world();
    let (socket, session) = w.connect();
    w.say(socket, 2, "a", json!({ "sessionId": session.as_str() }));
    w.complete(&session, 2);
    w.say(socket, 3, "b", json!({ "sessionId": "unknown" }));
    w.complete(&session, 3);
    w.close(socket);
    let second = w.open();
    w.say(second, 4, "c", json!({ "sessionId": session.as_str() }));
    w.complete(&session, 4);
    assert_eq!(w.hub.sessions(), 1);
    assert!(w.executing.iter().all(|(owner, _, _)| *owner == session));
    assert_eq!(w.executing.len(), 3);

    // A socket with a session does not trade it for one that waits.
    let (third, _) = w.connect();
    w.close(second);
    w.say(third, 5, "d", json!({ "sessionId": session.as_str() }));
    assert_eq!(w.hear_one(third)["error"]["code"], 40007);
}

#[test]
fn close_session_says_bye_closes_and_ends_at_once() {
    let mut w = world();
    let (socket, session) = w.connect();
    w.say(socket, 2, "closeSession", json!({}));
    assert_eq!(
        w.hear_one(socket),
        json!({"id":2,"result":"bye","jsonrpc":"2.0"})
    );
    assert_eq!(w.closed, [(socket, 1000)]);
    assert_eq!(w.ended, [session]);
    assert_eq!(w.hub.poll_timeout(), None);

    let fresh = w.open();
    w.say(fresh, 1, "closeSession", json!({}));
    assert_eq!(w.hear_one(fresh)["result"], "bye");
    assert_eq!(w.closed.len(), 1);
}

#[test]
fn requests_of_a_session_run_one_by_one_and_pings_pass_them() {
    let mut w = world();
    let (socket, session) = w.connect();
    w.say(socket, 2, "joinRoom", json!({}));
    w.say(socket, 3, "publishVideo", json!({}));
    w.say(socket, 4, "ping", json!({}));
    assert_eq!(w.executing.len(), 1);
    assert_eq!(w.hear_one(socket)["id"], 4);
    w.complete(&session, 2);
    assert_eq!(w.executing[1].2, "publishVideo");
    // Not answered: the client gets an error rather than nothing.
    assert_eq!(w.hear_one(socket)["error"]["code"], -1);
}

#[test]
fn sessions_do_not_wait_for_each_other() {
    let mut w = world();
    let (a, _) = w.connect();
    let (b, _) = w.connect();
    w.say(a, 2, "joinRoom", json!({}));
    w.say(b, 2, "joinRoom", json!({}));
    assert_eq!(w.executing.len(), 2);
}

#[test]
fn a_request_sent_again_under_its_id_is_answered_once() {
    let mut w = world();
    let (socket, session) = w.connect();
    for id in [2, 2, 3, 3] {
        w.say(socket, id, "joinRoom", json!({}));
    }
    assert!(w.hub.respond(&session, RequestId(2), &json!({})));
    assert!(!w.hub.respond(&session, RequestId(2), &json!({})));
    assert!(
        !w.hub
            .refuse(&session, RequestId(2), &Failure::refused(104, "x"))
    );
    w.complete(&session, 2);
    w.complete(&session, 3);
    assert_eq!(w.executing.len(), 2);
    assert_eq!(w.heard(socket).len(), 2);
    assert_eq!(w.hub.counters().duplicates, 2);
    // Done with, the id is free.
    w.say(socket, 2, "joinRoom", json!({}));
    assert_eq!(w.executing.len(), 3);
}

#[test]
fn a_request_without_an_id_is_refused_without_an_id() {
    let mut w = world();
    let socket = w.open();
    let frame = parse(r#"{"method":"joinRoom","params":{}}"#, &Limits::default()).unwrap();
    w.hub.handle_frame(socket, frame, w.now);
    w.drain();
    let reply = w.hear_one(socket);
    assert_eq!(reply["error"]["code"], -1);
    assert!(reply.get("id").is_none());
    assert!(w.executing.is_empty());
}

#[test]
fn leaving_ends_the_session_without_grace() {
    let mut w = world();
    let (socket, session) = w.connect();
    w.say(socket, 2, "leaveRoom", json!({}));
    w.say(socket, 3, "joinRoom", json!({}));
    w.hub.respond(&session, RequestId(2), &json!({}));
    w.hub.hang_up(&session, w.now);
    w.complete(&session, 2);
    assert_eq!(w.closed, [(socket, 1000)]);
    assert_eq!(w.executing.len(), 1);
    assert!(w.ended.is_empty());
    assert_eq!((w.hub.sockets(), w.hub.sessions()), (0, 0));
}

#[test]
fn a_session_that_ends_during_a_request_is_reported_again_when_that_is_done() {
    let mut w = world();
    let (socket, session) = w.connect();
    w.say(socket, 2, "joinRoom", json!({}));
    w.say(socket, 3, "publishVideo", json!({}));
    w.say(socket, 4, "closeSession", json!({}));
    assert_eq!(w.ended.len(), 1);
    let again = w.open();
    w.say(
        again,
        1,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    assert_eq!(w.hear_one(again)["error"]["code"], 40007);
    w.complete(&session, 2);
    assert_eq!(w.ended.len(), 2);
    assert_eq!(w.executing.len(), 1);
    assert_eq!(w.hub.sessions(), 0);
}

#[test]
fn everything_a_client_can_grow_is_capped() {
    let mut w = World::new(Config {
        max_sockets: 3,
        max_sessions: 1,
        max_waiting_requests: 2,
        max_waiting_bytes: 200,
        ..Config::default()
    });
    let (socket, session) = w.connect();
    let other = w.open();
    w.say(other, 1, "joinRoom", json!({}));
    assert_eq!(w.hear_one(other)["error"]["code"], -32000);
    w.say(other, 2, "connect", json!({}));
    assert_eq!(w.hear_one(other)["error"]["code"], -32000);
    w.open();
    assert_eq!(w.hub.handle_open(), None);

    w.say(socket, 2, "a", json!({}));
    w.say(socket, 3, "b", json!({ "x": "x".repeat(500) }));
    assert_eq!(w.hear_one(socket)["error"]["code"], -32000);
    w.say(socket, 4, "c", json!({}));
    w.say(socket, 5, "d", json!({}));
    w.say(socket, 6, "e", json!({}));
    assert_eq!(w.hear_one(socket)["id"], 6);
    for id in [2, 4, 5] {
        w.complete(&session, id);
    }
    assert_eq!(w.executing.len(), 3);
}

#[test]
fn closing_down_closes_every_socket_and_ends_every_session() {
    let mut w = world();
    let (a, _) = w.connect();
    let (b, _) = w.connect();
    w.close(b);
    let c = w.open();
    w.hub.close_all(1001, "going away", w.now);
    w.drain();
    assert_eq!(w.closed, [(a, 1001), (c, 1001)]);
    assert_eq!(w.ended.len(), 2);
    assert_eq!(w.hub.handle_open(), None);
    assert_eq!((w.hub.sockets(), w.hub.sessions()), (0, 0));
    assert_eq!(w.hub.poll_timeout(), None);
}

#[test]
fn any_sequence_of_events_leaves_nothing_behind() {
    // A small deterministic walk over everything a peer can do.
    let mut w = World::new(Config {
        max_sockets: 6,
        ..Config::default()
    });
    let mut state = 7_u64;
    let mut next = move |n: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % n
    };
    let mut sockets: Vec<SocketId> = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for step in 0..20_000_i64 {
        if sockets.is_empty() || next(4) == 0 {
            sockets.extend(w.hub.handle_open());
        }
        let Some(&socket) = sockets.get(next(sockets.len().max(1) as u64) as usize) else {
            w.pass(seconds(1));
            continue;
        };
        let params = match next(3) {
            0 if !known.is_empty() => {
                json!({ "sessionId": known[next(known.len() as u64) as usize] })
            }
            _ => json!({}),
        };
        match next(9) {
            0 => w.say(socket, step, "connect", params),
            1 => w.say(socket, step, "ping", json!({ "interval": 1000 })),
            2 if next(3) == 0 => w.say(socket, step, "closeSession", json!({})),
            3 => w.close(socket),
            4 => w.pass(Duration::from_millis(next(5000))),
            5 => w.hub.handle_pong(socket),
            6 => {
                if let Some((session, id, _)) = w.executing.pop() {
                    if next(4) == 0 {
                        w.hub.hang_up(&session, w.now);
                    }
                    w.hub.complete(&session, id);
                }
            }
            _ => w.say(socket, step, "joinRoom", params),
        }
        w.drain();
        for frames in std::mem::take(&mut w.sent).into_values() {
            known.extend(
                frames
                    .iter()
                    .filter_map(|f| f["result"]["sessionId"].as_str().map(str::to_owned)),
            );
        }
        let live: Vec<SocketId> = sockets
            .iter()
            .copied()
            .filter(|s| !w.closed.iter().any(|(closed, _)| closed == s))
            .collect();
        w.closed.clear();
        sockets = live;
    }
    w.hub.close_all(1001, "", w.now);
    w.drain();
    let mut turns = 0;
    while let Some((session, id, _)) = w.executing.pop() {
        w.complete(&session, id.0);
        turns += 1;
        assert!(turns < 100_000);
    }
    assert_eq!((w.hub.sockets(), w.hub.sessions()), (0, 0));
    assert_eq!(w.hub.poll_timeout(), None);
}

/// A client that asked for numbered frames, with its session.
fn numbered(world: &mut World) -> (SocketId, SessionId) {
    let socket = world.open();
    world.say(socket, 1, "joinRoom", json!({}));
    let (session, id, _) = world.executing.remove(0);
    world.hub.number(&session);
    world.hub.respond(&session, id, &json!({}));
    world.hub.complete(&session, id);
    world.drain();
    (socket, session)
}

fn numbers(frames: &[Value]) -> Vec<u64> {
    frames
        .iter()
        .filter_map(|frame| frame["seq"].as_u64())
        .collect()
}

#[test]
fn a_numbered_session_gets_every_frame_exactly_once_on_whatever_socket() {
    let mut world = World::new(Config::default());
    let (first, session) = numbered(&mut world);
    for n in 0..3 {
        world.hub.notify(&session, "event", &json!({ "n": n }));
    }
    world.drain();
    assert_eq!(numbers(&world.heard(first)), [1, 2, 3, 4]);
    // Of the four the client has seen two when its socket breaks; two more happen meanwhile.
    world.close(first);
    for n in 3..5 {
        world.hub.notify(&session, "event", &json!({ "n": n }));
    }
    let second = world.open();
    let params = json!({ "sessionId": session.as_str(), "seq": 2 });
    world.say(second, 9, "connect", params);
    let heard = world.heard(second);
    assert_eq!(heard[0]["result"]["seq"], 6);
    assert_eq!(heard[0]["result"].get("lost"), None);
    assert_eq!(
        heard[0].get("seq"),
        None,
        "replies to connect are not numbered"
    );
    assert_eq!(numbers(&heard), [3, 4, 5, 6]);
    assert_eq!(heard[4]["params"]["n"], 4);
    // What a ping has seen is not sent again.
    world.say(second, 10, "ping", json!({ "seq": 5 }));
    world.heard(second);
    world.close(second);
    let third = world.open();
    world.say(
        third,
        11,
        "connect",
        json!({ "sessionId": session.as_str() }),
    );
    assert_eq!(numbers(&world.heard(third)), [6]);
}

#[test]
fn a_request_that_was_answered_while_nobody_listened_has_its_answer_repeated() {
    let mut world = World::new(Config::default());
    let (first, session) = numbered(&mut world);
    world.heard(first);
    world.say(first, 2, "publishVideo", json!({}));
    let (_, id, _) = world.executing.remove(0);
    world.close(first);
    // The client does not know whether its request arrived, and sends it again while it runs.
    let second = world.open();
    let params = json!({ "sessionId": session.as_str(), "seq": 1 });
    world.say(second, 3, "connect", params);
    world.say(second, 2, "publishVideo", json!({}));
    assert!(world.executing.is_empty());
    world
        .hub
        .respond(&session, id, &json!({ "sdpAnswer": "A" }));
    world.hub.complete(&session, id);
    world.drain();
    let heard = world.heard(second);
    assert_eq!(numbers(&heard), [2]);
    assert_eq!(heard[1]["result"]["sdpAnswer"], "A");
}

#[test]
fn what_is_kept_for_a_numbered_session_is_bounded_and_what_is_lost_is_said() {
    let mut world = World::new(Config {
        max_missed_frames: 3,
        ..Config::default()
    });
    let (first, session) = numbered(&mut world);
    world.close(first);
    for n in 0..9 {
        world.hub.notify(&session, "event", &json!({ "n": n }));
    }
    let second = world.open();
    let params = json!({ "sessionId": session.as_str(), "seq": "1" });
    world.say(second, 2, "connect", params);
    let heard = world.heard(second);
    assert_eq!(heard[0]["result"]["lost"], 6);
    assert_eq!(numbers(&heard), [8, 9, 10]);
    // Nobody has seen what was never sent.
    world.say(second, 3, "ping", json!({ "seq": 1_000_000 }));
    world.hub.notify(&session, "event", &json!({}));
    world.drain();
    assert_eq!(numbers(&world.heard(second)), [11]);
}
