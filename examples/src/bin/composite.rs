//! A conference in which everybody gets one picture with all in it.
//!
//! Each browser's endpoint is connected with a port of a `Composite`, both ways. The picture is the
//! same for all; of the sound everybody hears the others.

use std::sync::Arc;

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, negotiate};
use salono_kurento_client::{
    Client, Composite, Error, HubPort, MediaPipeline, WebRtcEndpoint, types::IceCandidate,
};
use serde::Deserialize;

/// A conference as one picture
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Width of the picture in pixels
    #[arg(long, default_value_t = 1280)]
    width: i32,
    /// Height of the picture in pixels
    #[arg(long, default_value_t = 720)]
    height: i32,
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
    let args = Args::parse();
    let example = Example::start(args.flags).await?;
    let table = match Table::lay(example.client(), args.width, args.height).await {
        Ok(table) => Arc::new(table),
        Err(error) => return Err(example.give_up(error).await),
    };
    let page = include_str!("../../pages/composite.html");
    example
        .serve(page, move |browser| session(table.clone(), browser))
        .await
}

/// What all browsers share.
struct Table {
    pipeline: MediaPipeline,
    composite: Composite,
}

/// What one browser has.
struct Seat {
    endpoint: WebRtcEndpoint,
    port: HubPort,
}

/// One browser, from opening the page to closing it.
async fn session(table: Arc<Table>, mut browser: Browser) {
    let page = browser.sender();
    let mut seat: Option<Seat> = None;
    while let Some(ask) = browser.recv().await {
        let done = match (ask, &seat) {
            (Ask::Start { sdp }, None) => match table.sit_down().await {
                Ok(taken) => {
                    let endpoint = seat.insert(taken).endpoint.clone();
                    negotiate(&endpoint, &sdp, &page, None).await
                }
                Err(error) => Err(error),
            },
            (Ask::Candidate { candidate }, Some(seat)) => {
                seat.endpoint.add_ice_candidate(&candidate).await
            }
            (Ask::Stop, Some(_)) => match seat.take() {
                Some(seat) => seat.leave().await,
                None => Ok(()),
            },
            (Ask::Start { .. }, Some(_)) | (Ask::Candidate { .. } | Ask::Stop, None) => Ok(()),
        };
        if let Err(error) = done {
            page.error(error);
        }
    }
    if let Some(seat) = seat {
        // Otherwise it goes with the session.
        let _ = seat.leave().await;
    }
}

impl Table {
    async fn lay(client: &Client, width: i32, height: i32) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let composite = Composite::builder(&pipeline)
            .width(width)
            .height(height)
            .create()
            .await?;
        Ok(Self {
            pipeline,
            composite,
        })
    }

    async fn sit_down(&self) -> Result<Seat, Error> {
        let endpoint = WebRtcEndpoint::create(&self.pipeline).await?;
        let port = HubPort::create(&self.composite).await?;
        endpoint.connect(&port).await?;
        port.connect(&endpoint).await?;
        Ok(Seat { endpoint, port })
    }
}

impl Seat {
    async fn leave(self) -> Result<(), Error> {
        self.endpoint.release().await?;
        self.port.release().await
    }
}
