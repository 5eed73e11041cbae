//! Recordings of streams that are made here, looked at by `ffprobe`.

#![allow(clippy::unwrap_used, reason = "test code")]

mod recording;

use recording::{Made, Recording, make, probe};
use salono_media_api::processing::RecordingProfile;

const VP8: &str = "videotestsrc num-buffers=150 ! video/x-raw,width=320,height=240,framerate=30/1 \
    ! vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=60";
const VP9: &str = "videotestsrc num-buffers=90 ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! vp9enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=30";
const AV1: &str = "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! av1enc cpu-used=8 threads=1 keyframe-max-dist=30 usage-profile=realtime";
const H264: &str = "videotestsrc num-buffers=150 ! video/x-raw,width=320,height=240,framerate=30/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=60";
const H265: &str = "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=30";
const JPEG: &str =
    "videotestsrc num-buffers=30 ! video/x-raw,width=160,height=120,framerate=15/1 ! jpegenc";
const H263: &str =
    "videotestsrc num-buffers=30 ! video/x-raw,width=176,height=144,framerate=15/1 ! avenc_h263";
const OPUS: &str = "audiotestsrc num-buffers=250 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 ! opusenc";
const AAC: &str = "audiotestsrc num-buffers=234 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 \
    ! avenc_aac ! aacparse ! audio/mpeg,mpegversion=4,stream-format=raw";
const VORBIS: &str = "audiotestsrc num-buffers=250 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2,format=F32LE ! vorbisenc";
const PCMU: &str = "audiotestsrc num-buffers=250 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! mulawenc";
const SPEEX: &str = "audiotestsrc num-buffers=250 samplesperbuffer=320 ! audio/x-raw,rate=16000,channels=1 ! speexenc";
const G722: &str = "audiotestsrc num-buffers=250 samplesperbuffer=320 ! audio/x-raw,rate=16000,channels=1 ! avenc_g722";
const AMR: &str = "audiotestsrc num-buffers=250 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! amrnbenc";

/// Records these streams, and looks at the file: its codecs, its length, and that it decodes without a complaint.
fn check(profile: RecordingProfile, extension: &str, streams: &[(&str, &str)]) {
    let made: Vec<Made> = streams.iter().map(|(line, _)| make(line)).collect();
    let recording = Recording::begin(profile, extension);
    recording.record();
    recording.deliver(&made);
    let files = recording.stop();
    let [file] = files.as_slice() else {
        panic!("{profile:?}: one file expected: {files:?}");
    };
    let seen = probe(&file.path);
    let mut expected: Vec<_> = streams
        .iter()
        .map(|(_, codec)| (*codec).to_owned())
        .collect();
    let mut codecs = seen.codecs.clone();
    expected.sort();
    codecs.sort();
    assert_eq!(codecs, expected, "{profile:?}");
    assert_eq!(seen.complaints, "", "{profile:?}");
    let end = made.iter().map(Made::end).max().unwrap();
    let wanted = end.as_secs_f64();
    let got = file.duration_ms as f64 / 1_000.0;
    assert!(
        (got - wanted).abs() <= 0.1,
        "{profile:?}: {got} s of {wanted} s"
    );
    if profile != RecordingProfile::JpegVideoOnly {
        assert!(
            (seen.duration - wanted).abs() <= 0.1,
            "{profile:?}: {} s of {wanted} s",
            seen.duration
        );
    }
    assert_eq!(file.bytes, std::fs::metadata(&file.path).unwrap().len());
}

#[test]
fn webm_holds_vp8_vp9_av1_opus_and_vorbis() {
    check(
        RecordingProfile::Webm,
        "webm",
        &[(VP8, "vp8"), (OPUS, "opus")],
    );
    check(
        RecordingProfile::Webm,
        "webm",
        &[(VP9, "vp9"), (VORBIS, "vorbis")],
    );
    check(RecordingProfile::WebmVideoOnly, "webm", &[(AV1, "av1")]);
    check(RecordingProfile::WebmAudioOnly, "webm", &[(OPUS, "opus")]);
}

#[test]
fn matroska_holds_every_codec() {
    check(
        RecordingProfile::Mkv,
        "mkv",
        &[(H264, "h264"), (AAC, "aac")],
    );
    check(
        RecordingProfile::Mkv,
        "mkv",
        &[(H265, "hevc"), (PCMU, "pcm_mulaw")],
    );
    check(
        RecordingProfile::Mkv,
        "mkv",
        &[(JPEG, "mjpeg"), (SPEEX, "speex")],
    );
    check(
        RecordingProfile::Mkv,
        "mkv",
        &[(H263, "h263"), (G722, "adpcm_g722")],
    );
    check(RecordingProfile::MkvVideoOnly, "mkv", &[(VP8, "vp8")]);
    check(RecordingProfile::MkvAudioOnly, "mkv", &[(AMR, "amr_nb")]);
}

#[test]
fn mp4_holds_h264_h265_av1_aac_and_opus() {
    check(
        RecordingProfile::Mp4,
        "mp4",
        &[(H264, "h264"), (AAC, "aac")],
    );
    check(
        RecordingProfile::Mp4,
        "mp4",
        &[(H265, "hevc"), (OPUS, "opus")],
    );
    check(RecordingProfile::Mp4VideoOnly, "mp4", &[(AV1, "av1")]);
    check(RecordingProfile::Mp4AudioOnly, "mp4", &[(AAC, "aac")]);
}

#[test]
fn flash_video_holds_h264_and_aac() {
    check(
        RecordingProfile::Flv,
        "flv",
        &[(H264, "h264"), (AAC, "aac")],
    );
}

#[test]
fn a_jpeg_recording_is_a_stream_of_pictures() {
    check(RecordingProfile::JpegVideoOnly, "jpg", &[(JPEG, "mjpeg")]);
}
