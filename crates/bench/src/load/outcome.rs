//! What was measured.

use super::viewer::{Joined, Tally};
use super::window::{AUDIO, VIDEO};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Figures of one measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the server says of itself.
    pub server: String,
    /// SRTP profile that was agreed on, by its registered name.
    pub srtp: String,
    /// Connections of the server: publishers and receivers.
    pub endpoints: u64,
    /// Receivers that did not get through.
    pub unconnected: u64,
    /// Receivers that decrypted everything.
    pub sampled: u64,
    /// How long joining took.
    pub times: Times,
    /// How long packets were measured.
    pub measured: Duration,
    /// Packets that should have arrived, over all receivers.
    pub expected: u64,
    /// Those of them that did.
    pub delivered: u64,
    /// Those of them that only came when they were asked for again.
    pub repaired: u64,
    /// Packets that arrived after a later one of the same stream.
    pub reordered: u64,
    /// Packets that arrived twice.
    pub duplicates: u64,
    /// Packets that were sent again as padding, which probes the path.
    #[serde(default)]
    pub padding: u64,
    /// From the publisher's stack to those that decrypt, microseconds.
    pub latencies_us: Vec<u32>,
    /// CPU time of the server meanwhile, if its process is known.
    pub server_cpu: Option<Duration>,
    /// CPU time of each media thread of the server meanwhile, where it is a Salono.
    pub server_threads: Vec<Duration>,
    /// CPU time of the load meanwhile.
    pub own_cpu: Duration,
    /// Resident memory of the server before anybody came.
    pub idle_bytes: u64,
    /// The same at the end of the measurement.
    pub resident_bytes: u64,
}

/// How long joining took, for those that joined one after the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// From the first request until ICE and DTLS were done, microseconds.
    pub connected_us: Vec<u32>,
    /// From the first request until the first packet of audio or video, microseconds.
    pub first_packet_us: Vec<u32>,
}

impl Times {
    /// Adds a receiver whose first request was at `began`.
    pub(super) fn add(&mut self, began: Instant, joined: Joined) {
        self.connected_us.push(micros(joined.connected - began));
        self.first_packet_us
            .push(micros(joined.first_packet - began));
    }
}

impl Outcome {
    /// Adds what the receivers counted.
    pub(super) fn add_tallies(&mut self, tallies: Vec<Tally>) {
        for tally in tallies {
            for kind in [AUDIO, VIDEO] {
                let (counter, expected) = (&tally.counters[kind], tally.window.packets(kind));
                self.expected += expected;
                self.delivered += counter.delivered(expected);
                self.repaired += counter.repaired;
                self.reordered += counter.reordered;
                self.duplicates += counter.duplicates;
                self.padding += counter.padding;
            }
            self.latencies_us
                .extend(tally.latencies.into_iter().map(micros));
        }
    }

    /// CPU time of the server per packet that arrived, microseconds.
    pub fn cpu_per_packet_us(&self) -> Option<f64> {
        let cpu = self.server_cpu?;
        (self.delivered > 0).then(|| cpu.as_secs_f64() * 1e6 / self.delivered as f64)
    }

    /// Memory by which the server grew, for each connection, bytes.
    pub fn bytes_per_endpoint(&self) -> Option<u64> {
        self.server_cpu?;
        self.resident_bytes
            .saturating_sub(self.idle_bytes)
            .checked_div(self.endpoints)
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
