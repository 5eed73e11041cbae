//! Which of our addresses an RTP endpoint uses and announces.

use crate::config::ShardConfig;
use std::net::IpAddr;

/// The address to bind and the one to announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) bound: IpAddr,
    pub(crate) announced: IpAddr,
}

/// Chooses by the family that is wanted, or else the peer's; towards a peer on this host a
/// loopback address, towards others any but that. `None` without an address of the family.
pub(crate) fn choose(config: &ShardConfig, ipv6: bool, remote: Option<IpAddr>) -> Option<Chosen> {
    let remote = remote.filter(|ip| !ip.is_unspecified());
    let ipv6 = ipv6 || remote.is_some_and(|ip| ip.is_ipv6());
    let on_this_host = remote.is_some_and(|ip| ip.is_loopback());
    let usable = || {
        config
            .udp()
            .map(|local| local.addr.ip())
            .filter(|ip| ip.is_ipv6() == ipv6)
    };
    let bound = usable()
        .find(|ip| ip.is_loopback() == on_this_host)
        .or_else(|| usable().next())?;
    let announced = if on_this_host {
        None
    } else if ipv6 {
        config.announced_v6.map(IpAddr::V6)
    } else {
        config.announced_v4.map(IpAddr::V4)
    };
    Some(Chosen {
        bound,
        announced: announced.unwrap_or(bound),
    })
}
