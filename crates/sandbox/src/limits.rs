//! What a process limits itself to at its start.

#![expect(unsafe_code, reason = "system calls")]

use crate::{MEMORY, SandboxError};
use std::io;

/// The first descriptor that a processor is not meant to have: 0 to 2 are the usual ones, 3 and 4 its sockets.
const FIRST_SURPLUS: libc::c_uint = 5;

/// Most open files: sockets of many sources, and segments of files.
const FILES: u64 = 4_096;

/// Stack of threads that do not ask for another, instead of the system's 8 MiB, which count against the memory.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// How much sooner than other processes it is ended when the machine runs out of memory, out of 1000.
const OOM_SCORE: &str = "500";

/// How much it gives way to others on the processors, out of 19.
const NICE: libc::c_int = 2;

/// The least memory that makes sense, in bytes; less is taken for this.
const LEAST_MEMORY: u64 = 64 * 1024 * 1024;

/// Gives up what a processor does not need from its first moment on. To be called before anything else.
///
/// # Errors
/// When the kernel refuses what every process may do.
pub fn start() -> Result<(), SandboxError> {
    end_with_parent()?;
    close_surplus();
    // SAFETY: takes no pointers.
    unsafe { libc::umask(0o027) };
    limit("core files", libc::RLIMIT_CORE, 0)?;
    limit("open files", libc::RLIMIT_NOFILE, FILES)?;
    limit("locked memory", libc::RLIMIT_MEMLOCK, 0)?;
    limit("real-time priority", libc::RLIMIT_RTPRIO, 0)?;
    limit("message queues", libc::RLIMIT_MSGQUEUE, 0)?;
    let memory = std::env::var(MEMORY)
        .ok()
        .and_then(|text| text.parse().ok());
    if let Some(memory @ 1..) = memory {
        // Not the address space: allocators and codecs reserve far more of that than they use.
        limit("memory", libc::RLIMIT_DATA, LEAST_MEMORY.max(memory))?;
    }
    smaller_stacks();
    give_way();
    Ok(())
}

/// Whatever is executed from now on gets no privilege that this process does not have; needed for the rest.
pub(crate) fn no_new_privileges() -> Result<(), SandboxError> {
    // SAFETY: takes no pointers.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    done("privileges", result)
}

/// Is ended at once when whoever started it ends, however that happens. That it has ended before is told by
/// the end of the control stream.
fn end_with_parent() -> Result<(), SandboxError> {
    // SAFETY: takes no pointers.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    done("its life", result)
}

/// Closes what was inherited by mistake. A kernel that cannot do that at once leaves it.
fn close_surplus() {
    // SAFETY: takes no pointers; nothing in this process has opened anything yet.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST_SURPLUS, libc::c_uint::MAX, 0) };
}

/// Sets a limit for ever, unless it is lower already.
fn limit(what: &'static str, resource: Resource, most: u64) -> Result<(), SandboxError> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives until the call returns.
    done(what, unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    limit.rlim_max = limit.rlim_max.min(most);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    done(what, unsafe { libc::setrlimit(resource, &raw const limit) })
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Best effort: without it threads reserve more than they need.
fn smaller_stacks() {
    #[cfg(target_env = "gnu")]
    {
        // Of the C library, but not of its binding.
        unsafe extern "C" {
            fn pthread_setattr_default_np(attributes: *const libc::pthread_attr_t) -> libc::c_int;
        }
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the first call initialises what the others read; it is used nowhere else.
        unsafe {
            if libc::pthread_attr_init(attributes) == 0 {
                if libc::pthread_attr_setstacksize(attributes, STACK_BYTES) == 0 {
                    pthread_setattr_default_np(attributes);
                }
                libc::pthread_attr_destroy(attributes);
            }
        }
    }
}

/// Best effort: forwarding goes before processing.
fn give_way() {
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    // SAFETY: takes no pointers; 0 is this process.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

fn done(what: &'static str, result: libc::c_int) -> Result<(), SandboxError> {
    if result < 0 {
        let error = io::Error::last_os_error();
        return Err(SandboxError::Limit { what, error });
    }
    Ok(())
}
