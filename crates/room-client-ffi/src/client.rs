//! The client object.

use std::sync::Arc;

use salono_room_client as room;
use salono_room_client::{Events, MuteChange, SenderRef};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::{ClientOptions, JoinOptions, Joined, RoomError, RoomEvent};

/// A participant's connection to a room server. It carries the signalling of calls; media is the
/// business of the WebRTC library that the application uses.
///
/// Requests are carried out one after the other. When the object is released, the participant
/// leaves its room.
#[derive(Debug, uniffi::Object)]
pub struct RoomClient {
    client: room::RoomClient,
    events: Mutex<Events>,
}

/// A stream of a participant.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct StreamRef {
    /// Whose stream.
    pub user: String,
    /// Which of that user's streams.
    #[uniffi(default = "webcam")]
    pub stream: String,
}

/// An ICE candidate (RFC 8839).
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Candidate {
    /// The candidate line, `candidate:…`.
    pub candidate: String,
    /// The m-line it belongs to, by `mid`.
    pub sdp_mid: String,
    /// The m-line it belongs to, by position.
    pub sdp_m_line_index: i32,
}

/// How large a stream is shown.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct VideoPreference {
    /// Which stream.
    pub of: StreamRef,
    /// Lines of the picture that are enough; 0 for as many as there are.
    pub height: u16,
    /// Streams with greater numbers come first where not everything fits.
    #[uniffi(default = 0)]
    pub priority: u8,
}

#[uniffi::export(async_runtime = "tokio")]
impl RoomClient {
    /// Connects to a room server, for example at `wss://rooms.example/room`. A connection that is
    /// lost later is opened again.
    #[uniffi::constructor(name = "connect")]
    pub async fn connect(url: String, options: ClientOptions) -> Result<Arc<Self>, RoomError> {
        let config = options.config()?;
        let (client, events, driver) = room::RoomClient::connect_with(&url, config).await?;
        tokio::spawn(driver.run());
        Ok(Arc::new(Self {
            client,
            events: Mutex::new(events),
        }))
    }

    /// The next event; waits for it. Nothing when there will be no more. To be called by one
    /// place of an application only, over and over.
    pub async fn next_event(&self) -> Option<RoomEvent> {
        self.events.lock().await.recv().await.map(RoomEvent::from)
    }

    /// Enters a room.
    pub async fn join(&self, options: JoinOptions) -> Result<Joined, RoomError> {
        let joined = self.client.join(&options.join()).await?;
        Ok(joined.into())
    }

    /// Leaves the room. The client stays usable.
    pub async fn leave(&self) -> Result<(), RoomError> {
        Ok(self.client.leave_room().await?)
    }

    /// Sends a stream to the room: an SDP offer, answered. With `loopback` it comes back, too.
    #[uniffi::method(default(stream = "webcam", loopback = false))]
    pub async fn publish(
        &self,
        sdp_offer: String,
        stream: String,
        loopback: bool,
    ) -> Result<String, RoomError> {
        let answer = self.client.publish_stream(&stream, &sdp_offer, loopback);
        Ok(answer.await?)
    }

    /// Stops sending a stream.
    #[uniffi::method(default(stream = "webcam"))]
    pub async fn unpublish(&self, stream: String) -> Result<(), RoomError> {
        Ok(self.client.unpublish_stream(&stream).await?)
    }

    /// Gets somebody's stream: an SDP offer to receive, answered.
    pub async fn subscribe(&self, of: StreamRef, sdp_offer: String) -> Result<String, RoomError> {
        let answer = self.client.receive_video_from(&of.into(), &sdp_offer).await;
        Ok(answer?)
    }

    /// Stops getting somebody's stream.
    pub async fn unsubscribe(&self, of: StreamRef) -> Result<(), RoomError> {
        Ok(self.client.unsubscribe_from_video(&of.into()).await?)
    }

    /// Tells the server of an ICE candidate: of the connection that publishes, when `of` is a
    /// stream of one's own, else of the one that receives it. May come before the offer.
    pub async fn add_ice_candidate(
        &self,
        of: StreamRef,
        candidate: Candidate,
    ) -> Result<(), RoomError> {
        let candidate = room::Candidate {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_m_line_index: candidate.sdp_m_line_index,
        };
        let told = self.client.on_ice_candidate(&of.into(), &candidate).await;
        Ok(told?)
    }

    /// Says something to everybody in the room, under one's own name and in one's own room.
    pub async fn send_message(
        &self,
        user: String,
        room: String,
        message: String,
    ) -> Result<(), RoomError> {
        Ok(self.client.send_message(&user, &room, &message).await?)
    }

    /// Whatever an application agreed on with its server: JSON objects as text.
    pub async fn custom_request(&self, json: String) -> Result<String, RoomError> {
        let params: Map<String, Value> = serde_json::from_str(&json)?;
        Ok(self.client.custom_request(params).await?.to_string())
    }

    /// Says how large streams are shown, and which matter most.
    pub async fn set_video_preferences(
        &self,
        preferences: Vec<VideoPreference>,
    ) -> Result<(), RoomError> {
        let preferences: Vec<room::VideoPreference> = preferences
            .into_iter()
            .map(|preference| room::VideoPreference {
                sender: preference.of.into(),
                height: preference.height,
                priority: preference.priority,
            })
            .collect();
        Ok(self.client.set_video_preferences(&preferences).await?)
    }

    /// Negotiates new ways for a stream that one publishes, after a change of network: an offer
    /// with new ICE credentials, answered.
    #[uniffi::method(default(stream = "webcam"))]
    pub async fn restart_ice_of_stream(
        &self,
        sdp_offer: String,
        stream: String,
    ) -> Result<String, RoomError> {
        let answer = self.client.restart_ice_of_stream(&stream, &sdp_offer).await;
        Ok(answer?)
    }

    /// The same for a stream that one receives.
    pub async fn restart_ice_of_subscription(
        &self,
        of: StreamRef,
        sdp_offer: String,
    ) -> Result<String, RoomError> {
        let of = of.into();
        let answer = self.client.restart_ice_of_subscription(&of, &sdp_offer);
        Ok(answer.await?)
    }

    /// Mutes or unmutes somebody's stream for everybody; what is left out stays as it is. Needs
    /// the grant to moderate, as the following.
    #[uniffi::method(default(audio = None, video = None))]
    pub async fn mute(
        &self,
        of: StreamRef,
        audio: Option<bool>,
        video: Option<bool>,
    ) -> Result<(), RoomError> {
        let change = MuteChange { audio, video };
        Ok(self.client.mute_media(&of.into(), change).await?)
    }

    /// Throws somebody out of the room.
    pub async fn evict(&self, user: String) -> Result<(), RoomError> {
        Ok(self.client.evict_participant(&user).await?)
    }

    /// Closes the room for everybody.
    pub async fn close_room(&self) -> Result<(), RoomError> {
        Ok(self.client.close_room().await?)
    }

    /// Lets nobody in any more, or again.
    pub async fn lock_room(&self, locked: bool) -> Result<(), RoomError> {
        Ok(self.client.lock_room(locked).await?)
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Opens the connection anew: to be called when the device has changed networks.
    pub fn network_changed(&self) {
        self.client.reconnect();
    }

    /// Leaves the room and ends the client for good. Returns when the server knows.
    pub async fn disconnect(&self) {
        self.client.close().await;
    }
}

impl From<StreamRef> for SenderRef {
    fn from(of: StreamRef) -> Self {
        Self {
            user: of.user,
            stream: of.stream,
        }
    }
}
