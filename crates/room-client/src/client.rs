//! [`RoomClient`]: every request with its typed answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use salono_room_proto::{PeersReply, STREAM_ID, SdpAnswerReply, SenderRef, VideoPreference};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::driver::{Call, Driver, Orders};
use crate::join::{Join, Joined};
use crate::queue::{self, Events};
use crate::socket;
use crate::{Config, ConnectError, Error, WAITING_REQUESTS};

/// How long the driver may take to end: it says goodbye, and waits for an answer for two seconds.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A participant's connection to a room server. Cheap to clone; clones are the same client.
///
/// Requests of one client are carried out one after the other, in the order in which they were
/// made. Dropping a request's future gives its answer up, not the request. When the last clone is
/// gone, the client leaves its room and ends.
#[derive(Debug, Clone)]
pub struct RoomClient(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    calls: mpsc::Sender<Call>,
    orders: watch::Sender<Orders>,
    status: watch::Receiver<Status>,
    config: Config,
}

/// How it stands with the connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Status {
    pub(crate) connected: bool,
    pub(crate) session: Option<String>,
}

/// An ICE candidate (RFC 8839) of one's own peer connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The candidate line, `candidate:…`.
    pub candidate: String,
    /// The m-line it belongs to, by `mid`.
    pub sdp_mid: String,
    /// The m-line it belongs to, by position.
    pub sdp_m_line_index: i32,
}

/// Which media of a stream to mute or unmute; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MuteChange {
    /// `Some(true)` mutes sound, `Some(false)` lets it be heard again.
    pub audio: Option<bool>,
    /// The same of the picture.
    pub video: Option<bool>,
}

impl RoomClient {
    /// Connects to a room server, for example at `wss://rooms.example/room`.
    ///
    /// The [`Driver`] has to run, as a task of its own, for anything to happen after that.
    ///
    /// # Errors
    /// [`ConnectError`] when the connection does not succeed. Once it has, it is opened again
    /// whenever it is lost.
    pub async fn connect(url: &str) -> Result<(Self, Events, Driver), ConnectError> {
        Self::connect_with(url, Config::default()).await
    }

    /// As [`RoomClient::connect`], with a configuration of one's own.
    ///
    /// # Errors
    /// As [`RoomClient::connect`].
    pub async fn connect_with(
        url: &str,
        config: Config,
    ) -> Result<(Self, Events, Driver), ConnectError> {
        let socket = socket::open(url, &config).await?;
        let (calls, calls_of_driver) = mpsc::channel(WAITING_REQUESTS);
        let (orders, orders_of_driver) = watch::channel(Orders::default());
        let (status_of_driver, status) = watch::channel(Status {
            connected: true,
            session: None,
        });
        let (sender, events) = queue::queue(config.max_events, config.overflow);
        let driver = Driver::new(
            url,
            config.clone(),
            socket,
            calls_of_driver,
            orders_of_driver,
            status_of_driver,
            sender,
        );
        let client = Self(Arc::new(Shared {
            calls,
            orders,
            status,
            config,
        }));
        Ok((client, events, driver))
    }

    /// Enters a room with the defaults of [`Join`].
    ///
    /// # Errors
    /// [`Error`]; among the server's refusals are `ExistingUserInRoom` (104), `RoomLocked` (205),
    /// and those of tokens (401 to 405).
    pub async fn join_room(&self, room: &str, user: &str) -> Result<Joined, Error> {
        self.join(&Join::new(room, user)).await
    }

    /// Enters a room.
    ///
    /// # Errors
    /// As [`RoomClient::join_room`].
    pub async fn join(&self, join: &Join) -> Result<Joined, Error> {
        let reply: PeersReply = self.ask("joinRoom", join.params()).await?;
        Ok(reply.into())
    }

    /// Leaves the room. The client stays usable: the next request opens a new connection.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn leave_room(&self) -> Result<(), Error> {
        self.tell("leaveRoom", Map::new()).await
    }

    /// Sends one's webcam to the room: an SDP offer (RFC 8866), answered. With `do_loopback` the
    /// media comes back to its publisher, too.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn publish_video(&self, offer: &str, do_loopback: bool) -> Result<String, Error> {
        self.publish_stream(STREAM_ID, offer, do_loopback).await
    }

    /// Sends a stream of any name to the room, beside others that one publishes. Names have 1 to 64
    /// characters, none of them `_`. Kurento Room takes every stream for the webcam.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn publish_stream(
        &self,
        stream: &str,
        offer: &str,
        do_loopback: bool,
    ) -> Result<String, Error> {
        let mut params = members(json!({ "sdpOffer": offer, "doLoopback": do_loopback }));
        name_stream(&mut params, stream);
        self.negotiate("publishVideo", params).await
    }

    /// Stops sending the webcam.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn unpublish_video(&self) -> Result<(), Error> {
        self.unpublish_stream(STREAM_ID).await
    }

    /// Stops sending a stream.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn unpublish_stream(&self, stream: &str) -> Result<(), Error> {
        let mut params = Map::new();
        name_stream(&mut params, stream);
        self.tell("unpublishVideo", params).await
    }

    /// Gets somebody's stream: an SDP offer to receive, answered.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn receive_video_from(
        &self,
        sender: &SenderRef,
        offer: &str,
    ) -> Result<String, Error> {
        let params = json!({ "sender": sender, "sdpOffer": offer });
        self.negotiate("receiveVideoFrom", members(params)).await
    }

    /// Stops getting somebody's stream. Succeeds when there is nothing to end.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn unsubscribe_from_video(&self, sender: &SenderRef) -> Result<(), Error> {
        let params = json!({ "sender": sender });
        self.tell("unsubscribeFromVideo", members(params)).await
    }

    /// Tells the server of an ICE candidate: of the connection that publishes when `of` is a stream
    /// of one's own, else of the one that receives it. May come before the offer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn on_ice_candidate(
        &self,
        of: &SenderRef,
        candidate: &Candidate,
    ) -> Result<(), Error> {
        let mut params = members(json!({
            "endpointName": of.user,
            "candidate": candidate.candidate,
            "sdpMid": candidate.sdp_mid,
            "sdpMLineIndex": candidate.sdp_m_line_index,
        }));
        name_stream(&mut params, &of.stream);
        self.tell("onIceCandidate", params).await
    }

    /// Says something to everybody in the room, oneself included. Servers take it only under one's
    /// own name and in one's own room.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn send_message(&self, user: &str, room: &str, message: &str) -> Result<(), Error> {
        let params = json!({ "userMessage": user, "roomMessage": room, "message": message });
        self.tell("sendMessage", members(params)).await
    }

    /// Whatever an application agreed on with its server. The answer is what the server returns,
    /// with anything but an object under `value`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn custom_request(&self, params: Map<String, Value>) -> Result<Value, Error> {
        self.request("customRequest", params).await
    }

    /// Says how large streams are shown, and which matter most. It holds until it is said anew.
    /// Kurento Room does not know this.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_video_preferences(
        &self,
        preferences: &[VideoPreference],
    ) -> Result<(), Error> {
        let params = json!({ "preferences": preferences });
        self.tell("setVideoPreferences", members(params)).await
    }

    /// Negotiates new ways for a stream that one publishes, after a change of network: an offer of
    /// the same peer connection with new ICE credentials (RFC 8445 section 9), answered. Kurento
    /// Room does not know this.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn restart_ice_of_stream(&self, stream: &str, offer: &str) -> Result<String, Error> {
        let mut params = members(json!({ "sdpOffer": offer }));
        name_stream(&mut params, stream);
        self.negotiate("restartIce", params).await
    }

    /// As [`RoomClient::restart_ice_of_stream`], for a stream that one receives.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn restart_ice_of_subscription(
        &self,
        sender: &SenderRef,
        offer: &str,
    ) -> Result<String, Error> {
        let params = json!({ "sdpOffer": offer, "sender": sender });
        self.negotiate("restartIce", members(params)).await
    }

    /// Mutes or unmutes somebody's stream for everybody. Needs the grant to moderate, as the
    /// following; Kurento Room knows none of them.
    ///
    /// # Errors
    /// [`Error`]; 403 without the grant.
    pub async fn mute_media(&self, sender: &SenderRef, change: MuteChange) -> Result<(), Error> {
        let mut params = members(json!({ "sender": sender }));
        for (name, wanted) in [("audio", change.audio), ("video", change.video)] {
            if let Some(wanted) = wanted {
                params.insert(name.to_owned(), Value::Bool(wanted));
            }
        }
        self.tell("muteMedia", params).await
    }

    /// Throws somebody out of the room.
    ///
    /// # Errors
    /// [`Error`]; 403 without the grant.
    pub async fn evict_participant(&self, user: &str) -> Result<(), Error> {
        let params = json!({ "user": user });
        self.tell("evictParticipant", members(params)).await
    }

    /// Closes the room for everybody.
    ///
    /// # Errors
    /// [`Error`]; 403 without the grant.
    pub async fn close_room(&self) -> Result<(), Error> {
        self.tell("closeRoom", Map::new()).await
    }

    /// Lets nobody in any more, or again.
    ///
    /// # Errors
    /// [`Error`]; 403 without the grant.
    pub async fn lock_room(&self, locked: bool) -> Result<(), Error> {
        let params = json!({ "locked": locked });
        self.tell("lockRoom", members(params)).await
    }

    /// Any request, for servers that know more than this client.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn request(
        &self,
        method: impl Into<Cow<'static, str>>,
        params: Map<String, Value>,
    ) -> Result<Value, Error> {
        let method = method.into();
        let patience = self.0.config.request_timeout;
        let asking = async {
            let (reply, answer) = oneshot::channel();
            let call = Call {
                method,
                params,
                reply,
            };
            self.0.calls.send(call).await.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::Closed)?
        };
        timeout(patience, asking)
            .await
            .map_err(|_| Error::Timeout(patience))?
    }

    /// The name of the client's session, once it has one: who knows it may take the place of this
    /// client while that is away.
    #[must_use]
    pub fn session_id(&self) -> Option<String> {
        self.0.status.borrow().session.clone()
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.status.borrow().connected
    }

    /// Opens the connection anew: to be called when the device has changed networks, of which a
    /// dead connection tells only after a while. If there is none, it is tried at once.
    pub fn reconnect(&self) {
        self.0
            .orders
            .send_modify(|orders| orders.renewals = orders.renewals.wrapping_add(1));
    }

    /// Leaves the room and ends the client, its clones included. Returns when the server knows,
    /// or after five seconds.
    pub async fn close(&self) {
        self.0.orders.send_modify(|orders| orders.close = true);
        let _ = timeout(CLOSE_PATIENCE, self.0.calls.closed()).await;
    }

    async fn tell(&self, method: &'static str, params: Map<String, Value>) -> Result<(), Error> {
        self.request(method, params).await.map(drop)
    }

    async fn negotiate(
        &self,
        method: &'static str,
        params: Map<String, Value>,
    ) -> Result<String, Error> {
        let reply: SdpAnswerReply = self.ask(method, params).await?;
        Ok(reply.sdp_answer)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Map<String, Value>,
    ) -> Result<T, Error> {
        let result = self.request(method, params).await?;
        serde_json::from_value(result).map_err(|error| Error::Reply(error.to_string()))
    }
}

/// The members of what `json!` made of braces.
fn members(params: Value) -> Map<String, Value> {
    match params {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// Webcams are what is meant without a name, also by servers that know no other stream.
fn name_stream(params: &mut Map<String, Value>, stream: &str) {
    if stream != STREAM_ID {
        params.insert("stream".to_owned(), Value::String(stream.to_owned()));
    }
}
