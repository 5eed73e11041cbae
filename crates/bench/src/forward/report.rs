//! The figures and how they are written down.

use super::subscribers::PROBE_EVERY;
use crate::{Cost, Pattern};
use std::fmt::Write;
use std::time::Duration;

/// Everything that one measurement of forwarding found.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardReport {
    /// Runs of each measurement.
    pub runs: usize,
    /// Length of each run.
    pub length: Duration,
    /// What the publisher sent.
    pub pattern: Pattern,
    /// SRTP profile that the peers agreed on with the server, by its registered name.
    pub srtp_profile: &'static str,
    /// By number of subscribers.
    pub rows: Vec<ForwardRow>,
}

/// Forwarding to a number of subscribers, all runs together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardRow {
    /// Number of subscribers.
    pub subscribers: usize,
    /// CPU time of the shard's thread per forwarded packet.
    pub engine: Cost,
    /// Encryption and `sendmmsg`, measured between the runs.
    pub floor_a: Cost,
    /// Encryption and `sendmmsg` with segmentation offload, measured between the runs.
    pub floor_b: Cost,
    /// RTP packets that arrived, over all subscribers and runs.
    pub delivered: u64,
    /// RTP packets that should have arrived.
    pub expected: u64,
    /// RTP packets that arrived after a later one of the same stream.
    pub reordered: u64,
    /// Packets that the server sent again.
    pub retransmitted: u64,
    /// Datagrams that the server could not send.
    pub dropped: u64,
    /// Middle of the times from the publisher's stack to a subscriber's.
    pub latency_p50: Option<Duration>,
    /// Time from the publisher's stack to a subscriber's that 99 % do not exceed.
    pub latency_p99: Option<Duration>,
    /// Longest pass of the shard's loop in the last second of any run.
    pub longest_loop: Option<Duration>,
    /// What this process grew by in the first run, per subscriber, in bytes: the server's endpoint
    /// and its peer together.
    pub resident_per_subscriber: u64,
}

impl ForwardRow {
    /// Cost relative to floor B, best run against best run; 0 without a floor.
    pub fn ratio(&self) -> f64 {
        if self.floor_b.best_us > 0.0 {
            self.engine.best_us / self.floor_b.best_us
        } else {
            0.0
        }
    }

    /// Share of the expected packets that never arrived, 0 to 1.
    pub fn loss(&self) -> f64 {
        if self.expected > 0 {
            self.expected.saturating_sub(self.delivered) as f64 / self.expected as f64
        } else {
            0.0
        }
    }
}

impl ForwardReport {
    /// As Markdown tables.
    pub fn print(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write_to(&mut text);
        text
    }

    /// Writes the tables.
    fn write_to(&self, out: &mut String) -> std::fmt::Result {
        let pattern = &self.pattern;
        writeln!(
            out,
            "One publisher: {} frames/s of {} × {} bytes, {} audio packets/s of {} bytes. SRTP: {}.",
            pattern.frames_per_second,
            pattern.packets_per_frame,
            pattern.video_bytes,
            pattern.audio_per_second,
            pattern.audio_bytes,
            self.srtp_profile
        )?;
        writeln!(
            out,
            "CPU µs per forwarded packet, best of {} alternating runs of {:.1} s (median):\n",
            self.runs,
            self.length.as_secs_f64()
        )?;
        writeln!(
            out,
            "| subscribers | engine | floor A: seal + `sendmmsg` | floor B: seal + segmented | engine ÷ floor B |"
        )?;
        writeln!(out, "| --- | --- | --- | --- | --- |")?;
        for row in &self.rows {
            writeln!(
                out,
                "| {} | {} | {} | {} | {:.2} |",
                row.subscribers,
                show(row.engine),
                show(row.floor_a),
                show(row.floor_b),
                row.ratio()
            )?;
        }
        writeln!(
            out,
            "\nDelivery; latency is from stack to stack, of which up to {} µs is looking at the socket:\n",
            PROBE_EVERY.as_micros()
        )?;
        writeln!(
            out,
            "| subscribers | delivered / expected | lost | reordered | sent again | latency p50 | p99 | longest loop | memory per subscriber |"
        )?;
        writeln!(
            out,
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
        )?;
        for row in &self.rows {
            writeln!(
                out,
                "| {} | {} / {} | {:.3} % | {} | {} | {} | {} | {} | {} KiB |",
                row.subscribers,
                row.delivered,
                row.expected,
                row.loss() * 100.0,
                row.reordered,
                row.retransmitted,
                millis(row.latency_p50),
                millis(row.latency_p99),
                millis(row.longest_loop),
                row.resident_per_subscriber / 1_024
            )?;
        }
        Ok(())
    }
}

/// A cost as text.
fn show(cost: Cost) -> String {
    format!("{:.3} ({:.3})", cost.best_us, cost.median_us)
}

/// A time as text.
fn millis(time: Option<Duration>) -> String {
    time.map_or_else(
        || "–".to_owned(),
        |time| format!("{:.2} ms", time.as_secs_f64() * 1e3),
    )
}
