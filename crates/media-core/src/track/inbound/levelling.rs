//! Packets of a frame get one length, so that they leave in one message per receiver.
//!
//! The kernel cuts a message into datagrams of equal size; only the last may be shorter. Browsers
//! divide a frame evenly but for a byte, and that byte would make two messages of it.
//!
//! What a packet is padded with is decided once, before anybody gets it, and kept with it: where a
//! retransmission is the identical packet, it has the same padding.

use super::Inbound;
use salono_media_api::MediaKind;
use salono_rtp::ring::MAX_PADDING;

impl Inbound {
    /// Pads fresh packets that nobody has got yet.
    pub(crate) fn level(&mut self) {
        if self.kind != MediaKind::Video {
            return;
        }
        let mut from = 0;
        while from + 1 < self.fresh.len() {
            let (mut count, mut longest) = (0, 0);
            for fresh in &self.fresh[from..] {
                count += 1;
                longest = longest.max(fresh.payload_bytes);
                if fresh.is_marked {
                    break;
                }
            }
            for fresh in &self.fresh[from..from + count - 1] {
                let lacks = longest - fresh.payload_bytes;
                let is_new = self.forwarded.is_none_or(|newest| fresh.seq > newest);
                if is_new && !fresh.is_empty && (1..=MAX_PADDING).contains(&lacks) {
                    self.ring.set_padding(fresh.seq, lacks as u8);
                }
            }
            from += count;
        }
    }
}
