//! Answers of plain peers to offers of ours.

use std::collections::BTreeSet;

use crate::codec::CodecKind;
use crate::description::{Codec, Description, Media};

use super::super::apply::check_correspondence;
use super::super::feedback::Feedback;
use super::super::media;
use super::super::negotiated::{NegotiatedCodec, NegotiatedMedia, NegotiationError, Rejection};
use super::super::offer::Offered;
use super::{Local, Negotiated, Profile, Transport, fits, negotiated_codec, settle, transport};

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
    let offer = &offered.description;
    check_correspondence(offer, answer)?;
    let (mut negotiated, mut transports) = (Vec::new(), Vec::new());
    for (index, (ours, theirs)) in offer.media.iter().zip(&answer.media).enumerate() {
        let mut media = match agree(ours, theirs, index, answer, local, transports.len()) {
            Ok((media, transport)) => {
                transports.push(transport);
                media
            }
            Err(rejection) => media::negotiated(index, answer, theirs, Some(rejection)),
        };
        media.mid.clone_from(&ours.mid);
        negotiated.push(media);
    }
    Ok(Negotiated {
        local: offer.clone(),
        media: negotiated,
        transports,
    })
}

fn agree(
    ours: &Media,
    theirs: &Media,
    index: usize,
    answer: &Description,
    local: &Local,
    at: usize,
) -> Result<(NegotiatedMedia, Transport), Rejection> {
    if ours.port == 0 {
        return Err(Rejection::NoPort);
    }
    if theirs.port == 0 {
        return Err(Rejection::RejectedByPeer);
    }
    // Telephones answer with `RTP/AVP` whatever profile was offered.
    let profile = Profile::parse(&theirs.proto).ok_or(Rejection::UnsupportedProtocol)?;
    let transport = transport(local, answer, theirs, false)?;
    let codecs = agree_codecs(ours, theirs, profile);
    if codecs.is_empty() {
        return Err(Rejection::UnsupportedCodecs);
    }
    let mut negotiated = media::negotiated(index, answer, theirs, None);
    let direction = ours.direction.intersection(theirs.direction.reversed());
    negotiated.send = direction.sends();
    negotiated.recv = direction.receives();
    settle(&mut negotiated, theirs, codecs, at, false);
    Ok((negotiated, transport))
}

/// The codecs of the answer that we offered, in the answer's order; each side is sent the payload
/// types that it declared (RFC 3264 §6.1).
fn agree_codecs(ours: &Media, theirs: &Media, profile: Profile) -> Vec<NegotiatedCodec> {
    let mut matched = BTreeSet::new();
    let mut agreed = Vec::new();
    for codec in &theirs.codecs {
        let Some(kind) = CodecKind::of(codec) else {
            continue;
        };
        let same = |offered: &&Codec| {
            CodecKind::of(offered) == Some(kind)
                && (codec.fmtp.is_none()
                    || fits(kind, offered.fmtp.as_deref(), codec.fmtp.as_deref()))
        };
        let same_pt = ours.codec(codec.pt).filter(same);
        let Some(offered) = same_pt.or_else(|| ours.codecs.iter().find(same)) else {
            continue;
        };
        if !matched.insert(offered.pt) {
            continue;
        }
        let feedback = if profile.feedback {
            Feedback::read(&codec.feedback).intersection(Feedback::read(&offered.feedback))
        } else {
            Feedback::default()
        };
        agreed.push(negotiated_codec(kind, codec, offered.pt, feedback));
    }
    agreed
}
