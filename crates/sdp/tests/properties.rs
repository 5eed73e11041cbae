//! Promises that hold for every text and every edit of a description.

mod support;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use salono_sdp::negotiate::{MAX_TRANSPORTS, OfferOptions, answer, apply_answer, offer};
use salono_sdp::{Description, Limits};
use support::{corpus, local, parse};

/// One way to damage a description.
#[derive(Debug, Clone)]
enum Edit {
    Drop(usize),
    Repeat(usize),
    Swap(usize, usize),
    Cut(usize, usize),
    Insert(usize, String),
    Splice(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let line = 0..400usize;
    let value = prop_oneof![
        "[ -~]{0,40}",
        "(m|a|c|b|o)=[ -~]{0,40}",
        "a=(mid|group:BUNDLE|rtpmap|fmtp|rtcp-fb|extmap|ssrc|ssrc-group|rid|simulcast|candidate|sctp-port|setup|fingerprint|ice-ufrag|rtcp|crypto):[ -~]{0,30}",
        "m=(audio|video|application|text) [0-9]{1,6}(/2)? [A-Z/]{1,20}( [0-9a-z*]{1,4}){0,4}",
        "\\PC{0,20}",
    ];
    prop_oneof![
        line.clone().prop_map(Edit::Drop),
        line.clone().prop_map(Edit::Repeat),
        (line.clone(), line.clone()).prop_map(|(a, b)| Edit::Swap(a, b)),
        (line.clone(), 0..60usize).prop_map(|(a, b)| Edit::Cut(a, b)),
        (line.clone(), value).prop_map(|(a, b)| Edit::Insert(a, b)),
        (line.clone(), line, any::<usize>()).prop_map(|(a, b, c)| Edit::Splice(a, b, c)),
    ]
}

fn apply(lines: &mut Vec<String>, edit: Edit, all: &[Vec<String>]) {
    if lines.is_empty() {
        return;
    }
    let len = lines.len();
    match edit {
        Edit::Drop(i) => drop(lines.remove(i % len)),
        Edit::Repeat(i) => lines.insert(i % len, lines[i % len].clone()),
        Edit::Swap(i, j) => lines.swap(i % len, j % len),
        Edit::Cut(i, at) => {
            let line = &mut lines[i % len];
            *line = line.chars().take(at).collect();
        }
        Edit::Insert(i, line) => lines.insert(i % len, line),
        Edit::Splice(i, j, which) => {
            let other = &all[which % all.len()];
            lines.insert(i % len, other[j % other.len()].clone());
        }
    }
}

/// A description of the corpus with some edits.
fn edited() -> impl Strategy<Value = String> {
    let all: Vec<Vec<String>> = corpus()
        .into_iter()
        .map(|(_, text)| text.lines().map(str::to_owned).collect())
        .collect();
    let which = 0..all.len();
    (which, prop::collection::vec(edit(), 0..12)).prop_map(move |(which, edits)| {
        let mut lines = all[which].clone();
        for edit in edits {
            apply(&mut lines, edit, &all);
        }
        lines.join("\r\n")
    })
}

/// What must hold of any description that was read.
fn check(description: &Description) {
    let written = description.to_string();
    assert_eq!(&parse(&written), description, "writing loses something");
    let Ok(answered) = answer(description, &local()) else {
        return;
    };
    assert_eq!(answered.media.len(), description.media.len());
    assert_eq!(answered.local.media.len(), description.media.len());
    assert!(answered.transports.len() <= MAX_TRANSPORTS);
    assert_eq!(parse(&answered.local.to_string()), answered.local);
    for (offered, (media, line)) in description
        .media
        .iter()
        .zip(answered.media.iter().zip(&answered.local.media))
    {
        assert_eq!(media.accepted(), line.port != 0);
        assert_eq!(media.accepted(), media.transport.is_some());
        assert_eq!(line.proto, offered.proto);
        assert_eq!(line.mid, offered.mid);
        assert!(line.formats.iter().all(|f| offered.formats.contains(f)));
        assert!(!line.formats.is_empty());
    }
    for (index, transport) in answered.transports.iter().enumerate() {
        assert!(!transport.remote_fingerprints.is_empty());
        assert!(!transport.mlines.is_empty());
        for mline in &transport.mlines {
            assert_eq!(answered.media[*mline].transport, Some(index));
        }
    }
}

/// The same cases in every run; `PROPTEST_CASES` asks for more of them.
fn config() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(0x5a10_0001),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}|(v=0\r?\n)(\\PC{0,30}\r?\n){0,20}") {
        if let Ok(description) = Description::parse(&text, &Limits::default()) {
            check(&description);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = format!("v=0\n{}", String::from_utf8_lossy(&bytes));
        if let Ok(description) = Description::parse(&text, &Limits::default()) {
            check(&description);
        }
    }

    #[test]
    fn any_edit_is_read_or_refused(text in edited()) {
        if let Ok(description) = Description::parse(&text, &Limits::default()) {
            check(&description);
        }
    }

    #[test]
    fn any_answer_is_applied_or_refused(text in edited()) {
        let local = local();
        let offered = offer(&local, OfferOptions::default());
        if let Ok(mut answer) = Description::parse(&text, &Limits::default()) {
            let _ = apply_answer(&offered, &answer, &local);
            // Line the answer up with the offer, so that its m-lines are looked at.
            answer.media.truncate(3);
            for media in &mut answer.media {
                media.mid = None;
            }
            if let Ok(negotiated) = apply_answer(&offered, &answer, &local) {
                for media in negotiated.media {
                    prop_assert_eq!(media.accepted(), media.transport.is_some());
                }
            }
        }
    }
}

#[test]
fn the_corpus_keeps_the_promises_unedited() {
    for (_, text) in corpus() {
        check(&parse(&text));
    }
}
