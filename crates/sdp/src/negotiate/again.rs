//! Negotiating once more with the same peer (RFC 3264 §8): what may change and what has to stay.
//!
//! Directions, codecs, candidates and ICE credentials may change, m-lines may be added at the end,
//! stopped and started again. The peer's certificates, the DTLS roles and which m-lines share a
//! transport stay, so that the keys stay. A transport whose m-lines were all stopped ends.

use std::collections::BTreeSet;

use crate::attribute::Setup;
use crate::description::{Description, MediaKind};

use super::answer::answer_after;
use super::apply::apply_after;
use super::local::Local;
use super::negotiated::{Negotiated, NegotiationError, TransportParams};
use super::offer::{OfferOptions, Offered, add_lines};

/// Answers a further offer of the same session.
///
/// # Errors
///
/// As [`answer`](super::answer), and when the offer changes what has to stay.
pub fn answer_again(
    offer: &Description,
    local: &Local,
    previous: &Negotiated,
) -> Result<Negotiated, NegotiationError> {
    if offer.media.len() < previous.media.len() {
        return Err(NegotiationError::MediaCount {
            offered: offer.media.len(),
            answered: previous.media.len(),
        });
    }
    let mut negotiated = answer_after(offer, local, Some(previous))?;
    keep(previous, &mut negotiated)?;
    for transport in &negotiated.transports {
        for index in &transport.mlines {
            if let Some(line) = negotiated.local.media.get_mut(*index) {
                line.transport.setup = Some(transport.dtls_role.setup());
            }
        }
    }
    Ok(negotiated)
}

/// Offers what was negotiated once more, with the credentials of `local`, and adds m-lines until
/// there are as many in use as wanted.
pub fn offer_again(local: &Local, previous: &Negotiated, options: OfferOptions) -> Offered {
    let mut description = previous.local.clone();
    description.origin.version = local.session_version;
    // Groups that the peer refused are not offered again: transports stay.
    let transport_of = |description: &Description, mid: &String| {
        let media = previous.media.get(description.index_of(mid)?)?;
        media.transport
    };
    let mut groups = std::mem::take(&mut description.bundle);
    groups.retain(|group| {
        let transports: BTreeSet<usize> = group
            .iter()
            .filter_map(|mid| transport_of(&description, mid))
            .collect();
        transports.len() == 1
    });
    let added: Vec<usize> = [
        (MediaKind::Audio, options.audio),
        (MediaKind::Video, options.video),
    ]
    .into_iter()
    .flat_map(|(kind, count)| add_lines(&mut description.media, kind, count, local))
    .collect();
    let mut free = (0..).filter(|at| {
        let params: Option<&TransportParams> = previous.transports.get(*at);
        params.is_none_or(|params| params.mlines.is_empty())
    });
    for (index, line) in description.media.iter_mut().enumerate() {
        if line.port == 0 {
            continue;
        }
        if let (true, Some(group), Some(mid)) =
            (added.contains(&index), groups.first_mut(), &line.mid)
        {
            group.push(mid.clone());
        }
        let of_group = || {
            let mid = line.mid.as_ref()?;
            let group = groups.iter().find(|group| group.contains(mid))?;
            group.iter().find_map(|mid| {
                let media = &previous.media;
                let known = media.iter().find(|media| media.mid.as_ref() == Some(mid));
                known.and_then(|media| media.transport)
            })
        };
        let own = previous.media.get(index).and_then(|media| media.transport);
        let at = own.or_else(of_group).or_else(|| free.next());
        line.transport.setup = Some(Setup::ActPass);
        line.transport.ice = at.and_then(|at| local.ice.get(at).cloned());
    }
    description.bundle = groups;
    Offered { description }
}

/// Applies the answer to a further offer.
///
/// # Errors
///
/// As [`apply_answer`](super::apply_answer), and when the answer changes what has to stay.
pub fn apply_answer_again(
    offered: &Offered,
    answer: &Description,
    local: &Local,
    previous: &Negotiated,
) -> Result<Negotiated, NegotiationError> {
    let mut negotiated = apply_after(offered, answer, local, Some(previous))?;
    keep(previous, &mut negotiated)?;
    Ok(negotiated)
}

/// Holds a new outcome to what has to stay, and keeps the DTLS roles.
fn keep(previous: &Negotiated, negotiated: &mut Negotiated) -> Result<(), NegotiationError> {
    for (old, new) in previous.media.iter().zip(&negotiated.media) {
        // A stopped m-line may be taken for something else (RFC 8829 §5.2.2).
        if !old.accepted() {
            continue;
        }
        if old.kind != new.kind {
            return Err(NegotiationError::MediaKind { index: old.index });
        }
        if !new.accepted() {
            continue;
        }
        if old.mid != new.mid {
            return Err(NegotiationError::Mid { index: old.index });
        }
        if old.transport != new.transport {
            return Err(NegotiationError::Transport);
        }
    }
    for (old, new) in previous.transports.iter().zip(&mut negotiated.transports) {
        if old.mlines.is_empty() || new.mlines.is_empty() {
            continue;
        }
        if old.remote_fingerprints != new.remote_fingerprints {
            return Err(NegotiationError::Transport);
        }
        new.dtls_role = old.dtls_role;
    }
    Ok(())
}
