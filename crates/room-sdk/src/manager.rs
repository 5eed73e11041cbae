//! [`RoomManager`]: all rooms of a program, with one method per thing that can be done in them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use salono_kurento_client::Client;
use salono_room_core::{
    Command, IceCandidate, Loopback, MediaType, MutedMediaType, Outcome, ParticipantId, Room,
    RoomConfig, RoomError, RoomErrorCode, SdpType, UserParticipant,
};
use tokio::sync::{mpsc, oneshot};

use crate::directory::{Directory, RoomAddress};
use crate::handler::RoomHandler;
use crate::provider::{KurentoClientProvider, KurentoClientSessionInfo};
use crate::task::{Completion, JoinOrder, Message, Reservation, RoomTask};

/// Limits of a manager and the configuration of its rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagerConfig {
    /// Rooms at a time; creating one more fails with code 204.
    pub rooms: usize,
    /// Requests that wait at one room; callers beyond that wait themselves.
    pub room_queue: usize,
    /// How long a broken connection to a media server may take to come back before its rooms close.
    pub media_reconnect: Duration,
    /// Configuration of every room.
    pub room: RoomConfig,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            rooms: 10_000,
            room_queue: 256,
            media_reconnect: Duration::from_secs(5),
            room: RoomConfig::default(),
        }
    }
}

/// A request of a participant, to be answered later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParticipantRequest {
    /// Who asks.
    pub participant_id: ParticipantId,
    /// The transport's identifier of the request; `None` if it has none.
    pub request_id: Option<String>,
}

impl ParticipantRequest {
    /// A request of a participant.
    pub fn new(participant_id: impl Into<ParticipantId>, request_id: Option<String>) -> Self {
        Self {
            participant_id: participant_id.into(),
            request_id,
        }
    }
}

/// Who wants into which room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The room.
    pub room: String,
    /// The name to have there.
    pub user: String,
    /// Whether the participant's publisher endpoint offers data channels.
    pub data_channels: bool,
    /// WebRTC if true, plain RTP otherwise.
    pub web: bool,
}

impl Join {
    /// A WebRTC participant without data channels.
    pub fn new(room: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            room: room.into(),
            user: user.into(),
            data_channels: false,
            web: true,
        }
    }
}

/// What to publish and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whether `sdp` is the participant's offer, or its answer to a generated offer.
    pub sdp_type: SdpType,
    /// The session description.
    pub sdp: String,
    /// What the publisher gets back.
    pub loopback: Loopback,
    /// Object ids of elements to put into the chain first, in order; the room owns them from then on.
    pub elements: Vec<String>,
}

impl Publish {
    /// Publishes with an offer of the participant, without loopback.
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self {
            sdp_type: SdpType::Offer,
            sdp: sdp.into(),
            loopback: Loopback::Off,
            elements: Vec::new(),
        }
    }

    /// Publishes with the participant's answer to a generated offer, without loopback.
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self {
            sdp_type: SdpType::Answer,
            ..Self::offer(sdp)
        }
    }

    /// Sends the publisher's own media back to it.
    #[must_use]
    pub fn with_loopback(mut self, loopback: bool) -> Self {
        self.loopback = if loopback {
            Loopback::Own { media: None }
        } else {
            Loopback::Off
        };
        self
    }
}

/// A room's pipeline and the connection on which it can be used.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The connection.
    pub client: Client,
    /// Object id of the `MediaPipeline`.
    pub object: String,
}

/// All rooms of a program. Cheap to clone; clones are the same manager.
///
/// Each room runs on a task of its own, spawned on the runtime of the caller that opens the room, and
/// ends with the room. A slow media server holds up the participant that waits for it, nobody else.
#[derive(Clone)]
pub struct RoomManager {
    shared: Arc<Shared>,
}

/// What the manager and its room tasks share.
pub(crate) struct Shared {
    directory: Mutex<Directory>,
    pub(crate) handler: Arc<dyn RoomHandler>,
    pub(crate) provider: Arc<dyn KurentoClientProvider>,
    pub(crate) config: ManagerConfig,
}

impl Shared {
    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        // The directory is consistent between any two of its methods, so a panic elsewhere spoils nothing.
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds or opens the room that a join goes to and reserves the participant's place in the directory.
    pub(crate) fn admit(
        self: &Arc<Self>,
        order: &JoinOrder,
        session: Option<&KurentoClientSessionInfo>,
    ) -> Result<Reservation, RoomError> {
        let mut directory = self.directory();
        if let Some(current) = directory.room_of(&order.participant) {
            return Err(RoomError::new(
                RoomErrorCode::ExistingUserInRoom,
                format!(
                    "participant '{}' is already in room '{}'",
                    order.participant, current.name
                ),
            ));
        }
        let address = match directory.room(&order.join.room) {
            Some(address) => address.clone(),
            None => {
                let Some(session) = session else {
                    return Err(RoomError::new(
                        RoomErrorCode::RoomNotFound,
                        format!("room '{}' must be created before", order.join.room),
                    ));
                };
                // Code 999 comes before the room is opened so that no room exists for a refused name.
                if order.join.user.is_empty() {
                    return Err(RoomError::new(
                        RoomErrorCode::Generic,
                        "the user name is empty",
                    ));
                }
                self.open(&mut directory, &order.join.room, session.clone(), None)?
            }
        };
        directory.enter(&order.participant, address.key);
        let participant = order.participant.clone();
        Ok(Reservation::new(Arc::clone(self), participant, address))
    }

    fn open(
        self: &Arc<Self>,
        directory: &mut Directory,
        name: &str,
        session: KurentoClientSessionInfo,
        created: Option<oneshot::Sender<Result<(), RoomError>>>,
    ) -> Result<RoomAddress, RoomError> {
        let (sender, receiver) = mpsc::channel(self.config.room_queue.max(1));
        let address = directory.open(name, sender)?;
        let task = RoomTask::new(Arc::clone(self), address.clone(), session, created);
        tokio::spawn(task.run(receiver));
        Ok(address)
    }
}

impl RoomManager {
    /// A manager without rooms.
    pub fn new(
        handler: Arc<dyn RoomHandler>,
        provider: Arc<dyn KurentoClientProvider>,
        config: ManagerConfig,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                directory: Mutex::new(Directory::new(config.rooms)),
                handler,
                provider,
                config,
            }),
        }
    }

    /// Joins a room and returns who was in it before.
    ///
    /// `session` allows the room to be created if there is none of that name; without it such a join
    /// fails with 202. Other errors: 104 name taken or participant in a room already, 201 room full,
    /// 203 manager closed, 204 no pipeline, 999 empty name.
    pub async fn join_room(
        &self,
        participant: &ParticipantId,
        join: Join,
        session: Option<KurentoClientSessionInfo>,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let (completion, result) = completion();
        self.start_join(participant, join, session, completion)
            .await;
        match finished(result).await? {
            Outcome::Joined { existing } => Ok(existing),
            other => Err(unexpected(&other)),
        }
    }

    /// Leaves the room and returns who is still in it; an empty list means that the room is closed.
    ///
    /// What the participant was waiting for fails with 103. Errors: 102.
    pub async fn leave_room(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let command = Command::Leave {
            participant: participant.clone(),
        };
        match self.run(participant, command).await? {
            Outcome::Left { remaining, .. } => Ok(remaining),
            other => Err(unexpected(&other)),
        }
    }

    /// Publishes; returns the media server's answer, or after a generated offer that offer as it came out.
    ///
    /// Errors: 102, 302 session description refused or publishing already, 303, 304, 305.
    pub async fn publish_media(
        &self,
        participant: &ParticipantId,
        publish: Publish,
    ) -> Result<String, RoomError> {
        let command = publish_command(participant, publish);
        match self.run(participant, command).await? {
            Outcome::Published { answer, .. } => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes the participant's publisher endpoint offer; [`publish_media`](Self::publish_media) with
    /// the participant's answer must follow. Errors as there.
    pub async fn generate_publish_offer(
        &self,
        participant: &ParticipantId,
    ) -> Result<String, RoomError> {
        let command = Command::GeneratePublishOffer {
            participant: participant.clone(),
        };
        match self.run(participant, command).await? {
            Outcome::OfferGenerated { offer } => Ok(offer),
            other => Err(unexpected(&other)),
        }
    }

    /// Stops publishing; every subscription to the participant ends. Errors: 102, 105 not publishing.
    pub async fn unpublish_media(&self, participant: &ParticipantId) -> Result<(), RoomError> {
        let command = Command::Unpublish {
            participant: participant.clone(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Receives what user `remote` publishes; returns the media server's answer to `offer`.
    ///
    /// Errors: 102, 105 not publishing or oneself, 302 offer refused or subscribed already, 303.
    pub async fn subscribe(
        &self,
        participant: &ParticipantId,
        remote: &str,
        offer: impl Into<String>,
    ) -> Result<String, RoomError> {
        let command = Command::Subscribe {
            participant: participant.clone(),
            remote: remote.to_owned(),
            offer: offer.into(),
        };
        match self.run(participant, command).await? {
            Outcome::Subscribed { answer } => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }

    /// Stops receiving from user `remote`; not being subscribed is fine. Errors: 102.
    pub async fn unsubscribe(
        &self,
        participant: &ParticipantId,
        remote: &str,
    ) -> Result<(), RoomError> {
        let command = Command::Unsubscribe {
            participant: participant.clone(),
            remote: remote.to_owned(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Hands over a candidate of the participant: for its publisher endpoint if `endpoint_name` is its
    /// own name, else for its subscription to that user. Candidates may come before the endpoint exists.
    /// Errors: 102, 306 not a WebRTC participant.
    pub async fn on_ice_candidate(
        &self,
        participant: &ParticipantId,
        endpoint_name: &str,
        candidate: IceCandidate,
    ) -> Result<(), RoomError> {
        let command = Command::AddIceCandidate {
            participant: participant.clone(),
            endpoint: endpoint_name.to_owned(),
            candidate,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Puts an element of the room's [`pipeline`](Self::pipeline) at the end of what the participant
    /// publishes, or will publish; the room owns it from then on. With `media` only that kind passes it.
    /// Errors: 102, 303, 304 no id, in the chain already, or too many.
    pub async fn add_media_element(
        &self,
        participant: &ParticipantId,
        element: impl Into<String>,
        media: Option<MediaType>,
    ) -> Result<(), RoomError> {
        let command = Command::AddMediaElement {
            participant: participant.clone(),
            element: element.into(),
            media,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Takes an element out of the chain and releases it. Errors: 102, 303 not in the chain.
    pub async fn remove_media_element(
        &self,
        participant: &ParticipantId,
        element: impl Into<String>,
    ) -> Result<(), RoomError> {
        let command = Command::RemoveMediaElement {
            participant: participant.clone(),
            element: element.into(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Silences what the participant publishes, for everybody. Errors: 102, 105, 307.
    pub async fn mute_published_media(
        &self,
        participant: &ParticipantId,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        let command = Command::MutePublished {
            participant: participant.clone(),
            media,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Ends every mute of what the participant publishes. Errors: 102, 105, 307.
    pub async fn unmute_published_media(
        &self,
        participant: &ParticipantId,
    ) -> Result<(), RoomError> {
        let command = Command::UnmutePublished {
            participant: participant.clone(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Silences the participant's subscription to user `remote`; not being subscribed is fine.
    /// Errors: 102, 105 `remote` does not publish, 307.
    pub async fn mute_subscribed_media(
        &self,
        participant: &ParticipantId,
        remote: &str,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        let command = Command::MuteSubscribed {
            participant: participant.clone(),
            remote: remote.to_owned(),
            media,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Ends every mute of the participant's subscription to user `remote`. Errors: 102, 105, 307.
    pub async fn unmute_subscribed_media(
        &self,
        participant: &ParticipantId,
        remote: &str,
    ) -> Result<(), RoomError> {
        let command = Command::UnmuteSubscribed {
            participant: participant.clone(),
            remote: remote.to_owned(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Creates a room that waits for its first participant; one that exists is left as it is.
    ///
    /// The pipeline is made at the first join. Errors: 203, 204, and what the provider says.
    pub async fn create_room(&self, session: KurentoClientSessionInfo) -> Result<(), RoomError> {
        let (sender, created) = oneshot::channel();
        {
            let mut directory = self.shared.directory();
            if directory.room(&session.room_name).is_some() {
                tracing::debug!(room = session.room_name, "room exists already");
                return Ok(());
            }
            let name = session.room_name.clone();
            self.shared
                .open(&mut directory, &name, session, Some(sender))?;
        }
        created.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Closes a room; returns who was in it. Its name is free at once. Errors: 202, 203.
    pub async fn close_room(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        let (completion, result) = completion();
        self.start_close(room, completion).await;
        match finished(result).await? {
            Outcome::Closed { members } => Ok(members),
            other => Err(unexpected(&other)),
        }
    }

    /// Closes every room and opens none any more. No participant is told.
    pub async fn close(&self) {
        self.shut();
        for name in self.rooms() {
            if let Err(error) = self.close_room(&name).await {
                tracing::debug!(room = name, %error, "room was closed by somebody else");
            }
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.directory().is_shut()
    }

    /// Names of all rooms, sorted.
    pub fn rooms(&self) -> Vec<String> {
        self.shared.directory().names()
    }

    /// How many rooms there are.
    pub fn room_count(&self) -> usize {
        self.shared.directory().len()
    }

    /// How many participants there are in all rooms, those on their way in included.
    pub fn participant_count(&self) -> usize {
        self.shared.directory().member_count()
    }

    /// Who is in a room. Errors: 202.
    pub async fn participants(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.ask_room(room, |room| Ok(room.participants())).await
    }

    /// Who publishes in a room. Errors: 202.
    pub async fn publishers(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.ask_room(room, |room| Ok(room.publishers())).await
    }

    /// Who in a room is subscribed to somebody. Errors: 202.
    pub async fn subscribers(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.ask_room(room, |room| Ok(room.subscribers())).await
    }

    /// Whom a participant is subscribed to. Errors: 102.
    pub async fn peer_publishers(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let id = participant.clone();
        self.ask(participant, move |room| room.peer_publishers(&id))
            .await
    }

    /// Who is subscribed to a participant. Errors: 102, 105 not publishing.
    pub async fn peer_subscribers(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let id = participant.clone();
        self.ask(participant, move |room| room.peer_subscribers(&id))
            .await
    }

    /// Whether a participant publishes. Errors: 102.
    pub async fn is_publisher_streaming(
        &self,
        participant: &ParticipantId,
    ) -> Result<bool, RoomError> {
        self.participant_info(participant)
            .await
            .map(|info| info.streaming)
    }

    /// The pipeline of a participant's room. Errors: 102.
    pub async fn pipeline(&self, participant: &ParticipantId) -> Result<Pipeline, RoomError> {
        let address = self.address_of(participant)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Pipeline {
            participant: participant.clone(),
            reply,
        };
        if address.sender.send(message).await.is_err() {
            return Err(room_ended());
        }
        answer.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Name of the room that a participant is in. Errors: 102.
    pub fn room_name(&self, participant: &ParticipantId) -> Result<String, RoomError> {
        self.address_of(participant).map(|address| address.name)
    }

    /// The name that a participant has in its room. Errors: 102.
    pub async fn participant_name(&self, participant: &ParticipantId) -> Result<String, RoomError> {
        self.participant_info(participant)
            .await
            .map(|info| info.user_name)
    }

    /// A participant as others see it. Errors: 102.
    pub async fn participant_info(
        &self,
        participant: &ParticipantId,
    ) -> Result<UserParticipant, RoomError> {
        let id = participant.clone();
        self.ask(participant, move |room| room.participant(&id))
            .await
    }

    /// Moves a room-wide filter to its next state and applies it to everybody in the room, and to
    /// everybody who joins later. Errors: 202, 999 too many filters.
    pub async fn update_filter(&self, room: &str, filter_id: &str) -> Result<(), RoomError> {
        let address = self.address_of_room(room)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::UpdateFilter {
            filter_id: filter_id.to_owned(),
            reply,
        };
        if address.sender.send(message).await.is_err() {
            return Err(room_ended());
        }
        answer.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Opens no room from now on.
    pub(crate) fn shut(&self) {
        self.shared.directory().shut();
    }

    /// Starts a join; `completion` runs on the room's task, in the order of what happens there.
    pub(crate) async fn start_join(
        &self,
        participant: &ParticipantId,
        join: Join,
        session: Option<KurentoClientSessionInfo>,
        completion: Completion,
    ) {
        let order = JoinOrder {
            participant: participant.clone(),
            join,
        };
        match self.shared.admit(&order, session.as_ref()) {
            Ok(reservation) => {
                let sender = reservation.sender();
                let message = Message::Join {
                    order,
                    session,
                    reservation,
                    completion,
                };
                // On failure the message is dropped, and with it the completion, which then reports it.
                let _ = sender.send(message).await;
            }
            Err(error) => completion.finish(Err(error)),
        }
    }

    /// Starts a command of a participant; `completion` as in [`start_join`](Self::start_join).
    pub(crate) async fn start(
        &self,
        participant: &ParticipantId,
        command: Command,
        completion: Completion,
    ) {
        match self.address_of(participant) {
            Ok(address) => {
                let message = Message::Command {
                    command,
                    completion,
                };
                let _ = address.sender.send(message).await;
            }
            Err(error) => completion.finish(Err(error)),
        }
    }

    /// Starts to close a room; `completion` as in [`start_join`](Self::start_join).
    pub(crate) async fn start_close(&self, room: &str, completion: Completion) {
        match self.address_of_room(room) {
            Ok(address) => {
                let message = Message::Command {
                    command: Command::Close,
                    completion,
                };
                let _ = address.sender.send(message).await;
            }
            Err(error) => completion.finish(Err(error)),
        }
    }

    /// Asks the room of a participant, on its task.
    pub(crate) async fn ask<T, F>(
        &self,
        participant: &ParticipantId,
        question: F,
    ) -> Result<T, RoomError>
    where
        T: Send + 'static,
        F: FnOnce(&Room) -> Result<T, RoomError> + Send + 'static,
    {
        ask_at(self.address_of(participant)?, question).await
    }

    async fn ask_room<T, F>(&self, room: &str, question: F) -> Result<T, RoomError>
    where
        T: Send + 'static,
        F: FnOnce(&Room) -> Result<T, RoomError> + Send + 'static,
    {
        ask_at(self.address_of_room(room)?, question).await
    }

    async fn run(
        &self,
        participant: &ParticipantId,
        command: Command,
    ) -> Result<Outcome, RoomError> {
        let (completion, result) = completion();
        self.start(participant, command, completion).await;
        finished(result).await
    }

    fn address_of(&self, participant: &ParticipantId) -> Result<RoomAddress, RoomError> {
        self.shared
            .directory()
            .room_of(participant)
            .cloned()
            .ok_or_else(|| {
                RoomError::new(
                    RoomErrorCode::UserNotFound,
                    format!("participant '{participant}' is not in a room"),
                )
            })
    }

    fn address_of_room(&self, room: &str) -> Result<RoomAddress, RoomError> {
        self.shared.directory().room(room).cloned().ok_or_else(|| {
            RoomError::new(
                RoomErrorCode::RoomNotFound,
                format!("there is no room '{room}'"),
            )
        })
    }
}

pub(crate) fn publish_command(participant: &ParticipantId, publish: Publish) -> Command {
    Command::Publish {
        participant: participant.clone(),
        sdp_type: publish.sdp_type,
        sdp: publish.sdp,
        loopback: publish.loopback,
        elements: publish.elements,
    }
}

pub(crate) fn room_ended() -> RoomError {
    RoomError::new(RoomErrorCode::RoomClosed, "the room has ended")
}

/// A command and its outcome belong together; anything else is reported rather than trusted.
fn unexpected(outcome: &Outcome) -> RoomError {
    RoomError::new(
        RoomErrorCode::Generic,
        format!("the room answered with {outcome:?}"),
    )
}

async fn ask_at<T, F>(address: RoomAddress, question: F) -> Result<T, RoomError>
where
    T: Send + 'static,
    F: FnOnce(&Room) -> Result<T, RoomError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let message = Message::Query(Box::new(move |room| {
        // The asker may have stopped waiting.
        let _ = reply.send(question(room));
    }));
    if address.sender.send(message).await.is_err() {
        return Err(room_ended());
    }
    answer.await.unwrap_or_else(|_| Err(room_ended()))
}

fn completion() -> (Completion, oneshot::Receiver<Result<Outcome, RoomError>>) {
    let (sender, receiver) = oneshot::channel();
    let completion = Completion::new(move |result| {
        let _ = sender.send(result);
    });
    (completion, receiver)
}

async fn finished(
    result: oneshot::Receiver<Result<Outcome, RoomError>>,
) -> Result<Outcome, RoomError> {
    result.await.unwrap_or_else(|_| Err(room_ended()))
}
