//! A client's end of a WebSocket, either over TCP or within the process.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws;
use futures_util::{Sink, SinkExt, Stream, StreamExt, sink, stream};
use salono_room_server::RoomServer;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// What a client hears.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Text(String),
    /// The server closed the socket.
    Close(Option<u16>),
    /// The connection broke.
    Gone,
}

/// A connected client. A task of its own reads, so that WebSocket pings are answered.
pub(crate) struct TestClient {
    /// `None` once the client said goodbye.
    outgoing: Option<mpsc::Sender<Message>>,
    incoming: mpsc::Receiver<Heard>,
    task: tokio::task::JoinHandle<()>,
    patience: Duration,
}

type Incoming = Pin<Box<dyn Stream<Item = Option<Message>> + Send>>;
type Outgoing = Pin<Box<dyn Sink<Message, Error = ()> + Send>>;

impl TestClient {
    /// Over TCP.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_to(&format!("ws://{address}/room")).await
    }

    /// Over TCP, to a URL.
    pub(crate) async fn connect_to(url: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let (sink, stream) = socket.split();
        Self::start(
            Box::pin(stream.map(Result::ok)),
            Box::pin(sink.sink_map_err(drop)),
            Duration::from_secs(10),
        )
    }

    /// Within the process; nothing takes time there unless the clock is moved.
    pub(crate) fn within(server: &RoomServer) -> Self {
        let (to_server, at_server) = mpsc::channel::<ws::Message>(64);
        let (to_client, at_client) = mpsc::channel::<ws::Message>(1);
        let socket = Duplex {
            stream: Box::pin(received(at_server).map(Ok)),
            sink: Box::pin(sending(to_client)),
        };
        let server = server.clone();
        tokio::spawn(async move { server.serve_socket(socket).await });
        Self::start(
            Box::pin(received(at_client).map(|message| Some(from_axum(message)))),
            Box::pin(sending(to_server).with(|message| async { Ok::<_, ()>(to_axum(message)) })),
            Duration::from_millis(1),
        )
    }

    fn start(mut stream: Incoming, mut sink: Outgoing, patience: Duration) -> Self {
        let (outgoing, mut to_send) = mpsc::channel::<Message>(1024);
        let (heard, incoming) = mpsc::channel(4096);
        let task = tokio::spawn(async move {
            let mut open = true;
            loop {
                tokio::select! {
                    message = to_send.recv(), if open => match message {
                        Some(message) => {
                            if sink.send(message).await.is_err() {
                                open = false;
                            }
                        }
                        None => open = false,
                    },
                    received = stream.next() => match received {
                        Some(Some(Message::Text(text))) => {
                            if heard.send(Heard::Text(text.to_string())).await.is_err() {
                                return;
                            }
                        }
                        Some(Some(Message::Ping(data))) => {
                            let _ = sink.send(Message::Pong(data)).await;
                        }
                        Some(Some(Message::Close(frame))) => {
                            let code = frame.map(|frame| frame.code.into());
                            let _ = heard.send(Heard::Close(code)).await;
                            // The WebSocket layer answers; within the process the end does.
                            return;
                        }
                        Some(Some(_)) => {}
                        Some(None) | None => {
                            let _ = heard.send(Heard::Gone).await;
                            return;
                        }
                    },
                }
            }
        });
        Self {
            outgoing: Some(outgoing),
            incoming,
            task,
            patience,
        }
    }

    pub(crate) async fn send(&self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub(crate) async fn send_message(&self, message: Message) {
        let outgoing = self.outgoing.as_ref().expect("still open");
        outgoing.send(message).await.expect("still open");
    }

    /// Sends, unless the connection has ended.
    pub(crate) async fn try_send(&self, text: &str) {
        if let Some(outgoing) = &self.outgoing {
            let _ = outgoing.send(Message::text(text)).await;
        }
    }

    /// The next thing; `None` when nothing comes.
    pub(crate) async fn hear(&mut self) -> Option<Heard> {
        timeout(self.patience, self.incoming.recv())
            .await
            .ok()
            .flatten()
    }

    pub(crate) async fn hear_text(&mut self, place: &str) -> String {
        match self.hear().await {
            Some(Heard::Text(text)) => text,
            other => panic!("{place}: a text was to come, but: {other:?}"),
        }
    }

    /// Cuts the connection without a word.
    pub(crate) async fn drop_connection(mut self) {
        self.outgoing = None;
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Listens until the server closes, however long it takes.
    pub(crate) async fn wait_for_close(&mut self) {
        while let Some(heard) = self.incoming.recv().await {
            if heard == Heard::Close(Some(1000)) {
                return;
            }
        }
        panic!("the connection ended without a close");
    }

    /// Closes properly and waits for the server to do so, too.
    pub(crate) async fn close(&mut self) {
        self.send_message(Message::Close(None)).await;
        while !matches!(
            self.hear().await,
            Some(Heard::Close(_) | Heard::Gone) | None
        ) {}
    }

    /// A client that sends but reads nothing, within the process. The receiver must be kept.
    pub(crate) fn deaf(
        server: &RoomServer,
    ) -> (mpsc::Sender<ws::Message>, mpsc::Receiver<ws::Message>) {
        let (to_server, at_server) = mpsc::channel::<ws::Message>(64);
        let (to_client, at_client) = mpsc::channel::<ws::Message>(1);
        let socket = Duplex {
            stream: Box::pin(received(at_server).map(Ok)),
            sink: Box::pin(sending(to_client)),
        };
        let server = server.clone();
        tokio::spawn(async move { server.serve_socket(socket).await });
        (to_server, at_client)
    }
}

fn received<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

fn sending<T: Send + 'static>(sender: mpsc::Sender<T>) -> impl Sink<T, Error = ()> + Send {
    sink::unfold(sender, |sender, item| async move {
        sender.send(item).await.map_err(drop)?;
        Ok(sender)
    })
}

fn to_axum(message: Message) -> ws::Message {
    match message {
        Message::Text(text) => ws::Message::Text(text.as_str().into()),
        Message::Binary(data) => ws::Message::Binary(data),
        Message::Ping(data) => ws::Message::Ping(data),
        Message::Pong(data) => ws::Message::Pong(data),
        Message::Close(_) | Message::Frame(_) => ws::Message::Close(None),
    }
}

fn from_axum(message: ws::Message) -> Message {
    match message {
        ws::Message::Text(text) => Message::text(text.as_str()),
        ws::Message::Binary(data) => Message::Binary(data),
        ws::Message::Ping(data) => Message::Ping(data),
        ws::Message::Pong(data) => Message::Pong(data),
        ws::Message::Close(frame) => Message::Close(frame.map(|frame| {
            tokio_tungstenite::tungstenite::protocol::CloseFrame {
                code: frame.code.into(),
                reason: frame.reason.as_str().into(),
            }
        })),
    }
}

/// Both directions of a socket within the process.
pub(crate) struct Duplex {
    pub(crate) stream: Pin<Box<dyn Stream<Item = Result<ws::Message, axum::Error>> + Send>>,
    pub(crate) sink: Pin<Box<dyn Sink<ws::Message, Error = ()> + Send>>,
}

impl Stream for Duplex {
    type Item = Result<ws::Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}

impl Sink<ws::Message> for Duplex {
    type Error = ();

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.sink.as_mut().poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: ws::Message) -> Result<(), ()> {
        self.sink.as_mut().start_send(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.sink.as_mut().poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.sink.as_mut().poll_close(cx)
    }
}
