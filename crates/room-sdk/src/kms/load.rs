//! How busy a media server is.

use futures_util::future::BoxFuture;
use salono_kurento_client::{Client, Error};

/// How busy a media server is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KmsLoad {
    /// From 0, idle, to 1.
    pub part: f64,
    /// Whether it takes another room.
    pub allows_more: bool,
}

/// Measures media servers.
pub trait LoadManager: Send + Sync + 'static {
    /// Asks a media server, or whoever knows. One that cannot be asked is passed over.
    fn load<'a>(&'a self, kms: &'a Client) -> BoxFuture<'a, Result<KmsLoad, Error>>;

    /// Whether there is a limit at all; where there is none and the load does not matter, nobody is asked.
    fn is_limited(&self) -> bool {
        true
    }
}

/// Counts pipelines, which is how many rooms and other applications' calls a media server has. The name
/// is Kurento Room's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxWebRtcLoadManager {
    max: usize,
}

impl MaxWebRtcLoadManager {
    /// A media server with `max` pipelines is full.
    pub fn new(max: usize) -> Self {
        Self { max }
    }
}

impl Default for MaxWebRtcLoadManager {
    /// As many as Kurento Room allows, 10 000.
    fn default() -> Self {
        Self::new(10_000)
    }
}

impl LoadManager for MaxWebRtcLoadManager {
    fn load<'a>(&'a self, kms: &'a Client) -> BoxFuture<'a, Result<KmsLoad, Error>> {
        Box::pin(async move {
            let count = kms.server_manager().pipelines().await?.len();
            Ok(KmsLoad {
                part: part(count, self.max),
                allows_more: count < self.max,
            })
        })
    }
}

/// Takes every media server for one that has room; compares them by their pipelines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnlimitedLoadManager;

impl LoadManager for UnlimitedLoadManager {
    fn load<'a>(&'a self, kms: &'a Client) -> BoxFuture<'a, Result<KmsLoad, Error>> {
        let of = MaxWebRtcLoadManager::new(usize::from(u16::MAX));
        Box::pin(async move {
            let load = of.load(kms).await?;
            Ok(KmsLoad {
                allows_more: true,
                ..load
            })
        })
    }

    fn is_limited(&self) -> bool {
        false
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a count of pipelines is far below 2^52"
)]
fn part(count: usize, max: usize) -> f64 {
    if count >= max {
        return 1.0;
    }
    count as f64 / max as f64
}
