//! Binding UDP sockets out of a range of ports, one or an even port and the next odd one.

use crate::os;
use crate::udp::{SocketOptions, UdpSocket};
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// For so long a range without a free port is not searched again, unless a socket was closed
/// here: looking through 60 000 ports takes as long as many packets.
const EXHAUSTED_FOR: Duration = Duration::from_secs(1);

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Local address.
    pub(super) ip: IpAddr,
    /// Ports to choose from; `0..=0` lets the kernel choose one.
    pub(super) ports: RangeInclusive<u16>,
    /// An even port and the next odd one.
    pub(super) pair: bool,
}

/// Finds free ports, beginning anywhere in the range so that ports do not come in sequence.
#[derive(Debug, Default)]
pub(super) struct Ports {
    /// The range that had no free port, and until when to believe it.
    exhausted: Option<(Wanted, Instant)>,
}

impl Ports {
    /// Binds one socket, or a pair.
    pub(super) fn bind(
        &mut self,
        wanted: &Wanted,
        options: SocketOptions,
        now: Instant,
    ) -> io::Result<Vec<UdpSocket>> {
        if let Some((exhausted, until)) = &self.exhausted
            && exhausted == wanted
            && now < *until
        {
            return Err(in_use(wanted));
        }
        let bound = if wanted.ip.is_unspecified() {
            Err(io::Error::other("cannot be bound: peers are told it"))
        } else if wanted.pair {
            bind_pair(wanted, options)
        } else {
            let ports = from_anywhere(wanted.ports.clone(), 1)?;
            UdpSocket::bind_first(wanted.ip, ports, options).map(|socket| vec![socket])
        };
        match bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                self.exhausted = Some((wanted.clone(), now + EXHAUSTED_FOR));
                Err(in_use(wanted))
            }
            Ok(_) => {
                self.exhausted = None;
                bound
            }
            Err(_) => bound,
        }
    }

    /// A socket was closed: there may be free ports again.
    pub(super) fn freed(&mut self) {
        self.exhausted = None;
    }
}

fn in_use(wanted: &Wanted) -> io::Error {
    let (first, last) = (wanted.ports.start(), wanted.ports.end());
    let what = if wanted.pair {
        "pair of UDP ports"
    } else {
        "UDP port"
    };
    let text = format!("no {what} from {first} to {last} is free on {}", wanted.ip);
    io::Error::new(io::ErrorKind::AddrInUse, text)
}

/// An even port and the next odd one, both within the range.
fn bind_pair(wanted: &Wanted, options: SocketOptions) -> io::Result<Vec<UdpSocket>> {
    let (start, end) = (*wanted.ports.start(), *wanted.ports.end());
    // Port 0 is none; the partner of the last even port is odd, so within 16 bits.
    let first = start.max(2).next_multiple_of(2);
    let evens = first..=end.saturating_sub(1);
    let mut evens = from_anywhere(evens, 2)?;
    loop {
        let rtp = UdpSocket::bind_first(wanted.ip, &mut evens, options)?;
        let partner = [rtp.local_addr().port() | 1];
        match UdpSocket::bind_first(wanted.ip, partner, options) {
            Ok(rtcp) => return Ok(vec![rtp, rtcp]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}

/// Every `step`th port of a range once, beginning anywhere.
fn from_anywhere(ports: RangeInclusive<u16>, step: u16) -> io::Result<impl Iterator<Item = u16>> {
    let (first, end) = (u32::from(*ports.start()), u32::from(*ports.end()));
    let count = match end.checked_sub(first) {
        Some(span) => span / u32::from(step) + 1,
        None => 0,
    };
    let [a, b, c, d, ..] = os::random_seed()?;
    let begin = u32::from_ne_bytes([a, b, c, d]).checked_rem(count);
    let begin = begin.unwrap_or_default();
    let port = move |number| first + (begin + number) % count * u32::from(step);
    Ok((0..count).map(move |number| port(number) as u16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    fn wanted(ip: IpAddr, ports: RangeInclusive<u16>, pair: bool) -> Wanted {
        Wanted { ip, ports, pair }
    }

    /// Each test has a loopback address, so that nobody takes its ports meanwhile.
    fn loopback(number: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 77, number).into()
    }

    fn port(socket: &UdpSocket) -> u16 {
        socket.local_addr().port()
    }

    #[test]
    fn every_port_is_tried_once_wherever_it_begins() {
        for (ports, step, expected) in [
            (7_u16..=10, 1, vec![7, 8, 9, 10]),
            (8..=13, 2, vec![8, 10, 12]),
            (0..=0, 1, vec![0]),
            (65_534..=65_535, 1, vec![65_534, 65_535]),
        ] {
            let mut tried: Vec<u16> = from_anywhere(ports, step).unwrap().collect();
            tried.sort_unstable();
            assert_eq!(tried, expected);
        }
        #[expect(clippy::reversed_empty_ranges, reason = "what a caller may hand in")]
        let empty = 9..=8;
        assert_eq!(from_anywhere(empty, 1).unwrap().count(), 0);
        let begins = |_| from_anywhere(1..=60_000, 1).unwrap().next();
        assert!((0..8).map(begins).collect::<BTreeSet<_>>().len() > 1);
    }

    /// A range of eight ports that were all free a moment ago, beginning odd.
    fn quiet_range(ip: IpAddr) -> RangeInclusive<u16> {
        let options = SocketOptions::default();
        let (mut ports, now) = (Ports::default(), Instant::now());
        loop {
            let probe = ports.bind(&wanted(ip, 20_000..=29_000, true), options, now);
            let first = port(&probe.unwrap()[1]);
            let free = |port| UdpSocket::bind_first(ip, [port], options).is_ok();
            if (first..first + 8).all(free) {
                return first..=first + 7;
            }
        }
    }

    #[test]
    fn pairs_are_even_and_odd_until_the_range_is_exhausted() {
        let (options, now) = (SocketOptions::default(), Instant::now());
        // Eight ports from an odd one hold three pairs.
        let range = quiet_range(loopback(1));
        let wanted = wanted(loopback(1), range.clone(), true);
        let mut ports = Ports::default();
        let mut pairs: Vec<_> = (0..3)
            .map(|_| ports.bind(&wanted, options, now).unwrap())
            .collect();
        for pair in &pairs {
            let (rtp, rtcp) = (port(&pair[0]), port(&pair[1]));
            assert!(rtp % 2 == 0 && rtcp == rtp + 1 && range.contains(&rtp));
        }
        let error = ports.bind(&wanted, options, now).unwrap_err();
        assert!(
            error.to_string().contains("no pair of UDP ports"),
            "{error}"
        );
        // Somebody else's socket goes: it is seen after a while, one of ours at once.
        drop(pairs.pop());
        assert!(ports.bind(&wanted, options, now).is_err());
        assert!(ports.bind(&wanted, options, now + EXHAUSTED_FOR).is_ok());
        assert!(ports.bind(&wanted, options, now).is_ok());
        pairs.push(ports.bind(&wanted, options, now).unwrap());
        assert!(ports.bind(&wanted, options, now).is_err());
        drop(pairs.pop());
        ports.freed();
        assert!(ports.bind(&wanted, options, now).is_ok());
    }

    #[test]
    fn half_a_pair_in_use_is_no_pair() {
        let (options, now) = (SocketOptions::default(), Instant::now());
        let ip = loopback(2);
        let range = quiet_range(ip);
        let last_odd = *range.end() - 1;
        let _taken = UdpSocket::bind_first(ip, [last_odd], options).unwrap();
        let last_pair = wanted(ip, last_odd - 1..=last_odd, true);
        assert!(Ports::default().bind(&last_pair, options, now).is_err());
        // An odd port alone holds no pair either.
        let alone = wanted(ip, last_odd..=last_odd, true);
        assert!(Ports::default().bind(&alone, options, now).is_err());
    }

    #[test]
    fn unspecified_address_is_refused() {
        let wanted = Wanted {
            ip: Ipv4Addr::UNSPECIFIED.into(),
            ports: 0..=0,
            pair: false,
        };
        let bound = Ports::default().bind(&wanted, SocketOptions::default(), Instant::now());
        assert!(bound.is_err());
    }
}
