//! Calls to a media server that is measured: endpoints of it, and the peers that they talk to.

use std::io;
use std::time::Duration;

use salono_bench::{Callers, Pattern, PeerError, Role};
use salono_kurento_client::events::{EventData, IceCandidateFound, IceGatheringDone};
use salono_kurento_client::{Error, Events, MediaPipeline, WebRtcEndpoint};
use tokio::time::timeout;

use super::process::MediaProcess;

/// How long one event, or the connections of one batch, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeasureError {
    /// The processes cannot be started or looked at.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A server refused something.
    #[error(transparent)]
    Server(#[from] Error),
    /// A peer did not get through.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A program of another project failed.
    #[error("{0}")]
    Program(String),
    /// An event did not come.
    #[error("{0} did not come within {PATIENCE:?}")]
    Missing(&'static str),
}

/// One pipeline with its endpoints, and a str0m peer behind each.
pub(super) struct Calls {
    pipeline: MediaPipeline,
    endpoints: Vec<WebRtcEndpoint>,
    callers: Callers,
    /// Of the endpoints, those that the first one is connected to, itself included.
    connected: usize,
}

impl Calls {
    /// Nobody yet.
    pub(super) async fn new(server: &MediaProcess) -> Result<Self, MeasureError> {
        Ok(Self {
            pipeline: MediaPipeline::create(&server.client).await?,
            endpoints: Vec::new(),
            callers: Callers::new()?,
            connected: 1,
        })
    }

    /// So many more come and connect: ICE and DTLS.
    pub(super) async fn join(&mut self, count: usize, role: Role) -> Result<(), MeasureError> {
        for _ in 0..count {
            let endpoint = WebRtcEndpoint::create(&self.pipeline).await?;
            let candidates = endpoint.on_ice_candidate_found().await?;
            let gathered = endpoint.on_ice_gathering_done().await?;
            let offer = self.callers.offer(role)?;
            let answer = endpoint.process_offer(&offer).await?;
            endpoint.gather_candidates().await?;
            let found = gather(candidates, gathered).await?;
            self.callers.accept(self.endpoints.len(), &answer, &found)?;
            self.endpoints.push(endpoint);
        }
        self.callers.connect(PATIENCE)?;
        Ok(())
    }

    /// The first one is seen and heard by all others that have come so far.
    pub(super) async fn watch_the_first(&mut self) -> Result<(), MeasureError> {
        if let Some(first) = self.endpoints.first() {
            for other in self.endpoints.iter().skip(self.connected) {
                first.connect(other).await?;
            }
            self.connected = self.endpoints.len();
        }
        Ok(())
    }

    /// The first one sends for a while; returns how many of the others got something.
    pub(super) fn stream(&mut self, length: Duration) -> Result<usize, MeasureError> {
        Ok(self.callers.stream(&Pattern::default(), length)?)
    }

    /// What they are part of.
    pub(super) fn pipeline(&self) -> &MediaPipeline {
        &self.pipeline
    }

    /// Behind the peers, in the order in which they came.
    pub(super) fn endpoints(&self) -> &[WebRtcEndpoint] {
        &self.endpoints
    }

    /// Everybody receives for a while what something else sends; returns the packets that each got.
    pub(super) fn receive(&mut self, length: Duration) -> Result<Vec<u64>, MeasureError> {
        Ok(self.callers.receive(length)?)
    }

    /// Everybody leaves.
    pub(super) async fn release(self) -> Result<(), MeasureError> {
        Ok(self.pipeline.release().await?)
    }
}

/// The candidates for UDP; str0m takes no others.
async fn gather(
    mut candidates: Events<IceCandidateFound>,
    mut gathered: Events<IceGatheringDone>,
) -> Result<Vec<String>, MeasureError> {
    next(&mut gathered, "IceGatheringDone").await?;
    let mut found: Vec<String> = Vec::new();
    // Candidates come before the end of gathering, so those that there are wait here.
    while let Ok(Some(Ok(event))) = timeout(Duration::ZERO, candidates.recv()).await {
        let candidate = event.candidate.candidate;
        let is_udp = candidate
            .split(' ')
            .nth(2)
            .is_some_and(|it| it.eq_ignore_ascii_case("udp"));
        if is_udp && !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    Ok(found)
}

async fn next<E: EventData>(stream: &mut Events<E>, what: &'static str) -> Result<E, MeasureError> {
    match timeout(PATIENCE, stream.recv()).await {
        Ok(Some(Ok(event))) => Ok(event),
        Ok(Some(Err(_)) | None) | Err(_) => Err(MeasureError::Missing(what)),
    }
}
