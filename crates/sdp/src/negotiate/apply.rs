//! Answers of peers to offers of ours.

use std::collections::BTreeSet;

use crate::codec::{CodecKind, rtx_apt};
use crate::description::{Codec, Description, Media, MediaKind};
use crate::extension::ExtensionKind;

use super::feedback::Feedback;
use super::local::Local;
use super::media;
use super::negotiated::{
    DtlsRole, Negotiated, NegotiatedCodec, NegotiatedExtension, NegotiatedMedia, NegotiationError,
    Rejection,
};
use super::offer::Offered;
use super::transport::{Share, TransportTable};

/// Applies the answer to an offer.
///
/// # Errors
///
/// When the answer's m-lines are not those of the offer.
pub fn apply_answer(
    offered: &Offered,
    answer: &Description,
    local: &Local,
) -> Result<Negotiated, NegotiationError> {
    apply_after(offered, answer, local, None)
}

/// Applies the answer to an offer in a session that has gone on since `previous`.
pub(super) fn apply_after(
    offered: &Offered,
    answer: &Description,
    local: &Local,
    previous: Option<&Negotiated>,
) -> Result<Negotiated, NegotiationError> {
    let offer = &offered.description;
    check_correspondence(offer, answer)?;
    // The mids are those of the offer: the answer may name them in its group alone.
    let shares = Share::of_each(&answer.bundle, &offer.media);
    let mut transports = TransportTable::after(previous, shares.clone());
    let mut negotiated = Vec::new();
    for (index, (ours, theirs)) in offer.media.iter().zip(&answer.media).enumerate() {
        let mut media = match agree(ours, theirs, index, answer, local) {
            Ok(media) => media,
            Err(rejection) => media::negotiated(index, answer, theirs, Some(rejection)),
        };
        if media.accepted() {
            let share = shares.get(index).copied().unwrap_or(Share::Alone(index));
            let role = DtlsRole::after_answer;
            // The m-lines of a first offer have the same credentials, however the answer groups
            // them.
            media.transport = transports.attach(answer, index, share, role, |_| {
                ours.transport.ice.clone().or(local.ice.first().cloned())
            });
            media.rtcp_mux |= matches!(share, Share::Group(_));
            if media.transport.is_none() {
                let rejection = Some(Rejection::IncompleteTransport);
                media = media::negotiated(index, answer, theirs, rejection);
            }
        }
        media.mid.clone_from(&ours.mid);
        negotiated.push(media);
    }
    Ok(Negotiated {
        local: offer.clone(),
        media: negotiated,
        transports: transports.into_params(),
    })
}

/// An answer has the m-lines of its offer, in order (RFC 3264 §6); mids may be left out by peers
/// that do not know them.
pub(super) fn check_correspondence(
    offer: &Description,
    answer: &Description,
) -> Result<(), NegotiationError> {
    if offer.media.len() != answer.media.len() {
        return Err(NegotiationError::MediaCount {
            offered: offer.media.len(),
            answered: answer.media.len(),
        });
    }
    for (index, (ours, theirs)) in offer.media.iter().zip(&answer.media).enumerate() {
        if ours.kind != theirs.kind {
            return Err(NegotiationError::MediaKind { index });
        }
        if theirs.mid.is_some() && ours.mid != theirs.mid {
            return Err(NegotiationError::Mid { index });
        }
    }
    Ok(())
}

fn agree(
    ours: &Media,
    theirs: &Media,
    index: usize,
    answer: &Description,
    local: &Local,
) -> Result<NegotiatedMedia, Rejection> {
    if theirs.port == 0 {
        return Err(Rejection::RejectedByPeer);
    }
    let mut negotiated = media::negotiated(index, answer, theirs, None);
    match ours.kind {
        MediaKind::Audio | MediaKind::Video => {
            if !media::is_webrtc_rtp(&theirs.proto) {
                return Err(Rejection::UnsupportedProtocol);
            }
            negotiated.codecs = agree_codecs(ours, theirs);
            if negotiated.codecs.is_empty() {
                return Err(Rejection::UnsupportedCodecs);
            }
            let mixed = answer.extmap_allow_mixed || theirs.extmap_allow_mixed;
            negotiated.extensions = agree_extensions(ours, theirs, local, mixed);
            let direction = ours.direction.intersection(theirs.direction.reversed());
            negotiated.send = direction.sends();
            negotiated.recv = direction.receives();
            if direction.receives() {
                negotiated.remote_sources = media::remote_sources(theirs);
            }
        }
        MediaKind::Application => {
            let sctp = media::negotiate_sctp(theirs, local)?;
            negotiated.sctp = Some(super::NegotiatedSctp {
                local_port: ours.sctp_port.unwrap_or(sctp.local_port),
                ..sctp
            });
            negotiated.send = true;
            negotiated.recv = true;
        }
        MediaKind::Other => return Err(Rejection::UnsupportedKind),
    }
    Ok(negotiated)
}

/// The codecs of the answer that we offered, in the answer's order. Answers may give a codec
/// another payload type than the offer (RFC 3264 §6.1): each side is sent what it declared.
fn agree_codecs(ours: &Media, theirs: &Media) -> Vec<NegotiatedCodec> {
    let mut matched = BTreeSet::new();
    let mut agreed = Vec::new();
    for codec in &theirs.codecs {
        let Some(kind) = CodecKind::of(codec) else {
            continue;
        };
        let Some(offered) = offered_codec(ours, codec, kind) else {
            continue;
        };
        if !matched.insert(offered.pt) {
            continue;
        }
        let send_rtx_pt = rtx_of(theirs, codec.pt);
        let receive_rtx_pt = rtx_of(ours, offered.pt);
        agreed.push(NegotiatedCodec {
            kind,
            clock: codec.clock,
            channels: codec.channels,
            fmtp: codec.fmtp.clone().or_else(|| offered.fmtp.clone()),
            send_pt: codec.pt,
            receive_pt: offered.pt,
            // Retransmission streams exist in both directions or not at all.
            send_rtx_pt: send_rtx_pt.filter(|_| receive_rtx_pt.is_some()),
            receive_rtx_pt: receive_rtx_pt.filter(|_| send_rtx_pt.is_some()),
            feedback: Feedback::read(&codec.feedback)
                .intersection(Feedback::read(&offered.feedback)),
        });
    }
    agreed
}

/// The offered codec that an answered one means, the one with its payload type first.
fn offered_codec<'a>(ours: &'a Media, codec: &Codec, kind: CodecKind) -> Option<&'a Codec> {
    let same = |offered: &&Codec| {
        CodecKind::of(offered) == Some(kind)
            && offered.clock == codec.clock
            // Answers that leave parameters out accept those of the offer.
            && (codec.fmtp.is_none()
                || kind.compatible(offered.fmtp.as_deref(), codec.fmtp.as_deref()))
    };
    let same_pt = ours.codec(codec.pt).filter(same);
    same_pt.or_else(|| ours.codecs.iter().find(same))
}

fn rtx_of(media: &Media, pt: u8) -> Option<u8> {
    let rtx = media.codecs.iter().find(|codec| rtx_apt(codec) == Some(pt));
    rtx.map(|codec| codec.pt)
}

/// The extensions of the answer that we offered under the same identifier.
fn agree_extensions(
    ours: &Media,
    theirs: &Media,
    local: &Local,
    mixed: bool,
) -> Vec<NegotiatedExtension> {
    let mut agreed: Vec<NegotiatedExtension> = Vec::new();
    for extension in &theirs.extensions {
        let offered = ours
            .extensions
            .iter()
            .any(|offered| offered.id == extension.id && offered.uri == extension.uri);
        let known = agreed.iter().any(|known| known.id == extension.id);
        if offered && !known {
            let extension = media::negotiate_extension(extension, local, theirs.kind);
            // A descriptor with a structure only fits the two-byte form.
            let fits =
                |of: &NegotiatedExtension| mixed || of.kind != ExtensionKind::DependencyDescriptor;
            agreed.extend(extension.filter(fits));
        }
    }
    agreed
}
