//! The Kurento Protocol, as room servers of its time use it: a pipeline for each room, a `WebRtcEndpoint` for each
//! publisher and one more for everybody who watches it, connected to the publisher's.

use super::super::camera::Camera;
use super::super::plan::{Scenario, Watch};
use super::super::viewer::Joined;
use super::super::{Floorplan, LoadError};
use super::{Entrance, roll};
use salono_kurento_client::events::IceCandidateFound;
use salono_kurento_client::{Client, Error, Events, MediaPipeline, WebRtcEndpoint};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use str0m::media::Direction;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long candidates are waited for before a publisher begins to connect.
const GATHERING: Duration = Duration::from_secs(5);

/// A session.
pub(super) struct Kurento {
    client: Client,
    scenario: Scenario,
    /// One for each room.
    pipelines: Vec<MediaPipeline>,
    /// Of the publishers so far.
    sources: RefCell<Vec<WebRtcEndpoint>>,
}

impl Kurento {
    /// Opens a session and makes the pipelines.
    pub(super) async fn connect(url: &str, scenario: Scenario) -> Result<Self, LoadError> {
        let (client, driver) = Client::connect(url).await.map_err(failed)?;
        tokio::task::spawn_local(driver.run());
        let mut pipelines = Vec::new();
        for _ in 0..scenario.rooms() {
            pipelines.push(MediaPipeline::create(&client).await?);
        }
        Ok(Self {
            client,
            scenario,
            pipelines,
            sources: RefCell::default(),
        })
    }

    pub(super) async fn publish(
        &self,
        entrance: &Entrance,
        plan: &Floorplan,
        publisher: usize,
        told: oneshot::Sender<()>,
    ) -> Result<(), LoadError> {
        let mut peer = entrance.sender()?;
        let offered = peer.offer(entrance.with_video, Direction::SendOnly)?;
        let (endpoint, mut candidates) = self.endpoint(publisher).await?;
        let answer = endpoint.process_offer(&offered.sdp).await?;
        let window = Arc::clone(&plan.windows[publisher]);
        let mut camera = Camera::on_stack(peer, offered, &answer, window, told)?;
        endpoint.gather_candidates().await?;
        // The host's first address is enough to connect.
        if let Ok(Some(Ok(found))) = timeout(GATHERING, candidates.recv()).await {
            camera.add_candidate(&found.candidate.candidate)?;
        }
        self.sources.borrow_mut().push(endpoint);
        roll(plan, camera)
    }

    pub(super) async fn watch(
        &self,
        entrance: &Entrance,
        plan: &Floorplan,
        watch: &Watch,
        told: oneshot::Sender<Joined>,
    ) -> Result<(), LoadError> {
        let mut peer = entrance.receiver()?;
        let offered = peer.offer(entrance.with_video, Direction::RecvOnly)?;
        let source = self.sources.borrow().get(watch.publisher).cloned();
        let source = source.ok_or_else(|| LoadError::Load("nobody publishes".into()))?;
        let (endpoint, mut candidates) = self.endpoint(watch.publisher).await?;
        source.connect(&endpoint).await?;
        let answer = endpoint.process_offer(&offered.sdp).await?;
        peer.accept(offered, &answer)?;
        let seat = entrance.seat(plan, watch, peer, &answer, told)?;
        endpoint.gather_candidates().await?;
        tokio::task::spawn_local(async move {
            while let Some(Ok(found)) = candidates.recv().await {
                seat.add_candidate(found.candidate.candidate);
            }
        });
        Ok(())
    }

    /// A new endpoint in the room of a publisher, and its candidates.
    async fn endpoint(
        &self,
        publisher: usize,
    ) -> Result<(WebRtcEndpoint, Events<IceCandidateFound>), LoadError> {
        let pipeline = &self.pipelines[self.scenario.room(publisher)];
        let endpoint = WebRtcEndpoint::create(pipeline).await?;
        let candidates = endpoint.on_ice_candidate_found().await?;
        Ok((endpoint, candidates))
    }

    pub(super) async fn describe(&self) -> String {
        match self.client.server_manager().info().await {
            Ok(info) => format!("Kurento Protocol, version {}", info.version),
            Err(error) => format!("Kurento Protocol, {error}"),
        }
    }

    pub(super) async fn leave(&self) {
        for pipeline in &self.pipelines {
            // It may be gone already; then there is nothing to leave.
            let _ = pipeline.release().await;
        }
        self.client.close().await;
    }
}

impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        failed(error)
    }
}

fn failed(error: impl std::fmt::Display) -> LoadError {
    LoadError::Server(error.to_string())
}
