//! One WebRTC endpoint: its negotiation, its transports and the states that it reports.
//!
//! RTP is not handled here; the router reads and writes it with the keys that [`Endpoint::srtp`]
//! holds once a transport is secure.

use super::candidates::{self, LocalCandidate};
use super::data::{DataChannels, DataEvent, DataLimits};
use super::negotiation::{LocalSsrcs, Negotiation};
use super::srtp::Srtp;
use super::transport::{Path, RemoteParams, Transport, TransportEvent};
use crate::certificate::Certificate;
use crate::context::Context;
use crate::demux::{EndpointSlot, Owner};
use crate::nat::Found;
use crate::network::SocketId;
use is::IceConnectionState;
use rand::{Rng, rngs::StdRng};
use salono_media_api::{
    ConnectionState, DataChannelSpec, DtlsState, ElementEvent, ElementKey, IceCandidate,
    IceSettings, IceState, MediaError, MediaErrorKind, OfferKinds, PipelineKey, TransportStats,
    WebRtcSpec,
};
use salono_sdp::negotiate::{DtlsRole, NegotiatedMedia, TransportParams};
use salono_sdp::{IceCredentials, MediaKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Kurento numbers the RTP component 1; with rtcp-mux there is no other.
const RTP_COMPONENT: u16 = 1;

/// What a pass over the transports changed for the router.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Changes {
    /// A transport got its keys, or lost its peer.
    pub(crate) routes: bool,
    /// Packets of a transport take another path.
    pub(crate) path: bool,
}

/// How far gathering is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gathering {
    New,
    Running,
    Complete,
}

pub(crate) struct Endpoint {
    key: ElementKey,
    pipeline: PipelineKey,
    slot: EndpointSlot,
    spec: WebRtcSpec,
    negotiation: Negotiation,
    transports: Vec<Transport>,
    srtp: Vec<Option<Srtp>>,
    ice_states: Vec<IceState>,
    paths: Vec<(Path, Owner)>,
    ice_settings: IceSettings,
    remote_candidates: usize,
    gathering: Gathering,
    /// Our candidates, as far as gathered.
    found: Vec<LocalCandidate>,
    /// Transports that lack a socket to reach an address from.
    wanted_sockets: Vec<(usize, SocketAddr)>,
    connection: ConnectionState,
    certificate: Arc<Certificate>,
    tie_breaker: u64,
    scratch: Vec<TransportEvent>,
}

impl Endpoint {
    pub(crate) fn new(
        key: ElementKey,
        pipeline: PipelineKey,
        slot: EndpointSlot,
        spec: WebRtcSpec,
        certificate: Arc<Certificate>,
        context: &Context<'_>,
        rng: &mut StdRng,
    ) -> Self {
        Self {
            key,
            pipeline,
            slot,
            negotiation: Negotiation::new(&spec, context.config, &certificate, rng),
            spec,
            transports: Vec::new(),
            srtp: Vec::new(),
            ice_states: Vec::new(),
            paths: Vec::new(),
            ice_settings: IceSettings::default(),
            remote_candidates: 0,
            gathering: Gathering::New,
            found: Vec::new(),
            wanted_sockets: Vec::new(),
            connection: ConnectionState::Disconnected,
            certificate,
            tie_breaker: rng.next_u64(),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn key(&self) -> ElementKey {
        self.key
    }

    pub(crate) fn pipeline(&self) -> PipelineKey {
        self.pipeline
    }

    /// The m-lines, once negotiated.
    pub(crate) fn media(&self) -> Option<&[NegotiatedMedia]> {
        let negotiated = self.negotiation.negotiated()?;
        Some(&negotiated.media)
    }

    pub(crate) fn ssrcs(&self) -> LocalSsrcs {
        self.negotiation.ssrcs()
    }

    pub(crate) fn cname(&self) -> &str {
        self.negotiation.cname()
    }

    pub(crate) fn dscp(&self) -> u8 {
        self.spec.dscp.unwrap_or(0)
    }

    pub(crate) fn connected(&self) -> bool {
        self.connection == ConnectionState::Connected
    }

    pub(crate) fn local_sdp(&self) -> Option<String> {
        self.negotiation.local_sdp()
    }

    pub(crate) fn remote_sdp(&self) -> Option<String> {
        self.negotiation.remote_sdp().map(str::to_owned)
    }

    /// Keys of a transport, once DTLS agreed on them.
    pub(crate) fn srtp(&self, transport: usize) -> Option<&Srtp> {
        self.srtp.get(transport).and_then(Option::as_ref)
    }

    pub(crate) fn srtp_mut(&mut self, transport: usize) -> Option<&mut Srtp> {
        self.srtp.get_mut(transport).and_then(Option::as_mut)
    }

    /// Where a transport sends media to; nowhere while the peer does not answer (RFC 7675 §5.1).
    pub(crate) fn path(&self, transport: usize) -> Option<Path> {
        if matches!(
            self.ice_states.get(transport)?,
            IceState::Disconnected | IceState::Failed
        ) {
            return None;
        }
        self.transports.get(transport).and_then(Transport::path)
    }

    /// Round-trip time of a transport by its connectivity checks.
    pub(crate) fn round_trip(&self, transport: usize) -> Option<Duration> {
        self.transports
            .get(transport)
            .and_then(Transport::round_trip)
    }

    pub(crate) fn set_max_recv_kbps(&mut self, kind: MediaKind, kbps: u64) {
        self.negotiation.set_max_recv_kbps(kind, kbps);
    }

    /// Says how candidates are gathered from now on.
    pub(crate) fn set_ice(&mut self, settings: IceSettings) {
        self.ice_settings = settings;
    }

    // Negotiation.

    pub(crate) fn generate_offer(
        &mut self,
        kinds: OfferKinds,
        context: &mut Context<'_>,
    ) -> Result<String, MediaError> {
        let sdp = self.negotiation.offer(kinds)?;
        if kinds.again.is_some() {
            return Ok(sdp);
        }
        // The answer may come after the peer's first checks, so the transport listens from now on.
        let credentials = self.negotiation.credentials()[0].clone();
        self.add_transport(credentials.ufrag, credentials.pwd, true, context);
        Ok(sdp)
    }

    pub(crate) fn process_offer(
        &mut self,
        sdp: &str,
        context: &mut Context<'_>,
    ) -> Result<String, MediaError> {
        let answer = self.negotiation.answer(sdp, &context.config.limits)?;
        self.open_transports(context);
        if self.gathering == Gathering::New {
            return Ok(answer);
        }
        // Our candidates are those that we had.
        self.record_candidates();
        Ok(self.negotiation.local_sdp().unwrap_or(answer))
    }

    pub(crate) fn process_answer(
        &mut self,
        sdp: &str,
        context: &mut Context<'_>,
    ) -> Result<String, MediaError> {
        let local = self.negotiation.apply_answer(sdp, &context.config.limits)?;
        self.open_transports(context);
        Ok(local)
    }

    /// Gives every negotiated transport the peer's parameters.
    fn open_transports(&mut self, context: &mut Context<'_>) {
        let Some(negotiated) = self.negotiation.negotiated() else {
            return;
        };
        let transports = negotiated.transports.clone();
        let sctp = negotiated
            .media
            .iter()
            .find_map(|media| Some((media.transport?, media.sctp?)));
        for (index, params) in transports.iter().enumerate() {
            if self.transports.len() <= index {
                let ice = &params.local_ice;
                let controlling = params.remote_ice_lite;
                self.add_transport(ice.ufrag.clone(), ice.pwd.clone(), controlling, context);
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

    fn add_transport(
        &mut self,
        ufrag: String,
        pass: String,
        controlling: bool,
        context: &mut Context<'_>,
    ) {
        let index = self.transports.len();
        let owner = Owner {
            endpoint: self.slot,
            transport: u8::try_from(index).expect("at most three transports"),
        };
        context.demux.add_ufrag(ufrag.clone(), owner);
        let mut transport = Transport::new(
            is::IceCreds { ufrag, pass },
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
        self.transports.push(transport);
        self.srtp.push(None);
        self.ice_states.push(IceState::Disconnected);
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
        let owner = Owner {
            endpoint: self.slot,
            transport: u8::try_from(index).unwrap_or(u8::MAX),
        };
        context.demux.remove_ufrag(transport.local_ufrag());
        context.demux.add_ufrag(local.ufrag.clone(), owner);
        let credentials = |ice: &IceCredentials| is::IceCreds {
            ufrag: ice.ufrag.clone(),
            pass: ice.pwd.clone(),
        };
        transport.restart(credentials(local), credentials(remote));
        // Addresses of the last generation make room, but for the one in use.
        let current = transport.path();
        self.paths.retain(|(path, of)| {
            let stays = *of != owner || Some(*path) == current;
            if !stays {
                context.demux.remove_path(*path, *of);
            }
            stays
        });
        self.remote_candidates = 0;
    }

    // Candidates.

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

    fn record_candidates(&mut self) {
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
        self.transports.iter().flat_map(Transport::own_sockets)
    }

    /// Whether the peer of a transport may still be there.
    pub(crate) fn is_alive(&self, transport: usize) -> bool {
        self.transports
            .get(transport)
            .is_some_and(Transport::is_alive)
    }

    // Datagrams and time.

    pub(crate) fn handle_stun(
        &mut self,
        transport: usize,
        path: Path,
        packet: is::stun::StunPacket<'_>,
        now: Instant,
    ) -> bool {
        self.transports
            .get_mut(transport)
            .is_some_and(|at| at.handle_stun(path, packet, now))
    }

    pub(crate) fn count_received(&mut self, transport: usize, bytes: usize) {
        if let Some(transport) = self.transports.get_mut(transport) {
            transport.count_received(bytes);
        }
    }

    pub(crate) fn count_sent(&mut self, transport: usize, bytes: usize) {
        if let Some(transport) = self.transports.get_mut(transport) {
            transport.count_sent(bytes);
        }
    }

    /// Counters and pairs of the transports.
    pub(crate) fn transport_stats(&self) -> Vec<TransportStats> {
        self.transports
            .iter()
            .enumerate()
            .map(|(index, transport)| transport.stats(stream_id(index)))
            .collect()
    }

    /// A connection that the peer reached us by has ended.
    pub(crate) fn connection_ended(&mut self, owner: Owner, path: Path, now: Instant) {
        // It will come back from another port and must find room.
        self.paths.retain(|known| *known != (path, owner));
        if let Some(transport) = self.transports.get_mut(usize::from(owner.transport)) {
            transport.connection_ended(path.remote, now);
        }
    }

    pub(crate) fn handle_dtls(&mut self, transport: usize, datagram: &[u8], now: Instant) {
        if let Some(transport) = self.transports.get_mut(transport) {
            transport.handle_dtls(datagram, now);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for transport in &mut self.transports {
            if transport
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                transport.handle_timeout(now);
            }
        }
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        self.transports
            .iter_mut()
            .filter_map(Transport::poll_timeout)
            .min()
    }

    /// Moves everything that waits in the transports and reports what changed.
    pub(crate) fn drain(&mut self, context: &mut Context<'_>) -> Changes {
        let mut changes = Changes::default();
        for index in 0..self.transports.len() {
            let mut events = std::mem::take(&mut self.scratch);
            self.transports[index].drain(context.now, context.egress, &mut events);
            for event in events.drain(..) {
                self.handle_transport(index, event, context, &mut changes);
            }
            self.scratch = events;
        }
        self.update_connection(context);
        changes
    }

    fn handle_transport(
        &mut self,
        index: usize,
        event: TransportEvent,
        context: &mut Context<'_>,
        changes: &mut Changes,
    ) {
        let stream = stream_id(index);
        let owner = Owner {
            endpoint: self.slot,
            transport: u8::try_from(index).unwrap_or(u8::MAX),
        };
        match event {
            TransportEvent::CheckSent(id) => context.demux.add_check(id, owner, context.now),
            TransportEvent::Discovered(path) => {
                if !self.paths.contains(&(path, owner)) {
                    if self.paths.len() >= context.config.limits.remote_addresses {
                        return;
                    }
                    self.paths.push((path, owner));
                }
                context.demux.add_path(path, owner);
            }
            TransportEvent::Selected {
                path,
                local,
                remote,
            } => {
                changes.path = true;
                context.demux.add_path(path, owner);
                if !self.paths.contains(&(path, owner)) {
                    self.paths.push((path, owner));
                }
                let component = RTP_COMPONENT;
                context.report(
                    self.key,
                    ElementEvent::CandidatePairSelected {
                        stream,
                        component,
                        local,
                        remote,
                    },
                );
            }
            TransportEvent::Ice(state) => {
                let state = match state {
                    IceConnectionState::New => return,
                    IceConnectionState::Checking => IceState::Connecting,
                    // Further candidates reopen the checks; what was final still works.
                    IceConnectionState::Connected if self.ice_states[index] == IceState::Ready => {
                        IceState::Ready
                    }
                    IceConnectionState::Connected => IceState::Connected,
                    IceConnectionState::Completed => {
                        // Kurento passes CONNECTED on the way to READY.
                        if self.ice_states[index] == IceState::Connecting {
                            self.report_ice(index, IceState::Connected, context);
                        }
                        IceState::Ready
                    }
                    // Nothing ever answered, or the peer is gone.
                    IceConnectionState::Disconnected => match self.ice_states[index] {
                        IceState::Connecting | IceState::Gathering => IceState::Failed,
                        IceState::Connected
                        | IceState::Ready
                        | IceState::Failed
                        | IceState::Disconnected => IceState::Disconnected,
                    },
                };
                self.report_ice(index, state, context);
                changes.path = true;
            }
            TransportEvent::Dtls(state) => {
                if matches!(state, DtlsState::Closed | DtlsState::Failed) {
                    self.srtp[index] = None;
                    changes.routes = true;
                    self.disconnect(owner, context);
                }
                let component = RTP_COMPONENT;
                context.report(
                    self.key,
                    ElementEvent::DtlsState {
                        stream,
                        component,
                        state,
                    },
                );
            }
            TransportEvent::Keys {
                profile,
                material,
                client,
            } => match Srtp::new(profile, &material, client) {
                Ok(srtp) => {
                    self.srtp[index] = Some(srtp);
                    changes.routes = true;
                }
                Err(error) => tracing::error!(%error, "SRTP keys refused"),
            },
        }
    }

    /// Closes the connections of a transport that has come to its end.
    fn disconnect(&mut self, owner: Owner, context: &mut Context<'_>) {
        self.paths
            .retain(|(path, of)| *of != owner || !context.disconnect(*path, owner));
    }

    fn report_ice(&mut self, index: usize, state: IceState, context: &mut Context<'_>) {
        if self.ice_states[index] != state {
            self.ice_states[index] = state;
            let stream = stream_id(index);
            let component = RTP_COMPONENT;
            context.report(
                self.key,
                ElementEvent::IceState {
                    stream,
                    component,
                    state,
                },
            );
        }
    }

    fn update_connection(&mut self, context: &mut Context<'_>) {
        let connected = !self.transports.is_empty()
            && self
                .transports
                .iter()
                .zip(&self.ice_states)
                .all(|(transport, ice)| {
                    transport.dtls_state() == DtlsState::Connected
                        && (matches!(ice, IceState::Connected | IceState::Ready)
                            || transport.is_restarting())
                });
        let state = if connected {
            ConnectionState::Connected
        } else {
            ConnectionState::Disconnected
        };
        if state != self.connection {
            self.connection = state;
            context.report(self.key, ElementEvent::Connection(state));
        }
    }

    // Data channels.

    pub(crate) fn open_channel(
        &mut self,
        spec: DataChannelSpec,
        now: Instant,
    ) -> Result<(), MediaError> {
        let Some(data) = self.data_mut() else {
            return Err(MediaError::new(
                MediaErrorKind::NotSupported,
                "Data channels are not supported",
            ));
        };
        if data.open(spec, now) {
            Ok(())
        } else {
            Err(MediaError::new(
                MediaErrorKind::Limit,
                "too many data channels",
            ))
        }
    }

    pub(crate) fn close_channel(&mut self, id: u16, now: Instant) -> Result<(), MediaError> {
        let Some(data) = self.data_mut() else {
            return Err(MediaError::new(
                MediaErrorKind::NotSupported,
                "Data channels are not supported",
            ));
        };
        if data.close(id, now) {
            Ok(())
        } else {
            let message = format!("there is no data channel {id}");
            Err(MediaError::new(MediaErrorKind::IllegalParam, message))
        }
    }

    pub(crate) fn data(&self) -> Option<&DataChannels> {
        self.transports.iter().find_map(Transport::data)
    }

    pub(crate) fn data_mut(&mut self) -> Option<&mut DataChannels> {
        self.transports.iter_mut().find_map(Transport::data_mut)
    }

    pub(crate) fn poll_data(&mut self) -> Option<DataEvent> {
        self.data_mut().and_then(DataChannels::poll_event)
    }

    /// Says goodbye to the peer and gives up everything in the demultiplexer.
    pub(crate) fn close(&mut self, context: &mut Context<'_>) {
        for transport in &mut self.transports {
            transport.close(context.egress);
            context.demux.remove_ufrag(transport.local_ufrag());
        }
        for (path, owner) in self.paths.drain(..) {
            if !context.disconnect(path, owner) {
                context.demux.remove_path(path, owner);
            }
        }
    }
}

fn stream_id(index: usize) -> u16 {
    u16::try_from(index + 1).unwrap_or(u16::MAX)
}
