//! Sound of hubs: every port hears the sum of others.
//!
//! Each port has a queue of samples. One block is taken of each at a time, whatever its source's clock: a
//! queue that grows is read a little faster, one that shrinks a little slower (half a percent, by
//! interpolation), so that sources whose clocks are off neither starve nor lag.

use super::Board;
use crate::host::Host;
use crate::media::Media;
use gstreamer as gst;
use salono_media_api::ElementKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The form of all sound within a hub.
pub(super) const CAPS: &str =
    "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved,channel-mask=(bitmask)0x3";

const CHANNELS: usize = 2;

/// Frames of a block: 20 ms.
const BLOCK: usize = 960;

const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// A queue is read from when it has this many frames: 40 ms; by [`STEP`] more after each time that it ran dry, and by
/// as much less after each [`CALM`] without that.
const START: usize = 2 * BLOCK;
const MAX_START: usize = 4 * BLOCK;
const STEP: usize = 480;

/// Looks: ten seconds.
const CALM: u32 = 10;

/// Never more than this: 200 ms.
const MOST: usize = 10 * BLOCK;

/// A queue is read faster when what is left over never falls this far below its start, slower when that falls below
/// 20 ms: packets are that long, and one comes late when clocks have drifted apart by as much.
const MUCH: usize = 240;
const LITTLE: usize = BLOCK;

/// Frames that a block is read longer or shorter.
const STRETCH: usize = 5;

/// Blocks that are looked at before the pace changes: a second.
const LOOK: u32 = 50;

/// Late by more than this, blocks are left out.
const LATE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

type Block = Vec<f32>;

/// Samples of one port.
#[derive(Debug)]
struct Queue {
    samples: VecDeque<f32>,
    is_read: bool,
    /// Least number of frames that were left in the time that is being looked at.
    least: usize,
    looked: u32,
    /// Frames that are taken for a block.
    pace: usize,
    /// Frames that reading begins with.
    start: usize,
    /// Looks since it ran dry, or since `start` changed.
    calm: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            samples: VecDeque::new(),
            is_read: false,
            least: usize::MAX,
            looked: 0,
            pace: BLOCK,
            start: START,
            calm: 0,
        }
    }
}

impl Queue {
    fn put(&mut self, samples: impl Iterator<Item = f32>) {
        self.samples.extend(samples);
        if self.samples.len() > MOST * CHANNELS {
            let surplus = self.samples.len() - START * CHANNELS;
            self.samples.drain(..surplus / CHANNELS * CHANNELS);
        }
    }

    /// The next block; `None` while there is too little.
    fn take(&mut self) -> Option<Block> {
        let frames = self.samples.len() / CHANNELS;
        let needed = if self.is_read { self.pace } else { self.start };
        if frames < needed {
            if std::mem::take(&mut self.is_read) {
                self.start = (self.start + STEP).min(MAX_START);
                self.calm = 0;
            }
            return None;
        }
        self.is_read = true;
        let block = self.stretch();
        self.samples.drain(..self.pace * CHANNELS);
        self.least = self.least.min(self.samples.len() / CHANNELS);
        self.looked += 1;
        if self.looked >= LOOK {
            self.pace = if self.least >= self.start - MUCH {
                BLOCK + STRETCH
            } else if self.least < LITTLE {
                BLOCK - STRETCH
            } else {
                BLOCK
            };
            self.calm += 1;
            if self.calm >= CALM {
                self.start = (self.start - STEP).max(START);
                self.calm = 0;
            }
            (self.least, self.looked) = (usize::MAX, 0);
        }
        Some(block)
    }

    /// As many frames as the pace, as a block.
    fn stretch(&self) -> Block {
        if self.pace == BLOCK {
            return self.samples.range(..BLOCK * CHANNELS).copied().collect();
        }
        let sample = |frame: usize, channel: usize| {
            let at = frame * CHANNELS + channel;
            self.samples.get(at).copied().unwrap_or(0.0)
        };
        let mut block = Vec::with_capacity(BLOCK * CHANNELS);
        for frame in 0..BLOCK {
            let (at, rest) = (frame * self.pace / BLOCK, frame * self.pace % BLOCK);
            let share = rest as f32 / BLOCK as f32;
            for channel in 0..CHANNELS {
                let (here, next) = (sample(at, channel), sample(at + 1, channel));
                block.push(here + (next - here) * share);
            }
        }
        block
    }
}

/// The sounds of a hub.
#[derive(Debug, Default)]
pub(super) struct Sounds {
    /// All hear all others; else, as connected.
    is_common: bool,
    ports: BTreeMap<ElementKey, (Queue, Media)>,
    /// Source and sink.
    connected: BTreeSet<(ElementKey, ElementKey)>,
    /// Ports that have left since the hub looked.
    pub(super) left: Vec<ElementKey>,
}

impl Sounds {
    pub(super) fn new(is_common: bool) -> Self {
        Self {
            is_common,
            ..Self::default()
        }
    }

    pub(super) fn join(&mut self, port: ElementKey, out: Media) {
        self.ports.insert(port, (Queue::default(), out));
    }

    pub(super) fn leave(&mut self, port: ElementKey) {
        self.ports.remove(&port);
        let of = |(source, sink): &(ElementKey, ElementKey)| *source == port || *sink == port;
        self.connected.retain(|connection| !of(connection));
        self.left.push(port);
    }

    pub(super) fn connect(&mut self, source: ElementKey, sink: ElementKey, on: bool) {
        if on {
            self.connected.insert((source, sink));
        } else {
            self.connected.remove(&(source, sink));
        }
    }

    /// Nothing enters a port any more.
    pub(super) fn clear(&mut self, port: ElementKey) {
        if let Some((queue, _)) = self.ports.get_mut(&port) {
            *queue = Queue::default();
        }
    }

    /// Samples in the form of [`CAPS`].
    pub(super) fn put(&mut self, port: ElementKey, bytes: &[u8]) {
        if let Some((queue, _)) = self.ports.get_mut(&port) {
            let samples = bytes.as_chunks::<4>().0.iter();
            queue.put(samples.map(|sample| {
                let sample = f32::from_le_bytes(*sample);
                if sample.is_finite() { sample } else { 0.0 }
            }));
        }
    }

    /// Takes a block of every port and makes the mixes that somebody takes.
    fn mix(&mut self) -> Vec<(Media, Block)> {
        let mut blocks = BTreeMap::new();
        for (port, (queue, _)) in &mut self.ports {
            if let Some(block) = queue.take() {
                blocks.insert(*port, block);
            }
        }
        let mut all = vec![0.0; BLOCK * CHANNELS];
        if self.is_common {
            blocks.values().for_each(|block| add(&mut all, block, 1.0));
        }
        let mut mixes = Vec::new();
        for (port, (_, out)) in &self.ports {
            if out.native().takers() == 0 {
                continue;
            }
            let mut mix = all.clone();
            if let Some(own) = blocks.get(port).filter(|_| self.is_common) {
                add(&mut mix, own, -1.0);
            }
            let heard = self.connected.iter().filter(|(_, sink)| sink == port);
            for block in heard.filter_map(|(source, _)| blocks.get(source)) {
                add(&mut mix, block, 1.0);
            }
            for sample in &mut mix {
                *sample = sample.clamp(-1.0, 1.0);
            }
            mixes.push((out.clone(), mix));
        }
        mixes
    }
}

fn add(sum: &mut [f32], block: &[f32], share: f32) {
    for (sum, sample) in sum.iter_mut().zip(block) {
        *sum += sample * share;
    }
}

/// [`CAPS`] as such.
pub(super) fn caps() -> gst::Caps {
    CAPS.parse().expect("these caps are well formed")
}

/// Mixes until the hub ends.
pub(super) fn run(board: &Board, host: &Host) {
    let caps = caps();
    let mut next = host.timebase().now();
    loop {
        let now = host.timebase().now();
        let patience = next.saturating_sub(now);
        if !board.wait(Duration::from_nanos(patience.nseconds())) {
            return;
        }
        if now.saturating_sub(next) > LATE {
            next = now;
        }
        let mixes = board.sounds().mix();
        for (out, mix) in mixes {
            let bytes: Vec<u8> = mix.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            let fields = buffer.get_mut().expect("nobody else has it yet");
            fields.set_pts(next);
            fields.set_duration(PERIOD);
            out.publish(&caps, &buffer);
        }
        next += PERIOD;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source whose clock is off, for ten minutes.
    fn listen_to(per_million: i64) {
        let mut queue = Queue::default();
        let (mut owed, mut started, mut silent) = (0_i64, false, 0);
        for _ in 0..30_000 {
            owed += 960 * (1_000_000 + per_million);
            let frames = owed / 960_000_000;
            owed -= frames * 960_000_000;
            for _ in 0..frames {
                queue.put(std::iter::repeat_n(0.25, BLOCK * CHANNELS));
            }
            match queue.take() {
                Some(_) => started = true,
                None if started => silent += 1,
                None => {}
            }
            assert!(queue.samples.len() / CHANNELS <= 4 * BLOCK, "it lags");
        }
        assert_eq!(silent, 0);
    }

    #[test]
    fn clocks_that_are_off_are_followed() {
        listen_to(500);
        listen_to(-500);
    }

    #[test]
    fn a_stretched_block_is_as_long_as_any_and_has_no_steps() {
        let mut queue = Queue::default();
        let ramp = (0..2 * BLOCK).flat_map(|frame| [frame as f32, frame as f32]);
        queue.put(ramp);
        for pace in [BLOCK - STRETCH, BLOCK, BLOCK + STRETCH] {
            queue.pace = pace;
            let block = queue.stretch();
            assert_eq!(block.len(), BLOCK * CHANNELS);
            let steps = block.windows(CHANNELS + 1).map(|it| it[CHANNELS] - it[0]);
            assert!(steps.into_iter().all(|step| (0.99..1.01).contains(&step)));
        }
    }
}
