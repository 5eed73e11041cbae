//! The steps of forwarding, each alone and at full speed.

use super::forwarder::FloorKey;
use crate::peer::LOOPBACK;
use crate::{Cost, SinkSockets};
use salono_media_core::{Egress, SocketId};
use salono_media_engine::os::thread_cpu_time;
use salono_media_engine::udp::{Sender, SocketOptions, UdpSocket};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Receivers in the measurement of sending.
const RECEIVERS: usize = 50;

/// What to measure, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepOptions {
    /// Runs of each step, alternating with the others.
    pub runs: usize,
    /// Packets of one run.
    pub packets: u64,
    /// Bytes of each packet.
    pub bytes: usize,
    /// Packets in succession to one receiver, which segmentation offload can combine: those of a frame.
    pub run_length: usize,
}

impl Default for StepOptions {
    /// Packets and frames as of a camera at 1.5 Mbit/s.
    fn default() -> Self {
        Self {
            runs: 5,
            packets: 20_000,
            bytes: 1_100,
            run_length: 6,
        }
    }
}

/// What the steps cost.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// What was measured.
    pub options: StepOptions,
    /// Whether the kernel has segmentation offload; without it the last two are alike.
    pub offload: bool,
    /// AES-128-GCM over a packet, in place.
    pub seal: Cost,
    /// One datagram by `sendmmsg`.
    pub send: Cost,
    /// One datagram by `sendmmsg` with segmentation offload.
    pub send_offload: Cost,
}

/// Measures on the calling thread.
///
/// # Errors
/// When sockets or threads cannot be had, or encryption fails.
pub fn measure_steps(options: &StepOptions) -> io::Result<StepReport> {
    let (mut seal, mut plain, mut offload) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs {
        seal.push(measure_seal(options)?);
        plain.push(measure_send(options, false)?);
        offload.push(measure_send(options, true)?);
    }
    Ok(StepReport {
        options: options.clone(),
        offload: open_socket(true)?.segments(),
        seal: Cost::of_runs(&seal),
        send: Cost::of_runs(&plain),
        send_offload: Cost::of_runs(&offload),
    })
}

/// Encryption alone, in place, one key.
fn measure_seal(options: &StepOptions) -> io::Result<(Duration, u64)> {
    let key = FloorKey::new(SocketAddr::new(LOOPBACK, 9))?;
    let mut packet = vec![0x5a; options.bytes];
    let before = thread_cpu_time();
    for index in 0..options.packets {
        key.seal(&mut packet, index);
    }
    Ok((thread_cpu_time() - before, options.packets))
}

/// Sending alone: a frame to each of some receivers, again and again, nothing encrypted.
fn measure_send(options: &StepOptions, segmentation: bool) -> io::Result<(Duration, u64)> {
    let sinks = SinkSockets::start(LOOPBACK, RECEIVERS, 1)?;
    let socket = open_socket(segmentation)?;
    let (mut egress, mut sender) = (Egress::new(), Sender::new());
    let packet = vec![0x5a; options.bytes];
    for remote in sinks.addresses() {
        for _ in 0..options.run_length {
            egress.push(SocketId(0), *remote, 0, &packet);
        }
    }
    let (mut sent, mut cpu) = (0, Duration::ZERO);
    while sent < options.packets {
        let before = thread_cpu_time();
        let report = sender.send(&socket, SocketId(0), egress.bytes(), egress.datagrams());
        cpu += thread_cpu_time() - before;
        if report.datagrams == 0 {
            break;
        }
        sent += report.datagrams;
    }
    Ok((cpu, sent))
}

fn open_socket(segmentation: bool) -> io::Result<UdpSocket> {
    let options = SocketOptions {
        segmentation,
        ..SocketOptions::default()
    };
    UdpSocket::bind(SocketAddr::new(LOOPBACK, 0), options)
}

impl StepReport {
    /// As a Markdown table.
    pub fn print(&self) -> String {
        let StepOptions {
            runs,
            bytes,
            run_length,
            ..
        } = self.options;
        let offload = if self.offload {
            ""
        } else {
            " (not available here)"
        };
        let mut text = format!(
            "CPU µs per packet of {bytes} bytes at full speed, best of {runs} alternating runs (median):\n\n\
             | step | µs |\n| --- | --- |\n"
        );
        let rows = [
            ("AES-128-GCM, in place".to_owned(), self.seal),
            ("`sendmmsg`".to_owned(), self.send),
            (
                format!("`sendmmsg` with runs of {run_length} segmented{offload}"),
                self.send_offload,
            ),
        ];
        for (step, cost) in rows {
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                text,
                "| {step} | {:.3} ({:.3}) |",
                cost.best_us, cost.median_us
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_run_measures_every_step() {
        let options = StepOptions {
            runs: 2,
            packets: 500,
            ..StepOptions::default()
        };
        let report = measure_steps(&options).unwrap();
        for cost in [report.seal, report.send, report.send_offload] {
            assert!(cost.best_us > 0.0 && cost.best_us <= cost.median_us);
        }
        assert!(report.print().contains("AES-128-GCM"));
    }
}
