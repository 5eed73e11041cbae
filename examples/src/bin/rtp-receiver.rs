//! A picture that some program sends as plain RTP, in browsers.
//!
//! An `RtpEndpoint` receives from whoever sends first to its port: ffmpeg, GStreamer, a camera.
//! Each browser has a `WebRtcEndpoint` that sends it on.

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, negotiate, say};
use salono_kurento_client::{
    Client, Error, MediaPipeline, RtpEndpoint, WebRtcEndpoint, types::IceCandidate,
};
use serde::Deserialize;

/// Shows a VP8 stream that arrives as plain RTP
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

/// What the sender would offer if it could: VP8 as payload type 96. It will only send
/// (`a=sendonly`), and where from it does not say (`a=direction:active`, port 9), so the endpoint
/// takes the first address that packets come from.
const OFFER: &str = "v=0\r\n\
    o=- 0 0 IN IP4 127.0.0.1\r\n\
    s=-\r\n\
    c=IN IP4 127.0.0.1\r\n\
    t=0 0\r\n\
    m=video 9 RTP/AVP 96\r\n\
    a=rtpmap:96 VP8/90000\r\n\
    a=direction:active\r\n\
    a=sendonly\r\n";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let source = match Source::create(example.client()).await {
        Ok(source) => source,
        Err(error) => return Err(example.give_up(error).await),
    };
    let port = source.port;
    say(&format!(
        "send to port {port}, for example with\n  \
         ffmpeg -re -f lavfi -i testsrc2=size=640x360:rate=30 -c:v libvpx -deadline realtime \
         -g 30 -b:v 1M -payload_type 96 -f rtp rtp://127.0.0.1:{port}\n\
         or with\n  \
         gst-launch-1.0 videotestsrc is-live=true ! vp8enc deadline=1 keyframe-max-dist=30 ! \
         rtpvp8pay pt=96 ! udpsink host=127.0.0.1 port={port}"
    ));
    let page = include_str!("../../pages/rtp-receiver.html");
    example
        .serve(page, move |browser| session(source.clone(), browser))
        .await
}

/// What arrives as RTP.
#[derive(Clone)]
struct Source {
    pipeline: MediaPipeline,
    rtp: RtpEndpoint,
    /// Where it arrives.
    port: u16,
}

impl Source {
    async fn create(client: &Client) -> Result<Self, Error> {
        let pipeline = MediaPipeline::create(client).await?;
        let rtp = RtpEndpoint::create(&pipeline).await?;
        let answer = rtp.process_offer(OFFER).await?;
        let port = port_of(&answer).ok_or_else(|| Error::UnexpectedAnswer(answer.clone()))?;
        Ok(Self {
            pipeline,
            rtp,
            port,
        })
    }
}

/// The port of the first m-line that is not refused.
fn port_of(sdp: &str) -> Option<u16> {
    let media = sdp.lines().find_map(|line| line.strip_prefix("m=video "))?;
    let port = media.split_whitespace().next()?.parse().ok()?;
    (port != 0).then_some(port)
}

/// One browser, from opening the page to closing it.
async fn session(source: Source, mut browser: Browser) {
    let page = browser.sender();
    let mut viewer: Option<WebRtcEndpoint> = None;
    while let Some(ask) = browser.recv().await {
        let done = match (ask, &viewer) {
            (Ask::Start { sdp }, None) => match source.viewer().await {
                Ok(created) => {
                    let negotiated = negotiate(&created, &sdp, &page, None).await;
                    viewer = Some(created);
                    negotiated
                }
                Err(error) => Err(error),
            },
            (Ask::Candidate { candidate }, Some(viewer)) => {
                viewer.add_ice_candidate(&candidate).await
            }
            (Ask::Stop, Some(held)) => {
                let released = held.release().await;
                viewer = None;
                released
            }
            (Ask::Start { .. }, Some(_)) | (Ask::Candidate { .. } | Ask::Stop, None) => Ok(()),
        };
        if let Err(error) = done {
            page.error(error);
        }
    }
    if let Some(viewer) = viewer {
        // Otherwise it goes with the session.
        let _ = viewer.release().await;
    }
}

impl Source {
    async fn viewer(&self) -> Result<WebRtcEndpoint, Error> {
        let viewer = WebRtcEndpoint::create(&self.pipeline).await?;
        self.rtp.connect(&viewer).await?;
        Ok(viewer)
    }
}
