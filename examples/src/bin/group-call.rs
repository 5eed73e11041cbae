//! Rooms in which everybody sees and hears everybody.
//!
//! A room is a pipeline. Each member has one endpoint that receives its media, and for each other
//! member one that sends it theirs. (The crate `salono-room-sdk` does all this and more; here it is
//! done by hand, to show how.)

use std::{collections::BTreeMap, sync::Arc};

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, ToBrowser, negotiate};
use salono_kurento_client::{Client, Error, MediaPipeline, WebRtcEndpoint, types::IceCandidate};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

/// Rooms of any number of people
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// What the page asks for. `of` names whose media a connection carries; our own without it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Ask {
    Join {
        room: String,
        name: String,
    },
    Publish {
        sdp: String,
    },
    View {
        of: String,
        sdp: String,
    },
    Candidate {
        of: Option<String>,
        candidate: IceCandidate,
    },
    Leave,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let house = Arc::new(House {
        client: example.client().clone(),
        rooms: Mutex::default(),
    });
    let page = include_str!("../../pages/group-call.html");
    example
        .serve(page, move |browser| session(house.clone(), browser))
        .await
}

/// What all browsers share.
struct House {
    client: Client,
    rooms: Mutex<BTreeMap<String, Room>>,
}

struct Room {
    pipeline: MediaPipeline,
    /// By name.
    members: BTreeMap<String, Member>,
}

struct Member {
    page: ToBrowser,
    /// Receives the member's media, once published.
    published: Option<WebRtcEndpoint>,
}

/// A browser that is in a room.
struct Seat {
    room: String,
    name: String,
    /// By whose media they carry; `None` is our own.
    endpoints: BTreeMap<Option<String>, WebRtcEndpoint>,
}

/// One browser, from opening the page to closing it.
async fn session(house: Arc<House>, mut browser: Browser) {
    let page = browser.sender();
    let mut seat = None;
    while let Some(ask) = browser.recv().await {
        let done = match (ask, &mut seat) {
            (Ask::Join { room, name }, None) => match house.join(room, name, &page).await {
                Ok(joined) => {
                    seat = joined;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            (Ask::Publish { sdp }, Some(seat)) => house.publish(seat, &sdp, &page).await,
            (Ask::View { of, sdp }, Some(seat)) => house.view(seat, of, &sdp, &page).await,
            (Ask::Candidate { of, candidate }, Some(seat)) => match seat.endpoints.get(&of) {
                Some(endpoint) => endpoint.add_ice_candidate(&candidate).await,
                None => Ok(()),
            },
            (Ask::Leave, Some(_)) => {
                house.leave(seat.take()).await;
                Ok(())
            }
            // What makes no sense here.
            (Ask::Join { .. }, Some(_))
            | (Ask::Publish { .. } | Ask::View { .. } | Ask::Candidate { .. } | Ask::Leave, None) => {
                Ok(())
            }
        };
        if let Err(error) = done {
            page.error(error);
        }
    }
    house.leave(seat).await;
}

impl House {
    /// Enters a room, which is made if need be.
    async fn join(
        &self,
        room_name: String,
        name: String,
        page: &ToBrowser,
    ) -> Result<Option<Seat>, Error> {
        let mut rooms = self.rooms.lock().await;
        if !rooms.contains_key(&room_name) {
            let room = Room {
                pipeline: MediaPipeline::create(&self.client).await?,
                members: BTreeMap::new(),
            };
            rooms.insert(room_name.clone(), room);
        }
        let Some(room) = rooms.get_mut(&room_name) else {
            return Ok(None);
        };
        if room.members.contains_key(&name) {
            page.send(&json!({"type": "refused", "why": "this name is taken"}));
            return Ok(None);
        }
        let published = room.members.iter();
        let published: Vec<_> = published
            .filter(|(_, member)| member.published.is_some())
            .map(|(name, _)| name)
            .collect();
        page.send(&json!({"type": "joined", "published": published}));
        let page = page.clone();
        let member = Member {
            page,
            published: None,
        };
        room.members.insert(name.clone(), member);
        Ok(Some(Seat {
            room: room_name,
            name,
            endpoints: BTreeMap::new(),
        }))
    }

    /// The member shows itself; the others are told, and will ask for it.
    async fn publish(&self, seat: &mut Seat, sdp: &str, page: &ToBrowser) -> Result<(), Error> {
        let mut rooms = self.rooms.lock().await;
        let Some(room) = rooms.get_mut(&seat.room) else {
            return Ok(());
        };
        let endpoint = WebRtcEndpoint::create(&room.pipeline).await?;
        seat.endpoints.insert(None, endpoint.clone());
        negotiate(&endpoint, sdp, page, None).await?;
        for (name, member) in &mut room.members {
            if *name == seat.name {
                member.published = Some(endpoint.clone());
            } else {
                let news = json!({"type": "published", "name": seat.name});
                member.page.send(&news);
            }
        }
        Ok(())
    }

    /// The member wants to see another one.
    async fn view(
        &self,
        seat: &mut Seat,
        of: String,
        sdp: &str,
        page: &ToBrowser,
    ) -> Result<(), Error> {
        let rooms = self.rooms.lock().await;
        let Some(room) = rooms.get(&seat.room) else {
            return Ok(());
        };
        let published = room
            .members
            .get(&of)
            .and_then(|other| other.published.clone());
        // Gone again in the meantime, which the page was told.
        let Some(published) = published else {
            return Ok(());
        };
        let endpoint = WebRtcEndpoint::create(&room.pipeline).await?;
        published.connect(&endpoint).await?;
        negotiate(&endpoint, sdp, page, Some(&of)).await?;
        seat.endpoints.insert(Some(of), endpoint);
        Ok(())
    }

    /// Leaves the room; the last one takes it down.
    async fn leave(&self, seat: Option<Seat>) {
        let Some(seat) = seat else { return };
        let mut rooms = self.rooms.lock().await;
        let Some(room) = rooms.get_mut(&seat.room) else {
            return;
        };
        room.members.remove(&seat.name);
        for member in room.members.values() {
            member
                .page
                .send(&json!({"type": "left", "name": seat.name}));
        }
        // What cannot be released goes with the session.
        for endpoint in seat.endpoints.values() {
            let _ = endpoint.release().await;
        }
        if room.members.is_empty() {
            let _ = room.pipeline.release().await;
            rooms.remove(&seat.room);
        }
    }
}
