//! A WebRTC peer that is not ours: str0m behind a socket of its own.

use super::ForwardError;
use salono_media_core::{Egress, SocketId};
use salono_media_engine::udp::{Receiver, Sender, SocketOptions, UdpSocket};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::{
    SrtpProvider, SupportedAeadAes128Gcm, SupportedAeadAes256Gcm, SupportedAes128CmSha1_80,
    from_feature_flags,
};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Arena for what a peer sends between two looks at its socket.
const EGRESS_BYTES: usize = 256 * 1024;

/// What peers have in common: one certificate, one view of which cipher was agreed.
#[derive(Debug)]
pub(super) struct PeerFactory {
    /// Presented by all peers.
    certificate: DtlsCert,
    /// Tells which SRTP profile is in use.
    crypto: Arc<CryptoProvider>,
}

/// One peer connection.
pub(super) struct Peer {
    /// The WebRTC stack.
    pub(super) rtc: Rtc,
    /// Its audio m-line.
    pub(super) audio: Mid,
    /// Its video m-line.
    pub(super) video: Mid,
    /// Where it sends from and receives.
    socket: UdpSocket,
    /// When the stack wants to be called.
    deadline: Instant,
}

/// Buffers for the sockets of one thread.
pub(super) struct Buffers {
    /// For receiving.
    receiver: Receiver,
    /// What the peers want to send.
    egress: Egress,
    /// For sending.
    sender: Sender,
}

impl Buffers {
    /// Takes the memory.
    pub(super) fn new() -> Self {
        Self {
            receiver: Receiver::new(),
            egress: Egress::with_arena(EGRESS_BYTES),
            sender: Sender::new(),
        }
    }
}

impl PeerFactory {
    /// Prepares to make peers.
    pub(super) fn new() -> Result<Self, ForwardError> {
        let crypto = CryptoProvider {
            srtp_provider: &PROFILE,
            ..from_feature_flags()
        };
        let certificate = crypto.dtls_provider.generate_certificate();
        Ok(Self {
            certificate: certificate
                .ok_or_else(|| ForwardError::Peer("cannot make a certificate".into()))?,
            crypto: Arc::new(crypto),
        })
    }

    /// A peer on a free port of `ip` and its offer of one audio and one video m-line.
    pub(super) fn offer(
        &self,
        ip: IpAddr,
        direction: Direction,
    ) -> Result<(Peer, String, SdpPendingOffer), ForwardError> {
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0), SocketOptions::default())?;
        let now = Instant::now();
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_dtls_cert(self.certificate.clone())
            .set_crypto_provider(Arc::clone(&self.crypto))
            .build(now);
        rtc.add_local_candidate(
            Candidate::host(socket.local_addr(), Protocol::Udp).map_err(failed)?,
        );
        let mut changes = rtc.sdp_api();
        let audio = changes.add_media(MediaKind::Audio, direction, None, None, None);
        let video = changes.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = changes
            .apply()
            .ok_or_else(|| ForwardError::Peer("nothing to offer".into()))?;
        let peer = Peer {
            rtc,
            audio,
            video,
            socket,
            deadline: now,
        };
        Ok((peer, offer.to_sdp_string(), pending))
    }

    /// The SRTP profile that the peers agreed on with the server, by its registered name.
    pub(super) fn srtp_profile() -> Option<&'static str> {
        match PROFILE.agreed.load(Ordering::Relaxed) {
            AES_CM => Some("AES128_CM_SHA1_80"),
            GCM_128 => Some("AEAD_AES_128_GCM"),
            GCM_256 => Some("AEAD_AES_256_GCM"),
            _ => None,
        }
    }
}

impl Peer {
    /// Applies the answer and the candidates of the server.
    pub(super) fn accept(
        &mut self,
        pending: SdpPendingOffer,
        answer: &str,
        candidates: &[String],
    ) -> Result<(), ForwardError> {
        let answer = SdpAnswer::from_sdp_string(answer).map_err(failed)?;
        self.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .map_err(failed)?;
        for candidate in candidates {
            let candidate = Candidate::from_sdp_string(candidate).map_err(failed)?;
            self.rtc.add_remote_candidate(candidate);
        }
        Ok(())
    }

    /// Takes in what arrived and what is due, sends what comes of it and reports events.
    pub(super) fn run(
        &mut self,
        buffers: &mut Buffers,
        mut report: impl FnMut(Event),
    ) -> Result<(), ForwardError> {
        loop {
            let local = self.socket.local_addr();
            let mut result = Ok(());
            let now = Instant::now();
            let received = buffers.receiver.receive(&self.socket, |remote, datagram| {
                let Ok(contents) = Receive::new(Protocol::Udp, remote, local, datagram) else {
                    return;
                };
                if result.is_ok() {
                    result = self
                        .rtc
                        .handle_input(Input::Receive(now, contents))
                        .map_err(failed)
                        .and_then(|()| drain(&mut self.rtc, &mut buffers.egress, &mut report))
                        .map(|deadline| self.deadline = deadline);
                }
            })?;
            result?;
            if !received.more {
                break;
            }
        }
        let now = Instant::now();
        if self.deadline <= now {
            self.rtc.handle_input(Input::Timeout(now)).map_err(failed)?;
        }
        self.send(buffers, report)
    }

    /// Lets the stack process what it was given; what it wants to send waits for the next
    /// [`Peer::send`].
    pub(super) fn queue(
        &mut self,
        buffers: &mut Buffers,
        mut report: impl FnMut(Event),
    ) -> Result<(), ForwardError> {
        self.deadline = drain(&mut self.rtc, &mut buffers.egress, &mut report)?;
        Ok(())
    }

    /// Sends what the stack has to send.
    pub(super) fn send(
        &mut self,
        buffers: &mut Buffers,
        report: impl FnMut(Event),
    ) -> Result<(), ForwardError> {
        self.queue(buffers, report)?;
        let (bytes, datagrams) = (buffers.egress.bytes(), buffers.egress.datagrams());
        if !datagrams.is_empty() {
            buffers
                .sender
                .send(&self.socket, SocketId(0), bytes, datagrams);
            buffers.egress.clear();
        }
        Ok(())
    }
}

/// Takes everything out of the stack; returns when it wants to be called again.
fn drain(
    rtc: &mut Rtc,
    egress: &mut Egress,
    report: &mut impl FnMut(Event),
) -> Result<Instant, ForwardError> {
    loop {
        match rtc.poll_output().map_err(failed)? {
            Output::Timeout(deadline) => return Ok(deadline),
            Output::Transmit(datagram) => {
                egress.push(SocketId(0), datagram.destination, 0, &datagram.contents);
            }
            Output::Event(event) => report(event),
        }
    }
}

/// An error of the peer's stack as ours.
fn failed(error: impl std::fmt::Display) -> ForwardError {
    ForwardError::Peer(error.to_string())
}

/// Values of [`Witness::agreed`].
const AES_CM: u8 = 1;
const GCM_128: u8 = 2;
const GCM_256: u8 = 3;

/// All peers use it, since the stack wants it to live for ever.
static PROFILE: Witness = Witness {
    agreed: AtomicU8::new(0),
};

/// The usual ciphers; notes which of them are asked for, which only the agreed one is.
#[derive(Debug)]
struct Witness {
    /// The last one.
    agreed: AtomicU8,
}

impl Witness {
    /// The ciphers themselves.
    fn usual(&self, agreed: Option<u8>) -> &'static dyn SrtpProvider {
        if let Some(agreed) = agreed {
            self.agreed.store(agreed, Ordering::Relaxed);
        }
        from_feature_flags().srtp_provider
    }
}

impl SrtpProvider for Witness {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        self.usual(Some(AES_CM)).aes_128_cm_sha1_80()
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        self.usual(Some(GCM_128)).aead_aes_128_gcm()
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        self.usual(Some(GCM_256)).aead_aes_256_gcm()
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.usual(None).srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.usual(None).srtp_aes_256_ecb_round(key, input, output);
    }
}
