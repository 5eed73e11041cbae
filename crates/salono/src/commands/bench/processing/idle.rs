//! Elements that nobody takes anything from, although media enters them: what they keep must not grow.

use std::path::Path;
use std::time::Duration;

use salono_bench::process::ProcessUsage;
use salono_kurento_client::salono::LayoutComposite;
use salono_kurento_client::{HubPort, MediaPipeline, PlayerEndpoint, ZBarFilter};
use tokio::time::{Instant, sleep};

use super::Figures;
use super::programs::{LAUNCH, Program, run as run_program};
use super::usage::descendants;
use crate::commands::bench::IdleElementArgs;
use crate::commands::bench::calls::MeasureError;
use crate::commands::bench::process::MediaProcess;

/// Megabytes per minute by which memory may grow.
const MOST: f64 = 1.0;

/// Everything has what it needs after this; more of a long run.
const SETTLE: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// When, in seconds, and megabytes.
type Look = (f64, f64);

/// Measures.
pub(super) async fn run(args: &IdleElementArgs) -> Result<Figures, MeasureError> {
    let server = MediaProcess::start(None).await?;
    let folder = server.recordings()?;
    let length = Duration::from_secs(args.seconds);
    make_file(&folder, length + 3 * SETTLE).await?;
    let pipeline = begin(&server, &folder).await?;
    let mut launch = Program::start(
        LAUNCH,
        "-q filesrc location=idle.webm ! matroskademux ! vp8dec threads=1 ! fakesink sync=true",
        &folder,
    )?;
    sleep(SETTLE).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < length {
        let at = began.elapsed().as_secs_f64();
        let processors = descendants(server.id()?);
        let resident = processors
            .iter()
            .map(|process| megabytes(*process))
            .sum::<Result<f64, MeasureError>>()?;
        ours.push((at, resident));
        theirs.push((at, megabytes(launch.id()?)?));
        sleep(LOOK).await;
    }
    launch.check()?;
    launch.end().await?;
    pipeline.release().await?;
    Ok(print(args.seconds, &ours, &theirs))
}

async fn make_file(folder: &Path, length: Duration) -> Result<(), MeasureError> {
    let pictures = length.as_secs() * 15;
    let text = format!(
        "-q videotestsrc num-buffers={pictures} pattern=ball ! \
         video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! \
         vp8enc deadline=1 cpu-used=16 target-bitrate=200000 keyframe-max-dist=150 ! \
         webmmux ! filesink location=idle.webm"
    );
    run_program(LAUNCH, &text, folder).await?;
    Ok(())
}

/// A player that nobody watches, a filter that nobody takes from, a port of a composite that nobody sees.
async fn begin(server: &MediaProcess, folder: &Path) -> Result<MediaPipeline, MeasureError> {
    let pipeline = MediaPipeline::create(&server.client).await?;
    let uri = format!("file://{}", folder.join("idle.webm").display());
    let alone = PlayerEndpoint::create(&pipeline, &uri).await?;
    let filtered = PlayerEndpoint::create(&pipeline, &uri).await?;
    let filter = ZBarFilter::create(&pipeline).await?;
    filtered.connect(&filter).await?;
    let mixed = PlayerEndpoint::create(&pipeline, &uri).await?;
    let hub = LayoutComposite::create(&pipeline).await?;
    let port = HubPort::create(&hub).await?;
    mixed.connect(&port).await?;
    for player in [&alone, &filtered, &mixed] {
        player.play().await?;
    }
    Ok(pipeline)
}

fn megabytes(process: u32) -> Result<f64, MeasureError> {
    Ok(ProcessUsage::of(process)?.resident as f64 / 1e6)
}

/// Slope of the straight line with the least squares, per minute.
fn slope(looks: &[Look]) -> f64 {
    let count = looks.len().max(1) as f64;
    let (sum_at, sum) = looks.iter().fold((0.0, 0.0), |(at, value), look| {
        (at + look.0, value + look.1)
    });
    let (mean_at, mean) = (sum_at / count, sum / count);
    let (mut product, mut square) = (0.0, 0.0);
    for (at, value) in looks {
        product += (at - mean_at) * (value - mean);
        square += (at - mean_at) * (at - mean_at);
    }
    if square > 0.0 {
        product / square * 60.0
    } else {
        0.0
    }
}

fn print(seconds: u64, ours: &[Look], theirs: &[Look]) -> Figures {
    let grows = slope(ours);
    let last = |looks: &[Look]| looks.last().map_or(0.0, |look| look.1);
    let text = format!(
        "| elements without a sink, {seconds} s | resident, MB | grows by, MB a minute | goal |\n\
         | --- | --- | --- | --- |\n\
         | media processor: a player, one with a filter, one in a composite | {:.1} | {grows:.2} | < {MOST} |\n\
         | gst-launch-1.0, playing the file once | {:.1} | {:.2} | |\n",
        last(ours),
        last(theirs),
        slope(theirs),
    );
    let mut findings = Vec::new();
    if grows >= MOST {
        findings.push(format!("{grows:.2} MB a minute"));
    }
    Figures { text, findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_what_goes_up_and_down() {
        let level: Vec<Look> = (0..60)
            .map(|at| (f64::from(at), f64::from(at % 2)))
            .collect();
        assert!(slope(&level).abs() < 0.1, "{}", slope(&level));
        let steep: Vec<Look> = (0..60)
            .map(|at| (f64::from(at), f64::from(at) / 30.0))
            .collect();
        assert!((slope(&steep) - 2.0).abs() < 1e-6);
        assert!(print(60, &level, &steep).findings.is_empty());
        assert_eq!(print(60, &steep, &level).findings, ["2.00 MB a minute"]);
        assert_eq!(slope(&[]), 0.0);
    }
}
