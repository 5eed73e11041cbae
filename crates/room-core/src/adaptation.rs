//! How large participants show each other, and which quality of each other they get.
//!
//! A subscription has an adaptation on the media server, which ends with its endpoint, and says whose
//! it is: a participant has one connection per stream, all of which share its path. Wishes go there
//! one at a time, the newest only: a participant that resizes its window faster than the media server
//! answers costs no more than the last size. Where the media server has nothing of the kind, wishes
//! are kept and have no effect.

use salono_kurento_model::wire::Notification;

use crate::command::{ParticipantId, StreamRef, VideoPreference};
use crate::effect::{Effect, Reply, RoomEvent};
use crate::error::RoomError;
use crate::facts::MediaFacts;
use crate::participant::{Participant, Subscription};
use crate::publish::gone;
use crate::request;
use crate::room::{AwaitedReply, ObjectRole, Room, object_id};

/// What a subscription has on the media server to choose qualities with.
#[derive(Debug, Default)]
pub(crate) enum Adaptation {
    /// It is not known yet whether there is one to be had.
    #[default]
    Unused,
    /// The media server was asked for it.
    Asked,
    /// There is none to be had.
    Unavailable,
    Ready {
        /// Object id.
        object: String,
        /// What the media server was told last.
        told: VideoPreference,
        /// It has not answered yet.
        is_telling: bool,
    },
}

/// What a reply about an adaptation answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdaptationStep {
    /// Its creation.
    Create,
    /// A wish.
    Tell,
}

impl Room {
    /// Takes in how a participant shows others.
    pub(crate) fn set_preferences(
        &mut self,
        id: &ParticipantId,
        preferences: Vec<(StreamRef, VideoPreference)>,
    ) -> Result<(), RoomError> {
        self.member(id)?;
        for (remote, preference) in preferences {
            // Who is not in the room has just left, or never was.
            if self.member_named(&remote.user).is_err() {
                continue;
            }
            let most = self.config.limits.streams;
            let participant = self.participants.get_mut(id).ok_or_else(gone)?;
            let known = participant.preferences.keys();
            let of_user = known.filter(|known| known.user == remote.user && **known != remote);
            if !remote.is_webcam() && of_user.count() >= most {
                // More streams than anybody can have.
                continue;
            }
            participant.preferences.insert(remote.clone(), preference);
            self.attend_to_video(id, &remote);
        }
        Ok(())
    }

    /// Somebody left: nobody shows it any more.
    pub(crate) fn forget_preferences_for(&mut self, user: &str) {
        for participant in self.participants.values_mut() {
            participant
                .preferences
                .retain(|remote, _| remote.user != user);
        }
    }

    /// Does what is to be done next for the quality of one subscription.
    pub(crate) fn attend_to_video(&mut self, id: &ParticipantId, remote: &StreamRef) {
        let Some(participant) = self.participants.get(id) else {
            return;
        };
        let wish = participant.preferences.get(remote).copied();
        let Some(subscription) = participant.subscriptions.get(remote) else {
            return;
        };
        match &subscription.adaptation {
            Adaptation::Unused => {
                if let Some(facts) = self.media_facts() {
                    self.create_adaptation(id, remote, facts);
                }
            }
            Adaptation::Ready {
                is_telling: false, ..
            } => self.tell_wish(id, remote, wish.unwrap_or_default()),
            Adaptation::Asked | Adaptation::Unavailable | Adaptation::Ready { .. } => {}
        }
    }

    /// Does so for all subscriptions, once it is known what the media server has.
    pub(crate) fn attend_to_all_video(&mut self, facts: MediaFacts) {
        let subscriptions: Vec<(ParticipantId, StreamRef)> = self
            .participants
            .iter()
            .flat_map(|(id, participant)| {
                let remotes = participant.subscriptions.keys();
                remotes.map(|remote| (id.clone(), remote.clone()))
            })
            .collect();
        let somebody_wishes = |it: &Participant| it.listens.layers || !it.preferences.is_empty();
        if !facts.adaptation && self.participants.values().any(somebody_wishes) {
            tracing::info!(
                room = self.name,
                "the media server does not let viewers choose qualities of video"
            );
        }
        for (id, remote) in subscriptions {
            self.attend_to_video(&id, &remote);
        }
    }

    fn create_adaptation(&mut self, id: &ParticipantId, remote: &StreamRef, facts: MediaFacts) {
        let Some(subscription) = self.subscription_mut(id, remote) else {
            return;
        };
        if !facts.adaptation {
            subscription.adaptation = Adaptation::Unavailable;
            return;
        }
        subscription.adaptation = Adaptation::Asked;
        let endpoint = subscription.endpoint.clone();
        let create = request::create_video_adaptation(&endpoint, id.as_str());
        self.request_adaptation(id, remote, endpoint, AdaptationStep::Create, create);
    }

    /// Tells the media server the next thing that it does not know yet, if there is one.
    fn tell_wish(&mut self, id: &ParticipantId, remote: &StreamRef, wish: VideoPreference) {
        let Some(subscription) = self.subscription_mut(id, remote) else {
            return;
        };
        let Adaptation::Ready {
            object,
            told,
            is_telling,
        } = &mut subscription.adaptation
        else {
            return;
        };
        let tell = if told.height != wish.height {
            told.height = wish.height;
            request::set_preferred_height(object, wish.height)
        } else if told.priority != wish.priority {
            told.priority = wish.priority;
            request::set_priority(object, wish.priority)
        } else {
            return;
        };
        *is_telling = true;
        let endpoint = subscription.endpoint.clone();
        self.request_adaptation(id, remote, endpoint, AdaptationStep::Tell, tell);
    }

    fn request_adaptation(
        &mut self,
        id: &ParticipantId,
        remote: &StreamRef,
        endpoint: String,
        step: AdaptationStep,
        request: salono_kurento_model::wire::Request,
    ) {
        let reply = AwaitedReply::Adaptation {
            participant: id.clone(),
            remote: remote.clone(),
            endpoint,
            step,
        };
        self.request(request, reply);
    }

    /// The media server made an adaptation, or took a wish.
    pub(crate) fn adaptation_reply(
        &mut self,
        id: &ParticipantId,
        remote: &StreamRef,
        endpoint: &str,
        step: AdaptationStep,
        reply: Reply,
    ) {
        let name = self.name.clone();
        // Of a subscription that is gone, or made anew, the adaptation ended with the endpoint.
        let subscription = self.subscription_mut(id, remote);
        let Some(subscription) = subscription.filter(|it| it.endpoint == endpoint) else {
            return;
        };
        match (step, &mut subscription.adaptation) {
            (AdaptationStep::Create, adaptation) => match object_id(reply) {
                Ok(object) => {
                    *adaptation = Adaptation::Ready {
                        object: object.clone(),
                        told: VideoPreference::default(),
                        is_telling: false,
                    };
                    self.watch_layers(id, remote, object);
                }
                Err(text) => {
                    tracing::warn!(room = name, text, "a viewer gets what quality there is");
                    *adaptation = Adaptation::Unavailable;
                }
            },
            (AdaptationStep::Tell, Adaptation::Ready { is_telling, .. }) => {
                *is_telling = false;
                if let Err(failure) = reply {
                    tracing::debug!(room = name, %failure, "media server refused a wish");
                }
            }
            (
                AdaptationStep::Tell,
                Adaptation::Unused | Adaptation::Asked | Adaptation::Unavailable,
            ) => {}
        }
        self.attend_to_video(id, remote);
    }

    fn watch_layers(&mut self, id: &ParticipantId, remote: &StreamRef, adaptation: String) {
        let listens = self
            .participants
            .get(id)
            .is_some_and(|it| it.listens.layers);
        if listens {
            let subscribe = request::subscribe(&adaptation, request::LAYER_CHANGED);
            self.detached("subscribe layers", subscribe);
            let role = ObjectRole::Adaptation(id.clone(), remote.clone());
            self.objects.insert(adaptation, role);
        }
    }

    /// The media server sends a participant another quality.
    pub(crate) fn layer_changed(
        &mut self,
        receiver: ParticipantId,
        remote: StreamRef,
        notification: &Notification,
    ) {
        let Some(layer) = request::changed_layer(notification) else {
            tracing::trace!(
                room = self.name,
                event = notification.event,
                "event without a use"
            );
            return;
        };
        self.effects
            .push_back(Effect::Event(RoomEvent::VideoLayerChanged {
                receiver,
                remote,
                layer,
            }));
    }

    /// Releases the endpoint of a subscription; its adaptation ends with it.
    pub(crate) fn release_subscription(&mut self, subscription: Subscription) {
        if let Adaptation::Ready { object, .. } = &subscription.adaptation {
            self.objects.remove(object);
        }
        self.release(subscription.endpoint);
    }

    fn subscription_mut(
        &mut self,
        id: &ParticipantId,
        remote: &StreamRef,
    ) -> Option<&mut Subscription> {
        self.participants.get_mut(id)?.subscriptions.get_mut(remote)
    }
}
