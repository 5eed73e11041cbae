//! Why the command ends without having done its work, in words that say what to do.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use salono_media_engine::StartError;

use crate::config;
use crate::tls::TlsError;

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The log filter cannot be used.
    #[error("log.filter (--log): {0}")]
    LogFilter(String),
    /// A TCP port is taken.
    #[error(
        "{address} is in use by another program (`ss -ltnp` shows which): choose another address \
         with {flag} ADDR or {key} in salono.toml"
    )]
    PortInUse {
        /// Where.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// The key that changes it.
        key: &'static str,
    },
    /// A listener cannot be opened for another reason.
    #[error("cannot listen on {address}: {error} (change it with {flag} ADDR or {key})")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// The key that changes it.
        key: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// Nothing to serve on.
    #[error("{0}")]
    NothingToDo(&'static str),
    /// The media shards did not start.
    #[error("{0} (flags: --media-port, --media-ip, --announce-ip, --shards)")]
    Media(#[from] StartError),
    /// An interface of `media.interfaces` has no address.
    #[error("media.interfaces: {0} has no address or does not exist (`ip address` lists them)")]
    Interface(String),
    /// The certificate cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The object model ended while starting.
    #[error("the media server ended while it started")]
    MediaEnded,
    /// Whom to trust cannot be read.
    #[error("room.kms_certificates: {}: {why}", path.display())]
    Certificates {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A regular expression of the configuration is none.
    #[error("{key}: {why}")]
    Pattern {
        /// Where it stands.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// The token of administrators cannot be used.
    #[error("room.admin_token_file: {}: {why}", path.display())]
    AdminToken {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file of keys for tokens cannot be used.
    #[error("{}: {why}", path.display())]
    Keys {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The certificates of relays cannot be read.
    #[error("media.relay_roots: {}: {error}", path.display())]
    RelayRoots {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The registrar's URL cannot be used.
    #[error("kurento.registrar: {0}")]
    Registrar(String),
    /// The ports file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    PortsFile {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// `salono bench leak` found a leak.
    #[error("left behind: {0}")]
    LeftBehind(String),
    /// Something costs more than it should.
    #[error("more than it should be: {0}")]
    TooMuch(String),
    /// Packets did not arrive.
    #[error("not every packet arrived: {0}")]
    Lossy(String),
    /// Something of the system failed.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: io::Error,
    },
}

impl Failure {
    /// Of `room.kms_certificates`.
    pub(crate) fn certificates(path: &Path, why: &impl ToString) -> Self {
        Self::Certificates {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    /// Of keys for tokens.
    pub(crate) fn keys(path: &Path, why: &impl ToString) -> Self {
        Self::Keys {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    /// For `map_err`.
    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { what, error }
    }
}
