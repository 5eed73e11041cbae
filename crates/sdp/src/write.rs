//! Writes a description with CRLF line ends, in the order of RFC 8866 §5.

use std::fmt;

use crate::description::{Codec, Description, Media, MediaKind, TransportAttributes};
use crate::parse::implied_sctp_port;

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(f, "v=0\r\no={} ", origin.username)?;
        write!(f, "{} {} ", origin.session_id, origin.version)?;
        write!(f, "{}\r\ns={}\r\n", origin.address, self.session_name)?;
        write_line(f, "c", self.connection.as_ref())?;
        write_all(f, "b=", &self.bandwidth)?;
        f.write_str("t=0 0\r\n")?;
        for mids in &self.bundle {
            write!(f, "a=group:BUNDLE {}\r\n", mids.join(" "))?;
        }
        write_flag(f, "ice-lite", self.ice_lite)?;
        write_flag(f, "extmap-allow-mixed", self.extmap_allow_mixed)?;
        write_transport(f, &self.transport)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.kind_name, self.port, self.proto)?;
        write!(f, " {}\r\n", self.formats.join(" "))?;
        write_line(f, "c", self.connection.as_ref())?;
        write_all(f, "b=", &self.bandwidth)?;
        write_attribute(f, "mid", self.mid.as_ref())?;
        write_transport(f, &self.transport)?;
        write_attribute(f, "direction", self.comedia.as_ref())?;
        write_all(f, "a=crypto:", &self.crypto)?;
        write_all(f, "a=extmap:", &self.extensions)?;
        write_flag(f, "extmap-allow-mixed", self.extmap_allow_mixed)?;
        // `sendrecv` goes without saying on an m-line that carries no RTP.
        if self.kind != MediaKind::Application || self.direction != Default::default() {
            write!(f, "a={}\r\n", self.direction)?;
        }
        write_all(f, "a=msid:", &self.msids)?;
        write_attribute(f, "rtcp", self.rtcp.as_ref())?;
        write_flag(f, "rtcp-mux", self.rtcp_mux)?;
        write_flag(f, "rtcp-rsize", self.rtcp_rsize)?;
        write_flag(f, "bundle-only", self.bundle_only)?;
        self.codecs.iter().try_for_each(|codec| codec.fmt(f))?;
        write_all(f, "a=rid:", &self.rids)?;
        write_attribute(f, "simulcast", self.simulcast.as_ref())?;
        write_all(f, "a=ssrc-group:", &self.ssrc_groups)?;
        for info in &self.ssrcs {
            let ssrc = info.ssrc;
            if let Some(cname) = &info.cname {
                write!(f, "a=ssrc:{ssrc} cname:{cname}\r\n")?;
            }
            if let Some(msid) = &info.msid {
                write!(f, "a=ssrc:{ssrc} msid:{msid}\r\n")?;
            }
            if info.cname.is_none() && info.msid.is_none() {
                write!(f, "a=ssrc:{ssrc}\r\n")?;
            }
        }
        write_attribute(f, "sctpmap", self.sctpmap.as_ref())?;
        if self.sctp_port != implied_sctp_port(self) {
            write_attribute(f, "sctp-port", self.sctp_port.as_ref())?;
        }
        write_attribute(f, "max-message-size", self.max_message_size.as_ref())?;
        write_all(f, "a=", &self.candidates)?;
        write_flag(f, "end-of-candidates", self.end_of_candidates)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pt = self.pt;
        write!(f, "a=rtpmap:{pt} {}/{}", self.name, self.clock)?;
        if self.channels != 1 {
            write!(f, "/{}", self.channels)?;
        }
        f.write_str("\r\n")?;
        if let Some(fmtp) = &self.fmtp {
            write!(f, "a=fmtp:{pt} {fmtp}\r\n")?;
        }
        for feedback in &self.feedback {
            write!(f, "a=rtcp-fb:{pt} {feedback}\r\n")?;
        }
        Ok(())
    }
}

fn write_transport(f: &mut fmt::Formatter<'_>, transport: &TransportAttributes) -> fmt::Result {
    if let Some(ice) = &transport.ice {
        write!(f, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", ice.ufrag, ice.pwd)?;
    }
    if !transport.ice_options.is_empty() {
        write!(f, "a=ice-options:{}\r\n", transport.ice_options.join(" "))?;
    }
    write_all(f, "a=fingerprint:", &transport.fingerprints)?;
    write_attribute(f, "setup", transport.setup.as_ref())
}

fn write_line<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    key: &str,
    value: Option<&T>,
) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{key}={value}\r\n"),
        None => Ok(()),
    }
}

fn write_attribute<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    value: Option<&T>,
) -> fmt::Result {
    match value {
        Some(value) => write!(f, "a={name}:{value}\r\n"),
        None => Ok(()),
    }
}

fn write_all<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    prefix: &str,
    values: &[T],
) -> fmt::Result {
    values
        .iter()
        .try_for_each(|value| write!(f, "{prefix}{value}\r\n"))
}

fn write_flag(f: &mut fmt::Formatter<'_>, name: &str, set: bool) -> fmt::Result {
    if set {
        write!(f, "a={name}\r\n")
    } else {
        Ok(())
    }
}
