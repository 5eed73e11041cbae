//! The element.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

glib::wrapper! {
    /// Looks for a colour, and draws a box around it.
    pub struct ColourDetector(ObjectSubclass<imp::ColourDetector>)
        @extends gstreamer_video::VideoFilter, gstreamer_base::BaseTransform, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    let kind = ColourDetector::static_type();
    gst::Element::register(Some(plugin), "colourdetector", gst::Rank::NONE, kind)
}

mod imp {
    use gstreamer as gst;
    use gstreamer::glib;
    use gstreamer::glib::subclass::Signal;
    use gstreamer::prelude::*;
    use gstreamer::subclass::prelude::*;
    use gstreamer_base::subclass::BaseTransformMode;
    use gstreamer_base::subclass::prelude::*;
    use gstreamer_video::prelude::*;
    use gstreamer_video::subclass::prelude::*;
    use gstreamer_video::{VideoCapsBuilder, VideoFormat, VideoFrameRef};
    use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

    /// The colour that is looked for at first.
    const RED: [u8; 3] = [255, 0, 0];

    /// Pictures between two looks that agree, before that is told.
    const SURE: u32 = 3;

    /// What clients set.
    #[derive(Debug, Clone)]
    struct Settings {
        colour: [u8; 3],
        /// Most difference of any part of a colour.
        tolerance: u32,
        /// Least share of the picture.
        least_share: f64,
        /// Where to look: x, y, width and height in shares of the picture.
        region: [f64; 4],
    }

    impl Default for Settings {
        fn default() -> Self {
            Self {
                colour: RED,
                tolerance: 70,
                least_share: 0.01,
                region: [0.0, 0.0, 1.0, 1.0],
            }
        }
    }

    /// What was seen so far.
    #[derive(Debug, Default)]
    struct Seen {
        is_there: bool,
        /// Looks in a row that say otherwise.
        doubts: u32,
        times: u32,
    }

    /// What one look has found: a box of pixels, and the share of the picture.
    #[derive(Debug, Clone, Copy)]
    struct Found {
        left: usize,
        top: usize,
        right: usize,
        bottom: usize,
        share: f64,
    }

    /// The element's state.
    #[derive(Debug, Default)]
    pub struct ColourDetector {
        settings: Mutex<Settings>,
        seen: Mutex<Seen>,
    }

    impl ColourDetector {
        fn settings(&self) -> MutexGuard<'_, Settings> {
            self.settings.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn seen(&self) -> MutexGuard<'_, Seen> {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Tells when the colour comes and goes.
        fn tell(&self, found: Option<(Found, (f64, f64))>) {
            let mut seen = self.seen();
            if found.is_some() == seen.is_there {
                seen.doubts = 0;
                return;
            }
            seen.doubts += 1;
            if seen.doubts < SURE {
                return;
            }
            seen.doubts = 0;
            seen.is_there = found.is_some();
            seen.times += u32::from(seen.is_there);
            // Whoever hears it may ask the element something.
            drop(seen);
            match found {
                None => self.obj().emit_by_name::<()>("colour-lost", &[]),
                Some((found, (width, height))) => {
                    let region = gst::Structure::builder("region")
                        .field("x", found.left as f64 / width)
                        .field("y", found.top as f64 / height)
                        .field("width", (found.right - found.left) as f64 / width)
                        .field("height", (found.bottom - found.top) as f64 / height)
                        .build();
                    self.obj()
                        .emit_by_name::<()>("colour-detected", &[&found.share, &region]);
                }
            }
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for ColourDetector {
        const NAME: &'static str = "SalonoColourDetector";
        type Type = super::ColourDetector;
        type ParentType = gstreamer_video::VideoFilter;
    }

    impl ObjectImpl for ColourDetector {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecString::builder("colour")
                        .nick("Colour")
                        .blurb("What is looked for, as #rrggbb")
                        .build(),
                    glib::ParamSpecUInt::builder("tolerance")
                        .nick("Tolerance")
                        .blurb("Most difference of any part of a colour")
                        .maximum(255)
                        .default_value(70)
                        .build(),
                    glib::ParamSpecDouble::builder("least-share")
                        .nick("Least share")
                        .blurb("Share of the picture from which on the colour counts as there")
                        .maximum(1.0)
                        .default_value(0.01)
                        .build(),
                    glib::ParamSpecBoxed::builder::<gst::Structure>("region")
                        .nick("Region")
                        .blurb("Where to look: x, y, width and height, in shares of the picture")
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn signals() -> &'static [Signal] {
            static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
                vec![
                    Signal::builder("colour-detected")
                        .param_types([f64::static_type(), gst::Structure::static_type()])
                        .build(),
                    Signal::builder("colour-lost").build(),
                    // A method: how often the colour came.
                    Signal::builder("count")
                        .return_type::<i32>()
                        .action()
                        .class_handler(|arguments| {
                            let element = arguments[0].get::<super::ColourDetector>().ok()?;
                            let times = element.imp().seen().times;
                            Some(i32::try_from(times).unwrap_or(i32::MAX).to_value())
                        })
                        .build(),
                    // And one that forgets it.
                    Signal::builder("reset")
                        .action()
                        .class_handler(|arguments| {
                            let element = arguments[0].get::<super::ColourDetector>().ok()?;
                            *element.imp().seen() = Seen::default();
                            None
                        })
                        .build(),
                ]
            });
            &SIGNALS
        }

        fn set_property(&self, _id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
            let mut settings = self.settings();
            match spec.name() {
                "colour" => {
                    let text = value.get::<Option<String>>().ok().flatten();
                    settings.colour = text.and_then(|text| colour(&text)).unwrap_or(RED);
                }
                "tolerance" => settings.tolerance = value.get().unwrap_or(70),
                "least-share" => settings.least_share = value.get().unwrap_or(0.01),
                "region" => {
                    let region = value.get::<Option<gst::Structure>>().ok().flatten();
                    settings.region = region.map_or([0.0, 0.0, 1.0, 1.0], |region| {
                        ["x", "y", "width", "height"].map(|side| number(&region, side))
                    });
                }
                _ => {}
            }
        }

        fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
            let settings = self.settings();
            match spec.name() {
                "colour" => {
                    let [red, green, blue] = settings.colour;
                    format!("#{red:02x}{green:02x}{blue:02x}").to_value()
                }
                "tolerance" => settings.tolerance.to_value(),
                "least-share" => settings.least_share.to_value(),
                _ => {
                    let [x, y, width, height] = settings.region;
                    let region = gst::Structure::builder("region")
                        .field("x", x)
                        .field("y", y);
                    let region = region.field("width", width).field("height", height);
                    region.build().to_value()
                }
            }
        }
    }

    impl GstObjectImpl for ColourDetector {}

    impl ElementImpl for ColourDetector {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Colour detector",
                    "Filter/Analyzer/Video",
                    "Looks for a colour and tells where it is",
                    "Salono",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                // Four bytes a pixel, so that rows have no padding.
                let caps = VideoCapsBuilder::new().format(VideoFormat::Rgbx).build();
                let pads = [
                    ("src", gst::PadDirection::Src),
                    ("sink", gst::PadDirection::Sink),
                ];
                let template = |(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                };
                pads.into_iter()
                    .filter_map(|pad| template(pad).ok())
                    .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for ColourDetector {
        const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;
    }

    impl VideoFilterImpl for ColourDetector {
        fn transform_frame_ip(
            &self,
            frame: &mut VideoFrameRef<&mut gst::BufferRef>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let settings = self.settings().clone();
            let (width, height) = (frame.width() as usize, frame.height() as usize);
            let pixels = frame.plane_data_mut(0).map_err(|_| gst::FlowError::Error)?;
            let found = look(pixels, width, height, &settings);
            if let Some(found) = found {
                draw(pixels, width, found);
            }
            self.tell(found.map(|found| (found, (width as f64, height as f64))));
            Ok(gst::FlowSuccess::Ok)
        }
    }

    /// Finds the colour in the region.
    fn look(pixels: &[u8], width: usize, height: usize, settings: &Settings) -> Option<Found> {
        let [x, y, w, h] = settings.region.map(|share| share.clamp(0.0, 1.0));
        let across = |share: f64| (share * width as f64) as usize;
        let down = |share: f64| (share * height as f64) as usize;
        let (columns, rows) = (
            across(x)..across((x + w).min(1.0)),
            down(y)..down((y + h).min(1.0)),
        );
        let mut found: Option<Found> = None;
        let mut count = 0_u32;
        for row in rows {
            for column in columns.clone() {
                let at = (row * width + column) * 4;
                let is_it = pixels.get(at..at + 3).is_some_and(|pixel| {
                    let mut parts = pixel.iter().zip(settings.colour);
                    parts.all(|(part, wanted)| {
                        u32::from(part.abs_diff(wanted)) <= settings.tolerance
                    })
                });
                if !is_it {
                    continue;
                }
                count += 1;
                let found = found.get_or_insert(Found {
                    left: column,
                    top: row,
                    right: column,
                    bottom: row,
                    share: 0.0,
                });
                found.left = found.left.min(column);
                found.right = found.right.max(column);
                found.bottom = row;
            }
        }
        let share = f64::from(count) / (width * height).max(1) as f64;
        found
            .filter(|_| share >= settings.least_share)
            .map(|found| Found { share, ..found })
    }

    /// A white box, two pixels thick.
    fn draw(pixels: &mut [u8], width: usize, found: Found) {
        let mut dot = |x: usize, y: usize| {
            if let Some(pixel) = pixels.get_mut((y * width + x) * 4..(y * width + x) * 4 + 3) {
                pixel.fill(255);
            }
        };
        for x in found.left..=found.right {
            for y in [
                found.top,
                found.top + 1,
                found.bottom.saturating_sub(1),
                found.bottom,
            ] {
                dot(x, y);
            }
        }
        for y in found.top..=found.bottom {
            for x in [
                found.left,
                found.left + 1,
                found.right.saturating_sub(1),
                found.right,
            ] {
                dot(x, y);
            }
        }
    }

    /// Of `#rrggbb`.
    fn colour(text: &str) -> Option<[u8; 3]> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some([red, green, blue])
    }

    /// A member of a structure: whole numbers come as such.
    fn number(structure: &gst::Structure, name: &str) -> f64 {
        let whole = || structure.get::<i32>(name).map(f64::from);
        structure
            .get::<f64>(name)
            .or_else(|_| whole())
            .unwrap_or(0.0)
    }
}
