//! The HTTP side: routes, REST resources, pages and their headers.

mod admin;
mod headers;
mod pages;
mod rest;

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

pub use headers::DEFAULT_CONTENT_SECURITY_POLICY;
pub use pages::{StaticFile, StaticFiles};

use crate::metrics::count;
use crate::server::{RoomServer, Shared};
use crate::socket;

/// All routes of a room server: the WebSocket at `/room`, the REST resources, `/healthz`, and
/// `pages` for everything else.
///
/// The resources that only read answer every method, as Kurento Room does; `/close` is there only
/// if [`allow_close`](crate::RoomServerConfig::allow_close) says so, and takes `POST`. `/api/v1` is there
/// only with an [`admin_token`](crate::RoomServerConfig::admin_token).
pub fn router(server: &RoomServer, pages: StaticFiles) -> Router {
    let shared = Arc::clone(&server.shared);
    let pages = Arc::new(pages);
    let mut router = Router::new()
        .route("/room", get(room))
        .route("/getAllRooms", any(rest::all_rooms))
        .route(
            "/getUpdateSpeakerInterval",
            any(rest::update_speaker_interval),
        )
        .route("/getThresholdSpeaker", any(rest::threshold_speaker))
        .route("/getClientConfig", any(rest::client_config))
        .route("/healthz", get(rest::health))
        .route("/api/openapi.json", get(admin::document));
    if shared.config.admin_token.is_some() {
        router = router.merge(admin::router(&shared));
    }
    if shared.config.allow_close {
        router = router.route("/close", post(rest::close));
    }
    router
        .fallback(move |request: Request| {
            let response = pages.respond(&request);
            async move { response }
        })
        .layer(middleware::map_response_with_state(
            Arc::clone(&shared),
            headers::secure,
        ))
        .with_state(shared)
}

/// Upgrades to the WebSocket that rooms are spoken over.
async fn room(
    State(server): State<Arc<Shared>>,
    Query(query): Query<RoomQuery>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if server.is_closing() {
        count(&server.counters.refused_connections);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let origin = headers
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or_default());
    if !server.config.origins.allows(origin) {
        count(&server.counters.refused_connections);
        return (
            StatusCode::FORBIDDEN,
            "pages of this origin may not connect",
        )
            .into_response();
    }
    let limit = server.config.max_frame_bytes;
    upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| socket::serve(server, socket, query.token))
}

/// What the URL of the WebSocket may say; everything else in it is ignored.
#[derive(serde::Deserialize)]
struct RoomQuery {
    /// For clients that cannot add members to requests.
    #[serde(default)]
    token: Option<String>,
}
