//! Offer and answer the way a Kurento `RtpEndpoint` does them: plain RTP (`RTP/AVP`, `RTP/AVPF`)
//! or SRTP with keys in the description (`RTP/SAVP`, `RTP/SAVPF`, RFC 4568).
//!
//! One audio and one video m-line are taken, each on its own pair of ports; everything else is
//! rejected with port 0. Which protocols are spoken follows from whether we have a key. Header
//! extensions are not negotiated, and RTCP feedback only under the profiles that have it. Unlike
//! Kurento we take RTP and RTCP on one port when that is offered (RFC 5761).

mod answer;
mod apply;
mod codecs;
mod offer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::attribute::{Bandwidth, Crypto, RtcpAddress, Setup, SsrcInfo};
use crate::codec::{CodecKind, fmtp_value};
use crate::description::{Codec, Description, Media, MediaKind, Origin};

use super::feedback::Feedback;
use super::local::LocalCodec;
use super::media;
use super::negotiated::{NegotiatedCodec, NegotiatedMedia, Rejection};

pub use answer::answer;
pub use apply::apply_answer;
pub use codecs::LineCodecs;
pub use offer::offer;

/// Format parameters that every H.264 stream is forwarded under: encoders and telephones name
/// profiles beyond what browsers agree to, yet those decode them.
const FORWARDED_H264: &str = "packetization-mode=1;profile-level-id=42e01f";

/// Everything of ours that a description depends on. One value serves one endpoint.
#[derive(Debug, Clone)]
pub struct Local {
    /// Session identifier and version in `o=`.
    pub session_id: u64,
    /// Address in `o=` and `c=`.
    pub address: IpAddr,
    /// `s=`
    pub session_name: String,
    /// RTCP canonical name of our streams.
    pub cname: String,
    /// Our key, without which we speak plain RTP. Its tag is that of our offers.
    pub crypto: Option<Crypto>,
    /// What we have for audio.
    pub audio: LocalLine,
    /// What we have for video.
    pub video: LocalLine,
}

/// What we have for one kind of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalLine {
    /// SSRC that we send with.
    pub ssrc: u32,
    /// Ports of RTP and RTCP; without them the m-line is rejected, or offered rejected.
    pub ports: Option<(u16, u16)>,
    /// `b=AS` in kbit/s; 0 writes none.
    pub max_recv_kbps: u32,
    /// What we speak.
    pub codecs: LineCodecs,
}

impl Local {
    /// All codecs with this identity; address and ports are unknown yet.
    pub fn new(
        session_id: u64,
        cname: &str,
        crypto: Option<Crypto>,
        audio_ssrc: u32,
        video_ssrc: u32,
    ) -> Self {
        let line = |ssrc, codecs: LineCodecs| LocalLine {
            ssrc,
            ports: None,
            max_recv_kbps: 0,
            codecs,
        };
        Self {
            session_id,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            session_name: "Salono".to_owned(),
            cname: cname.to_owned(),
            crypto,
            audio: line(audio_ssrc, LineCodecs::all_audio()),
            video: line(video_ssrc, LineCodecs::all_video()),
        }
    }

    /// What we have for a kind; `None` for those that RTP does not carry.
    pub fn line(&self, kind: MediaKind) -> Option<&LocalLine> {
        match kind {
            MediaKind::Audio => Some(&self.audio),
            MediaKind::Video => Some(&self.video),
            MediaKind::Application | MediaKind::Other => None,
        }
    }

    /// What we have for a kind; `None` for those that RTP does not carry.
    pub fn line_mut(&mut self, kind: MediaKind) -> Option<&mut LocalLine> {
        match kind {
            MediaKind::Audio => Some(&mut self.audio),
            MediaKind::Video => Some(&mut self.video),
            MediaKind::Application | MediaKind::Other => None,
        }
    }
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Our description: the answer, or the offer that was answered.
    pub local: Description,
    /// One entry per m-line, in order. Their transports are indexes into
    /// [`Negotiated::transports`].
    pub media: Vec<NegotiatedMedia>,
    /// How the accepted m-lines are carried, at most one of audio and one of video.
    pub transports: Vec<Transport>,
}

/// How one m-line is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// Which m-line.
    pub kind: MediaKind,
    /// Where the peer wants RTP; `None` when it has to be learned from its packets.
    pub rtp: Option<SocketAddr>,
    /// Where the peer wants RTCP; `None` when it has to be learned from its packets.
    pub rtcp: Option<SocketAddr>,
    /// RTCP goes to the RTP port.
    pub rtcp_mux: bool,
    /// The peer's key, when SRTP is spoken.
    pub remote_key: Option<Crypto>,
}

/// The address that an offer names first, to choose one of ours by.
pub fn remote_ip(remote: &Description) -> Option<IpAddr> {
    remote
        .media
        .iter()
        .filter(|media| media.port != 0)
        .find_map(|media| {
            let address = media.connection.as_ref().or(remote.connection.as_ref())?;
            address.ip()
        })
}

/// What a protocol word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Profile {
    /// SRTP (`S`).
    secure: bool,
    /// RTCP feedback (`F`, RFC 4585).
    feedback: bool,
}

impl Profile {
    fn parse(proto: &str) -> Option<Self> {
        let (secure, feedback) = match proto.to_ascii_uppercase().as_str() {
            "RTP/AVP" => (false, false),
            "RTP/AVPF" => (false, true),
            "RTP/SAVP" => (true, false),
            "RTP/SAVPF" => (true, true),
            _ => return None,
        };
        Some(Self { secure, feedback })
    }
}

/// The session level of our descriptions.
fn description(local: &Local) -> Description {
    Description {
        origin: Origin {
            session_id: local.session_id,
            version: local.session_id,
            address: local.address.into(),
            ..Origin::default()
        },
        session_name: local.session_name.clone(),
        connection: Some(local.address.into()),
        ..Description::default()
    }
}

/// An m-line of ours on its ports, without formats.
fn line(local: &Local, kind: MediaKind, proto: &str, tag: Option<u32>) -> Result<Media, Rejection> {
    let ours = local.line(kind).ok_or(Rejection::UnsupportedKind)?;
    let (rtp, rtcp) = ours.ports.ok_or(Rejection::NoPort)?;
    let mut media = Media::new(kind, proto);
    media.port = rtp;
    media.rtcp = Some(RtcpAddress {
        port: rtcp,
        address: None,
    });
    if ours.max_recv_kbps > 0 {
        media.bandwidth.push(Bandwidth {
            kind: "AS".to_owned(),
            value: ours.max_recv_kbps.into(),
        });
    }
    if let Some(crypto) = &local.crypto {
        let tag = tag.unwrap_or(crypto.tag);
        let own = Crypto {
            tag,
            ..crypto.clone()
        };
        media.crypto.push(own.to_string());
    }
    Ok(media)
}

/// Names the stream that we send on an m-line.
fn announce_source(media: &mut Media, local: &Local) {
    let Some(ours) = local.line(media.kind) else {
        return;
    };
    media.ssrcs.push(SsrcInfo {
        ssrc: ours.ssrc,
        cname: Some(local.cname.clone()),
        msid: None,
    });
}

/// Where the peer of an m-line is, and with which key. `theirs` is its m-line in `remote`.
fn transport(
    local: &Local,
    remote: &Description,
    theirs: &Media,
    mux: bool,
) -> Result<Transport, Rejection> {
    let profile = Profile::parse(&theirs.proto).ok_or(Rejection::UnsupportedProtocol)?;
    if profile.secure != local.crypto.is_some() {
        return Err(Rejection::UnsupportedProtocol);
    }
    let remote_key = match &local.crypto {
        None => None,
        Some(own) => {
            let key = theirs
                .crypto
                .iter()
                .filter_map(|line| Crypto::parse(line))
                .find(|theirs| theirs.is_suite(&own.suite) && theirs.key.len() == own.key.len());
            Some(key.ok_or(Rejection::NoCrypto)?)
        }
    };
    let address = theirs.connection.as_ref().or(remote.connection.as_ref());
    // Neither a name nor the unspecified address is a place to send to.
    let known = |ip: Option<IpAddr>| {
        ip.filter(|ip| !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast(*ip))
    };
    let learns = theirs.comedia == Some(Setup::Active);
    let ip = known(address.and_then(|address| address.ip())).filter(|_| !learns);
    let rtp = ip.map(|ip| SocketAddr::new(ip, theirs.port));
    let rtcp = match &theirs.rtcp {
        _ if mux => rtp,
        Some(rtcp) if rtcp.port != 0 => {
            let own = rtcp.address.as_ref().map(|address| address.ip());
            let ip = match own {
                Some(own) => known(own).filter(|_| !learns),
                None => ip,
            };
            ip.map(|ip| SocketAddr::new(ip, rtcp.port))
        }
        Some(_) | None => ip
            .zip(theirs.port.checked_add(1))
            .map(|(ip, port)| SocketAddr::new(ip, port)),
    };
    Ok(Transport {
        kind: theirs.kind,
        rtp,
        rtcp,
        rtcp_mux: mux,
        remote_key,
    })
}

fn is_broadcast(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

/// Feedback that a codec may have: as with WebRTC, but for the bandwidth estimate, which Kurento
/// leaves out where an encoder does not follow it.
fn has_feedback(kind: CodecKind, value: &str) -> bool {
    let is_estimate = value.eq_ignore_ascii_case("goog-remb");
    !is_estimate || matches!(kind, CodecKind::Vp8 | CodecKind::Vp9 | CodecKind::Av1)
}

/// The codec of ours that a described one is. H.264 matches in any profile and mode.
fn own_codec<'a>(local: &'a LocalLine, codec: &Codec, kind: CodecKind) -> Option<&'a LocalCodec> {
    local
        .codecs
        .offered
        .iter()
        .chain(&local.codecs.accepted)
        .find(|ours| ours.kind == kind && fits(kind, ours.fmtp.as_deref(), codec.fmtp.as_deref()))
}

/// Whether format parameters are compatible, as far as plain peers care.
fn fits(kind: CodecKind, ours: Option<&str>, theirs: Option<&str>) -> bool {
    match kind {
        CodecKind::H264 => {
            let mode = theirs.and_then(|fmtp| fmtp_value(fmtp, "packetization-mode"));
            // The interleaved mode is another format.
            mode != Some("2")
        }
        // Both layouts pass through; that two ends have the same is looked at when forwarding.
        CodecKind::Amr | CodecKind::AmrWb => true,
        CodecKind::Vp8
        | CodecKind::Vp9
        | CodecKind::Av1
        | CodecKind::H265
        | CodecKind::H263
        | CodecKind::H263v1998
        | CodecKind::H263v2000
        | CodecKind::Mp4vEs
        | CodecKind::Opus
        | CodecKind::Pcmu
        | CodecKind::Pcma
        | CodecKind::OpusRed
        | CodecKind::TelephoneEvent => kind.compatible(ours, theirs),
    }
}

/// A codec for the tracks: sent with the peer's payload type, received with ours.
fn negotiated_codec(
    kind: CodecKind,
    theirs: &Codec,
    receive_pt: u8,
    feedback: Feedback,
) -> NegotiatedCodec {
    NegotiatedCodec {
        kind,
        clock: theirs.clock,
        channels: theirs.channels,
        fmtp: match kind {
            CodecKind::H264 => Some(FORWARDED_H264.to_owned()),
            CodecKind::Vp8
            | CodecKind::Vp9
            | CodecKind::Av1
            | CodecKind::H265
            | CodecKind::H263
            | CodecKind::H263v1998
            | CodecKind::H263v2000
            | CodecKind::Mp4vEs
            | CodecKind::Opus
            | CodecKind::Pcmu
            | CodecKind::Pcma
            | CodecKind::Amr
            | CodecKind::AmrWb
            | CodecKind::OpusRed
            | CodecKind::TelephoneEvent => theirs.fmtp.clone(),
        },
        send_pt: theirs.pt,
        receive_pt,
        send_rtx_pt: None,
        receive_rtx_pt: None,
        feedback,
    }
}

/// Fills in what tracks need to know of an accepted m-line.
fn settle(
    negotiated: &mut NegotiatedMedia,
    theirs: &Media,
    codecs: Vec<NegotiatedCodec>,
    transport: usize,
    mux: bool,
) {
    negotiated.transport = Some(transport);
    negotiated.rtcp_mux = mux;
    negotiated.rtcp_rsize = false;
    negotiated.keyframe_requests = codecs
        .iter()
        .any(|codec| codec.feedback.nack_pli || codec.feedback.ccm_fir);
    if negotiated.recv {
        negotiated.remote_sources = media::remote_sources(theirs);
    }
    negotiated.codecs = codecs;
}
