//! Answers to offers of peers.

use std::collections::BTreeSet;

use crate::attribute::{Direction, Extension, Rid, RidDirection, Simulcast, SimulcastRid};
use crate::codec::{CodecKind, fmtp_value, red_primary, rtx_apt};
use crate::description::{Codec, Description, Media, MediaKind, Origin};
use crate::extension::ExtensionKind;

use super::feedback::{self, Feedback};
use super::local::Local;
use super::media;
use super::negotiated::{
    DtlsRole, Negotiated, NegotiatedCodec, NegotiatedExtension, NegotiatedMedia, NegotiationError,
    Rejection,
};
use super::transport::{Share, TransportTable};

/// Identifiers of header extensions in the one-byte form (RFC 8285 §4.2).
const ONE_BYTE_EXTENSION_IDS: std::ops::RangeInclusive<u8> = 1..=14;

/// Answers an offer.
///
/// # Errors
///
/// Only when the offer as a whole makes no sense; an m-line that cannot be accepted is rejected by
/// itself.
pub fn answer(offer: &Description, local: &Local) -> Result<Negotiated, NegotiationError> {
    answer_after(offer, local, None)
}

/// Answers an offer of a session that has gone on since `previous`.
pub(super) fn answer_after(
    offer: &Description,
    local: &Local,
    previous: Option<&Negotiated>,
) -> Result<Negotiated, NegotiationError> {
    if offer.media.is_empty() {
        return Err(NegotiationError::NoMedia);
    }
    let mut mids = BTreeSet::new();
    for mid in offer.media.iter().filter_map(|media| media.mid.as_ref()) {
        if !mids.insert(mid) {
            return Err(NegotiationError::DuplicateMid(mid.clone()));
        }
    }
    let shares = Share::of_each(&offer.bundle, &offer.media);
    let mut answerer = Answerer {
        offer,
        local,
        transports: TransportTable::after(previous, shares.clone()),
        shares,
        has_data: false,
    };
    let (mut lines, mut negotiated) = (Vec::new(), Vec::new());
    for (index, offered) in offer.media.iter().enumerate() {
        let (line, media) = answerer.accept(index, offered).unwrap_or_else(|rejection| {
            (
                media::rejected(offered),
                media::negotiated(index, offer, offered, Some(rejection)),
            )
        });
        lines.push(line);
        negotiated.push(media);
    }
    let local = Description {
        bundle: answerer.bundle(&negotiated),
        extmap_allow_mixed: offer.extmap_allow_mixed && local.mixed_extensions,
        media: lines,
        ..description(local)
    };
    Ok(Negotiated {
        local,
        media: negotiated,
        transports: answerer.transports.into_params(),
    })
}

/// The session level of our descriptions.
pub(super) fn description(local: &Local) -> Description {
    Description {
        origin: Origin {
            session_id: local.session_id,
            version: local.session_version,
            address: local.address.into(),
            ..Origin::default()
        },
        session_name: local.session_name.clone(),
        connection: Some(local.address.into()),
        ..Description::default()
    }
}

struct Answerer<'a> {
    offer: &'a Description,
    local: &'a Local,
    /// What each m-line shares its transport by.
    shares: Vec<Share>,
    /// There is an SCTP association already.
    has_data: bool,
    transports: TransportTable,
}

impl Answerer<'_> {
    fn accept(
        &mut self,
        index: usize,
        offered: &Media,
    ) -> Result<(Media, NegotiatedMedia), Rejection> {
        let share = self
            .shares
            .get(index)
            .copied()
            .unwrap_or(Share::Alone(index));
        // Port 0 means "only within the group" for a bundle-only m-line (RFC 8843 §6).
        let bundled = offered.bundle_only && matches!(share, Share::Group(_));
        if offered.port == 0 && !bundled {
            return Err(Rejection::Disabled);
        }
        match offered.kind {
            MediaKind::Audio | MediaKind::Video => self.accept_rtp(index, offered, share),
            MediaKind::Application if self.has_data => Err(Rejection::Surplus),
            MediaKind::Application => self.accept_data(index, offered, share),
            MediaKind::Other => Err(Rejection::UnsupportedKind),
        }
    }

    /// Whether feedback on congestion is of use: what a peer sends, and what is sent to one that sees pictures. To
    /// one that only listens sound goes out as it comes, and nothing would be done about its reports.
    fn is_adapted(&self, offered: &Media) -> bool {
        let has_pictures = |media: &Media| {
            media.kind == MediaKind::Video && (media.port != 0 || media.bundle_only)
        };
        offered.direction.sends() || self.offer.media.iter().any(has_pictures)
    }

    fn accept_rtp(
        &mut self,
        index: usize,
        offered: &Media,
        share: Share,
    ) -> Result<(Media, NegotiatedMedia), Rejection> {
        let local = self.local;
        if !media::is_webrtc_rtp(&offered.proto) {
            return Err(Rejection::UnsupportedProtocol);
        }
        let source = local.sources.get(index).ok_or(Rejection::Surplus)?;
        let mixed =
            local.mixed_extensions && (offered.extmap_allow_mixed || self.offer.extmap_allow_mixed);
        let mut extensions = accept_extensions(offered, local, mixed);
        if !self.is_adapted(offered) {
            extensions.retain(|(_, extension)| extension.kind != ExtensionKind::TransportCc);
        }
        let transport_cc = extensions
            .iter()
            .any(|(_, extension)| extension.kind == ExtensionKind::TransportCc);
        let codecs = accept_codecs(offered, local, transport_cc);
        if !codecs.has_media() {
            return Err(Rejection::UnsupportedCodecs);
        }
        let (mut line, mut negotiated) = self.attach(index, offered, share)?;

        let direction = offered.direction.reversed();
        line.direction = direction;
        line.rtcp_mux = offered.rtcp_mux;
        line.rtcp_rsize = offered.rtcp_rsize;
        line.extmap_allow_mixed = mixed && offered.extmap_allow_mixed;
        line.formats = codecs.lines.iter().map(|c| c.pt.to_string()).collect();
        let simulcast = accept_simulcast(offered, local, direction, &codecs.lines, &extensions);
        for (written, extension) in extensions {
            let is_rid = matches!(
                extension.kind,
                ExtensionKind::Rid | ExtensionKind::RepairedRid
            );
            let scalable = codecs.negotiated.iter().any(|c| c.kind == CodecKind::Av1);
            // A descriptor with a structure only fits the two-byte form.
            let has_dependencies = scalable && mixed;
            if (is_rid && simulcast.is_none())
                || (extension.kind == ExtensionKind::DependencyDescriptor && !has_dependencies)
            {
                continue;
            }
            line.extensions.push(written);
            negotiated.extensions.push(extension);
        }
        if let Some((rids, simulcast)) = simulcast {
            line.rids.clone_from(&rids);
            line.simulcast = Some(simulcast);
            negotiated.rids = rids;
        }
        if direction.sends() {
            let rtx = codecs.negotiated.iter().any(|c| c.send_rtx_pt.is_some());
            let nth = media::nth_of_kind(&self.offer.media, index);
            media::announce_source(&mut line, local, source, nth, rtx);
        }
        if direction.receives() {
            negotiated.remote_sources = media::remote_sources(offered);
        }
        negotiated.send = direction.sends();
        negotiated.recv = direction.receives();
        line.codecs = codecs.lines;
        negotiated.codecs = codecs.negotiated;
        Ok((line, negotiated))
    }

    fn accept_data(
        &mut self,
        index: usize,
        offered: &Media,
        share: Share,
    ) -> Result<(Media, NegotiatedMedia), Rejection> {
        let sctp = media::negotiate_sctp(offered, self.local)?;
        let (mut line, mut negotiated) = self.attach(index, offered, share)?;
        if media::legacy_sctp_port(offered).is_some() {
            line.formats = offered.formats.iter().take(1).cloned().collect();
            let port = sctp.local_port;
            line.sctpmap = Some(format!("{port} {} 1024", media::DATA_CHANNEL));
        } else {
            line.formats = vec![media::DATA_CHANNEL.to_owned()];
            line.max_message_size = self.local.sctp.map(|sctp| sctp.max_message_size);
        }
        line.sctp_port = Some(sctp.local_port);
        negotiated.send = true;
        negotiated.recv = true;
        negotiated.sctp = Some(sctp);
        self.has_data = true;
        Ok((line, negotiated))
    }

    /// Gives an m-line its transport and begins both of its descriptions.
    fn attach(
        &mut self,
        index: usize,
        offered: &Media,
        share: Share,
    ) -> Result<(Media, NegotiatedMedia), Rejection> {
        let role = DtlsRole::towards_offer;
        let transport = self
            .transports
            .attach(self.offer, index, share, role, |transport| {
                self.local.ice.get(transport).cloned()
            })
            .ok_or(Rejection::IncompleteTransport)?;
        let params = self
            .transports
            .get(transport)
            .ok_or(Rejection::IncompleteTransport)?;
        let mut line = media::accepted(
            self.local,
            offered.kind,
            &offered.proto,
            Some(params.local_ice.clone()),
            params.dtls_role.setup(),
        );
        line.mid.clone_from(&offered.mid);
        let mut negotiated = media::negotiated(index, self.offer, offered, None);
        negotiated.transport = Some(transport);
        negotiated.rtcp_mux |= matches!(share, Share::Group(_));
        Ok((line, negotiated))
    }

    /// The offered groups without rejected m-lines.
    fn bundle(&self, negotiated: &[NegotiatedMedia]) -> Vec<Vec<String>> {
        let kept = |group: usize, mid: &String| {
            negotiated.iter().any(|media| {
                media.accepted()
                    && media.mid.as_ref() == Some(mid)
                    && self.shares.get(media.index) == Some(&Share::Group(group))
            })
        };
        let groups = self.offer.bundle.iter().enumerate();
        groups
            .map(|(group, mids)| {
                mids.iter()
                    .filter(|mid| kept(group, mid))
                    .cloned()
                    .collect()
            })
            .filter(|mids: &Vec<String>| !mids.is_empty())
            .collect()
    }
}

struct AcceptedCodecs {
    lines: Vec<Codec>,
    negotiated: Vec<NegotiatedCodec>,
}

impl AcceptedCodecs {
    /// Digits alone are no audio.
    fn has_media(&self) -> bool {
        self.negotiated
            .iter()
            .any(|codec| codec.kind != CodecKind::TelephoneEvent)
    }
}

/// The offered codecs that we take, in the offer's order, with the offer's parameters: a forwarder
/// passes on whatever the two ends can do.
fn accept_codecs(offered: &Media, local: &Local, transport_cc: bool) -> AcceptedCodecs {
    let primaries = accept_primaries(offered, local);
    let mut accepted = AcceptedCodecs {
        lines: Vec::new(),
        negotiated: Vec::new(),
    };
    for codec in &offered.codecs {
        let mut line = codec.clone();
        if let Some((kind, fmtp)) = primaries
            .iter()
            .find(|(pt, _, _)| *pt == codec.pt)
            .map(|(_, kind, fmtp)| (*kind, fmtp))
        {
            line.fmtp = codec.fmtp.clone().or_else(|| fmtp.clone());
            line.feedback = feedback::accepted(kind, &codec.feedback, transport_cc);
            let rtx_pt = accepted_rtx(offered, local, codec);
            accepted.negotiated.push(NegotiatedCodec {
                kind,
                clock: codec.clock,
                channels: codec.channels,
                fmtp: line.fmtp.clone(),
                send_pt: codec.pt,
                receive_pt: codec.pt,
                send_rtx_pt: rtx_pt,
                receive_rtx_pt: rtx_pt,
                feedback: Feedback::read(&line.feedback),
            });
            accepted.lines.push(line);
        } else if let Some(primary) = rtx_apt(codec).and_then(|apt| offered.codec(apt)) {
            let taken = primaries.iter().any(|(pt, _, _)| *pt == primary.pt);
            if taken && accepted_rtx(offered, local, primary) == Some(codec.pt) {
                line.feedback = Vec::new();
                accepted.lines.push(line);
            }
        }
    }
    accepted
}

/// Payload type, kind and our own parameters of the offered codecs that we take.
fn accept_primaries(offered: &Media, local: &Local) -> Vec<(u8, CodecKind, Option<String>)> {
    let ours = match offered.kind {
        MediaKind::Audio => &local.audio_codecs,
        MediaKind::Video => &local.video_codecs,
        MediaKind::Application | MediaKind::Other => return Vec::new(),
    };
    let known = || {
        let known = offered
            .codecs
            .iter()
            .filter_map(|codec| Some((codec, CodecKind::of(codec)?)));
        known.filter(|(_, kind)| kind.media() == offered.kind)
    };
    let matching = |codec: &Codec, kind: CodecKind| {
        ours.iter().find(|our| {
            our.kind == kind && kind.compatible(our.fmtp.as_deref(), codec.fmtp.as_deref())
        })
    };
    let clocks: BTreeSet<u32> = known()
        .filter(|(codec, kind)| matching(codec, *kind).is_some())
        .map(|(codec, _)| codec.clock)
        .collect();
    known()
        .filter_map(|(codec, kind)| {
            if kind == CodecKind::TelephoneEvent {
                return clocks
                    .contains(&codec.clock)
                    .then_some((codec.pt, kind, None));
            }
            if kind == CodecKind::OpusRed {
                // What it carries must be what we take by itself, for those who do not know it.
                let carried =
                    red_primary(codec.fmtp.as_deref()).and_then(|pt| offered.codec(pt))?;
                let is_taken = CodecKind::of(carried) == Some(CodecKind::Opus)
                    && matching(carried, CodecKind::Opus).is_some();
                return is_taken.then_some((codec.pt, kind, None));
            }
            matching(codec, kind).map(|our| (codec.pt, kind, our.fmtp.clone()))
        })
        .collect()
}

/// The first retransmission payload type that is offered for a codec.
fn accepted_rtx(offered: &Media, local: &Local, primary: &Codec) -> Option<u8> {
    if !local.rtx || offered.kind != MediaKind::Video {
        return None;
    }
    offered
        .codecs
        .iter()
        .find(|codec| rtx_apt(codec) == Some(primary.pt) && codec.clock == primary.clock)
        .map(|codec| codec.pt)
}

/// The offered extensions that we take, each as written and as understood; the first of those with
/// the same identifier or meaning.
fn accept_extensions(
    offered: &Media,
    local: &Local,
    mixed: bool,
) -> Vec<(Extension, NegotiatedExtension)> {
    let mut accepted: Vec<(Extension, NegotiatedExtension)> = Vec::new();
    for extension in &offered.extensions {
        if !mixed && !ONE_BYTE_EXTENSION_IDS.contains(&extension.id) {
            continue;
        }
        let Some(negotiated) = media::negotiate_extension(extension, local, offered.kind) else {
            continue;
        };
        let known = accepted
            .iter()
            .any(|(_, other)| other.id == negotiated.id || other.kind == negotiated.kind);
        if !known {
            let written = Extension {
                direction: extension.direction.map(Direction::reversed),
                ..extension.clone()
            };
            accepted.push((written, negotiated));
        }
    }
    accepted
}

/// The simulcast streams that we agree to receive, with their identifiers: of each offered stream
/// the first alternative that is declared and whose payload types are accepted.
fn accept_simulcast(
    offered: &Media,
    local: &Local,
    direction: Direction,
    codecs: &[Codec],
    extensions: &[(Extension, NegotiatedExtension)],
) -> Option<(Vec<Rid>, Simulcast)> {
    // Without the identifier in packets the streams cannot be told apart.
    let identified = extensions
        .iter()
        .any(|(_, extension)| extension.kind == ExtensionKind::Rid);
    if !local.simulcast || !direction.receives() || !identified {
        return None;
    }
    let mut rids: Vec<Rid> = Vec::new();
    let mut streams: Vec<Vec<SimulcastRid>> = Vec::new();
    for alternatives in &offered.simulcast.as_ref()?.send {
        let chosen = alternatives.iter().find_map(|alternative| {
            let rid = offered
                .rids
                .iter()
                .find(|rid| rid.id == alternative.id && rid.direction == RidDirection::Send)?;
            Some((alternative, accept_rid(rid, codecs)?))
        });
        if let Some((alternative, rid)) = chosen
            && !rids.iter().any(|known| known.id == rid.id)
        {
            rids.push(rid);
            streams.push(vec![alternative.clone()]);
        }
    }
    let simulcast = Simulcast {
        send: Vec::new(),
        recv: streams,
    };
    (!rids.is_empty()).then_some((rids, simulcast))
}

/// The receiving counterpart of a stream; `None` when it is restricted to payload types that are
/// not accepted.
fn accept_rid(rid: &Rid, codecs: &[Codec]) -> Option<Rid> {
    let mut restrictions = Vec::new();
    for restriction in rid.restrictions.as_deref().unwrap_or_default().split(';') {
        let restriction = restriction.trim();
        match fmtp_value(restriction, "pt") {
            Some(pts) => {
                let accepted = |pt: &&str| codecs.iter().any(|c| pt.parse() == Ok(c.pt));
                let pts: Vec<_> = pts.split(',').filter(accepted).collect();
                if pts.is_empty() {
                    return None;
                }
                restrictions.push(format!("pt={}", pts.join(",")));
            }
            None if restriction.is_empty() => {}
            None => restrictions.push(restriction.to_owned()),
        }
    }
    Some(Rid {
        id: rid.id.clone(),
        direction: RidDirection::Recv,
        restrictions: (!restrictions.is_empty()).then(|| restrictions.join(";")),
    })
}
