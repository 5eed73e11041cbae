//! Which codecs go over plain RTP.

use crate::{CodecKind, negotiate::LocalCodec};

/// Codecs of one kind of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineCodecs {
    /// What we offer, in this order.
    pub offered: Vec<LocalCodec>,
    /// What we accept beyond that.
    pub accepted: Vec<LocalCodec>,
}

impl LineCodecs {
    /// Opus, PCMU, PCMA and AMR, and AMR-WB of those that offer it.
    pub fn all_audio() -> Self {
        Self {
            offered: plain(&[
                CodecKind::Opus,
                CodecKind::Pcmu,
                CodecKind::Pcma,
                CodecKind::Amr,
            ]),
            accepted: plain(&[CodecKind::AmrWb]),
        }
    }

    /// H265, AV1, VP9, VP8 and H264, and H263 and MP4V-ES of those that offer them.
    pub fn all_video() -> Self {
        let h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
        Self {
            offered: vec![
                LocalCodec::new(CodecKind::H265, None),
                LocalCodec::new(CodecKind::Av1, Some("level-idx=5;profile=0;tier=0")),
                LocalCodec::new(CodecKind::Vp9, Some("profile-id=0")),
                LocalCodec::new(CodecKind::Vp8, None),
                LocalCodec::new(CodecKind::H264, Some(h264)),
            ],
            accepted: plain(&[
                CodecKind::H263,
                CodecKind::H263v1998,
                CodecKind::H263v2000,
                CodecKind::Mp4vEs,
            ]),
        }
    }
}

fn plain(kinds: &[CodecKind]) -> Vec<LocalCodec> {
    kinds
        .iter()
        .map(|kind| LocalCodec::new(*kind, None))
        .collect()
}
