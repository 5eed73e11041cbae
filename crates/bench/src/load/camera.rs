//! The sending peers: cameras and microphones that keep their rhythm, all on one thread.

use super::LoadError;
use super::window::{AUDIO, StampClock, VIDEO, Window, first_lengths};
use crate::peer::{Buffers, Offered, Peer, PeerError, failed};
use crate::{Burst, Pattern};
use salono_media_api::MediaKind;
use salono_media_core::SocketId;
use salono_media_engine::udp::UdpSocket;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::format::Codec;
use str0m::media::{Mid, Pt};
use str0m::rtp::{ExtensionValues, RtpWrite};
use tokio::sync::oneshot;

/// Longest time between two looks at a socket.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The same while there are connections to make.
const LOOK_SOON: Duration = Duration::from_micros(200);

/// By how much a publisher begins later than the one before it, so that they are out of step: no multiple of a frame
/// or of an audio packet.
const OUT_OF_STEP: Duration = Duration::from_micros(7_919);

/// VP8 payload descriptor (RFC 7741 §4.2) with a 15 bit picture id, as browsers send it.
const VP8_DESCRIPTOR: usize = 4;

/// Publishers that may wait for the thread.
const WAITING: usize = 1_024;

/// Packets are not measured yet.
const WARM_UP: u8 = 0;
/// Packets are measured.
const MEASURED: u8 = 1;
/// Packets are not measured any more.
const AFTERWARDS: u8 = 2;
/// Nothing is sent any more.
const STOPPED: u8 = 3;

/// The running publishers.
pub(super) struct Cameras {
    thread: Option<JoinHandle<Result<(), LoadError>>>,
    newcomers: mpsc::SyncSender<Camera>,
    /// One of the constants above; goes up only.
    phase: Arc<AtomicU8>,
}

impl Cameras {
    /// None yet.
    pub(super) fn start(pattern: &Pattern, clock: StampClock) -> Result<Self, LoadError> {
        let (newcomers, waiting) = mpsc::sync_channel(WAITING);
        let phase = Arc::new(AtomicU8::new(WARM_UP));
        let studio = Studio {
            pattern: pattern.clone(),
            clock,
            phase: Arc::clone(&phase),
            waiting,
            buffers: Buffers::new(),
            cameras: Vec::new(),
            due: BinaryHeap::new(),
        };
        let thread = thread::Builder::new().name("cameras".into());
        Ok(Self {
            thread: Some(thread.spawn(move || studio.run())?),
            newcomers,
            phase,
        })
    }

    /// One more, which sends as soon as it is connected.
    pub(super) fn add(&self, camera: Camera) -> Result<(), LoadError> {
        self.newcomers
            .send(camera)
            .map_err(|_| LoadError::Load("the publishers have ended".into()))?;
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        Ok(())
    }

    /// Measures from the next packets on.
    pub(super) fn begin(&self) {
        self.phase.store(MEASURED, Ordering::SeqCst);
    }

    /// Goes on sending, but measures no further packets.
    pub(super) fn end(&self) {
        self.phase.store(AFTERWARDS, Ordering::SeqCst);
    }

    /// Stops sending.
    pub(super) fn finish(mut self) -> Result<(), LoadError> {
        self.phase.store(STOPPED, Ordering::SeqCst);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(LoadError::Load("the publishers panicked".into())),
            None => Ok(()),
        }
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        self.phase.store(STOPPED, Ordering::SeqCst);
    }
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
    /// Of audio and video, what was done about them: one of the phases.
    phases: [u8; 2],
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
            phases: [WARM_UP; 2],
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

    /// Receives feedback and does what is due.
    fn look(&mut self, buffers: &mut Buffers) -> Result<(), PeerError> {
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
    fn send(
        &mut self,
        burst: &Burst,
        keyframe_bytes: usize,
        phase: u8,
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
                sizes = vec![first_lengths(AUDIO).end - self.firsts_left];
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
    fn enter(&mut self, kind: usize, phase: u8) -> bool {
        let before = std::mem::replace(&mut self.phases[kind], phase);
        let opens = before < MEASURED && phase >= MEASURED;
        if opens {
            self.window.open(kind, self.sequence[kind]);
        }
        if before < AFTERWARDS && phase >= AFTERWARDS {
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

/// What the thread owns.
struct Studio {
    pattern: Pattern,
    clock: StampClock,
    phase: Arc<AtomicU8>,
    waiting: mpsc::Receiver<Camera>,
    buffers: Buffers,
    cameras: Vec<Camera>,
    /// When which camera sends next.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Studio {
    /// Sends until told to stop.
    fn run(mut self) -> Result<(), LoadError> {
        let keyframe_bytes = self.pattern.keyframe_bytes();
        let mut shows: Vec<Option<Show>> = Vec::new();
        loop {
            let phase = self.phase.load(Ordering::SeqCst);
            if phase >= STOPPED {
                return Ok(());
            }
            self.cameras.extend(self.waiting.try_iter());
            shows.resize_with(self.cameras.len(), || None);
            let now = Instant::now();
            let mut is_connecting = false;
            for (index, (camera, show)) in self.cameras.iter_mut().zip(&mut shows).enumerate() {
                if camera.connected.is_some() || now.duration_since(camera.looked) >= LOOK_EVERY {
                    camera.look(&mut self.buffers)?;
                }
                is_connecting |= camera.connected.is_some();
                if camera.connected.is_none() && show.is_none() {
                    let bursts: Box<dyn Iterator<Item = Burst> + Send> =
                        Box::new(self.pattern.bursts());
                    let started = show.insert(Show {
                        start: now + OUT_OF_STEP * (index % 97) as u32,
                        bursts: bursts.peekable(),
                    });
                    if let Some(at) = started.next_at() {
                        self.due.push(Reverse((at, index)));
                    }
                }
            }
            while let Some(Reverse((at, index))) = self.due.peek().copied()
                && at <= Instant::now()
            {
                self.due.pop();
                let Some(show) = shows.get_mut(index).and_then(Option::as_mut) else {
                    continue;
                };
                if let Some(burst) = show.bursts.next() {
                    let phase = self.phase.load(Ordering::SeqCst);
                    let camera = &mut self.cameras[index];
                    camera.send(&burst, keyframe_bytes, phase, self.clock, &mut self.buffers)?;
                }
                if let Some(at) = show.next_at() {
                    self.due.push(Reverse((at, index)));
                }
            }
            let look = if is_connecting { LOOK_SOON } else { LOOK_EVERY };
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            let wait = self
                .due
                .peek()
                .map_or(look, |Reverse((at, _))| left(*at).min(look));
            if !wait.is_zero() {
                thread::park_timeout(wait);
            }
        }
    }
}

/// What one camera shows.
struct Show {
    /// When it began.
    start: Instant,
    bursts: Peekable<Box<dyn Iterator<Item = Burst> + Send>>,
}

impl Show {
    /// When it goes on.
    fn next_at(&mut self) -> Option<Instant> {
        let burst = self.bursts.peek()?;
        self.start.checked_add(burst.at)
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

/// Payload descriptor and first payload byte of a VP8 packet.
fn vp8_head(frame: u64, is_first: bool, is_keyframe: bool) -> [u8; VP8_DESCRIPTOR + 1] {
    // X: extensions follow; S: a partition begins.
    let flags = 0x80 | if is_first { 0x10 } else { 0 };
    // RFC 7741 §4.3: the lowest bit is clear in keyframes.
    let inter = u8::from(!is_keyframe);
    let [high, low] = (frame as u16 & 0x7fff).to_be_bytes();
    [flags, 0x80, 0x80 | high, low, inter]
}
