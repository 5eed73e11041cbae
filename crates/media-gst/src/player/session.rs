//! One run of a player or an upload: the pipeline that reads, takes apart, decodes and keeps time.
//!
//! What may wait for a network (changes of state, jumps) is done by a thread of the session, in order. Buffers leave the
//! pipeline when their time has come, also when nobody wants them.

use crate::codec::Format;
use crate::element::{Context, Owner};
use crate::host::Host;
use crate::line::{Line, LineError};
use crate::media::Media;
use crate::reports::Answer;
use crate::stream::to_running_time;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks, AppSrc};
use salono_media_api::processing::{ProcessorReply, Seekable};
use salono_media_api::{MediaError, MediaErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// How long a source may take until its beginning is known, before a jump is given up.
const PREROLL: gst::ClockTime = gst::ClockTime::from_seconds(15);

/// Frames that are not taken apart further when encoded streams are wanted.
const ENCODED: &str = "video/x-vp8;video/x-vp9;video/x-av1;video/x-h264;video/x-h265;audio/x-opus;\
     audio/x-mulaw;audio/x-alaw;audio/AMR;audio/mpeg,mpegversion=(int){2,4}";

const RAW: &str = "video/x-raw(ANY);audio/x-raw(ANY)";

/// Elements that read what the policy judges: addresses, or bytes that are put in.
const NETWORK_SOURCES: [&str; 7] = [
    "appsrc",
    "souphttpsrc",
    "rtspsrc",
    "udpsrc",
    "rtmpsrc",
    "rtmp2src",
    "srtsrc",
];

/// What is read.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A URI that the policy allows.
    Uri { uri: String, network_cache_ms: u32 },
    /// Bytes that are put in.
    Bytes,
}

/// Where the streams go.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    pub(crate) audio: Media,
    pub(crate) video: Media,
    pub(crate) encoded: bool,
}

/// A run; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    line: Line,
    orders: Sender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Kinds that have their stream; of several of a kind, the first is taken.
    taken: Mutex<Taken>,
    live: AtomicBool,
    /// The session was dropped: no order counts any more.
    ended: AtomicBool,
    flowed: AtomicBool,
    entry: Mutex<Option<AppSrc>>,
}

#[derive(Debug, Default)]
struct Taken {
    audio: bool,
    video: bool,
}

enum Order {
    State(gst::State),
    /// To milliseconds, once the beginning is known.
    Jump(u64, Option<Answer>),
    Latency,
}

/// Sent to the element when all streams are known and none can be played.
#[derive(Debug)]
pub(crate) struct NothingToPlay;

impl Session {
    /// Makes the pipeline, stopped.
    pub(crate) fn new(
        context: &Context,
        origin: &Origin,
        outputs: &Outputs,
    ) -> Result<Self, LineError> {
        let host = &context.host;
        let line = Line::with_own_time(host, Owner::Element(context.element));
        let shared = Arc::new(Shared::default());
        let source = gst::ElementFactory::make("uridecodebin");
        let source = source
            .build()
            .map_err(|error| LineError::Build(error.to_string()))?;
        let caps = if outputs.encoded {
            format!("{ENCODED};{RAW}")
        } else {
            RAW.to_owned()
        };
        source.set_property_from_str("caps", &caps);
        match origin {
            Origin::Uri { uri, .. } => source.set_property("uri", uri),
            Origin::Bytes => source.set_property("uri", "appsrc://"),
        }
        let network_cache_ms = match origin {
            Origin::Uri {
                network_cache_ms, ..
            } => *network_cache_ms,
            Origin::Bytes => 0,
        };
        let setup = Arc::clone(&shared);
        source.connect("source-setup", false, move |values| {
            let inner = values.get(1)?.get::<gst::Element>().ok()?;
            set_up(&inner, network_cache_ms, &setup);
            None
        });
        let is_file = matches!(origin, Origin::Uri { uri, .. } if uri.starts_with("file:"));
        line.pipeline()
            .connect_deep_element_added(move |pipeline, _, element| {
                admit(pipeline, element, is_file);
            });
        let weak = line.pipeline().downgrade();
        let (to, sinks, host_) = (outputs.clone(), Arc::clone(&shared), host.clone());
        source.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade()
                && let Err(error) = attach(&host_, &pipeline, pad, &to, &sinks)
            {
                eprintln!("player: {error}");
            }
        });
        let (element, host_, sinks) = (context.element, host.clone(), Arc::clone(&shared));
        source.connect_no_more_pads(move |_| {
            let taken = sinks.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if !taken.audio && !taken.video {
                host_.note(element, Box::new(NothingToPlay));
            }
        });
        line.pipeline()
            .add(&source)
            .map_err(|error| LineError::Build(error.to_string()))?;
        let (orders, received) = channel();
        let (pipeline, state) = (line.pipeline().clone(), Arc::clone(&shared));
        thread::Builder::new()
            .name("player".into())
            .spawn(move || obey(&pipeline, &received, &state))
            .map_err(|error| LineError::Start(error.to_string()))?;
        Ok(Self {
            line,
            orders,
            shared,
        })
    }

    pub(crate) fn play(&self) {
        self.order(Order::State(gst::State::Playing));
    }

    pub(crate) fn pause(&self) {
        self.order(Order::State(gst::State::Paused));
    }

    /// Jumps; the answer tells whether that worked.
    pub(crate) fn jump(&self, position_ms: u64, answer: Option<Answer>) {
        self.order(Order::Jump(position_ms, answer));
    }

    /// The latency of the elements changed.
    pub(crate) fn latency(&self) {
        self.order(Order::Latency);
    }

    pub(crate) fn posted(&self, message: &gst::Message) -> bool {
        self.line.posted(message)
    }

    /// Whether the source cannot be halted or jumped in.
    pub(crate) fn is_live(&self) -> bool {
        self.shared.live.load(Ordering::Relaxed)
    }

    /// Whether anything came out.
    pub(crate) fn has_flowed(&self) -> bool {
        self.shared.flowed.load(Ordering::Relaxed)
    }

    /// Milliseconds from the beginning.
    pub(crate) fn position_ms(&self) -> i64 {
        let position = self.line.pipeline().query_position::<gst::ClockTime>();
        position.map_or(0, to_ms)
    }

    pub(crate) fn seekable(&self) -> Seekable {
        seekable(self.line.pipeline())
    }

    /// Where bytes are put in, once the pipeline has made it.
    pub(crate) fn entry(&self) -> Option<AppSrc> {
        self.shared
            .entry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn order(&self, order: Order) {
        // The thread is there as long as this is.
        let _ = self.orders.send(order);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
    }
}

/// Settings of the element that reads.
fn set_up(source: &gst::Element, network_cache_ms: u32, shared: &Shared) {
    let name = source.factory().map(|factory| factory.name().to_string());
    match name.as_deref().unwrap_or_default() {
        "rtspsrc" => {
            // UDP first, TCP when nothing arrives: both are in the element's defaults.
            source.set_property("latency", network_cache_ms);
            source.set_property("drop-on-latency", true);
            source.set_property("user-agent", "Salono");
        }
        "souphttpsrc" => {
            source.set_property("user-agent", "Salono");
            source.set_property("timeout", 15_u32);
            source.set_property("retries", 2_i32);
        }
        "appsrc" => {
            if let Ok(entry) = source.clone().downcast::<AppSrc>() {
                entry.set_format(gst::Format::Bytes);
                entry.set_max_bytes(0);
                entry.set_block(false);
                *shared.entry.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
            }
        }
        _ => {}
    }
}

/// Lets no element in that reads from elsewhere: a playlist from the network does not lead to files, nor the other way round.
fn admit(pipeline: &gst::Pipeline, element: &gst::Element, is_file: bool) {
    let Some(factory) = element.factory() else {
        return;
    };
    let reads = factory
        .metadata(gst::ELEMENT_METADATA_KLASS)
        .is_some_and(|class| class.split('/').any(|word| word == "Source"));
    let allowed = if is_file {
        &["filesrc"][..]
    } else {
        &NETWORK_SOURCES[..]
    };
    if reads && !allowed.contains(&factory.name().as_str()) {
        // It never starts.
        element.set_locked_state(true);
        gst::element_error!(
            pipeline,
            gst::ResourceError::NotAuthorized,
            ["{} is not allowed here", factory.name()]
        );
    }
}

/// Gives a stream of the source its way out.
fn attach(
    host: &Host,
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    outputs: &Outputs,
    shared: &Arc<Shared>,
) -> Result<(), LineError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let format = Format::of_caps(&caps);
    let is_audio = caps
        .structure(0)
        .is_some_and(|fields| fields.name().starts_with("audio/"));
    let media = {
        let mut taken = shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_taken, media) = if is_audio {
            (&mut taken.audio, &outputs.audio)
        } else {
            (&mut taken.video, &outputs.video)
        };
        let first = format.is_some() && !*is_taken;
        *is_taken |= first;
        first.then(|| media.clone())
    };
    let text = match (&media, format) {
        (Some(_), Some(Format::Encoded(codec))) => {
            format!("queue ! {} ! {SINK}", codec.parser())
        }
        (Some(_), _) => format!("queue max-size-bytes=0 max-size-buffers=12 ! {SINK}"),
        (None, _) => "fakesink sync=false async=false".to_owned(),
    };
    let failed = |error: &dyn std::fmt::Display| LineError::Build(error.to_string());
    let tail = gst::parse::bin_from_description(&text, true).map_err(|error| failed(&error))?;
    if let (Some(media), Some(exit)) = (media, tail.by_name("exit")) {
        let exit: AppSink = exit
            .downcast()
            .map_err(|_| LineError::Build("no exit".to_owned()))?;
        hand_out(host, pipeline, &exit, media, shared);
    }
    pipeline.add(&tail).map_err(|error| failed(&error))?;
    let linked = tail
        .static_pad("sink")
        .ok_or_else(|| LineError::Build("no sink".to_owned()))
        .and_then(|sink| pad.link(&sink).map_err(|error| failed(&error)));
    tail.sync_state_with_parent()
        .map_err(|error| failed(&error))?;
    linked.map(|_| ())
}

const SINK: &str = "appsink name=exit sync=true enable-last-sample=false max-buffers=4 qos=false";

/// Publishes what comes out, on the common timeline.
fn hand_out(
    host: &Host,
    pipeline: &gst::Pipeline,
    exit: &AppSink,
    media: Media,
    shared: &Arc<Shared>,
) {
    let (weak, timebase) = (pipeline.downgrade(), host.timebase().clone());
    let shared = Arc::clone(shared);
    let callbacks = AppSinkCallbacks::builder().new_sample(move |exit| {
        let sample = exit.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let base = weak.upgrade().and_then(|pipeline| pipeline.base_time());
        if let (Some((caps, mut buffer)), Some(base)) = (to_running_time(&sample), base) {
            let (pts, dts) = (buffer.pts(), buffer.dts());
            let fields = buffer.make_mut();
            fields.set_pts(pts.map(|pts| timebase.since(base, pts)));
            fields.set_dts(dts.map(|dts| timebase.since(base, dts)));
            shared.flowed.store(true, Ordering::Relaxed);
            media.publish(&caps, &buffer);
        }
        Ok(gst::FlowSuccess::Ok)
    });
    exit.set_callbacks(callbacks.build());
}

/// Carries out orders until the session is dropped, then ends the pipeline.
fn obey(pipeline: &gst::Pipeline, orders: &Receiver<Order>, shared: &Shared) {
    while let Ok(order) = orders.recv() {
        if shared.ended.load(Ordering::Acquire) {
            break;
        }
        match order {
            Order::State(state) => {
                // A failure posts an error, which the element acts on.
                if let Ok(gst::StateChangeSuccess::NoPreroll) = pipeline.set_state(state) {
                    shared.live.store(true, Ordering::Relaxed);
                }
            }
            Order::Jump(position_ms, answer) => {
                let result = jump(pipeline, position_ms);
                if let Some(answer) = answer {
                    answer.send(result.map(|()| ProcessorReply::Done));
                }
            }
            Order::Latency => {
                let _ = pipeline.recalculate_latency();
            }
        }
    }
    // Whatever the last order began.
    let _ = pipeline.set_state(gst::State::Null);
}

fn jump(pipeline: &gst::Pipeline, position_ms: u64) -> Result<(), MediaError> {
    let failed = || MediaError::new(MediaErrorKind::Seek, "Seek fails");
    if pipeline.current_state() < gst::State::Paused
        && pipeline.pending_state() < gst::State::Paused
    {
        pipeline
            .set_state(gst::State::Paused)
            .map_err(|_| failed())?;
    }
    pipeline.state(PREROLL).0.map_err(|_| failed())?;
    let able = seekable(pipeline);
    let to = i64::try_from(position_ms).unwrap_or(i64::MAX);
    if !able.seekable || (able.duration_ms > 0 && to > able.duration_ms) {
        return Err(failed());
    }
    let exact = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let rough = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT;
    let position = gst::ClockTime::from_mseconds(position_ms);
    // Exactly where that can be had, else at the keyframe before.
    pipeline
        .seek_simple(exact, position)
        .or_else(|_| pipeline.seek_simple(rough, position))
        .map_err(|_| failed())
}

fn seekable(pipeline: &gst::Pipeline) -> Seekable {
    let duration = pipeline.query_duration::<gst::ClockTime>();
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    if !pipeline.query(&mut query) {
        return Seekable {
            duration_ms: duration.map_or(0, to_ms),
            ..Seekable::default()
        };
    }
    let (seekable, from, to) = query.result();
    let ms = |value: gst::GenericFormattedValue| {
        let time = Option::<gst::ClockTime>::try_from(value);
        time.ok().flatten().map_or(0, to_ms)
    };
    Seekable {
        seekable,
        from_ms: ms(from),
        to_ms: ms(to),
        duration_ms: duration.map_or(0, to_ms),
    }
}

fn to_ms(time: gst::ClockTime) -> i64 {
    i64::try_from(time.mseconds()).unwrap_or(i64::MAX)
}
