//! Peers that call a server and do nothing else: for measurements of what a call costs.

use super::{Buffers, LOOPBACK, Offered, Peer, PeerError, PeerFactory, failed};
use crate::pattern::vp8_head;
use crate::{Burst, Pacer, Pattern};
use salono_media_api::MediaKind;
use salono_media_engine::udp::SocketOptions;
use std::thread;
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::format::Codec;
use str0m::media::{Direction, Mid};
use str0m::rtp::RtpWrite;

/// Pause before all peers are looked at again.
const LOOK: Duration = Duration::from_millis(2);

/// str0m peers, each behind a socket of its own on the loopback interface, all on the calling
/// thread.
pub struct Callers {
    factory: PeerFactory,
    buffers: Buffers,
    callers: Vec<Caller>,
    /// How long the first one has sent so far.
    streamed: Duration,
    /// Packets of audio and of video that it has sent.
    sequence: [u64; 2],
}

/// One of them.
struct Caller {
    peer: Peer,
    /// Our offer until it is answered.
    offer: Option<Offered>,
    /// M-lines of audio and of video.
    mids: [Option<Mid>; 2],
    connected: bool,
    /// Packets that came.
    received: u64,
}

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Send and receive.
    Caller,
    /// Only receive.
    Viewer,
    /// Only receive, H264 instead of VP8, without telling when packets arrived: what is sent then is the same whatever a busy
    /// machine delays.
    H264Viewer,
}

impl Callers {
    /// None yet.
    ///
    /// # Errors
    /// When there can be no certificate.
    pub fn new() -> Result<Self, PeerError> {
        Ok(Self {
            factory: PeerFactory::new(LOOPBACK)?,
            buffers: Buffers::new(),
            callers: Vec::new(),
            streamed: Duration::ZERO,
            sequence: [0; 2],
        })
    }

    /// One more, with its offer of one audio and one video m-line. They are counted from 0.
    ///
    /// # Errors
    /// When it has no socket.
    pub fn offer(&mut self, role: Role) -> Result<String, PeerError> {
        let (direction, video, feedback) = match role {
            Role::Caller => (Direction::SendRecv, Codec::Vp8, true),
            Role::Viewer => (Direction::RecvOnly, Codec::Vp8, true),
            Role::H264Viewer => (Direction::RecvOnly, Codec::H264, false),
        };
        let options = SocketOptions::default();
        let mut peer = self.factory.peer_of(video, options, feedback)?;
        let offer = peer.offer(true, direction)?;
        let text = offer.sdp.clone();
        self.callers.push(Caller {
            peer,
            mids: [offer.audio, offer.video],
            offer: Some(offer),
            connected: false,
            received: 0,
        });
        Ok(text)
    }

    /// Gives a caller the answer to its offer and the server's candidates.
    ///
    /// # Errors
    /// When they are malformed, or there is no such caller that waits for an answer.
    pub fn accept(
        &mut self,
        caller: usize,
        answer: &str,
        candidates: &[String],
    ) -> Result<(), PeerError> {
        let caller = self.callers.get_mut(caller);
        let waiting = caller.and_then(|caller| Some((&mut caller.peer, caller.offer.take()?)));
        let Some((peer, offer)) = waiting else {
            return Err(failed("nobody waits for this answer"));
        };
        peer.accept(offer, answer)?;
        candidates
            .iter()
            .try_for_each(|candidate| peer.add_candidate(candidate))
    }

    /// Runs all of them until everyone is connected: ICE and DTLS.
    ///
    /// # Errors
    /// When one fails or that takes longer than `patience`.
    pub fn connect(&mut self, patience: Duration) -> Result<(), PeerError> {
        let began = Instant::now();
        loop {
            for caller in &mut self.callers {
                caller.look(&mut self.buffers)?;
            }
            let missing = self.callers.iter().filter(|it| !it.connected).count();
            if missing == 0 {
                return Ok(());
            }
            if began.elapsed() > patience {
                return Err(failed(format!(
                    "{missing} of {} did not connect",
                    self.callers.len()
                )));
            }
            thread::park_timeout(LOOK);
        }
    }

    /// Lets the first caller send a camera and a microphone for `length` (more of it with each call),
    /// while all receive. Returns how many of the others got something.
    ///
    /// # Errors
    /// When one fails.
    pub fn stream(&mut self, pattern: &Pattern, length: Duration) -> Result<usize, PeerError> {
        let pacer = Pacer::start();
        for mut burst in pattern.bursts().take_while(|burst| burst.at < length) {
            pacer.wait_until(burst.at);
            burst.at += self.streamed;
            if let Some(first) = self.callers.first_mut() {
                first.send(&burst, &mut self.sequence, &mut self.buffers)?;
            }
            for caller in &mut self.callers {
                caller.look(&mut self.buffers)?;
            }
        }
        self.streamed += length;
        let others = self.callers.iter().skip(1);
        Ok(others.filter(|caller| caller.received > 0).count())
    }

    /// Lets all receive for `length` what somebody else sends. Returns the packets that each got, in order.
    ///
    /// # Errors
    /// When one fails.
    pub fn receive(&mut self, length: Duration) -> Result<Vec<u64>, PeerError> {
        let began = Instant::now();
        let before: Vec<u64> = self.callers.iter().map(|caller| caller.received).collect();
        while began.elapsed() < length {
            for caller in &mut self.callers {
                caller.look(&mut self.buffers)?;
            }
            thread::park_timeout(LOOK);
        }
        let after = self.callers.iter().map(|caller| caller.received);
        Ok(after
            .zip(before)
            .map(|(after, before)| after - before)
            .collect())
    }
}

impl Caller {
    /// Takes in what arrived and does what is due.
    fn look(&mut self, buffers: &mut Buffers) -> Result<(), PeerError> {
        let Self {
            peer,
            connected,
            received,
            ..
        } = self;
        peer.run(
            buffers,
            |_, _, _| {},
            |event| {
                *connected |= matches!(event, Event::Connected);
                *received += u64::from(matches!(event, Event::RtpPacket(_)));
            },
        )
    }

    /// Sends one frame or one audio packet; `sequence` counts those of audio and of video.
    fn send(
        &mut self,
        burst: &Burst,
        sequence: &mut [u64; 2],
        buffers: &mut Buffers,
    ) -> Result<(), PeerError> {
        let is_video = burst.kind == MediaKind::Video;
        let [audio, video] = self.mids;
        let (mid, codec, clock) = if is_video {
            (video, Codec::Vp8, 90_000)
        } else {
            (audio, Codec::Opus, 48_000)
        };
        let payload_type = self.peer.codec(codec)?.pt();
        let time = (burst.at.as_nanos() * clock / 1_000_000_000) as u32;
        let count = burst.packets().count();
        for (index, bytes) in burst.packets().enumerate() {
            let mut payload = vec![0x5a; bytes];
            if is_video {
                let head = vp8_head(burst.number, index == 0, burst.keyframe);
                payload
                    .iter_mut()
                    .zip(head)
                    .for_each(|(byte, head)| *byte = head);
            }
            let number = &mut sequence[usize::from(is_video)];
            let now = Instant::now();
            let packet = RtpWrite::new(payload_type, (*number).into(), time, now, payload)
                .marker(is_video && index + 1 == count)
                .nackable(is_video);
            *number += 1;
            let mut api = self.peer.rtc.direct_api();
            let stream = mid.and_then(|mid| api.stream_tx_by_mid(mid, None));
            stream
                .ok_or_else(|| failed("the publisher has no stream"))?
                .write_rtp(packet);
            self.look(buffers)?;
        }
        Ok(())
    }
}
