//! One browser with the page open: messages from it and to it.

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::sync::{mpsc, watch};

/// Messages that wait for a page, and of a page that wait for the program. Beyond it, a page misses
/// messages, and the program takes none.
const QUEUE: usize = 256;

/// A browser's messages, one JSON object with a member `type` each.
#[derive(Debug)]
pub struct Browser {
    from: mpsc::Receiver<String>,
    to: ToBrowser,
}

/// Sends to a browser. Clones are cheap.
#[derive(Debug, Clone)]
pub struct ToBrowser(mpsc::Sender<String>);

impl Browser {
    /// Carries messages until either side is done.
    pub(crate) async fn serve<F: Future<Output = ()> + Send + 'static>(
        mut socket: WebSocket,
        mut stopping: watch::Receiver<bool>,
        session: impl FnOnce(Self) -> F,
    ) {
        let (incoming, from) = mpsc::channel(QUEUE);
        let (to, mut outgoing) = mpsc::channel(QUEUE);
        let to = ToBrowser(to);
        let session = tokio::spawn(session(Self { from, to }));
        loop {
            tokio::select! {
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if incoming.send(text.to_string()).await.is_err() {
                            break;
                        }
                    }
                    Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                },
                text = outgoing.recv() => {
                    let Some(text) = text else { break };
                    if socket.send(Message::text(text)).await.is_err() {
                        break;
                    }
                }
                _ = stopping.changed() => {
                    let frame = CloseFrame { code: close_code::AWAY, reason: "".into() };
                    // The page may be gone.
                    let _ = socket.send(Message::Close(Some(frame))).await;
                    break;
                }
            }
        }
        // The session ends when it finds its browser gone.
        drop((incoming, outgoing));
        let _ = session.await;
    }

    /// The next message; `None` when the browser is gone. One that is not understood is answered
    /// with an error.
    pub async fn recv<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            let text = self.from.recv().await?;
            match serde_json::from_str(&text) {
                Ok(message) => return Some(message),
                Err(error) => self.to.error(error),
            }
        }
    }

    /// Sends to this browser, also from elsewhere.
    #[must_use]
    pub fn sender(&self) -> ToBrowser {
        self.to.clone()
    }
}

impl ToBrowser {
    /// Sends a message; one to a browser that is gone goes nowhere.
    pub fn send(&self, message: &impl Serialize) {
        // A browser that does not read is as good as gone.
        let _ = self.0.try_send(json!(message).to_string());
    }

    /// Tells the person at the browser what went wrong.
    pub fn error(&self, error: impl ToString) {
        self.send(&json!({"type": "error", "message": error.to_string()}));
    }
}
