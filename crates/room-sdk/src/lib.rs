//! Rooms for group calls, on any Kurento media server.
//!
//! Two managers do the work. [`RoomManager`] returns what it finds: a program that has its own idea
//! of signalling calls it and tells its users what it likes. [`NotificationRoomManager`] is for
//! servers: it takes requests of clients, and a [`NotificationRoomHandler`] answers them. The
//! [`DefaultNotificationRoomHandler`] says what Kurento Room says, in the same order, through a
//! [`UserNotificationService`], which is all that a transport has to implement.
//!
//! A [`KurentoClientProvider`] chooses the media server of each room; [`FixedKurento`] takes the same
//! one for all, a [`KmsManager`] spreads rooms over several, by turns or by load, and [`Autodiscovery`] asks
//! somebody else. Only documented requests of the Kurento Protocol are used.
//!
//! What holds for every room:
//!
//! - Joining is atomic: of two participants that join at the same time, one finds the other in the
//!   list that it gets, and the other is told of the one.
//! - What a participant asks for happens in the order it asks. Nobody waits for somebody else's
//!   media.
//! - Candidates of the media server may come before the answer to the offer; after a participant left
//!   nothing of it comes any more.
//! - Everything that was created on the media server is released, whatever fails or races.
//! - Who asks for it with [`Listens`] hears who speaks, how loud everybody is and which quality of each
//!   picture it gets, on media servers that can tell; others are asked for nothing that they do not
//!   have. The same holds for how large a participant shows others ([`VideoPreference`]).
//! - A media server that does not answer fails an operation after 30 s. One that is gone is replaced by
//!   another that the provider knows: members stay, are told that nobody publishes any more, and
//!   negotiate anew. Where there is no other the room is closed, and everybody in it is told.
//!
//! `examples/minimal_room.rs` shows the whole of a small program.

mod default_handler;
mod directory;
mod handler;
mod kms;
mod manager;
mod message;
mod notification;
mod provider;
mod recovery;
mod request;
mod shared;
mod task;

pub use default_handler::DefaultNotificationRoomHandler;
pub use handler::{
    Chat, NotificationRoomHandler, Published, RoomHandler, Unpublished, UserNotificationService,
};
pub use kms::{
    Autodiscovery, Kms, KmsChoice, KmsLoad, KmsManager, KmsUrlProvider, LoadManager,
    MaxWebRtcLoadManager, NamePattern, PatternError, PropertiesKmsUrl, UnlimitedLoadManager,
};
pub use manager::{Pipeline, RoomManager};
pub use notification::NotificationRoomManager;
pub use provider::{FixedKurento, KurentoClientProvider, KurentoClientSessionInfo};
pub use request::{Join, ParticipantRequest, Publish};
pub use salono_room_core::{
    Bandwidth, IceCandidate, Limits, Listens, Loopback, LostPublisher, MediaType, MutedMedia,
    MutedMediaType, ParticipantId, RoomConfig, RoomError, RoomErrorCode, SdpType, SpeakerLevel,
    StreamRef, UserParticipant, VideoLayer, VideoPreference, WEBCAM,
};
pub use shared::ManagerConfig;
