//! Certificates that are renewed while the server runs.
//!
//! Programs that renew certificates replace the files. Every few seconds, when somebody connects, the
//! files are looked at; when they have changed, the next handshake shows the new certificate. One that
//! cannot be used is complained of and the last good one stays.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{TlsError, pem};

/// How often files are looked at, unless somebody asks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts how often somebody asked.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// The next handshakes look at the files, whenever these were looked at last.
pub(crate) fn look_again() {
    ASKED.fetch_add(1, Ordering::Relaxed);
}

/// What a file looked like: when it was written, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// A certificate by its files.
pub(super) struct Renewing {
    chain: PathBuf,
    key: PathBuf,
    password: String,
    shown: Mutex<Shown>,
}

/// What handshakes show now.
struct Shown {
    certificate: Arc<CertifiedKey>,
    /// Of what was read last, good or not.
    stamps: [Stamp; 2],
    looked: Instant,
    asked: u64,
}

impl Renewing {
    /// Reads the files for the first time.
    pub(super) fn read(chain: PathBuf, key: PathBuf, password: String) -> Result<Self, TlsError> {
        let stamps = [stamp(&chain), stamp(&key)];
        let certificate = Arc::new(pem::certified_key(&chain, &key, &password)?);
        let shown = Mutex::new(Shown {
            certificate,
            stamps,
            looked: Instant::now(),
            asked: ASKED.load(Ordering::Relaxed),
        });
        Ok(Self {
            chain,
            key,
            password,
            shown,
        })
    }

    fn certificate(&self, now: Instant) -> Arc<CertifiedKey> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = ASKED.load(Ordering::Relaxed);
        if asked == shown.asked && now.saturating_duration_since(shown.looked) < INTERVAL {
            return Arc::clone(&shown.certificate);
        }
        (shown.asked, shown.looked) = (asked, now);
        let stamps = [stamp(&self.chain), stamp(&self.key)];
        if stamps != shown.stamps {
            shown.stamps = stamps;
            match pem::certified_key(&self.chain, &self.key, &self.password) {
                Ok(certificate) => {
                    shown.certificate = Arc::new(certificate);
                    tracing::info!(path = %self.chain.display(), "renewed certificate read");
                }
                Err(error) => {
                    tracing::warn!(%error, "the renewed certificate cannot be used, the former one stays");
                }
            }
        }
        Arc::clone(&shown.certificate)
    }
}

impl fmt::Debug for Renewing {
    // Passwords and keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewing")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate(Instant::now()))
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Writes a new certificate for this name; gives the chain's bytes.
    fn write(folder: &Folder, name: &str) {
        let pair = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let chain = params.self_signed(&pair).unwrap();
        fs::write(folder.0.join("chain.pem"), chain.pem()).unwrap();
        fs::write(folder.0.join("key.pem"), pair.serialize_pem()).unwrap();
    }

    #[test]
    fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
        let path = std::env::temp_dir().join(format!("salono-renewal-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder(path);
        write(&folder, "first.example");
        let (chain, key) = (folder.0.join("chain.pem"), folder.0.join("key.pem"));
        let kept = Renewing::read(chain.clone(), key, String::new()).unwrap();
        let start = Instant::now();
        let first = kept.certificate(start).cert.clone();

        write(&folder, "a-longer-name.second.example");
        assert_eq!(kept.certificate(start).cert, first, "not looked at yet");
        let second = kept.certificate(start + INTERVAL).cert.clone();
        assert_ne!(second, first);

        fs::write(&chain, "damaged").unwrap();
        assert_eq!(kept.certificate(start + 2 * INTERVAL).cert, second);
        write(&folder, "the-third-name.example");
        look_again();
        assert_ne!(kept.certificate(start + 2 * INTERVAL).cert, second);
    }
}
