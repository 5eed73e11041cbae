//! A thousand changes of layer: whatever a receiver gets can be decoded, and its numbers are those of one stream.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use salono_rtp::codec::{Codec, Descriptor, PictureId};
use salono_rtp::layers::{Layer, Selector, Verdict};
use salono_rtp::munge::{Input, Munger};
use salono_rtp::seq::ExtSeq;

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

/// Which spatial layers are predicted from each other.
#[derive(Clone, Copy, PartialEq)]
enum Between {
    All,
    KeyPictures,
}

/// Picture and spatial layer.
type Name = (u64, u8);

/// A frame of a layered encoder.
struct Frame {
    name: Name,
    needs: Vec<Name>,
    descriptor: Descriptor,
    packets: u64,
}

/// An encoder with three temporal layers and some spatial ones.
struct Encoder {
    codec: Codec,
    spatial: u8,
    between: Between,
    picture: u64,
    since_key: u64,
    tl0: u8,
    /// Newest picture of each temporal layer.
    newest: [u64; 3],
}

impl Encoder {
    fn new(codec: Codec, spatial: u8, between: Between) -> Self {
        Self {
            codec,
            spatial,
            between,
            picture: 0,
            since_key: 0,
            tl0: 0,
            newest: [0; 3],
        }
    }

    fn encode(&mut self, is_key: bool, dice: &mut Dice) -> Vec<Frame> {
        self.picture += 1;
        self.since_key = if is_key { 0 } else { self.since_key + 1 };
        let (temporal, is_point) =
            [(0, false), (2, true), (1, true), (2, false)][self.since_key as usize % 4];
        let before = match (is_key, self.since_key % 4) {
            (true, _) => None,
            (false, 3) => Some(self.newest[1]),
            (false, _) => Some(self.newest[0]),
        };
        self.newest[temporal as usize] = self.picture;
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let joins = is_key || self.between == Between::All;
        (0..self.spatial)
            .map(|spatial| {
                let mut needs: Vec<Name> = before.iter().map(|of| (*of, spatial)).collect();
                if spatial > 0 && joins {
                    needs.push((self.picture, spatial - 1));
                }
                let layered = self.codec == Codec::Vp9;
                Frame {
                    name: (self.picture, spatial),
                    needs,
                    descriptor: Descriptor {
                        is_keyframe_start: is_key && spatial == 0,
                        is_frame_start: true,
                        picture_id: Some(PictureId {
                            value: (self.picture & 0x7FFF) as u16,
                            is_long: true,
                        }),
                        tl0_picture_index: Some(self.tl0),
                        temporal_layer: Some(temporal),
                        spatial_layer: layered.then_some(spatial),
                        is_switching_point: is_point,
                        is_inter_predicted: !is_key,
                        is_inter_layer: spatial > 0 && joins,
                        is_unused_above: spatial + 1 == self.spatial || !joins,
                        ..Descriptor::default()
                    },
                    packets: 1 + dice.below(3),
                }
            })
            .collect()
    }
}

/// What a receiver sees, judged packet by packet.
#[derive(Default)]
struct Decoder {
    decoded: BTreeSet<Name>,
    seq: Option<u64>,
    picture: Option<u16>,
    tl0: Option<u8>,
    /// The last packet ended a picture.
    is_ended: bool,
    pictures: u64,
}

/// Forwards a thousand stretches with a target each; returns how many pictures came and how many keyframes it took.
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
fn run(codec: Codec, spatial: u8, between: Between) -> (u64, u64) {
    let start = Instant::now();
    let mut dice = Dice(u64::from(spatial) + 7);
    let mut encoder = Encoder::new(codec, spatial, between);
    let (mut selector, mut munger) = (Selector::new(), Munger::new(codec, 90_000, 0x7FF0, 5));
    let mut decoder = Decoder {
        is_ended: true,
        ..Decoder::default()
    };
    munger.switch(1);
    let (mut seq, mut keys, mut wanted) = (0u64, 0, Some(0));
    for _ in 0..1_000 {
        selector.set_target(Layer {
            spatial: dice.below(u64::from(spatial)) as u8,
            temporal: dice.below(3) as u8,
        });
        for _ in 0..4 + dice.below(20) {
            // A keyframe takes a while to come.
            let is_key = wanted.is_some_and(|left: u32| left == 0);
            wanted = wanted.and_then(|left| left.checked_sub(1));
            keys += u64::from(is_key);
            let frames = encoder.encode(is_key, &mut dice);
            let now = start + Duration::from_millis(33 * encoder.picture);
            let timestamp = (encoder.picture * 2_970) as u32;
            let last = frames.len() - 1;
            for (at, frame) in frames.iter().enumerate() {
                let mut is_forwarded = false;
                for packet in 0..frame.packets {
                    seq += 1;
                    let is_last = packet + 1 == frame.packets;
                    let descriptor = Descriptor {
                        is_keyframe_start: frame.descriptor.is_keyframe_start && packet == 0,
                        is_frame_start: packet == 0,
                        is_frame_end: is_last && codec == Codec::Vp9,
                        ..frame.descriptor
                    };
                    let name = ExtSeq::new(seq);
                    if munger.is_pending() && descriptor.is_keyframe_start {
                        selector.restart();
                    }
                    if selector.take(timestamp, &descriptor) == Verdict::LeaveOut {
                        let picture = descriptor.picture_id.map(|id| id.value);
                        let picture = picture.filter(|_| codec.closes_picture_gaps());
                        munger.leave_out(1, name, picture);
                        continue;
                    }
                    munger.set_part(selector.top(), 0);
                    let input = Input {
                        ssrc: 1,
                        seq: name,
                        timestamp,
                        descriptor: &descriptor,
                    };
                    let out = munger.forward(&input, now).expect("it is forwarded");
                    is_forwarded = true;
                    let marker = (is_last && at == last) || out.ends_picture;
                    assert!(decoder.seq.is_none_or(|seq| seq + 1 == out.seq.get()));
                    decoder.seq = Some(out.seq.get());
                    let picture = out.rewrite.picture_id;
                    if decoder.is_ended {
                        decoder.pictures += 1;
                        let gap = picture
                            .zip(decoder.picture)
                            .map(|(new, old)| new.wrapping_sub(old) & 0x7FFF);
                        match codec {
                            Codec::Vp8 => assert!(gap.is_none_or(|gap| gap == 1), "{gap:?}"),
                            Codec::Opaque | Codec::Vp9 | Codec::H264 | Codec::H265 | Codec::Av1 => {
                                assert!(gap.is_none_or(|gap| (1..=4).contains(&gap)), "{gap:?}")
                            }
                        }
                        let step = u8::from(descriptor.temporal_layer == Some(0));
                        let tl0 = decoder.tl0.map(|tl0| tl0.wrapping_add(step));
                        assert!(tl0.is_none() || tl0 == out.rewrite.tl0_picture_index);
                    } else {
                        assert_eq!(decoder.picture, picture, "a picture has ended unmarked");
                    }
                    decoder.picture = picture;
                    decoder.tl0 = out.rewrite.tl0_picture_index;
                    decoder.is_ended = marker;
                }
                if is_forwarded {
                    for needed in &frame.needs {
                        assert!(
                            decoder.decoded.contains(needed),
                            "{:?} lacks {needed:?}",
                            frame.name
                        );
                    }
                    decoder.decoded.insert(frame.name);
                }
            }
            if selector.needs_keyframe() && wanted.is_none() {
                wanted = Some(3);
            }
        }
    }
    (decoder.pictures, keys)
}

#[test]
fn temporal_layers_of_vp8_come_and_go_without_keyframes() {
    let (pictures, keys) = run(Codec::Vp8, 1, Between::All);
    assert!(pictures > 5_000, "{pictures}");
    assert_eq!(keys, 1);
}

#[test]
fn layers_of_vp9_come_and_go_and_the_picture_is_always_ended() {
    let (pictures, keys) = run(Codec::Vp9, 3, Between::All);
    assert!(pictures > 5_000, "{pictures}");
    assert!((100..1_000).contains(&keys), "{keys}");
}

#[test]
fn layers_of_vp9_that_meet_at_keyframes_only_come_and_go_at_those() {
    let (pictures, keys) = run(Codec::Vp9, 3, Between::KeyPictures);
    assert!(pictures > 5_000, "{pictures}");
    assert!((100..1_000).contains(&keys), "{keys}");
}
