//! Descriptors of an encoder with two frame rates, and any bytes.

use super::*;

/// Writes bits, highest first.
#[derive(Default)]
struct Pen {
    bits: Vec<bool>,
}

impl Pen {
    fn put(&mut self, count: u32, value: u32) -> &mut Self {
        for at in (0..count).rev() {
            self.bits.push(value >> at & 1 == 1);
        }
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            let padded = (0..8).map(|at| bits.get(at).copied().unwrap_or(false));
            padded.fold(0, |byte, bit| byte << 1 | u8::from(bit))
        };
        self.bits.chunks(8).map(byte).collect()
    }
}

/// One spatial and two temporal layers: targets 0 (T0 and T1) and 1 (T0 alone).
fn two_rates() -> Vec<u8> {
    let mut pen = Pen::default();
    // First and last packet of frame 7 with template 5; a structure with offset 5 and two targets.
    pen.put(2, 3).put(6, 5).put(16, 7).put(5, 0b1_0000);
    pen.put(6, 5).put(5, 1);
    // Templates: key T0, delta T0, T1.
    pen.put(2, 0).put(2, 1).put(2, 3);
    // Indications: switch for both, switch for both, discardable for target 0 alone.
    pen.put(4, 0b1010).put(4, 0b1010).put(4, 0b0100);
    // References: none; 2 before; 1 before.
    pen.put(1, 0);
    pen.put(1, 1).put(4, 1).put(1, 0);
    pen.put(1, 1).put(4, 0).put(1, 0);
    // One chain: ns(3) of 1 is "10"; ns(1) takes nothing, and 4 bits per template.
    pen.put(2, 0b10);
    for distance in [0, 2, 1] {
        pen.put(4, distance);
    }
    // One resolution, 640 × 360.
    pen.put(1, 1).put(16, 639).put(16, 359);
    pen.bytes()
}

fn frame(number: u32, template: u32) -> Vec<u8> {
    let mut pen = Pen::default();
    pen.put(2, 3).put(6, template).put(16, number);
    pen.bytes()
}

#[test]
fn structures_and_frames_are_read() {
    let mut reader = Reader::new();
    assert_eq!(reader.read(&frame(6, 5)), None);
    let key = reader.read(&two_rates()).unwrap();
    assert!(key.has_structure && key.is_first && key.is_last);
    assert_eq!((key.number, key.present, key.switches), (7, 3, 3));
    let structure = reader.current().unwrap();
    assert_eq!(structure.heights(), [360, 0, 0, 0]);
    let at = |spatial, temporal| Layer { spatial, temporal };
    assert_eq!(structure.best(structure.within(Layer::HIGHEST)), Some(0));
    assert_eq!(structure.best(structure.within(at(0, 0))), Some(1));
    assert_eq!(structure.best(2), Some(1));
    assert_eq!(structure.layer(0), at(0, 1));
    let upper = reader.read(&frame(8, 7)).unwrap();
    assert_eq!((upper.layer, upper.present), (at(0, 1), 1));
    assert_eq!(upper.references, 1);
    let lower = reader.read(&frame(9, 6)).unwrap();
    assert_eq!((lower.present, lower.references), (3, 2));
    assert_eq!(reader.read_again(&frame(8, 7)), Some(upper));
    assert_eq!(reader.read(&frame(9, 40)), None);
}

#[test]
fn custom_references_and_active_targets_are_read() {
    let mut reader = Reader::new();
    reader.read(&two_rates()).unwrap();
    let mut pen = Pen::default();
    pen.put(2, 3).put(6, 6).put(16, 9).put(5, 0b0_1110);
    // Target 1 alone is active; indications for both; one reference 20 before.
    pen.put(2, 0b10).put(4, 0b0011);
    pen.put(2, 2).put(8, 19).put(2, 0);
    let read = reader.read(&pen.bytes()).unwrap();
    assert_eq!((read.active, read.present, read.switches), (2, 2, 0));
    assert_eq!(read.references, 1 << 19);
}

#[test]
fn a_receiver_is_told_its_numbers_and_what_it_gets() {
    let mut reader = Reader::new();
    let mut receiver = Reader::new();
    let mut pen = Pen::default();
    pen.put(2, 3).put(6, 6).put(16, 9).put(5, 0b0_1110);
    pen.put(2, 0b11)
        .put(4, 0b1011)
        .put(2, 2)
        .put(8, 19)
        .put(2, 0);
    let all = [two_rates(), frame(8, 7), pen.bytes()];
    for (value, active) in all.iter().zip([2, 1, 2]) {
        let said = reader.read(value).unwrap();
        for active in [0, active] {
            let change = Change {
                number: said.number.wrapping_add(65_530),
                active,
            };
            let mut out = [0xFF; 64];
            let len = change.write(value, &said, &mut out).unwrap();
            assert!(len <= value.len() + MAX_GROWTH);
            let told = receiver.read(&out[..len]).unwrap();
            assert_eq!(told.number, change.number);
            // Without a mask, the one before holds.
            if active > 0 || said.has_structure {
                let expected = if active == 0 {
                    said.active
                } else {
                    active.into()
                };
                assert_eq!(told.active, expected, "{value:x?}");
            }
            assert_eq!(
                (told.layer, told.present, told.switches, told.references),
                (said.layer, said.present, said.switches, said.references)
            );
            assert_eq!(change.write(value, &said, &mut out[..2]), None);
        }
    }
    assert_eq!(receiver.current().unwrap().heights(), [360, 0, 0, 0]);
}

#[test]
fn packets_of_before_a_keyframe_are_read_as_they_were() {
    let mut reader = Reader::new();
    let first = reader.read(&two_rates()).unwrap();
    let mut second = two_rates();
    (second[1], second[2]) = (0, 20);
    let key = reader.read(&second).unwrap();
    assert_ne!(first.epoch, key.epoch);
    let late = reader.read(&frame(19, 7)).unwrap();
    assert_eq!(late.epoch, first.epoch);
    assert!(reader.structure(late.epoch).is_some());
    assert_eq!(reader.read(&frame(21, 7)).unwrap().epoch, key.epoch);
    assert_eq!(reader.read_again(&two_rates()), Some(first));
    // However long the stream goes on, later frames are not taken for earlier ones.
    for number in (21..200_000u32).step_by(300) {
        let read = reader.read(&frame(number & 0xFFFF, 7)).unwrap();
        assert_eq!(read.epoch, key.epoch);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_read_can_be_written(
        first: Vec<u8>, second: Vec<u8>, number: u16, active: u16, room in 0usize..80
    ) {
        let mut reader = Reader::new();
        reader.read(&two_rates());
        for value in [&first, &second] {
            if let Some(said) = reader.read(value) {
                let mut out = vec![0; room];
                let change = Change { number, active };
                if let Some(len) = change.write(value, &said, &mut out) {
                    let told = reader.read_again(&out[..len]);
                    proptest::prop_assert!(told.is_none_or(|told| told.number == number));
                }
            }
        }
        reader.read_again(&first);
    }
}
