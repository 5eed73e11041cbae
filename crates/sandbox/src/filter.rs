//! System calls that a process gives up, by seccomp.
//!
//! A list of what is refused rather than of what is allowed: plugins are many, and what each needs differs between
//! versions of the system. The list has what leads out of the process: programs, processes, identity, privileges,
//! other processes' memory, kernel code, and interfaces of the kernel that few programs use and many attacks do.
//! Files are limited by Landlock, memory by limits, addresses by the processor itself.

#![expect(unsafe_code, reason = "system calls")]

use std::io;

/// A call and what it answers.
type Refusal = (libc::c_long, libc::c_int);

/// Refused whatever their arguments.
const REFUSED: &[libc::c_long] = &[
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Identity and privileges.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_mknodat,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The kernel itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_lookup_dcookie,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
];

/// The same, where an architecture has more.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_kexec_file_load,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Kinds of sockets that are allowed.
const FAMILIES: [libc::c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Requests that put input into a terminal.
const TERMINAL_INPUT: [libc::c_long; 2] = [0x5412, 0x541c];

/// From `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00b7);
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00f3);
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const ARCHITECTURE: Option<u32> = None;

/// Numbers with this bit are those of a second interface of x86-64, with pointers of 32 bits.
const X32: u32 = 0x4000_0000;

/// Offsets in `seccomp_data`; arguments are of 8 bytes, the lower half first.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const SECOND_ARGUMENT: u32 = 24;

/// A program of the kernel's packet filter.
#[derive(Default)]
struct Program(Vec<libc::sock_filter>);

/// Gives the calls up. Returns whether the list is made for this architecture.
pub(crate) fn install() -> io::Result<bool> {
    let Some(architecture) = ARCHITECTURE else {
        return Ok(false);
    };
    let program = program(architecture, std::process::id()).0;
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the program has the stated length and lives until the call returns, which copies it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const filter,
        )
    };
    match result {
        0 => Ok(true),
        // A thread that cannot follow is told by its number.
        1.. => Err(io::Error::other("a thread cannot give them up")),
        _ => Err(io::Error::last_os_error()),
    }
}

fn program(architecture: u32, pid: u32) -> Program {
    let mut program = Program::default();
    program.load(ARCH);
    program.unless_equal(architecture, libc::SECCOMP_RET_KILL_PROCESS);
    program.load(NUMBER);
    program.if_any_bit(X32, refuse(libc::ENOSYS));
    let refused = REFUSED.iter().chain(REFUSED_HERE);
    let refused = refused.map(|call| -> Refusal { (*call, libc::EPERM) });
    // Its arguments cannot be seen; the C library then takes the older call.
    for (call, error) in refused.chain([(libc::SYS_clone3, libc::ENOSYS)]) {
        program.if_equal(call as u32, refuse(error));
    }
    // New threads, no new processes.
    program.for_call(libc::SYS_clone, FIRST_ARGUMENT, |then| {
        then.if_any_bit(libc::CLONE_THREAD as u32, libc::SECCOMP_RET_ALLOW);
        then.answer(refuse(libc::EPERM));
    });
    program.for_call(libc::SYS_socket, FIRST_ARGUMENT, |then| {
        for family in FAMILIES {
            then.if_equal(family as u32, libc::SECCOMP_RET_ALLOW);
        }
        then.answer(refuse(libc::EAFNOSUPPORT));
    });
    // Signals for itself, as when it aborts.
    program.for_call(libc::SYS_tgkill, FIRST_ARGUMENT, |then| {
        then.unless_equal(pid, refuse(libc::EPERM));
    });
    program.for_call(libc::SYS_prlimit64, FIRST_ARGUMENT, |then| {
        then.if_equal(0, libc::SECCOMP_RET_ALLOW);
        then.unless_equal(pid, refuse(libc::EPERM));
    });
    program.for_call(libc::SYS_ioctl, SECOND_ARGUMENT, |then| {
        for request in TERMINAL_INPUT {
            then.if_equal(request as u32, refuse(libc::EPERM));
        }
    });
    program.answer(libc::SECCOMP_RET_ALLOW);
    program
}

/// The answer that makes a call fail.
fn refuse(error: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | (error as u32 & libc::SECCOMP_RET_DATA)
}

impl Program {
    fn push(&mut self, code: u32, k: u32, jt: u8, jf: u8) {
        let code = code as u16;
        self.0.push(libc::sock_filter { code, jt, jf, k });
    }

    /// Loads a word of what is known of the call.
    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    }

    fn answer(&mut self, answer: u32) {
        self.push(libc::BPF_RET | libc::BPF_K, answer, 0, 0);
    }

    fn if_equal(&mut self, value: u32, answer: u32) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, 1);
        self.answer(answer);
    }

    fn unless_equal(&mut self, value: u32, answer: u32) {
        self.push(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 1, 0);
        self.answer(answer);
    }

    fn if_any_bit(&mut self, bits: u32, answer: u32) {
        self.push(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, 0, 1);
        self.answer(answer);
    }

    /// For a call, loads the lower half of an argument and does `then`; what that does not answer is allowed.
    fn for_call(&mut self, call: libc::c_long, argument: u32, then: impl FnOnce(&mut Self)) {
        let mut body = Self::default();
        body.load(argument);
        then(&mut body);
        body.answer(libc::SECCOMP_RET_ALLOW);
        let over = u8::try_from(body.0.len()).expect("bodies are short");
        self.push(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            call as u32,
            0,
            over,
        );
        self.0.append(&mut body.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers to a call, by a small interpreter of the instructions that are used.
    fn ask(program: &Program, number: i64, arguments: [u64; 2], architecture: u32) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => number as u32,
            ARCH => architecture,
            FIRST_ARGUMENT => arguments[0] as u32,
            SECOND_ARGUMENT => arguments[1] as u32,
            offset => panic!("nothing is at {offset}"),
        };
        let (mut at, mut loaded) = (0, 0);
        loop {
            let instruction = &program.0[at];
            let code = u32::from(instruction.code);
            let jump = |met: bool| usize::from(if met { instruction.jt } else { instruction.jf });
            at += 1;
            if code == libc::BPF_RET | libc::BPF_K {
                return instruction.k;
            } else if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                loaded = word(instruction.k);
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                at += jump(loaded == instruction.k);
            } else {
                assert_eq!(code, libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K);
                at += jump(loaded & instruction.k != 0);
            }
        }
    }

    #[test]
    fn calls_are_answered_by_number_and_argument() {
        const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
        let native = ARCHITECTURE.unwrap();
        let program = program(native, 77);
        let thread = (libc::CLONE_THREAD | libc::CLONE_VM) as u64;
        let refused = refuse(libc::EPERM);
        let cases = [
            (libc::SYS_read, [0, 0], ALLOW),
            (libc::SYS_execve, [0, 0], refused),
            (libc::SYS_vhangup, [0, 0], refused),
            (libc::SYS_clone3, [0, 0], refuse(libc::ENOSYS)),
            (libc::SYS_clone, [thread, 0], ALLOW),
            (libc::SYS_clone, [libc::SIGCHLD as u64, 0], refused),
            (libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0], refused),
            (libc::SYS_socket, [libc::AF_INET6 as u64, 0], ALLOW),
            (
                libc::SYS_socket,
                [libc::AF_NETLINK as u64, 0],
                refuse(libc::EAFNOSUPPORT),
            ),
            (libc::SYS_tgkill, [77, 0], ALLOW),
            (libc::SYS_tgkill, [78, 0], refused),
            (libc::SYS_prlimit64, [0, 0], ALLOW),
            (libc::SYS_prlimit64, [77, 0], ALLOW),
            (libc::SYS_prlimit64, [1, 0], refused),
            (libc::SYS_ioctl, [0, 0x5412], refused),
            (libc::SYS_ioctl, [0, 0x5413], ALLOW),
            (
                libc::SYS_read | i64::from(X32),
                [0, 0],
                refuse(libc::ENOSYS),
            ),
        ];
        for (call, arguments, expected) in cases {
            let answer = ask(&program, call, arguments, native);
            assert_eq!(answer, expected, "{call} {arguments:?}");
        }
        let foreign = ask(&program, libc::SYS_read, [0, 0], 0x4000_0003);
        assert_eq!(foreign, libc::SECCOMP_RET_KILL_PROCESS);
    }
}
