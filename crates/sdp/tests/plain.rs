//! Offers and answers of programs and telephones that speak RTP without ICE and DTLS.

#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is how these tests fail"
)]

use salono_sdp::attribute::Crypto;
use salono_sdp::negotiate::plain::{Local, Negotiated, answer, apply_answer, offer, remote_ip};
use salono_sdp::negotiate::{OfferOptions, Rejection};
use salono_sdp::{CodecKind, Description, Limits, MediaKind};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5";

/// ffmpeg with `-f rtp`: H.264 in high profile with its parameter sets.
const FFMPEG: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
a=tool:libavformat 59.27.100\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z2QADazZQUH7ARAAAAMAEAAAAwPA8UKZYA==,aOvjyyLA; profile-level-id=64000D\r\n";

/// Linphone: two m-lines, feedback under RTP/AVP by attribute alone, digits, a wideband codec.
const LINPHONE: &str = "v=0\r\no=alice 3747 2143 IN IP4 192.0.2.7\r\ns=Talk\r\nc=IN IP4 192.0.2.7\r\n\
b=AS:380\r\nt=0 0\r\na=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n\
m=audio 7078 RTP/AVPF 96 97 98 0 8 18 101 99 100\r\na=rtpmap:96 opus/48000/2\r\n\
a=fmtp:96 useinbandfec=1\r\na=rtpmap:97 speex/16000\r\na=fmtp:97 vbr=on\r\na=rtpmap:98 speex/8000\r\n\
a=fmtp:18 annexb=yes\r\na=rtpmap:101 telephone-event/48000\r\na=rtpmap:99 telephone-event/16000\r\n\
a=rtpmap:100 telephone-event/8000\r\na=rtcp-fb:* trr-int 5000\r\na=rtcp-fb:* ccm tmmbr\r\n\
m=video 9078 RTP/AVPF 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\n\
a=fmtp:97 profile-level-id=42801F\r\na=rtcp-fb:* trr-int 5000\r\na=rtcp-fb:96 nack pli\r\n\
a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:97 nack pli\r\n";

/// Zoiper: narrowband, packet times.
const ZOIPER: &str = "v=0\r\no=Z 0 1234567 IN IP4 192.0.2.8\r\ns=Z\r\nc=IN IP4 192.0.2.8\r\nt=0 0\r\n\
m=audio 8000 RTP/AVP 3 110 97 8 0 101\r\na=rtpmap:110 speex/8000\r\na=rtpmap:97 iLBC/8000\r\n\
a=fmtp:97 mode=20\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n\
a=maxptime:150\r\na=sendrecv\r\n";

/// Asterisk: SRTP, an address per m-line, a fax m-line.
const ASTERISK: &str = "v=0\r\no=- 1420 2 IN IP4 198.51.100.1\r\ns=Asterisk\r\nt=0 0\r\n\
m=audio 12346 RTP/SAVP 0 8 9 101\r\nc=IN IP4 198.51.100.2\r\n\
a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==\r\n\
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5|2^31|1:1\r\n\
a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:12399\r\na=sendrecv\r\n\
m=image 4000 udptl t38\r\n";

fn parse(text: &str) -> Description {
    Description::parse(text, &Limits::default()).unwrap()
}

/// An endpoint with ports for both kinds.
fn local(crypto: Option<&str>) -> Local {
    let crypto = crypto.map(|suite| Crypto::parse(&format!("1 {suite} inline:{KEY}")).unwrap());
    let mut local = Local::new(3_900_000_000, "salono", crypto, 11, 21);
    local.address = "203.0.113.5".parse().unwrap();
    local.audio.ports = Some((20_000, 20_001));
    local.video.ports = Some((20_002, 20_003));
    local
}

fn answer_to(text: &str, crypto: Option<&str>) -> Negotiated {
    answer(&parse(text), &local(crypto)).unwrap()
}

fn rejections(negotiated: &Negotiated) -> Vec<Option<Rejection>> {
    negotiated
        .media
        .iter()
        .map(|media| media.rejection)
        .collect()
}

#[test]
fn an_offer_of_ffmpeg_is_taken_in_any_profile_of_h264() {
    let negotiated = answer_to(FFMPEG, None);
    assert_eq!(
        negotiated.local.to_string(),
        "v=0\r\no=- 3900000000 3900000000 IN IP4 203.0.113.5\r\ns=Salono\r\n\
         c=IN IP4 203.0.113.5\r\nt=0 0\r\nm=video 20002 RTP/AVP 96\r\na=sendrecv\r\na=rtcp:20003\r\n\
         a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=64000D\r\n\
         a=ssrc:21 cname:salono\r\n"
    );
    let [transport] = &negotiated.transports[..] else {
        panic!("one transport");
    };
    assert_eq!(transport.rtp, Some("127.0.0.1:5004".parse().unwrap()));
    assert_eq!(transport.rtcp, Some("127.0.0.1:5005".parse().unwrap()));
    let codec = &negotiated.media[0].codecs[0];
    assert!(codec.kind.forwards(
        codec.fmtp.as_deref(),
        Some("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
    ));
    assert!(!negotiated.media[0].keyframe_requests);
    assert_eq!(
        remote_ip(&parse(FFMPEG)),
        Some("127.0.0.1".parse().unwrap())
    );
}

#[test]
fn a_telephone_with_pictures_gets_the_feedback_that_it_knows() {
    let negotiated = answer_to(LINPHONE, None);
    assert_eq!(rejections(&negotiated), [None, None]);
    let kinds = |index: usize| -> Vec<CodecKind> {
        let codecs = &negotiated.media[index].codecs;
        codecs.iter().map(|codec| codec.kind).collect()
    };
    let digits = CodecKind::TelephoneEvent;
    let audio = [
        CodecKind::Opus,
        CodecKind::Pcmu,
        CodecKind::Pcma,
        digits,
        digits,
    ];
    assert_eq!(kinds(0), audio);
    assert_eq!(kinds(1), [CodecKind::Vp8, CodecKind::H264]);
    assert!(negotiated.media[1].keyframe_requests);
    let text = negotiated.local.to_string();
    assert!(
        text.contains("m=audio 20000 RTP/AVPF 96 0 8 101 100\r\n"),
        "{text}"
    );
    assert!(
        text.contains("a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir\r\n"),
        "{text}"
    );
    assert!(!text.contains("trr-int"), "{text}");
}

#[test]
fn a_telephone_without_known_extras_is_answered_in_its_order() {
    let negotiated = answer_to(ZOIPER, None);
    let text = negotiated.local.to_string();
    assert!(text.contains("m=audio 20000 RTP/AVP 8 0 101\r\n"), "{text}");
    assert!(!text.contains("rtcp-fb"), "{text}");
}

#[test]
fn the_crypto_line_of_our_suite_is_chosen_and_the_rest_rejected() {
    let negotiated = answer_to(ASTERISK, Some("AES_CM_128_HMAC_SHA1_80"));
    assert_eq!(
        rejections(&negotiated),
        [None, Some(Rejection::UnsupportedKind)]
    );
    let transport = &negotiated.transports[0];
    assert_eq!(transport.rtp, Some("198.51.100.2:12346".parse().unwrap()));
    assert_eq!(transport.rtcp, Some("198.51.100.2:12399".parse().unwrap()));
    let key = transport.remote_key.as_ref().unwrap();
    assert_eq!((key.tag, key.mki_len), (2, 1));
    let text = negotiated.local.to_string();
    let own = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n");
    assert!(text.contains(&own), "{text}");
    assert!(text.contains("m=image 0 udptl t38\r\n"), "{text}");
}

#[test]
fn an_endpoint_with_a_key_speaks_srtp_only_and_one_without_never() {
    let suite = Some("AES_CM_128_HMAC_SHA1_80");
    let refused = [Some(Rejection::UnsupportedProtocol)];
    assert_eq!(rejections(&answer_to(ZOIPER, suite)), refused);
    assert_eq!(rejections(&answer_to(ASTERISK, None))[..1], refused);
    let other = answer_to(ASTERISK, Some("AES_CM_128_HMAC_SHA1_32"));
    assert_eq!(rejections(&other)[..1], [Some(Rejection::NoCrypto)]);
}

#[test]
fn pass_through_video_of_kurentos_own_tests_is_answered() {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                m=video 5004 RTP/AVP 34 96 97 98\r\na=rtpmap:96 MP4V-ES/90000\r\n\
                a=rtpmap:97 H263-1998/90000\r\na=rtpmap:98 H264/90000\r\n";
    let negotiated = answer_to(text, None);
    let kinds: Vec<_> = negotiated.media[0].codecs.iter().map(|c| c.kind).collect();
    assert_eq!(
        kinds,
        [
            CodecKind::H263,
            CodecKind::Mp4vEs,
            CodecKind::H263v1998,
            CodecKind::H264
        ]
    );
}

#[test]
fn what_cannot_be_taken_is_rejected_for_its_reason() {
    for (from, to, reason) in [
        ("m=audio 8000", "m=audio 0", Rejection::Disabled),
        (
            "RTP/AVP",
            "UDP/TLS/RTP/SAVPF",
            Rejection::UnsupportedProtocol,
        ),
        (
            " 3 110 97 8 0 101",
            " 3 110 97 101",
            Rejection::UnsupportedCodecs,
        ),
    ] {
        let negotiated = answer_to(&ZOIPER.replace(from, to), None);
        assert_eq!(rejections(&negotiated), [Some(reason)], "{to}");
        assert!(negotiated.local.to_string().contains("m=audio 0 "));
    }
    let mut without_ports = local(None);
    without_ports.audio.ports = None;
    let negotiated = answer(&parse(ZOIPER), &without_ports).unwrap();
    assert_eq!(rejections(&negotiated), [Some(Rejection::NoPort)]);
    let twice = format!("{ZOIPER}m=audio 9000 RTP/AVP 0\r\n");
    assert_eq!(
        rejections(&answer_to(&twice, None)),
        [None, Some(Rejection::Surplus)]
    );
}

#[test]
fn the_peer_is_learned_where_its_address_says_nothing() {
    for (from, to, ours) in [
        (
            "a=ptime:20",
            "a=direction:active",
            "a=direction:passive\r\n",
        ),
        ("a=ptime:20", "a=direction:both", "a=direction:passive\r\n"),
        ("c=IN IP4 192.0.2.8", "c=IN IP4 0.0.0.0", ""),
        ("c=IN IP4 192.0.2.8", "c=IN IP4 phone.example.org", ""),
        ("c=IN IP4 192.0.2.8", "c=IN IP4 224.2.1.1/127", ""),
    ] {
        let negotiated = answer_to(&ZOIPER.replace(from, to), None);
        let transport = &negotiated.transports[0];
        let learns = to != "a=direction:both";
        assert_eq!(transport.rtp.is_none(), learns, "{to}");
        assert_eq!(transport.rtcp.is_none(), learns, "{to}");
        assert!(negotiated.local.to_string().contains(ours), "{to}");
    }
    let ipv6 = ZOIPER.replace("c=IN IP4 192.0.2.8", "c=IN IP6 2001:db8::8");
    let transport = &answer_to(&ipv6, None).transports[0];
    assert_eq!(transport.rtcp, Some("[2001:db8::8]:8001".parse().unwrap()));
    let mux = ZOIPER.replace("a=ptime:20", "a=rtcp-mux");
    let negotiated = answer_to(&mux, None);
    assert_eq!(negotiated.transports[0].rtcp, negotiated.transports[0].rtp);
    assert!(negotiated.local.to_string().contains("a=rtcp-mux\r\n"));
}

#[test]
fn our_offer_has_kurentos_numbers_and_an_answer_in_another_profile_is_applied() {
    let local = local(None);
    let offered = offer(&local, OfferOptions::default());
    let text = offered.description.to_string();
    assert!(
        text.contains("m=audio 20000 RTP/AVPF 96 0 8 97\r\n"),
        "{text}"
    );
    assert!(
        text.contains("m=video 20002 RTP/AVPF 105 106 107 108 109\r\n"),
        "{text}"
    );
    assert!(
        text.contains("a=rtcp:20001\r\n") && text.contains("a=mid:video0\r\n"),
        "{text}"
    );
    let answer = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
                  m=audio 7000 RTP/AVP 8\r\nm=video 0 RTP/AVP 108\r\n";
    let negotiated = apply_answer(&offered, &parse(answer), &local).unwrap();
    assert_eq!(
        rejections(&negotiated),
        [None, Some(Rejection::RejectedByPeer)]
    );
    assert_eq!(negotiated.media[0].codecs[0].kind, CodecKind::Pcma);
    assert_eq!(negotiated.transports.len(), 1);
    assert_eq!(negotiated.transports[0].kind, MediaKind::Audio);
    let h264 = answer.replace("video 0 RTP/AVP 108", "video 7002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\na=fmtp:99 profile-level-id=640028;packetization-mode=1");
    let negotiated = apply_answer(&offered, &parse(&h264), &local).unwrap();
    let codec = &negotiated.media[1].codecs[0];
    assert_eq!((codec.send_pt, codec.receive_pt), (99, 109));
    assert!(!codec.feedback.nack_pli);
}

#[test]
fn our_own_offer_and_answer_fit_each_other_with_a_key() {
    for suite in ["AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"] {
        let local = local(Some(suite));
        let offered = offer(&local, OfferOptions::default());
        let text = offered.description.to_string();
        assert!(text.contains("RTP/SAVPF"), "{text}");
        let answered = answer(&parse(&text), &local).unwrap();
        assert_eq!(rejections(&answered), [None, None]);
        let text = answered.local.to_string();
        let applied = apply_answer(&offered, &parse(&text), &local).unwrap();
        assert_eq!(rejections(&applied), [None, None]);
        assert!(applied.media[1].keyframe_requests);
        let key = applied.transports[1].remote_key.as_ref().unwrap();
        assert_eq!(Some(key), local.crypto.as_ref());
    }
}
