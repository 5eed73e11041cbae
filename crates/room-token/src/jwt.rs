//! Signing tokens and checking them: the compact form of RFC 7515.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::claims::Claims;
use crate::key::{Algorithm, Key, KeySet};

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8192;

/// How far the clocks of who signs and who checks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// It is no token, or its claims cannot be understood.
    #[error("the token is malformed")]
    Malformed,
    /// None of the keys is the one that it names, for the algorithm that it names.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// It was not signed with the key, or was changed since.
    #[error("the token's signature is wrong")]
    Signature,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet")]
    NotYet,
}

/// Why no token can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignError {
    /// The key has only its public half.
    #[error("the key cannot sign: its private half is missing")]
    PublicKey,
    /// The cryptography failed.
    #[error("signing failed")]
    Failed,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515 section 4.1.11); none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<Value>,
}

/// Makes a token.
///
/// # Errors
/// [`SignError`].
pub fn sign(claims: &Claims, key: &Key) -> Result<String, SignError> {
    let header = Header {
        alg: key.algorithm().name().to_owned(),
        typ: Some("JWT".to_owned()),
        kid: key.id().map(str::to_owned),
        crit: None,
    };
    let part = |json: Result<Vec<u8>, serde_json::Error>| {
        json.map(|json| URL_SAFE_NO_PAD.encode(json))
            .map_err(|_| SignError::Failed)
    };
    let mut token = part(serde_json::to_vec(&header))?;
    token.push('.');
    token.push_str(&part(serde_json::to_vec(claims))?);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

impl KeySet {
    /// Checks the signature and the time of a token, and reads it. Room and user are for
    /// [`Claims::check`].
    ///
    /// # Errors
    /// [`TokenError`]. Nothing is said of a token whose signature is wrong but that.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| TokenError::Malformed)
        };
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let payload = decode(payload)?;
        let signature = decode(signature)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(TokenError::UnknownKey)?;
        let mut candidates = self
            .iter()
            .filter(|key| key.algorithm() == algorithm && key.may_be(header.kid.as_deref()))
            .peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        if !candidates.any(|key| key.verifies(signed.as_bytes(), &signature)) {
            return Err(TokenError::Signature);
        }
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
        match claims.at(now, LEEWAY) {
            Ordering::Less => Err(TokenError::NotYet),
            Ordering::Equal => Ok(claims),
            Ordering::Greater => Err(TokenError::Expired),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::claims::Role;

    const NOW: SystemTime = UNIX_EPOCH;

    fn later(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn claims() -> Claims {
        Claims::new("r", Role::Publisher, later(1000)).for_user("ann")
    }

    /// The parts of a token, in the clear.
    fn raw(header: &str, payload: &str, key: &Key) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature = key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn what_was_signed_is_read_with_every_algorithm() {
        for algorithm in Algorithm::ALL {
            let key = Key::generate(algorithm, "k").unwrap();
            let token = sign(&claims(), &key).unwrap();
            let public = KeySet::from_iter([key.to_public().unwrap_or(key)]);
            assert_eq!(public.verify(&token, NOW), Ok(claims()), "{algorithm:?}");
        }
    }

    /// RFC 7515 appendix A.1: a token that somebody else signed.
    #[test]
    fn a_published_signature_is_recognised() {
        let keys = KeySet::parse(
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            "a1",
        )
        .unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        // Its claims name no room, which is looked at after the signature only.
        assert_eq!(keys.verify(token, NOW), Err(TokenError::Malformed));
        let changed = token.replace("dBjft", "eBjft");
        assert_eq!(keys.verify(&changed, NOW), Err(TokenError::Signature));
    }

    /// RFC 7515 appendix A.3.
    #[test]
    fn a_published_signature_on_p_256_is_recognised() {
        let keys = KeySet::parse(
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "a3",
        )
        .unwrap();
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        assert_eq!(keys.verify(token, NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = Key::generate(Algorithm::Es256, "k").unwrap();
        let token = sign(&claims(), &key).unwrap();
        let keys = KeySet::from_iter([key]);
        for position in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(keys.verify(&changed, NOW).is_err(), "byte {position}");
        }
    }

    #[test]
    fn an_algorithm_is_the_keys_and_none_is_none() {
        let public = Key::generate(Algorithm::Es256, "k").unwrap();
        let keys = KeySet::from_iter([public]);
        let secret = Key::generate(Algorithm::Hs256, "k").unwrap();
        let payload = r#"{"room":"r","exp":1000}"#;
        let hmac = raw(r#"{"alg":"HS256","kid":"k"}"#, payload, &secret);
        assert_eq!(keys.verify(&hmac, NOW), Err(TokenError::UnknownKey));
        for alg in ["none", "None", "HS512", "RS256", ""] {
            let token = raw(&format!(r#"{{"alg":"{alg}"}}"#), payload, &secret);
            assert_eq!(keys.verify(&token, NOW), Err(TokenError::UnknownKey));
        }
        let unsigned = hmac.rsplit_once('.').unwrap().0.to_owned() + ".";
        assert!(KeySet::from_iter([secret]).verify(&unsigned, NOW).is_err());
    }

    #[test]
    fn keys_are_replaced_one_at_a_time() {
        let [old, new] = ["old", "new"].map(|id| Key::generate(Algorithm::Hs256, id).unwrap());
        let (first, second) = (
            sign(&claims(), &old).unwrap(),
            sign(&claims(), &new).unwrap(),
        );
        let anonymous = raw(r#"{"alg":"HS256"}"#, r#"{"room":"r","exp":1000}"#, &new);
        let both = KeySet::from_iter([old, new.clone()]);
        for token in [&first, &second, &anonymous] {
            assert!(both.verify(token, NOW).is_ok());
        }
        let rotated = KeySet::from_iter([new]);
        assert_eq!(rotated.verify(&first, NOW), Err(TokenError::UnknownKey));
        assert!(rotated.verify(&second, NOW).is_ok());
    }

    #[test]
    fn a_token_counts_from_its_beginning_to_its_end() {
        let key = Key::generate(Algorithm::EdDsa, "k").unwrap();
        let mut claims = claims();
        claims.not_before = Some(500);
        let token = sign(&claims, &key).unwrap();
        let keys = KeySet::from_iter([key]);
        let leeway = LEEWAY.as_secs();
        for (seconds, expected) in [
            (499 - leeway, Err(TokenError::NotYet)),
            (500 - leeway, Ok(())),
            (999 + leeway, Ok(())),
            (1000 + leeway, Err(TokenError::Expired)),
        ] {
            let verified = keys.verify(&token, later(seconds)).map(drop);
            assert_eq!(verified, expected, "{seconds}");
        }
    }

    #[test]
    fn garbage_is_no_token() {
        let key = Key::generate(Algorithm::Hs256, "k").unwrap();
        let critical = raw(
            r#"{"alg":"HS256","crit":["b64"]}"#,
            r#"{"room":"r","exp":1000}"#,
            &key,
        );
        let keys = KeySet::from_iter([key]);
        for text in ["", ".", "..", "...", "a.b.c", "é.é.é", "=.=.=", &critical] {
            assert_eq!(keys.verify(text, NOW), Err(TokenError::Malformed), "{text}");
        }
        let long = "a".repeat(MAX_TOKEN_BYTES + 1);
        assert_eq!(keys.verify(&long, NOW), Err(TokenError::Malformed));
    }
}
