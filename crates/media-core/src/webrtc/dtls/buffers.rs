//! The record buffers of an idle session, about 34 kB, given back.
//!
//! After the handshake DTLS has little to say: messages of data channels, or nothing at all. What
//! OpenSSL calls releasing buffers does not reach its DTLS sessions, so it is done here.
#![expect(unsafe_code, reason = "calls that the safe binding lacks")]

use foreign_types::ForeignTypeRef;
use openssl::ssl::SslRef;
use std::ffi::c_int;

unsafe extern "C" {
    /// OpenSSL 1.1.1 and newer; does nothing while records wait in the buffers.
    fn SSL_free_buffers(ssl: *mut openssl_sys::SSL) -> c_int;
    /// OpenSSL 1.1.1 and newer; does nothing when the buffers are there.
    fn SSL_alloc_buffers(ssl: *mut openssl_sys::SSL) -> c_int;
}

/// Gives back the buffers; [`provide`] must come before the next use of the session.
pub(super) fn release(ssl: &SslRef) {
    // SAFETY: the session is alive and nothing else uses it during the call.
    unsafe { SSL_free_buffers(ssl.as_ptr()) };
}

/// Makes the buffers again; false when there is no memory for them.
pub(super) fn provide(ssl: &SslRef) -> bool {
    // SAFETY: as above.
    unsafe { SSL_alloc_buffers(ssl.as_ptr()) == 1 }
}
