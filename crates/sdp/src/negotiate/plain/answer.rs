//! Answers to offers of plain peers.

use std::collections::BTreeSet;

use crate::attribute::{Crypto, Setup};
use crate::codec::CodecKind;
use crate::description::{Codec, Description, Media, MediaKind};

use super::super::feedback::{self, Feedback};
use super::super::media;
use super::super::negotiated::{NegotiatedCodec, NegotiatedMedia, NegotiationError, Rejection};
use super::{
    Local, Negotiated, Profile, Transport, announce_source, description, has_feedback, line,
    negotiated_codec, own_codec, settle, transport,
};

/// Answers an offer.
///
/// # Errors
///
/// Only when the offer has no m-line; one that cannot be accepted is rejected by itself.
pub fn answer(offer: &Description, local: &Local) -> Result<Negotiated, NegotiationError> {
    if offer.media.is_empty() {
        return Err(NegotiationError::NoMedia);
    }
    let mut taken = BTreeSet::new();
    let (mut lines, mut negotiated, mut transports) = (Vec::new(), Vec::new(), Vec::new());
    for (index, offered) in offer.media.iter().enumerate() {
        let accepted = accept(index, offered, offer, local, &taken, transports.len());
        let (line, media) = match accepted {
            Ok((line, media, transport)) => {
                taken.insert(offered.kind);
                transports.push(transport);
                (line, media)
            }
            Err(rejection) => (
                media::rejected(offered),
                media::negotiated(index, offer, offered, Some(rejection)),
            ),
        };
        lines.push(line);
        negotiated.push(media);
    }
    Ok(Negotiated {
        local: Description {
            media: lines,
            ..description(local)
        },
        media: negotiated,
        transports,
    })
}

fn accept(
    index: usize,
    offered: &Media,
    offer: &Description,
    local: &Local,
    taken: &BTreeSet<MediaKind>,
    at: usize,
) -> Result<(Media, NegotiatedMedia, Transport), Rejection> {
    if offered.port == 0 {
        return Err(Rejection::Disabled);
    }
    let ours = local.line(offered.kind).ok_or(Rejection::UnsupportedKind)?;
    if taken.contains(&offered.kind) {
        return Err(Rejection::Surplus);
    }
    let profile = Profile::parse(&offered.proto).ok_or(Rejection::UnsupportedProtocol)?;
    let transport = transport(local, offer, offered, offered.rtcp_mux)?;
    let mut lines: Vec<Codec> = Vec::new();
    let mut codecs: Vec<NegotiatedCodec> = Vec::new();
    for codec in &offered.codecs {
        let kind = CodecKind::of(codec).filter(|kind| kind.media() == offered.kind);
        let Some((kind, own)) = kind.and_then(|kind| Some((kind, own_codec(ours, codec, kind)?)))
        else {
            continue;
        };
        let mut line = codec.clone();
        line.fmtp = line
            .fmtp
            .and_then(|fmtp| without_parameter_sets(&fmtp))
            .or_else(|| own.fmtp.clone());
        line.feedback = if profile.feedback {
            feedback::accepted(kind, &codec.feedback, false)
                .into_iter()
                .filter(|value| has_feedback(kind, value))
                .collect()
        } else {
            Vec::new()
        };
        let feedback = Feedback::read(&line.feedback);
        codecs.push(negotiated_codec(kind, codec, codec.pt, feedback));
        lines.push(line);
    }
    if codecs.is_empty() {
        return Err(Rejection::UnsupportedCodecs);
    }
    // Digits ride along where they are offered beside a codec of their clock rate.
    let clocks: BTreeSet<u32> = codecs.iter().map(|codec| codec.clock).collect();
    for digits in &offered.codecs {
        let is_digits = CodecKind::of(digits) == Some(CodecKind::TelephoneEvent);
        if is_digits && clocks.contains(&digits.clock) {
            let kind = CodecKind::TelephoneEvent;
            codecs.push(negotiated_codec(
                kind,
                digits,
                digits.pt,
                Feedback::default(),
            ));
            lines.push(Codec {
                feedback: Vec::new(),
                ..digits.clone()
            });
        }
    }
    let chosen = transport.remote_key.as_ref().map(|key: &Crypto| key.tag);
    let mut answer = line(local, offered.kind, &offered.proto, chosen)?;
    let mut negotiated = media::negotiated(index, offer, offered, None);
    let direction = offered.direction.reversed();
    negotiated.send = direction.sends();
    negotiated.recv = direction.receives();
    answer.mid.clone_from(&offered.mid);
    answer.direction = direction;
    answer.rtcp_mux = offered.rtcp_mux;
    answer.comedia = match offered.comedia {
        Some(Setup::Active | Setup::ActPass) => Some(Setup::Passive),
        Some(Setup::Passive) => Some(Setup::Active),
        Some(Setup::HoldConn) | None => None,
    };
    answer.formats = lines.iter().map(|codec| codec.pt.to_string()).collect();
    answer.codecs = lines;
    announce_source(&mut answer, local);
    settle(&mut negotiated, offered, codecs, at, offered.rtcp_mux);
    Ok((answer, negotiated, transport))
}

/// Parameter sets describe what their author sends, not what we do.
fn without_parameter_sets(fmtp: &str) -> Option<String> {
    let kept: Vec<&str> = fmtp
        .split(';')
        .map(str::trim)
        .filter(|parameter| !parameter.is_empty() && !parameter.starts_with("sprop-"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(";"))
}
