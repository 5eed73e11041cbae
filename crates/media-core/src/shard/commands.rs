//! Commands: what the control side may ask of a shard.

use super::{Home, Shard};
use crate::context::Context;
use crate::demux::EndpointSlot;
use crate::endpoint::Endpoint;
use crate::graph::{NodeKind, Roles};
use crate::peer::Peer;
use crate::plain;
use crate::relays::Ending;
use crate::webrtc;
use salono_media_api::processing::ProcessorSpec;
use salono_media_api::{
    Command, ElementKey, ElementSpec, Event, MediaError, MediaErrorKind, MediaKind, Op,
    PipelineKey, Reply, Token,
};
use std::time::Instant;

impl Shard {
    /// Carries out a command; its answer is an event.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        let pipeline = command.pipeline;
        match command.op {
            Op::CreatePipeline => {
                self.pipelines.entry(pipeline).or_default();
            }
            Op::ReleasePipeline => {
                let elements: Vec<ElementKey> = self
                    .pipelines
                    .get(&pipeline)
                    .map(|graph| graph.elements().collect())
                    .unwrap_or_default();
                for element in elements {
                    if self.elements.contains_key(&element) {
                        self.release(element, now);
                    }
                }
                self.end_bridge(pipeline);
                self.forget_remote(pipeline);
                self.pipelines.remove(&pipeline);
                self.measured.remove(&pipeline);
                self.router.detectors.close(pipeline);
            }
            Op::Call {
                token,
                element,
                call,
            } => self.call(pipeline, token, element, call, now),
            Op::SetEncoding { element, encoding } => {
                self.set_encoding(pipeline, element, *encoding);
            }
            Op::Create {
                token,
                element,
                spec: ElementSpec::Processor(spec),
            } => {
                let result = self.create_node(pipeline, element, token, *spec);
                if let Err(error) = result {
                    self.reply(token, Err(error));
                }
            }
            Op::Create {
                token,
                element,
                spec,
            } => {
                let result = self
                    .create(pipeline, element, spec, now)
                    .map(|()| Reply::Done);
                self.reply(token, result);
            }
            Op::Release { element } => self.release(element, now),
            Op::Connect { source, sink, kind } => {
                let affected = self
                    .pipelines
                    .get_mut(&pipeline)
                    .and_then(|graph| graph.connect(&source, &sink, kind))
                    .unwrap_or_default();
                self.reroute(&affected);
                let relays = self.relays_behind(pipeline, sink.element, kind);
                self.look_at(pipeline, &relays, kind, Ending::Later, now);
            }
            Op::Disconnect { source, sink, kind } => {
                let affected = self
                    .pipelines
                    .get_mut(&pipeline)
                    .map(|graph| graph.disconnect(&source, &sink, kind))
                    .unwrap_or_default();
                self.reroute(&affected);
                let relays = self.relays_behind(pipeline, sink.element, kind);
                self.look_at(pipeline, &relays, kind, Ending::Later, now);
            }
            Op::Route { port, from, kind } => {
                let affected = self
                    .pipelines
                    .get_mut(&pipeline)
                    .map(|graph| graph.route(port, from, kind))
                    .unwrap_or_default();
                self.reroute(&affected);
                let relays = self.relays_behind(pipeline, port, kind);
                self.look_at(pipeline, &relays, kind, Ending::Later, now);
            }
            Op::MeasureLatency { on } => self.measure_latency(pipeline, on),
            Op::DetectSpeakers { detection } => self.detect_speakers(pipeline, detection, now),
            Op::GenerateOffer {
                token,
                element,
                kinds,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.generate_offer(token, kinds, context)
                });
                if let Some(result) = result.transpose() {
                    self.reply(token, result.map(Reply::Sdp));
                }
            }
            Op::ProcessOffer {
                token,
                element,
                sdp,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.process_offer(token, &sdp, context)
                });
                if let Some(result) = result.transpose() {
                    self.finish_negotiation(element, result.is_ok(), now);
                    self.reply(token, result.map(Reply::Sdp));
                }
            }
            Op::ProcessAnswer {
                token,
                element,
                sdp,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.process_answer(&sdp, context)
                });
                self.finish_negotiation(element, result.is_ok(), now);
                self.reply(token, result.map(Reply::Sdp));
            }
            Op::Description {
                token,
                element,
                remote,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, _| {
                    Ok(if remote {
                        endpoint.remote_sdp()
                    } else {
                        endpoint.local_sdp()
                    })
                });
                self.reply(token, result.map(Reply::Description));
            }
            Op::GatherCandidates { token, element } => {
                let result = self.gather(element, now);
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::AddIceCandidate {
                token,
                element,
                candidate,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint
                        .expect_web_rtc()?
                        .add_candidate(&candidate, context)
                });
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::SetBandwidth { element, bandwidth } => {
                let peer = self
                    .slot_of(element)
                    .ok()
                    .and_then(|slot| self.peers.get_mut(slot));
                if let Some(peer) = peer {
                    peer.set_bandwidth(bandwidth, &mut self.router);
                }
            }
            Op::SetRembParams { element, params } => {
                let slot = self.slot_of(element).ok();
                if let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) {
                    peer.set_remb_params(params, &mut self.router);
                }
            }
            Op::WishVideo { element, wish } => {
                let slot = self.slot_of(element).ok();
                if let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) {
                    peer.set_video_wish(wish, &mut self.router);
                    peer.review_sending(&mut self.router, now);
                }
            }
            Op::SetViewer { element, viewer } => {
                let slot = self.slot_of(element).ok();
                if let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) {
                    peer.set_viewer(viewer, &mut self.router);
                    peer.review_sending(&mut self.router, now);
                }
            }
            Op::SetIce { element, settings } => {
                let _ = self.with_endpoint(element, now, |endpoint, _| {
                    endpoint.expect_web_rtc()?.set_ice(*settings);
                    Ok(())
                });
            }
            Op::RequestKeyframe { token, element } => {
                let result = self.request_keyframe(element);
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::CreateDataChannel {
                token,
                element,
                channel,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint
                        .expect_web_rtc()?
                        .open_channel(channel, context.now)
                });
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::CloseDataChannel {
                token,
                element,
                channel,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint
                        .expect_web_rtc()?
                        .close_channel(channel, context.now)
                });
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::Stats { token, element } => {
                // An element without a peer has little to count.
                let result = match self.slot_of(element) {
                    Ok(slot) => {
                        let peer = self.peers.get(slot);
                        Ok(peer
                            .map(|peer| peer.stats(&mut self.router, now))
                            .unwrap_or_default())
                    }
                    Err(error) if error.kind == MediaErrorKind::NotSupported => {
                        let mut stats = self.relay_stats(element);
                        self.add_crossing_stats(element, &mut stats, now);
                        Ok(stats)
                    }
                    Err(error) => Err(error),
                };
                self.reply(token, result.map(|stats| Reply::Stats(Box::new(stats))));
            }
        }
    }

    /// Creates an element in the processor, which answers.
    fn create_node(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
        token: Token,
        spec: ProcessorSpec,
    ) -> Result<(), MediaError> {
        self.check_room()?;
        if !self.pipelines.contains_key(&pipeline) {
            return Err(not_found());
        }
        let roles = Roles::of(&ElementSpec::Processor(Box::new(spec.clone())));
        self.create_processed(pipeline, element, token, spec)?;
        if let Some(graph) = self.pipelines.get_mut(&pipeline) {
            graph.add(element, roles);
        }
        let endpoint = None;
        self.elements.insert(element, Home { pipeline, endpoint });
        Ok(())
    }

    fn check_room(&self) -> Result<(), MediaError> {
        if self.elements.len() >= self.config.limits.elements {
            return Err(MediaError::new(
                MediaErrorKind::Limit,
                "too many elements on one shard",
            ));
        }
        Ok(())
    }

    fn create(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
        spec: ElementSpec,
        now: Instant,
    ) -> Result<(), MediaError> {
        self.check_room()?;
        let graph = self.pipelines.get_mut(&pipeline).ok_or_else(not_found)?;
        let endpoint = match spec {
            ElementSpec::Processor(_) => None,
            ElementSpec::PassThrough => {
                graph.add(element, NodeKind::PassThrough);
                None
            }
            ElementSpec::HubPort => {
                graph.add(element, NodeKind::HubPort);
                None
            }
            ElementSpec::Rtp(spec) => {
                graph.add(element, NodeKind::Endpoint);
                let (rng, codecs) = (&mut self.rng, &self.config.codecs);
                Some(self.peers.insert_with_key(|slot| {
                    let endpoint = plain::Endpoint::new(element, pipeline, slot, spec, codecs, rng);
                    Peer::new(Endpoint::Plain(Box::new(endpoint)))
                }))
            }
            ElementSpec::WebRtc(spec) => {
                // An RSA key was made before the command came here, if one is needed.
                let certificate =
                    self.config
                        .certificates
                        .get(spec.certificate)
                        .map_err(|error| {
                            MediaError::new(MediaErrorKind::NotSupported, error.to_string())
                        })?;
                graph.add(element, NodeKind::Endpoint);
                let context = Context {
                    config: &self.config,
                    demux: &mut self.demux,
                    egress: &mut self.egress,
                    events: &mut self.events,
                    requests: &mut self.requests,
                    now,
                };
                let rng = &mut self.rng;
                Some(self.peers.insert_with_key(|slot| {
                    let endpoint = webrtc::Endpoint::new(
                        element,
                        pipeline,
                        slot,
                        spec,
                        certificate,
                        &context,
                        rng,
                    );
                    Peer::new(Endpoint::WebRtc(Box::new(endpoint)))
                }))
            }
        };
        self.elements.insert(element, Home { pipeline, endpoint });
        Ok(())
    }

    pub(super) fn release(&mut self, element: ElementKey, now: Instant) {
        if self.release_remote(element, now) {
            return;
        }
        let Some(home) = self.elements.remove(&element) else {
            return;
        };
        self.relays.forget(element);
        self.unfeed(element);
        self.release_processed(home.pipeline, element);
        let behind = [MediaKind::Audio, MediaKind::Video]
            .map(|kind| (kind, self.relays_behind(home.pipeline, element, kind)));
        let affected = self
            .pipelines
            .get_mut(&home.pipeline)
            .map(|graph| graph.remove(element))
            .unwrap_or_default();
        if let Some(mut peer) = home.endpoint.and_then(|slot| self.peers.remove(slot)) {
            if peer.endpoint.plain_mut().is_some() {
                peer.say_goodbye(&self.router, &mut self.egress);
            }
            peer.remove_tracks(&mut self.router);
            if let Some(slot) = home.endpoint {
                self.nat.release(slot, now);
            }
            self.close_own_sockets(&peer);
            let mut context = Context {
                config: &self.config,
                demux: &mut self.demux,
                egress: &mut self.egress,
                events: &mut self.events,
                requests: &mut self.requests,
                now,
            };
            let unanswered = peer.endpoint.close(&mut context);
            if let Some(unanswered) = unanswered {
                self.reply(unanswered.token, unanswered.result.map(Reply::Sdp));
            }
            self.end_exports_of(element);
            self.tell_end(&peer);
        }
        self.reroute(&affected);
        for (kind, mut relays) in behind {
            relays.retain(|relay| *relay != element);
            self.look_at(home.pipeline, &relays, kind, Ending::Later, now);
        }
    }

    pub(super) fn slot_of(&self, element: ElementKey) -> Result<EndpointSlot, MediaError> {
        let home = self.elements.get(&element).ok_or_else(not_found)?;
        home.endpoint.ok_or_else(|| {
            MediaError::new(
                MediaErrorKind::NotSupported,
                "the element is not an endpoint",
            )
        })
    }

    /// Runs `action` on an endpoint and lets the endpoint act on what it changed.
    pub(super) fn with_endpoint<T>(
        &mut self,
        element: ElementKey,
        now: Instant,
        action: impl FnOnce(&mut Endpoint, &mut Context<'_>) -> Result<T, MediaError>,
    ) -> Result<T, MediaError> {
        let slot = self.slot_of(element)?;
        let peer = self.peers.get_mut(slot).ok_or_else(not_found)?;
        let mut context = Context {
            config: &self.config,
            demux: &mut self.demux,
            egress: &mut self.egress,
            events: &mut self.events,
            requests: &mut self.requests,
            now,
        };
        let result = action(&mut peer.endpoint, &mut context);
        self.dirty.push(slot);
        result
    }

    pub(super) fn finish_negotiation(&mut self, element: ElementKey, success: bool, now: Instant) {
        let Ok(slot) = self.slot_of(element) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(slot).filter(|_| success) else {
            return;
        };
        let (limits, rng) = (&self.config.limits, &mut self.rng);
        peer.set_up_tracks(slot, limits, &mut self.router, rng);
        if peer.endpoint.connected() {
            // Negotiated again: what is new has its keys and path already.
            peer.refresh_outbound(&mut self.router);
            peer.feedback.start(now);
            peer.watch_flow(now);
        }
        let measured = self.measured.contains(&peer.endpoint.pipeline());
        peer.measure_latency(measured, &mut self.router);
        self.join_detector(slot);
        self.reroute_around(slot, now);
    }

    pub(super) fn reply(&mut self, token: Token, result: Result<Reply, MediaError>) {
        self.events.push_back(Event::Replied { token, result });
    }

    fn request_keyframe(&mut self, element: ElementKey) -> Result<(), MediaError> {
        let slot = self.slot_of(element)?;
        let peer = self.peers.get(slot).ok_or_else(not_found)?;
        if peer.ask_source_for_keyframe(&mut self.router) {
            Ok(())
        } else {
            Err(MediaError::new(
                MediaErrorKind::NotSupported,
                "Keyframe request failed (must be requested from a subscriber element)",
            ))
        }
    }
}

pub(super) fn not_found() -> MediaError {
    MediaError::new(MediaErrorKind::NotFound, "there is no such element")
}
