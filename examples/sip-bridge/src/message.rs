//! SIP messages as far as a server needs them that only answers.

use std::net::SocketAddr;

/// Longest datagram that is looked at.
pub const MAX_MESSAGE: usize = 16 * 1024;
/// Most header lines of a request.
const MAX_HEADERS: usize = 100;

/// What we do, as `Allow` says it.
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS";

/// A request (RFC 3261 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `INVITE` for one; methods are written in capitals.
    pub method: String,
    /// Names as written and values, in order.
    headers: Vec<(String, String)>,
    /// What follows the headers, a session description for one.
    pub body: String,
}

impl Request {
    /// Reads a datagram; `None` when it is no request that can be answered.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(datagram.get(..MAX_MESSAGE.min(datagram.len()))?).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut start = lines.next()?.split(' ');
        let (method, _uri, version) = (start.next()?, start.next()?, start.next()?);
        let is_token = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
        if version != "SIP/2.0" || method.is_empty() || !is_token(method) {
            return None;
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                // A folded line goes on (RFC 3261 §7.3.1).
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            if headers.len() >= MAX_HEADERS {
                return None;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let request = Self {
            method: method.to_owned(),
            headers,
            body: body.to_owned(),
        };
        // Without these a response would not find its way (RFC 3261 §8.1.1).
        ["Via", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .all(|name| request.header(name).is_some())
            .then_some(request)
    }

    /// The first header with this name, long or short form.
    pub fn header(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let short = match name {
            "Via" => "v",
            "From" => "f",
            "To" => "t",
            "Call-ID" => "i",
            "Contact" => "m",
            "Content-Length" => "l",
            "Content-Type" => "c",
            _ => name,
        };
        self.headers
            .iter()
            .filter(move |(header, _)| {
                header.eq_ignore_ascii_case(name) || header.eq_ignore_ascii_case(short)
            })
            .map(|(_, value)| value.as_str())
    }

    /// `Call-ID`
    pub fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    /// Number of `CSeq`.
    pub fn sequence(&self) -> &str {
        let value = self.header("CSeq").unwrap_or_default();
        value.split_whitespace().next().unwrap_or_default()
    }

    /// A response to this request, which came from `from`. `tag` is ours of the dialog, `contact`
    /// where later requests of it are to be sent to; `body` is a session description.
    pub fn response(
        &self,
        from: SocketAddr,
        status: Status,
        tag: &str,
        contact: SocketAddr,
        body: &str,
    ) -> String {
        let mut text = format!("SIP/2.0 {} {}\r\n", status.0, status.1);
        for (index, via) in self.all("Via").enumerate() {
            if index == 0 {
                // RFC 3581 §4: where the request really came from.
                let via = via.replacen(";rport", &format!(";rport={}", from.port()), 1);
                text += &format!("Via: {via};received={}\r\n", from.ip());
            } else {
                text += &format!("Via: {via}\r\n");
            }
        }
        for route in self.all("Record-Route") {
            text += &format!("Record-Route: {route}\r\n");
        }
        for name in ["From", "To", "Call-ID", "CSeq"] {
            let value = self.header(name).unwrap_or_default();
            let is_new = name == "To" && status.0 > 100 && !value.contains(";tag=");
            if is_new {
                text += &format!("To: {value};tag={tag}\r\n");
            } else {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text += &format!("Contact: <sip:{contact}>\r\nAllow: {ALLOW}\r\n");
        if !body.is_empty() {
            text += "Content-Type: application/sdp\r\n";
        }
        text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// Status code and reason phrase of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16, pub &'static str);

impl Status {
    /// The request is being worked on.
    pub const TRYING: Self = Self(100, "Trying");
    /// Success.
    pub const OK: Self = Self(200, "OK");
    /// The method is not ours.
    pub const METHOD_NOT_ALLOWED: Self = Self(405, "Method Not Allowed");
    /// There is no such call.
    pub const NO_SUCH_CALL: Self = Self(481, "Call/Transaction Does Not Exist");
    /// Too many calls.
    pub const BUSY: Self = Self(486, "Busy Here");
    /// The caller gave up.
    pub const TERMINATED: Self = Self(487, "Request Terminated");
    /// Nothing in the description that we can do.
    pub const NOT_ACCEPTABLE: Self = Self(488, "Not Acceptable Here");
    /// The media server does not play along.
    pub const UNAVAILABLE: Self = Self(503, "Service Unavailable");
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:service@127.0.0.1 SIP/2.0\r\n\
        v: SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bK1;rport\r\nVia: SIP/2.0/UDP 192.0.2.9\r\n\
        Record-Route: <sip:192.0.2.9;lr>\r\nf: <sip:a@192.0.2.1>;tag=1\r\nt: <sip:b@192.0.2.2>\r\n\
        i: call\r\nCSeq: 7 INVITE\r\nSubject: a\r\n long one\r\nl: 3\r\n\r\nv=0";

    #[test]
    fn short_forms_and_folded_lines_are_read() {
        let request = Request::parse(INVITE.as_bytes()).unwrap();
        assert_eq!((&*request.method, &*request.body), ("INVITE", "v=0"));
        assert_eq!((request.call_id(), request.sequence()), ("call", "7"));
        assert_eq!(request.header("Subject"), Some("a long one"));
    }

    #[test]
    fn responses_find_their_way_back() {
        let request = Request::parse(INVITE.as_bytes()).unwrap();
        let from = "198.51.100.1:4000".parse().unwrap();
        let contact = "192.0.2.2:5060".parse().unwrap();
        let text = request.response(from, Status::OK, "ours", contact, "v=0\r\n");
        assert_eq!(
            text,
            "SIP/2.0 200 OK\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bK1;rport=4000;received=198.51.100.1\r\n\
             Via: SIP/2.0/UDP 192.0.2.9\r\nRecord-Route: <sip:192.0.2.9;lr>\r\n\
             From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:b@192.0.2.2>;tag=ours\r\nCall-ID: call\r\n\
             CSeq: 7 INVITE\r\nContact: <sip:192.0.2.2:5060>\r\n\
             Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nContent-Type: application/sdp\r\n\
             Content-Length: 5\r\n\r\nv=0\r\n"
        );
    }

    #[test]
    fn what_is_no_request_is_not_read() {
        for text in [
            "",
            "SIP/2.0 200 OK\r\n\r\n",
            "INVITE sip:x SIP/2.0\r\n\r\n",
            "INVITE sip:x HTTP/1.1\r\nVia: x\r\n\r\n",
            "\r\n\r\n",
            "INVITE sip:x SIP/2.0\r\n folded\r\n\r\n",
        ] {
            assert_eq!(Request::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Request::parse(&[0xff; 100]), None);
    }
}
