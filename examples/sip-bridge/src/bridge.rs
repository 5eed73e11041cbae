//! The calls: from INVITE to BYE, each with a pipeline of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use salono_kurento_client::{Client, Error, ErrorCode, MediaPipeline, RtpEndpoint};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::message::{MAX_MESSAGE, Request, Status};

/// Most calls at one time; more are busy.
pub const MAX_CALLS: usize = 200;
/// First and longest interval of repetitions (RFC 3261 §17.1.1.1: T1 and T2).
const INTERVALS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));
/// A success that is not acknowledged within this time ends the call (RFC 3261 §13.3.1.4).
const PATIENCE: Duration = Duration::from_secs(32);

/// Connects a caller and answers their offer; this is the place to change what callers get.
///
/// Everything is created in `pipeline`, so that releasing it ends everything.
///
/// # Errors
/// When the media server refuses something, the offer for one.
pub async fn answer(pipeline: &MediaPipeline, offer: &str) -> Result<String, Error> {
    let caller = RtpEndpoint::create(pipeline).await?;
    caller.connect(&caller).await?;
    caller.process_offer(offer).await
}

/// Where a call stands.
enum Phase {
    /// The media server is at work.
    Answering,
    /// The caller gave up before it was done.
    Cancelled,
    /// The success is repeated until it is acknowledged.
    Accepted {
        next: Instant,
        interval: Duration,
        until: Instant,
    },
    /// The caller has acknowledged.
    Established,
}

struct Call {
    invite: Request,
    from: SocketAddr,
    tag: String,
    phase: Phase,
    /// The last response to the INVITE.
    response: String,
    /// Our session description, once there is one.
    answer: String,
    pipeline: Option<MediaPipeline>,
}

/// What the media server said to a call.
struct Outcome {
    call: String,
    pipeline: Option<MediaPipeline>,
    answer: Result<String, Error>,
}

/// A SIP server on a UDP socket with a media server behind it.
pub struct Bridge {
    socket: UdpSocket,
    contact: SocketAddr,
    client: Client,
    calls: BTreeMap<String, Call>,
    tags: u64,
    done: mpsc::Sender<Outcome>,
    outcomes: mpsc::Receiver<Outcome>,
}

impl Bridge {
    /// Listens. Port 0 is any free one; see [`Bridge::address`].
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: SocketAddr, client: Client) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let (done, outcomes) = mpsc::channel(MAX_CALLS);
        Ok(Self {
            contact: socket.local_addr()?,
            socket,
            client,
            calls: BTreeMap::new(),
            tags: 0,
            done,
            outcomes,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.contact
    }

    /// Serves calls until the socket fails.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let wake = self.next_repetition();
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received?;
                    if let Some(request) = Request::parse(&buffer[..length]) {
                        self.handle(request, from).await?;
                    }
                }
                Some(outcome) = self.outcomes.recv() => self.answered(outcome).await?,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.repeat().await?;
                }
            }
        }
    }

    async fn handle(&mut self, request: Request, from: SocketAddr) -> io::Result<()> {
        match request.method.as_str() {
            "INVITE" => self.invite(request, from).await,
            "ACK" => {
                if let Some(call) = self.calls.get_mut(request.call_id())
                    && matches!(call.phase, Phase::Accepted { .. })
                {
                    call.phase = Phase::Established;
                }
                Ok(())
            }
            "BYE" => {
                let status = match self.calls.remove(request.call_id()) {
                    Some(call) => {
                        hang_up(call.pipeline);
                        Status::OK
                    }
                    None => Status::NO_SUCH_CALL,
                };
                self.respond(&request, from, status).await
            }
            "CANCEL" => {
                let Some(call) = self.calls.get_mut(request.call_id()) else {
                    return self.respond(&request, from, Status::NO_SUCH_CALL).await;
                };
                // Too late is as good as in time: the caller says BYE then (RFC 3261 §9.2).
                if matches!(call.phase, Phase::Answering) {
                    call.phase = Phase::Cancelled;
                    let contact = self.contact;
                    let terminated = Status::TERMINATED;
                    call.response = call
                        .invite
                        .response(call.from, terminated, &call.tag, contact, "");
                    let response = call.response.clone();
                    self.send(&response, from).await?;
                }
                self.respond(&request, from, Status::OK).await
            }
            "OPTIONS" => self.respond(&request, from, Status::OK).await,
            _ => {
                self.respond(&request, from, Status::METHOD_NOT_ALLOWED)
                    .await
            }
        }
    }

    async fn invite(&mut self, request: Request, from: SocketAddr) -> io::Result<()> {
        if let Some(call) = self.calls.get(request.call_id()) {
            let response = if call.invite.sequence() == request.sequence() {
                // It did not hear us.
                call.response.clone()
            } else if request.body.is_empty() || request.body == call.invite.body {
                // A refresh: nothing changes.
                request.response(from, Status::OK, &call.tag, self.contact, &call.answer)
            } else {
                request.response(from, Status::NOT_ACCEPTABLE, &call.tag, self.contact, "")
            };
            return self.send(&response, from).await;
        }
        if self.calls.len() >= MAX_CALLS {
            return self.respond(&request, from, Status::BUSY).await;
        }
        self.tags += 1;
        let tag = format!("bridge{}", self.tags);
        let response = request.response(from, Status::TRYING, &tag, self.contact, "");
        self.send(&response, from).await?;
        let (client, done) = (self.client.clone(), self.done.clone());
        let (id, offer) = (request.call_id().to_owned(), request.body.clone());
        let call = Call {
            invite: request,
            from,
            tag,
            phase: Phase::Answering,
            response,
            answer: String::new(),
            pipeline: None,
        };
        self.calls.insert(id.clone(), call);
        tokio::spawn(async move {
            let (pipeline, answer) = match MediaPipeline::create(&client).await {
                Ok(pipeline) => {
                    let answer = answer(&pipeline, &offer).await;
                    (Some(pipeline), answer)
                }
                Err(error) => (None, Err(error)),
            };
            let outcome = Outcome {
                call: id,
                pipeline,
                answer,
            };
            // Without the bridge there is nobody to answer, and the session ends with it.
            let _ = done.send(outcome).await;
        });
        Ok(())
    }

    /// The media server has answered: tells the caller.
    async fn answered(&mut self, outcome: Outcome) -> io::Result<()> {
        let Some(call) = self.calls.get_mut(&outcome.call) else {
            hang_up(outcome.pipeline);
            return Ok(());
        };
        let status = match &outcome.answer {
            _ if matches!(call.phase, Phase::Cancelled) => {
                self.calls.remove(&outcome.call);
                hang_up(outcome.pipeline);
                return Ok(());
            }
            Ok(sdp) if has_media(sdp) => Status::OK,
            Ok(_) => Status::NOT_ACCEPTABLE,
            Err(error) if is_about_the_offer(error) => Status::NOT_ACCEPTABLE,
            Err(_) => Status::UNAVAILABLE,
        };
        let sdp = outcome.answer.unwrap_or_default();
        let body = if status == Status::OK {
            sdp.as_str()
        } else {
            ""
        };
        let response = call
            .invite
            .response(call.from, status, &call.tag, self.contact, body);
        let to = call.from;
        if status == Status::OK {
            let now = Instant::now();
            call.phase = Phase::Accepted {
                next: now + INTERVALS.0,
                interval: INTERVALS.0,
                until: now + PATIENCE,
            };
            call.response.clone_from(&response);
            call.answer = sdp;
            call.pipeline = outcome.pipeline;
        } else {
            self.calls.remove(&outcome.call);
            hang_up(outcome.pipeline);
        }
        self.send(&response, to).await
    }

    fn next_repetition(&self) -> Option<Instant> {
        self.calls
            .values()
            .filter_map(|call| match call.phase {
                Phase::Accepted { next, .. } => Some(next),
                Phase::Answering | Phase::Cancelled | Phase::Established => None,
            })
            .min()
    }

    /// Repeats what was not acknowledged, and gives up callers who never do.
    async fn repeat(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let mut due = Vec::new();
        let mut gone = Vec::new();
        for (id, call) in &mut self.calls {
            if let Phase::Accepted {
                next,
                interval,
                until,
            } = &mut call.phase
                && *next <= now
            {
                if *until <= now {
                    gone.push(id.clone());
                    continue;
                }
                *interval = (*interval * 2).min(INTERVALS.1);
                *next = now + *interval;
                due.push((call.response.clone(), call.from));
            }
        }
        for id in gone {
            hang_up(self.calls.remove(&id).and_then(|call| call.pipeline));
        }
        for (response, to) in due {
            self.send(&response, to).await?;
        }
        Ok(())
    }

    async fn respond(&self, request: &Request, from: SocketAddr, status: Status) -> io::Result<()> {
        let response = request.response(from, status, "bridge", self.contact, "");
        self.send(&response, from).await
    }

    /// A caller whose address cannot be reached is no reason to end.
    async fn send(&self, text: &str, to: SocketAddr) -> io::Result<()> {
        let _ = self.socket.send_to(text.as_bytes(), to).await;
        Ok(())
    }
}

/// Ends what a call was connected to.
fn hang_up(pipeline: Option<MediaPipeline>) {
    if let Some(pipeline) = pipeline {
        tokio::spawn(async move {
            // One that is gone already is as good.
            let _ = pipeline.release().await;
        });
    }
}

/// Whether an answer takes anything of its offer.
fn has_media(sdp: &str) -> bool {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("m="))
        .any(|line| line.split(' ').nth(1).is_some_and(|port| port != "0"))
}

fn is_about_the_offer(error: &Error) -> bool {
    [ErrorCode::SdpParseError, ErrorCode::SdpProcessOfferError]
        .iter()
        .any(|code| error.code() == Some(*code))
}
