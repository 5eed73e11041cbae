//! What waits in a transport and where it goes: datagrams to the egress, reports to the endpoint.

use super::{HANDSHAKE_TIMEOUT, Local, Path, Transport, TransportEvent};
use crate::certificate;
use crate::egress::Egress;
use crate::webrtc::dtls::DtlsEvent;
use is::{Candidate, IceAgentEvent, IceConnectionState, Protocol};
use salono_media_api::DtlsState;
use std::net::SocketAddr;
use std::time::Instant;

impl Transport {
    /// Moves everything that waits: datagrams to `egress`, reports to `events`.
    pub(crate) fn drain(
        &mut self,
        now: Instant,
        egress: &mut Egress,
        events: &mut Vec<TransportEvent>,
    ) {
        if self.over {
            return;
        }
        self.drain_ice(egress, events);
        self.report_dtls(events);
        if self.path().is_some() && self.dtls.is_some() {
            self.start_dtls(now, events);
            while let Some(datagram) = self.early.pop_front() {
                self.feed_dtls(&datagram, now);
            }
            // SCTP output rides on DTLS and DTLS input feeds SCTP, so go round until both are quiet.
            for _ in 0..8 {
                self.drain_dtls(now, egress, events);
                if !self.drain_data(now) {
                    break;
                }
            }
        }
        if self
            .handshake_deadline
            .is_some_and(|deadline| deadline <= now)
        {
            self.handshake_deadline = None;
            if self.dtls_state == DtlsState::Connecting {
                self.change_dtls(DtlsState::Failed, events);
            }
        }
    }

    fn drain_ice(&mut self, egress: &mut Egress, events: &mut Vec<TransportEvent>) {
        events.extend(self.discovered.drain(..).map(TransportEvent::Discovered));
        while let Some(transmit) = self.ice.poll_transmit() {
            let Some(local) = self.local_of(transmit.source, transmit.proto) else {
                continue;
            };
            if self.is_kept_off(local, transmit.destination) {
                continue;
            }
            let socket = local.socket;
            let bytes: &[u8] = &transmit.contents;
            // Binding request: type 0x0001 (RFC 8489 §5), transaction id at bytes 8 to 20.
            if bytes.starts_with(&[0x00, 0x01])
                && let Some(id) = bytes
                    .get(8..20)
                    .and_then(|id| <[u8; 12]>::try_from(id).ok())
            {
                events.push(TransportEvent::CheckSent(id));
            }
            self.bytes_sent += bytes.len() as u64;
            egress.push(socket, transmit.destination, self.dscp, bytes);
        }
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceAgentEvent::IceRestart(_) => {}
                IceAgentEvent::IceConnectionStateChange(state) => {
                    if state != IceConnectionState::Checking {
                        self.restarting = false;
                    }
                    match state {
                        // The old pair goes on while ICE restarts; else it stopped answering, and
                        // requests of the peer alone do not make up for that.
                        IceConnectionState::New | IceConnectionState::Checking => {
                            self.consent &= self.restarting;
                        }
                        IceConnectionState::Connected | IceConnectionState::Completed => {
                            self.consent = true;
                        }
                        IceConnectionState::Disconnected => self.consent = false,
                    }
                    if self.ice_state != state {
                        self.ice_state = state;
                        events.push(TransportEvent::Ice(state));
                    }
                }
                // Told by itself, with the socket.
                IceAgentEvent::DiscoveredRecv { .. } => {}
                IceAgentEvent::NominatedSend {
                    proto,
                    source,
                    destination,
                } => {
                    if let Some(local) = self.local_of(source, proto) {
                        let path = Path {
                            socket: local.socket,
                            remote: destination,
                        };
                        if self.path != Some(path) {
                            let selected = self.selected(path, local);
                            self.path = Some(path);
                            events.push(selected);
                            egress.relays_mut().select(path.socket, path.remote);
                        }
                    }
                }
            }
        }
    }

    fn selected(&self, path: Path, local: &Local) -> TransportEvent {
        let of_ice = |mut candidates: Box<dyn Iterator<Item = Candidate> + '_>, addr| {
            candidates
                .find(|candidate| candidate.addr() == addr && candidate.proto() == local.protocol)
                .map(|candidate| candidate.to_sdp_string())
                .unwrap_or_default()
        };
        TransportEvent::Selected {
            path,
            local: local
                .line
                .clone()
                .unwrap_or_else(|| of_ice(Box::new(self.ice.local_candidates()), local.base)),
            remote: of_ice(Box::new(self.ice.remote_candidates()), path.remote),
        }
    }

    fn local_of(&self, source: SocketAddr, protocol: Protocol) -> Option<&Local> {
        self.locals
            .iter()
            .find(|local| local.base == source && local.protocol == protocol)
    }

    /// The path is there: the handshake may begin.
    fn start_dtls(&mut self, now: Instant, events: &mut Vec<TransportEvent>) {
        if self.dtls_state == DtlsState::New {
            self.change_dtls(DtlsState::Connecting, events);
            self.handshake_deadline = Some(now + HANDSHAKE_TIMEOUT);
            if let Some(dtls) = self.dtls.as_mut() {
                dtls.start(now);
            }
        }
    }

    fn drain_dtls(&mut self, now: Instant, egress: &mut Egress, events: &mut Vec<TransportEvent>) {
        let (Some(path), Some(mut dtls)) = (self.path(), self.dtls.take()) else {
            return;
        };
        while let Some(datagram) = dtls.poll_datagram() {
            self.bytes_sent += datagram.len() as u64;
            egress.push(path.socket, path.remote, self.dscp, &datagram);
        }
        while let Some(event) = dtls.poll_event() {
            self.handle_dtls_event(event, now, events);
        }
        self.dtls = Some(dtls);
    }

    fn handle_dtls_event(
        &mut self,
        event: DtlsEvent,
        now: Instant,
        events: &mut Vec<TransportEvent>,
    ) {
        // What comes after the end concerns nobody.
        if matches!(self.dtls_state, DtlsState::Failed | DtlsState::Closed) {
            return;
        }
        match event {
            DtlsEvent::Connected { certificate, srtp } => {
                self.handshake_deadline = None;
                let Some(remote) = self.remote.as_ref() else {
                    return;
                };
                let client = remote.active;
                if !remote
                    .fingerprints
                    .iter()
                    .any(|known| certificate::matches(&certificate, known))
                {
                    tracing::warn!("peer certificate does not match the signalled fingerprint");
                    return self.change_dtls(DtlsState::Failed, events);
                }
                self.peer_certificate = Some(certificate);
                if let Some((profile, material)) = srtp {
                    events.push(TransportEvent::Keys {
                        profile,
                        material,
                        client,
                    });
                }
                self.change_dtls(DtlsState::Connected, events);
                if let Some(data) = self.data.as_mut() {
                    data.start(client, now);
                }
            }
            DtlsEvent::Data(message) => {
                if let Some(data) = self.data.as_mut() {
                    data.handle_datagram(&message, now);
                }
            }
            DtlsEvent::Closed => self.change_dtls(DtlsState::Closed, events),
            DtlsEvent::Failed => self.change_dtls(DtlsState::Failed, events),
        }
    }

    /// Hands SCTP packets to DTLS; true when there was one.
    fn drain_data(&mut self, now: Instant) -> bool {
        if self.dtls_state != DtlsState::Connected {
            return false;
        }
        let (Some(data), Some(dtls)) = (self.data.as_mut(), self.dtls.as_mut()) else {
            return false;
        };
        let mut moved = false;
        while let Some(packet) = data.poll_transmit(now) {
            moved = true;
            if !dtls.send(&packet) {
                tracing::debug!("SCTP packet not sent");
            }
        }
        moved
    }

    fn change_dtls(&mut self, state: DtlsState, events: &mut Vec<TransportEvent>) {
        if self.dtls_state != state {
            self.dtls_state = state;
            self.unreported.push(state);
            self.report_dtls(events);
            if matches!(state, DtlsState::Closed | DtlsState::Failed)
                && let Some(data) = self.data.as_mut()
            {
                data.end();
            }
        }
    }

    /// A handshake may begin before a pair is nominated. It is told of after that, in the order that
    /// Kurento's clients know.
    fn report_dtls(&mut self, events: &mut Vec<TransportEvent>) {
        if self.path.is_some() {
            events.extend(self.unreported.drain(..).map(TransportEvent::Dtls));
        }
    }

    /// Tells the peer that we leave (close_notify, RFC 6347).
    pub(crate) fn close(&mut self, egress: &mut Egress) {
        self.over = true;
        let (Some(path), Some(dtls)) = (self.path(), self.dtls.as_mut()) else {
            return;
        };
        if self.dtls_state != DtlsState::Connected {
            return;
        }
        dtls.close();
        while let Some(datagram) = dtls.poll_datagram() {
            self.bytes_sent += datagram.len() as u64;
            egress.push(path.socket, path.remote, self.dscp, &datagram);
        }
    }
}
