//! Filters in the real processor: what they see, what they draw, and what they refuse.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;
mod sight;

use child::{Child, PATIENCE, Source, format, policy};
use image::{Rgb, RgbImage};
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::{ElementKey, MediaErrorKind, MediaKind};
use sight::{Folder, Viewer, data_uri, face, qr_code};
use std::io::Read;
use std::net::TcpListener;
use std::time::Instant;

/// Key of the filter in each test.
const FILTER: u64 = 5;

/// A picture into a filter and out of it again.
struct Course {
    child: Child,
    viewer: Viewer,
    _source: Source,
    _folder: Folder,
}

impl Course {
    fn start(mut child: Child, filter: FilterSpec, picture: &RgbImage) -> Self {
        child.create(FILTER, ProcessorSpec::Filter(filter));
        let folder = Folder::new();
        let file = folder.0.join("picture.png");
        picture.save(&file).unwrap();
        child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
        let source = Source::start(
            &child,
            &format!(
                "filesrc location={} ! pngdec ! imagefreeze is-live=true ! video/x-raw,framerate=15/1 \
                 ! videoconvert ! vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=15 \
                 target-bitrate=2000000 ! rtpvp8pay pt=96 ssrc=1 mtu=1200",
                file.display()
            ),
        );
        child.link(FILTER, MediaKind::Video, Origin::Inlet(InletKey(1)));
        let origin = Origin::Element(ElementKey(FILTER));
        child.open_outlet(7, origin, MediaKind::Video, format("VP8", 101, 90_000, 0));
        Self {
            child,
            viewer: Viewer::new(101),
            _source: source,
            _folder: folder,
        }
    }

    /// Looks at what comes out until it is as it should be.
    fn watch(&self, what: &str, is_right: impl Fn(&RgbImage) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, packet) = self.child.rtp(7);
            self.viewer.put(&packet);
            if self.viewer.pictures().iter().any(&is_right) {
                return;
            }
            assert!(Instant::now() < deadline, "never seen: {what}");
        }
    }
}

fn is_red(pixel: Rgb<u8>) -> bool {
    pixel[0] > 150 && pixel[1] < 90 && pixel[2] < 90
}

fn red() -> RgbImage {
    RgbImage::from_pixel(16, 8, Rgb([220, 20, 20]))
}

const WHOLE: Place = Place {
    x: 0.0,
    y: 0.0,
    width: 1.0,
    height: 1.0,
};

#[test]
fn a_qr_code_is_read_and_the_picture_goes_on() {
    let picture = qr_code("salono reads codes", 320, 240);
    let mut course = Course::start(Child::start(), FilterSpec::ZBar, &picture);
    let expected = ProcessorEvent::CodeFound {
        kind: "QR-Code".to_owned(),
        value: "salono reads codes".to_owned(),
    };
    course.child.event(FILTER, &expected);
    course.watch("the code", |seen| seen.get_pixel(2, 2)[0] > 200);
}

#[test]
fn a_face_is_covered_and_uncovered_again() {
    let picture = face(320, 240);
    let spec = FilterSpec::FaceOverlay { picture: None };
    let mut course = Course::start(Child::start(), spec, &picture);
    let nose = |seen: &RgbImage| *seen.get_pixel(160, 130);
    course.watch("the face", |seen| !is_red(nose(seen)));
    let cover = Picture {
        uri: data_uri(&red()),
        place: WHOLE,
    };
    let call = |picture| ProcessorCall::SetFacePicture { picture };
    course.child.call(FILTER, call(Some(cover))).unwrap();
    course.watch("red over the face, and only there", |seen| {
        is_red(nose(seen)) && !is_red(*seen.get_pixel(10, 120))
    });
    course.child.call(FILTER, call(None)).unwrap();
    course.watch("the face again", |seen| !is_red(nose(seen)));
}

#[test]
fn a_colour_is_learnt_and_makes_way_for_black_or_a_picture() {
    let mut picture = RgbImage::from_pixel(320, 240, Rgb([30, 190, 40]));
    for pixel in picture.enumerate_pixels_mut() {
        if (120..200).contains(&pixel.0) && (80..160).contains(&pixel.1) {
            *pixel.2 = Rgb([220, 20, 20]);
        }
    }
    let spec = FilterSpec::Chroma {
        window: Window {
            x: 10,
            y: 10,
            width: 60,
            height: 40,
        },
        background: String::new(),
    };
    let mut course = Course::start(Child::start(), spec, &picture);
    let wall = |seen: &RgbImage| *seen.get_pixel(280, 200);
    let middle = |seen: &RgbImage| is_red(*seen.get_pixel(160, 120));
    course.watch("black where the colour was", |seen| {
        wall(seen).0.iter().all(|part| *part < 40) && middle(seen)
    });
    let blue = RgbImage::from_pixel(8, 8, Rgb([20, 20, 220]));
    let set = |uri: String| ProcessorCall::SetBackground { uri };
    course.child.call(FILTER, set(data_uri(&blue))).unwrap();
    course.watch("a picture behind", |seen| {
        wall(seen)[2] > 150 && wall(seen)[1] < 90 && middle(seen)
    });
    course.child.call(FILTER, set(String::new())).unwrap();
    course.watch("black again", |seen| wall(seen)[2] < 60 && middle(seen));
    course
        .child
        .call(FILTER, set("file:///etc/passwd".to_owned()))
        .unwrap();
    let error = course.child.error(FILTER);
    assert!(error.description.contains("/etc/passwd"), "{error:?}");
}

#[test]
fn images_are_drawn_where_they_belong_and_removed() {
    let grey = RgbImage::from_pixel(320, 240, Rgb([128, 128, 128]));
    let mut course = Course::start(Child::start(), FilterSpec::ImageOverlay, &grey);
    let add = |id: &str, place, keep_aspect, center| ProcessorCall::AddPicture {
        id: id.to_owned(),
        picture: Picture {
            uri: data_uri(&red()),
            place,
        },
        keep_aspect,
        center,
    };
    let half = Place {
        width: 0.5,
        height: 1.0,
        ..WHOLE
    };
    // Twice as wide as high, so 160 x 80 in the middle of 160 x 240.
    course
        .child
        .call(FILTER, add("a", half, true, true))
        .unwrap();
    let at = |seen: &RgbImage, x, y| is_red(*seen.get_pixel(x, y));
    course.watch("red in the middle of the left half", |seen| {
        at(seen, 80, 120) && !at(seen, 80, 40) && !at(seen, 80, 200) && !at(seen, 240, 120)
    });
    course
        .child
        .call(FILTER, add("a", half, true, false))
        .unwrap();
    course.watch("red in the upper left corner", |seen| {
        at(seen, 80, 40) && !at(seen, 80, 120)
    });
    let id = "a".to_owned();
    let remove = ProcessorCall::RemovePicture { id };
    course.child.call(FILTER, remove).unwrap();
    course.watch("nothing red", |seen| !at(seen, 80, 40));
}

#[test]
fn a_harmless_element_changes_the_picture_and_takes_properties() {
    let mut picture = RgbImage::from_pixel(320, 240, Rgb([128, 128, 128]));
    for pixel in picture.enumerate_pixels_mut().filter(|(x, ..)| *x < 160) {
        *pixel.2 = Rgb([220, 20, 20]);
    }
    let mut rules = policy();
    rules.elements = vec!["videoflip".to_owned()];
    let spec = |command: &str| FilterSpec::GStreamer {
        command: command.to_owned(),
        kind: None,
        takes: MediaKind::Video,
    };
    let command = "videoflip method=horizontal-flip";
    let mut course = Course::start(Child::start_with(rules), spec(command), &picture);
    course.watch("red on the right", |seen| {
        is_red(*seen.get_pixel(240, 120)) && !is_red(*seen.get_pixel(80, 120))
    });
    let set = |value: &str| ProcessorCall::SetElementProperty {
        name: "method".to_owned(),
        value: value.to_owned(),
    };
    course.child.call(FILTER, set("none")).unwrap();
    course.watch("red on the left", |seen| is_red(*seen.get_pixel(80, 120)));

    for command in [
        "filesink location=/tmp/x",
        "tcpserversink",
        "videoflip ! videoflip",
    ] {
        let spec = ProcessorSpec::Filter(spec(command));
        let error = course.child.try_create(6, spec).unwrap_err();
        assert_eq!(
            error.kind,
            MediaErrorKind::IllegalParam,
            "{command}: {error}"
        );
    }
}

#[test]
fn pictures_that_must_not_be_had_are_reported_and_the_video_goes_on() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let drip = format!("http://{}/slow.png", slow.local_addr().unwrap());
    // Takes requests and says nothing.
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = slow.accept() {
            let _ = stream.read(&mut [0; 1024]);
            kept.push(stream);
        }
    });
    let grey = RgbImage::from_pixel(320, 240, Rgb([128, 128, 128]));
    let mut course = Course::start(Child::start(), FilterSpec::ImageOverlay, &grey);
    for uri in [
        "file:///etc/passwd",
        "file:///proc/self/environ",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "gopher://127.0.0.1/x",
        drip.as_str(),
    ] {
        let picture = Picture {
            uri: uri.to_owned(),
            place: WHOLE,
        };
        let add = ProcessorCall::AddPicture {
            id: "x".to_owned(),
            picture,
            keep_aspect: false,
            center: false,
        };
        course.child.call(FILTER, add).unwrap();
        let error = course.child.error(FILTER);
        assert_eq!(error.kind, "RESOURCE_ERROR_OPEN");
        assert!(error.description.contains(uri), "{error:?}");
        assert!(!error.description.contains("root:"), "{error:?}");
    }
    course.watch("the video", |seen| !is_red(*seen.get_pixel(80, 40)));
}

#[test]
fn an_element_of_a_module_is_made_called_heard_and_made_again() {
    let grey = RgbImage::from_pixel(320, 240, Rgb([128, 128, 128]));
    let plugin = |factories: &[&str], properties: &[(&str, &str)]| {
        FilterSpec::Plugin(PluginSpec {
            class: "example.Balance".to_owned(),
            descriptor: "/nowhere/example.kmd.json".to_owned(),
            factories: factories.iter().map(|&name| name.to_owned()).collect(),
            kinds: vec![MediaKind::Video],
            properties: properties
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            events: Vec::new(),
        })
    };
    let spec = plugin(
        &["no-such-element", "videobalance"],
        &[("brightness", "-1")],
    );
    let mut course = Course::start(Child::start(), spec, &grey);
    course.watch("nothing but black", |seen| seen.get_pixel(160, 120)[0] < 40);
    let set = |name: &str, value: &str| ProcessorCall::SetProperty {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    course.child.call(FILTER, set("Brightness", "0.5")).unwrap();
    course.watch("a brighter grey", |seen| seen.get_pixel(160, 120)[0] > 200);
    let name = "brightness".to_owned();
    let got = course
        .child
        .call(FILTER, ProcessorCall::GetProperty { name });
    assert_eq!(got, Ok(ProcessorReply::Json("0.5".to_owned())));
    let invoke = |method: &str, arguments: &str| ProcessorCall::Invoke {
        method: method.to_owned(),
        arguments: arguments.to_owned(),
    };
    course
        .child
        .call(FILTER, invoke("setHue", "[0.25]"))
        .unwrap();
    for call in [
        set("brightness", "77"),
        set("nothing", "1"),
        invoke("explode", "[]"),
    ] {
        let error = course.child.call(FILTER, call).unwrap_err();
        assert_eq!(error.kind, MediaErrorKind::IllegalParam, "{error}");
    }
    let spec = ProcessorSpec::Filter(plugin(&["no-such-element"], &[]));
    let error = course.child.try_create(6, spec).unwrap_err();
    assert_eq!(error.kind, MediaErrorKind::Unavailable);
    for word in [
        "`no-such-element`",
        "/nowhere/example.kmd.json",
        "salono.element",
    ] {
        assert!(error.message.contains(word), "{error}");
    }
    let spec = ProcessorSpec::Filter(plugin(&["videobalance"], &[("hew", "1")]));
    let error = course.child.try_create(6, spec).unwrap_err();
    assert!(error.message.contains("'hew'"), "{error}");
}
