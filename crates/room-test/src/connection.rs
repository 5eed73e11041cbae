//! One WebRTC connection of a fake: str0m behind a UDP socket, on a task of its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::CryptoProvider;
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use crate::film::{Film, SILENCE, SILENCE_LENGTH};

/// Orders that wait for a connection; whoever has more waits.
const ORDERS: usize = 64;

/// Candidates that are kept until the answer is there.
const EARLY: usize = 64;

/// Longest datagram that is received.
const DATAGRAM: usize = 2_000;

/// Why there is no media.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// No socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The WebRTC stack refuses.
    #[error("WebRTC: {0}")]
    Stack(String),
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
}

/// What has come of a connection so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// When ICE and DTLS were through.
    pub connected: Option<Instant>,
    /// When the first whole picture was there.
    pub first_picture: Option<Instant>,
    /// Whole pictures received.
    pub pictures: u64,
    /// Packets of sound received.
    pub sounds: u64,
    /// It is over.
    pub ended: bool,
}

/// What it is for.
pub(crate) enum Role {
    /// Sends a film.
    Show(Film),
    /// Receives.
    Watch,
}

/// Handle of the task. The connection ends with it.
#[derive(Debug)]
pub(crate) struct Connection {
    orders: mpsc::Sender<Order>,
    seen: watch::Receiver<Seen>,
}

enum Order {
    Accept(String),
    Candidate(String),
}

impl Connection {
    /// Makes a connection on a free port of this address, and its offer.
    pub(crate) async fn open(ip: IpAddr, role: Role) -> Result<(Self, String), MediaError> {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await?;
        let local = socket.local_addr()?;
        let mut builder = Rtc::builder()
            .set_crypto_provider(Arc::new(crypto()))
            .clear_codecs()
            .enable_opus(true, false);
        builder = match &role {
            Role::Show(film) => enable(builder, film.codec()),
            Role::Watch => [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1]
                .into_iter()
                .fold(builder, enable),
        };
        let mut rtc = builder.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).map_err(stack)?);
        let direction = match role {
            Role::Show(_) => Direction::SendOnly,
            Role::Watch => Direction::RecvOnly,
        };
        let mut changes = rtc.sdp_api();
        let audio = changes.add_media(MediaKind::Audio, direction, None, None, None);
        let video = changes.add_media(MediaKind::Video, direction, None, None, None);
        let nothing = || MediaError::Stack("nothing to offer".to_owned());
        let (offer, pending) = changes.apply().ok_or_else(nothing)?;
        let (orders, waiting) = mpsc::channel(ORDERS);
        let (report, seen) = watch::channel(Seen::default());
        let projector = match role {
            Role::Show(film) => Some(Projector::new(film, audio, video)),
            Role::Watch => None,
        };
        let task = Task {
            rtc,
            socket,
            local,
            pending: Some(pending),
            early: Vec::new(),
            video,
            projector,
            report,
        };
        tokio::spawn(task.run(waiting));
        Ok((Self { orders, seen }, offer.to_sdp_string()))
    }

    /// Takes the server's answer.
    pub(crate) async fn accept(&self, answer: String) -> Result<(), MediaError> {
        let sent = self.orders.send(Order::Accept(answer)).await;
        sent.map_err(|_| MediaError::Ended)
    }

    /// Takes a candidate of the server; it may come before the answer.
    pub(crate) async fn add_candidate(&self, candidate: String) {
        // A connection that is over needs none.
        let _ = self.orders.send(Order::Candidate(candidate)).await;
    }

    /// What has come of it, as it changes.
    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }
}

/// Sends the film.
struct Projector {
    film: Film,
    audio: Mid,
    video: Mid,
    /// From when on; the connection must be there first.
    began: Option<Instant>,
    frame: u64,
    /// Frames that were jumped over to answer requests for keyframes, in time.
    jumped: Duration,
    sounds: u32,
}

impl Projector {
    fn new(film: Film, audio: Mid, video: Mid) -> Self {
        Self {
            film,
            audio,
            video,
            began: None,
            frame: 0,
            jumped: Duration::ZERO,
            sounds: 0,
        }
    }

    /// When there is something to send next.
    fn due(&self) -> Option<Instant> {
        let began = self.began?;
        let picture = began + self.film.frame(self.frame).at.saturating_sub(self.jumped);
        Some(picture.min(began + SILENCE_LENGTH * self.sounds))
    }

    /// The next picture is one to begin with.
    fn jump_to_keyframe(&mut self) {
        let ahead = self.film.until_keyframe(self.frame);
        let (from, to) = (
            self.film.frame(self.frame).at,
            self.film.frame(self.frame + ahead).at,
        );
        self.jumped += to.saturating_sub(from);
        self.frame += ahead;
    }

    /// Sends one picture and one packet of sound, as far as they are due.
    fn send(&mut self, rtc: &mut Rtc, now: Instant) -> Result<(), MediaError> {
        let Some(began) = self.began else {
            return Ok(());
        };
        let frame = self.film.frame(self.frame);
        let at = frame.at.saturating_sub(self.jumped);
        if began + at <= now {
            write(rtc, self.video, self.film.codec(), now, at, frame.data)?;
            self.frame += 1;
        }
        let at = SILENCE_LENGTH * self.sounds;
        if began + at <= now {
            write(rtc, self.audio, Codec::Opus, now, at, Arc::from(SILENCE))?;
            self.sounds += 1;
        }
        Ok(())
    }
}

/// One frame into the stack; without an agreed codec it goes nowhere.
fn write(
    rtc: &mut Rtc,
    mid: Mid,
    codec: Codec,
    now: Instant,
    at: Duration,
    data: Arc<[u8]>,
) -> Result<(), MediaError> {
    let Some(writer) = rtc.writer(mid) else {
        return Ok(());
    };
    let agreed = writer
        .payload_params()
        .find(|params| params.spec().codec == codec);
    let Some(agreed) = agreed else {
        return Ok(());
    };
    let (pt, rate) = (agreed.pt(), agreed.spec().clock_rate);
    let time = MediaTime::new(ticks(at, rate), rate);
    writer.write(pt, now, time, data).map_err(stack)
}

fn ticks(at: Duration, rate: Frequency) -> u64 {
    let ticks = at.as_micros() * u128::from(rate.get()) / 1_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

struct Task {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    /// Until it is answered.
    pending: Option<SdpPendingOffer>,
    /// Candidates that came before the answer.
    early: Vec<Candidate>,
    video: Mid,
    projector: Option<Projector>,
    report: watch::Sender<Seen>,
}

impl Task {
    async fn run(mut self, orders: mpsc::Receiver<Order>) {
        if let Err(error) = self.serve(orders).await {
            tracing::debug!(%error, "connection of a fake failed");
        }
        self.report.send_modify(|seen| seen.ended = true);
    }

    async fn serve(&mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), MediaError> {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let deadline = self.drain().await?;
            if !self.rtc.is_alive() {
                return Ok(());
            }
            let film = self.projector.as_ref().and_then(Projector::due);
            let wake = film.map_or(deadline, |film| film.min(deadline));
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Accept(answer)) => self.accept(&answer)?,
                    Some(Order::Candidate(line)) => self.candidate(&line),
                    None => {
                        // Nobody wants it any more.
                        self.rtc.disconnect();
                        return Ok(());
                    }
                },
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received?;
                    let datagram = &buffer[..length];
                    if let Ok(contents) = Receive::new(Protocol::Udp, from, self.local, datagram) {
                        let input = Input::Receive(Instant::now(), contents);
                        self.rtc.handle_input(input).map_err(stack)?;
                    }
                }
                () = sleep_until(wake.into()) => {
                    let now = Instant::now();
                    if let Some(projector) = &mut self.projector {
                        projector.send(&mut self.rtc, now)?;
                    }
                    self.rtc.handle_input(Input::Timeout(now)).map_err(stack)?;
                }
            }
        }
    }

    /// Takes everything out of the stack; when it wants to be called again.
    async fn drain(&mut self) -> Result<Instant, MediaError> {
        loop {
            match self.rtc.poll_output().map_err(stack)? {
                Output::Timeout(deadline) => return Ok(deadline),
                // What cannot be sent is lost, as on any network.
                Output::Transmit(datagram) => {
                    let to = datagram.destination;
                    let _ = self.socket.send_to(&datagram.contents, to).await;
                }
                Output::Event(event) => self.happened(&event),
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "most of what a stack tells is not of interest"
    )]
    fn happened(&mut self, event: &Event) {
        let now = Instant::now();
        match event {
            Event::Connected => {
                self.report.send_modify(|seen| seen.connected = Some(now));
                if let Some(projector) = &mut self.projector {
                    projector.began.get_or_insert(now);
                }
            }
            Event::MediaData(data) if data.mid == self.video => {
                self.report.send_modify(|seen| {
                    seen.first_picture.get_or_insert(now);
                    seen.pictures += 1;
                });
            }
            Event::MediaData(_) => self.report.send_modify(|seen| seen.sounds += 1),
            Event::KeyframeRequest(_) => {
                if let Some(projector) = &mut self.projector {
                    projector.jump_to_keyframe();
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, answer: &str) -> Result<(), MediaError> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let answer = SdpAnswer::from_sdp_string(answer).map_err(stack)?;
        let changes = self.rtc.sdp_api();
        changes.accept_answer(pending, answer).map_err(stack)?;
        for candidate in self.early.drain(..) {
            self.rtc.add_remote_candidate(candidate);
        }
        Ok(())
    }

    fn candidate(&mut self, line: &str) {
        // Those of kinds that the stack does not know lead nowhere for it.
        let Ok(candidate) = Candidate::from_sdp_string(line) else {
            return;
        };
        if self.pending.is_none() {
            self.rtc.add_remote_candidate(candidate);
        } else if self.early.len() < EARLY {
            self.early.push(candidate);
        }
    }
}

fn enable(builder: str0m::RtcConfig, codec: Codec) -> str0m::RtcConfig {
    if codec == Codec::Vp9 {
        builder.enable_vp9(true)
    } else if codec == Codec::H264 {
        builder.enable_h264(true)
    } else if codec == Codec::Av1 {
        builder.enable_av1(true)
    } else {
        builder.enable_vp8(true)
    }
}

fn crypto() -> CryptoProvider {
    str0m::crypto::from_feature_flags()
}

fn stack(error: impl std::fmt::Display) -> MediaError {
    MediaError::Stack(error.to_string())
}
