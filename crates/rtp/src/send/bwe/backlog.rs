//! What a path carries while a queue stands in front of its bottleneck: packets then arrive as fast as it lets them.
//!
//! What arrives over a longer time says less: an application that sends little, and now and then a keyframe at once,
//! builds up a queue all the same, and its mean rate is not where the path ends.

/// Delay above the least one that is a queue.
const QUEUED_MS: f64 = 15.0;
/// The least delay ages by this much per millisecond: clocks drift and paths change.
const AGING: f64 = 0.002;
/// Packets, and the time between the first and the last of them, from which a rate can be told.
const PACKETS: u32 = 8;
const LENGTH_MS: f64 = 20.0;
/// A queue that stands for longer is measured anew: the path may change.
const WINDOW_MS: f64 = 300.0;

/// The rate of packets that were queued.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    least_delay: Option<f64>,
    last_arrival: Option<f64>,
    run: Option<Run>,
    bps: Option<f64>,
    is_queued: bool,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    began: f64,
    bytes: f64,
    packets: u32,
}

impl Backlog {
    /// Adds a packet by its times of sending and arrival, in milliseconds on the clocks of either side.
    pub(super) fn add(&mut self, bytes: u16, send: f64, arrival: f64) {
        let since = self
            .last_arrival
            .map_or(0.0, |last| (arrival - last).max(0.0));
        self.last_arrival = Some(self.last_arrival.map_or(arrival, |last| last.max(arrival)));
        let delay = arrival - send;
        let aged = self
            .least_delay
            .map_or(delay, |least| least + AGING * since);
        let least = aged.min(delay);
        self.least_delay = Some(least);
        self.is_queued = delay - least >= QUEUED_MS;
        if !self.is_queued {
            self.run = None;
            self.bps = None;
            return;
        }
        let Some(run) = self.run.as_mut() else {
            self.run = Some(Run {
                began: arrival,
                bytes: 0.0,
                packets: 0,
            });
            return;
        };
        run.bytes += f64::from(bytes);
        run.packets = run.packets.saturating_add(1);
        let length = arrival - run.began;
        if run.packets >= PACKETS && length >= LENGTH_MS {
            self.bps = Some(run.bytes * 8_000.0 / length);
        }
        if length > WINDOW_MS {
            self.run = None;
        }
    }

    /// Whether the last packet was in a queue.
    pub(super) const fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// Bits per second; `None` while there is no queue, or too little of it was seen.
    pub(super) const fn bps(&self) -> Option<f64> {
        self.bps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends packets at these moments over a path of 2 Mbit/s and 30 ms.
    fn run(backlog: &mut Backlog, sends: impl Iterator<Item = f64>) {
        let mut free = 0.0f64;
        for send in sends {
            free = free.max(send) + 1_000.0 * 8_000.0 / 2_000_000.0;
            backlog.add(1_000, send, free + 30.0);
        }
    }

    #[test]
    fn a_burst_shows_what_the_path_carries_however_little_is_sent_otherwise() {
        let mut backlog = Backlog::default();
        run(&mut backlog, (0..50).map(|n| f64::from(n) * 40.0));
        assert_eq!(backlog.bps(), None, "no queue");
        run(&mut backlog, (0..20).map(|_| 2_000.0));
        let bps = backlog.bps().expect("a queue");
        assert!((1_900_000.0..2_100_000.0).contains(&bps), "{bps}");
        run(&mut backlog, (0..2).map(|n| 2_200.0 + f64::from(n) * 40.0));
        assert_eq!(backlog.bps(), None, "it is empty");
    }
}
