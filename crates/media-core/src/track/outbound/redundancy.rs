//! Which codec a source's packets go out as, and what becomes of redundant audio on the way.
//!
//! Redundant Opus (RFC 2198) is passed on to receivers that agreed to it. For others the primary data
//! are taken out: the redundant blocks before them are left out, nothing is copied for that.

use salono_rtp::red::{self, Primary};
use salono_sdp::negotiate::NegotiatedCodec;
use salono_sdp::{CodecKind, red_primary};

/// What goes out of the payload of a source's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// All of it.
    Whole,
    /// All of it; the blocks are of another payload type at the receiver.
    Renamed {
        /// At the sender.
        from: u8,
        /// At the receiver.
        to: u8,
    },
    /// The primary data, which are of this payload type at the sender.
    Primary(u8),
}

impl Content {
    /// The part of a payload that goes out; `None` when there is none that the receiver knows.
    pub(super) fn part(self, payload: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Whole | Self::Renamed { .. } => Some(payload),
            Self::Primary(expected) => {
                let primary = Primary::find(payload)?;
                let part = payload.get(primary.start..)?;
                (primary.payload_type == expected && !part.is_empty()).then_some(part)
            }
        }
    }

    /// Whether the part has to be changed.
    pub(super) fn changes(self) -> bool {
        matches!(self, Self::Renamed { .. })
    }

    /// Changes a copy of the part.
    pub(super) fn change(self, part: &mut [u8]) {
        if let Self::Renamed { from, to } = self {
            red::rename(part, from, to);
        }
    }
}

/// The codec that a receiver gets a source's packets with; `None` when it can do nothing with them.
///
/// `codecs` are the receiver's; `by_payload_type` finds those of the source.
pub(super) fn agree<'a, 's>(
    codecs: &'a [NegotiatedCodec],
    source: &NegotiatedCodec,
    by_payload_type: impl FnOnce(u8) -> Option<&'s NegotiatedCodec>,
) -> Option<(&'a NegotiatedCodec, Content)> {
    if source.kind != CodecKind::OpusRed {
        return Some((same(codecs, source)?, Content::Whole));
    }
    let from = red_primary(source.fmtp.as_deref())?;
    if let Some(codec) = same(codecs, source)
        && let Some(to) = red_primary(codec.fmtp.as_deref())
    {
        let content = if from == to {
            Content::Whole
        } else {
            Content::Renamed { from, to }
        };
        return Some((codec, content));
    }
    let codec = same(codecs, by_payload_type(from)?)?;
    Some((codec, Content::Primary(from)))
}

/// The codec that the receiver agreed to and the sender's packets fit.
fn same<'a>(
    codecs: &'a [NegotiatedCodec],
    source: &NegotiatedCodec,
) -> Option<&'a NegotiatedCodec> {
    codecs.iter().find(|codec| {
        codec.kind == source.kind
            && codec.clock == source.clock
            && codec
                .kind
                .forwards(source.fmtp.as_deref(), codec.fmtp.as_deref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(kind: CodecKind, pt: u8, fmtp: Option<&str>) -> NegotiatedCodec {
        NegotiatedCodec {
            kind,
            clock: 48_000,
            channels: 2,
            fmtp: fmtp.map(str::to_owned),
            send_pt: pt,
            receive_pt: pt,
            send_rtx_pt: None,
            receive_rtx_pt: None,
            feedback: Default::default(),
        }
    }

    fn opus(pt: u8) -> NegotiatedCodec {
        codec(CodecKind::Opus, pt, Some("minptime=10"))
    }

    fn red(pt: u8, fmtp: &str) -> NegotiatedCodec {
        codec(CodecKind::OpusRed, pt, Some(fmtp))
    }

    /// One redundant block of two bytes and a primary one, of this payload type.
    fn payload(pt: u8) -> Vec<u8> {
        vec![0x80 | pt, 0x0F, 0x00, 2, pt, 1, 2, 7, 8, 9]
    }

    #[test]
    fn redundant_audio_goes_to_those_who_know_it_and_its_primary_data_to_others() {
        let source = [red(63, "111/111"), opus(111)];
        let by_payload_type = |pt| source.iter().find(|codec| codec.receive_pt == pt);
        let go = |codecs: &[NegotiatedCodec], of: usize| {
            agree(codecs, &source[of], by_payload_type).map(|(codec, content)| {
                let mut part = content.part(&payload(111)).unwrap().to_vec();
                content.change(&mut part);
                (codec.send_pt, part)
            })
        };
        let same = [opus(111), red(63, "111/111")];
        assert_eq!(go(&same, 0), Some((63, payload(111))));
        let other = [red(97, "96/96"), opus(96)];
        assert_eq!(go(&other, 0), Some((97, payload(96))));
        assert_eq!(go(&[opus(96)], 0), Some((96, vec![7, 8, 9])));
        assert_eq!(go(&[], 0), None);
        // What is not redundant stays so.
        assert_eq!(go(&same, 1).map(|(pt, _)| pt), Some(111));
    }

    #[test]
    fn what_is_not_as_agreed_is_left_out() {
        let content = Content::Primary(111);
        assert_eq!(content.part(&payload(96)), None);
        assert_eq!(content.part(&payload(111)[..7]), None, "an empty block");
        assert_eq!(content.part(&[0x80]), None);
        let source = red(63, "nothing");
        assert!(agree(&[opus(111)], &source, |_| None).is_none());
    }
}
