//! Packets that came in, as far as their headers and the first bytes of their payloads say what they are.

use salono_rtp::codec::{Codec, Descriptor, Heights};
use salono_rtp::header::Form;
use salono_rtp::layers::dependency::{self, Reader};
use salono_rtp::ring::PacketRef;
use salono_rtp::seq::ExtSeq;
use salono_sdp::negotiate::NegotiatedMedia;
use salono_sdp::{CodecKind, ExtensionKind};

/// Identifiers of the header extensions that are read or handed on; 0 is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extensions {
    pub(crate) audio_level: u8,
    pub(crate) orientation: u8,
    pub(crate) transport_cc: u8,
    pub(crate) mid: u8,
    pub(crate) rid: u8,
    pub(crate) repaired_rid: u8,
    pub(crate) dependency: u8,
    /// One of them does not fit the one-byte form.
    pub(crate) is_wide: bool,
}

impl Extensions {
    /// Of what the peer may put into its packets (`recv`) or we into ours.
    pub(crate) fn negotiated(media: &NegotiatedMedia, recv: bool) -> Self {
        let mut ids = Self::default();
        for extension in &media.extensions {
            if !(if recv { extension.recv } else { extension.send }) {
                continue;
            }
            match extension.kind {
                ExtensionKind::AudioLevel => ids.audio_level = extension.id,
                ExtensionKind::VideoOrientation => ids.orientation = extension.id,
                ExtensionKind::TransportCc => ids.transport_cc = extension.id,
                ExtensionKind::Mid => ids.mid = extension.id,
                ExtensionKind::Rid => ids.rid = extension.id,
                ExtensionKind::RepairedRid => ids.repaired_rid = extension.id,
                ExtensionKind::DependencyDescriptor => ids.dependency = extension.id,
                ExtensionKind::AbsSendTime => continue,
            }
            ids.is_wide |= !Form::OneByte.fits(extension.id, 1);
        }
        ids
    }
}

/// A packet that came in with this batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh {
    pub(crate) seq: ExtSeq,
    pub(crate) descriptor: Descriptor,
    /// Padding only: receivers must neither get nor miss it.
    pub(crate) is_empty: bool,
    pub(crate) audio_level: Option<u8>,
    pub(crate) orientation: Option<u8>,
    /// It ends its frame, as the marker says.
    pub(super) is_marked: bool,
    /// Bytes of its payload.
    pub(super) payload_bytes: usize,
    /// What its dependency descriptor says.
    pub(crate) dependency: Option<dependency::Frame>,
}

impl Fresh {
    /// What a packet says, apart from its dependency descriptor.
    pub(super) fn read(codec: Codec, ids: Extensions, packet: &PacketRef<'_>) -> Self {
        let payload = packet.payload();
        let (mut audio_level, mut orientation) = (None, None);
        if ids.audio_level != 0 || ids.orientation != 0 {
            for (id, value) in packet.extensions() {
                if id == ids.audio_level {
                    audio_level = audio_level.or(value.first().copied());
                } else if id == ids.orientation {
                    orientation = orientation.or(value.first().copied());
                }
            }
        }
        Self {
            seq: packet.seq,
            descriptor: codec.describe(payload),
            is_empty: payload.is_empty(),
            audio_level,
            orientation,
            is_marked: packet.header.marker,
            payload_bytes: payload.len(),
            dependency: None,
        }
    }

    /// Parameter sets precede the slices of their picture in packets of their own, and only with them it can be
    /// begun with: the slice that follows them begins nothing, and one that lost them is of no use.
    pub(super) fn follow(
        &mut self,
        frame_before: Option<u32>,
        known: Heights,
        codec: Codec,
        packet: &PacketRef<'_>,
    ) {
        let descriptor = &mut self.descriptor;
        match (codec, frame_before) {
            (Codec::H264 | Codec::H265, _) if !descriptor.is_frame_start => {}
            (Codec::H264 | Codec::H265, Some(timestamp)) => {
                if timestamp == packet.header.timestamp {
                    descriptor.is_frame_start = false;
                    descriptor.is_keyframe_start = false;
                }
            }
            (Codec::H264 | Codec::H265, None) => {
                let has_sets = codec.heights(packet.payload()) != Heights::default();
                descriptor.is_keyframe_start &= has_sets || known == Heights::default();
            }
            (Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opaque, _) => {}
        }
    }

    /// Takes over what the dependency descriptor of the packet says.
    pub(super) fn set_dependency(&mut self, frame: dependency::Frame) {
        let descriptor = &mut self.descriptor;
        descriptor.is_frame_start = frame.is_first;
        descriptor.is_frame_end = frame.is_last;
        descriptor.spatial_layer = Some(frame.layer.spatial);
        descriptor.temporal_layer = Some(frame.layer.temporal);
        descriptor.frame_number = Some(frame.number);
        // Only one that tells its structure can be started with by those who read it.
        descriptor.is_keyframe_start = frame.has_structure && frame.references == 0;
        self.dependency = Some(frame);
    }
}

/// The dependency descriptors of a stream.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    reader: Reader,
    /// One could not be read.
    is_lost: bool,
}

impl Dependencies {
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Reads the descriptor of a new packet.
    pub(super) fn read(&mut self, value: &[u8]) -> Option<dependency::Frame> {
        let frame = self.reader.read(value);
        self.is_lost |= frame.is_none();
        frame
    }

    /// Whether one could not be read since this was asked last: a keyframe tells anew how.
    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.is_lost)
    }
}

/// The dependency descriptor of a packet, where it is what tells of layers: some codecs tell them in their payloads.
pub(super) fn dependency_of<'a>(
    codec: Codec,
    ids: Extensions,
    packet: &PacketRef<'a>,
) -> Option<&'a [u8]> {
    match codec {
        Codec::Av1 | Codec::H264 | Codec::H265 if ids.dependency != 0 => {
            packet.extensions().find(ids.dependency)
        }
        Codec::Av1 | Codec::H264 | Codec::H265 | Codec::Vp8 | Codec::Vp9 | Codec::Opaque => None,
    }
}

pub(super) fn look_into(kind: CodecKind) -> Codec {
    match kind {
        CodecKind::Vp8 => Codec::Vp8,
        CodecKind::Vp9 => Codec::Vp9,
        CodecKind::H264 => Codec::H264,
        CodecKind::H265 => Codec::H265,
        CodecKind::Av1 => Codec::Av1,
        CodecKind::H263
        | CodecKind::H263v1998
        | CodecKind::H263v2000
        | CodecKind::Mp4vEs
        | CodecKind::Opus
        | CodecKind::Pcmu
        | CodecKind::Pcma
        | CodecKind::Amr
        | CodecKind::AmrWb
        | CodecKind::OpusRed
        | CodecKind::TelephoneEvent => Codec::Opaque,
    }
}
