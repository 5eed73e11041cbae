//! One m-line on its pair of ports: where its peer is, and from where it may send.
//!
//! **Whom we send to.** The address that the peer signalled. A peer with `a=direction:active`, and
//! one that signalled no usable address, is sent to where its packets come from.
//!
//! **Whom we listen to.** The signalled host is always heard, from any port, since many programs
//! send from another port than they receive at. Someone else is heard when the signalled host is
//! silent, as behind a NAT that the description does not know of: the first source is kept until
//! it has been silent for [`LATCH_HOLD`]. With SRTP whoever has the key is heard.

use super::sockets::Component;
use crate::network::SocketId;
use crate::webrtc::{Path, Srtp};
use salono_rtp::srtp::{MasterKey, Opener, Profile, Sealer, SrtpError};
use salono_sdp::attribute::Crypto;
use salono_sdp::negotiate::plain::Transport;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a learned source must be silent before another takes its place.
const LATCH_HOLD: Duration = Duration::from_secs(3);

/// Our ports of one m-line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) rtp: (SocketId, SocketAddr),
    pub(super) rtcp: (SocketId, SocketAddr),
}

impl Pair {
    pub(super) fn ports(&self) -> (u16, u16) {
        (self.rtp.1.port(), self.rtcp.1.port())
    }
}

/// One end of the peer.
#[derive(Debug, Default)]
struct Remote {
    signalled: Option<SocketAddr>,
    heard: Option<(SocketAddr, Instant)>,
}

impl Remote {
    fn target(&self) -> Option<SocketAddr> {
        self.signalled.or(self.heard.map(|(addr, _)| addr))
    }

    fn admits(&self, from: SocketAddr, now: Instant) -> bool {
        let signalled = self
            .signalled
            .is_some_and(|signalled| signalled.ip() == from.ip());
        signalled
            || self.heard.is_none_or(|(heard, at)| {
                heard == from || now.saturating_duration_since(at) >= LATCH_HOLD
            })
    }

    /// Notes a packet; true when this changes where to send to.
    fn note(&mut self, from: SocketAddr, now: Instant) -> bool {
        let before = self.target();
        self.heard = Some((from, now));
        self.target() != before
    }
}

/// A negotiated m-line.
pub(super) struct Line {
    pair: Pair,
    rtp: Remote,
    rtcp: Remote,
    mux: bool,
    srtp: Srtp,
    secure: bool,
    /// The end of the key was reported.
    told_limit: bool,
}

impl Line {
    pub(super) fn new(
        pair: Pair,
        transport: &Transport,
        own: Option<&Crypto>,
    ) -> Result<Self, SrtpError> {
        let srtp = match (own, &transport.remote_key) {
            (Some(own), Some(theirs)) => {
                let (own, remote) = (master_key(own)?, master_key(theirs)?);
                Srtp {
                    opener: Opener::with_mki(
                        &remote,
                        transport.remote_key.as_ref().map_or(0, |key| key.mki_len),
                    )?,
                    rtp: Arc::new(Sealer::new(&own)?),
                    rtcp: Sealer::new(&own)?,
                }
            }
            (None, _) => Srtp {
                opener: Opener::plain(),
                rtp: Arc::new(Sealer::plain()),
                rtcp: Sealer::plain(),
            },
            (Some(_), None) => return Err(SrtpError::KeyLength),
        };
        let remote = |signalled| Remote {
            signalled,
            heard: None,
        };
        Ok(Self {
            pair,
            rtp: remote(transport.rtp),
            rtcp: remote(transport.rtcp),
            mux: transport.rtcp_mux,
            srtp,
            secure: own.is_some(),
            told_limit: false,
        })
    }

    pub(super) fn srtp(&self) -> &Srtp {
        &self.srtp
    }

    pub(super) fn srtp_mut(&mut self) -> &mut Srtp {
        &mut self.srtp
    }

    /// Where RTP goes to.
    pub(super) fn path(&self) -> Option<Path> {
        let remote = self.rtp.target()?;
        let (socket, _) = self.pair.rtp;
        Some(path(socket, remote))
    }

    /// Where RTCP goes to: until a peer that is learned sent any, the port after that of its RTP.
    pub(super) fn rtcp_path(&self) -> Option<Path> {
        if self.mux {
            return self.path();
        }
        let (socket, _) = self.pair.rtcp;
        let guess = || {
            let rtp = self.rtp.target()?;
            Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
        };
        let remote = self.rtcp.target().or_else(guess)?;
        Some(path(socket, remote))
    }

    /// Whether a packet from there is looked at.
    pub(super) fn admits(&self, component: Component, from: SocketAddr, now: Instant) -> bool {
        self.secure
            || match component {
                Component::Rtp => self.rtp.admits(from, now),
                Component::Rtcp => self.rtcp.admits(from, now),
                Component::Processor => false,
            }
    }

    /// Notes an authentic packet; true when packets take another path from now on.
    pub(super) fn note(&mut self, component: Component, from: SocketAddr, now: Instant) -> bool {
        match component {
            Component::Rtp => self.rtp.note(from, now),
            Component::Rtcp => self.rtcp.note(from, now),
            Component::Processor => false,
        }
    }

    /// Whether our key comes to its end, or protected so many RTCP packets; true once.
    pub(super) fn reaches_limit(&mut self, packets: u32) -> bool {
        !self.told_limit && {
            let rtcp = &self.srtp.rtcp;
            self.told_limit = rtcp.is_near_limit() || rtcp.rtcp_packets() >= packets;
            self.told_limit
        }
    }
}

fn path(socket: SocketId, remote: SocketAddr) -> Path {
    Path { socket, remote }
}

fn master_key(crypto: &Crypto) -> Result<MasterKey, SrtpError> {
    let profile = Profile::ALL
        .into_iter()
        .find(|profile| crypto.is_suite(profile.sdes_name()))
        .ok_or(SrtpError::KeyLength)?;
    MasterKey::from_concatenated(profile, &crypto.key)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    fn addr(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    #[test]
    fn the_signalled_host_is_heard_from_any_port_and_sent_to_where_it_said() {
        let now = Instant::now();
        let mut remote = Remote {
            signalled: Some(addr(1, 4_000)),
            heard: None,
        };
        assert!(remote.admits(addr(1, 50_000), now));
        assert!(!remote.note(addr(1, 50_000), now));
        assert_eq!(remote.target(), Some(addr(1, 4_000)));
        assert!(!remote.admits(addr(2, 4_000), now));
    }

    #[test]
    fn a_stranger_is_heard_only_while_the_known_source_is_silent() {
        let now = Instant::now();
        let mut remote = Remote::default();
        assert!(remote.admits(addr(1, 4_000), now));
        assert!(remote.note(addr(1, 4_000), now));
        assert_eq!(remote.target(), Some(addr(1, 4_000)));
        let soon = now + LATCH_HOLD / 2;
        assert!(!remote.admits(addr(2, 4_000), soon));
        let later = now + LATCH_HOLD;
        assert!(remote.admits(addr(2, 4_000), later));
        assert!(remote.note(addr(2, 4_000), later));
        assert_eq!(remote.target(), Some(addr(2, 4_000)));
    }
}
