//! The least that forwarding one packet can cost on this machine.
//!
//! Forwarding over SRTP cannot do without one authenticated encryption and one send per receiver.
//! Floor A is AES-128-GCM (RFC 7714) plus `sendmmsg`, floor B the same plus segmentation offload.
//! The single steps are measured at full speed; the floors in the rhythm of a real publisher, with
//! one key per receiver, caches cold in between: a bare forwarder that parses nothing, keeps no
//! state and answers nobody. What a server needs beyond that is what it adds.

mod forwarder;
mod report;

pub use report::{FloorReport, FloorRow};

use crate::{Cost, Pacer, Pattern, SinkSockets};
use forwarder::{Forwarder, Viewer};
use salono_media_engine::os::thread_cpu_time;
use salono_media_engine::udp::{SocketOptions, UdpSocket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where everything happens.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Receivers in the measurement of sending alone.
const STEP_RECEIVERS: usize = 50;

/// How long missing datagrams are waited for.
const SINK_PATIENCE: Duration = Duration::from_millis(200);

/// What to measure, and for how long.
#[derive(Debug, Clone)]
pub struct FloorOptions {
    /// Numbers of receivers, one row each.
    pub receivers: Vec<usize>,
    /// Runs of each measurement, alternating with the others.
    pub runs: usize,
    /// Length of one paced run.
    pub length: Duration,
    /// Packets of one run of a single step.
    pub step_packets: u32,
    /// Threads that the receivers share.
    pub sink_threads: usize,
    /// What the publisher sends.
    pub pattern: Pattern,
}

impl Default for FloorOptions {
    /// 10, 50 and 200 receivers, five runs of a second each: about half a minute.
    fn default() -> Self {
        Self {
            receivers: vec![10, 50, 200],
            runs: 5,
            length: Duration::from_secs(1),
            step_packets: 20_000,
            sink_threads: 1,
            pattern: Pattern::default(),
        }
    }
}

/// CPU time and packets of each run of one measurement.
type Runs = Vec<(Duration, u64)>;

/// Measures on the calling thread, which is busy or asleep for as long as the options say.
///
/// # Errors
/// When sockets or threads cannot be had, or encryption fails.
pub fn run(options: &FloorOptions) -> io::Result<FloorReport> {
    let (mut seal, mut plain, mut offload) = (Runs::new(), Runs::new(), Runs::new());
    let mut rows: Vec<(Runs, Runs, f64)> =
        vec![(Runs::new(), Runs::new(), 1.0); options.receivers.len()];
    for _ in 0..options.runs {
        seal.push(measure_seal(options)?);
        plain.push(measure_send(options, false)?);
        offload.push(measure_send(options, true)?);
        for (receivers, (floor_a, floor_b, delivered)) in options.receivers.iter().zip(&mut rows) {
            for (segmentation, runs) in [(false, floor_a), (true, floor_b)] {
                let (run, arrived) = measure_forwarding(options, *receivers, segmentation)?;
                runs.push(run);
                *delivered = delivered.min(arrived);
            }
        }
    }
    let rows = options.receivers.iter().zip(&rows);
    Ok(FloorReport {
        payload_bytes: options.pattern.video_bytes,
        run_length: options.pattern.packets_per_frame,
        runs: options.runs,
        offload: open_socket(true)?.segments(),
        seal: Cost::of_runs(&seal),
        send: Cost::of_runs(&plain),
        send_offload: Cost::of_runs(&offload),
        rows: rows
            .map(|(receivers, (floor_a, floor_b, delivered))| FloorRow {
                receivers: *receivers,
                floor_a: Cost::of_runs(floor_a),
                floor_b: Cost::of_runs(floor_b),
                delivered: *delivered,
            })
            .collect(),
    })
}

/// CPU time and packets of one paced run of each floor.
pub(crate) struct Paced {
    /// Floor A.
    pub(crate) plain: (Duration, u64),
    /// Floor B.
    pub(crate) segmented: (Duration, u64),
}

/// One paced run of both floors.
pub(crate) fn measure_paced(options: &FloorOptions, receivers: usize) -> io::Result<Paced> {
    Ok(Paced {
        plain: measure_forwarding(options, receivers, false)?.0,
        segmented: measure_forwarding(options, receivers, true)?.0,
    })
}

/// Encryption alone, in place, one key.
fn measure_seal(options: &FloorOptions) -> io::Result<(Duration, u64)> {
    let mut viewer = Viewer::new(SocketAddr::new(LOOPBACK, 9), 0)?;
    let payload = vec![0x5a; options.pattern.video_bytes];
    let mut packet = vec![0; Viewer::packet_len(payload.len())];
    viewer.write_packet(&payload, &mut packet);
    let before = thread_cpu_time();
    for _ in 0..options.step_packets {
        viewer.seal(&mut packet);
    }
    Ok((thread_cpu_time() - before, u64::from(options.step_packets)))
}

/// Sending alone: a frame to each of some receivers, again and again, nothing encrypted.
fn measure_send(options: &FloorOptions, segmentation: bool) -> io::Result<(Duration, u64)> {
    let sinks = SinkSockets::start(LOOPBACK, STEP_RECEIVERS, options.sink_threads)?;
    let mut forwarder = Forwarder::new(open_socket(segmentation)?, sinks.addresses())?;
    let payload = vec![0x5a; options.pattern.video_bytes];
    forwarder.queue(&payload, options.pattern.packets_per_frame);
    let mut sent = 0;
    let mut cpu = Duration::ZERO;
    while sent < u64::from(options.step_packets) {
        let before = thread_cpu_time();
        let taken = forwarder.send_queued();
        cpu += thread_cpu_time() - before;
        if taken == 0 {
            break;
        }
        sent += taken;
    }
    Ok((cpu, sent))
}

/// A bare forwarder in real time. Returns its cost and the share of packets that arrived.
fn measure_forwarding(
    options: &FloorOptions,
    receivers: usize,
    segmentation: bool,
) -> io::Result<((Duration, u64), f64)> {
    let sinks = SinkSockets::start(LOOPBACK, receivers, options.sink_threads)?;
    let mut forwarder = Forwarder::new(open_socket(segmentation)?, sinks.addresses())?;
    let payload = vec![0x5a; options.pattern.video_bytes.max(options.pattern.audio_bytes)];
    let mut cpu = Duration::ZERO;
    let mut sent = 0;
    let pacer = Pacer::start();
    for burst in options.pattern.bursts(options.length) {
        pacer.wait_until(burst.at);
        let before = thread_cpu_time();
        forwarder.queue(&payload[..burst.bytes], burst.packets);
        sent += forwarder.send_queued();
        forwarder.clear();
        cpu += thread_cpu_time() - before;
    }
    let expected = options.pattern.packets(options.length) * receivers as u64;
    let arrived = sinks.finish(sent, SINK_PATIENCE).datagrams;
    let delivered = if expected > 0 {
        arrived as f64 / expected as f64
    } else {
        1.0
    };
    Ok(((cpu, sent), delivered))
}

/// The forwarder's socket.
fn open_socket(segmentation: bool) -> io::Result<UdpSocket> {
    let options = SocketOptions {
        segmentation,
        ..SocketOptions::default()
    };
    UdpSocket::bind(SocketAddr::new(LOOPBACK, 0), options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_run_measures_every_row_and_loses_nothing() {
        let options = FloorOptions {
            receivers: vec![1, 4],
            runs: 2,
            length: Duration::from_millis(100),
            step_packets: 500,
            ..FloorOptions::default()
        };
        let report = run(&options).unwrap();
        let costs = [report.seal, report.send, report.send_offload];
        assert!(
            costs
                .iter()
                .all(|cost| cost.best_us > 0.0 && cost.best_us <= cost.median_us)
        );
        assert_eq!(report.rows.len(), 2);
        for row in &report.rows {
            assert!(row.floor_a.best_us > 0.0 && row.floor_b.best_us > 0.0);
            assert!((row.delivered - 1.0).abs() < f64::EPSILON, "{row:?}");
        }
        let text = report.print();
        assert!(
            text.contains("| 4 |") && text.contains("AES-128-GCM"),
            "{text}"
        );
    }
}
