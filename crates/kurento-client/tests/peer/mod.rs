//! The other end of a client's queues, played by a test.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "every test binary uses a part of it")]

use salono_kurento_client::{
    Client, Config, Value,
    wire::{ClientMessage, Notification, Request, ServerMessage},
};
use salono_kurento_model::{Error as ServerError, json};
use std::{pin::pin, task::Poll};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::{JoinHandle, unconstrained},
};

/// The object model's end of the queues.
pub(crate) struct Peer {
    pub(crate) requests: Receiver<ClientMessage>,
    pub(crate) replies: Sender<ServerMessage>,
}

impl Peer {
    pub(crate) async fn expect(&mut self) -> ClientMessage {
        self.requests.recv().await.unwrap()
    }

    pub(crate) async fn answer(&self, message: &ClientMessage, value: Value) {
        let id = message.id.clone();
        let result = Ok(json!({"value": value, "sessionId": "s1"}));
        self.replies
            .send(ServerMessage::Response { id, result })
            .await
            .unwrap();
    }

    pub(crate) async fn refuse(&self, message: &ClientMessage, error: ServerError) {
        let id = message.id.clone();
        let result = Err(error);
        self.replies
            .send(ServerMessage::Response { id, result })
            .await
            .unwrap();
    }

    pub(crate) async fn raise(&self, object: &str, event: &str, data: Value) {
        let event = Notification {
            object: object.to_owned(),
            event: event.to_owned(),
            data: data.as_object().unwrap().clone(),
        };
        self.replies
            .send(ServerMessage::Event(event))
            .await
            .unwrap();
    }

    pub(crate) async fn raise_candidate(&self, object: &str, number: usize) {
        let data = json!({
            "source": object, "tags": [], "timestampMillis": "1", "type": "IceCandidateFound",
            "candidate": {"__module__": "kurento", "__type__": "IceCandidate",
                "candidate": format!("candidate:{number}"), "sdpMid": "0", "sdpMLineIndex": 0}
        });
        self.raise(object, "IceCandidateFound", data).await;
    }
}

pub(crate) fn start(config: Config) -> (Client, Peer, JoinHandle<()>) {
    let (to_peer, requests) = mpsc::channel(8);
    let (replies, from_peer) = mpsc::channel(8);
    let (client, driver) = Client::from_channel_with(to_peer, from_peer, config);
    (
        client,
        Peer { requests, replies },
        tokio::spawn(driver.run()),
    )
}

pub(crate) fn create(class: &str, params: Value) -> Request {
    Request::Create {
        class: class.to_owned(),
        params: Some(params),
    }
}

pub(crate) fn invoke(object: &str, operation: &str, params: Option<Value>) -> Request {
    Request::Invoke {
        object: object.to_owned(),
        operation: operation.to_owned(),
        params,
    }
}

/// Runs a request beside what the other end does with it.
pub(crate) async fn with<T>(call: impl Future<Output = T>, script: impl AsyncFnOnce()) -> T {
    let (result, ()) = tokio::join!(call, script());
    result
}

/// Polls a future once, so that it sends its request if there is room.
pub(crate) async fn begin(future: &mut (impl Future + Unpin)) {
    std::future::poll_fn(|context| {
        // The runtime must not make it wait for its turn instead.
        let _ = pin!(unconstrained(&mut *future)).poll(context);
        Poll::Ready(())
    })
    .await;
}
