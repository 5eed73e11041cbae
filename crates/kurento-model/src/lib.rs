//! Kurento's remote classes, wire messages and error table, built from the module descriptors.

mod error;
pub mod wire;

pub use error::{Error, ErrorCode};
pub use serde_json::{Map, Value};
