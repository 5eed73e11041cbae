//! The estimator against a simulated link: a queue with a rate, a delay and random loss.

use super::{Bounds, Flow, Path};
use crate::recv::TwccReceiver;
use crate::rtcp::{Compound, Packet, TransportFeedback, Writer};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// A connection that has its path for itself.
struct Sole {
    path: Path,
    flow: Flow,
}

impl Sole {
    fn new() -> Self {
        let mut path = Path::new();
        let flow = Flow::new(&mut path);
        Self { path, flow }
    }

    fn bps(&self) -> Option<u64> {
        self.path.bps()
    }

    fn feedback(&mut self, feedback: &TransportFeedback<'_>, now: Instant) -> bool {
        self.flow.feedback(feedback, &mut self.path, now)
    }

    fn probe_due(&mut self, now: Instant) -> usize {
        self.flow.probe_due(&mut self.path, 0, now)
    }

    fn remb(&mut self, bps: u64) {
        self.path.remb(self.flow.id(), bps);
    }

    fn set_bounds(&mut self, bounds: Bounds) {
        self.path.set_bounds(self.flow.id(), bounds);
    }
}

/// One way with a bottleneck; the way back is free of both.
struct Link {
    bps: f64,
    delay: Duration,
    queue: Duration,
    loss_permille: u64,
    dice: u64,
    /// When the bottleneck is free again.
    free: Instant,
}

impl Link {
    fn new(bps: f64, delay_ms: u64, now: Instant) -> Self {
        Self {
            bps,
            delay: Duration::from_millis(delay_ms),
            queue: Duration::from_millis(300),
            loss_permille: 0,
            dice: 9,
            free: now,
        }
    }

    fn send(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if (self.dice >> 33) % 1_000 < self.loss_permille {
            return None;
        }
        let begin = self.free.max(now);
        if begin - now > self.queue {
            return None;
        }
        self.free = begin + Duration::from_secs_f64(bytes as f64 * 8.0 / self.bps);
        Some(self.free + self.delay)
    }
}

/// A sender that paces media, a receiver that reports, and what is under way between them.
struct Call {
    now: Instant,
    link: Link,
    estimator: Sole,
    receiver: TwccReceiver,
    media: VecDeque<(Instant, u16)>,
    reports: VecDeque<(Instant, Vec<u8>)>,
    debt: f64,
    /// What the encoder makes at most, in bits per second.
    appetite: f64,
    trace: Vec<u64>,
}

impl Call {
    fn new(bps: f64, delay_ms: u64, appetite: f64) -> Self {
        let now = crate::virtual_time::origin();
        let mut estimator = Sole::new();
        estimator.path.set_wanted(appetite as u64);
        estimator.flow.start(&estimator.path);
        Self {
            now,
            link: Link::new(bps, delay_ms, now),
            estimator,
            receiver: TwccReceiver::new(),
            media: VecDeque::new(),
            reports: VecDeque::new(),
            debt: 0.0,
            appetite,
            trace: Vec::new(),
        }
    }

    fn bps(&self) -> f64 {
        self.estimator.bps().unwrap_or(0) as f64
    }

    fn transmit(&mut self, bytes: usize) {
        let seq = self.estimator.flow.sent(bytes, self.now);
        if let Some(at) = self.link.send(bytes, self.now) {
            self.media.push_back((at, seq));
        }
    }

    fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.now += MS;
            let rate = match self.estimator.bps() {
                Some(bps) => (bps as f64).min(self.appetite),
                None => self.appetite.min(300_000.0),
            };
            self.debt += rate / 8_000.0;
            while self.debt >= 1_000.0 {
                self.debt -= 1_000.0;
                self.transmit(1_000);
            }
            while self.estimator.probe_due(self.now) > 0 {
                self.transmit(1_000);
            }
            while self.media.front().is_some_and(|(at, _)| *at <= self.now) {
                let (at, seq) = self.media.pop_front().unwrap();
                self.receiver.record(seq, at);
            }
            if self
                .receiver
                .poll_timeout()
                .is_some_and(|due| due <= self.now)
            {
                let mut buf = [0; 1_200];
                let mut writer = Writer::new(&mut buf);
                if self.receiver.write(&mut writer, 1, 2).unwrap() {
                    let len = writer.len();
                    let at = self.now + self.link.delay;
                    self.reports.push_back((at, buf[..len].to_vec()));
                }
            }
            while self.reports.front().is_some_and(|(at, _)| *at <= self.now) {
                let (_, bytes) = self.reports.pop_front().unwrap();
                for packet in Compound::new(&bytes) {
                    if let Packet::TransportFeedback(feedback) = packet {
                        self.estimator.feedback(&feedback, self.now);
                    }
                }
            }
            self.trace.push(self.estimator.bps().unwrap_or(0));
        }
    }
}

#[test]
fn a_path_of_4_mbit_is_found_to_carry_2_within_5_seconds() {
    let mut call = Call::new(4_000_000.0, 25, 6_000_000.0);
    call.run(5.0);
    assert!(call.bps() >= 2_000_000.0, "{}", call.bps());
    call.run(25.0);
    assert!(
        (2_800_000.0..4_400_000.0).contains(&call.bps()),
        "{}",
        call.bps()
    );
}

#[test]
fn the_estimate_settles_below_any_capacity_without_a_standing_queue() {
    for capacity in [250_000.0, 500_000.0, 1_000_000.0, 8_000_000.0] {
        let mut call = Call::new(capacity, 40, capacity * 3.0);
        call.run(20.0);
        let (mut sum, mut queued) = (0.0, Duration::ZERO);
        for _ in 0..100 {
            call.run(0.1);
            sum += call.bps();
            queued = queued.max(call.link.free.saturating_duration_since(call.now));
        }
        let share = sum / 100.0 / capacity;
        assert!((0.65..1.08).contains(&share), "{capacity}: {share}");
        assert!(
            queued < Duration::from_millis(250),
            "{capacity}: {queued:?}"
        );
    }
}

#[test]
fn a_squeeze_is_followed_within_two_seconds_and_its_end_within_ten() {
    let mut call = Call::new(3_000_000.0, 25, 2_000_000.0);
    call.run(10.0);
    let before = call.bps();
    assert!(before > 1_900_000.0, "{before}");
    call.link.bps = 500_000.0;
    call.run(2.0);
    assert!(call.bps() < 600_000.0, "{}", call.bps());
    call.run(8.0);
    assert!(
        (300_000.0..600_000.0).contains(&call.bps()),
        "{}",
        call.bps()
    );
    call.link.bps = 3_000_000.0;
    call.run(10.0);
    assert!(call.bps() >= 1_800_000.0, "{}", call.bps());
}

#[test]
fn a_stream_far_below_the_capacity_does_not_lower_the_estimate() {
    let mut call = Call::new(5_000_000.0, 25, 400_000.0);
    call.run(60.0);
    assert!(call.bps() > 450_000.0, "{}", call.bps());
    assert!(!call.estimator.path.was_limited());
}

#[test]
fn random_loss_alone_leaves_room_for_media() {
    for (permille, least) in [(10, 0.7), (50, 0.6), (100, 0.4)] {
        for delay in [10, 50, 150] {
            let mut call = Call::new(3_000_000.0, delay, 2_000_000.0);
            call.link.loss_permille = permille;
            call.run(30.0);
            let share = call.bps() / 2_000_000.0;
            assert!(share > least, "{permille} {delay}: {share}");
        }
    }
}

#[test]
fn bounds_hold_and_the_receivers_own_estimate_is_a_bound_too() {
    let mut call = Call::new(5_000_000.0, 25, 2_000_000.0);
    assert_eq!(call.estimator.bps(), None);
    call.estimator.remb(700_000);
    assert_eq!(call.estimator.bps(), Some(700_000));
    call.estimator.remb(50_000_000);
    call.run(5.0);
    assert!(call.bps() > 1_900_000.0);
    call.estimator.remb(700_000);
    assert_eq!(call.estimator.bps(), Some(700_000));
    let bounds = Bounds {
        min_bps: 0,
        max_bps: 500_000,
    };
    call.estimator.set_bounds(bounds);
    assert_eq!(call.estimator.bps(), Some(500_000));
    let bounds = Bounds {
        min_bps: 900_000,
        max_bps: 0,
    };
    call.estimator.set_bounds(bounds);
    assert_eq!(call.estimator.bps(), Some(900_000));
}

#[test]
fn the_same_packets_make_the_same_estimates() {
    let trace = || {
        let mut call = Call::new(2_000_000.0, 30, 3_000_000.0);
        call.link.loss_permille = 20;
        call.run(15.0);
        call.trace
    };
    assert_eq!(trace(), trace());
}

#[test]
fn feedback_about_nothing_that_was_sent_changes_nothing() {
    let now = crate::virtual_time::origin();
    let mut estimator = Sole::new();
    let mut receiver = TwccReceiver::new();
    receiver.record(40_000, now);
    let mut buf = [0; 200];
    let mut writer = Writer::new(&mut buf);
    receiver.write(&mut writer, 1, 2).unwrap();
    let Some(Packet::TransportFeedback(feedback)) = Compound::new(&buf).next() else {
        panic!("feedback does not parse")
    };
    assert!(!estimator.feedback(&feedback, now));
    assert_eq!(estimator.bps(), None);
    assert_eq!(estimator.flow.poll_timeout(&estimator.path), None);
}
