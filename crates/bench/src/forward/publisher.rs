//! The sending peer: a camera and a microphone that keep their rhythm.

use super::ForwardError;
use super::peer::{Buffers, Peer};
use super::tally::{STAMPED_BYTES, Window};
use crate::{Burst, Pacer, Pattern};
use salono_media_api::MediaKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::format::Codec;
use str0m::media::Pt;
use str0m::rtp::{ExtensionValues, RtpWrite};

/// Longest time between two looks at the socket.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// VP8 payload descriptor (RFC 7741 §4.2) with a 15 bit picture id, as browsers send it.
const VP8_DESCRIPTOR: usize = 4;

/// The running publisher.
pub(super) struct Publisher {
    /// Sends.
    thread: Option<JoinHandle<Result<(), ForwardError>>>,
    /// One of the constants below; goes up only.
    phase: Arc<AtomicU8>,
}

/// Packets are not measured yet.
const WARM_UP: u8 = 0;
/// Packets are measured.
const MEASURED: u8 = 1;
/// Packets are not measured any more.
const AFTERWARDS: u8 = 2;
/// Nothing is sent any more.
const STOPPED: u8 = 3;

impl Publisher {
    /// Connects and begins to send.
    pub(super) fn start(
        peer: Peer,
        pattern: &Pattern,
        window: &Arc<Window>,
    ) -> Result<Self, ForwardError> {
        let phase = Arc::new(AtomicU8::new(WARM_UP));
        let camera = Camera {
            peer,
            buffers: Buffers::new(),
            window: Arc::clone(window),
            connected: false,
            keyframe_wanted: true,
            packets: 0,
            sequence: [0; 2],
        };
        let (shared, pattern) = (Arc::clone(&phase), pattern.clone());
        let thread = thread::Builder::new().name("publisher".into());
        let thread = thread.spawn(move || camera.run(&pattern, &shared))?;
        Ok(Self {
            thread: Some(thread),
            phase,
        })
    }

    /// Measures from the next packet on.
    pub(super) fn begin(&self) {
        self.phase.store(MEASURED, Ordering::SeqCst);
    }

    /// Goes on sending, but measures no further packets.
    pub(super) fn end(&self) {
        self.phase.store(AFTERWARDS, Ordering::SeqCst);
    }

    /// Whether it stopped by itself; [`Publisher::finish`] says why.
    pub(super) fn has_failed(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Stops sending.
    pub(super) fn finish(mut self) -> Result<(), ForwardError> {
        self.phase.store(STOPPED, Ordering::SeqCst);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(ForwardError::Peer("the publisher panicked".into())),
            None => Ok(()),
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.phase.store(STOPPED, Ordering::SeqCst);
    }
}

/// What the thread owns.
struct Camera {
    /// The peer.
    peer: Peer,
    /// For its socket.
    buffers: Buffers,
    /// What is measured.
    window: Arc<Window>,
    /// DTLS is done.
    connected: bool,
    /// Somebody needs a keyframe.
    keyframe_wanted: bool,
    /// Packets so far.
    packets: u64,
    /// Packets of audio and video so far.
    sequence: [u64; 2],
}

impl Camera {
    /// Sends until told to stop.
    fn run(mut self, pattern: &Pattern, phase: &AtomicU8) -> Result<(), ForwardError> {
        let began = Instant::now();
        while !self.connected {
            if began.elapsed() > PATIENCE {
                return Err(ForwardError::Peer("the publisher does not connect".into()));
            }
            self.look()?;
            thread::park_timeout(Duration::from_millis(1));
        }
        let (opus, vp8) = (
            self.payload_type(Codec::Opus)?,
            self.payload_type(Codec::Vp8)?,
        );
        let mut seen = WARM_UP;
        let pacer = Pacer::start();
        let mut looked = Duration::ZERO;
        for burst in pattern.bursts(Duration::MAX) {
            while looked + LOOK_EVERY < burst.at {
                looked += LOOK_EVERY;
                pacer.wait_until(looked);
                self.look()?;
            }
            pacer.wait_until(burst.at);
            let now = phase.load(Ordering::SeqCst);
            if now >= MEASURED && seen < MEASURED {
                self.window.open(self.packets);
            }
            if now >= AFTERWARDS && seen < AFTERWARDS {
                self.window.close(self.packets);
            }
            if now >= STOPPED {
                return Ok(());
            }
            seen = now;
            let payload_type = match burst.kind {
                MediaKind::Audio => opus,
                MediaKind::Video | MediaKind::Data => vp8,
            };
            self.send(&burst, payload_type)?;
        }
        Ok(())
    }

    /// What the answer allows for a codec.
    fn payload_type(&self, codec: Codec) -> Result<Pt, ForwardError> {
        let config = self.peer.rtc.codec_config();
        config
            .find(|params| params.spec().codec == codec)
            .map(|params| params.pt())
            .ok_or_else(|| ForwardError::Peer(format!("{codec} was not agreed")))
    }

    /// Receives feedback and does what is due.
    fn look(&mut self) -> Result<(), ForwardError> {
        let (connected, keyframe) = (&mut self.connected, &mut self.keyframe_wanted);
        self.peer
            .run(&mut self.buffers, |event| note(&event, connected, keyframe))
    }

    /// Sends one frame or one audio packet.
    fn send(&mut self, burst: &Burst, payload_type: Pt) -> Result<(), ForwardError> {
        let is_video = burst.kind == MediaKind::Video;
        let (mid, clock) = if is_video {
            (self.peer.video, 90_000)
        } else {
            (self.peer.audio, 48_000)
        };
        let time = (burst.at.as_nanos() * clock / 1_000_000_000) as u32;
        let keyframe = is_video && std::mem::take(&mut self.keyframe_wanted);
        let now = Instant::now();
        for index in 0..burst.packets {
            let mut payload = vec![0x5a; burst.bytes.max(STAMPED_BYTES)];
            if is_video {
                payload[..=VP8_DESCRIPTOR].copy_from_slice(&vp8_head(
                    burst.number,
                    index == 0,
                    keyframe,
                ));
            }
            self.window.stamp(&mut payload, self.packets, is_video);
            self.packets += 1;
            let sequence = &mut self.sequence[usize::from(is_video)];
            let mut packet = RtpWrite::new(payload_type, (*sequence).into(), time, now, payload)
                .marker(is_video && index + 1 == burst.packets)
                .nackable(is_video);
            *sequence += 1;
            if !is_video {
                packet = packet.ext_vals(ExtensionValues {
                    audio_level: Some(-40),
                    voice_activity: Some(true),
                    ..ExtensionValues::default()
                });
            }
            let mut api = self.peer.rtc.direct_api();
            let stream = api
                .stream_tx_by_mid(mid, None)
                .ok_or_else(|| ForwardError::Peer("the publisher has no stream".into()))?;
            stream.write_rtp(packet);
            // The stack takes one change at a time; what it wants to send waits in our buffer, so
            // that the frame leaves in one piece.
            self.look_after(index + 1 == burst.packets)?;
        }
        Ok(())
    }

    /// Lets the stack process a packet; sends at the end of a frame.
    fn look_after(&mut self, is_last: bool) -> Result<(), ForwardError> {
        let (connected, keyframe) = (&mut self.connected, &mut self.keyframe_wanted);
        let report = |event: Event| note(&event, connected, keyframe);
        if is_last {
            self.peer.send(&mut self.buffers, report)
        } else {
            self.peer.queue(&mut self.buffers, report)
        }
    }
}

/// Takes note of what concerns a publisher.
fn note(event: &Event, connected: &mut bool, keyframe_wanted: &mut bool) {
    if matches!(event, Event::Connected) {
        *connected = true;
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
