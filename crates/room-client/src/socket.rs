//! The WebSocket to a room server.

use std::time::Duration;

use futures_util::SinkExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use crate::{Config, ConnectError};

/// Longest message that a server may send, in bytes: four times what it takes itself. A longer one
/// ends the connection.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// How long a message may take to leave. A server that does not read for this long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a goodbye may take to leave.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket.
pub(crate) async fn open(url: &str, config: &Config) -> Result<Socket, ConnectError> {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    // Read only where it is needed: a system may have no certificates.
    let connector = if is_secure(url) {
        Connector::Rustls(config.trust.tls_config()?)
    } else {
        Connector::Plain
    };
    let opening = connect_async_tls_with_config(url, Some(limits), true, Some(connector));
    let (socket, _) = timeout(config.connect_timeout, opening)
        .await
        .map_err(|_| ConnectError::Timeout(config.connect_timeout))?
        .map_err(|error| ConnectError::WebSocket(Box::new(error)))?;
    Ok(socket)
}

/// Sends a text; false when the connection is lost.
pub(crate) async fn send(socket: &mut Socket, text: String) -> bool {
    let sending = timeout(WRITE_PATIENCE, socket.send(Message::text(text)));
    matches!(sending.await, Ok(Ok(())))
}

/// Says goodbye to a server that need not answer.
pub(crate) async fn close(mut socket: Socket) {
    // The connection ends in any case.
    let _ = timeout(CLOSE_PATIENCE, socket.close(None)).await;
}

fn is_secure(url: &str) -> bool {
    url.get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("wss:"))
}
