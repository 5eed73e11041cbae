//! An asynchronous client of room servers: Salono, and everything that speaks the protocol of
//! Kurento Room.
//!
//! A [`RoomClient`] is one participant. It carries the signalling of calls: who is in the room,
//! who publishes, session descriptions and ICE candidates, chat. Media is the business of whatever
//! WebRTC library an application uses; descriptions go in and out as text.
//!
//! # Quick start
//!
//! ```no_run
//! use salono_room_client::{Event, Notification, RoomClient, SenderRef};
//!
//! # async fn call(offer: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut events, driver) = RoomClient::connect("wss://rooms.example/room").await?;
//! tokio::spawn(driver.run());
//!
//! let joined = client.join_room("lobby", "ann").await?;
//! for peer in &joined.peers {
//!     println!("{} is here", peer.id);
//! }
//! let answer = client.publish_video(offer, false).await?;
//! client.send_message("ann", "lobby", "Good morning!").await?;
//!
//! while let Some(event) = events.recv().await {
//!     if let Event::Notification(Notification::ParticipantPublished { user, .. }) = event {
//!         let answer = client.receive_video_from(&SenderRef::webcam(user), offer).await?;
//!         # let _ = answer;
//!     }
//! }
//! # let _ = answer;
//! # Ok(())
//! # }
//! ```
//!
//! The crate spawns nothing: the [`Driver`] does the work and is run by the application, usually as
//! a task of its own.
//!
//! # For those who know the Java client of Kurento Room
//!
//! | Java | here |
//! | --- | --- |
//! | `new KurentoRoomClient(wsUri)` | [`RoomClient::connect`]; it trusted every certificate, which here is [`Trust::anybody`] |
//! | `joinRoom(room, user, dataChannels)` | [`RoomClient::join_room`], [`RoomClient::join`] |
//! | `leaveRoom()` | [`RoomClient::leave_room`] |
//! | `publishVideo(offer, loopback)` | [`RoomClient::publish_video`] |
//! | `unpublishVideo()` | [`RoomClient::unpublish_video`] |
//! | `receiveVideoFrom(sender, offer)` | [`RoomClient::receive_video_from`] |
//! | `unsubscribeFromVideo(sender)` | [`RoomClient::unsubscribe_from_video`] |
//! | `onIceCandidate(endpoint, candidate, mid, index)` | [`RoomClient::on_ice_candidate`] |
//! | `sendMessage(user, room, text)` | [`RoomClient::send_message`] |
//! | `customRequest(params)` | [`RoomClient::custom_request`] |
//! | `getServerNotification()` | [`Events::recv`] |
//! | `close()` | [`RoomClient::close`] |
//! | `RoomException` 801, 802, 803 | [`Error::TooLong`], [`Error::Reply`], the rest of [`Error`] |
//!
//! What goes beyond Kurento Room says so where it is described, and needs a server that knows it:
//! tokens and moderation, several streams per participant, video preferences, who speaks.
//!
//! # When the connection breaks
//!
//! A lost connection is opened again, at once and then after growing pauses
//! ([`Config::reconnect`]), and the session resumed by its name: the participant never left, and
//! what happened meanwhile follows in order. [`Event::Disconnected`] and [`Event::Reconnected`] say
//! so. Servers keep a place for ten seconds; later, `Reconnected` says `resumed: false`, and the
//! application joins and publishes anew.
//!
//! Salono numbers what it sends to those who ask for it (as [`Join`] does unless told otherwise):
//! nothing is lost and nothing comes twice, and requests that were under way get their answers.
//! With Kurento Room, what was on its way when the connection broke is lost; requests without an
//! answer end with [`Error::Timeout`].
//!
//! A `ping` in every [`Config::ping_interval`] finds connections that are dead without a word. A
//! device that knows of a change of network calls [`RoomClient::reconnect`], and negotiates new
//! ways for its media ([`RoomClient::restart_ice_of_stream`],
//! [`RoomClient::restart_ice_of_subscription`]).
//!
//! # Errors
//!
//! [`Error::Server`] is the server's refusal; [`Error::code`] tells what it means. After
//! [`Error::Timeout`] and [`Error::Disconnected`] it is open whether the server has carried the
//! request out.
//!
//! # Queues
//!
//! Nothing grows without bounds, whatever a server sends.
//!
//! | what waits | at most | beyond it |
//! | --- | --- | --- |
//! | requests for the driver | [`WAITING_REQUESTS`] | callers wait |
//! | requests without an answer | [`UNANSWERED_REQUESTS`] | callers wait |
//! | events for the application | [`Config::max_events`] | [`Config::overflow`] chooses |
//! | bytes of one request | [`MAX_REQUEST_BYTES`] | [`Error::TooLong`] |
//! | bytes of one message of the server | 4 MiB | the connection is given up and opened again |

mod client;
mod config;
mod driver;
mod error;
mod event;
mod join;
mod queue;
mod socket;

pub use client::{Candidate, MuteChange, RoomClient};
pub use config::{Config, Overflow, Reconnect};
pub use driver::Driver;
pub use error::{ConnectError, Error};
pub use event::Event;
pub use join::{Join, Joined};
pub use queue::Events;
pub use salono_room_proto::{
    AudioLevel, ErrorCode, Grants, Notification, Peer, STREAM_ID, SenderRef, StreamInfo,
    VideoPreference,
};
pub use salono_tls_trust::{Trust, TrustError};

pub(crate) use client::Status;

/// How many requests wait for the driver; more callers wait with theirs.
pub const WAITING_REQUESTS: usize = 64;

/// How many requests may be without an answer; more wait. Servers keep 2048 of a session.
pub const UNANSWERED_REQUESTS: usize = 256;

/// Longest request, in bytes: what room servers take.
pub const MAX_REQUEST_BYTES: usize = 1_000_000;
