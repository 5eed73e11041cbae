//! DTLS 1.2 without sockets or clocks, on OpenSSL.
//!
//! [`Dtls`] is handed datagrams and time and gives datagrams and [`DtlsEvent`]s. OpenSSL's wish to
//! resend by the wall clock is turned into copies of each flight that are sent when they are due
//! here; see [`timer`]. OpenSSL accepts any certificate: the caller compares it with the signalled
//! fingerprint before it uses a key (RFC 5763 §5).

mod buffers;
mod link;
mod records;
mod settings;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests;
mod timer;

pub(crate) use settings::context;

use self::link::Link;
use self::records::Stage;
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, ShutdownState, Ssl, SslContext, SslContextRef, SslStream};
use salono_rtp::srtp::Profile;
use std::collections::VecDeque;
use std::io::Write;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Handshake,
    Connected,
    Over,
}

/// The last flight, while nothing answered it.
#[derive(Default)]
struct Flight {
    /// Copies that are not sent yet, each some datagrams.
    copies: VecDeque<Vec<Vec<u8>>>,
    wait: Duration,
    due: Option<Instant>,
}

/// One DTLS session.
pub(crate) struct Dtls {
    stream: SslStream<Link>,
    context: SslContext,
    active: bool,
    state: State,
    stage: Stage,
    flight: Flight,
    /// The server has answered a ClientHello; nothing undoes that.
    answered: bool,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
}

impl Dtls {
    /// A session that waits, for [`Dtls::start`] or for the peer.
    ///
    /// # Errors
    /// When OpenSSL has no memory.
    pub(crate) fn new(context: &SslContextRef, active: bool) -> Result<Self, ErrorStack> {
        let context = context.to_owned();
        Ok(Self {
            stream: session(&context, active)?,
            context,
            active,
            state: State::New,
            stage: Stage::Handshake {
                early: MAX_EARLY_RECORDS,
            },
            flight: Flight::default(),
            answered: false,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// The path is there: the client says hello.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.state == State::New {
            self.state = State::Handshake;
            if self.active {
                self.advance(now);
            }
        }
    }

    /// Takes in one datagram; what makes no sense in it is dropped.
    pub(crate) fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        if matches!(self.state, State::New | State::Over) {
            return;
        }
        let datagram = records::sift(datagram, &mut self.stage);
        if datagram.is_empty() {
            return;
        }
        self.stream.get_mut().incoming = Some(datagram);
        self.advance(now);
    }

    /// Sends the last flight again when it is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.flight.due.is_none_or(|due| due > now) {
            return;
        }
        if let Some(copy) = self.flight.copies.pop_front() {
            self.outgoing.extend(copy);
        }
        self.flight.wait = LAST_RESEND.min(self.flight.wait * 2);
        self.flight.due = (!self.flight.copies.is_empty()).then(|| now + self.flight.wait);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.flight.due
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
        if self.state != State::Connected || !self.begin() {
            return false;
        }
        let sent = self.stream.write(message).is_ok();
        self.finish();
        sent
    }

    /// Says goodbye (close_notify, RFC 5246 §7.2.1).
    pub(crate) fn close(&mut self) {
        if self.state == State::Connected && self.begin() {
            // It is over whether or not the peer answers.
            let _ = self.stream.shutdown();
            self.state = State::Over;
            self.finish();
        }
    }

    /// Lets OpenSSL act on what came in.
    fn advance(&mut self, now: Instant) {
        if !self.begin() {
            return;
        }
        if self.state == State::Handshake {
            match self.stream.do_handshake() {
                Ok(()) => self.connect(),
                Err(error) if error.code() == ErrorCode::WANT_READ => {}
                Err(error) => self.refuse(&error),
            }
        }
        if self.state == State::Connected {
            self.read();
        }
        self.collect(now);
        self.finish();
    }

    /// Before OpenSSL is called: errors of earlier calls would be taken for new ones.
    fn begin(&self) -> bool {
        timer::begin_call();
        let _ = ErrorStack::get();
        let is_ready = self.state != State::Connected || buffers::provide(self.stream.ssl());
        if !is_ready {
            tracing::error!("no memory for a DTLS session");
        }
        is_ready
    }

    /// After OpenSSL was called.
    fn finish(&mut self) {
        let written = std::mem::take(&mut self.stream.get_mut().outgoing);
        self.outgoing
            .extend(written.into_iter().map(|written| written.bytes));
        self.stream.get_mut().incoming = None;
        if matches!(self.state, State::Connected | State::Over) {
            buffers::release(self.stream.ssl());
        }
        let _ = ErrorStack::get();
    }

    /// Sorts what OpenSSL wrote: a flight goes out now, its copies when nothing answers it.
    fn collect(&mut self, now: Instant) {
        let mut written = std::mem::take(&mut self.stream.get_mut().outgoing);
        if self.state != State::Handshake {
            self.flight = Flight::default();
            written.retain(|written| written.copy == 0);
        }
        if written.iter().any(|written| written.copy > 0) {
            let count = usize::try_from(timer::COPIES).unwrap_or_default();
            let mut copies = VecDeque::from(vec![Vec::new(); count]);
            for copy in written.iter_mut().filter(|written| written.copy > 0) {
                let index = usize::try_from(copy.copy).unwrap_or_default() - 1;
                if let Some(datagrams) = copies.get_mut(index) {
                    pack(datagrams, std::mem::take(&mut copy.bytes));
                }
            }
            self.flight = Flight {
                copies,
                wait: FIRST_RESEND,
                due: Some(now + FIRST_RESEND),
            };
            self.answered = true;
        }
        let now = written.into_iter().filter(|written| written.copy == 0);
        self.outgoing.extend(now.map(|written| written.bytes));
    }

    fn connect(&mut self) {
        let ssl = self.stream.ssl();
        let certificate = ssl
            .peer_certificate()
            .and_then(|certificate| certificate.to_der().ok());
        let Some(certificate) = certificate else {
            // OpenSSL demands one; this is for the day when it does not.
            return self.fail();
        };
        let profile = ssl
            .selected_srtp_profile()
            .and_then(|profile| u16::try_from(profile.id().as_raw()).ok())
            .and_then(Profile::from_dtls_id);
        let srtp = match profile {
            None => None,
            Some(profile) => {
                let mut material = vec![0; profile.keying_material_len()];
                if ssl
                    .export_keying_material(&mut material, EXPORTER, None)
                    .is_err()
                {
                    return self.fail();
                }
                Some((profile, material))
            }
        };
        self.state = State::Connected;
        self.stage = Stage::Established;
        self.events
            .push_back(DtlsEvent::Connected { certificate, srtp });
    }

    /// OpenSSL gave the handshake up.
    fn refuse(&mut self, error: &openssl::ssl::Error) {
        tracing::debug!(%error, "DTLS handshake refused");
        // A server that has not answered yet forgets what it cannot use: the next ClientHello may
        // be the peer's own.
        if !self.active
            && !self.answered
            && let Ok(stream) = session(&self.context, false)
        {
            self.stream = stream;
            return;
        }
        self.fail();
    }

    fn fail(&mut self) {
        self.state = State::Over;
        self.events.push_back(DtlsEvent::Failed);
    }

    /// Takes messages out until there are no more.
    fn read(&mut self) {
        let mut buffer = [0; MAX_PLAINTEXT];
        loop {
            match self.stream.ssl_read(&mut buffer) {
                Ok(length) => {
                    let message = buffer.get(..length).unwrap_or_default().to_vec();
                    self.events.push_back(DtlsEvent::Data(message));
                }
                Err(error) if error.code() == ErrorCode::WANT_READ => return,
                Err(error) => {
                    let shutdown = self.stream.get_shutdown();
                    if shutdown.contains(ShutdownState::RECEIVED) {
                        self.state = State::Over;
                        self.events.push_back(DtlsEvent::Closed);
                    } else {
                        tracing::debug!(%error, "DTLS record refused");
                    }
                    return;
                }
            }
        }
    }
}

/// Puts records into the last datagram as long as they fit.
fn pack(datagrams: &mut Vec<Vec<u8>>, records: Vec<u8>) {
    let room = usize::try_from(settings::MTU).unwrap_or_default();
    match datagrams.last_mut() {
        Some(last) if last.len() + records.len() <= room => last.extend(records),
        Some(_) | None => datagrams.push(records),
    }
}

fn session(context: &SslContextRef, active: bool) -> Result<SslStream<Link>, ErrorStack> {
    let mut ssl = Ssl::new(context)?;
    ssl.set_mtu(settings::MTU)?;
    if active {
        ssl.set_connect_state();
    } else {
        ssl.set_accept_state();
    }
    timer::install(&ssl);
    SslStream::new(ssl, Link::default())
}
