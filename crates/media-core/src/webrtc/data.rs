//! Data channels: SCTP over DTLS (RFC 8831) with in-band establishment (RFC 8832).

mod channel;
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests;

use super::dcep;
use bytes::Bytes;
use channel::Channel;
use salono_media_api::{DataChannelSpec, DataChannelState, DataChannelStats};
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier as Ppi, ServerConfig, StreamEvent, TransportConfig,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// SCTP packet that fits a DTLS record in one datagram of 1 200 bytes.
const MAX_SCTP_PAYLOAD: u32 = 1_100;
/// What a peer that does not say otherwise accepts (RFC 8841 §6).
const DEFAULT_REMOTE_MESSAGE_BYTES: u32 = 64 * 1024;
/// Events that wait for the endpoint within one pass; a pass drains them all.
const MAX_EVENTS: usize = 4096;

/// Caps of one association.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataLimits {
    pub(crate) channels: usize,
    pub(crate) message_bytes: usize,
    pub(crate) buffered_bytes: usize,
}

/// What happened on the association.
#[derive(Debug)]
pub(crate) enum DataEvent {
    Opened(u16),
    Closed(u16),
    Message {
        /// Of its channel, which may be closed by now.
        label: String,
        binary: bool,
        payload: Vec<u8>,
    },
}

/// The SCTP association of one transport with its channels.
pub(crate) struct DataChannels {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Box<Association>)>,
    transport: Arc<TransportConfig>,
    established: bool,
    /// Decided by DTLS: the client opens channels on even stream ids (RFC 8832 §6).
    client: bool,
    started: bool,
    channels: BTreeMap<u16, Channel>,
    /// Channels asked for before the association is up.
    pending: VecDeque<DataChannelSpec>,
    outgoing: VecDeque<Bytes>,
    events: VecDeque<DataEvent>,
    limits: DataLimits,
    remote_message_bytes: u32,
    opened: u64,
    closed: u64,
}

/// Addresses mean nothing inside DTLS; SCTP still wants one.
const INSIDE_DTLS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

impl DataChannels {
    pub(crate) fn new(limits: DataLimits, remote_port: u16, remote_max: Option<u32>) -> Self {
        let message_bytes = u32::try_from(limits.message_bytes).unwrap_or(u32::MAX);
        let transport = Arc::new(
            TransportConfig::default()
                .with_max_init_retransmits(None)
                .with_max_data_retransmits(None)
                .with_max_receive_buffer_size(message_bytes.max(1024 * 1024))
                .with_max_receive_message_size(message_bytes)
                .with_remote_port(remote_port),
        );
        let mut config = EndpointConfig::default();
        config.max_payload_size(MAX_SCTP_PAYLOAD);
        let mut server = ServerConfig::default();
        server.transport = transport.clone();
        // 0 means "any size" (RFC 8841 §6).
        let remote_message_bytes = match remote_max {
            None => DEFAULT_REMOTE_MESSAGE_BYTES,
            Some(0) => u32::MAX,
            Some(bytes) => bytes,
        };
        Self {
            endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(server))),
            association: None,
            transport,
            established: false,
            client: false,
            started: false,
            channels: BTreeMap::new(),
            pending: VecDeque::new(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            limits,
            remote_message_bytes,
            opened: 0,
            closed: 0,
        }
    }

    /// DTLS is up; its client side starts the association.
    pub(crate) fn start(&mut self, client: bool, now: Instant) {
        if self.started {
            return;
        }
        self.started = true;
        self.client = client;
        if !client {
            return;
        }
        let mut config = ClientConfig::default();
        config.transport = self.transport.clone();
        match self.endpoint.connect(config, INSIDE_DTLS) {
            Ok((handle, association)) => {
                self.association = Some((handle, Box::new(association)));
                self.pump(now);
            }
            Err(error) => tracing::warn!(?error, "SCTP association not started"),
        }
    }

    pub(crate) fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        let bytes = Bytes::copy_from_slice(datagram);
        match self.endpoint.handle(now, INSIDE_DTLS, None, None, bytes) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                // One association per transport; a repeated INIT meets the first one.
                self.association
                    .get_or_insert_with(|| (handle, Box::new(association)));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = self.association.as_mut() {
                    association.handle_event(event);
                }
            }
            None => {}
        }
        self.pump(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = self.association.as_mut()
            && association
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
        {
            association.handle_timeout(now);
            self.pump(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.association
            .as_ref()
            .and_then(|(_, association)| association.poll_timeout())
    }

    /// The next SCTP packet for DTLS.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if self.outgoing.is_empty() {
            self.pump(now);
        }
        self.outgoing.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<DataEvent> {
        self.events.pop_front()
    }

    /// Opens a channel now, or when the association is up.
    ///
    /// False when there is no room for another channel.
    pub(crate) fn open(&mut self, spec: DataChannelSpec, now: Instant) -> bool {
        if self.channels.len() + self.pending.len() >= self.limits.channels {
            return false;
        }
        self.pending.push_back(spec);
        self.pump(now);
        true
    }

    /// Closes a channel (RFC 8831 §6.7). False when there is none with this id.
    pub(crate) fn close(&mut self, id: u16, now: Instant) -> bool {
        if !self.channels.contains_key(&id) {
            return false;
        }
        self.finish(id);
        self.pump(now);
        true
    }

    /// Sends a message on the open channel with this label, or on the first open one.
    pub(crate) fn send(&mut self, label: &str, binary: bool, payload: &[u8], now: Instant) {
        let open = |channel: &Channel| channel.state == DataChannelState::Open;
        let by_label = self
            .channels
            .iter()
            .find(|(_, c)| open(c) && c.label == label)
            .map(|(id, _)| *id);
        let Some(id) = by_label.or_else(|| {
            self.channels
                .iter()
                .find(|(_, c)| open(c))
                .map(|(id, _)| *id)
        }) else {
            return;
        };
        if payload.len() as u64 > u64::from(self.remote_message_bytes) {
            tracing::debug!(
                bytes = payload.len(),
                "message larger than the peer accepts"
            );
            return;
        }
        let Some((_, association)) = self.association.as_mut() else {
            return;
        };
        let Ok(mut stream) = association.stream(id) else {
            return;
        };
        // Policy of this queue: drop the newest when the peer does not keep up.
        if stream.buffered_amount().unwrap_or(0) + payload.len() > self.limits.buffered_bytes {
            return;
        }
        // SCTP has no empty messages; RFC 8831 §6.6 sends one byte with a PPID of its own.
        let (ppi, bytes): (Ppi, &[u8]) = match (binary, payload.is_empty()) {
            (true, false) => (Ppi::Binary, payload),
            (true, true) => (Ppi::BinaryEmpty, &[0]),
            (false, false) => (Ppi::String, payload),
            (false, true) => (Ppi::StringEmpty, &[0]),
        };
        if stream.write_with_ppi(bytes, ppi).is_ok()
            && let Some(channel) = self.channels.get_mut(&id)
        {
            channel.messages_sent += 1;
            channel.bytes_sent += payload.len() as u64;
        }
        self.pump(now);
    }

    pub(crate) fn stats(&self) -> Vec<DataChannelStats> {
        self.channels
            .iter()
            .map(|(id, channel)| DataChannelStats {
                id: *id,
                label: channel.label.clone(),
                protocol: channel.protocol.clone(),
                state: channel.state,
                messages_sent: channel.messages_sent,
                bytes_sent: channel.bytes_sent,
                messages_received: channel.messages_received,
                bytes_received: channel.bytes_received,
            })
            .collect()
    }

    /// Channels opened and closed so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.opened, self.closed)
    }

    /// Moves everything between the association, the channels and the queues.
    fn pump(&mut self, now: Instant) {
        self.pump_endpoint();
        while let Some(event) = self
            .association
            .as_mut()
            .and_then(|(_, association)| association.poll())
        {
            match event {
                Event::Connected => {
                    let Some((_, association)) = self.association.as_mut() else {
                        break;
                    };
                    association.set_max_send_message_size(self.remote_message_bytes);
                    self.established = true;
                }
                Event::AssociationLost { .. } => self.end(),
                Event::Stream(StreamEvent::Readable { id }) => self.read(id),
                Event::Stream(StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. }) => {
                    self.finish(id);
                }
                // The rest is of no concern to data channels.
                Event::HandshakeFailed { .. }
                | Event::Stream(_)
                | Event::DataChannelStatsFinal(_)
                | Event::DatagramReceived
                | _ => {}
            }
        }
        if self.established {
            while let Some(spec) = self.pending.pop_front() {
                self.open_now(spec);
            }
        }
        self.pump_endpoint();
        if let Some((_, association)) = self.association.as_mut() {
            while let Some(transmit) = association.poll_transmit(now) {
                if let Payload::RawEncode(packets) = transmit.payload {
                    self.outgoing.extend(packets);
                }
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if let Payload::RawEncode(packets) = transmit.payload {
                self.outgoing.extend(packets);
            }
        }
    }

    fn pump_endpoint(&mut self) {
        let Some((handle, association)) = self.association.as_mut() else {
            return;
        };
        while let Some(event) = association.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                association.handle_event(event);
            }
        }
    }

    fn open_now(&mut self, spec: DataChannelSpec) {
        let Some((_, association)) = self.association.as_mut() else {
            return;
        };
        let open = dcep::Open::from(&spec);
        let first = if self.client { 0 } else { 1 };
        let free = (first..u16::MAX)
            .step_by(2)
            .filter(|id| !self.channels.contains_key(id))
            // A stream whose reset is not complete is not to be used again yet (RFC 8831 §6.7).
            .find(|id| association.open_stream(*id, Ppi::Unknown).is_ok());
        let Some(id) = free else {
            tracing::debug!("no stream left for a data channel");
            return;
        };
        let written = association.stream(id).and_then(|mut stream| {
            stream.set_reliability_params(
                open.unordered,
                open.reliability,
                open.reliability_parameter,
            )?;
            stream.write_with_ppi(&open.to_bytes(), Ppi::Dcep)
        });
        match written {
            Ok(_) => {
                self.channels
                    .insert(id, Channel::new(DataChannelState::Connecting, spec));
            }
            Err(error) => tracing::debug!(?error, id, "data channel not opened"),
        }
    }

    fn read(&mut self, id: u16) {
        loop {
            let Some((_, association)) = self.association.as_mut() else {
                return;
            };
            let Ok(mut stream) = association.stream(id) else {
                return;
            };
            let Ok(Some(chunks)) = stream.read_sctp() else {
                return;
            };
            let ppi = chunks.ppi;
            let mut payload = vec![0; chunks.len()];
            let Ok(length) = chunks.read(&mut payload) else {
                return;
            };
            payload.truncate(length);
            match ppi {
                Ppi::Dcep => self.handle_dcep(id, &payload),
                Ppi::String | Ppi::Binary | Ppi::StringEmpty | Ppi::BinaryEmpty => {
                    if matches!(ppi, Ppi::StringEmpty | Ppi::BinaryEmpty) {
                        payload.clear();
                    }
                    let binary = matches!(ppi, Ppi::Binary | Ppi::BinaryEmpty);
                    self.handle_message(id, binary, payload);
                }
                Ppi::Unknown => {}
            }
        }
    }

    fn handle_dcep(&mut self, id: u16, message: &[u8]) {
        if dcep::is_ack(message) {
            if let Some(channel) = self.channels.get_mut(&id)
                && channel.state == DataChannelState::Connecting
            {
                channel.state = DataChannelState::Open;
                self.opened += 1;
                self.emit(DataEvent::Opened(id));
            }
            return;
        }
        let Some(open) = dcep::Open::parse(message) else {
            tracing::debug!(id, "malformed data channel open");
            self.finish(id);
            return;
        };
        // The peer has the other half of the ids, and uses each once at a time (RFC 8832 §6).
        let is_ours = id.is_multiple_of(2) == self.client;
        let is_full = self.channels.len() >= self.limits.channels;
        if is_ours || is_full || self.channels.contains_key(&id) {
            tracing::debug!(id, "data channel refused");
            self.finish(id);
            return;
        }
        let Some((_, association)) = self.association.as_mut() else {
            return;
        };
        let acknowledged = association.stream(id).and_then(|mut stream| {
            stream.set_reliability_params(
                open.unordered,
                open.reliability,
                open.reliability_parameter,
            )?;
            stream.write_with_ppi(&dcep::ACK, Ppi::Dcep)
        });
        if acknowledged.is_err() {
            return;
        }
        let spec = DataChannelSpec {
            label: open.label,
            protocol: open.protocol,
            ..DataChannelSpec::default()
        };
        self.channels
            .insert(id, Channel::new(DataChannelState::Open, spec));
        self.opened += 1;
        self.emit(DataEvent::Opened(id));
    }

    fn handle_message(&mut self, id: u16, binary: bool, payload: Vec<u8>) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.messages_received += 1;
        channel.bytes_received += payload.len() as u64;
        let label = channel.label.clone();
        // A message may overtake the acknowledgement of the channel it came on (RFC 8832 §6).
        if channel.state == DataChannelState::Connecting {
            channel.state = DataChannelState::Open;
            self.opened += 1;
            self.emit(DataEvent::Opened(id));
        }
        self.emit(DataEvent::Message {
            label,
            binary,
            payload,
        });
    }

    /// Resets the stream and forgets the channel (RFC 8831 §6.7).
    fn finish(&mut self, id: u16) {
        if let Some((_, association)) = self.association.as_mut()
            && let Ok(mut stream) = association.stream(id)
        {
            let _ = stream.close();
        }
        if let Some(channel) = self.channels.remove(&id)
            && channel.state == DataChannelState::Open
        {
            self.closed += 1;
            self.emit(DataEvent::Closed(id));
        }
    }

    /// The association, or what carried it, has ended, and every channel with it.
    pub(crate) fn end(&mut self) {
        self.established = false;
        self.association = None;
        self.outgoing.clear();
        for (id, channel) in std::mem::take(&mut self.channels) {
            if channel.state == DataChannelState::Open {
                self.closed += 1;
                self.emit(DataEvent::Closed(id));
            }
        }
    }

    fn emit(&mut self, event: DataEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }
}
