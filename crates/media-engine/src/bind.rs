//! Which addresses and ports the shards get.

use crate::os;
use crate::udp::{SocketOptions, UdpSocket};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// Most local addresses of one shard. Each costs two socket buffers and a candidate in every
/// description. Given more, the engine does not start; found more, it uses the first.
pub(crate) const MAX_ADDRESSES: usize = 32;

/// TCP connections that may wait to be accepted.
const BACKLOG: i32 = 512;

/// Free ports that are tried until one is free on all addresses.
const PORT_ATTEMPTS: usize = 64;

/// Why the engine did not start, and what mends it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program has the port.
    #[error(
        "UDP port {} on {} is in use: end the program that has it (`ss -ulpn` shows which), \
         or choose another media port (0 takes any free one)",
        .0.port(), .0.ip()
    )]
    PortInUse(SocketAddr),
    /// No port is free on all of the addresses.
    #[error("found no UDP port that is free on all media addresses: choose a media port")]
    NoFreePort,
    /// The address belongs to no interface.
    #[error(
        "{0} is no address of this host: give one that `ip address` lists; for the public address \
         of a NAT set the announced address instead"
    )]
    NotLocal(IpAddr),
    /// `0.0.0.0` or `::` was given.
    #[error(
        "{0} cannot be a media address, since peers are told it: give concrete addresses, or none \
         to use all"
    )]
    Unspecified(IpAddr),
    /// More addresses than a shard can have.
    #[error("{0} media addresses are too many: give at most {MAX_ADDRESSES}")]
    TooManyAddresses(usize),
    /// The ports of the shards would pass 65 535.
    #[error(
        "{shards} shards from UDP port {port} on need ports beyond 65535: choose a lower media \
         port or fewer shards"
    )]
    PortRange {
        /// Port of the first shard.
        port: u16,
        /// Number of shards.
        shards: usize,
    },
    /// Ports below 1024 need a privilege.
    #[error(
        "not allowed to use UDP port {}: choose a media port from 1024 on, or grant \
         CAP_NET_BIND_SERVICE",
        .0.port()
    )]
    NotAllowed(SocketAddr),
    /// A socket could not be made for another reason.
    #[error("cannot open a UDP socket on {address}: {source}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// The extra roots are unusable.
    #[error("cannot use the certificates to trust beside those of the system: {0}")]
    ExtraRoots(String),
    /// A thread, a descriptor, random bytes or the list of addresses could not be had.
    #[error("cannot start the media shards: {0}")]
    System(#[from] io::Error),
}

/// An address of this host and the name of its interface, empty when none has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalIp {
    /// The address.
    pub(crate) ip: IpAddr,
    /// As `ip address` names it.
    pub(crate) interface: String,
}

/// Addresses that were asked for, or those of this host.
pub(crate) fn local_ips(asked: &[IpAddr]) -> Result<Vec<LocalIp>, StartError> {
    let found = os::interface_addresses()?;
    let mut seen = BTreeSet::new();
    let mut ips = asked.to_vec();
    if asked.is_empty() {
        let ready: Vec<_> = found.iter().map(|(ip, _)| *ip).filter(is_ready).collect();
        ips = usable(&ready);
        if ips.len() > MAX_ADDRESSES {
            tracing::warn!(
                found = ips.len(),
                used = MAX_ADDRESSES,
                "more local addresses than a shard can have: choose some with the media IP setting"
            );
            ips.truncate(MAX_ADDRESSES);
        }
    }
    ips.retain(|ip| seen.insert(*ip));
    if let Some(ip) = ips.iter().find(|ip| ip.is_unspecified()) {
        return Err(StartError::Unspecified(*ip));
    }
    if ips.len() > MAX_ADDRESSES {
        return Err(StartError::TooManyAddresses(ips.len()));
    }
    let named = ips.into_iter().map(|ip| {
        let interface = found.iter().find(|(of, _)| *of == ip);
        let interface = interface.map_or_else(String::new, |(_, name)| name.clone());
        LocalIp { ip, interface }
    });
    Ok(named.collect())
}

/// The sockets of all shards; within a shard all have one port.
pub(crate) fn bind_shards(
    shards: usize,
    ips: &[LocalIp],
    port: u16,
    options: SocketOptions,
) -> Result<Vec<Vec<UdpSocket>>, StartError> {
    let ips: Vec<IpAddr> = ips.iter().map(|local| local.ip).collect();
    let last = usize::from(port) + shards.saturating_sub(1);
    if port != 0 && last > usize::from(u16::MAX) {
        return Err(StartError::PortRange { port, shards });
    }
    let ports = (port..=u16::MAX).take(shards);
    if port == 0 {
        (0..shards).map(|_| bind_any(&ips, options)).collect()
    } else {
        ports.map(|port| bind_all(&ips, port, options)).collect()
    }
}

/// A listener for ICE over TCP beside each UDP socket, on the same port when that is free.
pub(crate) fn listen_beside(udp: &[UdpSocket]) -> Vec<(usize, TcpListener)> {
    let beside = udp.iter().enumerate().filter_map(|(index, socket)| {
        let address = socket.local_addr();
        let any = SocketAddr::new(address.ip(), 0);
        match listen(address).or_else(|_| listen(any)) {
            Ok(listener) => Some((index, listener)),
            Err(error) => {
                tracing::warn!(%address, %error, "no ICE over TCP on this address");
                None
            }
        }
    });
    beside.collect()
}

/// A non-blocking listener of one address family.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run that linger do not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The certificates of a PEM text.
pub(crate) fn extra_roots(pem: &str) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let mut roots = RootCertStore::empty();
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| StartError::ExtraRoots(error.to_string()))?;
        let added = roots.add(certificate.clone());
        added.map_err(|error| StartError::ExtraRoots(error.to_string()))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() && !pem.trim().is_empty() {
        return Err(StartError::ExtraRoots(
            "no certificate in the PEM text".to_owned(),
        ));
    }
    Ok(certificates)
}

/// Whether sockets can have the address; not while IPv6 still checks it for duplicates.
fn is_ready(ip: &IpAddr) -> bool {
    // Without the scope of its interface a link-local address cannot be bound; nobody uses it.
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let ready = !link_local && std::net::UdpSocket::bind((*ip, 0)).is_ok();
    if !ready && !link_local {
        tracing::warn!(%ip, "address of this host cannot be used for media");
    }
    ready
}

/// Those addresses that peers could use: neither loopback nor link-local; loopback when there is
/// no other.
fn usable(found: &[IpAddr]) -> Vec<IpAddr> {
    let reachable = |ip: &&IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    };
    let ips: Vec<_> = found.iter().filter(reachable).copied().collect();
    if ips.is_empty() {
        vec![Ipv4Addr::LOCALHOST.into()]
    } else {
        ips
    }
}

/// One socket per address on a port of the kernel's choice.
fn bind_any(ips: &[IpAddr], options: SocketOptions) -> Result<Vec<UdpSocket>, StartError> {
    let Some((first, others)) = ips.split_first() else {
        return Ok(Vec::new());
    };
    for _ in 0..PORT_ATTEMPTS {
        let mut sockets = vec![bind(SocketAddr::new(*first, 0), options)?];
        let port = sockets[0].local_addr().port();
        match bind_all(others, port, options) {
            Ok(more) => {
                sockets.extend(more);
                return Ok(sockets);
            }
            Err(StartError::PortInUse(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StartError::NoFreePort)
}

/// One socket per address on the given port.
fn bind_all(
    ips: &[IpAddr],
    port: u16,
    options: SocketOptions,
) -> Result<Vec<UdpSocket>, StartError> {
    ips.iter()
        .map(|ip| bind(SocketAddr::new(*ip, port), options))
        .collect()
}

/// One socket.
fn bind(address: SocketAddr, options: SocketOptions) -> Result<UdpSocket, StartError> {
    UdpSocket::bind(address, options).map_err(|source| match source.raw_os_error() {
        Some(libc::EADDRINUSE) => StartError::PortInUse(address),
        Some(libc::EADDRNOTAVAIL) => StartError::NotLocal(address.ip()),
        Some(libc::EACCES) => StartError::NotAllowed(address),
        Some(_) | None => StartError::Socket { address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn locals(texts: &[&str]) -> Vec<LocalIp> {
        let local = |ip| LocalIp {
            ip,
            interface: String::new(),
        };
        ips(texts).into_iter().map(local).collect()
    }

    #[test]
    fn peers_are_never_told_loopback_or_link_local_addresses_unless_there_is_no_other() {
        let found = ips(&[
            "127.0.0.1",
            "192.0.2.1",
            "169.254.1.1",
            "::1",
            "fe80::1",
            "fd00::2",
        ]);
        assert_eq!(usable(&found), ips(&["192.0.2.1", "fd00::2"]));
        assert_eq!(usable(&ips(&["127.0.0.1", "::1", "fe80::1"])), [LOOPBACK]);
        assert_eq!(usable(&[]), [LOOPBACK]);
    }

    #[test]
    fn addresses_of_this_host_are_found() {
        let ips = local_ips(&[]).unwrap();
        assert!(!ips.is_empty());
        assert!(ips.iter().all(|local| !local.ip.is_unspecified()));
    }

    #[test]
    fn given_addresses_are_checked_and_used_once() {
        let loopback = LocalIp {
            ip: LOOPBACK,
            interface: "lo".to_owned(),
        };
        assert_eq!(local_ips(&[LOOPBACK, LOOPBACK]).unwrap(), [loopback]);
        let foreign = local_ips(&ips(&["192.0.2.123"])).unwrap();
        assert_eq!(foreign[0].interface, "");
        let unspecified = local_ips(&ips(&["0.0.0.0"])).unwrap_err();
        assert!(matches!(unspecified, StartError::Unspecified(_)));
        let many: Vec<_> = (1..=33).map(|n| IpAddr::from([127, 0, 0, n])).collect();
        assert!(matches!(
            local_ips(&many),
            Err(StartError::TooManyAddresses(33))
        ));
    }

    #[test]
    fn all_addresses_of_a_shard_share_a_port_and_shards_differ() {
        let ips = locals(&["127.0.0.1", "127.0.0.2"]);
        let shards = bind_shards(2, &ips, 0, SocketOptions::default()).unwrap();
        let ports: Vec<BTreeSet<u16>> = shards
            .iter()
            .map(|sockets| {
                sockets
                    .iter()
                    .map(|socket| socket.local_addr().port())
                    .collect()
            })
            .collect();
        assert!(shards.iter().all(|sockets| sockets.len() == 2));
        assert!(ports.iter().all(|ports| ports.len() == 1) && ports[0] != ports[1]);
    }

    #[test]
    fn port_in_use_names_the_port_and_the_mend() {
        let taken = bind_shards(1, &locals(&["127.0.0.1"]), 0, SocketOptions::default()).unwrap();
        let port = taken[0][0].local_addr().port();
        let error =
            bind_shards(1, &locals(&["127.0.0.1"]), port, SocketOptions::default()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StartError::PortInUse(_)));
        assert!(text.contains(&port.to_string()), "{text}");
        assert!(
            text.contains("ss -ulpn") && text.contains("choose another media port"),
            "{text}"
        );
    }

    #[test]
    fn address_of_another_host_is_refused_with_the_mend() {
        let error =
            bind_shards(1, &locals(&["192.0.2.123"]), 0, SocketOptions::default()).unwrap_err();
        assert!(error.to_string().contains("announced address"), "{error}");
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        let error =
            bind_shards(3, &locals(&["127.0.0.1"]), 65_534, SocketOptions::default()).unwrap_err();
        assert!(matches!(
            error,
            StartError::PortRange {
                port: 65_534,
                shards: 3
            }
        ));
    }
}
