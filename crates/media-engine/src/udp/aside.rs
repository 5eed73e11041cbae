//! A second socket beside one, for datagrams that can wait.
//!
//! Receivers tell each tenth of a second or more often when what arrived; with many of them that is most of what a
//! server receives, and taking in each by itself costs a wake-up that carries no media. The kernel sorts these
//! datagrams out, so that whoever waits for the others is not woken by them.
//!
//! Both sockets are bound to one address as a group (`SO_REUSEPORT`), and a filter says which of them gets a
//! datagram (`SO_ATTACH_REUSEPORT_CBPF`, Linux 4.5). The first is bound alone, so that an address that somebody else
//! uses is still refused, and no third one of the same user gets anything.

use super::{SocketOptions, UdpSocket, set_option};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::ptr;

/// Which datagrams go to the second socket: those that begin with transport-wide congestion feedback (payload type
/// 205, format 15; draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1), whose first two bytes are never
/// encrypted (RFC 3711 §3.4). Reports, lost packets and wishes for keyframes do not wait.
const FILTER: [libc::sock_filter; 5] = [
    // Version 2, any padding bit, format 15, payload type 205; shorter datagrams end the filter with 0.
    instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 0),
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, 0xdfff),
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, 0x8fcd),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 1),
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
];

const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

impl UdpSocket {
    /// Opens a second socket on the same address, which gets the congestion feedback from now on.
    ///
    /// # Errors
    /// What the kernel says, if it knows no filters for instance. Then everything comes to this socket as before.
    pub(crate) fn open_aside(&self, options: SocketOptions) -> io::Result<Self> {
        set_option(self.fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        let aside = self.open_beside(options);
        if aside.is_err() {
            // Alone again: nobody else may join.
            set_option(self.fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 0)?;
        }
        aside
    }

    fn open_beside(&self, options: SocketOptions) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(self.local),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if self.local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        socket.bind(&self.local.into())?;
        // The group is there only now. Until then the second may have got something, and hands that over as well.
        self.attach_filter()?;
        Self::set_up(
            socket,
            SocketOptions {
                segmentation: false,
                coalescing: false,
                ..options
            },
        )
    }

    /// Lets the filter decide among the sockets of this address.
    fn attach_filter(&self) -> io::Result<()> {
        let mut filter = FILTER;
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the program and its instructions live until the call returns, which copies them, and their sizes
        // are passed with them; the kernel checks the descriptor and the program.
        let result = unsafe {
            libc::setsockopt(
                self.fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_REUSEPORT_CBPF,
                ptr::from_ref(&program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}
