//! ICE candidates as text: ours (RFC 8839 §5.1, RFC 6544 §4.5) and the peer's.

use crate::config::{LocalAddress, ShardConfig};
use crate::nat::{FIRST_RELAY, Found};
use crate::network::{SocketId, SocketKind};
use is::{Candidate, CandidateKind};
use salono_media_api::{IceSettings, MediaError, MediaErrorKind, TurnTransport};
use std::net::{IpAddr, SocketAddr};

/// A candidate of ours as it is signalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalCandidate {
    /// What packets are sent from, perhaps a relay.
    pub(crate) socket: SocketId,
    /// What the ICE agent knows the socket by.
    pub(crate) base: SocketAddr,
    /// Announced address.
    pub(crate) addr: SocketAddr,
    pub(crate) kind: CandidateKind,
    pub(crate) tcp: bool,
    pub(crate) line: String,
}

/// How much a candidate is liked (RFC 8445 §5.1.2), without its component.
#[derive(Debug, Clone, Copy)]
struct Preference {
    kind: u32,
    local: u32,
}

impl Preference {
    fn priority(self) -> u32 {
        // The last part is 256 - component, and there is only component 1.
        (self.kind << 24) | (self.local << 8) | 255
    }
}

/// RFC 8421 §4: IPv6 first, then in the order of the configuration.
fn family_preference(ip: IpAddr, socket: SocketId) -> u32 {
    let family = if ip.is_ipv6() { 65_535 } else { 32_767 };
    family - u32::from(socket.0 % FIRST_RELAY).min(32_767)
}

impl LocalCandidate {
    fn new(
        socket: SocketId,
        base: SocketAddr,
        addr: SocketAddr,
        kind: CandidateKind,
        (preference, tcp, related): (Preference, bool, Option<SocketAddr>),
    ) -> Self {
        // One foundation per kind and base (RFC 8445 §5.1.1.3).
        let group = match kind {
            CandidateKind::Host | CandidateKind::PeerReflexive => 0,
            CandidateKind::ServerReflexive => 0x10_000,
            CandidateKind::Relayed => 0x20_000,
        };
        let foundation = group + u32::from(socket.0) + 1;
        let protocol = if tcp { "TCP" } else { "UDP" };
        let priority = preference.priority();
        let mut line = format!(
            "candidate:{foundation} 1 {protocol} {priority} {} {} typ {kind}",
            addr.ip(),
            addr.port(),
        );
        if let Some(related) = related {
            line.push_str(&format!(" raddr {} rport {}", related.ip(), related.port()));
        }
        if tcp {
            line.push_str(" tcptype passive");
        }
        Self {
            socket,
            base,
            addr,
            kind,
            tcp,
            line,
        }
    }

    fn host(local: &LocalAddress, external: Option<IpAddr>) -> Self {
        let ip = external.unwrap_or(local.addr.ip());
        let addr = SocketAddr::new(ip, local.addr.port());
        let tcp = local.kind == SocketKind::IceTcp;
        let preference = if tcp {
            // RFC 6544 §4.2: below every UDP candidate of its kind; passive ones of a host have
            // direction preference 4.
            let other = family_preference(ip, local.socket) >> 3;
            Preference {
                kind: 90,
                local: (4 << 13) | other.min(0x1fff),
            }
        } else {
            Preference {
                kind: 126,
                local: family_preference(ip, local.socket),
            }
        };
        Self::new(
            local.socket,
            local.addr,
            addr,
            CandidateKind::Host,
            (preference, tcp, None),
        )
    }

    /// What was found on a server; `None` for [`Found::Done`].
    pub(super) fn found(found: Found) -> Option<Self> {
        match found {
            Found::Reflexive {
                socket,
                base,
                mapped,
            } => {
                let preference = Preference {
                    kind: 100,
                    local: family_preference(mapped.ip(), socket),
                };
                let kind = CandidateKind::ServerReflexive;
                let rest = (preference, false, Some(base));
                Some(Self::new(socket, base, mapped, kind, rest))
            }
            Found::Relayed {
                relay,
                relayed,
                mapped,
                transport,
            } => {
                let preference = Preference {
                    // The less the way to the server costs, the better.
                    kind: match transport {
                        TurnTransport::Udp => 2,
                        TurnTransport::Tcp => 1,
                        TurnTransport::Tls => 0,
                    },
                    local: family_preference(relayed.ip(), relay),
                };
                let rest = (preference, false, Some(mapped));
                Some(Self::new(
                    relay,
                    relayed,
                    relayed,
                    CandidateKind::Relayed,
                    rest,
                ))
            }
            Found::Done => None,
        }
    }
}

/// The sockets of the interfaces that may be used.
fn usable<'a>(
    config: &'a ShardConfig,
    settings: &'a IceSettings,
) -> impl Iterator<Item = &'a LocalAddress> {
    config.addresses.iter().filter(|local| {
        settings.interfaces.is_empty() || settings.interfaces.contains(&local.interface)
    })
}

/// One host candidate per socket, with the announced address in place of the local one.
pub(super) fn hosts(config: &ShardConfig, settings: &IceSettings) -> Vec<LocalCandidate> {
    let external_v4 = settings.external_v4.or(config.announced_v4);
    let external_v6 = settings.external_v6.or(config.announced_v6);
    let mut hosts: Vec<LocalCandidate> = usable(config, settings)
        .filter(|local| match local.kind {
            SocketKind::Udp => true,
            SocketKind::IceTcp => settings.tcp,
            SocketKind::Stream => false,
        })
        .map(|local| {
            let external = match local.addr.ip() {
                IpAddr::V4(_) => external_v4.map(IpAddr::V4),
                IpAddr::V6(_) => external_v6.map(IpAddr::V6),
            };
            LocalCandidate::host(local, external)
        })
        .collect();
    hosts.sort_by_key(|host| host.tcp);
    hosts
}

/// The sockets that servers are asked from.
pub(super) fn udp_sockets(
    config: &ShardConfig,
    settings: &IceSettings,
) -> Vec<(SocketId, SocketAddr)> {
    usable(config, settings)
        .filter(|local| local.kind == SocketKind::Udp)
        .map(|local| (local.socket, local.addr))
        .collect()
}

/// The address for `c=` and the port of an m-line: of the candidate that most likely works with a
/// peer that knows no ICE, a relayed one before a reflexive one before a host's (RFC 8839
/// §4.2.1.2), IPv4 first.
pub(super) fn default_address(candidates: &[LocalCandidate]) -> Option<SocketAddr> {
    let rank = |candidate: &&LocalCandidate| {
        let kind = match candidate.kind {
            CandidateKind::Relayed => 0,
            CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => 1,
            CandidateKind::Host => 2,
        };
        (candidate.tcp, candidate.addr.is_ipv6(), kind)
    };
    candidates
        .iter()
        .min_by_key(rank)
        .map(|candidate| candidate.addr)
}

/// A signalled candidate; `Ok(None)` for one that is well-formed but of no use to us: a host name
/// (mDNS), another component, or TCP. A peer connects to our TCP candidates from wherever it likes,
/// its active candidates name no port, and we connect to nobody.
pub(super) fn parse_remote(line: &str) -> Result<Option<Candidate>, MediaError> {
    let malformed = || {
        MediaError::new(
            MediaErrorKind::Candidate,
            "Error adding candidate: malformed line",
        )
    };
    let mut words = line.split_ascii_whitespace();
    let first = words.next().ok_or_else(malformed)?;
    let rest: Vec<&str> = words.collect();
    // foundation component transport priority address port typ TYPE …
    let [
        component,
        transport,
        priority,
        address,
        port,
        typ,
        _kind,
        ..,
    ] = rest[..]
    else {
        return Err(malformed());
    };
    if !first.starts_with("candidate:")
        || component.parse::<u16>().is_err()
        || priority.parse::<u64>().is_err()
        || port.parse::<u16>().is_err()
        || typ != "typ"
    {
        return Err(malformed());
    }
    if !transport.eq_ignore_ascii_case("udp") || address.parse::<IpAddr>().is_err() {
        return Ok(None);
    }
    // What is left can only be refused for an address that no packet may go to (multicast…).
    Ok(Candidate::from_sdp_string(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_and_tcp_are_skipped_and_garbage_is_an_error() {
        let udp = "candidate:1 1 UDP 2113937151 192.0.2.1 5000 typ host generation 0 ufrag abcd";
        assert!(parse_remote(udp).unwrap().is_some());
        let mdns = "candidate:1 1 udp 2113937151 1f4712db-ea17.local 5000 typ host";
        assert!(parse_remote(mdns).unwrap().is_none());
        let tcp = "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active";
        assert!(parse_remote(tcp).unwrap().is_none());
        for bad in [
            "",
            "candidate:",
            "candidate:1 1 UDP x 192.0.2.1 5000 typ host",
            "hello",
        ] {
            assert!(parse_remote(bad).is_err(), "{bad}");
        }
    }

    fn local(socket: u16, kind: SocketKind, addr: &str) -> LocalAddress {
        LocalAddress {
            socket: SocketId(socket),
            kind,
            addr: addr.parse().unwrap(),
            interface: String::new(),
        }
    }

    #[test]
    fn lines_are_as_the_grammar_wants_them_and_ranked_by_cost() {
        let udp = LocalCandidate::host(&local(0, SocketKind::Udp, "192.0.2.1:4000"), None);
        let tcp = LocalCandidate::host(&local(1, SocketKind::IceTcp, "192.0.2.1:4000"), None);
        assert_eq!(
            udp.line,
            "candidate:1 1 UDP 2122317823 192.0.2.1 4000 typ host"
        );
        assert!(tcp.line.starts_with("candidate:2 1 TCP "), "{}", tcp.line);
        assert!(tcp.line.ends_with(" typ host tcptype passive"));
        let mapped: SocketAddr = "203.0.113.1:61000".parse().unwrap();
        let reflexive = LocalCandidate::found(Found::Reflexive {
            socket: SocketId(0),
            base: udp.addr,
            mapped,
        })
        .unwrap();
        assert!(
            reflexive
                .line
                .ends_with(" 203.0.113.1 61000 typ srflx raddr 192.0.2.1 rport 4000"),
            "{}",
            reflexive.line
        );
        let relay = |transport| {
            LocalCandidate::found(Found::Relayed {
                relay: SocketId(FIRST_RELAY),
                relayed: "198.51.100.1:50000".parse().unwrap(),
                mapped,
                transport,
            })
            .unwrap()
        };
        let relayed = relay(TurnTransport::Udp);
        assert!(
            relayed
                .line
                .ends_with(" 198.51.100.1 50000 typ relay raddr 203.0.113.1 rport 61000")
        );
        let lines = [
            &udp,
            &reflexive,
            &tcp,
            &relayed,
            &relay(TurnTransport::Tcp),
            &relay(TurnTransport::Tls),
        ];
        let priorities = lines.map(|candidate| {
            let parsed = Candidate::from_sdp_string(&candidate.line).unwrap();
            parsed.prio()
        });
        assert!(
            priorities.is_sorted_by(|better, worse| better > worse),
            "{priorities:?}"
        );
        assert_eq!(
            default_address(&[udp, reflexive.clone(), relayed.clone()]),
            Some(relayed.addr)
        );
        assert_eq!(default_address(&[reflexive]), Some(mapped));
    }
}
