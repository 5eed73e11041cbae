//! What the tests of the room server share: a scripted Kurento and clients that follow transcripts.

pub(crate) mod client;
pub(crate) mod kurento;
pub(crate) mod transcript;

use std::sync::Arc;

use salono_room_server::{Access, RoomServer, RoomServerConfig};
use salono_room_token::{Claims, Key, KeySet, sign};
use serde_json::{Value, json};

use kurento::{FakeKurento, Fakes};

/// A room server whose media server is scripted.
pub(crate) fn start(config: RoomServerConfig) -> (RoomServer, FakeKurento) {
    let (kurento, client) = FakeKurento::start();
    let provider = Fakes {
        first: client,
        spares: kurento.spares(),
    };
    let server = RoomServer::start(config, Arc::new(provider));
    (server, kurento)
}

/// A server that lets nobody in without a token, or everybody who has none as well.
pub(crate) fn access(or_open: bool) -> Access {
    Access::Tokens {
        keys: Arc::new(Arc::new(keys())),
        or_open,
    }
}

fn keys() -> KeySet {
    KeySet::parse("what the servers of these tests know", "tests").unwrap()
}

/// A token with these claims, which never ends unless they say so.
pub(crate) fn token(claims: &Value) -> String {
    let mut whole = json!({ "exp": 4_000_000_000_u64 });
    for (name, value) in claims.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let claims: Claims = serde_json::from_value(whole).unwrap();
    let keys = keys();
    let key: &Key = keys.signer(None).unwrap();
    sign(&claims, key).unwrap()
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
