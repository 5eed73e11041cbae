//! Pictures for tests, and eyes to see what came out.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "test code")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use image::{ImageFormat, Rgb, RgbImage};
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes away.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("salono-sight-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Decodes VP8 and shows its pictures.
pub(crate) struct Viewer {
    pipeline: gst::Pipeline,
    entry: AppSrc,
    exit: AppSink,
}

impl Viewer {
    pub(crate) fn new(payload_type: u8) -> Self {
        gst::init().unwrap();
        let text = format!(
            "appsrc name=in format=time is-live=true \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=VP8,payload={payload_type} \
             ! rtpvp8depay wait-for-keyframe=true ! vp8dec ! videoconvert ! video/x-raw,format=RGB \
             ! appsink name=out sync=false max-buffers=8 drop=true"
        );
        let pipeline: gst::Pipeline = gst::parse::launch(&text).unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let entry = pipeline.by_name("in").unwrap().downcast().unwrap();
        let exit = pipeline.by_name("out").unwrap().downcast().unwrap();
        Self {
            pipeline,
            entry,
            exit,
        }
    }

    /// Takes in an RTP packet.
    pub(crate) fn put(&self, packet: &[u8]) {
        let buffer = gst::Buffer::from_slice(packet.to_vec());
        self.entry.push_buffer(buffer).unwrap();
    }

    /// The pictures that are ready.
    pub(crate) fn pictures(&self) -> Vec<RgbImage> {
        let next = || self.exit.try_pull_sample(gst::ClockTime::ZERO);
        std::iter::from_fn(next)
            .map(|sample| picture(&sample))
            .collect()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn picture(sample: &gst::Sample) -> RgbImage {
    let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let map = sample.buffer().unwrap().map_readable().unwrap();
    let stride = info.stride()[0] as usize;
    RgbImage::from_fn(info.width(), info.height(), |x, y| {
        let at = y as usize * stride + x as usize * 3;
        Rgb([map[at], map[at + 1], map[at + 2]])
    })
}

/// A picture within its own address.
pub(crate) fn data_uri(picture: &RgbImage) -> String {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    format!(
        "data:image/png;base64,{}",
        STANDARD.encode(bytes.into_inner())
    )
}

/// A QR code in the middle of white.
pub(crate) fn qr_code(text: &str, width: u32, height: u32) -> RgbImage {
    let code = qrcode::QrCode::new(text).unwrap();
    let modules = code.width() as u32;
    let size = width.min(height) / (modules + 8);
    let (left, top) = ((width - size * modules) / 2, (height - size * modules) / 2);
    RgbImage::from_fn(width, height, |x, y| {
        let module = |at: u32, from: u32| at.checked_sub(from).map(|it| it / size);
        let dark = match (module(x, left), module(y, top)) {
            (Some(x), Some(y)) if x < modules && y < modules => {
                code[(x as usize, y as usize)] == qrcode::Color::Dark
            }
            _ => false,
        };
        if dark { Rgb([16; 3]) } else { Rgb([235; 3]) }
    })
}

/// A face, as the usual detectors take it for one, with its nose a little below the middle.
pub(crate) fn face(width: u32, height: u32) -> RgbImage {
    let (w, h) = (f64::from(width), f64::from(height));
    let sharp = RgbImage::from_fn(width, height, |x, y| {
        let u = (f64::from(x) - w / 2.0) / (w * 0.406);
        let v = (f64::from(y) - h * 0.52) / (h * 0.542);
        Rgb([shade(u, v); 3])
    });
    image::imageops::blur(&sharp, 1.0)
}

/// Brightness at a place of a face that is about 1 wide and high around the origin.
fn shade(u: f64, v: f64) -> u8 {
    let within = |x: f64, y: f64, rx: f64, ry: f64| ((u - x) / rx).powi(2) + ((v - y) / ry).powi(2);
    let skin = within(0.0, 0.0, 0.5, 0.66);
    if skin >= 1.0 {
        // Hair, or what is behind.
        return if within(0.0, -0.15, 0.62, 0.72) < 1.0 {
            45
        } else {
            105
        };
    }
    let mut shade = 205.0 - 45.0 * skin;
    for side in [-1.0, 1.0] {
        let socket = within(0.2 * side, -0.12, 0.17, 0.09);
        if socket < 1.0 {
            shade = f64::min(shade, 120.0 + 60.0 * socket);
        }
        if within(0.2 * side, -0.12, 0.1, 0.045) < 1.0 {
            shade = 225.0;
        }
        if within(0.2 * side, -0.12, 0.05, 0.05) < 1.0 {
            shade = 25.0;
        }
        let brow = (v + 0.25 + 0.06 * (u * 2.0 - 0.4 * side).abs()).abs() < 0.03;
        if brow && (u - 0.2 * side).abs() < 0.14 {
            shade = 50.0;
        }
    }
    if within(0.0, 0.06, 0.05, 0.2) < 1.0 {
        shade = f64::max(shade, 215.0);
    }
    if [-1.0, 1.0]
        .iter()
        .any(|side| within(0.06 * side, 0.2, 0.03, 0.02) < 1.0)
    {
        shade = 90.0;
    }
    if within(0.0, 0.38, 0.18, 0.05) < 1.0 {
        shade = 100.0;
    }
    shade.clamp(0.0, 255.0) as u8
}
