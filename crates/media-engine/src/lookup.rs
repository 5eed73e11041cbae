//! Questions that only blocking calls answer, on threads of their own: addresses of host names, and
//! the certificates that this system trusts.
//!
//! Both queues are bounded: a full one towards the threads is an error for the shard that asks, and
//! a shard has only so many questions open.

use crate::os::Waker;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

/// Threads: a name server that does not answer holds one for up to half a minute.
const THREADS: usize = 4;

/// Questions that may wait for a thread.
const QUESTIONS: usize = 256;

/// Addresses of one name that are told.
const MAX_ADDRESSES: usize = 16;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Addresses of a host name.
    Name(String),
    /// TLS settings that trust whom this system trusts.
    Trust,
}

/// What it came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Addresses in order of preference, at least one.
    Name(io::Result<Vec<IpAddr>>),
    /// The settings.
    Trust(Result<Arc<ClientConfig>, rustls::Error>),
}

/// Where the answers for one shard arrive.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// In order of arrival, with what the question was tagged with.
    answers: Mutex<Vec<(u64, Answer)>>,
    waker: Waker,
}

/// A question under way.
#[derive(Debug)]
struct Job {
    tag: u64,
    question: Question,
    /// Nobody waits for the answer after that.
    until: Instant,
    to: Arc<Inbox>,
}

/// Answers questions of all shards. The threads start with the first question and end with this.
#[derive(Debug)]
pub(crate) struct Lookup {
    jobs: Mutex<Option<SyncSender<Job>>>,
    trust: Arc<Trust>,
}

/// Whom TLS connections believe.
#[derive(Debug)]
struct Trust {
    /// Certificates beside those of the system.
    extra: Vec<CertificateDer<'static>>,
    /// Made at the first question.
    config: OnceLock<Result<Arc<ClientConfig>, rustls::Error>>,
}

impl Inbox {
    /// Nothing has arrived.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            answers: Mutex::default(),
            waker: Waker::new()?,
        })
    }

    /// Takes out what has arrived.
    pub(crate) fn take(&self) -> Vec<(u64, Answer)> {
        self.waker.acknowledge();
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, tag: u64, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((tag, answer));
        drop(answers);
        self.waker.wake();
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

impl Lookup {
    /// Trusts these certificates beside those of the system.
    pub(crate) fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        Self {
            jobs: Mutex::default(),
            trust: Arc::new(Trust {
                extra,
                config: OnceLock::new(),
            }),
        }
    }

    /// Has a question answered; the answer arrives with `tag`, or not at all after `until`.
    ///
    /// # Errors
    /// When too many questions wait, or no thread can be had.
    pub(crate) fn ask(
        &self,
        tag: u64,
        question: Question,
        until: Instant,
        to: &Arc<Inbox>,
    ) -> io::Result<()> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match jobs.as_ref() {
            Some(sender) => sender,
            None => jobs.insert(start(&self.trust)?),
        };
        let job = Job {
            tag,
            question,
            until,
            to: Arc::clone(to),
        };
        sender
            .try_send(job)
            .map_err(|_| io::Error::other("too many names are being looked up"))
    }
}

/// Starts the threads.
fn start(trust: &Arc<Trust>) -> io::Result<SyncSender<Job>> {
    let (sender, jobs) = sync_channel(QUESTIONS);
    let jobs = Arc::new(Mutex::new(jobs));
    for number in 0..THREADS {
        let (jobs, trust) = (Arc::clone(&jobs), Arc::clone(trust));
        thread::Builder::new()
            .name(format!("lookup-{number}"))
            .spawn(move || work(&jobs, &trust))?;
    }
    Ok(sender)
}

/// What each thread does until nobody can ask any more.
fn work(jobs: &Mutex<Receiver<Job>>, trust: &Trust) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if job.until <= Instant::now() {
            continue;
        }
        let answer = match &job.question {
            Question::Name(host) => Answer::Name(addresses(host)),
            Question::Trust => Answer::Trust(trust.config()),
        };
        job.to.put(job.tag, answer);
    }
}

fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for found in (host, 0).to_socket_addrs()? {
        if !addresses.contains(&found.ip()) && addresses.len() < MAX_ADDRESSES {
            addresses.push(found.ip());
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    Ok(addresses)
}

impl Trust {
    fn config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let config = self.config.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "certificates of the system cannot be read");
            }
            let mut roots = RootCertStore::empty();
            let (known, unusable) = roots.add_parsable_certificates(found.certs);
            tracing::debug!(known, unusable, "certificates of the system");
            for certificate in &self.extra {
                roots.add(certificate.clone())?;
            }
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(Arc::new(config))
        });
        config.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Poller, Ready};
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn shards_are_woken_with_the_addresses_of_a_name() {
        let lookup = Lookup::new(Vec::new());
        let inbox = Arc::new(Inbox::new().unwrap());
        let poller = Poller::new().unwrap();
        poller.add(&*inbox, 1).unwrap();
        let until = Instant::now() + PATIENCE;
        let name = |name: &str| Question::Name(name.to_owned());
        lookup.ask(5, name("localhost"), until, &inbox).unwrap();
        poller.wait(&mut Ready::new(), Some(PATIENCE)).unwrap();
        let answers = inbox.take();
        let [(5, Answer::Name(Ok(addresses)))] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty());
        assert!(inbox.take().is_empty());
        // Nobody waits for the first any more; the second is no name.
        lookup
            .ask(6, name("localhost"), Instant::now(), &inbox)
            .unwrap();
        lookup.ask(7, name("a\0b"), until, &inbox).unwrap();
        poller.wait(&mut Ready::new(), Some(PATIENCE)).unwrap();
        assert!(matches!(&inbox.take()[..], [(7, Answer::Name(Err(_)))]));
    }
}
