//! Which addresses are public: reachable by anybody, so that reaching them gives nobody anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is globally reachable unicast (IANA's special-purpose registries, RFC 6890). IPv6
/// addresses that stand for an IPv4 one are judged by that.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // "This network", private, loopback, multicast and reserved.
        (0 | 10 | 127 | 224.., _, _) => true,
        // Shared address space (RFC 6598), link-local, private, benchmarking (RFC 2544).
        (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        (198, 18 | 19, _) => true,
        // Protocol assignments, documentation (RFC 5737), 6to4 relays.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113) => true,
        (1..=255, _, _) => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let inner = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b) {
        // IPv4 mapped and translated (RFC 4291 §2.5.5, RFC 6052, RFC 8215), compatible ones, loopback, unspecified.
        (0, 0) => (c, d) == (0, 0) && matches!((e, f), (0, 0xFFFF) | (0xFFFF, 0)) && inner(g, h),
        (0x64, 0xFF9B) => (c, d, e, f) == (0, 0, 0, 0) && inner(g, h),
        // 6to4 (RFC 3056).
        (0x2002, _) => inner(b, c),
        // Teredo, benchmarking, ORCHID and documentation.
        (0x2001, 0..=0x1FF | 0xDB8) => false,
        (0x3FFF, 0..=0x0FFF) => false,
        // Global unicast is all there is beyond.
        (0x2000..=0x3FFF, _) => true,
        (_, _) => false,
    }
}
