//! An established session: the record layer alone (RFC 6347 §4.1).
//!
//! OpenSSL keeps some 50 kB for a session whose handshake is over, ready for another handshake that
//! never comes. What is left to do is small: messages of data channels in both directions, goodbyes,
//! and a server's last flight once more when the client did not get it. So the keys are taken over
//! and OpenSSL's part is given back.
//!
//! Only authenticated encryption is agreed on: AES-GCM (RFC 5288) and ChaCha20-Poly1305 (RFC 7905).

use super::records::{self, Record};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::tls_prf::{P_SHA256, P_SHA384, Secret};

/// Times that a server's last flight is sent again; by then a client has given up.
const MAX_RESENDS: u8 = 16;
/// Longest message of one record (RFC 6347 §4.1).
const MAX_PLAINTEXT: usize = 16 * 1024;
/// Sequence numbers have 48 bits. A session ends rather than use one twice.
const MAX_SEQUENCE: u64 = (1 << 48) - 1;
/// The epoch that the one handshake leads to.
const EPOCH: u16 = 1;
/// Records that a late one may be behind the newest.
const WINDOW: u64 = 64;
/// Explicit part of a nonce in front of the ciphertext (RFC 5288 §3).
const EXPLICIT: usize = 8;
/// Authentication tag of all ciphers that there are here.
const TAG: usize = 16;

/// Finished (RFC 5246 §7.4.9).
const FINISHED: u8 = 20;
/// Fatal (RFC 5246 §7.2).
const FATAL: u8 = 2;
/// close_notify, as a warning (RFC 5246 §7.2.1).
const GOODBYE: [u8; 2] = [1, 0];

/// What the handshake left behind, as OpenSSL tells it.
pub(super) struct Secrets<'a> {
    /// Of the agreed cipher, in the words of IANA.
    pub(super) cipher: &'a str,
    /// 48 bytes.
    pub(super) master: &'a [u8],
    pub(super) client_random: &'a [u8],
    pub(super) server_random: &'a [u8],
    /// We sent the ClientHello.
    pub(super) is_client: bool,
}

/// What OpenSSL wrote until now: numbers that must not be used again.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Next encrypted record, and its explicit nonce, which OpenSSL begins at random.
    sequence: u64,
    explicit: u64,
    /// Next record in the clear.
    clear_sequence: u64,
    /// The last encrypted record.
    last: Vec<u8>,
}

impl Written {
    /// Whether sent or not.
    pub(super) fn note(&mut self, datagram: &[u8]) {
        for record in records::each(datagram) {
            let next = record.sequence + 1;
            if record.epoch == 0 {
                self.clear_sequence = self.clear_sequence.max(next);
                continue;
            }
            self.sequence = self.sequence.max(next);
            if let Some(explicit) = record.body.first_chunk::<EXPLICIT>() {
                self.explicit = u64::from_be_bytes(*explicit).wrapping_add(1);
            }
            self.last.clear();
            self.last.extend_from_slice(record.whole);
        }
    }
}

/// What a datagram of the peer had in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Message(Vec<u8>),
    /// Goodbye, or a fatal alert.
    End,
    /// The client has not seen our last flight.
    Repeated,
}

pub(super) struct Session {
    ours: Half,
    theirs: Half,
    /// Of our next record, and of its explicit nonce, which begins elsewhere.
    sequence: u64,
    explicit: u64,
    /// Of our next record in the clear.
    clear_sequence: u64,
    /// A server's Finished, with the header of the message.
    finished: Vec<u8>,
    resends: u8,
    newest: u64,
    /// Bit `n`: record `newest - n` was taken.
    seen: u64,
}

/// One direction.
struct Half {
    cipher: Cipher,
    key: [u8; 32],
    iv: [u8; 12],
    /// Made when it is needed: most sessions never say anything.
    ready: Option<Box<LessSafeKey>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Cipher {
    /// By the words of IANA.
    fn of(name: &str) -> Option<Self> {
        [
            ("_AES_128_GCM_", Self::Aes128Gcm),
            ("_AES_256_GCM_", Self::Aes256Gcm),
            ("_CHACHA20_POLY1305_", Self::ChaCha20Poly1305),
        ]
        .into_iter()
        .find_map(|(part, cipher)| name.contains(part).then_some(cipher))
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }

    /// Bytes of a nonce that are not sent.
    fn implicit(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 4,
            Self::ChaCha20Poly1305 => 12,
        }
    }

    /// Bytes of a nonce that are.
    fn explicit(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => EXPLICIT,
            Self::ChaCha20Poly1305 => 0,
        }
    }
}

impl Session {
    /// Takes over from OpenSSL, behind the records that it wrote. `None` when the cipher is none of
    /// ours.
    pub(super) fn new(secrets: &Secrets<'_>, written: &Written) -> Option<Self> {
        let (mut ours, theirs) = halves(secrets)?;
        // There is no session without our Finished.
        let last = records::each(&written.last).next()?;
        let finished = ours.open(&last)?;
        Some(Self {
            ours,
            theirs,
            sequence: written.sequence,
            explicit: written.explicit,
            clear_sequence: written.clear_sequence,
            finished: if secrets.is_client {
                Vec::new()
            } else {
                finished
            },
            resends: 0,
            newest: 0,
            seen: 0,
        })
    }

    /// Takes in the records of a datagram; what is not authentic, or known already, is dropped.
    pub(super) fn receive(&mut self, datagram: &[u8]) -> Vec<Received> {
        let mut received = Vec::new();
        for record in records::each(datagram) {
            if record.epoch != EPOCH || !self.is_new(record.sequence) {
                continue;
            }
            let Some(plain) = self.theirs.open(&record) else {
                continue;
            };
            self.take(record.sequence);
            match record.kind {
                records::APPLICATION_DATA => received.push(Received::Message(plain)),
                records::ALERT => {
                    let ends = plain == GOODBYE || plain.first() == Some(&FATAL);
                    received.extend(ends.then_some(Received::End));
                }
                // Whoever repeats its Finished has not seen ours (RFC 6347 §4.2.4).
                records::HANDSHAKE if plain.first() == Some(&FINISHED) => {
                    received.push(Received::Repeated);
                }
                // Nobody begins another handshake here.
                _ => {}
            }
        }
        received
    }

    /// A record with a message; `None` when it is too long or there are no numbers left.
    pub(super) fn message(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.seal(records::APPLICATION_DATA, message)
    }

    /// The record that says goodbye.
    pub(super) fn goodbye(&mut self) -> Option<Vec<u8>> {
        self.seal(records::ALERT, &GOODBYE)
    }

    /// A server's last flight once more, with numbers of its own.
    pub(super) fn last_flight(&mut self) -> Option<Vec<u8>> {
        if self.finished.is_empty() || self.resends >= MAX_RESENDS {
            return None;
        }
        self.resends += 1;
        let mut flight = header(records::CHANGE_CIPHER_SPEC, 0, self.clear_sequence, 1);
        flight.push(1);
        self.clear_sequence += 1;
        let finished = std::mem::take(&mut self.finished);
        let sealed = self.seal(records::HANDSHAKE, &finished);
        self.finished = finished;
        flight.extend(sealed?);
        Some(flight)
    }

    fn seal(&mut self, kind: u8, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() > MAX_PLAINTEXT || self.sequence > MAX_SEQUENCE {
            return None;
        }
        let sequence = self.sequence;
        let explicit = self.explicit.to_be_bytes();
        // Spent, whatever becomes of the record.
        self.sequence += 1;
        self.explicit = self.explicit.wrapping_add(1);
        self.ours.seal(kind, sequence, explicit, plain)
    }

    fn is_new(&self, sequence: u64) -> bool {
        let Some(behind) = self.newest.checked_sub(sequence) else {
            return true;
        };
        behind < WINDOW && self.seen & (1 << behind) == 0
    }

    fn take(&mut self, sequence: u64) {
        match sequence.checked_sub(self.newest) {
            None => self.seen |= 1 << (self.newest - sequence).min(WINDOW - 1),
            Some(ahead) => {
                let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
                self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
                self.newest = sequence;
            }
        }
    }
}

impl Half {
    fn key(&mut self) -> Option<&LessSafeKey> {
        if self.ready.is_none() {
            let algorithm = self.cipher.algorithm();
            let key = UnboundKey::new(algorithm, self.key.get(..algorithm.key_len())?).ok()?;
            self.ready = Some(Box::new(LessSafeKey::new(key)));
        }
        self.ready.as_deref()
    }

    /// RFC 5288 §3: implicit and explicit part. RFC 7905 §2: epoch and sequence, XOR the implicit one.
    fn nonce(&self, epoch_and_sequence: u64, explicit: [u8; EXPLICIT]) -> Nonce {
        let mut nonce = self.iv;
        let (_, tail) = nonce.split_at_mut(4);
        match self.cipher {
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => tail.copy_from_slice(&explicit),
            Cipher::ChaCha20Poly1305 => tail
                .iter_mut()
                .zip(epoch_and_sequence.to_be_bytes())
                .for_each(|(byte, number)| *byte ^= number),
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn open(&mut self, record: &Record<'_>) -> Option<Vec<u8>> {
        let numbers = epoch_and_sequence(record.sequence);
        let (explicit, text) = record.body.split_at_checked(self.cipher.explicit())?;
        let length = text
            .len()
            .checked_sub(TAG)
            .filter(|length| *length <= MAX_PLAINTEXT)?;
        let nonce = self.nonce(numbers, explicit.try_into().unwrap_or_default());
        let aad = Aad::from(additional(numbers, record.kind, length)?);
        let mut text = text.to_vec();
        self.key()?.open_in_place(nonce, aad, &mut text).ok()?;
        text.truncate(length);
        Some(text)
    }

    fn seal(
        &mut self,
        kind: u8,
        sequence: u64,
        explicit: [u8; EXPLICIT],
        plain: &[u8],
    ) -> Option<Vec<u8>> {
        let numbers = epoch_and_sequence(sequence);
        let explicit_len = self.cipher.explicit();
        let mut record = header(kind, EPOCH, sequence, explicit_len + plain.len() + TAG);
        record.extend_from_slice(explicit.get(..explicit_len)?);
        let start = record.len();
        record.extend_from_slice(plain);
        let nonce = self.nonce(numbers, explicit);
        let aad = Aad::from(additional(numbers, kind, plain.len())?);
        let text = record.get_mut(start..)?;
        let tag = self
            .key()?
            .seal_in_place_separate_tag(nonce, aad, text)
            .ok()?;
        record.extend_from_slice(tag.as_ref());
        Some(record)
    }
}

/// The key block (RFC 5246 §6.3), without keys for authentication: client and server, keys and then
/// implicit nonces. Ours comes first in the result.
fn halves(secrets: &Secrets<'_>) -> Option<(Half, Half)> {
    let cipher = Cipher::of(secrets.cipher)?;
    let hash = if secrets.cipher.ends_with("_SHA384") {
        &P_SHA384
    } else {
        &P_SHA256
    };
    let (key_len, iv_len) = (cipher.algorithm().key_len(), cipher.implicit());
    let block = Secret::new(hash, secrets.master)
        .and_then(|master| {
            master.derive_with_seed_concatination(
                b"key expansion",
                secrets.server_random,
                secrets.client_random,
                2 * (key_len + iv_len),
            )
        })
        .ok()?;
    let (keys, ivs) = block.as_ref().split_at_checked(2 * key_len)?;
    let half = |side: usize| {
        let mut half = Half {
            cipher,
            key: [0; 32],
            iv: [0; 12],
            ready: None,
        };
        half.key
            .get_mut(..key_len)?
            .copy_from_slice(keys.chunks_exact(key_len).nth(side)?);
        half.iv
            .get_mut(..iv_len)?
            .copy_from_slice(ivs.chunks_exact(iv_len).nth(side)?);
        Some(half)
    };
    let (client, server) = (half(0)?, half(1)?);
    Some(if secrets.is_client {
        (client, server)
    } else {
        (server, client)
    })
}

fn epoch_and_sequence(sequence: u64) -> u64 {
    u64::from(EPOCH) << 48 | sequence
}

/// What is authenticated beside the text (RFC 5246 §6.2.3.3, RFC 6347 §4.1.2.1).
fn additional(epoch_and_sequence: u64, kind: u8, length: usize) -> Option<[u8; 13]> {
    let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
    let mut data = [0; 13];
    data[..8].copy_from_slice(&epoch_and_sequence.to_be_bytes());
    data[8..].copy_from_slice(&[kind, 254, 253, high, low]);
    Some(data)
}

/// Header of a record of DTLS 1.2 (RFC 6347 §4.1), in a vector with room for `length` more bytes.
fn header(kind: u8, epoch: u16, sequence: u64, length: usize) -> Vec<u8> {
    let mut record = Vec::with_capacity(records::HEADER + length);
    record.extend_from_slice(&[kind, 254, 253]);
    record.extend_from_slice(&epoch.to_be_bytes());
    record.extend_from_slice(&sequence.to_be_bytes()[2..]);
    // No record here is longer than its maximum, which 16 bits hold.
    record.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHERS: [&str; 3] = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ];

    fn pair(cipher: &str) -> (Session, Session) {
        let side = |is_client| {
            let secrets = Secrets {
                cipher,
                master: &[1; 48],
                client_random: &[2; 32],
                server_random: &[3; 32],
                is_client,
            };
            // The Finished of this side, as OpenSSL would have written it.
            let (mut ours, _) = halves(&secrets).unwrap();
            let plain = [FINISHED, 0, 0, 0];
            let record = ours.seal(records::HANDSHAKE, 0, [9; 8], &plain).unwrap();
            let mut written = Written::default();
            written.note(&record);
            Session::new(&secrets, &written).unwrap()
        };
        (side(true), side(false))
    }

    #[test]
    fn messages_come_once_and_unchanged_or_not_at_all() {
        for cipher in CIPHERS {
            let (mut client, mut server) = pair(cipher);
            for round in 0..200_usize {
                let message = vec![round as u8; round * 80];
                let record = client.message(&message).unwrap();
                for at in (0..record.len()).step_by(1 + record.len() / 20) {
                    let mut damaged = record.clone();
                    damaged[at] ^= 1;
                    assert_eq!(server.receive(&damaged), [], "{cipher}, byte {at}");
                }
                assert_eq!(server.receive(&record), [Received::Message(message)]);
                assert_eq!(server.receive(&record), [], "a replay");
            }
            assert!(client.message(&[0; MAX_PLAINTEXT + 1]).is_none());
        }
    }

    #[test]
    fn late_records_are_taken_within_the_window() {
        let (mut client, mut server) = pair(CIPHERS[0]);
        let all: Vec<Vec<u8>> = (0..100).map(|n| client.message(&[n]).unwrap()).collect();
        assert_eq!(server.receive(&all[99]), [Received::Message(vec![99])]);
        assert_eq!(server.receive(&all[36]), [Received::Message(vec![36])]);
        assert_eq!(server.receive(&all[36]), []);
        assert_eq!(server.receive(&all[35]), [], "behind the window");
        assert_eq!(server.receive(&all[98]), [Received::Message(vec![98])]);
    }

    #[test]
    fn no_number_is_used_twice_and_none_beyond_the_last() {
        for cipher in CIPHERS {
            let (mut client, mut server) = pair(cipher);
            let mut numbers = std::collections::BTreeSet::new();
            for _ in 0..50 {
                let record = server.message(b"x").unwrap();
                let flight = server.last_flight();
                let new = [record.as_slice(), flight.as_deref().unwrap_or_default()];
                for record in new.into_iter().flat_map(records::each) {
                    assert!(numbers.insert((record.epoch, record.sequence)));
                }
            }
            client.sequence = MAX_SEQUENCE;
            assert!(client.message(b"last").is_some());
            assert!(client.message(b"none").is_none() && client.goodbye().is_none());
        }
    }

    #[test]
    fn the_last_flight_is_a_servers_and_is_repeated_a_few_times() {
        let (mut client, mut server) = pair(CIPHERS[0]);
        assert!(client.last_flight().is_none());
        let mut flights = 0;
        while let Some(flight) = server.last_flight() {
            assert_eq!(flight[0], records::CHANGE_CIPHER_SPEC);
            assert_eq!(client.receive(&flight), [Received::Repeated]);
            flights += 1;
        }
        assert_eq!(flights, MAX_RESENDS);
    }

    #[test]
    fn goodbye_ends_a_session_and_a_warning_does_not() {
        let (mut client, mut server) = pair(CIPHERS[2]);
        let warning = client.seal(records::ALERT, &[1, 100]).unwrap();
        assert_eq!(server.receive(&warning), []);
        let fatal = client.seal(records::ALERT, &[2, 40]).unwrap();
        assert_eq!(server.receive(&fatal), [Received::End]);
        let goodbye = client.goodbye().unwrap();
        assert_eq!(server.receive(&goodbye), [Received::End]);
    }
}
