//! Whom a client believes.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use salono_room_client::{Config, RoomClient, Trust};
use salono_room_server::RoomServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::support::Rooms;

/// Puts a TLS listener with a certificate of its own before a server: its port, and the
/// certificate.
async fn secure(server: std::net::SocketAddr) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut near) = acceptor.accept(stream).await {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    (port, cert.pem())
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_is_believed_only_by_who_says_so() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let (port, certificate) = secure(rooms.address).await;
    let by_name = format!("wss://localhost:{port}/room");
    let by_address = format!("wss://127.0.0.1:{port}/room");
    let with = |trust: Trust| {
        let mut config = Config::default();
        config.trust = trust;
        config
    };
    let roots = || with(Trust::roots_pem(certificate.as_bytes()).unwrap());
    let anybody = || with(Trust::anybody().unwrap());
    for (url, config, believed) in [
        (&by_name, Config::default(), false),
        (&by_name, roots(), true),
        // The certificate is for another name.
        (&by_address, roots(), false),
        (&by_address, anybody(), true),
        (&by_name, anybody(), true),
    ] {
        let connected = RoomClient::connect_with(url, config).await;
        assert_eq!(connected.is_ok(), believed, "{url}: {connected:?}");
        if let Ok((client, _events, driver)) = connected {
            let driver = tokio::spawn(driver.run());
            client.join_room("r", "ann").await.unwrap();
            client.close().await;
            driver.await.unwrap();
        }
    }
}
