//! Probes: short bursts that are sent faster than the estimate, to find out whether there is room above it.
//!
//! A cluster is a handful of packets at one rate. Media that goes out meanwhile is part of it; the rest is padding.
//! What arrives of it, and in which time, is the result.

/// A cluster has at least so many packets and lasts so long.
const PACKETS: u32 = 5;
const LENGTH_MS: f64 = 15.0;
/// A cluster that found too little padding is given up.
const PATIENCE_MS: f64 = 250.0;
/// Clusters whose feedback is awaited.
const OPEN: usize = 4;
/// Parts of a cluster that have to arrive.
const ARRIVED: f64 = 0.8;
/// What arrives at this share of the rate it was sent with filled the path: part of it is left for queues to empty.
const FILLED: f64 = 0.9;
const FILLED_LEAVES: f64 = 0.95;
/// A result from this share of its aim on is followed by a probe at twice the result.
const SUCCESS: f64 = 0.7;
/// An interval in which a cluster cannot have arrived.
const MAX_INTERVAL_MS: f64 = 1_000.0;

/// A cluster that is being sent.
#[derive(Debug, Clone, Copy)]
struct Active {
    id: u8,
    bps: f64,
    began: f64,
    bytes: u32,
    packets: u32,
}

/// What is known of a cluster.
#[derive(Debug, Clone, Copy)]
struct Measured {
    id: u8,
    bps: f64,
    first_send: f64,
    last_send: f64,
    last_bytes: f64,
    first_arrival: f64,
    first_bytes: f64,
    last_arrival: f64,
    bytes: f64,
    packets: u32,
    /// Bytes that went to the same bottleneck meanwhile, over other connections; and before.
    beside: f64,
    beside_before: Option<u64>,
    is_followed: bool,
}

/// Clusters: the next ones, the one that is being sent, those whose feedback is awaited.
#[derive(Debug)]
pub(super) struct Probes {
    /// Rate of the next cluster.
    next_bps: Option<f64>,
    active: Option<Active>,
    measured: Vec<Measured>,
    last_id: u8,
    began: Option<f64>,
}

impl Probes {
    pub(super) const fn new() -> Self {
        Self {
            next_bps: None,
            active: None,
            measured: Vec::new(),
            last_id: 0,
            began: None,
        }
    }

    /// Sends a cluster next.
    pub(super) fn want(&mut self, bps: f64) {
        self.next_bps = Some(bps);
    }

    pub(super) fn forget(&mut self) {
        self.next_bps = None;
        self.active = None;
    }

    /// Whether a cluster is being sent or will be.
    pub(super) const fn is_busy(&self) -> bool {
        self.next_bps.is_some() || self.active.is_some()
    }

    /// When the last cluster began, in milliseconds.
    pub(super) const fn began(&self) -> Option<f64> {
        self.began
    }

    /// Bytes that the current cluster lacks at `now`.
    pub(super) fn due(&mut self, now: f64) -> usize {
        if self
            .active
            .is_some_and(|active| now - active.began > PATIENCE_MS)
        {
            self.active = None;
        }
        if self.active.is_none()
            && let Some(bps) = self.next_bps.take()
        {
            self.begin(bps, now);
        }
        let Some(active) = self.active else { return 0 };
        // The first packet goes at once, so everything is one packet ahead of the rate.
        let earned = (now - active.began) * active.bps / 8_000.0 + 1.0;
        (earned - f64::from(active.bytes)).max(0.0) as usize
    }

    fn begin(&mut self, bps: f64, now: f64) {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.began = Some(now);
        self.active = Some(Active {
            id: self.last_id,
            bps,
            began: now,
            bytes: 0,
            packets: 0,
        });
        if self.measured.len() >= OPEN {
            self.measured.remove(0);
        }
        self.measured.push(Measured {
            id: self.last_id,
            bps,
            first_send: f64::MAX,
            last_send: f64::MIN,
            last_bytes: 0.0,
            first_arrival: f64::MAX,
            first_bytes: 0.0,
            last_arrival: f64::MIN,
            bytes: 0.0,
            packets: 0,
            beside: 0.0,
            beside_before: None,
            is_followed: false,
        });
    }

    /// While a cluster is being sent: how many bytes all other connections to the same bottleneck have sent so far.
    pub(super) fn note_beside(&mut self, bytes: u64) {
        let Some(active) = self.active else { return };
        let mut measured = self.measured.iter_mut();
        if let Some(measured) = measured.find(|measured| measured.id == active.id) {
            let before = *measured.beside_before.get_or_insert(bytes);
            measured.beside = bytes.saturating_sub(before) as f64;
        }
    }

    /// When the next packet of a cluster is due, in milliseconds.
    pub(super) fn poll_timeout(&self) -> Option<f64> {
        if let Some(active) = self.active {
            return Some(active.began + f64::from(active.bytes) * 8_000.0 / active.bps);
        }
        self.next_bps.map(|_| f64::MIN)
    }

    /// Counts a packet; returns the cluster that it belongs to, 0 for none.
    pub(super) fn sent(&mut self, bytes: usize) -> u8 {
        let Some(active) = self.active.as_mut() else {
            return 0;
        };
        active.packets = active.packets.saturating_add(1);
        active.bytes = active
            .bytes
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        let id = active.id;
        let enough = active.bps * LENGTH_MS / 8_000.0;
        if active.packets >= PACKETS && f64::from(active.bytes) >= enough {
            self.active = None;
        }
        id
    }

    /// Takes in the arrival of a packet of a cluster; answers with the rate once it can be told.
    pub(super) fn arrived(&mut self, id: u8, bytes: u16, send: f64, arrival: f64) -> Option<f64> {
        let measured = self
            .measured
            .iter_mut()
            .find(|measured| measured.id == id)?;
        measured.add(f64::from(bytes), send, arrival);
        measured.result()
    }

    /// The rate to probe next after a result: once per cluster, and only when it came near its aim.
    pub(super) fn follow(&mut self, id: u8, result: f64) -> Option<f64> {
        let measured = self
            .measured
            .iter_mut()
            .find(|measured| measured.id == id)?;
        if measured.is_followed || result < measured.bps * SUCCESS {
            return None;
        }
        measured.is_followed = true;
        Some(result * 2.0)
    }
}

impl Measured {
    fn add(&mut self, bytes: f64, send: f64, arrival: f64) {
        self.bytes += bytes;
        self.packets = self.packets.saturating_add(1);
        self.first_send = self.first_send.min(send);
        if send >= self.last_send {
            (self.last_send, self.last_bytes) = (send, bytes);
        }
        if arrival < self.first_arrival {
            (self.first_arrival, self.first_bytes) = (arrival, bytes);
        }
        self.last_arrival = self.last_arrival.max(arrival);
    }

    fn result(&self) -> Option<f64> {
        let enough = self.bps * LENGTH_MS / 8_000.0 * ARRIVED;
        if f64::from(self.packets) < f64::from(PACKETS) * ARRIVED || self.bytes < enough {
            return None;
        }
        let sending = self.last_send - self.first_send;
        let receiving = self.last_arrival - self.first_arrival;
        let is_possible = |interval: f64| interval > 0.0 && interval <= MAX_INTERVAL_MS;
        if !is_possible(sending) || !is_possible(receiving) {
            return None;
        }
        let sent = (self.bytes - self.last_bytes) * 8_000.0 / sending;
        let received = (self.bytes - self.first_bytes) * 8_000.0 / receiving;
        // What arrives twice as fast as it was sent was held back on the way.
        if received > sent * 2.0 {
            return None;
        }
        let own = if received < sent * FILLED {
            received * FILLED_LEAVES
        } else {
            sent.min(received)
        };
        // What the bottleneck passed beside the cluster belongs to what it carries.
        Some(own * (self.bytes + self.beside) / self.bytes.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends one cluster of 1 000 byte packets over a path with `capacity`; returns the result.
    fn probe(aim: f64, capacity: f64) -> Option<f64> {
        let mut probes = Probes::new();
        probes.want(aim);
        let (mut now, mut free, mut result) = (0.0, 0.0f64, None);
        while probes.is_busy() {
            while probes.due(now) > 0 {
                let id = probes.sent(1_000);
                free = free.max(now) + 8_000_000.0 / capacity;
                result = probes.arrived(id, 1_000, now, free + 20.0).or(result);
            }
            now += 1.0;
        }
        result
    }

    #[test]
    fn a_path_with_room_passes_the_probe_and_one_without_shows_its_capacity() {
        let roomy = probe(2_000_000.0, 50_000_000.0).expect("a result");
        assert!((1_600_000.0..2_300_000.0).contains(&roomy), "{roomy}");
        let narrow = probe(2_000_000.0, 800_000.0).expect("a result");
        assert!((600_000.0..800_000.0).contains(&narrow), "{narrow}");
    }

    #[test]
    fn a_probe_without_padding_is_given_up() {
        let mut probes = Probes::new();
        probes.want(1_000_000.0);
        assert!(probes.due(0.0) > 0);
        assert!(probes.is_busy());
        assert_eq!(probes.due(PATIENCE_MS + 1.0), 0);
        assert!(!probes.is_busy());
    }

    #[test]
    fn success_is_followed_by_twice_as_much_and_failure_by_nothing() {
        let mut probes = Probes::new();
        probes.want(1_000_000.0);
        probes.due(0.0);
        assert_eq!(probes.follow(1, 900_000.0), Some(1_800_000.0));
        assert_eq!(probes.follow(1, 900_000.0), None, "once");
        probes.forget();
        probes.want(2_000_000.0);
        probes.due(100.0);
        assert_eq!(probes.follow(2, 900_000.0), None);
        assert_eq!(probes.follow(9, 900_000.0), None, "never sent");
    }
}
