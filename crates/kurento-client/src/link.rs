//! A connection to an object model: two queues in this process, or a WebSocket.

use std::{collections::VecDeque, future::pending};

use salono_kurento_model::wire::{ClientMessage, ServerMessage};
use tokio::sync::mpsc;

/// A connection that can be written to and read from at the same time.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
}

/// The sending half.
#[derive(Debug)]
pub(crate) enum Outbound {
    Channel(mpsc::Sender<ClientMessage>),
    #[cfg(feature = "ws")]
    Socket(crate::ws::Writer),
}

/// The receiving half.
#[derive(Debug)]
pub(crate) enum Inbound {
    Channel(mpsc::Receiver<ServerMessage>),
    #[cfg(feature = "ws")]
    Socket(crate::ws::Reader),
}

impl Link {
    pub(crate) fn channel(
        requests: mpsc::Sender<ClientMessage>,
        replies: mpsc::Receiver<ServerMessage>,
    ) -> Self {
        Self {
            outbound: Outbound::Channel(requests),
            inbound: Inbound::Channel(replies),
        }
    }

    #[cfg(feature = "ws")]
    pub(crate) fn socket(writer: crate::ws::Writer, reader: crate::ws::Reader) -> Self {
        Self {
            outbound: Outbound::Socket(writer),
            inbound: Inbound::Socket(reader),
        }
    }
}

impl Outbound {
    /// Waits until a message can go out, or until written bytes are flushed when none is waiting.
    /// `false` when the connection is lost. Dropping the future loses nothing.
    pub(crate) async fn progress(&mut self, waiting: bool) -> bool {
        match self {
            Self::Channel(_) if !waiting => pending().await,
            // The permit goes back at once: a sender shared with others may find the queue full
            // again, and then simply waits once more.
            Self::Channel(requests) => requests.reserve().await.is_ok(),
            #[cfg(feature = "ws")]
            Self::Socket(writer) => writer.progress(waiting).await,
        }
    }

    /// Sends the front of the queue if there is room; `false` when the connection is lost.
    pub(crate) fn send(&mut self, outbox: &mut VecDeque<ClientMessage>) -> bool {
        let Some(message) = outbox.pop_front() else {
            return true;
        };
        match self {
            Self::Channel(requests) => match requests.try_send(message) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(message)) => {
                    outbox.push_front(message);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            },
            #[cfg(feature = "ws")]
            Self::Socket(writer) => writer.send(&message),
        }
    }

    /// Flushes and says goodbye.
    pub(crate) async fn close(&mut self) {
        match self {
            Self::Channel(_) => {}
            #[cfg(feature = "ws")]
            Self::Socket(writer) => writer.close().await,
        }
    }

    /// Whether the other end is in another process, so that it may vanish without a word.
    pub(crate) fn is_remote(&self) -> bool {
        match self {
            Self::Channel(_) => false,
            #[cfg(feature = "ws")]
            Self::Socket(_) => true,
        }
    }
}

impl Inbound {
    /// The next message; `None` when the connection is lost. Dropping the future loses nothing.
    pub(crate) async fn recv(&mut self) -> Option<ServerMessage> {
        match self {
            Self::Channel(replies) => replies.recv().await,
            #[cfg(feature = "ws")]
            Self::Socket(reader) => reader.recv().await,
        }
    }
}
