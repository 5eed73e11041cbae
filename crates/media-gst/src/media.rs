//! The media of one kind of one origin, in every form that somebody wants it in.
//!
//! There is the native form that its publisher brings; a raw form, decoded once for all who want it;
//! and encoded forms, one encoder per [`Class`] for all who want that. Decoder and encoders are there while
//! somebody takes from them. Takers keep their [`Supply`] whatever happens before it: a change
//! of the native format, another framerate, a codec that failed.
//!
//! Making and changing is done by the control thread, publishing by any.

mod stage;

use stage::{Count, Plant, Stage};

use crate::codec::{Codec, Format};
use crate::element::{Owner, default_encoding};
use crate::encoding::{Class, RateUnit, Recipe};
use crate::host::Host;
use crate::inbox::Note;
use crate::line::{Line, LineError, Out};
use crate::stream::{Entry, Item, Stream, Tap, to_running_time};
use gstreamer as gst;
use gstreamer::prelude::*;
use salono_media_api::processing::Encoding;
use salono_media_api::processing::bridge::Origin;
use salono_media_api::{Bitrate, MediaKind};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Raw buffers that wait for an encoder or a filter: about 600 ms of either kind.
pub const RAW_ENTRY: &str = "appsrc name=in format=time is-live=true block=false \
     leaky-type=downstream max-buffers=30 max-bytes=0 max-time=600000000";

/// Encoded buffers that wait.
pub const ENCODED_ENTRY: &str = "appsrc name=in format=time is-live=true block=false \
     leaky-type=downstream max-buffers=600 max-bytes=8000000 max-time=0";

/// Where a line hands out.
pub const EXIT: &str =
    "appsink name=out sync=false async=false emit-signals=false enable-last-sample=false qos=false";

/// Media of one kind of one origin; clones are the same one.
#[derive(Clone)]
pub struct Media {
    inner: Arc<Inner>,
}

struct Inner {
    host: Host,
    origin: Origin,
    kind: MediaKind,
    native: Stream,
    known: Mutex<Known>,
    stages: Mutex<Stages>,
}

/// What is known of the native form.
#[derive(Default)]
struct Known {
    caps: Option<gst::Caps>,
    format: Option<Format>,
}

struct Stages {
    decoder: Weak<Stage>,
    encoders: BTreeMap<Class, Weak<Stage>>,
    encoding: Encoding,
    /// By codec and receiver.
    estimates: BTreeMap<(Codec, u32), Bitrate>,
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media")
            .field("origin", &self.inner.origin)
            .field("kind", &self.inner.kind)
            .field("format", &self.format())
            .finish_non_exhaustive()
    }
}

impl Media {
    /// Without anything published as yet.
    pub fn new(host: &Host, origin: Origin, kind: MediaKind) -> Self {
        Self {
            inner: Arc::new(Inner {
                host: host.clone(),
                origin,
                kind,
                native: Stream::new(),
                known: Mutex::default(),
                stages: Mutex::new(Stages {
                    decoder: Weak::new(),
                    encoders: BTreeMap::new(),
                    encoding: default_encoding(),
                    estimates: BTreeMap::new(),
                }),
            }),
        }
    }

    /// Where it begins.
    pub fn origin(&self) -> Origin {
        self.inner.origin
    }

    /// Sound or pictures.
    pub fn kind(&self) -> MediaKind {
        self.inner.kind
    }

    /// As its publisher brings it. Publish with [`publish`](Self::publish), not into this.
    pub fn native(&self) -> &Stream {
        &self.inner.native
    }

    /// What its publisher brings; `None` before anything came.
    pub fn format(&self) -> Option<Format> {
        self.known().format
    }

    /// Publishes a buffer, from any thread. Its timestamp is in running time.
    pub fn publish(&self, caps: &gst::Caps, buffer: &gst::Buffer) {
        self.announce(caps);
        self.inner.native.publish(caps, buffer);
    }

    /// Publishes what an exit of a line handed out.
    pub fn publish_sample(&self, sample: &gst::Sample) {
        if let Some((caps, buffer)) = to_running_time(sample) {
            self.publish(&caps, &buffer);
        }
    }

    /// Says which codec will be published, before its caps are known, so that takers are there for the first buffer.
    pub fn expect(&self, codec: Codec) {
        let mut known = self.known();
        let format = Some(Format::Encoded(codec));
        if std::mem::replace(&mut known.format, format) == format {
            return;
        }
        known.caps = None;
        drop(known);
        self.inner.native.begin();
        let note = Note::Format(self.inner.origin, self.inner.kind);
        self.inner.host.inbox().note(note);
    }

    /// Says what will be published, before it is.
    pub fn announce(&self, caps: &gst::Caps) {
        let mut known = self.known();
        if known.caps.as_ref() == Some(caps) {
            return;
        }
        known.caps = Some(caps.clone());
        let format = Format::of_caps(caps);
        let changed = format.is_some() && known.format != format;
        if changed {
            known.format = format;
        }
        drop(known);
        if changed {
            self.inner.native.begin();
            let note = Note::Format(self.inner.origin, self.inner.kind);
            self.inner.host.inbox().note(note);
        }
    }

    /// Takes the native form.
    pub fn take_native(&self, take: impl FnMut(Item<'_>) + Send + 'static) -> Option<Supply> {
        let tap = self.inner.native.take(take)?;
        Some(Supply {
            _tap: tap,
            stage: None,
        })
    }

    /// Takes it decoded. Nothing comes while there is no decoder for what is published.
    pub fn take_raw(&self, take: impl FnMut(Item<'_>) + Send + 'static) -> Option<Supply> {
        let (stage, is_new) = self.decoder();
        let supply = self.take_stage(&stage, take);
        // Only now, so that its first buffer is not missed.
        if is_new {
            self.build_decoder(&stage);
        }
        supply
    }

    /// Takes it encoded for this class, by an encoder, also when the native form has that codec. `None` when the codec cannot be
    /// made here.
    pub fn take_encoded(
        &self,
        class: Class,
        take: impl FnMut(Item<'_>) + Send + 'static,
    ) -> Option<Supply> {
        let (encoder, is_new) = self.encoder(class)?;
        let supply = self.take_stage(&encoder, take);
        if is_new {
            self.build_encoder(&encoder, class);
        }
        supply
    }

    /// Asks for a keyframe of what a supply (or the native form) brings.
    pub fn want_keyframe(&self, supply: Option<&Supply>) {
        match supply.and_then(|supply| supply.stage.as_ref()) {
            Some(stage) => stage.output.want_keyframe(),
            None => self.inner.native.want_keyframe(),
        }
    }

    /// Sets how it is encoded from now on.
    pub fn set_encoding(&self, encoding: Encoding) {
        let mut stages = self.stages();
        let pace = |encoding: &Encoding| encoding.video.as_ref().map(|form| form.framerate);
        let rebuild = pace(&stages.encoding) != pace(&encoding);
        stages.encoding = encoding;
        drop(stages);
        for (class, stage) in self.encoders() {
            if rebuild {
                stage.failures().clear();
                self.build_encoder(&stage, class);
            } else {
                self.apply_rate(&stage, class);
            }
        }
    }

    /// How it is encoded.
    pub fn encoding(&self) -> Encoding {
        self.stages().encoding.clone()
    }

    /// Sets what a receiver of a codec can take; `None` when it no longer says. The least of all holds.
    pub fn set_estimate(&self, codec: Codec, receiver: u32, estimate: Option<Bitrate>) {
        let mut stages = self.stages();
        let before = match estimate {
            Some(estimate) => stages.estimates.insert((codec, receiver), estimate),
            None => stages.estimates.remove(&(codec, receiver)),
        };
        drop(stages);
        if before == estimate {
            return;
        }
        for (class, stage) in self.encoders() {
            if class.codec == codec {
                self.apply_rate(&stage, class);
            }
        }
    }

    /// The rate that a class is encoded with, in bits per second.
    pub fn bitrate(&self, class: Class) -> Bitrate {
        let stages = self.stages();
        let estimates = stages.estimates.iter();
        let of_codec = estimates.filter(|((codec, _), _)| *codec == class.codec);
        let estimate = of_codec.map(|(_, estimate)| *estimate).min();
        Bitrate::bps(class.bitrate(&stages.encoding, estimate))
    }

    /// The native format changed: what is made from it is made anew.
    pub(crate) fn reformat(&self) {
        let decoder = self.stages().decoder.upgrade();
        if let Some(decoder) = decoder {
            decoder.failures().clear();
            self.build_decoder(&decoder);
        }
    }

    /// Everybody has been told of a new native format, and takes by now what there is to take.
    pub(crate) fn settle(&self) {
        self.inner.native.begun();
        let decoder = self.stages().decoder.upgrade();
        let encoders = self.encoders();
        let encoders = encoders.iter().map(|(_, stage)| stage);
        for stage in decoder.iter().chain(encoders) {
            stage.output.begun();
        }
    }

    /// A decoder or encoder posted something. Those that fail are made anew.
    pub(crate) fn bus(&self, message: &gst::Message) {
        if message.type_() != gst::MessageType::Error {
            return;
        }
        let decoder = self.stages().decoder.upgrade();
        if let Some(decoder) = decoder
            && decoder.posted(message)
            && decoder.failures().again()
        {
            self.build_decoder(&decoder);
        }
        for (class, stage) in self.encoders() {
            if stage.posted(message) && stage.failures().again() {
                self.build_encoder(&stage, class);
            }
        }
    }

    fn take_stage(
        &self,
        stage: &Arc<Stage>,
        take: impl FnMut(Item<'_>) + Send + 'static,
    ) -> Option<Supply> {
        let tap = stage.output.take(take)?;
        Some(Supply {
            _tap: tap,
            stage: Some(Arc::clone(stage)),
        })
    }

    /// The stage of the decoder, and whether it is new and has to be built.
    fn decoder(&self) -> (Arc<Stage>, bool) {
        let mut stages = self.stages();
        if let Some(stage) = stages.decoder.upgrade() {
            return (stage, false);
        }
        let stage = self.stage();
        stages.decoder = Arc::downgrade(&stage);
        (stage, true)
    }

    /// The stage of an encoder, and whether it is new and has to be built. `None` when it cannot be.
    fn encoder(&self, class: Class) -> Option<(Arc<Stage>, bool)> {
        let mut stages = self.stages();
        stages.encoders.retain(|_, stage| stage.strong_count() > 0);
        if let Some(stage) = stages.encoders.get(&class).and_then(Weak::upgrade) {
            return Some((stage, false));
        }
        class.recipe(&stages.encoding)?;
        let stage = self.stage();
        stages.encoders.insert(class, Arc::downgrade(&stage));
        Some((stage, true))
    }

    /// A stage whose output begins if the native form does.
    fn stage(&self) -> Arc<Stage> {
        let stage = Arc::new(Stage::default());
        if self.inner.native.begins() {
            stage.output.begin();
        }
        stage
    }

    /// Makes what fills the raw form: nothing but a tap where the native form is raw.
    fn build_decoder(&self, stage: &Arc<Stage>) {
        // The old one ends first, so that there never are two.
        stage.put(None);
        let plant = match self.format() {
            None => return,
            Some(Format::Raw) => {
                let output = stage.output.clone();
                let feed = self.take_native(move |item| match item {
                    Item::Buffer { caps, buffer } => output.publish(caps, buffer),
                    Item::End => output.end(),
                });
                feed.map(|feed| Plant {
                    line: None,
                    rate: None,
                    _count: None,
                    _feed: Box::new(feed),
                })
            }
            Some(Format::Encoded(codec)) => self.start_decoder(stage, codec),
        };
        stage.put(plant);
    }

    fn start_decoder(&self, stage: &Arc<Stage>, codec: Codec) -> Option<Plant> {
        let Some(decode) = codec.decoder() else {
            eprintln!("no decoder for {} is installed", codec.name());
            return None;
        };
        let text = format!("{ENCODED_ENTRY} ! {decode} ! {EXIT}");
        let line = self.start(stage, &text);
        let line = line
            .inspect_err(|error| eprintln!("{} decoder: {error}", codec.name()))
            .ok()?;
        let mut entry = Entry::new(line.entry("in"));
        let feed = self.take_native(move |item| entry.put(item))?;
        // A decoder that lost its thread asks its input for a keyframe by itself.
        let native = self.inner.native.clone();
        watch_keyframe_wishes(&line.entry("in"), move || native.want_keyframe());
        Some(Plant {
            line: Some(line),
            rate: None,
            _count: Some(Count::new(&self.inner.host, false)),
            _feed: Box::new(feed),
        })
    }

    fn build_encoder(&self, stage: &Arc<Stage>, class: Class) {
        stage.put(None);
        let recipe = class.recipe(&self.stages().encoding);
        let Some(recipe) = recipe else {
            return;
        };
        match self.start_encoder(stage, &recipe) {
            Ok(plant) => stage.put(plant),
            Err(error) => eprintln!("{} encoder: {error}", class.codec.name()),
        }
        self.apply_rate(stage, class);
    }

    fn start_encoder(
        &self,
        stage: &Arc<Stage>,
        recipe: &Recipe,
    ) -> Result<Option<Plant>, LineError> {
        let text = format!("{RAW_ENTRY} ! {} ! {EXIT}", recipe.text);
        let line = self.start(stage, &text)?;
        let mut entry = Entry::new(line.entry("in"));
        let crop = line.element("crop").filter(|_| recipe.even);
        let paced = recipe.paced;
        let mut known: Option<(gst::Caps, gst::Caps)> = None;
        let feed = self.take_raw(move |item| {
            let Item::Buffer { caps, buffer } = item else {
                return;
            };
            let caps = match &known {
                Some((before, told)) if before == caps => told,
                Some(_) | None => {
                    if let Some(crop) = &crop {
                        make_even(crop, caps);
                    }
                    let told = if paced { pace(caps) } else { caps.clone() };
                    &known.insert((caps.clone(), told)).1
                }
            };
            entry.put(Item::Buffer { caps, buffer });
        });
        // Weakly: the exit holds the stream, by what it does with its buffers.
        let exit = line.element("out").map(|exit| exit.downgrade());
        stage.output.on_keyframe_wish(move || {
            if let Some(exit) = exit.as_ref().and_then(gst::glib::WeakRef::upgrade) {
                let event = gstreamer_video::UpstreamForceKeyUnitEvent::builder()
                    .all_headers(true)
                    .build();
                exit.send_event(event);
            }
        });
        Ok(feed.map(|feed| Plant {
            rate: recipe
                .rate
                .and_then(|(property, unit)| Some((line.element("encoder")?, property, unit))),
            line: Some(line),
            _count: Some(Count::new(&self.inner.host, true)),
            _feed: Box::new(feed),
        }))
    }

    fn start(&self, stage: &Arc<Stage>, text: &str) -> Result<Line, LineError> {
        let owner = Owner::Codec(self.inner.origin, self.inner.kind);
        let line = Line::parse(&self.inner.host, owner, text)?;
        let output = stage.output.clone();
        line.on_out("out", move |out| match out {
            Out::Sample(sample) => {
                if let Some((caps, buffer)) = to_running_time(&sample) {
                    output.publish(&caps, &buffer);
                }
            }
            Out::End => output.end(),
        });
        line.play()?;
        Ok(line)
    }

    fn apply_rate(&self, stage: &Arc<Stage>, class: Class) {
        let bitrate = self.bitrate(class).as_bps();
        let plant = stage.lock();
        let Some((encoder, property, unit)) = plant.as_ref().and_then(|plant| plant.rate.as_ref())
        else {
            return;
        };
        let value = match unit {
            RateUnit::Bps => bitrate,
            RateUnit::Kbps => bitrate / 1_000,
        };
        // Properties of encoders have all kinds of integer types, which text fits all.
        encoder.set_property_from_str(property, &value.to_string());
    }

    fn encoders(&self) -> Vec<(Class, Arc<Stage>)> {
        let stages = self.stages();
        let alive = stages.encoders.iter();
        alive
            .filter_map(|(class, stage)| Some((*class, stage.upgrade()?)))
            .collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn stages(&self) -> MutexGuard<'_, Stages> {
        self.inner
            .stages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Taking media in some form; ends, with the decoder and encoder that nobody else needs, when it is dropped.
#[must_use = "taking ends when it is dropped"]
pub struct Supply {
    // Dropped before the stage that it takes from.
    _tap: Tap,
    stage: Option<Arc<Stage>>,
}

impl fmt::Debug for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supply")
            .field("made", &self.stage.is_some())
            .finish()
    }
}

/// Takes a column and a row off where 4:2:0 pictures must be even.
fn make_even(crop: &gst::Element, caps: &gst::Caps) {
    let odd = |name: &str| {
        let size = caps
            .structure(0)
            .and_then(|fields| fields.get::<i32>(name).ok());
        size.is_some_and(|size| size % 2 == 1)
    };
    crop.set_property("right", i32::from(odd("width")));
    crop.set_property("bottom", i32::from(odd("height")));
}

/// Caps with a framerate, the usual one where none is known.
fn pace(caps: &gst::Caps) -> gst::Caps {
    let mut caps = caps.clone();
    let fields = caps.structure(0);
    let rate = fields.and_then(|fields| fields.get::<gst::Fraction>("framerate").ok());
    if rate.is_none_or(|rate| rate.numer() <= 0) {
        let usual = gst::Fraction::new(30, 1);
        caps.make_mut().set("framerate", usual);
    }
    caps
}

/// Sees when a line asks its source for a keyframe.
pub(crate) fn watch_keyframe_wishes(
    source: &gstreamer_app::AppSrc,
    wish: impl Fn() + Send + Sync + 'static,
) {
    if let Some(pad) = source.static_pad("src") {
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if let Some(event) = info.event()
                && gstreamer_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
            {
                wish();
            }
            gst::PadProbeReturn::Ok
        });
    }
}
