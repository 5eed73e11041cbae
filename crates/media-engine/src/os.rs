//! The few system calls of a shard loop beside sockets: waiting, waking, the CPU clock, random
//! bytes and the addresses of this host. Safe functions around Linux calls.

#![expect(unsafe_code, reason = "system calls")]

pub(crate) mod process;

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// Most descriptors that one wait reports; the others are reported by the next.
const MAX_READY: usize = 64;

/// Level-triggered readiness of descriptors (`epoll`).
#[derive(Debug)]
pub struct Poller {
    /// The epoll instance.
    epoll: OwnedFd,
}

/// What of a descriptor is waited for. Errors and hang-ups are reported in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Nothing.
    Nothing,
    /// Bytes, datagrams or connections to take.
    Read,
    /// Room to write.
    Write,
    /// Either.
    Both,
}

/// Tokens of the descriptors that are ready.
pub struct Ready {
    /// What the kernel filled in.
    events: [libc::epoll_event; MAX_READY],
    /// How many of them count.
    len: usize,
}

impl Poller {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        Ok(Self { epoll: owned(fd)? })
    }

    /// Reports `token` whenever `source` is readable, until it is closed.
    ///
    /// # Errors
    /// What the kernel says, for example when the descriptor is watched already.
    pub fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, token, Interest::Read)
    }

    /// Reports `token` whenever `source` is ready for `interest`, until it is closed.
    ///
    /// # Errors
    /// What the kernel says, for example when the descriptor is watched already.
    pub fn add_for(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, token, interest)
    }

    /// Watches a descriptor that was added for something else from now on.
    ///
    /// # Errors
    /// What the kernel says, for example when the descriptor is not watched.
    pub fn change(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, source, token, interest)
    }

    /// Reports nothing of a descriptor any more.
    ///
    /// # Errors
    /// What the kernel says, for example when the descriptor is not watched.
    pub(crate) fn remove(&self, source: impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, source, 0, Interest::Nothing)
    }

    fn control(
        &self,
        operation: libc::c_int,
        source: impl AsFd,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let events = match interest {
            Interest::Nothing => 0,
            Interest::Read => libc::EPOLLIN,
            Interest::Write => libc::EPOLLOUT,
            Interest::Both => libc::EPOLLIN | libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: token,
        };
        let fd = source.as_fd().as_raw_fd();
        // SAFETY: `event` lives until the call returns; the descriptor is borrowed, so open.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) })
    }

    /// Waits until something is ready or `timeout` has passed (`None`: for ever). An
    /// interruption counts as a wake-up with nothing ready.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        ready.len = 0;
        let mut result = self.wait_precisely(ready, timeout);
        if result
            .as_ref()
            .is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS))
        {
            result = self.wait_millis(ready, timeout);
        }
        match result {
            Ok(len) => {
                ready.len = len;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// With nanosecond timeouts, Linux 5.11 and later. Called by number: older C libraries have
    /// no wrapper.
    fn wait_precisely(&self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<usize> {
        let spec = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos() as _,
        });
        let spec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: `events` has room for as many entries as stated; `spec` is null or points to a
        // value that lives until the call returns; no signal mask is passed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                ready.events.as_mut_ptr(),
                MAX_READY as libc::c_int,
                spec,
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    /// With timeouts rounded up to milliseconds.
    fn wait_millis(&self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<usize> {
        let millis = timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        // SAFETY: `events` has room for as many entries as stated.
        let result = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                ready.events.as_mut_ptr(),
                MAX_READY as libc::c_int,
                millis,
            )
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

impl Ready {
    /// Nothing ready.
    pub fn new() -> Self {
        Self {
            events: [libc::epoll_event { events: 0, u64: 0 }; MAX_READY],
            len: 0,
        }
    }

    /// Tokens of what is ready.
    pub fn tokens(&self) -> impl Iterator<Item = u64> {
        self.events[..self.len].iter().map(|event| event.u64)
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes a waiting thread's [`Poller`] return (`eventfd`).
#[derive(Debug)]
pub(crate) struct Waker {
    /// The counter.
    counter: File,
}

impl Waker {
    /// A waker that nobody rang yet.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        Ok(Self {
            counter: File::from(owned(fd)?),
        })
    }

    /// Makes the descriptor readable.
    pub(crate) fn wake(&self) {
        // Fails only when the counter is at its maximum, and then it is readable.
        let _ = (&self.counter).write(&1_u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable again.
    pub(crate) fn acknowledge(&self) {
        // Fails only when nobody rang.
        let _ = (&self.counter).read(&mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.counter.as_fd()
    }
}

/// CPU time, user and system, of the calling thread since it began.
pub fn thread_cpu_time() -> Duration {
    clock_time(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
}

/// What a clock of the kernel shows.
fn clock_time(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut spec = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `spec` lives until the call returns.
    check(unsafe { libc::clock_gettime(clock, &raw mut spec) })?;
    Ok(Duration::new(
        u64::try_from(spec.tv_sec).unwrap_or_default(),
        u32::try_from(spec.tv_nsec).unwrap_or_default(),
    ))
}

/// CPU time, user and system, of another process of this machine: of all its threads, those that have ended included.
///
/// # Errors
/// When there is no such process.
pub fn process_cpu_time(process: u32) -> io::Result<Duration> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    let mut clock = 0;
    // SAFETY: `clock` lives until the call returns.
    let result = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    clock_time(clock)
}

/// The cores that the calling thread may run on, in ascending order.
///
/// # Errors
/// What the kernel says, for example when there are more cores than a set of the C library has room for.
pub fn thread_cores() -> io::Result<Vec<usize>> {
    // SAFETY: an array of integers, for which zero is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` has the stated size and lives until the call returns; 0 is the calling thread.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
    // SAFETY: `core` is below the number of bits of the set.
    let is_set = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_set).collect())
}

/// Confines the calling thread, and the threads and processes that it starts from now on, to these cores.
///
/// # Errors
/// What the kernel says, for example when none of them is there.
pub fn confine_thread(cores: &[usize]) -> io::Result<()> {
    // SAFETY: an array of integers, for which zero is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores {
        if *core < libc::CPU_SETSIZE as usize {
            // SAFETY: `core` is below the number of bits of the set.
            unsafe { libc::CPU_SET(*core, &mut set) };
        }
    }
    // SAFETY: `set` has the stated size and lives until the call returns; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })
}

/// Lets this process have as many descriptors as it is allowed to, and returns how many that are.
/// The limit in force is often 1024, for programs that use `select`.
///
/// # Errors
/// What the kernel says; the limit stays as it was.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives until the call returns.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: as above.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    }
    Ok(limit.rlim_cur)
}

/// Unpredictable bytes from the kernel.
pub(crate) fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    loop {
        // SAFETY: `seed` has the stated length and lives until the call returns.
        let result = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
        if usize::try_from(result) == Ok(seed.len()) {
            return Ok(seed);
        }
        let error = io::Error::last_os_error();
        // Up to 256 bytes come whole or not at all; before that a signal may interrupt.
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Addresses of the interfaces that are up and the names of these, in the order in which the
/// system lists them.
pub(crate) fn interface_addresses() -> io::Result<Vec<(IpAddr, String)>> {
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `list` lives until the call returns.
    check(unsafe { libc::getifaddrs(&raw mut list) })?;
    let mut addresses = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: an entry of the list, which is freed only below.
        let entry = unsafe { &*next };
        next = entry.ifa_next;
        if entry.ifa_flags & libc::IFF_UP as libc::c_uint == 0 || entry.ifa_addr.is_null() {
            continue;
        }
        // SAFETY: not null; the family is the first field of every kind of address.
        let ip = match i32::from(unsafe { (*entry.ifa_addr).sa_family }) {
            libc::AF_INET => {
                // SAFETY: the family says that it is this kind; read without assuming alignment.
                let v4 = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
                Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into()
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
                Ipv6Addr::from(v6.sin6_addr.s6_addr).into()
            }
            _ => continue,
        };
        // SAFETY: a terminated text that lives as long as the list.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        addresses.push((ip, name.to_string_lossy().into_owned()));
    }
    // SAFETY: `list` came from `getifaddrs` and is not used after this.
    unsafe { libc::freeifaddrs(list) };
    Ok(addresses)
}

/// Takes ownership of a descriptor that a system call has just made.
fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Turns the result of a system call into an error if it is negative.
fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_a_process_includes_that_of_a_thread_and_none_has_no_time() {
        let thread = thread_cpu_time();
        assert!(thread > Duration::ZERO);
        assert!(process_cpu_time(std::process::id()).unwrap() >= thread);
        // One above the highest number that Linux gives to processes.
        assert!(process_cpu_time((1 << 22) + 1).is_err());
    }

    #[test]
    fn thread_runs_where_it_is_confined_to() {
        let all = thread_cores().unwrap();
        std::thread::spawn(move || {
            confine_thread(&all[..1]).unwrap();
            assert_eq!(thread_cores().unwrap(), all[..1]);
            assert!(confine_thread(&[]).is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn descriptors_are_allowed_up_to_the_hard_limit() {
        let raised = raise_descriptor_limit().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let figures: Vec<_> = line.unwrap().split_ascii_whitespace().skip(3).collect();
        let raised = raised.to_string();
        assert_eq!(figures[..2], [&raised, &raised]);
    }
}
