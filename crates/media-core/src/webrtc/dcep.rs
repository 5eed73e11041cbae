//! Messages of the data channel establishment protocol (RFC 8832 §5).

use salono_media_api::DataChannelSpec;
use sctp_proto::ReliabilityType;

/// DATA_CHANNEL_ACK.
pub(super) const ACK: [u8; 1] = [0x02];
const OPEN: u8 = 0x03;
const UNORDERED: u8 = 0x80;
const HEADER: usize = 12;

/// DATA_CHANNEL_OPEN.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Open {
    pub(super) unordered: bool,
    pub(super) reliability: ReliabilityType,
    pub(super) reliability_parameter: u32,
    pub(super) label: String,
    pub(super) protocol: String,
}

pub(super) fn is_ack(message: &[u8]) -> bool {
    message.first() == Some(&ACK[0])
}

impl Open {
    /// `None` for anything that is not a well-formed DATA_CHANNEL_OPEN.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = message.first_chunk()?;
        if header[0] != OPEN {
            return None;
        }
        let reliability = match header[1] & !UNORDERED {
            0 => ReliabilityType::Reliable,
            1 => ReliabilityType::Rexmit,
            2 => ReliabilityType::Timed,
            _ => return None,
        };
        let reliability_parameter =
            u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let label_bytes = usize::from(u16::from_be_bytes([header[8], header[9]]));
        let protocol_bytes = usize::from(u16::from_be_bytes([header[10], header[11]]));
        let label = message.get(HEADER..HEADER + label_bytes)?;
        let protocol = message.get(HEADER + label_bytes..HEADER + label_bytes + protocol_bytes)?;
        Some(Self {
            unordered: header[1] & UNORDERED != 0,
            reliability,
            reliability_parameter,
            label: std::str::from_utf8(label).ok()?.to_owned(),
            protocol: std::str::from_utf8(protocol).ok()?.to_owned(),
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let unordered = if self.unordered { UNORDERED } else { 0 };
        let label = &self.label.as_bytes()[..self.label.len().min(usize::from(u16::MAX))];
        let protocol = &self.protocol.as_bytes()[..self.protocol.len().min(usize::from(u16::MAX))];
        let mut bytes = vec![OPEN, unordered | self.reliability as u8, 0, 0];
        bytes.extend(self.reliability_parameter.to_be_bytes());
        bytes.extend((label.len() as u16).to_be_bytes());
        bytes.extend((protocol.len() as u16).to_be_bytes());
        bytes.extend(label);
        bytes.extend(protocol);
        bytes
    }
}

impl From<&DataChannelSpec> for Open {
    fn from(spec: &DataChannelSpec) -> Self {
        let (reliability, parameter) = match (spec.max_retransmits, spec.max_packet_life_time) {
            (Some(count), _) => (ReliabilityType::Rexmit, u32::from(count)),
            (None, Some(millis)) => (ReliabilityType::Timed, u32::from(millis)),
            (None, None) => (ReliabilityType::Reliable, 0),
        };
        Self {
            unordered: !spec.ordered,
            reliability,
            reliability_parameter: parameter,
            label: spec.label.clone(),
            protocol: spec.protocol.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_survives_the_wire() {
        let spec = DataChannelSpec {
            label: "chat ŝ".into(),
            ordered: false,
            max_packet_life_time: None,
            max_retransmits: Some(3),
            protocol: "p".into(),
        };
        let open = Open::from(&spec);
        assert_eq!(Open::parse(&open.to_bytes()), Some(open));
    }

    #[test]
    fn truncated_or_foreign_messages_are_refused() {
        let open = Open::from(&DataChannelSpec {
            label: "abc".into(),
            ..Default::default()
        });
        let bytes = open.to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Open::parse(&bytes[..length]), None);
        }
        assert_eq!(Open::parse(&[0x07; 12]), None);
    }
}
