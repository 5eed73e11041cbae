//! Prints what protecting one packet costs with each profile, in nanoseconds of wall time:
//! `cargo run --release -p salono-rtp --example seal_cost`.
//!
//! Columns: sealing in place, sealing from a shared payload (as fan-out does), opening. The best of several rounds
//! counts, since other work on the machine only ever adds.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs the clock")]

use std::time::Instant;

use salono_rtp::header::{ExtensionWriter, Fields, Header};
use salono_rtp::srtp::{
    MAX_RTP_OVERHEAD, Opener, Profile, Sealer, SrtpError, split_keying_material,
};

const PAYLOAD_LEN: usize = 1_200;
const ROUNDS: usize = 15;
/// Sequence numbers of one round; below 2¹⁵, so that the rollover counter is that of the round.
const PACKETS: u16 = 20_000;

fn main() -> Result<(), SrtpError> {
    println!("{PAYLOAD_LEN} byte payload, ns per packet, best of {ROUNDS} x {PACKETS}");
    println!(
        "{:<26} {:>8} {:>10} {:>8}",
        "profile", "in place", "from ring", "open"
    );
    for profile in Profile::ALL {
        let material: Vec<u8> = (0..profile.keying_material_len())
            .map(|n| n as u8)
            .collect();
        let keys = split_keying_material(profile, &material, true)?;
        let sealer = Sealer::new(&keys.local)?;
        let payload = [0x5A; PAYLOAD_LEN];
        let mut buf = [0; PAYLOAD_LEN + 64];
        let mut best = [f64::MAX; 3];
        for _ in 0..ROUNDS {
            best[0] = best[0].min(time_each(|seq| {
                let header_len = write_header(&mut buf, seq);
                sealer
                    .seal_rtp(0, header_len, &mut buf, header_len + PAYLOAD_LEN)
                    .map(|_| ())
            })?);
            best[1] = best[1].min(time_each(|seq| {
                let header_len = write_header(&mut buf, seq);
                sealer
                    .seal_rtp_from(0, header_len, &payload, &mut buf)
                    .map(|_| ())
            })?);
            best[2] = best[2].min(opening(&sealer, &keys.local)?);
        }
        let [in_place, from_ring, open] = best;
        println!(
            "{:<26} {in_place:>8.0} {from_ring:>10.0} {open:>8.0}",
            profile.sdes_name()
        );
    }
    Ok(())
}

/// Nanoseconds per call of `step`, which gets ascending sequence numbers.
fn time_each(mut step: impl FnMut(u16) -> Result<(), SrtpError>) -> Result<f64, SrtpError> {
    let start = Instant::now();
    for seq in 0..PACKETS {
        step(seq)?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(PACKETS))
}

fn opening(sealer: &Sealer, key: &salono_rtp::srtp::MasterKey) -> Result<f64, SrtpError> {
    let mut opener = Opener::new(key)?;
    let mut packets = Vec::new();
    for seq in 0..500 {
        let mut packet = vec![0x5A; PAYLOAD_LEN + 64];
        let header_len = write_header(&mut packet, seq);
        let plain_len = header_len + PAYLOAD_LEN;
        packet.truncate(plain_len + MAX_RTP_OVERHEAD);
        let len = sealer.seal_rtp(0, header_len, &mut packet, plain_len)?;
        packet.truncate(len);
        packets.push(packet);
    }
    let count = packets.len() as f64;
    let start = Instant::now();
    for packet in &mut packets {
        let header = Header::parse(packet).map_err(|_| SrtpError::Short)?;
        opener.open_rtp(packet, &header)?;
    }
    Ok(start.elapsed().as_nanos() as f64 / count)
}

fn write_header(buf: &mut [u8], sequence_number: u16) -> usize {
    let fields = Fields {
        marker: false,
        payload_type: 96,
        sequence_number,
        timestamp: 1,
        ssrc: 0x1234,
    };
    let mut writer = ExtensionWriter::new(buf, &fields).expect("the buffer holds a header");
    writer
        .push(3, &sequence_number.to_be_bytes())
        .expect("the buffer holds an extension");
    writer.finish()
}
