//! Takes from a process what it does not need, before it handles what strangers send.
//!
//! Codecs and containers are parsed by a lot of code in C. A media processor therefore gives up, in two steps:
//!
//! 1. [`start`], first of all: descriptors that were not meant for it, memory beyond a bound, core files; it ends when its
//!    parent does, is chosen first when memory runs out, and gives way to the parent when there is too little of the
//!    processors.
//! 2. [`confine`], when its libraries are initialised and before it has another thread: every file
//!    but the [`Files`] that it names (Landlock), and for ever all system calls that start programs, make processes,
//!    look into other ones, change identity, or reach rarely used parts of the kernel (seccomp).
//!
//! What a kernel does not have is left out and told by [`Confined`]; what it has must succeed.

mod files;
mod filter;
mod limits;

pub use files::Files;
pub use limits::start;

/// Environment variable with the memory that the process may have, in bytes; 0 or nothing for any.
pub const MEMORY: &str = "SALONO_SANDBOX_MEMORY";

/// Environment variable with what may be read beside what every program needs, as a list like `PATH`.
pub const READ: &str = "SALONO_SANDBOX_READ";

/// The same for what may be written as well.
pub const WRITE: &str = "SALONO_SANDBOX_WRITE";

/// Why a process could not give something up. It should end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A limit could not be set.
    #[error("cannot limit {what}: {error}")]
    Limit {
        /// What.
        what: &'static str,
        /// What the kernel says.
        error: std::io::Error,
    },
    /// The files could not be given up.
    #[error("cannot give up files: {0}")]
    Files(#[from] landlock::RulesetError),
    /// The system calls could not be given up.
    #[error("cannot give up system calls: {0}")]
    Calls(std::io::Error),
    /// There are other threads, which would keep what this one gives up.
    #[error("{0} threads run already")]
    Threads(usize),
}

/// What a process gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confined {
    /// All files but the named ones; false when the kernel has no Landlock.
    pub files: bool,
    /// System calls; false on architectures that the list is not made for.
    pub calls: bool,
}

/// Gives up everything but these files and harmless system calls, for ever.
///
/// # Errors
/// When there are other threads, or the kernel refuses what it should be able to do. Some of it may be given up.
pub fn confine(files: &Files) -> Result<Confined, SandboxError> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(SandboxError::Threads(threads));
    }
    limits::no_new_privileges()?;
    Ok(Confined {
        files: files.confine()?,
        calls: filter::install().map_err(SandboxError::Calls)?,
    })
}
