//! Media processing: what needs pixels, samples or containers, and so happens in another process.
//!
//! Elements of this kind belong to the graph like all others; a [`ProcessorSpec`] says which kinds of
//! media an element works on, the others it hands on. Calls reach it by [`Op::Call`](crate::Op::Call), and what
//! happens at it comes back as [`ProcessorEvent`].
//!
//! **Seam C** ([`bridge`]) leads from a media shard to the processor of a pipeline: control messages as
//! values, one JSON object a line once they leave this process, and RTP beside them.

pub mod bridge;
mod call;
mod event;
pub mod frames;
mod spec;

pub use call::{Picture, Place, ProcessorCall, ProcessorReply, Seekable};
pub use event::{ProcessorError, ProcessorEvent, UriState};
pub use spec::{
    AudioForm, CompositeSpec, Encoding, FilterSpec, Fraction, PlayerSpec, PluginEvent, PluginSpec,
    ProcessorSpec, RecorderSpec, RecordingProfile, VideoForm, Window,
};
