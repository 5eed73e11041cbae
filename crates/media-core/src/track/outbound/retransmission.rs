//! Packets that a receiver missed, sent again.

use super::{
    Budget, Inbound, MAX_HEADER, MAX_RETRANSMISSIONS_PER_SECOND, Outbound, agreed, write_header,
};
use crate::egress::Egress;
use salono_media_api::ShardMetrics;
use salono_rtp::header::Fields;
use salono_rtp::rtx::OSN_LEN;
use salono_rtp::srtp::MAX_RTP_OVERHEAD;
use std::time::{Duration, Instant};

impl Outbound {
    /// Sends packets again that the peer missed: on the retransmission stream if there is one,
    /// else the identical packet.
    pub(crate) fn retransmit(
        &mut self,
        lost: impl Iterator<Item = u16>,
        track: &Inbound,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        self.feedback.nacks += 1;
        for seq in lost {
            let Some(destination) = &self.destination else {
                return;
            };
            let Some(origin) = self.munger.origin(seq) else {
                continue;
            };
            if origin.ssrc != track.ssrc() || !self.budget.take(now) {
                continue;
            }
            let Some(packet) = track.packet(origin.seq) else {
                continue;
            };
            let Some(codec) = track.codec(packet.header.payload_type) else {
                continue;
            };
            let Some(agreed) = agreed(&self.codecs, codec) else {
                continue;
            };
            let fresh = track.describe(&packet);
            let out =
                origin
                    .offsets
                    .apply(origin.outgoing, packet.header.timestamp, &fresh.descriptor);
            let payload = packet.payload();
            let rtx = self.rtx.as_mut().zip(agreed.send_rtx_pt);
            let prefix = if rtx.is_some() { OSN_LEN } else { 0 };
            let mut fields = Fields {
                marker: packet.header.marker,
                payload_type: agreed.send_pt,
                sequence_number: out.seq.wire(),
                timestamp: out.timestamp,
                ssrc: self.ssrc,
            };
            let mut roc = out.seq.roc();
            if let Some((rtx, pt)) = rtx {
                fields.payload_type = pt;
                fields.ssrc = rtx.ssrc;
                fields.sequence_number = rtx.next.wire();
                roc = rtx.next.roc();
                rtx.next = rtx.next.next();
            }
            let extensions = self.extensions;
            let mut wire = 0;
            let sent = egress.push_with(
                destination.path.socket,
                destination.path.remote,
                destination.dscp,
                MAX_HEADER + prefix + payload.len() + MAX_RTP_OVERHEAD,
                |buf| {
                    let Some(header) = write_header(buf, &fields, extensions, &fresh) else {
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
                    wire = destination
                        .sealer
                        .seal_rtp(roc, header, buf, plain)
                        .unwrap_or(0);
                    wire
                },
            );
            if sent {
                self.wire_bytes += wire as u64;
                metrics.rtp_retransmitted += 1;
            }
        }
    }
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let fresh = self
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1));
        if fresh {
            self.since = Some(now);
            self.used = 0;
        }
        self.used += 1;
        self.used <= MAX_RETRANSMISSIONS_PER_SECOND
    }
}
