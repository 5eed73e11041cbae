//! One room as a state machine without I/O: who is in it, who hears whom.
//!
//! A [`Room`] takes [`Command`]s of participants, replies and events of a Kurento media server, and
//! time; it yields [`Effect`]s: requests to the media server, finished commands and events. It has no
//! sockets, clock or threads, so every interleaving of slow replies, failures and departures can be
//! played through in a test.
//!
//! The media of a room is one `MediaPipeline`, made when the first participant joins. A publisher has
//! an endpoint, a chain of elements in the order in which they were added, and a `PassThrough` at its
//! end from which everybody else is fed: endpoint → e₁ → … → eₙ → PassThrough → subscribers' endpoints.
//!
//! Invariants:
//!
//! - A participant is in from the moment at which the list of those before it was made: who is in that
//!   list learns of it, who is not finds it in a list of its own.
//! - Each command ends in exactly one [`Effect::Done`]; commands of one participant end in order,
//!   except that leaving ends what is under way, and nobody waits for another participant's media.
//! - Each object that the media server made for the room is released once: by name while the room
//!   lives, with the pipeline when it ends. An object whose operation was given up is released when it
//!   turns up.
//! - The room can outlive its media server: what was there ends, members and what they asked for stay.
//! - What clients can make the room hold is bounded by [`Limits`].

mod adaptation;
mod chain;
mod command;
mod config;
mod effect;
mod error;
mod facts;
mod look;
mod membership;
mod moderation;
mod operation;
mod participant;
mod publish;
mod recovery;
mod request;
mod room;
mod speakers;
mod subscribe;

pub use command::{
    Command, IceCandidate, Listens, Loopback, MediaType, MutedMedia, MutedMediaType, Outcome,
    ParticipantId, SdpType, SpeakerLevel, StreamRef, Ticket, UserParticipant, VideoLayer,
    VideoPreference, WEBCAM,
};
pub use config::{Bandwidth, Limits, RoomConfig};
pub use effect::{CloseReason, Effect, LostPublisher, MediaFailure, Reply, RoomEvent, Token};
pub use error::{RoomError, RoomErrorCode};
pub use room::Room;
