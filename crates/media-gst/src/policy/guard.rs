//! The last word about addresses: every connection that this process makes, whoever makes it.
//!
//! The executable `salono-processor` has `connect`, `sendto`, `sendmsg` and `sendmmsg` of its own, which the dynamic linker puts before those of the C
//! library for all libraries that GStreamer brings (GIO, libsrt, librtmp, curl). They refuse addresses that are not public with
//! `EACCES`, after resolving and before anything is sent: a redirect, a playlist or a name that resolves to something else the second
//! time meets the same check. The resolver of the C library does not come here, so its servers may be private.
//!
//! Until [`open`] or [`restrict`] was called, everything but a connection within a socket pair is refused. What listens is not affected.

use super::is_public;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

const CLOSED: u8 = 0;
const PUBLIC: u8 = 1;
const OPEN: u8 = 2;

static MODE: AtomicU8 = AtomicU8::new(CLOSED);

static REFUSED: Mutex<Option<(IpAddr, Instant)>> = Mutex::new(None);

/// What fails later than this after a refusal fails for another reason.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Lets public addresses be reached.
pub fn restrict() {
    MODE.store(PUBLIC, Ordering::Release);
}

/// Lets all addresses be reached.
pub fn open() {
    MODE.store(OPEN, Ordering::Release);
}

/// The address that was refused just now, for the text of an error; forgets it.
pub fn take_refused() -> Option<IpAddr> {
    REFUSED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .filter(|(_, at)| at.elapsed() < REMEMBERED)
        .map(|(address, _)| address)
}

/// Whether something may be sent to an address, as the system calls have it. Refuses what it cannot read.
///
/// # Safety
/// `address` is null or points to `length` readable bytes.
#[allow(unsafe_code, reason = "reads what system calls are given")]
pub unsafe fn is_allowed(address: *const libc::sockaddr, length: usize) -> bool {
    if address.is_null() {
        return true;
    }
    if length < size_of::<libc::sa_family_t>() {
        return false;
    }
    // SAFETY: the family is within the length; alignment is not assumed.
    let family = unsafe { (&raw const (*address).sa_family).read_unaligned() };
    let ip = match i32::from(family) {
        // Dissolves an association.
        libc::AF_UNSPEC => return true,
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: long enough for its family.
            let socket = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            IpAddr::V4(Ipv4Addr::from(u32::from_be(socket.sin_addr.s_addr)))
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: long enough for its family.
            let socket = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            IpAddr::V6(Ipv6Addr::from(socket.sin6_addr.s6_addr))
        }
        // Local sockets lead to services of this machine; of other families nothing is known.
        _ => return MODE.load(Ordering::Acquire) == OPEN,
    };
    let allowed = match MODE.load(Ordering::Acquire) {
        OPEN => true,
        PUBLIC => is_public(ip),
        _ => false,
    };
    if !allowed {
        *REFUSED.lock().unwrap_or_else(PoisonError::into_inner) = Some((ip, Instant::now()));
    }
    allowed
}
