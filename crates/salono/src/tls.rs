//! The HTTPS certificate: one's own, or a self-signed one that is made once and kept.
//!
//! The self-signed one lies in `DATA/tls/`: `key.pem` (mode 0600), `certificate.pem`, and
//! `certificate.json` with the names it was made for and when it ends. It is made anew when a name
//! is missing, when it is about to end, or when the files do not belong together.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Web};

mod pem;
mod pkcs8;
mod renewal;

/// Life of a self-signed certificate. Some systems refuse certificates of more than 398 days.
const LIFE: Duration = Duration::from_secs(397 * 86_400);

/// It is made anew when less than this is left.
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);

/// Clocks of browsers may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(86_400);

/// The certificate cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot {what} {}: {error} (set data_dir or --data-dir to a folder of your own)", path.display())]
    Store {
        /// Read or write.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file of one's own is no PEM.
    #[error("{}: {error}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        error: rustls::pki_types::pem::Error,
    },
    /// The private key of a file of one's own cannot be used.
    #[error("{}: {why}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        why: &'static str,
    },
    /// Certificate and key cannot be used together, or not at all.
    #[error("the TLS certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// It cannot be made.
    #[error("cannot make a TLS certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// A certificate with what is to be said of it.
pub(crate) struct Certificate {
    /// For the listener.
    pub(crate) server: Arc<ServerConfig>,
    /// Browsers do not know who signed it.
    pub(crate) self_signed: bool,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

/// What the self-signed certificate was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MadeFor {
    /// Names and addresses.
    names: BTreeSet<String>,
    /// Seconds since 1970.
    ends: u64,
}

/// The configured certificate, or the kept one, or a new one for these addresses.
pub(crate) fn certificate(
    web: &Web,
    data_dir: &Path,
    ips: impl IntoIterator<Item = IpAddr>,
) -> Result<Certificate, TlsError> {
    if let (Some(cert), Some(key)) = (&web.tls_cert, &web.tls_key) {
        return Ok(Certificate {
            server: pem::server_config(cert, key, "")?,
            self_signed: false,
            path: cert.clone(),
        });
    }
    let folder = data_dir.join("tls");
    let cert = folder.join("certificate.pem");
    let key = folder.join("key.pem");
    let note = folder.join("certificate.json");
    let names = names(ips);
    let server = if is_current(&note, &names) {
        pem::server_config(&cert, &key, "")
    } else {
        make(&cert, &key, &note, &names)
    };
    let server = match server {
        // Files that were copied, cut or mixed up: they are ours, so they are made anew.
        Err(TlsError::Pem { .. } | TlsError::Unusable(_)) => make(&cert, &key, &note, &names),
        Err(TlsError::Store { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            make(&cert, &key, &note, &names)
        }
        other => other,
    }?;
    Ok(Certificate {
        server,
        self_signed: true,
        path: cert,
    })
}

/// What the TLS listener of the Kurento Protocol shows: its own certificate, or that of HTTPS.
pub(crate) fn kurento(
    config: &Config,
    ips: impl IntoIterator<Item = IpAddr>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let kurento = &config.kurento;
    match &kurento.tls_certificate {
        Some(path) => pem::server_config(path, path, &kurento.tls_password),
        None => certificate(&config.web, &config.data_dir, ips).map(|made| made.server),
    }
}

/// What the certificate is for: this host by all its names.
fn names(ips: impl IntoIterator<Item = IpAddr>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ips
        .into_iter()
        .filter(|ip| !ip.is_unspecified())
        .map(|ip| ip.to_string())
        .collect();
    names.insert("localhost".to_owned());
    names.insert(Ipv4Addr::LOCALHOST.to_string());
    names.insert(Ipv6Addr::LOCALHOST.to_string());
    if let Ok(host) = fs::read_to_string("/proc/sys/kernel/hostname") {
        let host = host.trim();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !host.is_empty() && host.chars().all(letters) {
            names.insert(host.to_owned());
        }
    }
    names
}

/// Whether the kept certificate is good for these names for some time.
fn is_current(note: &Path, names: &BTreeSet<String>) -> bool {
    let Ok(text) = fs::read_to_string(note) else {
        return false;
    };
    let Ok(made) = serde_json::from_str::<MadeFor>(&text) else {
        return false;
    };
    let left = Duration::from_secs(made.ends).saturating_sub(since_1970());
    // One that ends later than any that is made now was made with a clock that was wrong.
    left > RENEWAL && left <= LIFE + CLOCK_SKEW && names.is_subset(&made.names)
}

fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Makes a key and a certificate and keeps them.
fn make(
    cert: &Path,
    key: &Path,
    note: &Path,
    names: &BTreeSet<String>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let now = since_1970();
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Salono (self-signed)");
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(CLOCK_SKEW);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + (now + LIFE);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&pair)?;
    let made = MadeFor {
        names: names.clone(),
        ends: (now + LIFE).as_secs(),
    };
    if let Some(folder) = cert.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| TlsError::Store {
            what: "make",
            path: folder.to_owned(),
            error,
        })?;
    }
    // The note last: without it the others are not believed.
    let note_text = serde_json::to_string(&made).map_err(|error| TlsError::Store {
        what: "write",
        path: note.to_owned(),
        error: error.into(),
    })?;
    store(key, &pair.serialize_pem(), 0o600)?;
    store(cert, &certificate.pem(), 0o644)?;
    store(note, &note_text, 0o644)?;
    tracing::info!(path = %cert.display(), "self-signed certificate made");
    pem::server_config(cert, key, "")
}

/// Replaces a file as a whole.
fn store(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let temporary = path.with_extension("new");
    let write = || {
        // One that was left behind may have another mode.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| TlsError::Store {
        what: "write",
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests;
