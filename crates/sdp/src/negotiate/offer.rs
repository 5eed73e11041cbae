//! Offers of ours.

use crate::attribute::{Extension, Setup};
use crate::codec::CodecKind;
use crate::description::{Codec, Description, Media, MediaKind};
use crate::extension::ExtensionKind;

use super::answer::description;
use super::feedback;
use super::local::{Local, LocalCodec};
use super::media;

/// Protocol of RTP m-lines in our offers (RFC 8829 §5.1.2).
const RTP_PROTO: &str = "UDP/TLS/RTP/SAVPF";
/// Protocol of data m-lines in our offers (RFC 8841 §4.1).
const SCTP_PROTO: &str = "UDP/DTLS/SCTP";

/// Which m-lines to offer; the application m-line follows [`Local::sctp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferOptions {
    /// Offer audio.
    pub audio: bool,
    /// Offer video.
    pub video: bool,
}

impl Default for OfferOptions {
    fn default() -> Self {
        Self {
            audio: true,
            video: true,
        }
    }
}

/// An offer that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The offer. Candidates may be added until it is answered.
    pub description: Description,
}

/// Makes an offer: audio, video, application in this order, all in one BUNDLE group.
///
/// Codecs beyond the dynamic payload types, and extensions beyond the one-byte identifiers, are
/// left out.
pub fn offer(local: &Local, options: OfferOptions) -> Offered {
    let mut payload_types = PayloadTypes::default();
    let mut lines = Vec::new();
    if options.audio {
        let codecs = &local.audio_codecs;
        let line = rtp_line(
            local,
            MediaKind::Audio,
            "audio0",
            codecs,
            &mut payload_types,
        );
        lines.extend(line);
    }
    if options.video {
        let codecs = &local.video_codecs;
        let line = rtp_line(
            local,
            MediaKind::Video,
            "video0",
            codecs,
            &mut payload_types,
        );
        lines.extend(line);
    }
    if let Some(sctp) = local.sctp {
        let mut line = line(local, MediaKind::Application, SCTP_PROTO, "application0");
        line.formats = vec![media::DATA_CHANNEL.to_owned()];
        line.sctp_port = Some(sctp.port);
        line.max_message_size = Some(sctp.max_message_size);
        lines.push(line);
    }
    let mids: Vec<String> = lines.iter().filter_map(|line| line.mid.clone()).collect();
    Offered {
        description: Description {
            bundle: if mids.is_empty() {
                Vec::new()
            } else {
                vec![mids]
            },
            media: lines,
            ..description(local)
        },
    }
}

fn line(local: &Local, kind: MediaKind, proto: &str, mid: &str) -> Media {
    let [ice, ..] = &local.ice;
    let mut line = media::accepted(local, kind, proto, ice.clone(), Setup::ActPass);
    line.mid = Some(mid.to_owned());
    line
}

/// An RTP m-line; `None` without codecs, which an m-line cannot be.
fn rtp_line(
    local: &Local,
    kind: MediaKind,
    mid: &str,
    codecs: &[LocalCodec],
    payload_types: &mut PayloadTypes,
) -> Option<Media> {
    let mut line = line(local, kind, RTP_PROTO, mid);
    line.direction = local.offer_direction;
    line.rtcp_mux = true;
    line.rtcp_rsize = true;
    line.extensions = extensions(local, kind);
    let rtx = local.rtx && kind == MediaKind::Video;
    for codec in codecs.iter().filter(|codec| codec.kind.media() == kind) {
        let Some(pt) = payload_types.take(codec.kind.static_pt()) else {
            break;
        };
        line.codecs.push(Codec {
            pt,
            name: codec.kind.name().to_owned(),
            clock: codec.kind.clock(),
            channels: codec.kind.channels(),
            fmtp: codec.fmtp.clone(),
            feedback: feedback::offered(codec.kind, transport_cc(local)),
        });
        let rtx_pt = if rtx { payload_types.take(None) } else { None };
        line.codecs.extend(rtx_pt.map(|rtx_pt| Codec {
            pt: rtx_pt,
            name: "rtx".to_owned(),
            clock: codec.kind.clock(),
            channels: 1,
            fmtp: Some(format!("apt={pt}")),
            feedback: Vec::new(),
        }));
    }
    line.formats = line
        .codecs
        .iter()
        .map(|codec| codec.pt.to_string())
        .collect();
    if line.direction.sends() {
        media::announce_source(&mut line, local, rtx);
    }
    (!line.codecs.is_empty()).then_some(line)
}

fn transport_cc(local: &Local) -> bool {
    local.transport_cc && local.extensions.contains(&ExtensionKind::TransportCc)
}

/// The extensions of an m-line, numbered alike on all m-lines because they share a transport
/// (RFC 8843 §9.2).
fn extensions(local: &Local, kind: MediaKind) -> Vec<Extension> {
    let scalable = local.video_codecs.iter().any(|c| c.kind == CodecKind::Av1);
    local
        .extensions
        .iter()
        .filter(|extension| match extension {
            // We send no simulcast, and only a sender's offer may announce it.
            ExtensionKind::Rid | ExtensionKind::RepairedRid => false,
            ExtensionKind::DependencyDescriptor => scalable,
            ExtensionKind::TransportCc => local.transport_cc,
            ExtensionKind::AbsSendTime
            | ExtensionKind::AudioLevel
            | ExtensionKind::Mid
            | ExtensionKind::VideoOrientation => true,
        })
        .zip(1..=14)
        .filter(|(extension, _)| extension.applies_to(kind))
        .map(|(extension, id)| Extension {
            id,
            uri: extension.uri().to_owned(),
            direction: None,
        })
        .collect()
}

/// Hands out each payload type once: 96 to 127, then 35 to 63 (RFC 3551 §6, RFC 8829 §5.1.2).
struct PayloadTypes {
    dynamic: std::iter::Chain<std::ops::RangeInclusive<u8>, std::ops::RangeInclusive<u8>>,
}

impl Default for PayloadTypes {
    fn default() -> Self {
        Self {
            dynamic: (96..=127).chain(35..=63),
        }
    }
}

impl PayloadTypes {
    fn take(&mut self, fixed: Option<u8>) -> Option<u8> {
        fixed.or_else(|| self.dynamic.next())
    }
}
