//! Somebody who uses the server as one should, while others do not.

use crate::live::{Client, Live, PATIENCE};
use salono_kurento_model::{Value, json};
use tokio::time::timeout;

/// A session with objects and subscriptions that nobody else knows of.
pub(crate) struct Witness {
    client: Client,
    next_id: u64,
    pipeline: String,
    source: String,
    sink: String,
    rounds: u64,
}

impl Witness {
    /// Connects and makes its objects.
    pub(crate) async fn new(live: &Live) -> Self {
        let mut witness = Self {
            client: live.connect("/kurento").await,
            next_id: 0,
            pipeline: String::new(),
            source: String::new(),
            sink: String::new(),
            rounds: 0,
        };
        let create =
            |class: &str, params: Value| json!({"type": class, "constructorParams": params});
        let pipeline = witness
            .value("create", create("MediaPipeline", json!({})))
            .await;
        witness.pipeline = pipeline.as_str().unwrap().to_owned();
        let params = json!({"mediaPipeline": witness.pipeline});
        let source = witness
            .value("create", create("WebRtcEndpoint", params.clone()))
            .await;
        witness.source = source.as_str().unwrap().to_owned();
        let sink = witness.value("create", create("PassThrough", params)).await;
        witness.sink = sink.as_str().unwrap().to_owned();
        for event in ["ElementConnected", "ElementDisconnected"] {
            let params = json!({"object": witness.source, "type": event});
            witness.value("subscribe", params).await;
        }
        witness
    }

    /// Uses everything once; panics when something is not as it left it.
    pub(crate) async fn look(&mut self) {
        let (pipeline, source) = (self.pipeline.clone(), self.source.clone());
        let before = self.rounds.to_string();
        self.rounds += 1;
        let name = json!({"name": self.rounds.to_string()});
        if self.rounds > 1 {
            assert_eq!(self.invoke(&pipeline, "getName", json!({})).await, *before);
        }
        assert!(self.invoke(&pipeline, "setName", name).await.is_null());
        let children = self.invoke(&pipeline, "getChildren", json!({})).await;
        let mut expected = [self.source.clone(), self.sink.clone()];
        expected.sort();
        assert_eq!(children, json!(expected));
        let link = json!({"sink": self.sink, "mediaType": "VIDEO"});
        for (operation, event) in [
            ("connect", "ElementConnected"),
            ("disconnect", "ElementDisconnected"),
        ] {
            assert!(
                self.invoke(&source, operation, link.clone())
                    .await
                    .is_null()
            );
            let heard = async {
                while self.client.events.is_empty() {
                    self.client.hear().await;
                }
            };
            timeout(PATIENCE, heard).await.expect("the event comes");
            let events = std::mem::take(&mut self.client.events);
            assert_eq!(events.len(), 1, "{events:?}");
            assert_eq!(events[0]["type"], event);
            assert_eq!(events[0]["data"]["sink"], *self.sink);
        }
    }

    /// Releases its objects and leaves.
    pub(crate) async fn leave(mut self) {
        self.look().await;
        let pipeline = self.pipeline.clone();
        let answer = self.ask("release", json!({"object": pipeline})).await;
        assert!(answer["error"].is_null(), "{answer}");
        self.client.close().await;
    }

    async fn invoke(&mut self, object: &str, operation: &str, params: Value) -> Value {
        let params = json!({"object": object, "operation": operation, "operationParams": params});
        self.value("invoke", params).await
    }

    async fn value(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"]["value"].take()
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = Value::from(self.next_id);
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.client.send(&request.to_string(), false).await;
        timeout(PATIENCE, self.client.answer(&id))
            .await
            .unwrap_or_else(|_| panic!("{method} is not answered"))
            .expect("the connection lives")
    }
}
