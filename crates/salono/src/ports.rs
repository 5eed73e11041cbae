//! Where the listeners are, for programs that start this one with port 0.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

use crate::failure::Failure;

/// Everything that is bound.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ports {
    /// Process id.
    pub(crate) pid: u32,
    /// The HTTPS listener.
    pub(crate) https: Option<SocketAddr>,
    /// The plain listener.
    pub(crate) http: Option<SocketAddr>,
    /// The Kurento Protocol.
    pub(crate) kurento: Option<SocketAddr>,
    /// The same over TLS.
    pub(crate) kurento_tls: Option<SocketAddr>,
    /// Path of its WebSockets.
    pub(crate) kurento_path: String,
    /// UDP sockets.
    pub(crate) media: Vec<SocketAddr>,
}

impl Ports {
    /// Writes them as JSON; a reader sees all or nothing.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let fail = |error| Failure::PortsFile {
            path: path.to_owned(),
            error,
        };
        let text = serde_json::to_string(self).map_err(|error| fail(error.into()))?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        fs::write(&temporary, text + "\n").map_err(fail)?;
        fs::rename(&temporary, path).map_err(fail)
    }
}
