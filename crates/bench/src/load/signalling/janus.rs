//! Janus' video room plugin by the WebSocket API: a handle for each publisher and one for each receiver, which Janus
//! sends an offer.

use super::super::camera::Camera;
use super::super::plan::{Scenario, Watch};
use super::super::viewer::Joined;
use super::super::{Floorplan, LoadError};
use super::{Entrance, roll};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use str0m::media::Direction;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, oneshot};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Time between two signs of life; Janus forgets a session after 60 s without.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Number of the first room; the others follow.
const FIRST_ROOM: usize = 4_711_000;

/// A session.
pub(super) struct Janus {
    connection: Rc<Connection>,
    session: u64,
    scenario: Scenario,
    /// What Janus calls the publishers so far.
    feeds: RefCell<Vec<u64>>,
}

/// Requests and their answers.
struct Connection {
    sink: Mutex<SplitSink<Socket, Message>>,
    /// Who waits for the answer to which request.
    waiting: RefCell<BTreeMap<String, oneshot::Sender<Value>>>,
    /// Who waits for the connection of which handle.
    connecting: RefCell<BTreeMap<u64, oneshot::Sender<()>>>,
    last: Cell<u64>,
}

impl Janus {
    /// Opens a session and makes the rooms.
    pub(super) async fn connect(url: &str, scenario: Scenario) -> Result<Self, LoadError> {
        let mut request = url.into_client_request().map_err(failed)?;
        let protocol = HeaderValue::from_static("janus-protocol");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .map_err(failed)?;
        let (sink, stream) = socket.split();
        let connection = Rc::new(Connection {
            sink: Mutex::new(sink),
            waiting: RefCell::default(),
            connecting: RefCell::default(),
            last: Cell::new(0),
        });
        tokio::task::spawn_local(read(stream, Rc::clone(&connection)));
        let answer = connection.ask(json!({ "janus": "create" })).await?;
        let session = id_in(&answer)?;
        tokio::task::spawn_local(keep_alive(Rc::clone(&connection), session));
        let janus = Self {
            connection,
            session,
            scenario,
            feeds: RefCell::default(),
        };
        let handle = janus.attach().await?;
        for room in 0..scenario.rooms() {
            let body = json!({
                "request": "create",
                "room": FIRST_ROOM + room,
                "publishers": scenario.publishers().max(1),
                "audiocodec": "opus",
                "videocodec": "vp8",
                "is_private": true,
            });
            janus.plugin(handle, body, None).await?;
        }
        Ok(janus)
    }

    pub(super) async fn publish(
        &self,
        entrance: &Entrance,
        plan: &Floorplan,
        publisher: usize,
        told: oneshot::Sender<()>,
    ) -> Result<(), LoadError> {
        let mut peer = entrance.sender()?;
        let offered = peer.offer(entrance.with_video, Direction::SendOnly)?;
        let handle = self.attach().await?;
        let (up, is_up) = oneshot::channel();
        self.connection.connecting.borrow_mut().insert(handle, up);
        let body = json!({
            "request": "joinandconfigure",
            "ptype": "publisher",
            "room": self.room(publisher),
        });
        let jsep = json!({ "type": "offer", "sdp": offered.sdp });
        let answer = self.plugin(handle, body, Some(jsep)).await?;
        let feed = answer["plugindata"]["data"]["id"].as_u64();
        let feed = feed.ok_or_else(|| failed("the publisher has no id"))?;
        let sdp = answer["jsep"]["sdp"].as_str().unwrap_or_default();
        let window = Arc::clone(&plan.windows[publisher]);
        let camera = Camera::on_stack(peer, offered, sdp, window, told)?;
        self.feeds.borrow_mut().push(feed);
        roll(plan, camera)?;
        // Before it has heard of the connection, the plugin does not know the feed.
        is_up.await.map_err(|_| failed("connection lost"))
    }

    pub(super) async fn watch(
        &self,
        entrance: &Entrance,
        plan: &Floorplan,
        watch: &Watch,
        told: oneshot::Sender<Joined>,
    ) -> Result<(), LoadError> {
        let mut peer = entrance.receiver()?;
        let feed = self.feeds.borrow().get(watch.publisher).copied();
        let handle = self.attach().await?;
        let room = self.room(watch.publisher);
        let body = json!({
            "request": "join",
            "ptype": "subscriber",
            "room": room,
            "streams": [{ "feed": feed }],
        });
        let attached = self.plugin(handle, body, None).await?;
        let offer = attached["jsep"]["sdp"].as_str().unwrap_or_default();
        let answer = peer.answer(offer)?;
        entrance.seat(plan, watch, peer, offer, told)?;
        let body = json!({ "request": "start", "room": room });
        let jsep = json!({ "type": "answer", "sdp": answer });
        self.plugin(handle, body, Some(jsep)).await?;
        Ok(())
    }

    pub(super) async fn describe(&self) -> String {
        match self.connection.ask(json!({ "janus": "info" })).await {
            Ok(info) => {
                let version = info["version_string"].as_str().unwrap_or("?");
                format!("Janus {version}, video room")
            }
            Err(error) => format!("Janus, {error}"),
        }
    }

    pub(super) async fn leave(&self) {
        let request = json!({ "janus": "destroy", "session_id": self.session });
        // It ends anyway.
        let _ = self.connection.ask(request).await;
    }

    /// The room of a publisher.
    fn room(&self, publisher: usize) -> usize {
        FIRST_ROOM + self.scenario.room(publisher)
    }

    /// A new handle of the plugin.
    async fn attach(&self) -> Result<u64, LoadError> {
        let request = json!({
            "janus": "attach",
            "session_id": self.session,
            "plugin": "janus.plugin.videoroom",
        });
        id_in(&self.connection.ask(request).await?)
    }

    /// Sends a message to the plugin and returns its answer.
    async fn plugin(
        &self,
        handle: u64,
        body: Value,
        jsep: Option<Value>,
    ) -> Result<Value, LoadError> {
        let mut request = json!({
            "janus": "message",
            "session_id": self.session,
            "handle_id": handle,
            "body": body,
        });
        if let Some(jsep) = jsep {
            request["jsep"] = jsep;
        }
        let answer = self.connection.ask(request).await?;
        match answer["plugindata"]["data"]["error"].as_str() {
            Some(error) => Err(failed(error)),
            None => Ok(answer),
        }
    }
}

impl Connection {
    /// Sends a request and returns the answer, which is not just the acknowledgement.
    async fn ask(&self, mut request: Value) -> Result<Value, LoadError> {
        let transaction = self.last.get() + 1;
        self.last.set(transaction);
        let transaction = transaction.to_string();
        request["transaction"] = json!(transaction);
        let (told, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(transaction, told);
        let message = Message::text(request.to_string());
        self.sink.lock().await.send(message).await.map_err(failed)?;
        let answer = answer.await.map_err(|_| failed("connection lost"))?;
        match answer["error"]["reason"].as_str() {
            Some(reason) => Err(failed(reason)),
            None => Ok(answer),
        }
    }
}

/// Hands answers to those who wait for them. Events that nobody asked for are of no interest.
async fn read(mut stream: SplitStream<Socket>, connection: Rc<Connection>) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let Ok(answer) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        if answer["janus"] == "ack" {
            continue;
        }
        if answer["janus"] == "webrtcup" {
            let handle = answer["sender"].as_u64().unwrap_or_default();
            let connecting = connection.connecting.borrow_mut().remove(&handle);
            if let Some(connecting) = connecting {
                let _ = connecting.send(());
            }
            continue;
        }
        let transaction = answer["transaction"].as_str().unwrap_or_default();
        let waiting = connection.waiting.borrow_mut().remove(transaction);
        if let Some(waiting) = waiting {
            // Whoever asked may have lost patience.
            let _ = waiting.send(answer);
        }
    }
    connection.waiting.borrow_mut().clear();
    connection.connecting.borrow_mut().clear();
}

/// Keeps the session until the connection is lost.
async fn keep_alive(connection: Rc<Connection>, session: u64) {
    loop {
        sleep(KEEP_ALIVE).await;
        let request = json!({
            "janus": "keepalive",
            "session_id": session,
            "transaction": "alive",
        });
        let message = Message::text(request.to_string());
        if connection.sink.lock().await.send(message).await.is_err() {
            return;
        }
    }
}

/// The id of what was made.
fn id_in(answer: &Value) -> Result<u64, LoadError> {
    answer["data"]["id"]
        .as_u64()
        .ok_or_else(|| failed("an answer without an id"))
}

fn failed(error: impl std::fmt::Display) -> LoadError {
    LoadError::Server(format!("Janus: {error}"))
}
