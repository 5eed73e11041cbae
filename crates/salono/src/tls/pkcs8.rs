//! Private keys that are encrypted with a password: PKCS#8 (RFC 5958 §3) with PBES2 (RFC 8018
//! §6.2), PBKDF2 and AES in CBC mode, which is what `openssl` writes unless told otherwise.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2::{
    self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512,
};

/// Rounds of the key derivation that are accepted; ten million take some seconds.
const MAX_ROUNDS: u32 = 10_000_000;

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
/// What the object identifiers of HMACs have in common (RFC 8018 appendix B.1).
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02];

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// Why a key cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecryptError {
    /// It is no encrypted PKCS#8 key.
    Malformed,
    /// It is encrypted with other algorithms than these.
    Unsupported,
    /// The password does not fit.
    Password,
}

impl DecryptError {
    /// In words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the encrypted private key is damaged",
            Self::Unsupported => {
                "the private key is encrypted in a way that is not supported: convert it with \
                 `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out NEW.pem`"
            }
            Self::Password => "the password does not fit the private key",
        }
    }
}

/// The key in the clear (PKCS#8, DER).
pub(super) fn decrypt(envelope: &[u8], password: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let mut envelope = Der(envelope).inside(SEQUENCE)?;
    let mut scheme = envelope.inside(SEQUENCE)?;
    let mut encrypted = envelope.value(OCTETS)?.to_vec();
    expect(scheme.value(OBJECT_IDENTIFIER)?, PBES2)?;
    let mut scheme = scheme.inside(SEQUENCE)?;
    let mut derivation = scheme.inside(SEQUENCE)?;
    let mut cipher = scheme.inside(SEQUENCE)?;

    let (algorithm, key_bytes): (&Algorithm, usize) = match cipher.value(OBJECT_IDENTIFIER)? {
        AES_128_CBC => (&AES_128, 16),
        AES_256_CBC => (&AES_256, 32),
        _ => return Err(DecryptError::Unsupported),
    };
    let iv: [u8; 16] = cipher
        .value(OCTETS)?
        .try_into()
        .map_err(|_| DecryptError::Malformed)?;

    expect(derivation.value(OBJECT_IDENTIFIER)?, PBKDF2)?;
    let mut derivation = derivation.inside(SEQUENCE)?;
    let salt = derivation.value(OCTETS)?;
    let rounds = derivation.number()?;
    if derivation.next_is(INTEGER) {
        // The length of the key, which the cipher says too.
        derivation.number()?;
    }
    let hmac = if derivation.next_is(SEQUENCE) {
        let mut hmac = derivation.inside(SEQUENCE)?;
        match hmac.value(OBJECT_IDENTIFIER)?.strip_prefix(HMAC) {
            Some([7]) => PBKDF2_HMAC_SHA1,
            Some([9]) => PBKDF2_HMAC_SHA256,
            Some([10]) => PBKDF2_HMAC_SHA384,
            Some([11]) => PBKDF2_HMAC_SHA512,
            Some(_) | None => return Err(DecryptError::Unsupported),
        }
    } else {
        PBKDF2_HMAC_SHA1
    };
    let rounds = NonZeroU32::new(rounds)
        .filter(|rounds| rounds.get() <= MAX_ROUNDS)
        .ok_or(DecryptError::Unsupported)?;

    let mut key = vec![0; key_bytes];
    pbkdf2::derive(hmac, rounds, salt, password, &mut key);
    let plain = UnboundCipherKey::new(algorithm, &key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| {
            let context = DecryptionContext::Iv128(FixedLength::from(iv));
            key.decrypt(&mut encrypted, context)
                .map(|plain| plain.to_vec())
        })
        .map_err(|_| DecryptError::Password)?;
    // A wrong password leaves a padding that looks right once in some hundred times.
    Der(&plain)
        .value(SEQUENCE)
        .map_err(|_| DecryptError::Password)?;
    Ok(plain)
}

fn expect(found: &[u8], wanted: &[u8]) -> Result<(), DecryptError> {
    if found == wanted {
        Ok(())
    } else {
        Err(DecryptError::Unsupported)
    }
}

/// The rest of a DER encoding (X.690); reads one value after the other.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// Content of the next value, which must have this tag.
    fn value(&mut self, tag: u8) -> Result<&'a [u8], DecryptError> {
        let malformed = DecryptError::Malformed;
        let rest = self.0.strip_prefix(&[tag]).ok_or(malformed)?;
        let (&first, mut rest) = rest.split_first().ok_or(malformed)?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // Keys are shorter than 64 KiB.
            let count = usize::from(first & 0x7f);
            if !(1..=2).contains(&count) {
                return Err(malformed);
            }
            let (digits, behind) = rest.split_at_checked(count).ok_or(malformed)?;
            rest = behind;
            digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit))
        };
        let (content, behind) = rest.split_at_checked(length).ok_or(malformed)?;
        self.0 = behind;
        Ok(content)
    }

    /// What is inside of the next value.
    fn inside(&mut self, tag: u8) -> Result<Self, DecryptError> {
        self.value(tag).map(Self)
    }

    /// The next value as a number that is not negative.
    fn number(&mut self) -> Result<u32, DecryptError> {
        let digits = self.value(INTEGER)?;
        if digits.is_empty() || digits[0] >= 0x80 || digits.len() > 5 {
            return Err(DecryptError::Malformed);
        }
        let number = digits
            .iter()
            .fold(0_u64, |number, digit| number << 8 | u64::from(*digit));
        u32::try_from(number).map_err(|_| DecryptError::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_an_error() {
        let deep = [0x30, 0x82, 0xff, 0xff, 0x30];
        let long = [0x30, 0x84, 0xff, 0xff, 0xff, 0xff];
        for bytes in [&[][..], &[0x30], &[0x30, 0x80], &deep, &long, b"text"] {
            assert_eq!(decrypt(bytes, b"x"), Err(DecryptError::Malformed));
        }
    }
}
