//! HTTP for `HttpPostEndpoint`: one listener for all of them, opened with the first one.
//!
//! Every endpoint has a path of its own that nobody can guess. What is posted there goes to the object
//! model piece by piece, and the next piece is read once the former one was taken, so that the
//! kernel's window slows a sender down that is faster than its endpoint.

mod request;

use hyper_util::rt::{TokioIo, TokioTimer};
use salono_kurento_core::{UploadKey, UploadOrder, UploadReport};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
};

/// Where uploads are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadConfig {
    /// Address to listen on; port 0 takes any.
    pub listen: SocketAddr,
    /// Host in the URLs of endpoints.
    pub host: String,
    /// Connections at a time; more wait to be accepted.
    pub max_connections: usize,
}

impl Default for UploadConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9_091)),
            host: Ipv4Addr::LOCALHOST.to_string(),
            max_connections: 256,
        }
    }
}

/// Reports that wait for the control task; whoever uploads waits, too.
const REPORTS: usize = 64;

/// How long a client may take for the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// What is posted, with the endpoint that it is for.
pub(crate) type Report = (UploadKey, UploadReport);

/// Answers to what was reported last.
type Answers = mpsc::Receiver<Result<(), String>>;

/// An endpoint.
#[derive(Debug)]
struct Route {
    key: UploadKey,
    /// Requests follow each other.
    answers: tokio::sync::Mutex<Answers>,
    /// What clients have to send along once they were given it.
    cookie: OnceLock<String>,
}

/// Endpoints by their paths.
#[derive(Debug, Default)]
struct Routes {
    by_path: Mutex<BTreeMap<String, Arc<Route>>>,
}

impl Routes {
    fn find(&self, path: &str) -> Option<Arc<Route>> {
        self.lock().get(path).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Route>>> {
        self.by_path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Endpoints that take uploads, of one control task.
#[derive(Debug)]
pub(crate) struct Uploads {
    config: UploadConfig,
    routes: Arc<Routes>,
    reports: mpsc::Sender<Report>,
    /// Path, and where answers go.
    open: BTreeMap<UploadKey, (String, mpsc::Sender<Result<(), String>>)>,
    listener: Option<Listener>,
}

/// A listener that ends when it is dropped.
#[derive(Debug)]
struct Listener {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Uploads {
    /// None yet; what will be posted arrives at the receiver.
    pub(crate) fn new(config: UploadConfig) -> (Self, mpsc::Receiver<Report>) {
        let (reports, reported) = mpsc::channel(REPORTS);
        let uploads = Self {
            config,
            routes: Arc::default(),
            reports,
            open: BTreeMap::new(),
            listener: None,
        };
        (uploads, reported)
    }

    /// Does what the object model wants; returns what it is to be told.
    pub(crate) fn carry_out(&mut self, key: UploadKey, order: UploadOrder) -> Option<UploadReport> {
        match order {
            UploadOrder::Open { token, path } => {
                let result = self.open(key, path).map_err(|error| error.to_string());
                Some(UploadReport::Opened { token, result })
            }
            UploadOrder::Continue(result) => {
                if let Some((_, answers)) = self.open.get(&key) {
                    // There is room for the one that is waited for; others have nobody.
                    let _ = answers.try_send(result);
                }
                None
            }
            UploadOrder::Close => {
                if let Some((path, _)) = self.open.remove(&key) {
                    self.routes.lock().remove(&path);
                }
                None
            }
        }
    }

    fn open(&mut self, key: UploadKey, path: String) -> io::Result<String> {
        let port = match &self.listener {
            Some(listener) => listener.port,
            None => self.listen()?,
        };
        let (answers, answered) = mpsc::channel(1);
        let route = Route {
            key,
            answers: tokio::sync::Mutex::new(answered),
            cookie: OnceLock::new(),
        };
        self.routes.lock().insert(path.clone(), Arc::new(route));
        let host = match self.config.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Ok(IpAddr::V4(_)) | Err(_) => self.config.host.clone(),
        };
        let url = format!("http://{host}:{port}/{path}");
        self.open.insert(key, (path, answers));
        Ok(url)
    }

    fn listen(&mut self) -> io::Result<u16> {
        let address = self.config.listen;
        let listener = std::net::TcpListener::bind(address).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let serving = serve(
            TcpListener::from_std(listener)?,
            self.routes.clone(),
            self.reports.clone(),
            self.config.max_connections,
        );
        tracing::info!(%address, port, "taking uploads");
        self.listener = Some(Listener {
            port,
            task: tokio::spawn(serving),
        });
        Ok(port)
    }
}

async fn serve(
    listener: TcpListener,
    routes: Arc<Routes>,
    reports: mpsc::Sender<Report>,
    max_connections: usize,
) {
    /// Rest after an error that is not about one connection, such as too many open files.
    const RETRY: Duration = Duration::from_millis(100);
    let places = Arc::new(Semaphore::new(max_connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        // What has ended is forgotten.
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let (routes, reports) = (routes.clone(), reports.clone());
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                request::answer(request, routes.clone(), reports.clone())
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upload connection");
            }
            drop(place);
        });
    }
}
