//! What is refused at the door, and where the error points.

mod support;

use salono_sdp::negotiate::answer;
use salono_sdp::{Counted, Description, Limits, ParseError};

fn parse(text: &str, limits: &Limits) -> Result<Description, ParseError> {
    Description::parse(text, limits)
}

#[test]
fn what_is_no_description_is_refused_with_its_line() {
    let cases = [
        ("", ParseError::Empty),
        (" \r\n\t\n", ParseError::Empty),
        ("hello", ParseError::Version { line: 1 }),
        ("\n\nv=1\n", ParseError::Version { line: 3 }),
        (
            "o=- 0 0 IN IP4 0.0.0.0\nv=0\n",
            ParseError::Version { line: 1 },
        ),
        ("v=0\ns=a\0b\n", ParseError::ControlCharacter { line: 2 }),
        ("v=0\r\nm=audio\r\n", ParseError::Media { line: 2 }),
        (
            "v=0\n\nm=audio x RTP/AVP 0\n",
            ParseError::Media { line: 3 },
        ),
        (
            "v=0\nm=audio 65536 RTP/AVP 0\n",
            ParseError::Media { line: 2 },
        ),
        ("v=0\nm=audio 9 RTP/AVP\n", ParseError::Media { line: 2 }),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text, &Limits::default()), Err(error), "{text:?}");
    }
}

#[test]
fn every_limit_is_kept_exactly() {
    let audio = "m=audio 9 RTP/AVP 0\n";
    let tight = Limits {
        max_lines: 8,
        max_media: 2,
        max_candidates: 2,
        max_formats: 2,
        max_ssrcs: 2,
        max_extensions: 2,
        max_rids: 2,
        max_feedback: 2,
        ..Limits::default()
    };
    let attributes = |attribute: &str, n: usize| {
        let lines: String = (1..=n)
            .map(|i| format!("a={}\n", attribute.replace('#', &i.to_string())))
            .collect();
        format!("v=0\n{audio}{lines}")
    };
    let cases = [
        (
            "candidate:# 1 udp 1 192.0.2.1 9 typ host",
            Counted::Candidates,
            5,
        ),
        ("ssrc:# cname:x", Counted::Ssrcs, 5),
        ("extmap:# urn:#", Counted::Extensions, 5),
        ("rid:# send", Counted::Rids, 5),
        // Feedback is put together at the end of its m-line, so that is where the error points.
        ("rtcp-fb:0 x#", Counted::Feedback, 2),
    ];
    for (attribute, what, line) in cases {
        assert!(parse(&attributes(attribute, 2), &tight).is_ok(), "{what}");
        let error = ParseError::TooMany {
            line,
            what,
            limit: 2,
        };
        assert_eq!(parse(&attributes(attribute, 3), &tight), Err(error));
    }
    let media = |n: usize| format!("v=0\n{}", audio.repeat(n));
    assert!(parse(&media(2), &tight).is_ok());
    let error = |line, what, limit| Err(ParseError::TooMany { line, what, limit });
    assert_eq!(parse(&media(3), &tight), error(4, Counted::Media, 2));
    let formats = parse("v=0\nm=audio 9 RTP/AVP 0 8 9\n", &tight);
    assert_eq!(formats, error(2, Counted::Formats, 2));
    assert!(parse("v=0\nm=audio 9 RTP/AVP 0 8 8 0\n", &tight).is_ok());
    assert!(parse(&format!("v=0{}", "\n".repeat(8)), &tight).is_ok());
    assert_eq!(
        parse(&format!("v=0{}t=0 0", "\n".repeat(8)), &tight),
        error(9, Counted::Lines, 8)
    );
}

#[test]
fn a_text_over_the_byte_limit_is_not_looked_at() {
    let limits = Limits {
        max_bytes: 16,
        ..Limits::default()
    };
    assert!(parse("v=0\ns=123456789\n", &limits).is_ok());
    let error = ParseError::TooLarge {
        bytes: 17,
        limit: 16,
    };
    assert_eq!(parse("garbage, 17 bytes", &limits), Err(error));
}

/// Texts at the byte limit that repeat what is compared with one another.
#[test]
fn the_worst_texts_within_the_limits_are_read_and_answered() {
    let limits = Limits::default();
    let digest = ["5A"; 20].join(":");
    let audio = format!(
        "m=audio 9 RTP/SAVPF 0\na=mid:a\na=ice-ufrag:x\na=ice-pwd:y\na=fingerprint:sha-1 {digest}\n"
    );
    let fill = |head: &str, unit: &str| {
        let room = limits.max_bytes - head.len() - audio.len() - 1;
        format!("{head}{}\n{audio}", unit.repeat(room / unit.len()))
    };
    let texts = [
        fill("v=0\na=group:BUNDLE ", "a "),
        fill("v=0\na=group:BUNDLE ", "b c a "),
        format!(
            "v=0\n{audio}a=ssrc:1\na=ssrc-group:SIM {}",
            "1 ".repeat(60_000)
        ),
        format!(
            "v=0\n{audio}a=rid:q send\na=simulcast:send {}",
            "q;".repeat(60_000)
        ),
        format!(
            "v=0\nm=audio 9 RTP/SAVPF 0\n{}",
            "a=rtcp-fb:* nack\n".repeat(1_990)
        ),
    ];
    for text in texts {
        let description = parse(&text, &limits).unwrap();
        assert_eq!(
            answer(&description, &support::local()).unwrap().media.len(),
            1
        );
        assert!(
            description
                .bundle
                .iter()
                .all(|mids| mids.len() <= limits.max_media)
        );
    }
}
