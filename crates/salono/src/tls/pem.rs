//! Certificate chains and private keys out of PEM files; one file may hold both.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::renewal::Renewing;
use super::{TlsError, pkcs8};

/// Marks the two kinds of keys that need a password.
const ENCRYPTED_PKCS8: &str = "ENCRYPTED PRIVATE KEY-----";
const ENCRYPTED_LEGACY: &str = "Proc-Type: 4,ENCRYPTED";

/// What a listener needs, from a chain and its key, which may be replaced while it runs. The files may
/// be the same one; the password counts only for an encrypted key.
pub(super) fn server_config(
    chain: &Path,
    key: &Path,
    password: &str,
) -> Result<Arc<ServerConfig>, TlsError> {
    let certificate = Renewing::read(chain.to_owned(), key.to_owned(), password.to_owned())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificate));
    // WebSockets need HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// A chain with its key, which belong together.
pub(super) fn certified_key(
    chain: &Path,
    key: &Path,
    password: &str,
) -> Result<CertifiedKey, TlsError> {
    // First, because an old-fashioned key in the same file is in the way of the chain.
    let private = private_key(key, password)?;
    let certificates = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Pem {
            path: chain.to_owned(),
            error,
        })?;
    Ok(CertifiedKey::from_der(certificates, private, &provider())?)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Store {
        what: "read",
        path: path.to_owned(),
        error,
    })
}

/// The first private key of a file.
fn private_key(path: &Path, password: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let fail = |why: &'static str| TlsError::Key {
        path: path.to_owned(),
        why,
    };
    if text.contains(ENCRYPTED_LEGACY) {
        return Err(fail(
            "the private key is encrypted in a way that is not supported: convert it with \
             `openssl pkcs8 -topk8 -in OLD.pem -out NEW.pem`",
        ));
    }
    let pem = |error| TlsError::Pem {
        path: path.to_owned(),
        error,
    };
    if !text.contains(ENCRYPTED_PKCS8) {
        return PrivateKeyDer::from_pem_slice(&bytes).map_err(pem);
    }
    if password.is_empty() {
        return Err(fail(
            "the private key is encrypted and there is no password",
        ));
    }
    // The envelope is no key, but it is written like one.
    let renamed = text.replace(ENCRYPTED_PKCS8, "PRIVATE KEY-----");
    let envelope = PrivatePkcs8KeyDer::from_pem_slice(renamed.as_bytes()).map_err(pem)?;
    let key = pkcs8::decrypt(envelope.secret_pkcs8_der(), password.as_bytes())
        .map_err(|error| fail(error.text()))?;
    Ok(PrivateKeyDer::Pkcs8(key.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    /// A folder that goes away.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A chain, and its key as `openssl` writes it with these options, in one file.
    fn combined(folder: &Folder, name: &str, options: &[&str]) -> PathBuf {
        let pair = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let chain = params.self_signed(&pair).unwrap().pem();
        let plain = folder.0.join("plain.pem");
        fs::write(&plain, pair.serialize_pem()).unwrap();
        let key = if options.is_empty() {
            pair.serialize_pem()
        } else {
            let output = Command::new("openssl")
                .args(options)
                .arg("-in")
                .arg(&plain)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let path = folder.0.join(name);
        fs::write(&path, chain + &key).unwrap();
        path
    }

    #[test]
    fn one_file_may_hold_chain_and_key_with_a_password_or_without() {
        let path = std::env::temp_dir().join(format!("salono-pem-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder(path);
        let pass = ["-passout", "pass:secret"];
        let pkcs8 = |more: &[&'static str]| {
            let mut options = vec!["pkcs8", "-topk8"];
            options.extend(pass);
            options.extend(more);
            options
        };
        for options in [
            vec![],
            pkcs8(&[]),
            pkcs8(&["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"]),
            pkcs8(&["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"]),
        ] {
            let file = combined(&folder, "combined.pem", &options);
            assert!(server_config(&file, &file, "secret").is_ok(), "{options:?}");
            if !options.is_empty() {
                for wrong in ["", "wrong"] {
                    let error = server_config(&file, &file, wrong).unwrap_err().to_string();
                    assert!(error.contains("password"), "{error}");
                }
            }
        }
        for (options, word) in [
            (pkcs8(&["-v2", "des3"]), "not supported"),
            (pkcs8(&["-scrypt"]), "not supported"),
            (
                vec!["ec", "-aes256", "-passout", "pass:secret"],
                "openssl pkcs8",
            ),
        ] {
            let file = combined(&folder, "combined.pem", &options);
            let error = server_config(&file, &file, "secret")
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{options:?}: {error}");
        }
    }
}
