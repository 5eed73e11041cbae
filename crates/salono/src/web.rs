//! HTTP and HTTPS listeners in front of one router.
//!
//! On the HTTPS port the first byte tells TLS from plain HTTP; the latter is redirected, so that
//! somebody who types the address without `https://` arrives all the same.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::listeners::Bound;

/// How long a client may take to say its first byte and to finish the TLS handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take for the head of a request, also for the next one of a kept
/// connection.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// Longest head of a request.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// First byte of every TLS connection: the record type of a handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// How long to wait after a connection could not be accepted (no descriptors left, for example).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener that is being served.
pub(crate) struct Serving(JoinHandle<()>);

impl Serving {
    /// Serves `app` as it is, or behind TLS.
    pub(crate) fn start(
        bound: Bound,
        app: Router,
        tls: Option<Arc<ServerConfig>>,
        max_connections: usize,
    ) -> Self {
        let server = Server {
            app,
            tls: tls.map(TlsAcceptor::from),
            address: bound.address,
        };
        Self(tokio::spawn(accept(
            bound,
            Arc::new(server),
            max_connections,
        )))
    }
}

impl Drop for Serving {
    /// Closes the listener. WebSockets that were opened through it have tasks of their own.
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What connections of one listener share.
struct Server {
    app: Router,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
}

async fn accept(bound: Bound, server: Arc<Server>, max_connections: usize) {
    let slots = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match bound.listener.accept().await {
            Ok((stream, peer)) => {
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    server.serve(stream, peer).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Server {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Only latency suffers if it fails.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return serve_app(stream, peer, self.app.clone()).await;
        };
        let mut first = [0];
        match timeout(HANDSHAKE_PATIENCE, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            Ok(Ok(_) | Err(_)) | Err(_) => return,
        }
        if first[0] != TLS_HANDSHAKE {
            return serve_redirects(stream, self.address).await;
        }
        match timeout(HANDSHAKE_PATIENCE, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve_app(stream, peer, self.app.clone()).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }
}

/// The settings of every connection.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES);
    http
}

async fn serve_app(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
) {
    let service = TowerToHyperService::new(app);
    let connection = http().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.with_upgrades().await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Answers one request with the way to HTTPS.
async fn serve_redirects(stream: TcpStream, address: SocketAddr) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(redirect(&request, address))
    });
    let mut http = http();
    let connection = http
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever it was, nobody waits for more.
    let _ = connection.await;
}

fn redirect<B>(request: &Request<B>, address: SocketAddr) -> Response<Body> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .map_or_else(|| address.to_string(), str::to_owned);
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let location = HeaderValue::try_from(format!("https://{host}{path}"))
        .unwrap_or(HeaderValue::from_static("/"));
    let mut response = Response::new(Body::from("This server speaks HTTPS.\n"));
    // 308 keeps the method; the original may be anything.
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
