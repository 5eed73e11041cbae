//! One RTP endpoint: its only offer and answer, its ports, and the states that it reports.
//!
//! Ports are bound when a description needs them, and only for the m-lines that will be accepted.
//! A description therefore waits for the network: the command is answered when the ports are
//! there, or when it is clear that there are none, and then the m-line says port 0.

use super::address::{Chosen, choose};
use super::line::{Line, Pair};
use super::sockets::Component;
use crate::codecs::Codecs;
use crate::config::Limits;
use crate::context::Context;
use crate::demux::{EndpointSlot, Owner};
use crate::network::{NetworkRequest, RequestId, SocketId};
use crate::webrtc::{Changes, LocalSsrcs, Path, Srtp};
use rand::{RngExt, rngs::StdRng};
use salono_media_api::{
    ConnectionState, CryptoSuite, ElementEvent, ElementKey, MediaError, MediaErrorKind,
    MediaKind as Kind, OfferKinds, PipelineKey, RtpSpec, SdesKey, Token,
};
use salono_rtp::srtp::Profile;
use salono_sdp::attribute::Crypto;
use salono_sdp::negotiate::plain::{self, Local, Negotiated};
use salono_sdp::negotiate::{NegotiatedMedia, OfferOptions, Offered};
use salono_sdp::{Description, MediaKind};
use std::net::SocketAddr;
use std::time::Instant;

/// Session ids only have to be unique and grow: about the seconds since 1900.
const SESSION_ID_BASE: u64 = 3_900_000_000;

/// The two kinds, in the order of their lines.
const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

/// What a description waits for its ports for.
enum Wish {
    Offer(OfferKinds),
    Answer {
        offer: Box<Description>,
        text: String,
    },
}

enum Phase {
    New,
    Binding {
        token: Token,
        wish: Wish,
        missing: Vec<(RequestId, usize)>,
    },
    Offered(Box<Offered>),
    Negotiated(Box<Negotiated>),
}

/// A command that waited for ports can be answered.
pub(crate) struct Finished {
    pub(crate) token: Token,
    pub(crate) result: Result<String, MediaError>,
}

pub(crate) struct Endpoint {
    key: ElementKey,
    pipeline: PipelineKey,
    slot: EndpointSlot,
    spec: RtpSpec,
    local: Local,
    phase: Phase,
    remote_sdp: Option<String>,
    /// Of audio and video.
    pairs: [Option<Pair>; 2],
    lines: [Option<Line>; 2],
    connection: ConnectionState,
    changes: Changes,
}

impl Endpoint {
    pub(crate) fn new(
        key: ElementKey,
        pipeline: PipelineKey,
        slot: EndpointSlot,
        spec: RtpSpec,
        codecs: &Codecs,
        rng: &mut StdRng,
    ) -> Self {
        let session_id = SESSION_ID_BASE + u64::from(rng.random::<u32>() >> 4);
        let cname = format!("{:016x}", rng.random::<u64>());
        let crypto = spec.crypto.as_ref().map(own_crypto);
        let mut ssrc = || rng.random_range(1..u32::MAX);
        let mut local = Local::new(session_id, &cname, crypto, ssrc(), ssrc());
        local.audio.codecs.clone_from(&codecs.plain_audio);
        local.video.codecs.clone_from(&codecs.plain_video);
        Self {
            key,
            pipeline,
            slot,
            local,
            spec,
            phase: Phase::New,
            remote_sdp: None,
            pairs: [None, None],
            lines: [None, None],
            connection: ConnectionState::Disconnected,
            changes: Changes::default(),
        }
    }

    pub(crate) fn key(&self) -> ElementKey {
        self.key
    }

    pub(crate) fn pipeline(&self) -> PipelineKey {
        self.pipeline
    }

    /// The m-lines, once negotiated. Audio has transport 0 and video transport 1.
    pub(crate) fn media(&self) -> Option<&[NegotiatedMedia]> {
        match &self.phase {
            Phase::Negotiated(negotiated) => Some(&negotiated.media),
            Phase::New | Phase::Binding { .. } | Phase::Offered(_) => None,
        }
    }

    /// What we send an m-line with.
    pub(crate) fn ssrcs(&self, media: &NegotiatedMedia) -> Option<LocalSsrcs> {
        let media = self.local.line(media.kind)?.ssrc;
        Some(LocalSsrcs { media, rtx: None })
    }

    /// SSRC of the sender of what is about no m-line in particular.
    pub(crate) fn ssrc(&self) -> u32 {
        self.local.video.ssrc
    }

    pub(crate) fn cname(&self) -> &str {
        &self.local.cname
    }

    pub(crate) fn connected(&self) -> bool {
        self.connection == ConnectionState::Connected
    }

    pub(crate) fn local_sdp(&self) -> Option<String> {
        match &self.phase {
            Phase::New | Phase::Binding { .. } => None,
            Phase::Offered(offered) => Some(offered.description.to_string()),
            Phase::Negotiated(negotiated) => Some(negotiated.local.to_string()),
        }
    }

    pub(crate) fn remote_sdp(&self) -> Option<&str> {
        self.remote_sdp.as_deref()
    }

    pub(crate) fn srtp(&self, transport: usize) -> Option<&Srtp> {
        self.line(transport).map(Line::srtp)
    }

    pub(crate) fn srtp_mut(&mut self, transport: usize) -> Option<&mut Srtp> {
        let line = self.lines.get_mut(transport)?.as_mut()?;
        Some(line.srtp_mut())
    }

    pub(crate) fn path(&self, transport: usize) -> Option<Path> {
        self.line(transport).and_then(Line::path)
    }

    pub(crate) fn rtcp_path(&self, transport: usize) -> Option<Path> {
        self.line(transport).and_then(Line::rtcp_path)
    }

    fn line(&self, transport: usize) -> Option<&Line> {
        self.lines.get(transport)?.as_ref()
    }

    pub(crate) fn set_max_recv_kbps(&mut self, kind: MediaKind, kbps: u64) {
        if let Some(line) = self.local.line_mut(kind) {
            line.max_recv_kbps = u32::try_from(kbps).unwrap_or(u32::MAX);
        }
    }

    // Negotiation.

    pub(crate) fn generate_offer(
        &mut self,
        token: Token,
        kinds: OfferKinds,
        context: &mut Context<'_>,
    ) -> Result<Option<String>, MediaError> {
        self.begin()?;
        let needed = [kinds.audio > 0, kinds.video > 0];
        let chosen = choose(context.config, self.spec.ipv6, None);
        self.bind(token, Wish::Offer(kinds), needed, chosen, context)
    }

    pub(crate) fn process_offer(
        &mut self,
        token: Token,
        sdp: &str,
        context: &mut Context<'_>,
    ) -> Result<Option<String>, MediaError> {
        self.begin()?;
        let offer = parse(sdp, &context.config.limits)?;
        // With any ports there are: which m-lines will need some?
        let mut trial = self.local.clone();
        for kind in KINDS {
            if let Some(line) = trial.line_mut(kind) {
                line.ports = Some((9, 9));
            }
        }
        let trial = plain::answer(&offer, &trial).map_err(refused)?;
        let needed = KINDS.map(|kind| {
            trial
                .media
                .iter()
                .any(|media| media.kind == kind && media.accepted())
        });
        let remote = plain::remote_ip(&offer);
        let chosen = choose(context.config, self.spec.ipv6, remote);
        let wish = Wish::Answer {
            offer: Box::new(offer),
            text: sdp.to_owned(),
        };
        self.bind(token, wish, needed, chosen, context)
    }

    pub(crate) fn process_answer(
        &mut self,
        sdp: &str,
        context: &mut Context<'_>,
    ) -> Result<String, MediaError> {
        let Phase::Offered(offered) = &self.phase else {
            return Err(match self.phase {
                Phase::Negotiated(_) => {
                    MediaError::new(MediaErrorKind::AlreadyAnswered, "answer already processed")
                }
                Phase::New | Phase::Binding { .. } | Phase::Offered(_) => {
                    MediaError::new(MediaErrorKind::NoOffer, "no offer was generated")
                }
            });
        };
        let answer = parse(sdp, &context.config.limits)?;
        let negotiated = plain::apply_answer(offered, &answer, &self.local).map_err(refused)?;
        self.open(negotiated, sdp.to_owned(), context)
    }

    fn begin(&self) -> Result<(), MediaError> {
        match self.phase {
            Phase::New => Ok(()),
            Phase::Binding { .. } | Phase::Offered(_) | Phase::Negotiated(_) => {
                Err(MediaError::new(
                    MediaErrorKind::AlreadyNegotiated,
                    "endpoint already negotiated",
                ))
            }
        }
    }

    /// Asks for the ports that are needed, and goes on at once when none are.
    fn bind(
        &mut self,
        token: Token,
        wish: Wish,
        needed: [bool; 2],
        chosen: Option<Chosen>,
        context: &mut Context<'_>,
    ) -> Result<Option<String>, MediaError> {
        let mut missing = Vec::new();
        if let Some(chosen) = chosen {
            self.local.address = chosen.announced;
            for (index, _) in needed.into_iter().enumerate().filter(|(_, needed)| *needed) {
                let ports = self.spec.ports.clone();
                let request = context
                    .requests
                    .ask(self.slot, |request| NetworkRequest::BindUdp {
                        request,
                        ip: chosen.bound,
                        ports,
                        pair: true,
                    });
                missing.push((request, index));
            }
        }
        if missing.is_empty() {
            return self.describe(wish, context).map(Some);
        }
        self.phase = Phase::Binding {
            token,
            wish,
            missing,
        };
        Ok(None)
    }

    /// Takes in the ports that a request brought, none when it failed.
    pub(crate) fn bound(
        &mut self,
        request: RequestId,
        sockets: &[(SocketId, SocketAddr)],
        context: &mut Context<'_>,
    ) -> Option<Finished> {
        let Phase::Binding { missing, .. } = &mut self.phase else {
            close_all(sockets, context);
            return None;
        };
        let Some(at) = missing.iter().position(|(asked, _)| *asked == request) else {
            close_all(sockets, context);
            return None;
        };
        let (_, index) = missing.swap_remove(at);
        let is_last = missing.is_empty();
        match *sockets {
            [rtp, rtcp] => self.pairs[index] = Some(Pair { rtp, rtcp }),
            _ => close_all(sockets, context),
        }
        if !is_last {
            return None;
        }
        let Phase::Binding { token, wish, .. } = std::mem::replace(&mut self.phase, Phase::New)
        else {
            return None;
        };
        let result = self.describe(wish, context);
        if result.is_err() {
            self.close_pairs(context);
        }
        Some(Finished { token, result })
    }

    /// Makes the description for which the ports are there now, as far as they are.
    fn describe(&mut self, wish: Wish, context: &mut Context<'_>) -> Result<String, MediaError> {
        for (kind, pair) in KINDS.into_iter().zip(&self.pairs) {
            if let Some(line) = self.local.line_mut(kind) {
                line.ports = pair.as_ref().map(Pair::ports);
            }
        }
        match wish {
            Wish::Offer(kinds) => {
                let options = OfferOptions {
                    audio: kinds.audio.into(),
                    video: kinds.video.into(),
                };
                let offered = plain::offer(&self.local, options);
                let text = offered.description.to_string();
                self.phase = Phase::Offered(Box::new(offered));
                Ok(text)
            }
            Wish::Answer { offer, text } => {
                let negotiated = plain::answer(&offer, &self.local).map_err(refused)?;
                self.open(negotiated, text, context)
            }
        }
    }

    /// Starts what was negotiated.
    fn open(
        &mut self,
        mut negotiated: Negotiated,
        remote_sdp: String,
        context: &mut Context<'_>,
    ) -> Result<String, MediaError> {
        let mut lines = [None, None];
        for transport in &negotiated.transports {
            let Some(index) = index_of(transport.kind) else {
                continue;
            };
            let Some(pair) = self.pairs[index] else {
                continue;
            };
            let line = Line::new(pair, transport, self.local.crypto.as_ref()).map_err(|error| {
                MediaError::new(MediaErrorKind::SdpNegotiation, error.to_string())
            })?;
            lines[index] = Some(line);
        }
        for media in &mut negotiated.media {
            media.transport = media.transport.and_then(|_| index_of(media.kind));
        }
        for (index, line) in lines.iter().enumerate() {
            let Some(pair) = self.pairs[index] else {
                continue;
            };
            if line.is_none() {
                self.pairs[index] = None;
                close_all(&[pair.rtp, pair.rtcp], context);
                continue;
            }
            let owner = Owner {
                endpoint: self.slot,
                transport: index as u8,
            };
            let sockets = &mut context.demux.sockets;
            sockets.add(pair.rtp.0, owner, Component::Rtp);
            sockets.add(pair.rtcp.0, owner, Component::Rtcp);
        }
        let connected = lines.iter().any(Option::is_some);
        self.lines = lines;
        let text = negotiated.local.to_string();
        self.remote_sdp = Some(remote_sdp);
        self.phase = Phase::Negotiated(Box::new(negotiated));
        self.changes = Changes {
            routes: true,
            path: true,
        };
        // There is nothing to wait for without ICE and DTLS.
        if connected {
            self.connection = ConnectionState::Connected;
            context.report(self.key, ElementEvent::Connection(self.connection));
        }
        Ok(text)
    }

    // Datagrams.

    /// Whether a packet from there may be this endpoint's.
    pub(crate) fn admits(
        &self,
        transport: usize,
        component: Component,
        from: SocketAddr,
        now: Instant,
    ) -> bool {
        self.line(transport)
            .is_some_and(|line| line.admits(component, from, now))
    }

    /// Notes where an authentic packet came from; true when this changes where packets go to.
    pub(crate) fn note(
        &mut self,
        transport: usize,
        component: Component,
        from: SocketAddr,
        now: Instant,
    ) -> bool {
        let line = self.lines.get_mut(transport).and_then(Option::as_mut);
        let changed = line.is_some_and(|line| line.note(component, from, now));
        self.changes.path |= changed;
        changed
    }

    /// Reports what is to be reported, and what changed for the router.
    pub(crate) fn drain(&mut self, context: &mut Context<'_>) -> Changes {
        for (line, kind) in self.lines.iter_mut().zip([Kind::Audio, Kind::Video]) {
            let limit = context.config.limits.srtcp_packets;
            if line.as_mut().is_some_and(|line| line.reaches_limit(limit)) {
                context.report(self.key, ElementEvent::KeySoftLimit { kind });
            }
        }
        std::mem::take(&mut self.changes)
    }

    /// Gives the ports back. A command that still waits for some fails.
    pub(crate) fn close(&mut self, context: &mut Context<'_>) -> Option<Finished> {
        self.close_pairs(context);
        self.lines = [None, None];
        match std::mem::replace(&mut self.phase, Phase::New) {
            Phase::Binding { token, .. } => Some(Finished {
                token,
                result: Err(MediaError::new(
                    MediaErrorKind::NotFound,
                    "the element was released",
                )),
            }),
            Phase::New | Phase::Offered(_) | Phase::Negotiated(_) => None,
        }
    }

    fn close_pairs(&mut self, context: &mut Context<'_>) {
        for pair in self.pairs.iter_mut().filter_map(Option::take) {
            close_all(&[pair.rtp, pair.rtcp], context);
        }
    }
}

/// Closes sockets and takes them out of the demultiplexer.
fn close_all(sockets: &[(SocketId, SocketAddr)], context: &mut Context<'_>) {
    for (socket, _) in sockets {
        context.demux.sockets.remove(*socket);
        let socket = *socket;
        context.requests.push(NetworkRequest::Close { socket });
    }
}

fn index_of(kind: MediaKind) -> Option<usize> {
    KINDS.iter().position(|known| *known == kind)
}

/// Our key as offers carry it.
fn own_crypto(key: &SdesKey) -> Crypto {
    let profile = match key.suite {
        CryptoSuite::Aes128CmSha1_32 => Profile::Aes128CmSha1_32,
        CryptoSuite::Aes128CmSha1_80 => Profile::Aes128CmSha1_80,
        CryptoSuite::Aes256CmSha1_32 => Profile::Aes256CmSha1_32,
        CryptoSuite::Aes256CmSha1_80 => Profile::Aes256CmSha1_80,
    };
    Crypto {
        tag: 1,
        suite: profile.sdes_name().to_owned(),
        key: key.key.clone(),
        mki_len: 0,
    }
}

fn parse(sdp: &str, limits: &Limits) -> Result<Description, MediaError> {
    let sdp_limits = salono_sdp::Limits {
        max_bytes: limits.sdp_bytes,
        max_media: limits.sdp_media,
        max_candidates: limits.candidates,
        ..salono_sdp::Limits::default()
    };
    Description::parse(sdp, &sdp_limits)
        .map_err(|error| MediaError::new(MediaErrorKind::SdpParse, error.to_string()))
}

fn refused(error: salono_sdp::negotiate::NegotiationError) -> MediaError {
    MediaError::new(MediaErrorKind::SdpNegotiation, error.to_string())
}
