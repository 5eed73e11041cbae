//! The self-signed certificate that DTLS presents (RFC 5763).

use aws_lc_rs::digest;
use dimpl::{DtlsCertificate, certificate};
use salono_sdp::{Fingerprint, HashFunction};

/// An ECDSA P-256 certificate with its key, made once per process.
#[derive(Clone)]
pub struct Certificate {
    dtls: DtlsCertificate,
    fingerprint: Vec<u8>,
}

/// The system could not make a key or sign the certificate.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a DTLS certificate: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// Makes a new key and certificate.
    ///
    /// # Errors
    /// When the cryptographic library fails, for want of randomness for example.
    pub fn generate() -> Result<Self, CertificateError> {
        let dtls = certificate::generate_self_signed_certificate()
            .map_err(|error| CertificateError(format!("{error:?}")))?;
        let fingerprint = certificate::calculate_fingerprint(&dtls.certificate);
        Ok(Self { dtls, fingerprint })
    }

    /// SHA-256 of the certificate, as `a=fingerprint:sha-256` carries it (RFC 8122).
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    pub(crate) fn to_dtls(&self) -> DtlsCertificate {
        self.dtls.clone()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// Whether a DER certificate is the one that a description announced.
pub(crate) fn matches(der: &[u8], fingerprint: &Fingerprint) -> bool {
    let algorithm = match fingerprint.algorithm {
        HashFunction::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashFunction::Sha224 => &digest::SHA224,
        HashFunction::Sha256 => &digest::SHA256,
        HashFunction::Sha384 => &digest::SHA384,
        HashFunction::Sha512 => &digest::SHA512,
    };
    digest::digest(algorithm, der).as_ref() == fingerprint.digest
}
