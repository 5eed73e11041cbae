//! The room server's settings, and media servers that run elsewhere.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use salono_kurento_client::{Client, Config as ClientConfig, Trust};
use salono_room_sdk::{
    Autodiscovery, Kms, KmsManager, KurentoClientProvider, LoadManager, MaxWebRtcLoadManager,
    NamePattern, PropertiesKmsUrl, UnlimitedLoadManager,
};
use salono_room_server::{AdminToken, OriginPolicy, RoomServerConfig};

use crate::config::{KmsChoice, Room, Web};
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
        admin_token: admin_token(room)?,
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
    config.rooms.media_reconnect = Duration::from_millis(room.kms_reconnect_ms);
    config.rooms.media_recovery = Duration::from_millis(room.kms_recovery_ms);
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

/// The first line of a file.
fn admin_token(room: &Room) -> Result<Option<AdminToken>, Failure> {
    let Some(path) = &room.admin_token_file else {
        return Ok(None);
    };
    let refused = |why: String| Failure::AdminToken {
        path: path.clone(),
        why,
    };
    let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    let token = AdminToken::new(line).ok_or_else(|| {
        refused(format!(
            "its first line is not {} or more letters, digits and marks without spaces",
            AdminToken::MIN_CHARS
        ))
    })?;
    Ok(Some(token))
}

/// Media servers of rooms, as the configuration names them; `own` is the one in this process, if there
/// is one.
///
/// # Errors
/// When a pattern or `room.kms_certificates` cannot be used, and when there is no media server.
pub(crate) fn media_servers(room: &Room, own: Option<&Client>) -> Result<MediaServers, Failure> {
    let config = client_config(room)?;
    // Without its name in the list, a program that has a media server uses that one alone.
    let listed = own.is_none() || room.kms.iter().any(|name| name == OWN);
    if own.is_none() && room.kms.iter().any(|name| name == AUTODISCOVERY) {
        let urls = Arc::new(PropertiesKmsUrl::in_home(&home()));
        return Ok(MediaServers::Discovered(Arc::new(Autodiscovery::new(
            urls, config,
        ))));
    }
    let pattern = |key, text: &str| {
        NamePattern::new(text).map_err(|error| Failure::Pattern {
            key,
            why: error.to_string(),
        })
    };
    let choice = match room.kms_choice {
        KmsChoice::RoundRobin => salono_room_sdk::KmsChoice::RoundRobin,
        KmsChoice::LeastLoaded => salono_room_sdk::KmsChoice::LeastLoaded,
        KmsChoice::NextLeastLoaded => salono_room_sdk::KmsChoice::NextLeastLoaded,
        KmsChoice::ServiceLevel => salono_room_sdk::KmsChoice::ServiceLevel(pattern(
            "room.kms_sla_users",
            &room.kms_sla_users,
        )?),
    };
    let mut manager = KmsManager::new(choice);
    if !room.creators.is_empty() {
        manager = manager.created_by(pattern("room.creators", &room.creators)?);
    }
    let load: Arc<dyn LoadManager> = match room.kms_limit {
        0 => Arc::new(UnlimitedLoadManager),
        limit => Arc::new(MaxWebRtcLoadManager::new(limit)),
    };
    let add_own = |client: &Client| {
        manager.add_kms(Kms::connected(OWN, client.clone(), Arc::clone(&load)));
    };
    if listed {
        for name in &room.kms {
            match (name.as_str(), own) {
                (OWN, Some(client)) => add_own(client),
                (OWN, None) => {
                    return Err(Failure::NothingToDo(
                        "room.kms names `embedded`, but this program has no media server: use `salono serve`",
                    ));
                }
                (url, _) => {
                    manager.add_kms(Kms::new(url, config.clone(), Arc::clone(&load)));
                }
            }
        }
    } else if let Some(client) = own {
        add_own(client);
    }
    if manager.kmss().is_empty() {
        return Err(Failure::NothingToDo(
            "room.kms is empty, so rooms would have no media server: give --kms ws://HOST:8888/kurento",
        ));
    }
    Ok(MediaServers::Listed(Arc::new(manager)))
}

/// The media server of `salono serve` in `room.kms`.
const OWN: &str = "embedded";

/// What stands in `room.kms` of media servers that somebody else hands out.
const AUTODISCOVERY: &str = "autodiscovery";

/// Where rooms get their media server.
#[derive(Clone)]
pub(crate) enum MediaServers {
    /// From a list.
    Listed(Arc<KmsManager>),
    /// From whoever knows.
    Discovered(Arc<Autodiscovery>),
}

impl MediaServers {
    /// For the room server.
    pub(crate) fn provider(&self) -> Arc<dyn KurentoClientProvider> {
        match self {
            Self::Listed(manager) => Arc::clone(manager) as Arc<dyn KurentoClientProvider>,
            Self::Discovered(discovery) => Arc::clone(discovery) as Arc<dyn KurentoClientProvider>,
        }
    }

    /// Tries all of a list once, for the log at the start.
    pub(crate) async fn warm_up(self) {
        let Self::Listed(manager) = self else {
            return;
        };
        for kms in manager.kmss() {
            match kms.client().await {
                Ok(_) => tracing::info!(media_server = kms.name(), "media server connected"),
                Err(error) => tracing::warn!(%error, "media server passed over for now"),
            }
        }
    }
}

fn client_config(room: &Room) -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::default();
    config.request_timeout = Duration::from_millis(room.kms_request_timeout_ms);
    if let Some(path) = &room.kms_certificates {
        let pem = fs::read(path).map_err(|error| Failure::certificates(path, &error))?;
        config.trust =
            Trust::roots_pem(&pem).map_err(|error| Failure::certificates(path, &error))?;
    }
    Ok(config)
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from)
}
