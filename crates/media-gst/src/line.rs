//! One GStreamer pipeline, made from text.
//!
//! Elements do not share pipelines: media goes from one to the next through a
//! [`Stream`](crate::stream::Stream), so that each can start, halt, fail and end without the others. A
//! line's messages arrive at its [`Owner`]; a line that is dropped is ended in the background.

use crate::element::Owner;
use crate::host::Host;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use std::sync::{Arc, Mutex, PoisonError};

/// Why a line cannot be made: the element that is missing, or the fault of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Parse or link error of GStreamer.
    #[error("pipeline cannot be made: {0}")]
    Build(String),
    /// It does not start.
    #[error("pipeline does not start: {0}")]
    Start(String),
}

/// A pipeline that ends when it is dropped.
#[derive(Debug)]
pub struct Line {
    pipeline: gst::Pipeline,
    host: Host,
}

/// What an [`AppSink`] of a line took out.
#[derive(Debug)]
pub enum Out {
    /// A buffer (or several, with `buffer-list`) with its caps and segment.
    Sample(gst::Sample),
    /// No more comes.
    End,
}

impl Line {
    /// A pipeline from text in the syntax of `gst-launch`, stopped.
    ///
    /// # Errors
    /// Elements that are not installed, or that do not fit.
    pub fn parse(host: &Host, owner: Owner, text: &str) -> Result<Self, LineError> {
        let flags = gst::ParseFlags::FATAL_ERRORS;
        let bin = gst::parse::bin_from_description_full(text, false, None, flags)
            .map_err(|error| LineError::Build(error.to_string()))?;
        let line = Self::new(host, owner);
        // What `parse` makes is a bin; its elements are found by name through it.
        line.pipeline
            .add(&bin)
            .map_err(|error| LineError::Build(error.to_string()))?;
        Ok(line)
    }

    /// An empty pipeline, stopped.
    pub fn new(host: &Host, owner: Owner) -> Self {
        let line = Self::with_own_time(host, owner);
        host.timebase().rule(&line.pipeline);
        line
    }

    /// An empty pipeline, stopped, whose running time halts and jumps with it: its own base time on
    /// the common clock. [`Timebase::since`](crate::timebase::Timebase::since) relates it to the others.
    pub fn with_own_time(host: &Host, owner: Owner) -> Self {
        let name = format!("line{}", host.next_line());
        let pipeline = gst::Pipeline::with_name(&name);
        host.know(owner, &pipeline);
        host.timebase().lend(&pipeline);
        let bus = pipeline.bus().expect("a pipeline has a bus");
        let to = host.clone();
        bus.set_sync_handler(move |_, message| {
            if is_wanted(message) {
                to.bus(owner, message.clone());
            }
            gst::BusSyncReply::Drop
        });
        let host = host.clone();
        Self { pipeline, host }
    }

    /// The pipeline itself.
    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Whether a message came from this line or from within it.
    pub fn posted(&self, message: &gst::Message) -> bool {
        let Some(source) = message.src() else {
            return false;
        };
        source == self.pipeline.upcast_ref::<gst::Object>()
            || source.has_as_ancestor(&self.pipeline)
    }

    /// An element of it.
    pub fn element(&self, name: &str) -> Option<gst::Element> {
        self.pipeline.by_name(name)
    }

    /// An entry of it.
    ///
    /// # Panics
    /// When the text of the line has no `appsrc` of this name.
    pub fn entry(&self, name: &str) -> AppSrc {
        self.element(name)
            .and_then(|element| element.downcast().ok())
            .expect("the line was made with this entry")
    }

    /// Takes what comes out of an `appsink` of it, in the thread that brings it.
    ///
    /// # Panics
    /// When the text of the line has no `appsink` of this name.
    pub fn on_out(&self, name: &str, take: impl FnMut(Out) + Send + 'static) {
        let exit: AppSink = self
            .element(name)
            .and_then(|element| element.downcast().ok())
            .expect("the line was made with this exit");
        let take = Arc::new(Mutex::new(take));
        let end = Arc::clone(&take);
        exit.set_callbacks(
            AppSinkCallbacks::builder()
                .new_sample(move |exit| {
                    let sample = exit.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
                    take(Out::Sample(sample));
                    Ok(gst::FlowSuccess::Ok)
                })
                .eos(move |_| {
                    let mut take = end.lock().unwrap_or_else(PoisonError::into_inner);
                    take(Out::End);
                })
                .build(),
        );
    }

    /// Lets it run.
    ///
    /// # Errors
    /// An element that refuses.
    pub fn play(&self) -> Result<(), LineError> {
        self.pipeline
            .set_state(gst::State::Playing)
            .map(|_| ())
            .map_err(|_| LineError::Start(self.pipeline.name().into()))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.host.bury(self.pipeline.clone());
    }
}

/// Messages that somebody acts on.
fn is_wanted(message: &gst::Message) -> bool {
    use gst::MessageType;
    let wanted = [
        MessageType::Error,
        MessageType::Warning,
        MessageType::Eos,
        MessageType::Element,
        MessageType::Latency,
        MessageType::AsyncDone,
        MessageType::Buffering,
    ];
    let from_pipeline = || message.src().is_some_and(|from| from.is::<gst::Pipeline>());
    wanted.contains(&message.type_())
        || (message.type_() == MessageType::StateChanged && from_pipeline())
}
