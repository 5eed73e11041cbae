//! A WebRTC peer that is not ours: str0m behind a socket of its own.

mod callers;
mod keys;

pub use callers::{Callers, Role};
pub(crate) use keys::KeySlot;

use salono_media_core::{Egress, SocketId};
use salono_media_engine::udp::{Receiver, Sender, SocketOptions, UdpSocket};
use salono_rtp::header::Kind;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec, PayloadParams};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Where everything happens.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Arena for what a peer sends between two looks at its socket.
const EGRESS_BYTES: usize = 256 * 1024;

/// Batches that are taken out of a socket at one look; the rest waits for the next.
const MOST_BATCHES: usize = 256;

/// How often a stack may have something to do at once before it has to wait for the next look.
const MOST_DUE: usize = 4;

/// Why a peer cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Sockets or threads cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer failed, or did not get what it should.
    #[error("peer: {0}")]
    Failed(String),
}

/// What peers have in common: one certificate, one address.
#[derive(Debug)]
pub(crate) struct PeerFactory {
    ip: IpAddr,
    certificate: DtlsCert,
    crypto: Arc<CryptoProvider>,
}

/// One peer connection.
pub(crate) struct Peer {
    /// The WebRTC stack.
    pub(crate) rtc: Rtc,
    /// What DTLS agreed on.
    pub(crate) keys: KeySlot,
    /// Where it sends from and receives.
    socket: UdpSocket,
    /// When the stack wants to be called.
    deadline: Instant,
    /// RTP and RTCP are sent and received beside the stack.
    media_apart: bool,
}

/// An offer that waits for its answer, and the m-lines that it has.
pub(crate) struct Offered {
    /// The offer itself.
    pub(crate) sdp: String,
    /// What the stack needs to go on.
    pending: SdpPendingOffer,
    /// Audio.
    pub(crate) audio: Option<Mid>,
    /// Video.
    pub(crate) video: Option<Mid>,
}

/// Buffers for the sockets of one thread.
pub(crate) struct Buffers {
    /// For receiving.
    receiver: Receiver,
    /// What the peers want to send.
    pub(crate) egress: Egress,
    /// For sending.
    sender: Sender,
}

impl Buffers {
    /// Takes the memory.
    pub(crate) fn new() -> Self {
        Self {
            receiver: Receiver::new(),
            egress: Egress::with_arena(EGRESS_BYTES),
            sender: Sender::new(),
        }
    }

    /// Hands what arrived at a socket to `take`, all of it, with the time of its arrival if the socket tells that.
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
        mut take: impl FnMut(SocketAddr, &mut [u8], Instant, &mut Egress),
    ) -> io::Result<()> {
        let egress = &mut self.egress;
        for _ in 0..MOST_BATCHES {
            let (now, clock) = (Instant::now(), SystemTime::now());
            let instant = |time: SystemTime| now.checked_sub(clock.duration_since(time).ok()?);
            let received = self
                .receiver
                .receive_timed(socket, |remote, datagram, time| {
                    let arrival = time.and_then(instant).unwrap_or(now);
                    take(remote, datagram, arrival, egress);
                })?;
            if !received.more {
                break;
            }
        }
        Ok(())
    }

    /// Sends what was put into [`Buffers::egress`].
    pub(crate) fn flush(&mut self, socket: &UdpSocket) {
        let (bytes, datagrams) = (self.egress.bytes(), self.egress.datagrams());
        if !datagrams.is_empty() {
            self.sender.send(socket, SocketId(0), bytes, datagrams);
            self.egress.clear();
        }
    }
}

impl PeerFactory {
    /// Prepares to make peers at this address of the machine.
    pub(crate) fn new(ip: IpAddr) -> Result<Self, PeerError> {
        let crypto = keys::provider();
        let certificate = crypto.dtls_provider.generate_certificate();
        Ok(Self {
            ip,
            certificate: certificate.ok_or_else(|| failed("cannot make a certificate"))?,
            crypto: Arc::new(crypto),
        })
    }

    /// A peer on a free port that knows Opus and VP8; `feedback` says whether it agrees to tell, for congestion control,
    /// when packets arrived.
    pub(crate) fn peer(&self, options: SocketOptions, feedback: bool) -> Result<Peer, PeerError> {
        self.peer_of(Codec::Vp8, options, feedback)
    }

    /// The same, with another video codec.
    pub(crate) fn peer_of(
        &self,
        video: Codec,
        options: SocketOptions,
        feedback: bool,
    ) -> Result<Peer, PeerError> {
        let socket = UdpSocket::bind(SocketAddr::new(self.ip, 0), options)?;
        let now = Instant::now();
        let (mut rtc, keys) = keys::with_keys(|| {
            let mut builder = Rtc::builder()
                .set_rtp_mode(true)
                .set_dtls_cert(self.certificate.clone())
                .set_crypto_provider(Arc::clone(&self.crypto))
                .clear_codecs()
                .enable_opus(true, false)
                .enable_vp8(video == Codec::Vp8)
                .enable_h264(video == Codec::H264);
            if !feedback {
                builder = builder.set_extension_map(without_feedback());
            }
            builder.build(now)
        });
        let candidate = Candidate::host(socket.local_addr(), Protocol::Udp).map_err(failed)?;
        rtc.add_local_candidate(candidate);
        Ok(Peer {
            rtc,
            keys,
            socket,
            deadline: now,
            media_apart: false,
        })
    }
}

impl Peer {
    /// Offers an audio and, if wanted, a video m-line.
    pub(crate) fn offer(
        &mut self,
        with_video: bool,
        direction: Direction,
    ) -> Result<Offered, PeerError> {
        let mut changes = self.rtc.sdp_api();
        let audio = changes.add_media(MediaKind::Audio, direction, None, None, None);
        let video =
            with_video.then(|| changes.add_media(MediaKind::Video, direction, None, None, None));
        let (offer, pending) = changes.apply().ok_or_else(|| failed("nothing to offer"))?;
        Ok(Offered {
            sdp: offer.to_sdp_string(),
            pending,
            audio: Some(audio),
            video,
        })
    }

    /// Applies the answer of the server.
    pub(crate) fn accept(&mut self, offered: Offered, answer: &str) -> Result<(), PeerError> {
        let answer = SdpAnswer::from_sdp_string(answer).map_err(failed)?;
        self.rtc
            .sdp_api()
            .accept_answer(offered.pending, answer)
            .map_err(failed)?;
        self.deadline = Instant::now();
        Ok(())
    }

    /// Answers an offer of the server.
    pub(crate) fn answer(&mut self, offer: &str) -> Result<String, PeerError> {
        let offer = SdpOffer::from_sdp_string(offer).map_err(failed)?;
        let answer = self.rtc.sdp_api().accept_offer(offer).map_err(failed)?;
        self.deadline = Instant::now();
        Ok(answer.to_sdp_string())
    }

    /// Takes a candidate of the server; one that str0m has no use for is left out.
    pub(crate) fn add_candidate(&mut self, candidate: &str) -> Result<(), PeerError> {
        if is_usable(candidate) {
            let candidate = Candidate::from_sdp_string(candidate).map_err(failed)?;
            self.rtc.add_remote_candidate(candidate);
            self.deadline = Instant::now();
        }
        Ok(())
    }

    /// From now on RTP and RTCP are not the business of the stack: what arrives goes to the second argument of
    /// [`Peer::run`], and what the stack would send is dropped.
    pub(crate) fn keep_media_apart(&mut self) {
        self.media_apart = true;
    }

    /// What was agreed for a codec.
    pub(crate) fn codec(&self, codec: Codec) -> Result<PayloadParams, PeerError> {
        self.rtc
            .codec_config()
            .find(|params| params.spec().codec == codec)
            .copied()
            .ok_or_else(|| failed(format!("{codec} was not agreed")))
    }

    /// Takes in what arrived and what is due, sends what comes of it and reports events. RTP and RTCP that are kept
    /// apart go to `media`, with the time of their arrival.
    pub(crate) fn run(
        &mut self,
        buffers: &mut Buffers,
        mut media: impl FnMut(SocketAddr, &mut [u8], Instant),
        mut report: impl FnMut(Event),
    ) -> Result<(), PeerError> {
        let mut result = Ok(());
        let now = Instant::now();
        let local = self.socket.local_addr();
        buffers.receive(&self.socket, |remote, datagram, arrival, egress| {
            if self.media_apart && is_media(datagram) {
                media(remote, datagram, arrival);
                return;
            }
            let Ok(contents) = Receive::new(Protocol::Udp, remote, local, datagram) else {
                return;
            };
            if result.is_ok() {
                result = self
                    .rtc
                    .handle_input(Input::Receive(now, contents))
                    .map_err(failed)
                    .and_then(|()| drain(&mut self.rtc, self.media_apart, egress, &mut report))
                    .map(|deadline| self.deadline = deadline);
            }
        })?;
        result?;
        if self.deadline <= Instant::now() {
            self.queue(buffers, report)?;
        }
        self.flush(buffers);
        Ok(())
    }

    /// Lets the stack process what it was given; what it wants to send waits for the next [`Peer::flush`].
    pub(crate) fn queue(
        &mut self,
        buffers: &mut Buffers,
        mut report: impl FnMut(Event),
    ) -> Result<(), PeerError> {
        let (now, egress) = (Instant::now(), &mut buffers.egress);
        self.deadline = drain(&mut self.rtc, self.media_apart, egress, &mut report)?;
        // What was written is due at once, and leaves the stack when it is told that it is.
        for _ in 0..MOST_DUE {
            if self.deadline > now {
                break;
            }
            self.rtc.handle_input(Input::Timeout(now)).map_err(failed)?;
            self.deadline = drain(&mut self.rtc, self.media_apart, egress, &mut report)?;
        }
        Ok(())
    }

    /// Sends what waits.
    pub(crate) fn flush(&self, buffers: &mut Buffers) {
        buffers.flush(&self.socket);
    }
}

/// Takes everything out of the stack; returns when it wants to be called again.
fn drain(
    rtc: &mut Rtc,
    media_apart: bool,
    egress: &mut Egress,
    report: &mut impl FnMut(Event),
) -> Result<Instant, PeerError> {
    loop {
        match rtc.poll_output().map_err(failed)? {
            Output::Timeout(deadline) => return Ok(deadline),
            Output::Transmit(datagram) => {
                if !(media_apart && is_media(&datagram.contents)) {
                    egress.push(SocketId(0), datagram.destination, 0, &datagram.contents);
                }
            }
            Output::Event(event) => report(event),
        }
    }
}

/// What browsers offer but for transport-wide sequence numbers and sending times, which only congestion control needs.
fn without_feedback() -> ExtensionMap {
    let mut extensions = ExtensionMap::empty();
    extensions.set(1, Extension::AudioLevel);
    extensions.set(4, Extension::RtpMid);
    extensions
}

/// Whether a datagram is RTP or RTCP.
fn is_media(datagram: &[u8]) -> bool {
    matches!(Kind::of(datagram), Kind::Rtp | Kind::Rtcp)
}

/// Whether a candidate is for UDP over IPv4, as our sockets are.
fn is_usable(candidate: &str) -> bool {
    let mut words = candidate.split_whitespace().skip(2);
    let is_udp = words
        .next()
        .is_some_and(|it| it.eq_ignore_ascii_case("udp"));
    is_udp
        && words
            .nth(1)
            .is_some_and(|ip| ip.parse::<Ipv4Addr>().is_ok())
}

/// An error of the peer's stack as ours.
pub(crate) fn failed(error: impl std::fmt::Display) -> PeerError {
    PeerError::Failed(error.to_string())
}
