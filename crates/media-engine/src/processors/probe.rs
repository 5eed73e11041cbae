//! Measures processors: how soon a pipeline has one, and how long packets take through it and back.
//!
//! All parts between a shard and a processor are the real ones; only the shard itself is left out.

use super::{Desk, ProcessorConfig, Processors};
use crate::bind;
use crate::lookup::Lookup;
use crate::network::{Heard, Network, NetworkParts};
use crate::os::Ready;
use crate::udp::SocketOptions;
use salono_media_api::processing::bridge::{BridgeCommand, InletKey, Origin, OutletKey, RtpFormat};
use salono_media_api::{MediaKind, PipelineKey};
use salono_media_core::{Egress, NOWHERE, ProcessorReport, ProcessorRequest, SocketId};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PIPELINE: PipelineKey = PipelineKey(1);
const INLET: InletKey = InletKey(1);
const OUTLET: OutletKey = OutletKey(2);

/// Poller token of news.
const NEWS: u64 = u64::MAX;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Distance of packets: that of most speech.
const PACE: Duration = Duration::from_millis(20);

/// Samples of [`PACE`] at the clock rate of Opus.
const SAMPLES: u32 = 960;

const PAYLOAD_TYPE: u8 = 111;

/// Bytes of an RTP header.
const HEADER_BYTES: usize = 12;

/// Packets before those that count: the first ones open what they go through.
const WARM_UP: u32 = 25;

/// What was measured.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Until a pipeline had a processor that had to be started.
    pub cold: Duration,
    /// Until one had one that was kept ready.
    pub warm: Duration,
    /// Packets that went in, after the first ones.
    pub sent: usize,
    /// How long each took that came out again, in order.
    pub crossings: Vec<Duration>,
}

/// A pipeline without a shard.
struct Pipeline {
    processors: Arc<Processors>,
    network: Network,
    desk: Desk,
    egress: Egress,
    ready: Ready,
}

/// Starts processors and sends so many packets of sound through one, in which they are not encoded anew.
///
/// # Errors
/// When there is no processor, or the system has no more of something.
pub fn probe(config: &ProcessorConfig, packets: u32) -> io::Result<Probe> {
    let cold = {
        let config = ProcessorConfig {
            warm: 0,
            ..config.clone()
        };
        let mut pipeline = Pipeline::new(config)?;
        let began = Instant::now();
        pipeline.attach()?;
        began.elapsed()
    };
    let config = ProcessorConfig {
        warm: 1,
        ..config.clone()
    };
    let mut pipeline = Pipeline::new(config)?;
    let deadline = Instant::now() + PATIENCE;
    while pipeline.processors.metrics().warm == 0 {
        if Instant::now() > deadline {
            return Err(io::Error::other("no processor is kept ready"));
        }
        pipeline.pass(Duration::from_millis(10), |_| {})?;
    }
    let began = Instant::now();
    let media = pipeline.attach()?;
    let warm = began.elapsed();
    let crossings = pipeline.cross(media, packets)?;
    Ok(Probe {
        cold,
        warm,
        sent: packets as usize,
        crossings,
    })
}

impl Pipeline {
    fn new(config: ProcessorConfig) -> io::Result<Self> {
        let processors = Arc::new(Processors::new(config)?);
        let network = Network::new(NetworkParts {
            udp: Vec::new(),
            ice_tcp: Vec::new(),
            options: SocketOptions::default(),
            lookup: Arc::new(Lookup::new(
                bind::extra_roots("").map_err(io::Error::other)?,
            )),
        })?;
        let desk = Desk::new(Arc::clone(&processors))?;
        network.watch(&desk, NEWS)?;
        Ok(Self {
            processors,
            network,
            desk,
            egress: Egress::with_arena(64 * 1024),
            ready: Ready::new(),
        })
    }

    /// Gives the pipeline a processor; its media socket.
    fn attach(&mut self) -> io::Result<SocketId> {
        let request = ProcessorRequest::Attach { pipeline: PIPELINE };
        self.desk.request(request, &mut self.network);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(socket) = self.pass(PACE, |_| {})? {
                return Ok(socket);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "no processor in time",
        ))
    }

    /// Waits once and handles what there is. Returns the media socket when it comes.
    fn pass(
        &mut self,
        patience: Duration,
        mut handle: impl FnMut(&[u8]),
    ) -> io::Result<Option<SocketId>> {
        self.network.wait(&mut self.ready, Some(patience))?;
        let now = Instant::now();
        for token in self.ready.tokens().filter(|token| *token != NEWS) {
            let heard = |heard: Heard<'_>| {
                if let Heard::Datagram(_, _, bytes) = heard {
                    handle(bytes);
                }
            };
            self.network.serve(token, now, heard);
        }
        let mut attached = None;
        self.desk.take();
        while let Some(report) = self.desk.poll_report(&mut self.network) {
            match report {
                ProcessorReport::Attached { socket, .. } => attached = Some(socket),
                ProcessorReport::Heard { .. } => {}
                ProcessorReport::Lost { reason, .. }
                | ProcessorReport::Unavailable { reason, .. } => {
                    return Err(io::Error::other(reason));
                }
            }
        }
        Ok(attached)
    }

    fn tell(&mut self, command: BridgeCommand) {
        let request = ProcessorRequest::Tell {
            pipeline: PIPELINE,
            command: Box::new(command),
        };
        self.desk.request(request, &mut self.network);
    }

    /// Sends packets at their pace; how long those took that came back.
    fn cross(&mut self, media: SocketId, packets: u32) -> io::Result<Vec<Duration>> {
        let format = RtpFormat {
            codec: "opus".to_owned(),
            payload_type: PAYLOAD_TYPE,
            clock_rate: 48_000,
            channels: 2,
            parameters: String::new(),
        };
        self.tell(BridgeCommand::OpenInlet {
            inlet: INLET,
            kind: MediaKind::Audio,
            format: format.clone(),
        });
        self.tell(BridgeCommand::OpenOutlet {
            outlet: OUTLET,
            origin: Origin::Inlet(INLET),
            kind: MediaKind::Audio,
            format,
        });
        let began = Instant::now();
        let mut sent_at: Vec<Instant> = Vec::new();
        let mut crossings = Vec::new();
        let total = packets + WARM_UP;
        // What is late still counts.
        for number in 0..total + 50 {
            let due = began + PACE * number;
            while let Some(patience) = due.checked_duration_since(Instant::now()) {
                let (crossings, sent_at) = (&mut crossings, &sent_at);
                self.pass(patience, |packet| {
                    let number = number_of(packet).filter(|number| *number >= WARM_UP);
                    if let Some(sent) = number.and_then(|number| sent_at.get(number as usize)) {
                        crossings.push(sent.elapsed());
                    }
                })?;
            }
            if number < total {
                sent_at.push(Instant::now());
                self.egress.push(media, NOWHERE, 0, &packet(number));
                self.network.send(&mut self.egress);
            }
        }
        Ok(crossings)
    }
}

/// An Opus packet in RTP (RFC 7587) that tells its number.
fn packet(number: u32) -> [u8; HEADER_BYTES + 5] {
    let mut packet = [0; HEADER_BYTES + 5];
    packet[0] = 0x80;
    packet[1] = PAYLOAD_TYPE;
    packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&(number.wrapping_mul(SAMPLES)).to_be_bytes());
    packet[8..12].copy_from_slice(&INLET.0.to_be_bytes());
    // One frame of 20 ms, full band.
    packet[12] = 31 << 3;
    packet[13..].copy_from_slice(&number.to_be_bytes());
    packet
}

/// The number of a packet that came out, if it is not RTCP.
fn number_of(packet: &[u8]) -> Option<u32> {
    let payload_type = packet.get(1)? & 0x7f;
    let number = packet.last_chunk::<4>()?;
    (payload_type == PAYLOAD_TYPE).then(|| u32::from_be_bytes(*number))
}
