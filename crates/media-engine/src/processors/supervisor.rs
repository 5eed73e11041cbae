//! The thread that starts processors, passes on what shards and they say, and ends them.

use super::child::{Child, Fault, Owner, Stage};
use super::program::{self, NAME, PACKAGES};
use super::{Attachment, Inbox, News, ProcessorConfig, ProcessorMetrics, Request};
use crate::mailbox::{Mailbox, Room};
use crate::os::process::{Ended, Process};
use crate::os::{Poller, Ready};
use salono_media_api::processing::bridge::{BridgeCommand, BridgeEvent, VERSION};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A processor that is not ready after so long is ended. The first one after an installation has
/// to look at all plugins.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A processor that was told to finish is ended after so long.
const END_WITHIN: Duration = Duration::from_secs(5);

/// The first processors are started ahead of need so long after the start, which they would slow down.
const FIRST_FILL_AFTER: Duration = Duration::from_secs(1);

/// The next one is started ahead of need so long after one was taken, which is busy beginning.
const REFILL_AFTER: Duration = Duration::from_millis(500);

/// How long to wait before another is started ahead of need, by the number of failures in a row.
const FILL_AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(300),
];

/// How often a process that was ended, or shards that have no room, are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a report waits for the way in which a process ended.
const KNOWN_WITHIN: Duration = Duration::from_millis(100);

/// Poller token of the requests; control streams have even ones, outputs odd ones.
const REQUESTS: u64 = u64::MAX;

/// A process that was ended or has ended.
#[derive(Debug)]
struct Corpse {
    process: Process,
    /// Whom to tell, and by when at the latest.
    obituary: Option<(Obituary, Instant)>,
}

/// What is to be told of an end.
#[derive(Debug)]
struct Obituary {
    owner: Option<Owner>,
    /// It never was ready.
    stillborn: bool,
    reason: String,
    /// What it said last.
    last: String,
}

/// Everything that the thread owns.
pub(super) struct Supervisor {
    config: Arc<ProcessorConfig>,
    requests: Arc<Mailbox<Request>>,
    published: Arc<Mutex<ProcessorMetrics>>,
    counters: ProcessorMetrics,
    poller: Poller,
    children: BTreeMap<u64, Child>,
    /// Which child is whose.
    attached: BTreeMap<Attachment, u64>,
    /// Of the last child.
    last_id: u64,
    corpses: Vec<Corpse>,
    /// When to see whether enough are kept ready; `None` while they are.
    fill_at: Option<Instant>,
    /// Processors in a row that did not become ready.
    failures: usize,
    /// Nobody asks any more.
    closing: bool,
}

impl Supervisor {
    pub(super) fn new(
        config: Arc<ProcessorConfig>,
        requests: Arc<Mailbox<Request>>,
        published: Arc<Mutex<ProcessorMetrics>>,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&*requests, REQUESTS)?;
        Ok(Self {
            fill_at: (config.warm > 0).then(|| Instant::now() + FIRST_FILL_AFTER),
            config,
            requests,
            published,
            counters: ProcessorMetrics::default(),
            poller,
            children: BTreeMap::new(),
            attached: BTreeMap::new(),
            last_id: 0,
            corpses: Vec::new(),
            failures: 0,
            closing: false,
        })
    }

    /// Works until nobody can ask any more and every process is collected.
    pub(super) fn run(mut self) {
        let mut ready = Ready::new();
        while !self.closing || !self.children.is_empty() || !self.corpses.is_empty() {
            let patience = self.patience(Instant::now());
            if let Err(error) = self.poller.wait(&mut ready, patience) {
                tracing::error!(%error, "cannot wait; processors end");
                return;
            }
            // What was said while this thread did not run counts before it is found late.
            let now = Instant::now();
            for token in ready.tokens() {
                self.serve(token, now);
            }
            self.take_requests(now);
            self.resume(now);
            self.check(now);
            self.bury(now);
            self.fill(now);
            self.publish();
        }
    }

    /// How long nothing needs to be done; `None` for ever.
    fn patience(&self, now: Instant) -> Option<Duration> {
        let children = self.children.values().map(Child::poll_timeout);
        let looks = self.children.values().any(|child| child.paused) || !self.corpses.is_empty();
        let look = looks.then(|| now + LOOK_EVERY);
        let soonest = children.chain(look).chain(self.fill_at).min()?;
        Some(soonest.saturating_duration_since(now))
    }

    /// Something of a child can be read or written.
    fn serve(&mut self, token: u64, now: Instant) {
        if token == REQUESTS {
            return;
        }
        let id = token / 2;
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        if token % 2 == 1 {
            if !child.log.read(&child.output, now)
                && let Err(error) = self.poller.remove(&child.output)
            {
                tracing::debug!(%error, "output of a processor");
            }
            return;
        }
        let mut fault = child.write(&self.poller, now).err();
        let paused = child.paused;
        if fault.is_none() && !paused {
            fault = child.read();
        }
        // What it said before its end counts.
        let heard = self.hear(id, fault.is_some() && !paused, now);
        if let Some(fault) = heard.err().or(fault) {
            self.lose(id, fault, now);
        }
    }

    /// Passes on what a child said; all of it if need be, else what there is room for.
    fn hear(&mut self, id: u64, all: bool, now: Instant) -> Result<(), Fault> {
        while let Some(child) = self.children.get_mut(&id) {
            let is_full = |owner: &Owner| owner.inbox.room_for(1) == Room::Full;
            let paused = !all && child.owner().is_some_and(is_full);
            if paused != child.paused {
                child.paused = paused;
                child.watch(&self.poller)?;
            }
            if paused {
                return Ok(());
            }
            let Some(event) = child.next_event(now)? else {
                return Ok(());
            };
            self.handle_event(id, event, now)?;
        }
        Ok(())
    }

    fn handle_event(&mut self, id: u64, event: BridgeEvent, now: Instant) -> Result<(), Fault> {
        let Some(child) = self.children.get_mut(&id) else {
            return Ok(());
        };
        match event {
            BridgeEvent::Ready { version } => {
                let Stage::Starting(owner) = &child.stage else {
                    return Err(fault("it says twice that it is ready"));
                };
                if version != VERSION {
                    return Err(Fault {
                        reason: format!(
                            "it speaks version {version} of the protocol, not {VERSION}: \
                             install the {NAME} that belongs to this program"
                        ),
                        hung: false,
                    });
                }
                let owner = owner.clone();
                child.stage = Stage::Warm;
                child.until = None;
                self.failures = 0;
                match owner {
                    Some(owner) => self.begin(id, owner, now),
                    None => Ok(()),
                }
            }
            BridgeEvent::Pong => Ok(()),
            event @ (BridgeEvent::Replied { .. }
            | BridgeEvent::Element { .. }
            | BridgeEvent::Checkpoint { .. }
            | BridgeEvent::Produces { .. }
            | BridgeEvent::Flow { .. }
            | BridgeEvent::Outlet { .. }
            | BridgeEvent::Message { .. }
            | BridgeEvent::Load { .. }) => match &child.stage {
                Stage::Attached(owner) => {
                    tell_shard(owner, News::Heard(Box::new(event)));
                    Ok(())
                }
                Stage::Ending => Ok(()),
                Stage::Starting(_) | Stage::Warm => Err(fault("it speaks unasked")),
            },
        }
    }

    /// Gives a child that waits to whoever wants it.
    fn begin(&mut self, id: u64, owner: Owner, now: Instant) -> Result<(), Fault> {
        let Some(child) = self.children.get_mut(&id) else {
            return Ok(());
        };
        child.stage = Stage::Attached(owner.clone());
        let begin = BridgeCommand::Begin {
            version: VERSION,
            policy: self.config.policy.clone(),
        };
        child.tell(&begin, &self.poller, now)?;
        if let Some(media) = child.media.take() {
            tracing::debug!(pid = child.process.id(), "a pipeline has a processor");
            tell_shard(&owner, News::Attached(media));
        }
        Ok(())
    }

    fn take_requests(&mut self, now: Instant) {
        if !self.requests.is_rung() {
            return;
        }
        let mut requests = VecDeque::new();
        let left = self.requests.take(usize::MAX, &mut requests);
        for request in requests {
            match request {
                Request::Attach(owner) => self.attach(owner, now),
                Request::Tell(attachment, command) => {
                    let Some(id) = self.attached.get(&attachment).copied() else {
                        continue;
                    };
                    if let Some(child) = self.children.get_mut(&id)
                        && let Err(fault) = child.tell(&command, &self.poller, now)
                    {
                        self.lose(id, fault, now);
                    }
                }
                Request::Detach(attachment) => self.detach(attachment, now),
                Request::Abandon(attachment, reason) => {
                    if let Some(id) = self.attached.get(&attachment).copied() {
                        self.lose(id, fault(&format!("its media socket: {reason}")), now);
                    }
                }
            }
        }
        if left.closed && !self.closing {
            self.closing = true;
            self.fill_at = None;
            let ids: Vec<u64> = self.children.keys().copied().collect();
            for id in ids {
                self.end(id, now);
            }
        }
    }

    fn attach(&mut self, owner: Owner, now: Instant) {
        let attachment = owner.attachment;
        if self.attached.len() >= self.config.max {
            let most = self.config.max;
            let reason = format!(
                "{most} pipelines have a media processor already; see processor.max of the configuration"
            );
            self.refuse(&owner, reason);
            return;
        }
        if self.config.warm > 0 {
            self.fill_at = Some(now + REFILL_AFTER);
        }
        let found = |wanted: fn(&Stage) -> bool| {
            let mut children = self.children.iter();
            children.find_map(|(id, child)| wanted(&child.stage).then_some(*id))
        };
        if let Some(id) = found(|stage| matches!(stage, Stage::Warm)) {
            self.attached.insert(attachment, id);
            if let Err(fault) = self.begin(id, owner, now) {
                self.lose(id, fault, now);
            }
        } else if let Some(id) = found(|stage| matches!(stage, Stage::Starting(None))) {
            self.attached.insert(attachment, id);
            if let Some(child) = self.children.get_mut(&id) {
                child.stage = Stage::Starting(Some(owner));
            }
        } else {
            match self.start(Some(owner.clone()), now) {
                Ok(id) => {
                    self.attached.insert(attachment, id);
                }
                Err(reason) => self.refuse(&owner, reason),
            }
        }
    }

    /// Tells a shard that there is no processor for it.
    fn refuse(&mut self, owner: &Owner, reason: String) {
        tracing::warn!(reason, "no media processor");
        self.counters.unavailable += 1;
        tell_shard(owner, News::Unavailable(reason));
    }

    fn start(&mut self, owner: Option<Owner>, now: Instant) -> Result<u64, String> {
        let path = program::find(self.config.program.as_deref())?;
        let cannot = |error: io::Error| format!("cannot start {}: {error}", path.display());
        program::make_roots(&self.config);
        let started = program::start(&path, &self.config).map_err(cannot)?;
        self.last_id += 1;
        let id = self.last_id;
        let child = Child::new(started, owner, id * 2, now + READY_WITHIN, now);
        let watched = self.poller.add(child.control(), id * 2);
        let watched = watched.and_then(|()| self.poller.add(&child.output, id * 2 + 1));
        if let Err(error) = watched {
            self.kill(child, None, now);
            return Err(cannot(error));
        }
        tracing::debug!(pid = child.process.id(), program = %path.display(), "a processor starts");
        self.counters.started += 1;
        self.children.insert(id, child);
        Ok(id)
    }

    fn detach(&mut self, attachment: Attachment, now: Instant) {
        let Some(id) = self.attached.remove(&attachment) else {
            return;
        };
        match self.children.get_mut(&id) {
            // Good for the next.
            Some(child) if matches!(child.stage, Stage::Starting(_)) && self.config.warm > 0 => {
                child.stage = Stage::Starting(None);
            }
            Some(_) => self.end(id, now),
            None => {}
        }
    }

    /// Lets a child finish what it does, if it does anything.
    fn end(&mut self, id: u64, now: Instant) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        match child.stage {
            Stage::Attached(_) => {
                child.stage = Stage::Ending;
                child.until = Some(now + END_WITHIN);
                child.paused = false;
                if let Err(fault) = child.tell(&BridgeCommand::End, &self.poller, now) {
                    self.lose(id, fault, now);
                }
            }
            Stage::Starting(_) | Stage::Warm => {
                if let Some(child) = self.children.remove(&id) {
                    self.kill(child, None, now);
                }
            }
            Stage::Ending => {}
        }
    }

    /// Ends a child at once, and tells whoever has it.
    fn lose(&mut self, id: u64, fault: Fault, now: Instant) {
        let Some(child) = self.children.remove(&id) else {
            return;
        };
        let pid = child.process.id();
        if matches!(child.stage, Stage::Ending) {
            tracing::debug!(pid, reason = fault.reason, "a processor has finished");
            self.kill(child, None, now);
            return;
        }
        if let Some(owner) = child.owner() {
            self.attached.remove(&owner.attachment);
        }
        self.counters.lost += 1;
        self.counters.hung += u64::from(fault.hung);
        let stillborn = matches!(child.stage, Stage::Starting(_));
        let obituary = Obituary {
            owner: child.owner().cloned(),
            stillborn,
            reason: fault.reason,
            last: String::new(),
        };
        if stillborn || obituary.owner.is_none() {
            self.failures += 1;
        }
        self.fill_later(now);
        self.kill(child, Some(obituary), now);
    }

    fn kill(&mut self, mut child: Child, obituary: Option<Obituary>, now: Instant) {
        child.process.kill();
        child.log.read(&child.output, now);
        let obituary = obituary.map(|mut obituary| {
            child.log.last().clone_into(&mut obituary.last);
            (obituary, now + KNOWN_WITHIN)
        });
        self.corpses.push(Corpse {
            process: child.process,
            obituary,
        });
    }

    /// Goes on with children whose shard had no room.
    fn resume(&mut self, now: Instant) {
        let paused = self.children.iter().filter(|(_, child)| child.paused);
        let paused: Vec<u64> = paused.map(|(id, _)| *id).collect();
        for id in paused {
            if let Err(fault) = self.hear(id, false, now) {
                self.lose(id, fault, now);
            }
        }
    }

    /// Ends what takes too long.
    fn check(&mut self, now: Instant) {
        let due = |child: &Child| child.poll_timeout() <= now;
        let due = self.children.iter().filter(|(_, child)| due(child));
        let due: Vec<u64> = due.map(|(id, _)| *id).collect();
        for id in due {
            let Some(child) = self.children.get_mut(&id) else {
                continue;
            };
            let result = match child.until {
                Some(until) if until <= now => Err(Fault {
                    reason: "it takes too long".to_owned(),
                    hung: true,
                }),
                Some(_) | None => child.check(&self.poller, now),
            };
            if let Err(fault) = result {
                self.lose(id, fault, now);
            }
        }
    }

    /// Collects processes that have ended and tells how.
    fn bury(&mut self, now: Instant) {
        for corpse in std::mem::take(&mut self.corpses) {
            let (process, ended) = match corpse.process.collect() {
                Ok(ended) => (None, Some(ended)),
                Err(process) => (Some(process), None),
            };
            let mut obituary = corpse.obituary;
            if let Some((text, _)) = obituary.take_if(|(_, by)| ended.is_some() || *by <= now) {
                self.tell(text, ended);
            }
            if let Some(process) = process {
                self.corpses.push(Corpse { process, obituary });
            }
        }
    }

    fn tell(&mut self, obituary: Obituary, ended: Option<Ended>) {
        let Obituary {
            owner,
            stillborn,
            mut reason,
            last,
        } = obituary;
        match ended {
            // We did that, after the reason.
            Some(Ended::Signal(libc::SIGKILL)) | None => {}
            Some(Ended::Signal(signal)) => reason.push_str(&format!(" by signal {signal}")),
            Some(Ended::Exit(status)) => reason.push_str(&format!(" with status {status}")),
        }
        if !last.is_empty() {
            reason.push_str(&format!("; it said last: {last}"));
        }
        if stillborn {
            reason = format!("{NAME} does not start: {reason}. It needs the packages {PACKAGES}");
        }
        let Some(owner) = owner else {
            tracing::warn!(reason, "a media processor that nobody used was lost");
            return;
        };
        if stillborn {
            self.refuse(&owner, reason);
        } else {
            tracing::error!(reason, "a media processor was lost");
            tell_shard(&owner, News::Lost(reason));
        }
    }

    /// Keeps as many ready as there should be.
    fn fill(&mut self, now: Instant) {
        if self.closing || self.fill_at.is_none_or(|at| at > now) {
            return;
        }
        self.fill_at = None;
        let children = self.children.values();
        let spare = |child: &&Child| matches!(child.stage, Stage::Warm | Stage::Starting(None));
        if children.filter(spare).count() >= self.config.warm {
            return;
        }
        match self.start(None, now) {
            Ok(_) => self.fill_later(now),
            Err(reason) => {
                if self.failures == 0 {
                    tracing::info!(reason, "no media processor is kept ready");
                }
                self.failures += 1;
                self.fill_later(now);
            }
        }
    }

    fn fill_later(&mut self, now: Instant) {
        if self.config.warm == 0 || self.closing {
            return;
        }
        let last = FILL_AGAIN_AFTER.len();
        let after = match self.failures {
            0 => REFILL_AFTER,
            failures => FILL_AGAIN_AFTER[failures.min(last) - 1],
        };
        self.fill_at = Some(now + after);
    }

    fn publish(&mut self) {
        let count = |wanted: fn(&Stage) -> bool| {
            let children = self.children.values();
            children.filter(|child| wanted(&child.stage)).count() as u64
        };
        self.counters.running = count(|stage| matches!(stage, Stage::Attached(_)));
        self.counters.warm = count(|stage| matches!(stage, Stage::Warm));
        let published = self.published.lock();
        *published.unwrap_or_else(PoisonError::into_inner) = self.counters;
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // However the thread ends: nobody may wait for it, and no program stays.
        self.requests.close();
        for child in self.children.values() {
            child.process.kill();
        }
    }
}

fn fault(reason: &str) -> Fault {
    Fault {
        reason: reason.to_owned(),
        hung: false,
    }
}

/// A shard that ended needs no news.
fn tell_shard(owner: &Owner, news: News) {
    let inbox: &Inbox = &owner.inbox;
    if inbox.push((owner.attachment, news)).is_err() {
        tracing::debug!("a shard that ended is told nothing");
    }
}
