//! The SRTP keys that a peer's stack agreed on, for what is done beside it.
//!
//! The stack keeps them to itself, but asks its DTLS implementation for them; ours passes all on to the usual one and
//! takes note.

use super::{PeerError, failed};
use salono_rtp::srtp::{DirectionalKeys, Profile, split_keying_material};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
    SrtpProfile,
};
use str0m::crypto::from_feature_flags;

/// The keys of one connection, once DTLS has agreed on them.
pub(crate) type KeySlot = Arc<OnceLock<DirectionalKeys>>;

thread_local! {
    /// Of the connection that this thread made last.
    static LAST: RefCell<KeySlot> = RefCell::default();
}

/// The usual algorithms, with DTLS that can be listened to.
pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        dtls_provider: &Witness,
        ..from_feature_flags()
    }
}

/// Makes a connection by `make` and returns it with the place where its keys will be.
pub(super) fn with_keys<T>(make: impl FnOnce() -> T) -> (T, KeySlot) {
    LAST.take();
    let made = make();
    (made, LAST.take())
}

/// Makes the usual connections, with an ear at each.
#[derive(Debug)]
struct Witness;

impl DtlsProvider for Witness {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let usual = from_feature_flags().dtls_provider;
        let inner = usual.new_dtls(certificate, now, version, mtu)?;
        let keys = LAST.with_borrow(Arc::clone);
        Ok(Box::new(Overheard { inner, keys }))
    }
}

/// One connection.
#[derive(Debug)]
struct Overheard {
    inner: Box<dyn DtlsInstance>,
    keys: KeySlot,
}

impl DtlsInstance for Overheard {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let is_client = self.inner.is_active();
        let output = self.inner.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output
            && let Ok(keys) = directional(material.as_ref(), *profile, is_client)
        {
            // Keys are agreed on once; later ones would be those of a renegotiation, which nobody does.
            let _ = self.keys.set(keys);
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}

/// What DTLS exported as keys of ours and of the other side.
fn directional(
    material: &[u8],
    profile: SrtpProfile,
    is_client: bool,
) -> Result<DirectionalKeys, PeerError> {
    let profile = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
        other => return Err(failed(format!("unknown SRTP profile {other}"))),
    };
    split_keying_material(profile, material, is_client).map_err(failed)
}
