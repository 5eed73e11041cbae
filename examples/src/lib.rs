//! What the examples have in common: flags, the media server, a page, and a WebSocket per browser.
//!
//! An example is a program of its own in `src/bin`: it says what a browser may ask for and what
//! happens then. Nothing here is special to Salono; any Kurento media server will do.

mod browser;
pub mod colour_detector;
mod failure;
mod negotiate;
mod scene;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{WebSocketUpgrade, ws::WebSocket},
    http::header::CONTENT_TYPE,
    response::{Html, IntoResponse},
    routing::get,
};
use salono_kurento_client::Client;
use tokio::{net::TcpListener, signal, sync::watch, task::JoinHandle};

pub use browser::{Browser, ToBrowser};
pub use failure::Failure;
pub use negotiate::negotiate;
pub use scene::{Nothing, Scene, play};

/// Longest message of a page, in bytes; the longest one carries a session description.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// Flags that every example has.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// The media server
    #[arg(
        long,
        value_name = "URL",
        default_value = "ws://127.0.0.1:8888/kurento"
    )]
    kurento: String,
    /// Where to serve the page; port 0 chooses a free one. Browsers hand out the camera on
    /// 127.0.0.1 and localhost, elsewhere only over https
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// A program with a media server, on its way to serve a page.
#[derive(Debug)]
pub struct Example {
    client: Client,
    driver: JoinHandle<()>,
    listen: SocketAddr,
}

impl Example {
    /// Connects to the media server.
    ///
    /// # Errors
    /// [`Failure::NoMediaServer`].
    pub async fn start(flags: Flags) -> Result<Self, Failure> {
        let url = flags.kurento;
        let (client, driver) = Client::connect(&url)
            .await
            .map_err(|error| Failure::NoMediaServer { url, error })?;
        Ok(Self {
            client,
            driver: tokio::spawn(driver.run()),
            listen: flags.listen,
        })
    }

    /// The session with the media server.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Serves the page until Ctrl-C, and runs `session` for each browser that opens it.
    ///
    /// # Errors
    /// [`Failure::Listen`].
    pub async fn serve<F>(
        self,
        page: &'static str,
        session: impl Fn(Browser) -> F + Clone + Send + Sync + 'static,
    ) -> Result<(), Failure>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let address = self.listen;
        let failed = |error| Failure::Listen { address, error };
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => return Err(self.give_up(failed(error)).await),
        };
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopping) = watch::channel(false);
        let stopping = Arc::new(stopping);
        let socket = async move |upgrade: WebSocketUpgrade| {
            let upgrade = upgrade.max_message_size(MAX_MESSAGE_BYTES);
            upgrade.on_upgrade(move |socket: WebSocket| {
                Browser::serve(socket, (*stopping).clone(), session)
            })
        };
        let app = Router::new()
            .route("/", get(async move || Html(page)))
            .route("/peer.js", get(script))
            .route("/style.css", get(style))
            .route("/ws", get(socket));
        say(&format!("open http://{address}/ in a browser; Ctrl-C ends"));
        let end = async move {
            // Without signals the program ends when it is killed.
            let _ = signal::ctrl_c().await;
            let _ = stop.send(true);
        };
        let served = axum::serve(listener, app).with_graceful_shutdown(end).await;
        self.close().await;
        served.map_err(failed)
    }

    /// Ends before anything is served.
    pub async fn give_up(self, why: impl Into<Failure>) -> Failure {
        self.close().await;
        why.into()
    }

    /// Ends the session, and with it all that the media server holds for this program.
    async fn close(self) {
        self.client.close().await;
        let _ = self.driver.await;
    }
}

/// Tells the person at the terminal.
#[allow(clippy::print_stdout, reason = "this is what the person asked for")]
pub fn say(text: &str) {
    println!("{text}");
}

async fn script() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/javascript")],
        include_str!("../pages/peer.js"),
    )
}

async fn style() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/css")],
        include_str!("../pages/style.css"),
    )
}
