//! Streams that go to the shard.
//!
//! An outlet is a payloader behind the media of an origin: in its native form when that is what is
//! wanted, else from the encoder that all share who want the codec.

use crate::codec::{Codec, Format};
use crate::element::Owner;
use crate::encoding::{Class, Purpose};
use crate::host::Host;
use crate::line::{Line, LineError, Out};
use crate::media::{ENCODED_ENTRY, EXIT, Media, Supply};
use crate::stream::{Entry, to_running_time};
use crate::timebase::Timebase;
use crate::{amr, av1};
use gstreamer as gst;
use salono_media_api::Bitrate;
use salono_media_api::MediaKind;
use salono_media_api::processing::bridge::{BridgeEvent, Origin, OutletKey, RtpFormat};
use salono_rtp::header::Header;
use salono_rtp::rtcp;
use salono_rtp::time::ticks;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between sender reports.
const REPORT: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// Largest packet: what fits a path after the shard has added its extensions and encryption.
const MTU: u32 = 1_180;

/// An estimate of this much or more, in bits per second, is none.
const UNBOUND: u64 = 1_000_000_000;

/// Bytes of an RTP header without extensions.
const RTP_HEADER: usize = 12;

/// How an outlet gets what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// A copy of the native form.
    Copy,
    /// From an encoder; `decodes` when the native form is encoded otherwise.
    Encode { decodes: bool },
}

/// Who makes packets of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// The payloader of GStreamer.
    Element,
    /// The same, each NAL unit in a packet of its own: packetization mode 0 (RFC 6184 section 6.2).
    SingleUnits,
    /// [`av1`].
    Av1,
    /// [`amr`].
    Amr,
}

impl Packing {
    fn of(codec: Codec, parameters: &str) -> Self {
        match codec {
            Codec::Av1 => Self::Av1,
            Codec::Amr if amr::is_compact(parameters) => Self::Amr,
            // What says nothing is mode 0 in SDP; here it is whoever takes anything.
            Codec::H264 if parameters.contains("packetization-mode=0") => Self::SingleUnits,
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
            | Codec::Jpeg => Self::Element,
        }
    }

    /// The encoder that makes frames for it.
    fn class(self, codec: Codec) -> Class {
        match self {
            Self::Element | Self::Av1 | Self::Amr => Class::live(codec),
            Self::SingleUnits => Class {
                codec,
                purpose: Purpose::Slices,
            },
        }
    }
}

/// One stream to the shard.
#[derive(Debug)]
pub struct Outlet {
    key: OutletKey,
    origin: Origin,
    kind: MediaKind,
    codec: Codec,
    format: RtpFormat,
    packing: Packing,
    media: Option<Media>,
    plan: Option<Plan>,
    supply: Option<Supply>,
    line: Option<Line>,
    port: Arc<OutletPort>,
    told: Option<Bitrate>,
}

/// What the thread that reads packets knows of an outlet, and what its payloader has sent.
#[derive(Debug)]
pub struct OutletPort {
    ssrc: u32,
    clock_rate: u32,
    wants_keyframe: AtomicBool,
    /// Bits per second; zero when receivers say nothing.
    estimate: AtomicU64,
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    /// RTP timestamp and running time of the newest frame.
    newest: Option<(u32, gst::ClockTime)>,
    packets: u32,
    octets: u32,
    reported: Option<gst::ClockTime>,
}

impl Outlet {
    /// A stream from an origin, which may have nothing yet.
    ///
    /// # Errors
    /// A codec that is not known.
    pub fn open(
        key: OutletKey,
        origin: Origin,
        kind: MediaKind,
        format: RtpFormat,
    ) -> Result<Self, LineError> {
        let codec = Codec::from_name(&format.codec)
            .filter(|codec| codec.kind() == kind)
            .ok_or_else(|| LineError::Build(format!("the codec {} is not known", format.codec)))?;
        Ok(Self {
            key,
            origin,
            kind,
            codec,
            packing: Packing::of(codec, &format.parameters),
            media: None,
            plan: None,
            supply: None,
            line: None,
            port: Arc::new(OutletPort {
                ssrc: key.0,
                clock_rate: format.clock_rate.max(1),
                wants_keyframe: AtomicBool::new(false),
                estimate: AtomicU64::new(0),
                sent: Mutex::default(),
            }),
            format,
            told: None,
        })
    }

    /// Where it begins.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Sound or pictures.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// For the thread that reads packets.
    pub fn port(&self) -> &Arc<OutletPort> {
        &self.port
    }

    /// Plans anew, after the origin has come, gone, or changed its format.
    pub fn plan(&mut self, host: &Host, media: Option<&Media>) {
        self.media = media.cloned();
        let plan = media.and_then(Media::format).map(|format| match format {
            // Units of others are as large as they like.
            Format::Encoded(codec)
                if codec == self.codec && self.packing != Packing::SingleUnits =>
            {
                Plan::Copy
            }
            Format::Encoded(_) => Plan::Encode { decodes: true },
            Format::Raw => Plan::Encode { decodes: false },
        });
        if plan == self.plan && self.supply.is_some() == plan.is_some() {
            return;
        }
        self.plan = plan;
        self.supply = None;
        let (Some(plan), Some(media)) = (plan, media) else {
            return;
        };
        if let Err(error) = self.start(host, media, plan) {
            eprintln!("outlet {}: {error}", self.key.0);
            self.plan = None;
            return;
        }
        self.tell(host, media, plan);
    }

    fn start(&mut self, host: &Host, media: &Media, plan: Plan) -> Result<(), LineError> {
        if self.line.is_none() {
            self.line = Some(self.payloader(host)?);
        }
        let Some(line) = &self.line else {
            return Ok(());
        };
        let mut entry = Entry::new(line.entry("in"));
        let take = move |item: crate::stream::Item<'_>| entry.put(item);
        let supply = match plan {
            Plan::Copy => media.take_native(take),
            Plan::Encode { .. } => media.take_encoded(self.packing.class(self.codec), take),
        };
        let name = self.codec.name();
        let none = || LineError::Build(format!("no encoder for {name} is installed"));
        self.supply = Some(supply.ok_or_else(none)?);
        Ok(())
    }

    fn payloader(&self, host: &Host) -> Result<Line, LineError> {
        let payload_type = self.format.payload_type & 0x7F;
        let (pay, ssrc) = (self.codec.payloader(), self.key.0);
        let fields = format!("pt={payload_type} ssrc={ssrc} mtu={MTU}");
        let text = match self.packing {
            Packing::Element => {
                format!("{ENCODED_ENTRY} ! {pay} {fields} ! {EXIT} buffer-list=true")
            }
            Packing::SingleUnits => format!(
                "{ENCODED_ENTRY} ! {pay} aggregate-mode=none {fields} ! {EXIT} buffer-list=true"
            ),
            Packing::Av1 => format!("{ENCODED_ENTRY} ! {} ! {EXIT}", self.codec.parser()),
            Packing::Amr => format!("{ENCODED_ENTRY} ! identity silent=true ! {EXIT}"),
        };
        let packing = self.packing;
        let line = Line::parse(host, Owner::Outlet(self.key), &text)?;
        let (port, host_) = (Arc::clone(&self.port), host.clone());
        let mut number = 0;
        line.on_out("out", move |out| match out {
            Out::Sample(sample) => match packing {
                Packing::Element | Packing::SingleUnits => {
                    port.send(&host_, &packets_of(&sample));
                }
                Packing::Av1 | Packing::Amr => {
                    let packets = port.packetize(packing, &sample, payload_type, &mut number);
                    port.send(&host_, &packets);
                }
            },
            Out::End => {}
        });
        line.play()?;
        Ok(line)
    }

    /// Does what receivers wished for since the last time.
    pub fn feedback(&mut self, host: &Host) {
        let Some(media) = self.media.clone() else {
            return;
        };
        if self.port.wants_keyframe.swap(false, Ordering::Relaxed) {
            media.want_keyframe(self.supply.as_ref());
        }
        if matches!(self.plan, Some(Plan::Encode { .. })) {
            let estimate = match self.port.estimate.load(Ordering::Relaxed) {
                0 | UNBOUND.. => None,
                bps => Some(Bitrate::bps(bps)),
            };
            media.set_estimate(self.codec, self.key.0, estimate);
        }
        if let Some(plan) = self.plan {
            self.tell(host, &media, plan);
        }
    }

    /// Sends a sender report when one is due.
    pub fn tick(&mut self, host: &Host) {
        let mut sent = self.port.lock();
        self.port.report(host, &mut sent);
    }

    /// Its payloader posted something; one that failed is made anew.
    pub fn bus(&mut self, host: &Host, message: &gst::Message) {
        let failed = message.type_() == gst::MessageType::Error
            && self.line.as_ref().is_some_and(|line| line.posted(message));
        if failed {
            self.supply = None;
            self.line = None;
            self.plan = None;
            let media = self.media.clone();
            self.plan(host, media.as_ref());
        }
    }

    /// Reports how it is made, when that changed noticeably.
    fn tell(&mut self, host: &Host, media: &Media, plan: Plan) {
        let bitrate = match plan {
            Plan::Copy => None,
            Plan::Encode { .. } => Some(media.bitrate(self.packing.class(self.codec))),
        };
        if let (Some(told), Some(bitrate)) = (self.told, bitrate)
            && told.as_bps().abs_diff(bitrate.as_bps()) * 10 < told.as_bps()
        {
            return;
        }
        if self.told.is_some() && bitrate.is_none() && self.told == bitrate {
            return;
        }
        self.told = bitrate;
        host.reports().send(BridgeEvent::Outlet {
            outlet: self.key,
            transcoding: plan == Plan::Encode { decodes: true },
            bitrate,
        });
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(media) = &self.media
            && self.plan.is_some_and(|plan| plan != Plan::Copy)
        {
            media.set_estimate(self.codec, self.key.0, None);
        }
    }
}

impl OutletPort {
    /// A receiver wants a keyframe. True when that is news.
    pub fn want_keyframe(&self) -> bool {
        !self.wants_keyframe.swap(true, Ordering::Relaxed)
    }

    /// Receivers can take this much, in bits per second. True when that is news.
    pub fn estimate(&self, bps: u64) -> bool {
        self.estimate.swap(bps, Ordering::Relaxed) != bps
    }

    /// Packets of a temporal unit of AV1, or of frames of AMR.
    fn packetize(
        &self,
        packing: Packing,
        sample: &gst::Sample,
        payload_type: u8,
        number: &mut u16,
    ) -> Vec<Timed<Vec<u8>>> {
        let Some((_, buffer)) = to_running_time(sample) else {
            return Vec::new();
        };
        let is_keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let (Some(pts), Ok(unit)) = (buffer.pts(), buffer.map_readable()) else {
            return Vec::new();
        };
        let payloads = match packing {
            Packing::Amr => amr::packetize(&unit).into_iter().collect(),
            Packing::Av1 | Packing::Element | Packing::SingleUnits => {
                av1::packetize(&unit, is_keyframe, MTU as usize - RTP_HEADER)
            }
        };
        let last = payloads.len().saturating_sub(1);
        // RTP time wraps, so the lower bits are all that counts.
        let time = ticks(Duration::from_nanos(pts.nseconds()), self.clock_rate) as u32;
        let packet = |(at, payload): (usize, &Vec<u8>)| {
            *number = number.wrapping_add(1);
            // Of sound, the marker would say that speech begins here.
            let ends_picture = at == last && packing != Packing::Amr;
            let marker = if ends_picture { 0x80 } else { 0 };
            let mut packet = vec![0x80, marker | payload_type];
            packet.extend_from_slice(&number.to_be_bytes());
            packet.extend_from_slice(&time.to_be_bytes());
            packet.extend_from_slice(&self.ssrc.to_be_bytes());
            packet.extend_from_slice(payload);
            (Some(pts), packet)
        };
        payloads.iter().enumerate().map(packet).collect()
    }

    fn send<B: std::ops::Deref<Target = [u8]>>(&self, host: &Host, packets: &[Timed<B>]) {
        let mut sent = self.lock();
        for (pts, packet) in packets {
            let Ok(header) = Header::parse(packet) else {
                continue;
            };
            if let Some(pts) = pts
                && sent.newest.is_none_or(|(_, newest)| *pts > newest)
            {
                sent.newest = Some((header.timestamp, *pts));
            }
            let octets = u32::try_from(packet.len() - header.len()).unwrap_or(0);
            sent.packets = sent.packets.wrapping_add(1);
            sent.octets = sent.octets.wrapping_add(octets);
        }
        // The first report goes ahead of the first packet, so that streams are in step from the beginning.
        if sent.reported.is_none() {
            self.report(host, &mut sent);
        }
        drop(sent);
        let packets = packets.iter().map(|(_, packet)| &**packet);
        host.socket().send(packets);
    }

    fn report(&self, host: &Host, sent: &mut Sent) {
        let timebase: &Timebase = host.timebase();
        let now = timebase.now();
        let due = sent
            .reported
            .is_none_or(|reported| now.saturating_sub(reported) >= REPORT);
        let Some((timestamp, at)) = sent.newest.filter(|_| due) else {
            return;
        };
        sent.reported = Some(now);
        let since = ticks(
            Duration::from_nanos(now.saturating_sub(at).nseconds()),
            self.clock_rate,
        );
        let ahead = ticks(
            Duration::from_nanos(at.saturating_sub(now).nseconds()),
            self.clock_rate,
        );
        // RTP time wraps, so the lower bits are all that counts.
        let timestamp = timestamp
            .wrapping_add(since as u32)
            .wrapping_sub(ahead as u32);
        let mut packet = [0; 128];
        let mut writer = rtcp::Writer::new(&mut packet);
        let written = writer
            .sender_report(
                self.ssrc,
                timebase.ntp(now),
                timestamp,
                sent.packets,
                sent.octets,
                &[],
            )
            .and_then(|()| writer.canonical_name(self.ssrc, "processor"));
        if written.is_ok() {
            let length = writer.len();
            host.socket().send(packet.get(..length));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A packet with the running time of its frame.
type Timed<B> = (Option<gst::ClockTime>, B);

/// The packets that a payloader handed out at once.
fn packets_of(sample: &gst::Sample) -> Vec<Timed<gst::MappedBuffer<gst::buffer::Readable>>> {
    let list = sample.buffer_list_owned();
    let buffers = list.iter().flat_map(|list| list.iter_owned());
    buffers
        .chain(sample.buffer_owned())
        .filter_map(|buffer| {
            let pts = buffer.pts();
            let packet = buffer.into_mapped_buffer_readable().ok()?;
            Some((pts, packet))
        })
        .collect()
}
