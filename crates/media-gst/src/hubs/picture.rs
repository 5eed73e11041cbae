//! Pictures of hubs: the newest one of each port, scaled into its place, at the framerate of the hub.

use super::Board;
use super::arrangement::{Arrangement, Rect, Size};
use super::label::Labels;
use crate::host::Host;
use crate::media::Media;
use gstreamer as gst;
use gstreamer_video::{
    VideoConverter, VideoConverterConfig, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo,
    VideoResamplerMethod,
};
use salono_media_api::ElementKey;
use std::collections::BTreeMap;
use std::time::Duration;

/// One picture that came in.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    info: VideoInfo,
    buffer: gst::Buffer,
}

impl Shot {
    /// With square pixels.
    fn size(&self) -> Size {
        let aspect = self.info.par();
        let (across, down) = (i64::from(aspect.numer()), i64::from(aspect.denom()));
        let width = i64::from(self.info.width()) * across.max(1) / down.max(1);
        (
            u32::try_from(width).unwrap_or(u32::MAX).max(1),
            self.info.height().max(1),
        )
    }
}

/// Knows what the buffers of a source are.
#[derive(Debug, Default)]
pub(super) struct Eye {
    known: Option<(gst::Caps, VideoInfo)>,
}

impl Eye {
    pub(super) fn shot(&mut self, caps: &gst::Caps, buffer: &gst::Buffer) -> Option<Shot> {
        if self.known.as_ref().is_none_or(|(known, _)| known != caps) {
            self.known = Some((caps.clone(), VideoInfo::from_caps(caps).ok()?));
        }
        let (_, info) = self.known.as_ref()?;
        Some(Shot {
            info: info.clone(),
            buffer: buffer.clone(),
        })
    }
}

/// The pictures of a hub.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    pub(super) arrangement: Arrangement,
    /// By port; none before the first, and after the end of its source.
    ports: BTreeMap<ElementKey, Option<Shot>>,
}

impl Pictures {
    pub(super) fn join(&mut self, port: ElementKey) {
        self.ports.insert(port, None);
    }

    pub(super) fn leave(&mut self, port: ElementKey) {
        self.ports.remove(&port);
        self.arrangement.forget(port);
    }

    /// The newest picture of a port, or that it has none any more.
    pub(super) fn show(&mut self, port: ElementKey, shot: Option<Shot>) {
        if let Some(shown) = self.ports.get_mut(&port) {
            *shown = shot;
        }
    }
}

/// Composes until the hub ends.
pub(super) fn run(board: &Board, host: &Host, out: &Media, framerate: u16) {
    let rate = u64::from(framerate.max(1));
    let period =
        |frame: u64| gst::ClockTime::from_nseconds(frame.saturating_mul(1_000_000_000) / rate);
    let begin = host.timebase().now();
    let mut easel = Easel::new(framerate);
    let mut frame = 0;
    loop {
        let (due, now) = (begin + period(frame), host.timebase().now());
        let patience = due.saturating_sub(now);
        if !board.wait(Duration::from_nanos(patience.nseconds())) {
            return;
        }
        if now > begin + period(frame + 2) {
            // The machine was too slow: frames are left out, and none comes late.
            frame = now.saturating_sub(begin).nseconds() / period(1).nseconds().max(1) + 1;
            continue;
        }
        frame += 1;
        if out.native().takers() == 0 {
            easel.brushes.clear();
            continue;
        }
        let (arrangement, shots) = {
            let pictures = board.pictures();
            let shots = pictures.ports.iter();
            let shots = shots.filter_map(|(port, shot)| Some((*port, shot.clone()?)));
            (
                pictures.arrangement.clone(),
                shots.collect::<BTreeMap<_, _>>(),
            )
        };
        if let Some((caps, mut buffer)) = easel.paint(&arrangement, &shots) {
            let fields = buffer.get_mut().expect("nobody else has it yet");
            fields.set_pts(due);
            fields.set_duration(period(1));
            out.publish(&caps, &buffer);
        }
    }
}

/// What pictures are composed with.
struct Easel {
    framerate: u16,
    canvas: Option<(Size, VideoInfo, gst::Caps)>,
    brushes: BTreeMap<ElementKey, Brush>,
    labels: Labels,
}

/// Scales the pictures of one port, as long as nothing of it changes.
struct Brush {
    from: (VideoInfo, Rect),
    to: (Size, Rect),
    converter: VideoConverter,
}

impl Easel {
    fn new(framerate: u16) -> Self {
        Self {
            framerate,
            canvas: None,
            brushes: BTreeMap::new(),
            labels: Labels::default(),
        }
    }

    fn paint(
        &mut self,
        arrangement: &Arrangement,
        shots: &BTreeMap<ElementKey, Shot>,
    ) -> Option<(gst::Caps, gst::Buffer)> {
        let shown = shots
            .iter()
            .map(|(port, shot)| (*port, shot.size()))
            .collect();
        let size = arrangement.size(&shown);
        if self
            .canvas
            .as_ref()
            .is_none_or(|(known, ..)| *known != size)
        {
            let rate = gst::Fraction::new(self.framerate.into(), 1);
            let info = VideoInfo::builder(VideoFormat::I420, size.0, size.1).fps(rate);
            let info = info.build().ok()?;
            let caps = info.to_caps().ok()?;
            self.canvas = Some((size, info, caps));
        }
        let (_, info, caps) = self.canvas.clone()?;
        let mut buffer = gst::Buffer::with_size(info.size()).ok()?;
        let target = buffer.get_mut()?;
        let mut canvas = VideoFrameRef::from_buffer_ref_writable(target, &info).ok()?;
        let whole = Rect {
            x: 0,
            y: 0,
            width: size.0.into(),
            height: size.1.into(),
        };
        fill(&mut canvas, whole, arrangement.background());
        self.brushes.retain(|port, _| shots.contains_key(port));
        self.labels.keep(|port| shots.contains_key(&port));
        self.labels.collect();
        for cell in arrangement.cells(size, &shown) {
            let Some(shot) = shots.get(&cell.port) else {
                continue;
            };
            if arrangement.is_opaque() {
                fill(&mut canvas, clip(cell.rect, whole), [0; 3]);
            }
            let fitted = fit(cell.rect, shot.size());
            let visible = clip(fitted, whole);
            if visible.width < 2 || visible.height < 2 {
                continue;
            }
            let seen = seen(&shot.info, fitted, visible);
            let Some(converter) = self.brush(cell.port, shot, seen, (size, visible), &info) else {
                continue;
            };
            let frame = VideoFrameRef::from_buffer_ref_readable(&shot.buffer, &shot.info);
            if let Ok(frame) = frame {
                converter.frame_ref(&frame, &mut canvas);
            }
            let label = arrangement.label(cell.port);
            self.labels.draw(&mut canvas, cell.port, label, visible);
        }
        drop(canvas);
        Some((caps, buffer))
    }

    fn brush(
        &mut self,
        port: ElementKey,
        shot: &Shot,
        seen: Rect,
        to: (Size, Rect),
        info: &VideoInfo,
    ) -> Option<&VideoConverter> {
        let fits =
            |brush: &Brush| brush.from.0 == shot.info && brush.from.1 == seen && brush.to == to;
        if !self.brushes.get(&port).is_some_and(fits) {
            let side = |side: i64| i32::try_from(side).unwrap_or(0);
            let mut config = VideoConverterConfig::new();
            config.set_resampler_method(VideoResamplerMethod::Linear);
            config.set_fill_border(false);
            config.set_src_x(side(seen.x));
            config.set_src_y(side(seen.y));
            config.set_src_width(Some(side(seen.width)));
            config.set_src_height(Some(side(seen.height)));
            config.set_dest_x(side(to.1.x));
            config.set_dest_y(side(to.1.y));
            config.set_dest_width(Some(side(to.1.width)));
            config.set_dest_height(Some(side(to.1.height)));
            // Only size, place and colours are its business.
            let from =
                VideoInfo::builder(shot.info.format(), shot.info.width(), shot.info.height())
                    .colorimetry(&shot.info.colorimetry())
                    .fps(info.fps());
            let from = from.build().ok()?;
            let brush = Brush {
                from: (shot.info.clone(), seen),
                to,
                converter: VideoConverter::new(&from, info, Some(config)).ok()?,
            };
            self.brushes.insert(port, brush);
        }
        self.brushes.get(&port).map(|brush| &brush.converter)
    }
}

/// The largest rectangle of this shape in the middle of another.
fn fit(rect: Rect, size: Size) -> Rect {
    let (width, height) = (i64::from(size.0), i64::from(size.1));
    let (width, height) = if rect.width * height <= rect.height * width {
        (rect.width, rect.width * height / width)
    } else {
        (rect.height * width / height, rect.height)
    };
    let (width, height) = (width & !1, height & !1);
    Rect {
        x: (rect.x + (rect.width - width) / 2) & !1,
        y: (rect.y + (rect.height - height) / 2) & !1,
        width,
        height,
    }
}

fn clip(rect: Rect, to: Rect) -> Rect {
    let (x, y) = (rect.x.max(to.x), rect.y.max(to.y));
    Rect {
        x,
        y,
        width: (rect.x + rect.width).min(to.x + to.width) - x,
        height: (rect.y + rect.height).min(to.y + to.height) - y,
    }
}

/// The part of a source that is seen when only a part of its place is.
fn seen(info: &VideoInfo, place: Rect, visible: Rect) -> Rect {
    let (width, height) = (i64::from(info.width()), i64::from(info.height()));
    let whole = Rect {
        x: 0,
        y: 0,
        width,
        height,
    };
    if place == visible {
        return whole;
    }
    let x = ((visible.x - place.x) * width / place.width.max(1)) & !1;
    let y = ((visible.y - place.y) * height / place.height.max(1)) & !1;
    let part = Rect {
        x,
        y,
        width: ((visible.width * width / place.width.max(1)) & !1).max(2),
        height: ((visible.height * height / place.height.max(1)) & !1).max(2),
    };
    clip(part, whole)
}

/// Fills an even rectangle of a 4:2:0 picture.
fn fill(canvas: &mut VideoFrameRef<&mut gst::BufferRef>, rect: Rect, colour: [u8; 3]) {
    if rect.width <= 0 || rect.height <= 0 {
        return;
    }
    let strides = canvas.info().stride().to_vec();
    for (plane, value) in (0..).zip(yuv(colour)) {
        let shrink = i64::from(plane > 0) + 1;
        let up = |side: i64| usize::try_from((side + shrink - 1) / shrink).unwrap_or(0);
        let stride = strides
            .get(plane as usize)
            .and_then(|stride| usize::try_from(*stride).ok());
        let (Some(stride), Ok(data)) = (stride, canvas.plane_data_mut(plane)) else {
            continue;
        };
        let (left, width) = (up(rect.x), up(rect.width));
        let rows = data.chunks_mut(stride.max(1));
        for row in rows.skip(up(rect.y)).take(up(rect.height)) {
            let end = (left + width).min(row.len());
            if let Some(part) = row.get_mut(left..end) {
                part.fill(value);
            }
        }
    }
}

/// By ITU-R BT.601, limited range.
fn yuv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(red), i32::from(green), i32::from(blue));
    let byte = |value: i32| u8::try_from((value + 128) >> 8).unwrap_or(u8::MAX);
    [
        byte(66 * r + 129 * g + 25 * b) + 16,
        byte(-38 * r - 74 * g + 112 * b + 128 * 256),
        byte(112 * r - 94 * g - 18 * b + 128 * 256),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rect(x: i64, y: i64, width: i64, height: i64) -> Rect {
        Rect {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn pictures_keep_their_shape_in_the_middle() {
        assert_eq!(
            fit(rect(0, 0, 400, 600), (320, 240)),
            rect(0, 150, 400, 300)
        );
        assert_eq!(
            fit(rect(100, 0, 600, 200), (640, 480)),
            rect(266, 0, 266, 200)
        );
    }

    #[test]
    fn what_is_outside_is_not_read() {
        let canvas = rect(0, 0, 640, 480);
        let place = rect(480, -120, 320, 240);
        let visible = clip(place, canvas);
        assert_eq!(visible, rect(480, 0, 160, 120));
        gst::init().unwrap();
        let info = VideoInfo::builder(VideoFormat::I420, 1280, 720).build();
        assert_eq!(seen(&info.unwrap(), place, visible), rect(0, 360, 640, 360));
    }

    #[test]
    fn colours_are_those_of_television() {
        assert_eq!(yuv([0; 3]), [16, 128, 128]);
        assert_eq!(yuv([255; 3]), [235, 128, 128]);
    }
}
