//! The end.

use serde_json::json;

use crate::process::{Folder, Received, Server, text};

#[tokio::test]
async fn participants_are_told_before_a_terminated_server_ends_with_0() {
    let folder = Folder::new();
    let server = Server::serve(&folder).await;
    let mut clients = Vec::new();
    for user in ["ana", "ben"] {
        let mut client = server.room_client().await;
        let join = json!({ "room": "parlour", "user": user, "dataChannels": false });
        client.result("joinRoom", join).await;
        clients.push(client);
    }
    let mut kurento = server.kurento_client().await;
    kurento.result("ping", json!({ "interval": 240_000 })).await;

    server.terminate().await;
    for mut client in clients {
        let mut told = Vec::new();
        let code = loop {
            match client.receive().await {
                Received::Json(message) => told.push(message["method"].clone()),
                Received::Closed(code) => break code,
            }
        };
        assert!(told.contains(&json!("roomClosed")), "{told:?}");
        assert_eq!(code, Some(1001));
    }
    assert!(matches!(
        kurento.receive().await,
        Received::Closed(Some(1001))
    ));
    let output = server.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[tokio::test]
async fn an_idle_media_server_ends_with_0_when_terminated() {
    let folder = Folder::new();
    let server = Server::start("media", &[], &folder).await;
    let health = server.get("http", "/healthz").await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    server.terminate().await;
    let output = server.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
