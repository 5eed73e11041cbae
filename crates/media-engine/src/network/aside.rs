//! Congestion feedback of receivers, which is taken in together and along with media.
//!
//! It tells of the last tenth of a second or so, so that a few milliseconds are nothing to it. While some comes it
//! wakes nobody: it is looked for when the thread is awake anyway. When none came for a while, the poller watches for
//! it again.

use super::{Heard, Network, Served};
use crate::os::Interest;
use crate::udp::UdpSocket;
use salono_media_core::SocketId;
use std::io;
use std::time::{Duration, Instant};

/// Poller token of the sockets for feedback; nobody's key, and none of the owner.
pub(super) const ASIDE: u64 = super::OWN | 1;

/// How often feedback is looked for when the thread is awake.
const OFTEN: Duration = Duration::from_millis(10);

/// The same after there was little of it, so that looking costs more than what is found.
const SELDOM: Duration = Duration::from_millis(25);

/// Datagrams that are little.
const LITTLE: u64 = 8;

/// How long it waits at most.
const LONGEST: Duration = Duration::from_millis(40);

/// The sockets for feedback.
#[derive(Debug, Default)]
pub(super) struct Asides {
    /// Each with the socket that it is beside of.
    sockets: Vec<(SocketId, UdpSocket)>,
    /// When it is looked for; `None` while the poller watches.
    turn: Option<Turn>,
}

/// When feedback is looked for.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// From then on, if the thread is awake.
    from: Instant,
    /// Then at the latest.
    until: Instant,
}

impl Turn {
    /// The next, after so many datagrams.
    fn after(datagrams: u64, now: Instant) -> Self {
        Self {
            from: now + if datagrams < LITTLE { SELDOM } else { OFTEN },
            until: now + LONGEST,
        }
    }
}

impl Network {
    /// Opens a socket for feedback beside a socket of the shard, if the kernel can tell feedback.
    pub(super) fn add_aside(&mut self, id: SocketId) -> io::Result<()> {
        let Some(super::Socket::Udp(socket)) = self.sockets.at(u32::from(id.0)) else {
            return Ok(());
        };
        match socket.open_aside(self.options) {
            Ok(aside) => {
                self.poller.add(&aside, ASIDE)?;
                self.asides.sockets.push((id, aside));
            }
            Err(error) => tracing::debug!(%error, "feedback comes with everything else"),
        }
        Ok(())
    }

    /// Feedback has come while nobody expected any.
    pub(super) fn expect_feedback(&mut self, now: Instant) -> Served {
        self.asides.turn = Some(Turn {
            from: now + OFTEN,
            until: now + LONGEST,
        });
        self.watch_asides(Interest::Nothing);
        Served::default()
    }

    /// When feedback has waited long enough to wake the thread for it.
    pub(crate) fn feedback_due(&self) -> Option<Instant> {
        self.asides.turn.map(|turn| turn.until)
    }

    /// Hands feedback to `handle` if it is time to look for some; call this again for as long as there is more.
    pub(crate) fn serve_feedback(
        &mut self,
        now: Instant,
        mut handle: impl FnMut(Heard<'_>),
    ) -> Served {
        let Some(turn) = self
            .asides
            .turn
            .filter(|turn| turn.from.min(turn.until) <= now)
        else {
            return Served::default();
        };
        let (mut datagrams, mut more) = (0, false);
        for (id, socket) in &self.asides.sockets {
            let received = self.receiver.receive(socket, |remote, datagram| {
                handle(Heard::Datagram(*id, remote, datagram));
            });
            // What fails here fails for the other sockets too, which say so.
            let received = received.unwrap_or_default();
            datagrams += received.datagrams;
            more |= received.more;
            self.traffic.datagrams_received += received.datagrams;
            self.traffic.bytes_received += received.bytes;
            self.traffic.refused += received.refused;
        }
        let worked = datagrams > 0;
        let next = Turn::after(datagrams, now);
        self.asides.turn = match (more, worked) {
            (true, _) => Some(Turn {
                from: now,
                until: now,
            }),
            (false, true) => Some(next),
            (false, false) if now < turn.until => Some(Turn {
                until: turn.until,
                ..next
            }),
            (false, false) => None,
        };
        if self.asides.turn.is_none() {
            self.watch_asides(Interest::Read);
        }
        Served { worked, more }
    }

    fn watch_asides(&self, interest: Interest) {
        for (_, socket) in &self.asides.sockets {
            if let Err(error) = self.poller.change(socket, ASIDE, interest) {
                tracing::warn!(%error, "cannot watch for feedback");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::Lookup;
    use crate::network::NetworkParts;
    use crate::os::Ready;
    use crate::udp::SocketOptions;
    use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
    use std::sync::Arc;

    const FEEDBACK: [u8; 4] = [0x8f, 205, 0, 0];

    fn look(network: &mut Network, now: Instant) -> Vec<(SocketId, Vec<u8>)> {
        let mut found = Vec::new();
        network.serve_feedback(now, |heard| {
            if let Heard::Datagram(id, _, bytes) = heard {
                found.push((id, bytes.to_vec()));
            }
        });
        found
    }

    /// Whether the poller reports feedback within this time.
    fn is_reported(network: &Network, within: Duration) -> bool {
        let mut ready = Ready::new();
        network.wait(&mut ready, Some(within)).unwrap();
        ready.tokens().any(|token| token == ASIDE)
    }

    #[test]
    fn feedback_is_announced_once_and_then_taken_in_together() {
        let options = SocketOptions::default();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = UdpSocket::bind(address, options).unwrap();
        let server = socket.local_addr();
        let mut network = Network::new(NetworkParts {
            udp: vec![socket],
            ice_tcp: Vec::new(),
            options,
            lookup: Arc::new(Lookup::new(Vec::new())),
        })
        .unwrap();
        let peer = StdSocket::bind(address).unwrap();
        let tell = || peer.send_to(&FEEDBACK, server).unwrap();
        let long = Duration::from_secs(20);
        assert_eq!(network.feedback_due(), None);

        tell();
        assert!(is_reported(&network, long));
        let start = Instant::now();
        network.serve(ASIDE, start, |heard| panic!("{heard:?} has time"));
        tell();
        assert!(!is_reported(&network, Duration::ZERO));
        assert_eq!(look(&mut network, start), []);
        let both = look(&mut network, start + OFTEN);
        assert_eq!(both, vec![(SocketId(0), FEEDBACK.to_vec()); 2]);
        assert_eq!(network.feedback_due(), Some(start + OFTEN + LONGEST));

        // It is looked for until none has come for a while, and is announced again then.
        assert_eq!(look(&mut network, start + OFTEN * 2), []);
        assert_eq!(look(&mut network, start + OFTEN + LONGEST), []);
        assert_eq!(network.feedback_due(), None);
        tell();
        assert!(is_reported(&network, long));
    }
}
