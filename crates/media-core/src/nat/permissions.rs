//! Who may send to a relayed address, and on which channels: what is granted expires and is renewed
//! as long as something is sent (RFC 8656 §9 and §12).

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Permissions last 300 s, channels 600 s; binding a channel again renews both.
const RENEW_AFTER: Duration = Duration::from_secs(240);
/// A number may mean another peer when its channel and its permission are gone (RFC 8656 §12).
const REUSE_AFTER: Duration = Duration::from_secs(900);
/// Channel numbers (RFC 8656 §12).
const FIRST_CHANNEL: u16 = 0x4000;
const LAST_CHANNEL: u16 = 0x4fff;

/// What is to be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    Permission(SocketAddr),
    Channel(SocketAddr, u16),
}

#[derive(Debug)]
struct Permission {
    renew_at: Instant,
    peers: BTreeMap<SocketAddr, Option<u16>>,
}

#[derive(Debug, Default)]
pub(super) struct Permissions {
    granted: BTreeMap<IpAddr, Permission>,
    channels: BTreeMap<u16, SocketAddr>,
    handed_out: u16,
    retired: VecDeque<(Instant, u16)>,
    renewals: VecDeque<Renewal>,
}

impl Permissions {
    /// A peer is sent to; true when its address needs a permission first.
    pub(super) fn add(&mut self, peer: SocketAddr, now: Instant) -> bool {
        let mut is_new = false;
        let permission = self.granted.entry(peer.ip()).or_insert_with(|| {
            is_new = true;
            Permission {
                renew_at: now + RENEW_AFTER,
                peers: BTreeMap::new(),
            }
        });
        permission.peers.entry(peer).or_insert(None);
        is_new
    }

    /// A number for a channel to a peer; `None` when it has one or there is none left.
    pub(super) fn assign_channel(&mut self, peer: SocketAddr, now: Instant) -> Option<u16> {
        self.add(peer, now);
        let assigned = self.granted.get_mut(&peer.ip())?.peers.get_mut(&peer)?;
        if assigned.is_some() {
            return None;
        }
        let number = if self.handed_out <= LAST_CHANNEL - FIRST_CHANNEL {
            self.handed_out += 1;
            FIRST_CHANNEL + self.handed_out - 1
        } else {
            let (since, number) = *self.retired.front()?;
            if now < since + REUSE_AFTER {
                return None;
            }
            self.retired.pop_front();
            number
        };
        *assigned = Some(number);
        self.channels.insert(number, peer);
        Some(number)
    }

    /// The server bound a channel; whether it is still meant.
    pub(super) fn bound(&self, peer: SocketAddr, number: u16) -> bool {
        self.peer_of(number) == Some(peer)
    }

    /// The server did not bind a channel.
    pub(super) fn unbound(&mut self, peer: SocketAddr, number: u16, now: Instant) {
        let assigned = self
            .granted
            .get_mut(&peer.ip())
            .and_then(|permission| permission.peers.get_mut(&peer))
            .filter(|assigned| **assigned == Some(number));
        if let Some(assigned) = assigned {
            *assigned = None;
            // The server may have bound it after all and use it for a while.
            self.retired.push_back((now, number));
        }
    }

    /// Whose channel this is.
    pub(super) fn peer_of(&self, channel: u16) -> Option<SocketAddr> {
        self.channels.get(&channel).copied()
    }

    /// The next thing to renew; peers for which `is_used` says no are forgotten.
    pub(super) fn poll_renewal(
        &mut self,
        now: Instant,
        mut is_used: impl FnMut(SocketAddr) -> bool,
    ) -> Option<Renewal> {
        while self.renewals.is_empty() {
            let ip = self
                .granted
                .iter()
                .find(|(_, permission)| permission.renew_at <= now)
                .map(|(ip, _)| *ip)?;
            let mut permission = self.granted.remove(&ip)?;
            permission.peers.retain(|peer, channel| {
                let used = is_used(*peer);
                if let (false, Some(number)) = (used, channel) {
                    self.retired.push_back((now, *number));
                }
                used
            });
            let channels = permission
                .peers
                .iter()
                .filter_map(|(peer, channel)| Some(Renewal::Channel(*peer, (*channel)?)));
            self.renewals.extend(channels);
            if let Some(peer) = permission.peers.keys().next().copied() {
                if self.renewals.is_empty() {
                    self.renewals.push_back(Renewal::Permission(peer));
                }
                permission.renew_at = now + RENEW_AFTER;
                self.granted.insert(ip, permission);
            }
        }
        self.renewals.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.granted
            .values()
            .map(|permission| permission.renew_at)
            .min()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    fn peer(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    #[test]
    fn permission_is_of_an_address_and_channel_of_a_port() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        assert!(permissions.add(peer(1, 1), now));
        assert!(!permissions.add(peer(1, 2), now));
        assert!(permissions.add(peer(2, 1), now));
        let number = permissions.assign_channel(peer(1, 2), now);
        assert_eq!(number, Some(FIRST_CHANNEL));
        assert_eq!(permissions.assign_channel(peer(1, 2), now), None);
        assert_eq!(permissions.peer_of(FIRST_CHANNEL), Some(peer(1, 2)));
    }

    #[test]
    fn what_is_used_is_renewed_in_time_and_the_rest_forgotten() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        permissions.add(peer(1, 1), now);
        permissions.add(peer(2, 1), now);
        let number = permissions.assign_channel(peer(3, 1), now).unwrap();
        let later = permissions.poll_timeout().unwrap();
        assert!(later - now < Duration::from_secs(300), "before it expires");
        assert_eq!(permissions.poll_renewal(now, |_| true), None);
        let mut renewed = Vec::new();
        while let Some(renewal) = permissions.poll_renewal(later, |of| of != peer(2, 1)) {
            renewed.push(renewal);
        }
        assert_eq!(
            renewed,
            [
                Renewal::Permission(peer(1, 1)),
                Renewal::Channel(peer(3, 1), number)
            ]
        );
        assert!(permissions.add(peer(2, 1), later), "it was forgotten");
    }

    #[test]
    fn numbers_run_out_and_come_back_when_nobody_can_mix_them_up() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        for port in 0..=LAST_CHANNEL - FIRST_CHANNEL {
            assert!(permissions.assign_channel(peer(1, port), now).is_some());
        }
        assert_eq!(permissions.assign_channel(peer(2, 1), now), None);
        let later = now + RENEW_AFTER;
        assert_eq!(permissions.poll_renewal(later, |_| false), None);
        assert_eq!(permissions.assign_channel(peer(2, 1), later), None);
        let number = permissions.assign_channel(peer(2, 1), later + REUSE_AFTER);
        assert_eq!(number, Some(FIRST_CHANNEL));
        assert_eq!(permissions.peer_of(FIRST_CHANNEL), Some(peer(2, 1)));
    }
}
