//! What can happen at an element that processes media.

use crate::MediaKind;
use serde::{Deserialize, Serialize};

/// One report of an element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessorEvent {
    /// A player or recorder changed its state.
    State(UriState),
    /// A player or upload has come to its end.
    EndOfStream,
    /// A recorder finished a file: nothing more is written to it.
    Recorded {
        /// Where.
        uri: String,
        /// Length in milliseconds.
        duration_ms: u64,
        /// Size.
        bytes: u64,
    },
    /// A code was seen.
    CodeFound {
        /// As zbar names it.
        kind: String,
        /// Its text.
        value: String,
    },
    /// A signal of an element of a third-party module.
    Signal {
        /// Its name.
        name: String,
        /// Members by name, as JSON text of an object.
        fields: String,
    },
    /// Encoded media of this kind is decoded and encoded anew on its way out of this element, or no longer.
    Transcoding {
        /// Of this kind.
        kind: MediaKind,
        /// Whether.
        on: bool,
    },
    /// Something went wrong; the element may go on.
    Error(ProcessorError),
}

/// State of a player or recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UriState {
    /// Not begun, or ended.
    Stop,
    /// Under way.
    Start,
    /// Halted.
    Pause,
}

/// What went wrong, in the terms of Kurento's `Error` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessorError {
    /// Number; GStreamer's own where it reports one.
    pub code: i32,
    /// `INVALID_URI`, `RESOURCE_ERROR_WRITE` and so on.
    pub kind: String,
    /// Text for people, with the mend where there is one.
    pub description: String,
}
