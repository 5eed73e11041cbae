//! Values of the RTP header extensions that a forwarder reads, writes or passes on.
//!
//! [`Extension`] names the known ones by URI. Identifiers are negotiated per session; [`IdMap`] carries a value from
//! the identifier a publisher offered to the one a subscriber accepted.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::time::Duration;

use crate::header::{ExtensionWriter, Extensions};

/// A header extension known by its URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extension {
    /// Time of sending in 6.18 fixed point seconds.
    AbsSendTime,
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportSequence,
    /// Client to mixer audio level (RFC 6464).
    AudioLevel,
    /// Media identification (RFC 9143 §15).
    Mid,
    /// RTP stream identifier (RFC 8852).
    Rid,
    /// Identifier of the stream that a repair stream repairs (RFC 8852).
    RepairedRid,
    /// Coordination of video orientation (3GPP TS 26.114 §7.4.5).
    VideoOrientation,
    /// Offset of the transmission time (RFC 5450).
    TransmissionOffset,
    /// Limits of the playout delay.
    PlayoutDelay,
    /// Kind of video content.
    ContentType,
    /// Timing of encoding steps.
    VideoTiming,
    /// Colour space and HDR data.
    ColorSpace,
    /// Dependency descriptor (AV1 RTP specification, appendix A).
    DependencyDescriptor,
    /// Absolute capture time.
    AbsCaptureTime,
}

impl Extension {
    /// Every known extension.
    pub const ALL: [Self; 14] = [
        Self::AbsSendTime,
        Self::TransportSequence,
        Self::AudioLevel,
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::VideoOrientation,
        Self::TransmissionOffset,
        Self::PlayoutDelay,
        Self::ContentType,
        Self::VideoTiming,
        Self::ColorSpace,
        Self::DependencyDescriptor,
        Self::AbsCaptureTime,
    ];

    /// The URI of an `a=extmap` line.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::TransportSequence => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::TransmissionOffset => "urn:ietf:params:rtp-hdrext:toffset",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::ContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
            Self::VideoTiming => "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
        }
    }

    /// The extension that `uri` names.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.uri() == uri)
    }

    /// Whether a forwarder may hand the value of a publisher on to subscribers unchanged. The others belong to one
    /// transport or one session and are written anew or left out.
    pub const fn passes_through(self) -> bool {
        match self {
            Self::AudioLevel
            | Self::VideoOrientation
            | Self::PlayoutDelay
            | Self::ContentType
            | Self::ColorSpace
            | Self::DependencyDescriptor
            | Self::AbsCaptureTime => true,
            Self::AbsSendTime
            | Self::TransportSequence
            | Self::Mid
            | Self::Rid
            | Self::RepairedRid
            | Self::TransmissionOffset
            | Self::VideoTiming => false,
        }
    }
}

/// Time of sending: seconds modulo 64 in 6.18 fixed point, 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsSendTime(u32);

impl AbsSendTime {
    /// From any clock that advances steadily; only differences matter to the receiver.
    pub fn from_clock(time: Duration) -> Self {
        // 64 seconds are 2²⁴ ticks of 2¹⁸ hertz.
        Self((crate::time::ticks(time, 1 << 18) & 0x00FF_FFFF) as u32)
    }

    /// Reads a value of exactly three bytes.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let [a, b, c] = *<&[u8; 3]>::try_from(value).ok()?;
        Some(Self(u32::from_be_bytes([0, a, b, c])))
    }

    /// The three bytes of the value.
    pub const fn to_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// The 24 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// Reads a transport-wide sequence number; the four-byte form of version 2 carries it in its first two bytes.
pub fn transport_sequence(value: &[u8]) -> Option<u16> {
    match *value {
        [a, b] | [a, b, _, _] => Some(u16::from_be_bytes([a, b])),
        _ => None,
    }
}

/// Audio level of a packet (RFC 6464).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// Whether the sender believes that the packet holds voice.
    pub voice: bool,
    /// Loudness below the overload point, in −dBov: 0 is loudest, 127 is silence.
    pub attenuation: u8,
}

impl AudioLevel {
    /// Reads the first byte of the value.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let byte = *value.first()?;
        Some(Self {
            voice: byte & 0x80 != 0,
            attenuation: byte & 0x7F,
        })
    }

    /// The byte of the value.
    pub const fn to_byte(self) -> u8 {
        ((self.voice as u8) << 7) | (self.attenuation & 0x7F)
    }
}

/// Orientation of a video frame (3GPP TS 26.114 §7.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoOrientation {
    /// Taken by the back-facing camera.
    pub back_camera: bool,
    /// Mirrored horizontally.
    pub flipped: bool,
    /// Clockwise rotation to apply before display, in quarter turns (0 to 3).
    pub quarter_turns: u8,
}

impl VideoOrientation {
    /// Reads the first byte of the value.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let byte = *value.first()?;
        Some(Self {
            back_camera: byte & 8 != 0,
            flipped: byte & 4 != 0,
            quarter_turns: byte & 3,
        })
    }

    /// The byte of the value.
    pub const fn to_byte(self) -> u8 {
        ((self.back_camera as u8) << 3) | ((self.flipped as u8) << 2) | (self.quarter_turns & 3)
    }
}

/// Reads a MID or RID: 1 to 16 bytes (longer in the two-byte form) of printable ASCII.
pub fn identifier(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then_some(text)
}

/// Which identifier a subscriber knows an extension by, for each identifier of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdMap {
    /// Target identifier at the index of the source identifier; 0 drops the element.
    targets: [u8; 16],
}

impl IdMap {
    /// Drops everything.
    pub const fn new() -> Self {
        Self { targets: [0; 16] }
    }

    /// Passes source identifier `from` on as `to`. Identifiers outside 1 to 14 cannot be written and are ignored.
    pub fn insert(&mut self, from: u8, to: u8) {
        if let (Some(slot), 1..=14, 1..=14) = (self.targets.get_mut(usize::from(from)), from, to) {
            *slot = to;
        }
    }

    /// The identifier to write for source identifier `from`; `None` drops the element.
    pub fn target(&self, from: u8) -> Option<u8> {
        self.targets
            .get(usize::from(from))
            .copied()
            .filter(|&to| to != 0)
    }

    /// Copies the elements that have a target to `writer`. Values that do not fit there (empty or longer than 16
    /// bytes, or no room) are left out: extensions are optional by nature (RFC 8285 §4.1.2).
    pub fn copy(&self, elements: Extensions<'_>, writer: &mut ExtensionWriter<'_>) {
        for (from, value) in elements {
            if let Some(to) = self.target(from) {
                let _ = writer.push(to, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_told_apart_and_read_back() {
        for extension in Extension::ALL {
            assert_eq!(Extension::from_uri(extension.uri()), Some(extension));
        }
        assert_eq!(Extension::from_uri("urn:nothing"), None);
    }

    #[test]
    fn send_time_wraps_after_64_seconds() {
        let early = AbsSendTime::from_clock(Duration::from_millis(1_500));
        assert_eq!(early.bits(), 3 << 17);
        assert_eq!(
            AbsSendTime::from_clock(Duration::from_millis(65_500)),
            early
        );
        assert_eq!(AbsSendTime::parse(&early.to_bytes()), Some(early));
        assert_eq!(AbsSendTime::parse(&[1, 2]), None);
    }

    #[test]
    fn small_values_read_back() {
        let level = AudioLevel {
            voice: true,
            attenuation: 42,
        };
        assert_eq!(AudioLevel::parse(&[level.to_byte()]), Some(level));
        let turned = VideoOrientation {
            back_camera: true,
            flipped: false,
            quarter_turns: 3,
        };
        assert_eq!(VideoOrientation::parse(&[turned.to_byte()]), Some(turned));
        assert_eq!(transport_sequence(&[1, 2]), Some(258));
        assert_eq!(transport_sequence(&[1]), None);
        assert_eq!(identifier(b"audio"), Some("audio"));
        assert_eq!(identifier(b"a b"), None);
        assert_eq!(identifier(b""), None);
        assert_eq!(identifier(&[0xFF]), None);
    }

    #[test]
    fn unmapped_identifiers_are_dropped() {
        let mut map = IdMap::new();
        map.insert(3, 9);
        map.insert(200, 1);
        map.insert(4, 15);
        assert_eq!(map.target(3), Some(9));
        assert_eq!(map.target(4), None);
        assert_eq!(map.target(200), None);
    }

    #[test]
    fn elements_are_copied_under_their_new_identifiers() {
        let mut map = IdMap::new();
        map.insert(1, 7);
        map.insert(2, 8);
        let block = [0x10, 0xAA, 0x30, 0xBB, 0x21, 1, 2, 0];
        let elements = Extensions::new(crate::header::ONE_BYTE_PROFILE, &block);
        let mut buf = [0; 64];
        let fields = crate::header::Fields {
            marker: false,
            payload_type: 0,
            sequence_number: 0,
            timestamp: 0,
            ssrc: 0,
        };
        let mut writer = ExtensionWriter::new(&mut buf, &fields).unwrap();
        map.copy(elements, &mut writer);
        let len = writer.finish();
        let header = crate::header::Header::parse(&buf[..len]).unwrap();
        let copied: Vec<_> = header.extensions(&buf).collect();
        assert_eq!(copied, vec![(7, &[0xAA][..]), (8, &[1, 2][..])]);
    }
}
