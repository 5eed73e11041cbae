//! `HttpPostEndpoint` over real sockets: what HTTP clients get, what the element gets, what the
//! session says.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use salono_kurento_model::{
    Registry, Value, json,
    wire::{ClientMessage, Request, ServerMessage},
};
use salono_kurento_server::{Config, Server, ServerHandle, UploadConfig};
use salono_media_api::{
    Command, CommandSink, Event, Op, Reply, Token,
    processing::{ProcessorCall, ProcessorReply},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Creates at once, and leaves pieces of bodies to the test.
struct Engine {
    events: mpsc::Sender<Event>,
    bodies: mpsc::Sender<Piece>,
}

/// What an element was handed.
struct Piece {
    token: Token,
    base64: String,
    content_type: String,
}

impl CommandSink for Engine {
    fn submit(&mut self, command: Command) -> Result<(), Box<Command>> {
        if let Op::Create { token, .. } = command.op {
            let result = Ok(Reply::Done);
            let event = Event::Replied { token, result };
            self.events.try_send(event).unwrap();
        } else if let Op::Call { token, call, .. } = command.op
            && let ProcessorCall::Body {
                base64,
                content_type,
            } = *call
        {
            let piece = Piece {
                token,
                base64,
                content_type,
            };
            self.bodies.try_send(piece).unwrap();
        }
        Ok(())
    }
}

/// A server with one endpoint, and a client of it.
struct World {
    handle: ServerHandle,
    events: mpsc::Sender<Event>,
    bodies: mpsc::Receiver<Piece>,
    requests: mpsc::Sender<ClientMessage>,
    messages: mpsc::Receiver<ServerMessage>,
    /// Names of the events so far.
    heard: Vec<String>,
    next_id: u64,
    endpoint: String,
    /// `host:port` and path of the endpoint.
    url: (String, String),
}

impl World {
    async fn new(timeout_seconds: u64) -> Self {
        let (events, reported) = mpsc::channel(1_024);
        let (told, bodies) = mpsc::channel(1_024);
        let engine = Engine {
            events: events.clone(),
            bodies: told,
        };
        let config = Config {
            uploads: UploadConfig {
                listen: "127.0.0.1:0".parse().unwrap(),
                ..UploadConfig::default()
            },
            ..Config::default()
        };
        let registry = Arc::new(Registry::built_in());
        let (handle, control) = Server::new(config, Box::new(engine), reported, registry);
        tokio::spawn(control);
        let (requests, messages) = handle.open_session().await.unwrap();
        let mut world = Self {
            handle,
            events,
            bodies,
            requests,
            messages,
            heard: Vec::new(),
            next_id: 0,
            endpoint: String::new(),
            url: Default::default(),
        };
        let pipeline = world.create("MediaPipeline", json!({})).await;
        let params = json!({"mediaPipeline": pipeline, "disconnectionTimeout": timeout_seconds});
        world.endpoint = world.create("HttpPostEndpoint", params).await;
        for event in [
            "MediaSessionStarted",
            "MediaSessionTerminated",
            "EndOfStream",
        ] {
            let (object, event) = (world.endpoint.clone(), event.to_owned());
            world.ask(Request::Subscribe { object, event }).await;
        }
        let url = world.get_url().await;
        let (host, path) = url
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap();
        world.url = (host.to_owned(), format!("/{path}"));
        world
    }

    async fn ask(&mut self, request: Request) -> Value {
        self.next_id += 1;
        let message = ClientMessage {
            id: Some(self.next_id.into()),
            session: None,
            request,
        };
        self.requests.send(message).await.unwrap();
        loop {
            let message = timeout(PATIENCE, self.messages.recv()).await.unwrap();
            match message.unwrap() {
                ServerMessage::Response { result, .. } => {
                    return result.unwrap().get("value").cloned().unwrap_or_default();
                }
                ServerMessage::Event(event) => self.heard.push(event.event),
            }
        }
    }

    async fn create(&mut self, class: &str, params: Value) -> String {
        let (class, params) = (class.to_owned(), Some(params));
        let id = self.ask(Request::Create { class, params }).await;
        id.as_str().unwrap().to_owned()
    }

    async fn get_url(&mut self) -> String {
        let request = Request::Invoke {
            object: self.endpoint.clone(),
            operation: "getUrl".to_owned(),
            params: None,
        };
        self.ask(request).await.as_str().unwrap().to_owned()
    }

    /// Waits for an event.
    async fn hear(&mut self, event: &str) {
        while !self.heard.iter().any(|heard| heard == event) {
            let message = timeout(PATIENCE, self.messages.recv()).await.unwrap();
            if let ServerMessage::Event(event) = message.unwrap() {
                self.heard.push(event.event);
            }
        }
    }

    /// The next piece that the element is handed; it is answered when the test says so.
    async fn piece(&mut self) -> Piece {
        timeout(PATIENCE, self.bodies.recv())
            .await
            .unwrap()
            .unwrap()
    }

    async fn take(&self, piece: &Piece) {
        let event = Event::Replied {
            token: piece.token,
            result: Ok(Reply::Processed(ProcessorReply::Done)),
        };
        self.events.send(event).await.unwrap();
    }

    /// Takes pieces to the end of the body; returns it in base64, with its type.
    async fn take_body(&mut self) -> (Vec<String>, String) {
        let mut body = Vec::new();
        let mut content_type = String::new();
        loop {
            let piece = self.piece().await;
            self.take(&piece).await;
            if piece.base64.is_empty() {
                return (body, content_type);
            }
            content_type = piece.content_type;
            body.push(piece.base64);
        }
    }

    /// Sends a request and returns the connection.
    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.url.0).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// A request with a body to the endpoint.
    fn post(&self, headers: &str, body: &str) -> String {
        let (host, path) = &self.url;
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// A request without one.
    fn request(&self, method: &str, path: &str) -> String {
        let host = &self.url.0;
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    }
}

/// The whole answer, in lower case but for what is in the body.
async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    text
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let line = answer.lines().find(|line| {
        line.split_once(':')
            .is_some_and(|(it, _)| it.eq_ignore_ascii_case(name))
    });
    Some(line?.split_once(':').unwrap().1.trim())
}

fn code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn an_upload_is_handed_to_its_element_and_makes_a_session() {
    let mut world = World::new(1).await;
    let text = world.post("Content-Type: video/webm\r\n", "some media");
    let stream = world.connect(&text).await;
    world.hear("MediaSessionStarted").await;
    let (body, content_type) = world.take_body().await;
    assert_eq!(body.concat(), "c29tZSBtZWRpYQ==");
    assert_eq!(content_type, "video/webm");
    let text = answer(stream).await;
    assert_eq!(code(&text), "200", "{text}");
    assert_eq!(header(&text, "Access-Control-Allow-Origin"), Some("*"));
    let cookie = header(&text, "Set-Cookie").unwrap().to_owned();
    let (cookie, rest) = cookie.split_once(';').unwrap();
    assert!(cookie.starts_with("HttpEPCookie="), "{cookie}");
    assert!(rest.contains(&format!("Path={}", world.url.1)), "{rest}");

    // The session goes on for whoever has the cookie.
    let headers = format!("Content-Type: video/webm\r\nCookie: a=b; {cookie}\r\n");
    let stream = world.connect(&world.post(&headers, "more")).await;
    assert_eq!(world.take_body().await.0.concat(), "bW9yZQ==");
    let text = answer(stream).await;
    assert_eq!(code(&text), "200");
    assert_eq!(header(&text, "Set-Cookie"), None);
    for wrong in ["", "Cookie: HttpEPCookie=1\r\n"] {
        let headers = format!("Content-Type: video/webm\r\n{wrong}");
        let stream = world.connect(&world.post(&headers, "more")).await;
        assert_eq!(code(&answer(stream).await), "400", "{wrong}");
    }

    // Some time after the last request it is over, and so is its URL.
    world.hear("MediaSessionTerminated").await;
    assert_eq!(world.get_url().await, "");
    let stream = world.connect(&world.post(&headers, "late")).await;
    assert_eq!(code(&answer(stream).await), "404");
    let started = world.heard.iter().filter(|it| *it == "MediaSessionStarted");
    assert_eq!(started.count(), 1);
    world.handle.shutdown().await;
}

#[tokio::test]
async fn what_is_no_upload_is_refused_with_its_reason() {
    let world = World::new(2).await;
    let path = world.url.1.clone();
    for (text, expected) in [
        (world.post("", "x"), "406"),
        (world.request("GET", &path), "405"),
        (world.request("DELETE", &path), "405"),
        (world.request("POST", "/"), "404"),
        (world.request("OPTIONS", "/nobody"), "404"),
        (world.request("GET", "/../etc/passwd"), "404"),
    ] {
        let text = answer(world.connect(&text).await).await;
        assert_eq!(code(&text), expected, "{text}");
    }
    let text = answer(world.connect(&world.request("OPTIONS", &path)).await).await;
    assert_eq!(code(&text), "200");
    assert_eq!(header(&text, "Allow"), Some("POST"));
    assert_eq!(header(&text, "Access-Control-Allow-Origin"), Some("*"));
    let headers = header(&text, "Access-Control-Allow-Headers");
    assert_eq!(headers, Some("Content-Type"));
    world.handle.shutdown().await;
}

#[tokio::test]
async fn the_first_file_of_a_form_is_what_counts() {
    let mut world = World::new(2).await;
    let form = "--xyz\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA film\r\n\
        --xyz\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.webm\"\r\nContent-Type: video/webm\r\n\r\nfilm\r\n\
        --xyz\r\nContent-Disposition: form-data; name=\"b\"; filename=\"b.webm\"\r\n\r\nother\r\n--xyz--\r\n";
    let headers = "Content-Type: multipart/form-data; boundary=xyz\r\n";
    let stream = world.connect(&world.post(headers, form)).await;
    let (body, content_type) = world.take_body().await;
    assert_eq!(
        (body.concat(), content_type.as_str()),
        ("ZmlsbQ==".to_owned(), "video/webm")
    );
    assert_eq!(code(&answer(stream).await), "200");
    world.handle.shutdown().await;

    for form in [
        "--xyz--\r\n",
        "garbage",
        "--xyz\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nA\r\n--xyz--\r\n",
    ] {
        let mut world = World::new(2).await;
        let stream = world.connect(&world.post(headers, form)).await;
        assert!(world.take_body().await.0.is_empty());
        assert_eq!(code(&answer(stream).await), "400", "{form}");
        world.handle.shutdown().await;
    }
}

#[tokio::test]
async fn a_body_is_read_no_faster_than_its_element_takes_it() {
    let mut world = World::new(2).await;
    let body = "m".repeat(8 * 1024 * 1024);
    let text = world.post("Content-Type: video/mp4\r\n", &body);
    let host = world.url.0.clone();
    let sending = tokio::spawn(async move {
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        answer(stream).await
    });
    let first = world.piece().await;
    assert!(first.base64.len() <= 64 * 1024 * 4 / 3 + 4);
    // Nothing more comes before this one was taken: requests in between are served all the same.
    for _ in 0..20 {
        world.get_url().await;
        assert!(world.bodies.try_recv().is_err());
    }
    assert!(!sending.is_finished());
    world.take(&first).await;
    let mut bytes = first.base64.trim_end_matches('=').len() * 3 / 4;
    let (rest, _) = world.take_body().await;
    bytes += rest
        .iter()
        .map(|piece| piece.trim_end_matches('=').len() * 3 / 4)
        .sum::<usize>();
    assert_eq!(bytes, body.len());
    assert_eq!(code(&sending.await.unwrap()), "200");
    world.handle.shutdown().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_ends_its_body_and_its_session() {
    let mut world = World::new(1).await;
    let text = world.post("Content-Type: video/webm\r\n", "0123456789");
    let stream = world.connect(&text[..text.len() - 5]).await;
    let piece = world.piece().await;
    assert_eq!(piece.base64, "MDEyMzQ=");
    world.take(&piece).await;
    drop(stream);
    assert!(world.take_body().await.0.is_empty());
    world.hear("MediaSessionTerminated").await;
    world.handle.shutdown().await;
}

#[tokio::test]
async fn releasing_the_endpoint_ends_an_upload_that_is_under_way() {
    let mut world = World::new(2).await;
    let text = world.post("Content-Type: video/webm\r\n", "media");
    let stream = world.connect(&text).await;
    world.piece().await;
    let object = world.endpoint.clone();
    world.ask(Request::Release { object }).await;
    assert_eq!(code(&answer(stream).await), "404");
    world.handle.shutdown().await;
}

#[tokio::test]
async fn an_element_that_takes_no_more_is_told_to_the_client() {
    let mut world = World::new(2).await;
    let text = world.post("Content-Type: video/webm\r\n", "media");
    let stream = world.connect(&text).await;
    let piece = world.piece().await;
    let error = salono_media_api::MediaError::new(
        salono_media_api::MediaErrorKind::Unavailable,
        "the media processor ended",
    );
    let event = Event::Replied {
        token: piece.token,
        result: Err(error),
    };
    world.events.send(event).await.unwrap();
    assert!(world.take_body().await.0.is_empty());
    let text = answer(stream).await;
    assert_eq!(code(&text), "503");
    assert!(text.ends_with("the media processor ended\n"), "{text}");
    world.handle.shutdown().await;
}

#[tokio::test]
async fn endpoints_share_a_listener_that_ends_with_the_server() {
    let mut world = World::new(2).await;
    let pipeline = world.endpoint.split_once('/').unwrap().0.to_owned();
    let params = json!({ "mediaPipeline": pipeline });
    world.endpoint = world.create("HttpPostEndpoint", params).await;
    let second = world.get_url().await;
    assert!(second.starts_with(&format!("http://{}/", world.url.0)));
    assert!(!second.ends_with(&world.url.1));
    world.handle.shutdown().await;
    // The task that listens is told to end when the control task does.
    let gone = async {
        while TcpStream::connect(&world.url.0).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}
