//! Feedback in floods: what it makes us send stays bounded.

use super::plain::{Bench, host, sdp};
use salono_media_api::RtpSpec;
use salono_rtp::header::Header;
use salono_rtp::rtcp::{Compound, Packet, Writer};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const PUBLISHER: u16 = 30_000;
const VIEWER_RTCP: u16 = 30_003;
const PAYLOAD: usize = 1_000;

fn bench() -> Bench {
    let mut bench = Bench::new();
    let line = |port: u16| {
        sdp(&format!(
            "m=video {port} RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
             a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir"
        ))
    };
    bench.relay(&line(5_000), &line(6_000), &RtpSpec::default());
    bench
}

/// A packet of VP8, the first or another one of a frame.
fn video(seq: u16, timestamp: u32, is_first: bool, is_key: bool) -> Vec<u8> {
    let mut bytes = vec![0x80, 96];
    bytes.extend(seq.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(77u32.to_be_bytes());
    let descriptor = if is_first { 0x10 } else { 0x00 };
    bytes.extend([descriptor, u8::from(!is_key)]);
    bytes.resize(12 + PAYLOAD, 0x55);
    bytes
}

fn rtcp(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = [0; 1_400];
    let mut writer = Writer::new(&mut buf);
    writer.receiver_report(1, &[]).expect("room");
    write(&mut writer);
    let length = writer.len();
    buf[..length].to_vec()
}

#[test]
fn a_receiver_that_asks_for_everything_again_gets_a_quarter_at_most() {
    let mut bench = bench();
    let (mut seq, mut sent, mut again) = (0u16, 0usize, 0usize);
    let mut window: Vec<(u16, u32)> = Vec::new();
    let mut seen = BTreeSet::new();
    for tick in 0..2_000u32 {
        // 30 frames of 5 packets a second for 20 s.
        if tick % 3 == 0 {
            for n in 0..5 {
                let packet = video(seq, tick * 900, n == 0, tick == 0);
                bench.receive(PUBLISHER, host(1, 5_000), &packet);
                seq += 1;
            }
        }
        if let Some((_, ssrc)) = window.last() {
            let lost: Vec<u16> = window.iter().map(|(seq, _)| *seq).collect();
            let nack = rtcp(|writer| {
                writer.nack(1, *ssrc, &lost).expect("room");
            });
            bench.receive(VIEWER_RTCP, host(1, 6_001), &nack);
        }
        for (_, _, bytes) in bench.rtp() {
            let header = Header::parse(&bytes).expect("RTP");
            if seen.insert(header.sequence_number) {
                sent += PAYLOAD;
                window.push((header.sequence_number, header.ssrc));
            } else {
                again += PAYLOAD;
            }
        }
        let keep = window.len().saturating_sub(150);
        window.drain(..keep);
        bench.wait(Duration::from_millis(10));
    }
    assert!(sent > 3_000_000, "{sent}");
    assert!(
        again > sent / 5,
        "what is missing is sent: {again} of {sent}"
    );
    assert!(again <= sent / 4 + 24 * 1_024, "{again} of {sent}");
}

#[test]
fn a_receiver_that_asks_for_keyframes_all_the_time_has_the_publisher_asked_twice_a_second() {
    let mut bench = bench();
    let mut requests: Vec<Instant> = Vec::new();
    let (mut seq, mut ssrc) = (0u16, 0);
    let mut is_key = true;
    for tick in 0..5_000u32 {
        if tick % 33 == 0 {
            let packet = video(seq, tick * 90, true, std::mem::take(&mut is_key));
            bench.receive(PUBLISHER, host(1, 5_000), &packet);
            seq += 1;
        }
        // Picture losses, and full intra requests that are all new.
        let ask = rtcp(|writer| {
            if tick % 2 == 0 {
                writer.picture_loss(1, ssrc).expect("room");
            } else {
                let entry = salono_rtp::rtcp::FirEntry {
                    ssrc,
                    command_sequence: (tick / 2) as u8,
                };
                writer.full_intra(1, &[entry]).expect("room");
            }
        });
        bench.receive(VIEWER_RTCP, host(1, 6_001), &ask);
        bench.wait(Duration::from_millis(1));
        for (port, _, bytes) in bench.sent.drain(..) {
            if let (30_002, Ok(header)) = (port, Header::parse(&bytes)) {
                ssrc = header.ssrc;
            }
            let asks = |packet: &Packet<'_>| {
                matches!(packet, Packet::PictureLoss { .. } | Packet::FullIntra(_))
            };
            if port == 30_001 && Compound::new(&bytes).any(|packet| asks(&packet)) {
                requests.push(bench.now);
                is_key = true;
            }
        }
    }
    assert!((8..=11).contains(&requests.len()), "{}", requests.len());
    let spaced = |two: &[Instant]| two[1] - two[0] >= Duration::from_millis(499);
    assert!(requests.windows(2).all(spaced), "{requests:?}");
}
