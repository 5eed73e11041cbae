//! What a confined process tries in vain. The process is this test program, started once more.

#![expect(unsafe_code, reason = "system calls that are refused")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, in functions of its own"
)]

use salono_sandbox::{Confined, Files, MEMORY, READ, WRITE, confine, start};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DIRECTORY: &str = "SALONO_ATTEMPTS";

/// Not a test: the process that is confined.
#[test]
#[ignore = "is the confined process, when it is started as one"]
fn confined() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    // The test harness has a thread of its own, so this is done by a process that has not.
    // SAFETY: the child uses nothing that another thread may hold but the allocator, which the C library
    // looks after.
    match unsafe { libc::fork() } {
        0 => {
            attempt(&directory);
            // SAFETY: ends the process without what the harness would do at its end.
            unsafe { libc::_exit(0) };
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` lives until the call returns.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
        }
    }
}

fn tell(what: &str, result: io::Result<impl Sized>) {
    let outcome = match result {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("{}", error.raw_os_error().unwrap_or(-1)),
    };
    println!("\n> {what}: {outcome}");
}

fn called(result: libc::c_long) -> io::Result<libc::c_long> {
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn attempt(directory: &Path) {
    // The last of them is not among the first five.
    let open = |_| fs::File::open("/dev/null").unwrap();
    let mut inherited: Vec<_> = (0..6).map(open).collect();
    let last = inherited.pop().unwrap();
    start().unwrap();
    // SAFETY: only asks.
    let still_open = unsafe { libc::fcntl(last.as_raw_fd(), libc::F_GETFD) };
    tell("inherited", called(i64::from(still_open)));
    std::mem::forget((inherited, last));
    let files = Files::from_environment();
    let Confined { files, calls } = confine(&files).unwrap();
    println!("\n> landlock: {files}\n> seccomp: {calls}");
    tell("read file", fs::read(directory.join("read/file")));
    tell("write read", fs::write(directory.join("read/file"), "x"));
    tell("write file", fs::write(directory.join("write/file"), "x"));
    tell(
        "rename",
        fs::rename(directory.join("write/file"), directory.join("write/new")),
    );
    tell("secret", fs::read(directory.join("secret")));
    tell("around", fs::read(directory.join("read/../secret")));
    tell("link", fs::read(directory.join("read/link")));
    tell("shadow", fs::read("/etc/shadow"));
    tell("library", fs::read_dir("/usr/lib"));
    tell("random", fs::read("/proc/self/status"));
    tell(
        "thread",
        std::thread::Builder::new()
            .spawn(|| {})
            .map(|thread| thread.join()),
    );
    tell("program", Command::new("/bin/true").spawn());
    tell("udp", UdpSocket::bind("127.0.0.1:0"));
    tell("tcp", TcpListener::bind("127.0.0.1:0"));
    tell("pair", std::os::unix::net::UnixStream::pair());
    // SAFETY: calls with integers and null pointers only, which are refused before anything is looked at.
    unsafe {
        let netlink = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, 0);
        tell("netlink", called(netlink.into()));
        let packet = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        tell("packet", called(packet.into()));
        tell("fork", called(libc::fork().into()));
        let traced = libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
        tell("ptrace", called(traced));
        tell("kill", called(libc::kill(libc::getppid(), 0).into()));
        tell("setuid", called(libc::setuid(libc::getuid()).into()));
        tell("unshare", called(libc::unshare(0).into()));
        let none = std::ptr::null::<libc::c_char>();
        tell(
            "mount",
            called(libc::mount(none, none, none, 0, none.cast()).into()),
        );
        for (name, number) in [
            ("bpf", libc::SYS_bpf),
            ("keyctl", libc::SYS_keyctl),
            ("userfaultfd", libc::SYS_userfaultfd),
            ("io_uring", libc::SYS_io_uring_setup),
            ("module", libc::SYS_init_module),
            ("perf", libc::SYS_perf_event_open),
        ] {
            tell(name, called(libc::syscall(number, 0, 0, 0, 0, 0)));
        }
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        for (name, resource) in [
            ("core", libc::RLIMIT_CORE),
            ("nofile", libc::RLIMIT_NOFILE),
            ("data", libc::RLIMIT_DATA),
        ] {
            assert_eq!(libc::getrlimit(resource, &raw mut limit), 0);
            println!("\n> limit of {name}: {}", limit.rlim_max);
        }
        let length = 1 << 30;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
        let mapped = match memory == libc::MAP_FAILED {
            true => Err(io::Error::last_os_error()),
            false => Ok(()),
        };
        tell("memory", mapped);
    }
    let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    println!("\n> oom: {}", score.trim());
}

/// What the confined process says of its attempts.
fn attempts() -> BTreeMap<String, String> {
    let directory = std::env::temp_dir().join(format!("salono-attempts-{}", std::process::id()));
    for below in ["read", "write"] {
        fs::create_dir_all(directory.join(below)).unwrap();
    }
    fs::write(directory.join("read/file"), "seen").unwrap();
    fs::write(directory.join("secret"), "unseen").unwrap();
    std::os::unix::fs::symlink(directory.join("secret"), directory.join("read/link")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "confined", "--ignored", "--nocapture"])
        .env(DIRECTORY, &directory)
        .env(READ, directory.join("read"))
        .env(WRITE, directory.join("write"))
        .env(MEMORY, (256 << 20).to_string())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    fs::remove_dir_all(&directory).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let lines = text.lines().filter_map(|line| line.strip_prefix("> "));
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs
        .map(|(what, outcome)| (what.to_owned(), outcome.to_owned()))
        .collect()
}

#[test]
fn a_confined_process_gets_nothing_but_what_it_was_left() {
    let told = attempts();
    let outcome = |what: &str| told.get(what).map_or("untold", String::as_str);
    let number = |error: libc::c_int| error.to_string();
    let (perm, acces) = (number(libc::EPERM), number(libc::EACCES));
    for what in [
        "thread",
        "udp",
        "tcp",
        "pair",
        "library",
        "random",
        "read file",
        "write file",
        "rename",
    ] {
        assert_eq!(outcome(what), "done", "{what}: {told:?}");
    }
    assert_eq!(outcome("seccomp"), "true");
    for what in [
        "program",
        "fork",
        "ptrace",
        "kill",
        "setuid",
        "unshare",
        "mount",
        "bpf",
        "keyctl",
        "userfaultfd",
        "io_uring",
        "module",
        "perf",
    ] {
        assert_eq!(outcome(what), perm, "{what}: {told:?}");
    }
    for what in ["netlink", "packet"] {
        assert_eq!(outcome(what), number(libc::EAFNOSUPPORT), "{what}");
    }
    // Where the kernel has no Landlock, the processor's own check of paths is what there is.
    if outcome("landlock") == "true" {
        for what in ["write read", "secret", "around", "link", "shadow"] {
            assert_eq!(outcome(what), acces, "{what}: {told:?}");
        }
    }
    assert_eq!(outcome("inherited"), number(libc::EBADF));
    assert_eq!(outcome("limit of core"), "0");
    assert!(outcome("limit of nofile").parse::<u64>().unwrap() <= 4_096);
    assert_eq!(outcome("limit of data"), (256 << 20).to_string());
    assert_eq!(outcome("memory"), number(libc::ENOMEM));
    assert_eq!(outcome("oom"), "500");
}
