//! What every part of the processor shares.

use crate::element::Owner;
use crate::inbox::{Inbox, Note};
use crate::media_socket::MediaSocket;
use crate::policy::{Policy, guard};
use crate::reports::Reports;
use crate::timebase::Timebase;
use gstreamer as gst;
use gstreamer::prelude::*;
use salono_media_api::ElementKey;
use salono_media_api::processing::bridge::{BridgeEvent, Origin, UriPolicy};
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// A handle to what is shared; cheap to clone, for any thread.
#[derive(Debug, Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inbox: Arc<Inbox>,
    reports: Reports,
    timebase: Timebase,
    socket: MediaSocket,
    policy: OnceLock<Policy>,
    work: Mutex<Work>,
    graveyard: Sender<gst::Pipeline>,
    lines: AtomicU64,
    /// Pipelines and whose they are; those that are gone stay a while.
    known: Mutex<Vec<(Owner, gst::glib::WeakRef<gst::Pipeline>)>>,
}

/// Decoders and encoders at work.
#[derive(Debug, Default, Clone, Copy)]
struct Work {
    decoders: u32,
    encoders: u32,
}

impl Host {
    /// With its queues, its time and its media socket.
    pub fn new(inbox: Arc<Inbox>, reports: Reports, socket: MediaSocket) -> Self {
        let (graveyard, pipelines) = channel();
        // Sockets and devices may take their time to close, which nobody waits for.
        let bury = move || bury(&pipelines);
        if let Err(error) = std::thread::Builder::new().name("bury".into()).spawn(bury) {
            eprintln!("no thread: {error}");
        }
        Self {
            shared: Arc::new(Shared {
                inbox,
                reports,
                timebase: Timebase::begin(),
                socket,
                policy: OnceLock::new(),
                work: Mutex::default(),
                graveyard,
                lines: AtomicU64::new(0),
                known: Mutex::default(),
            }),
        }
    }

    /// What the control thread waits for.
    pub fn inbox(&self) -> &Inbox {
        &self.shared.inbox
    }

    /// The way upwards.
    pub fn reports(&self) -> &Reports {
        &self.shared.reports
    }

    /// The time of everything.
    pub fn timebase(&self) -> &Timebase {
        &self.shared.timebase
    }

    /// Where RTP goes out.
    pub fn socket(&self) -> &MediaSocket {
        &self.shared.socket
    }

    /// What may be reached; nothing before [`BridgeCommand::Begin`](salono_media_api::processing::bridge::BridgeCommand::Begin).
    pub fn policy(&self) -> &Policy {
        self.shared
            .policy
            .get_or_init(|| Policy::new(UriPolicy::default()))
    }

    /// Sets what may be reached, once; false when that was done before.
    pub(crate) fn allow(&self, policy: UriPolicy) -> bool {
        let private = policy.private_addresses;
        if self.shared.policy.set(Policy::new(policy)).is_err() {
            return false;
        }
        if private {
            guard::open();
        } else {
            guard::restrict();
        }
        true
    }

    /// Sends an element something from one of its own threads; arrives at
    /// [`Element::note`](crate::element::Element::note).
    pub fn note(&self, element: ElementKey, note: Box<dyn Any + Send>) {
        self.inbox().note(Note::Element(element, note));
    }

    /// A number that names a pipeline.
    pub(crate) fn next_line(&self) -> u64 {
        self.shared.lines.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers a pipeline, for [`dot`](Self::dot).
    pub(crate) fn know(&self, owner: Owner, pipeline: &gst::Pipeline) {
        let mut known = self.known();
        // Looks through all only when there may be many that are gone.
        if known.len() == known.capacity() {
            known.retain(|(_, pipeline)| pipeline.upgrade().is_some());
        }
        known.push((owner, pipeline.downgrade()));
    }

    /// The GStreamer graph of an element, with the decoders and encoders of what it lets out, in the language of Graphviz.
    pub(crate) fn dot(&self, element: ElementKey) -> String {
        let is_its = |owner: &Owner| match owner {
            Owner::Element(of) | Owner::Codec(Origin::Element(of), _) => *of == element,
            Owner::Codec(Origin::Inlet(_), _) | Owner::Inlet(_) | Owner::Outlet(_) => false,
        };
        let pipelines: Vec<gst::Pipeline> = self
            .known()
            .iter()
            .filter(|(owner, _)| is_its(owner))
            .filter_map(|(_, pipeline)| pipeline.upgrade())
            .collect();
        let graphs = pipelines.iter().map(|pipeline| {
            let details = gst::DebugGraphDetails::ALL;
            String::from(pipeline.debug_to_dot_data(details))
        });
        join_graphs(graphs)
    }

    fn known(&self) -> MutexGuard<'_, Vec<(Owner, gst::glib::WeakRef<gst::Pipeline>)>> {
        let known = self.shared.known.lock();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a pipeline, not waiting for it.
    pub(crate) fn bury(&self, pipeline: gst::Pipeline) {
        if let Err(pipeline) = self.shared.graveyard.send(pipeline) {
            let _ = pipeline.0.set_state(gst::State::Null);
        }
    }

    /// Counts a decoder (`encodes` false) or an encoder in or out.
    pub(crate) fn count(&self, encodes: bool, begins: bool) {
        let mut work = self
            .shared
            .work
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = if encodes {
            &mut work.encoders
        } else {
            &mut work.decoders
        };
        *count = if begins {
            count.saturating_add(1)
        } else {
            count.saturating_sub(1)
        };
        self.reports().send(BridgeEvent::Load {
            decoders: work.decoders,
            encoders: work.encoders,
        });
    }

    /// Passes on what a pipeline posts.
    pub(crate) fn bus(&self, owner: Owner, message: gst::Message) {
        self.inbox().note(Note::Bus(owner, message));
    }
}

/// One graph of several, whose nodes have names that differ.
fn join_graphs(graphs: impl Iterator<Item = String>) -> String {
    let mut text = "digraph element {\n".to_owned();
    for graph in graphs {
        // Between the first brace and the last one.
        let inner = graph
            .split_once('{')
            .and_then(|(_, rest)| rest.rsplit_once('}'));
        if let Some((inner, _)) = inner {
            text.push_str(inner.trim_matches('\n'));
            text.push('\n');
        }
    }
    text + "}\n"
}

fn bury(pipelines: &Receiver<gst::Pipeline>) {
    while let Ok(pipeline) = pipelines.recv() {
        if let Some(bus) = pipeline.bus() {
            bus.unset_sync_handler();
            bus.set_flushing(true);
        }
        let _ = pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_are_joined_into_one() {
        let graphs = [
            "digraph pipeline {\n  a;\n}\n",
            "digraph pipeline {\n  b;\n}\n",
        ];
        let text = join_graphs(graphs.into_iter().map(str::to_owned));
        assert_eq!(text, "digraph element {\n  a;\n  b;\n}\n");
        assert_eq!(join_graphs(std::iter::empty()), "digraph element {\n}\n");
    }
}
