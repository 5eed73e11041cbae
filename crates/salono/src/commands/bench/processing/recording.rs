//! Recordings of calls in VP8 and Opus that are not encoded anew.
//!
//! One sender sends the same plain RTP to as many `RtpEndpoint`s as there are recordings, to a pipeline of
//! `gst-launch-1.0` and to `ffmpeg`, which record at the same time.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use salono_kurento_client::{MediaPipeline, RecorderEndpoint, RtpEndpoint};
use tokio::time::{sleep, timeout};

use super::Figures;
use super::programs::{FFMPEG, LAUNCH, Program, free_port, run as run_program};
use super::usage::shares;
use crate::commands::bench::RecordingArgs;
use crate::commands::bench::calls::MeasureError;
use crate::commands::bench::process::MediaProcess;

/// What one recording may take of a core, in per cent.
const MOST: f64 = 3.0;

/// Everything has found its pace after this.
const SETTLE: Duration = Duration::from_secs(3);

/// How long a recording may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pictures and sound of a call.
const VIDEO: &str = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 ! \
     vp8enc deadline=1 cpu-used=8 threads=1 target-bitrate=1000000 end-usage=cbr keyframe-max-dist=30 ! \
     rtpvp8pay pt=96 mtu=1200 picture-id-mode=15-bit";
const AUDIO: &str = "audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 ! \
     opusenc ! rtpopuspay pt=111";

/// Ports of one receiver: of sound and of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    audio: u16,
    video: u16,
}

/// Shares of a core, in per cent.
struct Shares {
    recordings: u64,
    /// Of receiving what is recorded later.
    receiving: f64,
    /// Of receiving and recording it.
    recording: f64,
    launch: f64,
    ffmpeg: f64,
}

/// Measures.
pub(super) async fn run(args: &RecordingArgs) -> Result<Figures, MeasureError> {
    let server = MediaProcess::start(None).await?;
    let folder = server.recordings()?;
    let from = Ports {
        audio: free_port()?,
        video: free_port()?,
    };
    let pipeline = MediaPipeline::create(&server.client).await?;
    let (mut endpoints, mut to) = (Vec::new(), Vec::new());
    for _ in 0..args.recordings {
        let endpoint = RtpEndpoint::create(&pipeline).await?;
        let answer = endpoint.process_offer(&description(from, true)).await?;
        to.push(ports(&answer).ok_or(MeasureError::Missing("an answer with two ports"))?);
        endpoints.push(endpoint);
    }
    let others = [peer()?, peer()?];
    to.extend(others);
    let mut sender = Program::start(LAUNCH, &send(from, &to), &folder)?;
    let window = Duration::from_secs(args.seconds);
    sleep(SETTLE).await;
    let [receiving] = shares([server.id()?], window).await?;
    let mut launch = Program::start(LAUNCH, &launch(others[0]), &folder)?;
    fs::write(folder.join("call.sdp"), description(others[1], false))?;
    let mut ffmpeg = Program::start(
        FFMPEG,
        "-nostdin -loglevel error -protocol_whitelist file,udp,rtp -i call.sdp -c copy -y ffmpeg.webm",
        &folder,
    )?;
    let recorders = record(&pipeline, &endpoints, &folder).await?;
    sleep(SETTLE).await;
    let processes = [server.id()?, launch.id()?, ffmpeg.id()?];
    let [recording, by_launch, by_ffmpeg] = shares(processes, window).await?;
    for program in [&mut sender, &mut launch, &mut ffmpeg] {
        program.check()?;
    }
    for (recorder, number) in recorders.iter().zip(0_u32..) {
        recorder.stop_and_wait().await?;
        check(&folder, number, window).await?;
    }
    for program in [sender, launch, ffmpeg] {
        program.end().await?;
    }
    pipeline.release().await?;
    Ok(print(&Shares {
        recordings: args.recordings,
        receiving,
        recording,
        launch: by_launch,
        ffmpeg: by_ffmpeg,
    }))
}

fn peer() -> io::Result<Ports> {
    Ok(Ports {
        audio: free_port()?,
        video: free_port()?,
    })
}

/// Begins all recordings, and waits until they have.
async fn record(
    pipeline: &MediaPipeline,
    endpoints: &[RtpEndpoint],
    folder: &Path,
) -> Result<Vec<RecorderEndpoint>, MeasureError> {
    let (mut recorders, mut begun) = (Vec::new(), Vec::new());
    for (endpoint, number) in endpoints.iter().zip(0_u32..) {
        let uri = format!("file://{}", folder.join(file(number)).display());
        let recorder = RecorderEndpoint::create(pipeline, &uri).await?;
        endpoint.connect(&recorder).await?;
        begun.push(recorder.on_recording().await?);
        recorder.record().await?;
        recorders.push(recorder);
    }
    for events in &mut begun {
        match timeout(PATIENCE, events.recv()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) | Err(_) => return Err(MeasureError::Missing("Recording")),
        }
    }
    Ok(recorders)
}

fn file(number: u32) -> String {
    format!("{number}.webm")
}

/// That a file is as long as was recorded, and has both tracks.
async fn check(folder: &Path, number: u32, length: Duration) -> Result<(), MeasureError> {
    let arguments = format!(
        "-v error -show_entries stream=codec_name:format=duration -of csv=p=0 {}",
        file(number)
    );
    let found = run_program("ffprobe", &arguments, folder).await?;
    let has = |codec: &str| found.lines().any(|line| line.trim() == codec);
    let lengths = found.lines().filter_map(|line| line.trim().parse().ok());
    let seconds = lengths.fold(0.0, f64::max);
    if has("vp8") && has("opus") && seconds >= length.as_secs_f64() {
        return Ok(());
    }
    let text = format!("recording {number} is not what was sent: {found}");
    Err(MeasureError::Program(text))
}

/// What is sent from these ports, or arrives at them.
fn description(ports: Ports, offered: bool) -> String {
    let direction = if offered { "a=sendonly\r\n" } else { "" };
    let Ports { audio, video } = ports;
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {audio} RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n{direction}\
         m=video {video} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n{direction}"
    )
}

/// The ports of an answer.
fn ports(answer: &str) -> Option<Ports> {
    let port = |kind: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(kind));
        line?.split(' ').next()?.parse().ok()
    };
    Some(Ports {
        audio: port("m=audio ")?,
        video: port("m=video ")?,
    })
}

/// One call to all of them.
fn send(from: Ports, to: &[Ports]) -> String {
    let clients = |port: fn(&Ports) -> u16| {
        let clients = to.iter().map(|ports| format!("127.0.0.1:{}", port(ports)));
        clients.collect::<Vec<_>>().join(",")
    };
    format!(
        "-q {VIDEO} ! multiudpsink bind-address=127.0.0.1 bind-port={} clients={} \
         {AUDIO} ! multiudpsink bind-address=127.0.0.1 bind-port={} clients={}",
        from.video,
        clients(|ports| ports.video),
        from.audio,
        clients(|ports| ports.audio),
    )
}

/// Records with a pipeline that is written by hand.
fn launch(ports: Ports) -> String {
    let Ports { audio, video } = ports;
    format!(
        "-q udpsrc address=127.0.0.1 port={video} \
         caps=application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000 ! \
         rtpjitterbuffer latency=200 ! rtpvp8depay ! queue ! mux. \
         udpsrc address=127.0.0.1 port={audio} \
         caps=application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000 ! \
         rtpjitterbuffer latency=200 ! rtpopusdepay ! opusparse ! queue ! mux. \
         webmmux name=mux ! filesink location=launch.webm"
    )
}

fn print(shares: &Shares) -> Figures {
    let count = shares.recordings.max(1) as f64;
    let one = shares.recording / count;
    let mut text = "| one recording of VP8 640x360 and Opus | % of a core | goal |\n\
         | --- | --- | --- |\n"
        .to_owned();
    let rows = [
        ("salono, receiving included", one, format!("≤ {MOST}")),
        (
            "salono, without receiving",
            (shares.recording - shares.receiving) / count,
            String::new(),
        ),
        (
            "gst-launch-1.0, receiving included",
            shares.launch,
            String::new(),
        ),
        ("ffmpeg, receiving included", shares.ffmpeg, String::new()),
    ];
    for (what, share, goal) in rows {
        let _ = writeln!(text, "| {what} | {share:.2} | {goal} |");
    }
    let _ = writeln!(
        text,
        "\n{} recordings at a time in one pipeline, server and media processor together.",
        shares.recordings
    );
    let mut findings = Vec::new();
    if one > MOST {
        findings.push(format!("{one:.2} % of a core per recording"));
    }
    Figures { text, findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_the_answer() {
        let ports = Ports {
            audio: 4_000,
            video: 4_002,
        };
        assert_eq!(super::ports(&description(ports, true)), Some(ports));
        assert_eq!(super::ports("m=audio 4000 RTP/AVP 0\r\n"), None);
    }

    #[test]
    fn a_recording_that_costs_too_much_is_a_finding() {
        let mut shares = Shares {
            recordings: 10,
            receiving: 10.0,
            recording: 30.0,
            launch: 4.0,
            ffmpeg: 2.0,
        };
        let figures = print(&shares);
        assert!(figures.findings.is_empty());
        let text = &figures.text;
        assert!(text.contains("receiving included | 3.00 | ≤ 3 |"), "{text}");
        assert!(text.contains("without receiving | 2.00 |"), "{text}");
        shares.recording = 30.1;
        assert_eq!(print(&shares).findings.len(), 1);
    }
}
