//! Other people's media programs: `ffmpeg` and `gst-launch-1.0`, sending and receiving RTP.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::process::{PATIENCE, text};

/// A key for AES-128: master key and salt.
pub(crate) const KEY_128: &str = "012345678901234567890123456789";
/// The same in base64.
pub(crate) const KEY_128_BASE64: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5";

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Vp8,
    H264,
    Opus,
    Pcmu,
}

impl Media {
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Vp8 | Self::H264 => "video",
            Self::Opus | Self::Pcmu => "audio",
        }
    }

    pub(crate) fn payload_type(self) -> u8 {
        match self {
            Self::Vp8 | Self::H264 => 96,
            Self::Opus => 97,
            Self::Pcmu => 0,
        }
    }

    fn mapping(self) -> &'static str {
        match self {
            Self::Vp8 => "a=rtpmap:96 VP8/90000\r\n",
            Self::H264 => {
                "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; profile-level-id=64001E\r\n"
            }
            Self::Opus => "a=rtpmap:97 opus/48000/2\r\na=fmtp:97 sprop-stereo=1\r\n",
            Self::Pcmu => "",
        }
    }

    /// A description of one stream of this at a port, shaped as ffmpeg writes them.
    pub(crate) fn sdp(self, port: u16, key: Option<&str>, direction: &str) -> String {
        let (kind, pt, mapping) = (self.kind(), self.payload_type(), self.mapping());
        let profile = if key.is_some() { "SAVP" } else { "AVP" };
        let crypto = key.map_or(String::new(), |key| {
            format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n")
        });
        format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             a=tool:libavformat\r\nm={kind} {port} RTP/{profile} {pt}\r\nb=AS:200\r\n\
             {mapping}{crypto}a={direction}\r\n"
        )
    }
}

/// An even port that is free, and the next one too, outside of what systems give out by themselves
/// and of what the servers of these tests use.
pub(crate) fn free_pair() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 2_000) as u16 * 4;
    loop {
        let port = start + NEXT.fetch_add(2, Ordering::Relaxed) % 2_000;
        let free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) {
            return port;
        }
    }
}

/// A program that runs until it is dropped.
pub(crate) fn spawn(program: &str, arguments: &[String]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not run: {error}"))
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// ffmpeg sends a test picture or tone to a port, in real time, for as long as it lives.
pub(crate) fn ffmpeg_sends(media: Media, port: u16, key: Option<&str>) -> Child {
    let source = match media {
        Media::Vp8 => {
            "-f lavfi -i testsrc=size=320x240:rate=15 -c:v libvpx -deadline realtime -cpu-used 8 -b:v 200k -g 15"
        }
        // High profile, as it comes.
        Media::H264 => {
            "-f lavfi -i testsrc=size=320x240:rate=15 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -profile:v high -bf 0 -g 15 -b:v 200k"
        }
        Media::Opus => {
            "-f lavfi -i sine=frequency=440:sample_rate=48000 -ac 2 -c:a libopus -b:a 64k"
        }
        Media::Pcmu => "-f lavfi -i sine=frequency=440:sample_rate=8000 -ac 1 -c:a pcm_mulaw",
    };
    let pt = media.payload_type();
    let target = match key {
        Some(key) => format!(
            "-srtp_out_suite AES_CM_128_HMAC_SHA1_80 -srtp_out_params {key} srtp://127.0.0.1:{port}?pkt_size=1200"
        ),
        None => format!("rtp://127.0.0.1:{port}?pkt_size=1200"),
    };
    let line =
        format!("-hide_banner -loglevel error -re {source} -payload_type {pt} -f rtp {target}");
    spawn("ffmpeg", &words(&line))
}

/// ffmpeg receives by a description and decodes `frames` of it.
pub(crate) fn ffmpeg_receives(
    media: Media,
    port: u16,
    key: Option<&str>,
    frames: u32,
    folder: &Path,
) -> Child {
    let file = folder.join(format!("{port}.sdp"));
    std::fs::write(&file, media.sdp(port, key, "recvonly")).unwrap();
    let kind = if media.kind() == "video" { "v" } else { "a" };
    let line = format!(
        "-hide_banner -nostats -protocol_whitelist file,udp,rtp,srtp,crypto -analyzeduration 1M -i {} -frames:{kind} {frames} -f framehash -",
        file.to_str().unwrap()
    );
    spawn("ffmpeg", &words(&line))
}

/// GStreamer sends; `srtp` is put between payloader and socket.
pub(crate) fn gstreamer_sends(media: Media, port: u16, srtp: &str) -> Child {
    let source = match media {
        Media::Vp8 => {
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! vp8enc deadline=1 keyframe-max-dist=15 ! rtpvp8pay pt=96"
        }
        Media::H264 => {
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! openh264enc gop-size=15 ! h264parse ! rtph264pay pt=96 config-interval=-1"
        }
        Media::Opus => "audiotestsrc is-live=true ! opusenc ! rtpopuspay pt=97",
        Media::Pcmu => {
            "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay pt=0"
        }
    };
    let line = format!("-q {source} {srtp} ! udpsink host=127.0.0.1 port={port}");
    spawn("gst-launch-1.0", &words(&line))
}

/// GStreamer receives and decodes `frames` buffers; `srtp` says how packets are opened, with their
/// caps.
pub(crate) fn gstreamer_receives(media: Media, port: u16, srtp: &str, frames: u32) -> Child {
    let (clock, name, decode) = match media {
        Media::Vp8 => (90_000, "VP8", "rtpvp8depay ! vp8dec"),
        Media::H264 => (90_000, "H264", "rtph264depay ! h264parse ! openh264dec"),
        Media::Opus => (48_000, "OPUS", "rtpopusdepay ! opusdec"),
        Media::Pcmu => (8_000, "PCMU", "rtppcmudepay ! mulawdec"),
    };
    let kind = media.kind();
    let pt = media.payload_type();
    // The buffer that makes the end is not reported.
    let enough = frames + 1;
    let caps = |of: &str| {
        format!("{of},media={kind},clock-rate={clock},encoding-name={name},payload={pt}")
    };
    let input = if srtp.is_empty() {
        caps("application/x-rtp")
    } else {
        format!("{},{srtp} ! srtpdec", caps("application/x-srtp"))
    };
    let line = format!(
        "-v udpsrc address=127.0.0.1 port={port} caps={input} ! {decode} ! identity name=counter silent=false eos-after={enough} ! fakesink sync=false"
    );
    spawn("gst-launch-1.0", &words(&line))
}

/// What a receiver printed when it had enough.
pub(crate) async fn ended(receiver: Child) -> String {
    let output: Output = timeout(PATIENCE, receiver.wait_with_output())
        .await
        .expect("receives enough")
        .unwrap();
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{printed}");
    printed
}

/// Decoded frames that a receiver printed a line about.
pub(crate) fn decoded(printed: &str) -> usize {
    // framehash: `stream, dts, pts, duration, size, hash`; GStreamer: `identity: last-message = chain`.
    let is_frame = |line: &&str| {
        line.starts_with("0, ") || (line.contains("counter") && line.contains("chain"))
    };
    printed.lines().filter(is_frame).count()
}
