//! The demo's custom request: a hat on every face of a published stream.
//!
//! `customRequest {"hat": true}` puts a `FaceOverlayFilter` at the end of what the participant
//! publishes, `{"hat": false}` takes it out. As in Kurento Room's demo, each of them fails when nothing
//! would change; unlike there, a hat that went with an unpublished stream is not taken for one that is on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use salono_kurento_client::{Client, FaceOverlayFilter, MediaPipeline};
use salono_room_sdk::{
    MediaType, NotificationRoomManager, ParticipantId, RoomError, RoomErrorCode,
};
use salono_room_server::{CustomRequests, Grants};
use serde_json::{Map, Value};

use crate::config::Room;

/// The hat of those who have configured none, within its own address.
const OURS: &str = include_str!("../../../demo/hat.uri");

/// Parameter of the request.
const PARAM: &str = "hat";

/// Who wears which filter.
#[derive(Debug)]
pub(crate) struct Hats {
    uri: String,
    /// Left edge, upper edge, width, height; in widths and heights of the face.
    place: [f64; 4],
    worn: Mutex<HashMap<ParticipantId, Worn>>,
}

/// A hat that is on, or was when it was looked at last.
#[derive(Debug, Clone)]
struct Worn {
    client: Client,
    filter: String,
}

impl Hats {
    /// The configured hat, nobody wearing it.
    pub(crate) fn new(room: &Room) -> Self {
        let uri = match room.hat_url.as_str() {
            "" => OURS.trim_end(),
            configured => configured,
        };
        Self {
            uri: uri.to_owned(),
            place: [
                room.hat_offset_x,
                room.hat_offset_y,
                room.hat_width,
                room.hat_height,
            ],
            worn: Mutex::default(),
        }
    }

    fn worn(&self) -> MutexGuard<'_, HashMap<ParticipantId, Worn>> {
        self.worn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn put_on(
        &self,
        manager: &NotificationRoomManager,
        participant: &ParticipantId,
    ) -> Result<(), String> {
        let held = self.worn().get(participant).cloned();
        if let Some(worn) = held
            && worn.is_there().await
        {
            return Err("the hat is on already".to_owned());
        }
        let room = manager.pipeline(participant).await.map_err(text)?;
        let pipeline = MediaPipeline::attach(&room.client, &room.object);
        let filter = FaceOverlayFilter::create(&pipeline).await.map_err(text)?;
        let [x, y, width, height] = self.place;
        let placed = async {
            filter
                .set_overlayed_image(&self.uri, x, y, width, height)
                .await
                .map_err(text)?;
            manager
                .add_media_element(participant, filter.id(), Some(MediaType::Video))
                .await
                .map_err(text)
        };
        if let Err(why) = placed.await {
            // What cannot be released goes with the room.
            let _ = filter.release().await;
            return Err(why);
        }
        let worn = Worn {
            client: room.client,
            filter: filter.id().to_owned(),
        };
        self.worn().insert(participant.clone(), worn);
        Ok(())
    }

    async fn take_off(
        &self,
        manager: &NotificationRoomManager,
        participant: &ParticipantId,
    ) -> Result<(), String> {
        let off = || "there is no hat on".to_owned();
        let worn = self.worn().remove(participant).ok_or_else(off)?;
        match manager.remove_media_element(participant, worn.filter).await {
            // It went with a stream that is published no longer.
            Err(RoomError {
                code: RoomErrorCode::MediaEndpoint,
                ..
            }) => Err(off()),
            done => done.map_err(text),
        }
    }
}

impl Worn {
    async fn is_there(&self) -> bool {
        let filter = FaceOverlayFilter::attach(&self.client, &self.filter);
        filter.name().await.is_ok()
    }
}

impl CustomRequests for Hats {
    fn request<'a>(
        &'a self,
        manager: &'a NotificationRoomManager,
        participant: &'a ParticipantId,
        _grants: Grants,
        params: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Map<String, Value>, String>> {
        Box::pin(async move {
            match wanted(params) {
                Some(true) => self.put_on(manager, participant).await?,
                Some(false) => self.take_off(manager, participant).await?,
                None => {
                    return Err(format!(
                        "this server's custom request has the parameter '{PARAM}', true or false"
                    ));
                }
            }
            Ok(Map::new())
        })
    }

    fn left(&self, participant: &ParticipantId) {
        self.worn().remove(participant);
    }
}

/// As leniently as the room protocol reads flags elsewhere.
fn wanted(params: &Map<String, Value>) -> Option<bool> {
    match params.get(PARAM)? {
        Value::Bool(on) => Some(*on),
        Value::String(text) => Some(text.eq_ignore_ascii_case("true")),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
