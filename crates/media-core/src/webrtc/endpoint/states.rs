//! What transports report, as the states and events of their endpoint.

use super::super::srtp::Srtp;
use super::super::transport::TransportEvent;
use super::{Changes, Endpoint, RTP_COMPONENT, stream_id};
use crate::context::Context;
use crate::demux::Owner;
use is::IceConnectionState;
use salono_media_api::{ConnectionState, DtlsState, ElementEvent, IceState};

impl Endpoint {
    pub(super) fn handle_transport(
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
                    let known = self.paths.iter().filter(|(_, of)| *of == owner);
                    if known.count() >= context.config.limits.remote_addresses {
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
                    // With a nominated pair the checks are complete (RFC 8445 §8.1.2); that pairs
                    // which might be better are still tried is nobody else's business. Kurento
                    // passes CONNECTED on the way to READY.
                    IceConnectionState::Connected | IceConnectionState::Completed => {
                        if self.ice_states[index] != IceState::Ready {
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

    pub(super) fn report_ice(&mut self, index: usize, state: IceState, context: &mut Context<'_>) {
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

    pub(super) fn update_connection(&mut self, context: &mut Context<'_>) {
        let before = self.connection == ConnectionState::Connected;
        let mut open = self
            .transports
            .iter()
            .zip(&self.ice_states)
            .filter(|(transport, _)| !transport.is_over())
            .peekable();
        let connected = open.peek().is_some()
            && open.all(|(transport, ice)| match transport.dtls_state() {
                DtlsState::Connected => {
                    matches!(ice, IceState::Connected | IceState::Ready)
                        || transport.is_restarting()
                }
                // One that joins a connection later does not interrupt it.
                DtlsState::New | DtlsState::Connecting => before && *ice != IceState::Failed,
                DtlsState::Failed | DtlsState::Closed => false,
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
}
