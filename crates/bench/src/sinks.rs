//! Receivers that only count, on threads whose CPU time is accounted apart.
//!
//! They look every few milliseconds instead of waiting for each datagram: on loopback, waking a
//! waiting receiver is work of the sender, which no sender to another machine has.

use salono_media_engine::os::thread_cpu_time;
use salono_media_engine::udp::{Received, Receiver, SocketOptions, UdpSocket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the sockets are looked at. The kernel's buffers hold what arrives in between.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A number of UDP sockets that swallow what they are sent.
#[must_use = "the sockets close when this is dropped"]
pub struct SinkSockets {
    /// Bound addresses.
    addresses: Vec<SocketAddr>,
    /// One per thread.
    threads: Vec<JoinHandle<Duration>>,
    /// Shared with the threads.
    shared: Arc<Shared>,
}

/// What the threads and their owner share.
struct Shared {
    /// Datagrams so far.
    datagrams: AtomicU64,
    /// Bytes so far.
    bytes: AtomicU64,
    /// The threads shall end.
    stop: AtomicBool,
}

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkReport {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes.
    pub bytes: u64,
    /// CPU time of the receiving threads.
    pub cpu: Duration,
}

impl SinkSockets {
    /// Opens `count` sockets on free ports of `ip` and reads them on `threads` threads.
    ///
    /// # Errors
    /// When the system is out of sockets, ports, memory or threads.
    pub fn start(ip: IpAddr, count: usize, threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            datagrams: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let mut sinks = Self {
            addresses: Vec::with_capacity(count),
            threads: Vec::new(),
            shared,
        };
        let threads = threads.clamp(1, count.max(1));
        let mut groups: Vec<Vec<UdpSocket>> = (0..threads).map(|_| Vec::new()).collect();
        for index in 0..count {
            let socket = UdpSocket::bind(SocketAddr::new(ip, 0), SocketOptions::default())?;
            sinks.addresses.push(socket.local_addr());
            groups[index % threads].push(socket);
        }
        for (index, sockets) in groups.into_iter().enumerate() {
            let shared = Arc::clone(&sinks.shared);
            let name = format!("sink-{index}");
            let thread = thread::Builder::new().name(name);
            sinks
                .threads
                .push(thread.spawn(move || swallow(&sockets, &shared))?);
        }
        Ok(sinks)
    }

    /// Where the sockets listen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Datagrams that have arrived so far.
    pub fn datagrams(&self) -> u64 {
        self.shared.datagrams.load(Ordering::Relaxed)
    }

    /// Waits until `expected` datagrams have arrived, or none has for `patience`, and closes the
    /// sockets.
    pub fn finish(mut self, expected: u64, patience: Duration) -> SinkReport {
        let mut seen = self.datagrams();
        let mut changed = Instant::now();
        while seen < expected && changed.elapsed() < patience {
            thread::park_timeout(Duration::from_millis(1));
            let now = self.datagrams();
            if now != seen {
                seen = now;
                changed = Instant::now();
            }
        }
        let cpu = self.stop();
        SinkReport {
            datagrams: self.datagrams(),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
            cpu,
        }
    }

    /// Ends the threads and returns their CPU time.
    fn stop(&mut self) -> Duration {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.threads
            .iter()
            .for_each(|thread| thread.thread().unpark());
        self.threads
            .drain(..)
            .filter_map(|thread| thread.join().ok())
            .sum()
    }
}

impl Drop for SinkSockets {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One thread: receives and counts until told to stop. Returns its CPU time.
fn swallow(sockets: &[UdpSocket], shared: &Shared) -> Duration {
    let mut receiver = Receiver::new();
    while !shared.stop.load(Ordering::SeqCst) {
        for socket in sockets {
            while let Ok(received) = receiver.receive(socket, |_, _| {})
                && received != Received::default()
            {
                shared
                    .datagrams
                    .fetch_add(received.datagrams, Ordering::Relaxed);
                shared.bytes.fetch_add(received.bytes, Ordering::Relaxed);
            }
        }
        thread::park_timeout(LOOK_EVERY);
    }
    thread_cpu_time()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket as StdSocket};

    #[test]
    fn everything_that_arrives_is_counted() {
        let sinks = SinkSockets::start(Ipv4Addr::LOCALHOST.into(), 7, 2).unwrap();
        assert_eq!(sinks.addresses().len(), 7);
        let sender = StdSocket::bind("127.0.0.1:0").unwrap();
        for address in sinks.addresses() {
            for len in [1, 100, 1_200] {
                sender.send_to(&vec![0; len], address).unwrap();
            }
        }
        let report = sinks.finish(21, Duration::from_secs(20));
        assert_eq!((report.datagrams, report.bytes), (21, 7 * 1_301));
        assert!(report.cpu > Duration::ZERO);
    }

    #[test]
    fn missing_datagrams_do_not_hold_it_up_for_ever() {
        let sinks = SinkSockets::start(Ipv4Addr::LOCALHOST.into(), 1, 1).unwrap();
        assert_eq!(sinks.finish(1, Duration::from_millis(20)).datagrams, 0);
    }
}
