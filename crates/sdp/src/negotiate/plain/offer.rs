//! Offers to plain peers.

use crate::description::{Codec, Description, Media, MediaKind};

use super::super::feedback;
use super::super::negotiated::Rejection;
use super::super::offer::{OfferOptions, Offered};
use super::{Local, LocalLine, announce_source, description, has_feedback, line};

/// First dynamic payload type (RFC 3551 §6).
const FIRST_DYNAMIC: u8 = 96;

/// Makes an offer: audio, then video, one m-line at most of each. A kind without ports is offered with port 0.
///
/// Payload types are Kurento's: each m-line counts on over the dynamic codecs of both kinds, so
/// that those of video begin where audio's and video's of the first m-line end.
pub fn offer(local: &Local, options: OfferOptions) -> Offered {
    let audio = dynamic_codecs(&local.audio);
    let both = audio.saturating_add(dynamic_codecs(&local.video));
    let starts = [
        (options.audio > 0, MediaKind::Audio, "audio0", 0),
        (
            options.video > 0,
            MediaKind::Video,
            "video0",
            if options.audio > 0 {
                both.saturating_add(audio)
            } else {
                audio
            },
        ),
    ];
    let media = starts
        .into_iter()
        .filter(|(wanted, ..)| *wanted)
        .filter_map(|(_, kind, mid, offset)| {
            rtp_line(local, kind, mid, FIRST_DYNAMIC.saturating_add(offset))
        })
        .collect();
    Offered {
        description: Description {
            media,
            ..description(local)
        },
    }
}

fn dynamic_codecs(line: &LocalLine) -> u8 {
    let dynamic = line
        .codecs
        .offered
        .iter()
        .filter(|codec| codec.kind.static_pt().is_none());
    u8::try_from(dynamic.count()).unwrap_or(u8::MAX)
}

fn rtp_line(local: &Local, kind: MediaKind, mid: &str, first: u8) -> Option<Media> {
    let ours = local.line(kind)?;
    let proto = if local.crypto.is_some() {
        "RTP/SAVPF"
    } else {
        "RTP/AVPF"
    };
    let mut media = match line(local, kind, proto, None) {
        Ok(media) => media,
        Err(Rejection::NoPort) => Media::new(kind, proto),
        Err(_) => return None,
    };
    media.mid = Some(mid.to_owned());
    let mut next = first;
    for codec in &ours.codecs.offered {
        let pt = codec.kind.static_pt().unwrap_or_else(|| {
            let pt = next;
            next = next.saturating_add(1);
            pt
        });
        if pt > 127 {
            break;
        }
        media.codecs.push(Codec {
            pt,
            name: codec.kind.name().to_owned(),
            clock: codec.kind.clock(),
            channels: codec.kind.channels(),
            fmtp: codec.fmtp.clone(),
            feedback: feedback::offered(codec.kind, false)
                .into_iter()
                .filter(|value| has_feedback(codec.kind, value))
                .collect(),
        });
    }
    media.formats = media
        .codecs
        .iter()
        .map(|codec| codec.pt.to_string())
        .collect();
    announce_source(&mut media, local);
    (!media.codecs.is_empty()).then_some(media)
}
