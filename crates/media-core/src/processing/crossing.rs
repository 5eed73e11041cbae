//! One stream on its way into a processor or out of it, in the place of a peer's endpoint.
//!
//! To the router a processor is a peer per stream: what goes in is a stream that is sent, what comes out a track,
//! with reports, keyframe requests and bounds of the bitrate as between us and any peer. There is no encryption, and
//! the SSRC is the key of the stream.

use super::formats::{Direction, media};
use crate::network::SocketId;
use crate::processor::NOWHERE;
use crate::webrtc::{LocalSsrcs, Path, Srtp};
use salono_media_api::processing::bridge::RtpFormat;
use salono_media_api::{ElementKey, MediaKind, PipelineKey};
use salono_rtp::srtp::{Opener, Sealer};
use salono_sdp::negotiate::NegotiatedMedia;
use std::sync::Arc;

pub(crate) struct Crossing {
    pipeline: PipelineKey,
    /// Where the media comes from.
    source: ElementKey,
    key: u32,
    kind: MediaKind,
    direction: Direction,
    cname: String,
    media: [NegotiatedMedia; 1],
    srtp: Srtp,
    path: Option<Path>,
}

impl Crossing {
    /// A stream that does not flow yet. `None` for a codec that cannot be forwarded.
    pub(crate) fn new(
        pipeline: PipelineKey,
        source: ElementKey,
        key: u32,
        kind: MediaKind,
        format: &RtpFormat,
        direction: Direction,
    ) -> Option<Self> {
        Some(Self {
            pipeline,
            source,
            key,
            kind,
            direction,
            // Streams of one source are in step with each other.
            cname: format!("{:016x}", source.0),
            media: [media(key, kind, format, direction)?],
            srtp: Srtp {
                opener: Opener::plain(),
                rtp: Arc::new(Sealer::plain()),
                rtcp: Sealer::plain(),
            },
            path: None,
        })
    }

    /// Another encoding of the stream; false for one that cannot be forwarded.
    pub(crate) fn set_format(&mut self, format: &RtpFormat) -> bool {
        let media = media(self.key, self.kind, format, self.direction);
        let is_known = media.is_some();
        if let Some(media) = media {
            self.media = [media];
        }
        is_known
    }

    /// Where the processor is; `None` while there is none.
    pub(crate) fn set_socket(&mut self, socket: Option<SocketId>) {
        self.path = socket.map(|socket| Path {
            socket,
            remote: NOWHERE,
        });
    }

    pub(crate) fn pipeline(&self) -> PipelineKey {
        self.pipeline
    }

    pub(crate) fn source(&self) -> ElementKey {
        self.source
    }

    pub(crate) fn key(&self) -> u32 {
        self.key
    }

    pub(crate) fn media(&self) -> &[NegotiatedMedia] {
        &self.media
    }

    pub(crate) fn ssrcs(&self) -> LocalSsrcs {
        LocalSsrcs {
            media: self.key,
            rtx: None,
        }
    }

    pub(crate) fn cname(&self) -> &str {
        &self.cname
    }

    pub(crate) fn srtp(&self) -> &Srtp {
        &self.srtp
    }

    pub(crate) fn srtp_mut(&mut self) -> &mut Srtp {
        &mut self.srtp
    }

    pub(crate) fn path(&self) -> Option<Path> {
        self.path
    }
}
