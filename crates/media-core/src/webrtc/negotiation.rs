//! Offer and answer of one endpoint: which calls are legal when, and what they leave behind.
//!
//! As in Kurento an endpoint either answers an offer or makes one and takes the answer. Beyond
//! Kurento the same peer may negotiate again, and restart ICE. A refused description changes
//! nothing, so the call may be repeated.

use crate::certificate::Certificate;
use crate::config::{Limits, ShardConfig};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use salono_media_api::{
    IceCandidate, MediaError, MediaErrorKind, OfferDirection, OfferKinds, WebRtcSpec,
};
use salono_sdp::negotiate::{
    self, Local, LocalSctp, LocalSource, MAX_TRANSPORTS, Negotiated, NegotiatedMedia, OfferOptions,
    Offered,
};
use salono_sdp::{
    Description, Direction, ExtensionKind, Fingerprint, HashFunction, IceCredentials, MediaKind,
};
use std::net::SocketAddr;

/// Seconds between the NTP epoch (1900) and any moment of this century, roughly: session ids only
/// have to be unique and grow.
const SESSION_ID_BASE: u64 = 3_900_000_000;

enum Phase {
    New,
    Offered(Box<Offered>),
    Negotiated(Box<Negotiated>),
    /// Another offer of ours waits for its answer; until then the last outcome holds.
    Reoffered(Box<Offered>, Box<Negotiated>),
}

/// Descriptions and identity of one endpoint.
pub(crate) struct Negotiation {
    phase: Phase,
    local: Local,
    /// Sender of what is about no m-line in particular.
    ssrc: u32,
    remote_sdp: Option<String>,
    /// Session and version of the peer's last description.
    remote_origin: (u64, u64),
    early_candidates: Vec<IceCandidate>,
    /// Where credentials of ICE restarts come from.
    rng: StdRng,
}

/// SSRCs that we send with by one m-line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalSsrcs {
    pub(crate) media: u32,
    /// Of retransmissions, where there are any.
    pub(crate) rtx: Option<u32>,
}

impl Negotiation {
    pub(crate) fn new(
        spec: &WebRtcSpec,
        config: &ShardConfig,
        certificate: &Certificate,
        rng: &mut StdRng,
    ) -> Self {
        let stream = text(rng, 16);
        let ssrc = rng.random_range(1..u32::MAX);
        let session_id = SESSION_ID_BASE + u64::from(rng.random::<u32>() >> 4);
        let fingerprint = Fingerprint {
            algorithm: HashFunction::Sha256,
            digest: certificate.fingerprint().to_vec(),
        };
        let mut local = Local::new(session_id, Vec::new(), fingerprint, &stream, Vec::new());
        local.audio_codecs.clone_from(&config.codecs.audio);
        local.video_codecs.clone_from(&config.codecs.video);
        local.offer_direction = match spec.direction {
            OfferDirection::SendRecv => Direction::SendRecv,
            OfferDirection::SendOnly => Direction::SendOnly,
            OfferDirection::RecvOnly => Direction::RecvOnly,
        };
        local.extensions = vec![
            ExtensionKind::AudioLevel,
            ExtensionKind::VideoOrientation,
            ExtensionKind::AbsSendTime,
            ExtensionKind::TransportCc,
            ExtensionKind::Mid,
            ExtensionKind::Rid,
            ExtensionKind::RepairedRid,
            ExtensionKind::DependencyDescriptor,
        ];
        local.mixed_extensions = true;
        if spec.data_channels {
            local.sctp = Some(LocalSctp {
                max_message_size: config.limits.message_bytes as u64,
                ..LocalSctp::default()
            });
        }
        Self {
            phase: Phase::New,
            local,
            ssrc,
            remote_sdp: None,
            remote_origin: (0, 0),
            early_candidates: Vec::new(),
            rng: StdRng::from_rng(rng),
        }
    }

    /// What we send an m-line with.
    pub(crate) fn ssrcs(&self, media: &NegotiatedMedia) -> Option<LocalSsrcs> {
        let source = self.local.sources.get(media.index)?;
        Some(LocalSsrcs {
            media: source.ssrc,
            rtx: source.rtx_ssrc.filter(|_| media.kind == MediaKind::Video),
        })
    }

    /// SSRC of the sender of what is about no m-line in particular.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub(crate) fn cname(&self) -> &str {
        &self.local.cname
    }

    /// Ours of the first transport.
    pub(crate) fn credentials(&self) -> Option<&IceCredentials> {
        self.local.ice.first()
    }

    /// Makes what a description with so many m-lines needs of ours.
    fn provide(&mut self, lines: usize) {
        while self.local.sources.len() < lines {
            let source = self.new_source();
            self.local.sources.push(source);
        }
        while self.local.ice.len() < lines.min(MAX_TRANSPORTS) {
            self.local.ice.push(credentials(&mut self.rng));
        }
    }

    fn new_source(&mut self) -> LocalSource {
        let rng = &mut self.rng;
        LocalSource {
            ssrc: rng.random_range(1..u32::MAX),
            rtx_ssrc: Some(rng.random_range(1..u32::MAX)),
            track_id: text(rng, 16),
        }
    }

    /// What a session that goes on needs of ours next.
    fn note_transports(&mut self, negotiated: &Negotiated) {
        for (ice, params) in self.local.ice.iter_mut().zip(&negotiated.transports) {
            *ice = if params.mlines.is_empty() {
                // Whatever comes here later is another transport.
                credentials(&mut self.rng)
            } else {
                params.local_ice.clone()
            };
        }
    }

    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        match &self.phase {
            Phase::Negotiated(negotiated) | Phase::Reoffered(_, negotiated) => Some(negotiated),
            Phase::New | Phase::Offered(_) => None,
        }
    }

    pub(crate) fn set_max_recv_kbps(&mut self, kind: MediaKind, kbps: u64) {
        let kbps = u32::try_from(kbps).unwrap_or(u32::MAX);
        match kind {
            MediaKind::Audio => self.local.max_audio_recv_kbps = kbps,
            MediaKind::Video => self.local.max_video_recv_kbps = kbps,
            MediaKind::Application | MediaKind::Other => {}
        }
    }

    /// Our description as text; `None` before there is one.
    pub(crate) fn local_sdp(&self) -> Option<String> {
        match &self.phase {
            Phase::New => None,
            Phase::Offered(offered) | Phase::Reoffered(offered, _) => {
                Some(offered.description.to_string())
            }
            Phase::Negotiated(negotiated) => Some(negotiated.local.to_string()),
        }
    }

    pub(crate) fn remote_sdp(&self) -> Option<&str> {
        self.remote_sdp.as_deref()
    }

    fn local_description_mut(&mut self) -> Option<&mut Description> {
        match &mut self.phase {
            Phase::New => None,
            Phase::Offered(offered) | Phase::Reoffered(offered, _) => {
                Some(&mut offered.description)
            }
            Phase::Negotiated(negotiated) => Some(&mut negotiated.local),
        }
    }

    pub(crate) fn offer(
        &mut self,
        kinds: OfferKinds,
        limits: &Limits,
    ) -> Result<String, MediaError> {
        let options = OfferOptions {
            audio: kinds.audio.into(),
            video: kinds.video.into(),
        };
        let more = options.audio.saturating_add(options.video);
        let provide = |known: usize| known.saturating_add(more).min(limits.sdp_media);
        self.phase = match std::mem::replace(&mut self.phase, Phase::New) {
            Phase::New if kinds.again.is_none() => {
                self.provide(provide(0).max(1));
                Phase::Offered(Box::new(negotiate::offer(&self.local, options)))
            }
            Phase::Negotiated(negotiated) if kinds.again.is_some() => {
                self.provide(provide(negotiated.media.len()));
                self.local.session_version += 1;
                if kinds.again == Some(true) {
                    self.renew_credentials(|_| true);
                }
                let offered = negotiate::offer_again(&self.local, &negotiated, options);
                Phase::Reoffered(Box::new(offered), negotiated)
            }
            other @ (Phase::New
            | Phase::Offered(_)
            | Phase::Negotiated(_)
            | Phase::Reoffered(..)) => {
                self.phase = other;
                return Err(already_negotiated());
            }
        };
        Ok(self.local_sdp().unwrap_or_default())
    }

    pub(crate) fn answer(&mut self, sdp: &str, limits: &Limits) -> Result<String, MediaError> {
        let negotiated = match &self.phase {
            Phase::New => {
                let offer = parse(sdp, limits)?;
                self.provide(offer.media.len());
                let negotiated = negotiate::answer(&offer, &self.local).map_err(refused)?;
                self.note_remote(&offer, sdp);
                negotiated
            }
            Phase::Negotiated(_) => self.answer_again(sdp, limits)?,
            Phase::Offered(_) | Phase::Reoffered(..) => return Err(already_negotiated()),
        };
        self.note_transports(&negotiated);
        let text = negotiated.local.to_string();
        self.phase = Phase::Negotiated(Box::new(negotiated));
        Ok(text)
    }

    /// A further offer is the peer's next one (RFC 3264 §8), or one that restarts ICE; any other is
    /// somebody's who takes this endpoint for a new one.
    fn answer_again(&mut self, sdp: &str, limits: &Limits) -> Result<Negotiated, MediaError> {
        let offer = parse(sdp, limits).map_err(|_| already_negotiated())?;
        let (session_id, version) = self.remote_origin;
        if offer.origin.session_id != session_id {
            return Err(already_negotiated());
        }
        let Phase::Negotiated(previous) = std::mem::replace(&mut self.phase, Phase::New) else {
            return Err(already_negotiated());
        };
        let answered = self.answer_after(&offer, &previous, version);
        self.phase = Phase::Negotiated(previous);
        let negotiated = answered?;
        self.note_remote(&offer, sdp);
        Ok(negotiated)
    }

    fn answer_after(
        &mut self,
        offer: &Description,
        previous: &Negotiated,
        version: u64,
    ) -> Result<Negotiated, MediaError> {
        self.local.session_version += 1;
        self.provide(offer.media.len());
        for (old, new) in previous.media.iter().zip(&offer.media) {
            // Another m-line in the place of a stopped one sends streams of its own: the numbers
            // of the old ones are used up.
            if !old.accepted() && old.mid != new.mid {
                self.local.sources[old.index] = self.new_source();
            }
        }
        let first = negotiate::answer_again(offer, &self.local, previous);
        let restarts: Vec<bool> = match &first {
            Ok(negotiated) => previous
                .transports
                .iter()
                .zip(&negotiated.transports)
                .map(|(old, new)| {
                    let goes_on = !old.mlines.is_empty() && !new.mlines.is_empty();
                    goes_on && old.remote_ice != new.remote_ice
                })
                .collect(),
            Err(_) => Vec::new(),
        };
        let restarts_any = restarts.contains(&true);
        if offer.origin.version <= version && !restarts_any {
            return Err(already_negotiated());
        }
        if !restarts_any {
            return first.map_err(refused);
        }
        let before = self.local.ice.clone();
        self.renew_credentials(|index| restarts.get(index) == Some(&true));
        let again = negotiate::answer_again(offer, &self.local, previous);
        if again.is_err() {
            self.local.ice = before;
        }
        again.map_err(refused)
    }

    fn note_remote(&mut self, remote: &Description, sdp: &str) {
        self.remote_origin = (remote.origin.session_id, remote.origin.version);
        self.remote_sdp = Some(sdp.to_owned());
    }

    /// Our part of an ICE restart.
    fn renew_credentials(&mut self, of: impl Fn(usize) -> bool) {
        for (index, ice) in self.local.ice.iter_mut().enumerate() {
            if of(index) {
                *ice = credentials(&mut self.rng);
            }
        }
    }

    pub(crate) fn apply_answer(
        &mut self,
        sdp: &str,
        limits: &Limits,
    ) -> Result<String, MediaError> {
        let (offered, previous) = match &self.phase {
            Phase::Offered(offered) => (offered, None),
            Phase::Reoffered(offered, previous) => (offered, Some(previous)),
            Phase::Negotiated(_) => {
                let kind = MediaErrorKind::AlreadyAnswered;
                return Err(MediaError::new(kind, "answer already processed"));
            }
            Phase::New => {
                let kind = MediaErrorKind::NoOffer;
                return Err(MediaError::new(kind, "no offer was generated"));
            }
        };
        let answer = parse(sdp, limits)?;
        let negotiated = match previous {
            None => negotiate::apply_answer(offered, &answer, &self.local),
            Some(previous) => {
                negotiate::apply_answer_again(offered, &answer, &self.local, previous)
            }
        }
        .map_err(refused)?;
        self.note_transports(&negotiated);
        let text = negotiated.local.to_string();
        self.note_remote(&answer, sdp);
        self.phase = Phase::Negotiated(Box::new(negotiated));
        Ok(text)
    }

    /// The m-lines of ours that candidates are for: index, mid and transport.
    pub(crate) fn candidate_lines(&self) -> Vec<(u16, String, usize)> {
        let line = |index: usize, mid: Option<&str>, transport| {
            (
                u16::try_from(index).unwrap_or(u16::MAX),
                mid.unwrap_or_default().to_owned(),
                transport,
            )
        };
        match &self.phase {
            Phase::New => Vec::new(),
            Phase::Offered(offered) => offered
                .description
                .media
                .iter()
                .enumerate()
                .map(|(index, media)| line(index, media.mid.as_deref(), 0))
                .collect(),
            Phase::Negotiated(negotiated) | Phase::Reoffered(_, negotiated) => negotiated
                .media
                .iter()
                .filter_map(|media| {
                    media
                        .transport
                        .map(|at| line(media.index, media.mid.as_deref(), at))
                })
                .collect(),
        }
    }

    /// Puts what has been gathered so far into our description; `default` is what a peer without
    /// ICE would send to.
    pub(crate) fn record_candidates<'a>(
        &mut self,
        candidates: impl Iterator<Item = &'a str> + Clone,
        default: Option<SocketAddr>,
        is_complete: bool,
    ) {
        let lines = self.candidate_lines();
        let Some(description) = self.local_description_mut() else {
            return;
        };
        for (index, _, _) in lines {
            let index = usize::from(index);
            for candidate in candidates.clone() {
                description.add_candidate(index, candidate);
            }
            if is_complete {
                description.end_of_candidates(index);
            }
            if let Some(addr) = default {
                description.set_default_address(index, addr.ip(), addr.port());
            }
        }
    }

    /// Which transport a signalled candidate is for: `Ok(None)` keeps it for later or drops it as
    /// one for a rejected m-line.
    pub(crate) fn place_candidate(
        &mut self,
        candidate: &IceCandidate,
        limits: &Limits,
    ) -> Result<Option<usize>, MediaError> {
        let (Phase::Negotiated(negotiated) | Phase::Reoffered(_, negotiated)) = &self.phase else {
            if self.early_candidates.len() >= limits.candidates {
                return Err(MediaError::new(
                    MediaErrorKind::Limit,
                    "too many candidates",
                ));
            }
            self.early_candidates.push(candidate.clone());
            return Ok(None);
        };
        let by_mid = negotiated.media.iter().find(|media| {
            !candidate.mid.is_empty() && media.mid.as_deref() == Some(&candidate.mid)
        });
        let media = by_mid.or_else(|| negotiated.media.get(usize::from(candidate.mline_index)));
        match media {
            Some(media) => Ok(media.transport),
            None => Err(MediaError::new(
                MediaErrorKind::Candidate,
                format!("there is no m-line {}", candidate.mline_index),
            )),
        }
    }

    /// Candidates that came before the description they belong to.
    pub(crate) fn take_early_candidates(&mut self) -> Vec<IceCandidate> {
        std::mem::take(&mut self.early_candidates)
    }
}

/// Random text of the characters that ICE allows.
fn text(rng: &mut StdRng, length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..length)
        .map(|_| char::from(ALPHABET[rng.random_range(0..64)]))
        .collect()
}

/// RFC 8445 §5.3: at least 24 bits of user name and 128 bits of password.
fn credentials(rng: &mut StdRng) -> IceCredentials {
    IceCredentials {
        ufrag: text(rng, 8),
        pwd: text(rng, 24),
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

fn refused(error: negotiate::NegotiationError) -> MediaError {
    MediaError::new(MediaErrorKind::SdpNegotiation, error.to_string())
}

fn already_negotiated() -> MediaError {
    MediaError::new(
        MediaErrorKind::AlreadyNegotiated,
        "endpoint already negotiated",
    )
}
