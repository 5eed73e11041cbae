//! Opening TCP listeners, with errors that name the setting to change.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use crate::config::Listen;
use crate::failure::Failure;

/// A listener that can be configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose {
    /// The flag that changes its address.
    pub(crate) flag: &'static str,
    /// The key that does.
    pub(crate) key: &'static str,
}

/// HTTPS.
pub(crate) const HTTPS: Purpose = Purpose {
    flag: "--https",
    key: "web.https",
};

/// Plain HTTP.
pub(crate) const HTTP: Purpose = Purpose {
    flag: "--http",
    key: "web.http",
};

/// The Kurento Protocol.
pub(crate) const KURENTO: Purpose = Purpose {
    flag: "--kurento",
    key: "kurento.listen",
};

/// The Kurento Protocol over TLS.
pub(crate) const KURENTO_TLS: Purpose = Purpose {
    flag: "--kurento-tls",
    key: "kurento.tls_listen",
};

/// Connections that wait to be accepted, unless a setting says otherwise. The kernel cuts it to
/// `net.core.somaxconn`.
pub(crate) const BACKLOG: u32 = 4_096;

/// A listener and what it is bound to.
pub(crate) struct Bound {
    /// The listener.
    pub(crate) listener: TcpListener,
    /// With the port that was chosen.
    pub(crate) address: SocketAddr,
}

/// Opens a listener, unless it is off.
pub(crate) fn bind(
    listen: Listen,
    purpose: Purpose,
    backlog: u32,
) -> Result<Option<Bound>, Failure> {
    let Some(address) = listen.address() else {
        return Ok(None);
    };
    let fail = |error: io::Error| failure(address, purpose, error);
    let listener = open(address, backlog).map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok(Some(Bound { listener, address }))
}

/// `[::]` takes IPv4 as well, whatever the system's default is, and stands for `0.0.0.0` where there
/// is no IPv6 at all.
fn open(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match open_exactly(address, any, backlog) {
        Err(error) if any && has_no_ipv6(&error) => {
            let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            open_exactly(address, false, backlog)
        }
        opened => opened,
    }
}

fn open_exactly(address: SocketAddr, dual: bool, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that was just ended may be started again at once.
    socket.set_reuse_address(true)?;
    if dual {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// What the system says where IPv6 is switched off or not built in.
fn has_no_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT)
        || error.kind() == io::ErrorKind::AddrNotAvailable
        || error.kind() == io::ErrorKind::Unsupported
}

/// In words.
pub(crate) fn failure(address: SocketAddr, purpose: Purpose, error: io::Error) -> Failure {
    let Purpose { flag, key } = purpose;
    if error.kind() == io::ErrorKind::AddrInUse {
        Failure::PortInUse { address, flag, key }
    } else {
        Failure::Listen {
            address,
            flag,
            key,
            error,
        }
    }
}
