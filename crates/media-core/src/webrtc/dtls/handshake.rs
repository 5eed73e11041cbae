//! The handshake, which is OpenSSL's.
//!
//! OpenSSL's wish to resend by the wall clock is turned into copies of each flight that are sent when
//! they are due here; see [`timer`]. All of it is given back when the handshake is over.

use super::link::Link;
use super::session::{Secrets, Session, Written};
use super::{EXPORTER, FIRST_RESEND, LAST_RESEND, MAX_EARLY_RECORDS, MAX_PLAINTEXT};
use super::{records, settings, timer};
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, ShutdownState, Ssl, SslContext, SslContextRef, SslStream};
use salono_rtp::srtp::Profile;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The last flight, while nothing answered it.
#[derive(Default)]
struct Flight {
    /// Copies that are not sent yet, each some datagrams.
    copies: VecDeque<Vec<Vec<u8>>>,
    wait: Duration,
    due: Option<Instant>,
}

/// Where a step has led to.
pub(super) enum Step {
    /// More has to come from the peer.
    Waits,
    Done(Box<Outcome>),
    Failed,
}

/// What a handshake ends with.
pub(super) struct Outcome {
    pub(super) session: Session,
    /// The peer's certificate, DER.
    pub(super) certificate: Vec<u8>,
    pub(super) srtp: Option<(Profile, Vec<u8>)>,
    /// Messages that came along with the end of the handshake.
    pub(super) messages: Vec<Vec<u8>>,
    /// The peer has said goodbye already.
    pub(super) is_over: bool,
}

pub(super) struct Handshake {
    stream: SslStream<Link>,
    context: SslContext,
    active: bool,
    /// The path is there.
    started: bool,
    /// Encrypted records that may still come before their time.
    early: u32,
    flight: Flight,
    /// The server has answered a ClientHello; nothing undoes that.
    answered: bool,
    written: Written,
}

impl Handshake {
    pub(super) fn new(context: &SslContextRef, active: bool) -> Result<Self, ErrorStack> {
        let context = context.to_owned();
        Ok(Self {
            stream: stream(&context, active)?,
            context,
            active,
            started: false,
            early: MAX_EARLY_RECORDS,
            flight: Flight::default(),
            answered: false,
            written: Written::default(),
        })
    }

    /// The path is there: the client says hello.
    pub(super) fn start(&mut self, outgoing: &mut VecDeque<Vec<u8>>, now: Instant) -> Step {
        if std::mem::replace(&mut self.started, true) || !self.active {
            return Step::Waits;
        }
        self.advance(outgoing, now)
    }

    /// Takes in one datagram; what makes no sense in it is dropped.
    pub(super) fn receive(
        &mut self,
        datagram: &[u8],
        outgoing: &mut VecDeque<Vec<u8>>,
        now: Instant,
    ) -> Step {
        if !self.started {
            return Step::Waits;
        }
        let datagram = records::sift(datagram, &mut self.early);
        if datagram.is_empty() {
            return Step::Waits;
        }
        self.stream.get_mut().incoming = Some(datagram);
        self.advance(outgoing, now)
    }

    /// Sends the last flight again when it is due.
    pub(super) fn handle_timeout(&mut self, outgoing: &mut VecDeque<Vec<u8>>, now: Instant) {
        if self.flight.due.is_none_or(|due| due > now) {
            return;
        }
        if let Some(copy) = self.flight.copies.pop_front() {
            outgoing.extend(copy);
        }
        self.flight.wait = LAST_RESEND.min(self.flight.wait * 2);
        self.flight.due = (!self.flight.copies.is_empty()).then(|| now + self.flight.wait);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.flight.due
    }

    /// Lets OpenSSL act on what came in.
    fn advance(&mut self, outgoing: &mut VecDeque<Vec<u8>>, now: Instant) -> Step {
        timer::begin_call();
        // Errors of earlier calls would be taken for new ones.
        let _ = ErrorStack::get();
        let done = self.stream.do_handshake();
        let is_done = done.is_ok();
        let step = match done {
            Ok(()) => {
                let (messages, is_over) = self.read();
                self.collect(true, outgoing, now);
                self.outcome(messages, is_over)
                    .map_or(Step::Failed, |outcome| Step::Done(Box::new(outcome)))
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => Step::Waits,
            Err(error) => self.refuse(&error),
        };
        if !is_done {
            self.collect(false, outgoing, now);
        }
        self.stream.get_mut().incoming = None;
        let _ = ErrorStack::get();
        step
    }

    /// Sorts what OpenSSL wrote: a flight goes out now, its copies when nothing answers it.
    fn collect(&mut self, is_done: bool, outgoing: &mut VecDeque<Vec<u8>>, now: Instant) {
        let mut written = std::mem::take(&mut self.stream.get_mut().outgoing);
        for datagram in &written {
            self.written.note(&datagram.bytes);
        }
        if !is_done && written.iter().any(|datagram| datagram.copy > 0) {
            let count = usize::try_from(timer::COPIES).unwrap_or_default();
            let mut copies = VecDeque::from(vec![Vec::new(); count]);
            for datagram in written.iter_mut().filter(|datagram| datagram.copy > 0) {
                let index = usize::try_from(datagram.copy).unwrap_or_default() - 1;
                if let Some(datagrams) = copies.get_mut(index) {
                    pack(datagrams, std::mem::take(&mut datagram.bytes));
                }
            }
            self.flight = Flight {
                copies,
                wait: FIRST_RESEND,
                due: Some(now + FIRST_RESEND),
            };
            self.answered = true;
        }
        let now = written.into_iter().filter(|datagram| datagram.copy == 0);
        outgoing.extend(now.map(|datagram| datagram.bytes));
    }

    /// OpenSSL gave the handshake up.
    fn refuse(&mut self, error: &openssl::ssl::Error) -> Step {
        tracing::debug!(%error, "DTLS handshake refused");
        // A server that has not answered yet forgets what it cannot use: the next ClientHello may
        // be the peer's own.
        if !self.active
            && !self.answered
            && let Ok(stream) = stream(&self.context, false)
        {
            self.stream = stream;
            self.written = Written::default();
            return Step::Waits;
        }
        Step::Failed
    }

    /// Takes messages out until there are no more; true when the last was a goodbye.
    fn read(&mut self) -> (Vec<Vec<u8>>, bool) {
        let mut messages = Vec::new();
        let mut buffer = vec![0; MAX_PLAINTEXT];
        loop {
            match self.stream.ssl_read(&mut buffer) {
                Ok(length) => messages.push(buffer.get(..length).unwrap_or_default().to_vec()),
                Err(error) if error.code() == ErrorCode::WANT_READ => return (messages, false),
                Err(error) => {
                    tracing::debug!(%error, "DTLS record refused");
                    let shutdown = self.stream.get_shutdown();
                    return (messages, shutdown.contains(ShutdownState::RECEIVED));
                }
            }
        }
    }

    /// Certificate, SRTP keys and record keys; `None` when one of them is missing, which OpenSSL and
    /// its settings rule out.
    fn outcome(&self, messages: Vec<Vec<u8>>, is_over: bool) -> Option<Outcome> {
        let ssl = self.stream.ssl();
        let certificate = ssl.peer_certificate()?.to_der().ok()?;
        let profile = ssl
            .selected_srtp_profile()
            .and_then(|profile| u16::try_from(profile.id().as_raw()).ok())
            .and_then(Profile::from_dtls_id);
        let srtp = match profile {
            None => None,
            Some(profile) => {
                let mut material = vec![0; profile.keying_material_len()];
                ssl.export_keying_material(&mut material, EXPORTER, None)
                    .ok()?;
                Some((profile, material))
            }
        };
        let (mut master, mut client_random, mut server_random) = ([0; 48], [0; 32], [0; 32]);
        let lengths = [
            ssl.session()?.master_key(&mut master),
            ssl.client_random(&mut client_random),
            ssl.server_random(&mut server_random),
        ];
        if lengths != [48, 32, 32] {
            return None;
        }
        let secrets = Secrets {
            cipher: ssl.current_cipher()?.standard_name()?,
            master: &master,
            client_random: &client_random,
            server_random: &server_random,
            is_client: self.active,
        };
        Some(Outcome {
            session: Session::new(&secrets, &self.written)?,
            certificate,
            srtp,
            messages,
            is_over,
        })
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

fn stream(context: &SslContextRef, active: bool) -> Result<SslStream<Link>, ErrorStack> {
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
