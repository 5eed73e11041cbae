//! What is installed: the elements that the processor needs, and the Debian packages they come in.

use gstreamer as gst;
use gstreamer::prelude::*;
use serde_json::{Value, json};

/// An element and what it is for.
struct Need {
    element: &'static str,
    package: &'static str,
    purpose: &'static str,
}

macro_rules! needs {
    ($($package:literal: $($element:literal $purpose:literal),+;)+) => {
        &[$($(Need { element: $element, package: $package, purpose: $purpose },)+)+]
    };
}

const NEEDS: &[Need] = needs! {
    "libgstreamer1.0-0": "queue" "everything";
    "gstreamer1.0-plugins-base":
        "appsrc" "everything", "uridecodebin" "playing", "videoconvert" "transcoding",
        "videoscale" "transcoding", "videorate" "transcoding", "audioconvert" "transcoding",
        "audioresample" "transcoding", "opusenc" "Opus", "opusdec" "Opus",
        "compositor" "Composite and AlphaBlending", "audiomixer" "hubs that mix sound";
    "gstreamer1.0-x": "textrender" "labels of LayoutComposite";
    "gstreamer1.0-plugins-good":
        "rtpvp8depay" "RTP", "rtpvp8pay" "RTP", "vp8enc" "VP8", "vp8dec" "VP8", "vp9enc" "VP9",
        "vp9dec" "VP9", "webmmux" "recording WebM", "matroskamux" "recording Matroska",
        "mp4mux" "recording MP4", "flvmux" "recording FLV", "rtspsrc" "playing rtsp:",
        "souphttpsrc" "playing http:", "mulawenc" "PCMU", "alawenc" "PCMA", "speexenc" "Speex",
        "speexdec" "Speex", "jpegenc" "recording JPEG", "alpha" "ChromaFilter";
    "gstreamer1.0-plugins-bad":
        "h264parse" "H264", "h265parse" "H265", "opusparse" "playing Opus",
        "openh264enc" "H264 (second choice)", "av1enc" "AV1", "av1dec" "AV1", "av1parse" "AV1",
        "x265enc" "H265", "rtmp2src" "playing rtmp:", "srtsrc" "playing srt:",
        "zbar" "ZBarFilter";
    "gstreamer1.0-plugins-ugly":
        "x264enc" "H264", "amrnbenc" "AMR", "amrnbdec" "AMR";
    "gstreamer1.0-libav":
        "avdec_h264" "H264", "avdec_h265" "H265", "avenc_h263" "H263", "avdec_h263" "H263",
        "avenc_g722" "G722", "avdec_g722" "G722", "avenc_aac" "recording AAC", "avdec_aac" "AAC";
    "gstreamer1.0-opencv": "facedetect" "FaceOverlayFilter";
};

/// Which of these elements there are, with the files of their plugins, as JSON.
pub fn elements(names: impl Iterator<Item = String>) -> Value {
    let found = names.filter_map(|name| {
        let factory = gst::ElementFactory::find(&name)?;
        let plugin = factory.plugin().and_then(|plugin| plugin.filename());
        let file = plugin.map(|file| file.display().to_string());
        Some((name, file.unwrap_or_default().into()))
    });
    Value::Object(found.collect())
}

/// What is there and what is missing, as JSON.
pub fn report() -> Value {
    let (present, missing): (Vec<&Need>, Vec<&Need>) = NEEDS
        .iter()
        .partition(|need| gst::ElementFactory::find(need.element).is_some());
    let list = |needs: Vec<&Need>| -> Vec<Value> {
        let entry = |need: &Need| {
            json!({
                "element": need.element,
                "package": need.package,
                "purpose": need.purpose,
            })
        };
        needs.into_iter().map(entry).collect()
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seam": salono_media_api::processing::bridge::VERSION,
        "gstreamer": gst::version_string().as_str(),
        "present": list(present),
        "missing": list(missing),
    })
}
