//! Attributes that describe RTP streams.

use std::fmt;

/// Which way media flows, from the point of view of the description's author (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both ways; what an m-line without an attribute means.
    #[default]
    SendRecv,
    /// The author only sends.
    SendOnly,
    /// The author only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Reads the attribute name (`sendrecv`, …); `None` for any other name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    /// The direction with these two halves.
    pub fn new(send: bool, receive: bool) -> Self {
        match (send, receive) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the author sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the author receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow seen from the other side.
    pub fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both `self` and `other` allow, both seen from the same side.
    pub fn intersection(self, other: Self) -> Self {
        Self::new(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        })
    }
}

/// `b=<type>:<value>` (RFC 8866 §5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS` (value in kbit/s), `TIAS` (bit/s, RFC 3890), `RR`, `RS`, …
    pub kind: String,
    /// The value in the unit of its type.
    pub value: u64,
}

impl Bandwidth {
    /// Reads the value of a `b=` line.
    pub fn parse(value: &str) -> Option<Self> {
        let (kind, number) = value.split_once(':')?;
        let kind = single_token(kind)?;
        Some(Self {
            kind: kind.to_owned(),
            value: number.trim().parse().ok()?,
        })
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

/// `a=extmap:<id>[/<direction>] <uri>` (RFC 8285 §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Local identifier, 1 to 255.
    pub id: u8,
    /// What the extension is.
    pub uri: String,
    /// Restriction of the direction; `None` follows the m-line.
    pub direction: Option<Direction>,
}

impl Extension {
    /// Reads the value of an `a=extmap` line. Identifiers outside 1 to 255, which only mark offers
    /// with more extensions than there are identifiers, give `None`.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let id = words.next()?;
        let (id, direction) = match id.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::parse(direction)?)),
            None => (id, None),
        };
        let id = id.parse().ok().filter(|id| *id != 0)?;
        Some(Self {
            id,
            uri: words.next()?.to_owned(),
            direction,
        })
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(direction) = self.direction {
            write!(f, "/{direction}")?;
        }
        write!(f, " {}", self.uri)
    }
}

/// `<stream id> [<track id>]` (RFC 8830).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// Identifier of the `MediaStream`; `-` for none.
    pub stream: String,
    /// Identifier of the track.
    pub track: Option<String>,
}

impl Msid {
    /// Reads the value of an `a=msid` line.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        Some(Self {
            stream: words.next()?.to_owned(),
            track: words.next().map(str::to_owned),
        })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stream)?;
        match &self.track {
            Some(track) => write!(f, " {track}"),
            None => Ok(()),
        }
    }
}

/// What the `a=ssrc` lines (RFC 5576) of an m-line say of one SSRC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SsrcInfo {
    /// The SSRC.
    pub ssrc: u32,
    /// Its RTCP canonical name.
    pub cname: Option<String>,
    /// The stream and track that it belongs to.
    pub msid: Option<Msid>,
}

/// `a=ssrc-group:<semantics> <ssrc> …` (RFC 5576 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID` (source and its retransmission), `SIM` (simulcast layers), `FEC-FR`, …
    pub semantics: String,
    /// The members in written order.
    pub ssrcs: Vec<u32>,
}

impl SsrcGroup {
    /// Reads the value of an `a=ssrc-group` line; `None` when one member is not a number.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let semantics = words.next()?.to_owned();
        let ssrcs = words
            .map(|w| w.parse().ok())
            .collect::<Option<Vec<u32>>>()?;
        (!ssrcs.is_empty()).then_some(Self { semantics, ssrcs })
    }
}

impl fmt::Display for SsrcGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.semantics)?;
        self.ssrcs.iter().try_for_each(|s| write!(f, " {s}"))
    }
}

/// Whether a restriction identifier is sent or received by the author (RFC 8851).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RidDirection {
    /// The author sends the stream.
    Send,
    /// The author receives it.
    Recv,
}

/// `a=rid:<id> send|recv [<restrictions>]` (RFC 8851).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid {
    /// Identifier of the stream.
    pub id: String,
    /// Who sends it.
    pub direction: RidDirection,
    /// `pt=…;max-width=…` as written.
    pub restrictions: Option<String>,
}

impl Rid {
    /// Reads the value of an `a=rid` line.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let id = words.next()?.to_owned();
        let direction = match words.next()? {
            "send" => RidDirection::Send,
            "recv" => RidDirection::Recv,
            _ => return None,
        };
        let restrictions = words.collect::<Vec<_>>().join(" ");
        Some(Self {
            id,
            direction,
            restrictions: (!restrictions.is_empty()).then_some(restrictions),
        })
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            RidDirection::Send => "send",
            RidDirection::Recv => "recv",
        };
        write!(f, "{} {direction}", self.id)?;
        match &self.restrictions {
            Some(restrictions) => write!(f, " {restrictions}"),
            None => Ok(()),
        }
    }
}

/// Most streams of a simulcast list and alternatives of a stream that are read; the rest is ignored.
/// Encoders have three layers.
const MAX_SIMULCAST_ENTRIES: usize = 16;

/// One entry of a simulcast list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulcastRid {
    /// The [`Rid::id`].
    pub id: String,
    /// Written with `~`: initially not sent.
    pub paused: bool,
}

/// `a=simulcast:send <list> recv <list>` (RFC 8853).
///
/// The outer list has one entry per simulcast stream, the inner one its alternatives by preference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// Streams that the author sends.
    pub send: Vec<Vec<SimulcastRid>>,
    /// Streams that the author receives.
    pub recv: Vec<Vec<SimulcastRid>>,
}

impl Simulcast {
    /// Reads the value of an `a=simulcast` line.
    pub fn parse(value: &str) -> Option<Self> {
        let mut simulcast = Self::default();
        let mut words = value.split_whitespace();
        while let Some(direction) = words.next() {
            let streams = words.next()?.split(';').map(parse_alternatives);
            let streams = streams.filter(|alternatives| !alternatives.is_empty());
            let list = streams.take(MAX_SIMULCAST_ENTRIES).collect();
            match direction {
                "send" => simulcast.send = list,
                "recv" => simulcast.recv = list,
                _ => return None,
            }
        }
        (!simulcast.send.is_empty() || !simulcast.recv.is_empty()).then_some(simulcast)
    }
}

fn parse_alternatives(text: &str) -> Vec<SimulcastRid> {
    text.split(',')
        .map(|rid| match rid.strip_prefix('~') {
            Some(id) => (id, true),
            None => (rid, false),
        })
        .filter(|(id, _)| !id.is_empty())
        .map(|(id, paused)| SimulcastRid {
            id: id.to_owned(),
            paused,
        })
        .take(MAX_SIMULCAST_ENTRIES)
        .collect()
}

impl fmt::Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, list) in [("send", &self.send), ("recv", &self.recv)] {
            if list.is_empty() {
                continue;
            }
            write!(f, "{separator}{name} ")?;
            separator = " ";
            for (i, alternatives) in list.iter().enumerate() {
                f.write_str(if i == 0 { "" } else { ";" })?;
                for (j, rid) in alternatives.iter().enumerate() {
                    f.write_str(if j == 0 { "" } else { "," })?;
                    write!(f, "{}{}", if rid.paused { "~" } else { "" }, rid.id)?;
                }
            }
        }
        Ok(())
    }
}

fn single_token(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && !text.contains(char::is_whitespace)).then_some(text)
}
