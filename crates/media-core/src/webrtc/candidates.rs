//! ICE candidates as text: ours (RFC 8839 §5.1) and the peer's.

use crate::config::ShardConfig;
use is::Candidate;
use salono_media_api::{IceSettings, MediaError, MediaErrorKind};
use std::net::{IpAddr, SocketAddr};

/// Type preference of host candidates (RFC 8445 §5.1.2.2).
const HOST_PREFERENCE: u32 = 126;

/// One host candidate per socket, with the announced address in place of the local one.
pub(super) fn local(config: &ShardConfig, settings: &IceSettings) -> Vec<(SocketAddr, String)> {
    let external_v4 = settings.external_v4.or(config.announced_v4);
    let external_v6 = settings.external_v6.or(config.announced_v6);
    config
        .udp()
        .filter(|local| {
            settings.interfaces.is_empty() || settings.interfaces.contains(&local.interface)
        })
        .map(|local| {
            let ip = match local.addr.ip() {
                IpAddr::V4(ip) => IpAddr::V4(external_v4.unwrap_or(ip)),
                IpAddr::V6(ip) => IpAddr::V6(external_v6.unwrap_or(ip)),
            };
            let addr = SocketAddr::new(ip, local.addr.port());
            // RFC 8421 §4: IPv6 first, then in the order of the configuration.
            let family = if ip.is_ipv6() { 65_535 } else { 32_767 };
            let local_preference = family - u32::from(local.socket.0);
            let priority = (HOST_PREFERENCE << 24) | (local_preference << 8) | 255;
            let line = format!(
                "candidate:{} 1 UDP {priority} {} {} typ host",
                u32::from(local.socket.0) + 1,
                addr.ip(),
                addr.port(),
            );
            (addr, line)
        })
        .collect()
}

/// A signalled candidate; `Ok(None)` for one that is well-formed but of no use to us: a host name
/// (mDNS), a TCP candidate, another component.
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
}
