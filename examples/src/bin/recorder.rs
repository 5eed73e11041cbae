//! Records you, and plays the recording back to you.
//!
//! While recording, the browser sees itself by way of the media server. Afterwards a
//! `PlayerEndpoint` of the same URI takes the place of its camera.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, Scene, ToBrowser, play};
use salono_kurento_client::{
    Client, Error, MediaPipeline, PlayerEndpoint, RecorderEndpoint, WebRtcEndpoint,
};
use serde::Deserialize;
use serde_json::json;

/// Records your camera on the media server and shows you the recording
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let client = example.client().clone();
    let page = include_str!("../../pages/recorder.html");
    let session = move |browser: Browser| play::<Studio>(client.clone(), browser);
    example.serve(page, session).await
}

/// What one browser has.
struct Studio {
    pipeline: MediaPipeline,
    endpoint: WebRtcEndpoint,
    recorder: RecorderEndpoint,
    player: Option<PlayerEndpoint>,
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Ask {
    /// Ends the recording and plays it.
    PlayBack,
}

impl Scene for Studio {
    type Ask = Ask;

    async fn begin(client: &Client, page: &ToBrowser) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let endpoint = WebRtcEndpoint::create(&pipeline).await?;
        let uri = file_name();
        let recorder = RecorderEndpoint::create(&pipeline, &uri).await?;
        endpoint.connect(&endpoint).await?;
        endpoint.connect(&recorder).await?;
        let mut errors = recorder.on_error().await?;
        let to = page.clone();
        // Ends with the recorder.
        tokio::spawn(async move {
            while let Some(Ok(error)) = errors.recv().await {
                to.error(error.description);
            }
        });
        page.send(&json!({"type": "recording", "uri": uri}));
        Ok(Self {
            pipeline,
            endpoint,
            recorder,
            player: None,
        })
    }

    fn pipeline(&self) -> &MediaPipeline {
        &self.pipeline
    }

    fn endpoint(&self) -> &WebRtcEndpoint {
        &self.endpoint
    }

    async fn negotiated(&mut self) -> Result<(), Error> {
        self.recorder.record().await
    }

    async fn ask(&mut self, ask: Ask, page: &ToBrowser) -> Result<(), Error> {
        let Ask::PlayBack = ask;
        if self.player.is_some() {
            return Ok(());
        }
        // Answered when the file is whole.
        self.recorder.stop_and_wait().await?;
        let uri = self.recorder.uri().await?;
        let player = PlayerEndpoint::create(&self.pipeline, &uri).await?;
        let mut ends = player.on_end_of_stream().await?;
        let to = page.clone();
        // Ends with the player.
        tokio::spawn(async move {
            while let Some(Ok(_)) = ends.recv().await {
                to.send(&json!({"type": "end"}));
            }
        });
        // Takes the place of the camera, which was the endpoint's source until now.
        player.connect(&self.endpoint).await?;
        player.play().await?;
        self.player = Some(player);
        page.send(&json!({"type": "playing", "uri": uri}));
        Ok(())
    }
}

/// A name that no other recording has. It is no URI, so the media server puts it where it keeps
/// recordings.
fn file_name() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    format!("example-{seconds}-{}-{number}.webm", std::process::id())
}
