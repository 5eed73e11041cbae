//! What streams share that go to one viewer, and how it is divided among them.

use super::{OutSlot, Router};
use crate::sending::{Demand, Division, Sender, SenderSlot, SharedPath, Viewer, allocate};
use crate::track::layers::Qualities;
use salono_rtp::rtcp::TransportFeedback;
use std::time::Instant;

/// Looked for beyond what sources send now: they may begin to send more.
const WANTED_MARGIN_BPS: u64 = 1_000_000;

impl Router {
    pub(crate) fn add_sender(&mut self) -> Option<SenderSlot> {
        let path = self.paths.add();
        let sender = Sender::new(path, self.paths.get_mut(path)?);
        let slot = self.senders.insert(sender);
        self.paths.enter(path, slot);
        Some(slot)
    }

    pub(crate) fn remove_sender(&mut self, slot: SenderSlot) {
        let Some(sender) = self.senders.remove(slot) else {
            return;
        };
        if let Some(path) = self.paths.get_mut(sender.path()) {
            sender.leave(path);
        }
        self.paths.leave(sender.path(), slot);
    }

    pub(crate) fn sender(&self, slot: SenderSlot) -> Option<&Sender> {
        self.senders.get(slot)
    }

    /// A sender, and the path that it is part of.
    fn with_path(&mut self, slot: SenderSlot) -> Option<(&mut Sender, &mut SharedPath)> {
        let sender = self.senders.get_mut(slot)?;
        let path = self.paths.get_mut(sender.path())?;
        Some((sender, path))
    }

    fn path_of(&self, slot: SenderSlot) -> Option<&SharedPath> {
        self.paths.get(self.senders.get(slot)?.path())
    }

    /// Lets a stream go over a transport.
    pub(crate) fn set_sender(&mut self, out: OutSlot, sender: SenderSlot) {
        let Some(stream) = self.outs.get_mut(out) else {
            return;
        };
        let before = stream.sender().filter(|before| *before != sender);
        stream.set_sender(Some(sender));
        if let Some(before) = before.and_then(|before| self.senders.get_mut(before)) {
            before.keep_outs(|other| other != out);
        }
        if let Some(sender) = self.senders.get_mut(sender) {
            sender.add_out(out);
        }
    }

    /// The peer of a transport is one connection of this viewer, or of nobody in particular.
    pub(crate) fn set_viewer(&mut self, slot: SenderSlot, viewer: Option<Viewer>) {
        let Some(sender) = self.senders.get_mut(slot) else {
            return;
        };
        let before = sender.path();
        let Some(path) = self.paths.path_for(viewer, before) else {
            return;
        };
        if let Some((from, to)) = self.paths.both(before, path) {
            sender.change_path(from, (path, to));
        }
        self.paths.enter(path, slot);
        self.paths.leave(before, slot);
        self.update_pace(slot);
    }

    /// A stream began to flow: if its packets can be sent again, there is something to probe with.
    pub(crate) fn start_probing(&mut self, slot: OutSlot) {
        let Some(out) = self.outs.get(slot).filter(|out| out.can_pad()) else {
            return;
        };
        if let Some((sender, path)) = out.sender().and_then(|slot| self.with_path(slot)) {
            sender.start_probing(path);
        }
    }

    /// Bounds what goes over a transport, in bits per second; 0 is none. What its peer estimates counts
    /// as `remb_on_connect` at first.
    pub(crate) fn bound_sender(
        &mut self,
        slot: SenderSlot,
        (min, max): (u64, u64),
        remb_on_connect: u64,
    ) {
        if let Some((sender, path)) = self.with_path(slot) {
            sender.set_bounds(path, min, max);
            sender.set_remb_on_connect(remb_on_connect);
            self.update_pace(slot);
        }
    }

    /// Takes in what a peer reports of arrivals.
    pub(crate) fn take_feedback(
        &mut self,
        slot: SenderSlot,
        feedback: &TransportFeedback<'_>,
        now: Instant,
    ) {
        if let Some((sender, path)) = self.with_path(slot)
            && sender.feedback(feedback, path, now)
        {
            self.update_pace(slot);
        }
    }

    /// Takes in what a peer estimates itself, in bits per second.
    pub(crate) fn take_remb(&mut self, slot: SenderSlot, bps: u64) {
        if let Some((sender, path)) = self.with_path(slot) {
            sender.remb(bps, path);
            self.update_pace(slot);
        }
    }

    /// What could be sent over a transport, beside what goes over others to the same viewer, in bits per
    /// second; `None` before anything is known.
    pub(crate) fn available(&self, slot: SenderSlot) -> Option<u64> {
        let sender = self.senders.get(slot)?;
        let path = self.paths.get(sender.path())?;
        Some(path.room(path.estimate().bps()?, sender.sent_bps()))
    }

    /// Whether a burst of losses is to be answered with keyframes.
    pub(crate) fn take_burst(&mut self, slot: SenderSlot, now: Instant) -> bool {
        let both = self.with_path(slot);
        both.is_some_and(|(sender, path)| sender.take_burst(path, now))
    }

    /// Bytes of padding that are due on a transport.
    pub(crate) fn probe_due(&mut self, slot: SenderSlot, now: Instant) -> usize {
        let members = self.path_of(slot).map_or(&[][..], SharedPath::members);
        let others = members.iter().filter(|member| **member != slot);
        let beside = others
            .filter_map(|member| Some(self.senders.get(*member)?.sent_bytes()))
            .sum();
        let both = self.with_path(slot);
        both.map_or(0, |(sender, path)| sender.probe_due(path, beside, now))
    }

    /// There is nothing to make padding of.
    pub(crate) fn give_up_probe(&mut self, slot: SenderSlot, now: Instant) {
        if let Some((sender, path)) = self.with_path(slot) {
            sender.give_up_probe(path, now);
        }
    }

    /// When padding may be due on a transport.
    pub(crate) fn probe_timeout(&self, slot: SenderSlot) -> Option<Instant> {
        let sender = self.senders.get(slot)?;
        sender.poll_timeout(self.paths.get(sender.path())?)
    }

    /// Divides anew what a viewer's streams share, unless that was done a moment ago on behalf of another
    /// of its connections.
    pub(crate) fn review_in_turn(&mut self, slot: SenderSlot, now: Instant) {
        if self.path_of(slot).is_some_and(|path| path.is_due(now)) {
            self.review(slot, now);
        }
    }

    /// Divides anew if one of several pictures matters more than before, or less.
    pub(crate) fn review_order(&mut self, slot: SenderSlot, now: Instant) {
        if self.streams_beside(slot).1.len() > 1 {
            self.review(slot, now);
        }
    }

    /// Divides anew if there is clearly less than was divided, or enough for a stream that is paused.
    pub(crate) fn review_change(&mut self, slot: SenderSlot, now: Instant) {
        if self.path_of(slot).is_some_and(SharedPath::has_changed) {
            self.review(slot, now);
        }
    }

    /// Divides what the path to a viewer carries among all streams that take it, and tells it how much
    /// could be made use of.
    pub(crate) fn review(&mut self, slot: SenderSlot, now: Instant) {
        let Some((_, path)) = self.with_path(slot) else {
            return;
        };
        let limit = path.note_divided(now);
        let (sounds, pictures) = self.streams_beside(slot);
        self.note_sent(slot, now);
        let audio: u64 = sounds
            .iter()
            .filter_map(|out| Some(self.outs.get_mut(*out)?.bitrate(now)))
            .sum();
        let qualities: Vec<Qualities> = pictures
            .iter()
            .map(|out| self.qualities(*out, now))
            .collect();
        let demands: Vec<Demand<'_>> = pictures
            .iter()
            .zip(&qualities)
            .filter_map(|(slot, qualities)| {
                let out = self.outs.get(*slot)?;
                Some(Demand {
                    qualities,
                    preference: out.preference(),
                    is_prominent: out.source().is_some_and(|it| self.is_prominent(it)),
                    max_bps: out.send_bounds().1,
                    is_steerable: self.is_steerable(*slot),
                    before: out.grant(),
                })
            })
            .collect();
        let limit = limit.map(|limit| limit.saturating_sub(audio));
        let Division { grants, resumes_at } = allocate(limit, &demands, now);
        let wanted: u64 = demands.iter().map(Demand::wanted).sum();
        for (out, grant) in pictures.iter().zip(grants) {
            self.grant(*out, grant);
        }
        if let Some((_, path)) = self.with_path(slot) {
            path.note_paused(resumes_at.map(|bps| bps.saturating_add(audio)));
            if wanted > 0 {
                let wanted = wanted.saturating_add(audio);
                path.estimate_mut()
                    .set_wanted(wanted.saturating_add(WANTED_MARGIN_BPS));
            }
        }
        self.update_pace(slot);
    }

    /// Sound and pictures that go to the viewer of a transport.
    fn streams_beside(&self, slot: SenderSlot) -> (Vec<OutSlot>, Vec<OutSlot>) {
        let members = self.path_of(slot).map_or(&[][..], SharedPath::members);
        let senders = members
            .iter()
            .filter_map(|member| self.senders.get(*member));
        let all = senders.flat_map(Sender::outs).copied();
        let known = all.filter(|out| self.outs.contains_key(*out));
        known.partition(|out| !self.outs.get(*out).is_some_and(|out| out.is_video()))
    }

    /// Measures what goes to the viewer of a transport.
    fn note_sent(&mut self, slot: SenderSlot, now: Instant) {
        let Self {
            paths,
            senders,
            outs,
            ..
        } = self;
        let path = senders.get(slot).map(Sender::path);
        let Some(path) = path.and_then(|path| paths.get_mut(path)) else {
            return;
        };
        let mut all = 0u64;
        for member in path.members() {
            let Some(sender) = senders.get_mut(*member) else {
                continue;
            };
            sender.keep_outs(|out| outs.contains_key(out));
            let mut sent = 0u64;
            for out in sender.outs() {
                sent += outs.get_mut(*out).map_or(0, |out| out.bitrate(now));
            }
            sender.note_sent(sent);
            all += sent;
        }
        path.note_sent(all);
    }

    /// Lets the packets to a viewer leave at the pace of what its path carries.
    fn update_pace(&mut self, slot: SenderSlot) {
        let Self { paths, senders, .. } = self;
        let path = senders.get(slot).map(Sender::path);
        let Some(path) = path.and_then(|path| paths.get(path)) else {
            return;
        };
        for member in path.members() {
            if let Some(sender) = senders.get_mut(*member) {
                sender.set_pace(path.pace(sender.sent_bps()));
            }
        }
    }
}
