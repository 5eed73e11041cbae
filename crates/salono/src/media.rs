//! The media server: shards, object model and the WebSocket of the Kurento Protocol.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use salono_kurento_client::{Client, Config as ClientConfig};
use salono_kurento_server::{
    Config as ServerConfig, EndpointDefaults, Server, ServerHandle, UploadConfig, UriDefaults,
};
use salono_media_api::{CertificateKind, Event};
use salono_media_core::{Certificate, Certificates, Codecs};
use salono_media_engine::os::raise_descriptor_limit;
use salono_media_engine::{Engine, EngineConfig, EngineHandle};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;

use crate::config::{Config, Endpoint, Media};
use crate::failure::Failure;
use crate::signalling::Signalling;
use crate::{modules, processors};

/// Events of the shards that wait for the object model; at the cap the shards keep theirs.
const EVENT_QUEUE: usize = 1024;

/// Longer than a room waits for any operation (30 s): what the object model made late is still
/// answered, so that the room learns of it and releases it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A running media server.
pub(crate) struct MediaServer {
    engine: EngineHandle,
    server: ServerHandle,
    listeners: Vec<JoinHandle<()>>,
}

impl MediaServer {
    /// Starts the shards and the object model, and serves the Kurento Protocol.
    pub(crate) fn start(config: &Config, signalling: Signalling) -> Result<Self, Failure> {
        // Sessions may have sockets of their own, and every client has one.
        match raise_descriptor_limit() {
            Ok(limit) => tracing::debug!(limit, "descriptors"),
            Err(error) => tracing::warn!(%error, "cannot raise the limit on descriptors"),
        }
        let modules = modules::load(&config.modules.path);
        modules.log();
        let (events, reports) = mpsc::channel::<Event>(EVENT_QUEUE);
        let engine = Engine::start(
            &EngineConfig {
                processors: processors::config(config, &modules.directories),
                transcoding: config.processor.transcoding.into(),
                ..engine_config(&config.media, &config.endpoint)?
            },
            move |event| {
                match events.try_send(event) {
                    // When the object model has ended nobody wants events any more.
                    Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
                    Err(TrySendError::Full(event)) => Err(event),
                }
            },
        )?;
        let (server, control) = Server::new(
            server_config(config),
            Box::new(engine.clone()),
            reports,
            Arc::new(modules.registry),
        );
        tokio::spawn(control);
        let listeners = signalling.serve(&server, &config.kurento);
        Ok(Self {
            engine,
            server,
            listeners,
        })
    }

    /// A client in this process.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let session = self.server.open_session().await;
        let (requests, answers) = session.map_err(|_| Failure::MediaEnded)?;
        let mut config = ClientConfig::default();
        config.request_timeout = REQUEST_TIMEOUT;
        let (client, driver) = Client::from_channel_with(requests, answers, config);
        tokio::spawn(driver.run());
        Ok(client)
    }

    /// Ends when the process should end for want of resources, see `kurento.kill_limit`.
    pub(crate) async fn exhausted(&self) {
        self.server.exhausted().await;
    }

    /// The shards, for their counters.
    pub(crate) fn engine(&self) -> &EngineHandle {
        &self.engine
    }

    /// What the sockets of all shards are bound to.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.engine
            .local_addresses()
            .into_iter()
            .flatten()
            .collect()
    }

    /// Releases everything, closes the connections, ends the shards.
    pub(crate) async fn shutdown(self) {
        self.server.shutdown().await;
        for listener in self.listeners {
            // It ends by itself once the server does; a panic in it has been reported.
            let _ = listener.await;
        }
        let engine = self.engine;
        let _ = tokio::task::spawn_blocking(move || engine.shutdown()).await;
    }
}

/// The configured local addresses, those of interfaces included; empty means the default.
pub(crate) fn local_ips(media: &Media) -> Result<Vec<IpAddr>, Failure> {
    let mut ips = media.ips.clone();
    if media.interfaces.is_empty() {
        return Ok(ips);
    }
    let found =
        if_addrs::get_if_addrs().map_err(Failure::system("cannot list the network interfaces"))?;
    for name in &media.interfaces {
        let before = ips.len();
        let of_interface = found.iter().filter(|interface| interface.name == *name);
        ips.extend(of_interface.map(if_addrs::Interface::ip).filter(|ip| {
            // They need a scope, which candidates cannot carry.
            !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
        }));
        if ips.len() == before {
            return Err(Failure::Interface(name.clone()));
        }
    }
    Ok(ips)
}

/// What DTLS presents: the operator's files where they can be used, as in Kurento, else
/// certificates of our own, which the first endpoints have made.
fn certificates(endpoint: &Endpoint) -> Certificates {
    let mut certificates = Certificates::default();
    let files = [
        (&endpoint.certificate_rsa, CertificateKind::Rsa),
        (&endpoint.certificate_ecdsa, CertificateKind::Ecdsa),
    ];
    for (path, kind) in files {
        let Some(path) = path else { continue };
        let read = std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|pem| Certificate::from_pem(&pem).map_err(|error| error.to_string()));
        match read {
            Ok(certificate) if certificate.kind() == kind => {
                certificates = certificates.with(certificate);
            }
            Ok(_) => tracing::error!(path = %path.display(), "the key is of the other type"),
            Err(error) => tracing::error!(path = %path.display(), %error, "no DTLS certificate"),
        }
    }
    certificates
}

/// Settings of the shards.
pub(crate) fn engine_config(media: &Media, endpoint: &Endpoint) -> Result<EngineConfig, Failure> {
    let mut config = EngineConfig::new(certificates(endpoint));
    config.ips = local_ips(media)?;
    config.port = media.port;
    config.shards = media.shards;
    config.announced_v4 = media.announce_v4;
    config.announced_v6 = media.announce_v6;
    config.ice_tcp = media.tcp;
    if let Some(path) = &media.relay_roots {
        config.extra_roots =
            std::fs::read_to_string(path).map_err(|error| Failure::RelayRoots {
                path: path.clone(),
                error,
            })?;
    }
    config.sockets.buffer_bytes = media.socket_buffer_bytes;
    let (codecs, unknown) = Codecs::named(
        &endpoint.audio_codecs,
        &endpoint.video_codecs,
        endpoint.h265,
    );
    config.codecs = codecs;
    for name in unknown {
        tracing::warn!(
            name,
            "codec in endpoint.audio_codecs or video_codecs is not known"
        );
    }
    let limits = &mut config.limits;
    limits.elements = media.max_elements;
    limits.sdp_bytes = media.max_sdp_bytes;
    limits.sdp_media = media.max_sdp_media;
    limits.candidates = media.max_candidates;
    limits.remote_addresses = media.max_remote_addresses;
    limits.video_ring_bytes = media.video_ring_bytes;
    limits.audio_ring_bytes = media.audio_ring_bytes;
    limits.data_channels = media.max_data_channels;
    limits.message_bytes = media.max_message_bytes;
    limits.data_buffered_bytes = media.max_data_buffered_bytes;
    Ok(config)
}

/// Settings of the object model.
fn server_config(config: &Config) -> ServerConfig {
    let Config {
        kurento,
        endpoint,
        media,
        data_dir,
        ..
    } = config;
    let mut config = ServerConfig {
        outbound_messages: kurento.max_outbound_messages,
        kill_limit: kurento.kill_limit,
        // Kurento's operators know this variable; there is no setting beside it.
        graph_folder: std::env::var_os("GST_DEBUG_DUMP_DOT_DIR")
            .filter(|folder| !folder.is_empty())
            .map(Into::into),
        uploads: UploadConfig {
            listen: SocketAddr::new(endpoint.upload_ip, endpoint.upload_port),
            host: upload_host(endpoint),
            max_connections: endpoint.max_uploads,
        },
        ..ServerConfig::default()
    };
    let model = &mut config.model;
    model.session_period = Duration::from_secs(kurento.session_period_s);
    if !kurento.request_cache {
        model.reply_lifetime = Duration::ZERO;
    }
    model.isolate_sessions = kurento.isolate_sessions;
    model.metadata.clone_from(&kurento.metadata);
    model.min_video_send_kbps = kurento.min_video_send_kbps;
    model.max_video_send_kbps = kurento.max_video_send_kbps;
    model.exception_limit = kurento.exception_limit;
    model.endpoints = EndpointDefaults {
        // With other addresses beside them, an endpoint must not be kept to the interfaces.
        network_interfaces: if media.ips.is_empty() {
            media.interfaces.join(",")
        } else {
            String::new()
        },
        ice_tcp: endpoint.ice_tcp,
        stun_server_address: endpoint.stun_address.clone(),
        stun_server_port: endpoint.stun_port,
        turn_url: endpoint.turn_url.clone(),
        external_v4: text(media.announce_v4),
        external_v6: text(media.announce_v6),
        qos_dscp: endpoint.qos_dscp.clone(),
        rtp_ports: endpoint.rtp_port_min..=endpoint.rtp_port_max,
        mtu: endpoint.mtu,
        encoder_bitrate: endpoint.encoder_bitrate,
        min_encoder_bitrate: endpoint.min_encoder_bitrate,
        max_encoder_bitrate: endpoint.max_encoder_bitrate,
    };
    model.uris = UriDefaults {
        default_path: if endpoint.default_path.is_empty() {
            format!("file://{}", data_dir.join("recordings").display())
        } else {
            endpoint.default_path.clone()
        },
        composite_width: endpoint.composite_width,
        composite_height: endpoint.composite_height,
        composite_framerate: endpoint.composite_framerate,
    };
    model.limits.objects = kurento.max_objects;
    model.limits.sessions = kurento.max_sessions;
    model.limits.subscriptions_per_session = kurento.max_subscriptions;
    config
}

/// Host in the URLs of endpoints that take uploads.
fn upload_host(endpoint: &Endpoint) -> String {
    let named = [&endpoint.upload_announce, &endpoint.upload_host];
    if let Some(host) = named.into_iter().find(|host| !host.is_empty()) {
        return host.clone();
    }
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let first = found
        .iter()
        .map(if_addrs::Interface::ip)
        .find(|ip| ip.is_ipv4() && !ip.is_loopback());
    first
        .unwrap_or_else(|| Ipv4Addr::LOCALHOST.into())
        .to_string()
}

/// An address as a property holds it.
fn text(ip: Option<impl ToString>) -> String {
    ip.map(|ip| ip.to_string()).unwrap_or_default()
}
