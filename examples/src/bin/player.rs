//! A file, or a stream of the network, in the browser.
//!
//! Each browser has a `PlayerEndpoint` of its own, so it can pause and jump by itself.

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, Scene, ToBrowser, play};
use salono_kurento_client::{Client, Error, MediaPipeline, PlayerEndpoint, WebRtcEndpoint};
use serde::Deserialize;
use serde_json::json;

/// Plays what a URI names: a file, a camera (RTSP), a stream over HTTP
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let client = example.client().clone();
    let page = include_str!("../../pages/player.html");
    let session = move |browser: Browser| play::<Screen>(client.clone(), browser);
    example.serve(page, session).await
}

/// What one browser watches.
struct Screen {
    pipeline: MediaPipeline,
    endpoint: WebRtcEndpoint,
    player: Option<PlayerEndpoint>,
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Ask {
    Play { uri: String },
    Pause,
    Resume,
    Seek { position: i64 },
    Where,
}

impl Scene for Screen {
    type Ask = Ask;

    async fn begin(client: &Client, _page: &ToBrowser) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let endpoint = WebRtcEndpoint::create(&pipeline).await?;
        Ok(Self {
            pipeline,
            endpoint,
            player: None,
        })
    }

    fn pipeline(&self) -> &MediaPipeline {
        &self.pipeline
    }

    fn endpoint(&self) -> &WebRtcEndpoint {
        &self.endpoint
    }

    async fn ask(&mut self, ask: Ask, page: &ToBrowser) -> Result<(), Error> {
        match (ask, &self.player) {
            (Ask::Play { uri }, _) => self.play(&uri, page).await,
            (Ask::Pause, Some(player)) => player.pause().await,
            (Ask::Resume, Some(player)) => player.play().await,
            (Ask::Seek { position }, Some(player)) => player.set_position(position).await,
            (Ask::Where, Some(player)) => {
                let (position, info) = (player.position().await?, player.video_info().await?);
                page.send(&json!({
                    "type": "where",
                    "position": position,
                    "duration": info.duration,
                    "seekable": info.is_seekable,
                }));
                Ok(())
            }
            (Ask::Pause | Ask::Resume | Ask::Seek { .. } | Ask::Where, None) => Ok(()),
        }
    }
}

impl Screen {
    /// Plays something else, or the same once more.
    async fn play(&mut self, uri: &str, page: &ToBrowser) -> Result<(), Error> {
        if let Some(old) = self.player.take() {
            old.release().await?;
        }
        let player = PlayerEndpoint::create(&self.pipeline, uri).await?;
        player.connect(&self.endpoint).await?;
        self.tell(&player, page).await?;
        player.play().await?;
        self.player = Some(player);
        Ok(())
    }

    /// Tells the page of the end, and of what goes wrong. Both tasks end with the player.
    async fn tell(&self, player: &PlayerEndpoint, page: &ToBrowser) -> Result<(), Error> {
        let mut ends = player.on_end_of_stream().await?;
        let mut errors = player.on_error().await?;
        let to = page.clone();
        tokio::spawn(async move {
            while let Some(Ok(_)) = ends.recv().await {
                to.send(&json!({"type": "end"}));
            }
        });
        let to = page.clone();
        tokio::spawn(async move {
            while let Some(Ok(error)) = errors.recv().await {
                to.error(error.description);
            }
        });
        Ok(())
    }
}
