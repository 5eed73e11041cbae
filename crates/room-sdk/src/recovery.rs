//! Another media server for a room that lost its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use salono_kurento_client::{Client, EventStream, SessionEvent};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::provider::{KurentoClientProvider, KurentoClientSessionInfo};

/// First pause before a provider that had no media server is asked again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Pause before another one is looked for because the one that was found was of no use.
const SECOND_THOUGHT: Duration = Duration::from_millis(500);

/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a media server that did not answer is watched for its return, so that what a room left
/// there can be released. Longer than media servers keep sessions of which they hear nothing.
const FAREWELL: Duration = Duration::from_secs(600);

/// Looks for a media server until there is one, there will be none, or it is too late; `at_once` if this is
/// the first search, after a pause if what was found before was of no use.
pub(crate) fn search(
    provider: Arc<dyn KurentoClientProvider>,
    session: KurentoClientSessionInfo,
    lost: Client,
    at_once: bool,
    deadline: Instant,
) -> BoxFuture<'static, Option<Client>> {
    let search = async move {
        let mut pause = FIRST_PAUSE;
        if !at_once {
            sleep(SECOND_THOUGHT).await;
        }
        loop {
            match provider.replacement(&session, &lost).await {
                Ok(found) => return found,
                Err(error) => {
                    tracing::debug!(room = session.room_name, %error, "no other media server yet");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    Box::pin(async move { timeout_at(deadline, search).await.unwrap_or_default() })
}

/// Releases a pipeline if the media server turns out to have been out of reach only.
pub(crate) async fn release_if_it_returns(
    client: Client,
    mut events: EventStream,
    pipeline: String,
) {
    let returned = async {
        loop {
            match events.recv().await {
                Some(SessionEvent::Reconnected { same_session }) => return same_session,
                Some(
                    SessionEvent::Notification(_)
                    | SessionEvent::Lagged(_)
                    | SessionEvent::Disconnected,
                ) => {}
                None => return false,
            }
        }
    };
    if timeout(FAREWELL, returned).await.unwrap_or_default() {
        // It may have ended there meanwhile.
        let _ = client.release(&pipeline).await;
    }
}
