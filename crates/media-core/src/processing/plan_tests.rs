use super::*;
use proptest::prelude::*;
use salono_media_api::StreamName;
use salono_media_api::processing::{AudioForm, Fraction, VideoForm};

const PLAYER: ElementKey = ElementKey(100);
const FILTER: ElementKey = ElementKey(101);

fn format(codec: &str) -> RtpFormat {
    let is_audio = codec == "opus" || codec == "PCMU";
    RtpFormat {
        codec: codec.to_owned(),
        payload_type: 96,
        clock_rate: match codec {
            "opus" => 48_000,
            "PCMU" => 8_000,
            _ => 90_000,
        },
        channels: match codec {
            "opus" => 2,
            _ => u8::from(is_audio),
        },
        parameters: match codec {
            "H264" => "packetization-mode=1;profile-level-id=42e01f".to_owned(),
            _ => String::new(),
        },
    }
}

fn stream(element: u64, kind: MediaKind) -> Stream {
    Stream {
        element: ElementKey(element),
        kind,
        name: StreamName::Default,
        takes: None,
    }
}

fn receiver(source: Source, codecs: &[&str]) -> Receiver {
    Receiver {
        source,
        takes: codecs.iter().map(|codec| format(codec)).collect(),
    }
}

fn encoding(video: Option<VideoForm>, audio: Option<AudioForm>) -> Encoding {
    Encoding {
        target: Bitrate::kbps(300),
        min: Bitrate::ZERO,
        max: Bitrate::kbps(2_000),
        video,
        audio,
    }
}

fn codecs(plan: &Plan) -> Vec<&str> {
    let outlets = plan.outlets.iter();
    outlets.map(|wanted| wanted.format.codec.as_str()).collect()
}

#[test]
fn receivers_that_share_a_codec_share_a_stream_and_nothing_comes_before_there_is_something() {
    let mut situation = Situation::default();
    for (viewer, takes) in [
        (1, &["VP8", "H264"][..]),
        (2, &["VP9", "VP8"]),
        (3, &["H264"]),
    ] {
        let source = Source::Element(PLAYER);
        let sink = stream(viewer, MediaKind::Video);
        situation.receivers.insert(sink, receiver(source, takes));
    }
    let formats = BTreeMap::new();
    assert_eq!(
        plan(&situation, &formats, Transcoding::Allow),
        Plan::default()
    );
    situation.produced.insert((PLAYER, MediaKind::Video), None);
    let raw = plan(&situation, &formats, Transcoding::Allow);
    assert_eq!(codecs(&raw), ["H264", "VP8"]);
    assert_eq!(raw.receivers.len(), 3);
    // Raw media has to be encoded, whatever is allowed.
    assert_eq!(plan(&situation, &formats, Transcoding::Deny), raw);
    let native = Some(format("H264"));
    situation
        .produced
        .insert((PLAYER, MediaKind::Video), native);
    let encoded = plan(&situation, &formats, Transcoding::Allow);
    assert_eq!(codecs(&encoded), ["H264", "VP8"]);
    let denied = plan(&situation, &formats, Transcoding::Deny);
    assert_eq!(codecs(&denied), ["H264"]);
    assert_eq!(denied.denied, BTreeSet::from([stream(2, MediaKind::Video)]));
}

#[test]
fn a_stream_of_a_peer_goes_in_once_and_comes_out_once_per_codec() {
    let camera = stream(1, MediaKind::Video);
    let source = Source::Stream(camera.clone());
    let mut situation = Situation::default();
    situation
        .inputs
        .insert((FILTER, MediaKind::Video), source.clone());
    for viewer in 2..10 {
        let sink = stream(viewer, MediaKind::Video);
        situation
            .receivers
            .insert(sink, receiver(source.clone(), &["H264"]));
    }
    let mut formats = BTreeMap::new();
    assert_eq!(
        plan(&situation, &formats, Transcoding::Allow),
        Plan::default()
    );
    formats.insert(camera.clone(), format("VP8"));
    let made = plan(&situation, &formats, Transcoding::Allow);
    assert_eq!(
        made.inlets,
        BTreeMap::from([(camera.clone(), format("VP8"))])
    );
    assert_eq!(made.links, situation.inputs);
    assert_eq!(codecs(&made), ["H264"]);
    assert_eq!(made.receivers.len(), 8);
    // It comes as H264 now: there is nothing to encode.
    formats.insert(camera, format("H264"));
    let made = plan(&situation, &formats, Transcoding::Allow);
    assert!(made.outlets.is_empty());
    assert_eq!(made.inlets.len(), 1, "for the filter");
}

#[test]
fn a_form_that_was_set_is_given_to_those_who_take_it() {
    let mut situation = Situation::default();
    for (viewer, takes) in [(1, &["VP8", "H264"][..]), (2, &["VP8"])] {
        let source = Source::Stream(stream(9, MediaKind::Video));
        let sink = stream(viewer, MediaKind::Video);
        situation.receivers.insert(sink, receiver(source, takes));
    }
    let formats = BTreeMap::from([(stream(9, MediaKind::Video), format("VP8"))]);
    let still = Fraction {
        numerator: 0,
        denominator: 1,
    };
    let form = |codec: Option<&str>, framerate| VideoForm {
        codec: codec.map(str::to_owned),
        framerate,
    };
    let mut set = |form| {
        let encodings = &mut situation.encodings;
        encodings.insert(ElementKey(9), encoding(Some(form), None));
        let made = plan(&situation, &formats, Transcoding::Allow);
        codecs(&made).join(" ")
    };
    assert_eq!(set(form(Some("h264"), still)), "H264");
    assert_eq!(set(form(Some("AV1"), still)), "");
    let slow = Fraction {
        numerator: 5,
        denominator: 1,
    };
    assert_eq!(set(form(None, slow)), "VP8", "encoded anew, as what it was");
    assert_eq!(set(form(None, still)), "");
}

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![
        (100u64..104).prop_map(|key| Source::Element(ElementKey(key))),
        (1u64..4).prop_map(|key| Source::Stream(stream(key, MediaKind::Video))),
    ]
}

fn any_codec() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("VP8"),
        Just("VP9"),
        Just("H264"),
        Just("AV1"),
        Just("X")
    ]
}

fn any_situation() -> impl Strategy<Value = Situation> {
    let inputs = prop::collection::btree_map(100u64..104, any_source(), 0..4);
    let takes = prop::collection::vec(any_codec(), 0..4);
    let receivers = prop::collection::btree_map(1u64..20, (any_source(), takes), 0..12);
    let produced = prop::collection::btree_map(100u64..104, prop::option::of(any_codec()), 0..4);
    (inputs, receivers, produced).prop_map(|(inputs, receivers, produced)| Situation {
        inputs: inputs
            .into_iter()
            .map(|(key, source)| ((ElementKey(key), MediaKind::Video), source))
            .collect(),
        receivers: receivers
            .into_iter()
            .map(|(key, (source, takes))| (stream(key, MediaKind::Video), receiver(source, &takes)))
            .collect(),
        produced: produced
            .into_iter()
            .map(|(key, codec)| ((ElementKey(key), MediaKind::Video), codec.map(format)))
            .collect(),
        encodings: BTreeMap::new(),
    })
}

proptest! {
    #[test]
    fn a_plan_is_complete_and_has_nothing_that_nobody_needs(
        situation in any_situation(),
        sent in prop::collection::btree_map(1u64..4, any_codec(), 0..4),
    ) {
        let formats: BTreeMap<Stream, RtpFormat> = sent
            .into_iter()
            .map(|(key, codec)| (stream(key, MediaKind::Video), format(codec)))
            .collect();
        let made = plan(&situation, &formats, Transcoding::Allow);
        for (input, source) in &made.links {
            prop_assert_eq!(Some(source), situation.inputs.get(input));
        }
        let is_in = |source: &Source| match source {
            Source::Element(_) => true,
            Source::Stream(stream) => made.inlets.contains_key(stream),
        };
        prop_assert!(made.links.values().all(is_in));
        prop_assert!(made.outlets.iter().all(|wanted| is_in(&wanted.source)));
        for (sink, wanted) in &made.receivers {
            prop_assert!(made.outlets.contains(wanted));
            let receiver = &situation.receivers[sink];
            prop_assert_eq!(&receiver.source, &wanted.source);
            prop_assert!(receiver.takes.iter().any(|takes| is_same(&wanted.format, takes)));
        }
        for wanted in &made.outlets {
            prop_assert!(made.receivers.values().any(|given| given == wanted));
        }
        for stream in made.inlets.keys() {
            let source = Source::Stream(stream.clone());
            let feeds = made.links.values().any(|link| *link == source);
            prop_assert!(feeds || made.outlets.iter().any(|wanted| wanted.source == source));
        }
        prop_assert!(made.denied.is_empty());
    }
}
