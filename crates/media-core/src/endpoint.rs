//! The endpoint of a peer, whatever it speaks: what tracks, feedback and shard need of either kind.

use crate::context::Context;
use crate::plain;
use crate::processing::Crossing;
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
    /// A stream into the processor of a pipeline or out of it: no element of its own.
    Crossing(Box<Crossing>),
}

/// Calls the method of the same name of whichever endpoint there is.
macro_rules! either {
    ($self:ident, $endpoint:ident => $call:expr) => {
        match $self {
            Self::WebRtc($endpoint) => $call,
            Self::Plain($endpoint) => $call,
            Self::Crossing($endpoint) => $call,
        }
    };
}

impl Endpoint {
    /// What only WebRTC can do.
    pub(crate) fn web_rtc(&self) -> Option<&webrtc::Endpoint> {
        match self {
            Self::WebRtc(endpoint) => Some(endpoint),
            Self::Plain(_) | Self::Crossing(_) => None,
        }
    }

    pub(crate) fn web_rtc_mut(&mut self) -> Option<&mut webrtc::Endpoint> {
        match self {
            Self::WebRtc(endpoint) => Some(endpoint),
            Self::Plain(_) | Self::Crossing(_) => None,
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
            Self::WebRtc(_) | Self::Crossing(_) => None,
        }
    }

    pub(crate) fn crossing(&self) -> Option<&Crossing> {
        match self {
            Self::Crossing(crossing) => Some(crossing),
            Self::WebRtc(_) | Self::Plain(_) => None,
        }
    }

    pub(crate) fn crossing_mut(&mut self) -> Option<&mut Crossing> {
        match self {
            Self::Crossing(crossing) => Some(crossing),
            Self::WebRtc(_) | Self::Plain(_) => None,
        }
    }

    /// The element that it is, or for a stream to or from a processor the one that media comes from.
    pub(crate) fn key(&self) -> ElementKey {
        match self {
            Self::WebRtc(endpoint) => endpoint.key(),
            Self::Plain(endpoint) => endpoint.key(),
            Self::Crossing(crossing) => crossing.source(),
        }
    }

    /// The element whose events its states are; `None` when they are nobody's.
    pub(crate) fn reports_as(&self) -> Option<ElementKey> {
        match self {
            Self::WebRtc(endpoint) => Some(endpoint.key()),
            Self::Plain(endpoint) => Some(endpoint.key()),
            Self::Crossing(_) => None,
        }
    }

    pub(crate) fn pipeline(&self) -> PipelineKey {
        either!(self, endpoint => endpoint.pipeline())
    }

    /// The m-lines, once negotiated.
    pub(crate) fn media(&self) -> Option<&[NegotiatedMedia]> {
        match self {
            Self::WebRtc(endpoint) => endpoint.media(),
            Self::Plain(endpoint) => endpoint.media(),
            Self::Crossing(crossing) => Some(crossing.media()),
        }
    }

    /// What we send an m-line with.
    pub(crate) fn ssrcs(&self, media: &NegotiatedMedia) -> Option<LocalSsrcs> {
        match self {
            Self::WebRtc(endpoint) => endpoint.ssrcs(media),
            Self::Plain(endpoint) => endpoint.ssrcs(media),
            Self::Crossing(crossing) => Some(crossing.ssrcs()),
        }
    }

    /// SSRC of the sender of what is about no m-line in particular.
    pub(crate) fn ssrc(&self) -> u32 {
        match self {
            Self::WebRtc(endpoint) => endpoint.ssrc(),
            Self::Plain(endpoint) => endpoint.ssrc(),
            Self::Crossing(crossing) => crossing.key(),
        }
    }

    pub(crate) fn cname(&self) -> &str {
        either!(self, endpoint => endpoint.cname())
    }

    pub(crate) fn dscp(&self) -> u8 {
        match self {
            Self::WebRtc(endpoint) => endpoint.dscp(),
            Self::Plain(_) | Self::Crossing(_) => 0,
        }
    }

    pub(crate) fn connected(&self) -> bool {
        match self {
            Self::WebRtc(endpoint) => endpoint.connected(),
            Self::Plain(endpoint) => endpoint.connected(),
            Self::Crossing(crossing) => crossing.path().is_some(),
        }
    }

    pub(crate) fn local_sdp(&self) -> Option<String> {
        match self {
            Self::WebRtc(endpoint) => endpoint.local_sdp(),
            Self::Plain(endpoint) => endpoint.local_sdp(),
            Self::Crossing(_) => None,
        }
    }

    pub(crate) fn remote_sdp(&self) -> Option<String> {
        match self {
            Self::WebRtc(endpoint) => endpoint.remote_sdp(),
            Self::Plain(endpoint) => endpoint.remote_sdp().map(str::to_owned),
            Self::Crossing(_) => None,
        }
    }

    /// Keys of a transport, once agreed on.
    pub(crate) fn srtp(&self, transport: usize) -> Option<&Srtp> {
        match self {
            Self::WebRtc(endpoint) => endpoint.srtp(transport),
            Self::Plain(endpoint) => endpoint.srtp(transport),
            Self::Crossing(crossing) => Some(crossing.srtp()),
        }
    }

    pub(crate) fn srtp_mut(&mut self, transport: usize) -> Option<&mut Srtp> {
        match self {
            Self::WebRtc(endpoint) => endpoint.srtp_mut(transport),
            Self::Plain(endpoint) => endpoint.srtp_mut(transport),
            Self::Crossing(crossing) => Some(crossing.srtp_mut()),
        }
    }

    /// Where a transport sends RTP to, if it may send now.
    pub(crate) fn path(&self, transport: usize) -> Option<Path> {
        match self {
            Self::WebRtc(endpoint) => endpoint.path(transport),
            Self::Plain(endpoint) => endpoint.path(transport),
            Self::Crossing(crossing) => crossing.path(),
        }
    }

    /// Where a transport sends RTCP to, if it may send now.
    pub(crate) fn rtcp_path(&self, transport: usize) -> Option<Path> {
        match self {
            Self::WebRtc(endpoint) => endpoint.path(transport),
            Self::Plain(endpoint) => endpoint.rtcp_path(transport),
            Self::Crossing(crossing) => crossing.path(),
        }
    }

    /// Round-trip time of a transport, where it is measured beside RTCP.
    pub(crate) fn round_trip(&self, transport: usize) -> Option<Duration> {
        match self {
            Self::WebRtc(endpoint) => endpoint.round_trip(transport),
            Self::Plain(_) | Self::Crossing(_) => None,
        }
    }

    pub(crate) fn set_max_recv_kbps(&mut self, kind: MediaKind, kbps: u64) {
        match self {
            Self::WebRtc(endpoint) => endpoint.set_max_recv_kbps(kind, kbps),
            Self::Plain(endpoint) => endpoint.set_max_recv_kbps(kind, kbps),
            Self::Crossing(_) => {}
        }
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
            Self::Crossing(_) => Err(not_negotiated()),
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
            Self::Crossing(_) => Err(not_negotiated()),
        }
    }

    pub(crate) fn process_answer(
        &mut self,
        sdp: &str,
        context: &mut Context<'_>,
    ) -> Result<String, MediaError> {
        match self {
            Self::WebRtc(endpoint) => endpoint.process_answer(sdp, context),
            Self::Plain(endpoint) => endpoint.process_answer(sdp, context),
            Self::Crossing(_) => Err(not_negotiated()),
        }
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
        match self {
            Self::WebRtc(endpoint) => endpoint.drain(context),
            Self::Plain(endpoint) => endpoint.drain(context),
            Self::Crossing(_) => Changes::default(),
        }
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
            Self::Crossing(_) => None,
        }
    }
}

fn not_negotiated() -> MediaError {
    MediaError::new(
        MediaErrorKind::NotSupported,
        "streams of a processor are not negotiated",
    )
}
