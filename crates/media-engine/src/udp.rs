//! UDP sockets with batched system calls: `recvmmsg` with receive offload, `sendmmsg` with
//! segmentation offload.
//!
//! This and `os` are the only modules of this crate with `unsafe`: every system call that the
//! standard library does not have, each behind a safe function. Nothing here waits: a socket that
//! is not ready yields nothing, one whose buffer is full drops. Where the kernel lacks offload
//! (Linux before 4.18 for sending, 5.0 for receiving), one datagram is one message.

#![expect(unsafe_code, reason = "system calls")]

mod aside;
mod receive;
mod send;
mod sockaddr;

pub use receive::{Received, Receiver};
pub use send::{SendReport, Sender};

use socket2::{Domain, Protocol, Socket, Type};
use std::cell::Cell;
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Largest UDP payload over IPv4: 65 535 less the headers of IP (20) and UDP (8).
pub const MAX_DATAGRAM_BYTES: usize = 65_507;

/// Most segments of one offloaded message (`UDP_MAX_SEGMENTS` of Linux up to 6.8).
pub const MAX_SEGMENTS: usize = 64;

/// Kernel buffer that is asked for in each direction: half a second of 100 Mbit/s.
pub const SOCKET_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// How a socket is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOptions {
    /// Kernel buffer to ask for in each direction, bytes.
    pub buffer_bytes: usize,
    /// Send runs of equal-sized datagrams as one message (`UDP_SEGMENT`), if the kernel can.
    pub segmentation: bool,
    /// Receive runs of equal-sized datagrams as one message (`UDP_GRO`), if the kernel can.
    pub coalescing: bool,
    /// Have the kernel say when each message arrived (`SO_TIMESTAMPNS`), if it can.
    pub timestamps: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            buffer_bytes: SOCKET_BUFFER_BYTES,
            segmentation: true,
            coalescing: true,
            timestamps: false,
        }
    }
}

/// A bound, non-blocking UDP socket of one address family.
#[derive(Debug)]
pub struct UdpSocket {
    /// The descriptor.
    socket: Socket,
    /// What it is bound to, with the port that the kernel chose.
    local: SocketAddr,
    /// Whether sends may use segmentation offload; cleared when the route turns out not to.
    segmentation: Cell<bool>,
}

impl UdpSocket {
    /// Binds a socket; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// What the kernel says to `socket`, `bind` or making it non-blocking. Missing offload and
    /// smaller buffers than asked for are not errors.
    pub fn bind(address: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        Self::bind_first(address.ip(), [address.port()], options)
    }

    /// Binds a socket to the first of `ports` that is free.
    ///
    /// # Errors
    /// As [`UdpSocket::bind`]; when no port is free what the kernel says of the last.
    pub fn bind_first(
        ip: IpAddr,
        ports: impl IntoIterator<Item = u16>,
        options: SocketOptions,
    ) -> io::Result<Self> {
        let domain = match ip {
            IpAddr::V4(_) => Domain::IPV4,
            IpAddr::V6(_) => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if ip.is_ipv6() {
            // One family per socket keeps remote addresses in one form.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        let mut bound = Err(io::ErrorKind::AddrInUse.into());
        for port in ports {
            bound = socket.bind(&SocketAddr::new(ip, port).into());
            match &bound {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Ok(()) | Err(_) => break,
            }
        }
        bound?;
        Self::set_up(socket, options)
    }

    /// Sets the options of a bound socket.
    fn set_up(socket: Socket, options: SocketOptions) -> io::Result<Self> {
        let local = socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("bound to something that is not an IP address"))?;
        let fd = socket.as_raw_fd();
        let bytes = i32::try_from(options.buffer_bytes).unwrap_or(i32::MAX);
        // The forced variants pass the system-wide maximum but need CAP_NET_ADMIN.
        for (forced, plain) in [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ] {
            set_option(fd, libc::SOL_SOCKET, forced, bytes)
                .or_else(|_| set_option(fd, libc::SOL_SOCKET, plain, bytes))?;
        }
        // Segment size 0 changes nothing, but a kernel that does not know the option says so.
        let segmentation =
            options.segmentation && set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        if options.coalescing
            && let Err(error) = set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1)
        {
            tracing::debug!(%error, "no receive offload");
        }
        if options.timestamps
            && let Err(error) = set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
        {
            tracing::debug!(%error, "no times of arrival");
        }
        Ok(Self {
            socket,
            local,
            segmentation: Cell::new(segmentation),
        })
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether runs of equal-sized datagrams are sent as one message.
    pub fn segments(&self) -> bool {
        self.segmentation.get()
    }

    /// Bytes that the kernel granted for receiving and for sending.
    ///
    /// # Errors
    /// What the kernel says to reading the option.
    pub fn buffer_bytes(&self) -> io::Result<(usize, usize)> {
        // Linux reports twice what it was asked for; the other half is its own bookkeeping.
        Ok((
            self.socket.recv_buffer_size()? / 2,
            self.socket.send_buffer_size()? / 2,
        ))
    }

    /// Sends from now on without segmentation offload.
    fn give_up_segmentation(&self, error: &io::Error) {
        if self.segmentation.replace(false) {
            tracing::info!(local = %self.local, %error, "route without segmentation offload");
        }
    }

    /// The descriptor for system calls that do not outlive `self`.
    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sets an integer socket option.
fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: `value` lives until the call returns and its size is passed with it; the kernel
    // checks the descriptor.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests;
