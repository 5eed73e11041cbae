//! Your own picture with a hat on.
//!
//! A `FaceOverlayFilter` between the endpoint and itself draws over each face.

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, Nothing, Scene, ToBrowser, play};
use salono_kurento_client::{Client, Error, FaceOverlayFilter, MediaPipeline, WebRtcEndpoint};

/// Shows you to yourself with a hat on
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// The hat, within the address itself, so that the media server has nothing to fetch. `http:`,
/// `https:` and `file:` do as well, where the media server may go there.
const HAT: &str = include_str!("../../../demo/hat.uri");

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let client = example.client().clone();
    let page = include_str!("../../pages/magic-mirror.html");
    let session = move |browser: Browser| play::<Mirror>(client.clone(), browser);
    example.serve(page, session).await
}

/// What one browser looks into.
struct Mirror {
    pipeline: MediaPipeline,
    endpoint: WebRtcEndpoint,
}

impl Scene for Mirror {
    type Ask = Nothing;

    async fn begin(client: &Client, _page: &ToBrowser) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let endpoint = WebRtcEndpoint::create(&pipeline).await?;
        let filter = FaceOverlayFilter::create(&pipeline).await?;
        // As wide as one and a half faces, and on top of the head.
        filter
            .set_overlayed_image(HAT.trim_end(), -0.25, -0.9, 1.5, 1.0)
            .await?;
        endpoint.connect(&filter).await?;
        filter.connect(&endpoint).await?;
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
