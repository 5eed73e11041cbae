//! The rules of offering and of taking the answer.

mod support;

use salono_sdp::negotiate::{
    DtlsRole, Local, LocalCodec, NegotiationError, OfferOptions, Offered, Rejection, answer,
    apply_answer, offer,
};
use salono_sdp::{CodecKind, Description, Direction, ExtensionKind, IceCredentials};
use support::{local, parse};

/// The endpoint at the other end: the same abilities, another identity.
fn peer() -> Local {
    let ice = |n: u8| IceCredentials {
        ufrag: format!("far{n}"),
        pwd: format!("farPasswordOfTransport{n}xx"),
    };
    Local {
        ice: vec![ice(0), ice(1), ice(2)],
        ..local()
    }
}

/// What the peer answers to an offer, as text.
fn answered(offered: &Offered) -> String {
    let read = parse(&offered.description.to_string());
    assert_eq!(read, offered.description);
    let answered = answer(&read, &peer()).expect("the offer makes sense");
    answered.local.to_string()
}

fn offer_all() -> (Offered, String) {
    let offered = offer(&local(), OfferOptions::default());
    let answer = answered(&offered);
    (offered, answer)
}

#[test]
fn an_offer_and_its_answer_agree_on_everything() {
    let (offered, answer) = offer_all();
    let negotiated = apply_answer(&offered, &parse(&answer), &local()).unwrap();
    assert_eq!(negotiated.local, offered.description);
    assert_eq!(negotiated.transports.len(), 1);
    let transport = &negotiated.transports[0];
    assert_eq!(transport.mlines, [0, 1, 2]);
    assert_eq!(transport.local_ice.ufrag, "loc0");
    assert_eq!(transport.remote_ice.ufrag, "far0");
    assert_eq!(transport.dtls_role, DtlsRole::Active);
    let kinds = |index: usize| -> Vec<_> {
        let codecs = negotiated.media[index].codecs.iter();
        codecs.map(|codec| codec.kind).collect()
    };
    assert_eq!(
        kinds(0),
        [CodecKind::Opus, CodecKind::Pcmu, CodecKind::Pcma]
    );
    assert_eq!(kinds(1).len(), local().video_codecs.len());
    for codec in &negotiated.media[1].codecs {
        assert!(codec.send_rtx_pt.is_some() && codec.receive_rtx_pt.is_some());
        let feedback = codec.feedback;
        assert!(feedback.nack && feedback.nack_pli && feedback.ccm_fir);
        assert!(feedback.goog_remb && feedback.transport_cc);
    }
    assert_eq!(negotiated.media[1].remote_sources[0].rtx_ssrc, Some(22));
    assert_eq!(negotiated.media[2].sctp.unwrap().remote_port, 5000);
    assert!(negotiated.media.iter().all(|m| m.send && m.recv));
}

#[test]
fn every_payload_type_is_handed_out_once() {
    let many = vec![LocalCodec::new(CodecKind::Vp8, None); 100];
    let local = Local {
        video_codecs: many,
        ..local()
    };
    let offered = offer(&local, OfferOptions::default());
    let mut all: Vec<u8> = offered
        .description
        .media
        .iter()
        .flat_map(|media| media.codecs.iter().map(|codec| codec.pt))
        .collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    assert!(
        all.iter()
            .all(|pt| matches!(pt, 0 | 8 | 35..=63 | 96..=127))
    );
}

#[test]
fn options_and_settings_choose_the_m_lines() {
    let mids = |audio, video, data: bool| -> Vec<String> {
        let local = Local {
            sctp: data.then(Default::default),
            ..local()
        };
        let offered = offer(&local, OfferOptions { audio, video });
        let media = offered.description.media.into_iter();
        media.filter_map(|media| media.mid).collect()
    };
    assert_eq!(mids(1, 1, false), ["audio0", "video0"]);
    assert_eq!(mids(0, 1, true), ["video0", "application0"]);
    assert_eq!(mids(1, 0, false), ["audio0"]);
    assert!(mids(0, 0, false).is_empty());
}

#[test]
fn the_direction_of_an_offer_is_the_wanted_one() {
    for direction in [
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::SendRecv,
    ] {
        let local = Local {
            offer_direction: direction,
            ..local()
        };
        let offered = offer(&local, OfferOptions::default());
        let line = &offered.description.media[0];
        assert_eq!(line.direction, direction);
        assert_eq!(line.ssrcs.is_empty(), !direction.sends());
        let answer = parse(&answered(&offered));
        let negotiated = apply_answer(&offered, &answer, &local).unwrap();
        let media = &negotiated.media[0];
        assert_eq!(
            (media.send, media.recv),
            (direction.sends(), direction.receives())
        );
    }
}

#[test]
fn an_answer_never_widens_what_was_offered() {
    let local = Local {
        offer_direction: Direction::SendOnly,
        ..local()
    };
    let offered = offer(&local, OfferOptions::default());
    let answer = answered(&offered).replace("a=recvonly", "a=sendrecv");
    let negotiated = apply_answer(&offered, &parse(&answer), &local).unwrap();
    assert!(negotiated.media[0].send && !negotiated.media[0].recv);
}

#[test]
fn each_side_is_sent_the_payload_types_that_it_declared() {
    let (offered, answer) = offer_all();
    let swapped = answer
        .replace("UDP/TLS/RTP/SAVPF 97 98", "UDP/TLS/RTP/SAVPF 120 121")
        .replace(":97 ", ":120 ")
        .replace(":98 ", ":121 ")
        .replace("apt=97", "apt=120");
    let negotiated = apply_answer(&offered, &parse(&swapped), &local()).unwrap();
    let codec = &negotiated.media[1].codecs[0];
    assert_eq!(codec.kind, CodecKind::Vp8);
    assert_eq!((codec.send_pt, codec.receive_pt), (120, 97));
    assert_eq!(
        (codec.send_rtx_pt, codec.receive_rtx_pt),
        (Some(121), Some(98))
    );
}

#[test]
fn retransmission_needs_both_sides() {
    let (offered, answer) = offer_all();
    let without = answer.replace("rtx/90000", "other/90000");
    let negotiated = apply_answer(&offered, &parse(&without), &local()).unwrap();
    for codec in &negotiated.media[1].codecs {
        assert_eq!((codec.send_rtx_pt, codec.receive_rtx_pt), (None, None));
    }
}

#[test]
fn what_is_switched_off_is_not_offered() {
    let local = Local {
        rtx: false,
        transport_cc: false,
        video_codecs: vec![LocalCodec::new(CodecKind::Vp8, None)],
        ..local()
    };
    let written = offer(&local, OfferOptions::default())
        .description
        .to_string();
    for absent in [
        "rtx",
        "transport-cc",
        "transport-wide-cc",
        "FID",
        "dependency-descriptor",
    ] {
        assert!(!written.contains(absent), "{absent}");
    }
}

#[test]
fn extensions_are_taken_once_and_as_offered() {
    let (offered, answer) = offer_all();
    let line = "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
    let renumbered = line.replace(":5 ", ":9 ");
    for (to, count) in [(line.repeat(2), 1), (renumbered, 0), (String::new(), 0)] {
        let answer = parse(&answer.replace(line, &to));
        let negotiated = apply_answer(&offered, &answer, &local()).unwrap();
        for media in &negotiated.media[..2] {
            let mids = media
                .extensions
                .iter()
                .filter(|e| e.kind == ExtensionKind::Mid);
            assert_eq!(mids.count(), count);
        }
    }
}

#[test]
fn an_answer_that_repeats_a_codec_has_it_once() {
    let (offered, answer) = offer_all();
    let twice = answer
        .replace("SAVPF 96 0 8", "SAVPF 96 120 0 8")
        .replace("a=rtpmap:0 ", "a=rtpmap:120 opus/48000/2\r\na=rtpmap:0 ");
    let negotiated = apply_answer(&offered, &parse(&twice), &local()).unwrap();
    let pts: Vec<_> = negotiated.media[0]
        .codecs
        .iter()
        .map(|c| c.send_pt)
        .collect();
    assert_eq!(pts, [96, 0, 8]);
}

#[test]
fn an_answer_without_group_gives_each_m_line_its_transport() {
    let (offered, answer) = offer_all();
    let answer = answer.replace("a=group:BUNDLE audio0 video0 application0\r\n", "");
    let negotiated = apply_answer(&offered, &parse(&answer), &local()).unwrap();
    let mlines: Vec<_> = negotiated
        .transports
        .iter()
        .map(|t| t.mlines.clone())
        .collect();
    assert_eq!(mlines, [[0], [1], [2]]);
    assert!(
        negotiated
            .transports
            .iter()
            .all(|t| t.local_ice.ufrag == "loc0")
    );
}

#[test]
fn what_the_peer_rejects_is_rejected() {
    let (offered, answer) = offer_all();
    let cases = [
        ("m=video 9", "m=video 0", 1, Rejection::RejectedByPeer),
        (
            "m=application 9",
            "m=application 0",
            2,
            Rejection::RejectedByPeer,
        ),
        ("SAVPF 96 0 8", "SAVPF 120", 0, Rejection::UnsupportedCodecs),
        (
            "UDP/TLS/RTP/SAVPF 96",
            "RTP/AVP 96",
            0,
            Rejection::UnsupportedProtocol,
        ),
    ];
    for (from, to, index, rejection) in cases {
        assert!(answer.contains(from), "{from}");
        let answer = parse(&answer.replacen(from, to, 1));
        let negotiated = apply_answer(&offered, &answer, &local()).unwrap();
        assert_eq!(negotiated.media[index].rejection, Some(rejection), "{to}");
        assert_eq!(negotiated.transports[0].mlines.len(), 2);
    }
    let bare = answer.replace("a=ice-pwd", "a=x-pwd");
    let negotiated = apply_answer(&offered, &parse(&bare), &local()).unwrap();
    let rejection = Some(Rejection::IncompleteTransport);
    assert!(negotiated.media.iter().all(|m| m.rejection == rejection));
}

#[test]
fn the_role_of_the_answer_decides_ours() {
    let (offered, answer) = offer_all();
    let cases = [
        ("a=setup:passive", DtlsRole::Active),
        ("a=setup:active", DtlsRole::Passive),
        ("a=setup:actpass", DtlsRole::Passive),
        ("a=x-none", DtlsRole::Passive),
    ];
    for (setup, role) in cases {
        let answer = parse(&answer.replace("a=setup:passive", setup));
        let negotiated = apply_answer(&offered, &answer, &local()).unwrap();
        assert_eq!(negotiated.transports[0].dtls_role, role, "{setup}");
    }
}

#[test]
fn an_answer_to_something_else_is_refused() {
    let (offered, answer) = offer_all();
    let apply = |answer: Description| apply_answer(&offered, &answer, &local());
    let mut short = parse(&answer);
    short.media.pop();
    let count = NegotiationError::MediaCount {
        offered: 3,
        answered: 2,
    };
    assert_eq!(apply(short), Err(count));
    let kind = parse(&answer.replace("m=video", "m=audio"));
    assert_eq!(apply(kind), Err(NegotiationError::MediaKind { index: 1 }));
    let mid = parse(&answer.replace("a=mid:video0", "a=mid:other"));
    assert_eq!(apply(mid), Err(NegotiationError::Mid { index: 1 }));
    let without = parse(&answer.replace("a=mid:", "a=x-mid:"));
    assert!(apply(without).is_ok());
}

#[test]
fn h265_is_agreed_on_where_both_sides_know_it_in_the_same_profile() {
    let mut local = local();
    local.video_codecs = vec![LocalCodec::h265(), LocalCodec::default_video()[0].clone()];
    let offered = offer(&local, OfferOptions { audio: 0, video: 1 });
    let names = |description: &salono_sdp::Description| -> Vec<String> {
        let codecs = &description.media[0].codecs;
        let primary = codecs.iter().filter(|codec| codec.name != "rtx");
        primary.map(|codec| codec.name.clone()).collect()
    };
    assert_eq!(names(&offered.description), ["H265", "VP8"]);
    let answered = answer(&offered.description, &local).unwrap();
    assert_eq!(names(&answered.local), ["H265", "VP8"]);
    let text = offered.description.to_string();
    let main10 = text.replace("profile-id=1", "profile-id=2");
    let answered = answer(&parse(&main10), &local).unwrap();
    assert_eq!(names(&answered.local), ["VP8"]);
}
