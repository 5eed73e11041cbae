//! What is asked of an element that processes media.

use crate::ElementKey;
use serde::{Deserialize, Serialize};

/// One request to one element. What does not suit the element is answered with
/// [`MediaErrorKind::NotSupported`](crate::MediaErrorKind::NotSupported).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessorCall {
    /// Player: starts or goes on. Nothing in the wrong state.
    Play,
    /// Recorder: starts or goes on. Nothing in the wrong state.
    Record,
    /// Player and recorder: halts. Nothing in the wrong state.
    Pause,
    /// Player and recorder: ends. Answered at once.
    Stop,
    /// Recorder: ends; answered when everything is written, or cannot be.
    StopAndWait,
    /// Player: where it is. [`ProcessorReply::Position`].
    Position,
    /// Player: jumps. Fails with [`MediaErrorKind::Seek`](crate::MediaErrorKind::Seek).
    SetPosition {
        /// Milliseconds from the beginning.
        position_ms: i64,
    },
    /// Player: what can be jumped to. [`ProcessorReply::Seekable`].
    VideoInfo,
    /// Any: its part of the GStreamer graph in the language of Graphviz. [`ProcessorReply::Text`].
    Dot,
    /// Upload: a piece of the body; answered when there is room for the next.
    Body {
        /// Base64 of the bytes; none ends the body.
        base64: String,
        /// Of the body; empty when unknown.
        content_type: String,
    },
    /// Alpha blending: whose picture is the canvas.
    SetMaster {
        /// The port.
        port: ElementKey,
        /// Greater is nearer.
        z_order: i32,
    },
    /// Alpha blending: where a port's picture is.
    SetPort {
        /// The port.
        port: ElementKey,
        /// Where, in shares of the canvas.
        place: Place,
        /// Greater is nearer.
        z_order: i32,
    },
    /// Composite: another arrangement, as JSON text; documented with the class that has it.
    SetLayout {
        /// A JSON object.
        layout: String,
    },
    /// Mixer: lets the sound of one port be heard at another, or no longer.
    MixAudio {
        /// Who is heard.
        source: ElementKey,
        /// Who hears it.
        sink: ElementKey,
        /// Whether.
        on: bool,
    },
    /// GStreamer filter: sets a property of its element.
    SetElementProperty {
        /// Name.
        name: String,
        /// Value as text.
        value: String,
    },
    /// Image overlay: draws a picture, in place of the one of the same id.
    AddPicture {
        /// Name to remove it by.
        id: String,
        /// Which and where, in shares of the frame.
        picture: Picture,
        /// Keep its proportions.
        keep_aspect: bool,
        /// Centre it in its place.
        center: bool,
    },
    /// Image overlay: draws it no longer; an unknown id is ignored.
    RemovePicture {
        /// Its name.
        id: String,
    },
    /// Face overlay: draws a picture over faces, in shares of the face; `None` draws nothing.
    SetFacePicture {
        /// Which and where.
        picture: Option<Picture>,
    },
    /// Chroma: what is seen behind; empty for nothing.
    SetBackground {
        /// URI of a picture.
        uri: String,
    },
    /// Element of a third-party module: calls a method. [`ProcessorReply::Json`].
    Invoke {
        /// Name of an action signal of the element.
        method: String,
        /// Arguments in order, as JSON text of an array.
        arguments: String,
    },
    /// Element of a third-party module: reads a property. [`ProcessorReply::Json`].
    GetProperty {
        /// Name.
        name: String,
    },
    /// Element of a third-party module: sets a property.
    SetProperty {
        /// Name.
        name: String,
        /// JSON text.
        value: String,
    },
}

/// What a call answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessorReply {
    /// Nothing but success.
    Done,
    /// Milliseconds from the beginning.
    Position(i64),
    /// What can be jumped to.
    Seekable(Seekable),
    /// Text.
    Text(String),
    /// JSON text.
    Json(String),
}

/// What of a source can be jumped to, in milliseconds; zeros where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seekable {
    /// Whether anything.
    pub seekable: bool,
    /// From here.
    pub from_ms: i64,
    /// To here.
    pub to_ms: i64,
    /// Of the whole.
    pub duration_ms: i64,
}

/// A rectangle in shares of another, 1 for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

// The object model lets no NaN in, so every value equals itself.
impl Eq for Place {}

/// A picture and where it is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// `file:` or `http(s):`.
    pub uri: String,
    /// Where.
    pub place: Place,
}
