//! ICE and DTLS attributes, of the session or of an m-line.

use crate::attribute::{Fingerprint, IceCredentials, Setup};
use crate::description::TransportAttributes;

use super::set_once;

/// Collects them; credentials count only in full.
#[derive(Default)]
pub(super) struct TransportBuilder {
    ufrag: Option<String>,
    pwd: Option<String>,
    attributes: TransportAttributes,
}

impl TransportBuilder {
    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "ice-ufrag" => set_once(&mut self.ufrag, ice_token(value)),
            "ice-pwd" => set_once(&mut self.pwd, ice_token(value)),
            "ice-options" => {
                let words = value.split_whitespace().map(str::to_owned);
                self.attributes.ice_options.extend(words);
            }
            "fingerprint" => {
                let fingerprint = Fingerprint::parse(value);
                self.attributes.fingerprints.extend(fingerprint);
            }
            "setup" => set_once(&mut self.attributes.setup, Setup::parse(value)),
            _ => {}
        }
    }

    pub(super) fn finish(self) -> TransportAttributes {
        TransportAttributes {
            ice: self
                .ufrag
                .zip(self.pwd)
                .map(|(ufrag, pwd)| IceCredentials { ufrag, pwd }),
            ..self.attributes
        }
    }
}

/// Longest ICE user name fragment or password (RFC 8839 §5.4).
const MAX_ICE_TOKEN: usize = 256;

fn ice_token(value: &str) -> Option<String> {
    let fits = !value.is_empty() && value.len() <= MAX_ICE_TOKEN;
    (fits && !value.contains(char::is_whitespace)).then(|| value.to_owned())
}
