//! Which transport a datagram belongs to.
//!
//! First byte (RFC 7983): 0–3 STUN, 20–63 DTLS, 128–191 RTP or RTCP. A binding request names its
//! transport by our ICE username fragment, a binding response by its transaction id; everything
//! else is taken only from addresses that an authenticated request came from.

use crate::plain::Sockets;
use crate::webrtc::Path;
use slotmap::new_key_type;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

new_key_type! {
    /// An endpoint within its shard.
    pub(crate) struct EndpointSlot;
}

/// One transport of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) endpoint: EndpointSlot,
    pub(crate) transport: u8,
}

/// What a datagram is by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatagramKind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

/// Binding requests under way at most; the oldest are forgotten, their checks are repeated.
const MAX_CHECKS: usize = 65_536;
/// A response later than this is of no use (RFC 8489 §6.2.1: 39.5 s; ICE gives up sooner).
const CHECK_LIFETIME: Duration = Duration::from_secs(10);

/// Look-up tables; only ever read by key, never iterated.
#[derive(Default)]
pub(crate) struct Demux {
    paths: HashMap<Path, Owner>,
    /// What was looked up last: packets of one peer come in batches.
    last: Option<(Path, Owner)>,
    ufrags: HashMap<String, Owner>,
    checks: HashMap<[u8; 12], Owner>,
    check_order: VecDeque<(Instant, [u8; 12])>,
    /// Sockets that belong to one m-line.
    pub(crate) sockets: Sockets,
}

/// Sorts a datagram by its first bytes; `None` for what nobody speaks here.
pub(crate) fn classify(datagram: &[u8]) -> Option<DatagramKind> {
    match *datagram.first()? {
        0..=3 => Some(DatagramKind::Stun),
        20..=63 => Some(DatagramKind::Dtls),
        // RFC 5761 §4: RTCP packet types occupy 192 to 223 of the second byte.
        128..=191 => match *datagram.get(1)? {
            192..=223 => Some(DatagramKind::Rtcp),
            _ => Some(DatagramKind::Rtp),
        },
        _ => None,
    }
}

impl Demux {
    pub(crate) fn by_path(&mut self, path: Path) -> Option<Owner> {
        match self.last {
            Some((last, owner)) if last == path => Some(owner),
            Some(_) | None => {
                let owner = self.paths.get(&path).copied()?;
                self.last = Some((path, owner));
                Some(owner)
            }
        }
    }

    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<Owner> {
        self.ufrags.get(ufrag).copied()
    }

    /// The transport whose binding request this transaction id answers.
    pub(crate) fn take_check(&mut self, id: &[u8]) -> Option<Owner> {
        self.checks.remove(id)
    }

    pub(crate) fn add_ufrag(&mut self, ufrag: String, owner: Owner) {
        self.ufrags.insert(ufrag, owner);
    }

    pub(crate) fn remove_ufrag(&mut self, ufrag: &str) {
        self.ufrags.remove(ufrag);
    }

    pub(crate) fn add_path(&mut self, path: Path, owner: Owner) {
        self.last = None;
        self.paths.insert(path, owner);
    }

    /// Forgets a path if it still belongs to this owner.
    pub(crate) fn remove_path(&mut self, path: Path, owner: Owner) {
        if self.paths.get(&path) == Some(&owner) {
            self.last = None;
            self.paths.remove(&path);
        }
    }

    pub(crate) fn add_check(&mut self, id: [u8; 12], owner: Owner, now: Instant) {
        while let Some((sent, oldest)) = self.check_order.front() {
            let expired = now.saturating_duration_since(*sent) >= CHECK_LIFETIME;
            if !expired && self.check_order.len() < MAX_CHECKS {
                break;
            }
            self.checks.remove(oldest);
            self.check_order.pop_front();
        }
        self.checks.insert(id, owner);
        self.check_order.push_back((now, id));
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_sorted_by_their_first_bytes() {
        assert_eq!(classify(&[0x00, 0x01]), Some(DatagramKind::Stun));
        assert_eq!(classify(&[22]), Some(DatagramKind::Dtls));
        assert_eq!(classify(&[0x80, 96]), Some(DatagramKind::Rtp));
        assert_eq!(classify(&[0x80, 0xe0]), Some(DatagramKind::Rtp));
        assert_eq!(classify(&[0x80, 200]), Some(DatagramKind::Rtcp));
        assert_eq!(classify(&[0x80]), None);
        assert_eq!(classify(&[]), None);
        assert_eq!(classify(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn checks_are_forgotten_after_their_lifetime() {
        let mut demux = Demux::default();
        let owner = Owner {
            endpoint: EndpointSlot::default(),
            transport: 0,
        };
        let start = Instant::now();
        demux.add_check([1; 12], owner, start);
        demux.add_check([2; 12], owner, start + CHECK_LIFETIME);
        assert_eq!(demux.take_check(&[1; 12]), None);
        assert_eq!(demux.take_check(&[2; 12]), Some(owner));
        assert_eq!(demux.take_check(&[2; 12]), None);
    }
}
