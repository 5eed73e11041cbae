//! Section `endpoint`: what new endpoints start with.

use std::net::IpAddr;
use std::path::PathBuf;

use salono_kurento_server as kurento_server;
use serde::{Deserialize, Serialize};

/// Section `endpoint`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// STUN server that gathers reflexive candidates.
    pub(crate) stun_address: String,
    /// Its port.
    pub(crate) stun_port: u16,
    /// TURN server that gathers relayed candidates.
    pub(crate) turn_url: String,
    /// Whether there are TCP candidates.
    pub(crate) ice_tcp: bool,
    /// DTLS certificate and key for endpoints with RSA certificates, PEM.
    pub(crate) certificate_rsa: Option<PathBuf>,
    /// The same for ECDSA.
    pub(crate) certificate_ecdsa: Option<PathBuf>,
    /// How packets are marked.
    pub(crate) qos_dscp: String,
    /// Whether WebRTC endpoints know H265.
    pub(crate) h265: bool,
    /// Audio codecs, best first.
    pub(crate) audio_codecs: Vec<String>,
    /// Video codecs, best first.
    pub(crate) video_codecs: Vec<String>,
    /// First UDP port of RTP endpoints.
    pub(crate) rtp_port_min: u16,
    /// Last UDP port of RTP endpoints.
    pub(crate) rtp_port_max: u16,
    /// Property `mtu`.
    pub(crate) mtu: i32,
    /// Property `encoderBitrate`.
    pub(crate) encoder_bitrate: i32,
    /// Property `minEncoderBitrate`.
    pub(crate) min_encoder_bitrate: i32,
    /// Property `maxEncoderBitrate`.
    pub(crate) max_encoder_bitrate: i32,
    /// Folder of URIs without a scheme.
    pub(crate) default_path: String,
    /// Width of a `Composite`.
    pub(crate) composite_width: u16,
    /// Its height.
    pub(crate) composite_height: u16,
    /// Its frames per second.
    pub(crate) composite_framerate: u16,
    /// Where uploads are listened for.
    pub(crate) upload_ip: IpAddr,
    /// Their TCP port.
    pub(crate) upload_port: u16,
    /// Host in their URLs.
    pub(crate) upload_host: String,
    /// Another host in their URLs, behind a NAT.
    pub(crate) upload_announce: String,
    /// Their connections at a time.
    pub(crate) max_uploads: usize,
}

impl Default for Endpoint {
    fn default() -> Self {
        let server = kurento_server::Config::default();
        let (model, uris, uploads) = (server.model.endpoints, server.model.uris, server.uploads);
        Self {
            stun_address: model.stun_server_address,
            stun_port: model.stun_server_port,
            turn_url: model.turn_url,
            ice_tcp: model.ice_tcp,
            certificate_rsa: None,
            certificate_ecdsa: None,
            qos_dscp: model.qos_dscp,
            h265: false,
            audio_codecs: Vec::new(),
            video_codecs: Vec::new(),
            rtp_port_min: 1_024,
            rtp_port_max: 65_535,
            mtu: model.mtu,
            encoder_bitrate: model.encoder_bitrate,
            min_encoder_bitrate: model.min_encoder_bitrate,
            max_encoder_bitrate: model.max_encoder_bitrate,
            default_path: String::new(),
            composite_width: uris.composite_width,
            composite_height: uris.composite_height,
            composite_framerate: uris.composite_framerate,
            upload_ip: uploads.listen.ip(),
            upload_port: uploads.listen.port(),
            upload_host: String::new(),
            upload_announce: String::new(),
            max_uploads: uploads.max_connections,
        }
    }
}
