//! What the tests of the room server share: a scripted Kurento and clients that follow transcripts.

pub(crate) mod client;
pub(crate) mod kurento;
pub(crate) mod transcript;

use std::sync::Arc;

use salono_room_sdk::FixedKurento;
use salono_room_server::{RoomServer, RoomServerConfig};

use kurento::FakeKurento;

/// A room server whose media server is scripted.
pub(crate) fn start(config: RoomServerConfig) -> (RoomServer, FakeKurento) {
    let (kurento, client) = FakeKurento::start();
    let server = RoomServer::start(config, Arc::new(FixedKurento::new(client)));
    (server, kurento)
}

/// Puts a room server behind a listener on the loopback interface.
pub(crate) async fn listen(server: &RoomServer) -> std::net::SocketAddr {
    listen_with(server, salono_room_server::StaticFiles::default()).await
}

/// As [`listen`], with pages.
pub(crate) async fn listen_with(
    server: &RoomServer,
    pages: salono_room_server::StaticFiles,
) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = salono_room_server::router(server, pages);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
