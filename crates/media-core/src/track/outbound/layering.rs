//! Which layers of its source a stream gets, and the way from one to another.

use super::{Fresh, Inbound, Outbound};
use crate::sending::Preference;
use crate::track::layers::Layer;
use crate::track::router::TrackSlot;
use salono_media_api::VideoWish;
use salono_rtp::codec::Heights;
use salono_rtp::layers::{Selector, Targets, Verdict};
use salono_rtp::munge::Munger;
use salono_rtp::seq::ExtSeq;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a switch waits for the rest of a frame of the layer that is left.
const PATIENCE: Duration = Duration::from_millis(60);

/// Packets of frames that were left out and of which the number had to be filled.
const MAX_BLANKS: usize = 64;

/// A layer that a stream waits to go on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    track: TrackSlot,
    /// First packet of its first keyframe, and when it came.
    start: Option<(ExtSeq, Instant)>,
}

/// What is only needed for sources that have layers within a stream.
#[derive(Debug)]
pub(super) struct Layering {
    selector: Selector,
    /// In its place for streams with dependency descriptors.
    targets: Targets,
    limit: Layer,
    /// The receiver knows no descriptors, without which decoders cannot tell the frames of one picture apart: it gets
    /// one frame of each.
    is_flat: bool,
    /// Packets that went out empty, since they were of frames that were left out.
    blanks: VecDeque<ExtSeq>,
}

impl Default for Layering {
    fn default() -> Self {
        Self {
            selector: Selector::new(),
            targets: Targets::new(),
            limit: Layer::HIGHEST,
            is_flat: false,
            blanks: VecDeque::new(),
        }
    }
}

impl Layering {
    /// Another source begins, with a keyframe.
    pub(super) fn restart(&mut self) {
        self.selector.restart();
        self.targets.restart();
        self.is_flat = false;
        self.set_limit(self.limit);
    }

    /// Bounds the layers.
    fn set_limit(&mut self, limit: Layer) {
        self.limit = limit;
        self.selector.set_target(limit);
        let spatial = if self.is_flat { 0 } else { limit.spatial };
        self.targets.set_limit(Layer { spatial, ..limit });
    }

    /// The highest layer that is sent.
    fn current(&self) -> Layer {
        if self.targets.is_used() {
            self.targets.current()
        } else {
            self.selector.current()
        }
    }

    fn needs_keyframe(&self) -> bool {
        self.selector.needs_keyframe() || self.targets.needs_keyframe()
    }

    /// Decides on a packet that is newer than all before it, and tells the munger what follows from it.
    fn take(
        &mut self,
        fresh: &Fresh,
        (track, knows_descriptors): (&Inbound, bool),
        timestamp: u32,
        munger: &mut Munger,
    ) -> Verdict {
        if let Some(frame) = &fresh.dependency
            && let Some(structure) = track.structure(frame.epoch)
        {
            let is_flat = !knows_descriptors && structure.top() > 0;
            if is_flat != self.is_flat {
                self.is_flat = is_flat;
                self.set_limit(self.limit);
            }
            let verdict = self.targets.take(timestamp, frame, structure);
            munger.set_part(self.targets.top(), self.targets.told());
            return verdict;
        }
        let verdict = self.selector.take(timestamp, &fresh.descriptor);
        munger.set_part(self.selector.top(), 0);
        verdict
    }

    /// Notes that a packet goes out empty.
    pub(super) fn blank(&mut self, seq: ExtSeq) {
        if self.blanks.len() >= MAX_BLANKS {
            self.blanks.pop_front();
        }
        self.blanks.push_back(seq);
    }

    /// Whether a packet is of a frame that was left out.
    pub(super) fn is_blank(&self, fresh: &Fresh, timestamp: u32) -> bool {
        let was_left_out = match &fresh.dependency {
            Some(frame) => self.targets.was_left_out(frame),
            None => self.selector.was_left_out(timestamp, &fresh.descriptor),
        };
        was_left_out || self.blanks.contains(&fresh.seq)
    }

    /// Whether a packet that comes late goes out empty.
    fn blanks_late(&mut self, fresh: &Fresh, track: &Inbound, timestamp: u32) -> bool {
        let structure = fresh
            .dependency
            .and_then(|frame| Some((frame, track.structure(frame.epoch)?)));
        match structure {
            Some((frame, structure)) => {
                self.targets.take(timestamp, &frame, structure) == Verdict::LeaveOut
            }
            None => self.is_blank(fresh, timestamp),
        }
    }
}

/// Whether a packet is for a receiver: `None` when it is left out, false when only its number is
/// sent, since it would be missed.
#[inline]
pub(super) fn admit(
    layering: &mut Option<Box<Layering>>,
    munger: &mut Munger,
    fresh: &Fresh,
    (track, knows_descriptors): (&Inbound, bool),
    timestamp: u32,
) -> Option<bool> {
    let layering = match layering {
        Some(layering) => layering,
        // Where upper layers are there, lower ones may be spared.
        None if is_layered(fresh, track) => layering.get_or_insert_default(),
        None => return Some(true),
    };
    admit_layer(
        layering,
        munger,
        fresh,
        (track, knows_descriptors),
        timestamp,
    )
}

/// Whether a packet is of a source that has layers within its stream.
#[inline]
fn is_layered(fresh: &Fresh, track: &Inbound) -> bool {
    let structure = match &fresh.dependency {
        Some(frame) => track.structure(frame.epoch),
        None => None,
    };
    fresh.descriptor.spatial_layer.unwrap_or(0) > 0 || structure.is_some_and(|of| of.top() > 0)
}

/// As [`admit`], of a source that has or had layers.
#[inline(never)]
fn admit_layer(
    layering: &mut Layering,
    munger: &mut Munger,
    fresh: &Fresh,
    (track, knows_descriptors): (&Inbound, bool),
    timestamp: u32,
) -> Option<bool> {
    let descriptor = &fresh.descriptor;
    if munger.is_pending() && !descriptor.is_keyframe_start {
        return Some(true);
    }
    if !munger.is_newest(fresh.seq) {
        let is_blank = layering.blanks_late(fresh, track, timestamp);
        if is_blank {
            layering.blank(fresh.seq);
        }
        return Some(!is_blank);
    }
    match layering.take(fresh, (track, knows_descriptors), timestamp, munger) {
        Verdict::Forward => Some(true),
        Verdict::LeaveOut => {
            let picture = descriptor.picture_id.map(|id| id.value);
            let picture = picture.filter(|_| track.codec_kind().closes_picture_gaps());
            munger.leave_out(track.ssrc(), fresh.seq, picture);
            None
        }
    }
}

impl Outbound {
    /// The track that this stream is made of at the moment: its source, or a layer of it.
    pub(crate) fn followed(&self) -> Option<TrackSlot> {
        self.followed
    }

    pub(crate) fn set_followed(&mut self, track: Option<TrackSlot>) {
        self.followed = track;
        self.mapping = None;
        self.queue.clear();
        self.munger.stop();
        self.is_between_frames = true;
    }

    /// The layer that is waited for.
    pub(crate) fn next(&self) -> Option<TrackSlot> {
        self.next.map(|next| next.track)
    }

    pub(crate) fn set_next(&mut self, track: TrackSlot) {
        self.next = Some(Next { track, start: None });
    }

    pub(crate) fn take_next(&mut self) -> Option<TrackSlot> {
        self.next.take().map(|next| next.track)
    }

    /// A layer is gone.
    pub(crate) fn forget_layer(&mut self, track: TrackSlot) {
        if self.followed == Some(track) {
            self.set_followed(None);
        }
        if self.next() == Some(track) {
            self.next = None;
        }
    }

    /// Looks for the keyframe that this stream goes on with; true when none came.
    pub(crate) fn look_for_start(&mut self, track: &Inbound, now: Instant) -> bool {
        let Some(next) = &mut self.next else {
            return false;
        };
        let is_there = next
            .start
            .is_some_and(|(start, _)| track.packet(start).is_some());
        if !is_there {
            let mut fresh = track.fresh().iter();
            let key = fresh.find(|fresh| fresh.descriptor.is_keyframe_start);
            next.start = key.map(|key| (key.seq, now));
        }
        next.start.is_none()
    }

    /// Whether this packet begins a frame while another layer is ready to go on with.
    pub(crate) fn leaves_at(&mut self, fresh: &Fresh) -> bool {
        let leaves =
            fresh.descriptor.is_frame_start && self.next.is_some_and(|next| next.start.is_some());
        self.is_between_frames |= leaves && self.queue.is_empty();
        leaves
    }

    /// Whether it is time to go on with the layer that was waited for.
    pub(crate) fn is_ready_to_switch(&self, now: Instant) -> bool {
        let start = self.next.and_then(|next| next.start);
        start.is_some_and(|(_, at)| {
            (self.is_between_frames && self.queue.is_empty())
                || now.saturating_duration_since(at) >= PATIENCE
        })
    }

    /// The layer that was waited for and where it begins.
    pub(crate) fn next_start(&self) -> Option<(TrackSlot, ExtSeq)> {
        let next = self.next?;
        next.start.map(|(start, _)| (next.track, start))
    }

    /// Whether the receiver gets one frame of each picture, since it could not tell several apart.
    pub(crate) fn is_flat(&self) -> bool {
        self.layering.as_ref().is_some_and(|it| it.is_flat)
    }

    /// The highest layer for this receiver, by its ceiling and by what it wishes of a source with
    /// these heights; `None` while it is paused.
    pub(crate) fn limit(&self, heights: Heights) -> Option<Layer> {
        let mut ceiling = self.ceiling?;
        if self.is_flat() {
            ceiling.spatial = 0;
        }
        let wished = self.preference.height;
        let is_known = heights.iter().any(|height| *height > 0);
        if wished == 0 || !is_known {
            return Some(ceiling);
        }
        let mut ranks = (0u8..).zip(heights);
        let enough = ranks.find(|(_, height)| *height >= wished);
        Some(Layer {
            spatial: ceiling
                .spatial
                .min(enough.map_or(u8::MAX, |(rank, _)| rank)),
            ..ceiling
        })
    }

    /// Bounds the layers within the stream that is followed.
    pub(crate) fn limit_layers(&mut self, target: Layer) {
        if target != Layer::HIGHEST || self.layering.is_some() {
            let layering = self.layering.get_or_insert_default();
            layering.set_limit(target);
        }
    }

    pub(crate) fn set_wish(&mut self, wish: VideoWish) {
        self.preference = Preference {
            height: wish.height,
            priority: wish.priority,
        };
        self.tells_layers = true;
    }

    /// Whether somebody wants to know which layer is sent.
    pub(crate) fn tells_layers(&self) -> bool {
        self.tells_layers
    }

    /// The layers within the stream that are sent; `None` before the first packet.
    pub(crate) fn current_layer(&self) -> Option<Layer> {
        if self.munger.is_pending() || self.munger.source().is_none() {
            return None;
        }
        let layering = self.layering.as_ref();
        Some(layering.map_or(Layer::HIGHEST, |layering| layering.current()))
    }

    /// Whether a layer, with its height, is another one than was told before.
    pub(crate) fn is_news(&mut self, layer: (Layer, Option<u16>)) -> bool {
        self.told.replace(layer) != Some(layer)
    }

    /// Whether a keyframe is needed to get to the layers that are wanted.
    pub(super) fn lacks_layer(&self) -> bool {
        let layering = self.layering.as_ref();
        layering.is_some_and(|layering| layering.needs_keyframe())
    }

    /// Keeps the relation of this stream's timestamps to the wall clock over a change of source.
    pub(crate) fn keep_time(&mut self, track: &Inbound) {
        let point = track.capture_point();
        self.anchor = point.and_then(|(timestamp, ntp)| Some((ntp, self.to_outgoing(timestamp)?)));
    }

    /// The outgoing timestamp for one of a new source, by the clocks of both.
    pub(super) fn aligned(&self, track: &Inbound, timestamp: u32) -> Option<u32> {
        let (ntp, outgoing) = self.anchor?;
        let elapsed = track.captured_at(timestamp)?.wrapping_sub(ntp);
        let ticks = (i128::from(elapsed) * i128::from(self.clock_rate())) >> 32;
        Some(outgoing.wrapping_add(ticks as u32))
    }
}
