//! RTCP of one peer: what we report and ask for, and what we do about what it reports and asks.

mod bound;

use crate::egress::Egress;
use crate::peer::Peer;
use crate::track::{Clock, OutSlot, Router, TrackSlot};
use bound::Bound;
use salono_media_api::{Bitrate, Event, MediaKind, ShardMetrics};
use salono_rtp::recv::TwccReceiver;
use salono_rtp::rtcp::{Compound, Packet, ReportBlock, Writer};
use salono_rtp::srtp::MAX_RTCP_OVERHEAD;
use salono_sdp::negotiate::NegotiatedMedia;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sender and receiver reports, and REMB, go out this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// RTCP datagrams stay below this, SRTCP trailer included.
const MAX_RTCP: usize = 1_200;
/// m-lines whose reports share one compound packet, so that it fits.
const LINES_PER_REPORT: usize = 8;
/// Packets of one compound that are looked at.
pub(crate) const MAX_COMPOUND: usize = 64;

/// When what is due, and the congestion feedback of each transport.
#[derive(Default)]
pub(crate) struct Feedback {
    next_report: Option<Instant>,
    /// By transport.
    twcc: Vec<Option<Twcc>>,
    last_report: Option<Instant>,
    /// Our NTP clock minus the peer's, from its first sender report.
    clock_offset: Option<i64>,
    is_media: bool,
}

struct Twcc {
    receiver: TwccReceiver,
    media_ssrc: u32,
}

impl Feedback {
    /// Prepares for what was negotiated.
    pub(crate) fn set_up(&mut self, negotiated: &[NegotiatedMedia]) {
        let transports = negotiated.iter().filter_map(|media| media.transport);
        let count = transports.clone().max().map_or(0, |last| last + 1);
        self.twcc.resize_with(count.max(self.twcc.len()), || None);
        // Another transport in the place of one that ended counts from the start.
        for (at, slot) in self.twcc.iter_mut().enumerate() {
            if !transports.clone().any(|used| used == at) {
                *slot = None;
            }
        }
        for media in negotiated {
            let Some(slot) = media.transport.and_then(|at| self.twcc.get_mut(at)) else {
                continue;
            };
            self.is_media |= !media.codecs.is_empty();
            let wanted = media.recv && media.codecs.iter().any(|codec| codec.feedback.transport_cc);
            if wanted && slot.is_none() {
                *slot = Some(Twcc {
                    receiver: TwccReceiver::new(),
                    media_ssrc: 0,
                });
            }
        }
    }

    /// Starts the reports once the first keys are there.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.is_media && self.next_report.is_none() {
            self.next_report = Some(now + REPORT_INTERVAL);
        }
    }

    /// Reports at once, and then as often as before.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.next_report = Some(now);
    }

    /// Notes the arrival of a packet with a transport-wide sequence number.
    pub(crate) fn record(&mut self, transport: usize, seq: u16, ssrc: u32, now: Instant) {
        if let Some(Some(twcc)) = self.twcc.get_mut(transport) {
            twcc.media_ssrc = ssrc;
            twcc.receiver.record(seq, now);
        }
    }

    /// How far the peer's clock is behind ours; `None` before its first sender report.
    pub(crate) fn clock_offset(&self) -> Option<i64> {
        self.clock_offset
    }

    /// Takes that for granted, of a peer that shares its clock with others.
    pub(crate) fn set_clock_offset(&mut self, offset: Option<i64>) {
        self.clock_offset = offset;
    }

    pub(crate) fn last_report(&self) -> Option<Instant> {
        self.last_report
    }

    /// When something is due on a transport that `can_send`.
    pub(crate) fn poll_timeout(&self, can_send: impl Fn(usize) -> bool) -> Option<Instant> {
        self.twcc
            .iter()
            .enumerate()
            .filter_map(|(transport, twcc)| {
                let due = twcc.as_ref()?.receiver.poll_timeout()?;
                can_send(transport).then_some(due)
            })
            .chain(self.next_report)
            .min()
    }
}

impl Peer {
    /// Sends everything that is due.
    pub(crate) fn send_feedback(
        &mut self,
        router: &mut Router,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        clock: Clock,
        now: Instant,
    ) {
        self.send_twcc(egress, now);
        self.send_requests(router, egress, metrics, now);
        self.send_paced(router, egress, metrics, now);
        self.send_probes(router, egress, now);
        if self.feedback.next_report.is_some_and(|due| due <= now) {
            self.feedback.next_report = Some(clock.beat(now + REPORT_INTERVAL));
            self.send_reports(router, egress, clock, now);
            self.review_in_turn(router, now);
        }
    }

    fn send_twcc(&mut self, egress: &mut Egress, now: Instant) {
        for transport in 0..self.feedback.twcc.len() {
            let Some(mut twcc) = self.feedback.twcc[transport].take() else {
                continue;
            };
            let due = twcc.receiver.poll_timeout().is_some_and(|due| due <= now);
            let sender = self.local_ssrc();
            // One feedback packet covers a whole interval; a second takes what did not fit.
            for _ in 0..if due { 2 } else { 0 } {
                let sent = self.send_rtcp(transport, egress, |writer| {
                    twcc.receiver
                        .write(writer, sender, twcc.media_ssrc)
                        .unwrap_or(false)
                });
                if !sent {
                    break;
                }
            }
            self.feedback.twcc[transport] = Some(twcc);
        }
    }

    /// NACKs and keyframe requests of all tracks.
    pub(crate) fn send_requests(
        &mut self,
        router: &mut Router,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        let mut next = (0, 0);
        while let Some(slot) = self.next_track(&mut next, router) {
            let Some(track) = router.track_mut(slot) else {
                continue;
            };
            if track.poll_timeout().is_none_or(|due| due > now) {
                continue;
            }
            let transport = track.transport();
            let round_trip = self.endpoint.round_trip(transport);
            self.send_rtcp(transport, egress, |writer| {
                let nacks = track.write_nack(writer, round_trip, now);
                let asked = track.write_keyframe_request(writer, now);
                metrics.nacks_sent += u64::from(nacks > 0);
                metrics.keyframe_requests_sent += u64::from(asked);
                nacks > 0 || asked
            });
        }
    }

    /// The tracks of all lines one by one, each layer by itself; `next` begins with zeros.
    fn next_track(&self, next: &mut (usize, usize), router: &Router) -> Option<TrackSlot> {
        while let Some(line) = self.lines.get(next.0) {
            let tracks = line.inbound.map(|source| router.layer_tracks(source));
            let track = tracks.and_then(|tracks| tracks.get(next.1).copied().flatten());
            if track.is_some() {
                next.1 += 1;
                return track;
            }
            *next = (next.0 + 1, 0);
        }
        None
    }

    fn send_reports(
        &mut self,
        router: &mut Router,
        egress: &mut Egress,
        clock: Clock,
        now: Instant,
    ) {
        for transport in 0..self.feedback.twcc.len() {
            let mut from = 0;
            let mut bound = self.bound(transport, router, now);
            while from < self.lines.len() {
                // What of this transport fits into one compound packet.
                let mut tracks = [None; LINES_PER_REPORT];
                let mut outs = [None; LINES_PER_REPORT];
                let mut count = 0;
                while let Some(line) = self.lines.get(from).filter(|_| count < LINES_PER_REPORT) {
                    from += 1;
                    if line.transport == transport {
                        (tracks[count], outs[count]) = (line.inbound, line.outbound);
                        count += 1;
                    }
                }
                let (tracks, outs) = (&tracks[..count], &outs[..count]);
                let bound = bound.take();
                self.send_report(transport, tracks, outs, bound, router, egress, clock, now);
            }
        }
    }

    /// Reports of some of the lines of a transport.
    #[expect(clippy::too_many_arguments, reason = "one caller")]
    fn send_report(
        &mut self,
        transport: usize,
        tracks: &[Option<TrackSlot>],
        outs: &[Option<OutSlot>],
        bound: Option<Bound>,
        router: &mut Router,
        egress: &mut Egress,
        clock: Clock,
        now: Instant,
    ) {
        let (tracks, outs) = (tracks.iter().flatten(), outs.iter().flatten());
        let cname = self.endpoint.cname().to_owned();
        let local_ssrc = self.local_ssrc();
        self.send_rtcp(transport, egress, |writer| {
            let mut blocks: Vec<ReportBlock> = Vec::new();
            for slot in tracks {
                for layer in router.layer_tracks(*slot).into_iter().flatten() {
                    let track = router.track_mut(layer);
                    blocks.extend(track.and_then(|track| track.report_block(now)));
                }
            }
            let mut reported = false;
            for slot in outs {
                let Some((out, source)) = router.out_with_source(*slot) else {
                    continue;
                };
                let with = if reported { &[][..] } else { &blocks[..] };
                if out.write_report(writer, source.as_deref(), with, clock, now) {
                    let _ = writer.canonical_name(out.ssrc(), &cname);
                    reported = true;
                }
            }
            if !reported && !blocks.is_empty() {
                let _ = writer.receiver_report(local_ssrc, &blocks);
                let _ = writer.canonical_name(local_ssrc, &cname);
                reported = true;
            }
            if let Some(bound) = bound {
                reported |= bound.write(local_ssrc, writer);
            }
            reported
        });
    }

    /// Ends what we send (RFC 3550 §6.3.7).
    pub(crate) fn say_goodbye(&mut self, router: &Router, egress: &mut Egress) {
        for at in 0..self.lines.len() {
            let Some(line) = self.lines.get(at) else {
                continue;
            };
            let transport = line.transport;
            let out = line.outbound.and_then(|slot| router.out(slot));
            let Some(out) = out.filter(|out| out.last_sent().is_some()) else {
                continue;
            };
            let ssrc = out.ssrc();
            self.send_rtcp(transport, egress, |writer| writer.bye(&[ssrc]).is_ok());
        }
    }

    /// SSRC to name as the sender of feedback that is about no track in particular.
    fn local_ssrc(&self) -> u32 {
        self.endpoint.ssrc()
    }

    /// Seals and queues the compound packet that `write` makes, if it says that there is one.
    fn send_rtcp(
        &mut self,
        transport: usize,
        egress: &mut Egress,
        write: impl FnOnce(&mut Writer<'_>) -> bool,
    ) -> bool {
        let (Some(path), dscp) = (self.endpoint.rtcp_path(transport), self.endpoint.dscp()) else {
            return false;
        };
        let local_ssrc = self.local_ssrc();
        let Some(srtp) = self.endpoint.srtp_mut(transport) else {
            return false;
        };
        let mut sealed = 0;
        let sent = egress.push_with(path.socket, path.remote, dscp, MAX_RTCP, |buf| {
            let room = buf.len().saturating_sub(MAX_RTCP_OVERHEAD);
            let mut writer = Writer::new(&mut buf[..room]);
            // RFC 3550 §6.1: a compound packet begins with a report.
            let _ = writer.receiver_report(local_ssrc, &[]);
            if !write(&mut writer) {
                return 0;
            }
            let length = writer.len();
            sealed = srtp.rtcp.seal_rtcp(buf, length).unwrap_or(0);
            sealed
        });
        if let Some(endpoint) = self.endpoint.web_rtc_mut().filter(|_| sent) {
            endpoint.count_sent(transport, sealed);
        }
        sent
    }

    /// Takes in one RTCP datagram; false when it is not authentic.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn receive_rtcp(
        &mut self,
        transport: usize,
        datagram: &mut [u8],
        router: &mut Router,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        events: &mut VecDeque<Event>,
        clock: Clock,
        now: Instant,
    ) -> bool {
        let Some(srtp) = self.endpoint.srtp_mut(transport) else {
            return false;
        };
        let Ok(length) = srtp.opener.open_rtcp(datagram) else {
            return false;
        };
        let Some(compound) = datagram.get(..length) else {
            return false;
        };
        self.feedback.last_report = Some(now);
        self.note_report(events);
        for packet in Compound::new(compound).take(MAX_COMPOUND) {
            self.handle_rtcp(transport, &packet, router, egress, metrics, clock, now);
        }
        true
    }

    /// Does what one packet of a compound says.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn handle_rtcp(
        &mut self,
        transport: usize,
        packet: &Packet<'_>,
        router: &mut Router,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        clock: Clock,
        now: Instant,
    ) {
        match packet {
            Packet::SenderReport(report) => {
                let ours = clock.ntp(now).bits().cast_signed();
                let theirs = report.ntp.bits().cast_signed();
                let offset = *self
                    .feedback
                    .clock_offset
                    .get_or_insert(ours.wrapping_sub(theirs));
                let mut next = (0, 0);
                while let Some(slot) = self.next_track(&mut next, router) {
                    if let Some(track) = router.track_mut(slot) {
                        track.take_sender_report(report, offset, now);
                    }
                }
                for block in report.blocks {
                    self.take_report(&block, router, clock, now);
                }
            }
            Packet::ReceiverReport(report) => {
                for block in report.blocks {
                    self.take_report(&block, router, clock, now);
                }
            }
            Packet::Nack(nack) => {
                for line in &self.lines {
                    let Some(slot) = line.outbound else { continue };
                    let is_it = router
                        .out(slot)
                        .is_some_and(|out| out.ssrc() == nack.media_ssrc);
                    if is_it {
                        router.retransmit(slot, nack.lost, egress, metrics, now);
                        break;
                    }
                }
            }
            Packet::PictureLoss { media_ssrc, .. } => {
                self.want_keyframe(*media_ssrc, None, router);
            }
            Packet::FullIntra(request) => {
                for entry in *request {
                    self.want_keyframe(entry.ssrc, Some(entry.command_sequence), router);
                }
            }
            Packet::TransportFeedback(feedback) => {
                if let Some(sender) = self.sender(transport) {
                    router.take_feedback(sender, feedback, now);
                    router.review_change(sender, now);
                    self.answer_burst(transport, router, now);
                }
            }
            Packet::Remb(remb) => {
                if let Some(sender) = self.sender(transport) {
                    router.take_remb(sender, remb.bitrate_bps);
                    router.review_change(sender, now);
                }
                for line in &self.lines {
                    let Some(out) = line.outbound.and_then(|slot| router.out_mut(slot)) else {
                        continue;
                    };
                    if remb.sources.clone().any(|ssrc| ssrc == out.ssrc()) {
                        out.set_remb(Bitrate::bps(remb.bitrate_bps));
                    }
                }
            }
            // A goodbye is followed by silence, which the flow watch reports.
            Packet::SourceDescription(_) | Packet::Bye(_) | Packet::Other { .. } | _ => {}
        }
    }

    fn take_report(&self, block: &ReportBlock, router: &mut Router, clock: Clock, now: Instant) {
        for line in &self.lines {
            if let Some(out) = line.outbound.and_then(|slot| router.out_mut(slot))
                && out.ssrc() == block.ssrc
            {
                out.take_report(block, clock.ntp(now));
            }
        }
    }

    /// The peer lost a picture: its source is asked for a keyframe.
    fn want_keyframe(&self, media_ssrc: u32, command: Option<u8>, router: &mut Router) {
        let of_video = self.lines.of(MediaKind::Video);
        let slot = of_video.filter_map(|line| line.outbound).find(|slot| {
            router
                .out(*slot)
                .is_some_and(|out| out.ssrc() == media_ssrc)
        });
        let Some(out) = slot.and_then(|slot| router.out_mut(slot)) else {
            return;
        };
        let fresh = match command {
            Some(command) => out.count_fir(command),
            None => {
                out.count_pli();
                true
            }
        };
        if let (true, Some(slot)) = (fresh, slot) {
            router.want_keyframe_for(slot);
        }
    }
}
