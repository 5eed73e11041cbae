//! Tells when something red comes into the picture, and where it is.
//!
//! What looks is a module: `examples/modules/colour-detector` is its plugin and its descriptor, and the client of it
//! that is used here was generated from that (`salono modules client`). Detectors of number plates, pointers or
//! crowds are made alike.

use clap::Parser;
use salono_examples::colour_detector::colourdetector::ColourDetector;
use salono_examples::{Browser, Example, Failure, Flags, Nothing, Scene, ToBrowser, play};
use salono_kurento_client::{Client, Error, MediaPipeline, WebRtcEndpoint};
use serde_json::json;

/// Tells when something red comes into the picture
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let client = example.client().clone();
    let page = include_str!("../../pages/colour-detector.html");
    let session = move |browser: Browser| play::<Watch>(client.clone(), browser);
    example.serve(page, session).await
}

/// What looks at the picture of one browser.
struct Watch {
    pipeline: MediaPipeline,
    endpoint: WebRtcEndpoint,
}

impl Scene for Watch {
    type Ask = Nothing;

    async fn begin(client: &Client, page: &ToBrowser) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let endpoint = WebRtcEndpoint::create(&pipeline).await?;
        let detector = ColourDetector::create(&pipeline, "#ff0000").await?;
        detector.set_least_share(0.05).await?;
        let mut detected = detector.on_colour_detected().await?;
        let mut lost = detector.on_colour_lost().await?;
        endpoint.connect(&detector).await?;
        detector.connect(&endpoint).await?;
        let page = page.clone();
        // Ends with the detector.
        tokio::spawn(async move {
            loop {
                let text = tokio::select! {
                    Some(Ok(seen)) = detected.recv() => {
                        let times = detector.count().await.unwrap_or_default();
                        let (share, left) = (seen.share * 100.0, seen.region.x * 100.0);
                        format!("{share:.0} % of the picture are red, {left:.0} % from the left; seen {times} times")
                    }
                    Some(Ok(_)) = lost.recv() => "nothing is red any more".to_owned(),
                    else => return,
                };
                page.send(&json!({"type": "seen", "text": text}));
            }
        });
        Ok(Self { pipeline, endpoint })
    }

    fn pipeline(&self) -> &MediaPipeline {
        &self.pipeline
    }

    fn endpoint(&self) -> &WebRtcEndpoint {
        &self.endpoint
    }

    async fn ask(&mut self, ask: Nothing, _page: &ToBrowser) -> Result<(), Error> {
        match ask {}
    }
}
