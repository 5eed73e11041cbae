//! The Kurento Protocol to the outside: its plain and its TLS listener, and the registrar.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig as TlsConfig;
use salono_kurento_client::Trust;
use salono_kurento_server::{
    ListenerConfig, RegistrarConfig, ServerHandle, keep_registered, serve_listener,
    serve_tls_listener,
};
use tokio::task::JoinHandle;

use crate::config::{Config, Kurento};
use crate::failure::Failure;
use crate::listeners::{self, Bound, bind};
use crate::tls;

/// Open listeners, not served yet.
pub(crate) struct Signalling {
    plain: Option<Bound>,
    secure: Option<(Bound, Arc<TlsConfig>)>,
    registrar: Option<RegistrarConfig>,
}

impl Signalling {
    /// Opens what is configured, which may be nothing.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        let kurento = &config.kurento;
        let plain = bind(kurento.listen, listeners::KURENTO, kurento.backlog)?;
        let secure = match bind(kurento.tls_listen, listeners::KURENTO_TLS, kurento.backlog)? {
            Some(bound) => {
                let ips = [bound.address.ip()];
                Some((bound, tls::kurento(config, ips)?))
            }
            None => None,
        };
        let mut signalling = Self {
            plain,
            secure,
            registrar: None,
        };
        signalling.registrar = signalling.registration(kurento)?;
        Ok(signalling)
    }

    /// Where the plain listener is.
    pub(crate) fn plain(&self) -> Option<SocketAddr> {
        self.plain.as_ref().map(|bound| bound.address)
    }

    /// Where the TLS listener is.
    pub(crate) fn secure(&self) -> Option<SocketAddr> {
        self.secure.as_ref().map(|(bound, _)| bound.address)
    }

    /// Serves them until the server ends.
    pub(crate) fn serve(self, server: &ServerHandle, kurento: &Kurento) -> Vec<JoinHandle<()>> {
        let config = listener_config(kurento);
        let mut tasks = Vec::new();
        if let Some(Bound { listener, .. }) = self.plain {
            let served = serve_listener(server.clone(), listener, config.clone());
            tasks.push(tokio::spawn(served));
        }
        if let Some((Bound { listener, .. }, tls)) = self.secure {
            let served = serve_tls_listener(server.clone(), listener, tls, config);
            tasks.push(tokio::spawn(served));
        }
        if let Some(registrar) = self.registrar {
            tasks.push(tokio::spawn(keep_registered(server.clone(), registrar)));
        }
        tasks
    }

    /// What a registrar is told: TLS where there is a choice.
    fn registration(&self, kurento: &Kurento) -> Result<Option<RegistrarConfig>, Failure> {
        let Some(url) = &kurento.registrar else {
            return Ok(None);
        };
        let (scheme, port) = match (self.secure(), self.plain()) {
            (Some(address), _) => ("wss", address.port()),
            (None, Some(address)) => ("ws", address.port()),
            (None, None) => return Ok(None),
        };
        let (host, path) = (&kurento.registrar_local_address, &kurento.path);
        let tls = Trust::system()
            .tls_config()
            .map_err(|error| Failure::Registrar(error.to_string()))?;
        Ok(Some(RegistrarConfig {
            url: url.clone(),
            announced: format!("{scheme}://{host}:{port}{path}"),
            tls,
        }))
    }
}

/// Settings of the WebSockets.
fn listener_config(kurento: &Kurento) -> ListenerConfig {
    let mut config = ListenerConfig {
        path: kurento.path.clone(),
        connections: kurento.max_connections,
        origins: kurento.origins.clone(),
        ..ListenerConfig::default()
    };
    config.frames.max_bytes = kurento.max_frame_bytes;
    config.frames.max_depth = kurento.max_json_depth;
    config
}
