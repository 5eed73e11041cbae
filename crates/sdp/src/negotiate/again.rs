//! Negotiating once more with the same peer (RFC 3264 §8): what may change and what has to stay.
//!
//! Directions, codecs, candidates and ICE credentials may change, m-lines may be added at the end,
//! stopped and started again. The peer's certificates, the DTLS roles and which m-lines share a
//! transport stay, so that the keys stay.

use crate::attribute::Setup;
use crate::description::Description;

use super::answer::answer;
use super::local::Local;
use super::negotiated::{Negotiated, NegotiationError};
use super::offer::Offered;

/// Answers a further offer of the same session.
///
/// # Errors
///
/// As [`answer`], and when the offer changes what has to stay.
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
    let mut negotiated = answer(offer, local)?;
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

/// Offers what was negotiated once more, with the credentials of `local`.
pub fn offer_again(local: &Local, previous: &Negotiated) -> Offered {
    let mut description = previous.local.clone();
    description.origin.version = local.session_version;
    for (index, transport) in previous.transports.iter().enumerate() {
        for mline in &transport.mlines {
            if let Some(line) = description.media.get_mut(*mline) {
                line.transport.setup = Some(Setup::ActPass);
                line.transport.ice = local.ice.get(index).cloned();
            }
        }
    }
    Offered { description }
}

/// Holds a new outcome to what has to stay, and keeps the DTLS roles.
///
/// # Errors
///
/// When an m-line became another one, or a transport another peer's or another m-line's.
pub fn keep(previous: &Negotiated, negotiated: &mut Negotiated) -> Result<(), NegotiationError> {
    for (old, new) in previous.media.iter().zip(&negotiated.media) {
        // A stopped m-line may be taken for something else (RFC 8829 §5.2.2).
        if !old.accepted() {
            continue;
        }
        if old.kind != new.kind {
            return Err(NegotiationError::MediaKind { index: old.index });
        }
        if new.accepted() && old.mid != new.mid {
            return Err(NegotiationError::Mid { index: old.index });
        }
    }
    for (old, new) in previous.transports.iter().zip(&mut negotiated.transports) {
        let goes_on = new.mlines.iter().any(|mline| old.mlines.contains(mline));
        if !goes_on || old.remote_fingerprints != new.remote_fingerprints {
            return Err(NegotiationError::Transport);
        }
        new.dtls_role = old.dtls_role;
    }
    Ok(())
}
