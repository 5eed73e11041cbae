//! `ChromaFilter`: makes the colour of a plain background transparent, or shows a picture in its stead.
//!
//! The colour is learnt from a window of the first pictures: its mean, and how far it strays. Hue counts more
//! than brightness, so that folds and shadows of a green cloth are green as well; of a grey wall brightness is
//! all there is. Between what is near and what is far, edges fade.

use super::picture::{Arrival, Loaded, fault, load};
use super::{Work, need, unsupported};
use crate::element::Context;
use crate::line::Line;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{VideoConverter, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};
use salono_media_api::MediaError;
use salono_media_api::processing::{ProcessorCall, ProcessorError, Window};
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pictures that the colour is learnt from.
const LESSONS: u32 = 10;

/// Distances from the mean that always belong to the colour, and never do.
const LEAST_REACH: f64 = 14.0;
const MOST_REACH: f64 = 48.0;

/// How far from grey a colour is, at least, whose brightness counts little.
const COLOURFUL: f64 = 24.0;

/// By how much brightness counts less then.
const DIM: i32 = 4;

/// Black in 4:4:4 with limited range.
const BLACK: [u8; 3] = [16, 128, 128];

/// The colour that is made transparent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    /// Y, U and V.
    colour: [i32; 3],
    /// Distance within which everything is transparent.
    reach: i32,
    /// What differences of brightness are divided by.
    dim: i32,
}

impl Key {
    /// How much is seen of a pixel, out of 255.
    fn opacity(&self, [y, u, v]: [u8; 3]) -> u8 {
        let away = |value: u8, at: usize| i32::from(value) - self.colour[at];
        let (y, u, v) = (away(y, 0) / self.dim, away(u, 1), away(v, 2));
        let square = y * y + u * u + v * v;
        let far = self.reach + self.reach / 2;
        if square <= self.reach * self.reach {
            return 0;
        }
        if square >= far * far {
            return u8::MAX;
        }
        let distance = f64::from(square).sqrt() - f64::from(self.reach);
        (distance * 255.0 / f64::from(far - self.reach)) as u8
    }

    /// As it is kept for the process that replaces this one.
    fn text(&self) -> String {
        let [y, u, v] = self.colour;
        format!("{y} {u} {v} {} {}", self.reach, self.dim)
    }

    fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<i32> = text
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        let [y, u, v, reach, dim] = numbers.try_into().ok()?;
        let is_sane = (1..=255).contains(&reach) && (1..=255).contains(&dim);
        is_sane.then_some(Self {
            colour: [y, u, v],
            reach,
            dim,
        })
    }
}

/// What was seen in the window so far.
#[derive(Debug, Default)]
struct Lessons {
    pictures: u32,
    pixels: f64,
    sums: [f64; 3],
    squares: [f64; 3],
}

impl Lessons {
    fn take(&mut self, pixel: &[u8]) {
        self.pixels += 1.0;
        for (at, value) in pixel.iter().skip(1).take(3).enumerate() {
            let value = f64::from(*value);
            self.sums[at] += value;
            self.squares[at] += value * value;
        }
    }

    fn key(&self) -> Option<Key> {
        if self.pixels < 1.0 {
            return None;
        }
        let mean = self.sums.map(|sum| sum / self.pixels);
        let variance = |at: usize| (self.squares[at] / self.pixels - mean[at] * mean[at]).max(0.0);
        let is_colourful = (mean[1] - 128.0).hypot(mean[2] - 128.0) >= COLOURFUL;
        let dim = if is_colourful { DIM } else { 1 };
        let brightness = variance(0) / f64::from(dim * dim);
        let stray = (brightness + variance(1) + variance(2)).sqrt();
        Some(Key {
            colour: mean.map(|value| value.round() as i32),
            reach: (LEAST_REACH + 2.0 * stray).min(MOST_REACH) as i32,
            dim,
        })
    }
}

/// What both threads know.
#[derive(Debug, Default)]
struct Scene {
    key: Option<Key>,
    lessons: Lessons,
    background: Option<Loaded>,
    /// The background in the size of the pictures.
    scaled: Option<(VideoInfo, gst::Buffer)>,
}

/// Notes of the thread of the pictures.
enum Note {
    /// The colour was learnt.
    Learnt,
    /// The window shows nothing.
    Blind,
}

pub(super) struct Chroma {
    context: Context,
    window: Window,
    uri: String,
    scene: Arc<Mutex<Scene>>,
}

impl Chroma {
    pub(super) fn new(
        context: &Context,
        window: Window,
        background: String,
    ) -> Result<Self, MediaError> {
        need("videoconvert", "gstreamer1.0-plugins-base")?;
        let mut chroma = Self {
            context: context.clone(),
            window,
            uri: String::new(),
            scene: Arc::default(),
        };
        chroma.show(background);
        Ok(chroma)
    }

    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a picture as soon as it has arrived, or none.
    fn show(&mut self, uri: String) {
        if uri.is_empty() {
            self.scene().set_background(None);
        } else {
            load(&self.context, uri.clone());
        }
        self.uri = uri;
    }
}

impl Work for Chroma {
    fn text(&self) -> String {
        "video/x-raw,format=AYUV ! identity name=key silent=true".to_owned()
    }

    fn made(&mut self, line: &Line) {
        let pad = line
            .element("key")
            .and_then(|element| element.static_pad("src"));
        let Some(pad) = pad else {
            return;
        };
        let (scene, window) = (Arc::clone(&self.scene), self.window);
        let (host, element) = (self.context.host.clone(), self.context.element);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
            let info = pad
                .current_caps()
                .and_then(|caps| VideoInfo::from_caps(&caps).ok());
            let (Some(info), Some(buffer)) = (info, probe.buffer_mut()) else {
                return gst::PadProbeReturn::Ok;
            };
            let frame = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &info);
            if let Ok(mut frame) = frame {
                let mut scene = scene.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(note) = scene.work_on(&mut frame, window) {
                    host.note(element, Box::new(note));
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn call(&mut self, call: &ProcessorCall, _line: Option<&Line>) -> Result<(), MediaError> {
        let ProcessorCall::SetBackground { uri } = call else {
            return Err(unsupported());
        };
        self.show(uri.clone());
        Ok(())
    }

    fn calls(&self) -> Vec<ProcessorCall> {
        let uri = self.uri.clone();
        vec![ProcessorCall::SetBackground { uri }]
    }

    fn memory(&self) -> Option<String> {
        self.scene().key.map(|key| key.text())
    }

    fn remember(&mut self, memory: &str) {
        self.scene().key = Key::parse(memory);
    }

    fn note(&mut self, note: Box<dyn Any + Send>) {
        let note = match note.downcast::<Note>() {
            Ok(note) => {
                if matches!(*note, Note::Blind) {
                    let error = ProcessorError {
                        code: 0,
                        kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
                        description:
                            "the window lies outside of the picture: no colour can be learnt"
                                .to_owned(),
                    };
                    let reports = self.context.host.reports();
                    reports.error(self.context.element, error);
                }
                return;
            }
            Err(other) => other,
        };
        let Ok(arrival) = note.downcast::<Arrival>() else {
            return;
        };
        if arrival.uri != self.uri {
            return;
        }
        match arrival.result {
            Ok(loaded) => self.scene().set_background(Some(loaded)),
            Err(why) => {
                let reports = self.context.host.reports();
                reports.error(self.context.element, fault(&arrival.uri, &why));
            }
        }
    }
}

impl Scene {
    fn set_background(&mut self, background: Option<Loaded>) {
        self.background = background;
        self.scaled = None;
    }

    /// Learns from a picture, or takes the colour out of it.
    fn work_on(
        &mut self,
        frame: &mut VideoFrameRef<&mut gst::BufferRef>,
        window: Window,
    ) -> Option<Note> {
        let Some(key) = self.key else {
            return self.learn(frame, window);
        };
        self.scale(frame.info());
        let background = self.scaled.as_ref().and_then(|(info, buffer)| {
            let shown = VideoFrameRef::from_buffer_ref_readable(buffer, info).ok()?;
            Some(shown.plane_data(0).ok()?.to_vec())
        });
        let Ok(pixels) = frame.plane_data_mut(0) else {
            return None;
        };
        let shown = |at: usize| {
            let pixel = background.as_ref()?.get(at * 4 + 1..at * 4 + 4)?;
            pixel.first_chunk::<3>().copied()
        };
        // Four bytes a pixel leave no padding at the end of rows.
        for (at, pixel) in pixels.chunks_exact_mut(4).enumerate() {
            let [alpha, y, u, v] = pixel else { continue };
            let opacity = key.opacity([*y, *u, *v]);
            if opacity == u8::MAX {
                continue;
            }
            let behind = shown(at);
            *alpha = if behind.is_some() { u8::MAX } else { opacity };
            for (value, behind) in [y, u, v].into_iter().zip(behind.unwrap_or(BLACK)) {
                let mixed = u32::from(*value) * u32::from(opacity)
                    + u32::from(behind) * u32::from(u8::MAX - opacity);
                *value = (mixed / 255) as u8;
            }
        }
        None
    }

    fn learn(
        &mut self,
        frame: &VideoFrameRef<&mut gst::BufferRef>,
        window: Window,
    ) -> Option<Note> {
        let clip = |from: i32, length: i32, side: u32| {
            let from = i64::from(from).clamp(0, side.into());
            let to = (from + i64::from(length)).clamp(0, side.into());
            (from as usize, (to - from).max(0) as usize)
        };
        let (left, width) = clip(window.x, window.width, frame.width());
        let (top, height) = clip(window.y, window.height, frame.height());
        let stride = frame.plane_stride().first().copied().unwrap_or(0);
        let stride = usize::try_from(stride).unwrap_or(0).max(1);
        let pixels = frame.plane_data(0).ok()?;
        for row in pixels.chunks(stride).skip(top).take(height) {
            for pixel in row.chunks_exact(4).skip(left).take(width) {
                self.lessons.take(pixel);
            }
        }
        self.lessons.pictures += 1;
        if self.lessons.pictures < LESSONS {
            return None;
        }
        let lessons = std::mem::take(&mut self.lessons);
        self.key = lessons.key();
        match self.key {
            Some(_) => Some(Note::Learnt),
            // Told once: pictures of another size may still show something there.
            None if lessons.pictures == LESSONS => {
                self.lessons.pictures = LESSONS;
                Some(Note::Blind)
            }
            None => {
                self.lessons.pictures = LESSONS;
                None
            }
        }
    }

    /// Brings the background to the size of the pictures.
    fn scale(&mut self, to: &VideoInfo) {
        if let Some(background) = &self.background
            && self.scaled.as_ref().is_none_or(|(known, _)| known != to)
        {
            self.scaled = scaled(background, to);
        }
    }
}

/// A picture in the size and format of others.
fn scaled(picture: &Loaded, to: &VideoInfo) -> Option<(VideoInfo, gst::Buffer)> {
    let (width, height) = picture.size;
    // A picture has no rate; the converter wants the same on both sides.
    let from = VideoInfo::builder(VideoFormat::Bgra, width, height).fps(to.fps());
    let from = from.build().ok()?;
    let converter = VideoConverter::new(&from, to, None).ok()?;
    let mut buffer = gst::Buffer::with_size(to.size()).ok()?;
    {
        let source = VideoFrameRef::from_buffer_ref_readable(&picture.pixels, &from).ok()?;
        let mut target = VideoFrameRef::from_buffer_ref_writable(buffer.get_mut()?, to).ok()?;
        converter.frame_ref(&source, &mut target);
    }
    Some((to.clone(), buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(pixels: &[[u8; 3]]) -> Key {
        let mut lessons = Lessons::default();
        for [y, u, v] in pixels {
            lessons.take(&[255, *y, *u, *v]);
        }
        lessons.key().unwrap()
    }

    #[test]
    fn shadows_of_a_colour_are_the_colour_and_other_hues_are_not() {
        let green = learn(&[[140, 60, 50], [150, 62, 48], [130, 58, 52]]);
        assert_eq!(green.opacity([140, 60, 50]), 0);
        assert_eq!(green.opacity([105, 64, 54]), 0, "a fold");
        assert_eq!(
            green.opacity([140, 128, 128]),
            255,
            "grey of this brightness"
        );
        assert_eq!(green.opacity([80, 90, 220]), 255, "red");
        let edge = (0..60).map(|u| green.opacity([140, 60 + u, 50]));
        let edge: Vec<u8> = edge.collect();
        assert!(edge.is_sorted() && edge.iter().any(|it| (1..255).contains(it)));
    }

    #[test]
    fn of_a_grey_wall_brightness_counts() {
        let grey = learn(&[[120, 128, 128], [124, 127, 129]]);
        assert_eq!(grey.opacity([122, 128, 128]), 0);
        assert_eq!(grey.opacity([200, 128, 128]), 255);
    }

    #[test]
    fn what_was_learnt_is_kept_as_text() {
        let key = learn(&[[140, 60, 50]]);
        assert_eq!(Key::parse(&key.text()), Some(key));
        for wrong in [
            "",
            "1 2 3",
            "1 2 3 4 0",
            "1 2 3 4 x",
            "1 2 3 999 1",
            "1 2 3 4 5 6",
        ] {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Lessons::default().key(), None);
    }
}
