//! Names under pictures: text is set by Pango, by way of an element of GStreamer, once for each label and
//! size, in a thread of its own; drawing is mixing two planes.

use super::arrangement::Rect;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::{VideoFrameExt, VideoFrameRef, VideoInfo};
use salono_media_api::ElementKey;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The element that sets text, and where Debian has it.
pub(super) const SETTER: (&str, &str) = ("textrender", "gstreamer1.0-x");

/// Labels that wait to be set; more wait for the next picture.
const WAITING: usize = 16;

/// The first label waits for lists of fonts to be read.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// Sizes of letters, in pixels.
const SMALLEST: i64 = 10;
const LARGEST: i64 = 64;

/// Letters are this part of the height of a picture.
const PART: i64 = 14;

/// How much of what is behind the letters is seen, out of 255.
const BEHIND: u32 = 110;

/// Widest label, in pixels; what is longer is cut.
const WIDEST: usize = 4_096;

/// A text in a size.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    text: String,
    size: i64,
}

/// A text that was set: how much each pixel is covered.
#[derive(Debug)]
struct Set {
    width: usize,
    height: usize,
    coverage: Vec<u8>,
}

/// What is known of the label of a port.
#[derive(Debug)]
struct Label {
    wanted: Wanted,
    /// It is set, or being set, or cannot be.
    asked: bool,
    /// It, or what it was before.
    set: Option<Set>,
}

/// The labels of a hub.
#[derive(Debug, Default)]
pub(super) struct Labels {
    labels: BTreeMap<ElementKey, Label>,
    /// The thread that sets text, from the first label on.
    setter: Option<Setter>,
}

#[derive(Debug)]
struct Setter {
    orders: SyncSender<(ElementKey, Wanted)>,
    results: Receiver<(ElementKey, Wanted, Option<Set>)>,
}

impl Labels {
    /// Forgets those of other ports.
    pub(super) fn keep(&mut self, is_shown: impl Fn(ElementKey) -> bool) {
        self.labels.retain(|port, _| is_shown(*port));
    }

    /// Takes in what was set meanwhile.
    pub(super) fn collect(&mut self) {
        let Some(setter) = &self.setter else { return };
        while let Ok((port, text, set)) = setter.results.try_recv() {
            let label = self.labels.get_mut(&port);
            if let Some(label) = label.filter(|label| label.wanted == text) {
                label.set = set;
            }
        }
    }

    /// Draws the label of a port over the lower left of its picture, when it is set.
    pub(super) fn draw(
        &mut self,
        canvas: &mut VideoFrameRef<&mut gst::BufferRef>,
        port: ElementKey,
        text: &str,
        picture: Rect,
    ) {
        if text.is_empty() {
            self.labels.remove(&port);
            return;
        }
        let wanted = Wanted {
            text: text.to_owned(),
            size: (picture.height / PART).clamp(SMALLEST, LARGEST),
        };
        let label = self.labels.entry(port).or_insert_with(|| Label {
            wanted: wanted.clone(),
            asked: false,
            set: None,
        });
        if label.wanted != wanted {
            label.wanted = wanted;
            label.asked = false;
        }
        if !label.asked {
            let setter = self.setter.get_or_insert_with(Setter::start);
            let order = (port, label.wanted.clone());
            label.asked = setter.orders.try_send(order).is_ok();
        }
        if let Some(set) = &label.set {
            put(canvas, set, picture);
        }
    }
}

impl Setter {
    fn start() -> Self {
        let (orders, ordered) = sync_channel::<(ElementKey, Wanted)>(WAITING);
        let (done, results) = sync_channel(WAITING);
        let work = move || {
            while let Ok((port, wanted)) = ordered.recv() {
                let set = set_text(&wanted)
                    .inspect_err(|why| eprintln!("a label cannot be drawn: {why}"))
                    .ok();
                if done.send((port, wanted, set)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("labels".into())
            .spawn(work);
        if let Err(error) = thread {
            eprintln!("no thread for labels: {error}");
        }
        Self { orders, results }
    }
}

/// Sets a text in white on nothing.
fn set_text(wanted: &Wanted) -> Result<Set, String> {
    let text = "appsrc name=in format=time caps=text/x-raw,format=utf8 ! textrender name=set \
         ! video/x-raw,format=ARGB ! appsink name=out sync=false async=false max-buffers=1";
    let pipeline = gst::parse::launch(text).map_err(|error| error.to_string())?;
    let pipeline: gst::Pipeline = pipeline.downcast().map_err(|_| "no pipeline")?;
    let entry = pipeline
        .by_name("in")
        .and_then(|it| it.downcast::<AppSrc>().ok());
    let exit = pipeline
        .by_name("out")
        .and_then(|it| it.downcast::<AppSink>().ok());
    let (Some(entry), Some(exit), Some(element)) = (entry, exit, pipeline.by_name("set")) else {
        return Err("no pipeline".to_owned());
    };
    element.set_property("font-desc", format!("Sans Bold {}px", wanted.size));
    let set = || {
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|error| error.to_string())?;
        let mut buffer = gst::Buffer::from_mut_slice(wanted.text.clone().into_bytes());
        if let Some(fields) = buffer.get_mut() {
            fields.set_pts(gst::ClockTime::ZERO);
            fields.set_duration(gst::ClockTime::from_seconds(1));
        }
        entry
            .push_buffer(buffer)
            .map_err(|error| error.to_string())?;
        let _ = entry.end_of_stream();
        let sample = exit.try_pull_sample(PATIENCE).ok_or("it takes too long")?;
        coverage(&sample).ok_or_else(|| "it is no picture".to_owned())
    };
    let result = set();
    let _ = pipeline.set_state(gst::State::Null);
    result
}

/// The part of a picture that anything is in.
fn coverage(sample: &gst::Sample) -> Option<Set> {
    let info = VideoInfo::from_caps(sample.caps()?).ok()?;
    let map = sample.buffer()?.map_readable().ok()?;
    let stride = usize::try_from(*info.stride().first()?).ok()?.max(1);
    let (wide, high) = (info.width() as usize, info.height() as usize);
    let covered = |x: usize, y: usize| map.get(y * stride + x * 4).copied().unwrap_or(0);
    let column = |x: &usize| (0..high).any(|y| covered(*x, y) > 0);
    let row = |y: &usize| (0..wide).any(|x| covered(x, *y) > 0);
    let (left, right) = ((0..wide).find(column)?, (0..wide).rfind(column)?);
    let (top, bottom) = ((0..high).find(row)?, (0..high).rfind(row)?);
    let (width, height) = ((right + 1 - left).min(WIDEST), bottom + 1 - top);
    let rows = top..top + height;
    let pixels = rows.flat_map(|y| (left..left + width).map(move |x| (x, y)));
    Some(Set {
        width,
        height,
        coverage: pixels.map(|(x, y)| covered(x, y)).collect(),
    })
}

/// Mixes a label into the lower left of a picture, on a darkened strip.
fn put(canvas: &mut VideoFrameRef<&mut gst::BufferRef>, set: &Set, picture: Rect) {
    let (wide, high) = (canvas.width() as usize, canvas.height() as usize);
    let side = |side: i64| usize::try_from(side).unwrap_or(0);
    let margin = (set.height / 4).max(2) & !1;
    let left = (side(picture.x) + margin) & !1;
    let bottom = side(picture.y + picture.height)
        .min(high)
        .saturating_sub(margin)
        & !1;
    let right = (left + set.width + 2 * margin)
        .min(side(picture.x + picture.width))
        .min(wide)
        & !1;
    let top = bottom
        .saturating_sub(set.height + margin)
        .max(side(picture.y))
        & !1;
    if right <= left || bottom <= top {
        return;
    }
    let covered = |x: usize, y: usize| {
        let x = x.checked_sub(left + margin).filter(|x| *x < set.width)?;
        let y = y
            .checked_sub(top + margin / 2)
            .filter(|y| *y < set.height)?;
        set.coverage.get(y * set.width + x).copied()
    };
    let strides = canvas.info().stride().to_vec();
    for plane in 0..3_u32 {
        let shrink = if plane == 0 { 1 } else { 2 };
        let stride = strides
            .get(plane as usize)
            .and_then(|it| usize::try_from(*it).ok());
        let (Some(stride), Ok(data)) = (stride, canvas.plane_data_mut(plane)) else {
            continue;
        };
        for (y, row) in data.chunks_mut(stride.max(1)).enumerate() {
            let y = y * shrink;
            if y < top || y >= bottom {
                continue;
            }
            for x in (left..right).step_by(shrink) {
                let Some(value) = row.get_mut(x / shrink) else {
                    break;
                };
                let letter = u32::from(covered(x, y).unwrap_or(0));
                // Black and white have no hue.
                let (dark, light) = if plane == 0 { (16, 235) } else { (128, 128) };
                let strip = (u32::from(*value) * BEHIND + dark * (255 - BEHIND)) / 255;
                *value = ((strip * (255 - letter) + light * letter) / 255) as u8;
            }
        }
    }
}
