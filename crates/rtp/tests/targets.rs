//! A thousand changes of what a receiver of a scalable stream gets, and of the stream: all can be decoded, what it is
//! told is true, and its numbers are those of one stream.

#[path = "support/scalable.rs"]
mod scalable;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use salono_rtp::codec::{Codec, Descriptor};
use salono_rtp::layers::dependency::{Change, Reader};
use salono_rtp::layers::{Layer, Targets, Verdict};
use salono_rtp::munge::{Input, Munger};
use salono_rtp::seq::ExtSeq;
use scalable::{Between, Encoder};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// What a receiver sees, judged packet by packet.
#[derive(Default)]
struct Decoder {
    reader: Reader,
    decoded: BTreeSet<u16>,
    newest: Option<u16>,
    seq: Option<u64>,
    is_ended: bool,
    /// What was left out since the last frame: decode targets that had it.
    missed: u32,
    pictures: u64,
    /// How often which layer was the best of a picture.
    layers: BTreeSet<Layer>,
}

impl Decoder {
    /// A packet with its descriptor, as it came.
    fn take(&mut self, seq: u64, marker: bool, descriptor: &[u8]) {
        assert!(self.seq.is_none_or(|before| before + 1 == seq));
        self.seq = Some(seq);
        let frame = self.reader.read(descriptor).expect("it is understood");
        if frame.is_first {
            let ahead = self
                .newest
                .map_or(1, |newest| frame.number.wrapping_sub(newest));
            assert!((1..0x100).contains(&ahead), "{ahead}: frame numbers go up");
            self.newest = Some(frame.number);
            for place in (0..64).filter(|place| frame.references >> place & 1 == 1) {
                let needed = frame.number.wrapping_sub(place + 1);
                assert!(self.decoded.contains(&needed), "{frame:?} lacks {needed}");
            }
            // What can be begun with here was not needed before; with a new structure everything begins.
            let missed = std::mem::take(&mut self.missed);
            let missed = if frame.has_structure {
                0
            } else {
                missed & !frame.switches
            };
            assert_eq!(missed & frame.active, 0, "{frame:?} is told to be for more");
            self.pictures += u64::from(self.is_ended);
            self.layers.insert(frame.layer);
            self.decoded.remove(&frame.number.wrapping_sub(0x200));
        }
        if frame.is_last {
            self.decoded.insert(frame.number);
        }
        self.is_ended = marker;
    }
}

struct Source {
    ssrc: u32,
    encoder: Encoder,
    reader: Reader,
    seq: u64,
    clock: u32,
}

/// A thousand stretches with a limit each, of two sources by turns; returns pictures and keyframes.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
fn run(spatial: u8, temporal: u8, between: Between) -> (u64, u64) {
    let start = Instant::now();
    let mut dice = Dice(u64::from(spatial * 8 + temporal));
    let source = |ssrc: u32, number| Source {
        ssrc,
        encoder: Encoder::new(spatial, temporal, between, number),
        reader: Reader::new(),
        seq: 100,
        clock: 7,
    };
    let mut sources = [source(1, 65_000), source(2, 20_000)];
    let (mut targets, mut munger) = (Targets::new(), Munger::new(Codec::Av1, 90_000, 9, 5));
    let mut decoder = Decoder {
        is_ended: true,
        ..Decoder::default()
    };
    let (mut keys, mut wanted, mut pictures) = (0, Some(0), 0u32);
    let mut current = 0;
    munger.switch(1);
    for _ in 0..1_000 {
        if dice.below(20) == 0 {
            current = 1 - current;
            munger.switch(sources[current].ssrc);
            wanted = Some(2);
        }
        let limit = Layer {
            spatial: dice.below(u64::from(spatial)) as u8,
            temporal: dice.below(u64::from(temporal)) as u8,
        };
        targets.set_limit(limit);
        for _ in 0..4 + dice.below(20) {
            let is_key = wanted.is_some_and(|left: u32| left == 0);
            wanted = wanted.and_then(|left| left.checked_sub(1));
            keys += u64::from(is_key);
            pictures += 1;
            let now = start + Duration::from_millis(33) * pictures;
            let Source {
                ssrc,
                encoder,
                reader,
                seq,
                clock,
            } = &mut sources[current];
            *clock = clock.wrapping_add(2_970);
            let frames = encoder.encode(is_key);
            for frame in &frames {
                let packets = 1 + dice.below(3);
                for packet in 0..packets {
                    *seq += 1;
                    let (is_first, is_last) = (packet == 0, packet + 1 == packets);
                    let value = encoder.descriptor(frame, is_first, is_last);
                    let Some(said) = reader.read(&value) else {
                        assert!(munger.is_pending(), "nothing is unknown after a keyframe");
                        continue;
                    };
                    assert_eq!(reader.read_again(&value), Some(said));
                    assert_eq!((said.number, said.present), (frame.number, frame.present));
                    let layer = (frame.spatial, frame.temporal);
                    assert_eq!((said.layer.spatial, said.layer.temporal), layer);
                    let needs = frame
                        .needs
                        .iter()
                        .map(|needed| frame.number.wrapping_sub(*needed));
                    let references = needs.fold(0, |all, back| all | 1u64 << (back - 1));
                    assert_eq!(said.references, references);
                    let descriptor = Descriptor {
                        is_keyframe_start: said.has_structure,
                        is_frame_start: is_first,
                        is_frame_end: is_last,
                        spatial_layer: Some(said.layer.spatial),
                        temporal_layer: Some(said.layer.temporal),
                        frame_number: Some(said.number),
                        ..Descriptor::default()
                    };
                    if munger.is_pending() {
                        if !descriptor.is_keyframe_start {
                            continue;
                        }
                        targets.restart();
                    }
                    let structure = reader.structure(said.epoch).expect("it was read with it");
                    let name = ExtSeq::new(*seq);
                    if targets.take(*clock, &said, structure) == Verdict::LeaveOut {
                        assert!(targets.was_left_out(&said));
                        munger.leave_out(*ssrc, name, None);
                        decoder.missed |= said.present;
                        continue;
                    }
                    munger.set_part(targets.top(), targets.told());
                    let input = Input {
                        ssrc: *ssrc,
                        seq: name,
                        timestamp: *clock,
                        descriptor: &descriptor,
                    };
                    let out = munger.forward(&input, now).expect("it is forwarded");
                    let change = Change {
                        number: out.rewrite.frame_number.expect("it has one"),
                        active: out.active,
                    };
                    let mut written = [0xFF; 300];
                    let len = change.write(&value, &said, &mut written).expect("room");
                    let is_picture_end = is_last && frame.spatial + 1 == spatial;
                    let marker = is_picture_end || out.ends_picture;
                    decoder.take(out.seq.get(), marker, &written[..len]);
                }
            }
            let is_exact = !targets.needs_keyframe();
            assert!(!is_exact || targets.current() <= limit || munger.is_pending());
            if targets.needs_keyframe() && wanted.is_none() {
                wanted = Some(3);
            }
        }
    }
    let layers = usize::from(spatial * temporal);
    assert_eq!(decoder.layers.len(), layers, "each layer comes");
    (decoder.pictures, keys)
}

#[test]
fn frame_rates_come_and_go_without_keyframes() {
    for temporal in [2, 3] {
        let (pictures, keys) = run(1, temporal, Between::All);
        assert!(pictures > 5_000, "{pictures}");
        // One for each change of the source.
        assert!((30..80).contains(&keys), "{keys}");
    }
}

#[test]
fn picture_sizes_go_at_once_and_come_at_keyframes() {
    for (spatial, temporal) in [(2, 1), (2, 2), (3, 1), (3, 3)] {
        let (pictures, keys) = run(spatial, temporal, Between::All);
        assert!(pictures > 5_000, "{pictures}");
        assert!((100..800).contains(&keys), "{keys}");
    }
}

#[test]
fn picture_sizes_that_meet_at_keyframes_come_and_go_at_those() {
    for (spatial, temporal) in [(2, 1), (3, 1), (3, 3)] {
        let (pictures, keys) = run(spatial, temporal, Between::KeyPictures);
        assert!(pictures > 4_000, "{pictures}");
        assert!((100..1_000).contains(&keys), "{keys}");
    }
}

#[test]
fn streams_within_a_stream_are_changed_at_keyframes() {
    for (spatial, temporal) in [(2, 1), (3, 3)] {
        let (pictures, keys) = run(spatial, temporal, Between::Never);
        assert!(pictures > 4_000, "{pictures}");
        assert!((100..1_000).contains(&keys), "{keys}");
    }
}
