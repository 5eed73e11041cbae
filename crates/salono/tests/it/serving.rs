//! What `salono serve` serves.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::process::{Folder, Server, request};

#[tokio::test]
async fn plain_http_on_the_https_port_is_redirected() {
    let folder = Folder::new();
    let server = Server::serve(&folder).await;
    let response = server.get("https", "/a/b?c=d").await;
    assert!(response.starts_with("HTTP/1.1 308 "), "{response}");
    let location = format!("location: https://{}/a/b?c=d\r\n", server.address("https"));
    assert!(response.contains(&location), "{response}");
}

#[tokio::test]
async fn the_page_comes_over_https_with_a_certificate_that_is_kept_across_starts() {
    let folder = Folder::new();
    let kept = folder.0.join("salono/tls/certificate.pem");
    let first = {
        let server = Server::serve(&folder).await;
        let certificate = std::fs::read(&kept).unwrap();
        let page = over_tls(&server, &certificate, "/").await;
        assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
        assert!(page.contains("content-security-policy: "), "{page}");
        assert!(page.contains("<title>Salono</title>"), "{page}");
        let parts = ["/js/main.js", "/js/salono-client.js", "/css/base.css"];
        let basic = [
            "/basic",
            "/room.html",
            "/basic/basic.js",
            "/js/KurentoRoom.js",
        ];
        for part in parts.into_iter().chain(basic) {
            let part = over_tls(&server, &certificate, part).await;
            assert!(part.starts_with("HTTP/1.1 200 "), "{part}");
        }
        certificate
    };
    let server = Server::serve(&folder).await;
    assert_eq!(std::fs::read(&kept).unwrap(), first);
    let health = over_tls(&server, &first, "/healthz").await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
}

/// A request by a client that trusts nothing but `certificate`, which is for "localhost".
async fn over_tls(server: &Server, certificate: &[u8], path: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address("https")).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.unwrap();
    request(stream, "localhost", path).await
}

#[tokio::test]
async fn health_metrics_and_rooms_can_be_read() {
    let folder = Folder::new();
    let server = Server::serve(&folder).await;
    let health = server.get("http", "/healthz").await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    let mut client = server.room_client().await;
    let join = json!({ "room": "parlour", "user": "ana", "dataChannels": false });
    client.result("joinRoom", join).await;
    let rooms = server.get("http", "/getAllRooms").await;
    assert!(rooms.ends_with("[\"parlour\"]"), "{rooms}");
    let metrics = server.get("http", "/metrics").await;
    for line in [
        "salono_rooms 1\n",
        "salono_room_participants 1\n",
        "salono_room_requests_total{method=\"joinRoom\"} 1\n",
        "# TYPE salono_media_rtp_forwarded_total counter\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn the_kurento_protocol_answers_beside_the_rooms() {
    let folder = Folder::new();
    let server = Server::serve(&folder).await;
    let mut client = server.kurento_client().await;
    let pong = client.result("ping", json!({ "interval": 240_000 })).await;
    assert_eq!(pong["value"], "pong");
    let params = json!({ "type": "MediaPipeline", "constructorParams": {} });
    let pipeline = client.result("create", params).await;
    let session = pipeline["sessionId"].clone();
    let params = json!({
        "type": "WebRtcEndpoint",
        "constructorParams": { "mediaPipeline": pipeline["value"] },
        "sessionId": session,
    });
    let endpoint = client.result("create", params).await;
    let params = json!({
        "object": endpoint["value"], "operation": "generateOffer", "sessionId": session,
    });
    let offer = client.result("invoke", params).await;
    let offer = offer["value"].as_str().unwrap().to_owned();
    assert!(
        offer.contains("m=audio ") && offer.contains("m=video "),
        "{offer}"
    );
    assert!(offer.contains("a=fingerprint:sha-256 "), "{offer}");
}
