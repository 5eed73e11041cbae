//! The certificates that DTLS presents (RFC 5763): self-signed, or an operator's own.

use crate::webrtc::dtls_context;
use aws_lc_rs::digest;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslContext, SslContextRef};
use openssl::x509::{X509, X509Name};
use salono_media_api::CertificateKind;
use salono_sdp::{Fingerprint, HashFunction};
use std::sync::{Arc, OnceLock};

/// Days that a certificate of ours is valid; nobody but the fingerprint is asked.
const VALID_DAYS: u32 = 365;
/// Size of RSA keys that are made here.
const RSA_BITS: u32 = 2_048;
/// Longest PEM text that is read.
const MAX_PEM_BYTES: usize = 256 * 1024;

/// A certificate with its key, and the DTLS settings that present it.
#[derive(Clone)]
pub struct Certificate {
    kind: CertificateKind,
    context: SslContext,
    fingerprint: Vec<u8>,
}

/// A certificate cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The cryptographic library failed, for want of randomness for example.
    #[error("cannot make a DTLS certificate: {0}")]
    Generate(ErrorStack),
    /// The PEM text is not a certificate chain with the key of its first certificate.
    #[error("not usable for DTLS: {0}")]
    Pem(String),
}

impl Certificate {
    /// Makes a new ECDSA key on P-256 and a self-signed certificate.
    ///
    /// # Errors
    /// [`CertificateError::Generate`].
    pub fn generate() -> Result<Self, CertificateError> {
        Self::generate_kind(CertificateKind::Ecdsa)
    }

    /// Makes a new key and a self-signed certificate. An RSA key takes about a tenth of a second.
    ///
    /// # Errors
    /// [`CertificateError::Generate`].
    pub fn generate_kind(kind: CertificateKind) -> Result<Self, CertificateError> {
        let make = || {
            let key = match kind {
                CertificateKind::Ecdsa => {
                    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                    PKey::from_ec_key(EcKey::generate(&group)?)?
                }
                CertificateKind::Rsa => PKey::from_rsa(Rsa::generate(RSA_BITS)?)?,
            };
            let certificate = self_signed(&key)?;
            Self::new(kind, &[certificate], &key)
        };
        make().map_err(CertificateError::Generate)
    }

    /// Reads a certificate chain, the endpoint's own first, and its key, in any order: PKCS #8,
    /// PKCS #1 or SEC 1, not encrypted.
    ///
    /// # Errors
    /// [`CertificateError::Pem`], which says what is wrong with the text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let wrong = |what: &str| CertificateError::Pem(what.to_owned());
        let refused = |what: &str, error: ErrorStack| {
            // Texts of the library are for those who know it; the first one says most.
            let reason = error
                .errors()
                .first()
                .and_then(|error| error.reason())
                .unwrap_or("unknown reason");
            CertificateError::Pem(format!("{what}: {reason}"))
        };
        if pem.len() > MAX_PEM_BYTES {
            return Err(wrong("the file is too long"));
        }
        let chain = X509::stack_from_pem(pem)
            .map_err(|error| refused("cannot read a certificate", error))?;
        if chain.is_empty() {
            return Err(wrong("there is no certificate in it"));
        }
        // Without the callback OpenSSL would ask the terminal for a password.
        let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0))
            .map_err(|error| refused("cannot read the private key", error))?;
        let kind = match key.id() {
            Id::RSA | Id::RSA_PSS => CertificateKind::Rsa,
            Id::EC => CertificateKind::Ecdsa,
            _ => return Err(wrong("the key is neither RSA nor ECDSA")),
        };
        Self::new(kind, &chain, &key)
            .map_err(|error| refused("certificate and key do not go together", error))
    }

    fn new(kind: CertificateKind, chain: &[X509], key: &PKey<Private>) -> Result<Self, ErrorStack> {
        let fingerprint = match chain.first() {
            Some(leaf) => leaf.digest(MessageDigest::sha256())?.to_vec(),
            None => Vec::new(),
        };
        Ok(Self {
            kind,
            context: dtls_context(chain, key)?,
            fingerprint,
        })
    }

    /// The type of its key.
    pub fn kind(&self) -> CertificateKind {
        self.kind
    }

    /// SHA-256 of the certificate, as `a=fingerprint:sha-256` carries it (RFC 8122).
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    pub(crate) fn context(&self) -> &SslContextRef {
        &self.context
    }

    /// The certificate in DER.
    pub(crate) fn der(&self) -> Option<Vec<u8>> {
        self.context.certificate()?.to_der().ok()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The certificates of a process, one per type of key, each made when the first endpoint asks for
/// it: an RSA key is expensive, and a server without calls need not touch the library at all.
/// Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    ecdsa: Slot,
    rsa: Slot,
    prefers_rsa: bool,
}

type Slot = Arc<OnceLock<Arc<Certificate>>>;

impl Certificates {
    /// Makes an ECDSA certificate now and an RSA one when somebody asks for it.
    ///
    /// # Errors
    /// [`CertificateError::Generate`].
    pub fn generate() -> Result<Self, CertificateError> {
        Ok(Self::default().with(Certificate::generate()?))
    }

    /// Takes an operator's certificate in the place of the one of its type. An RSA one is then also
    /// what endpoints present that ask for no type, as in Kurento.
    #[must_use]
    pub fn with(mut self, certificate: Certificate) -> Self {
        match certificate.kind {
            CertificateKind::Ecdsa => self.ecdsa = slot_with(certificate),
            CertificateKind::Rsa => {
                self.rsa = slot_with(certificate);
                self.prefers_rsa = true;
            }
        }
        self
    }

    /// The certificate for an endpoint that asks for a type, or for none.
    ///
    /// The first call for a type makes the key, which takes about a tenth of a second for RSA;
    /// others that call meanwhile make one too, and all get the same.
    ///
    /// # Errors
    /// [`CertificateError::Generate`].
    pub fn get(&self, kind: Option<CertificateKind>) -> Result<Arc<Certificate>, CertificateError> {
        let (kind, slot) = match kind {
            Some(CertificateKind::Rsa) => (CertificateKind::Rsa, &self.rsa),
            None if self.prefers_rsa => (CertificateKind::Rsa, &self.rsa),
            Some(CertificateKind::Ecdsa) | None => (CertificateKind::Ecdsa, &self.ecdsa),
        };
        if let Some(certificate) = slot.get() {
            return Ok(certificate.clone());
        }
        let made = Certificate::generate_kind(kind)?;
        Ok(slot.get_or_init(|| Arc::new(made)).clone())
    }
}

fn slot_with(certificate: Certificate) -> Slot {
    Arc::new(OnceLock::from(Arc::new(certificate)))
}

fn self_signed(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "WebRTC")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(64, MsbOption::MAYBE_ZERO, false)?;
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    let serial = serial.to_asn1_integer()?;
    certificate.set_serial_number(&serial)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    // A clock of the peer's that is behind must not matter.
    let since = Asn1Time::from_unix(0)?;
    let until = Asn1Time::days_from_now(VALID_DAYS)?;
    certificate.set_not_before(&since)?;
    certificate.set_not_after(&until)?;
    certificate.set_pubkey(key)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ec_key() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("P-256");
        PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
    }

    fn certificate_of(key: &PKey<Private>) -> (Vec<u8>, Vec<u8>) {
        let certificate = self_signed(key).expect("a certificate");
        let digest = certificate
            .digest(MessageDigest::sha256())
            .expect("SHA-256");
        (certificate.to_pem().expect("PEM"), digest.to_vec())
    }

    #[test]
    fn keys_of_every_form_are_read_whatever_their_place_in_the_file() {
        let ec = ec_key();
        let rsa = PKey::from_rsa(Rsa::generate(RSA_BITS).expect("a key")).expect("a key");
        let forms = [
            (&ec, ec.private_key_to_pem_pkcs8(), CertificateKind::Ecdsa),
            (
                &ec,
                ec.ec_key().expect("EC").private_key_to_pem(),
                CertificateKind::Ecdsa,
            ),
            (&rsa, rsa.private_key_to_pem_pkcs8(), CertificateKind::Rsa),
            (
                &rsa,
                rsa.rsa().expect("RSA").private_key_to_pem(),
                CertificateKind::Rsa,
            ),
        ];
        for (key, form, kind) in forms {
            let form = form.expect("PEM");
            let (certificate, fingerprint) = certificate_of(key);
            for pem in [
                [form.clone(), certificate.clone()].concat(),
                [certificate, form].concat(),
            ] {
                let read = Certificate::from_pem(&pem).expect("usable");
                assert_eq!((read.kind(), read.fingerprint()), (kind, &*fingerprint));
            }
        }
    }

    #[test]
    fn the_first_certificate_of_a_chain_is_the_endpoints_own() {
        let (key, other) = (ec_key(), ec_key());
        let (leaf, fingerprint) = certificate_of(&key);
        let (root, _) = certificate_of(&other);
        let form = key.private_key_to_pem_pkcs8().expect("PEM");
        let read = Certificate::from_pem(&[leaf, root, form].concat()).expect("usable");
        assert_eq!(read.fingerprint(), fingerprint);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let (key, other) = (ec_key(), ec_key());
        let (certificate, _) = certificate_of(&key);
        let form = |key: &PKey<Private>| key.private_key_to_pem_pkcs8().expect("PEM");
        let secret = key
            .private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret")
            .expect("PEM");
        for (pem, expected) in [
            (b"".to_vec(), "no certificate"),
            (form(&key), "no certificate"),
            (certificate.clone(), "private key"),
            (
                [certificate.clone(), form(&other)].concat(),
                "do not go together",
            ),
            ([certificate, secret].concat(), "private key"),
            (vec![b'x'; MAX_PEM_BYTES + 1], "too long"),
        ] {
            let error = Certificate::from_pem(&pem).expect_err("not usable");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn an_operators_rsa_certificate_is_the_default_and_an_ecdsa_one_takes_its_place_alone() {
        let made = Certificates::generate().expect("certificates");
        let rsa = Certificate::generate_kind(CertificateKind::Rsa).expect("one");
        let ecdsa = Certificate::generate().expect("one");
        let of = |certificates: &Certificates, kind| {
            let certificate = certificates.get(kind).expect("one");
            certificate.fingerprint().to_vec()
        };
        let with_ecdsa = made.clone().with(ecdsa.clone());
        assert_eq!(of(&with_ecdsa, None), ecdsa.fingerprint());
        let with_both = with_ecdsa.with(rsa.clone());
        assert_eq!(of(&with_both, None), rsa.fingerprint());
        let asked = of(&with_both, Some(CertificateKind::Ecdsa));
        assert_eq!(asked, ecdsa.fingerprint());
        let unsaid = made.get(None).expect("one");
        assert_eq!(unsaid.kind(), CertificateKind::Ecdsa);
    }
}
