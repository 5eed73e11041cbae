//! Hubs that work on media: `Composite`, `AlphaBlending`, and the sound of `Mixer`.
//!
//! Such a hub is an element of the media engine without connections of its own; its ports are elements
//! that know it.

use crate::{
    Config, ObjectModel,
    call::{Asked, Call, Outcome, Then},
    hub::{Hub, HubKind},
};
use salono_kurento_model::{Error, ErrorCode, Map, Value};
use salono_media_api::{
    ElementKey, ElementSpec,
    processing::{CompositeSpec, Place, ProcessorCall, ProcessorSpec},
};

/// Sizes of a composite, in pixels.
const SIZES: std::ops::RangeInclusive<u16> = 16..=4_096;
/// Its frames per second.
const FRAMERATES: std::ops::RangeInclusive<u16> = 1..=60;
/// Longest side of a port's rectangle, in canvases.
const MAX_SIDE: f64 = 16.0;

/// What the engine makes a hub from; `None` where it needs none.
///
/// # Errors
/// When a parameter has a value that is refused.
pub(crate) fn spec(
    hub: &Hub,
    given: Option<&Value>,
    params: &Map<String, Value>,
    config: &Config,
) -> Result<Option<ElementSpec>, Error> {
    let spec = match hub.kind {
        HubKind::Dispatcher | HubKind::OneToMany { .. } => return Ok(None),
        HubKind::Mixer { .. } => ProcessorSpec::Mixer,
        HubKind::AlphaBlending => ProcessorSpec::AlphaBlending,
        HubKind::Composite => {
            let defaults = &config.uris;
            // The descriptor's defaults are not the configured ones.
            let given = |name: &str| {
                let is_given = given.is_some_and(|given| given.get(name).is_some());
                params.get(name).filter(|_| is_given)
            };
            let size = |name, default| number(given(name), name, default, SIZES);
            ProcessorSpec::Composite(CompositeSpec {
                width: size("width", defaults.composite_width)?,
                height: size("height", defaults.composite_height)?,
                framerate: number(
                    given("framerate"),
                    "framerate",
                    defaults.composite_framerate,
                    FRAMERATES,
                )?,
            })
        }
    };
    Ok(Some(ElementSpec::Processor(Box::new(spec))))
}

/// A constructor parameter; absent and 0 mean the configured one.
fn number(
    given: Option<&Value>,
    name: &str,
    default: u16,
    range: std::ops::RangeInclusive<u16>,
) -> Result<u16, Error> {
    let given = given.and_then(Value::as_i64).filter(|number| *number != 0);
    let Some(given) = given else {
        return Ok(default);
    };
    let number = u16::try_from(given).ok();
    number.filter(|it| range.contains(it)).ok_or_else(|| {
        let (least, most) = range.into_inner();
        Error::new(
            ErrorCode::MediaObjectIllegalParam,
            format!("'{name}' is out of range: {least} to {most}"),
        )
    })
}

impl ObjectModel {
    /// What the engine makes a port of a hub from.
    pub(crate) fn port_spec(&self, hub: u64) -> ElementSpec {
        let kind = self.tree.get(hub).and_then(|object| object.hub());
        let Some(kind) = kind.filter(|hub| hub.mixes()).map(|hub| hub.kind) else {
            return ElementSpec::HubPort;
        };
        ElementSpec::Processor(Box::new(ProcessorSpec::Port {
            hub: ElementKey(hub),
            switches_video: matches!(kind, HubKind::Mixer { .. }),
        }))
    }

    /// A mixer does without what mixes: it goes on as one that switches. False for whatever cannot.
    pub(crate) fn only_switches(&mut self, key: u64) -> bool {
        let hub = self.tree.get_mut(key).and_then(|object| object.hub_mut());
        let Some(HubKind::Mixer { mixes }) = hub.map(|hub| &mut hub.kind) else {
            return false;
        };
        *mixes = false;
        true
    }

    /// Lets one port of a mixer hear another, or no longer.
    pub(crate) fn hear(&mut self, hub: u64, source: u64, sink: u64, on: bool) -> Outcome {
        let object = self.tree.get_mut(hub);
        let changed = object
            .and_then(|object| object.hub_mut())
            .is_some_and(|hub| {
                if on {
                    hub.heard.insert((sink, source))
                } else {
                    hub.heard.remove(&(sink, source))
                }
            });
        if !changed {
            return Outcome::VOID;
        }
        let request = ProcessorCall::MixAudio {
            source: ElementKey(source),
            sink: ElementKey(sink),
            on,
        };
        self.ask_processor(hub, request, Then::Processed(Asked::Success))
    }

    pub(crate) fn set_master(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let port = self.port(call, "source", "The master is not a port of this hub")?;
        let request = ProcessorCall::SetMaster {
            port: ElementKey(port),
            z_order: call.int("zOrder").unwrap_or_default(),
        };
        Ok(self.ask_processor(call.object, request, Then::Processed(Asked::Success)))
    }

    pub(crate) fn place_port(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let port = self.port(call, "port", "The port is not one of this hub")?;
        let place = Place {
            x: call.float("relativeX"),
            y: call.float("relativeY"),
            width: call.float("relativeWidth"),
            height: call.float("relativeHeight"),
        };
        check_place(&place)?;
        let request = ProcessorCall::SetPort {
            port: ElementKey(port),
            place,
            z_order: call.int("zOrder").unwrap_or_default(),
        };
        Ok(self.ask_processor(call.object, request, Then::Processed(Asked::Success)))
    }
}

/// # Errors
/// When a rectangle is nowhere near the canvas, or has no size.
pub(crate) fn check_place(place: &Place) -> Result<(), Error> {
    let is_near = |at: f64| (-MAX_SIDE..=MAX_SIDE).contains(&at);
    let is_side = |side: f64| side > 0.0 && side <= MAX_SIDE;
    if is_near(place.x) && is_near(place.y) && is_side(place.width) && is_side(place.height) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::MediaObjectIllegalParam,
        format!("The rectangle is out of range: sides are above 0 and at most {MAX_SIDE} canvases"),
    ))
}
