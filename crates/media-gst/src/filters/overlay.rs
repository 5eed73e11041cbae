//! Drawing pictures over video.

use super::picture::Loaded;
use crate::line::Line;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{
    VideoInfo, VideoOverlayComposition, VideoOverlayFormatFlags, VideoOverlayRectangle,
};

/// The element that draws, as a piece of pipeline.
pub(super) const OVERLAY: &str = "overlaycomposition name=overlay";

/// Where a picture goes, in pixels of the frame. May reach over its edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Area {
    /// One pixel.
    const CORNER: Self = Self {
        x: 0,
        y: 0,
        width: 1,
        height: 1,
    };

    /// From shares of something that is at a place in the frame and has a size; none for what is too small to be seen,
    /// or absurdly large.
    pub(super) fn within(
        origin: (f64, f64),
        size: (f64, f64),
        place: salono_media_api::processing::Place,
    ) -> Option<Self> {
        const LARGEST: f64 = 16_384.0;
        let round = |value: f64| (value.abs() <= LARGEST).then(|| value.round() as i32);
        let length = |value: f64| round(value).and_then(|it| u32::try_from(it).ok());
        Some(Self {
            x: round(origin.0 + place.x * size.0)?,
            y: round(origin.1 + place.y * size.1)?,
            width: length(place.width * size.0).filter(|width| *width > 0)?,
            height: length(place.height * size.1).filter(|height| *height > 0)?,
        })
    }

    /// The largest area of these proportions in this one, in its middle or upper left corner.
    pub(super) fn fit(self, (width, height): (u32, u32), center: bool) -> Self {
        let scale = (f64::from(self.width) / f64::from(width.max(1)))
            .min(f64::from(self.height) / f64::from(height.max(1)));
        let length = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        let (width, height) = (length(width), length(height));
        let margin = |outer: u32, inner: u32| {
            if center {
                (outer.saturating_sub(inner) / 2).cast_signed()
            } else {
                0
            }
        };
        Self {
            x: self.x + margin(self.width, width),
            y: self.y + margin(self.height, height),
            width,
            height,
        }
    }
}

/// Asks for each frame what to draw, in the thread of the pictures.
pub(super) fn draw(
    line: &Line,
    what: impl Fn((u32, u32)) -> Vec<(Loaded, Area)> + Send + Sync + 'static,
) {
    let Some(overlay) = line.element("overlay") else {
        return;
    };
    let nothing = Loaded::transparent().map(|pixel| (pixel, Area::CORNER));
    overlay.connect("draw", false, move |arguments| {
        let sample = arguments.get(1).and_then(|it| it.get::<gst::Sample>().ok());
        let size = sample.as_ref().and_then(frame_size);
        let mut drawn = size.map(&what).unwrap_or_default();
        if drawn.is_empty() {
            // The element complains of frames that it has nothing at all for.
            drawn.extend(nothing.clone());
        }
        let rectangles = drawn.iter().map(|(picture, area)| {
            VideoOverlayRectangle::new_raw(
                &picture.pixels,
                area.x,
                area.y,
                area.width,
                area.height,
                VideoOverlayFormatFlags::empty(),
            )
        });
        let rectangles: Vec<_> = rectangles.collect();
        let composition = VideoOverlayComposition::new(&rectangles).ok();
        Some(composition.to_value())
    });
}

fn frame_size(sample: &gst::Sample) -> Option<(u32, u32)> {
    let info = VideoInfo::from_caps(sample.caps()?).ok()?;
    Some((info.width(), info.height()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use salono_media_api::processing::Place;

    #[test]
    fn places_are_shares_and_may_reach_over_the_edge() {
        let place = Place {
            x: -0.25,
            y: 0.5,
            width: 1.5,
            height: 0.1,
        };
        let area = Area::within((100.0, 10.0), (40.0, 20.0), place).unwrap();
        let expected = Area {
            x: 90,
            y: 20,
            width: 60,
            height: 2,
        };
        assert_eq!(area, expected);
        for width in [0.0, -1.0, f64::NAN, 1e9] {
            assert_eq!(
                Area::within((0.0, 0.0), (40.0, 20.0), Place { width, ..place }),
                None
            );
        }
    }

    #[test]
    fn proportions_are_kept_in_the_middle_or_the_corner() {
        let area = Area {
            x: 10,
            y: 10,
            width: 100,
            height: 100,
        };
        let middle = area.fit((200, 100), true);
        assert_eq!(
            (middle.x, middle.y, middle.width, middle.height),
            (10, 35, 100, 50)
        );
        let corner = area.fit((200, 100), false);
        assert_eq!((corner.x, corner.y), (10, 10));
    }
}
