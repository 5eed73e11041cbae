//! Offers of ours.

use std::collections::BTreeSet;

use crate::attribute::{Extension, IceCredentials, Setup};
use crate::codec::rtx_apt;
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

/// How many m-lines to offer; the application m-line follows [`Local::sctp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferOptions {
    /// Of audio.
    pub audio: usize,
    /// Of video.
    pub video: usize,
}

impl Default for OfferOptions {
    fn default() -> Self {
        Self { audio: 1, video: 1 }
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
/// Codecs beyond the dynamic payload types, extensions beyond the one-byte identifiers, and m-lines
/// beyond [`Local::sources`] are left out.
pub fn offer(local: &Local, options: OfferOptions) -> Offered {
    let mut lines = Vec::new();
    for (kind, count) in [
        (MediaKind::Audio, options.audio),
        (MediaKind::Video, options.video),
    ] {
        add_lines(&mut lines, kind, count, local);
    }
    if let Some(sctp) = local.sctp {
        let ice = local.ice.first().cloned();
        let mut line = line(
            local,
            MediaKind::Application,
            SCTP_PROTO,
            "application0",
            ice,
        );
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

/// Adds m-lines of a kind until `count` of them are in use; returns their positions. They have the
/// first credentials.
pub(super) fn add_lines(
    lines: &mut Vec<Media>,
    kind: MediaKind,
    count: usize,
    local: &Local,
) -> Vec<usize> {
    let (name, codecs) = match kind {
        MediaKind::Audio => ("audio", &local.audio_codecs),
        MediaKind::Video => ("video", &local.video_codecs),
        MediaKind::Application | MediaKind::Other => return Vec::new(),
    };
    let is_used = |line: &&Media| line.kind == kind && line.port != 0;
    let mut added = Vec::new();
    for _ in lines.iter().filter(is_used).count()..count {
        let Some(source) = local.sources.get(lines.len()) else {
            break;
        };
        // All m-lines of a kind are numbered alike: they share a transport.
        let formats = match lines.iter().find(is_used) {
            Some(line) => Formats {
                codecs: line.codecs.clone(),
                extensions: line.extensions.clone(),
            },
            None => Formats::new(lines, local, kind, codecs),
        };
        // An m-line cannot be without any.
        if formats.codecs.is_empty() {
            break;
        }
        let is_new = |mid: &String| !lines.iter().any(|line| line.mid.as_ref() == Some(mid));
        let mut mids = (0..).map(|number: u32| format!("{name}{number}"));
        let mid = mids.find(is_new).unwrap_or_default();
        let mut line = line(local, kind, RTP_PROTO, &mid, local.ice.first().cloned());
        line.direction = local.offer_direction;
        line.rtcp_mux = true;
        line.rtcp_rsize = true;
        line.extensions = formats.extensions;
        line.codecs = formats.codecs;
        let texts = line.codecs.iter().map(|codec| codec.pt.to_string());
        line.formats = texts.collect();
        let nth = lines.iter().filter(|line| line.kind == kind).count();
        if line.direction.sends() {
            let rtx = local.rtx && line.codecs.iter().any(|codec| rtx_apt(codec).is_some());
            media::announce_source(&mut line, local, source, nth, rtx);
        }
        added.push(lines.len());
        lines.push(line);
    }
    added
}

fn line(
    local: &Local,
    kind: MediaKind,
    proto: &str,
    mid: &str,
    ice: Option<IceCredentials>,
) -> Media {
    let mut line = media::accepted(local, kind, proto, ice, Setup::ActPass);
    line.mid = Some(mid.to_owned());
    line
}

/// What the m-lines of a kind have in common.
struct Formats {
    codecs: Vec<Codec>,
    extensions: Vec<Extension>,
}

impl Formats {
    /// Those of a kind that no m-line among `lines` has yet.
    fn new(lines: &[Media], local: &Local, kind: MediaKind, codecs: &[LocalCodec]) -> Self {
        let mut payload_types = PayloadTypes::beside(lines);
        let rtx = local.rtx && kind == MediaKind::Video;
        let mut written = Vec::new();
        for codec in codecs.iter().filter(|codec| codec.kind.media() == kind) {
            let Some(pt) = payload_types.take(codec.kind.static_pt()) else {
                break;
            };
            written.push(Codec {
                pt,
                name: codec.kind.name().to_owned(),
                clock: codec.kind.clock(),
                channels: codec.kind.channels(),
                fmtp: codec.fmtp.clone(),
                feedback: feedback::offered(codec.kind, transport_cc(local)),
            });
            let rtx_pt = if rtx { payload_types.take(None) } else { None };
            written.extend(rtx_pt.map(|rtx_pt| Codec {
                pt: rtx_pt,
                name: "rtx".to_owned(),
                clock: codec.kind.clock(),
                channels: 1,
                fmtp: Some(format!("apt={pt}")),
                feedback: Vec::new(),
            }));
        }
        Self {
            codecs: written,
            extensions: extensions(lines, local, kind),
        }
    }
}

fn transport_cc(local: &Local) -> bool {
    local.transport_cc && local.extensions.contains(&ExtensionKind::TransportCc)
}

/// The extensions of an m-line, numbered alike on all m-lines because they share a transport
/// (RFC 8843 §9.2).
fn extensions(lines: &[Media], local: &Local, kind: MediaKind) -> Vec<Extension> {
    let mut known: Vec<(u8, String)> = lines
        .iter()
        .flat_map(|line| &line.extensions)
        .map(|extension| (extension.id, extension.uri.clone()))
        .collect();
    let wanted = local.extensions.iter().filter(|extension| match extension {
        // We send no simulcast, and only a sender's offer may announce it.
        ExtensionKind::Rid | ExtensionKind::RepairedRid => false,
        // It takes the two-byte form, and there are browsers that refuse descriptions which allow it (RFC 8285 §6).
        // To who allowed it, the m-lines that were negotiated are offered again as they are.
        ExtensionKind::DependencyDescriptor => false,
        ExtensionKind::TransportCc => local.transport_cc,
        ExtensionKind::AbsSendTime
        | ExtensionKind::AudioLevel
        | ExtensionKind::Mid
        | ExtensionKind::VideoOrientation => true,
    });
    let mut numbered = Vec::new();
    for extension in wanted {
        let uri = extension.uri();
        let id = match known.iter().find(|(_, known)| known == uri) {
            Some((id, _)) => *id,
            None => {
                let is_free = |id: &u8| !known.iter().any(|(known, _)| known == id);
                let Some(id) = (1..=14).find(is_free) else {
                    continue;
                };
                // The other kind has the same number for it.
                known.push((id, uri.to_owned()));
                id
            }
        };
        if extension.applies_to(kind) {
            numbered.push(Extension {
                id,
                uri: uri.to_owned(),
                direction: None,
            });
        }
    }
    numbered
}

/// Hands out each payload type once: 96 to 127, then 35 to 63 (RFC 3551 §6, RFC 8829 §5.1.2).
struct PayloadTypes {
    free: Vec<u8>,
}

impl PayloadTypes {
    /// Those that no m-line uses.
    fn beside(lines: &[Media]) -> Self {
        let used: BTreeSet<u8> = lines
            .iter()
            .flat_map(|line| &line.codecs)
            .map(|codec| codec.pt)
            .collect();
        let mut free: Vec<u8> = (96..=127)
            .chain(35..=63)
            .filter(|pt| !used.contains(pt))
            .collect();
        free.reverse();
        Self { free }
    }

    fn take(&mut self, fixed: Option<u8>) -> Option<u8> {
        fixed.or_else(|| self.free.pop())
    }
}
