//! What the processor reports upwards: one JSON text a line on the control stream.

use salono_media_api::processing::bridge::BridgeEvent;
use salono_media_api::processing::{ProcessorError, ProcessorEvent, ProcessorReply, UriState};
use salono_media_api::{ElementKey, MediaError, MediaErrorKind, Token};
use std::io::{BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Events that may wait for the supervisor to read them. One that leaves more unread is gone or
/// broken, and the process ends.
pub const MAX_UNREAD: usize = 16 * 1024;

/// Sends events; may be cloned into any thread and never waits.
#[derive(Debug, Clone)]
pub struct Reports {
    queue: SyncSender<Unread>,
}

/// What waits to be written.
#[derive(Debug)]
pub enum Unread {
    /// An event.
    Event(BridgeEvent),
    /// Somebody wants to know that everything before is written.
    Mark(SyncSender<()>),
}

impl Reports {
    /// Reports, and where they come out.
    pub fn new() -> (Self, Receiver<Unread>) {
        let (queue, events) = sync_channel(MAX_UNREAD);
        (Self { queue }, events)
    }

    /// Sends one event.
    pub fn send(&self, event: BridgeEvent) {
        match self.queue.try_send(Unread::Event(event)) {
            // Without a writer the process is about to end.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                eprintln!("{MAX_UNREAD} events are unread");
                std::process::abort();
            }
        }
    }

    /// Waits until everything so far is written, or for this long.
    pub fn drain(&self, patience: Duration) {
        let (mark, written) = sync_channel(1);
        if self.queue.try_send(Unread::Mark(mark)).is_ok() {
            let _ = written.recv_timeout(patience);
        }
    }

    /// Something happened at an element.
    pub fn element(&self, element: ElementKey, event: ProcessorEvent) {
        self.send(BridgeEvent::Element { element, event });
    }

    /// A player or recorder changed its state.
    pub fn state(&self, element: ElementKey, state: UriState) {
        self.element(element, ProcessorEvent::State(state));
    }

    /// Something went wrong at an element.
    pub fn error(&self, element: ElementKey, error: ProcessorError) {
        self.element(element, ProcessorEvent::Error(error));
    }

    /// What makes an element again as it is now.
    pub fn checkpoint(&self, element: ElementKey, state: String) {
        self.send(BridgeEvent::Checkpoint { element, state });
    }
}

/// Writes events until there are no [`Reports`] any more or nobody reads.
pub fn write(events: &Receiver<Unread>, stream: impl Write) {
    let mut stream = BufWriter::new(stream);
    while let Ok(first) = events.recv() {
        let mut next = Some(first);
        let mut marks = Vec::new();
        while let Some(unread) = next {
            match unread {
                Unread::Event(event) => {
                    let Ok(mut line) = serde_json::to_vec(&event) else {
                        break;
                    };
                    line.push(b'\n');
                    if stream.write_all(&line).is_err() {
                        return;
                    }
                }
                Unread::Mark(mark) => marks.push(mark),
            }
            next = events.try_recv().ok();
        }
        if stream.flush().is_err() {
            return;
        }
        // Dropping them tells who waits.
        drop(marks);
    }
}

/// The answer that a command waits for. One that is dropped unanswered says that the element failed.
#[derive(Debug)]
#[must_use = "somebody waits for it"]
pub struct Answer {
    token: Option<Token>,
    reports: Reports,
}

impl Answer {
    /// For a command with this token; none when nobody waits.
    pub fn new(reports: &Reports, token: Option<Token>) -> Self {
        Self {
            token,
            reports: reports.clone(),
        }
    }

    /// Answers.
    pub fn send(mut self, result: Result<ProcessorReply, MediaError>) {
        self.put(result);
    }

    /// Answers with success and nothing else.
    pub fn done(self) {
        self.send(Ok(ProcessorReply::Done));
    }

    /// Answers with a failure.
    pub fn fail(self, kind: MediaErrorKind, message: impl Into<String>) {
        self.send(Err(MediaError::new(kind, message)));
    }

    /// Answers that the element cannot do this.
    pub fn unsupported(self) {
        self.fail(
            MediaErrorKind::NotSupported,
            "the element has no such operation",
        );
    }

    fn put(&mut self, result: Result<ProcessorReply, MediaError>) {
        if let Some(token) = self.token.take() {
            self.reports.send(BridgeEvent::Replied { token, result });
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.put(Err(MediaError::new(
            MediaErrorKind::Internal,
            "the element gave no answer",
        )));
    }
}
