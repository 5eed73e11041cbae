//! The loop of one shard thread.
//!
//! Each pass is bounded in what it receives and in the commands it takes, so that neither media
//! nor control starves the other. What a pass leaves behind is found by the next at once, because
//! readiness is level-triggered.

use crate::core::Core;
use crate::links::{End, Links};
use crate::mailbox::Mailbox;
use crate::network::{Heard, Network, NetworkParts};
use crate::os::{self, Ready};
use crate::outbox::Outbox;
use crate::processors::Desk;
use crate::roster::{Roster, failed_command};
use salono_media_api::{Command, Op, ShardMetrics, Token};
use salono_media_core::{Joined, Order};
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Receive batches of one socket in one pass.
const BATCHES: usize = 4;

/// Batches of feedback in one pass.
const FEEDBACK_BATCHES: usize = 8;

/// Commands of one pass; a session description takes around 100 µs.
const COMMANDS: usize = 32;

/// Flushes after one batch, when sockets and names are asked for again and again.
const FLUSHES: usize = 64;

/// How often metrics are published while there is something new.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// How often a full consumer of events is asked again.
const RETRY_EVENTS_AFTER: Duration = Duration::from_millis(5);

/// Panics within [`PANIC_WINDOW`] that the state of a shard survives; one more, and it is thrown
/// away.
const PANICS_FORGIVEN: u32 = 2;

/// How long a panic counts.
const PANIC_WINDOW: Duration = Duration::from_secs(10);

/// How often shards whose rings are full are asked again.
const RETRY_LINKS_AFTER: Duration = Duration::from_millis(5);

/// Messages of other shards between two flushes; a frame of video is one.
const MESSAGES: usize = 8;

/// A thread that had to wait this long has time to spare.
const IDLE: Duration = Duration::from_micros(200);

/// How long such a thread leaves the rest of a frame in the socket: being woken for each packet of it
/// takes more than forwarding them. With what timers are late by it is about twice as long.
const NAP: Duration = Duration::from_micros(50);

/// Poller token of the mailbox, none of a socket's.
const MAILBOX: u64 = u64::MAX;

/// Poller token of the bell that other shards ring.
const BELL: u64 = u64::MAX - 1;

/// Poller token of news of processors.
const PROCESSORS: u64 = u64::MAX - 2;

/// What other threads have for a shard.
#[derive(Debug)]
pub(crate) enum Letter {
    /// What the control side wants.
    Order(Order),
    /// Another shard to exchange messages with.
    Link(End),
}

/// Tells what a shard that lost everything should know.
pub(crate) type Recover = Box<dyn FnMut() -> Vec<Joined> + Send>;

/// A shard with everything that its thread owns.
pub(crate) struct Worker<C, M> {
    /// Number of the shard, for the log.
    index: usize,
    /// Makes an empty core: at the beginning, and after the old one broke.
    make: M,
    /// The sans-IO side.
    core: C,
    /// The sockets.
    network: Network,
    /// Commands that other threads submit.
    mailbox: Arc<Mailbox<Letter>>,
    /// To and from other shards.
    links: Links,
    /// The media processors.
    desk: Desk,
    /// What to tell a core that is made anew.
    recover: Recover,
    /// Letters taken out for this pass.
    letters: VecDeque<Letter>,
    /// The mailbox had more letters than a pass takes.
    commands_left: bool,
    /// The mailbox takes no more commands.
    closing: bool,
    /// The command in hand, to be answered if it makes the core panic.
    in_hand: Option<Token>,
    /// Events for the consumer.
    outbox: Outbox,
    /// What to report failed when the core breaks.
    roster: Roster,
    /// When the core wants to be called.
    deadline: Option<Instant>,
    /// Panics in a row, and when the first of them was.
    panics: (u32, Option<Instant>),
    /// Counters of the loop itself.
    counters: ShardMetrics,
    /// When metrics were published last.
    published_at: Instant,
    /// Something happened since metrics were published.
    dirty: bool,
    /// Where other threads read the metrics.
    published: Arc<Mutex<ShardMetrics>>,
}

/// What a worker is made from; the rest it makes itself on its thread.
pub(crate) struct WorkerParts<M> {
    /// Number of the shard.
    pub(crate) index: usize,
    /// Makes an empty core.
    pub(crate) make: M,
    /// The sockets that the shard starts with.
    pub(crate) network: NetworkParts,
    /// Commands.
    pub(crate) mailbox: Arc<Mailbox<Letter>>,
    /// To other shards.
    pub(crate) links: Links,
    /// The media processors.
    pub(crate) desk: Desk,
    /// What to tell a core that is made anew.
    pub(crate) recover: Recover,
    /// Events.
    pub(crate) outbox: Outbox,
    /// Metrics.
    pub(crate) published: Arc<Mutex<ShardMetrics>>,
}

impl<C: Core, M: FnMut(Instant) -> io::Result<C>> Worker<C, M> {
    /// Sets the loop up.
    pub(crate) fn new(mut parts: WorkerParts<M>) -> io::Result<Self> {
        let now = Instant::now();
        let network = Network::new(parts.network)?;
        network.watch(&*parts.mailbox, MAILBOX)?;
        network.watch(parts.links.bell(), BELL)?;
        network.watch(&parts.desk, PROCESSORS)?;
        let mut core = (parts.make)(now)?;
        Ok(Self {
            index: parts.index,
            make: parts.make,
            deadline: core.poll_timeout(),
            core,
            network,
            mailbox: parts.mailbox,
            links: parts.links,
            desk: parts.desk,
            recover: parts.recover,
            letters: VecDeque::new(),
            commands_left: false,
            closing: false,
            in_hand: None,
            outbox: parts.outbox,
            roster: Roster::default(),
            panics: (0, None),
            counters: ShardMetrics::default(),
            published_at: now,
            dirty: false,
            published: parts.published,
        })
    }

    /// Works until the mailbox is closed and what it held is done.
    pub(crate) fn run(mut self) {
        let mut ready = Ready::new();
        loop {
            let patience = match self.links.may_sleep() {
                true => self.patience(),
                false => Some(Duration::ZERO),
            };
            let waits_since = Instant::now();
            let waited = self.network.wait(&mut ready, patience);
            self.links.rise();
            if let Err(error) = waited {
                tracing::error!(shard = self.index, %error, "cannot wait; the shard ends");
                self.give_up();
                return;
            }
            let began = Instant::now();
            let pass = AssertUnwindSafe(|| {
                self.pass(&ready, began);
                self.account(began);
            });
            if let Err(panic) = catch_unwind(pass)
                && !self.survive(&*panic, began)
            {
                self.give_up();
                return;
            }
            if began - waits_since >= IDLE {
                self.nap(began);
            }
            if self.closing && !self.commands_left {
                let now = Instant::now();
                let end = AssertUnwindSafe(|| {
                    self.core.shut_down(now);
                    self.flush(now);
                });
                if catch_unwind(end).is_err() {
                    tracing::error!(shard = self.index, "bug in a media shard at its end");
                }
                self.publish(now);
                return;
            }
        }
    }

    /// One pass: packets, commands, timers, events.
    fn pass(&mut self, ready: &Ready, began: Instant) {
        for token in ready.tokens() {
            match token {
                MAILBOX | PROCESSORS => {}
                BELL => self.links.acknowledge(),
                token => {
                    self.dirty = true;
                    self.serve(token);
                }
            }
        }
        self.serve_feedback();
        let mut worked = self.take_commands(began);
        worked |= self.serve_processors(began);
        self.serve_links();
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.core.handle_timeout(now);
            worked = true;
        }
        if self.network.poll_timeout().is_some_and(|due| due <= now) {
            self.network.handle_timeout(now);
            worked = true;
        }
        if worked {
            self.dirty = true;
            self.flush(now);
        } else if self.links.is_blocked() {
            self.send_links();
        }
        self.outbox.retry();
        self.collect_events();
        self.deadline = self.core.poll_timeout();
    }

    /// Takes in what a descriptor has, batch by batch; what a batch causes is sent before the next.
    fn serve(&mut self, token: u64) {
        for _ in 0..BATCHES {
            let now = Instant::now();
            let core = &mut self.core;
            let served = self.network.serve(token, now, |heard| match heard {
                Heard::Datagram(socket, remote, bytes) => {
                    core.handle_datagram(socket, remote, bytes, now);
                }
                Heard::Event(event) => core.handle_network(event, now),
            });
            if served.worked {
                self.flush(now);
            }
            if !served.more {
                return;
            }
        }
    }

    /// Takes in what receivers tell of arrivals, if it is time to.
    fn serve_feedback(&mut self) {
        for _ in 0..FEEDBACK_BATCHES {
            let now = Instant::now();
            let core = &mut self.core;
            let served = self.network.serve_feedback(now, |heard| match heard {
                Heard::Datagram(socket, remote, bytes) => {
                    core.handle_datagram(socket, remote, bytes, now);
                }
                Heard::Event(event) => core.handle_network(event, now),
            });
            if served.worked {
                self.dirty = true;
                self.flush(now);
            }
            if !served.more {
                return;
            }
        }
    }

    /// Takes in what became of processors and what they say. Returns whether there was anything.
    fn serve_processors(&mut self, now: Instant) -> bool {
        if !self.desk.has_news() && !self.network.has_broken() {
            return false;
        }
        self.desk.take();
        self.report_processors(now)
    }

    /// Tells the core what the desk has noted.
    fn report_processors(&mut self, now: Instant) -> bool {
        let mut reported = false;
        while let Some(report) = self.desk.poll_report(&mut self.network) {
            self.core.handle_processor(report, now);
            reported = true;
            self.serve_network(now);
        }
        reported
    }

    /// Takes in what other shards say; what a few messages cause is sent before the next.
    fn serve_links(&mut self) {
        if !self.links.has_news() {
            return;
        }
        self.dirty = true;
        let mut messages = VecDeque::new();
        self.links
            .receive(|from, message| messages.push_back((from, message)));
        while !messages.is_empty() {
            let now = Instant::now();
            for (from, message) in messages.drain(..messages.len().min(MESSAGES)) {
                self.core.handle_link(from, message, now);
            }
            self.flush(now);
        }
    }

    /// Tells other shards what there is to tell.
    fn send_links(&mut self) {
        let core = &mut self.core;
        self.links.send(|to| core.poll_link(to));
    }

    /// Hands the reports of the core on.
    fn collect_events(&mut self) {
        while let Some(event) = self.core.poll_event() {
            self.roster.note_event(&event);
            self.outbox.push(event);
        }
    }

    /// Carries out some of the commands that wait. Returns whether there was one.
    fn take_commands(&mut self, now: Instant) -> bool {
        if !self.commands_left && !self.mailbox.is_rung() {
            return false;
        }
        // While answers would find no room, callers see a full queue instead. The bell is taken
        // note of all the same, or it would wake the thread again at once.
        let most = if self.outbox.is_congested() && !self.closing {
            0
        } else {
            COMMANDS
        };
        let left = self.mailbox.take(most, &mut self.letters);
        self.commands_left = left.more;
        self.closing = left.closed;
        let mut worked = false;
        while let Some(letter) = self.letters.pop_front() {
            worked = true;
            match letter {
                Letter::Order(order) => self.carry_out(order, now),
                Letter::Link(end) => self.links.add(end),
            }
        }
        worked
    }

    fn carry_out(&mut self, order: Order, now: Instant) {
        match order {
            Order::Command(command) => {
                self.in_hand = command.op.token();
                self.roster.note_command(&command);
                self.core.handle_command(command, now);
                self.serve_network(now);
                self.in_hand = None;
            }
            Order::Joined(joined) => {
                self.roster.note_joined(joined.pipeline());
                self.core.handle_joined(*joined, now);
            }
            Order::Elsewhere(elsewhere) => self.core.handle_elsewhere(&elsewhere),
        }
    }

    /// Carries out what the core asks of the network and tells it what became of that and of
    /// earlier wishes. Returns whether there was anything.
    fn serve_network(&mut self, now: Instant) -> bool {
        let mut served = false;
        loop {
            // Events first: an id that they free may be given out by the next request.
            if let Some(event) = self.network.poll_event() {
                self.core.handle_network(event, now);
            } else if let Some(request) = self.core.poll_network() {
                // What was to be sent before is, and never through the next owner of an id.
                if !self.core.egress().is_empty() {
                    self.network.send(self.core.egress());
                }
                self.network.request(request, now);
            } else if let Some(request) = self.core.poll_processor() {
                // As above: a processor that is let go of has got everything that was meant for it.
                if !self.core.egress().is_empty() {
                    self.network.send(self.core.egress());
                }
                self.desk.request(request, &mut self.network);
            } else {
                return served;
            }
            served = true;
        }
    }

    /// Lets the core forward and sends what it has for the peers.
    fn flush(&mut self, now: Instant) {
        self.serve_network(now);
        let mut flushes = 0;
        while flushes < FLUSHES {
            self.core.flush(now);
            // Others can begin while this thread is in the system's calls.
            self.send_links();
            let is_full = self.core.egress().is_full();
            if !self.core.egress().is_empty() {
                self.network.send(self.core.egress());
            }
            let served = self.serve_network(now);
            if !served && !is_full {
                return;
            }
            // What did not fit is bounded by what came in.
            flushes += usize::from(!is_full);
        }
    }

    /// Lets the rest of a frame come in, if one has begun to.
    fn nap(&self, now: Instant) {
        if let Some(until) = self.core.gathers_until() {
            thread::park_timeout(NAP.min(until.saturating_duration_since(now)));
        }
    }

    /// How long to wait for something to happen; `None` without a limit.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        if self.commands_left && (self.closing || !self.outbox.is_congested()) {
            return Some(Duration::ZERO);
        }
        if self.desk.has_news() || self.network.has_broken() {
            return Some(Duration::ZERO);
        }
        let timer = [
            self.deadline,
            self.network.poll_timeout(),
            self.network.feedback_due(),
        ];
        let timer = timer.into_iter().flatten().min();
        let timer = timer.map(|deadline| deadline.saturating_duration_since(now));
        let events = self.outbox.is_waiting().then_some(RETRY_EVENTS_AFTER);
        let publish = self
            .dirty
            .then(|| (self.published_at + PUBLISH_EVERY).saturating_duration_since(now));
        let links = self.links.is_blocked().then_some(RETRY_LINKS_AFTER);
        [timer, events, publish, links].into_iter().flatten().min()
    }

    /// Counts the pass that has just ended and publishes now and then.
    fn account(&mut self, began: Instant) {
        let now = Instant::now();
        self.counters.loops += 1;
        self.counters.longest_loop = self.counters.longest_loop.max(now - began);
        if self.dirty && now - self.published_at >= PUBLISH_EVERY {
            self.publish(now);
        }
    }

    /// Makes the metrics readable.
    fn publish(&mut self, now: Instant) {
        let core = self.core.metrics();
        let loop_counters = &self.counters;
        let traffic = self.network.traffic();
        let metrics = ShardMetrics {
            datagrams_received: traffic.datagrams_received,
            bytes_received: traffic.bytes_received,
            datagrams_sent: traffic.datagrams_sent,
            bytes_sent: traffic.bytes_sent,
            datagrams_refused: core.datagrams_refused + traffic.refused,
            send_drops: traffic.send_drops + self.core.egress().dropped(),
            sockets: self.network.session_sockets() as u64,
            tcp_connections: self.network.tcp_connections() as u64,
            tcp_dropped_frames: traffic.tcp_dropped_frames,
            tcp_dropped_bytes: traffic.tcp_dropped_bytes,
            processor_sent: traffic.processor_sent,
            processor_received: traffic.processor_received,
            processor_drops: traffic.processor_drops,
            events_dropped: self.outbox.dropped(),
            loops: loop_counters.loops,
            busy: os::thread_cpu_time(),
            longest_loop: loop_counters.longest_loop,
            ..core
        };
        *self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = metrics;
        self.counters.longest_loop = Duration::ZERO;
        self.published_at = now;
        self.dirty = false;
    }

    /// A pass panicked: answers the command that did it, and throws the core away if it keeps
    /// panicking. Returns whether the shard can go on.
    fn survive(&mut self, panic: &(dyn Any + Send), now: Instant) -> bool {
        let text = panic_text(panic);
        tracing::error!(
            shard = self.index,
            panic = text,
            "bug in a media shard; it goes on"
        );
        // What was answered before comes before what fails.
        if catch_unwind(AssertUnwindSafe(|| self.collect_events())).is_err() {
            tracing::error!(shard = self.index, "bug in a media shard while it reported");
        }
        if let Some(token) = self.in_hand.take() {
            let event = failed_command(token);
            self.roster.note_event(&event);
            self.outbox.push(event);
        }
        let (count, first) = match self.panics {
            (count, Some(first)) if now - first < PANIC_WINDOW => (count + 1, first),
            (_, Some(_) | None) => (1, now),
        };
        self.panics = (count, Some(first));
        self.dirty = true;
        // What was due may not have been done.
        self.deadline = Some(now);
        // Commands that the pass had taken out come first in the next.
        self.commands_left |= !self.letters.is_empty();
        if count <= PANICS_FORGIVEN {
            self.core.egress().clear();
            self.network.after_panic();
            return true;
        }
        tracing::error!(
            shard = self.index,
            "the shard starts again, empty; its calls end"
        );
        self.panics = (0, None);
        self.desk.reset(&mut self.network);
        self.network.reset();
        let (events, pipelines) = self.roster.fail_all();
        for event in events {
            self.outbox.push(event);
        }
        let restart = AssertUnwindSafe(|| {
            self.core = (self.make)(now)?;
            self.core.announce_restart(self.links.others());
            let recovered = (self.recover)();
            for joined in recovered {
                self.core.handle_joined(joined, now);
            }
            // Those that are there stay as they are.
            for pipeline in pipelines {
                let op = Op::CreatePipeline;
                self.core.handle_command(Command { pipeline, op }, now);
            }
            io::Result::Ok(())
        });
        match catch_unwind(restart) {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(shard = self.index, %error, "cannot start again; the shard ends");
                false
            }
            Err(panic) => {
                let panic = panic_text(&*panic);
                tracing::error!(
                    shard = self.index,
                    panic,
                    "cannot start again; the shard ends"
                );
                false
            }
        }
    }

    /// The thread ends for good: every command and element of it fails.
    fn give_up(&mut self) {
        self.mailbox.close();
        while self.mailbox.take(COMMANDS, &mut self.letters).more {}
        for letter in self.letters.drain(..) {
            if let Letter::Order(Order::Command(command)) = letter
                && let Some(token) = command.op.token()
            {
                self.outbox.push(failed_command(token));
            }
        }
        for event in self.roster.fail_all().0 {
            self.outbox.push(event);
        }
    }
}

impl<C, M> Drop for Worker<C, M> {
    fn drop(&mut self) {
        // However the thread ends, nobody may go on filling a queue that nobody reads.
        self.mailbox.close();
    }
}

/// What a panic says, as far as it is text.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}
