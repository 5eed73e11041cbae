//! What is looked at, one function each.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use salono_media_engine::udp::{SocketOptions, UdpSocket};

use super::{Finding, modules, processor};
use crate::config::{Config, Listen};
use crate::listeners::{HTTP, HTTPS, KURENTO, KURENTO_TLS, Purpose};
use crate::{media, tls};

/// Descriptors below which a server with many clients runs out of them.
const FILES_WANTED: u64 = 4_096;

/// 2025-01-01, before which no clock of a working machine is.
const EARLIEST: u64 = 1_735_689_600;

/// Everything, in the order in which a start would meet it.
pub(super) fn all(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        listener("HTTPS listener", config.web.https, HTTPS),
        listener("plain HTTP listener", config.web.http, HTTP),
        listener("Kurento listener", config.kurento.listen, KURENTO),
        listener(
            "Kurento listener (TLS)",
            config.kurento.tls_listen,
            KURENTO_TLS,
        ),
    ];
    let ips = media_ips(config, &mut findings);
    findings.push(announced(config, &ips));
    findings.push(media_ports(config, &ips));
    findings.extend(sockets(config, &ips));
    findings.push(files());
    findings.push(certificate(config, &ips));
    findings.push(clock());
    findings.push(processor::check(config));
    findings.extend(modules::check(config));
    findings
}

/// Whether a TCP listener could be opened.
fn listener(what: &'static str, listen: Listen, purpose: Purpose) -> Finding {
    let Some(address) = listen.address() else {
        return Finding::good(what, "off");
    };
    let Purpose { flag, key } = purpose;
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(what, format!("{address} is free")),
        Err(error) => Finding::bad(
            what,
            format!("{address}: {error}"),
            format!(
                "`ss -ltnp` shows who has it; choose another address with {flag} ADDR or {key}"
            ),
        ),
    }
}

/// The addresses that media would use.
fn media_ips(config: &Config, findings: &mut Vec<Finding>) -> Vec<IpAddr> {
    const WHAT: &str = "media addresses";
    let configured = match media::local_ips(&config.media) {
        Ok(ips) => ips,
        Err(failure) => {
            let mend = "correct media.ips or media.interfaces (`ip address` lists what there is)";
            findings.push(Finding::bad(WHAT, failure.to_string(), mend));
            return Vec::new();
        }
    };
    let chosen = !configured.is_empty();
    let ips = if chosen { configured } else { usable_ips() };
    let list = ips.iter().map(ToString::to_string).collect::<Vec<_>>();
    let list = list.join(", ");
    findings.push(if ips.iter().all(IpAddr::is_loopback) {
        let mend = "only browsers on this machine can call; set --media-ip when there are others";
        Finding::note(WHAT, format!("{list} (loopback only)"), mend)
    } else {
        Finding::good(WHAT, list)
    });
    ips
}

/// What the media engine would choose by itself.
fn usable_ips() -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let usable: BTreeSet<IpAddr> = found
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect();
    if usable.is_empty() {
        vec![IpAddr::from([127, 0, 0, 1])]
    } else {
        usable.into_iter().collect()
    }
}

/// Whether browsers elsewhere can be told an address that they reach.
fn announced(config: &Config, ips: &[IpAddr]) -> Finding {
    const WHAT: &str = "announced addresses";
    let announced: Vec<String> = [
        config.media.announce_v4.map(|ip| ip.to_string()),
        config.media.announce_v6.map(|ip| ip.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let private = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback(),
    };
    if !announced.is_empty() {
        Finding::good(WHAT, announced.join(", "))
    } else if ips.iter().all(private) {
        Finding::note(
            WHAT,
            "none, and every media address is private",
            "for calls over the internet behind a 1:1 NAT set --announce-ip PUBLIC_ADDRESS",
        )
    } else {
        Finding::good(WHAT, "none needed: a media address is public")
    }
}

/// Whether the UDP ports are free on all addresses.
fn media_ports(config: &Config, ips: &[IpAddr]) -> Finding {
    const WHAT: &str = "media ports";
    let shards = match config.media.shards {
        0 => thread::available_parallelism().map_or(1, usize::from),
        shards => shards,
    };
    let first = config.media.port;
    if first == 0 {
        return Finding::good(
            WHAT,
            format!("any free UDP port for each of {shards} shards; a firewall needs --media-port"),
        );
    }
    let last = usize::from(first) + shards.saturating_sub(1);
    let Ok(last) = u16::try_from(last) else {
        return Finding::bad(
            WHAT,
            format!("{shards} shards from port {first} on pass port 65535"),
            "choose a lower --media-port or fewer --shards",
        );
    };
    for port in first..=last {
        for ip in ips {
            if let Err(error) = std::net::UdpSocket::bind((*ip, port)) {
                return Finding::bad(
                    WHAT,
                    format!("UDP {}: {error}", SocketAddr::new(*ip, port)),
                    "`ss -ulpn` shows who has it; choose another --media-port or --media-ip",
                );
            }
        }
    }
    Finding::good(WHAT, format!("UDP {first} to {last} are free"))
}

/// Buffers and offloads of the kernel.
fn sockets(config: &Config, ips: &[IpAddr]) -> Vec<Finding> {
    const BUFFERS: &str = "UDP buffers";
    const OFFLOAD: &str = "UDP segmentation offload";
    let ip = ips.first().copied().unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let options = SocketOptions {
        buffer_bytes: config.media.socket_buffer_bytes,
        ..SocketOptions::default()
    };
    let socket = match UdpSocket::bind(SocketAddr::new(ip, 0), options) {
        Ok(socket) => socket,
        Err(error) => {
            let mend = "set --media-ip to an address of this host";
            return vec![Finding::bad(BUFFERS, format!("{ip}: {error}"), mend)];
        }
    };
    let wanted = options.buffer_bytes;
    let buffers = match socket.buffer_bytes() {
        Ok((receive, send)) if receive.min(send) >= wanted => {
            Finding::good(BUFFERS, format!("{wanted} bytes granted"))
        }
        Ok((receive, send)) => Finding::note(
            BUFFERS,
            format!(
                "{receive} bytes to receive and {send} to send, {wanted} wanted; bursts may be lost"
            ),
            format!(
                "sysctl -w net.core.rmem_max={wanted} net.core.wmem_max={wanted} (and in /etc/sysctl.d)"
            ),
        ),
        Err(error) => Finding::note(BUFFERS, error.to_string(), "they cannot be read here"),
    };
    let offload = if socket.segments() {
        Finding::good(OFFLOAD, "there")
    } else {
        Finding::note(
            OFFLOAD,
            "missing: sending costs more CPU time",
            "Linux 4.18 or later has it; some sandboxes hide it",
        )
    };
    vec![buffers, offload]
}

/// How many files this process may have open.
fn files() -> Finding {
    const WHAT: &str = "open files";
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // The second is the hard limit, to which the media server raises the other.
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().nth(1));
    match limit.map(|limit| (limit, limit.parse::<u64>())) {
        Some(("unlimited", _)) => Finding::good(WHAT, "unlimited"),
        Some((_, Ok(limit))) if limit >= FILES_WANTED => {
            Finding::good(WHAT, format!("{limit} allowed"))
        }
        Some((_, Ok(limit))) => Finding::note(
            WHAT,
            format!("{limit} allowed, each client needs one"),
            "raise it: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit",
        ),
        Some((_, Err(_))) | None => {
            Finding::note(WHAT, "unknown", "/proc/self/limits cannot be read")
        }
    }
}

/// Whether the certificate can be had; makes it if it is the self-signed one.
fn certificate(config: &Config, ips: &[IpAddr]) -> Finding {
    const WHAT: &str = "certificate";
    if config.web.https.address().is_none() {
        return Finding::good(WHAT, "not needed, HTTPS is off");
    }
    match tls::certificate(&config.web, &config.data_dir, ips.iter().copied()) {
        Ok(certificate) if certificate.self_signed => Finding::note(
            WHAT,
            format!("self-signed, {}", certificate.path.display()),
            "browsers warn of it; give one of your own with --tls-cert and --tls-key",
        ),
        Ok(certificate) => Finding::good(WHAT, certificate.path.display().to_string()),
        Err(error) => Finding::bad(WHAT, error.to_string(), "correct the files or the folder"),
    }
}

/// Whether the clock can be right; certificates and reports carry its time.
fn clock() -> Finding {
    const WHAT: &str = "clock";
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    if now < EARLIEST {
        Finding::bad(
            WHAT,
            "stands before 2025",
            "set it, and keep it right with chrony or systemd-timesyncd",
        )
    } else {
        Finding::good(WHAT, "plausible")
    }
}
