//! Candidates of an endpoint: ours as they are found, the peer's as they are told.

use super::super::candidates::{self, LocalCandidate};
use super::super::transport::Transport;
use super::{Endpoint, Gathering};
use crate::context::Context;
use crate::nat::Found;
use crate::network::SocketId;
use salono_media_api::{
    ElementEvent, IceCandidate, IceSettings, IceState, MediaError, MediaErrorKind,
};
use std::net::SocketAddr;
use std::time::Instant;

impl Endpoint {
    /// Reports our host candidates and returns the sockets that servers are to be asked from, if
    /// there are servers. Without transports there is nothing to gather yet.
    pub(crate) fn gather(
        &mut self,
        context: &mut Context<'_>,
    ) -> Result<Option<Vec<(SocketId, SocketAddr)>>, MediaError> {
        if self.transports.is_empty() || self.gathering != Gathering::New {
            return Ok(None);
        }
        let hosts = candidates::hosts(context.config, &self.ice_settings);
        if hosts.is_empty() {
            return Err(MediaError::new(
                MediaErrorKind::Gather,
                "no local address to offer",
            ));
        }
        self.gathering = Gathering::Running;
        for stream in 0..self.transports.len() {
            // Checks may have begun, or a restart keeps the old pair: then this is no step back.
            if self.ice_states[stream] == IceState::Disconnected {
                self.report_ice(stream, IceState::Gathering, context);
            }
        }
        for host in hosts {
            self.report_candidate(host, context);
        }
        if self.ice_settings.stun.is_some() || self.ice_settings.turn.is_some() {
            return Ok(Some(candidates::udp_sockets(
                context.config,
                &self.ice_settings,
            )));
        }
        self.handle_found(Found::Done, context);
        Ok(None)
    }

    /// How candidates are gathered.
    pub(crate) fn ice_settings(&self) -> &IceSettings {
        &self.ice_settings
    }

    /// Takes in what a server told us.
    pub(crate) fn handle_found(&mut self, found: Found, context: &mut Context<'_>) {
        if self.gathering != Gathering::Running {
            return;
        }
        match LocalCandidate::found(found) {
            Some(candidate) => self.report_candidate(candidate, context),
            None => {
                self.gathering = Gathering::Complete;
                self.record_candidates();
                context.report(self.key, ElementEvent::IceGatheringDone);
            }
        }
    }

    /// Uses a candidate of ours and reports it, once per m-line that shares the transports.
    fn report_candidate(&mut self, candidate: LocalCandidate, context: &mut Context<'_>) {
        // A mapping that is no other address than the socket's own is nothing new.
        let is_known = self
            .found
            .iter()
            .any(|known| (known.addr, known.tcp) == (candidate.addr, candidate.tcp));
        if is_known {
            return;
        }
        for transport in &mut self.transports {
            transport.add_candidate(&candidate, context.now);
        }
        for (mline_index, mid, _) in self.negotiation.candidate_lines() {
            let candidate = IceCandidate {
                candidate: candidate.line.clone(),
                mid,
                mline_index,
            };
            context.report(self.key, ElementEvent::IceCandidateFound(candidate));
        }
        self.found.push(candidate);
        self.record_candidates();
    }

    pub(super) fn record_candidates(&mut self) {
        let lines = self.found.iter().map(|candidate| candidate.line.as_str());
        let default = candidates::default_address(&self.found);
        let is_complete = self.gathering == Gathering::Complete;
        self.negotiation
            .record_candidates(lines, default, is_complete);
    }

    pub(crate) fn add_candidate(
        &mut self,
        candidate: &IceCandidate,
        context: &Context<'_>,
    ) -> Result<(), MediaError> {
        let line = candidate.candidate.trim();
        // An empty line is the end of candidates; there is nothing to do for it.
        if line.is_empty() || line == "end-of-candidates" {
            return Ok(());
        }
        let Some(index) = self
            .negotiation
            .place_candidate(candidate, &context.config.limits)?
        else {
            return Ok(());
        };
        if self.remote_candidates >= context.config.limits.candidates {
            return Err(MediaError::new(
                MediaErrorKind::Limit,
                "too many candidates",
            ));
        }
        let line = line.strip_prefix("a=").unwrap_or(line);
        // A host name or a protocol that we do not speak is legal and of no use.
        if let Some(parsed) = candidates::parse_remote(line)? {
            self.remote_candidates += 1;
            if context.config.is_of_this_process(parsed.addr()) {
                self.keep_off(index, parsed.addr());
            }
            if let Some(transport) = self.transports.get_mut(index) {
                transport.add_remote(parsed);
                transport.handle_timeout(context.now);
            }
        }
        Ok(())
    }

    // Sockets of its own, see `shard::neighbours`.

    /// Leaves a remote address to another transport, and wants a socket to reach it from.
    pub(crate) fn keep_off(&mut self, transport: usize, remote: SocketAddr) {
        let at = self.transports.get_mut(transport);
        if at.is_some_and(|at| at.keep_off(remote)) {
            self.wanted_sockets.push((transport, remote));
        }
    }

    /// Transports that need a socket, with the address to be reached.
    pub(crate) fn take_wanted_sockets(&mut self) -> Vec<(usize, SocketAddr)> {
        std::mem::take(&mut self.wanted_sockets)
    }

    pub(crate) fn add_own_socket(
        &mut self,
        transport: usize,
        socket: SocketId,
        addr: SocketAddr,
        now: Instant,
    ) {
        if let Some(transport) = self.transports.get_mut(transport) {
            transport.add_own_socket(socket, addr, now);
        }
    }

    pub(crate) fn own_sockets(&self) -> impl Iterator<Item = SocketId> + '_ {
        let current = self.transports.iter().flat_map(Transport::own_sockets);
        current.chain(self.retired.iter().copied())
    }

    /// Whether the peer of a transport may still be there.
    pub(crate) fn is_alive(&self, transport: usize) -> bool {
        self.transports
            .get(transport)
            .is_some_and(|transport| transport.is_alive() && !transport.is_over())
    }
}
