//! Two associations over a path that loses what a test wants to be lost, in virtual time.

use super::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// One way.
const LATENCY: Duration = Duration::from_millis(20);
const LIMITS: DataLimits = DataLimits {
    channels: 8,
    message_bytes: 64 * 1024,
    buffered_bytes: 1024 * 1024,
};
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// A message: its channel's label, whether it is binary, what it says.
type Message = (String, bool, Vec<u8>);

struct Wire {
    now: Instant,
    sides: [DataChannels; 2],
    under_way: Vec<(Instant, usize, Bytes)>,
    /// While set, nothing arrives.
    is_cut: Rc<Cell<bool>>,
    opened: [Vec<u16>; 2],
    closed: [Vec<u16>; 2],
    messages: [Vec<Message>; 2],
}

impl Wire {
    fn new() -> Self {
        let mut wire = Self {
            now: Instant::now(),
            sides: [(); 2].map(|()| DataChannels::new(LIMITS, 5000, None)),
            under_way: Vec::new(),
            is_cut: Rc::default(),
            opened: Default::default(),
            closed: Default::default(),
            messages: Default::default(),
        };
        wire.sides[SERVER].start(false, wire.now);
        wire.sides[CLIENT].start(true, wire.now);
        wire
    }

    /// A wire with a channel opened by the client.
    fn with(spec: DataChannelSpec) -> Self {
        let mut wire = Self::new();
        wire.open(CLIENT, spec);
        wire.run(Duration::from_secs(1));
        assert_eq!(wire.opened, [vec![0], vec![0]]);
        wire
    }

    fn open(&mut self, side: usize, spec: DataChannelSpec) {
        assert!(self.sides[side].open(spec, self.now));
    }

    fn send(&mut self, side: usize, label: &str, binary: bool, payload: &[u8]) {
        self.sides[side].send(label, binary, payload, self.now);
        self.collect();
    }

    /// Sends its number as a message every 10 ms.
    fn count(&mut self, numbers: std::ops::Range<u8>) {
        for number in numbers {
            self.send(CLIENT, "a", true, &[number]);
            self.run(Duration::from_millis(10));
        }
    }

    fn numbers(&self) -> Vec<u8> {
        let at_server = &self.messages[SERVER];
        at_server.iter().map(|(_, _, payload)| payload[0]).collect()
    }

    fn collect(&mut self) {
        for from in [CLIENT, SERVER] {
            while let Some(packet) = self.sides[from].poll_transmit(self.now) {
                if !self.is_cut.get() {
                    self.under_way.push((self.now + LATENCY, 1 - from, packet));
                }
            }
            while let Some(event) = self.sides[from].poll_event() {
                match event {
                    DataEvent::Opened(id) => self.opened[from].push(id),
                    DataEvent::Closed(id) => self.closed[from].push(id),
                    DataEvent::Message {
                        label,
                        binary,
                        payload,
                    } => self.messages[from].push((label, binary, payload)),
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.collect();
        loop {
            let packets = self.under_way.iter().map(|(at, ..)| *at);
            let timers = self.sides.iter().filter_map(DataChannels::poll_timeout);
            let Some(next) = packets.chain(timers).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            let (due, later) = std::mem::take(&mut self.under_way)
                .into_iter()
                .partition(|(at, ..)| *at <= self.now);
            self.under_way = later;
            for (_, to, packet) in due {
                self.sides[to].handle_datagram(&packet, self.now);
            }
            for side in &mut self.sides {
                side.handle_timeout(self.now);
            }
            self.collect();
        }
        self.now = end;
    }
}

fn labelled(label: &str) -> DataChannelSpec {
    DataChannelSpec {
        label: label.to_owned(),
        ordered: true,
        ..DataChannelSpec::default()
    }
}

#[test]
fn each_side_opens_channels_on_its_own_half_of_the_ids() {
    let mut wire = Wire::new();
    // Before the association is up, too.
    for label in ["a", "b"] {
        wire.open(CLIENT, labelled(label));
        wire.open(SERVER, labelled(label));
    }
    wire.run(Duration::from_secs(1));
    wire.open(SERVER, labelled("late"));
    wire.run(Duration::from_secs(1));
    for side in [CLIENT, SERVER] {
        let stats = wire.sides[side].stats();
        let told: Vec<(u16, &str)> = stats
            .iter()
            .map(|channel| (channel.id, channel.label.as_str()))
            .collect();
        let all = [(0, "a"), (1, "a"), (2, "b"), (3, "b"), (5, "late")];
        assert_eq!(told, all);
        assert!(stats.iter().all(|at| at.state == DataChannelState::Open));
        wire.opened[side].sort_unstable();
        assert_eq!(wire.opened[side], [0, 1, 2, 3, 5], "told once each");
    }
}

#[test]
fn every_kind_of_message_arrives_as_it_was_sent() {
    let mut wire = Wire::with(labelled("a"));
    let long = vec![7; 60_000];
    let messages: [(bool, &[u8]); 7] = [
        (false, "grüezi".as_bytes()),
        (false, b""),
        (true, b""),
        (true, b"\0"),
        (false, b"\0"),
        (true, &long),
        (false, b""),
    ];
    for side in [CLIENT, SERVER] {
        for (binary, payload) in messages {
            wire.send(side, "a", binary, payload);
        }
        wire.run(Duration::from_secs(1));
        let sent = messages.map(|(binary, payload)| ("a".to_owned(), binary, payload.to_vec()));
        assert_eq!(wire.messages[1 - side], sent);
    }
    let stats = wire.sides[CLIENT].stats();
    assert_eq!((stats[0].messages_sent, stats[0].messages_received), (7, 7));
    assert_eq!(stats[0].bytes_sent, stats[0].bytes_received);
    assert_eq!(stats[0].bytes_sent, 60_000 + 7 + 2);
}

#[test]
fn a_loss_holds_up_ordered_messages_and_no_unordered_ones() {
    for ordered in [true, false] {
        let mut wire = Wire::with(DataChannelSpec {
            ordered,
            ..labelled("a")
        });
        wire.is_cut.set(true);
        wire.send(CLIENT, "a", true, &[0]);
        wire.is_cut.set(false);
        wire.count(1..10);
        wire.run(Duration::from_secs(5));
        let numbers = wire.numbers();
        assert_eq!(numbers.len(), 10, "all arrive: {numbers:?}");
        assert_eq!(numbers.is_sorted(), ordered, "{numbers:?}");
    }
}

#[test]
fn a_message_that_may_not_be_sent_again_is_given_up() {
    for ordered in [true, false] {
        let mut wire = Wire::with(DataChannelSpec {
            ordered,
            max_retransmits: Some(0),
            ..labelled("a")
        });
        wire.count(0..3);
        wire.is_cut.set(true);
        wire.send(CLIENT, "a", true, &[3]);
        wire.is_cut.set(false);
        wire.count(4..10);
        wire.run(Duration::from_secs(5));
        assert_eq!(wire.numbers(), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    }
}

#[test]
fn a_message_that_has_outlived_its_time_is_given_up() {
    let mut wire = Wire::with(DataChannelSpec {
        max_packet_life_time: Some(200),
        ..labelled("a")
    });
    wire.count(0..3);
    wire.run(Duration::from_secs(1));
    wire.is_cut.set(true);
    wire.count(3..6);
    wire.run(Duration::from_secs(10));
    wire.is_cut.set(false);
    wire.run(Duration::from_secs(10));
    wire.count(6..9);
    wire.run(Duration::from_secs(10));
    assert_eq!(wire.numbers(), [0, 1, 2, 6, 7, 8]);
}

#[test]
fn an_outage_costs_a_reliable_channel_nothing() {
    let mut wire = Wire::with(labelled("a"));
    wire.count(0..3);
    wire.is_cut.set(true);
    wire.count(3..6);
    wire.run(Duration::from_secs(30));
    wire.is_cut.set(false);
    wire.run(Duration::from_secs(60));
    wire.count(6..9);
    wire.run(Duration::from_secs(1));
    assert_eq!(wire.numbers(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_channel_closed_by_either_side_is_closed_once_on_both_and_its_id_is_free() {
    for closes in [CLIENT, SERVER] {
        let mut wire = Wire::with(labelled("a"));
        for generation in 1..=3 {
            // What was sent before still arrives.
            wire.send(closes, "a", false, b"last words");
            assert!(wire.sides[closes].close(0, wire.now));
            assert!(!wire.sides[closes].close(0, wire.now), "it is gone");
            // The stream is not free until both halves are reset, another is.
            wire.open(CLIENT, labelled("b"));
            wire.run(Duration::from_secs(2));
            let words = ("a".to_owned(), false, b"last words".to_vec());
            assert_eq!(wire.messages[1 - closes].len(), generation);
            assert_eq!(wire.messages[1 - closes].last(), Some(&words));
            for side in [CLIENT, SERVER] {
                let zeros = wire.closed[side].iter().filter(|id| **id == 0).count();
                assert_eq!(zeros, generation, "told once on each side");
                let stats = wire.sides[side].stats();
                assert_eq!(stats.len(), 1);
                assert_eq!(stats[0].label, "b");
            }
            let other = wire.sides[CLIENT].stats()[0].id;
            assert_eq!(other % 2, 0);
            assert!(wire.sides[CLIENT].close(other, wire.now));
            wire.run(Duration::from_secs(2));
            wire.open(CLIENT, labelled("a"));
            wire.run(Duration::from_secs(2));
            assert_eq!(wire.sides[SERVER].stats()[0].id, 0, "used again");
        }
    }
}

#[test]
fn a_channel_on_our_half_of_the_ids_is_refused() {
    let mut wire = Wire::with(labelled("a"));
    // A server that takes itself for the client.
    wire.sides[SERVER].client = true;
    wire.open(SERVER, labelled("wrong"));
    wire.run(Duration::from_secs(2));
    assert_eq!(wire.opened, [vec![0], vec![0]]);
    for side in [CLIENT, SERVER] {
        let stats = wire.sides[side].stats();
        assert_eq!(stats.len(), 1);
        assert_eq!(stats[0].label, "a");
    }
}

#[test]
fn no_more_channels_than_the_limit_come_from_either_side() {
    let mut wire = Wire::new();
    wire.sides[SERVER].limits.channels = 20;
    for _ in 0..20 {
        wire.open(SERVER, labelled("many"));
    }
    wire.run(Duration::from_secs(2));
    assert_eq!(wire.sides[CLIENT].stats().len(), LIMITS.channels);
    assert!(!wire.sides[CLIENT].open(labelled("one more"), wire.now));
    // Those that were refused are closed at the other end as well.
    assert_eq!(wire.sides[SERVER].stats().len(), LIMITS.channels);
}

#[test]
fn the_end_closes_every_channel_once_and_leaves_no_alarm() {
    let mut wire = Wire::with(labelled("a"));
    wire.send(CLIENT, "a", true, b"unacknowledged");
    wire.sides[CLIENT].end();
    wire.sides[CLIENT].end();
    wire.collect();
    assert_eq!(wire.closed[CLIENT], [0]);
    assert_eq!(wire.sides[CLIENT].poll_timeout(), None);
    assert_eq!(wire.sides[CLIENT].counts(), (1, 1));
}
