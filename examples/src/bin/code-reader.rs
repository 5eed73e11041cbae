//! Reads bar codes that are held into the camera.
//!
//! A filter that looks at the picture and reports what it finds: so do detectors of number plates,
//! pointers or crowds, too.

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, Nothing, Scene, ToBrowser, play};
use salono_kurento_client::{Client, Error, MediaPipeline, WebRtcEndpoint, ZBarFilter};
use serde_json::json;

/// Tells which bar codes and QR codes your camera sees
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let client = example.client().clone();
    let page = include_str!("../../pages/code-reader.html");
    let session = move |browser: Browser| play::<Reader>(client.clone(), browser);
    example.serve(page, session).await
}

/// What looks at the picture of one browser.
struct Reader {
    pipeline: MediaPipeline,
    endpoint: WebRtcEndpoint,
}

impl Scene for Reader {
    type Ask = Nothing;

    async fn begin(client: &Client, page: &ToBrowser) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let endpoint = WebRtcEndpoint::create(&pipeline).await?;
        let filter = ZBarFilter::create(&pipeline).await?;
        let mut codes = filter.on_code_found().await?;
        endpoint.connect(&filter).await?;
        filter.connect(&endpoint).await?;
        let page = page.clone();
        // Ends with the filter.
        tokio::spawn(async move {
            while let Some(Ok(code)) = codes.recv().await {
                let (kind, value) = (code.code_type, code.value);
                page.send(&json!({"type": "code", "kind": kind, "value": value}));
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
