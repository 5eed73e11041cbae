//! The publishing side: endpoint, chain of elements, pass-through, mute.

use crate::chain::{ChainElement, Change, Links, MediaSet};
use crate::command::{Loopback, MediaType, Outcome, ParticipantId, SdpType, StreamRef, WEBCAM};
use crate::error::{RoomError, RoomErrorCode};
use crate::operation::Started;
use crate::participant::{Negotiation, PublisherObjects, PublisherState, Running, Task};
use crate::request;
use crate::room::{ObjectRole, ReplyRole, Room, not_streaming};

impl Room {
    pub(crate) fn begin_publish(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        sdp_type: SdpType,
        sdp: String,
        loopback: Loopback,
        elements: Vec<String>,
    ) -> Result<Started, RoomError> {
        self.check_streams(id, &running.stream)?;
        let participant = self.member(id)?;
        let stream = running.stream.clone();
        let idle = PublisherState::Idle;
        let publisher = participant.publishers.get(&stream);
        match (publisher.map_or(&idle, |it| &it.state), sdp_type) {
            (PublisherState::Idle, SdpType::Offer)
            | (PublisherState::Offered(_), SdpType::Answer) => {}
            (PublisherState::Idle, SdpType::Answer) => {
                return Err(sdp_error("there is no offer to answer"));
            }
            (PublisherState::Offered(_), SdpType::Offer) => {
                return Err(sdp_error("the media server's offer waits for its answer"));
            }
            (PublisherState::Streaming(_), SdpType::Offer | SdpType::Answer) => {
                return Err(sdp_error("the user publishes already"));
            }
        }
        self.check_elements(id, &stream, &elements)?;
        // The elements are the room's from here on.
        for element in &elements {
            self.own_element(id, &stream, element.clone(), None);
        }
        let offered = self
            .participants
            .get_mut(id)
            .map(|participant| std::mem::take(&mut participant.publisher_mut(&stream).state));
        if let Some(PublisherState::Offered(objects)) = offered {
            running.endpoint = Some(objects.endpoint);
            running.pass_through = Some(objects.pass_through);
            return self.negotiate_publisher(id, running, sdp_type, sdp, &loopback, elements);
        }
        running.task = Task::CreatePublisher(Negotiation::Offered {
            sdp,
            loopback,
            elements,
        });
        self.create_publisher(id, running)
    }

    pub(crate) fn begin_offer(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
    ) -> Result<Started, RoomError> {
        self.check_streams(id, &running.stream)?;
        let participant = self.participants.get_mut(id).ok_or_else(gone)?;
        let publisher = participant.publisher_mut(&running.stream);
        match std::mem::take(&mut publisher.state) {
            PublisherState::Idle => {}
            // An offer that was never answered gives way to a new one.
            PublisherState::Offered(objects) => self.release_publisher_objects(objects),
            PublisherState::Streaming(objects) => {
                publisher.state = PublisherState::Streaming(objects);
                return Err(sdp_error("the user publishes already"));
            }
        }
        running.task = Task::CreatePublisher(Negotiation::ToOffer);
        self.create_publisher(id, running)
    }

    fn create_publisher(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
    ) -> Result<Started, RoomError> {
        let pipeline = self.pipeline(id)?;
        let participant = self.member(id)?;
        let endpoint =
            request::create_endpoint(participant.web, &pipeline, participant.data_channels);
        self.request_for(id, &mut running, ReplyRole::Endpoint, endpoint);
        let pass_through = request::create_pass_through(&pipeline);
        self.request_for(id, &mut running, ReplyRole::PassThrough, pass_through);
        Ok(Started::Waiting(running))
    }

    /// The publisher's objects are there: listens to them and goes on.
    pub(crate) fn publisher_created(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        negotiation: Negotiation,
    ) -> Result<Started, RoomError> {
        let objects = created_objects(&running)?;
        let participant = self.member(id)?;
        let (user, web) = (participant.user.clone(), participant.web);
        let role = ObjectRole::Endpoint(id.clone(), StreamRef::new(user, &running.stream));
        self.objects.insert(objects.endpoint.clone(), role);
        let role = ObjectRole::Element(id.clone());
        self.objects.insert(objects.pass_through.clone(), role);
        for object in [&objects.endpoint, &objects.pass_through] {
            let subscribe = request::subscribe(object, "Error");
            self.request_for(id, &mut running, ReplyRole::Setup, subscribe);
        }
        self.limit_bandwidth(id, &mut running, &objects.endpoint, web);
        match negotiation {
            Negotiation::Offered {
                sdp,
                loopback,
                elements,
            } => self.negotiate_publisher(id, running, SdpType::Offer, sdp, &loopback, elements),
            Negotiation::ToOffer => {
                running.task = Task::Offer;
                let offer = request::generate_offer(&objects.endpoint);
                self.request_for(id, &mut running, ReplyRole::Description, offer);
                Ok(Started::Waiting(running))
            }
        }
    }

    fn negotiate_publisher(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        sdp_type: SdpType,
        sdp: String,
        loopback: &Loopback,
        elements: Vec<String>,
    ) -> Result<Started, RoomError> {
        let objects = created_objects(&running)?;
        running.task = Task::NegotiatePublisher { elements };
        let participant = self.member(id)?;
        let web = participant.web;
        // What was muted on a media server that is lost stays muted.
        let publisher = participant.publishers.get(&running.stream);
        let publisher = publisher.ok_or_else(gone)?;
        let links = publisher.links(&objects, publisher.muted);
        if web {
            let subscribe = request::subscribe(&objects.endpoint, "IceCandidateFound");
            self.request_for(id, &mut running, ReplyRole::Setup, subscribe);
        }
        let mut changes = Links::default().changes(&links);
        changes.extend(loopback_change(loopback, &objects));
        self.change_links(id, &mut running, changes);
        let process = request::process(&objects.endpoint, sdp_type, sdp);
        self.request_for(id, &mut running, ReplyRole::Description, process);
        Ok(Started::Waiting(running))
    }

    /// The media server made its offer.
    pub(crate) fn publisher_offered(
        &mut self,
        id: &ParticipantId,
        running: Running,
    ) -> Result<Started, RoomError> {
        let objects = created_objects(&running)?;
        let participant = self.participants.get_mut(id).ok_or_else(gone)?;
        participant.publisher_mut(&running.stream).state = PublisherState::Offered(objects);
        let offer = running.description.unwrap_or_default();
        Ok(Started::Finished(Outcome::OfferGenerated { offer }))
    }

    /// The publisher is negotiated: from here on others can subscribe.
    pub(crate) fn publisher_negotiated(
        &mut self,
        id: &ParticipantId,
        running: Running,
    ) -> Result<Started, RoomError> {
        let objects = created_objects(&running)?;
        let endpoint = objects.endpoint.clone();
        let participant = self.participants.get_mut(id).ok_or_else(gone)?;
        let stream = running.stream;
        participant.publisher_mut(&stream).state = PublisherState::Streaming(objects);
        let user = participant.user.clone();
        if participant.web {
            self.start_ice(id, &StreamRef::new(&user, &stream), &endpoint);
        }
        tracing::debug!(room = self.name, user, stream, "participant publishes");
        Ok(Started::Finished(Outcome::Published {
            user,
            stream,
            answer: running.description.unwrap_or_default(),
            members: self.participants(),
        }))
    }

    pub(crate) fn unpublish(
        &mut self,
        id: &ParticipantId,
        stream: String,
    ) -> Result<Outcome, RoomError> {
        let participant = self.participants.get_mut(id).ok_or_else(gone)?;
        let user = participant.user.clone();
        let objects = participant.streaming(&stream).cloned();
        let objects = objects.ok_or_else(|| not_streaming(&user))?;
        let publisher = participant.publishers.remove(&stream).unwrap_or_default();
        participant
            .early
            .shift_remove(&StreamRef::new(&user, &stream));
        for element in publisher.elements {
            self.release(element.id);
        }
        self.release_publisher_objects(objects);
        self.drop_subscriptions_to(&user, Some(&stream));
        Ok(Outcome::Unpublished {
            user,
            stream,
            members: self.participants(),
        })
    }

    pub(crate) fn begin_mute_published(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        change: impl FnOnce(MediaSet) -> MediaSet,
    ) -> Result<Started, RoomError> {
        let participant = self.member(id)?;
        let no_stream = || not_streaming(&participant.user);
        let publisher = participant.publishers.get(&running.stream);
        let publisher = publisher.ok_or_else(no_stream)?;
        let objects = publisher.streaming().ok_or_else(no_stream)?;
        let muted = change(publisher.muted);
        let before = publisher.links(objects, publisher.muted);
        let changes = before.changes(&publisher.links(objects, muted));
        if changes.is_empty() {
            return Ok(Started::Finished(Outcome::Done));
        }
        running.task = Task::MutePublished(muted);
        self.change_links(id, &mut running, changes);
        Ok(Started::Waiting(running))
    }

    pub(crate) fn begin_add_element(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        element: String,
        media: Option<MediaType>,
    ) -> Result<Started, RoomError> {
        self.check_elements(id, WEBCAM, std::slice::from_ref(&element))?;
        let before = self.current_links(id)?;
        self.own_element(id, WEBCAM, element.clone(), media);
        let Some(before) = before else {
            // The chain is built when the participant publishes.
            return Ok(Started::Finished(Outcome::Done));
        };
        let after = self.current_links(id)?.unwrap_or_default();
        running.task = Task::AddElement { element };
        self.change_links(id, &mut running, before.changes(&after));
        Ok(Started::Waiting(running))
    }

    pub(crate) fn begin_remove_element(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
        element: String,
    ) -> Result<Started, RoomError> {
        let before = self.current_links(id)?;
        self.remove_from_chain(id, &element).ok_or_else(|| {
            RoomError::new(
                RoomErrorCode::MediaEndpoint,
                format!("element '{element}' is not in the participant's chain"),
            )
        })?;
        let after = self.current_links(id)?;
        let mut changes = match (before, after) {
            (Some(before), Some(after)) => before.changes(&after),
            (Some(_) | None, _) => Vec::new(),
        };
        // Its own connections end with the element.
        changes.retain(|change| change.source != element && change.sink != element);
        if changes.is_empty() {
            self.release(element);
            return Ok(Started::Finished(Outcome::Done));
        }
        running.task = Task::RemoveElement { element };
        self.change_links(id, &mut running, changes);
        Ok(Started::Waiting(running))
    }

    /// Takes an element that could not be connected out again; it stays its creator's.
    pub(crate) fn give_back_element(&mut self, id: &ParticipantId, element: &str) {
        let before = self.current_links(id);
        self.remove_from_chain(id, element);
        self.objects.remove(element);
        if let (Ok(Some(before)), Ok(Some(after))) = (before, self.current_links(id)) {
            for change in before.changes(&after) {
                self.detached("undo connection", request::change(change));
            }
        }
    }

    /// Takes elements that came with a failed request out of the chain and releases them.
    pub(crate) fn discard_elements(&mut self, id: &ParticipantId, elements: Vec<String>) {
        for element in elements {
            if self.remove_from_chain(id, &element).is_some() {
                self.release(element);
            }
        }
    }

    pub(crate) fn change_links(
        &mut self,
        id: &ParticipantId,
        running: &mut Running,
        changes: Vec<Change>,
    ) {
        for change in changes {
            self.request_for(id, running, ReplyRole::Setup, request::change(change));
        }
    }

    pub(crate) fn limit_bandwidth(
        &mut self,
        id: &ParticipantId,
        running: &mut Running,
        endpoint: &str,
        web: bool,
    ) {
        if !web {
            return;
        }
        for (operation, parameter, kbps) in self.config.bandwidth.setters() {
            let set = request::set_bandwidth(endpoint, operation, parameter, kbps);
            self.request_for(id, running, ReplyRole::Setup, set);
        }
    }

    fn release_publisher_objects(&mut self, objects: PublisherObjects) {
        self.release(objects.pass_through);
        self.release(objects.endpoint);
    }

    /// The links of what is published now; `None` if nothing is.
    fn current_links(&self, id: &ParticipantId) -> Result<Option<Links>, RoomError> {
        let Some(publisher) = self.member(id)?.publishers.get(WEBCAM) else {
            return Ok(None);
        };
        let links = |objects| publisher.links(objects, publisher.muted);
        Ok(publisher.streaming().map(links))
    }

    /// Whether the participant may have this stream beside those that it has.
    fn check_streams(&mut self, id: &ParticipantId, stream: &str) -> Result<(), RoomError> {
        let most = self.config.limits.streams;
        let participant = self.participants.get_mut(id).ok_or_else(gone)?;
        participant.forget_idle();
        let publishers = &participant.publishers;
        if !publishers.contains_key(stream) && publishers.len() >= most {
            return Err(RoomError::new(
                RoomErrorCode::Generic,
                format!("the participant has {most} streams already"),
            ));
        }
        Ok(())
    }

    fn check_elements(
        &self,
        id: &ParticipantId,
        stream: &str,
        elements: &[String],
    ) -> Result<(), RoomError> {
        let publisher = self.member(id)?.publishers.get(stream);
        let chain = publisher.map_or_else(Default::default, |it| it.elements.as_slice());
        let error = |text: String| Err(RoomError::new(RoomErrorCode::MediaWebRtcEndpoint, text));
        if chain.len() + elements.len() > self.config.limits.elements {
            return error("the participant has too many media elements".to_owned());
        }
        for (position, element) in elements.iter().enumerate() {
            if element.is_empty() {
                return error("a media element has no id".to_owned());
            }
            let twice = elements.iter().take(position).any(|other| other == element);
            if twice || self.objects.contains_key(element) {
                return error(format!("media element '{element}' is in use already"));
            }
        }
        Ok(())
    }

    fn own_element(
        &mut self,
        id: &ParticipantId,
        stream: &str,
        element: String,
        media: Option<MediaType>,
    ) {
        self.objects
            .insert(element.clone(), ObjectRole::Element(id.clone()));
        self.detached(
            "subscribe Error of element",
            request::subscribe(&element, "Error"),
        );
        if let Some(participant) = self.participants.get_mut(id) {
            let elements = &mut participant.publisher_mut(stream).elements;
            elements.push(ChainElement { id: element, media });
        }
    }

    fn remove_from_chain(&mut self, id: &ParticipantId, element: &str) -> Option<ChainElement> {
        let publishers = self.participants.get_mut(id)?.publishers.values_mut();
        publishers
            .filter_map(|publisher| {
                let elements = &mut publisher.elements;
                let position = elements.iter().position(|other| other.id == element)?;
                Some(elements.remove(position))
            })
            .next()
    }
}

fn loopback_change(loopback: &Loopback, objects: &PublisherObjects) -> Option<Change> {
    let (source, media) = match loopback {
        Loopback::Off => return None,
        Loopback::Own { media } => (&objects.pass_through, media),
        Loopback::Source { element, media } => (element, media),
    };
    Some(Change {
        connect: true,
        source: source.clone(),
        sink: objects.endpoint.clone(),
        media: *media,
    })
}

/// Both objects are there when their replies came without a failure.
fn created_objects(running: &Running) -> Result<PublisherObjects, RoomError> {
    match (&running.endpoint, &running.pass_through) {
        (Some(endpoint), Some(pass_through)) => Ok(PublisherObjects {
            endpoint: endpoint.clone(),
            pass_through: pass_through.clone(),
        }),
        (Some(_) | None, _) => Err(RoomError::new(
            RoomErrorCode::MediaEndpoint,
            "the publisher endpoint is missing",
        )),
    }
}

fn sdp_error(text: &str) -> RoomError {
    RoomError::new(RoomErrorCode::MediaSdp, text)
}

/// Operations run for members only; a member that is not there left.
pub(crate) fn gone() -> RoomError {
    RoomError::new(
        RoomErrorCode::UserNotFound,
        "the participant is not in the room",
    )
}
