//! The desk: browsers with the page open, who take calls.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use salono_examples::{Browser, ToBrowser};
use salono_kurento_client::types::IceCandidate;
use serde::Deserialize;
use tokio::sync::mpsc;

/// What a page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum Ask {
    /// Takes the call that rings.
    Accept {
        sdp: String,
    },
    Candidate {
        candidate: IceCandidate,
    },
    /// Does not take the call that rings.
    Reject,
    /// Ends the call.
    HangUp,
}

/// What happens at the desk.
#[derive(Debug)]
pub(crate) enum FromDesk {
    /// Somebody opened the page.
    Here { agent: u64, page: ToBrowser },
    /// They ask for something.
    Asks { agent: u64, ask: Ask },
    /// They closed it.
    Gone { agent: u64 },
}

/// Where pages come in. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Desk {
    bridge: mpsc::Sender<FromDesk>,
    numbers: Arc<AtomicU64>,
}

impl Desk {
    pub(crate) fn new(bridge: mpsc::Sender<FromDesk>) -> Self {
        Self {
            bridge,
            numbers: Arc::default(),
        }
    }

    /// One browser, from opening the page to closing it.
    pub async fn session(self, mut browser: Browser) {
        let agent = self.numbers.fetch_add(1, Ordering::Relaxed);
        let page = browser.sender();
        let mut report = FromDesk::Here { agent, page };
        // Without the bridge there is nothing to do.
        while self.bridge.send(report).await.is_ok() {
            let Some(ask) = browser.recv().await else {
                // The bridge may have ended in the meantime.
                let _ = self.bridge.send(FromDesk::Gone { agent }).await;
                return;
            };
            report = FromDesk::Asks { agent, ask };
        }
    }
}

/// One who takes calls.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) page: ToBrowser,
    /// Id of the call that rings or is taken.
    pub(crate) call: Option<String>,
}
