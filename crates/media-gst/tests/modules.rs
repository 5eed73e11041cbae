//! The modules of `examples/modules` in the real processor: a plugin in Rust, and those in Python.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;
mod sight;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use child::{Child, PATIENCE, Source, format, policy};
use image::{Rgb, RgbImage};
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::{ElementKey, MediaKind};
use sight::{Folder, Viewer};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Key of the element in each test.
const ELEMENT: u64 = 5;

/// Folders of the examples, one of them with the plugin that cargo has built.
struct Modules {
    built: Folder,
}

impl Modules {
    fn new() -> Self {
        let built = Folder::new();
        // Test programs lie beside the libraries of what they depend on.
        let program = std::env::current_exe().unwrap();
        let library = program.with_file_name("libcolourdetector.so");
        std::fs::copy(&library, built.0.join("libcolourdetector.so")).unwrap();
        Self { built }
    }

    fn start(&self) -> Child {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/modules");
        let examples = std::fs::canonicalize(examples).unwrap();
        let paths: Vec<PathBuf> = vec![
            self.built.0.clone(),
            examples.join("datachannelexample"),
            examples.join("videosampler"),
        ];
        Child::start_with_plugins(policy(), &paths)
    }
}

fn plugin(factory: &str, kinds: &[MediaKind]) -> PluginSpec {
    PluginSpec {
        class: format!("example.{factory}"),
        descriptor: "/nowhere/example.kmd.json".to_owned(),
        factories: vec![factory.to_owned()],
        kinds: kinds.to_vec(),
        properties: Vec::new(),
        events: Vec::new(),
    }
}

fn property(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Lets a picture into the element, which lets it out again.
fn show(child: &mut Child, folder: &Folder, picture: &RgbImage) -> (Source, Viewer) {
    let file = folder.0.join("picture.png");
    picture.save(&file).unwrap();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let source = Source::start(
        child,
        &format!(
            "filesrc location={} ! pngdec ! imagefreeze is-live=true ! video/x-raw,framerate=15/1 \
             ! videoconvert ! vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=15 \
             target-bitrate=2000000 ! rtpvp8pay pt=96 ssrc=1 mtu=1200",
            file.display()
        ),
    );
    child.link(ELEMENT, MediaKind::Video, Origin::Inlet(InletKey(1)));
    let origin = Origin::Element(ElementKey(ELEMENT));
    child.open_outlet(7, origin, MediaKind::Video, format("VP8", 101, 90_000, 0));
    (source, Viewer::new(101))
}

fn watch(child: &Child, viewer: &Viewer, what: &str, is_right: impl Fn(&RgbImage) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, packet) = child.rtp(7);
        viewer.put(&packet);
        if viewer.pictures().iter().any(&is_right) {
            return;
        }
        assert!(Instant::now() < deadline, "never seen: {what}");
    }
}

fn signal(child: &mut Child, wanted: &str) -> String {
    child.wait(|event| match event {
        BridgeEvent::Element {
            event: ProcessorEvent::Signal { name, fields },
            ..
        } if name == wanted => Some(fields.clone()),
        _ => None,
    })
}

fn message(child: &mut Child, mut is_it: impl FnMut(bool, &[u8]) -> bool) {
    child.wait(|event| match event {
        BridgeEvent::Message { binary, base64, .. } => {
            let bytes = STANDARD.decode(base64).unwrap();
            is_it(*binary, &bytes).then_some(())
        }
        _ => None,
    });
}

fn tell(child: &mut Child, text: &str) {
    child.tell(&BridgeCommand::Message {
        sink: ElementKey(ELEMENT),
        binary: false,
        base64: STANDARD.encode(text),
    });
}

#[test]
fn a_plugin_in_rust_sees_a_colour_tells_where_and_answers() {
    let modules = Modules::new();
    let mut child = modules.start();
    let event = |name: &str, signal: &str, fields: &[&str]| PluginEvent {
        name: name.to_owned(),
        signal: signal.to_owned(),
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
    };
    let spec = PluginSpec {
        properties: vec![
            property("colour", "\"#dc1414\""),
            property("region", r#"{"x": 0.5, "y": 0, "width": 0.5, "height": 1}"#),
        ],
        events: vec![
            event("ColourDetected", "ColourDetected", &["share", "region"]),
            event("ColourLost", "ColourLost", &[]),
        ],
        ..plugin("colourdetector", &[MediaKind::Video])
    };
    child.create(ELEMENT, ProcessorSpec::Filter(FilterSpec::Plugin(spec)));
    let mut picture = RgbImage::from_pixel(320, 240, Rgb([128, 128, 128]));
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        if (220..300).contains(&x) && (60..180).contains(&y) {
            *pixel = Rgb([220, 20, 20]);
        }
    }
    let (_source, viewer) = show(&mut child, &modules.built, &picture);
    let fields = signal(&mut child, "ColourDetected");
    let fields: serde_json::Value = serde_json::from_str(&fields).unwrap();
    let near = |name: &str, wanted: f64| {
        let value = fields["region"][name].as_f64().unwrap();
        assert!((value - wanted).abs() < 0.03, "{fields}");
    };
    near("x", 220.0 / 320.0);
    near("y", 0.25);
    near("width", 0.25);
    near("height", 0.5);
    assert!(
        (fields["share"].as_f64().unwrap() - 0.125).abs() < 0.02,
        "{fields}"
    );
    watch(&child, &viewer, "a white box around it", |seen| {
        seen.get_pixel(221, 120)[1] > 150 && seen.get_pixel(260, 120)[1] < 90
    });
    let invoke = |method: &str| ProcessorCall::Invoke {
        method: method.to_owned(),
        arguments: "[]".to_owned(),
    };
    let counted = child.call(ELEMENT, invoke("count"));
    assert_eq!(counted, Ok(ProcessorReply::Json("1".to_owned())));
    let set = ProcessorCall::SetProperty {
        name: "colour".to_owned(),
        value: "\"#0000ff\"".to_owned(),
    };
    child.call(ELEMENT, set).unwrap();
    assert_eq!(signal(&mut child, "ColourLost"), "{}");
}

#[test]
fn messages_are_shown_in_the_video_by_an_element_in_python() {
    let modules = Modules::new();
    let mut child = modules.start();
    let spec = plugin("kmsshowdata", &[MediaKind::Video, MediaKind::Data]);
    child.create(ELEMENT, ProcessorSpec::Filter(FilterSpec::Plugin(spec)));
    let grey = RgbImage::from_pixel(320, 240, Rgb([90, 90, 90]));
    let (_source, viewer) = show(&mut child, &modules.built, &grey);
    let white = |seen: &RgbImage| seen.pixels().filter(|it| it[0] > 200).count();
    watch(&child, &viewer, "the picture", |seen| white(seen) == 0);
    tell(&mut child, "HELLO");
    watch(&child, &viewer, "the message", |seen| white(seen) > 200);
}

#[test]
fn messages_are_sent_and_answered_by_an_element_in_python() {
    let modules = Modules::new();
    let mut child = modules.start();
    let spec = plugin("kmssenddata", &[MediaKind::Data]);
    child.create(ELEMENT, ProcessorSpec::Filter(FilterSpec::Plugin(spec)));
    message(&mut child, |binary, bytes| !binary && bytes == b"message 2");
    tell(&mut child, "hello");
    message(&mut child, |binary, bytes| {
        !binary && bytes == b"you said: hello"
    });
}

#[test]
fn pictures_are_taken_while_the_video_goes_on() {
    let modules = Modules::new();
    let mut child = modules.start();
    let spec = PluginSpec {
        properties: vec![
            property("framePeriod", "500"),
            property("imageDeliveryMethod", "\"DATA\""),
            property("width", "160"),
            property("height", "120"),
            property("imageEncoding", "\"PNG\""),
        ],
        events: vec![PluginEvent {
            name: "SampleImageDelivered".to_owned(),
            signal: "SampleImageDelivered".to_owned(),
            fields: vec!["delivered".to_owned()],
        }],
        ..plugin("videosampler", &[MediaKind::Video, MediaKind::Data])
    };
    child.create(ELEMENT, ProcessorSpec::Filter(FilterSpec::Plugin(spec)));
    let red = RgbImage::from_pixel(320, 240, Rgb([220, 20, 20]));
    let (_source, viewer) = show(&mut child, &modules.built, &red);
    watch(&child, &viewer, "the video", |seen| {
        seen.get_pixel(9, 9)[0] > 150
    });
    for _ in 0..2 {
        message(&mut child, |binary, bytes| {
            let picture = image::load_from_memory(bytes).unwrap().into_rgb8();
            assert!(binary && picture.get_pixel(80, 60)[0] > 150);
            picture.dimensions() == (160, 120)
        });
        assert_eq!(
            signal(&mut child, "SampleImageDelivered"),
            r#"{"delivered":true}"#
        );
    }
}
