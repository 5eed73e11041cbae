//! Recordings that go to a server: written to a spool file first, sent when they are finished, kept until the server has them.
//!
//! A server that cannot be reached, or refuses, is tried again, less and less often; the first failure is
//! reported, and so is the end of all attempts, after which the spool file stays where it is.

use super::s3;
use super::storage::{FileStorage, Storage};
use super::target::{create, numbered};
use super::worker::{Opened, Target};
use base64::Engine;
use gstreamer as gst;
use gstreamer::glib::translate::IntoGlib;
use salono_media_api::processing::ProcessorError;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use url::Url;

/// Bytes of all spool files of a recorder; with more, its disk counts as full.
pub const MAX_SPOOL: u64 = 16 * 1024 * 1024 * 1024;

/// The second attempt comes after this, later ones each time after twice that.
const RETRY: Duration = Duration::from_secs(1);

/// The longest time between attempts.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Then a file is given up: after about an hour.
const MAX_ATTEMPTS: u32 = 66;

/// What becomes of uploads.
#[derive(Debug)]
pub enum Progress {
    /// The server has a file.
    Uploaded {
        /// Where.
        uri: String,
        /// Milliseconds.
        duration_ms: u64,
        /// Size.
        bytes: u64,
    },
    /// Something went wrong.
    Error(ProcessorError),
    /// A file begins, with its number.
    Spooled(PathBuf, u32),
    /// A file is no longer waited with: it is sent, or given up.
    Done(PathBuf),
    /// Nothing is under way any more.
    Idle,
}

type Report = Box<dyn FnMut(Progress) + Send>;

/// Looks up a variable of the environment.
pub type Environment = fn(&str) -> Option<String>;

/// What uploads are made with.
pub struct Settings {
    /// Found to be allowed.
    pub url: Url,
    /// Files that wait are named like this one.
    pub spool: PathBuf,
    /// Media type.
    pub content_type: &'static str,
    /// Gets to know what becomes of them, in the thread that sends.
    pub report: Report,
    /// Where credentials of S3 come from.
    pub environment: Environment,
    /// Files that wait from before, with their numbers.
    pub waiting: Vec<(PathBuf, u32)>,
}

/// Where the files of a recording go: a spool beside, then a server.
pub struct Upload {
    url: Url,
    spool: PathBuf,
    bytes: Arc<AtomicU64>,
    jobs: Arc<Jobs>,
    open: Option<(PathBuf, u32)>,
}

struct Job {
    file: PathBuf,
    url: Url,
    duration_ms: u64,
    bytes: u64,
}

#[derive(Default)]
struct Jobs {
    queue: Mutex<(VecDeque<Job>, bool)>,
    wake: Condvar,
}

impl Upload {
    /// Begins. `keep` is dropped when everything is sent or given up.
    ///
    /// # Errors
    /// No thread.
    pub fn new(settings: Settings, keep: impl Send + 'static) -> io::Result<Self> {
        let Settings {
            url,
            spool,
            content_type,
            report,
            environment,
            waiting,
        } = settings;
        let bytes = Arc::new(AtomicU64::new(0));
        let jobs = Arc::new(Jobs::default());
        for (file, segment) in waiting {
            let Ok(there) = file.metadata() else {
                continue;
            };
            bytes.fetch_add(there.len(), Ordering::Relaxed);
            let job = Job {
                file,
                url: segment_url(&url, segment),
                // Nobody counted.
                duration_ms: 0,
                bytes: there.len(),
            };
            jobs.change(|(jobs, _)| jobs.push_back(job));
        }
        let sender = Sender {
            jobs: Arc::clone(&jobs),
            bytes: Arc::clone(&bytes),
            report,
            content_type,
            environment,
        };
        std::thread::Builder::new()
            .name("upload".into())
            .spawn(move || {
                sender.run();
                drop(keep);
            })?;
        Ok(Self {
            url,
            spool,
            bytes,
            jobs,
            open: None,
        })
    }

    /// The file that is open.
    pub fn spool(&self) -> Option<&Path> {
        self.open.as_ref().map(|(file, _)| file.as_path())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.jobs.change(|(_, closed)| *closed = true);
    }
}

impl Target for Upload {
    fn open(&mut self, segment: u32) -> io::Result<Opened> {
        let (file, number) = create(&self.spool, 1, false)?;
        let name = self.spool.file_name().and_then(|name| name.to_str());
        let name = numbered(name.unwrap_or_default(), number);
        self.open = Some((self.spool.with_file_name(name), segment));
        Ok(Opened {
            storage: Box::new(Spool {
                file: FileStorage::new(file),
                bytes: Arc::clone(&self.bytes),
            }),
            uri: without_secrets(&segment_url(&self.url, segment)),
            path: None,
        })
    }

    fn finished(&mut self, _uri: &str, duration_ms: u64, bytes: u64) {
        let Some((file, segment)) = self.open.take() else {
            return;
        };
        let job = Job {
            file,
            url: segment_url(&self.url, segment),
            duration_ms,
            bytes,
        };
        self.jobs.change(|(jobs, _)| jobs.push_back(job));
    }
}

fn segment_url(url: &Url, segment: u32) -> Url {
    let mut url = url.clone();
    let path = numbered(url.path(), segment);
    url.set_path(&path);
    url
}

/// A URL as it may be shown.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.into()
}

/// A file that counts its bytes with those of others.
struct Spool {
    file: FileStorage,
    bytes: Arc<AtomicU64>,
}

impl Storage for Spool {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.load(Ordering::Relaxed) >= MAX_SPOOL {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.file.append(bytes)?;
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn patch(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.patch(offset, bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Jobs {
    fn change(&self, change: impl FnOnce(&mut (VecDeque<Job>, bool))) {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    /// The next one; none when there will be none.
    fn next(&self) -> Option<Job> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |state: &mut (VecDeque<Job>, bool)| state.0.is_empty() && !state.1;
        let waited = self.wake.wait_while(queue, empty);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        queue.0.pop_front()
    }

    /// Lets some time pass.
    fn rest(&self, time: Duration) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.wake.wait_timeout_while(queue, time, |_| true));
    }

    fn is_empty(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.0.is_empty()
    }
}

/// The thread that sends.
struct Sender {
    jobs: Arc<Jobs>,
    bytes: Arc<AtomicU64>,
    report: Report,
    content_type: &'static str,
    environment: Environment,
}

impl Sender {
    fn run(mut self) {
        while let Some(job) = self.jobs.next() {
            self.attempt(&job);
            (self.report)(Progress::Done(job.file));
            if self.jobs.is_empty() {
                (self.report)(Progress::Idle);
            }
        }
    }

    fn attempt(&mut self, job: &Job) {
        let uri = without_secrets(&job.url);
        for attempt in 0..MAX_ATTEMPTS {
            let reason = match send(job, self.content_type, self.environment) {
                Ok(()) => {
                    self.bytes.fetch_sub(job.bytes, Ordering::Relaxed);
                    let _ = std::fs::remove_file(&job.file);
                    (self.report)(Progress::Uploaded {
                        uri,
                        duration_ms: job.duration_ms,
                        bytes: job.bytes,
                    });
                    return;
                }
                Err(reason) => reason,
            };
            let kept = job.file.display();
            if attempt == 0 {
                let text = format!("{uri}: {reason}; kept at {kept}, sent again later");
                (self.report)(Progress::Error(upload_error(text)));
            } else if attempt + 1 == MAX_ATTEMPTS {
                let text = format!("{uri}: {reason}; given up, the recording is at {kept}");
                (self.report)(Progress::Error(upload_error(text)));
                return;
            }
            self.jobs
                .rest((RETRY * (1 << attempt.min(6))).min(MAX_RETRY));
        }
    }
}

fn upload_error(description: String) -> ProcessorError {
    ProcessorError {
        code: gst::ResourceError::Write.into_glib(),
        kind: "RESOURCE_ERROR_WRITE".to_owned(),
        description,
    }
}

/// Why a server does not have a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("{0}")]
    Http(#[from] Box<ureq::Error>),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    S3(String),
    #[error("the server answers with status {0}")]
    Status(u16),
}

/// An answer that says yes; redirects, which are not followed, do not.
pub(super) fn accepted(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<ureq::http::Response<ureq::Body>, SendError> {
    let answer = answer?;
    let status = answer.status();
    if status.is_success() {
        Ok(answer)
    } else {
        Err(SendError::Status(status.as_u16()))
    }
}

impl From<ureq::Error> for SendError {
    fn from(error: ureq::Error) -> Self {
        Self::Http(Box::new(error))
    }
}

fn send(job: &Job, content_type: &str, environment: Environment) -> Result<(), SendError> {
    let agent = agent();
    if job.url.scheme() == "s3" {
        return s3::send(&agent, &job.url, &job.file, content_type, environment);
    }
    put(&agent, &job.url, &job.file, content_type)
}

/// Sends with PUT (RFC 9110 section 9.3.4), with the name and password of the URL if there are any.
fn put(agent: &ureq::Agent, url: &Url, file: &Path, content_type: &str) -> Result<(), SendError> {
    let mut plain = url.clone();
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    let mut request = agent
        .put(plain.as_str())
        .header("content-type", content_type);
    if !url.username().is_empty() {
        let name = decoded(url.username());
        let password = decoded(url.password().unwrap_or_default());
        let secret = base64::prelude::BASE64_STANDARD.encode(format!("{name}:{password}"));
        request = request.header("authorization", format!("Basic {secret}"));
    }
    accepted(request.send(File::open(file)?))?;
    Ok(())
}

/// Without percent escapes.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Trusts what the system trusts; follows no redirects, whose targets nobody allowed.
fn agent() -> ureq::Agent {
    let certificates = rustls_native_certs::load_native_certs().certs;
    let certificates = certificates
        .iter()
        .map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::Specific(Arc::new(certificates.collect())))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(true)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_per_write(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build()
        .new_agent()
}
