//! `/api/v1`: rooms and participants for administrators, described by `/api/openapi.json`.
//!
//! There only if [`admin_token`](crate::RoomServerConfig::admin_token) is set, which every request must
//! show. Errors are `{"error": {"code", "message"}}` with the codes of the room protocol.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use salono_room_sdk::{
    KurentoClientSessionInfo, MutedMedia, MutedMediaType, RoomError, RoomErrorCode, UserParticipant,
};
use serde::{Deserialize, Serialize};

use crate::server::Shared;

/// Longest body of a request, bytes.
const MAX_BODY_BYTES: usize = 16 << 10;

/// Everything that is described.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// The paths of this module, as `/api/openapi.json` writes them.
pub(super) const PATHS: [&str; 6] = [
    "/api/v1/rooms",
    "/api/v1/rooms/{room}",
    "/api/v1/rooms/{room}/lock",
    "/api/v1/rooms/{room}/participants",
    "/api/v1/rooms/{room}/participants/{user}",
    "/api/v1/rooms/{room}/participants/{user}/mute",
];

/// The routes.
pub(super) fn router(server: &Arc<Shared>) -> Router<Arc<Shared>> {
    let [rooms, room, lock, participants, participant, mute_path] = PATHS;
    Router::new()
        .route(rooms, get(list_rooms).post(create_room))
        .route(room, get(show_room).delete(close_room))
        .route(lock, post(lock_room).delete(unlock_room))
        .route(participants, get(list_participants))
        .route(participant, get(show_participant).delete(evict))
        .route(mute_path, post(mute).merge(delete(unmute)))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route_layer(middleware::from_fn_with_state(
            Arc::clone(server),
            authorize,
        ))
}

/// `GET /api/openapi.json`.
pub(super) async fn document() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, DOCUMENT).into_response()
}

/// Lets in whoever shows the token (RFC 6750).
async fn authorize(State(server): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let shown = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let is_known = match (&server.config.admin_token, shown) {
        (Some(known), Some(shown)) => known.is(shown),
        (Some(_) | None, _) => false,
    };
    if is_known {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    let body = failure(None, "the token of the administrator is missing or wrong");
    (StatusCode::UNAUTHORIZED, challenge, body).into_response()
}

/// One room.
#[derive(Serialize)]
struct RoomSummary {
    name: String,
    locked: bool,
    participants: usize,
}

/// One room with who is in it.
#[derive(Serialize)]
struct RoomDetails {
    name: String,
    locked: bool,
    participants: Vec<Participant>,
}

/// One participant.
#[derive(Serialize)]
struct Participant {
    user: String,
    id: String,
    publishes: bool,
    muted: Muted,
}

/// What nobody receives of a participant.
#[derive(Serialize)]
struct Muted {
    audio: bool,
    video: bool,
}

/// Everything that there is one of.
#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomSummary>,
}

/// Everybody.
#[derive(Serialize)]
struct Participants {
    participants: Vec<Participant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRoom {
    name: String,
}

/// What to mute; what is left out is muted as well.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mute {
    audio: bool,
    video: bool,
}

impl Default for Mute {
    fn default() -> Self {
        Self {
            audio: true,
            video: true,
        }
    }
}

async fn list_rooms(State(server): State<Arc<Shared>>) -> Response {
    let manager = server.manager.room_manager();
    let mut rooms = Vec::new();
    for name in manager.rooms() {
        // One that ends meanwhile is no longer in the list.
        let (locked, members) = (
            manager.is_room_locked(&name).await,
            manager.participants(&name).await,
        );
        if let (Ok(locked), Ok(members)) = (locked, members) {
            rooms.push(RoomSummary {
                name,
                locked,
                participants: members.len(),
            });
        }
    }
    Json(Rooms { rooms }).into_response()
}

async fn create_room(
    State(server): State<Arc<Shared>>,
    body: Result<Json<NewRoom>, JsonRejection>,
) -> Result<Response, Refused> {
    let Json(NewRoom { name }) = body?;
    if name.is_empty() {
        return Err(Refused::unusable("a room needs a name"));
    }
    if let Err(violation) = server.config.policy.name("name", &name) {
        return Err(Refused::unusable(violation.message));
    }
    let existed = server.manager.rooms().contains(&name);
    let session = KurentoClientSessionInfo::for_room(&name);
    server.manager.create_room(session).await?;
    let status = if existed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(details(&server, name).await?)).into_response())
}

async fn show_room(
    State(server): State<Arc<Shared>>,
    Path(room): Path<String>,
) -> Result<Response, Refused> {
    Ok(Json(details(&server, room).await?).into_response())
}

async fn close_room(
    State(server): State<Arc<Shared>>,
    Path(room): Path<String>,
) -> Result<StatusCode, Refused> {
    server.manager.close_room(&room).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn lock_room(
    State(server): State<Arc<Shared>>,
    Path(room): Path<String>,
) -> Result<StatusCode, Refused> {
    server.manager.set_room_locked(&room, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unlock_room(
    State(server): State<Arc<Shared>>,
    Path(room): Path<String>,
) -> Result<StatusCode, Refused> {
    server.manager.set_room_locked(&room, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_participants(
    State(server): State<Arc<Shared>>,
    Path(room): Path<String>,
) -> Result<Response, Refused> {
    let participants = details(&server, room).await?.participants;
    Ok(Json(Participants { participants }).into_response())
}

async fn show_participant(
    State(server): State<Arc<Shared>>,
    Path((room, user)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let member = server.manager.find(&room, &user).await?;
    Ok(Json(participant(&server, member).await?).into_response())
}

async fn evict(
    State(server): State<Arc<Shared>>,
    Path((room, user)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    let member = server.manager.find(&room, &user).await?;
    server
        .manager
        .evict_participant(&member.participant_id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn mute(
    State(server): State<Arc<Shared>>,
    Path((room, user)): Path<(String, String)>,
    body: Result<Option<Json<Mute>>, JsonRejection>,
) -> Result<StatusCode, Refused> {
    let wanted = body?.map_or_else(Mute::default, |Json(mute)| mute);
    let media = match (wanted.audio, wanted.video) {
        (true, true) => MutedMediaType::All,
        (true, false) => MutedMediaType::Audio,
        (false, true) => MutedMediaType::Video,
        (false, false) => return Err(Refused::unusable("there is nothing to mute")),
    };
    let member = server.manager.find(&room, &user).await?;
    let id = member.participant_id;
    server.manager.mute_published_media(&id, media).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unmute(
    State(server): State<Arc<Shared>>,
    Path((room, user)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    let member = server.manager.find(&room, &user).await?;
    let id = member.participant_id;
    let all = MutedMediaType::All;
    server.manager.unmute_published_media(&id, all).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn details(server: &Shared, name: String) -> Result<RoomDetails, RoomError> {
    let manager = server.manager.room_manager();
    let locked = manager.is_room_locked(&name).await?;
    let mut participants = Vec::new();
    for member in manager.participants(&name).await? {
        // Whoever leaves meanwhile is no longer in the list.
        if let Ok(participant) = participant(server, member).await {
            participants.push(participant);
        }
    }
    Ok(RoomDetails {
        name,
        locked,
        participants,
    })
}

async fn participant(server: &Shared, member: UserParticipant) -> Result<Participant, RoomError> {
    let manager = server.manager.room_manager();
    let MutedMedia { audio, video } = manager.muted_media(&member.participant_id).await?;
    Ok(Participant {
        user: member.user_name,
        id: public_id(member.participant_id.as_str()),
        publishes: member.streaming,
        muted: Muted { audio, video },
    })
}

/// Enough of a session's id to find it in logs; the whole of it is a secret of its client.
fn public_id(session: &str) -> String {
    session.chars().take(6).collect()
}

/// A request that was not carried out.
struct Refused {
    status: StatusCode,
    code: Option<i32>,
    message: String,
}

impl Refused {
    fn unusable(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: None,
            message: message.into(),
        }
    }
}

impl From<RoomError> for Refused {
    fn from(error: RoomError) -> Self {
        let is_missing = matches!(
            error.code,
            RoomErrorCode::RoomNotFound
                | RoomErrorCode::RoomClosed
                | RoomErrorCode::UserNotFound
                | RoomErrorCode::UserClosed
        );
        let status = if is_missing {
            StatusCode::NOT_FOUND
        } else if error.code == RoomErrorCode::UserNotStreaming {
            StatusCode::CONFLICT
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        Self {
            status,
            code: Some(error.code.number()),
            message: error.message,
        }
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self {
            status: rejection.status(),
            code: None,
            message: rejection.body_text(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, failure(self.code, &self.message)).into_response()
    }
}

fn failure(code: Option<i32>, message: &str) -> Json<serde_json::Value> {
    let mut error = serde_json::json!({ "message": message });
    if let Some(code) = code {
        error["code"] = code.into();
    }
    Json(serde_json::json!({ "error": error }))
}

#[cfg(test)]
mod tests {
    use super::{DOCUMENT, PATHS};

    #[test]
    fn the_description_has_every_path_of_this_module_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let described: Vec<&str> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|path| path.starts_with("/api/v1/"))
            .collect();
        assert_eq!(described.len(), PATHS.len());
        assert!(PATHS.iter().all(|path| described.contains(path)));
        assert_eq!(document["openapi"], "3.1.0");
    }
}
