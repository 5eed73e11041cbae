//! Section `endpoint`: what new endpoints start with.

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
}

impl Default for Endpoint {
    fn default() -> Self {
        let model = kurento_server::Config::default().model.endpoints;
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
        }
    }
}
