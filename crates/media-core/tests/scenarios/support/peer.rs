//! One WebRTC peer, played by str0m in RTP mode.

use super::media::{OutPacket, Packet, Received, Source};
use super::network::Link;
use super::scalable::{Camera, Descriptor};
use salono_media_api::ElementKey;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::channel::{ChannelData, ChannelId};
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind as RtcKind, Mid, Rid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::{Rtcp, SenderInfo};
use str0m::rtp::{ExtensionValues, RawPacket, RtpWrite};
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcConfig};

/// What a peer offers and how its network is.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) audio: Option<Direction>,
    pub(crate) video: Option<Direction>,
    pub(crate) data: bool,
    pub(crate) up: Link,
    pub(crate) down: Link,
    pub(crate) configure: fn(RtcConfig) -> RtcConfig,
    /// Simulcast layers of the video.
    pub(crate) rids: &'static [&'static str],
    /// Applied to the peer's description before the shard sees it.
    pub(crate) munge: fn(&str) -> String,
}

impl Wish {
    /// Sends audio and video.
    pub(crate) fn publish() -> Self {
        Self {
            audio: Some(Direction::SendOnly),
            video: Some(Direction::SendOnly),
            data: false,
            up: Link::PERFECT,
            down: Link::PERFECT,
            configure: |config| config,
            rids: &[],
            munge: str::to_owned,
        }
    }

    /// Sends audio, and video in layers.
    pub(crate) fn simulcast(rids: &'static [&'static str]) -> Self {
        Self {
            rids,
            ..Self::publish()
        }
    }

    /// Receives audio and video.
    pub(crate) fn subscribe() -> Self {
        Self {
            audio: Some(Direction::RecvOnly),
            video: Some(Direction::RecvOnly),
            ..Self::publish()
        }
    }

    /// Sends and receives both.
    pub(crate) fn both() -> Self {
        Self {
            audio: Some(Direction::SendRecv),
            video: Some(Direction::SendRecv),
            ..Self::publish()
        }
    }

    /// Data channels alone.
    pub(crate) fn data() -> Self {
        Self {
            audio: None,
            video: None,
            data: true,
            ..Self::publish()
        }
    }

    pub(crate) fn over(self, link: Link) -> Self {
        Self {
            up: link,
            down: link,
            ..self
        }
    }
}

pub(crate) struct Peer {
    pub(crate) rtc: Rtc,
    pub(crate) addr: SocketAddr,
    pub(crate) protocol: Protocol,
    pub(crate) element: ElementKey,
    pub(crate) up: Link,
    pub(crate) down: Link,
    pub(crate) wake: Instant,
    pub(crate) audio_mid: Option<Mid>,
    pub(crate) video_mid: Option<Mid>,
    /// A second m-line of video.
    pub(crate) screen_mid: Option<Mid>,
    pub(crate) audio_source: Option<Source>,
    pub(crate) video_source: Option<Source>,
    pub(crate) screen_source: Option<Source>,
    /// Simulcast layers.
    pub(crate) layers: Vec<(Rid, Source)>,
    /// A camera with layers within its stream.
    pub(crate) scalable: Option<Camera>,
    pub(crate) audio: Received,
    pub(crate) video: Received,
    pub(crate) screen: Received,
    /// What comes by further m-lines of video.
    pub(crate) more: Vec<(Mid, Received)>,
    pub(crate) is_connected: bool,
    pub(crate) is_closed: bool,
    pub(crate) ice: IceConnectionState,
    /// What the camera would send, in bits per second; it keeps to what REMB asks for. 0 is a
    /// camera that does not adapt.
    pub(crate) appetite: u64,
    has_keyframe: bool,
    /// What it gets is judged by [`super::scalable::decode`].
    pub(crate) is_layered: bool,
    /// Newest packet of video, and which are missing since when.
    newest: Option<u64>,
    missing: BTreeMap<u64, Instant>,
    asked: Option<Instant>,
    /// Layers of which a keyframe is wanted.
    wanted_keyframes: Vec<Rid>,
    /// When keyframes were asked for.
    pub(crate) keyframe_requests: Vec<Instant>,
    pub(crate) rtcp: Vec<(Instant, Rtcp)>,
    pub(crate) sender_reports_sent: Vec<SenderInfo>,
    pub(crate) channels: Vec<(ChannelId, String)>,
    pub(crate) closed_channels: Vec<ChannelId>,
    pub(crate) messages: Vec<ChannelData>,
    /// Sends sound with that of the packet before (RFC 2198).
    pub(crate) is_redundant: bool,
    previous: Vec<u8>,
    /// Packets of redundant sound that came.
    pub(crate) redundant: usize,
    /// Media that the shard sent, whether it came or not.
    pub(crate) media_sent: u64,
    /// Datagrams that came from the shard.
    pub(crate) datagrams: u64,
    pub(crate) errors: u64,
    /// Keeps a copy of every datagram it sends.
    pub(crate) is_taped: bool,
    pub(crate) tape: Vec<Vec<u8>>,
}

impl Peer {
    pub(crate) fn new(wish: &Wish, element: ElementKey, addr: SocketAddr, now: Instant) -> Self {
        let config = (wish.configure)(Rtc::builder().set_rtp_mode(true).enable_raw_packets(true));
        Self {
            rtc: config.build(now),
            addr,
            protocol: Protocol::Udp,
            element,
            up: wish.up,
            down: wish.down,
            wake: now,
            audio_mid: None,
            video_mid: None,
            screen_mid: None,
            audio_source: None,
            video_source: None,
            screen_source: None,
            layers: Vec::new(),
            scalable: None,
            audio: Received::default(),
            video: Received::default(),
            screen: Received::default(),
            more: Vec::new(),
            is_connected: false,
            is_closed: false,
            ice: IceConnectionState::New,
            appetite: 0,
            has_keyframe: false,
            is_layered: false,
            newest: None,
            missing: BTreeMap::new(),
            asked: None,
            wanted_keyframes: Vec::new(),
            keyframe_requests: Vec::new(),
            rtcp: Vec::new(),
            sender_reports_sent: Vec::new(),
            channels: Vec::new(),
            closed_channels: Vec::new(),
            messages: Vec::new(),
            is_redundant: false,
            previous: Vec::new(),
            redundant: 0,
            media_sent: 0,
            datagrams: 0,
            errors: 0,
            is_taped: false,
            tape: Vec::new(),
        }
    }

    /// When it wants to be driven.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let sources = [&self.audio_source, &self.video_source, &self.screen_source];
        sources
            .into_iter()
            .flatten()
            .map(|source| source.next)
            .chain(self.layers.iter().map(|(_, source)| source.next))
            .chain(self.scalable.iter().map(|camera| camera.next))
            .chain([self.wake])
            .min()
    }

    pub(crate) fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        if self.is_closed {
            return;
        }
        self.datagrams += 1;
        let Ok(receive) = Receive::new(self.protocol, from, self.addr, bytes) else {
            self.errors += 1;
            return;
        };
        if self.rtc.handle_input(Input::Receive(now, receive)).is_err() {
            self.errors += 1;
        }
        self.wake = now;
    }

    /// Sends what is due; returns datagrams.
    pub(crate) fn drive(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut datagrams = Vec::new();
        if self.is_closed {
            return datagrams;
        }
        self.capture(now, &mut datagrams);
        self.capture_layers(now, &mut datagrams);
        self.capture_scalable(now, &mut datagrams);
        self.advance(now, &mut datagrams);
        if self.is_taped {
            let copies = datagrams.iter().map(|(_, bytes)| bytes.clone());
            self.tape.extend(copies);
        }
        datagrams
    }

    fn advance(&mut self, now: Instant, datagrams: &mut Vec<(SocketAddr, Vec<u8>)>) {
        if self.rtc.handle_input(Input::Timeout(now)).is_err() {
            self.errors += 1;
            self.is_closed = true;
            return;
        }
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.wake = at.max(now + Duration::from_micros(100));
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    datagrams.push((transmit.destination, transmit.contents.to_vec()));
                }
                Ok(Output::Event(event)) => self.note(event, now),
                Err(_) => {
                    self.errors += 1;
                    self.is_closed = true;
                    break;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.is_closed = true;
        }
    }

    /// Takes the frames that are due and puts them into packets.
    fn capture(&mut self, now: Instant, datagrams: &mut Vec<(SocketAddr, Vec<u8>)>) {
        for line in 0..3 {
            let (source, mid) = match line {
                0 => (self.audio_source.take(), self.audio_mid),
                1 => (self.video_source.take(), self.video_mid),
                _ => (self.screen_source.take(), self.screen_mid),
            };
            let (Some(mut source), Some(mid)) = (source, mid) else {
                continue;
            };
            while source.next <= now {
                if !self.is_connected {
                    source.next += Duration::from_millis(20);
                    continue;
                }
                for packet in source.frame(now) {
                    self.write(mid, None, source.codec, (packet, None), now);
                    self.advance(now, datagrams);
                }
            }
            *match line {
                0 => &mut self.audio_source,
                1 => &mut self.video_source,
                _ => &mut self.screen_source,
            } = Some(source);
        }
    }

    /// Takes the frames of simulcast layers that are due and puts them into packets.
    fn capture_layers(&mut self, now: Instant, datagrams: &mut Vec<(SocketAddr, Vec<u8>)>) {
        let mut layers = std::mem::take(&mut self.layers);
        for (rid, source) in &mut layers {
            let wanted = self.wanted_keyframes.iter().any(|of| of == rid);
            self.wanted_keyframes.retain(|of| of != rid);
            source.keyframe_wanted |= wanted;
            while source.next <= now {
                if !self.is_connected {
                    source.next += Duration::from_millis(20);
                    continue;
                }
                for packet in source.frame(now) {
                    let mid = self.video_mid.expect("video");
                    self.write(mid, Some(*rid), source.codec, (packet, None), now);
                    self.advance(now, datagrams);
                }
            }
        }
        self.layers = layers;
    }

    /// Takes the pictures that are due and puts them into packets.
    fn capture_scalable(&mut self, now: Instant, datagrams: &mut Vec<(SocketAddr, Vec<u8>)>) {
        let Some(mut camera) = self.scalable.take() else {
            return;
        };
        while camera.next <= now {
            if !self.is_connected {
                camera.next += Duration::from_millis(20);
                continue;
            }
            for (packet, descriptor) in camera.picture() {
                let mid = self.video_mid.expect("video");
                let packet = (packet, Some(Descriptor(descriptor)));
                self.write(mid, None, camera.codec, packet, now);
                self.advance(now, datagrams);
            }
        }
        self.scalable = Some(camera);
    }

    fn write(
        &mut self,
        mid: Mid,
        rid: Option<Rid>,
        codec: Codec,
        (packet, descriptor): (OutPacket, Option<Descriptor>),
        now: Instant,
    ) {
        let negotiated = self.rtc.media(mid).expect("a media").remote_pts().to_vec();
        let params = self.rtc.codec_config();
        let params = params
            .find(|params| params.spec().codec == codec && negotiated.contains(&params.pt()))
            .expect("the codec was negotiated");
        let (mut pt, mut packet) = (params.pt(), packet);
        if self.is_redundant && codec.is_audio() {
            let previous = std::mem::replace(&mut self.previous, packet.payload.clone());
            packet.payload = redundant(*pt, &previous, &packet.payload);
            pt = params.red().expect("redundant sound was negotiated");
        }
        let mut values = ExtensionValues {
            audio_level: packet.level,
            voice_activity: packet.level.map(|_| true),
            ..ExtensionValues::default()
        };
        if let Some(descriptor) = descriptor {
            values.user_values.set(descriptor);
        }
        let write = RtpWrite::new(pt, packet.seq.into(), packet.timestamp, now, packet.payload)
            .marker(packet.marker)
            .nackable(true)
            .ext_vals(values);
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, rid).expect("a stream");
        stream.write_rtp(write);
    }

    fn note(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected => self.is_connected = true,
            Event::IceConnectionStateChange(state) => self.ice = state,
            Event::MediaAdded(added) if added.kind == RtcKind::Audio => {
                self.audio_mid = Some(added.mid);
            }
            Event::MediaAdded(added) if self.video_mid.is_none_or(|mid| mid == added.mid) => {
                self.video_mid = Some(added.mid);
            }
            Event::MediaAdded(added) => self.screen_mid = Some(added.mid),
            Event::KeyframeRequest(request) => {
                self.keyframe_requests.push(now);
                self.wanted_keyframes.extend(request.rid);
                let source = if self.screen_mid == Some(request.mid) {
                    &mut self.screen_source
                } else {
                    &mut self.video_source
                };
                if let Some(source) = source {
                    source.keyframe_wanted = true;
                }
                if let Some(camera) = &mut self.scalable {
                    camera.keyframe_wanted = true;
                }
            }
            Event::RtpPacket(packet) => {
                let pt = packet.header.payload_type;
                let codecs = self.rtc.codec_config();
                let Some(params) =
                    codecs.find(|params| params.pt() == pt || params.red() == Some(pt))
                else {
                    return;
                };
                let mut payload = packet.payload.to_vec();
                if params.red() == Some(pt) {
                    self.redundant += 1;
                    payload = primary(*params.pt(), &payload);
                }
                let codec = params.spec().codec;
                let ssrc = packet.header.ssrc;
                let stream = self.rtc.direct_api().stream_rx(&ssrc).map(|it| it.mid());
                let is_screen = stream.is_some() && stream == self.screen_mid;
                let more = self.more.iter_mut().find(|(mid, _)| Some(*mid) == stream);
                let is_more = more.is_some();
                let received = match codec.is_audio() {
                    true => &mut self.audio,
                    false if is_screen => &mut self.screen,
                    false if is_more => &mut more.expect("one").1,
                    false => &mut self.video,
                };
                let packet = Packet {
                    at: now,
                    codec,
                    ssrc: *packet.header.ssrc,
                    seq: *packet.seq_no,
                    timestamp: packet.header.timestamp,
                    marker: packet.header.marker,
                    descriptor: packet
                        .header
                        .ext_vals
                        .user_values
                        .get::<Descriptor>()
                        .map(|Descriptor(value)| value.clone()),
                    payload,
                };
                let is_key = codec.is_audio() || self.is_layered || packet.starts_keyframe();
                let seq = packet.seq;
                received.packets.push(packet);
                if !codec.is_audio() && !is_screen && !is_more {
                    self.look_for_gaps(seq, is_key, now);
                    self.look_for_keyframe(is_key, now);
                }
            }
            Event::RawPacket(raw) => match *raw {
                RawPacket::RtcpRx(rtcp) => {
                    if let (Rtcp::Remb(remb), 1.., Some(source)) =
                        (&rtcp, self.appetite, self.video_source.as_mut())
                    {
                        source.bps = self.appetite.min(remb.bitrate as u64);
                    }
                    if let (Rtcp::Remb(remb), Some(camera)) = (&rtcp, &mut self.scalable) {
                        camera.bound = Some(remb.bitrate as u64);
                    }
                    self.rtcp.push((now, rtcp));
                }
                RawPacket::RtcpTx(Rtcp::SenderReport(report)) => {
                    self.sender_reports_sent.push(report.sender_info);
                }
                RawPacket::RtcpTx(_) | RawPacket::RtpTx(..) | RawPacket::RtpRx(..) => {}
            },
            Event::ChannelOpen(channel, label) => self.channels.push((channel, label)),
            Event::ChannelClose(channel) => self.closed_channels.push(channel),
            Event::ChannelData(message) => self.messages.push(message),
            Event::Closed => self.is_closed = true,
            _ => {}
        }
    }

    /// What is not repaired in time makes the decoder wait for a keyframe.
    fn look_for_gaps(&mut self, seq: u64, is_key: bool, now: Instant) {
        let newest = self.newest.unwrap_or(seq.saturating_sub(1));
        self.missing.remove(&seq);
        for lost in newest + 1..seq {
            self.missing.insert(lost, now);
        }
        self.newest = Some(newest.max(seq));
        if is_key {
            self.missing.retain(|lost, _| *lost > seq);
        }
        let patience = Duration::from_millis(1_000);
        if self.missing.values().any(|since| *since + patience <= now) {
            self.missing.clear();
            self.has_keyframe = false;
        }
    }

    /// Asks for a keyframe until one begins to arrive, as a decoder does.
    fn look_for_keyframe(&mut self, is_key: bool, now: Instant) {
        self.has_keyframe |= is_key;
        let patience = Duration::from_millis(300);
        if self.has_keyframe || self.asked.is_some_and(|asked| now < asked + patience) {
            return;
        }
        self.asked = Some(now);
        let mid = self.video_mid.expect("video");
        let mut direct = self.rtc.direct_api();
        if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Starts the camera and the microphone.
    pub(crate) fn start(&mut self, now: Instant) {
        self.start_with(Codec::Opus, Codec::Vp8, now);
    }

    pub(crate) fn start_with(&mut self, audio: Codec, video: Codec, now: Instant) {
        let publisher = self.element.0 as u8;
        self.audio_source = Some(Source::audio(audio, publisher, now));
        let mut camera = Source::video(video, publisher, now);
        camera.bps = self.appetite;
        self.video_source = Some(camera);
    }

    pub(crate) fn stop(&mut self) {
        self.audio_source = None;
        self.video_source = None;
        self.layers.clear();
        self.scalable = None;
    }

    pub(crate) fn rtcp_count(&self, is: impl Fn(&Rtcp) -> bool) -> usize {
        self.rtcp.iter().filter(|(_, rtcp)| is(rtcp)).count()
    }
}

/// A payload with that of the packet before, 20 ms ago (RFC 2198 §3).
fn redundant(pt: u8, previous: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if !previous.is_empty() {
        let word = (960_u32 << 10) | previous.len() as u32;
        bytes.push(0x80 | pt);
        bytes.extend_from_slice(&word.to_be_bytes()[1..]);
    }
    bytes.push(pt);
    bytes.extend_from_slice(previous);
    bytes.extend_from_slice(payload);
    bytes
}

/// What is not redundant of a payload, all of whose blocks must be of this payload type.
fn primary(pt: u8, payload: &[u8]) -> Vec<u8> {
    let (mut at, mut skip) = (0, 0);
    while payload[at] & 0x80 != 0 {
        assert_eq!(payload[at], 0x80 | pt);
        skip += usize::from(payload[at + 2] & 3) << 8 | usize::from(payload[at + 3]);
        at += 4;
    }
    assert_eq!(payload[at], pt);
    payload[at + 1 + skip..].to_vec()
}
