//! From RTP timestamps to the running time.
//!
//! A packet's place in time is that of its capture plus the shortest delay that was seen on the way here, so
//! jitter does not show. Sender reports put all streams of a sender on one clock: streams whose clocks agree within
//! [`SAME_SENDER`] share one delay, and so stay in step with each other. Without reports a stream has a delay of its own.
//! Delays follow the drift between clocks slowly.

use gstreamer::ClockTime;
use salono_rtp::time::{Ntp, distance};

/// Clocks that differ by less than this are taken for one.
const SAME_SENDER: i64 = 1_000_000_000;

/// In the beginning the shortest delay is taken over at once.
const SETTLING: i64 = 2_000_000_000;

/// Then it is looked at after this long,
const WINDOW: i64 = 5_000_000_000;

/// and followed by as much.
const MAX_STEP: i64 = 2_000_000;

/// A delay that is off by this much is another timeline, and followed at once.
const RESET: i64 = 1_000_000_000;

/// Clocks that are remembered.
const MAX_CLOCKS: usize = 256;

/// The delay between a sender's clock and the running time, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Delay {
    value: i64,
    began: i64,
    window_began: i64,
    shortest: i64,
    used: i64,
}

impl Delay {
    fn new(now: i64, seen: i64) -> Self {
        Self {
            value: seen,
            began: now,
            window_began: now,
            shortest: seen,
            used: now,
        }
    }

    fn see(&mut self, now: i64, seen: i64) {
        self.used = now;
        self.shortest = self.shortest.min(seen);
        if now - self.began < SETTLING {
            self.value = self.value.min(seen);
        }
        if now - self.window_began < WINDOW {
            return;
        }
        let off = self.shortest - self.value;
        self.value += if off.abs() > RESET {
            off
        } else {
            off.clamp(-MAX_STEP, MAX_STEP)
        };
        self.window_began = now;
        self.shortest = seen;
    }
}

/// The clocks of all senders.
#[derive(Debug, Default)]
pub struct Clocks {
    delays: Vec<Delay>,
}

impl Clocks {
    /// Where the clock that has this delay is.
    fn find(&mut self, now: i64, seen: i64) -> usize {
        let agree = |delay: &Delay| (delay.value - seen).abs() < SAME_SENDER;
        if let Some(at) = self.delays.iter().position(agree) {
            return at;
        }
        if self.delays.len() < MAX_CLOCKS {
            self.delays.push(Delay::new(now, seen));
            return self.delays.len() - 1;
        }
        let oldest = (0..self.delays.len())
            .min_by_key(|at| self.delays[*at].used)
            .unwrap_or(0);
        self.delays[oldest] = Delay::new(now, seen);
        oldest
    }
}

/// The timeline of one stream.
#[derive(Debug)]
pub struct Timeline {
    clock_rate: u32,
    /// The newest timestamp, on the wire and counted on.
    newest: Option<(u32, i64)>,
    /// Counted timestamp and capture time of the newest report.
    report: Option<(i64, i64)>,
    own: Option<Delay>,
    /// Timestamp and place of the last packet: those of one frame have one place.
    last: Option<(i64, i64)>,
}

impl Timeline {
    /// Of a stream with this clock rate in hertz.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            newest: None,
            report: None,
            own: None,
            last: None,
        }
    }

    /// Takes in what a sender report says: the wall clock at an RTP timestamp.
    pub fn report(&mut self, ntp: Ntp, rtp_timestamp: u32) {
        let nanos = (u128::from(ntp.bits()) * 1_000_000_000) >> 32;
        let capture = i64::try_from(nanos).unwrap_or(i64::MAX);
        let ticks = self.count(rtp_timestamp);
        self.report = Some((ticks, capture));
    }

    /// Whether a report came.
    pub fn is_related(&self) -> bool {
        self.report.is_some()
    }

    /// The place of a packet in running time.
    pub fn place(
        &mut self,
        arrived: ClockTime,
        rtp_timestamp: u32,
        clocks: &mut Clocks,
    ) -> ClockTime {
        let now = i64::try_from(arrived.nseconds()).unwrap_or(i64::MAX);
        let ticks = self.count(rtp_timestamp);
        let before = self.last;
        let capture = match self.report {
            Some((at, capture)) => capture.saturating_add(self.nanos(ticks - at)),
            None => self.nanos(ticks),
        };
        let seen = now.saturating_sub(capture);
        let delay = if self.report.is_some() {
            let at = clocks.find(now, seen);
            let delay = &mut clocks.delays[at];
            delay.see(now, seen);
            delay.value
        } else {
            let delay = self.own.get_or_insert_with(|| Delay::new(now, seen));
            delay.see(now, seen);
            delay.value
        };
        if let Some((last, place)) = before
            && last == ticks
        {
            return to_clock(place);
        }
        let mut place = capture.saturating_add(delay).max(0);
        if let Some((last, least)) = before
            && ticks > last
            && place <= least
        {
            // The delay became shorter; time goes on nevertheless.
            place = least + self.nanos(ticks - last).clamp(1, 1_000_000);
        }
        self.last = Some((ticks, place));
        to_clock(place)
    }

    /// Counts a timestamp on from the newest one.
    fn count(&mut self, timestamp: u32) -> i64 {
        let Some((newest, counted)) = self.newest else {
            self.newest = Some((timestamp, 0));
            return 0;
        };
        let step = i64::from(distance(timestamp, newest));
        let ticks = counted.saturating_add(step);
        if step > 0 {
            self.newest = Some((timestamp, ticks));
        }
        ticks
    }

    fn nanos(&self, ticks: i64) -> i64 {
        let nanos = i128::from(ticks) * 1_000_000_000 / i128::from(self.clock_rate);
        i64::try_from(nanos).unwrap_or(0)
    }
}

fn to_clock(nanos: i64) -> ClockTime {
    ClockTime::from_nseconds(u64::try_from(nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> ClockTime {
        ClockTime::from_mseconds(ms)
    }

    #[test]
    fn jitter_does_not_show() {
        let (mut line, mut clocks) = (Timeline::new(1_000), Clocks::default());
        let jitter = [9, 0, 30, 4, 11];
        let mut places = Vec::new();
        for (frame, jitter) in (0_u32..).zip(jitter) {
            let arrived = at(5_000 + u64::from(frame) * 40 + jitter);
            places.push(line.place(
                arrived,
                frame.wrapping_mul(40).wrapping_sub(60),
                &mut clocks,
            ));
        }
        assert_eq!(places[1..], [at(5_040), at(5_080), at(5_120), at(5_160)]);
    }

    #[test]
    fn streams_of_one_sender_are_in_step_however_late_one_is() {
        let mut clocks = Clocks::default();
        let (mut sound, mut pictures) = (Timeline::new(48_000), Timeline::new(90_000));
        let ntp = |ms: u64| Ntp::from_unix(Duration::from_millis(1_700_000_000_000 + ms));
        sound.report(ntp(0), 1_000);
        pictures.report(ntp(20), 500);
        // Captured at 100 ms both, but the picture took 130 ms longer.
        let heard = sound.place(at(7_010), 1_000 + 4_800, &mut clocks);
        let seen = pictures.place(at(7_140), 500 + 80 * 90, &mut clocks);
        let apart = heard.nseconds().abs_diff(seen.nseconds());
        assert!(apart < 1_000_000, "{apart} ns apart");
    }

    #[test]
    fn drift_is_followed() {
        let (mut line, mut clocks) = (Timeline::new(1_000), Clocks::default());
        // The sender's clock is 200 ppm slow: after 300 s it is 60 ms behind.
        let mut place = ClockTime::ZERO;
        for frame in 0..15_000_u32 {
            let arrived = ClockTime::from_nseconds(u64::from(frame) * 20_004_000);
            place = line.place(arrived, frame * 20, &mut clocks);
        }
        let arrived = ClockTime::from_nseconds(14_999 * 20_004_000);
        let late = arrived.nseconds().abs_diff(place.nseconds());
        assert!(late < 5_000_000, "{late} ns behind");
    }

    #[test]
    fn time_never_runs_backwards() {
        let (mut line, mut clocks) = (Timeline::new(1_000), Clocks::default());
        let first = line.place(at(500), 0, &mut clocks);
        let second = line.place(at(501), 20, &mut clocks);
        assert!(second > first);
        let third = line.place(at(502), 40, &mut clocks);
        assert!(third > second);
    }
}
