//! One sending peer: a camera and a microphone.

use super::window::{AUDIO, StampClock, VIDEO, Window, first_lengths};
use crate::Burst;
use crate::pattern::vp8_head;
use crate::peer::{Buffers, Offered, Peer, PeerError, failed};
use salono_media_api::MediaKind;
use salono_media_core::SocketId;
use salono_media_engine::udp::UdpSocket;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::format::Codec;
use str0m::media::{Mid, Pt};
use str0m::rtp::{ExtensionValues, RtpWrite};
use tokio::sync::oneshot;

/// What is to be done about packets. Only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// They are not measured yet.
    WarmUp,
    /// They are measured.
    Measured,
    /// They are not measured any more.
    Afterwards,
    /// None are sent any more.
    Stopped,
}

/// One publisher.
pub(super) struct Camera {
    link: Link,
    window: Arc<Window>,
    /// To be told when it is connected.
    connected: Option<oneshot::Sender<()>>,
    keyframe_wanted: bool,
    /// Packets of audio and video so far.
    sequence: [u64; 2],
    /// Of audio and video, what was done about them.
    phases: [Phase; 2],
    /// Packets of audio that still have to have one of the first lengths.
    firsts_left: usize,
    looked: Instant,
}

/// How it sends.
enum Link {
    /// Through a WebRTC stack.
    Stack {
        peer: Box<Peer>,
        /// M-line and payload type of audio and video.
        streams: [Option<(Mid, Pt)>; 2],
    },
    /// In the clear to the bare forwarder.
    Floor {
        socket: UdpSocket,
        server: SocketAddr,
        sources: [u32; 2],
    },
}

impl Camera {
    /// A publisher whose offer has been answered.
    pub(super) fn on_stack(
        mut peer: Peer,
        offered: Offered,
        answer: &str,
        window: Arc<Window>,
        connected: oneshot::Sender<()>,
    ) -> Result<Self, PeerError> {
        let (audio, video) = (offered.audio, offered.video);
        peer.accept(offered, answer)?;
        let stream = |mid: Option<Mid>, codec| match mid {
            Some(mid) => peer.codec(codec).map(|params| Some((mid, params.pt()))),
            None => Ok(None),
        };
        let streams = [stream(audio, Codec::Opus)?, stream(video, Codec::Vp8)?];
        let peer = Box::new(peer);
        Ok(Self::new(Link::Stack { peer, streams }, window, connected))
    }

    /// A publisher that sends to the bare forwarder at `server`.
    pub(super) fn of_floor(
        socket: UdpSocket,
        server: SocketAddr,
        sources: [u32; 2],
        window: Arc<Window>,
        connected: oneshot::Sender<()>,
    ) -> Self {
        let link = Link::Floor {
            socket,
            server,
            sources,
        };
        Self::new(link, window, connected)
    }

    fn new(link: Link, window: Arc<Window>, connected: oneshot::Sender<()>) -> Self {
        Self {
            link,
            window,
            connected: Some(connected),
            keyframe_wanted: true,
            sequence: [0; 2],
            phases: [Phase::WarmUp; 2],
            firsts_left: 0,
            looked: Instant::now(),
        }
    }

    /// Takes a candidate of the server.
    pub(super) fn add_candidate(&mut self, candidate: &str) -> Result<(), PeerError> {
        match &mut self.link {
            Link::Stack { peer, .. } => peer.add_candidate(candidate),
            Link::Floor { .. } => Ok(()),
        }
    }

    /// Whether it can send.
    pub(super) const fn is_connected(&self) -> bool {
        self.connected.is_none()
    }

    /// How long it was not looked at.
    pub(super) fn unseen(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.looked)
    }

    /// Receives feedback and does what is due.
    pub(super) fn look(&mut self, buffers: &mut Buffers) -> Result<(), PeerError> {
        self.looked = Instant::now();
        let mut is_connected = false;
        match &mut self.link {
            Link::Stack { peer, .. } => {
                let keyframe = &mut self.keyframe_wanted;
                let report = |event: Event| note(&event, &mut is_connected, keyframe);
                peer.run(buffers, |_, _, _| {}, report)?;
            }
            Link::Floor { .. } => is_connected = true,
        }
        if is_connected && let Some(connected) = self.connected.take() {
            // Nobody waits any more when the time was up.
            let _ = connected.send(());
        }
        Ok(())
    }

    /// Sends one frame or one audio packet.
    pub(super) fn send(
        &mut self,
        burst: &Burst,
        keyframe_bytes: usize,
        phase: Phase,
        clock: StampClock,
        buffers: &mut Buffers,
    ) -> Result<(), PeerError> {
        let kind = if burst.kind == MediaKind::Video {
            VIDEO
        } else {
            AUDIO
        };
        let mut burst = *burst;
        if kind == VIDEO && (std::mem::take(&mut self.keyframe_wanted) || burst.keyframe) {
            burst.keyframe = true;
            burst.bytes = keyframe_bytes;
        }
        let is_first = self.enter(kind, phase);
        // A whole frame, or one audio packet after the other.
        let mut sizes: Vec<usize> = burst.packets().collect();
        if kind == VIDEO && is_first {
            sizes = first_lengths(VIDEO).collect();
        } else if kind == AUDIO {
            if is_first {
                self.firsts_left = first_lengths(AUDIO).len();
            }
            if self.firsts_left > 0 {
                sizes = first_lengths(AUDIO)
                    .nth_back(self.firsts_left - 1)
                    .into_iter()
                    .collect();
                self.firsts_left -= 1;
            }
        }
        let last = sizes.len().saturating_sub(1);
        for (index, len) in sizes.into_iter().enumerate() {
            let mut payload = vec![0x5a; len];
            if kind == VIDEO {
                let head = vp8_head(burst.number, index == 0, burst.keyframe);
                payload[..head.len()].copy_from_slice(&head);
            }
            clock.stamp(&mut payload, self.sequence[kind]);
            self.write(kind, &burst, payload, index == last, buffers)?;
            self.sequence[kind] += 1;
        }
        match &self.link {
            Link::Stack { peer, .. } => peer.flush(buffers),
            Link::Floor { socket, .. } => buffers.flush(socket),
        }
        Ok(())
    }

    /// Opens and closes the window. Returns whether the next packet is the first that is measured.
    fn enter(&mut self, kind: usize, phase: Phase) -> bool {
        let before = std::mem::replace(&mut self.phases[kind], phase);
        let opens = before < Phase::Measured && phase >= Phase::Measured;
        if opens {
            self.window.open(kind, self.sequence[kind]);
        }
        if before < Phase::Afterwards && phase >= Phase::Afterwards {
            self.window.close(kind, self.sequence[kind]);
        }
        opens
    }

    /// Puts one packet behind those that wait to be sent.
    fn write(
        &mut self,
        kind: usize,
        burst: &Burst,
        payload: Vec<u8>,
        is_last: bool,
        buffers: &mut Buffers,
    ) -> Result<(), PeerError> {
        let is_video = kind == VIDEO;
        let rate = if is_video { 90_000 } else { 48_000 };
        let time = (burst.at.as_nanos() * rate / 1_000_000_000) as u32;
        let marker = is_video && is_last;
        let sequence = self.sequence[kind];
        match &mut self.link {
            Link::Stack { peer, streams } => {
                let Some((mid, payload_type)) = streams[kind] else {
                    return Ok(());
                };
                let now = Instant::now();
                let mut packet = RtpWrite::new(payload_type, sequence.into(), time, now, payload)
                    .marker(marker)
                    .nackable(is_video);
                if !is_video {
                    packet = packet.ext_vals(ExtensionValues {
                        audio_level: Some(-40),
                        voice_activity: Some(true),
                        ..ExtensionValues::default()
                    });
                }
                let mut api = peer.rtc.direct_api();
                api.stream_tx_by_mid(mid, None)
                    .ok_or_else(|| failed("the publisher has no stream"))?
                    .write_rtp(packet);
                // The stack takes one change at a time; what it wants to send waits in our buffer, so that the
                // frame leaves in one piece.
                let (keyframe, mut is_connected) = (&mut self.keyframe_wanted, false);
                peer.queue(buffers, |event| note(&event, &mut is_connected, keyframe))
            }
            Link::Floor {
                server, sources, ..
            } => {
                let mut packet = vec![0x80, if is_video { 96 } else { 111 }];
                packet[1] |= u8::from(marker) << 7;
                packet.extend((sequence as u16).to_be_bytes());
                packet.extend(time.to_be_bytes());
                packet.extend(sources[kind].to_be_bytes());
                packet.extend(payload);
                buffers.egress.push(SocketId(0), *server, 0, &packet);
                Ok(())
            }
        }
    }
}

/// Takes note of what concerns a publisher.
fn note(event: &Event, is_connected: &mut bool, keyframe_wanted: &mut bool) {
    if matches!(event, Event::Connected) {
        *is_connected = true;
    } else if matches!(event, Event::KeyframeRequest(_)) {
        *keyframe_wanted = true;
    }
}
