//! STUN messages (RFC 8489) as far as a client of STUN and TURN (RFC 8656) servers needs them.
//!
//! Connectivity checks are the ICE agent's own; here are only the exchanges with servers.

use aws_lc_rs::hmac;
use md5::{Digest, Md5};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Bytes before the attributes.
pub(crate) const HEADER: usize = 20;
/// Fixed bytes that tell STUN from what came before it.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Type and length of an attribute.
const ATTRIBUTE_HEADER: usize = 4;
const MESSAGE_INTEGRITY_LEN: usize = 20;

/// Ties a response to its request.
pub(crate) type TransactionId = [u8; 12];

/// Attribute types (RFC 8489 §18.3, RFC 8656 §18).
pub(crate) mod attribute {
    pub(crate) const USERNAME: u16 = 0x0006;
    pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(crate) const ERROR_CODE: u16 = 0x0009;
    pub(crate) const CHANNEL_NUMBER: u16 = 0x000c;
    pub(crate) const LIFETIME: u16 = 0x000d;
    pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(crate) const DATA: u16 = 0x0013;
    pub(crate) const REALM: u16 = 0x0014;
    pub(crate) const NONCE: u16 = 0x0015;
    pub(crate) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(crate) const ALTERNATE_SERVER: u16 = 0x8023;
}

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Binding,
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
}

impl Method {
    const ALL: [Self; 7] = [
        Self::Binding,
        Self::Allocate,
        Self::Refresh,
        Self::Send,
        Self::Data,
        Self::CreatePermission,
        Self::ChannelBind,
    ];

    fn code(self) -> u16 {
        match self {
            Self::Binding => 0x001,
            Self::Allocate => 0x003,
            Self::Refresh => 0x004,
            Self::Send => 0x006,
            Self::Data => 0x007,
            Self::CreatePermission => 0x008,
            Self::ChannelBind => 0x009,
        }
    }
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

impl Class {
    const ALL: [Self; 4] = [Self::Request, Self::Indication, Self::Success, Self::Error];

    fn bits(self) -> u16 {
        match self {
            Self::Request => 0x000,
            Self::Indication => 0x010,
            Self::Success => 0x100,
            Self::Error => 0x110,
        }
    }
}

/// The first two bytes; all methods here are below 0x10, so their bits are not interleaved.
fn message_type(method: Method, class: Class) -> [u8; 2] {
    (method.code() | class.bits()).to_be_bytes()
}

/// A received message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    pub(crate) method: Method,
    pub(crate) class: Class,
    pub(crate) id: TransactionId,
}

impl<'a> Message<'a> {
    /// Reads a message that fills `bytes`; `None` for anything else.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if [c0, c1, c2, c3] != COOKIE || length % 4 != 0 || HEADER + length != bytes.len() {
            return None;
        }
        let kind = u16::from_be_bytes([t0, t1]);
        let class = Class::ALL
            .into_iter()
            .find(|class| kind & 0x110 == class.bits())?;
        let method = Method::ALL
            .into_iter()
            .find(|method| kind & !0x110 == method.code())?;
        Some(Self {
            bytes,
            method,
            class,
            id,
        })
    }

    /// The first attribute of a type, as a range of the message.
    pub(crate) fn range(&self, wanted: u16) -> Option<Range<usize>> {
        let mut at = HEADER;
        loop {
            let [t0, t1, l0, l1] = *self.bytes.get(at..)?.first_chunk()?;
            let (kind, length) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([l0, l1]));
            let start = at + ATTRIBUTE_HEADER;
            let end = start + usize::from(length);
            if end > self.bytes.len() {
                return None;
            }
            if kind == wanted {
                return Some(start..end);
            }
            // What follows the integrity is not protected by it (RFC 8489 §14.5).
            if kind == attribute::MESSAGE_INTEGRITY {
                return None;
            }
            at = start + usize::from(length).next_multiple_of(4);
        }
    }

    pub(crate) fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        self.bytes.get(self.range(wanted)?)
    }

    /// An attribute that is a number of 32 bits.
    pub(crate) fn number(&self, wanted: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(wanted)?.try_into().ok()?))
    }

    /// An attribute that is text.
    pub(crate) fn text(&self, wanted: u16) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(wanted)?).ok()
    }

    /// An address that is hidden from meddlesome middleboxes (RFC 8489 §14.2).
    pub(crate) fn xor_address(&self, wanted: u16) -> Option<SocketAddr> {
        read_address(self.attribute(wanted)?, &mask(&self.id))
    }

    /// A plain address (RFC 8489 §14.1).
    pub(crate) fn plain_address(&self, wanted: u16) -> Option<SocketAddr> {
        read_address(self.attribute(wanted)?, &[0; 16])
    }

    /// The code of an error response, 300 to 699.
    pub(crate) fn error_code(&self) -> Option<u16> {
        let [_, _, class, number, ..] = *self.attribute(attribute::ERROR_CODE)? else {
            return None;
        };
        Some(u16::from(class & 7) * 100 + u16::from(number % 100))
    }

    /// Whether the message was made by somebody who has the key.
    pub(crate) fn is_signed(&self, key: &Key) -> bool {
        let Some(tag) = self.range(attribute::MESSAGE_INTEGRITY) else {
            return false;
        };
        let (Some(given), Some(signed)) = (
            self.bytes.get(tag.clone()),
            self.bytes.get(..tag.start - ATTRIBUTE_HEADER),
        ) else {
            return false;
        };
        let mut signed = signed.to_vec();
        set_length(&mut signed, tag.end);
        hmac::verify(&key.0, &signed, given).is_ok()
    }
}

/// Key of long-term credentials (RFC 8489 §9.2.2, the MD5 form that every server knows).
#[derive(Debug)]
pub(crate) struct Key(hmac::Key);

impl Key {
    pub(crate) fn new(username: &str, realm: &str, password: &str) -> Self {
        let digest = Md5::digest(format!("{username}:{realm}:{password}"));
        Self(hmac::Key::new(
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            &digest[..],
        ))
    }
}

/// A message that is being written.
pub(crate) struct Writer {
    bytes: Vec<u8>,
    id: TransactionId,
}

impl Writer {
    pub(crate) fn new(method: Method, class: Class, id: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(192);
        bytes.extend_from_slice(&message_type(method, class));
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(&id);
        Self { bytes, id }
    }

    /// Appends an attribute with its padding; what exceeds 64 KiB cannot be written and is cut.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&value[..usize::from(length)]);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn xor_address(self, kind: u16, addr: SocketAddr) -> Self {
        let mut value = [0; 20];
        let length = write_xor_address(&mut value, addr, &self.id);
        self.attribute(kind, &value[..length])
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len();
        set_length(&mut self.bytes, length);
        self.bytes
    }

    /// Ends the message with its MESSAGE-INTEGRITY.
    pub(crate) fn sign(mut self, key: &Key) -> Vec<u8> {
        let end = self.bytes.len() + ATTRIBUTE_HEADER + MESSAGE_INTEGRITY_LEN;
        set_length(&mut self.bytes, end);
        let tag = hmac::sign(&key.0, &self.bytes);
        self.attribute(attribute::MESSAGE_INTEGRITY, tag.as_ref())
            .bytes
    }
}

/// Writes the length of a message that ends at `end`.
fn set_length(bytes: &mut [u8], end: usize) {
    let length = u16::try_from(end.saturating_sub(HEADER)).unwrap_or(u16::MAX);
    if let Some(field) = bytes.get_mut(2..4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// What addresses are combined with: the cookie and, for IPv6, the transaction id.
fn mask(id: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE);
    mask[4..].copy_from_slice(id);
    mask
}

fn read_address(value: &[u8], mask: &[u8; 16]) -> Option<SocketAddr> {
    let [_, family, p0, p1, ip @ ..] = value else {
        return None;
    };
    let port = u16::from_be_bytes([p0 ^ mask[0], p1 ^ mask[1]]);
    let ip = match family {
        1 => {
            let ip: [u8; 4] = ip.try_into().ok()?;
            IpAddr::V4(Ipv4Addr::from(std::array::from_fn::<u8, 4, _>(|at| {
                ip[at] ^ mask[at]
            })))
        }
        2 => {
            let ip: [u8; 16] = ip.try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|at| {
                ip[at] ^ mask[at]
            })))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Writes the value of an XOR address attribute; returns its length, 8 or 20.
fn write_xor_address(value: &mut [u8; 20], addr: SocketAddr, id: &TransactionId) -> usize {
    let mask = mask(id);
    value[..2].copy_from_slice(&[0, if addr.is_ipv4() { 1 } else { 2 }]);
    value[2..4].copy_from_slice(&addr.port().to_be_bytes());
    let length = match addr.ip() {
        IpAddr::V4(ip) => {
            value[4..8].copy_from_slice(&ip.octets());
            8
        }
        IpAddr::V6(ip) => {
            value[4..20].copy_from_slice(&ip.octets());
            20
        }
    };
    value[2] ^= mask[0];
    value[3] ^= mask[1];
    for (byte, mask) in value[4..length].iter_mut().zip(mask) {
        *byte ^= mask;
    }
    length
}

/// Bytes of a Send indication before its payload: IPv6 needs the most.
pub(crate) const MAX_INDICATION_HEAD: usize = HEADER + 2 * ATTRIBUTE_HEADER + 20;

/// Bytes of a Send indication before its payload, for a peer.
pub(crate) fn indication_head_len(peer: SocketAddr) -> usize {
    MAX_INDICATION_HEAD - if peer.is_ipv4() { 12 } else { 0 }
}

/// Writes what precedes `payload` bytes to a peer in a Send indication (RFC 8656 §11.1), into the
/// first [`indication_head_len`] bytes of `buf`; the padded payload follows.
pub(crate) fn write_indication_head(
    buf: &mut [u8],
    peer: SocketAddr,
    payload: usize,
    id: TransactionId,
) {
    let head = indication_head_len(peer);
    let mut value = [0; 20];
    let length = write_xor_address(&mut value, peer, &id);
    buf[..2].copy_from_slice(&message_type(Method::Send, Class::Indication));
    set_length(buf, head + payload.next_multiple_of(4));
    buf[4..8].copy_from_slice(&COOKIE);
    buf[8..HEADER].copy_from_slice(&id);
    let mut at = HEADER;
    for (kind, size) in [
        (attribute::XOR_PEER_ADDRESS, length),
        (attribute::DATA, payload),
    ] {
        buf[at..at + 2].copy_from_slice(&kind.to_be_bytes());
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        buf[at + 2..at + 4].copy_from_slice(&size.to_be_bytes());
        at += ATTRIBUTE_HEADER;
        if kind == attribute::XOR_PEER_ADDRESS {
            buf[at..at + length].copy_from_slice(&value[..length]);
            at += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TransactionId = *b"transaction!";

    /// RFC 5769 §2.4: a request with long-term authentication, as far as the integrity. The user
    /// name is six letters of Katakana.
    #[test]
    fn integrity_is_that_of_the_published_test_vector() {
        let mut bytes = vec![0x00, 0x01, 0x00, 0x60, 0x21, 0x12, 0xa4, 0x42];
        bytes.extend_from_slice(&[
            0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e,
        ]);
        let username = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
        let nonce = "f//499k954d6OL34oL9FSTvy64sA";
        for (kind, value) in [
            (attribute::USERNAME, username),
            (attribute::NONCE, nonce),
            (attribute::REALM, "example.org"),
        ] {
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
            bytes.extend_from_slice(value.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes.extend_from_slice(&[0x00, 0x08, 0x00, 0x14]);
        bytes.extend_from_slice(&[
            0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8, 0xe0, 0x71, 0x2e, 0x85,
            0xc9, 0xa2, 0x8c, 0xa8, 0x96, 0x66,
        ]);
        let key = Key::new(username, "example.org", "TheMatrIX");
        let message = Message::parse(&bytes).unwrap();
        assert!(message.is_signed(&key));
        assert!(!message.is_signed(&Key::new(username, "example.org", "other")));
        let written = Writer::new(Method::Binding, Class::Request, message.id)
            .attribute(attribute::USERNAME, username.as_bytes())
            .attribute(attribute::NONCE, nonce.as_bytes())
            .attribute(attribute::REALM, b"example.org")
            .sign(&key);
        assert_eq!(written, bytes);
    }

    #[test]
    fn addresses_survive_both_ways() {
        for addr in ["192.0.2.1:32853", "[2001:db8::1]:32853"] {
            let addr: SocketAddr = addr.parse().unwrap();
            let bytes = Writer::new(Method::Allocate, Class::Success, ID)
                .xor_address(attribute::XOR_RELAYED_ADDRESS, addr)
                .attribute(attribute::LIFETIME, &600_u32.to_be_bytes())
                .finish();
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(
                (message.method, message.class),
                (Method::Allocate, Class::Success)
            );
            assert_eq!(
                message.xor_address(attribute::XOR_RELAYED_ADDRESS),
                Some(addr)
            );
            assert_eq!(message.number(attribute::LIFETIME), Some(600));
        }
    }

    #[test]
    fn indication_written_in_place_is_a_valid_message() {
        for peer in ["192.0.2.1:5000", "[2001:db8::1]:5000"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let head = indication_head_len(peer);
            let mut buf = vec![0; head + 8];
            buf[head..head + 5].copy_from_slice(b"hello");
            write_indication_head(&mut buf, peer, 5, ID);
            let message = Message::parse(&buf).unwrap();
            assert_eq!(
                (message.method, message.class),
                (Method::Send, Class::Indication)
            );
            assert_eq!(message.xor_address(attribute::XOR_PEER_ADDRESS), Some(peer));
            assert_eq!(message.attribute(attribute::DATA), Some(&b"hello"[..]));
        }
    }

    #[test]
    fn damaged_messages_are_refused_without_harm() {
        let whole = Writer::new(Method::Allocate, Class::Error, ID)
            .attribute(attribute::ERROR_CODE, &[0, 0, 4, 1])
            .attribute(attribute::REALM, b"realm")
            .sign(&Key::new("u", "r", "p"));
        assert_eq!(Message::parse(&whole).unwrap().error_code(), Some(401));
        for length in 0..whole.len() {
            assert!(Message::parse(&whole[..length]).is_none());
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                if let Some(message) = Message::parse(&bytes) {
                    let _ = message.error_code();
                    let _ = message.text(attribute::REALM);
                    let _ = message.xor_address(attribute::XOR_MAPPED_ADDRESS);
                    let _ = message.is_signed(&Key::new("u", "r", "p"));
                }
            }
        }
    }
}
