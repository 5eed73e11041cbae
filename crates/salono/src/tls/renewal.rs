//! Certificates that are renewed while the server runs.
//!
//! Programs that renew certificates replace the files; the next handshake shows the new certificate.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{TlsError, pem};
use crate::watched::Watched;

/// A certificate by its files.
pub(super) struct Renewing {
    /// Chain and key.
    files: Watched<CertifiedKey>,
    password: String,
}

impl Renewing {
    /// Reads the files for the first time.
    pub(super) fn read(chain: PathBuf, key: PathBuf, password: String) -> Result<Self, TlsError> {
        let files = Watched::read(vec![chain, key], |paths| certified(paths, &password))?;
        Ok(Self { files, password })
    }

    fn certificate(&self, now: Instant) -> Arc<CertifiedKey> {
        self.files
            .get(now, |paths| certified(paths, &self.password))
    }
}

fn certified(paths: &[PathBuf], password: &str) -> Result<CertifiedKey, TlsError> {
    pem::certified_key(&paths[0], &paths[1], password)
}

impl fmt::Debug for Renewing {
    // Passwords and keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewing")
            .field("files", &self.files.paths())
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::watched::{INTERVAL, look_again};

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
