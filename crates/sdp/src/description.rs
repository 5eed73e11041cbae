//! A session description as values: what was said, not what it means for us.

use std::net::{IpAddr, Ipv4Addr};

use crate::attribute::{
    Address, Bandwidth, Direction, Extension, Fingerprint, IceCredentials, Msid, Rid, RtcpAddress,
    Setup, Simulcast, SsrcGroup, SsrcInfo,
};

/// A session description (RFC 8866), local or remote.
///
/// Made by [`Description::parse`] or by [`negotiate`](crate::negotiate); written by `Display`.
/// Attributes that neither media nor transport depend on are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// `o=`
    pub origin: Origin,
    /// `s=`; `-` when the author has none.
    pub session_name: String,
    /// Session-level `c=`, the default of m-lines without their own.
    pub connection: Option<Address>,
    /// Session-level `b=` lines.
    pub bandwidth: Vec<Bandwidth>,
    /// Session-level transport attributes; see [`Description::transport_of`].
    pub transport: TransportAttributes,
    /// `a=ice-lite`
    pub ice_lite: bool,
    /// `a=group:BUNDLE` lines (RFC 8843): the mids of each group in written order.
    pub bundle: Vec<Vec<String>>,
    /// Session-level `a=extmap-allow-mixed` (RFC 8285 §6).
    pub extmap_allow_mixed: bool,
    /// The m-lines in order; the position is the `sdpMLineIndex` of candidates.
    pub media: Vec<Media>,
}

impl Description {
    /// ICE, DTLS attributes that hold for an m-line: its own, else those of the session.
    ///
    /// An index without an m-line gives the session's.
    pub fn transport_of(&self, index: usize) -> TransportAttributes {
        let session = &self.transport;
        let Some(media) = self.media.get(index).map(|media| &media.transport) else {
            return session.clone();
        };
        let own_or = |own: &Vec<_>, default: &Vec<_>| -> Vec<Fingerprint> {
            if own.is_empty() { default } else { own }.clone()
        };
        TransportAttributes {
            ice: media.ice.clone().or_else(|| session.ice.clone()),
            ice_options: if media.ice_options.is_empty() {
                session.ice_options.clone()
            } else {
                media.ice_options.clone()
            },
            fingerprints: own_or(&media.fingerprints, &session.fingerprints),
            setup: media.setup.or(session.setup),
        }
    }

    /// Position of the m-line with this mid.
    pub fn index_of(&self, mid: &str) -> Option<usize> {
        self.media
            .iter()
            .position(|media| media.mid.as_deref() == Some(mid))
    }

    /// Appends an `a=candidate` to an m-line, given with or without the leading `a=`.
    ///
    /// Returns whether it was added: not for an m-line that is absent or rejected, not twice, and
    /// not when the text is no single `candidate:…` line.
    pub fn add_candidate(&mut self, index: usize, candidate: &str) -> bool {
        let candidate = candidate.strip_prefix("a=").unwrap_or(candidate).trim();
        if !candidate.starts_with("candidate:") || candidate.contains(char::is_control) {
            return false;
        }
        match self.active_media(index) {
            Some(media) if !media.candidates.iter().any(|c| c == candidate) => {
                media.candidates.push(candidate.to_owned());
                true
            }
            Some(_) | None => false,
        }
    }

    /// Marks that no more candidates follow for an m-line (RFC 8840 §8.2). Absent and rejected
    /// m-lines are left alone.
    pub fn end_of_candidates(&mut self, index: usize) {
        if let Some(media) = self.active_media(index) {
            media.end_of_candidates = true;
        }
    }

    /// Writes the default candidate of an m-line into its `c=`, port and `a=rtcp`
    /// (RFC 8839 §4.2.1.2). Absent and rejected m-lines are left alone, and port 0, which would
    /// reject the m-line, is ignored.
    pub fn set_default_address(&mut self, index: usize, ip: IpAddr, port: u16) {
        if port == 0 {
            return;
        }
        if let Some(media) = self.active_media(index) {
            media.connection = Some(ip.into());
            media.port = port;
            if let Some(rtcp) = &mut media.rtcp {
                rtcp.port = port;
                rtcp.address = Some(ip.into());
            }
        }
    }

    fn active_media(&mut self, index: usize) -> Option<&mut Media> {
        self.media.get_mut(index).filter(|media| media.port != 0)
    }
}

/// `o=<username> <session id> <version> <address>` (RFC 8866 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Login name; `-` for none.
    pub username: String,
    /// Identifier of the session.
    pub session_id: u64,
    /// Version of this description.
    pub version: u64,
    /// Address of the author's machine.
    pub address: Address,
}

impl Default for Origin {
    /// What stands in for an `o=` line that is missing or unreadable.
    fn default() -> Self {
        Self {
            username: "-".to_owned(),
            session_id: 0,
            version: 0,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED).into(),
        }
    }
}

/// The attributes that set up a transport: ICE (RFC 8839) and DTLS (RFC 8122, RFC 8842).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransportAttributes {
    /// `a=ice-ufrag` and `a=ice-pwd`; absent unless both are there.
    pub ice: Option<IceCredentials>,
    /// Words of `a=ice-options`.
    pub ice_options: Vec<String>,
    /// `a=fingerprint` lines with a known hash function.
    pub fingerprints: Vec<Fingerprint>,
    /// `a=setup`
    pub setup: Option<Setup>,
}

/// The media type of an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `application`; data channels.
    Application,
    /// Anything else (`text`, `image`, …); [`Media::kind_name`] has the word.
    Other,
}

/// One m-line with its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Media type.
    pub kind: MediaKind,
    /// Media type as written.
    pub kind_name: String,
    /// Port; 0 rejects the m-line or, with [`Media::bundle_only`], leaves it to its group.
    pub port: u16,
    /// Transport protocol as written, `UDP/TLS/RTP/SAVPF` for one.
    pub proto: String,
    /// Formats as written, without repetitions: payload types, `webrtc-datachannel`, a port.
    pub formats: Vec<String>,
    /// `c=` of this m-line.
    pub connection: Option<Address>,
    /// `b=` lines of this m-line.
    pub bandwidth: Vec<Bandwidth>,
    /// `a=mid` (RFC 5888).
    pub mid: Option<String>,
    /// Direction; the session's when the m-line has none, else `sendrecv`.
    pub direction: Direction,
    /// Formats that are payload types with a known mapping, in the order of [`Media::formats`].
    pub codecs: Vec<Codec>,
    /// `a=extmap`
    pub extensions: Vec<Extension>,
    /// `a=extmap-allow-mixed`
    pub extmap_allow_mixed: bool,
    /// `a=msid`
    pub msids: Vec<Msid>,
    /// `a=ssrc`, one entry per SSRC in order of appearance.
    pub ssrcs: Vec<SsrcInfo>,
    /// `a=ssrc-group`
    pub ssrc_groups: Vec<SsrcGroup>,
    /// `a=rid`
    pub rids: Vec<Rid>,
    /// `a=simulcast`
    pub simulcast: Option<Simulcast>,
    /// `a=rtcp-mux` (RFC 5761)
    pub rtcp_mux: bool,
    /// `a=rtcp-rsize` (RFC 5506)
    pub rtcp_rsize: bool,
    /// `a=rtcp`
    pub rtcp: Option<RtcpAddress>,
    /// `a=bundle-only` (RFC 8843 §6)
    pub bundle_only: bool,
    /// Transport attributes of this m-line alone; see [`Description::transport_of`].
    pub transport: TransportAttributes,
    /// `candidate:…` lines without the leading `a=`.
    pub candidates: Vec<String>,
    /// `a=end-of-candidates`
    pub end_of_candidates: bool,
    /// `a=crypto` values as written (RFC 4568).
    pub crypto: Vec<String>,
    /// `a=direction` of the COMEDIA drafts: who opens the media connection.
    pub comedia: Option<Setup>,
    /// Port of the SCTP association: `a=sctp-port` (RFC 8841), else `a=sctpmap`, else the format.
    pub sctp_port: Option<u16>,
    /// `a=sctpmap` as written; old form of data m-lines.
    pub sctpmap: Option<String>,
    /// `a=max-message-size` in bytes; 0 is "any".
    pub max_message_size: Option<u64>,
}

impl Media {
    /// An m-line without attributes.
    pub fn new(kind: MediaKind, proto: &str) -> Self {
        let kind_name = match kind {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Application => "application",
            MediaKind::Other => "text",
        };
        Self {
            kind,
            kind_name: kind_name.to_owned(),
            port: 0,
            proto: proto.to_owned(),
            formats: Vec::new(),
            connection: None,
            bandwidth: Vec::new(),
            mid: None,
            direction: Direction::SendRecv,
            codecs: Vec::new(),
            extensions: Vec::new(),
            extmap_allow_mixed: false,
            msids: Vec::new(),
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            rtcp_mux: false,
            rtcp_rsize: false,
            rtcp: None,
            bundle_only: false,
            transport: TransportAttributes::default(),
            candidates: Vec::new(),
            end_of_candidates: false,
            crypto: Vec::new(),
            comedia: None,
            sctp_port: None,
            sctpmap: None,
            max_message_size: None,
        }
    }

    /// The codec with this payload type.
    pub fn codec(&self, pt: u8) -> Option<&Codec> {
        self.codecs.iter().find(|codec| codec.pt == pt)
    }
}

/// A payload type with what `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// Payload type, 0 to 127.
    pub pt: u8,
    /// Encoding name as written, `VP8` for one; compared without regard to case.
    pub name: String,
    /// RTP clock rate in Hz.
    pub clock: u32,
    /// Audio channels; 1 when not written.
    pub channels: u8,
    /// Format parameters as written.
    pub fmtp: Option<String>,
    /// Feedback values, `nack pli` for one, those of the wildcard included.
    pub feedback: Vec<String>,
}
