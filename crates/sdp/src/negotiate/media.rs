//! The m-lines that we write, and what is common to reading those of offers and answers.

use crate::attribute::{Address, Bandwidth, Extension, Msid, RtcpAddress, SsrcGroup, SsrcInfo};
use crate::description::{Description, Media, MediaKind, TransportAttributes};
use crate::extension::ExtensionKind;
use crate::parse::implied_sctp_port;

use super::local::{Local, LocalSource};
use super::negotiated::{
    NegotiatedExtension, NegotiatedMedia, NegotiatedSctp, Rejection, RemoteSource,
};
use crate::attribute::{Direction, IceCredentials, Setup};

/// Port of an m-line before any candidate is known (RFC 8840 §4.1.1).
const DISCARD_PORT: u16 = 9;

/// Largest message to a peer that states no limit (RFC 8841 §6.1).
const DEFAULT_MAX_MESSAGE_SIZE: u64 = 65_536;

/// Port of a peer that states none; what all browsers use.
const DEFAULT_SCTP_PORT: u16 = 5_000;

/// Format of data m-lines (RFC 8841 §4.3).
pub(super) const DATA_CHANNEL: &str = "webrtc-datachannel";

/// An accepted m-line of ours without formats and streams.
pub(super) fn accepted(
    local: &Local,
    kind: MediaKind,
    proto: &str,
    ice: Option<IceCredentials>,
    setup: Setup,
) -> Media {
    let mut media = Media::new(kind, proto);
    media.port = DISCARD_PORT;
    media.connection = Some(local.address.into());
    media.transport = TransportAttributes {
        ice,
        ice_options: vec!["trickle".to_owned()],
        fingerprints: local.fingerprints.clone(),
        setup: Some(setup),
    };
    let max_recv_kbps = match kind {
        MediaKind::Audio => local.max_audio_recv_kbps,
        MediaKind::Video => local.max_video_recv_kbps,
        MediaKind::Application | MediaKind::Other => 0,
    };
    if max_recv_kbps > 0 {
        media.bandwidth.push(Bandwidth {
            kind: "AS".to_owned(),
            value: max_recv_kbps.into(),
        });
    }
    if matches!(kind, MediaKind::Audio | MediaKind::Video) {
        media.rtcp = Some(RtcpAddress {
            port: DISCARD_PORT,
            address: Some(local.address.into()),
        });
    }
    media
}

/// Names the streams that we send on an m-line (RFC 5576, RFC 8830). `nth` counts the m-lines of
/// its type before it.
pub(super) fn announce_source(
    media: &mut Media,
    local: &Local,
    source: &LocalSource,
    nth: usize,
    rtx: bool,
) {
    let stream = match nth {
        0 => local.stream_id.clone(),
        nth => format!("{}-{nth}", local.stream_id),
    };
    let msid = Msid {
        stream,
        track: Some(source.track_id.clone()),
    };
    let rtx_ssrc = source.rtx_ssrc.filter(|_| rtx);
    media.msids.push(msid.clone());
    for ssrc in [Some(source.ssrc), rtx_ssrc].into_iter().flatten() {
        media.ssrcs.push(SsrcInfo {
            ssrc,
            cname: Some(local.cname.clone()),
            msid: Some(msid.clone()),
        });
    }
    if let Some(rtx_ssrc) = rtx_ssrc {
        media.ssrc_groups.push(SsrcGroup {
            semantics: "FID".to_owned(),
            ssrcs: vec![source.ssrc, rtx_ssrc],
        });
    }
}

/// How many m-lines of the same type come before one.
pub(super) fn nth_of_kind(lines: &[Media], index: usize) -> usize {
    let kind = lines.get(index).map(|line| line.kind);
    let before = lines.iter().take(index);
    before.filter(|line| Some(line.kind) == kind).count()
}

/// Our answer to an m-line that we reject: port 0 and the first format (RFC 3264 §6).
pub(super) fn rejected(offered: &Media) -> Media {
    let mut media = Media::new(offered.kind, &offered.proto);
    media.kind_name.clone_from(&offered.kind_name);
    media.formats = offered.formats.iter().take(1).cloned().collect();
    media.mid.clone_from(&offered.mid);
    media.direction = Direction::Inactive;
    let kept = media.formats.first().and_then(|format| format.parse().ok());
    media.codecs = kept
        .and_then(|pt| offered.codec(pt))
        .cloned()
        .into_iter()
        .collect();
    media.sctp_port = implied_sctp_port(&media);
    media
}

/// What is known of an m-line before its codecs.
pub(super) fn negotiated(
    index: usize,
    remote: &Description,
    media: &Media,
    rejection: Option<Rejection>,
) -> NegotiatedMedia {
    let mut negotiated = NegotiatedMedia {
        index,
        kind: media.kind,
        mid: media.mid.clone(),
        rejection,
        transport: None,
        send: false,
        recv: false,
        codecs: Vec::new(),
        extensions: Vec::new(),
        remote_sources: Vec::new(),
        rids: Vec::new(),
        rtcp_mux: false,
        rtcp_rsize: false,
        keyframe_requests: true,
        remote_address: None,
        remote_rtcp: None,
        sctp: None,
    };
    if rejection.is_none() {
        let address: Option<Address> = media
            .connection
            .clone()
            .or_else(|| remote.connection.clone());
        negotiated.remote_address = address.map(|address| (address, media.port));
        negotiated.remote_rtcp = media.rtcp.clone();
        negotiated.rtcp_mux = media.rtcp_mux;
        negotiated.rtcp_rsize = media.rtcp_rsize;
    }
    negotiated
}

/// Whether RTP m-lines with this protocol are WebRTC's. The word `UDP/TLS` is optional and the
/// profile may lack its `F`, as in old clients.
pub(super) fn is_webrtc_rtp(proto: &str) -> bool {
    let proto = proto.to_ascii_uppercase();
    let profile = ["UDP/TLS/", "TCP/TLS/", "TCP/DTLS/"]
        .iter()
        .find_map(|prefix| proto.strip_prefix(prefix))
        .unwrap_or(&proto);
    matches!(profile, "RTP/SAVPF" | "RTP/SAVP")
}

/// Reads the data channel side of an application m-line.
///
/// The old form has the port as its format and possibly an `a=sctpmap`; our port is then the same,
/// because the answer repeats the format.
pub(super) fn negotiate_sctp(media: &Media, local: &Local) -> Result<NegotiatedSctp, Rejection> {
    let proto = media.proto.to_ascii_uppercase();
    if !matches!(
        proto.as_str(),
        "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP" | "DTLS/SCTP"
    ) {
        return Err(Rejection::UnsupportedProtocol);
    }
    let sctp = local.sctp.ok_or(Rejection::NoDataChannels)?;
    let legacy_port = legacy_sctp_port(media);
    let for_data_channels = match (&legacy_port, &media.sctpmap) {
        (Some(_), Some(map)) => map.split_whitespace().any(|word| word == DATA_CHANNEL),
        (Some(_), None) => true,
        (None, _) => media.formats.iter().any(|format| format == DATA_CHANNEL),
    };
    let remote_port = media.sctp_port.unwrap_or(DEFAULT_SCTP_PORT);
    // Port 0 closes an association (RFC 8841 §5.2).
    if !for_data_channels || remote_port == 0 {
        return Err(Rejection::NoDataChannels);
    }
    Ok(NegotiatedSctp {
        local_port: legacy_port.unwrap_or(sctp.port),
        remote_port,
        remote_max_message_size: match media.max_message_size {
            Some(0) => u64::MAX,
            Some(size) => size,
            None => DEFAULT_MAX_MESSAGE_SIZE,
        },
    })
}

/// The port in the old form of data m-lines, `DTLS/SCTP 5000`.
pub(super) fn legacy_sctp_port(media: &Media) -> Option<u16> {
    media.formats.first()?.parse().ok()
}

/// The streams that a peer announced, retransmission and repair streams folded into their source.
pub(super) fn remote_sources(media: &Media) -> Vec<RemoteSource> {
    let groups = |semantics: &'static str| {
        media
            .ssrc_groups
            .iter()
            .filter(move |group| group.semantics == semantics)
    };
    let partner = |semantics, ssrc| {
        groups(semantics).find_map(|group| match group.ssrcs.as_slice() {
            [source, partner, ..] if *source == ssrc => Some(*partner),
            _ => None,
        })
    };
    let is_partner = |ssrc: u32| {
        groups("FID")
            .chain(groups("FEC-FR"))
            .any(|group| group.ssrcs.iter().skip(1).any(|member| *member == ssrc))
    };
    let is_layer =
        |ssrc: u32| groups("SIM").any(|group| group.ssrcs.len() > 1 && group.ssrcs.contains(&ssrc));
    let layers = groups("SIM").flat_map(|group| group.ssrcs.iter().copied());
    let mut sources: Vec<RemoteSource> = Vec::new();
    for ssrc in layers.chain(media.ssrcs.iter().map(|info| info.ssrc)) {
        let Some(info) = media.ssrcs.iter().find(|info| info.ssrc == ssrc) else {
            continue;
        };
        if sources.iter().any(|source| source.ssrc == ssrc) || is_partner(ssrc) {
            continue;
        }
        sources.push(RemoteSource {
            ssrc,
            rtx_ssrc: partner("FID", ssrc),
            cname: info.cname.clone(),
            is_layer: is_layer(ssrc),
        });
    }
    sources
}

/// One extension from the peer's point of view turned into ours; `None` when unusable.
pub(super) fn negotiate_extension(
    extension: &Extension,
    local: &Local,
    media: MediaKind,
) -> Option<NegotiatedExtension> {
    let kind = ExtensionKind::from_uri(&extension.uri)?;
    let ours = extension.direction.unwrap_or_default().reversed();
    let usable = local.extensions.contains(&kind)
        && kind.applies_to(media)
        && ours != Direction::Inactive
        && (kind != ExtensionKind::TransportCc || local.transport_cc);
    usable.then_some(NegotiatedExtension {
        id: extension.id,
        kind,
        send: ours.sends(),
        recv: ours.receives(),
    })
}
