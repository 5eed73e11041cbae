//! `a=crypto`: keys of SRTP in the description itself (RFC 4568).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

/// Peers leave the padding out, or write it where none is due.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longest master key identifier (RFC 3711 leaves it open; RFC 4568 §6.1 says 1 to 128 bytes).
const MAX_MKI: usize = 128;

/// One `a=crypto` line that can be used as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Identifies the line; an answer repeats that of the line it chooses.
    pub tag: u32,
    /// Name of the crypto suite as written; compare with [`Crypto::is_suite`].
    pub suite: String,
    /// Master key followed by master salt.
    pub key: Vec<u8>,
    /// Bytes of the master key identifier in each packet of the author.
    pub mki_len: usize,
}

impl Crypto {
    /// Reads `1 AES_CM_128_HMAC_SHA1_80 inline:<base64>[|<lifetime>][|<MKI>:<length>]` and session
    /// parameters. Of several keys the first counts, and its lifetime is left to its author.
    ///
    /// `None` when the line is malformed or has a session parameter that changes the packets
    /// (`UNENCRYPTED_SRTP`, `KDR`, …; RFC 4568 §6.3).
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let tag = words.next()?.parse().ok()?;
        let suite = words.next()?.to_owned();
        let keys = words.next()?;
        let tolerated = |parameter: &str| {
            let parameter = parameter.to_ascii_uppercase();
            ["WSH=", "FEC_ORDER=", "UNENCRYPTED_SRTCP", "-"]
                .iter()
                .any(|known| parameter.starts_with(known))
        };
        if !words.all(tolerated) {
            return None;
        }
        let first = keys.split(';').next()?;
        let (method, info) = first.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") {
            return None;
        }
        let mut parts = info.split('|');
        let key = LENIENT.decode(parts.next()?).ok()?;
        // A lifetime has no colon.
        let mki_len = match parts.find_map(|part| part.split_once(':')) {
            Some((_, length)) => length.parse().ok().filter(|len| *len <= MAX_MKI)?,
            None => 0,
        };
        Some(Self {
            tag,
            suite,
            key,
            mki_len,
        })
    }

    /// Whether the suite has this name, in either spelling of its cipher.
    pub fn is_suite(&self, name: &str) -> bool {
        let normal = |name: &str| {
            let name = name.to_ascii_uppercase();
            name.replace("AES_CM_", "AES_")
                .replace("AES_128_CM_", "AES_128_")
                .replace("AES_256_CM_", "AES_256_")
        };
        normal(&self.suite) == normal(name)
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = general_purpose::STANDARD.encode(&self.key);
        write!(f, "{} {} inline:{key}", self.tag, self.suite)
    }
}

/// Leaves the key out, so that it cannot end up in logs.
impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypto")
            .field("tag", &self.tag)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5";

    #[test]
    fn lines_of_peers_are_read() {
        let plain = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
        let crypto = Crypto::parse(&plain).unwrap();
        assert_eq!(crypto.key, b"012345678901234567890123456789");
        assert_eq!(crypto.to_string(), plain);
        for extra in [
            "|2^20",
            "|2^20|1:4",
            "|1:4",
            "|1048576 WSH=64",
            ";inline:AAAA",
        ] {
            let crypto = Crypto::parse(&format!("{plain}{extra}")).unwrap();
            assert_eq!(crypto.key.len(), 30, "{extra}");
            assert_eq!(crypto.mki_len, if extra.contains(":4") { 4 } else { 0 });
        }
        let unpadded = "7 AES_256_CM_HMAC_SHA1_80 inline:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw";
        assert_eq!(Crypto::parse(unpadded).unwrap().key, [7; 46]);
    }

    #[test]
    fn lines_that_change_the_packets_or_make_no_sense_are_not_usable() {
        for line in [
            "",
            "x AES_CM_128_HMAC_SHA1_80 inline:AAAA",
            "1 AES_CM_128_HMAC_SHA1_80",
            "1 AES_CM_128_HMAC_SHA1_80 prompt:AAAA",
            "1 AES_CM_128_HMAC_SHA1_80 inline:?",
            "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|1:9999999999999999999999",
            "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA UNENCRYPTED_SRTP",
            "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA KDR=1",
        ] {
            assert_eq!(Crypto::parse(line), None, "{line}");
        }
    }

    #[test]
    fn both_spellings_of_a_suite_are_one() {
        let crypto = Crypto::parse(&format!("1 AES_CM_256_HMAC_SHA1_80 inline:{KEY}")).unwrap();
        assert!(crypto.is_suite("AES_256_CM_HMAC_SHA1_80"));
        assert!(!crypto.is_suite("AES_256_CM_HMAC_SHA1_32"));
        assert!(!crypto.is_suite("AES_CM_128_HMAC_SHA1_80"));
    }
}
