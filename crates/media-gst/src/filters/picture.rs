//! Pictures of other people: fetched with bounds, decoded in memory-safe code.

use crate::element::Context;
use crate::policy::Target;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use gstreamer_video::{VideoFormat, VideoFrameFlags, VideoMeta};
use image::{ImageFormat, ImageReader, Limits};
use salono_media_api::processing::ProcessorError;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use url::Url;

/// Longest file, in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Most pixels.
const MAX_PIXELS: u64 = 8_000_000;

/// How long fetching may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pictures of one process that are on their way at a time; one more is refused.
const MAX_LOADING: usize = 32;

/// How many are.
static LOADING: AtomicUsize = AtomicUsize::new(0);

/// Counts a picture that is on its way.
struct Loading;

impl Loading {
    fn begin() -> Option<Self> {
        let room = |count: usize| (count < MAX_LOADING).then_some(count + 1);
        let begun = LOADING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        begun.is_ok().then_some(Self)
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        LOADING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A picture with its transparency.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    /// Width and height.
    pub(super) size: (u32, u32),
    /// BGRA with its size, as overlays want it.
    pub(super) pixels: gst::Buffer,
}

impl Loaded {
    /// One pixel that cannot be seen.
    pub(super) fn transparent() -> Option<Self> {
        Self::new(vec![0; 4], (1, 1)).ok()
    }

    /// Out of BGRA.
    fn new(pixels: Vec<u8>, (width, height): (u32, u32)) -> Result<Self, String> {
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        let unique = buffer.get_mut().ok_or("the picture is in use")?;
        VideoMeta::add(
            unique,
            VideoFrameFlags::empty(),
            VideoFormat::Bgra,
            width,
            height,
        )
        .map_err(|error| error.to_string())?;
        Ok(Self {
            size: (width, height),
            pixels: buffer,
        })
    }
}

/// A picture that has arrived, or has not: the note of [`load`].
pub(super) struct Arrival {
    /// As given to [`load`].
    pub(super) uri: String,
    pub(super) result: Result<Loaded, String>,
}

/// Loads a picture in a thread of its own, which sends the element an [`Arrival`].
pub(super) fn load(context: &Context, uri: String) {
    let (host, element) = (context.host.clone(), context.element);
    let Some(loading) = Loading::begin() else {
        let result = Err(format!("{MAX_LOADING} others are on their way"));
        return host.note(element, Box::new(Arrival { uri, result }));
    };
    let work = {
        let (host, uri) = (host.clone(), uri.clone());
        move || {
            let _loading = loading;
            let result = fetch(&host, &uri).and_then(|bytes| decode(&bytes));
            host.note(element, Box::new(Arrival { uri, result }));
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("picture".into())
        .spawn(work)
    {
        let result = Err(error.to_string());
        host.note(element, Box::new(Arrival { uri, result }));
    }
}

/// What is reported of a picture that cannot be had. A long URI is cut.
pub(super) fn fault(uri: &str, why: &str) -> ProcessorError {
    let shown: String = uri.chars().take(200).collect();
    ProcessorError {
        code: 0,
        kind: "RESOURCE_ERROR_OPEN".to_owned(),
        description: format!("the picture {shown} cannot be shown: {why}"),
    }
}

fn fetch(host: &crate::host::Host, uri: &str) -> Result<Vec<u8>, String> {
    if let Some(data) = uri.strip_prefix("data:") {
        let (head, text) = data.split_once(',').ok_or("it is no data: URI")?;
        if !head.ends_with(";base64") {
            return Err("only data: URIs in base64 are understood".to_owned());
        }
        return STANDARD.decode(text).map_err(|error| error.to_string());
    }
    match host.policy().read(uri).map_err(|why| why.to_string())? {
        Target::File(path) => {
            let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
            let mut bytes = Vec::new();
            file.take(MAX_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| error.to_string())?;
            within(bytes)
        }
        Target::Url(url) => download(&url),
    }
}

fn within(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("it is longer than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

/// Addresses are looked at by the guard, at every connection.
fn download(url: &Url) -> Result<Vec<u8>, String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("pictures do not come by {}", url.scheme()));
    }
    let text =
        "souphttpsrc name=source timeout=5 retries=0 ! appsink name=out sync=false max-buffers=64";
    let pipeline = gst::parse::launch(text).map_err(|error| error.to_string())?;
    let pipeline: gst::Pipeline = pipeline.downcast().map_err(|_| "no pipeline")?;
    let (source, out) = (pipeline.by_name("source"), pipeline.by_name("out"));
    let out = out.and_then(|out| out.downcast::<AppSink>().ok());
    let (Some(source), Some(out)) = (source, out) else {
        return Err("no pipeline".to_owned());
    };
    source.set_property("location", url.as_str());
    let result = pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| error.to_string())
        .and_then(|_| read_all(&pipeline, &out));
    let _ = pipeline.set_state(gst::State::Null);
    result
}

fn read_all(pipeline: &gst::Pipeline, out: &AppSink) -> Result<Vec<u8>, String> {
    let end = Instant::now() + PATIENCE;
    let bus = pipeline.bus().ok_or("no pipeline")?;
    let mut bytes = Vec::new();
    loop {
        if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error]) {
            let why = crate::fault::of_message(&message);
            return Err(why.map_or_else(|| "it failed".to_owned(), |error| error.description));
        }
        if Instant::now() >= end {
            return Err(format!("it took longer than {} s", PATIENCE.as_secs()));
        }
        // Short, so that errors are seen.
        match out.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
            Some(sample) => {
                if let Some(map) = sample.buffer().and_then(|it| it.map_readable().ok()) {
                    bytes.extend_from_slice(&map);
                }
                bytes = within(bytes)?;
            }
            None if out.is_eos() => return Ok(bytes),
            None => {}
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Loaded, String> {
    let reader = || {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        reader.map_err(|error| error.to_string())
    };
    let mut first = reader()?;
    let format = first.format();
    if !matches!(
        format,
        Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Gif)
    ) {
        return Err("it is neither PNG, JPEG, WebP nor GIF".to_owned());
    }
    first.limits(limits());
    let (width, height) = first.into_dimensions().map_err(|error| error.to_string())?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "{width} x {height} are more than {MAX_PIXELS} pixels"
        ));
    }
    let mut second = reader()?;
    second.limits(limits());
    let picture = second.decode().map_err(|error| error.to_string())?;
    let mut pixels = picture.into_rgba8().into_raw();
    for pixel in pixels.chunks_exact_mut(4) {
        pixel.swap(0, 2);
    }
    Loaded::new(pixels, (width, height))
}

/// Four bytes of each pixel, and what decoding takes beside them.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(64 * 1024 * 1024);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image::RgbaImage::from_pixel(width, height, image::Rgba([10, 20, 30, 40]))
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn pictures_keep_their_colours_and_transparency() {
        gst::init().unwrap();
        let loaded = decode(&png(3, 2)).unwrap();
        assert_eq!(loaded.size, (3, 2));
        let map = loaded.pixels.map_readable().unwrap();
        assert_eq!(map[..4], [30, 20, 10, 40]);
    }

    #[test]
    fn what_is_too_big_or_no_picture_is_refused_before_it_is_decoded() {
        gst::init().unwrap();
        // The head of a picture of 30 000 x 30 000.
        let mut bomb = png(1, 1);
        bomb[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&30_000_u32.to_be_bytes());
        let sum = crc32(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(
            decode(&bomb).unwrap_err().contains("pixels"),
            "{:?}",
            decode(&bomb)
        );
        let svg = br#"<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg>&e;</svg>"#;
        assert!(decode(svg).unwrap_err().contains("neither PNG"));
        assert!(decode(b"").is_err());
        let mut cut = png(64, 64);
        cut.truncate(60);
        assert!(decode(&cut).is_err());
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
