//! What is decided for everybody: whose media is muted where it is published, and whether anybody
//! may join.

use crate::chain::MediaSet;
use crate::command::{MediaType, MutedMedia, Outcome, ParticipantId, Ticket};
use crate::effect::{Effect, RoomEvent};
use crate::error::{RoomError, RoomErrorCode};
use crate::participant::Publisher;
use crate::room::{Room, seen};

impl Room {
    /// Whether nobody can join.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// What of a participant's stream is muted for everybody. Error: 102.
    pub fn muted_media(&self, id: &ParticipantId, stream: &str) -> Result<MutedMedia, RoomError> {
        let publisher = self.member(id)?.publishers.get(stream);
        Ok(publisher.map_or_else(MutedMedia::default, muted_media))
    }

    pub(crate) fn set_locked(&mut self, ticket: Ticket, locked: bool) {
        if self.closed {
            self.done(ticket, Err(self.closed_error()));
            return;
        }
        let is_news = self.locked != locked;
        self.locked = locked;
        self.done(ticket, Ok(Outcome::Done));
        let receivers = self.listeners(|member| member.listens.moderation);
        if is_news && !receivers.is_empty() {
            let event = RoomEvent::LockChanged { receivers, locked };
            self.effects.push_back(Effect::Event(event));
        }
    }

    pub(crate) fn locked_error(&self) -> RoomError {
        RoomError::new(
            RoomErrorCode::RoomLocked,
            format!("room '{}' is locked", self.name),
        )
    }

    /// The media server did what a mute of a participant's publisher takes.
    pub(crate) fn published_is_muted(&mut self, id: &ParticipantId, stream: &str, muted: MediaSet) {
        let receivers = self.listeners(|member| member.listens.moderation);
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let Some(publisher) = participant.publishers.get_mut(stream) else {
            return;
        };
        let before = muted_media(publisher);
        publisher.muted = muted;
        if before != muted_media(publisher) {
            self.tell_muted(receivers, id, stream);
        }
    }

    /// Tells a newcomer what is muted.
    pub(crate) fn introduce_mutes(&mut self, newcomer: &ParticipantId) {
        let listens = self
            .participants
            .get(newcomer)
            .is_some_and(|member| member.listens.moderation);
        if !listens {
            return;
        }
        let is_muted = |publisher: &Publisher| muted_media(publisher) != MutedMedia::default();
        let muted: Vec<(ParticipantId, String)> = self
            .participants
            .iter()
            .flat_map(|(id, member)| {
                let muted = member.publishers.iter().filter(|(_, it)| is_muted(it));
                muted.map(|(stream, _)| (id.clone(), stream.clone()))
            })
            .collect();
        for (id, stream) in muted {
            self.tell_muted(vec![newcomer.clone()], &id, &stream);
        }
    }

    fn tell_muted(&mut self, receivers: Vec<ParticipantId>, id: &ParticipantId, stream: &str) {
        let Some(participant) = self.participants.get(id) else {
            return;
        };
        let Some(publisher) = participant.publishers.get(stream) else {
            return;
        };
        if receivers.is_empty() {
            return;
        }
        let event = RoomEvent::MediaMuted {
            receivers,
            participant: seen(id, participant),
            stream: stream.to_owned(),
            muted: muted_media(publisher),
        };
        self.effects.push_back(Effect::Event(event));
    }
}

fn muted_media(publisher: &Publisher) -> MutedMedia {
    let muted = publisher.muted;
    MutedMedia {
        audio: muted.contains(MediaType::Audio),
        video: muted.contains(MediaType::Video),
    }
}
