//! Streams that come from the shard.
//!
//! RTP is put into order and on the common timeline here, then depayloaded by a line; what comes out is published as
//! the [`Media`] of the inlet. Pictures that cannot be decoded since something before them is lost are left out, up to
//! the next keyframe, which the shard is asked for.

mod order;
mod timeline;

pub use order::Order;
pub use timeline::{Clocks, Timeline};

use crate::codec::{AMR_FRAMES, AV1_UNITS, Codec, rtp_caps};
use crate::element::Owner;
use crate::host::Host;
use crate::line::{Line, LineError, Out};
use crate::media::{EXIT, Media};
use crate::stream::to_running_time;
use crate::{amr, av1};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use salono_media_api::MediaKind;
use salono_media_api::processing::bridge::{InletKey, Origin, RtpFormat};
use salono_rtp::header::Header;
use salono_rtp::rtcp;
use salono_rtp::time::Ntp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Packets that wait for the depayloader.
const ENTRY: &str = "appsrc name=in format=time is-live=true block=false leaky-type=downstream \
     max-buffers=0 max-bytes=8000000 max-time=0";

/// One stream from the shard.
#[derive(Debug)]
pub struct Inlet {
    media: Media,
    port: InletPort,
    line: Option<Line>,
    format: RtpFormat,
}

/// Where its packets are put in; for the thread that reads them.
#[derive(Debug, Clone)]
pub struct InletPort {
    input: Arc<Mutex<Input>>,
    media: Media,
}

#[derive(Debug)]
struct Input {
    order: Order,
    timeline: Timeline,
    codec: salono_rtp::codec::Codec,
    payload_type: u8,
    entry: Option<AppSrc>,
    /// Pictures are left out up to the next keyframe.
    waits: bool,
    /// What GStreamer does not take apart.
    own: Option<Depacketizer>,
}

/// What takes packets apart beside GStreamer.
#[derive(Debug)]
enum Depacketizer {
    Av1(av1::Depacketizer),
    /// Its bandwidth-efficient form.
    Amr,
}

impl Depacketizer {
    /// For a format that needs it.
    fn of(codec: Codec, format: &RtpFormat) -> Option<Self> {
        match codec {
            Codec::Av1 => Some(Self::Av1(av1::Depacketizer::default())),
            Codec::Amr if amr::is_compact(&format.parameters) => Some(Self::Amr),
            Codec::Vp8
            | Codec::Vp9
            | Codec::H264
            | Codec::H265
            | Codec::H263
            | Codec::H263Plus
            | Codec::Opus
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::Amr
            | Codec::Speex
            | Codec::G722
            | Codec::Aac
            | Codec::Jpeg => None,
        }
    }

    /// What it makes, and what brings that into the form of streams.
    fn form(&self) -> (&'static str, &'static str) {
        match self {
            Self::Av1(_) => (AV1_UNITS, Codec::Av1.parser()),
            Self::Amr => (AMR_FRAMES, "identity silent=true"),
        }
    }

    /// Takes a payload in; returns what it completes.
    fn push(&mut self, header: &Header, payload: &[u8], after_loss: bool) -> Option<Vec<u8>> {
        match self {
            Self::Av1(units) => units.push(payload, header.timestamp, header.marker, after_loss),
            Self::Amr => amr::depacketize(payload),
        }
    }
}

/// Puts the headers that the depayloader of Speex sends ahead of the first frame into the caps of all frames: who comes
/// later needs them as well.
#[derive(Default)]
struct SpeexHeaders {
    found: Vec<gst::Buffer>,
    caps: Option<gst::Caps>,
}

impl SpeexHeaders {
    /// What is to be published of a sample.
    fn pass(&mut self, sample: &gst::Sample) -> Option<(gst::Caps, gst::Buffer)> {
        let buffer = sample.buffer_owned()?;
        let is_first = buffer
            .map_readable()
            .is_ok_and(|bytes| bytes.starts_with(b"Speex   "));
        if is_first {
            *self = Self::default();
        }
        if is_first || self.found.len() == 1 {
            self.found.push(buffer);
            return None;
        }
        let (caps, buffer) = to_running_time(sample)?;
        let headers = &self.found;
        let caps = self.caps.get_or_insert_with(|| {
            let mut caps = caps;
            let headers = headers.iter().map(|header| header.to_send_value());
            caps.make_mut()
                .set("streamheader", gst::Array::from_values(headers));
            caps
        });
        Some((caps.clone(), buffer))
    }
}

impl Inlet {
    /// A stream, in this format from now on.
    ///
    /// # Errors
    /// A codec that is not known, or whose depayloader is not installed.
    pub fn open(
        host: &Host,
        key: InletKey,
        kind: MediaKind,
        format: &RtpFormat,
    ) -> Result<Self, LineError> {
        let media = Media::new(host, Origin::Inlet(key), kind);
        let ssrc = key.0;
        let socket = host.socket().clone();
        media.native().on_keyframe_wish(move || {
            let mut packet = [0; 32];
            let mut writer = rtcp::Writer::new(&mut packet);
            if writer.picture_loss(ssrc, ssrc).is_ok() {
                let length = writer.len();
                socket.send(packet.get(..length));
            }
        });
        let input = Input {
            order: Order::default(),
            timeline: Timeline::new(format.clock_rate),
            codec: salono_rtp::codec::Codec::Opaque,
            payload_type: format.payload_type,
            entry: None,
            waits: false,
            own: None,
        };
        let port = InletPort {
            input: Arc::new(Mutex::new(input)),
            media: media.clone(),
        };
        let mut inlet = Self {
            media,
            port,
            line: None,
            format: format.clone(),
        };
        inlet.start(host, key, format)?;
        Ok(inlet)
    }

    /// The same stream goes on in another format.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reopen(
        &mut self,
        host: &Host,
        key: InletKey,
        format: &RtpFormat,
    ) -> Result<(), LineError> {
        if self.format == *format {
            return Ok(());
        }
        self.start(host, key, format)
    }

    fn start(&mut self, host: &Host, key: InletKey, format: &RtpFormat) -> Result<(), LineError> {
        let kind = self.media.kind();
        let codec = Codec::from_name(&format.codec)
            .filter(|codec| codec.kind() == kind)
            .ok_or_else(|| LineError::Build(format!("the codec {} is not known", format.codec)))?;
        let own = Depacketizer::of(codec, format);
        let (form, chain) = match &own {
            Some(own) => {
                let (form, chain) = own.form();
                (form.parse().ok(), chain)
            }
            None => (None, codec.depayloader()),
        };
        let text = format!("{ENTRY} ! {chain} ! {EXIT}");
        let line = Line::parse(host, Owner::Inlet(key), &text)?;
        let entry = line.entry("in");
        let caps = form.unwrap_or_else(|| rtp_caps(format, kind));
        entry.set_caps(Some(&caps));
        let media = self.media.clone();
        let mut headers = (codec == Codec::Speex).then(SpeexHeaders::default);
        line.on_out("out", move |out| match (out, &mut headers) {
            (Out::Sample(sample), None) => media.publish_sample(&sample),
            (Out::Sample(sample), Some(headers)) => {
                if let Some((caps, buffer)) = headers.pass(&sample) {
                    media.publish(&caps, &buffer);
                }
            }
            (Out::End, _) => {}
        });
        line.play()?;
        self.media.expect(codec);
        let mut input = self.port.lock();
        input.codec = salono_rtp::codec::Codec::from_encoding_name(&format.codec);
        input.waits = input.codec.needs_keyframe();
        input.timeline = Timeline::new(format.clock_rate);
        input.payload_type = format.payload_type;
        input.entry = Some(entry);
        input.own = own;
        drop(input);
        self.line = Some(line);
        self.format = format.clone();
        Ok(())
    }

    /// What comes.
    pub fn media(&self) -> &Media {
        &self.media
    }

    /// Where packets are put in.
    pub fn port(&self) -> &InletPort {
        &self.port
    }

    /// Its depayloader posted something; one that failed is made anew.
    pub fn bus(&mut self, host: &Host, key: InletKey, message: &gst::Message) {
        let failed = message.type_() == gst::MessageType::Error
            && self.line.as_ref().is_some_and(|line| line.posted(message));
        if failed {
            let format = self.format.clone();
            if let Err(error) = self.start(host, key, &format) {
                eprintln!("inlet {}: {error}", key.0);
            }
        }
    }
}

impl InletPort {
    /// Takes an RTP packet in.
    pub fn packet(&self, now: gst::ClockTime, packet: &[u8], clocks: &mut Clocks) {
        let Ok(header) = Header::parse(packet) else {
            return;
        };
        let mut input = self.lock();
        // Another payload type is of a format that is not announced yet, or no longer.
        if header.payload_type != input.payload_type {
            return;
        }
        input
            .order
            .push(now, header.sequence_number, packet.to_vec());
        self.forward(input, now, clocks);
    }

    /// Takes a sender report in.
    pub fn report(&self, ntp: Ntp, rtp_timestamp: u32) {
        self.lock().timeline.report(ntp, rtp_timestamp);
    }

    /// Gives up gaps that are too old.
    pub fn idle(&self, now: gst::ClockTime, clocks: &mut Clocks) {
        let input = self.lock();
        self.forward(input, now, clocks);
    }

    fn forward(&self, mut guard: MutexGuard<'_, Input>, now: gst::ClockTime, clocks: &mut Clocks) {
        let input = &mut *guard;
        let mut wish = false;
        while let Some(ordered) = input.order.pop(now) {
            let Ok(header) = Header::parse(&ordered.packet) else {
                continue;
            };
            let Ok(payload) = header.payload(&ordered.packet) else {
                continue;
            };
            // Padding only, as probes for bandwidth are.
            if payload.is_empty() {
                continue;
            }
            if ordered.after_loss && input.codec.needs_keyframe() {
                input.waits = true;
            }
            if input.waits {
                if !input.codec.describe(payload).is_keyframe_start {
                    wish = true;
                    continue;
                }
                input.waits = false;
            }
            let place = input
                .timeline
                .place(ordered.arrived, header.timestamp, clocks);
            let bytes = match &mut input.own {
                None => ordered.packet,
                Some(own) => match own.push(&header, payload, ordered.after_loss) {
                    Some(unit) => unit,
                    None => continue,
                },
            };
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            let fields = buffer.make_mut();
            fields.set_pts(place);
            if ordered.after_loss {
                fields.set_flags(gst::BufferFlags::DISCONT);
            }
            if let Some(entry) = &input.entry {
                // A line that failed is made anew by the control thread.
                let _ = entry.push_buffer(buffer);
            }
        }
        drop(guard);
        if wish {
            self.media.native().want_keyframe();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Input> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
