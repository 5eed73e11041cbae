//! Packets that are sent again: because the receiver missed them, or as padding that probes what
//! the path carries.

use super::header::{About, Dependency, number, pad, room, write_header};
use super::{Inbound, Outbound, redundancy};
use crate::egress::Egress;
use crate::sending::Sender;
use salono_media_api::ShardMetrics;
use salono_rtp::header::Fields;
use salono_rtp::rtx::OSN_LEN;
use salono_rtp::srtp::MAX_RTP_OVERHEAD;
use std::time::Instant;

/// Padding is made of the newest packets, as many as these in turn.
const PADDING_SPAN: u16 = 16;

/// Bytes of padding without content; more do not fit the byte that counts them.
const PADDING: u8 = 240;

/// Why a packet is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The receiver missed it.
    Repair,
    /// The receiver has it.
    Padding,
}

impl Outbound {
    /// Sends packets again that the peer missed: on the retransmission stream if there is one,
    /// else the identical packet.
    pub(crate) fn retransmit(
        &mut self,
        lost: impl Iterator<Item = u16>,
        tracks: &[Option<&Inbound>],
        mut sender: Option<&mut Sender>,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        self.feedback.nacks += 1;
        for seq in lost {
            let sender = sender.as_deref_mut();
            let sent = self.resend(seq, Purpose::Repair, tracks, sender, egress, now);
            metrics.rtp_retransmitted += u64::from(sent > 0);
        }
    }

    /// Whether padding can be made of this stream: a receiver takes what it has already only on a
    /// stream of retransmissions, and what is not numbered is not reported.
    pub(crate) fn can_pad(&self) -> bool {
        self.extensions.transport_cc != 0
            && self.rtx.is_some()
            && self.destination.is_some()
            && self.munger.newest().is_some()
    }

    /// Sends a packet of late again as padding; returns its bytes, 0 when there was none.
    pub(crate) fn pad(
        &mut self,
        tracks: &[Option<&Inbound>],
        mut sender: Option<&mut Sender>,
        egress: &mut Egress,
        now: Instant,
    ) -> usize {
        let Some(newest) = self.munger.newest().filter(|_| self.can_pad()) else {
            return 0;
        };
        for _ in 0..PADDING_SPAN {
            self.padding_at = (self.padding_at + 1) % PADDING_SPAN;
            let seq = newest.wire().wrapping_sub(self.padding_at);
            let sender = sender.as_deref_mut();
            let sent = self.resend(seq, Purpose::Padding, tracks, sender, egress, now);
            if sent > 0 {
                return sent;
            }
        }
        self.pad_with_nothing(sender, egress, now)
    }

    /// Sends padding without content, for a stream that has been silent for too long to have any.
    fn pad_with_nothing(
        &mut self,
        sender: Option<&mut Sender>,
        egress: &mut Egress,
        now: Instant,
    ) -> usize {
        let codec = self.codecs.iter().find_map(|codec| codec.send_rtx_pt);
        let (Some(destination), Some(rtx), Some(payload_type)) =
            (&self.destination, self.rtx.as_mut(), codec)
        else {
            return 0;
        };
        let fields = Fields {
            marker: false,
            payload_type,
            sequence_number: rtx.next.wire(),
            timestamp: self.munger.timestamp_at(now).unwrap_or(0),
            ssrc: rtx.ssrc,
        };
        let roc = rtx.next.roc();
        rtx.next = rtx.next.next();
        let extensions = self.extensions;
        let number = number(extensions, sender, usize::from(PADDING), now);
        let mut wire = 0;
        egress.push_with(
            destination.path.socket,
            destination.path.remote,
            destination.dscp,
            room(None) + usize::from(PADDING) + MAX_RTP_OVERHEAD,
            |buf| {
                let Some(header) = write_header(buf, &fields, extensions, number, None) else {
                    return 0;
                };
                let plain = header + usize::from(PADDING);
                pad(buf, header, usize::from(PADDING));
                wire = destination
                    .sealer
                    .seal_rtp(roc, header, buf, plain)
                    .unwrap_or(0);
                wire
            },
        );
        self.wire_bytes += wire as u64;
        wire
    }

    /// Sends one packet again; returns its bytes, 0 when it is gone, too much for the budget, or
    /// finds no room.
    fn resend(
        &mut self,
        seq: u16,
        purpose: Purpose,
        tracks: &[Option<&Inbound>],
        sender: Option<&mut Sender>,
        egress: &mut Egress,
        now: Instant,
    ) -> usize {
        let Some(destination) = &self.destination else {
            return 0;
        };
        let Some(origin) = self.munger.origin(seq) else {
            return 0;
        };
        let mut tracks = tracks.iter().flatten();
        let Some(track) = tracks.find(|track| track.ssrc() == origin.ssrc) else {
            return 0;
        };
        let Some(packet) = track.packet(origin.seq) else {
            return 0;
        };
        let Some(codec) = track.codec(packet.header.payload_type) else {
            return 0;
        };
        let all = |pt| track.codec(pt);
        let Some((agreed, content)) = redundancy::agree(&self.codecs, codec, all) else {
            return 0;
        };
        let Some(payload) = content.part(packet.payload()) else {
            return 0;
        };
        let fresh = track.describe(&packet);
        let is_blank = match &mut self.layering {
            Some(layering) if layering.is_blank(&fresh, packet.header.timestamp) => {
                layering.blank(fresh.seq);
                true
            }
            Some(_) | None => false,
        };
        let payload = if is_blank { &[] } else { payload };
        let rtx = self.rtx.as_mut().zip(agreed.send_rtx_pt);
        // The identical packet has its padding.
        let padding = match is_blank || rtx.is_some() {
            true => 0,
            false => usize::from(packet.padding),
        };
        let is_affordable = match purpose {
            Purpose::Repair => {
                let round_trip = sender.as_deref().and_then(Sender::round_trip);
                origin.outgoing >= self.floor
                    && self.repairs.is_due(origin.outgoing, round_trip, now)
                    && self.budget.spend(payload.len())
            }
            Purpose::Padding => rtx.is_some(),
        };
        if !is_affordable {
            return 0;
        }
        let out = origin
            .offsets
            .apply(origin.outgoing, packet.header.timestamp, &fresh.descriptor);
        let dependency = if is_blank {
            None
        } else {
            Dependency::of(self.extensions, &fresh, (track, &packet), &out)
        };
        let prefix = if rtx.is_some() { OSN_LEN } else { 0 };
        let mut fields = Fields {
            marker: !is_blank && (packet.header.marker || out.ends_picture),
            payload_type: agreed.send_pt,
            sequence_number: out.seq.wire(),
            timestamp: out.timestamp,
            ssrc: self.ssrc,
        };
        let mut roc = out.seq.roc();
        let extensions = self.extensions;
        let number = if let Some((rtx, pt)) = rtx {
            fields.payload_type = pt;
            fields.ssrc = rtx.ssrc;
            fields.sequence_number = rtx.next.wire();
            roc = rtx.next.roc();
            rtx.next = rtx.next.next();
            number(extensions, sender, payload.len(), now)
        } else {
            // Whether its dependency descriptor could be read by then is not known: it may have been another packet.
            if extensions.dependency != 0 && track.dependency_of(&packet).is_some() {
                return 0;
            }
            // The identical packet, with the number that it had.
            let number = self.numbers.as_ref().and_then(|of| of.of(out.seq));
            if extensions.transport_cc != 0 && number.is_none() {
                return 0;
            }
            if let Some(sender) = sender {
                sender.count(payload.len(), now);
            }
            number
        };
        let mut wire = 0;
        let sent = egress.push_with(
            destination.path.socket,
            destination.path.remote,
            destination.dscp,
            room(dependency.as_ref()) + prefix + payload.len() + padding + MAX_RTP_OVERHEAD,
            |buf| {
                let about = About {
                    fresh: &fresh,
                    dependency: dependency.as_ref(),
                };
                let Some(header) = write_header(buf, &fields, extensions, number, Some(about))
                else {
                    return 0;
                };
                let start = header + prefix;
                let plain = start + payload.len();
                if prefix > 0 {
                    buf[header..start].copy_from_slice(&out.seq.wire().to_be_bytes());
                }
                buf[start..plain].copy_from_slice(payload);
                track
                    .codec_kind()
                    .rewrite(&mut buf[start..plain], out.rewrite);
                content.change(&mut buf[start..plain]);
                let plain = pad(buf, plain, padding);
                wire = destination
                    .sealer
                    .seal_rtp(roc, header, buf, plain)
                    .unwrap_or(0);
                wire
            },
        );
        if !sent {
            return 0;
        }
        self.wire_bytes += wire as u64;
        wire
    }
}
