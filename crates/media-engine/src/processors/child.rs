//! One processor as the supervisor sees it: what is to be told to it, what it says, and how long it may take.

use super::lines::{Found, Lines};
use super::log::Log;
use super::program::Started;
use super::{Attachment, Inbox};
use crate::os::process::Process;
use crate::os::{Interest, Poller};
use salono_media_api::Token;
use salono_media_api::processing::ProcessorCall;
use salono_media_api::processing::bridge::{BridgeCommand, BridgeEvent, MAX_LINE};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most bytes of commands that wait for a processor; one that lets more wait is ended.
const MAX_WAITING_BYTES: usize = 2 * MAX_LINE;

/// Memory that is kept when nothing waits.
const KEPT_BYTES: usize = 16 * 1024;

/// A processor that takes no commands for so long hangs.
const TAKES_WITHIN: Duration = Duration::from_secs(5);

/// How often a processor is asked whether it still answers.
const PING_EVERY: Duration = Duration::from_secs(2);

/// One that does not answer that for so long hangs.
const PONG_WITHIN: Duration = Duration::from_secs(6);

/// One that does not answer a call for so long hangs.
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// Events that a processor may send at once, and per second in the long run. One that sends more is ended.
const EVENTS_AT_ONCE: f64 = 20_000.0;
const EVENTS_PER_SECOND: f64 = 4_000.0;

/// Reads of one pass, of 64 kB each; what is left is found by the next.
const READS: usize = 8;

/// Who has a processor.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) attachment: Attachment,
    pub(super) inbox: Arc<Inbox>,
}

/// What a processor is there for.
#[derive(Debug)]
pub(super) enum Stage {
    /// It has not said that it waits. Nobody has it, or who wants it.
    Starting(Option<Owner>),
    /// It waits for an owner.
    Warm,
    /// It has one.
    Attached(Owner),
    /// It finishes what it does for nobody any more.
    Ending,
}

/// Why a processor has to be ended.
#[derive(Debug)]
pub(super) struct Fault {
    /// Text for people.
    pub(super) reason: String,
    /// It no longer answers, or takes nothing.
    pub(super) hung: bool,
}

/// Budget of events, refilled with time.
#[derive(Debug)]
struct Budget {
    left: f64,
    at: Instant,
}

/// A processor.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) process: Process,
    pub(super) stage: Stage,
    /// By when the stage has to change; `None` when it need not.
    pub(super) until: Option<Instant>,
    /// Its media socket, until somebody has it.
    pub(super) media: Option<OwnedFd>,
    pub(super) output: UnixStream,
    pub(super) log: Log,
    control: UnixStream,
    /// Of the poller.
    token: u64,
    interest: Interest,
    lines: Lines,
    /// Commands that it has not taken.
    waiting: VecDeque<u8>,
    /// Since when it has taken nothing although something waits.
    stuck_since: Option<Instant>,
    /// Calls without an answer, and by when they need one.
    calls: BTreeMap<Token, Instant>,
    /// When it is asked next whether it still answers, and when it was asked last if it did not.
    ping: (Instant, Option<Instant>),
    budget: Budget,
    /// Nothing is read for now: its shard has no room.
    pub(super) paused: bool,
}

impl Child {
    /// A program that has just been started and is to be ready by `until`.
    pub(super) fn new(
        started: Started,
        owner: Option<Owner>,
        token: u64,
        until: Instant,
        now: Instant,
    ) -> Self {
        Self {
            log: Log::new(started.process.id(), now),
            process: started.process,
            stage: Stage::Starting(owner),
            until: Some(until),
            media: Some(started.media),
            output: started.output,
            control: started.control,
            token,
            interest: Interest::Read,
            lines: Lines::new(MAX_LINE),
            waiting: VecDeque::new(),
            stuck_since: None,
            calls: BTreeMap::new(),
            ping: (now + PING_EVERY, None),
            budget: Budget {
                left: EVENTS_AT_ONCE,
                at: now,
            },
            paused: false,
        }
    }

    /// The control socket.
    pub(super) fn control(&self) -> &UnixStream {
        &self.control
    }

    /// Who has it, or is to have it.
    pub(super) fn owner(&self) -> Option<&Owner> {
        match &self.stage {
            Stage::Starting(owner) => owner.as_ref(),
            Stage::Attached(owner) => Some(owner),
            Stage::Warm | Stage::Ending => None,
        }
    }

    /// Tells it something, as soon as it takes it.
    ///
    /// # Errors
    /// When too much waits already.
    pub(super) fn tell(
        &mut self,
        command: &BridgeCommand,
        poller: &Poller,
        now: Instant,
    ) -> Result<(), Fault> {
        let line = serde_json::to_vec(command).map_err(|error| Fault {
            reason: format!("a command cannot be written: {error}"),
            hung: false,
        })?;
        if line.len() > MAX_LINE || self.waiting.len() + line.len() > MAX_WAITING_BYTES {
            return Err(hung("it does not keep up with what it is told"));
        }
        if let Some(token) = token_in_time(command) {
            self.calls.insert(token, now + REPLY_WITHIN);
        }
        self.waiting.extend(&line);
        self.waiting.push_back(b'\n');
        self.write(poller, now)
    }

    /// Writes what it takes, and watches for room while something is left.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn write(&mut self, poller: &Poller, now: Instant) -> Result<(), Fault> {
        while !self.waiting.is_empty() {
            let (bytes, _) = self.waiting.as_slices();
            match (&self.control).write(bytes) {
                Ok(written) => {
                    self.waiting.drain(..written);
                    self.stuck_since = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What it said before is still to be read; the end of that tells.
                Err(_) => self.waiting.clear(),
            }
        }
        if self.waiting.is_empty() {
            self.waiting.shrink_to(KEPT_BYTES);
            self.stuck_since = None;
        } else {
            self.stuck_since.get_or_insert(now);
        }
        self.watch(poller)
    }

    /// Has the poller look out for what matters now.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn watch(&mut self, poller: &Poller) -> Result<(), Fault> {
        let interest = match (self.paused, self.waiting.is_empty()) {
            (false, true) => Interest::Read,
            (false, false) => Interest::Both,
            (true, true) => Interest::Nothing,
            (true, false) => Interest::Write,
        };
        if interest != self.interest {
            poller
                .change(&self.control, self.token, interest)
                .map_err(|error| broken(format!("its control stream is broken: {error}")))?;
            self.interest = interest;
        }
        Ok(())
    }

    /// Reads what it says; `None` while it goes on.
    pub(super) fn read(&mut self) -> Option<Fault> {
        for _ in 0..READS {
            match self.lines.fill(&self.control) {
                Ok(Found::Some) if self.lines.is_crowded() => return None,
                Ok(Found::Some) => {}
                Ok(Found::Nothing) => return None,
                Ok(Found::End) => return Some(broken("it ended".to_owned())),
                Err(error) => {
                    return Some(broken(format!("its control stream is broken: {error}")));
                }
            }
        }
        None
    }

    /// The next thing that it said.
    ///
    /// # Errors
    /// When it says what it may not.
    pub(super) fn next_event(&mut self, now: Instant) -> Result<Option<BridgeEvent>, Fault> {
        let Some(line) = self.lines.next_line() else {
            return match self.lines.is_too_long() {
                true => Err(broken("it says a line that does not end".to_owned())),
                false => Ok(None),
            };
        };
        let event: BridgeEvent = serde_json::from_slice(line)
            .map_err(|error| broken(format!("it says what is no event: {error}")))?;
        if !self.budget.spend(now) {
            return Err(broken("it floods".to_owned()));
        }
        match &event {
            BridgeEvent::Replied { token, .. } => {
                self.calls.remove(token);
            }
            BridgeEvent::Pong => self.ping.1 = None,
            BridgeEvent::Ready { .. }
            | BridgeEvent::Element { .. }
            | BridgeEvent::Checkpoint { .. }
            | BridgeEvent::Produces { .. }
            | BridgeEvent::Flow { .. }
            | BridgeEvent::Outlet { .. }
            | BridgeEvent::Message { .. }
            | BridgeEvent::Load { .. } => {}
        }
        Ok(Some(event))
    }

    /// When [`Child::check`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Instant {
        let stuck = self.stuck_since.map(|since| since + TAKES_WITHIN);
        let pong = self.ping.1.map(|since| since + PONG_WITHIN);
        let call = self.calls.values().min().copied();
        let others = [stuck, pong, call, self.until];
        let soonest = others.into_iter().flatten().min();
        soonest.map_or(self.ping.0, |soonest| soonest.min(self.ping.0))
    }

    /// Asks whether it still answers, and finds out that it does not.
    ///
    /// # Errors
    /// When it hangs.
    pub(super) fn check(&mut self, poller: &Poller, now: Instant) -> Result<(), Fault> {
        let over = |since: Option<Instant>, patience| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= patience)
        };
        if over(self.stuck_since, TAKES_WITHIN) {
            return Err(hung("it takes no commands"));
        }
        if over(self.ping.1, PONG_WITHIN) {
            return Err(hung("it does not answer"));
        }
        if self.calls.values().any(|until| *until <= now) {
            return Err(hung("it does not answer a call"));
        }
        if self.ping.0 <= now {
            self.ping.0 = now + PING_EVERY;
            // Before it is ready it cannot, and has its own time.
            if self.ping.1.is_none() && !matches!(self.stage, Stage::Starting(_)) {
                self.ping.1 = Some(now);
                return self.tell(&BridgeCommand::Ping, poller, now);
            }
        }
        Ok(())
    }
}

impl Budget {
    /// Takes one event out; false when there is none left.
    fn spend(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * EVENTS_PER_SECOND).min(EVENTS_AT_ONCE) - 1.0;
        self.left >= 0.0
    }
}

/// The token of a command that has to be answered in time.
fn token_in_time(command: &BridgeCommand) -> Option<Token> {
    match command {
        BridgeCommand::Create { token, .. } => *token,
        // These are answered when something else has happened.
        BridgeCommand::Call {
            call: ProcessorCall::StopAndWait | ProcessorCall::Body { .. },
            ..
        } => None,
        BridgeCommand::Call { token, .. } => Some(*token),
        BridgeCommand::Begin { .. }
        | BridgeCommand::Release { .. }
        | BridgeCommand::Link { .. }
        | BridgeCommand::OpenInlet { .. }
        | BridgeCommand::CloseInlet { .. }
        | BridgeCommand::OpenOutlet { .. }
        | BridgeCommand::CloseOutlet { .. }
        | BridgeCommand::SetEncoding { .. }
        | BridgeCommand::Message { .. }
        | BridgeCommand::Ping
        | BridgeCommand::End => None,
    }
}

fn broken(reason: String) -> Fault {
    Fault {
        reason,
        hung: false,
    }
}

fn hung(reason: &str) -> Fault {
    Fault {
        reason: reason.to_owned(),
        hung: true,
    }
}
