//! One person presents, everybody else watches.
//!
//! The presenter's endpoint is connected to an endpoint for each viewer, all in one pipeline. When
//! the presenter leaves, the pipeline goes, and every viewer is told.

use std::{collections::BTreeMap, sync::Arc};

use clap::Parser;
use salono_examples::{Browser, Example, Failure, Flags, ToBrowser, negotiate};
use salono_kurento_client::{Client, Error, MediaPipeline, WebRtcEndpoint, types::IceCandidate};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

/// One presenter, any number of viewers
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Ask {
    Present { sdp: String },
    View { sdp: String },
    Candidate { candidate: IceCandidate },
    Stop,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let example = Example::start(Args::parse().flags).await?;
    let stage = Arc::new(Stage {
        client: example.client().clone(),
        show: Mutex::default(),
    });
    let page = include_str!("../../pages/one-to-many.html");
    example
        .serve(page, move |browser| session(stage.clone(), browser))
        .await
}

/// What all browsers share.
struct Stage {
    client: Client,
    show: Mutex<Option<Show>>,
}

/// Somebody presents.
struct Show {
    pipeline: MediaPipeline,
    presenter: WebRtcEndpoint,
    /// By the id of their endpoint.
    viewers: BTreeMap<String, ToBrowser>,
}

/// What a browser does at the moment.
enum Role {
    Idle,
    Presenter(WebRtcEndpoint),
    Viewer(WebRtcEndpoint),
}

/// One browser, from opening the page to closing it.
async fn session(stage: Arc<Stage>, mut browser: Browser) {
    let page = browser.sender();
    let mut role = Role::Idle;
    while let Some(ask) = browser.recv().await {
        let done = match ask {
            Ask::Present { sdp } => {
                stage.leave(&mut role).await;
                stage.present(&sdp, &page, &mut role).await
            }
            Ask::View { sdp } => {
                stage.leave(&mut role).await;
                stage.view(&sdp, &page, &mut role).await
            }
            Ask::Candidate { candidate } => match &role {
                Role::Presenter(endpoint) | Role::Viewer(endpoint) => {
                    endpoint.add_ice_candidate(&candidate).await
                }
                Role::Idle => Ok(()),
            },
            Ask::Stop => {
                stage.leave(&mut role).await;
                Ok(())
            }
        };
        if let Err(error) = done {
            page.error(error);
        }
    }
    stage.leave(&mut role).await;
}

impl Stage {
    async fn present(&self, sdp: &str, page: &ToBrowser, role: &mut Role) -> Result<(), Error> {
        let mut show = self.show.lock().await;
        if show.is_some() {
            page.send(&json!({"type": "refused", "why": "somebody presents already"}));
            return Ok(());
        }
        let pipeline = MediaPipeline::create(&self.client).await?;
        let presenter = WebRtcEndpoint::create(&pipeline).await?;
        *role = Role::Presenter(presenter.clone());
        *show = Some(Show {
            pipeline,
            presenter: presenter.clone(),
            viewers: BTreeMap::new(),
        });
        negotiate(&presenter, sdp, page, None).await
    }

    async fn view(&self, sdp: &str, page: &ToBrowser, role: &mut Role) -> Result<(), Error> {
        let mut show = self.show.lock().await;
        let Some(show) = &mut *show else {
            page.send(&json!({"type": "refused", "why": "nobody presents"}));
            return Ok(());
        };
        let viewer = WebRtcEndpoint::create(&show.pipeline).await?;
        show.viewers.insert(viewer.id().to_owned(), page.clone());
        *role = Role::Viewer(viewer.clone());
        show.presenter.connect(&viewer).await?;
        negotiate(&viewer, sdp, page, None).await
    }

    async fn leave(&self, role: &mut Role) {
        let mut show = self.show.lock().await;
        // What cannot be released goes with the session.
        match std::mem::replace(role, Role::Idle) {
            Role::Idle => {}
            Role::Viewer(endpoint) => {
                if let Some(show) = &mut *show {
                    show.viewers.remove(endpoint.id());
                }
                let _ = endpoint.release().await;
            }
            Role::Presenter(_) => {
                if let Some(show) = show.take() {
                    for viewer in show.viewers.values() {
                        viewer.send(&json!({"type": "ended"}));
                    }
                    let _ = show.pipeline.release().await;
                }
            }
        }
    }
}
