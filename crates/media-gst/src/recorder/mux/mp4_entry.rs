//! How the head of an MP4 file describes its tracks.

use super::boxes::{boxed, full, u16, u32, u64, zeros};
use crate::recorder::format::{Codec, Format};

/// The unity matrix of `mvhd` and `tkhd`.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Ticks per second of a track.
pub(super) fn timescale(format: &Format) -> u32 {
    if format.codec.is_audio() {
        format.rate
    } else {
        90_000
    }
}

/// Adds the head of the whole: time in milliseconds.
pub(super) fn movie(out: &mut Vec<u8>, tracks: u32) {
    full(out, b"mvhd", 0, 0, |out| {
        zeros(out, 8);
        u32(out, 1_000);
        u32(out, 0);
        u32(out, 0x1_0000);
        u16(out, 0x100);
        zeros(out, 10);
        MATRIX.iter().for_each(|value| u32(out, *value));
        zeros(out, 24);
        u32(out, tracks + 1);
    });
}

/// Adds a track. Returns where in `out` its four letters of the codec are.
pub(super) fn track(out: &mut Vec<u8>, number: u32, format: &Format) -> usize {
    let is_audio = format.codec.is_audio();
    let mut letters = 0;
    boxed(out, b"trak", |out| {
        full(out, b"tkhd", 0, 3, |out| {
            zeros(out, 8);
            u32(out, number);
            zeros(out, 16);
            u32(out, 0);
            u16(out, if is_audio { 0x100 } else { 0 });
            u16(out, 0);
            MATRIX.iter().for_each(|value| u32(out, *value));
            u32(out, format.width << 16);
            u32(out, format.height << 16);
        });
        boxed(out, b"mdia", |out| {
            full(out, b"mdhd", 0, 0, |out| {
                zeros(out, 8);
                u32(out, timescale(format));
                u32(out, 0);
                u16(out, 0x55c4); // "und"
                u16(out, 0);
            });
            full(out, b"hdlr", 0, 0, |out| {
                u32(out, 0);
                out.extend_from_slice(if is_audio { b"soun" } else { b"vide" });
                zeros(out, 12);
                out.extend_from_slice(if is_audio { b"Sound\0" } else { b"Video\0" });
            });
            boxed(out, b"minf", |out| {
                if is_audio {
                    full(out, b"smhd", 0, 0, |out| u32(out, 0));
                } else {
                    full(out, b"vmhd", 0, 1, |out| zeros(out, 8));
                }
                boxed(out, b"dinf", |out| {
                    full(out, b"dref", 0, 0, |out| {
                        u32(out, 1);
                        full(out, b"url ", 0, 1, |_| {});
                    });
                });
                boxed(out, b"stbl", |out| {
                    full(out, b"stsd", 0, 0, |out| {
                        u32(out, 1);
                        letters = out.len() + 4;
                        sample_entry(out, format);
                    });
                    full(out, b"stts", 0, 0, |out| u32(out, 0));
                    full(out, b"stsc", 0, 0, |out| u32(out, 0));
                    full(out, b"stsz", 0, 0, |out| u64(out, 0));
                    full(out, b"stco", 0, 0, |out| u32(out, 0));
                });
            });
        });
    });
    letters
}

fn sample_entry(out: &mut Vec<u8>, format: &Format) {
    let letters = match format.codec {
        Codec::H264 => b"avc1",
        Codec::H265 => b"hvc1",
        Codec::Av1 => b"av01",
        Codec::Aac => b"mp4a",
        Codec::Opus => b"Opus",
        // No profile puts these into MP4.
        Codec::Vp8
        | Codec::Vp9
        | Codec::H263
        | Codec::Jpeg
        | Codec::Vorbis
        | Codec::Pcmu
        | Codec::Pcma
        | Codec::Speex
        | Codec::G722
        | Codec::AmrNb => b"free",
    };
    boxed(out, letters, |out| {
        zeros(out, 6);
        u16(out, 1);
        if format.codec.is_audio() {
            zeros(out, 8);
            u16(out, u16::try_from(format.channels).unwrap_or(2));
            u16(out, 16);
            u32(out, 0);
            u32(out, format.rate.min(0xffff) << 16);
        } else {
            zeros(out, 16);
            u16(out, u16::try_from(format.width).unwrap_or(0));
            u16(out, u16::try_from(format.height).unwrap_or(0));
            u32(out, 0x0048_0000);
            u32(out, 0x0048_0000);
            u32(out, 0);
            u16(out, 1);
            zeros(out, 32);
            u16(out, 24);
            u16(out, 0xffff);
        }
        configuration(out, format);
    });
}

fn configuration(out: &mut Vec<u8>, format: &Format) {
    let private = &format.private;
    let plain = |out: &mut Vec<u8>, name| {
        boxed(out, name, |out| out.extend_from_slice(private));
    };
    match format.codec {
        Codec::H264 => plain(out, b"avcC"),
        Codec::H265 => plain(out, b"hvcC"),
        Codec::Av1 => plain(out, b"av1C"),
        Codec::Aac => full(out, b"esds", 0, 0, |out| elementary_stream(out, private)),
        Codec::Opus => boxed(out, b"dOps", |out| opus_specific(out, private)),
        Codec::Vp8
        | Codec::Vp9
        | Codec::H263
        | Codec::Jpeg
        | Codec::Vorbis
        | Codec::Pcmu
        | Codec::Pcma
        | Codec::Speex
        | Codec::G722
        | Codec::AmrNb => {}
    }
}

/// ES_Descriptor (ISO/IEC 14496-1 section 7.2.6.5) of AAC.
fn elementary_stream(out: &mut Vec<u8>, configuration: &[u8]) {
    let length = |value: usize| u8::try_from(value).unwrap_or(127).min(127);
    let specific = configuration.len().min(64);
    out.extend_from_slice(&[3, length(specific + 23), 0, 0, 0]);
    out.extend_from_slice(&[4, length(specific + 15), 0x40, 0x15]);
    zeros(out, 11);
    out.extend_from_slice(&[5, length(specific)]);
    out.extend_from_slice(&configuration[..specific]);
    out.extend_from_slice(&[6, 1, 2]);
}

/// `dOps`: as `OpusHead` of RFC 7845, but with the great end first and a version of 0.
fn opus_specific(out: &mut Vec<u8>, head: &[u8]) {
    let Some(fields) = head.get(9..19) else {
        return;
    };
    out.extend_from_slice(&[0, fields[0]]);
    out.extend_from_slice(&[fields[2], fields[1]]);
    out.extend_from_slice(&[fields[6], fields[5], fields[4], fields[3]]);
    out.extend_from_slice(&[fields[8], fields[7]]);
    out.push(fields[9]);
    if fields[9] != 0 {
        out.extend_from_slice(head.get(19..).unwrap_or_default());
    }
}
