//! Names that the core wants looked up, and whom TLS may trust: asked elsewhere, so that the shard
//! never waits.

use super::outbound::Target;
use super::{Network, OWN, Served};
use crate::lookup::{Answer, Question};
use salono_media_core::{NetworkEvent, RequestId};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A name that is not looked up after so long has failed.
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Most questions of one shard that are under way.
const MAX_QUESTIONS: usize = 128;

/// Longest host name (RFC 1035 §2.3.4).
const MAX_NAME_BYTES: usize = 253;

/// A question under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// What the core asked; `None` for whom to trust.
    request: Option<RequestId>,
    /// When nobody waits for the answer any more.
    until: Instant,
}

impl Network {
    /// Looks a name up. Literal addresses are answered at once.
    pub(super) fn resolve(&mut self, request: RequestId, host: String, now: Instant) {
        let literal = host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
        if let Ok(ip) = literal.unwrap_or(&host).parse::<IpAddr>() {
            self.events.push_back(NetworkEvent::Resolved {
                request,
                addresses: vec![ip],
            });
            return;
        }
        let asked = if host.is_empty() || host.len() > MAX_NAME_BYTES {
            Err(io::Error::other("not a host name"))
        } else {
            self.ask(Some(request), Question::Name(host), now + LOOKUP_TIMEOUT)
        };
        if let Err(error) = asked {
            self.fail(request, &error);
        }
    }

    /// Keeps a stream until it is known whom to trust.
    pub(super) fn await_trust(&mut self, target: Target) {
        let request = target.request;
        let asked = if self.awaiting_trust.len() >= MAX_QUESTIONS {
            Err(io::Error::other("too many streams wait for TLS"))
        } else if self.awaiting_trust.is_empty() {
            self.ask(None, Question::Trust, target.deadline)
        } else {
            Ok(())
        };
        match asked {
            Ok(()) => self.awaiting_trust.push(target),
            Err(error) => self.fail(request, &error),
        }
    }

    fn ask(
        &mut self,
        request: Option<RequestId>,
        question: Question,
        until: Instant,
    ) -> io::Result<()> {
        if self.questions.len() >= MAX_QUESTIONS {
            return Err(io::Error::other("too many names are being looked up"));
        }
        let tag = self.last_question + 1;
        self.lookup.ask(tag, question, until, &self.inbox)?;
        self.last_question = tag;
        self.questions.insert(tag, Pending { request, until });
        self.timers.insert((until, OWN | tag));
        Ok(())
    }

    /// Passes on what has arrived, unless nobody waits for it any more.
    pub(super) fn take_answers(&mut self) -> Served {
        for (tag, answer) in self.inbox.take() {
            let Some(pending) = self.questions.remove(&tag) else {
                continue;
            };
            self.timers.remove(&(pending.until, OWN | tag));
            match (answer, pending.request) {
                (Answer::Name(result), Some(request)) => {
                    self.answer(request, result, |addresses| NetworkEvent::Resolved {
                        request,
                        addresses,
                    });
                }
                (Answer::Trust(Ok(config)), None) => {
                    self.trust = Some(config);
                    for target in std::mem::take(&mut self.awaiting_trust) {
                        self.connect(target);
                    }
                }
                (Answer::Trust(Err(error)), None) => {
                    self.refuse_awaiting(&io::Error::other(error));
                }
                (Answer::Name(_), None) | (Answer::Trust(_), Some(_)) => {
                    tracing::debug!(tag, "an answer to something else");
                }
            }
        }
        Served {
            worked: true,
            more: false,
        }
    }

    /// The answer to a question has not come in time.
    pub(super) fn give_up_question(&mut self, tag: u64) {
        let error = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        match self.questions.remove(&tag) {
            Some(Pending {
                request: Some(request),
                ..
            }) => self.fail(request, &error),
            Some(Pending { request: None, .. }) => self.refuse_awaiting(&error),
            None => {}
        }
    }

    fn refuse_awaiting(&mut self, error: &io::Error) {
        for target in std::mem::take(&mut self.awaiting_trust) {
            self.fail(target.request, error);
        }
    }

    /// Whoever asked is gone.
    pub(super) fn forget_questions(&mut self) {
        for (tag, pending) in std::mem::take(&mut self.questions) {
            self.timers.remove(&(pending.until, OWN | tag));
        }
        self.awaiting_trust.clear();
    }
}
