//! What is asked for: which server, who publishes, who watches whom.

use crate::Pattern;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Where the server is and what it speaks.
    pub server: Server,
    /// Its process, if it is on this machine: for CPU time and memory.
    pub process: Option<u32>,
    /// Who publishes and who watches.
    pub scenario: Scenario,
    /// How long packets are measured, seconds.
    pub seconds: f64,
    /// How long it may take until everybody has joined, seconds.
    pub patience: f64,
    /// Threads that the receivers share, besides one for those that measure latency.
    pub threads: usize,
    /// Receivers that decrypt everything and measure latency.
    pub sampled: usize,
    /// Receivers tell the server for its congestion control when packets arrived.
    pub feedback: bool,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Server {
    /// The Kurento Protocol at this URL.
    Kurento(String),
    /// Janus' video room, by its WebSocket API at this URL.
    Janus(String),
    /// The bare forwarder at this address.
    Floor(SocketAddr),
}

/// Who publishes and who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scenario {
    /// One publisher of audio and video, and so many who watch.
    OneToMany {
        /// How many.
        subscribers: usize,
    },
    /// Rooms in which everybody publishes audio and video and watches all others, one connection for each.
    Rooms {
        /// How many rooms.
        rooms: usize,
        /// Participants of each.
        size: usize,
    },
    /// One room in which everybody publishes audio alone and hears all others, one connection for each.
    Audio {
        /// Participants.
        size: usize,
    },
}

/// One receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watch {
    /// Whom it watches.
    pub(super) publisher: usize,
    /// Whether it decrypts everything.
    pub(super) sampled: bool,
}

impl Scenario {
    /// What everybody publishes.
    pub fn pattern(self) -> Pattern {
        match self {
            Self::OneToMany { .. } | Self::Rooms { .. } => Pattern::default(),
            Self::Audio { .. } => Pattern::audio_only(),
        }
    }

    /// How many publish.
    pub fn publishers(self) -> usize {
        match self {
            Self::OneToMany { .. } => 1,
            Self::Rooms { rooms, size } => rooms * size,
            Self::Audio { size } => size,
        }
    }

    /// How many connections receive.
    pub fn receivers(self) -> usize {
        match self {
            Self::OneToMany { subscribers } => subscribers,
            Self::Rooms { rooms, size } => rooms * size * size.saturating_sub(1),
            Self::Audio { size } => size * size.saturating_sub(1),
        }
    }

    /// The room of a publisher.
    pub(super) fn room(self, publisher: usize) -> usize {
        match self {
            Self::OneToMany { .. } | Self::Audio { .. } => 0,
            Self::Rooms { size, .. } => publisher / size.max(1),
        }
    }

    /// How many rooms there are.
    pub(super) fn rooms(self) -> usize {
        match self {
            Self::OneToMany { .. } | Self::Audio { .. } => 1,
            Self::Rooms { rooms, .. } => rooms,
        }
    }

    /// Everybody who receives, in order of joining; `sampled` of them, evenly spread, decrypt.
    pub(super) fn watches(self, sampled: usize) -> Vec<Watch> {
        let per_publisher = self.receivers() / self.publishers().max(1);
        let all = self.receivers();
        let mut watches: Vec<_> = (0..self.publishers())
            .flat_map(|publisher| std::iter::repeat_n(publisher, per_publisher))
            .map(|publisher| Watch {
                publisher,
                sampled: false,
            })
            .collect();
        let sampled = sampled.min(all);
        for index in 0..sampled {
            // The first, the last and between: a server serves them one after the other.
            let at = index * (all - 1) / (sampled - 1).max(1);
            watches[at].sampled = true;
        }
        watches
    }
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OneToMany { subscribers } => write!(f, "1 → {subscribers}"),
            Self::Rooms { rooms, size } => write!(f, "{rooms} rooms of {size}"),
            Self::Audio { size } => write!(f, "audio, {size} all to all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_watches_all_others_of_his_room() {
        let scenario = Scenario::Rooms { rooms: 3, size: 4 };
        let watches = scenario.watches(4);
        assert_eq!((watches.len(), scenario.receivers()), (36, 36));
        for publisher in 0..12 {
            let of = watches.iter().filter(|watch| watch.publisher == publisher);
            assert_eq!(of.count(), 3);
        }
        let sampled: Vec<_> = (0..36).filter(|index| watches[*index].sampled).collect();
        assert_eq!(sampled, [0, 11, 23, 35]);
        assert_eq!(
            (scenario.rooms(), scenario.room(4), scenario.room(11)),
            (3, 1, 2)
        );
    }

    #[test]
    fn more_samples_than_receivers_are_all_receivers() {
        for subscribers in [0, 1, 2] {
            let watches = Scenario::OneToMany { subscribers }.watches(4);
            assert_eq!(
                watches.iter().filter(|watch| watch.sampled).count(),
                subscribers
            );
        }
    }
}
