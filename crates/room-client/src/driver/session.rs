//! What the server knows the client by, and how it is had back on another connection.

use std::time::Duration;

use salono_jsonrpc::room::client::{Answer, encode_call};
use salono_jsonrpc::room::{CODE_SESSION, RequestId};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// The client's session at the server.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Its name, once the server has told it.
    id: Option<String>,
    /// Number of the last frame that was taken; 0 when the server does not number them.
    seen: u64,
}

impl Session {
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The server names the session.
    pub(super) fn name(&mut self, id: String) {
        self.id = Some(id);
    }

    /// Whether the server keeps frames until the client has them, and knows repeated requests.
    pub(super) fn is_numbered(&self) -> bool {
        self.seen > 0
    }

    /// Whether a frame of this number is new; those without a number always are. The answer to a
    /// join begins a new count.
    pub(super) fn counts(&mut self, seq: Option<u64>, is_join: bool) -> bool {
        let Some(seq) = seq else {
            return true;
        };
        if is_join {
            self.seen = seq;
            return true;
        }
        let is_new = seq > self.seen;
        self.seen = self.seen.max(seq);
        is_new
    }

    /// The text of a request in this session.
    pub(super) fn encode(&self, id: RequestId, method: &str, params: Map<String, Value>) -> String {
        encode_call(id, method, params, self.id())
    }

    /// The text of a `ping`, which also tells what has arrived.
    pub(super) fn encode_ping(&self, id: RequestId, interval: Duration) -> String {
        let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let mut params = self.acknowledgement();
        params.insert("interval".to_owned(), interval.into());
        self.encode(id, "ping", params)
    }

    /// The parameters of `connect`, if there is a session to have back.
    pub(super) fn connect_params(&self) -> Option<Map<String, Value>> {
        self.id.as_ref().map(|_| self.acknowledgement())
    }

    /// Reads the answer to `connect`.
    pub(super) fn judge(&self, answer: Answer) -> Verdict {
        match answer.result {
            Ok(result) => Verdict::Resumed {
                newest: number(&result, "seq").unwrap_or(self.seen),
                lost: number(&result, "lost").unwrap_or(0),
            },
            Err(refusal) if refusal.code == CODE_SESSION => Verdict::Gone,
            Err(refusal) => {
                tracing::debug!(refusal.code, refusal.message, "the session is kept back");
                Verdict::Unwilling
            }
        }
    }

    fn acknowledgement(&self) -> Map<String, Value> {
        let mut params = Map::new();
        if self.is_numbered() {
            params.insert("seq".to_owned(), json!(self.seen));
        }
        params
    }
}

fn number(result: &Value, name: &str) -> Option<u64> {
    result.get(name).and_then(Value::as_u64)
}

/// What the server says to a client that comes back.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It has its session; frames up to number `newest` follow, `lost` are gone.
    Resumed { newest: u64, lost: u64 },
    /// There is no such session any more.
    Gone,
    /// Not now.
    Unwilling,
}

/// A session on its way back.
#[derive(Debug)]
pub(super) struct Resumption(Step);

#[derive(Debug)]
enum Step {
    Asked { id: RequestId, deadline: Instant },
    CatchingUp { newest: u64 },
}

impl Resumption {
    pub(super) fn asked(id: RequestId, deadline: Instant) -> Self {
        Self(Step::Asked { id, deadline })
    }

    pub(super) fn catching_up(newest: u64) -> Self {
        Self(Step::CatchingUp { newest })
    }

    /// Until when the server has to answer, if it is asked.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.0 {
            Step::Asked { deadline, .. } => Some(deadline),
            Step::CatchingUp { .. } => None,
        }
    }

    /// Whether this is the server's answer.
    pub(super) fn is_for(this: &Option<Self>, answer: RequestId) -> bool {
        matches!(this, Some(Self(Step::Asked { id, .. })) if *id == answer)
    }

    /// Whether everything that was missed is there.
    pub(super) fn is_complete(&self, session: &Session) -> bool {
        match self.0 {
            Step::Asked { .. } => false,
            Step::CatchingUp { newest } => session.seen >= newest,
        }
    }
}

#[cfg(test)]
mod tests {
    use salono_jsonrpc::room::RequestId;
    use salono_jsonrpc::room::client::{Answer, Refusal};
    use serde_json::json;

    use super::{Resumption, Session, Verdict};

    fn answer(result: Result<serde_json::Value, i32>) -> Answer {
        let refusal = |code| Refusal {
            code,
            message: String::new(),
            data: None,
        };
        Answer {
            id: RequestId(1),
            result: result.map_err(refusal),
            session: None,
        }
    }

    #[test]
    fn a_frame_counts_once_and_a_join_begins_anew() {
        let mut session = Session::default();
        assert!(session.counts(None, false) && !session.is_numbered());
        assert!(session.counts(Some(2), true) && session.is_numbered());
        assert!(!session.counts(Some(2), false) && !session.counts(Some(1), false));
        assert!(session.counts(Some(5), false));
        assert!(session.counts(Some(1), true) && session.counts(Some(2), false));
    }

    #[test]
    fn what_was_missed_is_asked_for_only_where_frames_have_numbers() {
        let mut session = Session::default();
        assert_eq!(session.connect_params(), None);
        session.name("S".into());
        assert_eq!(session.connect_params(), Some(serde_json::Map::new()));
        session.counts(Some(7), true);
        let params = session.connect_params().unwrap();
        assert_eq!(json!(params), json!({ "seq": 7 }));
        let text = session.encode(RequestId(3), "connect", params);
        assert!(text.contains(r#""sessionId":"S""#), "{text}");
    }

    #[test]
    fn a_session_is_back_when_its_newest_frame_is() {
        let mut session = Session::default();
        session.counts(Some(7), true);
        let verdict = session.judge(answer(Ok(json!({ "seq": 9, "lost": 1 }))));
        assert_eq!(verdict, Verdict::Resumed { newest: 9, lost: 1 });
        let resumption = Resumption::catching_up(9);
        assert!(!resumption.is_complete(&session));
        session.counts(Some(9), false);
        assert!(resumption.is_complete(&session));
        // Servers that number nothing have nothing to wait for.
        let session = Session::default();
        let verdict = session.judge(answer(Ok(json!({ "value": "reconnection successful" }))));
        assert_eq!(verdict, Verdict::Resumed { newest: 0, lost: 0 });
        assert!(Resumption::catching_up(0).is_complete(&session));
    }

    #[test]
    fn only_one_refusal_says_that_the_session_is_gone() {
        let session = Session::default();
        assert_eq!(session.judge(answer(Err(40007))), Verdict::Gone);
        assert_eq!(session.judge(answer(Err(-32000))), Verdict::Unwilling);
    }
}
