//! The endpoint of a peer, whatever it speaks: what tracks, feedback and shard need of either kind.

use crate::context::Context;
use crate::plain;
use crate::webrtc::{self, Changes, DataChannels, DataEvent, LocalSsrcs, Path, Srtp};
use salono_media_api::{ElementKey, MediaError, MediaErrorKind, OfferKinds, PipelineKey, Token};
use salono_sdp::MediaKind;
use salono_sdp::negotiate::NegotiatedMedia;
use std::time::{Duration, Instant};

/// One endpoint: negotiation, transports and the states that it reports.
pub(crate) enum Endpoint {
    /// ICE, DTLS-SRTP and data channels.
    WebRtc(Box<webrtc::Endpoint>),
    /// Plain RTP or SDES-keyed SRTP.
    Plain(Box<plain::Endpoint>),
}

/// Calls the method of the same name of whichever endpoint there is.
macro_rules! either {
    ($self:ident, $endpoint:ident => $call:expr) => {
        match $self {
            Self::WebRtc($endpoint) => $call,
            Self::Plain($endpoint) => $call,
        }
    };
}

impl Endpoint {
    /// What only WebRTC can do.
    pub(crate) fn web_rtc(&self) -> Option<&webrtc::Endpoint> {
        match self {
            Self::WebRtc(endpoint) => Some(endpoint),
            Self::Plain(_) => None,
        }
    }

    pub(crate) fn web_rtc_mut(&mut self) -> Option<&mut webrtc::Endpoint> {
        match self {
            Self::WebRtc(endpoint) => Some(endpoint),
            Self::Plain(_) => None,
        }
    }

    /// Like [`Endpoint::web_rtc_mut`], with the error that a command is answered with.
    pub(crate) fn expect_web_rtc(&mut self) -> Result<&mut webrtc::Endpoint, MediaError> {
        self.web_rtc_mut().ok_or_else(|| {
            MediaError::new(
                MediaErrorKind::NotSupported,
                "the element is not a WebRTC endpoint",
            )
        })
    }

    pub(crate) fn plain_mut(&mut self) -> Option<&mut plain::Endpoint> {
        match self {
            Self::Plain(endpoint) => Some(endpoint),
            Self::WebRtc(_) => None,
        }
    }

    pub(crate) fn key(&self) -> ElementKey {
        either!(self, endpoint => endpoint.key())
    }

    pub(crate) fn pipeline(&self) -> PipelineKey {
        either!(self, endpoint => endpoint.pipeline())
    }

    /// The m-lines, once negotiated.
    pub(crate) fn media(&self) -> Option<&[NegotiatedMedia]> {
        either!(self, endpoint => endpoint.media())
    }

    /// What we send an m-line with.
    pub(crate) fn ssrcs(&self, media: &NegotiatedMedia) -> Option<LocalSsrcs> {
        either!(self, endpoint => endpoint.ssrcs(media))
    }

    /// SSRC of the sender of what is about no m-line in particular.
    pub(crate) fn ssrc(&self) -> u32 {
        either!(self, endpoint => endpoint.ssrc())
    }

    pub(crate) fn cname(&self) -> &str {
        either!(self, endpoint => endpoint.cname())
    }

    pub(crate) fn dscp(&self) -> u8 {
        match self {
            Self::WebRtc(endpoint) => endpoint.dscp(),
            Self::Plain(_) => 0,
        }
    }

    pub(crate) fn connected(&self) -> bool {
        either!(self, endpoint => endpoint.connected())
    }

    pub(crate) fn local_sdp(&self) -> Option<String> {
        either!(self, endpoint => endpoint.local_sdp())
    }

    pub(crate) fn remote_sdp(&self) -> Option<String> {
        match self {
            Self::WebRtc(endpoint) => endpoint.remote_sdp(),
            Self::Plain(endpoint) => endpoint.remote_sdp().map(str::to_owned),
        }
    }

    /// Keys of a transport, once agreed on.
    pub(crate) fn srtp(&self, transport: usize) -> Option<&Srtp> {
        either!(self, endpoint => endpoint.srtp(transport))
    }

    pub(crate) fn srtp_mut(&mut self, transport: usize) -> Option<&mut Srtp> {
        either!(self, endpoint => endpoint.srtp_mut(transport))
    }

    /// Where a transport sends RTP to, if it may send now.
    pub(crate) fn path(&self, transport: usize) -> Option<Path> {
        either!(self, endpoint => endpoint.path(transport))
    }

    /// Where a transport sends RTCP to, if it may send now.
    pub(crate) fn rtcp_path(&self, transport: usize) -> Option<Path> {
        match self {
            Self::WebRtc(endpoint) => endpoint.path(transport),
            Self::Plain(endpoint) => endpoint.rtcp_path(transport),
        }
    }

    /// Round-trip time of a transport, where it is measured beside RTCP.
    pub(crate) fn round_trip(&self, transport: usize) -> Option<Duration> {
        match self {
            Self::WebRtc(endpoint) => endpoint.round_trip(transport),
            Self::Plain(_) => None,
        }
    }

    pub(crate) fn set_max_recv_kbps(&mut self, kind: MediaKind, kbps: u64) {
        either!(self, endpoint => endpoint.set_max_recv_kbps(kind, kbps));
    }

    /// Makes an offer; `None` when the command has to wait for ports.
    pub(crate) fn generate_offer(
        &mut self,
        token: Token,
        kinds: OfferKinds,
        context: &mut Context<'_>,
    ) -> Result<Option<String>, MediaError> {
        match self {
            Self::WebRtc(endpoint) => endpoint.generate_offer(kinds, context).map(Some),
            Self::Plain(endpoint) => endpoint.generate_offer(token, kinds, context),
        }
    }

    /// Answers an offer; `None` when the command has to wait for ports.
    pub(crate) fn process_offer(
        &mut self,
        token: Token,
        sdp: &str,
        context: &mut Context<'_>,
    ) -> Result<Option<String>, MediaError> {
        match self {
            Self::WebRtc(endpoint) => endpoint.process_offer(sdp, context).map(Some),
            Self::Plain(endpoint) => endpoint.process_offer(token, sdp, context),
        }
    }

    pub(crate) fn process_answer(
        &mut self,
        sdp: &str,
        context: &mut Context<'_>,
    ) -> Result<String, MediaError> {
        either!(self, endpoint => endpoint.process_answer(sdp, context))
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Self::WebRtc(endpoint) = self {
            endpoint.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        self.web_rtc_mut().and_then(webrtc::Endpoint::poll_timeout)
    }

    /// Moves everything that waits in the transports and reports what changed.
    pub(crate) fn drain(&mut self, context: &mut Context<'_>) -> Changes {
        either!(self, endpoint => endpoint.drain(context))
    }

    pub(crate) fn data(&self) -> Option<&DataChannels> {
        self.web_rtc().and_then(webrtc::Endpoint::data)
    }

    pub(crate) fn data_mut(&mut self) -> Option<&mut DataChannels> {
        self.web_rtc_mut().and_then(webrtc::Endpoint::data_mut)
    }

    pub(crate) fn poll_data(&mut self) -> Option<DataEvent> {
        self.web_rtc_mut().and_then(webrtc::Endpoint::poll_data)
    }

    /// Says goodbye to the peer and gives up everything in the demultiplexer.
    /// A command that still waited is to be answered.
    pub(crate) fn close(&mut self, context: &mut Context<'_>) -> Option<plain::Finished> {
        match self {
            Self::WebRtc(endpoint) => {
                endpoint.close(context);
                None
            }
            Self::Plain(endpoint) => endpoint.close(context),
        }
    }
}
