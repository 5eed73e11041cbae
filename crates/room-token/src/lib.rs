//! Signed tokens that let people into rooms.
//!
//! A token is a JSON Web Token (RFC 7519) in compact form, signed with HMAC-SHA-256 (`HS256`), ECDSA
//! on P-256 (`ES256`) or Ed25519 (`EdDSA`). Whoever runs an application signs it with a key of its
//! own; the room server has the same key, or the public half of it, and lets its bearer do what the
//! [`Claims`] say. Which algorithm a signature is checked with is the key's business, never the
//! token's.
//!
//! There are no files and no clock in here: keys come as text, time is an argument.
//!
//! ```
//! use salono_room_token::{Algorithm, Claims, Key, KeySet, Role, sign};
//! use std::time::{Duration, SystemTime};
//!
//! let key = Key::generate(Algorithm::EdDsa, "2026-01")?;
//! let now = SystemTime::now();
//! let claims = Claims::new("daily", Role::Moderator, now + Duration::from_secs(3600)).for_user("ann");
//! let token = sign(&claims, &key)?;
//!
//! let keys = KeySet::from_iter([key]);
//! let claims = keys.verify(&token, now)?;
//! assert!(claims.check("daily", "ann").is_ok());
//! assert!(claims.grants().moderate);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod claims;
mod jwt;
mod key;
mod key_text;

pub use claims::{Claims, GrantOverrides, Grants, Mismatch, Role};
pub use jwt::{LEEWAY, MAX_TOKEN_BYTES, SignError, TokenError, sign};
pub use key::{Algorithm, Key, KeyError, KeySet, MAX_KEYS};
