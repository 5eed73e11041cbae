//! What most examples do for a browser: a pipeline with one endpoint, from Start to Stop.

use salono_kurento_client::{Client, Error, MediaPipeline, WebRtcEndpoint, types::IceCandidate};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Browser, ToBrowser, negotiate};

/// What a program makes for one browser that has pressed Start.
pub trait Scene: Sized + Send {
    /// What its page may ask for besides starting and stopping: an enum with the tag `type`.
    type Ask: DeserializeOwned + Send;

    /// Makes the pipeline and what is in it.
    fn begin(client: &Client, page: &ToBrowser)
    -> impl Future<Output = Result<Self, Error>> + Send;

    /// What holds everything of this browser.
    fn pipeline(&self) -> &MediaPipeline;

    /// Where the browser connects.
    fn endpoint(&self) -> &WebRtcEndpoint;

    /// Runs once the endpoint has answered the browser's offer.
    fn negotiated(&mut self) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Does what the page asks for.
    fn ask(
        &mut self,
        ask: Self::Ask,
        page: &ToBrowser,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What every page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Common {
    Start { sdp: String },
    Candidate { candidate: IceCandidate },
    Stop,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Ask<A> {
    Common(Common),
    Own(A),
}

/// For pages that only start and stop.
#[derive(Debug, Deserialize)]
pub enum Nothing {}

/// Serves one browser, from opening the page to closing it.
pub async fn play<S: Scene>(client: Client, mut browser: Browser) {
    let page = browser.sender();
    let mut scene: Option<S> = None;
    while let Some(ask) = browser.recv::<Ask<S::Ask>>().await {
        let done = match (ask, &mut scene) {
            (Ask::Common(Common::Start { sdp }), None) => match S::begin(&client, &page).await {
                Ok(begun) => start(scene.insert(begun), &sdp, &page).await,
                Err(error) => Err(error),
            },
            (Ask::Common(Common::Candidate { candidate }), Some(scene)) => {
                scene.endpoint().add_ice_candidate(&candidate).await
            }
            (Ask::Common(Common::Stop), Some(held)) => {
                let released = held.pipeline().release().await;
                scene = None;
                released
            }
            (Ask::Own(ask), Some(scene)) => scene.ask(ask, &page).await,
            (Ask::Common(Common::Start { .. }), Some(_)) | (_, None) => Ok(()),
        };
        if let Err(error) = done {
            page.error(error);
        }
    }
    if let Some(scene) = scene {
        // Otherwise it goes with the session.
        let _ = scene.pipeline().release().await;
    }
}

async fn start<S: Scene>(scene: &mut S, sdp: &str, page: &ToBrowser) -> Result<(), Error> {
    negotiate(scene.endpoint(), sdp, page, None).await?;
    scene.negotiated().await
}
