//! RTCP feedback (RFC 4585, RFC 5104) of a codec.

use crate::codec::CodecKind;
use crate::description::MediaKind;

/// Kinds of RTCP feedback in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// Generic NACK.
    pub nack: bool,
    /// Picture loss indication.
    pub nack_pli: bool,
    /// Full intra request.
    pub ccm_fir: bool,
    /// Receiver estimated maximum bitrate.
    pub goog_remb: bool,
    /// Transport-wide congestion control.
    pub transport_cc: bool,
}

/// Feedback of a video codec in our offers, `transport-cc` apart.
const VIDEO: [&str; 4] = ["nack", "nack pli", "ccm fir", "goog-remb"];
const TRANSPORT_CC: &str = "transport-cc";

impl Feedback {
    /// Reads `a=rtcp-fb` values; unknown ones are ignored.
    pub(super) fn read(values: &[String]) -> Self {
        let has = |value: &str| values.iter().any(|v| v.eq_ignore_ascii_case(value));
        Self {
            nack: has("nack"),
            nack_pli: has("nack pli"),
            ccm_fir: has("ccm fir"),
            goog_remb: has("goog-remb"),
            transport_cc: has(TRANSPORT_CC),
        }
    }

    /// What both sides have.
    pub(super) fn intersection(self, other: Self) -> Self {
        Self {
            nack: self.nack && other.nack,
            nack_pli: self.nack_pli && other.nack_pli,
            ccm_fir: self.ccm_fir && other.ccm_fir,
            goog_remb: self.goog_remb && other.goog_remb,
            transport_cc: self.transport_cc && other.transport_cc,
        }
    }
}

/// The values that we offer for a codec.
pub(super) fn offered(kind: CodecKind, transport_cc: bool) -> Vec<String> {
    let common: &[&str] = match kind.media() {
        MediaKind::Video => &VIDEO,
        MediaKind::Audio | MediaKind::Application | MediaKind::Other => &[],
    };
    let transport_cc = transport_cc && kind != CodecKind::TelephoneEvent;
    let transport_cc: &[&str] = if transport_cc { &[TRANSPORT_CC] } else { &[] };
    common
        .iter()
        .chain(transport_cc)
        .map(|value| (*value).to_owned())
        .collect()
}

/// The values among `remote` that we accept for a codec, in the remote order.
pub(super) fn accepted(kind: CodecKind, remote: &[String], transport_cc: bool) -> Vec<String> {
    let mut supported = offered(kind, transport_cc);
    // Not offered for audio because most receivers lengthen their jitter buffer for it.
    if kind == CodecKind::Opus {
        supported.push("nack".to_owned());
    }
    remote
        .iter()
        .filter(|value| supported.iter().any(|s| s.eq_ignore_ascii_case(value)))
        .cloned()
        .collect()
}
