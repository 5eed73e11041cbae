//! `RtpEndpoint`: what it adds to `BaseRtpEndpoint`.

use crate::{Config, random::Random, rtp_base::BaseRtp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use salono_kurento_model::{Error, ErrorCode, Map, Value};
use salono_media_api::{CryptoSuite, RtpSpec, SdesKey};

/// State of an RTP endpoint.
#[derive(Debug)]
pub(crate) struct Rtp {
    pub(crate) base: BaseRtp,
}

impl Rtp {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            base: BaseRtp::new(config),
        }
    }

    /// What the engine makes it from.
    pub(crate) fn spec(
        params: &Map<String, Value>,
        config: &Config,
        random: &mut Random,
    ) -> Result<RtpSpec, Error> {
        Ok(RtpSpec {
            crypto: params
                .get("crypto")
                .map(|crypto| key(crypto, random))
                .transpose()?
                .flatten(),
            ipv6: params
                .get("useIpv6")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            ports: config.endpoints.rtp_ports.clone(),
        })
    }
}

/// The key that an `SDES` value names; a random one when it names a suite alone, none without a
/// suite.
fn key(crypto: &Value, random: &mut Random) -> Result<Option<SdesKey>, Error> {
    let text = |name: &str| crypto.get(name).and_then(Value::as_str);
    // Master key and salt (RFC 4568 §6.2, RFC 6188 §3).
    let (suite, length) = match text("crypto") {
        Some("AES_128_CM_HMAC_SHA1_32") => (CryptoSuite::Aes128CmSha1_32, 30),
        Some("AES_128_CM_HMAC_SHA1_80") => (CryptoSuite::Aes128CmSha1_80, 30),
        Some("AES_256_CM_HMAC_SHA1_32") => (CryptoSuite::Aes256CmSha1_32, 46),
        Some("AES_256_CM_HMAC_SHA1_80") => (CryptoSuite::Aes256CmSha1_80, 46),
        Some(_) | None => return Ok(None),
    };
    let key = match (text("key"), text("keyBase64")) {
        (Some(key), _) => key.as_bytes().to_vec(),
        (None, Some(encoded)) => STANDARD
            .decode(encoded.trim())
            .map_err(|_| illegal("Master key is not valid Base64"))?,
        (None, None) => random.bytes(length),
    };
    if key.len() != length {
        return Err(illegal("Master key size is wrong"));
    }
    Ok(Some(SdesKey { suite, key }))
}

fn illegal(text: &str) -> Error {
    Error::new(ErrorCode::MediaObjectIllegalParam, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(members: &[(&str, &str)]) -> Result<Option<SdesKey>, Error> {
        let members = members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect();
        key(&Value::Object(members), &mut Random::new([7; 32]))
    }

    #[test]
    fn keys_come_as_text_or_in_base64_or_are_made() {
        let suite = ("crypto", "AES_128_CM_HMAC_SHA1_80");
        let text = "012345678901234567890123456789";
        let key = read(&[suite, ("key", text)]).unwrap().unwrap();
        assert_eq!(key.key, text.as_bytes());
        let encoded = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5";
        let same = read(&[suite, ("keyBase64", encoded)]).unwrap().unwrap();
        assert_eq!(key, same);
        let made = read(&[("crypto", "AES_256_CM_HMAC_SHA1_32")]).unwrap();
        assert_eq!(made.unwrap().key.len(), 46);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("key", text)]), Ok(None));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let suite = ("crypto", "AES_256_CM_HMAC_SHA1_80");
        for (member, text) in [
            (("key", "short"), "Master key size is wrong"),
            (("keyBase64", "AAAA"), "Master key size is wrong"),
            (("keyBase64", "&&&"), "Master key is not valid Base64"),
        ] {
            let error = read(&[suite, member]).unwrap_err();
            assert_eq!(error.code, ErrorCode::MediaObjectIllegalParam, "{text}");
            assert_eq!(error.message, text);
        }
    }
}
