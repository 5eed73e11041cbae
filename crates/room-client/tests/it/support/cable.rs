//! A cable between a client and its server that a test can pull.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Carries connections to a server until it is cut.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    /// How often it was cut, and whether it takes new connections.
    state: watch::Sender<(u64, bool)>,
}

impl Cable {
    pub(crate) async fn lay(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel((0, true));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (cuts, whole) = *seen.borrow();
                if whole {
                    tokio::spawn(carry(near, server, seen.clone(), cuts));
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/room", self.address)
    }

    /// Ends every connection without a word; new ones are carried.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.0 += 1);
    }

    /// As [`Cable::cut`], and new ones are not carried until the cable is mended.
    pub(crate) fn pull(&self) {
        self.state
            .send_modify(|state| *state = (state.0 + 1, false));
    }

    pub(crate) fn mend(&self) {
        self.state.send_modify(|state| state.1 = true);
    }
}

async fn carry(
    mut near: TcpStream,
    server: SocketAddr,
    mut state: watch::Receiver<(u64, bool)>,
    cuts: u64,
) {
    let mut far = TcpStream::connect(server).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = state.wait_for(|state| state.0 != cuts) => {}
    }
}
