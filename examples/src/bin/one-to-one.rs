//! Two people call each other by name.
//!
//! Each browser has a task. Tasks find each other in the switchboard by name and send each other
//! [`Note`]s; whoever accepts a call makes the pipeline for it.

use std::{collections::BTreeMap, sync::Arc};

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, ToBrowser, negotiate};
use salono_kurento_client::{
    Client, MediaPipeline, TransactionError, WebRtcEndpoint, types::IceCandidate,
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, mpsc};

/// Calls between two people: register a name, call, accept or reject, hang up
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Ask {
    Register { name: String },
    Call { to: String, sdp: String },
    Accept { sdp: String },
    Reject,
    Candidate { candidate: IceCandidate },
    Stop,
}

/// What one person's task tells another's.
struct Note {
    from: String,
    news: News,
}

/// What somebody else did.
enum News {
    Calls,
    Accepts(Call),
    Rejects,
    HangsUp,
}

/// One side of a call.
struct Call {
    pipeline: MediaPipeline,
    endpoint: WebRtcEndpoint,
}

/// Everybody who is registered, by name.
#[derive(Default)]
struct Switchboard(Mutex<BTreeMap<String, mpsc::Sender<Note>>>);

/// Notes that wait for one person; beyond, callers are told that the person cannot be called.
const NOTES: usize = 16;

/// Candidates of a browser that wait until its call is accepted; it has some ten.
const EARLY_CANDIDATES: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let client = example.client().clone();
    let people = Arc::<Switchboard>::default();
    let page = include_str!("../../pages/one-to-one.html");
    example
        .serve(page, move |browser| {
            Person::session(client.clone(), people.clone(), browser)
        })
        .await
}

/// A browser's task.
struct Person {
    client: Client,
    people: Arc<Switchboard>,
    page: ToBrowser,
    notes: mpsc::Sender<Note>,
    name: String,
    /// Who is being called, calls, or is talked to.
    other: Option<String>,
    /// Our offer, while the other one has not accepted.
    offer: Option<String>,
    call: Option<Call>,
    early: Vec<IceCandidate>,
}

impl Person {
    async fn session(client: Client, people: Arc<Switchboard>, mut browser: Browser) {
        let (notes, mut noted) = mpsc::channel(NOTES);
        let mut person = Self {
            client,
            people,
            page: browser.sender(),
            notes,
            name: String::new(),
            other: None,
            offer: None,
            call: None,
            early: Vec::new(),
        };
        loop {
            let done = tokio::select! {
                ask = browser.recv() => match ask {
                    Some(ask) => person.asks(ask).await,
                    None => break,
                },
                Some(note) = noted.recv() => person.hears(note).await,
            };
            if let Err(error) = done {
                person.page.error(error);
                person.hang_up().await;
            }
        }
        person.hang_up().await;
        person.people.0.lock().await.remove(&person.name);
    }

    /// The person wants something.
    async fn asks(&mut self, ask: Ask) -> Result<(), TransactionError> {
        match ask {
            Ask::Register { name } => self.register(name).await,
            Ask::Call { to, sdp } if self.other.is_none() => {
                if to != self.name && self.tell(&to, News::Calls).await {
                    (self.other, self.offer) = (Some(to), Some(sdp));
                } else {
                    self.refused(&format!("{to} cannot be called"));
                }
            }
            Ask::Accept { sdp } if self.call.is_none() && self.offer.is_none() => {
                self.accept(&sdp).await?;
            }
            Ask::Reject if self.call.is_none() => {
                if let Some(other) = self.other.take() {
                    self.tell(&other, News::Rejects).await;
                }
            }
            Ask::Candidate { candidate } => match &self.call {
                Some(call) => call.endpoint.add_ice_candidate(&candidate).await?,
                None if self.early.len() < EARLY_CANDIDATES => self.early.push(candidate),
                None => {}
            },
            Ask::Stop => self.hang_up().await,
            Ask::Call { .. } | Ask::Accept { .. } | Ask::Reject => {}
        }
        Ok(())
    }

    /// Somebody else did something.
    async fn hears(&mut self, note: Note) -> Result<(), TransactionError> {
        let Note { from, news } = note;
        let concerns_us = self.other.as_ref() == Some(&from);
        match news {
            News::Calls if self.other.is_none() => {
                self.page.send(&json!({"type": "incoming", "from": from}));
                self.other = Some(from);
            }
            // Busy.
            News::Calls => {
                self.tell(&from, News::Rejects).await;
            }
            News::Accepts(call) => match self.offer.take_if(|_| concerns_us) {
                Some(offer) => self.join(call, &offer).await?,
                // Hung up in the meantime.
                None => drop(call.pipeline.release().await),
            },
            News::Rejects if concerns_us => {
                self.forget_call();
                self.refused("the call was not taken");
            }
            News::HangsUp if concerns_us => {
                self.forget_call();
                self.page.send(&json!({"type": "ended"}));
            }
            News::Rejects | News::HangsUp => {}
        }
        Ok(())
    }

    async fn register(&mut self, name: String) {
        let mut people = self.people.0.lock().await;
        if !self.name.is_empty() || name.is_empty() || people.contains_key(&name) {
            drop(people);
            self.refused("choose another name");
            return;
        }
        people.insert(name.clone(), self.notes.clone());
        self.page.send(&json!({"type": "registered", "name": name}));
        self.name = name;
    }

    /// Makes the call that the other one asked for: two endpoints that send to each other.
    async fn accept(&mut self, sdp: &str) -> Result<(), TransactionError> {
        let Some(other) = self.other.clone() else {
            return Ok(());
        };
        // One round trip for the whole of it.
        let (pipeline, ours, theirs) = self
            .client
            .transact(|tx| {
                let pipeline = tx.create(MediaPipeline::create(&self.client));
                let ours = tx.create(WebRtcEndpoint::create(&pipeline));
                let theirs = tx.create(WebRtcEndpoint::create(&pipeline));
                drop(tx.add(ours.connect(&theirs)));
                drop(tx.add(theirs.connect(&ours)));
                (pipeline, ours, theirs)
            })
            .await?;
        let side = |endpoint| Call {
            pipeline: pipeline.clone(),
            endpoint,
        };
        if self.tell(&other, News::Accepts(side(theirs))).await {
            return self.join(side(ours), sdp).await;
        }
        self.forget_call();
        self.refused(&format!("{other} is gone"));
        Ok(pipeline.release().await?)
    }

    /// Connects the browser to its side of a call.
    async fn join(&mut self, call: Call, sdp: &str) -> Result<(), TransactionError> {
        let call = self.call.insert(call);
        negotiate(&call.endpoint, sdp, &self.page, None).await?;
        for candidate in self.early.drain(..) {
            call.endpoint.add_ice_candidate(&candidate).await?;
        }
        Ok(())
    }

    async fn hang_up(&mut self) {
        if let Some(other) = self.other.clone() {
            self.tell(&other, News::HangsUp).await;
        }
        if let Some(call) = &self.call {
            // The other one may have been quicker.
            let _ = call.pipeline.release().await;
        }
        self.forget_call();
    }

    fn forget_call(&mut self) {
        self.other = None;
        self.offer = None;
        self.call = None;
        self.early.clear();
    }

    /// Leaves a note; `false` when nobody has this name, or has too many notes.
    async fn tell(&self, name: &str, news: News) -> bool {
        let person = self.people.0.lock().await.get(name).cloned();
        let from = self.name.clone();
        person.is_some_and(|person| person.try_send(Note { from, news }).is_ok())
    }

    fn refused(&self, why: &str) {
        self.page.send(&json!({"type": "refused", "why": why}));
    }
}
