//! What an element of the processor is.

use crate::host::Host;
use crate::media::Media;
use crate::reports::Answer;
use gstreamer as gst;
use salono_media_api::processing::bridge::{InletKey, Origin, OutletKey};
use salono_media_api::processing::{Encoding, ProcessorCall};
use salono_media_api::{ElementKey, MediaKind};
use std::any::Any;

/// Who gets the messages of a [`Line`](crate::line::Line).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// An element: [`Element::bus`].
    Element(ElementKey),
    /// The depayloader of an inlet.
    Inlet(InletKey),
    /// The payloader of an outlet.
    Outlet(OutletKey),
    /// A decoder or encoder of an origin.
    Codec(Origin, MediaKind),
}

/// One element. All of it runs in the control thread and must not wait; what takes long happens in a thread or pipeline of its own that
/// reports back by [`Host::note`].
pub trait Element: Any {
    /// What it lets out of this kind. The same [`Media`] for all of its life, made in its constructor with
    /// [`Context::media`].
    fn media(&self, kind: MediaKind) -> Option<&Media> {
        let _ = kind;
        None
    }

    /// Sets what enters it, in place of what entered it before.
    fn link(&mut self, kind: MediaKind, source: Option<Media>) {
        let _ = (kind, source);
    }

    /// What enters it has another format now: another codec, or raw instead of encoded.
    fn format_changed(&mut self, kind: MediaKind) {
        let _ = kind;
    }

    /// Does what is asked for. The answer may be kept and sent later.
    fn call(&mut self, call: ProcessorCall, answer: Answer) {
        let _ = call;
        answer.unsupported();
    }

    /// One of its lines posted something.
    fn bus(&mut self, message: &gst::Message) {
        let _ = message;
    }

    /// Something it sent to itself by [`Host::note`].
    fn note(&mut self, note: Box<dyn Any + Send>) {
        let _ = note;
    }

    /// A message of a data channel.
    fn message(&mut self, binary: bool, bytes: &[u8]) {
        let _ = (binary, bytes);
    }

    /// Comes about every [`TICK`](crate::processor::TICK).
    fn tick(&mut self) {}

    /// It is no longer wanted. What still has to be done (a file to be finished) goes on in its own threads, which
    /// keep `done` until then: the process ends only when there is none left.
    fn release(self: Box<Self>, done: Done) {
        drop(done);
    }
}

/// Keeps the process from ending until it is dropped.
#[derive(Debug, Clone)]
pub struct Done {
    pub(crate) _alive: std::sync::mpsc::SyncSender<()>,
}

/// What an element is made with.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its key.
    pub element: ElementKey,
    /// What all share.
    pub host: Host,
    /// Its last checkpoint, when it is made once more after the end of another process.
    pub resume: Option<String>,
    /// It is made once more, whether it had a checkpoint or not.
    pub is_again: bool,
}

impl Context {
    /// What the element lets out of a kind.
    pub fn media(&self, kind: MediaKind) -> Media {
        Media::new(&self.host, Origin::Element(self.element), kind)
    }

    /// As the owner of lines.
    pub fn owner(&self) -> Owner {
        Owner::Element(self.element)
    }
}

/// How streams are encoded when nothing was said: 300 kb/s, without limits.
pub fn default_encoding() -> Encoding {
    Encoding {
        target: salono_media_api::Bitrate::kbps(300),
        min: salono_media_api::Bitrate::ZERO,
        max: salono_media_api::Bitrate::bps(i32::MAX.unsigned_abs().into()),
        video: None,
        audio: None,
    }
}
