//! How a `WebRtcEndpoint` gathers candidates: its properties, and what they mean to the engine.

use crate::{EndpointDefaults, ObjectModel, call::Call};
use salono_kurento_model::Value;
use salono_media_api::{ElementKey, IceSettings, Op, ServerAddress, TurnServer, TurnTransport};

/// Port of STUN and TURN over UDP and TCP (RFC 8489 §18.5, RFC 8656 §22).
const STUN_PORT: u16 = 3_478;

/// Port of TURN over TLS.
const TURNS_PORT: u16 = 5_349;

/// The properties as clients read them back. A text that means nothing to the engine is kept all
/// the same, and has no effect.
#[derive(Debug)]
pub(crate) struct IceProperties {
    network_interfaces: String,
    ice_tcp: bool,
    stun_server_address: String,
    stun_server_port: i32,
    turn_url: String,
    external_v4: String,
    external_v6: String,
}

impl IceProperties {
    /// As configured.
    pub(crate) fn new(defaults: &EndpointDefaults) -> Self {
        Self {
            network_interfaces: defaults.network_interfaces.clone(),
            ice_tcp: defaults.ice_tcp,
            stun_server_address: defaults.stun_server_address.clone(),
            stun_server_port: defaults.stun_server_port.into(),
            turn_url: defaults.turn_url.clone(),
            external_v4: defaults.external_v4.clone(),
            external_v6: defaults.external_v6.clone(),
        }
    }

    /// Reads a property.
    pub(crate) fn get(&self, operation: &str) -> Option<Value> {
        Some(match operation {
            "getNetworkInterfaces" => self.network_interfaces.as_str().into(),
            "getIceTcp" => self.ice_tcp.into(),
            "getStunServerAddress" => self.stun_server_address.as_str().into(),
            "getStunServerPort" => self.stun_server_port.into(),
            "getTurnUrl" => self.turn_url.as_str().into(),
            "getExternalIPv4" => self.external_v4.as_str().into(),
            "getExternalIPv6" => self.external_v6.as_str().into(),
            _ => return None,
        })
    }

    /// Changes a property; `false` when the operation is another one.
    fn set(&mut self, call: &Call<'_>) -> bool {
        let text = |name: &str| call.text(name).unwrap_or_default().to_owned();
        match call.operation {
            "setNetworkInterfaces" => self.network_interfaces = text("networkInterfaces"),
            "setIceTcp" => self.ice_tcp = call.flag("iceTcp").unwrap_or_default(),
            "setStunServerAddress" => self.stun_server_address = text("stunServerAddress"),
            "setStunServerPort" => {
                self.stun_server_port = call.int("stunServerPort").unwrap_or_default();
            }
            "setTurnUrl" => self.turn_url = text("turnUrl"),
            "setExternalIPv4" => self.external_v4 = text("externalIPv4"),
            "setExternalIPv6" => self.external_v6 = text("externalIPv6"),
            _ => return false,
        }
        true
    }

    /// What they mean to the engine.
    fn settings(&self) -> IceSettings {
        let stun = u16::try_from(self.stun_server_port)
            .ok()
            .filter(|port| *port != 0 && !self.stun_server_address.is_empty())
            .map(|port| ServerAddress {
                host: without_brackets(self.stun_server_address.trim()).to_owned(),
                port,
            });
        IceSettings {
            interfaces: self
                .network_interfaces
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            external_v4: self.external_v4.trim().parse().ok(),
            external_v6: self.external_v6.trim().parse().ok(),
            tcp: self.ice_tcp,
            stun,
            turn: turn_server(self.turn_url.trim()),
        }
    }
}

impl ObjectModel {
    /// Changes how an endpoint gathers candidates; `false` when the operation is another one.
    pub(crate) fn set_ice(&mut self, pipeline: u64, call: &Call<'_>) -> bool {
        let Some(endpoint) = self.web_rtc_mut(call.object) else {
            return false;
        };
        if !endpoint.ice_properties.set(call) {
            return false;
        }
        let settings = Box::new(endpoint.ice_properties.settings());
        let element = ElementKey(call.object);
        self.order(pipeline, Op::SetIce { element, settings });
        true
    }

    /// Tells the engine how a new endpoint gathers candidates, unless it is as always.
    pub(crate) fn order_initial_ice(&mut self, key: u64) {
        let Some(pipeline) = self.tree.get(key).and_then(|object| object.pipeline) else {
            return;
        };
        let Some(endpoint) = self.web_rtc_mut(key) else {
            return;
        };
        let settings = endpoint.ice_properties.settings();
        if settings != IceSettings::default() {
            let element = ElementKey(key);
            let settings = Box::new(settings);
            self.order(pipeline, Op::SetIce { element, settings });
        }
    }
}

/// `user:password@host:port?transport=udp|tcp|tls`, where only user, password and host must be there;
/// `None` for everything else.
fn turn_server(url: &str) -> Option<TurnServer> {
    let (url, transport) = match url.split_once('?') {
        None => (url, TurnTransport::Udp),
        Some((url, query)) => {
            let transport = match query.strip_prefix("transport=")? {
                "udp" => TurnTransport::Udp,
                "tcp" => TurnTransport::Tcp,
                "tls" => TurnTransport::Tls,
                _ => return None,
            };
            (url, transport)
        }
    };
    // A password may contain anything, also what separates here.
    let (credentials, address) = url.rsplit_once('@')?;
    let (username, password) = credentials.split_once(':')?;
    let default_port = match transport {
        TurnTransport::Udp | TurnTransport::Tcp => STUN_PORT,
        TurnTransport::Tls => TURNS_PORT,
    };
    // A bracket behind the last colon: it is part of an IPv6 address.
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        Some(_) | None => (address, default_port),
    };
    let host = without_brackets(host);
    if host.is_empty() || username.is_empty() || port == 0 {
        return None;
    }
    Some(TurnServer {
        server: ServerAddress {
            host: host.to_owned(),
            port,
        },
        transport,
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

/// The address in `[2001:db8::1]`.
fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_urls_are_read_as_kurento_writes_them() {
        for (url, host, port, transport, password) in [
            (
                "u:p@192.0.2.1:3478",
                "192.0.2.1",
                3_478,
                TurnTransport::Udp,
                "p",
            ),
            (
                "u:p@turn.example:80?transport=tcp",
                "turn.example",
                80,
                TurnTransport::Tcp,
                "p",
            ),
            (
                "u:p:@?@[2001:db8::1]?transport=tls",
                "",
                0,
                TurnTransport::Tls,
                "",
            ),
            (
                "u:p:@@[2001:db8::1]?transport=tls",
                "2001:db8::1",
                5_349,
                TurnTransport::Tls,
                "p:@",
            ),
            ("u:@[::1]:9?transport=udp", "::1", 9, TurnTransport::Udp, ""),
        ] {
            let expected = (port != 0).then(|| TurnServer {
                server: ServerAddress {
                    host: host.to_owned(),
                    port,
                },
                transport,
                username: "u".to_owned(),
                password: password.to_owned(),
            });
            assert_eq!(turn_server(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_turn_url_means_none() {
        for url in [
            "",
            "192.0.2.1:3478",
            "u@192.0.2.1:3478",
            ":p@192.0.2.1:3478",
            "u:p@:3478",
            "u:p@192.0.2.1:0",
            "u:p@192.0.2.1:70000",
            "u:p@192.0.2.1:3478?transport=sctp",
            "u:p@192.0.2.1:3478?x=y",
        ] {
            assert_eq!(turn_server(url), None, "{url}");
        }
    }

    #[test]
    fn configured_defaults_are_what_the_engine_is_told() {
        let defaults = EndpointDefaults {
            network_interfaces: " eth0, wlan0,,".to_owned(),
            ice_tcp: false,
            stun_server_address: "[2001:db8::5]".to_owned(),
            stun_server_port: 3_479,
            external_v4: "203.0.113.7".to_owned(),
            external_v6: "none".to_owned(),
            ..EndpointDefaults::default()
        };
        let settings = IceProperties::new(&defaults).settings();
        let expected = IceSettings {
            interfaces: vec!["eth0".to_owned(), "wlan0".to_owned()],
            external_v4: "203.0.113.7".parse().ok(),
            external_v6: None,
            tcp: false,
            stun: Some(ServerAddress {
                host: "2001:db8::5".to_owned(),
                port: 3_479,
            }),
            turn: None,
        };
        assert_eq!(settings, expected);
        let usual = IceProperties::new(&EndpointDefaults::default()).settings();
        assert_eq!(usual, IceSettings::default());
    }
}
