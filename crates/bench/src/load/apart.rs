//! A receiver that is cheap enough for a thousand of it: it counts packets by their headers, which are not encrypted,
//! and leaves the payloads alone.
//!
//! To the server it is like any other: it reports what it received each second (RFC 3550 §6.4), gives feedback for
//! congestion control each 100 ms if that was agreed, asks for what is missing (RFC 4585 §6.2.1) and for a keyframe
//! when it begins to watch.

use super::counter::Counter;
use super::window::{AUDIO, VIDEO, number_by_length};
use crate::peer::{Peer, PeerError, failed};
use salono_media_core::{Egress, SocketId};
use salono_rtp::ext::{Extension, transport_sequence};
use salono_rtp::header::{Header, Kind};
use salono_rtp::recv::{NackConfig, NackGenerator, Statistics, TwccReceiver};
use salono_rtp::rtcp::{BufferFull, Compound, Packet, Writer};
use salono_rtp::rtx;
use salono_rtp::seq::{ExtSeq, Unwrapper};
use salono_rtp::srtp::{DirectionalKeys, MAX_RTCP_OVERHEAD, Opener, Sealer};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::format::Codec;

/// Time between two receiver reports.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Room for one compound packet.
pub(super) const FEEDBACK_BYTES: usize = 1_400;

/// Who we are in RTCP. Each connection is a session of its own.
pub(super) const OWN_SSRC: u32 = 0x0be7_c401;

/// Packets that are asked for at once.
const NACKS: usize = 64;

/// Packets that were asked for and are remembered.
const ASKED: usize = 512;

/// What was agreed on with the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreement {
    /// Payload type of Opus.
    audio: u8,
    /// Payload types of VP8 and of its retransmissions.
    video: Option<(u8, Option<u8>)>,
    /// Extension that carries transport-wide sequence numbers.
    transport_sequence: Option<u8>,
}

impl Agreement {
    /// Out of a peer that has negotiated and what the server said in its session description.
    pub(super) fn of(peer: &Peer, with_video: bool, remote: &str) -> Result<Self, PeerError> {
        let video = with_video.then(|| peer.codec(Codec::Vp8)).transpose()?;
        Ok(Self {
            audio: *peer.codec(Codec::Opus)?.pt(),
            video: video.map(|params| (*params.pt(), params.resend().map(|pt| *pt))),
            transport_sequence: extension_id(remote, Extension::TransportSequence),
        })
    }
}

/// Identifier of a header extension in a session description.
fn extension_id(sdp: &str, wanted: Extension) -> Option<u8> {
    sdp.lines().find_map(|line| {
        let mut words = line.trim().strip_prefix("a=extmap:")?.split(' ');
        let id = words.next()?.split('/').next()?.parse().ok()?;
        (Extension::from_uri(words.next()?) == Some(wanted)).then_some(id)
    })
}

/// The receiver.
pub(super) struct Apart {
    agreement: Agreement,
    /// Once DTLS is done.
    crypto: Option<Crypto>,
    /// Audio and video, from their first packet on.
    streams: [Option<Stream>; 2],
    twcc: TwccReceiver,
    /// When the next report is due.
    report_at: Option<Instant>,
    /// Where the server is.
    remote: Option<SocketAddr>,
}

struct Crypto {
    sealer: Sealer,
    opener: Opener,
    tag_len: usize,
}

/// One stream of the server.
struct Stream {
    ssrc: u32,
    sequence: Unwrapper,
    statistics: Statistics,
    nack: NackGenerator,
    /// What was asked for lately.
    asked: VecDeque<u16>,
    wants_keyframe: bool,
}

impl Stream {
    fn new(header: &Header, kind: usize) -> Self {
        let clock_rate = if kind == VIDEO { 90_000 } else { 48_000 };
        Self {
            ssrc: header.ssrc,
            sequence: Unwrapper::new(),
            statistics: Statistics::new(header.ssrc, clock_rate),
            nack: NackGenerator::new(NackConfig::default()),
            asked: VecDeque::new(),
            wants_keyframe: kind == VIDEO,
        }
    }
}

impl Apart {
    /// Nothing received yet.
    pub(super) fn new(agreement: Agreement) -> Self {
        Self {
            agreement,
            crypto: None,
            streams: [None, None],
            twcc: TwccReceiver::new(),
            report_at: None,
            remote: None,
        }
    }

    /// Takes the keys that DTLS agreed on.
    pub(super) fn set_keys(&mut self, keys: &DirectionalKeys) -> Result<(), PeerError> {
        if self.crypto.is_none() {
            self.crypto = Some(Crypto {
                sealer: Sealer::new(&keys.local).map_err(failed)?,
                opener: Opener::new(&keys.remote).map_err(failed)?,
                tag_len: keys.remote.profile().rtp_tag_len(),
            });
        }
        Ok(())
    }

    /// Takes in RTP or RTCP that arrived at `now`. Returns whether it was RTP.
    pub(super) fn receive(
        &mut self,
        remote: SocketAddr,
        datagram: &mut [u8],
        counters: &mut [Counter; 2],
        now: Instant,
    ) -> bool {
        self.remote = Some(remote);
        if Kind::of(datagram) == Kind::Rtcp {
            self.read_reports(datagram, now);
            return false;
        }
        let Ok(header) = Header::parse(datagram) else {
            return false;
        };
        if let Some(id) = self.agreement.transport_sequence
            && let Some(sequence) = header
                .extensions(datagram)
                .find(id)
                .and_then(transport_sequence)
        {
            self.twcc.record(sequence, now);
        }
        let payload_type = header.payload_type;
        let (video, repair) = match self.agreement.video {
            Some((video, repair)) => (Some(video), repair),
            None => (None, None),
        };
        if payload_type == self.agreement.audio {
            self.count(AUDIO, &header, datagram.len(), counters, now);
        } else if Some(payload_type) == video {
            self.count(VIDEO, &header, datagram.len(), counters, now);
        } else if Some(payload_type) == repair {
            self.repair(&header, datagram, counters, now);
        }
        true
    }

    /// A packet of a stream.
    fn count(
        &mut self,
        kind: usize,
        header: &Header,
        len: usize,
        counters: &mut [Counter; 2],
        now: Instant,
    ) {
        let tag_len = self.crypto.as_ref().map_or(0, |crypto| crypto.tag_len);
        let payload_len = len.saturating_sub(header.len() + tag_len);
        let stream = self.streams[kind].get_or_insert_with(|| Stream::new(header, kind));
        let sequence = stream.sequence.unwrap(header.sequence_number);
        stream
            .statistics
            .packet(sequence, header.timestamp, payload_len, now);
        stream.nack.packet(sequence, now);
        let counter = &mut counters[kind];
        if !counter.has_begun()
            && let Some(number) = number_by_length(kind, payload_len)
        {
            counter.begin_at(sequence.get().saturating_sub(number));
        }
        counter.count(sequence.get(), false);
    }

    /// A retransmission, whose payload begins with the number that it is for (RFC 4588 §4).
    fn repair(
        &mut self,
        header: &Header,
        datagram: &mut [u8],
        counters: &mut [Counter; 2],
        now: Instant,
    ) {
        let (Some(crypto), Some(stream)) = (&mut self.crypto, &mut self.streams[VIDEO]) else {
            return;
        };
        let Ok(opened) = crypto.opener.open_rtp(datagram, header) else {
            return;
        };
        let plain = datagram.get(..opened.plain_len).unwrap_or_default();
        let payload = header.payload(plain).unwrap_or_default();
        let newest = stream.sequence.newest();
        let missing = rtx::decapsulate(payload)
            .and_then(|(original, _)| newest?.nearest(original))
            .filter(|sequence: &ExtSeq| newest.is_some_and(|newest| *sequence <= newest));
        if let Some(sequence) = missing {
            stream.nack.packet(sequence, now);
            let was_asked = stream.asked.contains(&sequence.wire());
            counters[VIDEO].count_again(sequence.get(), was_asked);
        }
    }

    /// Takes note of when the server reported what, so that it can tell the round trip time.
    fn read_reports(&mut self, datagram: &mut [u8], now: Instant) {
        let Some(crypto) = &mut self.crypto else {
            return;
        };
        let Ok(len) = crypto.opener.open_rtcp(datagram) else {
            return;
        };
        for packet in Compound::new(datagram.get(..len).unwrap_or_default()) {
            if let Packet::SenderReport(report) = packet {
                let mut streams = self.streams.iter_mut().flatten();
                if let Some(stream) = streams.find(|stream| stream.ssrc == report.ssrc) {
                    stream.statistics.sender_report(report.ntp, now);
                }
            }
        }
    }

    /// Says to the server what is due.
    pub(super) fn feedback(&mut self, egress: &mut Egress, now: Instant) {
        let (Some(remote), true) = (self.remote, self.crypto.is_some()) else {
            return;
        };
        let mut buf = [0; FEEDBACK_BYTES];
        let room = FEEDBACK_BYTES - MAX_RTCP_OVERHEAD;
        let mut writer = Writer::new(&mut buf[..room]);
        // What finds no room is due again the next time.
        let _ = self.write_feedback(&mut writer, now);
        let len = writer.len();
        if len > 0
            && let Some(crypto) = &mut self.crypto
            && let Ok(sealed) = crypto.sealer.seal_rtcp(&mut buf, len)
        {
            egress.push(SocketId(0), remote, 0, &buf[..sealed]);
        }
    }

    fn write_feedback(&mut self, writer: &mut Writer<'_>, now: Instant) -> Result<(), BufferFull> {
        if self.report_at.is_none_or(|at| at <= now) && self.streams.iter().any(Option::is_some) {
            self.report_at = now.checked_add(REPORT_EVERY);
            let mut blocks = [None, None];
            for (stream, block) in self.streams.iter_mut().flatten().zip(&mut blocks) {
                *block = stream.statistics.report(now);
            }
            let blocks: Vec<_> = blocks.into_iter().flatten().collect();
            writer.receiver_report(OWN_SSRC, &blocks)?;
            writer.canonical_name(OWN_SSRC, "bench")?;
        }
        if let Some(video) = &mut self.streams[VIDEO] {
            if video.wants_keyframe || video.nack.take_keyframe_request() {
                writer.picture_loss(OWN_SSRC, video.ssrc)?;
                video.wants_keyframe = false;
            }
            let mut lost = [0; NACKS];
            let count = video.nack.collect(None, &mut lost, now);
            if count > 0 {
                writer.nack(OWN_SSRC, video.ssrc, &lost[..count])?;
                video.asked.extend(&lost[..count]);
                let old = video.asked.len().saturating_sub(ASKED);
                video.asked.drain(..old);
            }
        }
        if self.twcc.poll_timeout().is_some_and(|at| at <= now) {
            let media = self.streams.iter().flatten().next_back();
            let media = media.map_or(0, |stream| stream.ssrc);
            while self.twcc.write(writer, OWN_SSRC, media)? {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window::first_lengths;
    use salono_rtp::header::FIXED_LEN;
    use std::net::Ipv4Addr;

    const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9);

    fn apart() -> Apart {
        Apart::new(Agreement {
            audio: 111,
            video: Some((96, Some(97))),
            transport_sequence: None,
        })
    }

    /// An RTP packet of video that is not encrypted.
    fn packet(sequence: u16, payload_len: usize) -> Vec<u8> {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet.resize(FIXED_LEN + payload_len, 0);
        packet
    }

    #[test]
    fn counting_begins_with_the_first_measured_packet_even_if_that_was_lost() {
        let (mut apart, mut counters) = (apart(), [Counter::default(), Counter::default()]);
        let first: Vec<_> = first_lengths(VIDEO).collect();
        let now = Instant::now();
        // Numbers 0xffff and 0 are before; the one with the first length, 1, is lost.
        let lengths = [1_000, 1_000, 0, first[1], first[2], 1_000];
        for (index, len) in lengths.into_iter().enumerate().filter(|(_, len)| *len > 0) {
            let mut packet = packet(0xffff_u16.wrapping_add(index as u16), len);
            assert!(apart.receive(SERVER.into(), &mut packet, &mut counters, now));
        }
        assert_eq!(counters[VIDEO].delivered(4), 3);
        assert_eq!(counters[VIDEO].delivered(1), 0);
        assert!(!counters[AUDIO].has_begun());
    }

    #[test]
    fn extensions_are_found_by_their_name() {
        let uri = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
        let sdp = format!("v=0\r\na=extmap:1 urn:other\r\na=extmap:5/recvonly {uri}\r\n");
        assert_eq!(extension_id(&sdp, Extension::TransportSequence), Some(5));
        assert_eq!(extension_id("v=0\r\n", Extension::TransportSequence), None);
    }
}
