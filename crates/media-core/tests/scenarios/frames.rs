//! Frames leave in one piece: what comes packet by packet waits a moment for the rest, and gets one
//! length.

use super::plain::{Bench, host, sdp};
use salono_media_api::RtpSpec;
use salono_rtp::header::Header;
use salono_rtp::rtcp::Writer;
use std::time::Duration;

const PUBLISHER: u16 = 30_000;
const VIEWER_RTCP: u16 = 30_003;
/// Longer than anything waits.
const MOMENT: Duration = Duration::from_millis(1);

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

/// A packet of VP8 with this payload length; the first begins a keyframe, the last has the marker.
fn packet(seq: u16, len: usize, is_first: bool, is_last: bool) -> Vec<u8> {
    let mut bytes = vec![0x80, 96 | u8::from(is_last) << 7];
    bytes.extend(seq.to_be_bytes());
    bytes.extend(9_000u32.to_be_bytes());
    bytes.extend(77u32.to_be_bytes());
    bytes.extend([u8::from(is_first) << 4, 0]);
    bytes.resize(12 + len, seq as u8);
    bytes
}

/// A frame of packets with these lengths comes packet by packet. What leaves, after each.
fn send(bench: &mut Bench, seq: u16, lengths: &[usize]) -> Vec<Vec<Vec<u8>>> {
    let mut left = Vec::new();
    for (at, len) in lengths.iter().enumerate() {
        let is_last = at + 1 == lengths.len();
        let packet = packet(seq + at as u16, *len, at == 0, is_last);
        bench.receive(PUBLISHER, host(1, 5_000), &packet);
        left.push(bench.rtp().into_iter().map(|(_, _, bytes)| bytes).collect());
    }
    left
}

fn payload(packet: &[u8]) -> &[u8] {
    Header::parse(packet)
        .expect("RTP")
        .payload(packet)
        .expect("a payload")
}

#[test]
fn a_frame_leaves_with_its_last_packet_in_datagrams_of_one_length() {
    let mut bench = bench();
    let lengths = [700, 700, 701, 701, 693];
    let mut left = send(&mut bench, 10, &lengths);
    let frame = left.pop().expect("five steps");
    assert!(left.iter().all(Vec::is_empty), "{left:?}");
    let sizes: Vec<_> = frame.iter().map(Vec::len).collect();
    assert_eq!(sizes, [713, 713, 713, 713, 705]);
    for ((sent, len), seq) in frame.iter().zip(lengths).zip(10..) {
        assert_eq!(payload(sent), &packet(seq, len, seq == 10, false)[12..]);
    }
}

#[test]
fn packets_of_clearly_different_length_stay_as_they_are() {
    let mut bench = bench();
    let frame = send(&mut bench, 10, &[500, 700, 699]).pop().expect("steps");
    assert_eq!(
        frame.iter().map(Vec::len).collect::<Vec<_>>(),
        [512, 712, 711]
    );
}

#[test]
fn half_a_frame_leaves_soon_when_the_rest_does_not_come() {
    let mut bench = bench();
    for (seq, is_first) in [(10, true), (11, false)] {
        let packet = packet(seq, 700, is_first, false);
        bench.receive(PUBLISHER, host(1, 5_000), &packet);
    }
    assert!(bench.rtp().is_empty());
    bench.wait(MOMENT);
    assert_eq!(bench.rtp().len(), 2);
}

#[test]
fn a_packet_that_is_sent_again_as_it_was_has_the_padding_that_it_had() {
    let mut bench = bench();
    let frame = send(&mut bench, 10, &[700, 701, 701]).pop().expect("steps");
    bench.wait(Duration::from_millis(20));
    let first = Header::parse(&frame[0]).expect("RTP");
    let mut buf = [0; 1_400];
    let mut writer = Writer::new(&mut buf);
    writer.receiver_report(1, &[]).expect("room");
    let (ssrc, lost) = (first.ssrc, [first.sequence_number]);
    writer.nack(1, ssrc, &lost).expect("room");
    let len = writer.len();
    bench.receive(VIEWER_RTCP, host(1, 6_001), &buf[..len]);
    let again = bench.rtp();
    assert_eq!(again.len(), 1);
    assert!(first.has_padding && again[0].2 == frame[0]);
}
