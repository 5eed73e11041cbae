//! A room server of one's own: the room protocol, a page, and a request that Kurento Room does not have.
//!
//! `docs/tutorial.md` builds it step by step; the parts that it shows lie between ANCHOR comments.

mod grey;

use std::{net::SocketAddr, sync::Arc};

use clap::Parser;
use grey::Grey;
use salono_examples::{Failure, say};
use salono_kurento_client::Client;
use salono_room_sdk::FixedKurento;
use salono_room_server::{RoomServer, RoomServerConfig, StaticFile, StaticFiles, router};
use tokio::net::TcpListener;

/// Serves video rooms in which people can turn their own picture grey
#[derive(Debug, Parser)]
struct Args {
    /// The media server
    #[arg(
        long,
        value_name = "URL",
        default_value = "ws://127.0.0.1:8888/kurento"
    )]
    kurento: String,
    /// Where to serve the page and the rooms; port 0 chooses a free one. Browsers hand out the camera
    /// on 127.0.0.1 and localhost, elsewhere only over https
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

// ANCHOR: main
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Args { kurento, listen } = Args::parse();

    // The connection to the media server. Its driver runs as long as the connection does.
    let (client, driver) = match Client::connect(&kurento).await {
        Ok(connected) => connected,
        Err(error) => {
            let url = kurento;
            return Err(Failure::NoMediaServer { url, error });
        }
    };
    tokio::spawn(driver.run());

    // The rooms: all of them on this media server, with a request of our own.
    let provider = Arc::new(FixedKurento::new(client.clone()));
    let rooms = RoomServer::start_with(
        RoomServerConfig::default(),
        provider,
        Arc::new(Grey::default()),
    );

    // Pages, REST resources, and the WebSocket at /room.
    let app = router(&rooms, pages());
    serve(listen, app).await?;

    // Everybody in a room is told before the program ends.
    rooms.shutdown().await;
    client.close().await;
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: pages
/// The page and the browser client that it loads.
fn pages() -> StaticFiles {
    let file = |bytes: &'static [u8], mime: &'static str| StaticFile {
        bytes: axum::body::Bytes::from_static(bytes),
        mime: mime.into(),
        etag: env!("CARGO_PKG_VERSION").into(),
    };
    let page = include_bytes!("../pages/index.html");
    let script = include_bytes!("../pages/rooms.js");
    let client = include_bytes!("../../../demo/static/js/salono-client.js");
    StaticFiles::default()
        .with("/", file(page, "text/html; charset=utf-8"))
        .with("/rooms.js", file(script, "text/javascript"))
        .with("/salono-client.js", file(client, "text/javascript"))
}
// ANCHOR_END: pages

/// Serves until Ctrl-C.
async fn serve(address: SocketAddr, app: axum::Router) -> Result<(), Failure> {
    let failed = |error| Failure::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    say(&format!("open http://{bound}/ in a browser; Ctrl-C ends"));
    tokio::select! {
        served = async { axum::serve(listener, app).await } => served.map_err(failed),
        // Without signals the program ends when it is killed.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
