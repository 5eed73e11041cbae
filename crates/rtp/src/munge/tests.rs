//! Switches, losses, reordering and skipped packets: the outgoing stream stays one stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::codec::{Descriptor, PictureId};

fn key(picture: u16) -> Descriptor {
    Descriptor {
        is_keyframe_start: true,
        is_frame_start: true,
        picture_id: Some(PictureId {
            value: picture,
            is_long: true,
        }),
        tl0_picture_index: Some(picture as u8),
        key_index: Some((picture & 31) as u8),
        ..Descriptor::default()
    }
}

fn delta(picture: u16) -> Descriptor {
    Descriptor {
        is_keyframe_start: false,
        ..key(picture)
    }
}

fn input(ssrc: u32, seq: u64, timestamp: u32, descriptor: &Descriptor) -> Input<'_> {
    Input {
        ssrc,
        seq: ExtSeq::new(seq),
        timestamp,
        descriptor,
    }
}

#[test]
fn a_switch_of_source_goes_on_by_one_and_by_the_time_that_passed() {
    let start = crate::virtual_time::origin();
    let mut munger = Munger::new(Codec::Vp8, 90_000, 0xFFFF, 1_000);
    munger.switch(1);
    assert!(munger.is_awaiting_keyframe());
    assert_eq!(
        munger.forward(&input(1, 50, 9, &delta(3)), start),
        Err(Drop::AwaitingKeyframe)
    );
    let out = munger
        .forward(&input(1, 51, 3_009, &key(4)), start)
        .unwrap();
    assert_eq!((out.seq, out.timestamp), (ExtSeq::new(0x7FFF), 1_000));
    assert_eq!(out.rewrite.picture_id, Some(4));
    munger.switch(2);
    let later = start + Duration::from_millis(100);
    assert_eq!(
        munger.forward(&input(1, 52, 6_009, &key(5)), later),
        Err(Drop::OtherSource)
    );
    assert_eq!(
        munger.forward(&input(2, 900, 77, &delta(3)), later),
        Err(Drop::AwaitingKeyframe)
    );
    let out = munger
        .forward(&input(2, 901, u32::MAX, &key(30_000)), later)
        .unwrap();
    assert_eq!(
        (out.seq, out.timestamp),
        (ExtSeq::new(0x8000), 1_000 + 9_000)
    );
    assert_eq!(out.rewrite.picture_id, Some(5));
    assert_eq!(out.rewrite.tl0_picture_index, Some(5));
    assert_eq!(out.rewrite.key_index, Some(5));
    assert_eq!(
        munger.forward(&input(2, 900, 77, &delta(3)), later),
        Err(Drop::Late)
    );
    assert_eq!(
        munger.forward(&input(2, 901, 77, &delta(3)), later),
        Err(Drop::Duplicate)
    );
    let old = munger.origin(0x7FFF).unwrap();
    assert_eq!((old.ssrc, old.seq), (1, ExtSeq::new(51)));
    let again = old.offsets.apply(old.outgoing, 3_009, &key(4));
    assert_eq!(
        (again.timestamp, again.rewrite.picture_id),
        (1_000, Some(4))
    );
    assert_eq!(munger.origin(0x8000).unwrap().seq, ExtSeq::new(901));
    assert_eq!(munger.origin(0x8001), None);
    assert_eq!(munger.origin(0x7FFE), None);
    assert_eq!(
        munger.timestamp_at(later + Duration::from_millis(10)),
        Some(10_900)
    );
}

#[test]
fn skipped_packets_leave_no_gap_and_lost_ones_do() {
    let now = crate::virtual_time::origin();
    let plain = Codec::Opaque.describe(&[]);
    let mut munger = Munger::new(Codec::Opaque, 48_000, 100, 0);
    munger.switch(1);
    let out = |munger: &mut Munger, seq: u64| {
        munger
            .forward(&input(1, seq, seq as u32, &plain), now)
            .map(|out| out.seq.get())
    };
    assert_eq!(out(&mut munger, 10), Ok(100));
    munger.skip(1, ExtSeq::new(11));
    munger.skip(1, ExtSeq::new(12));
    assert_eq!(out(&mut munger, 13), Ok(101));
    assert_eq!(out(&mut munger, 11), Err(Drop::Duplicate));
    // 14 is lost for now, 15 is skipped, 16 goes out, then 14 arrives after all.
    munger.skip(1, ExtSeq::new(15));
    assert_eq!(out(&mut munger, 16), Ok(103));
    assert_eq!(out(&mut munger, 14), Ok(102));
    assert_eq!(out(&mut munger, 14), Err(Drop::Duplicate));
    for (number, source) in [(100, 10), (101, 13), (102, 14), (103, 16)] {
        assert_eq!(munger.origin(number).unwrap().seq.get(), source);
    }
    assert_eq!(out(&mut munger, 16 + 200), Ok(303));
    assert_eq!(out(&mut munger, 17), Err(Drop::Late));
}

#[test]
fn packets_that_were_held_back_leave_no_gap_and_the_time_goes_on() {
    let now = crate::virtual_time::origin();
    let plain = Codec::Opaque.describe(&[]);
    let mut munger = Munger::new(Codec::Opaque, 48_000, 100, 7);
    let out = |munger: &mut Munger, seq: u64| {
        munger
            .forward(&input(1, seq, 960 * seq as u32, &plain), now)
            .map(|out| (out.seq.get(), out.timestamp))
    };
    munger.skip_to(1, ExtSeq::new(9));
    munger.switch(1);
    munger.skip_to(1, ExtSeq::new(9));
    assert_eq!(out(&mut munger, 10), Ok((100, 7)));
    assert_eq!(out(&mut munger, 12), Ok((102, 7 + 2 * 960)));
    munger.skip_to(1, ExtSeq::new(500));
    assert_eq!(out(&mut munger, 501), Ok((103, 7 + 491 * 960)));
    assert_eq!(
        out(&mut munger, 500),
        Err(Drop::Duplicate),
        "its number is given away"
    );
    assert_eq!(out(&mut munger, 11), Err(Drop::Late), "too long ago");
    // What went out already is not taken back, another source's packets are no business of this one.
    munger.skip_to(1, ExtSeq::new(400));
    munger.skip_to(2, ExtSeq::new(900));
    assert_eq!(out(&mut munger, 502), Ok((104, 7 + 492 * 960)));
    for (number, source) in [(100, 10), (102, 12), (103, 501), (104, 502)] {
        assert_eq!(munger.origin(number).unwrap().seq.get(), source);
    }
}

#[test]
fn stopping_and_resuming_keeps_the_numbers_going() {
    let now = crate::virtual_time::origin();
    let plain = Codec::Opaque.describe(&[]);
    let mut munger = Munger::new(Codec::Opaque, 48_000, 1, 0);
    assert!(munger.forward(&input(1, 1, 1, &plain), now).is_err());
    munger.switch(1);
    munger.forward(&input(1, 5, 0, &plain), now).unwrap();
    munger.stop();
    assert_eq!(
        munger.forward(&input(1, 6, 960, &plain), now),
        Err(Drop::OtherSource)
    );
    munger.switch(1);
    let later = now + Duration::from_secs(1);
    let out = munger.forward(&input(1, 900, 1, &plain), later).unwrap();
    assert_eq!((out.seq.get(), out.timestamp), (2, 48_000));
}

#[test]
fn the_stream_state_stays_small() {
    assert!(size_of::<Munger>() <= 192, "{}", size_of::<Munger>());
}

/// One step of a random life.
#[derive(Debug, Clone)]
enum Step {
    Switch(u32),
    /// Let the source advance this many packets, of which the last one arrives.
    Packet(u64),
    Late(u64),
    Skip,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0u32..4).prop_map(Step::Switch),
        8 => (1u64..4).prop_map(Step::Packet),
        2 => (0u64..20).prop_map(Step::Late),
        1 => Just(Step::Skip),
        2 => (0u64..80).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..300)
}

proptest! {
    #[test]
    fn random_lives_give_one_stream(steps in steps(), first in any::<u16>(), seeds in any::<[u16; 4]>()) {
        let mut now = crate::virtual_time::origin();
        let mut munger = Munger::new(Codec::Vp8, 90_000, first, 4_000_000_000);
        let mut heads: Vec<u64> = seeds.iter().map(|s| 65_536 + u64::from(*s)).collect();
        let mut used = BTreeMap::new();
        let mut skipped = BTreeSet::new();
        let mut newest: Option<(u64, u32, u16)> = None;
        let mut current = 0usize;
        let mut switched = true;
        munger.switch(0);
        for step in steps {
            let (seq, arrives_late) = match step {
                Step::Switch(to) => {
                    current = to as usize;
                    switched = true;
                    munger.switch(to);
                    continue;
                }
                Step::Wait(ms) => { now += Duration::from_millis(ms); continue; }
                Step::Skip => {
                    heads[current] += 1;
                    munger.skip(current as u32, ExtSeq::new(heads[current]));
                    skipped.insert((current as u32, heads[current]));
                    continue;
                }
                Step::Packet(ahead) => { heads[current] += ahead; (heads[current], false) }
                Step::Late(behind) => (heads[current] - behind, true),
            };
            let ssrc = current as u32;
            // Ten packets to a frame; after a switch the next packet starts a keyframe.
            let picture = (seq / 10) as u16 & 0x7FFF;
            let timestamp = (seq as u32 / 10).wrapping_mul(3_000).wrapping_add(ssrc << 29);
            let descriptor = if switched && !arrives_late { key(picture) } else { delta(picture) };
            let result = munger.forward(&input(ssrc, seq, timestamp, &descriptor), now);
            if switched && arrives_late {
                prop_assert!(result.is_err());
                continue;
            }
            let Ok(out) = result else {
                prop_assert!(arrives_late, "a fresh packet was dropped: {:?}", result);
                continue;
            };
            let number = out.seq.get();
            prop_assert!(used.insert(number, (ssrc, seq, out)).is_none(), "number used twice");
            prop_assert!(!skipped.contains(&(ssrc, seq)), "skipped packet was sent");
            if let Some((last, last_timestamp, last_picture)) = newest {
                if switched {
                    prop_assert_eq!(number, last + 1);
                    prop_assert_eq!(out.rewrite.picture_id, Some((last_picture + 1) & 0x7FFF));
                    prop_assert!(time::distance(out.timestamp, last_timestamp) > 0);
                }
                if number > last {
                    prop_assert!(time::distance(out.timestamp, last_timestamp) >= 0);
                }
            }
            if newest.is_none_or(|(last, ..)| number > last) {
                newest = Some((number, out.timestamp, out.rewrite.picture_id.unwrap()));
            }
            switched = false;
            // Whatever can still be traced is traced to the right packet with the right numbers.
            for (number, (ssrc, seq, sent)) in used.range(number.saturating_sub(30)..) {
                if let Some(origin) = munger.origin(*number as u16) {
                    prop_assert_eq!((origin.ssrc, origin.seq.get()), (*ssrc, *seq));
                    prop_assert_eq!(origin.outgoing.get(), *number);
                    let timestamp = (*seq as u32 / 10).wrapping_mul(3_000).wrapping_add(*ssrc << 29);
                    let picture = (*seq / 10) as u16 & 0x7FFF;
                    prop_assert_eq!(origin.offsets.apply(origin.outgoing, timestamp, &delta(picture)), *sent);
                }
            }
        }
    }
}

#[test]
fn pictures_that_are_left_out_leave_no_gap_in_the_picture_numbers() {
    let now = crate::virtual_time::origin();
    let mut munger = Munger::new(Codec::Vp8, 90_000, 10, 0);
    munger.switch(1);
    let (first, left, next) = (key(5), delta(6), delta(7));
    munger.forward(&input(1, 100, 0, &first), now).unwrap();
    assert!(munger.is_newest(ExtSeq::new(101)));
    for seq in [101, 102] {
        munger.leave_out(1, ExtSeq::new(seq), left.picture_id.map(|id| id.value));
    }
    let out = munger.forward(&input(1, 103, 6_000, &next), now).unwrap();
    assert_eq!((out.seq.wire(), out.rewrite.picture_id), (11, Some(6)));
    // What was sent is sent again as it was.
    let origin = munger.origin(10).unwrap();
    let again = origin.offsets.apply(origin.outgoing, 0, &first);
    assert_eq!(again.rewrite.picture_id, Some(5));
}

#[test]
fn the_marker_goes_to_the_highest_layer_that_is_forwarded() {
    let now = crate::virtual_time::origin();
    let mut munger = Munger::new(Codec::Vp9, 90_000, 0, 0);
    let part = |spatial, is_keyframe_start| Descriptor {
        is_keyframe_start,
        is_frame_start: true,
        is_frame_end: true,
        spatial_layer: Some(spatial),
        ..Descriptor::default()
    };
    munger.switch(1);
    let (low, high) = (part(0, true), part(1, false));
    let first = munger.forward(&input(1, 1, 0, &low), now).unwrap();
    let second = munger.forward(&input(1, 2, 0, &high), now).unwrap();
    assert!(!first.ends_picture && !second.ends_picture);
    munger.set_part(Some(0), 0);
    let third = munger
        .forward(&input(1, 3, 3_000, &part(0, false)), now)
        .unwrap();
    munger.leave_out(1, ExtSeq::new(4), None);
    assert!(third.ends_picture);
    // Each is sent again with the marker that it had.
    for (out, ends) in [(0, false), (1, false), (2, true)] {
        let origin = munger.origin(out).unwrap();
        let again = origin
            .offsets
            .apply(origin.outgoing, 0, if out == 1 { &high } else { &low });
        assert_eq!(again.ends_picture, ends, "{out}");
    }
}

#[test]
fn sources_with_one_clock_keep_to_it_and_never_go_back() {
    let start = crate::virtual_time::origin();
    let at = |ms| start + Duration::from_millis(ms);
    let mut munger = Munger::new(Codec::Vp8, 90_000, 0, 0);
    munger.switch(1);
    munger.forward(&input(1, 1, 0, &key(1)), start).unwrap();
    // By the clocks the frame is of 33 ms later, although it came after 40.
    munger.switch(2);
    munger.align(Some(3_000));
    let out = munger.forward(&input(2, 9, 77, &key(1)), at(40)).unwrap();
    assert_eq!(out.timestamp, 3_000);
    // The same frame in another layer: one tick on, and back in step at the next switch.
    munger.switch(1);
    munger.align(Some(3_000));
    let out = munger.forward(&input(1, 3, 5, &key(1)), at(41)).unwrap();
    assert_eq!(out.timestamp, 3_001);
    munger.switch(2);
    munger.align(Some(6_001));
    let out = munger
        .forward(&input(2, 10, 3_077, &key(1)), at(70))
        .unwrap();
    assert_eq!(out.timestamp, 6_000);
    // Clocks that make no sense are not believed.
    munger.switch(3);
    munger.align(Some(900_000));
    let out = munger.forward(&input(3, 1, 0, &key(1)), at(103)).unwrap();
    assert_eq!(out.timestamp, 6_000 + 33 * 90);
}
