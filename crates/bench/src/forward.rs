//! What forwarding costs: one publisher, many subscribers, through a real media engine.
//!
//! The engine runs one shard. Publisher and subscribers are str0m peers with sockets of their own,
//! on other threads of this process; all traffic goes over the loopback interface: ICE, DTLS, SRTP
//! and feedback included. The cost is everything that the shard's thread does, user and system,
//! divided by the RTP packets that it forwarded. Each series is floor, engine, floor, engine, and so
//! on, so that what disturbs the machine disturbs both.

mod callers;
mod peer;
mod publisher;
mod report;
mod server;
mod subscribers;
mod tally;

pub use callers::Callers;
pub use report::{ForwardReport, ForwardRow};

use crate::floor::{self, FloorOptions};
use crate::{Cost, Pacer, Pattern};
use peer::PeerFactory;
use publisher::Publisher;
use server::Server;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use str0m::media::Direction;
use subscribers::Subscribers;
use tally::{Window, percentile};

/// Where everything happens.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long it may take until every subscriber sees video.
const JOIN_PATIENCE: Duration = Duration::from_secs(30);

/// Time for joining to quieten down before anything is measured.
const SETTLE: Duration = Duration::from_millis(500);

/// Time for the last measured packets to arrive, lost ones repaired.
const LAST_ARRIVALS: Duration = Duration::from_millis(300);

/// What to measure, and for how long.
#[derive(Debug, Clone)]
pub struct ForwardOptions {
    /// Numbers of subscribers, one row each.
    pub subscribers: Vec<usize>,
    /// Runs of each measurement, alternating with the others.
    pub runs: usize,
    /// Length of one run; the engine publishes its counters once a second, so at least that.
    pub length: Duration,
    /// Threads that the subscribers share, besides one for those that measure latency.
    pub subscriber_threads: usize,
    /// What the publisher sends. Payloads are enlarged to 33 bytes if they are smaller.
    pub pattern: Pattern,
}

impl Default for ForwardOptions {
    /// 10, 50 and 200 subscribers, five runs of three seconds each: about two minutes.
    fn default() -> Self {
        Self {
            subscribers: vec![10, 50, 200],
            runs: 5,
            length: Duration::from_secs(3),
            subscriber_threads: 1,
            pattern: Pattern::default(),
        }
    }
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// Sockets or threads cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server under test misbehaved.
    #[error("media engine: {0}")]
    Server(String),
    /// A peer failed, or did not get what it should.
    #[error("peer: {0}")]
    Peer(String),
}

/// One run with one number of subscribers.
struct Run {
    /// CPU time of the shard and the packets that it forwarded in it.
    cost: (Duration, u64),
    /// Measured packets that arrived, and those that should have.
    delivered: (u64, u64),
    /// Packets that arrived after a later one.
    reordered: u64,
    /// Packets that the shard had to send again.
    retransmitted: u64,
    /// Datagrams that found no room in a socket.
    dropped: u64,
    /// From stack to stack.
    latencies: Vec<Duration>,
    /// Longest pass of the shard's loop.
    longest_loop: Duration,
    /// Resident memory of this process while it ran, bytes.
    resident: u64,
}

/// Measures on the calling thread and some more, for as long as the options say.
///
/// # Errors
/// When sockets or threads cannot be had, or somebody does not connect.
pub fn run(options: &ForwardOptions) -> Result<ForwardReport, ForwardError> {
    let resident_before = resident_bytes();
    let mut runs: Vec<Vec<(floor::Paced, Run)>> = Vec::new();
    runs.resize_with(options.subscribers.len(), Vec::new);
    let floor_options = FloorOptions {
        length: options.length,
        sink_threads: options.subscriber_threads,
        pattern: options.pattern.clone(),
        ..FloorOptions::default()
    };
    for _ in 0..options.runs {
        for (subscribers, runs) in options.subscribers.iter().zip(&mut runs) {
            let floor = floor::measure_paced(&floor_options, *subscribers)?;
            runs.push((floor, measure(options, *subscribers)?));
        }
    }
    let rows = options.subscribers.iter().zip(&runs);
    Ok(ForwardReport {
        runs: options.runs,
        length: options.length,
        pattern: options.pattern.clone(),
        srtp_profile: PeerFactory::srtp_profile().unwrap_or("none"),
        rows: rows
            .map(|(subscribers, runs)| summarise(*subscribers, runs, resident_before))
            .collect(),
    })
}

/// One run: everybody joins, packets are counted for a while, everybody leaves.
fn measure(options: &ForwardOptions, subscribers: usize) -> Result<Run, ForwardError> {
    let factory = PeerFactory::new()?;
    let window = Arc::new(Window::new());
    let mut server = Server::start(LOOPBACK)?;
    let (mut camera, offer, pending) = factory.offer(LOOPBACK, Direction::SendOnly)?;
    let source = server.answer(offer)?;
    camera.accept(pending, &source.answer, &source.candidates)?;
    let mut peers = Vec::with_capacity(subscribers);
    for _ in 0..subscribers {
        let (mut peer, offer, pending) = factory.offer(LOOPBACK, Direction::RecvOnly)?;
        let endpoint = server.answer(offer)?;
        peer.accept(pending, &endpoint.answer, &endpoint.candidates)?;
        server.connect(source.element, endpoint.element)?;
        peers.push(peer);
    }
    let publisher = Publisher::start(camera, &options.pattern, &window)?;
    let subscribers = Subscribers::start(peers, options.subscriber_threads, &window)?;
    let began = Instant::now();
    while !subscribers.all_watch() && began.elapsed() < JOIN_PATIENCE {
        if publisher.has_failed() || subscribers.has_failed() {
            break;
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    if !subscribers.all_watch() {
        publisher.finish()?;
        subscribers.finish()?;
        return Err(ForwardError::Peer("not everybody sees video".into()));
    }
    Pacer::start().wait_until(SETTLE);
    let before = server.next_metrics()?;
    publisher.begin();
    Pacer::start().wait_until(options.length);
    publisher.end();
    let resident = resident_bytes();
    let after = server.next_metrics()?;
    Pacer::start().wait_until(LAST_ARRIVALS);
    publisher.finish()?;
    let tallies = subscribers.finish()?;
    server.stop();
    Ok(Run {
        cost: (
            after.busy.saturating_sub(before.busy),
            after.rtp_forwarded - before.rtp_forwarded,
        ),
        delivered: (
            tallies.iter().map(|tally| tally.packets).sum(),
            window.packets() * tallies.len() as u64,
        ),
        reordered: tallies.iter().map(|tally| tally.reordered).sum(),
        retransmitted: after.rtp_retransmitted - before.rtp_retransmitted,
        dropped: after.send_drops - before.send_drops,
        latencies: tallies
            .into_iter()
            .flat_map(|tally| tally.latencies)
            .collect(),
        longest_loop: after.longest_loop,
        resident,
    })
}

/// All runs with one number of subscribers in one row.
fn summarise(subscribers: usize, runs: &[(floor::Paced, Run)], resident_before: u64) -> ForwardRow {
    let cost = |which: fn(&(floor::Paced, Run)) -> (Duration, u64)| {
        Cost::of_runs(&runs.iter().map(which).collect::<Vec<_>>())
    };
    let sum = |which: fn(&Run) -> u64| runs.iter().map(|(_, run)| which(run)).sum();
    let mut latencies: Vec<_> = runs
        .iter()
        .flat_map(|(_, run)| run.latencies.iter().copied())
        .collect();
    latencies.sort_unstable();
    // Later runs find memory that earlier ones left.
    let resident = runs.first().map_or(0, |(_, run)| run.resident);
    ForwardRow {
        subscribers,
        engine: cost(|(_, run)| run.cost),
        floor_a: cost(|(floor, _)| floor.plain),
        floor_b: cost(|(floor, _)| floor.segmented),
        delivered: sum(|run| run.delivered.0),
        expected: sum(|run| run.delivered.1),
        reordered: sum(|run| run.reordered),
        retransmitted: sum(|run| run.retransmitted),
        dropped: sum(|run| run.dropped),
        latency_p50: percentile(&latencies, 0.5),
        latency_p99: percentile(&latencies, 0.99),
        longest_loop: runs.iter().map(|(_, run)| run.longest_loop).max(),
        resident_per_subscriber: resident.saturating_sub(resident_before)
            / subscribers.max(1) as u64,
    }
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0_u64) * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_run_delivers_everything_to_every_subscriber() {
        let options = ForwardOptions {
            subscribers: vec![2, 5],
            runs: 1,
            length: Duration::from_millis(500),
            ..ForwardOptions::default()
        };
        let report = run(&options).unwrap();
        assert!(report.srtp_profile.starts_with("AEAD_AES_"));
        assert_eq!(report.rows.len(), 2);
        for row in &report.rows {
            assert!(row.expected > 0, "{row:?}");
            assert_eq!((row.delivered, row.dropped), (row.expected, 0), "{row:?}");
            assert!(row.engine.best_us > 0.0 && row.floor_b.best_us > 0.0);
            assert!(row.latency_p50 > Some(Duration::ZERO) && row.latency_p50 <= row.latency_p99);
        }
        let text = report.print();
        assert!(
            text.contains("| 5 |") && text.contains("AEAD_AES_"),
            "{text}"
        );
    }
}
