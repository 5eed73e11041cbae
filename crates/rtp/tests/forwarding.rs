//! The whole path of a packet over lossy links: publisher, store, rewriting, subscriber, and back for what is lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "virtual time needs an origin")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use salono_rtp::codec::Codec;
use salono_rtp::guard::EgressGuard;
use salono_rtp::header::{ExtensionWriter, Fields, Header};
use salono_rtp::munge::{Input, Munger};
use salono_rtp::recv::{NackConfig, NackGenerator, Statistics};
use salono_rtp::ring::{Config, PacketRing};
use salono_rtp::rtcp::{Compound, Packet, Writer};
use salono_rtp::rtx;
use salono_rtp::seq::{ExtSeq, Unwrapper};
use salono_rtp::srtp::{MAX_RTCP_OVERHEAD, MAX_RTP_OVERHEAD, Opener, Profile, Sealer};
use salono_rtp::srtp::{RocSender, split_keying_material};

const OUT_SSRC: u32 = 0xBEEF;
const RTX_SSRC: u32 = 0xCAFE;
const PACKETS_PER_FRAME: u64 = 4;

/// Keys of one direction of a transport.
fn pair(profile: Profile, salt: u8) -> (Sealer, Opener) {
    let material = vec![salt; profile.keying_material_len()];
    let client = split_keying_material(profile, &material, true).unwrap();
    let server = split_keying_material(profile, &material, false).unwrap();
    (
        Sealer::new(&client.local).unwrap(),
        Opener::new(&server.remote).unwrap(),
    )
}

fn seal(sealer: &Sealer, roc: u32, fields: &Fields, payload: &[u8]) -> Vec<u8> {
    let mut buf = vec![0; 64 + payload.len() + MAX_RTP_OVERHEAD];
    let mut writer = ExtensionWriter::new(&mut buf, fields).unwrap();
    writer
        .push(5, &fields.sequence_number.to_be_bytes())
        .unwrap();
    let header_len = writer.finish();
    let len = sealer
        .seal_rtp_from(roc, header_len, payload, &mut buf)
        .unwrap();
    buf.truncate(len);
    buf
}

/// A seeded source of losses.
struct Dice(u64);

impl Dice {
    fn rolls(&mut self, percent: u64) -> bool {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % 100 < percent
    }
}

/// A publisher of VP8 with a sequence number and a picture number of its own.
struct Publisher {
    ssrc: u32,
    next: u64,
    sealer: Sealer,
    roc: RocSender,
}

impl Publisher {
    /// The next packet; the first of each tenth frame starts a keyframe.
    fn packet(&mut self) -> Vec<u8> {
        let seq = self.next;
        self.next += 1;
        let frame = seq / PACKETS_PER_FRAME;
        let starts = seq.is_multiple_of(PACKETS_PER_FRAME);
        let picture = (frame as u16 & 0x7FFF) | 0x8000;
        let [p0, p1] = picture.to_be_bytes();
        let not_key = u8::from(!frame.is_multiple_of(10));
        // The publisher's own number travels in the payload, to be recognised at the far end.
        let mut payload = vec![if starts { 0x90 } else { 0x80 }, 0x80, p0, p1, not_key];
        payload.extend(self.ssrc.to_be_bytes());
        payload.extend(seq.to_be_bytes());
        payload.resize(900, 0x11);
        let fields = Fields {
            marker: seq % PACKETS_PER_FRAME == PACKETS_PER_FRAME - 1,
            payload_type: 96,
            sequence_number: seq as u16,
            timestamp: (frame as u32)
                .wrapping_mul(3_000)
                .wrapping_add(self.ssrc << 20),
            ssrc: self.ssrc,
        };
        seal(
            &self.sealer,
            self.roc.roc_for(seq as u16),
            &fields,
            &payload,
        )
    }
}

fn identity(payload: &[u8]) -> (u32, u64) {
    (
        u32::from_be_bytes(payload[5..9].try_into().unwrap()),
        u64::from_be_bytes(payload[9..17].try_into().unwrap()),
    )
}

fn run(profile: Profile, loss_percent: u64) {
    let start = Instant::now();
    let mut dice = Dice(42);
    let mut publishers = Vec::new();
    let mut openers = BTreeMap::new();
    let mut rings = BTreeMap::new();
    for (ssrc, next) in [(1u32, 30_000u64), (2, 10)] {
        let (sealer, opener) = pair(profile, ssrc as u8);
        publishers.push(Publisher {
            ssrc,
            next,
            sealer,
            roc: RocSender::new(),
        });
        openers.insert(ssrc, opener);
        rings.insert(ssrc, PacketRing::new(Config::VIDEO));
    }
    let mut munger = Munger::new(Codec::Vp8, 90_000, 0x7FF0, u32::MAX - 5_000);
    let mut guard = EgressGuard::new(90_000);
    let (down_sealer, mut down_opener) = pair(profile, 77);
    let (mut up_sealer, mut up_opener) = pair(profile, 78);
    let mut rtx_seq = 0u16;

    // The subscriber.
    let mut unwrapper = Unwrapper::new();
    let mut nacks = NackGenerator::new(NackConfig::default());
    let mut statistics = Statistics::new(OUT_SSRC, 90_000);
    let mut received: BTreeMap<u64, (u32, u64, u16)> = BTreeMap::new();

    munger.switch(1);
    for tick in 0..1_200u64 {
        let now = start + Duration::from_millis(tick * 33 / PACKETS_PER_FRAME);
        if [300, 700].contains(&tick) {
            munger.switch(if tick == 300 { 2 } else { 1 });
        }
        let mut downlink = Vec::new();
        for publisher in &mut publishers {
            let mut packet = publisher.packet();
            let header = Header::parse(&packet).unwrap();
            let opener = openers.get_mut(&publisher.ssrc).unwrap();
            let opened = opener.open_rtp(&mut packet, &header).unwrap();
            let ring = rings.get_mut(&publisher.ssrc).unwrap();
            let stored = ring
                .push(opened.seq, &header, &packet[..opened.plain_len], now)
                .unwrap();
            let descriptor = Codec::Vp8.describe(stored.payload());
            let input = Input {
                ssrc: header.ssrc,
                seq: stored.seq,
                timestamp: header.timestamp,
                descriptor: &descriptor,
            };
            let Ok(out) = munger.forward(&input, now) else {
                continue;
            };
            guard.check(out.seq, out.timestamp).unwrap();
            let mut payload = stored.payload().to_vec();
            Codec::Vp8.rewrite(&mut payload, out.rewrite);
            let fields = Fields {
                marker: header.marker,
                payload_type: 100,
                sequence_number: out.seq.wire(),
                timestamp: out.timestamp,
                ssrc: OUT_SSRC,
            };
            downlink.push(seal(&down_sealer, out.seq.roc(), &fields, &payload));
        }
        // What the subscriber misses, it asks for over RTCP; the answer comes from the ring as RTX.
        let mut wanted = [0; 64];
        let count = nacks.collect(Some(Duration::from_millis(20)), &mut wanted, now);
        if count > 0 {
            let mut rtcp = vec![0; 600];
            let mut writer = Writer::new(&mut rtcp);
            assert_eq!(writer.nack(9, OUT_SSRC, &wanted[..count]), Ok(count));
            let plain_len = writer.len();
            assert!(plain_len + MAX_RTCP_OVERHEAD <= rtcp.len());
            let len = up_sealer.seal_rtcp(&mut rtcp, plain_len).unwrap();
            let len = up_opener.open_rtcp(&mut rtcp[..len]).unwrap();
            for packet in Compound::new(&rtcp[..len]) {
                let Packet::Nack(nack) = packet else {
                    panic!("{packet:?}")
                };
                for lost in nack.lost {
                    let origin = munger.origin(lost).expect("a recent packet");
                    let stored = rings[&origin.ssrc]
                        .get(origin.seq)
                        .expect("still in the ring");
                    let descriptor = Codec::Vp8.describe(stored.payload());
                    let out =
                        origin
                            .offsets
                            .apply(origin.outgoing, stored.header.timestamp, &descriptor);
                    let mut payload = vec![0; 2 + stored.payload().len()];
                    rtx::encapsulate(lost, stored.payload(), &mut payload).unwrap();
                    Codec::Vp8.rewrite(&mut payload[rtx::OSN_LEN..], out.rewrite);
                    let fields = Fields {
                        marker: stored.header.marker,
                        payload_type: 101,
                        sequence_number: rtx_seq,
                        timestamp: out.timestamp,
                        ssrc: RTX_SSRC,
                    };
                    downlink.push(seal(&down_sealer, 0, &fields, &payload));
                    rtx_seq += 1;
                }
            }
        }
        for mut packet in downlink {
            if dice.rolls(loss_percent) {
                continue;
            }
            let header = Header::parse(&packet).unwrap();
            let opened = down_opener.open_rtp(&mut packet, &header).unwrap();
            let mut payload = header.payload(&packet[..opened.plain_len]).unwrap();
            let seq = if header.ssrc == RTX_SSRC {
                let (original, rest) = rtx::decapsulate(payload).unwrap();
                payload = rest;
                unwrapper.unwrap(original)
            } else {
                let seq = unwrapper.unwrap(header.sequence_number);
                statistics.packet(seq, header.timestamp, payload.len(), now);
                seq
            };
            nacks.packet(seq, now);
            let picture = Codec::Vp8.describe(payload).picture_id.unwrap().value;
            let (ssrc, number) = identity(payload);
            received.insert(seq.get(), (ssrc, number, picture));
        }
    }

    assert_eq!(guard.violations(), 0);
    assert_eq!(guard.gaps(), 0);
    assert!(received.len() > 1_000, "{}", received.len());
    // Let alone the last ones, which were on their way, everything arrived: numbers, packets and pictures in order.
    let settled: Vec<_> = received.iter().take(received.len() - 60).collect();
    let mut sources = Vec::new();
    for pair in settled.windows(2) {
        let ((seq, (ssrc, number, picture)), (next_seq, (next_ssrc, next_number, next_picture))) =
            (pair[0], pair[1]);
        assert_eq!(*next_seq, seq + 1, "{profile:?}");
        if ssrc == next_ssrc {
            assert_eq!(*next_number, number + 1);
        } else {
            sources.push(*next_ssrc);
        }
        assert!(
            [0, 1].contains(&next_picture.wrapping_sub(*picture)),
            "{picture} {next_picture}"
        );
    }
    assert_eq!(sources, vec![2, 1]);
    let report = statistics.report(start).unwrap();
    assert_eq!(report.cumulative_lost > 0, loss_percent > 0);
    assert_eq!(
        report.highest_sequence as u16,
        ExtSeq::new(*received.keys().last().unwrap()).wire()
    );
}

#[test]
fn a_clean_network_delivers_everything_in_one_stream() {
    for profile in Profile::ALL {
        run(profile, 0);
    }
}

#[test]
fn five_percent_loss_is_repaired_across_source_switches() {
    for profile in Profile::ALL {
        run(profile, 5);
    }
}
