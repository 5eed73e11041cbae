//! The room server's settings, and media servers that run elsewhere.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use salono_kurento_client::{Client, Config as ClientConfig, Trust};
use salono_room_sdk::{KurentoClientProvider, KurentoClientSessionInfo, RoomError, RoomErrorCode};
use salono_room_server::{OriginPolicy, RoomServerConfig};
use tokio::sync::Mutex;

use crate::config::{Room, Web};
use crate::failure::Failure;
use crate::token_keys;

/// Settings of the room server.
///
/// # Errors
/// When keys of tokens cannot be used.
pub(crate) fn server_config(room: &Room, web: &Web) -> Result<RoomServerConfig, Failure> {
    let mut config = RoomServerConfig {
        max_frame_bytes: room.max_frame_bytes,
        max_json_depth: room.max_json_depth,
        max_outbound_frames: room.max_outbound_frames,
        max_outbound_bytes: room.max_outbound_bytes,
        keepalive: (room.keepalive_s > 0).then(|| Duration::from_secs(room.keepalive_s)),
        access: token_keys::access(room)?,
        allow_close: room.allow_close,
        update_speaker_interval_ms: room.update_speaker_interval_ms,
        threshold_speaker_db: room.threshold_speaker_db,
        ..RoomServerConfig::default()
    };
    if !web.origins.is_empty() {
        config.origins = OriginPolicy::AllowList(web.origins.clone());
    }
    config.sessions.max_sockets = room.max_sockets;
    config.sessions.max_sessions = room.max_sessions;
    config.sessions.reconnection_grace = Duration::from_millis(room.reconnection_grace_ms);
    config.policy.max_name_chars = room.max_name_chars;
    config.policy.max_message_chars = room.max_message_chars;
    config.policy.max_sdp_bytes = room.max_sdp_bytes;
    config.policy.max_candidate_bytes = room.max_candidate_bytes;
    config.rooms.rooms = room.max_rooms;
    config.rooms.room.limits.participants = room.max_participants;
    config.rooms.room.loudest = room.loudest;
    let bandwidth = &mut config.rooms.room.bandwidth;
    bandwidth.max_video_recv = room.max_video_recv_kbps;
    bandwidth.min_video_recv = room.min_video_recv_kbps;
    bandwidth.max_video_send = room.max_video_send_kbps;
    bandwidth.min_video_send = room.min_video_send_kbps;
    config.client.loopback_remote = room.loopback_remote;
    config.client.loopback_and_local = room.loopback_and_local;
    config
        .client
        .filter_request_param
        .clone_from(&room.filter_request_param);
    Ok(config)
}

/// Media servers by URL. Rooms take turns on them; one that cannot be reached is passed over.
pub(crate) struct RemoteServers {
    servers: Vec<RemoteServer>,
    turn: AtomicUsize,
    config: ClientConfig,
}

/// One of them.
struct RemoteServer {
    url: String,
    /// Connected on first use and kept, since the client reconnects by itself.
    client: Mutex<Option<Connected>>,
}

/// A client and whether its driver still runs.
struct Connected {
    client: Client,
    ended: Arc<AtomicBool>,
}

impl RemoteServers {
    /// Connects when the first room needs it.
    ///
    /// # Errors
    /// When `room.kms_certificates` cannot be used.
    pub(crate) fn new(room: &Room) -> Result<Self, Failure> {
        let mut config = ClientConfig::default();
        config.request_timeout = Duration::from_millis(room.kms_request_timeout_ms);
        if let Some(path) = &room.kms_certificates {
            let pem = fs::read(path).map_err(|error| Failure::certificates(path, &error))?;
            config.trust =
                Trust::roots_pem(&pem).map_err(|error| Failure::certificates(path, &error))?;
        }
        Ok(Self {
            servers: room
                .kms
                .iter()
                .map(|url| RemoteServer {
                    url: url.clone(),
                    client: Mutex::default(),
                })
                .collect(),
            turn: AtomicUsize::new(0),
            config,
        })
    }

    /// Tries all of them once, for the log at the start.
    pub(crate) async fn warm_up(&self) {
        for server in &self.servers {
            match server.client(&self.config).await {
                Ok(_) => tracing::info!(url = server.url, "media server connected"),
                Err(error) => {
                    tracing::warn!(url = server.url, %error, "media server cannot be reached");
                }
            }
        }
    }
}

impl RemoteServer {
    async fn client(
        &self,
        config: &ClientConfig,
    ) -> Result<Client, salono_kurento_client::ConnectError> {
        let mut slot = self.client.lock().await;
        if let Some(connected) = &*slot
            && !connected.ended.load(Ordering::Relaxed)
        {
            return Ok(connected.client.clone());
        }
        let (client, driver) = Client::connect_with(&self.url, config.clone()).await?;
        let ended = Arc::new(AtomicBool::new(false));
        *slot = Some(Connected {
            client: client.clone(),
            ended: Arc::clone(&ended),
        });
        tokio::spawn(async move {
            driver.run().await;
            ended.store(true, Ordering::Relaxed);
        });
        Ok(client)
    }
}

impl KurentoClientProvider for RemoteServers {
    fn kurento_client<'a>(
        &'a self,
        session: &'a KurentoClientSessionInfo,
    ) -> BoxFuture<'a, Result<Client, RoomError>> {
        Box::pin(async move {
            let first = self.turn.fetch_add(1, Ordering::Relaxed);
            for offset in 0..self.servers.len() {
                let server = &self.servers[first.wrapping_add(offset) % self.servers.len()];
                match server.client(&self.config).await {
                    Ok(client) => return Ok(client),
                    Err(error) => tracing::warn!(
                        url = server.url,
                        room = session.room_name,
                        %error,
                        "media server passed over"
                    ),
                }
            }
            Err(RoomError::new(
                RoomErrorCode::RoomCannotBeCreated,
                "no media server can be reached",
            ))
        })
    }
}
