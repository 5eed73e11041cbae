//! What is on its way to one client: bounded, and the client is cut off when it does not keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A text frame.
    Text(String),
    /// A WebSocket ping.
    Ping,
    /// A close frame; nothing is written after it.
    Close {
        /// Close code (RFC 6455 section 7.4).
        code: u16,
        /// Close reason.
        reason: &'static str,
    },
}

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
    ends: Arc<Ends>,
}

/// The writing end, of which each socket has one.
#[derive(Debug)]
pub(crate) struct Pickup {
    queue: mpsc::Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
    ends: Arc<Ends>,
}

/// How the sending end ends a socket.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// At once.
    cut: Notify,
    /// After what is queued, of which a close frame is the last.
    closing: Notify,
}

/// The client does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

/// A queue of at most `frames` frames and `bytes` bytes. A frame that is alone in the queue may be
/// longer.
pub(crate) fn outbox(frames: usize, bytes: usize) -> (Outbox, Pickup) {
    let (sender, receiver) = mpsc::channel(frames.max(1));
    let queued = Arc::new(AtomicUsize::new(0));
    let ends = Arc::new(Ends::default());
    (
        Outbox {
            queue: sender,
            bytes: Arc::clone(&queued),
            max_bytes: bytes,
            ends: Arc::clone(&ends),
        },
        Pickup {
            queue: receiver,
            bytes: queued,
            ends,
        },
    )
}

impl Outbox {
    /// Queues without waiting. The caller serialises calls for one socket, so what is counted is
    /// what is queued.
    pub(crate) fn push(&self, item: Outgoing) -> Result<(), Overflow> {
        if matches!(item, Outgoing::Close { .. }) {
            self.ends.closing.notify_one();
        }
        let len = item.bytes();
        let queued = self.bytes.load(Ordering::Relaxed);
        if queued > 0 && queued.saturating_add(len) > self.max_bytes {
            return Err(Overflow);
        }
        self.bytes.fetch_add(len, Ordering::Relaxed);
        match self.queue.try_send(item) {
            // Nobody reads any more: the socket is on its way out, and says so by itself.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Overflow),
        }
    }

    /// Ends the socket at once, whatever is queued.
    pub(crate) fn cut(&self) {
        self.ends.cut.notify_one();
    }
}

impl Pickup {
    /// The next thing to write; `None` when the socket is forgotten.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        let item = self.queue.recv().await?;
        self.bytes.fetch_sub(item.bytes(), Ordering::Relaxed);
        Some(item)
    }

    /// Whether something waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How the sending end ends the socket.
    pub(crate) fn ends(&self) -> Arc<Ends> {
        Arc::clone(&self.ends)
    }
}

impl Ends {
    /// Resolves when the socket is to be dropped: at once when it was cut off, and `patience` after
    /// a close frame was queued, which a client that does not read would hold up for ever.
    pub(crate) async fn overdue(&self, patience: Duration) {
        let closing = async {
            self.closing.notified().await;
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            () = self.cut.notified() => {}
            () = closing => {}
        }
    }
}

impl Outgoing {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ping | Self::Close { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outgoing, Overflow, outbox};

    fn text(len: usize) -> Outgoing {
        Outgoing::Text("x".repeat(len))
    }

    #[tokio::test]
    async fn bytes_are_bounded_but_one_frame_always_fits() {
        let (outbox, mut pickup) = outbox(10, 100);
        assert_eq!(outbox.push(text(1000)), Ok(()));
        assert_eq!(outbox.push(text(1)), Err(Overflow));
        assert!(pickup.next().await.is_some());
        assert_eq!(outbox.push(text(60)), Ok(()));
        assert_eq!(outbox.push(text(40)), Ok(()));
        assert_eq!(outbox.push(text(1)), Err(Overflow));
    }

    #[tokio::test]
    async fn frames_are_bounded() {
        let (outbox, _pickup) = outbox(2, 100);
        assert_eq!(outbox.push(Outgoing::Ping), Ok(()));
        assert_eq!(outbox.push(Outgoing::Ping), Ok(()));
        assert_eq!(outbox.push(Outgoing::Ping), Err(Overflow));
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_is_no_overflow() {
        let (outbox, pickup) = outbox(1, 100);
        drop(pickup);
        assert_eq!(outbox.push(text(1)), Ok(()));
        assert_eq!(outbox.push(text(1)), Ok(()));
    }
}
