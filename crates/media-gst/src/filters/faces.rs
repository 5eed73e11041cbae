//! `FaceOverlayFilter`: a picture over each face.
//!
//! Faces are looked for a few times a second, in a small copy of the picture, beside the way of the
//! pictures themselves. Between two looks the picture stays where it is; small movements are smoothed.

use super::overlay::{Area, OVERLAY, draw};
use super::picture::{Arrival, Loaded, fault, load};
use super::{Work, need, unsupported};
use crate::element::Context;
use crate::line::Line;
use gstreamer as gst;
use gstreamer::prelude::*;
use salono_media_api::processing::{Picture, ProcessorCall};
use salono_media_api::{MediaError, MediaErrorKind};
use std::any::Any;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Width of the picture that faces are looked for in.
const LOOK_WIDTH: u32 = 320;

/// Time between two looks.
const LOOK_APART: gst::ClockTime = gst::ClockTime::from_mseconds(160);

/// A face that was not seen for this long is gone.
const GONE: Duration = Duration::from_millis(700);

/// Faces that are drawn over.
const MAX_FACES: usize = 16;

/// How much of a movement is followed at once.
const FOLLOW: f64 = 0.6;

/// Where Debian and OpenCV itself put the description of frontal faces.
const CASCADES: [&str; 3] = [
    "/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml",
    "/usr/local/share/opencv4/haarcascades/haarcascade_frontalface_default.xml",
    "/usr/share/opencv/haarcascades/haarcascade_frontalface_default.xml",
];

/// A face, in shares of the width that was looked at (of all four: x, y, width, height).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Face {
    at: [f64; 4],
    seen: Instant,
}

impl Face {
    fn middle(&self) -> (f64, f64) {
        let [x, y, width, height] = self.at;
        (x + width / 2.0, y + height / 2.0)
    }

    /// Whether another one is where this one was.
    fn is_near(&self, other: &Self) -> bool {
        let ((x, y), (u, v)) = (self.middle(), other.middle());
        let reach = self.at[2].max(other.at[2]) / 2.0;
        (x - u).abs() < reach && (y - v).abs() < reach
    }
}

/// What both threads know.
#[derive(Debug, Default)]
struct Scene {
    picture: Option<Picture>,
    loaded: Option<Loaded>,
    faces: Vec<Face>,
}

impl Scene {
    /// Takes in what one look has found.
    fn look(&mut self, found: Vec<Face>, now: Instant) {
        let before = std::mem::take(&mut self.faces);
        let mut kept = found;
        kept.truncate(MAX_FACES);
        for face in &mut kept {
            if let Some(old) = before.iter().find(|old| old.is_near(face)) {
                for (now, old) in face.at.iter_mut().zip(old.at) {
                    *now = old + (*now - old) * FOLLOW;
                }
            }
        }
        let missed = before.into_iter().filter(|old| {
            now.saturating_duration_since(old.seen) < GONE
                && !kept.iter().any(|face| face.is_near(old))
        });
        let missed: Vec<Face> = missed.collect();
        kept.extend(missed);
        kept.truncate(MAX_FACES);
        self.faces = kept;
    }

    fn drawn(&self, width: u32, now: Instant) -> Vec<(Loaded, Area)> {
        let (Some(picture), Some(loaded)) = (&self.picture, &self.loaded) else {
            return Vec::new();
        };
        let width = f64::from(width);
        let recent = |face: &&Face| now.saturating_duration_since(face.seen) < GONE;
        let areas = self.faces.iter().filter(recent).filter_map(|face| {
            let [x, y, w, h] = face.at.map(|share| share * width);
            Some((loaded.clone(), Area::within((x, y), (w, h), picture.place)?))
        });
        areas.collect()
    }
}

pub(super) struct Faces {
    context: Context,
    cascade: &'static str,
    scene: Arc<Mutex<Scene>>,
}

impl Faces {
    pub(super) fn new(context: &Context, picture: Option<Picture>) -> Result<Self, MediaError> {
        need("facedetect", "gstreamer1.0-opencv")?;
        need("overlaycomposition", "gstreamer1.0-plugins-base")?;
        let cascade = CASCADES.into_iter().find(|path| Path::new(path).exists());
        let cascade = cascade.ok_or_else(|| {
            MediaError::new(
                MediaErrorKind::Unavailable,
                "install opencv-data: the description of faces is missing",
            )
        })?;
        let faces = Self {
            context: context.clone(),
            cascade,
            scene: Arc::default(),
        };
        faces.show(picture);
        Ok(faces)
    }

    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, picture: Option<Picture>) {
        let mut scene = self.scene();
        scene.picture.clone_from(&picture);
        scene.loaded = None;
        drop(scene);
        if let Some(picture) = picture {
            load(&self.context, picture.uri);
        }
    }
}

impl Work for Faces {
    fn text(&self) -> String {
        format!(
            "tee name=ways \
             ways. ! valve name=gate drop-mode=forward-sticky-events ! queue leaky=downstream max-size-buffers=1 max-size-time=0 \
             max-size-bytes=0 ! videoscale ! video/x-raw,width={LOOK_WIDTH},pixel-aspect-ratio=1/1 \
             ! videoconvert n-threads=1 \
             ! facedetect display=false min-size-width=24 min-size-height=24 scale-factor=1.2 \
             min-neighbors=3 profile={} ! fakesink sync=false async=false \
             ways. ! queue max-size-buffers=2 max-size-time=0 max-size-bytes=0 ! {OVERLAY}",
            self.cascade
        )
    }

    fn made(&mut self, line: &Line) {
        look_seldom(line);
        let scene = Arc::clone(&self.scene);
        draw(line, move |(width, _)| {
            let scene = scene.lock().unwrap_or_else(PoisonError::into_inner);
            scene.drawn(width, Instant::now())
        });
    }

    fn call(&mut self, call: &ProcessorCall, _line: Option<&Line>) -> Result<(), MediaError> {
        let ProcessorCall::SetFacePicture { picture } = call else {
            return Err(unsupported());
        };
        self.show(picture.clone());
        Ok(())
    }

    fn calls(&self) -> Vec<ProcessorCall> {
        let picture = self.scene().picture.clone();
        vec![ProcessorCall::SetFacePicture { picture }]
    }

    fn bus(&mut self, message: &gst::Message) {
        let Some(seen) = message.structure().filter(|it| it.name() == "facedetect") else {
            return;
        };
        let now = Instant::now();
        let found = seen
            .get::<gst::List>("faces")
            .map(|faces| faces.iter().filter_map(|face| read(face, now)).collect())
            .unwrap_or_default();
        self.scene().look(found, now);
    }

    fn note(&mut self, note: Box<dyn Any + Send>) {
        let Ok(arrival) = note.downcast::<Arrival>() else {
            return;
        };
        if let Err(why) = &arrival.result {
            let reports = self.context.host.reports();
            reports.error(self.context.element, fault(&arrival.uri, why));
        }
        let mut scene = self.scene();
        let is_wanted = scene
            .picture
            .as_ref()
            .is_some_and(|it| it.uri == arrival.uri);
        if is_wanted {
            scene.loaded = arrival.result.ok();
        }
    }
}

/// Lets only some of the pictures be looked at. (`videorate` aborts where buffers have no duration.)
fn look_seldom(line: &Line) {
    let Some(gate) = line.element("gate") else {
        return;
    };
    let Some(pad) = gate.static_pad("sink") else {
        return;
    };
    let gate = gate.downgrade();
    let next = Mutex::new(gst::ClockTime::ZERO);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let at = info.buffer().and_then(|buffer| buffer.pts());
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = at.is_none_or(|at| at >= *next);
        if let Some(at) = at.filter(|_| is_due) {
            *next = at + LOOK_APART;
        }
        if let Some(gate) = gate.upgrade() {
            gate.set_property("drop", !is_due);
        }
        gst::PadProbeReturn::Ok
    });
}

/// One face of a report.
fn read(value: &gst::glib::SendValue, seen: Instant) -> Option<Face> {
    let face = value.get::<gst::Structure>().ok()?;
    let share = |name: &str| {
        let pixels = face.get::<u32>(name).ok()?;
        Some(f64::from(pixels) / f64::from(LOOK_WIDTH))
    };
    Some(Face {
        at: [share("x")?, share("y")?, share("width")?, share("height")?],
        seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_that_is_missed_once_stays_and_goes_when_it_is_gone() {
        let start = Instant::now();
        let face = |x: f64, seen| Face {
            at: [x, 0.1, 0.2, 0.2],
            seen,
        };
        let mut scene = Scene::default();
        scene.look(vec![face(0.1, start), face(0.6, start)], start);
        let later = start + GONE / 2;
        scene.look(vec![face(0.11, later)], later);
        assert_eq!(scene.faces.len(), 2);
        let gone = start + GONE;
        scene.look(vec![face(0.11, gone)], gone);
        assert_eq!(scene.faces.len(), 1, "{:?}", scene.faces);
    }
}
