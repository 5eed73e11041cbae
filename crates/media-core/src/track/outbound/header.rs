//! Headers of what goes out, with the number that it has within its whole transport.

use super::{Extensions, Fresh, Inbound};
use crate::sending::Sender;
use salono_rtp::header::{ExtensionWriter, Fields, Form, ShortBlock};
use salono_rtp::layers::dependency::{self, Change, MAX_GROWTH};
use salono_rtp::munge::Outgoing;
use salono_rtp::ring::PacketRef;
use salono_rtp::srtp::MAX_RTP_OVERHEAD;
use std::time::Instant;

/// Fixed header plus extensions in the one-byte form for the transport-wide number, audio level and
/// orientation, padded to words.
const MAX_HEADER: usize = 12 + 4 + 8;

/// Counts a packet with the sending state; the number that it goes out with, if any.
#[inline]
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

/// What a packet says of its content besides the payload.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) fresh: &'a Fresh,
    pub(super) dependency: Option<&'a Dependency<'a>>,
}

/// The dependency descriptor of a packet, and what becomes of it.
pub(super) struct Dependency<'a> {
    value: &'a [u8],
    frame: dependency::Frame,
    change: Change,
}

impl<'a> Dependency<'a> {
    /// Of a stored packet that goes out with these numbers to a receiver that knows descriptors.
    pub(super) fn of(
        extensions: Extensions,
        fresh: &Fresh,
        (track, packet): (&Inbound, &PacketRef<'a>),
        out: &Outgoing,
    ) -> Option<Self> {
        if extensions.dependency == 0 {
            return None;
        }
        let change = Change {
            number: out.rewrite.frame_number?,
            active: out.active,
        };
        Some(Self {
            value: track.dependency_of(packet)?,
            frame: fresh.dependency?,
            change,
        })
    }
}

/// Bytes that a header may take.
pub(super) fn room(dependency: Option<&Dependency<'_>>) -> usize {
    match dependency {
        None => MAX_HEADER + 4,
        // With head and padding.
        Some(dependency) => MAX_HEADER + 4 + dependency.value.len() + MAX_GROWTH + 5,
    }
}

/// Header of a packet; `None` when it does not fit, which the caller's room rules out.
#[inline]
pub(super) fn write_header(
    buf: &mut [u8],
    fields: &Fields,
    extensions: Extensions,
    number: Option<u16>,
    about: Option<About<'_>>,
) -> Option<usize> {
    let dependency = about.and_then(|about| about.dependency);
    let fresh = about.map(|about| about.fresh);
    if dependency.is_some() || extensions.is_wide {
        return write_long(buf, fields, extensions, number, fresh, dependency);
    }
    let mut block = ShortBlock::default();
    if let Some(number) = number {
        block = block.with_word(extensions.transport_cc, number);
    }
    if let Some(fresh) = fresh {
        if let Some(level) = fresh.audio_level {
            block = block.with_byte(extensions.audio_level, level);
        }
        if let Some(orientation) = fresh.orientation {
            block = block.with_byte(extensions.orientation, orientation);
        }
    }
    fields.write_short(buf, block)
}

/// As [`write_header`], with a dependency descriptor or with identifiers that do not fit the one-byte form.
#[inline(never)]
fn write_long(
    buf: &mut [u8],
    fields: &Fields,
    extensions: Extensions,
    number: Option<u16>,
    fresh: Option<&Fresh>,
    dependency: Option<&Dependency<'_>>,
) -> Option<usize> {
    let mut changed = [0; 255];
    let descriptor = dependency.and_then(|of| {
        let len = of.change.write(of.value, &of.frame, &mut changed)?;
        changed.get(..len)
    });
    let is_wide = extensions.is_wide
        || descriptor.is_some_and(|value| !Form::OneByte.fits(extensions.dependency, value.len()));
    let form = if is_wide {
        Form::TwoByte
    } else {
        Form::OneByte
    };
    let mut writer = ExtensionWriter::with_form(buf, fields, form).ok()?;
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
    if let Some(value) = descriptor {
        writer.push(extensions.dependency, value).ok()?;
    }
    Some(writer.finish())
}

/// Puts `padding` bytes, fewer than 256, behind the `plain` ones of a packet, for which there is room; returns the
/// packet's length.
pub(super) fn pad(buf: &mut [u8], plain: usize, padding: usize) -> usize {
    let end = plain + padding;
    if padding > 0 {
        mark_padded(buf);
        buf[plain..end].fill(0);
        buf[end - 1] = padding as u8;
    }
    end
}

/// Says of a packet, of which at least the header is there, that its last byte counts those to be ignored (RFC 3550
/// §5.1).
#[inline]
pub(super) fn mark_padded(buf: &mut [u8]) {
    if let Some(first) = buf.first_mut() {
        *first |= 0x20;
    }
}
