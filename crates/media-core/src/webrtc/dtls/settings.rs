//! What every session has in common: ciphers, curves, SRTP profiles, sizes.

use openssl::error::ErrorStack;
use openssl::pkey::{PKeyRef, Private};
use openssl::ssl::{
    SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;

/// Largest datagram of a handshake.
pub(super) const MTU: u32 = 1_200;
/// Forward secrecy and authenticated encryption alone (RFC 8827 §6.5). Level 1 turns away keys of
/// less than 80 bits of security.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:@SECLEVEL=1";
const GROUPS: &str = "X25519:P-256";
/// The cheapest first; as server OpenSSL picks by this order, whatever the client's is.
const PROFILES: &str = "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:\
    SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";

/// What sessions that present a certificate are made from.
///
/// # Errors
/// When the key is not that of the certificate, or OpenSSL lacks one of the algorithms.
pub(crate) fn context(chain: &[X509], key: &PKeyRef<Private>) -> Result<SslContext, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::dtls())?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_cipher_list(CIPHERS)?;
    context.set_groups_list(GROUPS)?;
    context.set_tlsext_use_srtp(PROFILES)?;
    // A certificate is required; whose it is, the fingerprint says.
    context.set_verify_callback(
        SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        |_, _| true,
    );
    context.set_options(
        SslOptions::NO_QUERY_MTU
            | SslOptions::NO_TICKET
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    context.set_mode(SslMode::RELEASE_BUFFERS);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    let mut certificates = chain.iter();
    if let Some(leaf) = certificates.next() {
        context.set_certificate(leaf)?;
    }
    for certificate in certificates {
        context.add_extra_chain_cert(certificate.clone())?;
    }
    context.set_private_key(key)?;
    context.check_private_key()?;
    Ok(context.build())
}
