//! Reads a description, leniently and within limits.

mod media;
mod transport;

use std::fmt;

use crate::attribute::{Address, Bandwidth, Direction, Extension};
use crate::description::{Description, Origin};
use crate::limits::Limits;
use crate::line::{self, Line};

pub(crate) use media::implied_sctp_port;

use media::{MediaBuilder, parse_media_line};
use transport::TransportBuilder;

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
