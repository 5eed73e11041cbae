//! The values of the attributes and typed lines that matter to media and transport.
//!
//! Each type parses the text after `a=name:` and writes the same text through `Display`.

mod crypto;
mod stream;
mod transport;

pub use crypto::Crypto;
pub use stream::{
    Bandwidth, Direction, Extension, Msid, Rid, RidDirection, Simulcast, SimulcastRid, SsrcGroup,
    SsrcInfo,
};
pub use transport::{
    Address, AddressFamily, Fingerprint, HashFunction, IceCredentials, RtcpAddress, Setup,
};
