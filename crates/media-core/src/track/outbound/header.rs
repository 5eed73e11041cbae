//! Headers of what goes out, with the number that it has within its whole transport.

use super::{Extensions, Fresh};
use crate::sending::Sender;
use salono_rtp::header::{ExtensionWriter, Fields};
use salono_rtp::srtp::MAX_RTP_OVERHEAD;
use std::time::Instant;

/// Fixed header plus one-byte extensions for the transport-wide number, audio level and
/// orientation, padded to words.
pub(super) const MAX_HEADER: usize = 12 + 4 + 8;

/// Counts a packet with the sending state; the number that it goes out with, if any.
pub(super) fn number(
    extensions: Extensions,
    sender: Option<&mut Sender>,
    payload: usize,
    now: Instant,
) -> Option<u16> {
    let sender = sender?;
    let bytes = MAX_HEADER + payload + MAX_RTP_OVERHEAD;
    if extensions.transport_cc == 0 {
        sender.count(bytes, now);
        return None;
    }
    Some(sender.number(bytes, now))
}

/// Header of a packet; `None` when it does not fit, which the caller's room rules out.
pub(super) fn write_header(
    buf: &mut [u8],
    fields: &Fields,
    extensions: Extensions,
    number: Option<u16>,
    fresh: Option<&Fresh>,
) -> Option<usize> {
    let mut writer = ExtensionWriter::new(buf, fields).ok()?;
    if let Some(number) = number {
        let value = number.to_be_bytes();
        writer.push(extensions.transport_cc, &value).ok()?;
    }
    for (id, value) in [
        (extensions.audio_level, fresh.and_then(|it| it.audio_level)),
        (extensions.orientation, fresh.and_then(|it| it.orientation)),
    ] {
        if let (1.., Some(value)) = (id, value) {
            writer.push(id, &[value]).ok()?;
        }
    }
    Some(writer.finish())
}
