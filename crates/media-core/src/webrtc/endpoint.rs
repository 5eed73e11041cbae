//! One WebRTC endpoint: its negotiation, its transports and the states that it reports.
//!
//! RTP is not handled here; the router reads and writes it with the keys that [`Endpoint::srtp`]
//! holds once a transport is secure.

mod gathering;
mod opening;
mod states;

use super::candidates::LocalCandidate;
use super::data::{DataChannels, DataEvent};
use super::negotiation::{LocalSsrcs, Negotiation};
use super::srtp::Srtp;
use super::transport::{Path, Transport, TransportEvent};
use crate::certificate::Certificate;
use crate::context::Context;
use crate::demux::{EndpointSlot, Owner};
use crate::network::SocketId;
use rand::{Rng, rngs::StdRng};
use salono_media_api::{
    ConnectionState, DataChannelSpec, ElementKey, IceSettings, IceState, MediaError,
    MediaErrorKind, OfferKinds, PipelineKey, TransportStats, WebRtcSpec,
};
use salono_sdp::MediaKind;
use salono_sdp::negotiate::NegotiatedMedia;
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
    /// Sockets of transports that ended.
    retired: Vec<SocketId>,
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
            retired: Vec::new(),
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

    /// What we send an m-line with.
    pub(crate) fn ssrcs(&self, media: &NegotiatedMedia) -> Option<LocalSsrcs> {
        self.negotiation.ssrcs(media)
    }

    /// SSRC of the sender of what is about no m-line in particular.
    pub(crate) fn ssrc(&self) -> u32 {
        self.negotiation.ssrc()
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

    /// Where a transport sends media to; nowhere until the peer answers, and after an outage not
    /// before it answers again (RFC 7675 §5.1).
    pub(crate) fn path(&self, transport: usize) -> Option<Path> {
        let transport = self.transports.get(transport)?;
        transport.path().filter(|_| transport.has_consent())
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
        let sdp = self.negotiation.offer(kinds, &context.config.limits)?;
        if kinds.again.is_some() {
            return Ok(sdp);
        }
        // The answer may come after the peer's first checks, so the transport listens from now on.
        if let Some(credentials) = self.negotiation.credentials().cloned() {
            self.add_transport(0, credentials, true, context);
        }
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

    // Datagrams and time.

    /// Which transport a check is for. Those of an offer of ours whose answer refused BUNDLE share
    /// our half of the user name; the peer's half tells.
    pub(crate) fn checked(&self, transport: usize, remote_ufrag: &str) -> usize {
        let Some(named) = self.transports.get(transport) else {
            return transport;
        };
        let is_meant = |other: &Transport| {
            other.local_ufrag() == named.local_ufrag()
                && other.remote_ufrag().is_some_and(|it| it == remote_ufrag)
        };
        let meant = self.transports.iter().position(is_meant);
        meant.unwrap_or(transport)
    }

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

    /// False when the datagram is of no use.
    pub(crate) fn handle_dtls(&mut self, transport: usize, datagram: &[u8], now: Instant) -> bool {
        self.transports
            .get_mut(transport)
            .is_some_and(|transport| transport.handle_dtls(datagram, now))
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
