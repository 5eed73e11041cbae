//! DTLS 1.2 without sockets or clocks, on OpenSSL.
//!
//! [`Dtls`] is handed datagrams and time and gives datagrams and [`DtlsEvent`]s. OpenSSL does the
//! handshake and accepts any certificate: the caller compares it with the signalled fingerprint
//! before it uses a key (RFC 5763 §5). What follows is records, which need no OpenSSL: see
//! [`session`].

mod handshake;
mod link;
mod records;
mod session;
mod settings;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests;
mod timer;

pub(crate) use settings::context;

use self::handshake::{Handshake, Outcome, Step};
use self::session::{Received, Session};
use openssl::error::ErrorStack;
use openssl::ssl::SslContextRef;
use salono_rtp::srtp::Profile;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Time until a flight that nothing answers is sent again; doubled each time up to [`LAST_RESEND`].
const FIRST_RESEND: Duration = Duration::from_millis(250);
/// A person waits: RFC 6347's minute between flights would be no use.
const LAST_RESEND: Duration = Duration::from_secs(2);
/// Encrypted records that OpenSSL keeps for us until it can open them; a peer's flight has one.
const MAX_EARLY_RECORDS: u32 = 16;
/// Largest plaintext of a record (RFC 6347 §4.1).
const MAX_PLAINTEXT: usize = 16 * 1024;
/// Exporter label of SRTP keys (RFC 5764 §4.2).
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

/// What a session reports.
pub(crate) enum DtlsEvent {
    /// The handshake is complete.
    Connected {
        /// The peer's certificate, DER.
        certificate: Vec<u8>,
        /// The agreed profile and its keying material; `None` when the peer wants no SRTP.
        srtp: Option<(Profile, Vec<u8>)>,
    },
    /// A message of the peer.
    Data(Vec<u8>),
    /// The peer said goodbye.
    Closed,
    /// There will be no session.
    Failed,
}

enum Phase {
    Handshake(Box<Handshake>),
    Established(Box<Session>),
    Over,
}

/// One DTLS session.
pub(crate) struct Dtls {
    phase: Phase,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
}

impl Dtls {
    /// A session that waits, for [`Dtls::start`] or for the peer.
    ///
    /// # Errors
    /// When OpenSSL has no memory.
    pub(crate) fn new(context: &SslContextRef, active: bool) -> Result<Self, ErrorStack> {
        Ok(Self {
            phase: Phase::Handshake(Box::new(Handshake::new(context, active)?)),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// The path is there: the client says hello.
    pub(crate) fn start(&mut self, now: Instant) {
        if let Phase::Handshake(handshake) = &mut self.phase {
            let step = handshake.start(&mut self.outgoing, now);
            self.note(step);
        }
    }

    /// Takes in one datagram; what makes no sense in it is dropped. True when something in it was
    /// authentic, or may have been: before there are keys nobody can tell.
    pub(crate) fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> bool {
        match &mut self.phase {
            Phase::Handshake(handshake) => {
                let step = handshake.receive(datagram, &mut self.outgoing, now);
                self.note(step);
                true
            }
            Phase::Established(session) => {
                let received = session.receive(datagram);
                let is_authentic = !received.is_empty();
                for received in received {
                    self.handle_received(received);
                }
                is_authentic
            }
            Phase::Over => false,
        }
    }

    /// Sends the last flight again when it is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Handshake(handshake) = &mut self.phase {
            handshake.handle_timeout(&mut self.outgoing, now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Handshake(handshake) => handshake.poll_timeout(),
            Phase::Established(_) | Phase::Over => None,
        }
    }

    /// The next datagram for the peer.
    pub(crate) fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    /// Sends a message in one record; false when there is no session to send it on.
    pub(crate) fn send(&mut self, message: &[u8]) -> bool {
        let Phase::Established(session) = &mut self.phase else {
            return false;
        };
        let record = session.message(message);
        let sent = record.is_some();
        self.outgoing.extend(record);
        sent
    }

    /// Says goodbye (close_notify, RFC 5246 §7.2.1).
    pub(crate) fn close(&mut self) {
        if let Phase::Established(session) = &mut self.phase {
            self.outgoing.extend(session.goodbye());
            // It is over whether or not the peer answers.
            self.phase = Phase::Over;
        }
    }

    /// Goes on from where a step of the handshake has led to.
    fn note(&mut self, step: Step) {
        match step {
            Step::Waits => {}
            Step::Failed => {
                self.phase = Phase::Over;
                self.events.push_back(DtlsEvent::Failed);
            }
            Step::Done(outcome) => {
                let Outcome {
                    session,
                    certificate,
                    srtp,
                    messages,
                    is_over,
                } = *outcome;
                self.phase = Phase::Established(Box::new(session));
                self.events
                    .push_back(DtlsEvent::Connected { certificate, srtp });
                self.events
                    .extend(messages.into_iter().map(DtlsEvent::Data));
                if is_over {
                    self.handle_received(Received::End);
                }
            }
        }
    }

    fn handle_received(&mut self, received: Received) {
        let Phase::Established(session) = &mut self.phase else {
            return;
        };
        match received {
            Received::Message(message) => self.events.push_back(DtlsEvent::Data(message)),
            Received::Repeated => self.outgoing.extend(session.last_flight()),
            Received::End => {
                self.phase = Phase::Over;
                self.events.push_back(DtlsEvent::Closed);
            }
        }
    }
}
