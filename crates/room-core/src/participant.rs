//! One participant: what it publishes, what it receives, and what it waits for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use indexmap::IndexMap;

use crate::adaptation::Adaptation;
use crate::chain::{ChainElement, Links, MediaSet};
use crate::command::{
    IceCandidate, Listens, Loopback, MediaType, MutedMediaType, ParticipantId, SdpType, Ticket,
    VideoPreference,
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
    /// What it publishes.
    pub(crate) publisher: Publisher,
    /// What it receives, by the publisher's name.
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
    /// How it shows those who are in the room, by their names.
    pub(crate) preferences: BTreeMap<String, VideoPreference>,
    /// Candidates for endpoints that are not negotiated yet, by endpoint name, oldest name first.
    pub(crate) early: IndexMap<String, Vec<IceCandidate>>,
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
            publisher: Publisher::default(),
            subscriptions: BTreeMap::new(),
            preferences: BTreeMap::new(),
            early: IndexMap::new(),
            running: None,
            queue: VecDeque::new(),
        }
    }
}

/// The publishing side of a participant.
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
    },
    GenerateOffer,
    Unpublish,
    Subscribe {
        remote: String,
        offer: String,
    },
    Unsubscribe {
        remote: String,
    },
    /// Of a subscription, or of what is published.
    RestartIce {
        remote: Option<String>,
        offer: String,
    },
    AddIceCandidate {
        endpoint: String,
        candidate: IceCandidate,
    },
    MutePublished(MutedMediaType),
    UnmutePublished(MutedMediaType),
    /// `None` unmutes.
    MuteSubscribed {
        remote: String,
        media: Option<MutedMediaType>,
    },
    AddElement {
        element: String,
        media: Option<MediaType>,
    },
    RemoveElement {
        element: String,
    },
    SetPreferences(Vec<(String, VideoPreference)>),
}

/// An operation that waits for the media server.
#[derive(Debug)]
pub(crate) struct Running {
    /// Tells this operation from others of the same participant in replies that come late.
    pub(crate) serial: u64,
    pub(crate) ticket: Ticket,
    pub(crate) task: Task,
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
        remote: String,
        publisher: ParticipantId,
        offer: String,
    },
    /// The subscriber endpoint is being connected and negotiated.
    NegotiateSubscriber { remote: String },
    /// An endpoint is being offered to once more.
    RestartIce { remote: Option<String> },
    /// The publisher's mute is being set to this.
    MutePublished(MediaSet),
    /// The subscription's mute is being set to this.
    MuteSubscribed { remote: String, muted: MediaSet },
    /// An element is being put into the chain; it is in the list already.
    AddElement { element: String },
    /// An element is being taken out of the chain; it is out of the list already.
    RemoveElement { element: String },
}

impl Task {
    /// The publisher whose going ends this operation.
    pub(crate) fn remote(&self) -> Option<&str> {
        match self {
            Self::CreateSubscriber { remote, .. }
            | Self::NegotiateSubscriber { remote }
            | Self::MuteSubscribed { remote, .. } => Some(remote),
            Self::RestartIce { remote } => remote.as_deref(),
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
