//! System calls of this executable that stand before those of the C library, for all shared libraries too: they ask
//! [`guard`](salono_media_gst::policy::guard) first. `build.rs` exports them.

#![allow(unsafe_code, reason = "stands in for functions of the C library")]

use libc::{c_int, c_long, c_uint, c_void, mmsghdr, msghdr, sockaddr, socklen_t, ssize_t};
use salono_media_gst::policy::guard::is_allowed;

/// `connect(2)`.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
unsafe extern "C" fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's pointers, as for the system call.
    unsafe {
        if !is_allowed(address, length as usize) {
            return refuse();
        }
        libc::syscall(libc::SYS_connect, fd, address, length) as c_int
    }
}

/// `sendto(2)`.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendto(
    fd: c_int,
    bytes: *const c_void,
    count: usize,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's pointers, as for the system call.
    unsafe {
        if !is_allowed(address, length as usize) {
            return refuse() as ssize_t;
        }
        libc::syscall(libc::SYS_sendto, fd, bytes, count, flags, address, length) as ssize_t
    }
}

/// `sendmsg(2)`.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's pointers, as for the system call.
    unsafe {
        if !message.is_null() {
            let to = (*message).msg_name.cast::<sockaddr>();
            if !is_allowed(to, (*message).msg_namelen as usize) {
                return refuse() as ssize_t;
            }
        }
        libc::syscall(libc::SYS_sendmsg, fd, message, flags) as ssize_t
    }
}

/// `sendmmsg(2)`.
///
/// # Safety
/// As for the system call.
#[unsafe(no_mangle)]
unsafe extern "C" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's pointers, as for the system call.
    unsafe {
        for at in 0..count as usize {
            let message = &raw const (*messages.add(at)).msg_hdr;
            let to = (*message).msg_name.cast::<sockaddr>();
            if !is_allowed(to, (*message).msg_namelen as usize) {
                return refuse();
            }
        }
        let sent: c_long = libc::syscall(libc::SYS_sendmmsg, fd, messages, count, flags);
        sent as c_int
    }
}

fn refuse() -> libc::c_int {
    // SAFETY: errno of this thread.
    unsafe { *libc::__errno_location() = libc::EACCES };
    -1
}
