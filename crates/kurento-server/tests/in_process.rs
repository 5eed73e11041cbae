//! The server over queues of values, as an embedded client uses it.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use salono_kurento_model::{
    Value, json,
    wire::{ClientMessage, Request, ServerMessage},
};
use salono_kurento_server::Config;
use salono_media_api::Op;
use tokio::sync::mpsc;

struct Client {
    requests: mpsc::Sender<ClientMessage>,
    messages: mpsc::Receiver<ServerMessage>,
    next_id: u64,
    events: Vec<String>,
}

impl Client {
    async fn open(running: &fake_engine::Running) -> Self {
        let (requests, messages) = running.handle.open_session().await.unwrap();
        Self {
            requests,
            messages,
            next_id: 0,
            events: Vec::new(),
        }
    }

    async fn value(&mut self, request: Request) -> Value {
        let id = json!(self.next_id);
        self.next_id += 1;
        let message = ClientMessage {
            id: Some(id.clone()),
            session: None,
            request,
        };
        self.requests.send(message).await.unwrap();
        loop {
            match self.messages.recv().await.unwrap() {
                ServerMessage::Event(event) => self.events.push(event.event),
                ServerMessage::Response {
                    id: answered,
                    result,
                } => {
                    assert_eq!(answered, Some(id));
                    return result.unwrap()["value"].clone();
                }
            }
        }
    }

    async fn create(&mut self, class: &str, params: Value) -> String {
        let request = Request::Create {
            class: class.to_owned(),
            params: Some(params),
        };
        self.value(request).await.as_str().unwrap().to_owned()
    }

    async fn invoke(&mut self, object: &str, operation: &str, params: Value) -> Value {
        self.value(Request::Invoke {
            object: object.to_owned(),
            operation: operation.to_owned(),
            params: Some(params),
        })
        .await
    }
}

#[tokio::test]
async fn a_client_in_the_process_negotiates_and_hears_events() {
    let mut running = fake_engine::start(Config::default());
    let mut client = Client::open(&running).await;
    let pipeline = client.create("MediaPipeline", json!({})).await;
    let params = json!({"mediaPipeline": pipeline});
    let endpoint = client.create("WebRtcEndpoint", params.clone()).await;
    let point = client.create("PassThrough", params).await;
    for event in [
        "IceCandidateFound",
        "MediaSessionStarted",
        "ElementConnected",
    ] {
        client
            .value(Request::Subscribe {
                object: endpoint.clone(),
                event: event.to_owned(),
            })
            .await;
    }
    let offer = json!({"offer": "v=0"});
    assert_eq!(
        client.invoke(&endpoint, "processOffer", offer).await,
        "v=0 answer"
    );
    client
        .invoke(
            &endpoint,
            "connect",
            json!({"sink": point, "mediaType": "AUDIO"}),
        )
        .await;
    client
        .invoke(&endpoint, "gatherCandidates", json!({}))
        .await;
    assert_eq!(
        client.events,
        [
            "MediaSessionStarted",
            "ElementConnected",
            "IceCandidateFound"
        ]
    );
    let counts = running.handle.counts();
    assert_eq!(
        (counts.connections, counts.sessions, counts.objects),
        (1, 1, 3)
    );
    let mut connected = false;
    while let Ok(command) = running.commands.try_recv() {
        connected |= matches!(command.op, Op::Connect { .. });
    }
    assert!(connected);
}

#[tokio::test]
async fn shutdown_releases_every_pipeline_and_closes_every_connection() {
    let mut running = fake_engine::start(Config::default());
    let mut client = Client::open(&running).await;
    client.create("MediaPipeline", json!({})).await;
    running.handle.shutdown().await;
    running.control.await.unwrap();
    assert!(client.messages.recv().await.is_none());
    let mut last = None;
    while let Ok(command) = running.commands.try_recv() {
        last = Some(command.op);
    }
    assert_eq!(last, Some(Op::ReleasePipeline));
    assert!(running.handle.open_session().await.is_err());
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection_and_nobody_else_notices() {
    let running = fake_engine::start(Config {
        outbound_messages: 4,
        ..Config::default()
    });
    let mut patient = Client::open(&running).await;
    let (requests, mut messages) = running.handle.open_session().await.unwrap();
    for id in 0..64 {
        let message = ClientMessage {
            id: Some(json!(id)),
            session: None,
            request: Request::Ping { interval_ms: None },
        };
        if requests.send(message).await.is_err() {
            break;
        }
    }
    // What was queued can still be read, then the connection is over.
    let mut heard = 0;
    while messages.recv().await.is_some() {
        heard += 1;
    }
    assert!(heard < 64);
    assert_eq!(
        patient.value(Request::Ping { interval_ms: None }).await,
        "pong"
    );
}

#[tokio::test]
async fn the_load_of_the_processors_is_answered_after_its_interval_without_holding_up_others() {
    let running = fake_engine::start(Config::default());
    let (requests, mut messages) = running.handle.open_session().await.unwrap();
    let invoke = |id: u64, operation: &str, params: Value| ClientMessage {
        id: Some(json!(id)),
        session: None,
        request: Request::Invoke {
            object: "manager_ServerManager".to_owned(),
            operation: operation.to_owned(),
            params: Some(params),
        },
    };
    requests
        .send(invoke(1, "getUsedCpu", json!({"interval": 50})))
        .await
        .unwrap();
    requests
        .send(invoke(2, "getUsedMemory", json!({})))
        .await
        .unwrap();
    let mut order = Vec::new();
    while order.len() < 2 {
        if let Some(ServerMessage::Response { id, result }) = messages.recv().await {
            assert!(result.unwrap()["value"].as_f64().unwrap() >= 0.0);
            order.push(id.unwrap());
        }
    }
    assert_eq!(order, [json!(2), json!(1)]);
}
