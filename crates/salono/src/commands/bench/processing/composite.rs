//! Pictures that are decoded, put into a grid and encoded, beside the same graph written by hand.
//!
//! Both read the same file once for each input, in real time, encode with the same settings and send RTP to a socket
//! that nobody reads. They take turns.

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use salono_bench::median;
use salono_kurento_client::salono::LayoutComposite;
use salono_kurento_client::{HubPort, MediaPipeline, PlayerEndpoint, RtpEndpoint};
use tokio::time::sleep;

use super::Figures;
use super::programs::{LAUNCH, Program, run as run_program};
use super::usage::shares;
use crate::commands::bench::CompositeArgs;
use crate::commands::bench::calls::MeasureError;
use crate::commands::bench::process::MediaProcess;

/// How many times what the other takes we may take.
const MOST: f64 = 1.3;

/// Decoders and encoder have found their pace after this.
const SETTLE: Duration = Duration::from_secs(3);

/// Size and pace of the composition.
const WIDTH: u16 = 1280;
const HEIGHT: u16 = 720;
const FRAMERATE: u16 = 15;

/// The encoder, as processors set it.
const ENCODER: &str = "vp8enc deadline=1 cpu-used=8 threads=1 lag-in-frames=0 end-usage=cbr keyframe-max-dist=600 \
     undershoot=95 overshoot=15 buffer-size=1000 buffer-initial-size=500 buffer-optimal-size=600 \
     min-quantizer=4 max-quantizer=56 static-threshold=100";

/// Bits per second of the composition.
const BITRATE: i32 = 1_000_000;

/// Measures.
pub(super) async fn run(args: &CompositeArgs) -> Result<Figures, MeasureError> {
    let server = MediaProcess::start(None).await?;
    let folder = server.recordings()?;
    let window = Duration::from_secs(args.seconds);
    let pictures = (window + 4 * SETTLE).as_secs() * u64::from(FRAMERATE);
    let made = format!(
        "-q videotestsrc num-buffers={pictures} pattern=zone-plate kx2=20 ky2=20 kt=1 ! \
         video/x-raw,format=I420,width=640,height=360,framerate={FRAMERATE}/1 ! \
         vp8enc deadline=1 cpu-used=8 target-bitrate=500000 end-usage=cbr keyframe-max-dist=150 ! \
         webmmux ! filesink location=input.webm"
    );
    run_program(LAUNCH, &made, &folder).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..args.runs {
        ours.push(compose(&server, &folder, args.inputs, window).await?);
        theirs.push(launch(&folder, args.inputs, window).await?);
    }
    Ok(print(args.inputs, ours, theirs))
}

/// The server's share of a core.
async fn compose(
    server: &MediaProcess,
    folder: &Path,
    inputs: u64,
    window: Duration,
) -> Result<f64, MeasureError> {
    let unread = UdpSocket::bind("127.0.0.1:0")?;
    let pipeline = MediaPipeline::create(&server.client).await?;
    let hub = LayoutComposite::builder(&pipeline)
        .width(WIDTH.into())
        .height(HEIGHT.into())
        .framerate(FRAMERATE.into())
        .create()
        .await?;
    let uri = format!("file://{}", folder.join("input.webm").display());
    let mut players = Vec::new();
    for _ in 0..inputs {
        let player = PlayerEndpoint::create(&pipeline, &uri).await?;
        let port = HubPort::create(&hub).await?;
        player.connect(&port).await?;
        players.push(player);
    }
    let output = HubPort::create(&hub).await?;
    let viewer = RtpEndpoint::create(&pipeline).await?;
    output.set_min_encoder_bitrate(BITRATE).await?;
    output.set_max_encoder_bitrate(BITRATE).await?;
    output.connect(&viewer).await?;
    let port = unread.local_addr()?.port();
    let offer = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=video {port} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=recvonly\r\n"
    );
    viewer.process_offer(&offer).await?;
    for player in &players {
        player.play().await?;
    }
    sleep(SETTLE).await;
    let [share] = shares([server.id()?], window).await?;
    // Players decode for themselves and are not counted here.
    let encoders = server.figure("salono_media_processor_encoders").await?;
    pipeline.release().await?;
    if encoders != 1 {
        let text = format!("{encoders} encoders at work");
        return Err(MeasureError::Program(text));
    }
    Ok(share)
}

/// The share of a pipeline that is written by hand.
async fn launch(folder: &Path, inputs: u64, window: Duration) -> Result<f64, MeasureError> {
    let unread = UdpSocket::bind("127.0.0.1:0")?;
    let port = unread.local_addr()?.port();
    let mut program = Program::start(LAUNCH, &graph(inputs, port), folder)?;
    sleep(SETTLE).await;
    let [share] = shares([program.id()?], window).await?;
    program.check()?;
    program.end().await?;
    Ok(share)
}

/// The graph, for `gst-launch-1.0`.
fn graph(inputs: u64, port: u16) -> String {
    let columns = (1..=inputs)
        .find(|side| side * side >= inputs)
        .unwrap_or(1)
        .max(1);
    let rows = inputs.div_ceil(columns).max(1);
    let (width, height) = (u64::from(WIDTH) / columns, u64::from(HEIGHT) / rows);
    let mut text = "-q compositor name=mix background=black".to_owned();
    for input in 0..inputs {
        let (x, y) = (input % columns * width, input / columns * height);
        let _ = write!(
            text,
            " sink_{input}::xpos={x} sink_{input}::ypos={y} sink_{input}::width={width} sink_{input}::height={height}"
        );
    }
    let _ = write!(
        text,
        " ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FRAMERATE}/1 ! \
         {ENCODER} target-bitrate={BITRATE} ! rtpvp8pay mtu=1200 ! udpsink host=127.0.0.1 port={port} sync=true"
    );
    for input in 0..inputs {
        let _ = write!(
            text,
            " filesrc location=input.webm ! matroskademux ! vp8dec threads=1 ! queue ! mix.sink_{input}"
        );
    }
    text
}

fn print(inputs: u64, mut ours: Vec<f64>, mut theirs: Vec<f64>) -> Figures {
    let ratios = ours.iter().zip(&theirs);
    let mut ratios: Vec<f64> = ratios.map(|(ours, theirs)| ours / theirs).collect();
    let ratio = median(&mut ratios);
    let text = format!(
        "| {inputs} × VP8 640x360@15 to VP8 {WIDTH}x{HEIGHT}@{FRAMERATE} | % of a core | × gst-launch-1.0 | goal |\n\
         | --- | --- | --- | --- |\n\
         | salono | {:.1} | {ratio:.2} | ≤ {MOST} |\n\
         | gst-launch-1.0 | {:.1} | 1 | |\n\n\
         Medians of {} turns; server and media processor together.\n",
        median(&mut ours),
        median(&mut theirs),
        ours.len(),
    );
    let mut findings = Vec::new();
    if ratio > MOST {
        findings.push(format!("{ratio:.2} × what gst-launch-1.0 takes"));
    }
    Figures { text, findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_is_the_grid_of_a_composite() {
        let text = graph(9, 5_000);
        let last = "sink_8::xpos=852 sink_8::ypos=480 sink_8::width=426 sink_8::height=240";
        assert!(text.contains(last), "{text}");
        assert!(graph(3, 1).contains("sink_2::xpos=0 sink_2::ypos=360 sink_2::width=640"));
    }

    #[test]
    fn the_ratio_is_that_of_turns_beside_each_other() {
        let figures = print(9, vec![10.0, 30.0, 14.0], vec![10.0, 20.0, 10.0]);
        assert!(figures.text.contains("| salono | 14.0 | 1.40 |"));
        assert_eq!(figures.findings, ["1.40 × what gst-launch-1.0 takes"]);
        assert!(print(9, vec![13.0], vec![10.0]).findings.is_empty());
    }
}
