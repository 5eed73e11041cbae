//! Attributes that describe how to reach and authenticate a peer.

use std::fmt;
use std::net::IpAddr;

/// Family word of a connection address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// `IP4`
    Ip4,
    /// `IP6`
    Ip6,
}

/// `IN IP4|IP6 <host>` as in `c=`, `o=` and `a=rtcp` (RFC 8866 §5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The family word.
    pub family: AddressFamily,
    /// Address or host name as written, without a multicast suffix.
    pub host: String,
}

impl Address {
    /// Reads `IN IP4 192.0.2.1`.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        if !words.next()?.eq_ignore_ascii_case("IN") {
            return None;
        }
        let family = words.next()?;
        let family = if family.eq_ignore_ascii_case("IP4") {
            AddressFamily::Ip4
        } else if family.eq_ignore_ascii_case("IP6") {
            AddressFamily::Ip6
        } else {
            return None;
        };
        let host = words.next()?.split('/').next().filter(|h| !h.is_empty())?;
        Some(Self {
            family,
            host: host.to_owned(),
        })
    }

    /// The address when it is one and not a host name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self {
            family: match ip {
                IpAddr::V4(_) => AddressFamily::Ip4,
                IpAddr::V6(_) => AddressFamily::Ip6,
            },
            host: ip.to_string(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            AddressFamily::Ip4 => "IP4",
            AddressFamily::Ip6 => "IP6",
        };
        write!(f, "IN {family} {}", self.host)
    }
}

/// `a=rtcp:<port> [<address>]` (RFC 3605).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpAddress {
    /// Port that RTCP is received at when it is not multiplexed.
    pub port: u16,
    /// Address when it differs from that of the m-line.
    pub address: Option<Address>,
}

impl RtcpAddress {
    /// Reads the value of an `a=rtcp` line. An unreadable address counts as absent.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let (port, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        Some(Self {
            port: port.parse().ok()?,
            address: Address::parse(rest),
        })
    }
}

impl fmt::Display for RtcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        match &self.address {
            Some(address) => write!(f, " {address}"),
            None => Ok(()),
        }
    }
}

/// `a=setup` (RFC 4145, RFC 8842): who starts the DTLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// The author is the DTLS client.
    Active,
    /// The author is the DTLS server.
    Passive,
    /// The author leaves the choice to its peer; only in offers.
    ActPass,
    /// Not now.
    HoldConn,
}

impl Setup {
    /// Reads the value of an `a=setup` line.
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            // `both` is how `a=direction` of the COMEDIA drafts says it.
            "actpass" | "both" => Some(Self::ActPass),
            "holdconn" => Some(Self::HoldConn),
            _ => None,
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        })
    }
}

/// Hash functions of fingerprints (RFC 8122 §5), weakest first. MD2 and MD5 are not known here
/// because that RFC forbids them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashFunction {
    /// `sha-1`
    Sha1,
    /// `sha-224`
    Sha224,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl HashFunction {
    const ALL: [Self; 5] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The name in session descriptions, `sha-256` for one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Bytes of a digest.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// `a=fingerprint:<hash> <AB:CD:…>` (RFC 8122): digest of the author's certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash function.
    pub algorithm: HashFunction,
    /// Digest of the DER certificate, [`HashFunction::digest_len`] bytes.
    pub digest: Vec<u8>,
}

impl Fingerprint {
    /// Reads the value of an `a=fingerprint` line. Unknown hash functions and digests of the wrong
    /// length give `None`.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let name = words.next()?;
        let algorithm = HashFunction::ALL
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))?;
        let digest = words
            .next()?
            .split(':')
            .map(parse_hex_octet)
            .collect::<Option<Vec<u8>>>()?;
        (digest.len() == algorithm.digest_len()).then_some(Self { algorithm, digest })
    }
}

fn parse_hex_octet(text: &str) -> Option<u8> {
    // `from_str_radix` alone would also take a sign.
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u8::from_str_radix(text, 16).ok())
        .flatten()
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.algorithm.name())?;
        for (i, byte) in self.digest.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// User name fragment and password of an ICE agent (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IceCredentials {
    /// `a=ice-ufrag`, 4 to 256 characters.
    pub ufrag: String,
    /// `a=ice-pwd`, 22 to 256 characters.
    pub pwd: String,
}

/// Leaves the password out, so that it cannot end up in logs.
impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}
