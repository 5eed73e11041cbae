//! The Kurento Protocol over WebSocket, plain or in TLS: text frames in and out of a
//! [`ServerHandle`].

use crate::{
    ServerHandle,
    handshake::{self, Upgraded},
};
use futures_util::{SinkExt as _, StreamExt as _};
use salono_jsonrpc::{Limits, kurento};
use salono_kurento_model::{
    Value,
    wire::{ClientMessage, ServerMessage},
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval_at, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// Settings of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Path of the WebSocket, with its slash. Other paths are upgraded and closed with code 1002.
    pub path: String,
    /// Caps on one frame of a client. A longer one ends the connection with code 1009.
    pub frames: Limits,
    /// Connections at the same time; more are answered with 503.
    pub connections: usize,
    /// Values of `Origin` that are let in, compared as texts; empty lets in all. Requests without
    /// `Origin` (anything but browsers) are always let in.
    pub origins: Vec<String>,
    /// How long a client may leave one message unread before it loses its connection.
    pub send_time: Duration,
    /// A WebSocket ping after this much time keeps idle connections open through proxies.
    pub ping_interval: Duration,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            path: "/kurento".to_owned(),
            frames: Limits::default(),
            connections: 4_096,
            origins: Vec::new(),
            send_time: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
        }
    }
}

/// First pause after a connection could not be accepted (no descriptors left, for example); doubles
/// while that lasts, so that a full process neither spins nor fills its log.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Longest such pause.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a client may take for its side of the TLS handshake.
const TLS_TIME: Duration = Duration::from_secs(10);

/// How long connections may take to close on shutdown.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Serves WebSocket connections until the server shuts down. One task per connection, none per
/// message; dropping the future ends them all.
pub async fn serve_listener(handle: ServerHandle, listener: TcpListener, config: ListenerConfig) {
    accept_all(handle, listener, config, None).await;
}

/// As [`serve_listener`], over TLS (`wss://`).
pub async fn serve_tls_listener(
    handle: ServerHandle,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    config: ListenerConfig,
) {
    accept_all(handle, listener, config, Some(TlsAcceptor::from(tls))).await;
}

async fn accept_all(
    handle: ServerHandle,
    listener: TcpListener,
    config: ListenerConfig,
    tls: Option<TlsAcceptor>,
) {
    let config = Arc::new(config);
    let mut connections = JoinSet::new();
    let mut pause = ACCEPT_PAUSE;
    loop {
        let accepted = tokio::select! {
            () = handle.stopping() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let error = match accepted {
            Ok((stream, _)) if connections.len() >= config.connections => {
                tracing::warn!("connection refused: too many");
                // Within TLS there is nothing to say before the handshake, which costs more than
                // whoever is too much may cost.
                if tls.is_none() {
                    connections.spawn(async move {
                        // There is nothing to do for a client that does not take its refusal.
                        let _ = handshake::refuse_overload(stream).await;
                    });
                }
                continue;
            }
            Ok((stream, peer)) => {
                pause = ACCEPT_PAUSE;
                connections.spawn(serve(
                    handle.clone(),
                    stream,
                    peer,
                    tls.clone(),
                    config.clone(),
                ));
                continue;
            }
            Err(error) => error,
        };
        if is_of_the_client(&error) {
            tracing::debug!(%error, "connection gone before it was accepted");
            continue;
        }
        tracing::warn!(%error, ?pause, "connection not accepted");
        tokio::select! {
            () = handle.stopping() => break,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(CLOSE_TIME, all).await.is_err() {
        tracing::warn!("connections did not close in time");
    }
}

/// Whether accepting failed because of one client alone, so that the next can be accepted at once
/// (accept(2), "Error handling").
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn serve(
    handle: ServerHandle,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    config: Arc<ListenerConfig>,
) {
    let served = async {
        stream.set_nodelay(true)?;
        match tls {
            None => serve_connection(handle, stream, &config).await,
            Some(tls) => {
                let stream = timeout(TLS_TIME, tls.accept(stream))
                    .await
                    .map_err(|_| Ended::Handshake(io::ErrorKind::TimedOut.into()))??;
                serve_connection(handle, stream, &config).await
            }
        }
    };
    match served.await {
        Ok(()) => tracing::debug!(%peer, "connection closed"),
        Err(error) => tracing::debug!(%peer, %error, "connection ended"),
    }
}

/// Why a connection ends otherwise than by the client's close.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("handshake: {0}")]
    Handshake(#[from] io::Error),
    #[error(transparent)]
    WebSocket(#[from] tungstenite::Error),
    #[error("client takes no messages")]
    Stuck,
}

async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin>(
    handle: ServerHandle,
    stream: S,
    config: &ListenerConfig,
) -> Result<(), Ended> {
    let Some(Upgraded { stream, rest, path }) = handshake::accept(stream, &config.origins).await?
    else {
        return Ok(());
    };
    let limits = WebSocketConfig::default()
        .max_message_size(Some(config.frames.max_bytes))
        .max_frame_size(Some(config.frames.max_bytes));
    let socket =
        WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(limits)).await;
    let mut connection = Connection {
        socket,
        send_time: config.send_time,
        session_known: false,
    };
    if path != config.path {
        return connection.close(CloseCode::Protocol, "Invalid path").await;
    }
    let Ok((requests, answers)) = handle.open_session().await else {
        return connection.close(CloseCode::Away, "shutting down").await;
    };
    connection.run(requests, answers, config).await
}

struct Connection<S> {
    socket: WebSocketStream<S>,
    send_time: Duration,
    /// An answer has named a session, which later requests may leave out.
    session_known: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn run(
        &mut self,
        requests: mpsc::Sender<ClientMessage>,
        mut answers: mpsc::Receiver<ServerMessage>,
        config: &ListenerConfig,
    ) -> Result<(), Ended> {
        let mut ping = interval_at(Instant::now() + config.ping_interval, config.ping_interval);
        loop {
            tokio::select! {
                frame = self.socket.next() => match frame {
                    // Kurento looks at the bytes alone, so clients may use either kind of frame.
                    // What is no text is no JSON either.
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                        let text = message.to_text().unwrap_or_default();
                        match kurento::decode_request(text, &config.frames, self.session_known) {
                            Ok(request) => {
                                if requests.send(request).await.is_err() {
                                    return self.close(CloseCode::Away, "shutting down").await;
                                }
                            }
                            Err(refusal) => self.send_message(&refusal).await?,
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Close(_))) => {
                        // Reading on sends our answer to the close.
                        let _ = timeout(self.send_time, self.socket.next()).await;
                        return Ok(());
                    }
                    Some(Err(tungstenite::Error::Capacity(_))) => {
                        return self.close(CloseCode::Size, "message too long").await;
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => return Ok(()),
                },
                answer = answers.recv() => match answer {
                    Some(message) => {
                        if let ServerMessage::Response { result: Ok(result), .. } = &message {
                            self.session_known |= result.get("sessionId").is_some_and(Value::is_string);
                        }
                        self.send_message(&message).await?;
                    }
                    None => return self.close(CloseCode::Away, "closed by the server").await,
                },
                _ = ping.tick() => self.send(Message::Ping(Vec::new().into())).await?,
            }
        }
    }

    async fn send_message(&mut self, message: &ServerMessage) -> Result<(), Ended> {
        let text = kurento::encode_message(message);
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        timeout(self.send_time, self.socket.send(message))
            .await
            .map_err(|_| Ended::Stuck)?
            .map_err(Ended::WebSocket)
    }

    async fn close(&mut self, code: CloseCode, reason: &'static str) -> Result<(), Ended> {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        self.send(Message::Close(Some(frame))).await?;
        // The peer's answer ends the closing handshake; one that sends none is not waited for.
        let answer = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(CLOSE_TIME, answer).await;
        Ok(())
    }
}
