//! Getting a connection when there is none.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Driver, Orders};
use crate::socket::{self, Socket};
use crate::{Error, Reconnect};

/// How it went lately.
#[derive(Debug, Default)]
pub(super) struct Misfortune {
    /// Connections since the last one that was of use.
    attempts: u32,
    /// When that one was lost.
    since: Option<Instant>,
}

impl Misfortune {
    /// How long to wait before the next attempt; none before the first.
    fn pause(&self, config: &Reconnect) -> Duration {
        let Some(doublings) = self.attempts.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.saturating_pow(doublings);
        config
            .first_delay
            .saturating_mul(factor)
            .min(config.max_delay)
    }

    fn is_over(&self, config: &Reconnect) -> bool {
        self.since
            .zip(config.give_up_after)
            .is_some_and(|(since, patience)| since.elapsed() >= patience)
    }
}

impl Driver {
    /// Opens a lost connection again; `None` when the client is closed, or gives up.
    pub(super) async fn reopen(&mut self) -> Option<Socket> {
        let reconnect = self.config.reconnect.clone()?;
        self.misfortune.since.get_or_insert_with(Instant::now);
        while !self.is_closing() && !self.misfortune.is_over(&reconnect) {
            let pause = self.misfortune.pause(&reconnect);
            self.misfortune.attempts = self.misfortune.attempts.saturating_add(1);
            tokio::select! {
                () = sleep(pause), if !pause.is_zero() => {}
                // To be closed, or to wait no longer.
                _ = self.orders.changed(), if !pause.is_zero() => {}
                else => {}
            }
            let opened = tokio::select! {
                opened = socket::open(&self.url, &self.config), if !self.is_closing() => opened,
                _ = self.orders.changed() => continue,
            };
            match opened {
                Ok(socket) => return Some(socket),
                Err(error) => tracing::debug!(%error, "no connection"),
            }
        }
        None
    }

    /// Without a connection, which servers end when one leaves, until there is something to say.
    pub(super) async fn idle(&mut self) -> Option<Socket> {
        loop {
            let call = tokio::select! {
                call = self.calls.recv() => call?,
                _ = self.orders.changed() => {
                    if self.is_closing() {
                        return None;
                    }
                    continue;
                }
            };
            let opened = tokio::select! {
                opened = socket::open(&self.url, &self.config) => opened,
                () = closing(&mut self.orders) => return None,
            };
            match opened {
                Ok(socket) => {
                    self.held = Some(call);
                    return Some(socket);
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection");
                    // Its caller may have gone meanwhile.
                    let _ = call.reply.send(Err(Error::Disconnected));
                }
            }
        }
    }
}

/// Resolves when the client is to end.
async fn closing(orders: &mut watch::Receiver<Orders>) {
    // An error says that all handles are gone.
    let _ = orders.wait_for(|orders| orders.close).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Misfortune;
    use crate::Reconnect;

    #[test]
    fn the_first_attempt_is_at_once_and_pauses_double_up_to_a_bound() {
        let pauses: Vec<u128> = (0..8)
            .map(|attempts| {
                let misfortune = Misfortune {
                    attempts,
                    since: None,
                };
                misfortune.pause(&Reconnect::default()).as_millis()
            })
            .collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3000, 3000]);
        let misfortune = Misfortune {
            attempts: u32::MAX,
            since: None,
        };
        assert_eq!(
            misfortune.pause(&Reconnect::default()),
            Duration::from_secs(3)
        );
    }
}
