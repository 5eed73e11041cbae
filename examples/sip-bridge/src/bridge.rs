//! The calls: who asks for what, and what is said to them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use salono_examples::ToBrowser;
use salono_kurento_client::{Client, Error, ErrorCode};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::call::{Call, Phase, Repeated};
use crate::desk::{Agent, Ask, Desk, FromDesk};
use crate::media::{Media, codecs, has_media};
use crate::message::{MAX_MESSAGE, Message, Request, Response, Status};

/// Most calls at one time; more are busy.
pub const MAX_CALLS: usize = 200;
/// Reports of pages that wait; pages wait beyond it.
const DESK_QUEUE: usize = 64;
/// How long a page rings.
const RINGING: Duration = Duration::from_secs(60);

/// What the media server said about a call.
enum Outcome {
    /// To its first offer.
    Answered(Result<(Media, String), Error>),
    /// To a further one.
    Changed(Request, Result<(Media, String), Error>),
    /// To the page that takes it.
    Joined(Result<(), Error>),
}

/// A SIP server on a UDP socket with a media server behind it.
pub struct Bridge {
    socket: UdpSocket,
    contact: SocketAddr,
    client: Client,
    calls: BTreeMap<String, Call>,
    agents: BTreeMap<u64, Agent>,
    /// Calls that we end, until the other side has heard it.
    farewells: BTreeMap<String, Repeated>,
    tags: u64,
    desk: Desk,
    from_desk: mpsc::Receiver<FromDesk>,
    done: mpsc::Sender<(String, Outcome)>,
    outcomes: mpsc::Receiver<(String, Outcome)>,
}

impl Bridge {
    /// Listens. Port 0 is any free one; see [`Bridge::address`].
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(address: SocketAddr, client: Client) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let (done, outcomes) = mpsc::channel(MAX_CALLS);
        let (to_bridge, from_desk) = mpsc::channel(DESK_QUEUE);
        Ok(Self {
            contact: socket.local_addr()?,
            socket,
            client,
            calls: BTreeMap::new(),
            agents: BTreeMap::new(),
            farewells: BTreeMap::new(),
            tags: 0,
            desk: Desk::new(to_bridge),
            from_desk,
            done,
            outcomes,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.contact
    }

    /// Where pages come in.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Serves calls until the socket fails.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let wake = self.next_timer();
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received?;
                    match Message::parse(&buffer[..length]) {
                        Some(Message::Request(request)) => self.handle(request, from).await,
                        Some(Message::Response(response)) => self.heard(&response),
                        None => {}
                    }
                }
                Some((call, outcome)) = self.outcomes.recv() => self.progress(&call, outcome).await,
                Some(report) = self.from_desk.recv() => self.at_desk(report).await,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.repeat().await;
                }
            }
        }
    }

    async fn handle(&mut self, request: Request, from: SocketAddr) {
        let call = request.call_id();
        let status = match request.method.as_str() {
            "ACK" => {
                if let Some(call) = self.calls.get_mut(call)
                    && matches!(call.phase, Phase::Accepted(_))
                {
                    call.phase = Phase::Established;
                }
                return;
            }
            "INVITE" | "OPTIONS" if request.header("Require").is_some() => Status::BAD_EXTENSION,
            "INVITE" => return self.invite(request, from).await,
            "BYE" => match self.calls.get(call).map(Call::is_answered) {
                Some(answered) => {
                    let call = call.to_owned();
                    if answered {
                        self.end(&call);
                    } else {
                        self.cancel(&call).await;
                    }
                    Status::OK
                }
                None => Status::NO_SUCH_CALL,
            },
            "CANCEL" => match self.calls.get(call).map(Call::is_answered) {
                Some(answered) => {
                    // Too late is as good as in time: the caller says BYE then (RFC 3261 §9.2).
                    if !answered {
                        let call = call.to_owned();
                        self.cancel(&call).await;
                    }
                    Status::OK
                }
                None => Status::NO_SUCH_CALL,
            },
            // What an INVITE would be answered (RFC 3261 §11.2).
            "OPTIONS" if self.calls.len() >= MAX_CALLS => Status::BUSY,
            "OPTIONS" => Status::OK,
            _ => Status::METHOD_NOT_ALLOWED,
        };
        self.respond(&request, from, status).await;
    }

    async fn invite(&mut self, request: Request, from: SocketAddr) {
        let id = request.call_id().to_owned();
        if let Some(call) = self.calls.get_mut(&id) {
            let is_repetition = call.invite.sequence() == request.sequence();
            let is_busy = !matches!(call.phase, Phase::Accepted(_) | Phase::Established);
            let response = if is_repetition {
                // It did not hear us.
                call.response.clone()
            } else if is_busy {
                request.response(from, Status::PENDING, &call.tag, self.contact, "")
            } else if request.body.is_empty() || request.body == call.offer {
                // A refresh: nothing changes.
                let response =
                    request.response(from, Status::OK, &call.tag, self.contact, &call.answer);
                call.invite = request;
                call.accept(response.clone());
                response
            } else if let Some(media) = call.media.clone() {
                call.phase = Phase::Changing;
                let response = request.response(from, Status::TRYING, &call.tag, self.contact, "");
                let done = self.done.clone();
                tokio::spawn(async move {
                    let changed = media.change(&request.body).await;
                    // Without the bridge there is nobody to answer, and the session ends with it.
                    let _ = done.send((id, Outcome::Changed(request, changed))).await;
                });
                response
            } else {
                return;
            };
            return self.send(&response, from).await;
        }
        if self.calls.len() >= MAX_CALLS {
            return self.respond(&request, from, Status::BUSY).await;
        }
        let agent = self.free_agent();
        if agent.is_none() && !self.agents.is_empty() {
            return self.respond(&request, from, Status::BUSY).await;
        }
        self.tags += 1;
        let tag = format!("bridge{}", self.tags);
        let response = request.response(from, Status::TRYING, &tag, self.contact, "");
        self.send(&response, from).await;
        if let Some(agent) = agent.and_then(|agent| self.agents.get_mut(&agent)) {
            agent.call = Some(id.clone());
        }
        let (client, done) = (self.client.clone(), self.done.clone());
        let (offer, is_taken) = (request.body.clone(), agent.is_some());
        self.calls.insert(
            id.clone(),
            Call {
                offer: offer.clone(),
                invite: request,
                from,
                tag,
                phase: Phase::Answering,
                response,
                answer: String::new(),
                media: None,
                agent,
            },
        );
        tokio::spawn(async move {
            let answered = Media::answer(&client, &offer, is_taken).await;
            let _ = done.send((id, Outcome::Answered(answered))).await;
        });
    }

    fn free_agent(&self) -> Option<u64> {
        let free = self.agents.iter().find(|(_, agent)| agent.call.is_none());
        free.map(|(number, _)| *number)
    }

    /// The media server has done something for a call.
    async fn progress(&mut self, id: &str, outcome: Outcome) {
        match outcome {
            Outcome::Answered(answered) => self.answered(id, answered).await,
            Outcome::Changed(request, changed) => self.changed(id, request, changed).await,
            Outcome::Joined(joined) => {
                let Some(call) = self.calls.get(id) else {
                    return;
                };
                if !matches!(call.phase, Phase::Joining) {
                    return;
                }
                match joined {
                    Ok(()) => self.accept(id).await,
                    Err(error) => {
                        if let Some(page) = self.page_of(id) {
                            page.error(error);
                        }
                        self.refuse(id, Status::UNAVAILABLE).await;
                    }
                }
            }
        }
    }

    async fn answered(&mut self, id: &str, answered: Result<(Media, String), Error>) {
        let Some(call) = self.calls.get_mut(id) else {
            if let Ok((media, _)) = answered {
                media.hang_up();
            }
            return;
        };
        let status = match answered {
            Ok((media, sdp)) => {
                call.media = Some(media);
                call.answer = sdp;
                has_media(&call.answer)
                    .then_some(())
                    .ok_or(Status::NOT_ACCEPTABLE)
            }
            Err(error) => Err(refusal(&error)),
        };
        if matches!(call.phase, Phase::Cancelled) {
            return self.end(id);
        }
        match status {
            Ok(()) if call.agent.is_some() => self.ring(id).await,
            Ok(()) => self.accept(id).await,
            Err(status) => self.refuse(id, status).await,
        }
    }

    async fn changed(
        &mut self,
        id: &str,
        request: Request,
        changed: Result<(Media, String), Error>,
    ) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let status = match changed {
            Ok((_, sdp)) if !has_media(&sdp) => Status::NOT_ACCEPTABLE,
            Ok((media, sdp)) => {
                call.media = Some(media);
                call.answer = sdp;
                call.offer.clone_from(&request.body);
                Status::OK
            }
            Err(error) => refusal(&error),
        };
        let body = if status == Status::OK {
            call.answer.as_str()
        } else {
            ""
        };
        let response = request.response(call.from, status, &call.tag, self.contact, body);
        call.invite = request;
        if status == Status::OK {
            call.accept(response.clone());
        } else {
            // The call goes on as before (RFC 3261 §14.1).
            call.phase = Phase::Established;
            call.response.clone_from(&response);
        }
        let to = call.from;
        self.send(&response, to).await;
    }

    /// Asks a page whether it takes a call.
    async fn ring(&mut self, id: &str) {
        let Some(page) = self.page_of(id) else {
            return self.refuse(id, Status::NOT_TAKEN).await;
        };
        let contact = self.contact;
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        page.send(&json!({
            "type": "ring",
            "caller": call.invite.caller(),
            "codecs": codecs(&call.answer),
        }));
        call.phase = Phase::Ringing {
            until: Instant::now() + RINGING,
        };
        let ringing = Status::RINGING;
        call.response = call
            .invite
            .response(call.from, ringing, &call.tag, contact, "");
        let (response, to) = (call.response.clone(), call.from);
        self.send(&response, to).await;
    }

    /// Tells the caller that the call is taken.
    async fn accept(&mut self, id: &str) {
        let contact = self.contact;
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let response =
            call.invite
                .response(call.from, Status::OK, &call.tag, contact, &call.answer);
        call.accept(response.clone());
        let to = call.from;
        self.send(&response, to).await;
    }

    /// Tells the caller that the call is not taken, and forgets it.
    async fn refuse(&mut self, id: &str, status: Status) {
        if let Some(call) = self.calls.get(id) {
            let contact = self.contact;
            let response = call
                .invite
                .response(call.from, status, &call.tag, contact, "");
            let to = call.from;
            self.send(&response, to).await;
        }
        self.end(id);
    }

    /// The caller gave up before the call was taken.
    async fn cancel(&mut self, id: &str) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if !matches!(call.phase, Phase::Answering) {
            return self.refuse(id, Status::TERMINATED).await;
        }
        // What the media server makes of it is released when it is there.
        call.phase = Phase::Cancelled;
        let terminated = Status::TERMINATED;
        call.response = call
            .invite
            .response(call.from, terminated, &call.tag, self.contact, "");
        let (response, to) = (call.response.clone(), call.from);
        self.send(&response, to).await;
    }

    /// Ends a call that the caller has ended, or that there never was.
    fn end(&mut self, id: &str) {
        if let Some(page) = self.page_of(id) {
            page.send(&json!({"type": "ended"}));
        }
        let Some(call) = self.calls.remove(id) else {
            return;
        };
        if let Some(media) = call.media {
            media.hang_up();
        }
        if let Some(agent) = call.agent.and_then(|agent| self.agents.get_mut(&agent)) {
            agent.call = None;
        }
    }

    /// Ends a call that the page has ended.
    async fn hang_up(&mut self, id: &str) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        if !call.is_answered() {
            return self.refuse(id, Status::DECLINED).await;
        }
        let bye = call.invite.bye(&call.tag, self.contact);
        let to = call.from;
        self.end(id);
        self.send(&bye, to).await;
        self.farewells.insert(id.to_owned(), Repeated::new(bye, to));
    }

    /// Somebody answers a BYE of ours; nothing else of ours is answered.
    fn heard(&mut self, response: &Response) {
        if response.method == "BYE" && response.status >= 200 {
            self.farewells.remove(&response.call_id);
        }
    }

    async fn at_desk(&mut self, report: FromDesk) {
        match report {
            FromDesk::Here { agent, page } => {
                page.send(&json!({"type": "ready", "call": format!("sip:desk@{}", self.contact)}));
                self.agents.insert(agent, Agent { page, call: None });
            }
            FromDesk::Gone { agent } => {
                if let Some(call) = self.agents.remove(&agent).and_then(|agent| agent.call) {
                    self.hang_up(&call).await;
                }
            }
            FromDesk::Asks { agent, ask } => {
                let call = self.agents.get(&agent).and_then(|agent| agent.call.clone());
                if let Some(call) = call {
                    self.asked(&call, ask).await;
                }
            }
        }
    }

    async fn asked(&mut self, id: &str, ask: Ask) {
        let Some(page) = self.page_of(id) else {
            return;
        };
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        match ask {
            Ask::Accept { sdp } => {
                if let (Phase::Ringing { .. }, Some(media)) = (&call.phase, call.media.clone()) {
                    call.phase = Phase::Joining;
                    let (id, done) = (id.to_owned(), self.done.clone());
                    tokio::spawn(async move {
                        let joined = media.take(&sdp, &page).await;
                        let _ = done.send((id, Outcome::Joined(joined))).await;
                    });
                }
            }
            Ask::Candidate { candidate } => {
                let endpoint = call.media.as_ref().and_then(Media::page).cloned();
                if let Some(endpoint) = endpoint {
                    tokio::spawn(async move {
                        if let Err(error) = endpoint.add_ice_candidate(&candidate).await {
                            page.error(error);
                        }
                    });
                }
            }
            Ask::Reject | Ask::HangUp => self.hang_up(id).await,
        }
    }

    /// The page that takes a call.
    fn page_of(&self, id: &str) -> Option<ToBrowser> {
        let agent = self.calls.get(id)?.agent?;
        Some(self.agents.get(&agent)?.page.clone())
    }

    fn next_timer(&self) -> Option<Instant> {
        let calls = self.calls.values().filter_map(Call::next);
        calls
            .chain(self.farewells.values().map(Repeated::next))
            .min()
    }

    /// Repeats what was not answered, and gives up what never will be.
    async fn repeat(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        let (mut gone, mut not_taken) = (Vec::new(), Vec::new());
        for (id, call) in &mut self.calls {
            match &mut call.phase {
                Phase::Accepted(success) if success.is_over(now) => gone.push(id.clone()),
                Phase::Accepted(success) => {
                    if success.is_due(now) {
                        due.push((success.text.clone(), success.to));
                    }
                }
                Phase::Ringing { until } if *until <= now => not_taken.push(id.clone()),
                Phase::Answering
                | Phase::Cancelled
                | Phase::Ringing { .. }
                | Phase::Joining
                | Phase::Established
                | Phase::Changing => {}
            }
        }
        self.farewells.retain(|_, bye| !bye.is_over(now));
        for bye in self.farewells.values_mut() {
            if bye.is_due(now) {
                due.push((bye.text.clone(), bye.to));
            }
        }
        for id in gone {
            self.end(&id);
        }
        for id in not_taken {
            self.refuse(&id, Status::NOT_TAKEN).await;
        }
        for (text, to) in due {
            self.send(&text, to).await;
        }
    }

    async fn respond(&self, request: &Request, from: SocketAddr, status: Status) {
        let response = request.response(from, status, "bridge", self.contact, "");
        self.send(&response, from).await;
    }

    /// A caller whose address cannot be reached is no reason to end.
    async fn send(&self, text: &str, to: SocketAddr) {
        let _ = self.socket.send_to(text.as_bytes(), to).await;
    }
}

/// What a caller is told when the media server refuses something.
fn refusal(error: &Error) -> Status {
    let about_the_offer = [ErrorCode::SdpParseError, ErrorCode::SdpProcessOfferError];
    if about_the_offer
        .iter()
        .any(|code| error.code() == Some(*code))
    {
        Status::NOT_ACCEPTABLE
    } else {
        Status::UNAVAILABLE
    }
}
