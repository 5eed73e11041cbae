//! Published test vectors and round trips over every profile.

use proptest::prelude::*;

use super::kdf::Protocol;
use super::transform::{GCM_TAG_LEN, Gcm, Transform};
use super::*;
use crate::header::{ExtensionWriter, Fields, Header};

/// Bytes of a hexadecimal string; blanks are ignored.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|d| u8::try_from(d).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

const RTP: &str = "8040f17b 8041f8d3 5501a0b2
    47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573";

fn keys(profile: Profile) -> (DirectionalKeys, DirectionalKeys) {
    let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
    (
        split_keying_material(profile, &material, true).unwrap(),
        split_keying_material(profile, &material, false).unwrap(),
    )
}

fn check_gcm_rtp(key: &str, expected: &str) {
    let gcm = Gcm::from_session(&hex(key), &hex("51756964 2070726f 2071756f"));
    let mut packet = hex(RTP);
    let mut tag = [0; GCM_TAG_LEN];
    let (header, text) = packet.split_at_mut(12);
    gcm.seal(
        gcm.rtp_nonce(0x5501_a0b2, 0, 0xf17b),
        header,
        text,
        &mut tag,
    )
    .unwrap();
    packet.extend(tag);
    assert_eq!(packet, hex(expected));
}

#[test]
fn gcm_128_seals_as_rfc_7714_16_1_1() {
    check_gcm_rtp(
        "000102030405060708090a0b0c0d0e0f",
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f
         42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
}

#[test]
fn gcm_256_seals_as_rfc_7714_16_2_1() {
    check_gcm_rtp(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3
         b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    );
}

#[test]
fn gcm_128_seals_rtcp_as_rfc_7714_17_1() {
    let gcm = Gcm::from_session(
        &hex("000102030405060708090a0b0c0d0e0f"),
        &hex("51756964 2070726f 2071756f"),
    );
    let mut packet = hex(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
        deadbeef deadbeef deadbeef deadbeef deadbeef",
    );
    let aad = sealer::rtcp_aad(&packet, [0x80, 0, 0x05, 0xd4]).unwrap();
    let mut tag = [0; GCM_TAG_LEN];
    gcm.seal(
        gcm.rtcp_nonce(0x4d61_7273, 0x5d4),
        &aad,
        &mut packet[8..],
        &mut tag,
    )
    .unwrap();
    packet.extend(tag);
    packet.extend([0x80, 0, 0x05, 0xd4]);
    assert_eq!(
        packet,
        hex(
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1
             730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4"
        )
    );
}

impl Gcm {
    fn from_session(key: &[u8], salt: &[u8]) -> Self {
        use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        Self::from_parts(
            LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap()),
            salt.try_into().unwrap(),
        )
    }
}

/// A packet of the widely used SRTP reference test: master key of RFC 3711 B.3, 16 bytes of 0xAB.
#[test]
fn aes_cm_seals_the_reference_packet() {
    let master = MasterKey::new(
        Profile::Aes128CmSha1_80,
        &hex("e1f97a0d3e018be0d64fa32c06de4139"),
        &hex("0ec675ad498afeebb6960b3aabe6"),
    )
    .unwrap();
    let mut packet = hex("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    packet.resize(28 + 10, 0);
    let sealed = Sealer::new(&master)
        .unwrap()
        .seal_rtp(0, 12, &mut packet, 28)
        .unwrap();
    assert_eq!(sealed, 38);
    assert_eq!(
        packet,
        hex(
            "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb"
        )
    );
}

#[test]
fn key_material_is_split_client_first() {
    for profile in Profile::ALL {
        let (client, server) = keys(profile);
        assert_eq!(client.local.key(), server.remote.key());
        assert_eq!(client.remote.key(), server.local.key());
        assert_eq!(client.local.key()[0], 0);
        assert_eq!(client.remote.key()[0] as usize, profile.key_len());
        assert_eq!(client.local.salt()[0] as usize, 2 * profile.key_len());
        assert_eq!(
            client.remote.salt()[0] as usize,
            2 * profile.key_len() + profile.salt_len()
        );
        let short = vec![0; profile.keying_material_len() - 1];
        assert!(split_keying_material(profile, &short, true).is_err());
        assert_eq!(Profile::from_sdes_name(profile.sdes_name()), Some(profile));
        if let Some(id) = profile.dtls_id() {
            assert_eq!(Profile::from_dtls_id(id), Some(profile));
        }
    }
}

fn rtp(ssrc: u32, seq: u16, payload: &[u8]) -> (Vec<u8>, usize) {
    let mut buf = vec![0; 64];
    let fields = Fields {
        marker: false,
        payload_type: 96,
        sequence_number: seq,
        timestamp: 9,
        ssrc,
    };
    let mut writer = ExtensionWriter::new(&mut buf, &fields).unwrap();
    writer.push(1, &[1, 2]).unwrap();
    let len = writer.finish();
    buf.truncate(len);
    buf.extend(payload);
    (buf, len)
}

fn sealed(sealer: &Sealer, roc: u32, ssrc: u32, seq: u16, payload: &[u8]) -> Vec<u8> {
    let (mut packet, header_len) = rtp(ssrc, seq, payload);
    let plain_len = packet.len();
    packet.resize(plain_len + MAX_RTP_OVERHEAD, 0);
    let len = sealer
        .seal_rtp(roc, header_len, &mut packet, plain_len)
        .unwrap();
    packet.truncate(len);
    packet
}

fn open(opener: &mut Opener, mut packet: Vec<u8>) -> Result<(u64, Vec<u8>), SrtpError> {
    let header = Header::parse(&packet).unwrap();
    let opened = opener.open_rtp(&mut packet, &header)?;
    Ok((
        opened.seq.get(),
        packet[header.len()..opened.plain_len].to_vec(),
    ))
}

#[test]
fn streams_survive_wraps_losses_and_reordering_in_every_profile() {
    for profile in Profile::ALL {
        let (client, server) = keys(profile);
        let sealer = Sealer::new(&client.local).unwrap();
        let mut opener = Opener::new(&server.remote).unwrap();
        let mut roc = RocSender::new();
        for (seq, wraps) in [
            (65_530u16, 0u32),
            (65_535, 0),
            (65_533, 0),
            (1, 1),
            (65_534, 0),
            (0, 1),
            (900, 1),
        ] {
            assert_eq!(roc.roc_for(seq), wraps, "{seq}");
            let packet = sealed(&sealer, wraps, 42, seq, &[seq as u8; 33]);
            assert_eq!(packet.len(), 20 + 33 + profile.rtp_tag_len());
            let (index, payload) = open(&mut opener, packet.clone()).unwrap();
            assert_eq!(index, (u64::from(wraps) << 16) | u64::from(seq));
            assert_eq!(payload, vec![seq as u8; 33]);
            assert_eq!(open(&mut opener, packet), Err(SrtpError::Replayed));
        }
        assert_eq!(roc.roc_for(30_000), 1);
        assert!(open(&mut opener, sealed(&sealer, 1, 42, 30_000, b"x")).is_ok());
        assert_eq!(
            open(&mut opener, sealed(&sealer, 1, 42, 7, b"x")),
            Err(SrtpError::TooOld)
        );
    }
}

#[test]
fn sealing_from_elsewhere_equals_sealing_in_place() {
    for profile in Profile::ALL {
        let sealer = Sealer::new(&keys(profile).0.local).unwrap();
        let payload: Vec<u8> = (0..200).collect();
        let in_place = sealed(&sealer, 3, 9, 77, &payload);
        let (header, header_len) = rtp(9, 77, &[]);
        let mut buf = [0; 300];
        buf[..header_len].copy_from_slice(&header);
        let len = sealer
            .seal_rtp_from(3, header_len, &payload, &mut buf)
            .unwrap();
        assert_eq!(&buf[..len], in_place);
        assert_eq!(
            sealer.seal_rtp_from(3, header_len, &payload, &mut buf[..230 - 11]),
            Err(SrtpError::BufferFull)
        );
    }
}

#[test]
fn forged_packets_are_refused_and_change_nothing() {
    for profile in Profile::ALL {
        let (client, server) = keys(profile);
        let sealer = Sealer::new(&client.local).unwrap();
        let mut opener = Opener::new(&server.remote).unwrap();
        open(&mut opener, sealed(&sealer, 0, 1, 100, b"first")).unwrap();
        let good = sealed(&sealer, 0, 1, 101, b"second");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x04;
            let Ok(header) = Header::parse(&bad) else {
                continue;
            };
            assert!(
                opener.open_rtp(&mut bad, &header).is_err(),
                "{profile:?} byte {at}"
            );
        }
        // A forgery far ahead must not drag the rollover counter along.
        let mut ahead = sealed(&sealer, 0, 1, 32_000, b"x");
        *ahead.last_mut().unwrap() ^= 1;
        assert_eq!(open(&mut opener, ahead), Err(SrtpError::Authentication));
        assert_eq!(open(&mut opener, good).unwrap().1, b"second");
        assert_eq!(format!("{opener:?}").matches("rtp_sources: 1").count(), 1);
    }
}

#[test]
fn sources_are_capped_and_can_be_forgotten() {
    let (client, server) = keys(Profile::AeadAes128Gcm);
    let sealer = Sealer::new(&client.local).unwrap();
    let mut opener = Opener::new(&server.remote).unwrap();
    for ssrc in 0..MAX_SOURCES as u32 {
        open(&mut opener, sealed(&sealer, 0, ssrc, 1, b"x")).unwrap();
    }
    let next = sealed(&sealer, 0, 9_999, 1, b"x");
    assert_eq!(
        open(&mut opener, next.clone()),
        Err(SrtpError::TooManySources)
    );
    opener.forget(5);
    assert!(open(&mut opener, next).is_ok());
}

#[test]
fn rtcp_is_protected_in_every_profile() {
    for profile in Profile::ALL {
        let (client, server) = keys(profile);
        let mut sealer = Sealer::new(&client.local).unwrap();
        let mut opener = Opener::new(&server.remote).unwrap();
        let plain = hex("80c90001 00000007 81ca0003 00000007 01036162 63000000");
        for _ in 0..3 {
            let mut packet = plain.clone();
            packet.resize(plain.len() + MAX_RTCP_OVERHEAD, 0);
            let len = sealer.seal_rtcp(&mut packet, plain.len()).unwrap();
            packet.truncate(len);
            assert_eq!(len, plain.len() + profile.rtcp_tag_len() + 4);
            assert_ne!(packet[8..plain.len()], plain[8..]);
            for at in 0..len {
                let mut bad = packet.clone();
                bad[at] ^= 0x10;
                assert!(opener.open_rtcp(&mut bad).is_err(), "{profile:?} byte {at}");
            }
            let mut copy = packet.clone();
            let opened = opener.open_rtcp(&mut packet).unwrap();
            assert_eq!(packet[..opened], plain);
            assert_eq!(opener.open_rtcp(&mut copy), Err(SrtpError::Replayed));
        }
        assert_eq!(
            sealer.seal_rtcp(&mut plain.clone(), plain.len()),
            Err(SrtpError::BufferFull)
        );
    }
}

#[test]
fn unencrypted_but_authentic_rtcp_is_accepted() {
    let (_, server) = keys(Profile::AeadAes128Gcm);
    let Transform::Gcm(gcm) = Transform::new(&server.remote, Protocol::Rtcp).unwrap() else {
        panic!("a GCM profile")
    };
    let plain = hex("80c90001 00000007");
    let trailer = [0, 0, 0, 9];
    let mut tag = [0; GCM_TAG_LEN];
    let aad = [&plain[..], &trailer].concat();
    gcm.seal(gcm.rtcp_nonce(7, 9), &aad, &mut [], &mut tag)
        .unwrap();
    let mut packet = [&plain[..], &tag, &trailer].concat();
    let mut opener = Opener::new(&server.remote).unwrap();
    assert_eq!(opener.open_rtcp(&mut packet), Ok(8));
    assert_eq!(packet[..8], plain);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), which in 0usize..6) {
        let (_, server) = keys(Profile::ALL[which]);
        let mut opener = Opener::new(&server.remote).unwrap();
        prop_assert!(opener.open_rtcp(&mut bytes.clone()).is_err());
        let mut bytes = bytes;
        if bytes.len() > 12 {
            bytes[0] = 0x80;
            if let Ok(header) = Header::parse(&bytes) {
                prop_assert!(opener.open_rtp(&mut bytes, &header).is_err());
                prop_assert!(opener.open_rtp(&mut [], &header).is_err());
            }
        }
    }
}
