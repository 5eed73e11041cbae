//! One m-line with its attributes.

use std::collections::BTreeMap;

use crate::attribute::{
    Address, Bandwidth, Direction, Extension, Msid, Rid, RtcpAddress, Setup, Simulcast, SsrcGroup,
    SsrcInfo,
};
use crate::codec::static_mapping;
use crate::description::{Codec, Media, MediaKind};
use crate::limits::Limits;
use crate::line::Line;

use super::transport::TransportBuilder;
use super::{Counted, ParseError, check_limit, distinct, set_once, split_attribute};

/// Collects an m-line; payload types are put together at its end because their attributes come in
/// any order.
pub(super) struct MediaBuilder {
    line: usize,
    media: Media,
    transport: TransportBuilder,
    rtpmaps: BTreeMap<u8, (String, u32, u8)>,
    fmtps: BTreeMap<u8, String>,
    /// Payload type, `None` for the wildcard, and value.
    feedback: Vec<(Option<u8>, String)>,
    sctp_port: Option<u16>,
}

impl MediaBuilder {
    pub(super) fn new(line: usize, media: Media) -> Self {
        Self {
            line,
            media,
            transport: TransportBuilder::default(),
            rtpmaps: BTreeMap::new(),
            fmtps: BTreeMap::new(),
            feedback: Vec::new(),
            sctp_port: None,
        }
    }

    pub(super) fn line(
        &mut self,
        number: usize,
        line: Line<'_>,
        limits: &Limits,
    ) -> Result<(), ParseError> {
        match line.key {
            b'c' => set_once(&mut self.media.connection, Address::parse(line.value)),
            b'b' => self.media.bandwidth.extend(Bandwidth::parse(line.value)),
            b'a' => {
                let (name, value) = split_attribute(line.value);
                self.counted_attribute(number, name, value, limits)?;
                self.attribute(name, value);
            }
            _ => {}
        }
        Ok(())
    }

    fn counted_attribute(
        &mut self,
        number: usize,
        name: &str,
        value: &str,
        limits: &Limits,
    ) -> Result<(), ParseError> {
        let media = &mut self.media;
        match name {
            "candidate" => {
                let (count, limit) = (media.candidates.len(), limits.max_candidates);
                check_limit(count, limit, Counted::Candidates, number)?;
                media.candidates.push(format!("candidate:{value}"));
            }
            "extmap" => {
                let (count, limit) = (media.extensions.len(), limits.max_extensions);
                check_limit(count, limit, Counted::Extensions, number)?;
                media.extensions.extend(Extension::parse(value));
            }
            "rid" => {
                check_limit(media.rids.len(), limits.max_rids, Counted::Rids, number)?;
                media.rids.extend(Rid::parse(value));
            }
            "ssrc" => {
                let (ssrc, attribute) =
                    value.split_once(char::is_whitespace).unwrap_or((value, ""));
                let Ok(ssrc) = ssrc.parse::<u32>() else {
                    return Ok(());
                };
                if !media.ssrcs.iter().any(|info| info.ssrc == ssrc) {
                    let (count, limit) = (media.ssrcs.len(), limits.max_ssrcs);
                    check_limit(count, limit, Counted::Ssrcs, number)?;
                    media.ssrcs.push(SsrcInfo {
                        ssrc,
                        ..SsrcInfo::default()
                    });
                }
                let Some(info) = media.ssrcs.iter_mut().find(|info| info.ssrc == ssrc) else {
                    return Ok(());
                };
                match split_attribute(attribute.trim()) {
                    ("cname", cname) => set_once(
                        &mut info.cname,
                        (!cname.is_empty()).then(|| cname.to_owned()),
                    ),
                    ("msid", msid) => set_once(&mut info.msid, Msid::parse(msid)),
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let media = &mut self.media;
        match name {
            "mid" => set_once(&mut media.mid, mid_token(value)),
            "rtpmap" => {
                if let Some((pt, mapping)) = parse_rtpmap(value) {
                    self.rtpmaps.entry(pt).or_insert(mapping);
                }
            }
            "fmtp" => {
                if let Some((pt, parameters)) = split_payload_type(value) {
                    self.fmtps
                        .entry(pt)
                        .and_modify(|all| {
                            all.push(';');
                            all.push_str(parameters);
                        })
                        .or_insert_with(|| parameters.to_owned());
                }
            }
            "rtcp-fb" => {
                if let Some(value) = value.strip_prefix('*') {
                    self.feedback.push((None, normalised(value)));
                } else if let Some((pt, value)) = split_payload_type(value) {
                    self.feedback.push((Some(pt), normalised(value)));
                }
            }
            "rtcp" => set_once(&mut media.rtcp, RtcpAddress::parse(value)),
            "rtcp-mux" => media.rtcp_mux = true,
            "rtcp-rsize" => media.rtcp_rsize = true,
            "bundle-only" => media.bundle_only = true,
            "extmap-allow-mixed" => media.extmap_allow_mixed = true,
            "msid" => media.msids.extend(Msid::parse(value)),
            "ssrc-group" => media.ssrc_groups.extend(SsrcGroup::parse(value)),
            "simulcast" => set_once(&mut media.simulcast, Simulcast::parse(value)),
            "end-of-candidates" => media.end_of_candidates = true,
            "crypto" if !value.is_empty() => media.crypto.push(value.to_owned()),
            "direction" => set_once(&mut media.comedia, Setup::parse(value)),
            "sctp-port" => set_once(&mut self.sctp_port, value.parse().ok()),
            "sctpmap" if !value.is_empty() => {
                set_once(&mut media.sctpmap, Some(value.to_owned()));
            }
            "max-message-size" => set_once(&mut media.max_message_size, value.parse().ok()),
            _ => {
                if let Some(direction) = Direction::parse(name) {
                    media.direction = direction;
                } else {
                    self.transport.attribute(name, value);
                }
            }
        }
    }

    pub(super) fn finish(
        mut self,
        session: &[Extension],
        limits: &Limits,
    ) -> Result<Media, ParseError> {
        let mut media = self.media;
        if matches!(media.kind, MediaKind::Audio | MediaKind::Video) {
            for pt in media.formats.iter().filter_map(|f| parse_payload_type(f)) {
                let (name, clock, channels) = match (self.rtpmaps.remove(&pt), static_mapping(pt)) {
                    (Some(mapping), _) => mapping,
                    (None, Some((name, clock))) => (name.to_owned(), clock, 1),
                    (None, None) => continue,
                };
                let mut feedback: Vec<String> = Vec::new();
                for (_, value) in self
                    .feedback
                    .iter()
                    .filter(|(to, value)| to.is_none_or(|to| to == pt) && !value.is_empty())
                {
                    if !feedback.contains(value) {
                        let (count, limit) = (feedback.len(), limits.max_feedback);
                        check_limit(count, limit, Counted::Feedback, self.line)?;
                        feedback.push(value.clone());
                    }
                }
                media.codecs.push(Codec {
                    pt,
                    name,
                    clock,
                    channels,
                    fmtp: self.fmtps.remove(&pt),
                    feedback,
                });
            }
            for extension in session {
                if !media.extensions.iter().any(|e| e.uri == extension.uri) {
                    media.extensions.push(extension.clone());
                }
            }
        }
        media.sctp_port = self.sctp_port.or_else(|| implied_sctp_port(&media));
        media.transport = self.transport.finish();
        Ok(media)
    }
}

/// The SCTP port of the forms that precede `a=sctp-port`: `a=sctpmap:<port> …`, or `<port>` as the
/// format of `DTLS/SCTP`.
pub(crate) fn implied_sctp_port(media: &Media) -> Option<u16> {
    if media.kind != MediaKind::Application {
        return None;
    }
    let map = media
        .sctpmap
        .as_deref()
        .and_then(|map| map.split_whitespace().next());
    let format = media.formats.first().map(String::as_str);
    map.into_iter()
        .chain(format)
        .find_map(|port| port.parse().ok())
}

/// Keeps one format more than the limit, so that it is seen to be exceeded.
pub(super) fn parse_media_line(value: &str, max_formats: usize) -> Option<Media> {
    let mut words = value.split_whitespace();
    let kind_name = words.next()?;
    let kind = match kind_name.to_ascii_lowercase().as_str() {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        "application" => MediaKind::Application,
        _ => MediaKind::Other,
    };
    // `<port>/<number of ports>` is for hierarchically encoded streams; the first port counts.
    let port = words.next()?.split('/').next()?.parse().ok()?;
    let mut media = Media::new(kind, words.next()?);
    kind_name.clone_into(&mut media.kind_name);
    media.port = port;
    media.formats = distinct(words, max_formats.saturating_add(1));
    (!media.formats.is_empty()).then_some(media)
}

fn parse_payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|pt| *pt <= 127)
}

/// Splits `<payload type> <rest>`.
fn split_payload_type(value: &str) -> Option<(u8, &str)> {
    let (pt, rest) = value.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    (!rest.is_empty()).then_some((parse_payload_type(pt)?, rest))
}

fn parse_rtpmap(value: &str) -> Option<(u8, (String, u32, u8))> {
    let (pt, encoding) = split_payload_type(value)?;
    let mut parts = encoding.split_whitespace().next()?.split('/');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let clock = parts.next()?.parse().ok()?;
    let channels = match parts.next() {
        Some(channels) => channels.parse().ok().filter(|n| *n > 0)?,
        None => 1,
    };
    Some((pt, (name.to_owned(), clock, channels)))
}

/// Feedback values are compared as text, so that inner white space must not differ.
fn normalised(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn mid_token(value: &str) -> Option<String> {
    value.split_whitespace().next().map(str::to_owned)
}
