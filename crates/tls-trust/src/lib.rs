//! Whom `wss://` connections believe: a choice that the clients of media servers and of room
//! servers share.
//!
//! [`Trust`] is what an application chooses; [`Trust::tls_config`] is what the TLS library makes of
//! it. Nothing here opens a connection.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, RootCertStore,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// Whom a `wss://` connection believes to be its server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Trust(Kind);

#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    System,
    Given(Arc<ClientConfig>),
}

/// Certificates cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The text is no PEM.
    #[error("no PEM: {0}")]
    Pem(String),
    /// There is no certificate in it.
    #[error("no certificate in the PEM text")]
    Empty,
    /// The TLS library refuses them.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// Servers whose certificate leads to an authority that this system knows, and is for the host
    /// of the URL. The default.
    ///
    /// The system's certificates are read once per process, at the first such connection. Android
    /// and iOS do not show theirs to programs: there the authorities count that Mozilla trusted when
    /// this library was built, beside those that can be read.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// Servers whose certificate leads to one of these (PEM, one or more), or is one of them, and is
    /// for the host of the URL. Nothing else is believed, not even what the system knows.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn roots_pem(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|error| TrustError::Pem(error.to_string()))?)?;
        }
        if roots.is_empty() {
            return Err(TrustError::Empty);
        }
        Ok(Self(Kind::Given(Arc::new(verifying(roots)?))))
    }

    /// Any server, whoever it is: the connection is encrypted, but somebody in between can read and
    /// change it. For tests, and for networks that nobody else can reach.
    ///
    /// # Errors
    /// [`TrustError::Tls`] when the TLS library has no protocol version in common with itself.
    pub fn anybody() -> Result<Self, TrustError> {
        let provider = provider();
        let verifier = Arc::new(Anybody(Arc::clone(&provider)));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Kind::Given(Arc::new(config))))
    }

    /// As the TLS library has it, for connections of one's own that believe the same.
    ///
    /// # Errors
    /// [`TrustError::Tls`].
    pub fn tls_config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        match &self.0 {
            Kind::Given(config) => Ok(Arc::clone(config)),
            Kind::System => match SYSTEM.get() {
                Some(config) => Ok(Arc::clone(config)),
                None => {
                    let config = Arc::new(verifying(system_roots())?);
                    Ok(Arc::clone(SYSTEM.get_or_init(|| config)))
                }
            },
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The authorities that this system knows; those that cannot be read are left out.
fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "certificates of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    #[cfg(any(target_os = "android", target_os = "ios"))]
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    tracing::debug!(known = roots.len(), unusable, "certificates of the system");
    roots
}

fn verifying(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Believes everybody, but still that the peer has the key of its certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[test]
    fn texts_without_a_certificate_are_refused() {
        assert_eq!(Trust::roots_pem(b"").unwrap_err(), TrustError::Empty);
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        let error = Trust::roots_pem(cut).unwrap_err();
        assert!(matches!(error, TrustError::Pem(_)), "{error:?}");
        let wrong = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = Trust::roots_pem(wrong).unwrap_err();
        assert!(matches!(error, TrustError::Tls(_)), "{error:?}");
    }

    #[test]
    fn a_system_without_certificates_is_no_error_before_a_connection() {
        assert!(Trust::default().tls_config().is_ok());
        assert!(verifying(RootCertStore::empty()).is_ok());
    }
}
