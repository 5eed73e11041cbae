//! Requests that the server has not answered yet.

use std::borrow::Cow;
use std::collections::BTreeMap;

use salono_jsonrpc::room::RequestId;
use salono_jsonrpc::room::client::Refusal;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{Error, UNANSWERED_REQUESTS};

/// Requests by their numbers, which are in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Unanswered(BTreeMap<RequestId, Asked>);

/// One of them.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Cow<'static, str>,
    text: String,
    reply: oneshot::Sender<Result<Value, Error>>,
}

impl Unanswered {
    pub(super) fn insert(
        &mut self,
        id: RequestId,
        method: Cow<'static, str>,
        text: String,
        reply: oneshot::Sender<Result<Value, Error>>,
    ) {
        let asked = Asked {
            method,
            text,
            reply,
        };
        self.0.insert(id, asked);
    }

    pub(super) fn take(&mut self, id: RequestId) -> Option<Asked> {
        self.0.remove(&id)
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= UNANSWERED_REQUESTS
    }

    /// Forgets requests whose callers do not wait any more.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, asked| !asked.reply.is_closed());
    }

    /// All of them as they were sent.
    pub(super) fn texts(&self) -> Vec<String> {
        self.0.values().map(|asked| asked.text.clone()).collect()
    }

    pub(super) fn fail_all(&mut self, error: &Error) {
        for (_, asked) in std::mem::take(&mut self.0) {
            // A caller that is gone has no use for it.
            let _ = asked.reply.send(Err(error.clone()));
        }
    }
}

impl Asked {
    /// Tells the caller.
    pub(super) fn answer(self, result: Result<Value, Refusal>) {
        let result = result.map_err(|refusal| Error::Server {
            number: refusal.code,
            message: refusal.message,
            data: refusal.data,
        });
        // A caller that is gone has no use for it.
        let _ = self.reply.send(result);
    }
}
