//! Transports of an endpoint: opened, restarted and closed as a negotiation says.

use super::super::candidates;
use super::super::data::{DataChannels, DataLimits};
use super::super::transport::{RemoteParams, Transport};
use super::{Endpoint, RTP_COMPONENT, stream_id};
use crate::context::Context;
use crate::demux::Owner;
use salono_media_api::{DtlsState, ElementEvent, IceState};
use salono_sdp::IceCredentials;
use salono_sdp::negotiate::{DtlsRole, TransportParams};

impl Endpoint {
    /// Gives every negotiated transport the peer's parameters.
    pub(super) fn open_transports(&mut self, context: &mut Context<'_>) {
        let Some(negotiated) = self.negotiation.negotiated() else {
            return;
        };
        let transports = negotiated.transports.clone();
        let sctp = negotiated
            .media
            .iter()
            .find_map(|media| Some((media.transport?, media.sctp?)));
        for (index, params) in transports.iter().enumerate() {
            if params.mlines.is_empty() {
                self.close_transport(index, context);
                continue;
            }
            if self.transports.get(index).is_none_or(Transport::is_over) {
                let ice = params.local_ice.clone();
                self.add_transport(index, ice, params.remote_ice_lite, context);
            }
            let has_data = self.transports[index].data().is_some();
            let data = sctp
                .filter(|(transport, _)| *transport == index && !has_data)
                .map(|(_, sctp)| {
                    let limits = &context.config.limits;
                    let limits = DataLimits {
                        channels: limits.data_channels,
                        message_bytes: limits.message_bytes,
                        buffered_bytes: limits.data_buffered_bytes,
                    };
                    let remote_max =
                        u32::try_from(sctp.remote_max_message_size).unwrap_or(u32::MAX);
                    DataChannels::new(limits, sctp.remote_port, Some(remote_max))
                });
            self.open_transport(index, params, data, context);
        }
        for candidate in self.negotiation.take_early_candidates() {
            // One that turns out malformed now is the peer's loss; the call it came with succeeded.
            let _ = self.add_candidate(&candidate, context);
        }
    }

    /// Makes a transport, behind the others or in the place of one that ended.
    pub(super) fn add_transport(
        &mut self,
        index: usize,
        ice: IceCredentials,
        controlling: bool,
        context: &mut Context<'_>,
    ) {
        // Several that share their credentials are told apart later: the first is asked.
        if context.demux.by_ufrag(&ice.ufrag).is_none() {
            context
                .demux
                .add_ufrag(ice.ufrag.clone(), self.owner_of(index));
        }
        let mut transport = Transport::new(
            credentials(&ice),
            controlling,
            self.tie_breaker,
            self.certificate.clone(),
            self.dscp(),
        );
        for local in context.config.udp() {
            transport.add_socket(local.socket, local.addr);
        }
        for candidate in &self.found {
            transport.add_candidate(candidate, context.now);
        }
        match self.transports.get_mut(index) {
            Some(ended) => {
                *ended = transport;
                self.ice_states[index] = IceState::Disconnected;
            }
            None => {
                self.transports.push(transport);
                self.srtp.push(None);
                self.ice_states.push(IceState::Disconnected);
            }
        }
    }

    /// Ends a transport whose m-lines were all stopped.
    fn close_transport(&mut self, index: usize, context: &mut Context<'_>) {
        let Some(transport) = self.transports.get_mut(index) else {
            return;
        };
        if transport.is_over() {
            return;
        }
        let had_session = transport.dtls_state() == DtlsState::Connected;
        transport.close(context.egress);
        let ufrag = transport.local_ufrag().to_owned();
        self.retired.extend(transport.own_sockets());
        self.forget_ufrag(index, &ufrag, context);
        let owner = self.owner_of(index);
        self.paths.retain(|(path, of)| {
            if *of == owner && !context.disconnect(*path, owner) {
                context.demux.remove_path(*path, owner);
            }
            *of != owner
        });
        self.srtp[index] = None;
        self.report_ice(index, IceState::Disconnected, context);
        if had_session {
            let event = ElementEvent::DtlsState {
                stream: stream_id(index),
                component: RTP_COMPONENT,
                state: DtlsState::Closed,
            };
            context.report(self.key, event);
        }
    }

    /// Gives up a user name of ours, unless another transport shares it.
    fn forget_ufrag(&self, index: usize, ufrag: &str, context: &mut Context<'_>) {
        let mut others = self.transports.iter().enumerate();
        let heir = others.find(|(other, transport)| {
            *other != index && !transport.is_over() && transport.local_ufrag() == ufrag
        });
        match heir {
            Some((other, _)) => {
                let owner = self.owner_of(other);
                context.demux.add_ufrag(ufrag.to_owned(), owner);
            }
            None => context.demux.remove_ufrag(ufrag),
        }
    }

    fn owner_of(&self, transport: usize) -> Owner {
        Owner {
            endpoint: self.slot,
            transport: u8::try_from(transport).expect("a session has few transports"),
        }
    }

    fn open_transport(
        &mut self,
        index: usize,
        params: &TransportParams,
        data: Option<DataChannels>,
        context: &mut Context<'_>,
    ) {
        if self.transports.get(index).is_some_and(Transport::is_open) {
            self.restart_transport(index, params, context);
        }
        let Some(transport) = self.transports.get_mut(index) else {
            return;
        };
        if let Some(data) = data {
            transport.set_data(data, context.now);
        }
        let remote = RemoteParams {
            ufrag: params.remote_ice.ufrag.clone(),
            password: params.remote_ice.pwd.clone(),
            fingerprints: params.remote_fingerprints.clone(),
            active: params.dtls_role == DtlsRole::Active,
        };
        if !transport.is_open() {
            transport.set_remote(remote);
        }
        for line in &params.remote_candidates {
            if self.remote_candidates < context.config.limits.candidates
                && let Ok(Some(candidate)) = candidates::parse_remote(line)
            {
                self.remote_candidates += 1;
                if context.config.is_of_this_process(candidate.addr())
                    && transport.keep_off(candidate.addr())
                {
                    self.wanted_sockets.push((index, candidate.addr()));
                }
                transport.add_remote(candidate);
            }
        }
        transport.handle_timeout(context.now);
    }

    /// Restarts ICE where the negotiation changed our credentials or the peer's.
    fn restart_transport(
        &mut self,
        index: usize,
        params: &TransportParams,
        context: &mut Context<'_>,
    ) {
        let Some(transport) = self.transports.get_mut(index) else {
            return;
        };
        let (local, remote) = (&params.local_ice, &params.remote_ice);
        if transport.local_ufrag() == local.ufrag && transport.remote_ufrag() == Some(&remote.ufrag)
        {
            return;
        }
        let old = transport.local_ufrag().to_owned();
        transport.restart(credentials(local), credentials(remote));
        let current = transport.path();
        let owner = self.owner_of(index);
        self.forget_ufrag(index, &old, context);
        context.demux.add_ufrag(local.ufrag.clone(), owner);
        // Addresses of the last generation make room, but for the one in use.
        self.paths.retain(|(path, of)| {
            let stays = *of != owner || Some(*path) == current;
            if !stays {
                context.demux.remove_path(*path, *of);
            }
            stays
        });
        self.remote_candidates = 0;
    }
}

fn credentials(ice: &IceCredentials) -> is::IceCreds {
    is::IceCreds {
        ufrag: ice.ufrag.clone(),
        pass: ice.pwd.clone(),
    }
}
