//! A connection to an object model: two queues in this process, or a WebSocket.

use std::future::pending;

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

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way.
    Yes,
    /// There is no room at the moment.
    Full,
    /// The connection is lost.
    Lost,
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

    /// Sends a message if there is room.
    pub(crate) fn send(&mut self, message: &ClientMessage) -> Sent {
        match self {
            Self::Channel(requests) => match requests.try_reserve() {
                Ok(permit) => {
                    permit.send(message.clone());
                    Sent::Yes
                }
                Err(mpsc::error::TrySendError::Full(())) => Sent::Full,
                Err(mpsc::error::TrySendError::Closed(())) => Sent::Lost,
            },
            #[cfg(feature = "ws")]
            Self::Socket(writer) => {
                if writer.send(message) {
                    Sent::Yes
                } else {
                    Sent::Lost
                }
            }
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
