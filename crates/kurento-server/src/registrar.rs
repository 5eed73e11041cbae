//! Tells a registrar where this media server listens.
//!
//! A registrar is a WebSocket server that application servers ask for media servers. This connects
//! out to it, sends one `register` notification, and keeps the connection: while it is open, the
//! registrar knows that this server lives.

use crate::ServerHandle;
use futures_util::{SinkExt as _, StreamExt as _};
use salono_kurento_model::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::rustls::ClientConfig;
use tokio_tungstenite::{
    Connector, connect_async_tls_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

/// First pause before the registrar is tried again; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest such pause. A connection that lived longer begins with the first one again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long a registrar may take to accept a connection and the message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest message of a registrar; none is of interest.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Where to announce what.
#[derive(Debug, Clone)]
pub struct RegistrarConfig {
    /// Of the registrar: `ws://…` or `wss://…`.
    pub url: String,
    /// URL by which the registrar's clients reach this server.
    pub announced: String,
    /// Whom to believe with `wss://`.
    pub tls: Arc<ClientConfig>,
}

/// Keeps this server registered until it shuts down.
pub async fn keep_registered(handle: ServerHandle, config: RegistrarConfig) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            () = handle.stopping() => return,
            ended = register(&config) => ended,
        };
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        match ended {
            Ok(()) => tracing::info!(url = config.url, ?pause, "registrar closed the connection"),
            Err(error) => {
                tracing::warn!(url = config.url, %error, ?pause, "registrar cannot be reached");
            }
        }
        tokio::select! {
            () = handle.stopping() => return,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why a registration ends otherwise than by the registrar's close.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("no answer within {PATIENCE:?}")]
    Timeout,
    #[error(transparent)]
    WebSocket(#[from] tungstenite::Error),
}

/// Registers once and waits for the end of the connection.
async fn register(config: &RegistrarConfig) -> Result<(), Ended> {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let connector = Connector::Rustls(Arc::clone(&config.tls));
    let opening =
        connect_async_tls_with_config(config.url.as_str(), Some(limits), true, Some(connector));
    let (mut socket, _) = timeout(PATIENCE, opening)
        .await
        .map_err(|_| Ended::Timeout)??;
    let register = json!({
        "jsonrpc": "2.0",
        "method": "register",
        "params": { "ws": config.announced },
    });
    let message = Message::text(register.to_string());
    timeout(PATIENCE, socket.send(message))
        .await
        .map_err(|_| Ended::Timeout)??;
    tracing::info!(url = config.url, announced = config.announced, "registered");
    // Reading answers pings and notices the end.
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}
