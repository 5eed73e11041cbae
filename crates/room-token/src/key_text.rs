//! Keys as text: JSON Web Keys (RFC 7517, RFC 8037), PEM (RFC 7468), plain secrets.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::key::{
    Algorithm, KEY_BYTES, Key, KeyError, KeySet, MAX_KEYS, Material, POINT_BYTES, ec_material,
    ed_material, exact,
};

/// What an uncompressed point on P-256 is preceded by in a public key file (RFC 5480).
const EC_PUBLIC: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What an Ed25519 key is preceded by in a public key file (RFC 8410).
const ED_PUBLIC: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// First byte of an uncompressed point.
const UNCOMPRESSED: u8 = 4;

impl KeySet {
    /// Reads a file of keys: a JSON Web Key or a set of them, a key in PEM (public, or private in
    /// PKCS#8 or SEC 1 form), or the text of a secret. `name` is the name of a key that has none of its own.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str, name: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with('{') {
            return from_json(text, name);
        }
        let material = if text.starts_with("-----BEGIN ") {
            from_pem(text)?
        } else {
            secret(text.as_bytes().to_vec())?
        };
        Ok(Self::from_iter([Key {
            id: Some(name.to_owned()),
            material,
        }]))
    }

    /// The set as a JSON Web Key Set, private halves and secrets included.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys: Vec<Value> = self.iter().map(Key::to_jwk).collect();
        // Values of strings always become text.
        serde_json::to_string_pretty(&json!({ "keys": keys })).unwrap_or_default()
    }
}

impl Key {
    /// The key as a JSON Web Key, its private half or secret included.
    fn to_jwk(&self) -> Value {
        let mut members = Map::new();
        let mut set = |name: &str, value: &str| {
            members.insert(name.to_owned(), value.into());
        };
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.material {
            Material::Secret(secret) => {
                set("kty", "oct");
                set("k", &text(secret));
            }
            Material::Ec { public, private } => {
                set("kty", "EC");
                set("crv", "P-256");
                set("x", &text(&public[1..=KEY_BYTES]));
                set("y", &text(&public[1 + KEY_BYTES..]));
                if let Some(private) = private {
                    set("d", &text(private));
                }
            }
            Material::Ed { public, seed } => {
                set("kty", "OKP");
                set("crv", "Ed25519");
                set("x", &text(public));
                if let Some(seed) = seed {
                    set("d", &text(seed));
                }
            }
        }
        set("alg", self.algorithm().name());
        set("use", "sig");
        if let Some(id) = &self.id {
            set("kid", id);
        }
        Value::Object(members)
    }
}

fn from_json(text: &str, name: &str) -> Result<KeySet, KeyError> {
    let value: Value = serde_json::from_str(text).map_err(|_| KeyError::Malformed)?;
    match value.get("keys") {
        None => Ok(KeySet::from_iter([jwk(&value, Some(name))?])),
        Some(Value::Array(keys)) if keys.len() > MAX_KEYS => Err(KeyError::TooMany),
        // Of several keys, those without a name answer to any.
        Some(Value::Array(keys)) => keys.iter().map(|key| jwk(key, None)).collect(),
        Some(_) => Err(KeyError::Member("keys")),
    }
}

fn jwk(value: &Value, name: Option<&str>) -> Result<Key, KeyError> {
    let text = |member: &'static str| match value.get(member) {
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        None => Ok(None),
        Some(_) => Err(KeyError::Member(member)),
    };
    let bytes = |member: &'static str| -> Result<Option<Vec<u8>>, KeyError> {
        let decode = |text| {
            URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| KeyError::Member(member))
        };
        text(member)?.map(decode).transpose()
    };
    let number = |member: &'static str| -> Result<Option<[u8; KEY_BYTES]>, KeyError> {
        let fixed = |bytes: Vec<u8>| exact(&bytes).map_err(|_| KeyError::Member(member));
        bytes(member)?.map(fixed).transpose()
    };
    let material = match (text("kty")?, text("crv")?) {
        (Some("oct"), _) => secret(bytes("k")?.ok_or(KeyError::Member("k"))?)?,
        (Some("EC"), Some("P-256")) => {
            let mut public = [UNCOMPRESSED; POINT_BYTES];
            let (x, y) = (number("x")?, number("y")?);
            public[1..=KEY_BYTES].copy_from_slice(&x.ok_or(KeyError::Member("x"))?);
            public[1 + KEY_BYTES..].copy_from_slice(&y.ok_or(KeyError::Member("y"))?);
            ec_key(public, number("d")?)?
        }
        (Some("OKP"), Some("Ed25519")) => {
            let public = number("x")?.ok_or(KeyError::Member("x"))?;
            ed_key(public, number("d")?)?
        }
        (Some(_), _) => return Err(KeyError::Unsupported),
        (None, _) => return Err(KeyError::Member("kty")),
    };
    let key = Key {
        id: text("kid")?.or(name).map(str::to_owned),
        material,
    };
    match text("alg")? {
        Some(alg) if Algorithm::named(alg) != Some(key.algorithm()) => Err(KeyError::Unsupported),
        Some(_) | None => Ok(key),
    }
}

fn secret(bytes: Vec<u8>) -> Result<Material, KeyError> {
    if bytes.len() < KEY_BYTES {
        return Err(KeyError::ShortSecret);
    }
    Ok(Material::Secret(bytes))
}

fn ec_key(
    public: [u8; POINT_BYTES],
    private: Option<[u8; KEY_BYTES]>,
) -> Result<Material, KeyError> {
    // Wrong halves are found now, not at the first token.
    let fits = match &private {
        Some(private) => EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            private,
            &public,
        )
        .is_ok(),
        None => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).is_ok(),
    };
    if !fits {
        return Err(KeyError::Damaged);
    }
    Ok(Material::Ec { public, private })
}

fn ed_key(public: [u8; KEY_BYTES], seed: Option<[u8; KEY_BYTES]>) -> Result<Material, KeyError> {
    let fits = match &seed {
        Some(seed) => Ed25519KeyPair::from_seed_and_public_key(seed, &public).is_ok(),
        None => ParsedPublicKey::new(&ED25519, public).is_ok(),
    };
    if !fits {
        return Err(KeyError::Damaged);
    }
    Ok(Material::Ed { public, seed })
}

/// The first key of a PEM file.
fn from_pem(text: &str) -> Result<Material, KeyError> {
    let (label, rest) = text
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .ok_or(KeyError::Malformed)?;
    let (body, _) = rest.split_once("-----END ").ok_or(KeyError::Malformed)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| KeyError::Malformed)?;
    match label {
        "PUBLIC KEY" => {
            if let Some(point) = der.strip_prefix(EC_PUBLIC) {
                ec_key(exact(point)?, None)
            } else if let Some(key) = der.strip_prefix(ED_PUBLIC) {
                ed_key(exact(key)?, None)
            } else {
                Err(KeyError::Unsupported)
            }
        }
        "PRIVATE KEY" => {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
                ec_material(&pair)
            } else if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
                ed_material(&pair)
            } else {
                Err(KeyError::Unsupported)
            }
        }
        "EC PRIVATE KEY" => {
            let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
            ec_material(&pair.map_err(|_| KeyError::Unsupported)?)
        }
        _other => Err(KeyError::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::{Claims, Role, sign};

    /// Made with `openssl genpkey` and `openssl pkey -pubout`.
    const EC_PRIVATE_PEM: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWcixFVQmfyQ7wWDG
LZI5dQZOk1syVqVouq0Kyq83G6KhRANCAARL3wBRIhlcsDvw/TM8uYEBJzau+UGR
Bx6jrULiiYTWzEOpdhlzjZgGHp6cB9DFvoJVL6aQ8Z7GTooljuuM/FXS
-----END PRIVATE KEY-----
";
    const EC_PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAES98AUSIZXLA78P0zPLmBASc2rvlB
kQceo61C4omE1sxDqXYZc42YBh6enAfQxb6CVS+mkPGexk6KJY7rjPxV0g==
-----END PUBLIC KEY-----
";
    const ED_PRIVATE_PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIG9FEcvHyPxB/TJ43eIp5QCdoFHTTIuDaB5AWTBzgrjz
-----END PRIVATE KEY-----
";
    const ED_PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAZZ5W39Hp5J3VP2+etmSea2BSwrgruY1LBCRc2wnYo34=
-----END PUBLIC KEY-----
";

    #[test]
    fn pem_files_of_openssl_sign_and_check() {
        for (private, public) in [
            (EC_PRIVATE_PEM, EC_PUBLIC_PEM),
            (ED_PRIVATE_PEM, ED_PUBLIC_PEM),
        ] {
            let signers = KeySet::parse(private, "file").unwrap();
            let checkers = KeySet::parse(public, "file").unwrap();
            assert!(checkers.signer(None).is_none());
            let claims = Claims::new("r", Role::Publisher, UNIX_EPOCH + Duration::from_secs(9));
            let token = sign(&claims, signers.signer(Some("file")).unwrap()).unwrap();
            assert_eq!(checkers.verify(&token, UNIX_EPOCH), Ok(claims));
        }
    }

    #[test]
    fn a_key_set_reads_back_what_it_writes() {
        for algorithm in Algorithm::ALL {
            let key = Key::generate(algorithm, "k").unwrap();
            let mut keys = KeySet::from_iter([key.clone()]);
            keys.merge(key.to_public().into_iter().collect()).unwrap();
            assert_eq!(KeySet::parse(&keys.to_json(), "other"), Ok(keys));
        }
    }

    /// RFC 8037 appendix A.
    #[test]
    fn a_published_ed25519_key_is_read() {
        let text = r#"{"kty":"OKP","crv":"Ed25519",
            "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let keys = KeySet::parse(text, "file").unwrap();
        assert_eq!(keys.signer(None).and_then(Key::id), Some("file"));
    }

    #[test]
    fn unusable_keys_are_refused_with_a_reason() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        for (text, error) in [
            ("short".to_owned(), KeyError::ShortSecret),
            (
                r#"{"kty":"oct","k":"c2hvcnQ"}"#.into(),
                KeyError::ShortSecret,
            ),
            ("{".into(), KeyError::Malformed),
            (r#"{"keys":{}}"#.into(), KeyError::Member("keys")),
            (r#"{"keys":[{}]}"#.into(), KeyError::Member("kty")),
            (r#"{"kty":"oct"}"#.into(), KeyError::Member("k")),
            (r#"{"kty":"RSA","n":"AQAB"}"#.into(), KeyError::Unsupported),
            (
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","alg":"HS256"}}"#),
                KeyError::Unsupported,
            ),
            (
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","d":"{x}"}}"#),
                KeyError::Damaged,
            ),
            (
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}"}}"#),
                KeyError::Damaged,
            ),
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.into(),
                KeyError::Member("x"),
            ),
            (
                "-----BEGIN PUBLIC KEY-----\nAAAA\n".into(),
                KeyError::Malformed,
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----".into(),
                KeyError::Unsupported,
            ),
        ] {
            assert_eq!(KeySet::parse(&text, "k"), Err(error), "{text}");
        }
        let many = format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(MAX_KEYS));
        assert_eq!(KeySet::parse(&many, "k"), Err(KeyError::TooMany));
    }

    #[test]
    fn a_secret_is_a_key_and_is_not_shown() {
        let text = "correct horse battery staple and more";
        let keys = KeySet::parse(&format!("{text}\n"), "shared").unwrap();
        assert_eq!(
            keys.signer(Some("shared")).map(Key::algorithm),
            Some(Algorithm::Hs256)
        );
        assert!(!format!("{keys:?}").contains("horse"));
    }
}
