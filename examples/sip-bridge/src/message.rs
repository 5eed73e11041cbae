//! SIP messages, as far as a server needs them that takes calls and ends them.

use std::net::SocketAddr;

/// Longest datagram that is looked at.
pub const MAX_MESSAGE: usize = 16 * 1024;
/// The only version of the protocol.
const VERSION: &str = "SIP/2.0";
/// Most header lines of a message.
const MAX_HEADERS: usize = 100;

/// What we do, as `Allow` says it.
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS";

/// What a datagram carries (RFC 3261 §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Somebody asks for something.
    Request(Request),
    /// Somebody answers a request of ours.
    Response(Response),
}

impl Message {
    /// Reads a datagram; `None` when it is no message that can be dealt with.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(datagram.get(..MAX_MESSAGE.min(datagram.len()))?).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (start, lines) = head.split_once("\r\n")?;
        let headers = headers(lines)?;
        let mut start = start.split(' ');
        let (first, second, third) = (start.next()?, start.next()?, start.next()?);
        if first == VERSION {
            let request = Request {
                method: String::new(),
                headers,
                body: String::new(),
            };
            let method = request.header("CSeq")?.split_whitespace().nth(1)?;
            return Some(Self::Response(Response {
                status: second.parse().ok()?,
                method: method.to_owned(),
                call_id: request.header("Call-ID")?.to_owned(),
            }));
        }
        let is_token = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
        if third != VERSION || first.is_empty() || !is_token(first) {
            return None;
        }
        let request = Request {
            method: first.to_owned(),
            headers,
            body: body.to_owned(),
        };
        // Without these a response would not find its way (RFC 3261 §8.1.1).
        ["Via", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .all(|name| request.header(name).is_some())
            .then_some(Self::Request(request))
    }
}

fn headers(lines: &str) -> Option<Vec<(String, String)>> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines.split("\r\n") {
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
    Some(headers)
}

/// A response to a request of ours, as far as we look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code; those from 200 on are final.
    pub status: u16,
    /// Method of the request.
    pub method: String,
    /// Which call it was about.
    pub call_id: String,
}

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

    /// Who calls: the address in `From`.
    pub fn caller(&self) -> &str {
        address(self.header("From").unwrap_or_default())
    }

    /// The request that ends the call which this INVITE began. `tag` is ours of the dialog, `contact`
    /// where we are.
    pub fn bye(&self, tag: &str, contact: SocketAddr) -> String {
        let of = |name| self.header(name).unwrap_or_default();
        let target = match of("Contact") {
            "" => self.caller(),
            contact => address(contact),
        };
        let call = self.call_id();
        let mut text = format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {contact};branch=z9hG4bK{tag}bye;rport\r\n\
             Max-Forwards: 70\r\n"
        );
        for route in self.all("Record-Route") {
            text += &format!("Route: {route}\r\n");
        }
        let ours = of("To");
        let tag = if ours.contains(";tag=") {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        text += &format!(
            "From: {ours}{tag}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: 1 BYE\r\n\
             Content-Length: 0\r\n\r\n",
            of("From")
        );
        text
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
        if self.method == "OPTIONS" {
            text += "Accept: application/sdp\r\n";
        }
        if status == Status::BAD_EXTENSION {
            for required in self.all("Require") {
                text += &format!("Unsupported: {required}\r\n");
            }
        }
        if !body.is_empty() {
            text += "Content-Type: application/sdp\r\n";
        }
        text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// The URI of an address, which may have a name before and parameters behind it.
fn address(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default().trim(),
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
    /// Somebody is asked whether they take the call.
    pub const RINGING: Self = Self(180, "Ringing");
    /// The request needs something of us that we do not know.
    pub const BAD_EXTENSION: Self = Self(420, "Bad Extension");
    /// Nobody takes the call.
    pub const NOT_TAKEN: Self = Self(480, "Temporarily Unavailable");
    /// Another offer is being answered.
    pub const PENDING: Self = Self(491, "Request Pending");
    /// Somebody does not want to take the call.
    pub const DECLINED: Self = Self(603, "Decline");
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

    fn invite() -> Request {
        match Message::parse(INVITE.as_bytes()) {
            Some(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_are_ended_where_they_came_from() {
        let contact = "192.0.2.2:5060".parse().unwrap();
        assert_eq!(
            invite().bye("ours", contact),
            "BYE sip:a@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKoursbye;rport\r\nMax-Forwards: 70\r\n\
             Route: <sip:192.0.2.9;lr>\r\nFrom: <sip:b@192.0.2.2>;tag=ours\r\n\
             To: <sip:a@192.0.2.1>;tag=1\r\nCall-ID: call\r\nCSeq: 1 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let answer = "SIP/2.0 200 OK\r\nCall-ID: call\r\nCSeq: 1 BYE\r\n\r\n";
        let expected = Response {
            status: 200,
            method: "BYE".to_owned(),
            call_id: "call".to_owned(),
        };
        let answer = Message::parse(answer.as_bytes());
        assert_eq!(answer, Some(Message::Response(expected)));
    }

    #[test]
    fn short_forms_and_folded_lines_are_read() {
        let request = invite();
        assert_eq!((&*request.method, &*request.body), ("INVITE", "v=0"));
        assert_eq!((request.call_id(), request.sequence()), ("call", "7"));
        assert_eq!(request.header("Subject"), Some("a long one"));
    }

    #[test]
    fn responses_find_their_way_back() {
        let request = invite();
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
            "SIP/2.0 200 OK\r\nCall-ID: x\r\n\r\n",
            "SIP/2.0 x OK\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n",
            "INVITE sip:x SIP/2.0\r\n\r\n",
            "INVITE sip:x HTTP/1.1\r\nVia: x\r\n\r\n",
            "\r\n\r\n",
            "INVITE sip:x SIP/2.0\r\n folded\r\n\r\n",
        ] {
            assert_eq!(Message::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Message::parse(&[0xff; 100]), None);
    }
}
