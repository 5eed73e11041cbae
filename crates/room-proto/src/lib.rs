//! Wire messages and error codes of the room protocol.
//!
//! The protocol is the one of Kurento Room: nine requests from a participant to the room server,
//! ten events back, inside JSON-RPC 2.0 frames over a WebSocket; and what this project adds, which
//! a client gets only if it asks for it. This crate knows the names and
//! shapes of *what is inside* the frames (`method`, `params`, `result`, error numbers) and nothing
//! of the frames themselves, of sockets or of rooms.
//!
//! Names are kept as the existing clients know them, oddities included: `participantJoined` and
//! `participantPublished` call the user `id`, `participantUnpublished` and `participantLeft` call
//! it `name`, chat calls it `user`, and one event is spelled `custonNotification`.
//!
//! Reading is lenient where existing clients rely on it (numbers sent as strings and the reverse,
//! unknown members ignored) and never panics; writing is exact: members in the customary order,
//! absent values left out, never `null`.

mod code;
mod extract;
mod notification;
mod reply;
mod request;

pub use code::ErrorCode;
pub use extract::{Params, ParamsError};
pub use notification::{AudioLevel, Notification, NotificationError};
pub use reply::{Grants, Peer, PeersReply, SdpAnswerReply, StreamInfo};
pub use request::{
    IceCandidate, JoinRoom, MAX_REPORTED_METHOD_CHARS, MuteMedia, PublishVideo, ReceiveVideo,
    Request, RequestError, RestartIce, SendMessage, SenderRef, VideoPreference,
};

/// The only stream id that clients of Kurento Room know: there, each participant publishes at most
/// one stream, called this.
pub const STREAM_ID: &str = "webcam";
