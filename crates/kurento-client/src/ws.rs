//! WebSocket connections to remote media servers.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use futures_util::{
    Sink, SinkExt, Stream, StreamExt,
    stream::{SplitSink, SplitStream},
};
use salono_jsonrpc::kurento::{self, Incoming};
use salono_kurento_model::{
    Value,
    wire::{ClientMessage, ServerMessage},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};

use crate::{Client, Config, Driver, TrustError, link::Link};

/// Longest message that a media server may send; the largest known one is a module descriptor of
/// some hundred kilobytes.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A WebSocket to a media server cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Neither refused nor opened in time.
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The URL cannot be used, nobody listens there, or it is no WebSocket server.
    #[error(transparent)]
    WebSocket(Box<tungstenite::Error>),
    /// TLS cannot be used as configured.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Client {
    /// Connects to a media server, for example at `ws://127.0.0.1:8888/kurento`.
    ///
    /// With `wss://` the server must prove who it is, see [`Trust`](crate::Trust).
    ///
    /// The connection is kept alive and, once open, opened again whenever it is lost
    /// ([`SessionEvent`](crate::SessionEvent) tells of it).
    ///
    /// # Errors
    /// [`ConnectError`] when the first connection does not succeed.
    pub async fn connect(url: &str) -> Result<(Self, Driver), ConnectError> {
        Self::connect_with(url, Config::default()).await
    }

    /// As [`Client::connect`], with a configuration of one's own.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_with(url: &str, config: Config) -> Result<(Self, Driver), ConnectError> {
        let link = open(url, &config).await?;
        Ok(Self::over(link, Some(Arc::from(url)), config))
    }
}

pub(crate) async fn open(url: &str, config: &Config) -> Result<Link, ConnectError> {
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
    let (socket, _) = tokio::time::timeout(config.connect_timeout, opening)
        .await
        .map_err(|_| ConnectError::Timeout(config.connect_timeout))?
        .map_err(|error| ConnectError::WebSocket(Box::new(error)))?;
    let (sink, stream) = socket.split();
    let writer = Writer {
        sink,
        unflushed: false,
    };
    Ok(Link::socket(writer, Reader(stream)))
}

fn is_secure(url: &str) -> bool {
    url.get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("wss:"))
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct Writer {
    sink: SplitSink<Socket, Message>,
    /// Something was given to the socket that has perhaps not left yet.
    unflushed: bool,
}

impl Writer {
    /// Flushes; then, if a message waits, waits for room. `false` when the connection is lost.
    pub(crate) async fn progress(&mut self, waiting: bool) -> bool {
        poll_fn(|cx| {
            if self.unflushed {
                match Pin::new(&mut self.sink).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
            if !waiting {
                // Nothing to do: whoever selects on this has other branches.
                return Poll::Pending;
            }
            Pin::new(&mut self.sink)
                .poll_ready(cx)
                .map(|ready| ready.is_ok())
        })
        .await
    }

    /// Sends after [`Writer::progress`] said so; `false` when the connection is lost.
    pub(crate) fn send(&mut self, message: &ClientMessage) -> bool {
        let id = message.id.clone().unwrap_or(Value::Null);
        let text = kurento::encode_request(id, &message.request, message.session.as_deref());
        self.unflushed = true;
        Pin::new(&mut self.sink)
            .start_send(Message::text(text))
            .is_ok()
    }

    /// Flushes and says goodbye.
    pub(crate) async fn close(&mut self) {
        // The connection ends in any case.
        let _ = self.sink.close().await;
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Reader(SplitStream<Socket>);

impl Reader {
    /// The next message; `None` when the connection is lost.
    pub(crate) async fn recv(&mut self) -> Option<ServerMessage> {
        loop {
            let next = poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)).await?;
            let text = match next {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(_)) => return None,
                // Tungstenite answers pings; Kurento sends no binary messages.
                Ok(
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
                ) => continue,
                Err(error) => {
                    tracing::debug!(%error, "the connection failed");
                    return None;
                }
            };
            match kurento::parse_incoming(&text) {
                Ok(Incoming::Response { id, result }) => {
                    let id = Some(id);
                    return Some(ServerMessage::Response { id, result });
                }
                Ok(Incoming::Event(event)) => return Some(ServerMessage::Event(event)),
                Err(error) => tracing::warn!(%error, "the server sent what is no message"),
            }
        }
    }
}
