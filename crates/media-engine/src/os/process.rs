//! Starting, ending and collecting processes without holding up the other threads of this one.
//!
//! Not by way of [`std::process::Command`]: where it passes more descriptors than three it copies the memory map of this
//! process first, and while that lasts no thread of it gets a page of memory.

use super::{check, owned};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// Descriptors that a child is given are moved out of the way of the numbers that it knows them by.
const FIRST_FREE: libc::c_int = 32;

/// A child of this process that was not collected yet, so its number is nobody else's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Process(libc::pid_t);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// What to start.
pub(crate) struct Launch<'a> {
    /// Path of the program.
    pub(crate) program: &'a Path,
    /// Arguments after its name.
    pub(crate) arguments: &'a [&'a OsStr],
    /// `NAME=value`; nothing else of our own environment.
    pub(crate) environment: &'a [CString],
    /// What it has as standard output and standard error.
    pub(crate) output: BorrowedFd<'a>,
    /// What it has as descriptors 3 and following.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
}

impl Launch<'_> {
    /// Starts it, in a process group of its own, with no signal blocked or ignored and none of our other descriptors.
    ///
    /// # Errors
    /// What the kernel says, for example when there is no such program.
    pub(crate) fn start(&self) -> io::Result<Process> {
        let program = text(self.program.as_os_str())?;
        let mut arguments = vec![program.clone()];
        for argument in self.arguments {
            arguments.push(text(argument)?);
        }
        let arguments = pointers(&arguments);
        let environment = pointers(self.environment);
        let output = high(self.output)?;
        let descriptors = self.descriptors.iter().map(|fd| high(*fd));
        let descriptors = descriptors.collect::<io::Result<Vec<_>>>()?;

        mark_descriptors();
        let mut actions = Actions::new()?;
        actions.open(0, c"/dev/null")?;
        actions.duplicate(&output, 1)?;
        actions.duplicate(&output, 2)?;
        for (fd, number) in descriptors.iter().zip(3..) {
            actions.duplicate(fd, number)?;
        }
        let attributes = Attributes::new()?;
        let mut pid = 0;
        // SAFETY: all pointers are to values that live until the call returns; both vectors end with a null pointer.
        let result = unsafe {
            libc::posix_spawn(
                &raw mut pid,
                program.as_ptr(),
                actions.0.as_ptr(),
                attributes.0.as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        };
        returned(result)?;
        Ok(Process(pid))
    }
}

impl Process {
    /// Its number.
    pub(crate) fn id(&self) -> i32 {
        self.0
    }

    /// Ends it at once; it is still to be collected.
    pub(crate) fn kill(&self) {
        // SAFETY: takes no pointers. Not collected yet, so this is the child and no other process.
        let result = check(unsafe { libc::kill(self.0, libc::SIGKILL) });
        if let Err(error) = result {
            tracing::debug!(pid = self.0, %error, "cannot end a process");
        }
    }

    /// How it ended, if it has, which is told once; gives it back while it lives.
    pub(crate) fn collect(self) -> Result<Ended, Self> {
        let mut status = 0;
        loop {
            // SAFETY: `status` lives until the call returns.
            let result = unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) };
            match result {
                0 => return Err(self),
                pid if pid == self.0 && libc::WIFSIGNALED(status) => {
                    return Ok(Ended::Signal(libc::WTERMSIG(status)));
                }
                pid if pid == self.0 => return Ok(Ended::Exit(libc::WEXITSTATUS(status))),
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // Children are collected by the system where their signal is ignored.
                _ => return Ok(Ended::Exit(0)),
            }
        }
    }
}

/// What happens to descriptors between birth and start.
struct Actions(MaybeUninit<libc::posix_spawn_file_actions_t>);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = Self(MaybeUninit::uninit());
        // SAFETY: initialises what it is pointed to.
        returned(unsafe { libc::posix_spawn_file_actions_init(actions.0.as_mut_ptr()) })?;
        Ok(actions)
    }

    fn open(&mut self, number: libc::c_int, path: &CStr) -> io::Result<()> {
        // SAFETY: initialised in `new`; the path is copied.
        returned(unsafe {
            libc::posix_spawn_file_actions_addopen(
                self.0.as_mut_ptr(),
                number,
                path.as_ptr(),
                libc::O_RDONLY,
                0,
            )
        })
    }

    fn duplicate(&mut self, fd: &OwnedFd, number: libc::c_int) -> io::Result<()> {
        // SAFETY: initialised in `new`.
        returned(unsafe {
            libc::posix_spawn_file_actions_adddup2(self.0.as_mut_ptr(), fd.as_raw_fd(), number)
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, not used after this.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}

/// What else the child begins with.
struct Attributes(MaybeUninit<libc::posix_spawnattr_t>);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = Self(MaybeUninit::uninit());
        // SAFETY: initialises what it is pointed to.
        returned(unsafe { libc::posix_spawnattr_init(attributes.0.as_mut_ptr()) })?;
        let flags = libc::POSIX_SPAWN_SETPGROUP
            | libc::POSIX_SPAWN_SETSIGMASK
            | libc::POSIX_SPAWN_SETSIGDEF;
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let this = attributes.0.as_mut_ptr();
        // SAFETY: `this` was initialised above, and the calls initialise both sets before they are read; a
        // group of 0 is a new one.
        unsafe {
            check(libc::sigemptyset(none.as_mut_ptr()))?;
            check(libc::sigfillset(all.as_mut_ptr()))?;
            returned(libc::posix_spawnattr_setpgroup(this, 0))?;
            returned(libc::posix_spawnattr_setsigmask(this, none.as_ptr()))?;
            returned(libc::posix_spawnattr_setsigdefault(this, all.as_ptr()))?;
            returned(libc::posix_spawnattr_setflags(this, flags as libc::c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, not used after this.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

/// Marks all descriptors of this process to be closed in children. Ours are anyway; those that this process was
/// started with may not be.
fn mark_descriptors() {
    // SAFETY: takes no pointers, closes nothing. A kernel that does not know it leaves them.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
}

/// The same open file under a number that is none of those that a child knows.
fn high(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is borrowed, so open; no pointers are passed.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST_FREE) })
}

fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(io::Error::other)
}

/// A vector as `execve` wants it. Valid as long as the texts.
fn pointers(texts: &[CString]) -> Vec<*mut libc::c_char> {
    let pointers = texts.iter().map(|text| text.as_ptr().cast_mut());
    pointers.chain([ptr::null_mut()]).collect()
}

/// What `posix_spawn` and its kin return is the error itself.
fn returned(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    fn shell(script: &str, environment: &[CString]) -> (Process, String) {
        let (mut reader, writer) = io::pipe().unwrap();
        let (passed, mut far) = io::pipe().unwrap();
        io::Write::write_all(&mut far, b"through descriptor 3").unwrap();
        drop(far);
        let launch = Launch {
            program: Path::new("/bin/sh"),
            arguments: &[OsStr::new("-c"), OsStr::new(script)],
            environment,
            output: writer.as_fd(),
            descriptors: &[passed.as_fd()],
        };
        let process = launch.start().unwrap();
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        (process, said)
    }

    fn collect(mut process: Process) -> Ended {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            process = match process.collect() {
                Ok(ended) => return ended,
                Err(process) => process,
            };
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_child_has_the_descriptors_and_the_environment_that_it_was_given_and_no_others() {
        let _open = std::fs::File::open("/dev/null").unwrap();
        let script = "/bin/cat <&3; echo; /bin/ls -m /proc/$$/fd; echo $A$HOME; /usr/bin/cut -d' ' -f5 /proc/$$/stat; echo $$; exit 7";
        let (process, said) = shell(script, &[c"A=b".to_owned()]);
        let (pid, mut lines) = (process.id(), said.lines());
        assert_eq!(lines.next(), Some("through descriptor 3"));
        assert_eq!(lines.next(), Some("0, 1, 2, 3"));
        assert_eq!(lines.next(), Some("b"));
        // A group of its own.
        let pid = pid.to_string();
        assert_eq!(lines.next(), Some(pid.as_str()));
        assert_eq!(lines.next(), Some(pid.as_str()));
        assert_eq!(collect(process), Ended::Exit(7));
    }

    #[test]
    fn a_child_can_be_ended() {
        let (process, _) = shell("exec >/dev/null 2>&1; exec /bin/cat /dev/zero", &[]);
        process.kill();
        assert_eq!(collect(process), Ended::Signal(libc::SIGKILL));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let (_reader, writer) = io::pipe().unwrap();
        let launch = Launch {
            program: Path::new("/nonexistent/program"),
            arguments: &[],
            environment: &[],
            output: writer.as_fd(),
            descriptors: &[],
        };
        assert_eq!(launch.start().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
