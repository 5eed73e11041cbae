//! Retransmissions without OpenSSL's clock.
//!
//! OpenSSL resends a flight when its own timer, on the wall clock, has run out. Here time is an
//! argument, so that timer is replaced: it runs out at once [`COPIES`] times, which makes OpenSSL
//! write its flight that many times more in the very call that wrote it first, and then never
//! again. Every copy has record sequence numbers of its own, which the peer's replay window wants
//! and which nobody but OpenSSL could give to encrypted records. The copies wait in the session
//! until they are due.
//!
//! This is the only module of this crate with `unsafe`: the call is not in the safe binding.
#![expect(unsafe_code, reason = "calls that the safe binding lacks")]

use foreign_types::ForeignTypeRef;
use openssl::ssl::SslRef;
use std::cell::Cell;
use std::ffi::{c_uint, c_void};

/// Copies of each flight: as many as OpenSSL makes without giving the session up, and enough for the
/// time that a handshake has.
pub(super) const COPIES: u32 = 12;
/// More than an hour, in microseconds: never.
const NEVER: c_uint = c_uint::MAX;

unsafe extern "C" {
    /// OpenSSL 1.1.1 and newer.
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: Option<unsafe extern "C" fn(*mut c_void, c_uint) -> c_uint>,
    );
}

thread_local! {
    /// Which copy of a flight is being written; 0 is the flight itself.
    static COPY: Cell<u32> = const { Cell::new(0) };
}

/// Which copy of its flight OpenSSL is writing on this thread.
pub(super) fn copy() -> u32 {
    COPY.get()
}

/// What is written from here on is no copy, until OpenSSL's timer says so.
pub(super) fn begin_call() {
    COPY.set(0);
}

/// Replaces the timer of a session.
pub(super) fn install(ssl: &SslRef) {
    // SAFETY: the session is alive, and the callback has the type that `DTLS_timer_cb` names; the
    // first argument, a `SSL *`, is not looked at.
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), Some(next_timeout)) }
}

/// Asked with 0 when a flight begins, and with the last answer when that time has passed; answers
/// in microseconds. OpenSSL takes less than 15 ms as passed.
unsafe extern "C" fn next_timeout(_: *mut c_void, last: c_uint) -> c_uint {
    COPY.set(last);
    if last < COPIES { last + 1 } else { NEVER }
}
