//! One participant: what it publishes, what it receives, and what it waits for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use indexmap::IndexMap;

use crate::adaptation::Adaptation;
use crate::chain::{ChainElement, Links, MediaSet};
use crate::command::{
    IceCandidate, Listens, Loopback, MediaType, MutedMediaType, ParticipantId, SdpType, StreamRef,
    Ticket, VideoPreference, WEBCAM,
};
use crate::error::RoomError;

/// A member of a room.
#[derive(Debug)]
pub(crate) struct Participant {
    /// Name in the room.
    pub(crate) user: String,
    /// Whether the publisher endpoint offers data channels.
    pub(crate) data_channels: bool,
    /// WebRTC or plain RTP.
    pub(crate) web: bool,
    /// What it wants to be told beside what everybody is.
    pub(crate) listens: Listens,
    /// What it publishes, or is about to, by the ids of the streams.
    pub(crate) publishers: BTreeMap<String, Publisher>,
    /// What it receives.
    pub(crate) subscriptions: BTreeMap<StreamRef, Subscription>,
    /// How it shows what those publish, or may, who are in the room.
    pub(crate) preferences: BTreeMap<StreamRef, VideoPreference>,
    /// Candidates for endpoints that are not negotiated yet, oldest endpoint first.
    pub(crate) early: IndexMap<StreamRef, Vec<IceCandidate>>,
    /// The operation under way.
    pub(crate) running: Option<Running>,
    /// Operations that wait for their turn.
    pub(crate) queue: VecDeque<(Ticket, Operation)>,
}

impl Participant {
    pub(crate) fn new(user: String, data_channels: bool, web: bool, listens: Listens) -> Self {
        Self {
            user,
            data_channels,
            web,
            listens,
            publishers: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            preferences: BTreeMap::new(),
            early: IndexMap::new(),
            running: None,
            queue: VecDeque::new(),
        }
    }
}

impl Participant {
    /// The publishing side of a stream, which is made if need be.
    pub(crate) fn publisher_mut(&mut self, stream: &str) -> &mut Publisher {
        self.publishers.entry(stream.to_owned()).or_default()
    }

    /// The media objects of a stream, if it is published.
    pub(crate) fn streaming(&self, stream: &str) -> Option<&PublisherObjects> {
        self.publishers.get(stream).and_then(Publisher::streaming)
    }

    /// Ids of the streams that it publishes.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &String> {
        let streaming = self
            .publishers
            .iter()
            .filter(|(_, it)| it.streaming().is_some());
        streaming.map(|(stream, _)| stream)
    }

    /// Forgets streams of which nothing came and nothing is left.
    pub(crate) fn forget_idle(&mut self) {
        self.publishers.retain(|_, publisher| {
            // What is muted stays so when it is published again on another media server.
            !matches!(publisher.state, PublisherState::Idle)
                || !publisher.elements.is_empty()
                || publisher.muted != MediaSet::NONE
        });
    }

    /// Whether it publishes anything.
    pub(crate) fn publishes(&self) -> bool {
        self.streams().next().is_some()
    }
}

/// The publishing side of a participant, for one stream.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    pub(crate) state: PublisherState,
    /// In order; kept while nothing is published yet.
    pub(crate) elements: Vec<ChainElement>,
    pub(crate) muted: MediaSet,
}

impl Publisher {
    /// The media objects, if media is published.
    pub(crate) fn streaming(&self) -> Option<&PublisherObjects> {
        match &self.state {
            PublisherState::Streaming(objects) => Some(objects),
            PublisherState::Idle | PublisherState::Offered(_) => None,
        }
    }

    /// The links that media takes with `muted` silenced.
    pub(crate) fn links(&self, objects: &PublisherObjects, muted: MediaSet) -> Links {
        Links::chain(
            &objects.endpoint,
            &self.elements,
            &objects.pass_through,
            muted,
        )
    }
}

#[derive(Debug, Default)]
pub(crate) enum PublisherState {
    /// There is nothing on the media server.
    #[default]
    Idle,
    /// The media server's offer waits for its answer.
    Offered(PublisherObjects),
    /// Others can subscribe.
    Streaming(PublisherObjects),
}

#[derive(Debug, Clone)]
pub(crate) struct PublisherObjects {
    pub(crate) endpoint: String,
    pub(crate) pass_through: String,
}

/// Media of another participant, received.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) endpoint: String,
    pub(crate) muted: MediaSet,
    pub(crate) adaptation: Adaptation,
}

/// What a participant asked for and waits for its turn.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Publish {
        sdp_type: SdpType,
        sdp: String,
        loopback: Loopback,
        elements: Vec<String>,
        stream: String,
    },
    GenerateOffer {
        stream: String,
    },
    Unpublish {
        stream: String,
    },
    Subscribe {
        remote: StreamRef,
        offer: String,
    },
    Unsubscribe {
        remote: StreamRef,
    },
    /// Of a subscription, or of what is published.
    RestartIce {
        remote: Option<StreamRef>,
        stream: String,
        offer: String,
    },
    AddIceCandidate {
        endpoint: StreamRef,
        candidate: IceCandidate,
    },
    MutePublished {
        stream: String,
        media: MutedMediaType,
    },
    UnmutePublished {
        stream: String,
        media: MutedMediaType,
    },
    /// `None` unmutes.
    MuteSubscribed {
        remote: StreamRef,
        media: Option<MutedMediaType>,
    },
    AddElement {
        element: String,
        media: Option<MediaType>,
    },
    RemoveElement {
        element: String,
    },
    SetPreferences(Vec<(StreamRef, VideoPreference)>),
}

impl Operation {
    /// Which of the participant's streams it is about; that of its client if it is about none.
    pub(crate) fn stream(&self) -> &str {
        match self {
            Self::Publish { stream, .. }
            | Self::GenerateOffer { stream }
            | Self::Unpublish { stream }
            | Self::RestartIce { stream, .. }
            | Self::MutePublished { stream, .. }
            | Self::UnmutePublished { stream, .. } => stream,
            Self::Subscribe { .. }
            | Self::Unsubscribe { .. }
            | Self::AddIceCandidate { .. }
            | Self::MuteSubscribed { .. }
            | Self::AddElement { .. }
            | Self::RemoveElement { .. }
            | Self::SetPreferences(_) => WEBCAM,
        }
    }
}

/// An operation that waits for the media server.
#[derive(Debug)]
pub(crate) struct Running {
    /// Tells this operation from others of the same participant in replies that come late.
    pub(crate) serial: u64,
    pub(crate) ticket: Ticket,
    pub(crate) task: Task,
    /// Which of the participant's streams it is about, if it is about what it publishes.
    pub(crate) stream: String,
    pub(crate) deadline: Instant,
    /// How it begins anew if the media server is replaced.
    pub(crate) redo: Option<Box<Operation>>,
    /// Replies still to come in this stage.
    pub(crate) outstanding: usize,
    /// The first thing that went wrong.
    pub(crate) failure: Option<RoomError>,
    /// Objects that this operation owns until it succeeds.
    pub(crate) endpoint: Option<String>,
    pub(crate) pass_through: Option<String>,
    /// The session description that the media server made.
    pub(crate) description: Option<String>,
}

/// What a running operation does when its replies are in.
#[derive(Debug)]
pub(crate) enum Task {
    /// The publisher's objects are being created.
    CreatePublisher(Negotiation),
    /// The publisher is being connected and negotiated.
    NegotiatePublisher {
        /// Elements that came with the request.
        elements: Vec<String>,
    },
    /// The publisher endpoint is making its offer.
    Offer,
    /// The subscriber endpoint is being created.
    CreateSubscriber {
        remote: StreamRef,
        publisher: ParticipantId,
        offer: String,
    },
    /// The subscriber endpoint is being connected and negotiated.
    NegotiateSubscriber { remote: StreamRef },
    /// An endpoint is being offered to once more.
    RestartIce { remote: Option<StreamRef> },
    /// The publisher's mute is being set to this.
    MutePublished(MediaSet),
    /// The subscription's mute is being set to this.
    MuteSubscribed { remote: StreamRef, muted: MediaSet },
    /// An element is being put into the chain; it is in the list already.
    AddElement { element: String },
    /// An element is being taken out of the chain; it is out of the list already.
    RemoveElement { element: String },
}

impl Task {
    /// The stream whose end ends this operation.
    pub(crate) fn remote(&self) -> Option<&StreamRef> {
        match self {
            Self::CreateSubscriber { remote, .. }
            | Self::NegotiateSubscriber { remote }
            | Self::MuteSubscribed { remote, .. } => Some(remote),
            Self::RestartIce { remote } => remote.as_ref(),
            Self::CreatePublisher(_)
            | Self::NegotiatePublisher { .. }
            | Self::Offer
            | Self::MutePublished(_)
            | Self::AddElement { .. }
            | Self::RemoveElement { .. } => None,
        }
    }
}

/// Who speaks first between the participant and its publisher endpoint.
#[derive(Debug)]
pub(crate) enum Negotiation {
    /// The participant.
    Offered {
        sdp: String,
        loopback: Loopback,
        elements: Vec<String>,
    },
    /// The media server.
    ToOffer,
}
