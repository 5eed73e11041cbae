//! One WebSocket, from its upgrade to its end.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use salono_jsonrpc::Limits;
use salono_jsonrpc::room::{Incoming, SocketId, parse};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use crate::metrics::count;
use crate::outbox::{Outgoing, Pickup, outbox};
use crate::server::Shared;

/// Close codes of RFC 6455 section 7.4.1 that this server uses by itself.
mod close_code {
    pub(super) const PROTOCOL_ERROR: u16 = 1002;
    pub(super) const UNSUPPORTED_DATA: u16 = 1003;
    pub(super) const INVALID_TEXT: u16 = 1007;
    pub(super) const TOO_BIG: u16 = 1009;
    pub(super) const TRY_AGAIN_LATER: u16 = 1013;
}

/// A socket without a sign of life for this many keep-alive pings is gone.
const KEEPALIVES_MISSED: u32 = 3;

/// Serves a socket until it ends. `token` came with its URL, for clients that cannot say it when
/// they join.
pub(crate) async fn serve<S>(server: Arc<Shared>, socket: S, token: Option<String>)
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message> + Send,
{
    let _serving = server.serving();
    let (mut sink, stream) = socket.split();
    let (outbox, pickup) = outbox(
        server.config.max_outbound_frames,
        server.config.max_outbound_bytes,
    );
    let Some(id) = server.exchange.open(outbox) else {
        count(&server.counters.refused_connections);
        let close = close_message(close_code::TRY_AGAIN_LATER, "too many connections");
        let _ = timeout(server.config.close_patience, sink.send(close)).await;
        return;
    };
    tracing::debug!(socket = %id, "connected");
    let ends = pickup.ends();
    // One patience for what is queued, one for the peer's answer.
    let patience = 2 * server.config.close_patience;
    tokio::select! {
        () = converse(&server, id, sink, stream, pickup, token) => {}
        () = ends.overdue(patience) => {}
    }
    server.drive(|hub, now| hub.handle_close(id, now));
    tracing::debug!(socket = %id, "disconnected");
}

/// Reads and writes side by side, so that a client that does not read is still heard.
async fn converse(
    server: &Arc<Shared>,
    id: SocketId,
    sink: impl Sink<Message> + Unpin,
    stream: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    pickup: Pickup,
    token: Option<String>,
) {
    let patience = server.config.close_patience;
    let reading = read(server, id, stream, token);
    let writing = write(sink, pickup);
    tokio::pin!(reading, writing);
    tokio::select! {
        ended = &mut reading => match ended {
            Ended::ByPeer => {}
            Ended::ByServer { code, reason } => {
                server.close_socket(id, code, reason);
                let _ = timeout(patience, &mut writing).await;
            }
        },
        written = &mut writing => match written {
            // The close frame is out; the peer gets a moment to answer it.
            Written::Close => drop(timeout(patience, &mut reading).await),
            Written::Failed => {}
        },
    }
}

/// Why nothing more is read.
enum Ended {
    ByPeer,
    ByServer { code: u16, reason: &'static str },
}

async fn read(
    server: &Arc<Shared>,
    id: SocketId,
    mut stream: impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    token: Option<String>,
) -> Ended {
    let limits = Limits {
        max_bytes: server.config.max_frame_bytes,
        max_depth: server.config.max_json_depth,
    };
    let mut keepalive = Keepalive::new(server.config.keepalive);
    loop {
        let received = tokio::select! {
            received = stream.next() => received,
            () = keepalive.due() => {
                if keepalive.is_exhausted() {
                    tracing::debug!(socket = %id, "no sign of life");
                    return Ended::ByPeer;
                }
                server.exchange.ping(id);
                continue;
            }
        };
        keepalive.heard();
        match received {
            Some(Ok(Message::Text(text))) => match parse(text.as_str(), &limits) {
                Ok(mut frame) => {
                    if let Some(token) = &token {
                        provide_token(&mut frame, token);
                    }
                    server.drive(|hub, now| hub.handle_frame(id, frame, now));
                }
                Err(error) => {
                    count(&server.counters.unusable_frames);
                    tracing::debug!(socket = %id, %error, "frame ignored");
                }
            },
            Some(Ok(Message::Binary(_))) => {
                return Ended::ByServer {
                    code: close_code::UNSUPPORTED_DATA,
                    reason: "only text frames are understood",
                };
            }
            Some(Ok(Message::Pong(_))) => server.drive(|hub, _| hub.handle_pong(id)),
            // Answered by the WebSocket layer.
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(Message::Close(_))) => {
                server.drive(|hub, now| hub.handle_close(id, now));
                // The layer below answers while it is read from, and ends by itself.
                let rest = stream.for_each(|_| std::future::ready(()));
                let _ = timeout(server.config.close_patience, rest).await;
                return Ended::ByPeer;
            }
            None => return Ended::ByPeer,
            Some(Err(error)) => {
                tracing::debug!(socket = %id, %error, "read failed");
                return ended_by(error);
            }
        }
    }
}

/// A join that brings no token has the one of its socket.
fn provide_token(frame: &mut Incoming, token: &str) {
    if let Incoming::Call(call) = frame
        && call.method == "joinRoom"
        && let Some(Value::Object(params)) = &mut call.params
    {
        params.entry("token").or_insert_with(|| token.into());
    }
}

/// Faults of the peer are named to it; a broken connection cannot be told anything.
fn ended_by(error: axum::Error) -> Ended {
    let Ok(error) = error.into_inner().downcast::<tungstenite::Error>() else {
        return Ended::ByPeer;
    };
    match *error {
        tungstenite::Error::Capacity(_) => Ended::ByServer {
            code: close_code::TOO_BIG,
            reason: "frame is too long",
        },
        tungstenite::Error::Utf8(_) => Ended::ByServer {
            code: close_code::INVALID_TEXT,
            reason: "text is not UTF-8",
        },
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Io(_)
        | tungstenite::Error::Tls(_)
        | tungstenite::Error::WriteBufferFull(_)
        | tungstenite::Error::AttackAttempt
        | tungstenite::Error::Url(_)
        | tungstenite::Error::Http(_)
        | tungstenite::Error::HttpFormat(_) => Ended::ByPeer,
        tungstenite::Error::Protocol(_) => Ended::ByServer {
            code: close_code::PROTOCOL_ERROR,
            reason: "not a valid WebSocket frame",
        },
    }
}

/// How writing ended.
enum Written {
    Close,
    Failed,
}

async fn write(mut sink: impl Sink<Message> + Unpin, mut pickup: Pickup) -> Written {
    while let Some(item) = pickup.next().await {
        let (message, last) = match item {
            Outgoing::Text(text) => (Message::Text(text.into()), false),
            Outgoing::Ping => (Message::Ping(bytes::Bytes::new()), false),
            Outgoing::Close { code, reason } => (close_message(code, reason), true),
        };
        // What is queued goes out together.
        let sent = if last || pickup.is_empty() {
            sink.send(message).await
        } else {
            sink.feed(message).await
        };
        match sent {
            Ok(()) if last => return Written::Close,
            Ok(()) => {}
            Err(_) => return Written::Failed,
        }
    }
    Written::Failed
}

fn close_message(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

/// When to ping, and when to give up.
struct Keepalive {
    interval: Option<Duration>,
    next: Instant,
    unanswered: u32,
}

impl Keepalive {
    fn new(interval: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            interval,
            next: interval.map_or(now, |interval| now + interval),
            unanswered: 0,
        }
    }

    /// Resolves once per interval; never without one.
    async fn due(&mut self) {
        let Some(interval) = self.interval else {
            return std::future::pending().await;
        };
        sleep_until(self.next).await;
        self.next += interval;
        self.unanswered += 1;
    }

    fn heard(&mut self) {
        self.unanswered = 0;
    }

    fn is_exhausted(&self) -> bool {
        self.unanswered > KEEPALIVES_MISSED
    }
}
