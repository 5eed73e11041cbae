//! Which m-lines share a transport, and the parameters of each (RFC 8843, RFC 8842, RFC 8839).

use crate::attribute::{Fingerprint, IceCredentials, Setup};
use crate::description::{Description, Media, TransportAttributes};

use super::local::MAX_TRANSPORTS;
use super::negotiated::{DtlsRole, Negotiated, TransportParams};

impl DtlsRole {
    /// Our role towards an offer. We serve whenever we may: the server picks the SRTP profile.
    /// An offer without a role leaves the choice to us.
    pub(super) fn towards_offer(setup: Option<Setup>) -> Self {
        match setup {
            Some(Setup::Passive) => Self::Active,
            Some(Setup::Active | Setup::ActPass | Setup::HoldConn) | None => Self::Passive,
        }
    }

    /// Our role after an answer to an `actpass` offer. An answer without a role comes from an
    /// implementation that starts the handshake itself.
    pub(super) fn after_answer(setup: Option<Setup>) -> Self {
        Self::towards_offer(setup)
    }

    /// The role as an answer writes it.
    pub(super) fn setup(self) -> Setup {
        match self {
            Self::Active => Setup::Active,
            Self::Passive => Setup::Passive,
        }
    }
}

/// What makes two m-lines share a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Position of their BUNDLE group.
    Group(usize),
    /// Nothing does; position of the m-line.
    Alone(usize),
}

impl Share {
    /// What each m-line shares its transport by.
    pub(super) fn of_each(bundle: &[Vec<String>], lines: &[Media]) -> Vec<Self> {
        let group = |mid: &String| bundle.iter().position(|mids| mids.contains(mid));
        lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                let group = line.mid.as_ref().and_then(group);
                group.map_or(Self::Alone(index), Self::Group)
            })
            .collect()
    }
}

/// The transports of a negotiation as its m-lines are accepted one by one.
///
/// A transport of a session that goes on keeps its place as long as it carries something. When its
/// last m-line is stopped it carries nothing, and its place is free for another one the next time.
pub(super) struct TransportTable {
    /// What each m-line shares its transport by.
    lines: Vec<Share>,
    /// What each transport is shared by; `None` while it carries nothing.
    shares: Vec<Option<Share>>,
    params: Vec<TransportParams>,
    /// The m-lines that each transport carried before.
    before: Vec<Vec<usize>>,
}

impl TransportTable {
    /// The transports of `previous`, none of which carries anything yet.
    pub(super) fn after(previous: Option<&Negotiated>, lines: Vec<Share>) -> Self {
        let mut params = previous.map_or_else(Vec::new, |previous| previous.transports.clone());
        Self {
            lines,
            shares: vec![None; params.len()],
            before: params
                .iter_mut()
                .map(|transport| std::mem::take(&mut transport.mlines))
                .collect(),
            params,
        }
    }

    /// Where a transport that is shared like this belongs: to where it was, to a place that is
    /// free, or behind the others.
    fn place(&self, share: Share) -> Option<usize> {
        let is_idle = |at: &usize| self.shares.get(*at).is_none_or(Option::is_none);
        let was_here = |at: &usize| {
            let mut before = self.before.get(*at).into_iter().flatten();
            before.any(|line| self.lines.get(*line) == Some(&share))
        };
        let is_free = |at: &usize| self.before.get(*at).is_none_or(Vec::is_empty);
        let places = 0..self.params.len();
        places
            .clone()
            .filter(is_idle)
            .find(was_here)
            .or_else(|| places.filter(is_idle).find(is_free))
            .or(Some(self.params.len()))
            .filter(|at| *at < MAX_TRANSPORTS)
    }

    /// Adds an accepted m-line of `remote` to the transport that it shares, made from
    /// `credentials` (by transport index) and `role` when it is the first there. `None` when the
    /// remote description lacks what a transport needs, or when there are too many transports.
    pub(super) fn attach(
        &mut self,
        remote: &Description,
        index: usize,
        share: Share,
        role: fn(Option<Setup>) -> DtlsRole,
        credentials: impl Fn(usize) -> Option<IceCredentials>,
    ) -> Option<usize> {
        let media = remote.media.get(index)?;
        let transport = match self.shares.iter().position(|known| *known == Some(share)) {
            Some(transport) => transport,
            None => {
                let at = self.place(share)?;
                let params = resolve(remote, index, share, credentials(at)?, role)?;
                if at == self.params.len() {
                    self.params.push(params);
                    self.shares.push(Some(share));
                } else {
                    self.params[at] = params;
                    self.shares[at] = Some(share);
                }
                at
            }
        };
        let params = self.params.get_mut(transport)?;
        params.mlines.push(index);
        for candidate in &media.candidates {
            if !params.remote_candidates.contains(candidate) {
                params.remote_candidates.push(candidate.clone());
            }
        }
        params.remote_end_of_candidates |= media.end_of_candidates;
        Some(transport)
    }

    pub(super) fn get(&self, transport: usize) -> Option<&TransportParams> {
        self.params.get(transport)
    }

    pub(super) fn into_params(self) -> Vec<TransportParams> {
        self.params
    }
}

fn resolve(
    remote: &Description,
    index: usize,
    share: Share,
    local_ice: IceCredentials,
    role: fn(Option<Setup>) -> DtlsRole,
) -> Option<TransportParams> {
    let attributes = group_attributes(remote, index, share)?;
    Some(TransportParams {
        mlines: Vec::new(),
        local_ice,
        remote_ice: attributes.ice?,
        remote_ice_lite: remote.ice_lite,
        remote_fingerprints: strongest(attributes.fingerprints),
        dtls_role: role(attributes.setup),
        remote_candidates: Vec::new(),
        remote_end_of_candidates: false,
    })
}

/// The attributes of the first m-line of a group that has them: `bundle-only` m-lines leave them
/// to the tagged one (RFC 8843 §7.1.3).
fn group_attributes(
    remote: &Description,
    index: usize,
    share: Share,
) -> Option<TransportAttributes> {
    let tagged = match share {
        Share::Group(group) => remote.bundle.get(group).map_or(&[][..], Vec::as_slice),
        Share::Alone(_) => &[],
    };
    tagged
        .iter()
        .filter_map(|mid| remote.index_of(mid))
        .filter(|member| {
            remote
                .media
                .get(*member)
                .is_some_and(|m: &Media| m.port != 0)
        })
        .chain([index])
        .map(|member| remote.transport_of(member))
        .find(|attributes| attributes.ice.is_some() && !attributes.fingerprints.is_empty())
}

/// A certificate must match a fingerprint of the strongest hash function that both sides know
/// (RFC 8122 §5.1).
fn strongest(fingerprints: Vec<Fingerprint>) -> Vec<Fingerprint> {
    let best = fingerprints.iter().map(|f| f.algorithm).max();
    fingerprints
        .into_iter()
        .filter(|f| Some(f.algorithm) == best)
        .collect()
}
