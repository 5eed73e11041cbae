//! Rules of reading that no description of the corpus depends on.

mod support;

use salono_sdp::attribute::{Address, Extension, Rid, Simulcast, SsrcGroup};
use salono_sdp::{CodecKind, Description, Direction, Fingerprint, Setup, fmtp_value};
use support::parse;

fn with_media(session: &str, media: &str) -> Description {
    let (session, media) = (session.replace('|', "\n"), media.replace('|', "\n"));
    parse(&format!(
        "v=0\n{session}\nm=audio 9 RTP/SAVPF 0 96 97 200\n{media}\n"
    ))
}

#[test]
fn an_m_line_takes_from_the_session_what_it_does_not_say() {
    let digest = ["5A"; 20].join(":");
    let session = format!(
        "a=recvonly|a=setup:passive|a=ice-ufrag:sess|a=ice-pwd:sessionPassword|a=ice-options:trickle|a=fingerprint:sha-1 {digest}|a=extmap:5 urn:session"
    );
    let inherited = with_media(&session, "a=x");
    let transport = inherited.transport_of(0);
    assert_eq!(inherited.media[0].direction, Direction::RecvOnly);
    assert_eq!(inherited.media[0].extensions[0].uri, "urn:session");
    assert_eq!(transport.setup, Some(Setup::Passive));
    assert_eq!(transport.ice_options, ["trickle"]);
    assert_eq!(transport.fingerprints.len(), 1);
    assert_eq!(transport, inherited.transport_of(99));

    let own = "a=sendonly|a=setup:active|a=ice-ufrag:own|a=ice-pwd:ownPassword|a=ice-options:ice2";
    let own = with_media(&session, own);
    let transport = own.transport_of(0);
    assert_eq!(own.media[0].direction, Direction::SendOnly);
    assert_eq!(transport.setup, Some(Setup::Active));
    assert_eq!(transport.ice_options, ["ice2"]);
    let ice = transport.ice.unwrap();
    assert_eq!(
        (ice.ufrag.as_str(), ice.pwd.as_str()),
        ("own", "ownPassword")
    );
}

#[test]
fn ice_credentials_count_only_in_full_and_of_legal_length() {
    let long = "x".repeat(257);
    for media in [
        "a=ice-ufrag:only".to_owned(),
        "a=ice-pwd:only".to_owned(),
        "a=ice-ufrag:two words|a=ice-pwd:p".to_owned(),
        format!("a=ice-ufrag:u|a=ice-pwd:{long}"),
    ] {
        assert!(with_media("a=x", &media).transport_of(0).ice.is_none());
    }
    let longest = format!("a=ice-ufrag:u|a=ice-pwd:{}", &long[1..]);
    assert!(with_media("a=x", &longest).transport_of(0).ice.is_some());
}

#[test]
fn credentials_do_not_reach_debug_output() {
    let description = with_media("a=x", "a=ice-ufrag:user|a=ice-pwd:verySecret");
    assert!(!format!("{description:?}").contains("verySecret"));
}

#[test]
fn only_payload_types_with_a_mapping_are_codecs() {
    let media = "a=rtpmap:97 opus/48000/2|a=rtpmap:200 opus/48000/2|a=rtpmap:98 PCMA/8000";
    let codecs: Vec<_> = with_media("a=x", media).media[0]
        .codecs
        .iter()
        .map(|codec| (codec.pt, codec.name.clone()))
        .collect();
    assert_eq!(codecs, [(0, "PCMU".to_owned()), (97, "opus".to_owned())]);
}

#[test]
fn a_codec_is_known_by_name_clock_and_channels() {
    let kind = |rtpmap: &str| {
        let description = with_media("a=x", &format!("a=rtpmap:96 {rtpmap}"));
        let codec = description.media[0].codec(96).cloned();
        codec.and_then(|codec| CodecKind::of(&codec))
    };
    assert_eq!(kind("OPUS/48000/2"), Some(CodecKind::Opus));
    assert_eq!(kind("PCMU/8000/1"), Some(CodecKind::Pcmu));
    assert_eq!(
        kind("telephone-event/48000"),
        Some(CodecKind::TelephoneEvent)
    );
    for unknown in [
        "opus/48000",
        "opus/16000/2",
        "PCMU/8000/2",
        "vp8/90000/2",
        "opus/48000/0",
        "opus/x/2",
        "/48000/2",
        "opus",
    ] {
        assert_eq!(kind(unknown), None, "{unknown}");
    }
}

#[test]
fn profiles_decide_what_is_compatible_and_what_is_forwarded() {
    let (vp9, av1, h264) = (CodecKind::Vp9, CodecKind::Av1, CodecKind::H264);
    let cases = [
        (vp9, None, Some("profile-id=0"), true),
        (vp9, Some("max-fr=60"), Some("Profile-ID=0"), true),
        (vp9, Some("profile-id=2"), Some("profile-id=0"), false),
        (vp9, Some("profile-id=x"), Some("profile-id=x"), false),
        (
            av1,
            Some("level-idx=5;profile=0"),
            Some("profile=0;tier=1"),
            true,
        ),
        (av1, Some("profile=1"), None, false),
        (h264, None, Some("profile-level-id=42e01f"), true),
        (h264, Some("profile-level-id=f4001f"), None, false),
        (CodecKind::Opus, Some("stereo=1"), None, true),
    ];
    for (kind, a, b, expected) in cases {
        assert_eq!(kind.compatible(a, b), expected, "{kind:?} {a:?} {b:?}");
        assert_eq!(kind.compatible(b, a), expected);
        assert_eq!(kind.forwards(a, b), expected);
    }
    let (baseline, constrained) = ("profile-level-id=42001f", "profile-level-id=42e01f");
    assert!(!h264.compatible(Some(baseline), Some(constrained)));
    assert!(h264.forwards(Some(baseline), Some(constrained)));
}

#[test]
fn format_parameters_are_found_by_name() {
    let fmtp = "minptime=10; UseInbandFec = 1;0-15;stereo=";
    assert_eq!(fmtp_value(fmtp, "useinbandfec"), Some("1"));
    assert_eq!(fmtp_value(fmtp, "stereo"), Some(""));
    assert_eq!(fmtp_value(fmtp, "inband"), None);
}

#[test]
fn attribute_values_that_are_not_whole_count_as_absent() {
    for value in [
        "",
        "1",
        "0 urn:x",
        "256 urn:x",
        "1/sideways urn:x",
        "x urn:x",
    ] {
        assert_eq!(Extension::parse(value), None, "{value:?}");
    }
    for value in ["", "FID", "FID 1 x", "FID 4294967296"] {
        assert_eq!(SsrcGroup::parse(value), None, "{value:?}");
    }
    for value in ["", "q", "q both"] {
        assert_eq!(Rid::parse(value), None, "{value:?}");
    }
    for value in ["", "send", "send ~", "send ;,", "both q"] {
        assert_eq!(Simulcast::parse(value), None, "{value:?}");
    }
    for value in ["", "IN IP4", "IN IP5 x", "XX IP4 192.0.2.1", "IN IP4 /127"] {
        assert_eq!(Address::parse(value), None, "{value:?}");
    }
    for value in [
        "",
        "sha-1",
        "sha-1 5A:5A",
        "md5 00",
        "sha-1 +5:5A",
        "sha-1 é",
    ] {
        assert_eq!(Fingerprint::parse(value), None, "{value:?}");
    }
}

#[test]
fn both_directions_of_simulcast_and_its_alternatives_are_read() {
    let value = "send q,~h;f recv a";
    let simulcast = Simulcast::parse(value).unwrap();
    assert_eq!(simulcast.send[0][1].id, "h");
    assert!(simulcast.send[0][1].paused && !simulcast.send[1][0].paused);
    assert_eq!(simulcast.recv[0][0].id, "a");
    assert_eq!(simulcast.to_string(), value);
    let endless = format!("send {}", "q;".repeat(1_000));
    assert_eq!(Simulcast::parse(&endless).unwrap().send.len(), 16);
}
