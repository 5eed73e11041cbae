//! The room protocol over WebSocket and REST as an axum router.
