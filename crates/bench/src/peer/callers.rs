//! Peers that call a server and do nothing else: for measurements of what a call costs.

use super::{Buffers, LOOPBACK, Offered, Peer, PeerError, PeerFactory, failed};
use salono_media_engine::udp::SocketOptions;
use std::thread;
use std::time::{Duration, Instant};
use str0m::Event;
use str0m::media::Direction;

/// Pause before all peers are looked at again.
const LOOK: Duration = Duration::from_millis(2);

/// str0m peers, each behind a socket of its own on the loopback interface, all on the calling
/// thread.
pub struct Callers {
    factory: PeerFactory,
    buffers: Buffers,
    callers: Vec<Caller>,
}

/// One of them.
struct Caller {
    peer: Peer,
    /// Our offer until it is answered.
    offer: Option<Offered>,
    connected: bool,
}

impl Callers {
    /// None yet.
    ///
    /// # Errors
    /// When there can be no certificate.
    pub fn new() -> Result<Self, PeerError> {
        Ok(Self {
            factory: PeerFactory::new(LOOPBACK)?,
            buffers: Buffers::new(),
            callers: Vec::new(),
        })
    }

    /// One more, with its offer of one audio and one video m-line. They are counted from 0.
    ///
    /// # Errors
    /// When it has no socket.
    pub fn offer(&mut self) -> Result<String, PeerError> {
        let mut peer = self.factory.peer(SocketOptions::default(), true)?;
        let offer = peer.offer(true, Direction::SendRecv)?;
        let text = offer.sdp.clone();
        self.callers.push(Caller {
            peer,
            offer: Some(offer),
            connected: false,
        });
        Ok(text)
    }

    /// Gives a caller the answer to its offer and the server's candidates.
    ///
    /// # Errors
    /// When they are malformed, or there is no such caller that waits for an answer.
    pub fn accept(
        &mut self,
        caller: usize,
        answer: &str,
        candidates: &[String],
    ) -> Result<(), PeerError> {
        let caller = self.callers.get_mut(caller);
        let waiting = caller.and_then(|caller| Some((&mut caller.peer, caller.offer.take()?)));
        let Some((peer, offer)) = waiting else {
            return Err(failed("nobody waits for this answer"));
        };
        peer.accept(offer, answer)?;
        candidates
            .iter()
            .try_for_each(|candidate| peer.add_candidate(candidate))
    }

    /// Runs all of them until everyone is connected: ICE and DTLS.
    ///
    /// # Errors
    /// When one fails or that takes longer than `patience`.
    pub fn connect(&mut self, patience: Duration) -> Result<(), PeerError> {
        let began = Instant::now();
        loop {
            for Caller {
                peer, connected, ..
            } in &mut self.callers
            {
                peer.run(
                    &mut self.buffers,
                    |_, _, _| {},
                    |event| {
                        if let Event::Connected = event {
                            *connected = true;
                        }
                    },
                )?;
            }
            let missing = self.callers.iter().filter(|it| !it.connected).count();
            if missing == 0 {
                return Ok(());
            }
            if began.elapsed() > patience {
                return Err(failed(format!(
                    "{missing} of {} did not connect",
                    self.callers.len()
                )));
            }
            thread::park_timeout(LOOK);
        }
    }
}
