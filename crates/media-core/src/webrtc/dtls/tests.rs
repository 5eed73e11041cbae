//! Two sessions over a path that loses what a test wants to be lost, in virtual time.

use super::*;
use crate::certificate::Certificate;
use openssl::ssl::{SslContext, SslMethod, SslVerifyMode};
use salono_media_api::CertificateKind;

/// One way.
const LATENCY: Duration = Duration::from_millis(20);

/// The other side's certificate and the keys.
type Connected = (Vec<u8>, Option<(Profile, Vec<u8>)>);

struct Wire {
    now: Instant,
    sides: [Dtls; 2],
    under_way: Vec<(Instant, usize, Vec<u8>)>,
    /// Whether the n-th datagram from a side is lost.
    loses: Box<dyn FnMut(usize, usize) -> bool>,
    sent: [usize; 2],
    connected: [Option<Connected>; 2],
    data: [Vec<Vec<u8>>; 2],
    ended: [Option<bool>; 2],
    largest: usize,
}

impl Wire {
    /// Side 0 is the client.
    fn new(client: &Certificate, server: &Certificate) -> Self {
        Self::with_contexts(client.context(), server.context())
    }

    fn with_contexts(client: &SslContextRef, server: &SslContextRef) -> Self {
        Self {
            now: Instant::now(),
            sides: [
                Dtls::new(client, true).unwrap(),
                Dtls::new(server, false).unwrap(),
            ],
            under_way: Vec::new(),
            loses: Box::new(|_, _| false),
            sent: [0; 2],
            connected: [None, None],
            data: [Vec::new(), Vec::new()],
            ended: [None; 2],
            largest: 0,
        }
    }

    fn losing(mut self, loses: impl FnMut(usize, usize) -> bool + 'static) -> Self {
        self.loses = Box::new(loses);
        self
    }

    fn collect(&mut self) {
        for from in 0..2 {
            while let Some(datagram) = self.sides[from].poll_datagram() {
                self.largest = self.largest.max(datagram.len());
                let number = self.sent[from];
                self.sent[from] += 1;
                if !(self.loses)(from, number) {
                    self.under_way
                        .push((self.now + LATENCY, 1 - from, datagram));
                }
            }
            while let Some(event) = self.sides[from].poll_event() {
                match event {
                    DtlsEvent::Connected { certificate, srtp } => {
                        assert!(self.connected[from].is_none(), "connected once");
                        self.connected[from] = Some((certificate, srtp));
                    }
                    DtlsEvent::Data(message) => self.data[from].push(message),
                    DtlsEvent::Closed => self.ended[from] = Some(true),
                    DtlsEvent::Failed => self.ended[from] = Some(false),
                }
            }
        }
    }

    /// Lets up to `limit` pass; stops when both are connected.
    fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        for side in &mut self.sides {
            side.start(self.now);
        }
        self.collect();
        loop {
            let timers = self.sides.iter().filter_map(Dtls::poll_timeout);
            let arrivals = self.under_way.iter().map(|(at, _, _)| *at);
            let Some(next) = timers.chain(arrivals).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            let (arrived, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.under_way)
                .into_iter()
                .partition(|(at, _, _)| *at <= self.now);
            self.under_way = later;
            for (_, to, datagram) in arrived {
                self.sides[to].handle_datagram(&datagram, self.now);
            }
            for side in &mut self.sides {
                side.handle_timeout(self.now);
            }
            self.collect();
        }
    }

    fn assert_connected(&self) {
        let [Some((_, client)), Some((_, server))] = &self.connected else {
            panic!("both connect: {:?}", self.ended);
        };
        assert_eq!(client, server, "the same keys on both sides");
        assert!(
            self.largest <= 1_200,
            "{} bytes in one datagram",
            self.largest
        );
    }

    fn profile(&self) -> Option<Profile> {
        let (_, srtp) = self.connected[0].as_ref()?;
        srtp.as_ref().map(|(profile, _)| *profile)
    }
}

fn ecdsa() -> Certificate {
    Certificate::generate().unwrap()
}

#[test]
fn both_sides_agree_on_aes_128_gcm_and_see_each_others_certificate() {
    let (client, server) = (ecdsa(), ecdsa());
    let mut wire = Wire::new(&client, &server);
    wire.run(Duration::from_secs(1));
    wire.assert_connected();
    assert_eq!(wire.profile(), Some(Profile::AeadAes128Gcm));
    for (side, other) in [(0, &server), (1, &client)] {
        let (der, _) = wire.connected[side].as_ref().unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        assert_eq!(digest.as_ref(), other.fingerprint());
    }
}

#[test]
fn certificates_of_both_types_work_on_both_sides() {
    let rsa = Certificate::generate_kind(CertificateKind::Rsa).unwrap();
    assert_eq!(rsa.kind(), CertificateKind::Rsa);
    for (client, server) in [(&rsa, &ecdsa()), (&ecdsa(), &rsa), (&rsa, &rsa)] {
        let mut wire = Wire::new(client, server);
        wire.run(Duration::from_secs(1));
        wire.assert_connected();
    }
}

/// Whatever datagram of a handshake is lost the first time, or any two, it completes.
#[test]
fn any_lost_datagram_is_sent_again() {
    let (client, server) = (ecdsa(), ecdsa());
    let mut whole = Wire::new(&client, &server);
    whole.run(Duration::from_secs(1));
    let all: Vec<(usize, usize)> = (0..2)
        .flat_map(|side| (0..whole.sent[side]).map(move |number| (side, number)))
        .collect();
    assert!(all.len() >= 4, "{all:?}");
    for first in &all {
        for second in &all {
            let lost = [*first, *second];
            let mut wire = Wire::new(&client, &server)
                .losing(move |side, number| lost.contains(&(side, number)));
            wire.run(Duration::from_secs(5));
            wire.assert_connected();
        }
    }
}

#[test]
fn handshakes_complete_under_heavy_loss() {
    let (client, server) = (ecdsa(), ecdsa());
    for (percent, runs) in [(5, 40), (20, 40)] {
        for run in 0..runs {
            let mut state = 0x9e37_79b9_u64 + run * 7_919 + percent;
            let mut wire = Wire::new(&client, &server).losing(move |_, _| {
                // Knuth's MMIX generator.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % 100 < percent
            });
            wire.run(Duration::from_secs(20));
            wire.assert_connected();
        }
    }
}

#[test]
fn nothing_is_sent_for_ever_to_a_peer_that_is_not_there() {
    let (client, server) = (ecdsa(), ecdsa());
    let mut wire = Wire::new(&client, &server).losing(|_, _| true);
    wire.run(Duration::from_secs(3_600));
    assert_eq!(wire.connected, [None, None]);
    assert_eq!(wire.sent, [1 + timer::COPIES as usize, 0]);
}

#[test]
fn a_peer_that_knows_aes_cm_alone_gets_it() {
    let server = ecdsa();
    for (offered, expected) in [
        ("SRTP_AES128_CM_SHA1_80", Some(Profile::Aes128CmSha1_80)),
        ("SRTP_AES128_CM_SHA1_32", Some(Profile::Aes128CmSha1_32)),
        (
            "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM",
            Some(Profile::AeadAes256Gcm),
        ),
        (
            "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM",
            Some(Profile::AeadAes128Gcm),
        ),
    ] {
        let mut wire = Wire::with_contexts(&foreign(offered), server.context());
        wire.run(Duration::from_secs(1));
        wire.assert_connected();
        assert_eq!(wire.profile(), expected, "of {offered}");
    }
}

#[test]
fn messages_go_both_ways_with_every_cipher() {
    for (key, names) in [
        (CertificateKind::Ecdsa, "ECDHE-ECDSA-"),
        (CertificateKind::Rsa, "ECDHE-RSA-"),
    ] {
        let server = Certificate::generate_kind(key).unwrap();
        for cipher in [
            "AES128-GCM-SHA256",
            "AES256-GCM-SHA384",
            "CHACHA20-POLY1305",
        ] {
            let client = foreign_with("SRTP_AEAD_AES_128_GCM", &format!("{names}{cipher}"));
            let mut wire = Wire::with_contexts(&client, server.context());
            wire.run(Duration::from_secs(1));
            wire.assert_connected();
            for side in 0..2 {
                assert!(wire.sides[side].send(cipher.as_bytes()), "{cipher}");
            }
            wire.run(Duration::from_secs(1));
            let expected = vec![cipher.as_bytes().to_vec()];
            assert_eq!(wire.data, [expected.clone(), expected]);
        }
    }
}

/// A client with SRTP profiles of its own choice.
fn foreign(profiles: &str) -> SslContext {
    foreign_with(profiles, "DEFAULT")
}

fn foreign_with(profiles: &str, ciphers: &str) -> SslContext {
    let mut context = SslContext::builder(SslMethod::dtls()).unwrap();
    context.set_cipher_list(ciphers).unwrap();
    context.set_tlsext_use_srtp(profiles).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let key = openssl::ec::EcKey::generate(&group).unwrap();
    let key = openssl::pkey::PKey::from_ec_key(key).unwrap();
    let mut certificate = openssl::x509::X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    let day = openssl::asn1::Asn1Time::days_from_now(1).unwrap();
    certificate.set_not_after(&day).unwrap();
    let epoch = openssl::asn1::Asn1Time::from_unix(0).unwrap();
    certificate.set_not_before(&epoch).unwrap();
    certificate
        .sign(&key, openssl::hash::MessageDigest::sha256())
        .unwrap();
    context.set_certificate(&certificate.build()).unwrap();
    context.set_private_key(&key).unwrap();
    context.build()
}

#[test]
fn a_peer_without_a_certificate_is_refused() {
    let server = ecdsa();
    let bare = SslContext::builder(SslMethod::dtls()).unwrap().build();
    let mut wire = Wire::with_contexts(&bare, server.context());
    wire.run(Duration::from_secs(5));
    assert!(wire.connected[1].is_none());
    assert_eq!(wire.ended[1], Some(false));
}

#[test]
fn messages_go_both_ways_and_goodbye_is_heard() {
    let (client, server) = (ecdsa(), ecdsa());
    let mut wire = Wire::new(&client, &server);
    wire.run(Duration::from_secs(1));
    wire.assert_connected();
    for round in 0..10u8 {
        for side in 0..2 {
            assert!(wire.sides[side].send(&[round, side as u8, 7]));
        }
    }
    wire.run(Duration::from_secs(1));
    for side in 0..2 {
        let expected: Vec<Vec<u8>> = (0..10)
            .map(|round| vec![round, 1 - side as u8, 7])
            .collect();
        assert_eq!(wire.data[side], expected);
    }
    wire.sides[1].close();
    wire.run(Duration::from_secs(1));
    assert_eq!(wire.ended, [Some(true), None]);
    assert!(!wire.sides[0].send(b"late"), "it is over");
    assert!(!wire.sides[1].send(b"late"), "it is over");
}

/// At every moment of a handshake and after it.
#[test]
fn garbage_between_the_datagrams_changes_nothing() {
    let (client, server) = (ecdsa(), ecdsa());
    let mut seed = 1u64;
    let mut next = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    for _ in 0..20 {
        let mut wire = Wire::new(&client, &server);
        for _ in 0..6 {
            for round in 0..200u8 {
                let length = usize::from(next()) % 90;
                let mut datagram: Vec<u8> = (0..13 + length).map(|_| next()).collect();
                datagram[0] = 20 + round % 4;
                datagram[1..3].copy_from_slice(&[254, 253]);
                datagram[3..5].copy_from_slice(&[0, round / 4 % 2]);
                datagram[11..13].copy_from_slice(&(length as u16).to_be_bytes());
                let now = wire.now;
                // Fatal alerts in the clear are heard until there are keys.
                if datagram[0] != 21 {
                    wire.sides[usize::from(round) % 2].handle_datagram(&datagram, now);
                }
            }
            wire.run(LATENCY);
        }
        wire.run(Duration::from_secs(10));
        wire.assert_connected();
    }
}

#[test]
fn a_handshake_leaves_no_errors_behind() {
    let (client, server) = (ecdsa(), ecdsa());
    let mut wire = Wire::new(&client, &server);
    wire.run(Duration::from_secs(1));
    wire.sides[0].handle_datagram(
        &[23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 3, 1, 2, 3],
        wire.now,
    );
    assert!(ErrorStack::get().errors().is_empty());
}
