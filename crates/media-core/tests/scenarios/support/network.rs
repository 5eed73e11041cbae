//! A seeded network: datagrams are lost, delayed, reordered and repeated, the same in every run.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

/// What one direction of a path does to datagrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Datagrams of 1 000 that never arrive.
    pub(crate) loss_permille: u32,
    /// Datagrams of 1 000 that arrive twice.
    pub(crate) repeat_permille: u32,
    /// Least time on the way.
    pub(crate) latency: Duration,
    /// Up to this much is added, each datagram its own share; so they overtake each other.
    pub(crate) jitter: Duration,
    /// What passes a bottleneck before all that, in bits per second; 0 is everything.
    pub(crate) bps: u64,
    /// How long datagrams may wait at the bottleneck; what would wait longer is lost.
    pub(crate) queue: Duration,
}

impl Link {
    /// 10 ms, nothing else.
    pub(crate) const PERFECT: Self = Self {
        loss_permille: 0,
        repeat_permille: 0,
        latency: Duration::from_millis(10),
        jitter: Duration::ZERO,
        bps: 0,
        queue: Duration::from_millis(300),
    };
    /// 5 % loss, 1 % repetition, 20 ms and up to 15 ms on top.
    pub(crate) const BAD: Self = Self {
        loss_permille: 50,
        repeat_permille: 10,
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(15),
        bps: 0,
        queue: Duration::from_millis(300),
    };
    /// Nothing gets through.
    pub(crate) const DEAD: Self = Self {
        loss_permille: 1_000,
        repeat_permille: 0,
        latency: Duration::from_millis(10),
        jitter: Duration::ZERO,
        bps: 0,
        queue: Duration::from_millis(300),
    };
}

/// Who a datagram is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Shard,
    Peer(usize),
    /// To a relayed address on the server.
    Relay(std::net::SocketAddr),
}

#[derive(Debug)]
pub(crate) struct Datagram {
    at: Instant,
    order: u64,
    pub(crate) to: To,
    pub(crate) from: std::net::SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl PartialEq for Datagram {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Datagram {}

impl PartialOrd for Datagram {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Datagram {
    /// Earliest first out of a max-heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Datagrams under way.
pub(crate) struct Network {
    pub(crate) dice: Dice,
    queue: BinaryHeap<Datagram>,
    order: u64,
    /// When the bottleneck of a direction is free again.
    free: BTreeMap<(std::net::SocketAddr, To), Instant>,
    /// Whose bottleneck is that of another.
    pub(crate) behind: BTreeMap<To, To>,
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            queue: BinaryHeap::new(),
            order: 0,
            free: BTreeMap::new(),
            behind: BTreeMap::new(),
        }
    }

    pub(crate) fn send(
        &mut self,
        link: Link,
        from: std::net::SocketAddr,
        to: To,
        bytes: &[u8],
        now: Instant,
    ) {
        if self.dice.permille(link.loss_permille) {
            return;
        }
        let Some(now) = self.pass(link, (from, to), bytes.len(), now) else {
            return;
        };
        let copies = 1 + u32::from(self.dice.permille(link.repeat_permille));
        for _ in 0..copies {
            let extra = self.dice.below(link.jitter.as_micros() as u64 + 1);
            self.order += 1;
            self.queue.push(Datagram {
                at: now + link.latency + Duration::from_micros(extra),
                order: self.order,
                to,
                from,
                bytes: bytes.to_vec(),
            });
        }
    }

    /// When a datagram has passed the bottleneck.
    fn pass(
        &mut self,
        link: Link,
        direction: (std::net::SocketAddr, To),
        bytes: usize,
        now: Instant,
    ) -> Option<Instant> {
        if link.bps == 0 {
            return Some(now);
        }
        let (from, to) = direction;
        let bottleneck = self.behind.get(&to).copied().unwrap_or(to);
        let free = self.free.entry((from, bottleneck)).or_insert(now);
        let begin = (*free).max(now);
        if begin - now > link.queue {
            return None;
        }
        *free = begin + Duration::from_nanos(bytes as u64 * 8_000_000_000 / link.bps);
        Some(*free)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|datagram| datagram.at)
    }

    pub(crate) fn pop(&mut self, now: Instant) -> Option<Datagram> {
        (self.next()? <= now).then(|| self.queue.pop()).flatten()
    }
}

/// SplitMix64: small, seeded, good enough for dice.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn permille(&mut self, chance: u32) -> bool {
        self.below(1_000) < u64::from(chance)
    }
}
