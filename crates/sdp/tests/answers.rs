//! The rules of answering: what is taken, what is rejected and why.

mod support;

use salono_sdp::negotiate::{
    DtlsRole, Local, LocalCodec, Negotiated, NegotiatedCodec, NegotiatedExtension,
    NegotiationError, Rejection, RemoteSource, answer,
};
use salono_sdp::{CodecKind, Direction, ExtensionKind, HashFunction, MediaKind, Setup};
use support::{local, parse, text};

/// Answers a description of the corpus.
fn answer_to(name: &str, local: &Local) -> Negotiated {
    answer(&parse(&text(name)), local).expect("the offer makes sense")
}

/// Answers a description of the corpus after replacing `from` by `to` everywhere.
fn answer_edited(name: &str, from: &str, to: &str) -> Negotiated {
    answer_with(name, from, to, &local())
}

fn answer_with(name: &str, from: &str, to: &str, local: &Local) -> Negotiated {
    let text = text(name);
    assert!(text.contains(from), "{from:?} is in {name}");
    answer(&parse(&text.replace(from, to)), local).expect("the offer makes sense")
}

#[test]
fn an_m_line_that_cannot_be_taken_is_rejected_for_its_reason() {
    let cases = [
        // Offered port 0.
        (
            "kurento",
            "m=video 1 ",
            "m=video 0 ",
            1,
            Rejection::Disabled,
        ),
        // Port 0 outside a group is a rejection, whatever bundle-only says.
        (
            "bundle_only",
            "BUNDLE 0 1 2",
            "BUNDLE 0 2",
            1,
            Rejection::Disabled,
        ),
        (
            "kurento",
            "m=video 1",
            "m=image 1",
            1,
            Rejection::UnsupportedKind,
        ),
        // One association is all there is.
        (
            "surplus",
            "m=text 9 UDP/TLS/RTP/SAVPF 98",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            5,
            Rejection::Surplus,
        ),
        (
            "kurento",
            "RTP/SAVPF",
            "RTP/AVPF",
            0,
            Rejection::UnsupportedProtocol,
        ),
        (
            "kurento",
            "RTP/SAVPF",
            "RTP/AVP",
            1,
            Rejection::UnsupportedProtocol,
        ),
        (
            "kurento",
            "UDP/DTLS/SCTP",
            "UDP/SCTP",
            2,
            Rejection::UnsupportedProtocol,
        ),
        (
            "kurento",
            " 96 0 8",
            " 9 13 110",
            0,
            Rejection::UnsupportedCodecs,
        ),
        (
            "kurento",
            " 102 103",
            " 126",
            1,
            Rejection::UnsupportedCodecs,
        ),
        (
            "kurento",
            "VP8/90000\r\na=rtpmap:103 H264",
            "rtx/90000\r\na=rtpmap:103 H263",
            1,
            Rejection::UnsupportedCodecs,
        ),
        // Right name, wrong clock.
        (
            "kurento",
            "VP8/90000\r\na=rtpmap:103 H264/90000",
            "VP8/8000\r\na=rtpmap:103 H264/8000",
            1,
            Rejection::UnsupportedCodecs,
        ),
        (
            "kurento",
            "webrtc-datachannel",
            "bfcp",
            2,
            Rejection::NoDataChannels,
        ),
        (
            "kurento",
            "sctp-port:28444",
            "sctp-port:0",
            2,
            Rejection::NoDataChannels,
        ),
        (
            "kurento",
            "a=ice-pwd",
            "a=x-pwd",
            0,
            Rejection::IncompleteTransport,
        ),
        (
            "kurento",
            "a=fingerprint:sha-256",
            "a=fingerprint:md5",
            1,
            Rejection::IncompleteTransport,
        ),
    ];
    for (name, from, to, index, rejection) in cases {
        let answered = answer_edited(name, from, to);
        let media = &answered.media[index];
        assert_eq!(media.rejection, Some(rejection), "{from:?} -> {to:?}");
        assert!(media.codecs.is_empty() && media.sctp.is_none());
        assert!(!media.send && !media.recv);
        let line = &answered.local.media[index];
        assert_eq!(line.port, 0);
        assert_eq!(line.formats.len(), 1);
        let mid = line.mid.as_ref().unwrap();
        assert!(!answered.local.bundle.iter().any(|mids| mids.contains(mid)));
    }
}

#[test]
fn data_channels_are_taken_only_when_enabled() {
    let mut local = local();
    local.sctp = None;
    let answered = answer_to("chromium", &local);
    assert_eq!(answered.media[2].rejection, Some(Rejection::NoDataChannels));
    assert!(answered.media[0].accepted() && answered.media[1].accepted());
}

#[test]
fn plain_rtp_is_answered_with_rejections_and_not_refused() {
    for name in ["rtp_avp", "rtp_savp_crypto"] {
        let answered = answer_to(name, &local());
        assert!(answered.media.iter().all(|media| !media.accepted()));
        assert!(answered.transports.is_empty());
    }
}

#[test]
fn an_offer_that_makes_no_sense_is_refused() {
    let answer = |text: &str| answer(&parse(text), &local());
    assert_eq!(answer("v=0\ns=-\n"), Err(NegotiationError::NoMedia));
    let twice = text("kurento").replace("mid:video0", "mid:audio0");
    let error = NegotiationError::DuplicateMid("audio0".to_owned());
    assert_eq!(answer(&twice), Err(error));
}

#[test]
fn we_are_the_dtls_server_unless_the_peer_insists() {
    let cases = [
        ("a=setup:actpass", DtlsRole::Passive, Setup::Passive),
        ("a=setup:active", DtlsRole::Passive, Setup::Passive),
        ("a=setup:passive", DtlsRole::Active, Setup::Active),
        ("a=setup:holdconn", DtlsRole::Passive, Setup::Passive),
        ("a=x-none", DtlsRole::Passive, Setup::Passive),
    ];
    for (offered, role, setup) in cases {
        let answered = answer_edited("kurento", "a=setup:actpass", offered);
        assert_eq!(answered.transports[0].dtls_role, role, "{offered}");
        for line in &answered.local.media {
            assert_eq!(line.transport.setup, Some(setup));
        }
    }
}

#[test]
fn the_direction_is_mirrored_and_only_what_we_send_is_announced() {
    let cases = [
        ("a=sendrecv", Direction::SendRecv),
        ("a=x-none", Direction::SendRecv),
        ("a=sendonly", Direction::RecvOnly),
        ("a=recvonly", Direction::SendOnly),
        ("a=inactive", Direction::Inactive),
    ];
    for (offered, ours) in cases {
        let answered = answer_edited("kurento", "a=sendrecv", offered);
        for (media, line) in answered.media.iter().zip(&answered.local.media).take(2) {
            assert_eq!(line.direction, ours, "{offered}");
            assert_eq!((media.send, media.recv), (ours.sends(), ours.receives()));
            assert_eq!(line.ssrcs.is_empty(), !ours.sends());
            assert_eq!(line.msids.is_empty(), !ours.sends());
            assert_eq!(media.remote_sources.is_empty(), !ours.receives());
        }
    }
}

#[test]
fn a_bundle_has_one_transport_and_separate_m_lines_have_their_own() {
    let bundled = answer_to("chromium", &local());
    assert_eq!(bundled.transports.len(), 1);
    assert_eq!(bundled.transports[0].mlines, [0, 1, 2]);

    for name in ["no_bundle", "no_mid"] {
        let separate = answer_to(name, &local());
        let ufrags: Vec<_> = separate
            .transports
            .iter()
            .map(|t| (t.local_ice.ufrag.as_str(), t.remote_ice.ufrag.as_str()))
            .collect();
        assert_eq!(ufrags, [("loc0", "own0"), ("loc1", "own1")], "{name}");
        assert!(separate.local.bundle.is_empty());
    }

    let partly = answer_edited("chromium", "BUNDLE 0 1 2", "BUNDLE 1 2");
    assert_eq!(partly.transports.len(), 2);
    assert_eq!(partly.transports[1].mlines, [1, 2]);
    assert_eq!(partly.local.bundle, [["1", "2"]]);

    let groups = answer_edited("chromium", "BUNDLE 0 1 2", "BUNDLE 0\r\na=group:BUNDLE 2 1");
    assert_eq!(groups.transports.len(), 2);
    assert_eq!(groups.local.bundle, [vec!["0"], vec!["2", "1"]]);
}

#[test]
fn bundle_only_m_lines_take_the_transport_of_their_group() {
    let answered = answer_to("bundle_only", &local());
    assert!(answered.media.iter().all(|media| media.accepted()));
    assert_eq!(answered.transports.len(), 1);
    assert_eq!(answered.transports[0].remote_ice.ufrag, "Kq7z");
    assert!(answered.local.media.iter().all(|line| line.port != 0));
}

#[test]
fn candidates_of_a_transport_are_collected_once() {
    let answered = answer_to("no_bundle", &local());
    let [audio, video] = answered.transports.as_slice() else {
        panic!("two transports");
    };
    assert_eq!(audio.remote_candidates.len(), 1);
    assert!(audio.remote_end_of_candidates);
    assert!(video.remote_candidates[0].contains(" 50001 "));
    assert!(!video.remote_end_of_candidates);
}

#[test]
fn the_strongest_fingerprint_counts() {
    let answered = answer_to("munged", &local());
    let [fingerprint] = answered.transports[0].remote_fingerprints.as_slice() else {
        panic!("one fingerprint");
    };
    assert_eq!(fingerprint.algorithm, HashFunction::Sha256);
    assert_eq!(fingerprint.digest[..2], [0xab, 0xcd]);
}

#[test]
fn every_offered_h264_variant_is_matched_by_profile_and_mode() {
    let local = Local {
        video_codecs: vec![LocalCodec::new(
            CodecKind::H264,
            Some("profile-level-id=42e01f;packetization-mode=1"),
        )],
        ..local()
    };
    let answered = answer_to("chromium", &local);
    let [codec] = answered.media[1].codecs.as_slice() else {
        panic!("one codec");
    };
    assert_eq!((codec.send_pt, codec.receive_pt), (109, 109));
    assert_eq!(codec.send_rtx_pt, Some(114));
    assert_eq!(answered.local.media[1].formats, ["109", "114"]);
    assert!(
        codec
            .fmtp
            .as_ref()
            .unwrap()
            .contains("level-asymmetry-allowed=1")
    );
}

#[test]
fn retransmission_and_transport_cc_can_be_switched_off() {
    let local = Local {
        rtx: false,
        transport_cc: false,
        ..local()
    };
    let answered = answer_to("chromium", &local);
    let written = answered.local.to_string();
    for absent in [
        "rtx",
        "transport-cc",
        "transport-wide-cc",
        "FID",
        "a=ssrc:22",
    ] {
        assert!(!written.contains(absent), "{absent}");
    }
    for media in &answered.media {
        assert!(media.codecs.iter().all(|c| c.send_rtx_pt.is_none()));
        assert!(media.codecs.iter().all(|c| !c.feedback.transport_cc));
    }
}

#[test]
fn retransmission_has_the_clock_of_its_codec() {
    let answered = answer_edited("chromium", "a=rtpmap:97 rtx/90000", "a=rtpmap:97 rtx/8000");
    assert_eq!(answered.media[1].codecs[0].send_rtx_pt, None);
    assert!(answered.media[1].codecs[1].send_rtx_pt.is_some());
    assert!(!answered.local.media[1].formats.contains(&"97".to_owned()));
}

#[test]
fn transport_cc_feedback_needs_its_header_extension() {
    let answered = answer_edited("chromium", "transport-wide-cc", "other");
    let feedback = answered.media[1].codecs[0].feedback;
    assert!(!feedback.transport_cc && feedback.goog_remb && feedback.nack);
}

#[test]
fn who_only_listens_is_not_asked_to_report_on_congestion() {
    let negotiated = |direction, video_port| {
        let mut offer = parse(&text("chromium"));
        offer.media[0].direction = direction;
        offer.media[1].port = video_port;
        let answered = answer(&offer, &local()).expect("the offer makes sense");
        let has_extension = |it: &NegotiatedExtension| it.kind == ExtensionKind::TransportCc;
        let audio = &answered.media[0];
        let is_numbered = audio.extensions.iter().any(has_extension);
        assert_eq!(audio.codecs[0].feedback.transport_cc, is_numbered);
        is_numbered
    };
    assert!(!negotiated(Direction::RecvOnly, 0));
    assert!(negotiated(Direction::RecvOnly, 9), "pictures are adapted");
    assert!(negotiated(Direction::SendRecv, 0), "so is what it sends");
}

#[test]
fn an_offered_nack_for_opus_is_taken() {
    let answered = answer_edited("chromium", "a=rtcp-fb:111 transport-cc", "a=rtcp-fb:* nack");
    assert!(answered.media[0].codecs[0].feedback.nack);
    assert!(!answered.media[0].codecs[1].feedback.nack);
}

#[test]
fn telephone_events_follow_their_clock_and_are_no_audio_alone() {
    let alone = answer_edited("chromium", " 111 63 9 0 8 13 110 126", " 110 126");
    assert_eq!(alone.media[0].rejection, Some(Rejection::UnsupportedCodecs));
    let opus = answer_edited("chromium", " 111 63 9 0 8 13 110 126", " 111 110 126");
    assert_eq!(opus.local.media[0].formats, ["111", "110"]);
}

#[test]
fn extensions_above_14_need_the_two_byte_form() {
    let from = "extmap:13 urn:3gpp";
    let one_byte = answer_edited("chromium", from, "extmap:20 urn:3gpp");
    let has = |answered: &Negotiated| {
        let kind = ExtensionKind::VideoOrientation;
        answered.media[1].extensions.iter().any(|e| e.kind == kind)
    };
    assert!(!has(&one_byte) && !one_byte.local.extmap_allow_mixed);
    let local = Local {
        mixed_extensions: true,
        ..local()
    };
    let two_byte = answer_with("chromium", from, "extmap:20 urn:3gpp", &local);
    assert!(has(&two_byte) && two_byte.local.extmap_allow_mixed);
}

#[test]
fn the_direction_of_an_extension_is_mirrored() {
    let answered = answer_edited("chromium", "extmap:13 urn", "extmap:13/sendonly urn");
    let written = answered.local.to_string();
    assert!(written.contains("a=extmap:13/recvonly urn:3gpp:video-orientation\r\n"));
    let kind = ExtensionKind::VideoOrientation;
    let mut extensions = answered.media[1].extensions.iter();
    let extension = extensions.find(|e| e.kind == kind).unwrap();
    assert!(extension.recv && !extension.send);
}

#[test]
fn simulcast_is_received_and_only_with_identified_streams() {
    let answered = answer_edited(
        "chromium_simulcast",
        "a=rid:h send",
        "a=rid:h send pt=96,100",
    );
    let rids: Vec<_> = answered.media[1]
        .rids
        .iter()
        .map(|r| r.to_string())
        .collect();
    assert_eq!(rids, ["q recv", "h recv pt=96", "f recv"]);

    let missing = answer_edited("chromium_simulcast", "a=rid:h send", "a=rid:h send pt=100");
    let written = missing.local.to_string();
    assert!(written.contains("a=simulcast:recv q;~f\r\n"));

    for (from, to) in [
        ("sdes:rtp-stream-id", "sdes:other"),
        ("a=simulcast:send", "a=simulcast:recv"),
        ("a=sendonly", "a=recvonly"),
    ] {
        let without = answer_edited("chromium_simulcast", from, to);
        assert!(without.media[1].rids.is_empty(), "{to}");
        let written = without.local.to_string();
        assert!(!written.contains("simulcast") && !written.contains("a=rid"));
    }
}

#[test]
fn sources_of_plan_b_keep_their_layers_and_retransmissions_together() {
    let answered = answer_to("plan_b", &local());
    let source = |ssrc, rtx_ssrc| RemoteSource {
        ssrc,
        rtx_ssrc: Some(rtx_ssrc),
        cname: Some("planb".to_owned()),
        is_layer: true,
    };
    let expected = [source(5001, 5002), source(5003, 5004)];
    assert_eq!(answered.media[1].remote_sources, expected);
}

#[test]
fn receive_limits_are_written_into_their_m_line() {
    let local = Local {
        max_audio_recv_kbps: 48,
        max_video_recv_kbps: 800,
        ..local()
    };
    let answered = answer_to("chromium", &local);
    let limits: Vec<_> = answered
        .local
        .media
        .iter()
        .map(|m| m.bandwidth.len())
        .collect();
    assert_eq!(limits, [1, 1, 0]);
    let written = answered.local.to_string();
    assert!(written.contains("b=AS:48\r\n") && written.contains("b=AS:800\r\n"));
}

#[test]
fn sctp_parameters_have_their_defaults() {
    let sctp = |from, to| answer_edited("kurento", from, to).media[2].sctp.unwrap();
    let kurento = answer_to("kurento", &local()).media[2].sctp.unwrap();
    assert_eq!((kurento.local_port, kurento.remote_port), (5000, 28444));
    assert_eq!(kurento.remote_max_message_size, 65_536);
    let unlimited = sctp("a=sctp-port:28444", "a=max-message-size:0");
    assert_eq!(unlimited.remote_port, 5000);
    assert_eq!(unlimited.remote_max_message_size, u64::MAX);
    let legacy = answer_to("legacy_data", &local());
    let legacy = legacy.media[0].sctp.unwrap();
    assert_eq!((legacy.local_port, legacy.remote_port), (5017, 5017));
}

#[test]
fn candidates_are_added_to_accepted_m_lines_only() {
    let mut description = answer_edited("kurento", "m=video 1 ", "m=video 0 ").local;
    let candidate = "candidate:1 1 UDP 2130706431 192.0.2.1 40000 typ host";
    assert!(description.add_candidate(0, candidate));
    assert!(
        !description.add_candidate(0, &format!("a={candidate}")),
        "twice"
    );
    assert!(!description.add_candidate(1, candidate), "rejected");
    assert!(!description.add_candidate(9, candidate), "absent");
    assert!(
        !description.add_candidate(2, "candidate:1\r\na=evil"),
        "two lines"
    );
    assert!(!description.add_candidate(2, "mid:0"), "no candidate");
    for index in 0..4 {
        description.end_of_candidates(index);
        description.set_default_address(index, "192.0.2.1".parse().unwrap(), 40_000);
    }
    description.set_default_address(0, "192.0.2.2".parse().unwrap(), 0);
    let written = description.to_string();
    assert_eq!(written.matches(candidate).count(), 1);
    assert_eq!(written.matches("a=end-of-candidates\r\n").count(), 2);
    assert!(written.contains("m=audio 40000 RTP/SAVPF"));
    assert!(written.contains("a=rtcp:40000 IN IP4 192.0.2.1\r\n"));
    assert!(written.contains("m=video 0 RTP/SAVPF"));
    assert_eq!(parse(&written), description);
}

#[test]
fn every_acceptable_m_line_is_accepted_whatever_stands_before_it() {
    let answered = answer_to("surplus", &local());
    let accepted: Vec<_> = answered
        .media
        .iter()
        .filter(|media| media.accepted())
        .map(|media| (media.index, media.kind))
        .collect();
    assert_eq!(
        accepted,
        [
            (1, MediaKind::Audio),
            (2, MediaKind::Audio),
            (5, MediaKind::Application)
        ]
    );
}

#[test]
fn redundant_audio_is_taken_only_beside_the_opus_that_it_carries() {
    let kinds = |from: &str, to: &str| -> Vec<u8> {
        let answered = answer_edited("chromium", from, to);
        let codecs = answered.media[0].codecs.iter();
        codecs
            .filter(|codec| codec.kind == CodecKind::OpusRed)
            .map(|codec| codec.send_pt)
            .collect()
    };
    let fmtp = "a=fmtp:63 111/111";
    assert_eq!(kinds(fmtp, fmtp), [63]);
    // Of G.711, of nothing that is offered, of nothing at all, or not redundant audio.
    for other in [
        "a=fmtp:63 0/0",
        "a=fmtp:63 99/99",
        "a=fmtp:63 x",
        "a=ptime:20",
    ] {
        assert_eq!(kinds(fmtp, other), [0_u8; 0], "{other}");
    }
    let map = "a=rtpmap:63 red/48000/2";
    assert_eq!(kinds(map, "a=rtpmap:63 red/8000"), [0_u8; 0]);
    let without_opus = Local {
        audio_codecs: vec![LocalCodec::new(CodecKind::Pcmu, None)],
        ..local()
    };
    let answered = answer_with("chromium", "a=mid:0", "a=mid:0", &without_opus);
    let is_red = |codec: &NegotiatedCodec| codec.kind == CodecKind::OpusRed;
    assert!(!answered.media[0].codecs.iter().any(is_red));
}
