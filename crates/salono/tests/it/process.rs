//! Starts the program on free loopback ports and talks to it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use salono_kurento_client::Client as TypedClient;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long anything may take; far more than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Distance of looks at what only changes by itself.
const LOOK: Duration = Duration::from_millis(5);

/// A folder that goes away.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("salono-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program with arguments, without settings of the surroundings.
pub(crate) fn salono(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salono"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("XDG_DATA_HOME", folder)
        // What is started ahead of need would only slow down the tests that need none.
        .env("SALONO_PROCESSOR_WARM", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub(crate) async fn run(arguments: &[&str], folder: &Path) -> Output {
    let output = salono(arguments, folder).output();
    timeout(PATIENCE, output).await.expect("ends").unwrap()
}

/// What the program printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) ports: Value,
}

impl Server {
    /// Starts a subcommand on free loopback ports.
    pub(crate) async fn start(subcommand: &str, more: &[&str], folder: &Folder) -> Self {
        let file = folder.0.join(format!("{subcommand}.json"));
        let _ = std::fs::remove_file(&file);
        let mut arguments = vec![subcommand, "--ports-file", file.to_str().unwrap()];
        arguments.extend(["--http", "127.0.0.1:0"]);
        if subcommand != "media" {
            arguments.extend(["--https", "127.0.0.1:0"]);
        }
        if subcommand != "room" {
            arguments.extend(["--kurento", "127.0.0.1:0", "--media-ip", "127.0.0.1"]);
        }
        arguments.extend(more);
        Self::spawn(salono(&arguments, &folder.0), &file).await
    }

    /// Starts a command that writes its ports to `file`.
    pub(crate) async fn spawn(mut command: Command, file: &Path) -> Self {
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        while !file.exists() {
            if let Some(status) = child.try_wait().unwrap() {
                let output = child.wait_with_output().await.unwrap();
                panic!("ended with {status}: {}", text(&output.stderr));
            }
            assert!(began.elapsed() < PATIENCE, "does not start");
            sleep(LOOK).await;
        }
        let ports = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        Self { child, ports }
    }

    /// Everything in one process.
    pub(crate) async fn serve(folder: &Folder) -> Self {
        Self::start("serve", &[], folder).await
    }

    /// Where a listener is.
    pub(crate) fn address(&self, listener: &str) -> &str {
        self.ports[listener].as_str().unwrap()
    }

    /// Asks it to end.
    pub(crate) async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends it a signal by its short name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs");
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status();
        assert!(status.await.unwrap().success());
    }

    /// What it ended with, and what it printed.
    pub(crate) async fn ended(self) -> Output {
        let output = self.child.wait_with_output();
        timeout(PATIENCE, output).await.expect("ends").unwrap()
    }

    /// A plain request; the whole response.
    pub(crate) async fn get(&self, listener: &str, path: &str) -> String {
        let address = self.address(listener);
        let stream = TcpStream::connect(address).await.unwrap();
        request(stream, address, path).await
    }

    /// A room client.
    pub(crate) async fn room_client(&self) -> Client {
        Client::connect(&format!("ws://{}/room", self.address("http"))).await
    }

    /// A typed client of the Kurento Protocol.
    pub(crate) async fn typed_client(&self) -> TypedClient {
        let url = format!("ws://{}/kurento", self.address("kurento"));
        let (client, driver) = TypedClient::connect(&url).await.unwrap();
        tokio::spawn(driver.run());
        client
    }

    /// A client of the Kurento Protocol.
    pub(crate) async fn kurento_client(&self) -> Client {
        Client::connect(&format!("ws://{}/kurento", self.address("kurento"))).await
    }
}

/// Sends a request over an open connection and reads all of the response.
pub(crate) async fn request(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    host: &str,
    path: &str,
) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = stream.read_to_end(&mut response);
    // A TLS server may close without saying so; what counts was read.
    let _ = timeout(PATIENCE, read).await.expect("answers");
    text(&response)
}

/// A JSON-RPC client over a WebSocket.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let connect = tokio_tungstenite::connect_async(url);
        let (socket, _) = timeout(PATIENCE, connect).await.expect("opens").unwrap();
        Self { socket, next: 1 }
    }

    /// The answer to a request; events before it are left out.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        let text = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let text = text.to_string();
        self.socket.send(Message::text(text)).await.unwrap();
        loop {
            match self.receive().await {
                Received::Json(answer) if answer["id"] == id => return answer,
                Received::Json(_) => {}
                Received::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    }

    /// The result of a request that succeeds.
    pub(crate) async fn result(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// What comes next.
    pub(crate) async fn receive(&mut self) -> Received {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("comes") {
                Some(Ok(Message::Text(text))) => {
                    return Received::Json(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Close(frame))) => {
                    return Received::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                )) => {}
                Some(Err(_)) | None => return Received::Closed(None),
            }
        }
    }
}

/// What a client got.
pub(crate) enum Received {
    /// A message.
    Json(Value),
    /// The end, with the code of the close frame.
    Closed(Option<u16>),
}
