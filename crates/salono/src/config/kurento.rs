//! `kurento.conf.json`, the main file of Kurento Media Server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;

use super::import::Meaning;
use super::{lenient, modules};

const WEBSOCKET: &str = "mediaServer.net.websocket";

/// What a key means; `document` is the whole file.
/// Relative paths are relative to `base`.
pub(super) fn meaning(key: &str, value: &Value, document: &Value, base: &Path) -> Meaning {
    if let Some(path) = key.strip_prefix("modules.kurento.") {
        return match path.split_once('.') {
            Some((class, name)) => modules::meaning(class, name, value, base),
            None => Meaning::Nothing("it is in no class"),
        };
    }
    if let Some(name) = key.strip_prefix("mediaServer.net.websocket.") {
        return websocket(name, value, document, base);
    }
    match key {
        "mediaServer.resources.garbageCollectorPeriod" => match number(value) {
            Some(seconds) => Meaning::is("kurento.session_period_s", seconds),
            None => Meaning::Nothing("it is no number of seconds"),
        },
        "mediaServer.resources.disableRequestCache" => match modules::text(value).as_str() {
            "true" => Meaning::is("kurento.request_cache", false),
            "false" => Meaning::is("kurento.request_cache", true),
            _ => Meaning::Nothing("it is neither true nor false"),
        },
        "mediaServer.resources.exceptionLimit" => part("kurento.exception_limit", value),
        "mediaServer.resources.killLimit" => part("kurento.kill_limit", value),
        _ => Meaning::Nothing("there is no such setting here"),
    }
}

/// Keys below `mediaServer.net.websocket`. Address, port and family make one value together,
/// which is reported for whichever of them comes first in the file.
fn websocket(name: &str, value: &Value, document: &Value, base: &Path) -> Meaning {
    let other = |name: &str| lenient::find(document, &format!("{WEBSOCKET}.{name}"));
    match name {
        "port" => {
            let address = other("address").map(modules::text).unwrap_or_default();
            listen("kurento.listen", value, &address, document)
        }
        // The address is of the plain listener alone, as in Kurento.
        "secure.port" => listen("kurento.tls_listen", value, "", document),
        "secure.certificate" => {
            let path = base.join(modules::text(value));
            Meaning::is("kurento.tls_certificate", path.display().to_string())
        }
        "secure.password" => Meaning::is("kurento.tls_password", modules::text(value)),
        "address" | "ipv6" if other("port").is_some() => {
            Meaning::Nothing("it is part of kurento.listen, see the port")
        }
        "address" | "ipv6" => Meaning::Nothing("there is no port with it"),
        "path" => {
            let path = modules::text(value);
            Meaning::is("kurento.path", format!("/{}", path.trim_start_matches('/')))
        }
        "threads" => Meaning::Nothing("connections are tasks, not threads"),
        "connqueue" => match number(value) {
            Some(length) => Meaning::is("kurento.backlog", length),
            None => Meaning::Nothing("it is no number"),
        },
        "registrar.address" => match modules::text(value) {
            url if url.is_empty() => Meaning::Nothing("it is empty"),
            url => Meaning::is("kurento.registrar", url),
        },
        "registrar.localAddress" => {
            Meaning::is("kurento.registrar_local_address", modules::text(value))
        }
        _ => Meaning::Nothing("there is no such setting here"),
    }
}

/// A port, with the address that goes with it, as one of our listeners; 0 is none.
fn listen(ours: &'static str, port: &Value, address: &str, document: &Value) -> Meaning {
    let Some(port) = number(port).and_then(|port| u16::try_from(port).ok()) else {
        return Meaning::Nothing("it is no port");
    };
    if port == 0 {
        return Meaning::is(ours, "off");
    }
    let v6 = lenient::find(document, &format!("{WEBSOCKET}.ipv6")).map(modules::text);
    let ip = match address {
        // Without an address Kurento listens on all of them.
        "" if v6.as_deref() == Some("false") => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        "" => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        text => match text.parse() {
            Ok(ip) => ip,
            Err(_) => return Meaning::Nothing("its address is no IP address"),
        },
    };
    Meaning::is(ours, SocketAddr::new(ip, port).to_string())
}

/// A part of a whole, 0.8 for example.
fn part(ours: &'static str, value: &Value) -> Meaning {
    match modules::text(value).parse::<f64>() {
        Ok(part) if part.is_finite() => Meaning::is(ours, part),
        Ok(_) | Err(_) => Meaning::Nothing("it is no number"),
    }
}

/// A whole number, also one in quotes.
fn number(value: &Value) -> Option<u64> {
    modules::text(value).parse().ok()
}
