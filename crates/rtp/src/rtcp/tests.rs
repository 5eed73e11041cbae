//! Round trips and lenience of the RTCP reader and writer.

use proptest::prelude::*;

use super::*;
use crate::time::Ntp;

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buf = vec![0xEE; 2048];
    let mut writer = Writer::new(&mut buf);
    write(&mut writer);
    let len = writer.len();
    buf.truncate(len);
    buf
}

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: 7,
        fraction_lost: 12,
        cumulative_lost: -3,
        highest_sequence: 0x1_0005,
        jitter: 44,
        last_sender_report: 5,
        delay_since_last: 6,
    }
}

#[test]
fn a_compound_packet_reads_back_in_order() {
    let bytes = written(|w| {
        w.sender_report(
            1,
            Ntp::from_bits(0x1234_5678_9ABC_DEF0),
            2,
            3,
            4,
            &[block()],
        )
        .unwrap();
        w.receiver_report(9, &[block(), block()]).unwrap();
        w.canonical_name(1, "salono@host").unwrap();
        w.picture_loss(1, 7).unwrap();
        w.full_intra(
            1,
            &[FirEntry {
                ssrc: 7,
                command_sequence: 250,
            }],
        )
        .unwrap();
        w.remb(1, 2_500_000, &[7, 8]).unwrap();
        assert_eq!(w.nack(1, 7, &[65_534, 65_535, 1, 14, 15, 300]), Ok(6));
        w.bye(&[1, 2]).unwrap();
    });
    assert_eq!(bytes.len() % 4, 0);
    let packets: Vec<_> = Compound::new(&bytes).collect();
    assert_eq!(packets.len(), 8);
    let Packet::SenderReport(report) = &packets[0] else {
        panic!("{packets:?}")
    };
    assert_eq!(report.ntp.middle(), 0x5678_9ABC);
    assert_eq!((report.ssrc, report.rtp_timestamp), (1, 2));
    assert_eq!((report.packet_count, report.octet_count), (3, 4));
    assert_eq!(report.blocks.collect::<Vec<_>>(), vec![block()]);
    let Packet::ReceiverReport(report) = &packets[1] else {
        panic!("{packets:?}")
    };
    assert_eq!(report.blocks.count(), 2);
    let Packet::SourceDescription(sdes) = packets[2] else {
        panic!("{packets:?}")
    };
    assert_eq!(
        sdes.canonical_names().collect::<Vec<_>>(),
        vec![(1, &b"salono@host"[..])]
    );
    assert_eq!(
        packets[3],
        Packet::PictureLoss {
            sender_ssrc: 1,
            media_ssrc: 7
        }
    );
    let Packet::FullIntra(mut fir) = packets[4] else {
        panic!("{packets:?}")
    };
    assert_eq!(
        fir.next(),
        Some(FirEntry {
            ssrc: 7,
            command_sequence: 250
        })
    );
    let Packet::Remb(remb) = packets[5] else {
        panic!("{packets:?}")
    };
    assert_eq!(remb.bitrate_bps, 2_500_000);
    assert_eq!(remb.sources.collect::<Vec<_>>(), vec![7, 8]);
    let Packet::Nack(nack) = packets[6] else {
        panic!("{packets:?}")
    };
    assert_eq!(
        nack.lost.collect::<Vec<_>>(),
        vec![65_534, 65_535, 1, 14, 15, 300]
    );
    let Packet::Bye(bye) = packets[7] else {
        panic!("{packets:?}")
    };
    assert_eq!(bye.sources.collect::<Vec<_>>(), vec![1, 2]);
    assert_eq!(bye.reason, b"");
}

#[test]
fn nacks_are_packed_seventeen_to_an_entry() {
    let lost: Vec<u16> = (0..17).map(|n| 65_530u16.wrapping_add(n)).collect();
    let bytes = written(|w| assert_eq!(w.nack(1, 2, &lost), Ok(17)));
    assert_eq!(bytes.len(), 16);
    let Some(Packet::Nack(nack)) = Compound::new(&bytes).next() else {
        panic!()
    };
    assert_eq!(nack.lost.collect::<Vec<_>>(), lost);
}

#[test]
fn a_nack_that_does_not_fit_whole_says_how_much_did() {
    let mut buf = [0; 20];
    let mut writer = Writer::new(&mut buf);
    assert_eq!(writer.nack(1, 2, &[1, 100, 200]), Ok(2));
    assert_eq!(writer.len(), 20);
    assert_eq!(writer.nack(1, 2, &[1]), Err(BufferFull));
    assert_eq!(writer.len(), 20);
}

#[test]
fn unknown_and_damaged_packets_are_skipped_not_fatal() {
    let mut bytes = vec![0x80, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'];
    bytes.extend([0x80, 200, 0, 1, 0, 0, 0, 1]);
    bytes.extend([0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    bytes.extend([0x81, 206, 0, 200, 0, 0]);
    let packets: Vec<_> = Compound::new(&bytes).collect();
    assert_eq!(
        packets,
        vec![
            Packet::Other {
                packet_type: 204,
                count: 0
            },
            Packet::Other {
                packet_type: 200,
                count: 0
            },
            Packet::PictureLoss {
                sender_ssrc: 1,
                media_ssrc: 2
            },
        ]
    );
}

#[test]
fn padding_is_taken_off() {
    let bytes = [0xA1, 201, 0, 2, 0, 0, 0, 9, 0, 0, 0, 4];
    let Some(Packet::ReceiverReport(report)) = Compound::new(&bytes).next() else {
        panic!()
    };
    assert_eq!(report.ssrc, 9);
    assert_eq!(report.blocks.count(), 0);
}

#[test]
fn extreme_bitrates_do_not_overflow() {
    let mut bytes = written(|w| w.remb(1, u64::MAX, &[]).unwrap());
    let Some(Packet::Remb(remb)) = Compound::new(&bytes).next() else {
        panic!()
    };
    assert!(remb.bitrate_bps > u64::MAX - (1 << 47));
    bytes[17] = 0xFF;
    let Some(Packet::Remb(remb)) = Compound::new(&bytes).next() else {
        panic!()
    };
    assert_eq!(remb.bitrate_bps, u64::MAX);
}

#[test]
fn cumulative_loss_is_clamped_to_24_bits() {
    let big = ReportBlock {
        cumulative_lost: i32::MAX,
        ..block()
    };
    let bytes = written(|w| w.receiver_report(1, &[big]).unwrap());
    let Some(Packet::ReceiverReport(mut report)) = Compound::new(&bytes).next() else {
        panic!()
    };
    assert_eq!(report.blocks.next().unwrap().cumulative_lost, 0x7F_FFFF);
}

/// The example of the draft: one run-length chunk, one vector chunk, small and large deltas.
#[test]
fn transport_feedback_of_all_chunk_kinds_is_read() {
    let mut bytes = vec![0x8F, 205, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2];
    bytes.extend([0xFF, 0xFE, 0, 14]); // base 65534, 14 packets
    bytes.extend([0xFF, 0xFF, 0xFF, 9]); // reference −1 (−64 ms), feedback 9
    bytes.extend([0x20, 3]); // run of three small deltas
    bytes.extend([0xC0 | 0b10_0001, 0b00_00_00_00]); // 2-bit symbols: 2 0 1 0 0 0 0
    bytes.extend([0x80 | 0b10_0000, 0]); // 1-bit symbols: 1 0 0 0 ...
    bytes.extend([4, 8, 0, 0xFF, 0xFF, 1, 2]);
    bytes.extend([0]);
    bytes[3] = u8::try_from(bytes.len() / 4 - 1).unwrap();
    assert_eq!(bytes.len() % 4, 2);
    bytes.extend([0, 0]);
    bytes[3] = u8::try_from(bytes.len() / 4 - 1).unwrap();
    let Some(Packet::TransportFeedback(feedback)) = Compound::new(&bytes).next() else {
        panic!()
    };
    assert_eq!(feedback.feedback_count, 9);
    let all: Vec<_> = feedback.arrivals().collect();
    assert_eq!(all.len(), 14);
    assert_eq!(all[0], (65_534, Some(-252)));
    assert_eq!(all[1], (65_535, Some(-244)));
    assert_eq!(all[2], (0, Some(-244)));
    assert_eq!(all[3], (1, Some(-245)));
    assert_eq!(all[4], (2, None));
    assert_eq!(all[5], (3, Some(-244)));
    assert_eq!(all[10], (8, Some(-242)));
    assert_eq!(
        all.iter().filter(|(_, arrival)| arrival.is_some()).count(),
        6
    );
}

#[test]
fn empty_runs_in_transport_feedback_end_it() {
    let mut bytes = vec![
        0x8F, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xFF, 0xFF, 0, 0, 0, 0,
    ];
    bytes.extend([0; 4]);
    let Some(Packet::TransportFeedback(feedback)) = Compound::new(&bytes).next() else {
        panic!()
    };
    assert_eq!(feedback.arrivals().count(), 0);
}

fn walk(bytes: &[u8]) -> usize {
    Compound::new(bytes)
        .map(|packet| match packet {
            Packet::SenderReport(p) => p.blocks.count(),
            Packet::ReceiverReport(p) => p.blocks.count(),
            Packet::SourceDescription(p) => p.canonical_names().count(),
            Packet::Bye(p) => p.sources.count(),
            Packet::Nack(p) => p.lost.count(),
            Packet::TransportFeedback(p) => p.arrivals().count(),
            Packet::FullIntra(p) => p.count(),
            Packet::Remb(p) => p.sources.count(),
            Packet::PictureLoss { .. } | Packet::Other { .. } => 0,
        })
        .sum()
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        walk(&bytes);
    }

    #[test]
    fn no_body_panics(
        kind in 200u8..208, count in 0u8..32, pad in any::<bool>(),
        words in 0u8..30, body in proptest::collection::vec(any::<u8>(), 120)
    ) {
        let mut bytes = vec![0x80 | (u8::from(pad) << 5) | count, kind, 0, words];
        bytes.extend(body);
        walk(&bytes);
    }

    #[test]
    fn any_ascending_losses_survive(start in any::<u16>(), steps in proptest::collection::vec(1u16..40, 1..60)) {
        let mut seq = start;
        let lost: Vec<u16> = steps.iter().map(|s| { seq = seq.wrapping_add(*s); seq }).collect();
        let bytes = written(|w| assert_eq!(w.nack(1, 2, &lost), Ok(lost.len())));
        let Some(Packet::Nack(nack)) = Compound::new(&bytes).next() else { panic!() };
        prop_assert_eq!(nack.lost.collect::<Vec<_>>(), lost);
    }

    #[test]
    fn bitrates_keep_eighteen_bits(bps in any::<u64>()) {
        let bytes = written(|w| w.remb(1, bps, &[3]).unwrap());
        let Some(Packet::Remb(remb)) = Compound::new(&bytes).next() else { panic!() };
        prop_assert!(remb.bitrate_bps <= bps);
        prop_assert!(bps - remb.bitrate_bps <= bps >> 17);
    }
}
