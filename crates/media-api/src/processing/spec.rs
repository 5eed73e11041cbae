//! Elements that process media, and what they are made from.

use super::Picture;
use crate::{Bitrate, ElementKey, MediaKind};
use serde::{Deserialize, Serialize};

/// Everything that is fixed when an element that processes media is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessorSpec {
    /// Plays a URI.
    Player(PlayerSpec),
    /// Writes what it receives to a URI.
    Recorder(RecorderSpec),
    /// Plays what [`ProcessorCall::Body`](super::ProcessorCall::Body) brings.
    Upload {
        /// Hand on compressed streams untouched.
        encoded: bool,
    },
    /// A hub that puts pictures into a grid and mixes sound. Has no pads of its own.
    Composite(CompositeSpec),
    /// A hub that puts pictures over one another and mixes sound. Has no pads of its own.
    AlphaBlending,
    /// A hub that mixes the sounds that are connected in it; pictures are switched by
    /// [`Op::Route`](crate::Op::Route). Has no pads of its own.
    Mixer,
    /// A port of one of these hubs: takes one input in and lets the mix for it out.
    Port {
        /// The hub.
        hub: ElementKey,
        /// The hub is a [`ProcessorSpec::Mixer`].
        switches_video: bool,
    },
    /// Changes or looks at one kind of media on its way.
    Filter(FilterSpec),
}

impl ProcessorSpec {
    /// Whether the processor has to do with this kind of media at the element. Other kinds pass through
    /// it as through an [`ElementSpec::PassThrough`](crate::ElementSpec::PassThrough); at a port, as
    /// [`Op::Route`](crate::Op::Route) says.
    pub fn processes(&self, kind: MediaKind) -> bool {
        match self {
            Self::Player(_) | Self::Recorder(_) | Self::Upload { .. } => kind != MediaKind::Data,
            Self::Composite(_) | Self::AlphaBlending | Self::Mixer => false,
            Self::Port { switches_video, .. } => match kind {
                MediaKind::Audio => true,
                MediaKind::Video => !switches_video,
                MediaKind::Data => false,
            },
            Self::Filter(filter) => filter.processes(kind),
        }
    }

    /// Whether it has pads, which hubs have not.
    pub fn is_hub(&self) -> bool {
        match self {
            Self::Composite(_) | Self::AlphaBlending | Self::Mixer => true,
            Self::Player(_)
            | Self::Recorder(_)
            | Self::Upload { .. }
            | Self::Port { .. }
            | Self::Filter(_) => false,
        }
    }
}

/// Constructor arguments of a player.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayerSpec {
    /// What to play; absolute.
    pub uri: String,
    /// Hand on compressed streams untouched.
    pub encoded: bool,
    /// Milliseconds that streams from the network are kept back to smooth them.
    pub network_cache_ms: u32,
    /// Connect again when a live source breaks off, instead of ending.
    pub reconnect: bool,
}

/// Constructor arguments of a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecorderSpec {
    /// Where to write; absolute.
    pub uri: String,
    /// Container and codecs.
    pub profile: RecordingProfile,
    /// Stop when all sources have ended.
    pub stop_on_end: bool,
}

/// Container and tracks of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordingProfile {
    /// WebM: VP8 (VP9, AV1) with Opus.
    Webm,
    /// The same without sound.
    WebmVideoOnly,
    /// The same without pictures.
    WebmAudioOnly,
    /// Matroska: any codec.
    Mkv,
    /// The same without sound.
    MkvVideoOnly,
    /// The same without pictures.
    MkvAudioOnly,
    /// MP4 in fragments: H264 (H265, AV1) with AAC (Opus).
    Mp4,
    /// The same without sound.
    Mp4VideoOnly,
    /// The same without pictures.
    Mp4AudioOnly,
    /// Flash Video: H264 with AAC.
    Flv,
    /// A stream of JPEG pictures.
    JpegVideoOnly,
}

/// Constructor arguments of a hub that composes a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompositeSpec {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Pictures per second.
    pub framerate: u16,
}

/// Which filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterSpec {
    /// One GStreamer element in the syntax of `gst-launch`.
    GStreamer {
        /// Element name with properties.
        command: String,
        /// What it works on; `None` finds out, sound first.
        kind: Option<MediaKind>,
        /// Found out from the element; filled in where it was created.
        takes: MediaKind,
    },
    /// Draws pictures at fixed places.
    ImageOverlay,
    /// Draws a picture over each face.
    FaceOverlay {
        /// Drawn from the beginning; further ones by
        /// [`ProcessorCall::SetFacePicture`](super::ProcessorCall::SetFacePicture).
        picture: Option<Picture>,
    },
    /// Reports bar codes.
    ZBar,
    /// Makes a colour transparent.
    Chroma {
        /// Where the colour is to be seen in the first pictures.
        window: Window,
        /// URI of what is seen behind; empty for none.
        background: String,
    },
    /// An element of a third-party module.
    Plugin(PluginSpec),
}

impl FilterSpec {
    /// Which kind of media it works on.
    pub fn processes(&self, kind: MediaKind) -> bool {
        match self {
            Self::GStreamer { takes, .. } => *takes == kind,
            Self::ImageOverlay | Self::FaceOverlay { .. } | Self::ZBar | Self::Chroma { .. } => {
                kind == MediaKind::Video
            }
            Self::Plugin(plugin) => plugin.kinds.contains(&kind),
        }
    }
}

/// A class of a third-party module, mapped to a GStreamer element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSpec {
    /// Qualified class name, for messages.
    pub class: String,
    /// File of the descriptor, for messages; what it lies in has the plugin.
    pub descriptor: String,
    /// Names that the GStreamer element may have; the first that exists is taken.
    pub factories: Vec<String>,
    /// Which kinds it works on; data arrives as [`bridge`](super::bridge) messages.
    pub kinds: Vec<MediaKind>,
    /// Constructor arguments by property name, as JSON text.
    pub properties: Vec<(String, String)>,
    /// Signals of the element that are events of the class.
    pub events: Vec<PluginEvent>,
}

/// An event of a class of a third-party module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginEvent {
    /// Its name.
    pub name: String,
    /// Name of the signal, or of the element's message on the bus.
    pub signal: String,
    /// Names of its members, in the order of the signal's arguments.
    pub fields: Vec<String>,
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// From the left.
    pub x: i32,
    /// From the top.
    pub y: i32,
    /// To the right.
    pub width: i32,
    /// Downwards.
    pub height: i32,
}

/// How what an element lets out is encoded, where it has to be encoded for a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// Taken while receivers say nothing.
    pub target: Bitrate,
    /// Never less.
    pub min: Bitrate,
    /// Never more.
    pub max: Bitrate,
    /// Forces pictures into this form.
    pub video: Option<VideoForm>,
    /// Forces sound into this form.
    pub audio: Option<AudioForm>,
}

/// A form of pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoForm {
    /// Encoding name as in SDP; `None` for raw, which changes no codec.
    pub codec: Option<String>,
    /// Pictures per second; a zero leaves it.
    pub framerate: Fraction,
}

/// A form of sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioForm {
    /// Encoding name as in SDP; `None` for raw, which changes no codec.
    pub codec: Option<String>,
    /// Zero leaves it.
    pub bitrate: Bitrate,
}

/// A number of pictures in a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fraction {
    /// Pictures.
    pub numerator: u32,
    /// Seconds.
    pub denominator: u32,
}
