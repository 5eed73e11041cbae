//! Opening a lost connection again, and resuming the session on it.

use std::{future::Future, sync::Arc};

use salono_kurento_model::{Error as ServerError, ErrorCode, Value, wire::Request};
use tokio::time::{Instant, sleep};

use super::{Driver, Op, UNANSWERED_REQUESTS, Waiter, until};
use crate::{Config, Error, OnDisconnect, SessionEvent, link::Link};

impl Driver {
    /// The connection is lost: fails requests or keeps them, as the configuration says.
    pub(super) fn lost(&mut self) {
        let keeps = self.address.is_some() && self.config.on_disconnect == OnDisconnect::Resend;
        let failed = if keeps {
            self.pending.keep_repeatable()
        } else {
            self.pending.take_all().collect()
        };
        for outstanding in failed {
            self.fail(outstanding.waiter, Error::Disconnected);
        }
        self.resuming = false;
        if self.connected {
            self.connected = false;
            tracing::info!(address = self.address.as_deref(), "connection lost");
            self.publish(SessionEvent::Disconnected);
        }
    }

    /// Opens the connection again, as long as anybody holds the client.
    pub(super) async fn redial(&mut self) -> Option<Link> {
        let address: Arc<str> = self.address.clone()?;
        let config = self.config.clone();
        loop {
            let delay = self.delay;
            self.delay = (delay * 2).min(config.reconnect_delay_max);
            self.meanwhile(sleep(delay)).await?;
            let Some(link) = self.meanwhile(open(&address, &config)).await? else {
                continue;
            };
            self.ping_at = Instant::now() + config.ping_interval;
            if self.session.is_none() {
                self.pending.send_all_again();
                self.welcome(true);
            } else {
                // Everything else waits until the server knows the session again.
                self.resuming = true;
                self.pending.hold_back();
                self.enqueue(Request::Connect, Waiter::Resume);
            }
            return Some(link);
        }
    }

    /// The server has answered whether it still knows the session; `false` when the connection is
    /// of no use.
    pub(super) fn resumed(&mut self, result: Result<Value, ServerError>) -> bool {
        self.resuming = false;
        match result {
            Ok(_) => {
                self.pending.send_all_again();
                self.welcome(true);
            }
            Err(error) if error.code == ErrorCode::InvalidSession => {
                let waiting: Vec<_> = self.pending.take_all().collect();
                self.forget_session();
                for outstanding in waiting {
                    self.fail(outstanding.waiter, Error::SessionLost);
                }
                self.welcome(false);
            }
            Err(error) => {
                tracing::warn!(%error, "the session could not be resumed");
                return false;
            }
        }
        true
    }

    fn welcome(&mut self, same_session: bool) {
        tracing::info!(
            address = self.address.as_deref(),
            same_session,
            "connected again"
        );
        self.connected = true;
        self.delay = self.config.reconnect_delay;
        self.publish(SessionEvent::Reconnected { same_session });
    }

    /// Waits for `work` while there is no connection; `None` when the client has come to its end.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            let takes = self.pending.len() < UNANSWERED_REQUESTS;
            let deadline = self.pending.deadline();
            tokio::select! {
                done = &mut work => return Some(done),
                op = self.ops.recv(), if takes => match op {
                    None | Some(Op::Close) => return None,
                    Some(op) => self.take_offline(op),
                },
                () = until(deadline) => {
                    self.expire();
                }
            }
        }
    }

    /// Handles what can be handled without a connection.
    fn take_offline(&mut self, op: Op) {
        match op {
            Op::Request { reply, .. } if self.config.on_disconnect == OnDisconnect::Fail => {
                let _ = reply.send(Err(Error::Disconnected));
            }
            op @ (Op::Request { .. } | Op::Unroute { .. } | Op::Session { .. } | Op::Close) => {
                self.take(op);
            }
        }
    }
}

#[cfg(feature = "ws")]
async fn open(address: &str, config: &Config) -> Option<Link> {
    match crate::ws::open(address, config).await {
        Ok(link) => Some(link),
        Err(error) => {
            tracing::debug!(address, %error, "cannot connect");
            None
        }
    }
}

/// Without WebSockets no driver has an address to dial.
#[cfg(not(feature = "ws"))]
async fn open(_: &str, _: &Config) -> Option<Link> {
    std::future::pending().await
}
