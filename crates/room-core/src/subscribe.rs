//! The receiving side: endpoints that take what others publish, and candidates for both sides.

use crate::adaptation::Adaptation;
use crate::chain::{Links, MediaSet};
use crate::command::{IceCandidate, MutedMediaType, Outcome, ParticipantId, StreamRef};
use crate::error::{RoomError, RoomErrorCode};
use crate::operation::Started;
use crate::participant::{Running, Subscription, Task};
use crate::publish::gone;
use crate::request;
use crate::room::{ObjectRole, ReplyRole, Room, not_streaming};

impl Room {
    pub(crate) fn begin_subscribe(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        remote: StreamRef,
        offer: String,
    ) -> Result<Started, RoomError> {
        let subscriber = self.member(id)?;
        let (publisher_id, publisher) = self.member_named(&remote.user)?;
        if publisher.streaming(&remote.stream).is_none() || publisher_id == id {
            return Err(not_streaming(&remote));
        }
        if subscriber.subscriptions.contains_key(&remote) {
            return Err(RoomError::new(
                RoomErrorCode::MediaSdp,
                format!("the participant is subscribed to '{remote}' already"),
            ));
        }
        let publisher = publisher_id.clone();
        let web = subscriber.web;
        let pipeline = self.pipeline(id)?;
        running.task = Task::CreateSubscriber {
            remote,
            publisher,
            offer,
        };
        // Data does not run through the pass-through, so subscribers have no data channels.
        let endpoint = request::create_endpoint(web, &pipeline, false);
        self.request_for(id, &mut running, ReplyRole::Endpoint, endpoint);
        Ok(Started::Waiting(running))
    }

    /// The endpoint is there: connects and negotiates it.
    pub(crate) fn subscriber_created(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        remote: StreamRef,
        publisher: &ParticipantId,
        offer: String,
    ) -> Result<Started, RoomError> {
        let endpoint = subscriber_endpoint(&running)?;
        let web = self.member(id)?.web;
        let pass_through = self
            .member(publisher)?
            .streaming(&remote.stream)
            .map(|objects| objects.pass_through.clone())
            .ok_or_else(|| not_streaming(&remote))?;
        let role = ObjectRole::Endpoint(id.clone(), remote.clone());
        self.objects.insert(endpoint.clone(), role);
        running.task = Task::NegotiateSubscriber { remote };
        let subscribe = request::subscribe(&endpoint, "Error");
        self.request_for(id, &mut running, ReplyRole::Setup, subscribe);
        if web {
            let subscribe = request::subscribe(&endpoint, "IceCandidateFound");
            self.request_for(id, &mut running, ReplyRole::Setup, subscribe);
        }
        self.limit_bandwidth(id, &mut running, &endpoint, web);
        let process = request::process(&endpoint, crate::command::SdpType::Offer, offer);
        self.request_for(id, &mut running, ReplyRole::Description, process);
        let links = Links::pair(&pass_through, &endpoint, MediaSet::NONE);
        self.change_links(id, &mut running, Links::default().changes(&links));
        Ok(Started::Waiting(running))
    }

    /// The endpoint is negotiated: media flows.
    pub(crate) fn subscriber_negotiated(
        &mut self,
        id: &ParticipantId,
        running: Running,
        remote: &StreamRef,
    ) -> Result<Started, RoomError> {
        let endpoint = subscriber_endpoint(&running)?;
        let participant = self.participants.get_mut(id).ok_or_else(gone)?;
        let subscription = Subscription {
            endpoint: endpoint.clone(),
            muted: MediaSet::NONE,
            adaptation: Adaptation::default(),
        };
        participant
            .subscriptions
            .insert(remote.clone(), subscription);
        if participant.web {
            self.start_ice(id, remote, &endpoint);
        }
        self.attend_to_video(id, remote);
        Ok(Started::Finished(Outcome::Subscribed {
            answer: running.description.unwrap_or_default(),
        }))
    }

    pub(crate) fn unsubscribe(
        &mut self,
        id: &ParticipantId,
        remote: &StreamRef,
    ) -> Result<Outcome, RoomError> {
        self.member_named(&remote.user)?;
        let participant = self.participants.get_mut(id).ok_or_else(gone)?;
        // Candidates under one's own name are for the publisher, which this does not concern.
        if participant.user != remote.user {
            participant.early.shift_remove(remote);
        }
        if let Some(subscription) = participant.subscriptions.remove(remote) {
            self.release_subscription(subscription);
        }
        Ok(Outcome::Done)
    }

    pub(crate) fn begin_mute_subscribed(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        remote: StreamRef,
        media: Option<MutedMediaType>,
    ) -> Result<Started, RoomError> {
        let subscriber = self.member(id)?;
        let (_, publisher) = self.member_named(&remote.user)?;
        let objects = publisher
            .streaming(&remote.stream)
            .ok_or_else(|| not_streaming(&remote))?;
        let Some(subscription) = subscriber.subscriptions.get(&remote) else {
            tracing::warn!(
                room = self.name,
                user = subscriber.user,
                %remote,
                "nothing to mute"
            );
            return Ok(Started::Finished(Outcome::Done));
        };
        let links = |muted| Links::pair(&objects.pass_through, &subscription.endpoint, muted);
        let muted = media.map_or(MediaSet::NONE, |media| subscription.muted.muted(media));
        let changes = links(subscription.muted).changes(&links(muted));
        if changes.is_empty() {
            return Ok(Started::Finished(Outcome::Done));
        }
        running.task = Task::MuteSubscribed { remote, muted };
        self.change_links(id, &mut running, changes);
        Ok(Started::Waiting(running))
    }

    /// Offers once more to an endpoint that is negotiated, on which media goes on meanwhile.
    pub(crate) fn begin_restart(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        remote: Option<StreamRef>,
        offer: String,
    ) -> Result<Started, RoomError> {
        let participant = self.member(id)?;
        if !participant.web {
            return Err(RoomError::new(
                RoomErrorCode::MediaNotAWebEndpoint,
                format!("user '{}' is not a WebRTC participant", participant.user),
            ));
        }
        let endpoint = match &remote {
            None => participant
                .streaming(&running.stream)
                .map(|objects| &objects.endpoint)
                .ok_or_else(|| not_streaming(&participant.user))?,
            Some(remote) => {
                self.member_named(&remote.user)?;
                let subscription = participant.subscriptions.get(remote);
                subscription
                    .map(|subscription| &subscription.endpoint)
                    .ok_or_else(|| {
                        RoomError::new(
                            RoomErrorCode::UserNotStreaming,
                            format!("the participant is not subscribed to '{remote}'"),
                        )
                    })?
            }
        };
        let process = request::process(endpoint, crate::command::SdpType::Offer, offer);
        running.task = Task::RestartIce { remote };
        self.request_for(id, &mut running, ReplyRole::Description, process);
        Ok(Started::Waiting(running))
    }

    /// A publisher is gone: so are the subscriptions to it, and what was under way for them.
    /// `stream` is the one that ended, if it is not all of them.
    pub(crate) fn drop_subscriptions_to(&mut self, user: &str, stream: Option<&str>) {
        let is_over = |remote: &StreamRef| {
            remote.user == user && stream.is_none_or(|stream| remote.stream == stream)
        };
        let mut ended = Vec::new();
        let mut aborted = Vec::new();
        for (id, participant) in &mut self.participants {
            if participant.user == user {
                continue;
            }
            participant.early.retain(|remote, _| !is_over(remote));
            let over = participant
                .subscriptions
                .extract_if(.., |remote, _| is_over(remote));
            ended.extend(over.map(|(_, subscription)| subscription));
            let running = participant.running.as_ref();
            if running.is_some_and(|running| running.task.remote().is_some_and(is_over)) {
                aborted.push(id.clone());
            }
        }
        for subscription in ended {
            self.release_subscription(subscription);
        }
        for id in aborted {
            self.abort_running(&id, not_streaming(&user));
        }
    }

    /// Passes a candidate to its endpoint, or keeps it until the endpoint is negotiated.
    pub(crate) fn add_ice_candidate(
        &mut self,
        id: &ParticipantId,
        endpoint: &StreamRef,
        candidate: IceCandidate,
    ) -> Result<(), RoomError> {
        let participant = self.member(id)?;
        if !participant.web {
            return Err(RoomError::new(
                RoomErrorCode::MediaNotAWebEndpoint,
                format!("user '{}' is not a WebRTC participant", participant.user),
            ));
        }
        let target = if participant.user == endpoint.user {
            let objects = participant.streaming(&endpoint.stream);
            objects.map(|objects| objects.endpoint.clone())
        } else {
            let subscription = participant.subscriptions.get(endpoint);
            subscription.map(|subscription| subscription.endpoint.clone())
        };
        match target {
            Some(object) => {
                let add = request::add_ice_candidate(&object, candidate);
                self.detached("addIceCandidate", add);
            }
            None => self.keep_candidate(id, endpoint, candidate),
        }
        Ok(())
    }

    fn keep_candidate(
        &mut self,
        id: &ParticipantId,
        endpoint: &StreamRef,
        candidate: IceCandidate,
    ) {
        let limits = self.config.limits;
        let is_new = self
            .participants
            .get(id)
            .is_some_and(|participant| !participant.early.contains_key(endpoint));
        if is_new && !self.is_known(endpoint) {
            self.make_room_for_unknown_name(id, limits.unknown_endpoints);
            if limits.unknown_endpoints == 0 {
                return;
            }
        }
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let kept = participant.early.entry(endpoint.clone()).or_default();
        if kept.len() < limits.buffered_candidates {
            kept.push(candidate);
        } else {
            tracing::debug!(
                room = self.name,
                %endpoint,
                "candidate dropped: too many before the endpoint"
            );
        }
    }

    /// Whether candidates for it are expected: of everybody's first stream, and what is published.
    fn is_known(&self, stream: &StreamRef) -> bool {
        self.member_named(&stream.user).is_ok_and(|(_, member)| {
            stream.is_webcam() || member.streaming(&stream.stream).is_some()
        })
    }

    /// Forgets the oldest names for which nobody came.
    fn make_room_for_unknown_name(&mut self, id: &ParticipantId, limit: usize) {
        let Some(participant) = self.participants.get(id) else {
            return;
        };
        let unknown: Vec<StreamRef> = participant
            .early
            .keys()
            .filter(|stream| !self.is_known(stream))
            .cloned()
            .collect();
        let excess = (unknown.len() + 1).saturating_sub(limit);
        if let Some(participant) = self.participants.get_mut(id) {
            for name in unknown.into_iter().take(excess) {
                participant.early.shift_remove(&name);
            }
        }
    }

    /// Lets an endpoint that was just negotiated find its candidates, and gives it those of its peer
    /// that came early.
    pub(crate) fn start_ice(&mut self, id: &ParticipantId, name: &StreamRef, endpoint: &str) {
        self.detached("gatherCandidates", request::gather_candidates(endpoint));
        let early = self
            .participants
            .get_mut(id)
            .and_then(|participant| participant.early.shift_remove(name));
        for candidate in early.into_iter().flatten() {
            let add = request::add_ice_candidate(endpoint, candidate);
            self.detached("addIceCandidate", add);
        }
    }
}

fn subscriber_endpoint(running: &Running) -> Result<String, RoomError> {
    running.endpoint.clone().ok_or_else(|| {
        RoomError::new(
            RoomErrorCode::MediaEndpoint,
            "the subscriber endpoint is missing",
        )
    })
}
