//! Reads a description, leniently and within limits.

use std::collections::BTreeMap;
use std::fmt;

use crate::attribute::{
    Address, Bandwidth, Direction, Extension, Fingerprint, IceCredentials, Msid, Rid, RtcpAddress,
    Setup, Simulcast, SsrcGroup, SsrcInfo,
};
use crate::codec::static_mapping;
use crate::description::{Codec, Description, Media, MediaKind, Origin, TransportAttributes};
use crate::limits::Limits;
use crate::line::{self, Line};

/// Why a text is no description. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing but white space.
    #[error("the description is empty")]
    Empty,
    /// More bytes than [`Limits::max_bytes`].
    #[error("{bytes} bytes exceed the limit of {limit}")]
    TooLarge {
        /// Bytes of the text.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// One of the other [`Limits`] is exceeded.
    #[error("line {line}: more than {limit} {what}")]
    TooMany {
        /// The first line too many.
        line: usize,
        /// What there is too much of.
        what: Counted,
        /// The limit.
        limit: usize,
    },
    /// The first line is not `v=0`.
    #[error("line {line}: a description begins with v=0")]
    Version {
        /// The line.
        line: usize,
    },
    /// A line contains a control character.
    #[error("line {line}: control character")]
    ControlCharacter {
        /// The line.
        line: usize,
    },
    /// An `m=` line is not `m=<media> <port> <proto> <format> …` (RFC 8866 §5.14).
    #[error("line {line}: malformed m= line")]
    Media {
        /// The line.
        line: usize,
    },
}

/// What [`Limits`] count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Lines of the description.
    Lines,
    /// m-lines.
    Media,
    /// Candidates of an m-line.
    Candidates,
    /// Formats of an m-line.
    Formats,
    /// SSRCs of an m-line.
    Ssrcs,
    /// Header extensions of an m-line.
    Extensions,
    /// Restriction identifiers of an m-line.
    Rids,
    /// Feedback values of a format.
    Feedback,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lines => "lines",
            Self::Media => "m-lines",
            Self::Candidates => "candidates",
            Self::Formats => "formats",
            Self::Ssrcs => "SSRCs",
            Self::Extensions => "header extensions",
            Self::Rids => "restriction identifiers",
            Self::Feedback => "feedback values",
        })
    }
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// When the text does not begin with `v=0`, has an unreadable `m=` line or a control
    /// character, or exceeds a limit. Any other malformed or unknown line is skipped.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        if text.len() > limits.max_bytes {
            return Err(ParseError::TooLarge {
                bytes: text.len(),
                limit: limits.max_bytes,
            });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(ParseError::Empty);
        }
        let mut parser = Parser::new(limits);
        for (index, text) in line::split(text).enumerate() {
            parser.line(index + 1, text)?;
        }
        parser.finish()
    }
}

struct Parser<'a> {
    limits: &'a Limits,
    seen_version: bool,
    description: Description,
    transport: TransportBuilder,
    direction: Direction,
    extensions: Vec<Extension>,
    media: Option<MediaBuilder>,
}

impl<'a> Parser<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            seen_version: false,
            description: Description {
                session_name: "-".to_owned(),
                ..Description::default()
            },
            transport: TransportBuilder::default(),
            direction: Direction::default(),
            extensions: Vec::new(),
            media: None,
        }
    }

    fn line(&mut self, number: usize, text: &str) -> Result<(), ParseError> {
        if number > self.limits.max_lines {
            return Err(ParseError::TooMany {
                line: number,
                what: Counted::Lines,
                limit: self.limits.max_lines,
            });
        }
        if text.contains(|c: char| c.is_control() && c != '\t') {
            return Err(ParseError::ControlCharacter { line: number });
        }
        let line = Line::parse(text);
        if !self.seen_version {
            return match line {
                Some(Line {
                    key: b'v',
                    value: "0",
                }) => {
                    self.seen_version = true;
                    Ok(())
                }
                None if text.trim().is_empty() => Ok(()),
                Some(_) | None => Err(ParseError::Version { line: number }),
            };
        }
        let Some(line) = line else {
            return Ok(());
        };
        if line.key == b'm' {
            return self.begin_media(number, line.value);
        }
        match &mut self.media {
            Some(media) => media.line(number, line, self.limits),
            None => self.session_line(number, line),
        }
    }

    fn begin_media(&mut self, number: usize, value: &str) -> Result<(), ParseError> {
        self.end_media()?;
        check_limit(
            self.description.media.len(),
            self.limits.max_media,
            Counted::Media,
            number,
        )?;
        let mut media = parse_media_line(value, self.limits.max_formats)
            .ok_or(ParseError::Media { line: number })?;
        if media.formats.len() > self.limits.max_formats {
            return Err(ParseError::TooMany {
                line: number,
                what: Counted::Formats,
                limit: self.limits.max_formats,
            });
        }
        media.direction = self.direction;
        self.media = Some(MediaBuilder::new(number, media));
        Ok(())
    }

    fn end_media(&mut self) -> Result<(), ParseError> {
        if let Some(builder) = self.media.take() {
            let media = builder.finish(&self.extensions, self.limits)?;
            self.description.media.push(media);
        }
        Ok(())
    }

    fn session_line(&mut self, number: usize, line: Line<'_>) -> Result<(), ParseError> {
        let description = &mut self.description;
        match line.key {
            b'o' => {
                if let Some(origin) = parse_origin(line.value) {
                    description.origin = origin;
                }
            }
            b's' if !line.value.is_empty() => line.value.clone_into(&mut description.session_name),
            b'c' => set_once(&mut description.connection, Address::parse(line.value)),
            b'b' => description.bandwidth.extend(Bandwidth::parse(line.value)),
            b'a' => {
                let (name, value) = split_attribute(line.value);
                match name {
                    "ice-lite" => description.ice_lite = true,
                    "extmap-allow-mixed" => description.extmap_allow_mixed = true,
                    "group" => {
                        let group = parse_bundle(value, self.limits.max_media);
                        description.bundle.extend(group);
                    }
                    "extmap" => {
                        let (count, limit) = (self.extensions.len(), self.limits.max_extensions);
                        check_limit(count, limit, Counted::Extensions, number)?;
                        self.extensions.extend(Extension::parse(value));
                    }
                    _ => {
                        if let Some(direction) = Direction::parse(name) {
                            self.direction = direction;
                        } else {
                            self.transport.attribute(name, value);
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Description, ParseError> {
        self.end_media()?;
        if !self.seen_version {
            return Err(ParseError::Version { line: 1 });
        }
        self.description.transport = self.transport.finish();
        Ok(self.description)
    }
}

/// Collects ICE and DTLS attributes, of the session or of an m-line.
#[derive(Default)]
struct TransportBuilder {
    ufrag: Option<String>,
    pwd: Option<String>,
    attributes: TransportAttributes,
}

impl TransportBuilder {
    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "ice-ufrag" => set_once(&mut self.ufrag, ice_token(value)),
            "ice-pwd" => set_once(&mut self.pwd, ice_token(value)),
            "ice-options" => {
                let words = value.split_whitespace().map(str::to_owned);
                self.attributes.ice_options.extend(words);
            }
            "fingerprint" => {
                let fingerprint = Fingerprint::parse(value);
                self.attributes.fingerprints.extend(fingerprint);
            }
            "setup" => set_once(&mut self.attributes.setup, Setup::parse(value)),
            _ => {}
        }
    }

    fn finish(self) -> TransportAttributes {
        TransportAttributes {
            ice: self
                .ufrag
                .zip(self.pwd)
                .map(|(ufrag, pwd)| IceCredentials { ufrag, pwd }),
            ..self.attributes
        }
    }
}

/// Collects an m-line; payload types are put together at its end because their attributes come in
/// any order.
struct MediaBuilder {
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
    fn new(line: usize, media: Media) -> Self {
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

    fn line(&mut self, number: usize, line: Line<'_>, limits: &Limits) -> Result<(), ParseError> {
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

    fn finish(mut self, session: &[Extension], limits: &Limits) -> Result<Media, ParseError> {
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

fn check_limit(count: usize, limit: usize, what: Counted, line: usize) -> Result<(), ParseError> {
    if count < limit {
        Ok(())
    } else {
        Err(ParseError::TooMany { line, what, limit })
    }
}

/// Keeps the first readable value of an attribute that may be there once.
fn set_once<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn split_attribute(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((name, value)) => (name.trim(), value.trim()),
        None => (text, ""),
    }
}

/// Keeps one format more than the limit, so that it is seen to be exceeded.
fn parse_media_line(value: &str, max_formats: usize) -> Option<Media> {
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

fn parse_origin(value: &str) -> Option<Origin> {
    let mut words = value.splitn(4, char::is_whitespace);
    let username = words.next()?.to_owned();
    // Identifiers are digit strings of any length; those beyond 64 bits are of no use to us.
    let mut number = || words.next().map(|word| word.parse().unwrap_or(0));
    let (session_id, version) = (number()?, number()?);
    Some(Origin {
        username,
        session_id,
        version,
        address: Address::parse(words.next()?)?,
    })
}

/// The different mids of a BUNDLE group, as many as there may be m-lines.
fn parse_bundle(value: &str, max_mids: usize) -> Option<Vec<String>> {
    let mut words = value.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("BUNDLE") {
        return None;
    }
    let mids = distinct(words, max_mids);
    (!mids.is_empty()).then_some(mids)
}

/// The first `max` different words.
fn distinct<'a>(words: impl Iterator<Item = &'a str>, max: usize) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for word in words {
        if kept.len() == max {
            break;
        }
        if !kept.iter().any(|known| known == word) {
            kept.push(word.to_owned());
        }
    }
    kept
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

/// Longest ICE user name fragment or password (RFC 8839 §5.4).
const MAX_ICE_TOKEN: usize = 256;

fn ice_token(value: &str) -> Option<String> {
    let fits = !value.is_empty() && value.len() <= MAX_ICE_TOKEN;
    (fits && !value.contains(char::is_whitespace)).then(|| value.to_owned())
}
