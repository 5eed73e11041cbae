//! What the control thread waits for.
//!
//! Commands come from the supervisor and may wait: their reader blocks while [`MAX_COMMANDS`] are
//! unread. Notes come from threads that must not wait; a control thread that leaves
//! [`MAX_NOTES`] of them unread hangs, and the process ends so that it can be replaced.

use crate::element::Owner;
use gstreamer as gst;
use salono_media_api::ElementKey;
use salono_media_api::processing::bridge::{BridgeCommand, Origin};
use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Commands that may wait.
pub const MAX_COMMANDS: usize = 256;

/// Notes that may wait.
pub const MAX_NOTES: usize = 16 * 1024;

/// Something to do for the control thread.
#[derive(Debug)]
pub enum Input {
    /// From the supervisor.
    Command(BridgeCommand),
    /// The supervisor closed the control stream.
    Closed,
    /// From a thread of this process.
    Note(Note),
    /// Nothing happened for the time that was asked for.
    Timeout,
}

/// From a thread of this process to the control thread.
#[derive(Debug)]
pub enum Note {
    /// A pipeline posted something.
    Bus(Owner, gst::Message),
    /// The media of an origin has another format.
    Format(Origin, salono_media_api::MediaKind),
    /// For an element, from itself.
    Element(ElementKey, Box<dyn Any + Send>),
    /// The receivers of an outlet have new wishes.
    Feedback,
}

#[derive(Debug, Default)]
struct Queues {
    commands: VecDeque<BridgeCommand>,
    notes: VecDeque<Note>,
    closed: bool,
}

/// Where the control thread is written to.
#[derive(Debug, Default)]
pub struct Inbox {
    queues: Mutex<Queues>,
    arrived: Condvar,
    taken: Condvar,
}

impl Inbox {
    /// Leaves a command; waits for room.
    pub fn command(&self, command: BridgeCommand) {
        let mut queues = self.lock();
        while queues.commands.len() >= MAX_COMMANDS {
            queues = self
                .taken
                .wait(queues)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queues.commands.push_back(command);
        self.arrived.notify_one();
    }

    /// Says that no command comes any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Leaves a note; never waits.
    pub fn note(&self, note: Note) {
        let mut queues = self.lock();
        if queues.notes.len() >= MAX_NOTES {
            eprintln!("the control thread hangs: {MAX_NOTES} notes are unread");
            std::process::abort();
        }
        queues.notes.push_back(note);
        self.arrived.notify_one();
    }

    /// Takes out what came first, notes before commands.
    pub fn wait(&self, timeout: Duration) -> Input {
        let (mut queues, _) = self
            .arrived
            .wait_timeout_while(self.lock(), timeout, |queues| {
                queues.commands.is_empty() && queues.notes.is_empty() && !queues.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(note) = queues.notes.pop_front() {
            return Input::Note(note);
        }
        if let Some(command) = queues.commands.pop_front() {
            self.taken.notify_one();
            return Input::Command(command);
        }
        if queues.closed {
            Input::Closed
        } else {
            Input::Timeout
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
