//! Headers in both forms, damaged ones, and any bytes.

use super::*;
use proptest::prelude::*;

fn fields() -> Fields {
    Fields {
        marker: true,
        payload_type: 96,
        sequence_number: 0xFFFE,
        timestamp: 7,
        ssrc: 0xDEAD_BEEF,
    }
}

#[test]
fn written_headers_read_back_with_their_extensions() {
    let mut buf = [0xFF; 64];
    let mut writer = ExtensionWriter::new(&mut buf, &fields()).unwrap();
    writer.push(3, &[1, 2, 3]).unwrap();
    writer.push(14, &[9; 16]).unwrap();
    assert_eq!(writer.push(15, &[0]), Err(WriteError::Unfit));
    assert_eq!(writer.push(1, &[]), Err(WriteError::Unfit));
    let len = writer.finish();
    assert_eq!(len, 12 + 4 + 24);
    let header = Header::parse(&buf[..len + 5]).unwrap();
    assert!(header.marker);
    assert_eq!(header.sequence_number, 0xFFFE);
    assert_eq!(header.ssrc, 0xDEAD_BEEF);
    assert_eq!(header.len(), len);
    let found: Vec<_> = header.extensions(&buf).collect();
    assert_eq!(found, vec![(3, &[1, 2, 3][..]), (14, &[9; 16][..])]);
    assert_eq!(header.extensions(&buf).find(14), Some(&[9; 16][..]));
}

proptest! {
    #[test]
    fn short_headers_are_those_that_elements_one_by_one_make(
        word in 0u8..15, value in any::<u16>(), first in 0u8..15, second in 0u8..15, byte in any::<u8>(),
        marker in any::<bool>(),
    ) {
        let fields = Fields { marker, ..fields() };
        let mut buf = [0xFF; 64];
        let mut writer = ExtensionWriter::new(&mut buf, &fields).unwrap();
        for (id, value) in [(word, &value.to_be_bytes()[..]), (first, &[byte]), (second, &[7])] {
            if id != 0 {
                writer.push(id, value).unwrap();
            }
        }
        let len = writer.finish();
        let block = ShortBlock::default()
            .with_word(word, value)
            .with_byte(first, byte)
            .with_byte(second, 7);
        let mut short = [0xEE; Fields::SHORT_ROOM];
        prop_assert_eq!(fields.write_short(&mut short, block), Some(len));
        prop_assert_eq!(&short[..len], &buf[..len]);
        // What finds no room, or cannot be named, changes nothing.
        prop_assert_eq!(block.with_word(15, 1), block);
        let full = block.with_word(1, 1).with_word(1, 1).with_byte(1, 1);
        prop_assert_eq!(full.with_word(1, 1), full);
        prop_assert_eq!(fields.write_short(&mut short[1..], block), None);
    }
}

#[test]
fn two_byte_extensions_are_read_with_empty_values_and_padding() {
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x05, 0, 2];
    packet.extend([20, 0, 0, 21, 2, 7, 8, 0]);
    let header = Header::parse(&packet).unwrap();
    let found: Vec<_> = header.extensions(&packet).collect();
    assert_eq!(found, vec![(20, &[][..]), (21, &[7, 8][..])]);
}

#[test]
fn identifier_fifteen_ends_a_one_byte_block() {
    let all: Vec<_> = Extensions::new(ONE_BYTE_PROFILE, &[0x10, 5, 0xF0, 1, 0x20, 6]).collect();
    assert_eq!(all, vec![(1, &[5][..])]);
}

#[test]
fn padding_is_taken_off_the_payload_and_bad_counts_are_refused() {
    let mut packet = vec![0xA0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 0, 2];
    let header = Header::parse(&packet).unwrap();
    assert_eq!(header.payload(&packet), Ok(&[1, 2][..]));
    packet[15] = 5;
    assert_eq!(header.payload(&packet), Err(ParseError::Padding));
    packet[15] = 0;
    assert_eq!(header.payload(&packet), Err(ParseError::Padding));
    packet[15] = 4;
    assert_eq!(header.payload(&packet), Ok(&[][..]));
}

#[test]
fn a_full_buffer_refuses_the_extension_and_keeps_the_header() {
    let mut buf = [0; 17];
    let mut writer = ExtensionWriter::new(&mut buf, &fields()).unwrap();
    assert_eq!(writer.push(1, &[1]), Err(WriteError::BufferFull));
    assert_eq!(writer.finish(), 12);
    assert!(Header::parse(&buf[..12]).unwrap().extension.is_none());
    assert!(ExtensionWriter::new(&mut [0; 11], &fields()).is_err());
}

#[test]
fn datagrams_are_told_apart_by_their_first_bytes() {
    assert_eq!(Kind::of(&[0, 1]), Kind::Stun);
    assert_eq!(Kind::of(&[22, 254]), Kind::Dtls);
    assert_eq!(Kind::of(&[0x80, 200]), Kind::Rtcp);
    assert_eq!(Kind::of(&[0x80, 0xE0]), Kind::Rtp);
    assert_eq!(Kind::of(&[0x80]), Kind::Unknown);
    assert_eq!(Kind::of(&[]), Kind::Unknown);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), force in any::<bool>()) {
        let mut bytes = bytes;
        if force && !bytes.is_empty() {
            bytes[0] = 0x80 | (bytes[0] & 0x3F);
        }
        if let Ok(header) = Header::parse(&bytes) {
            let _ = header.payload(&bytes);
            prop_assert!(header.extensions(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn any_elements_survive_the_round_trip(
        elements in proptest::collection::vec((1u8..15, proptest::collection::vec(any::<u8>(), 1..17)), 0..8),
        large in proptest::collection::vec((1u8.., proptest::collection::vec(any::<u8>(), 0..60)), 0..4),
    ) {
        for (form, elements) in [(Form::OneByte, &elements), (Form::TwoByte, &large)] {
            let mut buf = [0xAA; 288];
            let mut writer = ExtensionWriter::with_form(&mut buf, &fields(), form).unwrap();
            for (id, value) in elements {
                writer.push(*id, value).unwrap();
            }
            let len = writer.finish();
            let header = Header::parse(&buf[..len]).unwrap();
            let found: Vec<_> = header.extensions(&buf[..len]).map(|(id, v)| (id, v.to_vec())).collect();
            prop_assert_eq!(&found, elements);
        }
    }
}
