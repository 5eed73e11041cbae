//! `kurento.conf.json`, the main file of Kurento Media Server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value;

use super::import::Meaning;
use super::{lenient, modules};

const WEBSOCKET: &str = "mediaServer.net.websocket";

/// What a key means; `document` is the whole file.
pub(super) fn meaning(key: &str, value: &Value, document: &Value) -> Meaning {
    if let Some(path) = key.strip_prefix("modules.kurento.") {
        return match path.split_once('.') {
            Some((class, name)) => modules::meaning(class, name, &modules::text(value)),
            None => Meaning::Nothing("it is in no class"),
        };
    }
    if let Some(name) = key.strip_prefix("mediaServer.net.websocket.") {
        return websocket(name, value, document);
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
        "mediaServer.resources.exceptionLimit" => {
            Meaning::Nothing("objects are limited by kurento.max_objects")
        }
        "mediaServer.resources.killLimit" => Meaning::Nothing("the process does not end itself"),
        "metadata" => Meaning::is("kurento.metadata", modules::text(value)),
        _ if key.starts_with("metadata.") => {
            Meaning::Nothing("metadata is one text: write it as JSON in kurento.metadata")
        }
        _ => Meaning::Nothing("there is no such setting here"),
    }
}

/// Keys below `mediaServer.net.websocket`. Address, port and family make one value together,
/// which is reported for whichever of them comes first in the file.
fn websocket(name: &str, value: &Value, document: &Value) -> Meaning {
    let other = |name: &str| lenient::find(document, &format!("{WEBSOCKET}.{name}"));
    match name {
        "port" => {
            let Some(port) = number(value).and_then(|port| u16::try_from(port).ok()) else {
                return Meaning::Nothing("it is no port");
            };
            // Without an address Kurento listens on all of them.
            let any = match other("ipv6").and_then(Value::as_bool) {
                Some(false) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
                Some(true) | None => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            };
            let ip = match other("address").map(modules::text) {
                None => any,
                Some(text) if text.is_empty() => any,
                Some(text) if text == "localhost" => Ipv4Addr::LOCALHOST.into(),
                Some(text) => match text.parse() {
                    Ok(ip) => ip,
                    Err(_) => return Meaning::Nothing("its address is no IP address"),
                },
            };
            Meaning::is("kurento.listen", SocketAddr::new(ip, port).to_string())
        }
        "address" | "ipv6" if other("port").is_some() => {
            Meaning::Nothing("it is part of kurento.listen, see the port")
        }
        "address" | "ipv6" => Meaning::Nothing("there is no port with it"),
        "path" => {
            let path = modules::text(value);
            Meaning::is("kurento.path", format!("/{}", path.trim_start_matches('/')))
        }
        "threads" => Meaning::Nothing("connections are tasks, not threads"),
        "connqueue" => Meaning::Nothing("the system's own queue is used"),
        _ if name.starts_with("secure.") => {
            Meaning::Nothing("the Kurento Protocol is served without TLS: put a proxy before it")
        }
        _ if name.starts_with("registrar.") => Meaning::Nothing("there is no registrar"),
        _ => Meaning::Nothing("there is no such setting here"),
    }
}

/// A whole number, also one in quotes.
fn number(value: &Value) -> Option<u64> {
    modules::text(value).parse().ok()
}
