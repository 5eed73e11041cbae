//! Opening TCP listeners, with errors that name the setting to change.

use std::io;
use std::net::SocketAddr;

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

/// A listener and what it is bound to.
pub(crate) struct Bound {
    /// The listener.
    pub(crate) listener: TcpListener,
    /// With the port that was chosen.
    pub(crate) address: SocketAddr,
}

/// Opens a listener, unless it is off.
pub(crate) async fn bind(listen: Listen, purpose: Purpose) -> Result<Option<Bound>, Failure> {
    let Some(address) = listen.address() else {
        return Ok(None);
    };
    let fail = |error: io::Error| failure(address, purpose, error);
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok(Some(Bound { listener, address }))
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
