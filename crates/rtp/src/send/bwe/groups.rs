//! Packets that were sent together, and how their distance changes on the way (draft-ietf-rmcat-gcc-02 §5.2, §5.3).

/// Packets sent within this time are one group.
const GROUP_MS: f64 = 5.0;

/// A burst that arrives at once after an outage is one group up to this length.
const MAX_BURST_MS: f64 = 100.0;

/// Groups in a row that may seem to arrive before their predecessors until everything begins anew.
const MAX_BACKWARDS: u8 = 3;

/// A clock of the peer that jumped by more than this starts anew.
const MAX_JUMP_MS: f64 = 3_000.0;

/// How far apart two groups were sent and arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Delta {
    pub(super) send_ms: f64,
    pub(super) arrival_ms: f64,
    /// From sending to arrival of the first packet after them, which no packet of its own group delays; both clocks
    /// are arbitrary, so only differences mean anything.
    pub(super) delay_ms: f64,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_send: f64,
    last_send: f64,
    first_arrival: f64,
    last_arrival: f64,
}

/// Forms groups out of packets in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Groups {
    current: Option<Group>,
    previous: Option<Group>,
    backwards: u8,
}

impl Groups {
    /// Adds a packet; answers with the distance of the last two complete groups when it begins another one.
    pub(super) fn packet(&mut self, send: f64, arrival: f64) -> Option<Delta> {
        let Some(current) = self.current.as_mut() else {
            self.current = Some(Group::of(send, arrival));
            return None;
        };
        if send < current.first_send {
            // Reported late; its group is closed.
            return None;
        }
        if current.takes(send, arrival) {
            current.last_send = current.last_send.max(send);
            current.last_arrival = current.last_arrival.max(arrival);
            return None;
        }
        let (complete, previous) = (*current, self.previous);
        let delta = previous.map(|previous| Delta {
            send_ms: complete.last_send - previous.last_send,
            arrival_ms: complete.last_arrival - previous.last_arrival,
            delay_ms: arrival - send,
        });
        self.previous = Some(complete);
        self.current = Some(Group::of(send, arrival));
        let delta = delta?;
        if (delta.arrival_ms - delta.send_ms).abs() > MAX_JUMP_MS {
            *self = Self::default();
            return None;
        }
        if delta.arrival_ms < 0.0 {
            self.backwards = self.backwards.saturating_add(1);
            if self.backwards >= MAX_BACKWARDS {
                *self = Self::default();
            }
            return None;
        }
        self.backwards = 0;
        Some(delta)
    }
}

impl Group {
    const fn of(send: f64, arrival: f64) -> Self {
        Self {
            first_send: send,
            last_send: send,
            first_arrival: arrival,
            last_arrival: arrival,
        }
    }

    fn takes(&self, send: f64, arrival: f64) -> bool {
        if send - self.first_send <= GROUP_MS {
            return true;
        }
        // What waited together on the way arrives together, and says nothing about a queue.
        let catches_up = arrival - self.last_arrival < send - self.last_send;
        catches_up
            && arrival - self.last_arrival <= GROUP_MS
            && arrival - self.first_arrival < MAX_BURST_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_whole_groups() {
        let mut groups = Groups::default();
        for (send, arrival) in [(0.0, 50.0), (2.0, 52.0), (20.0, 75.0), (23.0, 79.0)] {
            assert_eq!(groups.packet(send, arrival), None);
        }
        let delta = groups.packet(40.0, 99.0).expect("two groups are complete");
        assert_eq!((delta.send_ms, delta.arrival_ms), (21.0, 27.0));
        assert_eq!(delta.delay_ms, 59.0);
        assert_eq!(groups.packet(10.0, 200.0), None, "reported late");
    }

    #[test]
    fn what_an_outage_held_back_is_one_group() {
        let mut groups = Groups::default();
        groups.packet(0.0, 10.0);
        groups.packet(20.0, 30.0);
        for n in 2..8u8 {
            let delta = groups.packet(f64::from(n) * 20.0, 200.0 + f64::from(n));
            assert!(n == 2 || delta.is_none(), "{n}: {delta:?}");
        }
    }
}
