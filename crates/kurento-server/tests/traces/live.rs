//! A real media server in this process, and clients of it.

use futures_util::{SinkExt as _, StreamExt as _};
use salono_kurento_model::{Registry, Value};
use salono_kurento_server::{Config, Counts, ListenerConfig, Server, ServerHandle, serve_listener};
use salono_media_api::{CommandSink, Event};
use salono_media_core::{Certificates, Codecs};
use salono_media_engine::{Engine, EngineConfig, EngineHandle};
use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, error::TrySendError},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

/// How long anything may take; far more than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Distance of looks at what only changes by itself.
const LOOK: Duration = Duration::from_millis(20);

/// Object model, media engine and listener.
pub(crate) struct Live {
    pub(crate) handle: ServerHandle,
    pub(crate) engine: EngineHandle,
    pub(crate) address: SocketAddr,
}

impl Live {
    /// Starts one.
    #[allow(dead_code, reason = "the replays say what is known")]
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_with(config, Codecs::default(), |engine, _| engine).await
    }

    /// Starts one whose endpoints know these codecs, with something between object model and engine.
    pub(crate) async fn start_with(
        config: Config,
        codecs: Codecs,
        wrap: impl FnOnce(Box<dyn CommandSink>, mpsc::Sender<Event>) -> Box<dyn CommandSink>,
    ) -> Self {
        static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
        let certificates =
            CERTIFICATES.get_or_init(|| Certificates::generate().expect("certificates"));
        let mut settings = EngineConfig::new(certificates.clone());
        settings.shards = 1;
        settings.codecs = codecs;
        // Whether there is one on this machine must not matter.
        settings.processors.program = Some("/nonexistent/salono-processor".into());
        settings.ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let (events, reports) = mpsc::channel::<Event>(4_096);
        let more_events = events.clone();
        let engine = Engine::start(&settings, move |event| match events.try_send(event) {
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(event)) => Err(event),
        })
        .unwrap();
        let registry = Arc::new(Registry::built_in());
        let sink = wrap(Box::new(engine.clone()), more_events);
        let (handle, control) = Server::new(config, sink, reports, registry);
        tokio::spawn(control);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve_listener(
            handle.clone(),
            listener,
            ListenerConfig::default(),
        ));
        Self {
            handle,
            engine,
            address,
        }
    }

    /// A connection.
    pub(crate) async fn connect(&self, target: &str) -> Client {
        Client::connect(self.address, target).await
    }

    /// Waits until nothing is left of what clients made: the last sessions are collected, the engine
    /// publishes its counters from time to time.
    pub(crate) async fn is_empty(&self) {
        let mut left = String::new();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let counts = self.handle.counts();
            let media: u64 = self
                .engine
                .metrics()
                .iter()
                .map(|shard| shard.pipelines + shard.elements + shard.endpoints)
                .sum();
            if counts == Counts::default() && media == 0 {
                return;
            }
            left = format!("{counts:?}, {media} in the engine");
            tokio::time::sleep(LOOK).await;
        }
        panic!("left: {left}");
    }

    /// Ends it; what it held is gone when this returns.
    pub(crate) async fn stop(self) {
        self.handle.shutdown().await;
        let engine = self.engine;
        tokio::task::spawn_blocking(move || engine.shutdown())
            .await
            .unwrap();
    }
}

/// A client that takes apart what it hears.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The code that the server closed with; 1006 where it said nothing.
    pub(crate) closed: Option<u16>,
    /// Not asked for yet.
    answers: VecDeque<Value>,
    /// `params.value` of all notifications.
    pub(crate) events: Vec<Value>,
}

impl Client {
    /// Opens a connection.
    pub(crate) async fn connect(address: SocketAddr, target: &str) -> Self {
        let url = format!("ws://{address}{target}");
        Self {
            socket: connect_async(url).await.unwrap().0,
            closed: None,
            answers: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// Sends a text, or the same bytes in a binary frame.
    pub(crate) async fn send(&mut self, text: &str, binary: bool) {
        if binary {
            return self.send_bytes(text.as_bytes()).await;
        }
        self.send_message(Message::Text(text.into())).await;
    }

    /// Sends a binary frame.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.send_message(Message::Binary(bytes.to_vec().into()))
            .await;
    }

    async fn send_message(&mut self, message: Message) {
        if self.closed.is_none() && self.socket.send(message).await.is_err() {
            // The server may close before it has read everything; it says so in a frame.
            while self.closed.is_none() {
                self.hear().await;
            }
        }
    }

    /// Takes the next message in.
    pub(crate) async fn hear(&mut self) {
        if self.closed.is_some() {
            return std::future::pending().await;
        }
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let mut message: Value = text.parse().unwrap();
                if message["method"] == "onEvent" {
                    self.events.push(message["params"]["value"].take());
                } else {
                    self.answers.push_back(message);
                }
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(CloseCode::Status, |frame| frame.code);
                self.closed = Some(code.into());
            }
            Some(Ok(
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
            )) => {}
            Some(Err(_)) | None => self.closed = Some(1_006),
        }
    }

    /// The answer to the request with this identifier, or to one whose identifier the server could
    /// not use, if it has come.
    pub(crate) fn take_answer(&mut self, id: &Value) -> Option<Value> {
        let exact = self.answers.iter().position(|answer| answer["id"] == *id);
        let at = exact.or_else(|| {
            self.answers
                .iter()
                .position(|answer| answer["id"].is_null())
        })?;
        self.answers.remove(at)
    }

    /// Waits for the answer to the request with this identifier; `None` when the server closes.
    pub(crate) async fn answer(&mut self, id: &Value) -> Option<Value> {
        loop {
            let answer = self.take_answer(id);
            if answer.is_some() || self.closed.is_some() {
                return answer;
            }
            self.hear().await;
        }
    }

    /// Waits for whatever is answered next; `None` when the server closes.
    #[allow(dead_code, reason = "the fuzzer alone sends what has no identifier")]
    pub(crate) async fn any_answer(&mut self) -> Option<Value> {
        loop {
            let answer = self.answers.pop_front();
            if answer.is_some() || self.closed.is_some() {
                return answer;
            }
            self.hear().await;
        }
    }

    /// Closes the connection as a client does, and waits until the server has agreed.
    pub(crate) async fn close(&mut self) {
        if self.closed.is_none() && self.socket.close(None).await.is_ok() {
            let rest = async { while self.socket.next().await.is_some() {} };
            tokio::time::timeout(PATIENCE, rest)
                .await
                .expect("the server closes too");
        }
    }
}
