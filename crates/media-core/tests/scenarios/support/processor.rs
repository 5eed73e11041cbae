//! A media processor as a script: it does what it is told as far as that is bookkeeping, and says what the test wants.
//!
//! What it is told has to make sense at every moment; it panics where a command is about something that is not there.

use super::media::{OutPacket, Source};
use super::{PIPELINE, UNIX_START};
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::*;
use salono_media_core::*;
use salono_rtp::rtcp::{Compound, Packet, Writer};
use salono_rtp::time::Ntp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use str0m::format::Codec;

/// A stream out of the processor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outlet {
    pub(crate) origin: Origin,
    pub(crate) kind: MediaKind,
    pub(crate) format: RtpFormat,
}

/// What one processor knows.
#[derive(Default)]
pub(crate) struct Mind {
    pub(crate) elements: BTreeMap<ElementKey, ProcessorSpec>,
    /// What elements were made again with.
    pub(crate) resumed: BTreeMap<ElementKey, String>,
    pub(crate) inlets: BTreeMap<u32, (MediaKind, RtpFormat)>,
    pub(crate) outlets: BTreeMap<u32, Outlet>,
    pub(crate) links: BTreeMap<(ElementKey, MediaKind), Origin>,
    pub(crate) encodings: BTreeMap<Origin, Encoding>,
    pub(crate) messages: Vec<(ElementKey, bool, String)>,
    pub(crate) calls: Vec<(Token, ElementKey, ProcessorCall)>,
}

pub(crate) struct Processor {
    /// Why there is none to be had.
    pub(crate) unavailable: Option<String>,
    /// Leaves requests for a processor alone.
    pub(crate) is_slow: bool,
    /// Leaves commands unanswered.
    pub(crate) is_silent: bool,
    /// What creating an element is answered with from now on.
    pub(crate) refusal: Option<MediaError>,
    pub(crate) socket: Option<SocketId>,
    pub(crate) is_asked_for: bool,
    pub(crate) attached: usize,
    pub(crate) detached: usize,
    sockets: u16,
    pub(crate) mind: Mind,
    /// RTP packets that came, by inlet.
    pub(crate) entered: BTreeMap<u32, Vec<Vec<u8>>>,
    /// RTCP packets that came.
    pub(crate) rtcp: Vec<Vec<u8>>,
    /// Inlets that a sender report came of.
    pub(crate) reported: BTreeSet<u32>,
    /// Outlets that were asked for a keyframe.
    pub(crate) keyframes: Vec<u32>,
    /// What outlets may take, as they were told last.
    pub(crate) bounds: BTreeMap<u32, u64>,
    sources: BTreeMap<u32, Source>,
    used: BTreeSet<u32>,
    next_report: Option<Instant>,
    origin: Instant,
}

impl Processor {
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            unavailable: None,
            is_slow: false,
            is_silent: false,
            refusal: None,
            socket: None,
            is_asked_for: false,
            attached: 0,
            detached: 0,
            sockets: 0,
            mind: Mind::default(),
            entered: BTreeMap::new(),
            rtcp: Vec::new(),
            reported: BTreeSet::new(),
            keyframes: Vec::new(),
            bounds: BTreeMap::new(),
            sources: BTreeMap::new(),
            used: BTreeSet::new(),
            next_report: None,
            origin,
        }
    }

    /// Carries out a wish of the shard.
    pub(crate) fn serve(&mut self, request: ProcessorRequest) -> Option<ProcessorReport> {
        match request {
            ProcessorRequest::Attach { pipeline } => {
                assert_eq!(pipeline, PIPELINE);
                assert!(
                    !self.is_asked_for && self.socket.is_none(),
                    "asked for once"
                );
                self.is_asked_for = true;
                (!self.is_slow).then(|| self.attach())
            }
            ProcessorRequest::Detach { pipeline } => {
                assert_eq!(pipeline, PIPELINE);
                assert!(self.is_asked_for || self.socket.is_some(), "there is one");
                self.detached += 1;
                self.end();
                None
            }
            ProcessorRequest::Tell { pipeline, command } => {
                assert_eq!(pipeline, PIPELINE);
                let event = Box::new(self.carry_out(*command)?);
                Some(ProcessorReport::Heard { pipeline, event })
            }
        }
    }

    /// What is answered when a processor was asked for.
    pub(crate) fn attach(&mut self) -> ProcessorReport {
        self.is_asked_for = false;
        let pipeline = PIPELINE;
        if let Some(reason) = self.unavailable.clone() {
            return ProcessorReport::Unavailable { pipeline, reason };
        }
        self.attached += 1;
        self.sockets += 1;
        let socket = SocketId(1_000 + self.sockets);
        self.socket = Some(socket);
        ProcessorReport::Attached { pipeline, socket }
    }

    /// Forgets everything, as the next one does.
    pub(crate) fn end(&mut self) {
        self.socket = None;
        self.is_asked_for = false;
        self.mind = Mind::default();
        self.sources.clear();
        self.used.clear();
    }

    fn carry_out(&mut self, command: BridgeCommand) -> Option<BridgeEvent> {
        assert!(self.socket.is_some(), "nobody is told this: {command:?}");
        let mind = &mut self.mind;
        let mut answer = None;
        match command {
            BridgeCommand::Begin { .. } | BridgeCommand::Ping | BridgeCommand::End => {
                panic!("the engine says this")
            }
            BridgeCommand::Create {
                token,
                element,
                spec,
                resume,
            } => {
                if let ProcessorSpec::Port { hub, .. } = &spec {
                    assert!(mind.elements[hub].is_hub());
                }
                let result = match &self.refusal {
                    Some(refusal) => Err(refusal.clone()),
                    None => Ok(ProcessorReply::Done),
                };
                if result.is_ok() || self.is_silent {
                    assert!(mind.elements.insert(element, spec).is_none());
                    mind.resumed.extend(resume.map(|resume| (element, resume)));
                }
                answer = token.map(|token| BridgeEvent::Replied { token, result });
            }
            BridgeCommand::Release { element } => {
                assert!(mind.elements.remove(&element).is_some());
                mind.links.retain(|(sink, _), _| *sink != element);
                mind.encodings.remove(&Origin::Element(element));
            }
            BridgeCommand::Call {
                token,
                element,
                call,
            } => {
                assert!(mind.elements.contains_key(&element));
                mind.calls.push((token, element, call));
                let result = Ok(ProcessorReply::Done);
                answer = Some(BridgeEvent::Replied { token, result });
            }
            BridgeCommand::Link { sink, kind, source } => {
                assert!(mind.elements[&sink].processes(kind));
                match source {
                    Some(source) => {
                        mind.check(source);
                        mind.links.insert((sink, kind), source);
                    }
                    None => {
                        assert!(mind.links.remove(&(sink, kind)).is_some());
                    }
                }
            }
            BridgeCommand::OpenInlet {
                inlet,
                kind,
                format,
            } => {
                let before = mind.inlets.insert(inlet.0, (kind, format));
                if before.is_none() {
                    assert!(self.used.insert(inlet.0), "keys are new");
                }
            }
            BridgeCommand::CloseInlet { inlet } => {
                assert!(mind.inlets.remove(&inlet.0).is_some());
                let origin = Origin::Inlet(inlet);
                assert!(mind.links.values().all(|source| *source != origin));
                assert!(mind.outlets.values().all(|it| it.origin != origin));
                mind.encodings.remove(&origin);
            }
            BridgeCommand::OpenOutlet {
                outlet,
                origin,
                kind,
                format,
            } => {
                mind.check(origin);
                assert!(self.used.insert(outlet.0), "keys are new");
                let wanted = Outlet {
                    origin,
                    kind,
                    format,
                };
                assert!(
                    mind.outlets.values().all(|known| *known != wanted),
                    "one is enough: {wanted:?}"
                );
                mind.outlets.insert(outlet.0, wanted);
            }
            BridgeCommand::CloseOutlet { outlet } => {
                assert!(mind.outlets.remove(&outlet.0).is_some());
                self.sources.remove(&outlet.0);
            }
            BridgeCommand::SetEncoding { origin, encoding } => {
                mind.check(origin);
                mind.encodings.insert(origin, encoding);
            }
            BridgeCommand::Message {
                sink,
                binary,
                base64,
            } => {
                assert!(mind.elements.contains_key(&sink));
                mind.messages.push((sink, binary, base64));
            }
        }
        answer.filter(|_| !self.is_silent)
    }

    /// Takes in what the shard sent.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let ssrc = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        if !(192..=223).contains(&bytes[1]) {
            let key = ssrc(8);
            let (_, format) = &self.mind.inlets[&key];
            assert_eq!(bytes[1] & 0x7f, format.payload_type, "as announced");
            self.entered.entry(key).or_default().push(bytes.to_vec());
            return;
        }
        self.rtcp.push(bytes.to_vec());
        for packet in Compound::new(bytes) {
            match packet {
                Packet::SenderReport(report) => {
                    self.reported.insert(report.ssrc);
                }
                Packet::PictureLoss { media_ssrc, .. } => {
                    self.keyframes.push(media_ssrc);
                    if let Some(source) = self.sources.get_mut(&media_ssrc) {
                        source.keyframe_wanted = true;
                    }
                }
                Packet::Remb(remb) => {
                    for ssrc in remb.sources {
                        self.bounds.insert(ssrc, remb.bitrate_bps);
                    }
                }
                Packet::Nack(_) => panic!("what is lost here is lost"),
                _ => {}
            }
        }
    }

    // Media.

    /// Feeds every outlet that is not fed yet with frames of this publisher.
    pub(crate) fn play(&mut self, publisher: u8, now: Instant) {
        for (key, outlet) in &self.mind.outlets {
            let source = || match outlet.kind {
                MediaKind::Video => Source::video(codec(&outlet.format), publisher, now),
                _ => Source::audio(codec(&outlet.format), publisher, now),
            };
            self.sources.entry(*key).or_insert_with(source);
        }
        self.next_report
            .get_or_insert(now + Duration::from_millis(100));
    }

    /// What feeds an outlet.
    pub(crate) fn source_mut(&mut self, key: u32) -> &mut Source {
        self.sources.get_mut(&key).expect("it plays")
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let sources = self.sources.values().map(|source| source.next);
        sources.chain(self.next_report).min()
    }

    /// What leaves it now.
    pub(crate) fn drive(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        for (key, source) in &mut self.sources {
            let Some(outlet) = self.mind.outlets.get(key) else {
                continue;
            };
            while source.next <= now {
                let packets = source.frame(now);
                let packets = packets.iter();
                let pt = outlet.format.payload_type;
                datagrams.extend(packets.map(|packet| rtp(packet, *key, pt)));
            }
        }
        if self.next_report.is_some_and(|due| due <= now) {
            self.next_report = Some(now + Duration::from_secs(1));
            let unix = UNIX_START + (now - self.origin);
            for (key, source) in &self.sources {
                let mut buf = [0; 256];
                let mut writer = Writer::new(&mut buf);
                let timestamp = source.timestamp_at(now);
                writer
                    .sender_report(*key, Ntp::from_unix(unix), timestamp, 1, 1, &[])
                    .expect("room");
                let length = writer.len();
                datagrams.push(buf[..length].to_vec());
            }
        }
        datagrams
    }

    /// Asks the shard for a keyframe of an inlet.
    pub(crate) fn picture_loss(key: u32) -> Vec<u8> {
        let mut buf = [0; 256];
        let mut writer = Writer::new(&mut buf);
        writer.receiver_report(1, &[]).expect("room");
        writer.picture_loss(1, key).expect("room");
        let length = writer.len();
        buf[..length].to_vec()
    }

    /// Says how much an inlet may take.
    pub(crate) fn bound(key: u32, bps: u64) -> Vec<u8> {
        let mut buf = [0; 256];
        let mut writer = Writer::new(&mut buf);
        writer.receiver_report(1, &[]).expect("room");
        writer.remb(1, bps, &[key]).expect("room");
        let length = writer.len();
        buf[..length].to_vec()
    }

    // Questions.

    /// Outlets of a kind, by key.
    pub(crate) fn outlets(&self, kind: MediaKind) -> Vec<(u32, &Outlet)> {
        let outlets = self.mind.outlets.iter();
        let outlets = outlets.filter(|(_, outlet)| outlet.kind == kind);
        outlets.map(|(key, outlet)| (*key, outlet)).collect()
    }

    /// Codecs of the outlets of a kind, sorted.
    pub(crate) fn codecs(&self, kind: MediaKind) -> Vec<&str> {
        let outlets = self.outlets(kind).into_iter();
        let mut codecs: Vec<&str> = outlets
            .map(|(_, outlet)| outlet.format.codec.as_str())
            .collect();
        codecs.sort_unstable();
        codecs
    }

    /// The inlet that enters an element.
    pub(crate) fn inlet_of(&self, sink: ElementKey, kind: MediaKind) -> Option<u32> {
        match self.mind.links.get(&(sink, kind))? {
            Origin::Inlet(inlet) => Some(inlet.0),
            Origin::Element(_) => None,
        }
    }
}

impl Mind {
    fn check(&self, origin: Origin) {
        match origin {
            Origin::Element(element) => assert!(self.elements.contains_key(&element)),
            Origin::Inlet(inlet) => assert!(self.inlets.contains_key(&inlet.0)),
        }
    }
}

fn codec(format: &RtpFormat) -> Codec {
    match format.codec.as_str() {
        "VP8" => Codec::Vp8,
        "VP9" => Codec::Vp9,
        "H264" => Codec::H264,
        "AV1" => Codec::Av1,
        "opus" => Codec::Opus,
        "PCMU" => Codec::PCMU,
        "PCMA" => Codec::PCMA,
        other => panic!("{other}"),
    }
}

fn rtp(packet: &OutPacket, ssrc: u32, payload_type: u8) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type | if packet.marker { 0x80 } else { 0 }];
    bytes.extend_from_slice(&(packet.seq as u16).to_be_bytes());
    bytes.extend_from_slice(&packet.timestamp.to_be_bytes());
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes.extend_from_slice(&packet.payload);
    bytes
}
