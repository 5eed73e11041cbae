//! The REST resources of Kurento Room and its demo.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use salono_room_sdk::RoomErrorCode;

use crate::config::ClientConfig;
use crate::server::Shared;

/// `GET /getAllRooms`: the names of all rooms, as a JSON array.
pub(super) async fn all_rooms(State(server): State<Arc<Shared>>) -> Json<Vec<String>> {
    Json(server.manager.rooms())
}

/// `GET /getUpdateSpeakerInterval`: a bare number, milliseconds.
pub(super) async fn update_speaker_interval(State(server): State<Arc<Shared>>) -> Json<i32> {
    Json(server.config.update_speaker_interval_ms)
}

/// `GET /getThresholdSpeaker`: a bare number, decibels.
pub(super) async fn threshold_speaker(State(server): State<Arc<Shared>>) -> Json<i32> {
    Json(server.config.threshold_speaker_db)
}

/// `GET /getClientConfig`: what the demo page wants to know.
pub(super) async fn client_config(State(server): State<Arc<Shared>>) -> Json<ClientConfig> {
    Json(server.config.client.clone())
}

/// `GET /healthz`: 200, or 503 while shutting down.
pub(super) async fn health(State(server): State<Arc<Shared>>) -> Response {
    if server.is_closing() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response()
    } else {
        "ok\n".into_response()
    }
}

#[derive(serde::Deserialize)]
pub(super) struct CloseQuery {
    room: Option<String>,
}

/// `POST /close?room=NAME`: closes a room; its members hear `roomClosed`.
///
/// 200 with an empty body; 400 without a name; 404 when there is no such room; 403 for a form of
/// some other web site, which a browser would send with the user's network access.
pub(super) async fn close(
    State(server): State<Arc<Shared>>,
    Query(query): Query<CloseQuery>,
    headers: HeaderMap,
) -> Response {
    if is_cross_site(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(room) = query.room else {
        return (StatusCode::BAD_REQUEST, "which room?\n").into_response();
    };
    match server.manager.close_room(&room).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error)
            if matches!(
                error.code,
                RoomErrorCode::RoomNotFound | RoomErrorCode::RoomClosed
            ) =>
        {
            (StatusCode::NOT_FOUND, "no such room\n").into_response()
        }
        Err(error) => {
            tracing::warn!(room, %error, "room could not be closed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether a browser says that a page of another host is behind the request.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, host)| host);
    origin.is_none() || origin != host
}
