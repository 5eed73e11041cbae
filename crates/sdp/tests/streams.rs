//! Several m-lines of one kind, and how a session goes on: m-lines are added, stopped and started
//! again, with BUNDLE and without.

mod support;

use salono_sdp::negotiate::{
    Negotiated, NegotiationError, OfferOptions, Rejection, answer, answer_again, apply_answer,
    apply_answer_again, offer, offer_again,
};
use salono_sdp::{Description, MediaKind};
use support::{local, parse};

/// An offer of a browser with m-lines of these types: of each its type and whether it is in use.
fn browser(lines: &[(&str, bool)], bundled: bool) -> Description {
    let mut sdp = "v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n".to_owned();
    if bundled {
        sdp += "a=group:BUNDLE";
        for (index, (_, used)) in lines.iter().enumerate() {
            if *used {
                sdp += &format!(" {index}");
            }
        }
        sdp += "\r\n";
    }
    for (index, (kind, used)) in lines.iter().enumerate() {
        let (port, transport) = (if *used { 9 } else { 0 }, if bundled { 0 } else { index });
        let (pt, codec) = match *kind {
            "audio" => (111, "opus/48000/2"),
            _ => (96, "VP8/90000"),
        };
        sdp += &format!(
            "m={kind} {port} UDP/TLS/RTP/SAVPF {pt}\r\nc=IN IP4 0.0.0.0\r\na=mid:{index}\r\n\
             a=ice-ufrag:peer{transport}\r\na=ice-pwd:passwordOfTheBrowser{transport}\r\n\
             a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=sendrecv\r\na=rtcp-mux\r\n\
             a=rtpmap:{pt} {codec}\r\n",
            vec!["AB"; 32].join(":"),
        );
    }
    parse(&sdp)
}

const CALL: [(&str, bool); 3] = [("audio", true), ("video", true), ("video", true)];

/// The m-lines that each transport carries.
fn carried(negotiated: &Negotiated) -> Vec<Vec<usize>> {
    let transports = negotiated.transports.iter();
    transports
        .map(|transport| transport.mlines.clone())
        .collect()
}

#[test]
fn every_m_line_is_answered_with_streams_of_its_own() {
    let answered = answer(&browser(&CALL, true), &local()).unwrap();
    assert!(answered.media.iter().all(|media| media.accepted()));
    assert_eq!(carried(&answered), [vec![0, 1, 2]]);
    let announced: Vec<u32> = answered
        .local
        .media
        .iter()
        .flat_map(|line| &line.ssrcs)
        .map(|info| info.ssrc)
        .collect();
    assert_eq!(announced, [11, 21, 31], "no retransmissions were offered");
    let streams: Vec<&str> = answered
        .local
        .media
        .iter()
        .flat_map(|line| &line.msids)
        .map(|msid| msid.stream.as_str())
        .collect();
    assert_eq!(streams, ["salono", "salono", "salono-1"]);
}

#[test]
fn there_are_no_more_m_lines_than_we_have_sources_for_nor_transports() {
    let many = [("video", true); 20];
    let answered = answer(&browser(&many, true), &local()).unwrap();
    let rejections = answered.media.iter().map(|media| media.rejection);
    let surplus = rejections.filter(|rejection| *rejection == Some(Rejection::Surplus));
    assert_eq!(surplus.count(), 16);
    let mut local = local();
    let source = local.sources[0].clone();
    local.sources = vec![source; 20];
    let answered = answer(&browser(&many, false), &local).unwrap();
    let accepted = answered.media.iter().filter(|media| media.accepted());
    assert_eq!(accepted.count(), local.ice.len(), "one transport for each");
}

#[test]
fn without_a_group_a_stopped_m_line_gives_up_its_transport_and_the_others_keep_theirs() {
    let mut local = local();
    let first = answer(&browser(&CALL, false), &local).unwrap();
    assert_eq!(carried(&first), [vec![0], vec![1], vec![2]]);
    let mut stopped = CALL;
    stopped[1].1 = false;
    let second = answer_again(&browser(&stopped, false), &local, &first).unwrap();
    assert_eq!(carried(&second), [vec![0], vec![], vec![2]]);
    assert_eq!(second.media[1].rejection, Some(Rejection::Disabled));
    assert_eq!(second.media[2].transport, Some(2));
    // The place is taken by whoever comes next.
    local.ice[1].ufrag = "fresh".to_owned();
    let mut more = stopped.to_vec();
    more.push(("audio", true));
    let third = answer_again(&browser(&more, false), &local, &second).unwrap();
    assert_eq!(carried(&third), [vec![0], vec![3], vec![2]]);
    assert_eq!(third.transports[1].local_ice.ufrag, "fresh");
    assert_eq!(third.transports[1].remote_ice.ufrag, "peer3");
}

#[test]
fn a_stopped_m_line_starts_again_as_another_one() {
    let local = local();
    for bundled in [true, false] {
        let first = answer(&browser(&CALL, bundled), &local).unwrap();
        let mut stopped = CALL;
        stopped[2].1 = false;
        let second = answer_again(&browser(&stopped, bundled), &local, &first).unwrap();
        let text = browser(&CALL, bundled).to_string();
        let renamed = text.replace("a=mid:2", "a=mid:7");
        let renamed = renamed.replace("BUNDLE 0 1 2", "BUNDLE 0 1 7");
        let third = answer_again(&parse(&renamed), &local, &second).unwrap();
        assert_eq!(third.media[2].mid.as_deref(), Some("7"));
        assert_eq!(carried(&third), carried(&first));
    }
}

#[test]
fn m_lines_cannot_change_whom_they_share_a_transport_with() {
    let local = local();
    for bundled in [true, false] {
        let first = answer(&browser(&CALL, bundled), &local).unwrap();
        let other = answer_again(&browser(&CALL, !bundled), &local, &first);
        assert_eq!(other.unwrap_err(), NegotiationError::Transport);
    }
}

#[test]
fn an_offer_has_as_many_m_lines_as_wanted_and_a_further_one_adds_some() {
    let mut ours = local();
    ours.sctp = None;
    let options = |audio, video| OfferOptions { audio, video };
    let mids = |description: &Description| -> Vec<String> {
        let lines = description.media.iter();
        lines.filter_map(|line| line.mid.clone()).collect()
    };
    let offered = offer(&ours, options(1, 2));
    assert_eq!(mids(&offered.description), ["audio0", "video0", "video1"]);
    assert_eq!(offered.description.bundle, [mids(&offered.description)]);
    let [_, first, second] = &offered.description.media[..] else {
        panic!("three m-lines");
    };
    assert_eq!(first.codecs, second.codecs, "they share a transport");
    assert_ne!(first.ssrcs, second.ssrcs);
    let peer = answer(&offered.description, &local()).unwrap();
    let agreed = apply_answer(&offered, &peer.local, &ours).unwrap();
    assert!(agreed.media.iter().all(|media| media.accepted()));
    let again = offer_again(&ours, &agreed, options(2, 1));
    assert_eq!(
        mids(&again.description),
        ["audio0", "video0", "video1", "audio1"]
    );
    assert_eq!(again.description.bundle, [mids(&again.description)]);
    let answered = answer_again(&again.description, &local(), &peer).unwrap();
    let agreed = apply_answer_again(&again, &answered.local, &ours, &agreed).unwrap();
    assert_eq!(carried(&agreed), [vec![0, 1, 2, 3]]);
}

#[test]
fn a_kind_that_is_added_to_a_peers_session_keeps_to_the_peers_numbers() {
    let mut ours = local();
    ours.sctp = None;
    let text = browser(&[("audio", true)], true).to_string();
    let text = text.replace(
        "a=rtcp-mux\r\n",
        "a=rtcp-mux\r\na=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
    );
    let answered = answer(&parse(&text), &ours).unwrap();
    let offered = offer_again(&ours, &answered, OfferOptions::default());
    let [audio, video] = &offered.description.media[..] else {
        panic!("two m-lines");
    };
    assert_eq!(video.kind, MediaKind::Video);
    assert!(video.codecs.iter().all(|codec| codec.pt != 111));
    let mid = |line: &salono_sdp::Media| {
        let mut extensions = line.extensions.iter();
        extensions
            .find(|extension| extension.uri.ends_with(":mid"))
            .map(|extension| extension.id)
    };
    assert_eq!((mid(audio), mid(video)), (Some(9), Some(9)));
}

#[test]
fn a_peer_that_refuses_the_group_keeps_its_transports() {
    let mut ours = local();
    ours.sctp = None;
    let offered = offer(&ours, OfferOptions::default());
    let peer = answer(&offered.description, &local()).unwrap();
    let mut refusal = peer.local;
    refusal.bundle.clear();
    for (index, line) in refusal.media.iter_mut().enumerate() {
        line.transport.ice = local().ice.get(index).cloned();
    }
    let agreed = apply_answer(&offered, &refusal, &ours).unwrap();
    assert_eq!(carried(&agreed), [vec![0], vec![1]]);
    let again = offer_again(&ours, &agreed, OfferOptions { audio: 1, video: 2 });
    assert!(again.description.bundle.is_empty());
    let ufrags: Vec<_> = again
        .description
        .media
        .iter()
        .map(|line| line.transport.ice.clone().expect("credentials").ufrag)
        .collect();
    assert_eq!(ufrags, ["loc0", "loc1", "loc2"]);
}
