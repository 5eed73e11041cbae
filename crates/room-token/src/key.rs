//! Keys that tokens are signed and checked with.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
};

use crate::jwt::SignError;

/// Keys in one set at most.
pub const MAX_KEYS: usize = 64;

/// Length of a P-256 coordinate, an Ed25519 key and of secrets that are made here.
pub(crate) const KEY_BYTES: usize = 32;

/// Length of an uncompressed point on P-256.
pub(crate) const POINT_BYTES: usize = 1 + 2 * KEY_BYTES;

/// How tokens are signed (RFC 7518 section 3.1, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: the same secret signs and checks.
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hs256, Self::Es256, Self::EdDsa];

    /// The name in tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is neither a JSON Web Key, nor PEM, nor a secret.
    #[error("this is no key: expected a JSON Web Key (Set), PEM, or a secret of 32 bytes or more")]
    Malformed,
    /// A member of a JSON Web Key is missing or is not what it should be.
    #[error("member '{0}' of the key is missing or wrong")]
    Member(&'static str),
    /// The kind of key is none that tokens can be signed with here.
    #[error("keys of this kind are not supported: use HS256, ES256 (P-256) or EdDSA (Ed25519)")]
    Unsupported,
    /// The secret is too short for HMAC-SHA-256 (RFC 7518 section 3.2).
    #[error("the secret is shorter than 32 bytes")]
    ShortSecret,
    /// Public and private half are no pair, or are no key.
    #[error("the key is damaged")]
    Damaged,
    /// More than [`MAX_KEYS`].
    #[error("more than 64 keys")]
    TooMany,
    /// The operating system has no randomness.
    #[error("no key can be made")]
    NoRandomness,
}

/// One key. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub(crate) id: Option<String>,
    pub(crate) material: Material,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Material {
    Secret(Vec<u8>),
    Ec {
        /// Uncompressed point.
        public: [u8; POINT_BYTES],
        private: Option<[u8; KEY_BYTES]>,
    },
    Ed {
        public: [u8; KEY_BYTES],
        seed: Option<[u8; KEY_BYTES]>,
    },
}

impl Key {
    /// A new key that can sign.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate(algorithm: Algorithm, id: impl Into<String>) -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_BYTES];
        let material = match algorithm {
            Algorithm::Hs256 => {
                SystemRandom::new()
                    .fill(&mut bytes)
                    .map_err(|_| KeyError::NoRandomness)?;
                Material::Secret(bytes.to_vec())
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map_err(|_| KeyError::NoRandomness)?;
                ec_material(&pair)?
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
                ed_material(&pair)?
            }
        };
        Ok(Self {
            id: Some(id.into()),
            material,
        })
    }

    /// The key's name, `kid` in tokens.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The only algorithm that it is used with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Secret(_) => Algorithm::Hs256,
            Material::Ec { .. } => Algorithm::Es256,
            Material::Ed { .. } => Algorithm::EdDsa,
        }
    }

    /// Whether tokens can be made with it, not only checked.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        match &self.material {
            Material::Secret(_) => true,
            Material::Ec { private: half, .. } | Material::Ed { seed: half, .. } => half.is_some(),
        }
    }

    /// What those may have who only check tokens; `None` for a secret, which has no such half.
    #[must_use]
    pub fn to_public(&self) -> Option<Self> {
        let material = match &self.material {
            Material::Secret(_) => return None,
            Material::Ec { public, .. } => Material::Ec {
                public: *public,
                private: None,
            },
            Material::Ed { public, .. } => Material::Ed {
                public: *public,
                seed: None,
            },
        };
        Some(Self {
            id: self.id.clone(),
            material,
        })
    }

    /// Whether a token that names `kid`, or no key, may be signed with this one.
    pub(crate) fn may_be(&self, kid: Option<&str>) -> bool {
        match (&self.id, kid) {
            (Some(id), Some(kid)) => id == kid,
            (None, _) | (_, None) => true,
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.material {
            Material::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                Ok(hmac::sign(&key, message).as_ref().to_vec())
            }
            Material::Ec { public, private } => {
                let private = private.as_ref().ok_or(SignError::PublicKey)?;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    private,
                    public,
                );
                pair.map_err(|_| SignError::Failed)?
                    .sign(&SystemRandom::new(), message)
                    .map(|signature| signature.as_ref().to_vec())
                    .map_err(|_| SignError::Failed)
            }
            Material::Ed { public, seed } => {
                let seed = seed.as_ref().ok_or(SignError::PublicKey)?;
                Ed25519KeyPair::from_seed_and_public_key(seed, public)
                    .map_err(|_| SignError::Failed)?
                    .try_sign(message)
                    .map(|signature| signature.as_ref().to_vec())
                    .map_err(|_| SignError::Failed)
            }
        }
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, message, signature).is_ok()
            }
            Material::Ec { public, .. } => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
                .verify(message, signature)
                .is_ok(),
            Material::Ed { public, .. } => UnparsedPublicKey::new(&ED25519, public)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// The halves of a key pair on P-256.
pub(crate) fn ec_material(pair: &EcdsaKeyPair) -> Result<Material, KeyError> {
    use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
    let private: EcPrivateKeyBin<'_> = pair
        .private_key()
        .as_be_bytes()
        .map_err(|_| KeyError::Damaged)?;
    Ok(Material::Ec {
        public: exact(pair.public_key().as_ref())?,
        private: Some(exact(private.as_ref())?),
    })
}

/// The halves of an Ed25519 key pair.
pub(crate) fn ed_material(pair: &Ed25519KeyPair) -> Result<Material, KeyError> {
    use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
    let seed = pair.seed().map_err(|_| KeyError::Damaged)?;
    let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| KeyError::Damaged)?;
    Ok(Material::Ed {
        public: exact(pair.public_key().as_ref())?,
        seed: Some(exact(seed.as_ref())?),
    })
}

pub(crate) fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], KeyError> {
    bytes.try_into().map_err(|_| KeyError::Damaged)
}

/// The keys that tokens are checked with. While one is replaced by another, both are in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Adds those of another set.
    ///
    /// # Errors
    /// [`KeyError::TooMany`].
    pub fn merge(&mut self, other: Self) -> Result<(), KeyError> {
        if self.0.len() + other.0.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        self.0.extend(other.0);
        Ok(())
    }

    /// The key of this name that can sign; the first that can without a name.
    #[must_use]
    pub fn signer(&self, id: Option<&str>) -> Option<&Key> {
        self.0
            .iter()
            .find(|key| key.can_sign() && id.is_none_or(|id| key.id() == Some(id)))
    }
}

impl FromIterator<Key> for KeySet {
    /// Keys beyond [`MAX_KEYS`] are left out.
    fn from_iter<T: IntoIterator<Item = Key>>(keys: T) -> Self {
        Self(keys.into_iter().take(MAX_KEYS).collect())
    }
}
