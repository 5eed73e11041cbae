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

fn join(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\r\n").collect()
}
