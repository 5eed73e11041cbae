//! Whatever strangers send, the shard stays up and the call goes on.

use super::support::*;
use aws_lc_rs::hmac;
use is::stun::{StunMessage, TransId};
use proptest::prelude::*;
use std::net::SocketAddr;
use str0m::media::{Direction, MediaKind as RtcKind};

fn stranger(number: u32) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    SocketAddr::from(([172, 16 + b % 16, c, d], 1_024 + (number % 60_000) as u16))
}

/// A call under way, and a check at the end that nobody in it noticed anything.
fn undisturbed(seed: u64, attack: impl FnOnce(&mut World, usize)) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(1));
    attack(&mut world, publisher);
    world.run(secs(1));
    assert!(world.strays.is_empty(), "strangers get no answer");
    let until = world.now - millis(100);
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    let received = &world.peers[viewer].video;
    assert_eq!(received.missing(1, camera, until), [0u32; 0]);
    assert_eq!(received.gaps(), [0u64; 0]);
    assert_eq!(received.repeats(), 0);
    received.decoded();
    assert!(world.is_connected(publisher) && world.is_connected(viewer));
    assert_eq!(world.shard.metrics().endpoints_connected, 2);
}

#[test]
fn datagrams_of_every_first_byte_are_refused() {
    undisturbed(81, |world, publisher| {
        let before = world.shard.metrics().datagrams_refused;
        let peer = world.peers[publisher].addr;
        let mut dice = Dice(81);
        let mut sent = 0;
        for first in 0..=255u8 {
            for length in [1usize, 2, 4, 11, 12, 13, 20, 28, 100, 1_200] {
                let mut datagram: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
                datagram[0] = first;
                world.inject(stranger(u32::from(first)), &datagram);
                sent += 1;
                // From the publisher's own address only what is not DTLS: records are DTLS's to judge.
                if !(20..=63).contains(&first) {
                    world.inject(peer, &datagram);
                    sent += 1;
                }
            }
        }
        assert_eq!(world.shard.metrics().datagrams_refused - before, sent);
    });
}

#[test]
fn forged_dtls_records_end_nobodys_session() {
    undisturbed(82, |world, publisher| {
        let peer = world.peers[publisher].addr;
        let mut dice = Dice(82);
        for round in 0..500u32 {
            let length = 13 + dice.below(200) as usize;
            let mut datagram: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
            // Change cipher spec, alert, handshake, application data; DTLS 1.2; any epoch.
            datagram[0] = 20 + (round % 4) as u8;
            datagram[1..3].copy_from_slice(&[254, 253]);
            datagram[3..5].copy_from_slice(&[0, (round / 4 % 2) as u8]);
            let body = (length - 13) as u16;
            datagram[11..13].copy_from_slice(&body.to_be_bytes());
            world.inject(peer, &datagram);
            world.inject(stranger(round), &datagram);
        }
        // A fatal alert in the clear.
        let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
        world.inject(peer, &alert);
        world.inject(stranger(1), &alert);
    });
}

/// Takes what is written and gives nothing.
#[derive(Debug)]
struct Tape<'a>(&'a mut Vec<Vec<u8>>);

impl std::io::Read for Tape<'_> {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::WouldBlock.into())
    }
}

impl std::io::Write for Tape<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_client_hello_from_a_stranger_is_not_answered() {
    undisturbed(83, |world, _| {
        let context = openssl::ssl::SslContext::builder(openssl::ssl::SslMethod::dtls_client())
            .expect("OpenSSL")
            .build();
        let mut flight = Vec::new();
        let wire = Tape(&mut flight);
        let ssl = openssl::ssl::Ssl::new(&context).expect("a session");
        assert!(ssl.connect(wire).is_err(), "nobody answers");
        assert!(!flight.is_empty());
        for record in flight {
            world.inject(stranger(7), &record);
        }
    });
}

#[test]
fn checks_with_a_wrong_password_or_cut_off_are_refused() {
    undisturbed(84, |world, _| {
        let ufrag = world.sdp_line(0, false, "a=ice-ufrag:");
        let username = format!("{ufrag}:them");
        let mut buffer = vec![0u8; 512];
        let check = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, false);
        let sha1 = |_: &[u8], _: &[&[u8]]| [7u8; 20];
        let length = check
            .to_bytes(Some(b"wrong password wrong pass"), &mut buffer, sha1)
            .expect("a check");
        let before = world.shard.metrics().datagrams_refused;
        for cut in 1..=length {
            world.inject(stranger(9), &buffer[..cut]);
        }
        assert_eq!(
            world.shard.metrics().datagrams_refused - before,
            length as u64
        );
    });
}

#[test]
fn replayed_and_forged_packets_are_forwarded_to_nobody() {
    let mut world = World::new(85);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.peers[publisher].is_taped = true;
    world.run(secs(1));
    let addr = world.peers[publisher].addr;
    let tape = std::mem::take(&mut world.peers[publisher].tape);
    let protected: Vec<Vec<u8>> = tape
        .into_iter()
        .filter(|datagram| (128..192).contains(&datagram[0]))
        .collect();
    assert!(protected.len() > 100);
    world.run(millis(50));
    let before = world.shard.metrics();
    for datagram in &protected {
        world.inject(addr, datagram);
        world.inject(stranger(3), datagram);
        let mut forged = datagram.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        world.inject(addr, &forged);
        // A sequence number far ahead must not move the replay window either.
        let mut ahead = datagram.clone();
        ahead[2] ^= 0x40;
        world.inject(addr, &ahead);
        world.inject(addr, &datagram[..datagram.len() / 2]);
    }
    let after = world.shard.metrics();
    let refused = after.datagrams_refused - before.datagrams_refused;
    assert_eq!(refused, 5 * protected.len() as u64);
    assert_eq!(after.rtp_forwarded, before.rtp_forwarded);
    assert_eq!(after.rtp_received, before.rtp_received);
    world.run(secs(1));
    let until = world.now - millis(100);
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    let received = &world.peers[viewer].video;
    assert_eq!(received.missing(1, camera, until), [0u32; 0]);
    assert_eq!(received.repeats(), 0);
}

#[test]
fn a_flood_from_spoofed_addresses_leaves_no_trace() {
    undisturbed(86, |world, _| {
        let ufrag = world.sdp_line(0, false, "a=ice-ufrag:");
        let mut buffer = vec![0u8; 512];
        let username = format!("{ufrag}:them");
        let check = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, false);
        let sha1 = |_: &[u8], _: &[&[u8]]| [7u8; 20];
        let length = check
            .to_bytes(Some(b"wrong password wrong pass"), &mut buffer, sha1)
            .expect("a check");
        let datagrams: [&[u8]; 4] = [
            &buffer[..length],
            &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
            &[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4],
            &[0x80, 200, 0, 6, 0, 0, 0, 1],
        ];
        let before = world.shard.metrics().datagrams_refused;
        for number in 0..100_000u32 {
            let mut bytes = datagrams[number as usize % 4].to_vec();
            let now = world.now;
            world.shard.handle_datagram(
                salono_media_core::SocketId(0),
                stranger(number),
                &mut bytes,
                now,
            );
            assert!(world.shard.egress().is_empty());
        }
        world.shard.flush(world.now);
        world.collect();
        assert_eq!(world.shard.metrics().datagrams_refused - before, 100_000);
    });
}

#[test]
fn a_peer_that_checks_from_thousands_of_addresses_is_bounded() {
    let mut world = World::new(89);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(1));
    let local = world.sdp_line(publisher, false, "a=ice-ufrag:");
    let remote = world.sdp_line(publisher, true, "a=ice-ufrag:");
    let password = world.sdp_line(publisher, false, "a=ice-pwd:");
    let username = format!("{local}:{remote}");
    let hmac = |key: &[u8], parts: &[&[u8]]| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let tag = hmac::sign(&key, &parts.concat());
        <[u8; 20]>::try_from(tag.as_ref()).expect("SHA-1")
    };
    let mut buffer = vec![0u8; 512];
    for number in 0..2_000 {
        let check = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, false);
        let length = check
            .to_bytes(Some(password.as_bytes()), &mut buffer, hmac)
            .expect("a check");
        world.inject(stranger(number), &buffer[..length]);
    }
    world.run(secs(1));
    let settled = world.strays.len();
    world.run(secs(10));
    let sent = world.strays.len() - settled;
    assert!(sent < 2_000, "{sent} checks to strangers in 10 s");
    assert!(world.shard_says_connected(publisher));
    let until = world.now - millis(100);
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    let received = &world.peers[viewer].video;
    assert_eq!(received.missing(1, camera, until), [0u32; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        rng_seed: proptest::test_runner::RngSeed::Fixed(87),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_datagram_makes_a_shard_panic(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20),
    ) {
        thread_local! {
            static WORLD: std::cell::RefCell<Option<World>> = const { std::cell::RefCell::new(None) };
        }
        WORLD.with_borrow_mut(|world| {
            let world = world.get_or_insert_with(|| {
                let mut world = World::new(87);
                world.join_connected(Wish { data: true, ..Wish::both() });
                world
            });
            let peer = world.peers[0].addr;
            for datagram in &datagrams {
                world.inject(peer, datagram);
                world.inject(stranger(5), datagram);
            }
            world.run(millis(20));
            prop_assert_eq!(world.shard.metrics().endpoints_connected, 1);
            Ok(())
        })?;
    }

    #[test]
    fn no_description_makes_a_shard_panic(
        cuts in prop::collection::vec((0usize..400, any::<u8>(), any::<char>()), 0..12),
    ) {
        let mut world = World::new(88);
        let index = world.add_peer(&Wish::both(), salono_media_api::WebRtcSpec {
            data_channels: true,
            ..salono_media_api::WebRtcSpec::default()
        });
        let element = world.element(index);
        let mut change = world.peers[index].rtc.sdp_api();
        for kind in [RtcKind::Audio, RtcKind::Video] {
            change.add_media(kind, Direction::SendRecv, None, None, None);
        }
        change.add_channel("any".into());
        let offer = change.apply().expect("an offer").0.to_sdp_string();
        let mut lines: Vec<String> = offer.lines().map(str::to_owned).collect();
        for (at, what, letter) in cuts {
            let at = at % lines.len();
            match what % 4 {
                0 => { lines.remove(at); }
                1 => { let line = lines[at].clone(); lines.push(line); }
                2 => {
                    let middle = lines[at].chars().count() / 2;
                    let line: String = lines[at].chars().take(middle).chain([letter]).collect();
                    lines[at] = line;
                }
                _ => { let other = usize::from(what) % lines.len(); lines.swap(at, other); }
            }
            if lines.is_empty() { lines.push("v=0".into()); }
        }
        let sdp = lines.join("\r\n") + "\r\n";
        let _ = world.ask(|token| salono_media_api::Op::ProcessOffer { token, element, sdp });
        let _ = world.ask(|token| salono_media_api::Op::GatherCandidates { token, element });
        world.shard.handle_timeout(world.now + secs(1));
    }
}
