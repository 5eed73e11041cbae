//! VP8 of 1280x720 for viewers who take nothing but H264.
//!
//! Three courses take turns: one viewer who needs it encoded anew, many viewers of a source that has H264 already, which is
//! forwarded, and as many who need it encoded anew. The last should cost no more than the first two.

use std::path::Path;
use std::time::Duration;

use salono_bench::{Role, median};
use salono_kurento_client::PlayerEndpoint;
use tokio::time::sleep;

use super::Figures;
use super::programs::{FFMPEG, LAUNCH, Program, run as run_program};
use super::usage::{Meter, shares};
use crate::commands::bench::TranscodeArgs;
use crate::commands::bench::calls::{Calls, MeasureError};
use crate::commands::bench::process::MediaProcess;

/// How many times what one viewer and forwarding take together many viewers may take.
const MOST: f64 = 1.2;

/// Encoders and viewers have found their pace after this.
const SETTLE: Duration = Duration::from_secs(3);

/// Shards publish what is at work about once a second.
const PUBLISHED: Duration = Duration::from_millis(1_500);

/// Viewers who join at a time.
const BATCH: usize = 50;

/// Bits per second, of files and of what is encoded.
const BITRATE: u32 = 1_500_000;

/// The encoder, as processors set it.
const H264: &str = "x264enc speed-preset=veryfast tune=zerolatency key-int-max=600 threads=1 sliced-threads=false \
     byte-stream=true bitrate=1500 ! video/x-h264,profile=constrained-baseline";

/// What is played, and whether it has to be encoded anew.
const VP8_FILE: &str = "vp8.webm";
const H264_FILE: &str = "h264.mkv";

/// Shares of a core, in per cent, of all turns.
#[derive(Default)]
struct Shares {
    one: Vec<f64>,
    forwarding: Vec<f64>,
    many: Vec<f64>,
    launch: Vec<f64>,
    ffmpeg: Vec<f64>,
}

/// Decoders and encoders at work.
type Work = (u64, u64);

/// Measures.
pub(super) async fn run(args: &TranscodeArgs) -> Result<Figures, MeasureError> {
    let server = MediaProcess::start(None).await?;
    let folder = server.recordings()?;
    let window = Duration::from_secs(args.seconds);
    make_files(&folder, (window + 6 * SETTLE).as_secs()).await?;
    let viewers = usize::try_from(args.viewers).unwrap_or(usize::MAX);
    let mut shares = Shares::default();
    for _ in 0..args.runs {
        let one = watch(&server, &folder, VP8_FILE, 1, window).await?;
        shares.one.push(one.0);
        let forwarding = watch(&server, &folder, H264_FILE, viewers, window).await?;
        shares.forwarding.push(forwarding.0);
        let many = watch(&server, &folder, VP8_FILE, viewers, window).await?;
        shares.many.push(many.0);
        for (found, expected) in [(one.1, (1, 1)), (forwarding.1, (0, 0)), (many.1, (1, 1))] {
            if found != expected {
                let text = format!(
                    "{} decoders and {} encoders at work instead of {} and {}",
                    found.0, found.1, expected.0, expected.1
                );
                return Err(MeasureError::Program(text));
            }
        }
        shares
            .launch
            .push(peer(LAUNCH, &launch(), &folder, window).await?);
        shares
            .ffmpeg
            .push(peer(FFMPEG, ffmpeg(), &folder, window).await?);
    }
    Ok(print(args.viewers, shares))
}

async fn make_files(folder: &Path, seconds: u64) -> Result<(), MeasureError> {
    let pictures = seconds * 30;
    let source = format!(
        "-q videotestsrc num-buffers={pictures} pattern=zone-plate kx2=20 ky2=20 kt=1 ! \
         video/x-raw,format=I420,width=1280,height=720,framerate=30/1"
    );
    let vp8 = format!(
        "{source} ! vp8enc deadline=1 cpu-used=8 target-bitrate={BITRATE} end-usage=cbr keyframe-max-dist=60 ! \
         webmmux ! filesink location={VP8_FILE}"
    );
    let h264 = format!(
        "{source} ! x264enc speed-preset=ultrafast tune=zerolatency key-int-max=60 bitrate=1500 ! \
         video/x-h264,profile=constrained-baseline ! h264parse ! matroskamux ! filesink location={H264_FILE}"
    );
    run_program(LAUNCH, &vp8, folder).await?;
    run_program(LAUNCH, &h264, folder).await?;
    Ok(())
}

/// The server's share of a core while so many watch, and what was at work.
async fn watch(
    server: &MediaProcess,
    folder: &Path,
    file: &str,
    viewers: usize,
    window: Duration,
) -> Result<(f64, Work), MeasureError> {
    let mut calls = Calls::new(server).await?;
    let mut missing = viewers;
    while missing > 0 {
        let batch = missing.min(BATCH);
        calls.join(batch, Role::H264Viewer).await?;
        missing -= batch;
    }
    let uri = format!("file://{}", folder.join(file).display());
    let player = PlayerEndpoint::builder(calls.pipeline(), &uri)
        .use_encoded_media(true)
        .create()
        .await?;
    // What is encoded is always the same, whatever the viewers' paths carry.
    let bitrate = i32::try_from(BITRATE).unwrap_or(i32::MAX);
    player.set_max_encoder_bitrate(bitrate).await?;
    player.set_min_encoder_bitrate(bitrate).await?;
    for viewer in calls.endpoints() {
        player.connect(viewer).await?;
    }
    player.play().await?;
    calls.receive(SETTLE)?;
    let meter = Meter::start([server.id()?])?;
    let received = calls.receive(window)?;
    let [share] = meter.stop()?;
    sleep(PUBLISHED).await;
    let work = (
        server.figure("salono_media_processor_decoders").await?,
        server.figure("salono_media_processor_encoders").await?,
    );
    calls.release().await?;
    // Half of the packets of the bitrate is more than what anybody gets who is left out.
    let enough = u64::from(BITRATE) / 8 / 1_200 / 2 * window.as_secs();
    let served = received.iter().filter(|packets| **packets > enough).count();
    if served < viewers {
        let text = format!("{served} of {viewers} viewers got the pictures");
        return Err(MeasureError::Program(text));
    }
    Ok((share, work))
}

/// The share of a program that does the same for one.
async fn peer(
    name: &'static str,
    arguments: &str,
    folder: &Path,
    window: Duration,
) -> Result<f64, MeasureError> {
    let mut program = Program::start(name, arguments, folder)?;
    sleep(SETTLE).await;
    let [share] = shares([program.id()?], window).await?;
    program.check()?;
    program.end().await?;
    Ok(share)
}

fn launch() -> String {
    format!(
        "-q filesrc location={VP8_FILE} ! matroskademux ! vp8dec threads=1 ! {H264} ! fakesink sync=true"
    )
}

fn ffmpeg() -> &'static str {
    "-nostdin -loglevel error -threads 1 -re -i vp8.webm -c:v libx264 -preset veryfast -tune zerolatency \
     -profile:v baseline -b:v 1500k -maxrate 1500k -bufsize 1500k -threads 1 -f null -"
}

fn print(viewers: u64, mut shares: Shares) -> Figures {
    let mut ratios: Vec<f64> = shares
        .many
        .iter()
        .zip(shares.one.iter().zip(&shares.forwarding))
        .map(|(many, (one, forwarding))| many / (one + forwarding))
        .collect();
    let ratio = median(&mut ratios);
    let runs = shares.one.len();
    let rows = [
        ("VP8 to H264 for one viewer".to_owned(), &mut shares.one),
        (
            format!("H264 forwarded to {viewers} viewers"),
            &mut shares.forwarding,
        ),
        (
            format!("VP8 to H264 for {viewers} viewers"),
            &mut shares.many,
        ),
        ("gst-launch-1.0, VP8 to H264".to_owned(), &mut shares.launch),
        ("ffmpeg, VP8 to H264".to_owned(), &mut shares.ffmpeg),
    ];
    let mut text = "| 1280x720@30 | % of a core |\n| --- | --- |\n".to_owned();
    for (what, shares) in rows {
        text += &format!("| {what} | {:.1} |\n", median(shares));
    }
    text += &format!(
        "\nFor {viewers} viewers, with one decoder and one encoder, {ratio:.2} × what one viewer and forwarding \
         take together (goal ≤ {MOST}). Medians of {runs} turns; server and media processor together.\n"
    );
    let mut findings = Vec::new();
    if ratio > MOST {
        findings.push(format!(
            "{viewers} viewers take {ratio:.2} × what one and forwarding take"
        ));
    }
    Figures { text, findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_held_against_one_and_forwarding() {
        let shares = |many| Shares {
            one: vec![40.0, 60.0, 50.0],
            forwarding: vec![10.0, 10.0, 10.0],
            many: vec![50.0, 70.0, many],
            launch: vec![1.0; 3],
            ffmpeg: vec![1.0; 3],
        };
        assert!(print(50, shares(200.0)).findings.is_empty());
        let mut over = shares(90.0);
        over.many = vec![61.0, 85.0, 73.0];
        assert_eq!(
            print(50, over).findings,
            ["50 viewers take 1.22 × what one and forwarding take"]
        );
    }
}
