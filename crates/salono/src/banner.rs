//! What a person reads when a server has started.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, SocketAddr};

use crate::ports::Ports;

/// Which server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// Rooms, and perhaps media.
    Rooms {
        /// The certificate is one that browsers do not know.
        self_signed: bool,
        /// The demo page is there.
        demo: bool,
    },
    /// Media only.
    Media,
}

/// Prints to standard error, with colours only on a terminal.
pub(crate) fn print(product: Product, ports: &Ports) {
    eprint!("{}", text(product, ports, io::stderr().is_terminal()));
}

fn text(product: Product, ports: &Ports, colours: bool) -> String {
    let (bold, plain) = if colours {
        ("\x1b[1m", "\x1b[0m")
    } else {
        ("", "")
    };
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(out, "  {label:<9} {bold}{value}{plain}");
    };
    match product {
        Product::Rooms { .. } => {
            for url in pages(ports) {
                line("Open", &url);
            }
        }
        Product::Media => {
            if let Some(http) = ports.http {
                line("Metrics", &format!("http://{}/metrics", reachable(http)));
            }
        }
    }
    if let Some(kurento) = ports.kurento {
        let address = reachable(kurento);
        line("Kurento", &format!("ws://{address}{}", ports.kurento_path));
    }
    if let Some(kurento) = ports.kurento_tls {
        let address = reachable(kurento);
        line("Kurento", &format!("wss://{address}{}", ports.kurento_path));
    }
    if !ports.media.is_empty() {
        let numbers: BTreeSet<u16> = ports.media.iter().map(SocketAddr::port).collect();
        let ips: BTreeSet<IpAddr> = ports.media.iter().map(SocketAddr::ip).collect();
        line("Media", &format!("UDP {} on {}", list(numbers), list(ips)));
    }
    let mut text = format!(
        "{bold}Salono {}{plain} is running\n\n{out}\n",
        env!("CARGO_PKG_VERSION")
    );
    if let Product::Rooms { self_signed, demo } = product {
        if demo {
            text.push_str(
                "  Open the page in two windows, with the same room and two user names.\n",
            );
        }
        if self_signed && ports.https.is_some() {
            text.push_str(
                "  The certificate is self-signed, so the browser warns once: choose \"Advanced\", \
                 then proceed.\n  Browsers give camera and microphone only to https pages and \
                 localhost.\n",
            );
        }
    }
    text.push_str("  Ctrl-C ends it.\n\n");
    text
}

/// Separated by commas.
fn list<T: ToString>(items: BTreeSet<T>) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// The URLs that a browser can open.
fn pages(ports: &Ports) -> Vec<String> {
    let mut urls = Vec::new();
    if let Some(https) = ports.https {
        urls.push(format!("https://{}", name(https)));
        if https.ip().is_unspecified() {
            let mut ips: Vec<IpAddr> = ports.media.iter().map(SocketAddr::ip).collect();
            ips.retain(|ip| !ip.is_loopback() && (https.is_ipv6() || ip.is_ipv4()));
            ips.sort();
            ips.dedup();
            urls.extend(
                ips.into_iter()
                    .map(|ip| format!("https://{}", SocketAddr::new(ip, https.port()))),
            );
        }
    } else if let Some(http) = ports.http {
        urls.push(format!("http://{}", name(http)));
    }
    urls
}

/// Host and port as one types them on this machine.
fn name(address: SocketAddr) -> String {
    if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// An address that can be connected to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() {
        SocketAddr::new(loopback, address.port())
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        Ports {
            pid: 1,
            https: "0.0.0.0:8443".parse().ok(),
            http: None,
            kurento: "[::]:8888".parse().ok(),
            kurento_tls: None,
            kurento_path: "/kurento".to_owned(),
            media: vec![
                "192.0.2.2:40001".parse().unwrap(),
                "192.0.2.2:40000".parse().unwrap(),
                "[fd00::2]:40000".parse().unwrap(),
            ],
        }
    }

    #[test]
    fn a_person_is_told_every_address_that_can_be_opened() {
        let product = Product::Rooms {
            self_signed: true,
            demo: true,
        };
        let text = text(product, &ports(), false);
        for part in [
            "https://localhost:8443\n",
            "https://192.0.2.2:8443\n",
            "ws://[::1]:8888/kurento\n",
            "UDP 40000, 40001 on 192.0.2.2, fd00::2\n",
            "self-signed",
            "two windows",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("fd00::2]:8443"), "not listened on: {text}");
        assert!(!text.contains('\x1b'), "no colours: {text}");
    }

    #[test]
    fn a_media_server_has_no_page_to_open() {
        let mut ports = ports();
        ports.https = None;
        ports.http = "127.0.0.1:9090".parse().ok();
        let text = text(Product::Media, &ports, true);
        assert!(text.contains("http://127.0.0.1:9090/metrics"), "{text}");
        assert!(!text.contains("Open") && text.contains('\x1b'), "{text}");
    }
}
