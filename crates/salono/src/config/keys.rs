//! Every key with its documentation, in the order in which they are printed.

/// A key and what it means, in Markdown.
pub(crate) struct Key {
    /// `section.name`.
    pub(crate) name: &'static str,
    /// Its documentation.
    pub(crate) about: &'static str,
}

/// The environment variable of a key.
pub(crate) fn environment_name(key: &str) -> String {
    format!("SALONO_{}", key.to_ascii_uppercase().replace('.', "_"))
}

/// Shortens the table.
const fn key(name: &'static str, about: &'static str) -> Key {
    Key { name, about }
}

/// All keys.
pub(crate) const KEYS: &[Key] = &[
    key(
        "data_dir",
        "Folder for what is kept between runs: the self-signed certificate. Flag `--data-dir`. Default: `$STATE_DIRECTORY`, else `$XDG_DATA_HOME/salono`, else `~/.local/share/salono`; for root `/var/lib/salono`.",
    ),
    key(
        "log.filter",
        "What is logged, as `level` or `target=level`, comma-separated; targets are crate names such as `salono_room_server`. Flag `--log`.",
    ),
    key(
        "log.format",
        "`text` or `json` (one object per line). Logs go to standard error. Flag `--log-format`.",
    ),
    key(
        "web.https",
        "Address of the HTTPS listener, or `off`. A request that comes in plain HTTP is answered with a redirect. Flag `--https`.",
    ),
    key(
        "web.http",
        "Address of a plain listener with the same routes, for proxies that do TLS themselves, or `off`. Flag `--http`.",
    ),
    key(
        "web.tls_cert",
        "Certificate chain of your own, PEM; files that are replaced are read again within seconds, or at once after SIGHUP. Without it a self-signed one is made and kept in the data folder. Flag `--tls-cert`.",
    ),
    key(
        "web.tls_key",
        "Private key of that certificate, PEM. Flag `--tls-key`.",
    ),
    key("web.demo", "Whether the demo page is served at `/`."),
    key(
        "web.metrics",
        "Whether `/metrics` is served (Prometheus text format).",
    ),
    key(
        "web.origins",
        "Web pages that may open the WebSocket at `/room`, each as `scheme://host[:port]`; empty lets in all. Programs that send no `Origin` are always let in.",
    ),
    key(
        "web.max_connections",
        "HTTP connections of one listener at a time; more wait to be accepted. WebSockets are counted by `room.max_sockets` instead.",
    ),
    key(
        "media.ips",
        "Local addresses for media. Empty means every address of this host except loopback and link-local ones, or loopback when there is no other. Flag `--media-ip`, repeatable.",
    ),
    key(
        "media.interfaces",
        "Network interfaces whose addresses are added to `media.ips`.",
    ),
    key(
        "media.port",
        "UDP port of the first media shard; the next shards have the following ports. 0 takes any free port for each. Set it when a firewall must let media through. Flag `--media-port`.",
    ),
    key(
        "media.shards",
        "Media threads, each with one UDP port; 0 means one per core. Flag `--shards`.",
    ),
    key(
        "media.announce_v4",
        "Public IPv4 address that peers are told instead of the local one, behind a 1:1 NAT. Flag `--announce-ip`.",
    ),
    key(
        "media.announce_v6",
        "The same for IPv6. Flag `--announce-ip`.",
    ),
    key(
        "media.tcp",
        "Whether the shards also listen for media over TCP (RFC 6544), for peers that UDP does not reach: on the numbers of their UDP ports where these are free. `endpoint.ice_tcp` says whether endpoints offer it.",
    ),
    key(
        "media.relay_roots",
        "File with certificates (PEM) that TURN servers over TLS are trusted with beside those of this system.",
    ),
    key(
        "media.socket_buffer_bytes",
        "Receive and send buffer asked for on every UDP socket; the kernel may grant less (`net.core.rmem_max`, `net.core.wmem_max`).",
    ),
    key(
        "media.max_elements",
        "Media elements on one shard; creating one more fails.",
    ),
    key("media.max_sdp_bytes", "Bytes of one session description."),
    key("media.max_sdp_media", "m-lines of one session description."),
    key(
        "media.max_candidates",
        "Remote candidates of one endpoint; more are ignored.",
    ),
    key(
        "media.max_remote_addresses",
        "Remote addresses that one transport may be reached from.",
    ),
    key(
        "media.video_ring_bytes",
        "Retransmission store of one video stream, bytes.",
    ),
    key(
        "media.audio_ring_bytes",
        "Retransmission store of one audio stream, bytes.",
    ),
    key("media.max_data_channels", "Data channels of one endpoint."),
    key(
        "media.max_message_bytes",
        "Bytes of one data channel message.",
    ),
    key(
        "media.max_data_buffered_bytes",
        "Bytes that may wait in the data channels of one endpoint before messages are dropped.",
    ),
    key(
        "kurento.listen",
        "Address of the Kurento Protocol's WebSocket, or `off`. It knows no authentication: keep it where only your application servers reach it. Flag `--kurento`.",
    ),
    key(
        "kurento.tls_listen",
        "Address of the same over TLS (`wss://`), or `off`; both may run together. Flag `--kurento-tls`.",
    ),
    key(
        "kurento.tls_certificate",
        "Its certificate chain and private key in one file, PEM. Without it the certificate of HTTPS is used.",
    ),
    key(
        "kurento.tls_password",
        "Password of that private key, if it is encrypted (PKCS#8).",
    ),
    key(
        "kurento.backlog",
        "Connections that wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`).",
    ),
    key("kurento.path", "Path of these WebSockets."),
    key(
        "kurento.origins",
        "Web pages that may open them; empty lets in all. Programs that send no `Origin` are always let in.",
    ),
    key(
        "kurento.registrar",
        "WebSocket URL (`ws://` or `wss://`) of a registrar that is told where this server listens, at start and whenever the connection was lost.",
    ),
    key(
        "kurento.registrar_local_address",
        "Host by which the registrar's clients reach this server.",
    ),
    key(
        "kurento.metadata",
        "What `getMetadata` of the `ServerManager` answers.",
    ),
    key(
        "kurento.session_period_s",
        "Seconds; a session without a connection ends one to two of these after its last use, and its objects with it.",
    ),
    key(
        "kurento.request_cache",
        "Whether answers are kept for clients that repeat a request after a reconnection.",
    ),
    key(
        "kurento.isolate_sessions",
        "Whether sessions see only objects that they created or inherited. Off, any session can use any object whose id it knows, as with Kurento.",
    ),
    key(
        "kurento.min_video_send_kbps",
        "`minVideoSendBandwidth` of new endpoints, kbit/s; unset, 100 is answered and nothing is bounded.",
    ),
    key(
        "kurento.max_video_send_kbps",
        "`maxVideoSendBandwidth` of new endpoints, kbit/s; 0 is unlimited; unset, 500 is answered and nothing is bounded.",
    ),
    key(
        "kurento.max_connections",
        "Connections of one listener at a time; more are answered with 503, or closed where there is TLS.",
    ),
    key(
        "kurento.max_frame_bytes",
        "Bytes of one frame; a longer one closes its connection with 1009.",
    ),
    key("kurento.max_json_depth", "Nesting of one frame."),
    key(
        "kurento.max_outbound_messages",
        "Messages that wait for a client that reads slowly; one more and it is disconnected. Its session can be resumed.",
    ),
    key(
        "kurento.exception_limit",
        "Part of the process's limits of threads (`ulimit -u`) and open files (`ulimit -n`) above which `create` fails with 40009; 0 turns that off.",
    ),
    key(
        "kurento.kill_limit",
        "Part of the same limits above which the server ends as soon as it has no media objects, for whoever starts it again.",
    ),
    key(
        "kurento.max_objects",
        "Media objects at a time; creating one more fails with 40009.",
    ),
    key("kurento.max_sessions", "Sessions at a time."),
    key("kurento.max_subscriptions", "Subscriptions of one session."),
    key(
        "endpoint.stun_address",
        "IP address of a STUN server from which WebRTC endpoints learn their public address; empty asks none.",
    ),
    key("endpoint.stun_port", "Port of that STUN server."),
    key(
        "endpoint.turn_url",
        "TURN server through which WebRTC endpoints can be reached, as `user:password@host:port?transport=udp` (or `tcp`, `tls`); empty uses none.",
    ),
    key(
        "endpoint.ice_tcp",
        "Whether WebRTC endpoints use TCP where UDP does not get through.",
    ),
    key(
        "endpoint.certificate_rsa",
        "DTLS certificate and its private key in one file, PEM, for WebRTC endpoints with `certificateKeyType` RSA; without it one is made at each start.",
    ),
    key("endpoint.certificate_ecdsa", "The same for ECDSA."),
    key(
        "endpoint.qos_dscp",
        "How packets of endpoints that do not say it themselves are marked: a name of `DSCPValue` such as `EF` or `AUDIO_HIGH`; empty marks nothing.",
    ),
    key(
        "endpoint.h265",
        "Whether WebRTC endpoints know H265; without it only RTP endpoints do.",
    ),
    key(
        "endpoint.audio_codecs",
        "Audio codecs of session descriptions, best first, as `opus/48000/2`; empty means all that are known.",
    ),
    key(
        "endpoint.video_codecs",
        "Video codecs of session descriptions, best first, as `VP8/90000`; empty means all that are known.",
    ),
    key(
        "endpoint.rtp_port_min",
        "First UDP port of RTP endpoints. WebRTC endpoints share `media.port`.",
    ),
    key("endpoint.rtp_port_max", "Last UDP port of RTP endpoints."),
    key("endpoint.mtu", "`mtu` of new endpoints, bytes."),
    key(
        "endpoint.encoder_bitrate",
        "`encoderBitrate` of new elements, bit/s.",
    ),
    key(
        "endpoint.min_encoder_bitrate",
        "`minEncoderBitrate` of new elements, bit/s.",
    ),
    key(
        "endpoint.max_encoder_bitrate",
        "`maxEncoderBitrate` of new elements, bit/s.",
    ),
    key(
        "endpoint.default_path",
        "URI of the folder that URIs of players and recorders without a scheme are in, such as `file:///srv/media`; empty means `recordings` in `data_dir`.",
    ),
    key(
        "endpoint.composite_width",
        "Width in pixels of a `Composite` that is created without one.",
    ),
    key("endpoint.composite_height", "Its height in pixels."),
    key("endpoint.composite_framerate", "Its frames per second."),
    key(
        "endpoint.upload_ip",
        "Local address of the HTTP listener for uploads to `HttpPostEndpoint`; it is opened with the first of them.",
    ),
    key(
        "endpoint.upload_port",
        "TCP port of that listener; 0 takes any free one.",
    ),
    key(
        "endpoint.upload_host",
        "Host name or address in the URLs of these endpoints; empty means the first IPv4 address of this host.",
    ),
    key(
        "endpoint.upload_announce",
        "The same where a NAT or a proxy has another one; it goes before `endpoint.upload_host`.",
    ),
    key(
        "endpoint.max_uploads",
        "Connections of that listener at a time; more wait to be accepted.",
    ),
    key(
        "processor.path",
        "The program that plays, records, mixes, filters and transcodes. Unset, it is `salono-processor` beside this program, else in `PATH`. Without it everything else works.",
    ),
    key(
        "processor.warm",
        "Processors that are kept ready, so that a pipeline that needs one does not wait; 0 starts each when it is needed.",
    ),
    key(
        "processor.max",
        "Pipelines that may have a processor at a time; in one more, creating such an element fails.",
    ),
    key(
        "processor.memory_bytes",
        "Memory that one processor may have, bytes; one that wants more ends, and is replaced. 0 is unlimited.",
    ),
    key(
        "processor.transcoding",
        "`allow` or `deny`: whether media is decoded and encoded anew for endpoints that know none of the source's codecs.",
    ),
    key(
        "processor.read_roots",
        "Directories that `file:` URIs of players may lead to, beside those of `processor.write_roots`.",
    ),
    key(
        "processor.write_roots",
        "Directories that recorders may write in, beside the folder of `endpoint.default_path`.",
    ),
    key(
        "processor.overwrite",
        "Whether recorders write over files that are there.",
    ),
    key(
        "processor.read_schemes",
        "Schemes of URIs that players and filters may open beside `file`.",
    ),
    key(
        "processor.write_schemes",
        "Schemes of URIs that recorders may write to beside `file`. With `s3`, processors get the `AWS_*` variables of the environment.",
    ),
    key(
        "processor.private_addresses",
        "Whether players and recorders may reach addresses that are not public (RFC 1918, loopback, link-local and so on). Whoever creates players can then reach the services there.",
    ),
    key(
        "processor.elements",
        "GStreamer elements that a `GStreamerFilter` may consist of; empty allows none.",
    ),
    key(
        "modules.path",
        "Directories of third-party modules: descriptors (`*.kmd.json`) with their plugins of GStreamer beside them, up to three directories down. Flag `--modules`, repeatable. [More](modules.md).",
    ),
    key(
        "room.kms",
        "Media servers of `salono room`, as `ws://` or `wss://` URLs; those that cannot be reached are passed over, and a room whose media server is lost goes on with another. `autodiscovery` instead takes the one that `kms.url` in `~/.kurento/config.properties` names for each room. `salono serve` uses its own, and the whole list if `embedded` is in it, which stands for its own. Flag `--kms`, repeatable.",
    ),
    key(
        "room.kms_certificates",
        "Certificates (PEM) that `wss://` media servers must be proven by; without it those that this system trusts.",
    ),
    key(
        "room.kms_request_timeout_ms",
        "Milliseconds that a media server of `room.kms` may take for an answer.",
    ),
    key(
        "room.token_keys",
        "Files with the keys that tokens of participants are signed with: a JSON Web Key (Set), PEM, or a secret of 32 bytes or more; public halves are enough. With at least one, joining takes a token. Files that are replaced are read again within seconds, or at once after SIGHUP. `salono token` makes keys and tokens.",
    ),
    key(
        "room.open",
        "Whether participants may also join without a token, as clients of Kurento Room do; they send and receive, but do not moderate. Unset, it is so where `room.token_keys` is empty. `false` without keys is refused at the start, since nobody could join.",
    ),
    key(
        "room.kms_choice",
        "Which of them a room gets: `round-robin`, `least-loaded`, `next-least-loaded` (the second least loaded one), or `service-level`: the least loaded one if the name of the user who creates the room fits `room.kms_sla_users`, else the second least loaded one.",
    ),
    key(
        "room.kms_limit",
        "Pipelines that one of them may have before it counts as full; rooms that find all of them full fail with code 204. 0 is unlimited.",
    ),
    key(
        "room.kms_sla_users",
        "Regular expression for whole user names, whatever their case, for `service-level`.",
    ),
    key(
        "room.kms_reconnect_ms",
        "Milliseconds that a broken connection to a media server may take to come back before the server counts as lost.",
    ),
    key(
        "room.kms_recovery_ms",
        "Milliseconds for which another one is looked for before rooms whose media server is lost are closed; 0 closes them at once.",
    ),
    key(
        "room.creators",
        "Regular expression for whole names of users who may create rooms, whatever their case; to others a room that does not exist fails with code 204. Empty lets everybody.",
    ),
    key(
        "room.admin_token_file",
        "File whose first line, of 16 characters or more, administrators send as `Authorization: Bearer …` to `/api/v1` (described by `/api/openapi.json`). Without it there is no such interface.",
    ),
    key(
        "room.allow_close",
        "Whether `POST /close?room=NAME` closes a room. It knows no authentication.",
    ),
    key(
        "room.reconnection_grace_ms",
        "Milliseconds after which a participant whose connection is lost leaves its room.",
    ),
    key(
        "room.keepalive_s",
        "Seconds between WebSocket pings, which keep connections open through proxies; a client that was silent for three of them is disconnected. 0 sends none.",
    ),
    key(
        "room.max_rooms",
        "Rooms at a time; one more fails with code 204.",
    ),
    key(
        "room.max_participants",
        "Participants of one room; one more fails with code 201.",
    ),
    key("room.max_sockets", "Open WebSockets; more are refused."),
    key(
        "room.max_sessions",
        "Sessions, those included whose client is away.",
    ),
    key(
        "room.max_frame_bytes",
        "Bytes of one frame; a longer one closes its socket with 1009.",
    ),
    key(
        "room.max_json_depth",
        "Nesting of one frame; a deeper one is ignored.",
    ),
    key(
        "room.max_outbound_frames",
        "Frames that wait for a client that reads slowly; one more and it is disconnected. Its session can be resumed.",
    ),
    key("room.max_outbound_bytes", "Bytes of those frames."),
    key("room.max_name_chars", "Characters of a room or user name."),
    key("room.max_message_chars", "Characters of a chat message."),
    key("room.max_sdp_bytes", "Bytes of a session description."),
    key("room.max_candidate_bytes", "Bytes of a candidate."),
    key(
        "room.max_video_recv_kbps",
        "Most video that participants are asked to send, kbit/s; unset leaves the media server's default.",
    ),
    key(
        "room.min_video_recv_kbps",
        "Least video that participants are asked to send, kbit/s; unset leaves the media server's default.",
    ),
    key(
        "room.max_video_send_kbps",
        "Most video that is sent to a participant for one other, kbit/s; unset leaves the media server's default.",
    ),
    key(
        "room.min_video_send_kbps",
        "Least video that is sent to a participant for one other, kbit/s; unset leaves the media server's default.",
    ),
    key(
        "room.loudest",
        "Forward the sound of so many participants of a room only, the loudest and whoever is speaking; 0 forwards everybody. It takes a media server with the module `salono`, and participants whose clients send audio levels, as browsers do.",
    ),
    key(
        "room.loopback_remote",
        "Whether the demo page shows one's own picture as it comes back from the server.",
    ),
    key(
        "room.loopback_and_local",
        "Whether it shows the local picture next to that.",
    ),
    key(
        "room.filter_request_param",
        "Parameter of `customRequest` that the demo page's filter button sends: `hat` or `marker`.",
    ),
    key(
        "room.hat_url",
        "Picture that `customRequest {\"hat\": true}` puts on faces: `http:`, `https:`, `file:` where the media processor may go, or `data:`. Empty is a hat of our own.",
    ),
    key(
        "room.hat_offset_x",
        "Distance of its left edge from that of the face, in widths of the face.",
    ),
    key(
        "room.hat_offset_y",
        "Distance of its upper edge from that of the face, in heights of the face; less than 0 is above.",
    ),
    key("room.hat_width", "Its width, in widths of the face."),
    key("room.hat_height", "Its height, in heights of the face."),
    key(
        "room.update_speaker_interval_ms",
        "How often clients look for the loudest speaker, milliseconds (`GET /getUpdateSpeakerInterval`).",
    ),
    key(
        "room.threshold_speaker_db",
        "Loudness above which somebody counts as speaking, dB (`GET /getThresholdSpeaker`).",
    ),
];
