//! The request that this server adds: `customRequest {"grey": true}` takes the colours out of what the
//! caller publishes, `{"grey": false}` gives them back.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use salono_kurento_client::{GStreamerFilter, MediaPipeline};
use salono_room_sdk::{MediaType, NotificationRoomManager, ParticipantId};
use salono_room_server::{CustomRequests, Grants};
use serde_json::{Map, Value};

/// Who is grey, each with the object id of the filter that makes it so.
#[derive(Debug, Default)]
pub(crate) struct Grey(Mutex<HashMap<ParticipantId, String>>);

// ANCHOR: request
impl CustomRequests for Grey {
    fn request<'a>(
        &'a self,
        manager: &'a NotificationRoomManager,
        participant: &'a ParticipantId,
        _grants: Grants,
        params: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Map<String, Value>, String>> {
        Box::pin(async move {
            match params.get("grey").and_then(Value::as_bool) {
                Some(true) => self.on(manager, participant).await?,
                Some(false) => self.off(manager, participant).await?,
                None => return Err("say {\"grey\": true} or {\"grey\": false}".to_owned()),
            }
            Ok(Map::new())
        })
    }

    fn left(&self, participant: &ParticipantId) {
        self.filters().remove(participant);
    }
}
// ANCHOR_END: request

impl Grey {
    // ANCHOR: filter
    async fn on(
        &self,
        manager: &NotificationRoomManager,
        participant: &ParticipantId,
    ) -> Result<(), String> {
        if self.filters().contains_key(participant) {
            return Ok(());
        }
        // A filter in the room's own pipeline, at the end of what the participant publishes.
        let room = manager.pipeline(participant).await.map_err(text)?;
        let pipeline = MediaPipeline::attach(&room.client, &room.object);
        let filter = GStreamerFilter::create(&pipeline, "videobalance saturation=0")
            .await
            .map_err(text)?;
        let id = filter.id().to_owned();
        let added = manager
            .add_media_element(participant, &id, Some(MediaType::Video))
            .await;
        if let Err(error) = added {
            // What cannot be released goes with the room.
            let _ = filter.release().await;
            return Err(text(error));
        }
        self.filters().insert(participant.clone(), id);
        Ok(())
    }

    async fn off(
        &self,
        manager: &NotificationRoomManager,
        participant: &ParticipantId,
    ) -> Result<(), String> {
        let Some(filter) = self.filters().remove(participant) else {
            return Ok(());
        };
        // Taking a filter out releases it.
        manager
            .remove_media_element(participant, filter)
            .await
            .map_err(text)
    }
    // ANCHOR_END: filter

    fn filters(&self) -> MutexGuard<'_, HashMap<ParticipantId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
