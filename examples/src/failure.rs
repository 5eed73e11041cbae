//! Why an example ends early, in words for the person who started it.

use std::{fmt, io, net::SocketAddr};

use salono_kurento_client::{ConnectError, Error};

/// Why an example ends early. `main` returns it, so `Debug` is what people read.
pub enum Failure {
    /// The media server cannot be reached.
    NoMediaServer {
        /// Where it was looked for.
        url: String,
        /// What happened there.
        error: ConnectError,
    },
    /// The page cannot be served.
    Listen {
        /// Where it should have been served.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The media server refused something that the example cannot do without.
    Refused(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMediaServer { url, error } => write!(
                out,
                "no media server at {url}: {error}\n\
                 Start one with `salono media`, or name another one with --kurento URL."
            ),
            Self::Listen { address, error } => write!(
                out,
                "cannot serve the page at {address}: {error}\n\
                 Choose another address with --listen 127.0.0.1:PORT."
            ),
            Self::Refused(error) => write!(out, "the media server refuses: {error}"),
        }
    }
}
