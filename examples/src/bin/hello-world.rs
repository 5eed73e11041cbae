//! Your own picture and sound, by way of the media server.
//!
//! The page offers to send and to receive; the endpoint that answers is connected to itself.

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, negotiate};
use salono_kurento_client::{Client, Error, MediaPipeline, WebRtcEndpoint, types::IceCandidate};
use serde::Deserialize;

/// Shows you to yourself, by way of a media server
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Ask {
    Start { sdp: String },
    Candidate { candidate: IceCandidate },
    Stop,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let client = example.client().clone();
    let page = include_str!("../../pages/hello-world.html");
    example
        .serve(page, move |browser| session(client.clone(), browser))
        .await
}

/// One browser, from opening the page to closing it.
async fn session(client: Client, mut browser: Browser) {
    let page = browser.sender();
    let mut mirror: Option<Mirror> = None;
    while let Some(ask) = browser.recv().await {
        let done = match (ask, &mirror) {
            (Ask::Start { sdp }, None) => match Mirror::create(&client).await {
                Ok(created) => {
                    let negotiated = negotiate(&created.endpoint, &sdp, &page, None).await;
                    mirror = Some(created);
                    negotiated
                }
                Err(error) => Err(error),
            },
            (Ask::Candidate { candidate }, Some(mirror)) => {
                mirror.endpoint.add_ice_candidate(&candidate).await
            }
            (Ask::Stop, Some(held)) => {
                let released = held.pipeline.release().await;
                mirror = None;
                released
            }
            (Ask::Start { .. }, Some(_)) | (Ask::Candidate { .. } | Ask::Stop, None) => Ok(()),
        };
        if let Err(error) = done {
            page.error(error);
        }
    }
    if let Some(mirror) = mirror {
        // Otherwise it goes with the session.
        let _ = mirror.pipeline.release().await;
    }
}

/// A pipeline with one endpoint that sends back what it receives.
struct Mirror {
    pipeline: MediaPipeline,
    endpoint: WebRtcEndpoint,
}

impl Mirror {
    async fn create(client: &Client) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let endpoint = WebRtcEndpoint::create(&pipeline).await?;
        endpoint.connect(&endpoint).await?;
        Ok(Self { pipeline, endpoint })
    }
}
