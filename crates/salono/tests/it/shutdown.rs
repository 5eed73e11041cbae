//! The end.

use serde_json::json;

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::process::{Folder, PATIENCE, Received, Server, salono, text};

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

#[tokio::test]
async fn a_service_manager_is_told_of_beginning_and_end_and_may_say_hangup() {
    let folder = Folder::new();
    let socket = folder.0.join("notify");
    let notes = UnixDatagram::bind(&socket).unwrap();
    let file = folder.0.join("media.json");
    let mut command = salono(
        &[
            "media",
            "--ports-file",
            file.to_str().unwrap(),
            "--kurento",
            "127.0.0.1:0",
        ],
        &folder.0,
    );
    command
        .args(["--media-ip", "127.0.0.1"])
        .env("NOTIFY_SOCKET", &socket);
    let server = Server::spawn(command, &file).await;
    assert_eq!(note(&notes).await, "READY=1");
    server.signal("HUP").await;
    server.terminate().await;
    assert_eq!(note(&notes).await, "STOPPING=1");
    let output = server.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

/// What a service manager is told next.
async fn note(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 64];
    let length = timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    text(&buffer[..length]).trim_end().to_owned()
}
