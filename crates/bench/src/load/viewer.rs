//! One receiving peer and what it counts.

use super::LoadError;
use super::apart::{Agreement, Apart, FEEDBACK_BYTES};
use super::chatter::Chatter;
use super::counter::Counter;
use super::window::{AUDIO, StampClock, VIDEO, Window};
use crate::floor::{FloorKey, register};
use crate::peer::{Buffers, Peer};
use salono_media_core::SocketId;
use salono_media_engine::udp::UdpSocket;
use salono_rtp::header::Header;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::format::Codec;
use str0m::media::Pt;
use tokio::sync::oneshot;

/// Most latencies that one receiver keeps: five minutes of the usual pattern.
const MAX_LATENCIES: usize = 65_536;

/// When a receiver had what it came for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    /// ICE and DTLS were done.
    pub(super) connected: Instant,
    /// The first packet of audio or video arrived.
    pub(super) first_packet: Instant,
}

/// A receiver.
pub(super) struct Viewer {
    link: Link,
    tally: Tally,
    connected: Option<Instant>,
    joined: Option<oneshot::Sender<Joined>>,
    /// Its stack gave up.
    failed: bool,
}

/// How it receives.
enum Link {
    /// All through the WebRTC stack: decrypts, and so measures latency.
    Stack(Box<Peer>, Option<Pt>),
    /// RTP and RTCP beside the stack: counts.
    Apart(Box<(Peer, Apart)>),
    /// No WebRTC at all: from the bare forwarder.
    Floor(Box<FloorLink>),
}

/// From the bare forwarder.
struct FloorLink {
    socket: UdpSocket,
    server: SocketAddr,
    key: FloorKey,
    /// The streams to receive.
    sources: [u32; 2],
    /// When it was asked for them last.
    asked: Option<Instant>,
    /// Decrypts, and so measures latency.
    decrypts: bool,
    /// What it tells the forwarder, if anything.
    chatter: Option<Chatter>,
}

/// What a receiver counted.
#[derive(Debug)]
pub(super) struct Tally {
    /// Of its publisher.
    pub(super) window: Arc<Window>,
    /// Audio and video.
    pub(super) counters: [Counter; 2],
    /// From the publisher's stack to this one, if it decrypts.
    pub(super) latencies: Vec<Duration>,
    clock: StampClock,
}

impl Tally {
    /// Nothing arrived yet.
    pub(super) fn new(window: Arc<Window>, clock: StampClock) -> Self {
        Self {
            window,
            counters: [Counter::default(), Counter::default()],
            latencies: Vec::new(),
            clock,
        }
    }

    /// Takes note of a decrypted packet.
    fn count(&mut self, kind: usize, payload: &[u8]) {
        let (Some((number, age)), Some(start)) =
            (self.clock.read(payload), self.window.start(kind))
        else {
            return;
        };
        let counter = &mut self.counters[kind];
        counter.begin_at(start);
        counter.count(number, false);
        if number >= start && self.latencies.len() < MAX_LATENCIES {
            self.latencies.push(age);
        }
    }
}

impl Viewer {
    /// One that decrypts everything.
    pub(super) fn on_stack(peer: Peer, tally: Tally, joined: oneshot::Sender<Joined>) -> Self {
        let video = peer.codec(Codec::Vp8).ok().map(|params| params.pt());
        Self::new(Link::Stack(Box::new(peer), video), tally, joined)
    }

    /// One that counts; `remote` is what the server said in its session description.
    pub(super) fn apart(
        mut peer: Peer,
        with_video: bool,
        remote: &str,
        tally: Tally,
        joined: oneshot::Sender<Joined>,
    ) -> Result<Self, LoadError> {
        let agreement = Agreement::of(&peer, with_video, remote)?;
        peer.keep_media_apart();
        let link = Link::Apart(Box::new((peer, Apart::new(agreement))));
        Ok(Self::new(link, tally, joined))
    }

    /// One that receives `sources`, audio and video, from the bare forwarder at `server`.
    pub(super) fn of_floor(
        socket: UdpSocket,
        server: SocketAddr,
        sources: [u32; 2],
        decrypts: bool,
        chatter: Option<Chatter>,
        tally: Tally,
        joined: oneshot::Sender<Joined>,
    ) -> Result<Self, LoadError> {
        let link = Link::Floor(Box::new(FloorLink {
            key: FloorKey::new(socket.local_addr())?,
            socket,
            server,
            sources,
            asked: None,
            decrypts,
            chatter,
        }));
        Ok(Self::new(link, tally, joined))
    }

    fn new(link: Link, tally: Tally, joined: oneshot::Sender<Joined>) -> Self {
        Self {
            link,
            tally,
            connected: None,
            joined: Some(joined),
            failed: false,
        }
    }

    /// Whether nothing has arrived yet, so that it has to be looked at often.
    pub(super) const fn is_fresh(&self) -> bool {
        self.joined.is_some()
    }

    /// What it counted.
    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Takes a candidate of the server.
    pub(super) fn add_candidate(&mut self, candidate: &str) -> Result<(), LoadError> {
        match &mut self.link {
            Link::Stack(peer, _) => peer.add_candidate(candidate)?,
            Link::Apart(link) => link.0.add_candidate(candidate)?,
            Link::Floor(_) => {}
        }
        Ok(())
    }

    /// Takes in what arrived and does what is due. A receiver that fails receives nothing any more.
    pub(super) fn look(&mut self, buffers: &mut Buffers) -> Result<(), LoadError> {
        if self.failed {
            return Ok(());
        }
        match self.look_at_link(buffers) {
            Err(LoadError::Peer(_)) => {
                self.failed = true;
                self.joined = None;
                Ok(())
            }
            other => other,
        }
    }

    fn look_at_link(&mut self, buffers: &mut Buffers) -> Result<(), LoadError> {
        let (tally, connected) = (&mut self.tally, &mut self.connected);
        let mut has_media = false;
        match &mut self.link {
            Link::Stack(peer, video) => {
                peer.run(
                    buffers,
                    |_, _, _| {},
                    |event| {
                        if let Event::RtpPacket(packet) = &event {
                            has_media = true;
                            let is_video = Some(packet.header.payload_type) == *video;
                            let kind = if is_video { VIDEO } else { AUDIO };
                            tally.count(kind, &packet.payload);
                        } else if let Event::Connected = event {
                            *connected = Some(Instant::now());
                        }
                    },
                )?;
            }
            Link::Apart(link) => {
                let (peer, apart) = &mut **link;
                let now = Instant::now();
                if connected.is_none()
                    && let Some(keys) = peer.keys.get()
                {
                    apart.set_keys(keys)?;
                }
                let mut is_connected = false;
                peer.run(
                    buffers,
                    |remote, datagram, arrival| {
                        has_media |= apart.receive(remote, datagram, &mut tally.counters, arrival);
                    },
                    |event| is_connected |= matches!(event, Event::Connected),
                )?;
                if is_connected {
                    *connected = Some(now);
                }
                if let Some(keys) = peer.keys.get() {
                    apart.set_keys(keys)?;
                }
                apart.feedback(&mut buffers.egress, now);
                peer.flush(buffers);
            }
            Link::Floor(link) => has_media = link.look(buffers, tally, connected)?,
        }
        if has_media && let Some(joined) = self.joined.take() {
            let now = Instant::now();
            // Nobody waits any more when the time was up.
            let _ = joined.send(Joined {
                connected: connected.unwrap_or(now),
                first_packet: now,
            });
        }
        Ok(())
    }
}

impl FloorLink {
    /// Takes in what arrived. Returns whether that was a packet of a stream.
    fn look(
        &mut self,
        buffers: &mut Buffers,
        tally: &mut Tally,
        connected: &mut Option<Instant>,
    ) -> Result<bool, LoadError> {
        let now = Instant::now();
        let is_due = |asked: Instant| now.duration_since(asked) > Duration::from_millis(100);
        if connected.is_none() && self.asked.is_none_or(is_due) {
            self.asked = Some(now);
            register(&mut buffers.egress, self.server, self.sources);
            buffers.flush(&self.socket);
        }
        let mut has_media = false;
        let chatter = &mut self.chatter;
        buffers.receive(&self.socket, |_, datagram, arrival, _| {
            connected.get_or_insert(now);
            let Ok(header) = Header::parse(datagram) else {
                return;
            };
            let kind = usize::from(header.ssrc == self.sources[VIDEO]);
            has_media = true;
            if let Some(chatter) = chatter {
                chatter.record(arrival);
            }
            if self.decrypts {
                if let Some(payload) = self.key.open(datagram) {
                    tally.count(kind, payload);
                }
            } else if let Some(start) = tally.window.start(kind) {
                // Numbers are passed on as they are, so the wire has the low bits of those of the publisher.
                let counter = &mut tally.counters[kind];
                counter.begin_at(start);
                let nearest = counter.nearest(header.sequence_number);
                counter.count(nearest, false);
            }
        })?;
        if let Some(chatter) = &mut self.chatter {
            let mut buf = [0; FEEDBACK_BYTES];
            let len = chatter.write(&mut buf, now);
            if len > 0 {
                buffers
                    .egress
                    .push(SocketId(0), self.server, 0, &buf[..len]);
                buffers.flush(&self.socket);
            }
        }
        Ok(has_media)
    }
}
