//! A cable between a client and a server that a test can cut, and plug in elsewhere.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, watch},
};

/// Where the cable leads, and how.
#[derive(Debug, Clone)]
struct Plug {
    server: SocketAddr,
    /// Connections of earlier numbers are cut.
    number: u64,
    /// What the server says is swallowed.
    swallows: bool,
}

/// Forwards TCP connections.
pub(crate) struct Cable {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    plug: watch::Sender<Plug>,
    swallowed: Arc<Notify>,
}

impl Cable {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (plug, _) = watch::channel(Plug {
            server,
            number: 0,
            swallows: false,
        });
        let swallowed = Arc::new(Notify::new());
        tokio::spawn(forward_all(listener, plug.clone(), swallowed.clone()));
        Self {
            address,
            plug,
            swallowed,
        }
    }

    /// From now on nothing that the server says arrives.
    pub(crate) fn swallow(&self) {
        self.plug.send_modify(|plug| plug.swallows = true);
    }

    /// Waits until the server has said something that did not arrive.
    pub(crate) async fn swallowed(&self) {
        self.swallowed.notified().await;
    }

    /// Cuts all connections. New ones work.
    pub(crate) fn cut(&self) {
        self.plug.send_modify(|plug| {
            plug.number += 1;
            plug.swallows = false;
        });
    }

    /// Cuts all connections. New ones lead to another server.
    pub(crate) fn plug_into(&self, server: SocketAddr) {
        self.plug.send_modify(|plug| plug.server = server);
        self.cut();
    }
}

async fn forward_all(listener: TcpListener, plug: watch::Sender<Plug>, swallowed: Arc<Notify>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let watched = plug.subscribe();
        let swallowed = swallowed.clone();
        tokio::spawn(async move {
            let now = watched.borrow().clone();
            let server = TcpStream::connect(now.server).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let mut cut = watched.clone();
            tokio::select! {
                () = requests(from_client, to_server) => {}
                () = answers(from_server, to_client, watched, swallowed) => {}
                _ = cut.wait_for(|plug| plug.number != now.number) => {}
            }
        });
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // Either end may close when it likes.
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plug: watch::Receiver<Plug>,
    swallowed: Arc<Notify>,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut bytes).await {
        if count == 0 {
            return;
        }
        let swallows = plug.borrow().swallows;
        if swallows {
            swallowed.notify_one();
        } else if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
