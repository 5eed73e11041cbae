//! The figures and how they are written down.

use crate::Cost;
use std::fmt::Write;

/// Everything that one measurement of the floor found.
#[derive(Debug, Clone, PartialEq)]
pub struct FloorReport {
    /// RTP payload bytes of the packets in the single steps.
    pub payload_bytes: usize,
    /// Packets of one run to one receiver, what segmentation offload can combine.
    pub run_length: u32,
    /// Runs of each measurement.
    pub runs: usize,
    /// Whether the kernel has segmentation offload; without it floor B is floor A.
    pub offload: bool,
    /// AES-128-GCM over the payload, in place.
    pub seal: Cost,
    /// One datagram by `sendmmsg`.
    pub send: Cost,
    /// One datagram by `sendmmsg` with segmentation offload.
    pub send_offload: Cost,
    /// The bare forwarder, by number of receivers.
    pub rows: Vec<FloorRow>,
}

/// The bare forwarder with a number of receivers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloorRow {
    /// Number of receivers.
    pub receivers: usize,
    /// Encryption and `sendmmsg`.
    pub floor_a: Cost,
    /// Encryption and `sendmmsg` with segmentation offload.
    pub floor_b: Cost,
    /// Share of the packets that arrived, 0 to 1, in the worst run.
    pub delivered: f64,
}

impl FloorReport {
    /// As Markdown tables.
    pub fn print(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write_to(&mut text);
        text
    }

    /// Writes the tables.
    fn write_to(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "CPU µs per packet, best of {} alternating runs (median):\n",
            self.runs
        )?;
        writeln!(
            out,
            "| step, {} bytes of payload | µs |",
            self.payload_bytes
        )?;
        writeln!(out, "| --- | --- |")?;
        writeln!(out, "| AES-128-GCM, in place | {} |", show(self.seal))?;
        writeln!(out, "| `sendmmsg` | {} |", show(self.send))?;
        let offload = if self.offload {
            ""
        } else {
            " (not available here)"
        };
        writeln!(
            out,
            "| `sendmmsg` with runs of {} segmented{offload} | {} |\n",
            self.run_length,
            show(self.send_offload)
        )?;
        writeln!(
            out,
            "| receivers | floor A: seal + `sendmmsg` | floor B: seal + segmented | delivered |"
        )?;
        writeln!(out, "| --- | --- | --- | --- |")?;
        for row in &self.rows {
            writeln!(
                out,
                "| {} | {} | {} | {:.2} % |",
                row.receivers,
                show(row.floor_a),
                show(row.floor_b),
                row.delivered * 100.0
            )?;
        }
        Ok(())
    }
}

/// A cost as text.
fn show(cost: Cost) -> String {
    format!("{:.3} ({:.3})", cost.best_us, cost.median_us)
}
