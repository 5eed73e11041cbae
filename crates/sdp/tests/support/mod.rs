//! The endpoint whose descriptions the tests negotiate, and the descriptions of peers.

#![allow(dead_code, reason = "not every test binary needs all of it")]

use salono_sdp::negotiate::{Local, LocalSctp, LocalSource};
use salono_sdp::{Description, Fingerprint, HashFunction, IceCredentials, Limits};

/// Every description in `tests/data`, by file name without `.sdp`, sorted.
pub(crate) fn corpus() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is part of the crate")
        .map(|entry| entry.expect("the folder is readable").file_name())
        .filter_map(|file| Some(file.to_str()?.strip_suffix(".sdp")?.to_owned()))
        .map(|name| {
            let text = text(&name);
            (name, text)
        })
        .collect();
    all.sort();
    assert!(all.len() > 10, "the corpus is there");
    all
}

/// One description of the corpus as text.
pub(crate) fn text(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    std::fs::read_to_string(format!("{folder}/{name}.sdp")).expect("the description exists")
}

/// Parses with the default limits.
pub(crate) fn parse(text: &str) -> Description {
    Description::parse(text, &Limits::default()).expect("a description")
}

/// An endpoint with data channels and everything else at its default.
pub(crate) fn local() -> Local {
    let ice = |n: u8| IceCredentials {
        ufrag: format!("loc{n}"),
        pwd: format!("localPasswordOfTransport{n}"),
    };
    let fingerprint = Fingerprint {
        algorithm: HashFunction::Sha256,
        digest: (0..32).collect(),
    };
    let source = |ssrc, rtx_ssrc, track: &str| LocalSource {
        ssrc,
        rtx_ssrc,
        track_id: track.to_owned(),
    };
    Local {
        sctp: Some(LocalSctp::default()),
        ..Local::new(
            3_900_000_000,
            (0..4).map(ice).collect(),
            fingerprint,
            "salono",
            vec![
                source(11, Some(12), "audio"),
                source(21, Some(22), "video"),
                source(31, Some(32), "third"),
                source(41, Some(42), "fourth"),
            ],
        )
    }
}
