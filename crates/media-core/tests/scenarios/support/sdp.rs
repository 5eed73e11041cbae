//! Changes to descriptions, as other clients would have made them.

/// Without retransmission streams (RFC 4588).
pub(crate) fn without_rtx(sdp: &str) -> String {
    let rtx: Vec<String> = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:"))
        .filter_map(|map| map.split_once(' '))
        .filter(|(_, codec)| codec.starts_with("rtx/"))
        .map(|(pt, _)| pt.to_owned())
        .collect();
    let repair: Vec<String> = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=ssrc-group:FID "))
        .filter_map(|group| group.split(' ').nth(1))
        .map(str::to_owned)
        .collect();
    let of_rtx = |line: &str| {
        ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"].iter().any(|prefix| {
            line.strip_prefix(prefix)
                .and_then(|rest| rest.split(' ').next())
                .is_some_and(|pt| rtx.iter().any(|rtx| rtx == pt))
        }) || line.starts_with("a=ssrc-group:FID")
            || repair
                .iter()
                .any(|ssrc| line.starts_with(&format!("a=ssrc:{ssrc} ")))
    };
    let lines = sdp.lines().filter(|line| !of_rtx(line)).map(|line| {
        if !line.starts_with("m=") {
            return line.to_owned();
        }
        line.split(' ')
            .enumerate()
            .filter(|(index, field)| *index < 3 || !rtx.iter().any(|pt| pt == field))
            .map(|(_, field)| field)
            .collect::<Vec<_>>()
            .join(" ")
    });
    join(lines)
}

/// Without transport-wide congestion control, so that only REMB is left.
pub(crate) fn without_transport_cc(sdp: &str) -> String {
    let kept = sdp
        .lines()
        .filter(|line| !line.contains("transport-cc") && !line.contains("transport-wide-cc"));
    join(kept.map(str::to_owned))
}

/// Every m-line on its own transport.
pub(crate) fn without_bundle(sdp: &str) -> String {
    let kept = sdp
        .lines()
        .filter(|line| !line.starts_with("a=group:BUNDLE") && *line != "a=bundle-only");
    join(kept.map(str::to_owned))
}

/// With the digits of the fingerprint in another order.
pub(crate) fn with_wrong_fingerprint(sdp: &str) -> String {
    let lines = sdp.lines().map(|line| {
        let Some((head, digest)) = line
            .strip_prefix("a=fingerprint:")
            .and_then(|rest| rest.split_once(' '))
        else {
            return line.to_owned();
        };
        let mut bytes: Vec<&str> = digest.trim().split(':').collect();
        bytes.rotate_left(1);
        format!("a=fingerprint:{head} {}", bytes.join(":"))
    });
    join(lines)
}

/// With one m-line stopped and out of its group.
pub(crate) fn with_port_zero(sdp: &str, mid: &str) -> String {
    let (session, media) = sdp.split_once("m=").expect("a session and media");
    let session = session
        .lines()
        .map(|line| match line.strip_prefix("a=group:BUNDLE") {
            Some(mids) => {
                let kept = mids.split(' ').filter(|known| *known != mid);
                format!("a=group:BUNDLE{}", kept.collect::<Vec<_>>().join(" "))
            }
            None => line.to_owned(),
        });
    let media = media.split("\r\nm=").map(|section| {
        let is_meant = section.lines().any(|line| line == format!("a=mid:{mid}"));
        let mut words: Vec<&str> = section.split(' ').collect();
        if is_meant {
            words[1] = "0";
        }
        format!("m={}", words.join(" ").trim_end())
    });
    let lines: Vec<String> = session.chain(media).collect();
    lines.join("\r\n") + "\r\n"
}

/// The description of a peer with another version: its library always writes 2.
pub(crate) fn with_version(sdp: &str, version: u32) -> String {
    let lines = sdp.lines().map(|line| match line.strip_prefix("o=") {
        Some(origin) => {
            let mut fields: Vec<&str> = origin.split(' ').collect();
            let version = version.to_string();
            fields[2] = &version;
            format!("o={}", fields.join(" "))
        }
        None => line.to_owned(),
    });
    lines.map(|line| line + "\r\n").collect()
}

fn join(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\r\n").collect()
}
