//! A room server on media servers of other processes.

use serde_json::json;

use crate::process::{Folder, Server, text};

#[tokio::test]
async fn rooms_live_on_remote_media_servers_and_pass_over_those_that_are_gone() {
    let folder = Folder::new();
    let media = Server::start("media", &[], &folder).await;
    let url = format!("ws://{}/kurento", media.address("kurento"));
    // Nobody listens on the port that was this socket's.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("ws://{}/kurento", gone.local_addr().unwrap());
    drop(gone);
    let rooms = Server::start("room", &["--kms", &nobody, "--kms", &url], &folder).await;
    // They stay until the test ends.
    let mut clients = Vec::new();
    for room in ["one", "two", "three"] {
        let mut client = rooms.room_client().await;
        let join = json!({ "room": room, "user": "ana", "dataChannels": false });
        let joined = client.result("joinRoom", join).await;
        assert_eq!(joined["value"], json!([]), "{joined}");
        clients.push(client);
    }
    let mut kurento = media.kurento_client().await;
    let params = json!({ "object": "manager_ServerManager", "operation": "getPipelines" });
    let pipelines = kurento.result("invoke", params).await;
    assert_eq!(
        pipelines["value"].as_array().unwrap().len(),
        3,
        "{pipelines}"
    );

    rooms.terminate().await;
    let output = rooms.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let params = json!({ "object": "manager_ServerManager", "operation": "getPipelines" });
    let pipelines = kurento.result("invoke", params).await;
    assert_eq!(pipelines["value"], json!([]), "released at the end");
}
