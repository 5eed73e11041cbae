//! Several media servers as a provider.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::{BoxFuture, join_all};
use salono_kurento_client::{Client, Config};
use salono_room_core::{RoomError, RoomErrorCode};

use super::choice::{KmsChoice, NamePattern};
use super::load::{KmsLoad, LoadManager, MaxWebRtcLoadManager};
use super::server::Kms;
use crate::provider::{KurentoClientProvider, KurentoClientSessionInfo};

/// Name of users whose rooms get the least loaded media server in Kurento Room's demo.
const SPECIAL: &str = "special.*";

/// Media servers that rooms are spread over.
///
/// A media server that cannot be reached is passed over until it returns. A room that loses its own
/// gets another one by the same choice, whoever created it.
pub struct KmsManager {
    kmss: RwLock<Vec<Arc<Kms>>>,
    choice: KmsChoice,
    creators: Option<NamePattern>,
    turn: AtomicUsize,
}

impl KmsManager {
    /// Without a media server so far.
    pub fn new(choice: KmsChoice) -> Self {
        Self {
            kmss: RwLock::default(),
            choice,
            creators: None,
            turn: AtomicUsize::new(0),
        }
    }

    /// One media server for all rooms, over `connections` connections that take turns.
    pub fn fixed_one(url: &str, connections: usize, config: &Config) -> Self {
        let manager = Self::new(KmsChoice::RoundRobin);
        let load: Arc<dyn LoadManager> = Arc::new(MaxWebRtcLoadManager::default());
        for _ in 0..connections.max(1) {
            manager.add_kms(Kms::new(url, config.clone(), Arc::clone(&load)));
        }
        manager
    }

    /// Several media servers with at most `limit` pipelines each: users whose name begins with `special`
    /// get the least loaded one, as in Kurento Room's demo.
    ///
    /// # Panics
    /// Never: the pattern is a constant.
    pub fn fixed_n<'a>(
        urls: impl IntoIterator<Item = &'a str>,
        limit: usize,
        config: &Config,
    ) -> Self {
        let special = NamePattern::new(SPECIAL).expect("a constant pattern is well-formed");
        let manager = Self::new(KmsChoice::ServiceLevel(special));
        let load: Arc<dyn LoadManager> = Arc::new(MaxWebRtcLoadManager::new(limit));
        for url in urls {
            manager.add_kms(Kms::new(url, config.clone(), Arc::clone(&load)));
        }
        manager
    }

    /// Only users whose name fits may create rooms (204 for others); to join a room that exists takes
    /// nothing.
    #[must_use]
    pub fn created_by(mut self, creators: NamePattern) -> Self {
        self.creators = Some(creators);
        self
    }

    /// Adds a media server; rooms that are created from now on may get it.
    pub fn add_kms(&self, kms: Kms) {
        let mut kmss = self.kmss.write().unwrap_or_else(PoisonError::into_inner);
        kmss.push(Arc::new(kms));
    }

    /// All media servers, in the order in which they were added.
    pub fn kmss(&self) -> Vec<Arc<Kms>> {
        let kmss = self.kmss.read().unwrap_or_else(PoisonError::into_inner);
        kmss.clone()
    }

    /// The next one by turns that takes another room. Errors: 204.
    pub async fn next_kms(&self) -> Result<Arc<Kms>, RoomError> {
        let kmss = self.kmss();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut why = no_media_server();
        for offset in 0..kmss.len() {
            let kms = &kmss[first.wrapping_add(offset) % kmss.len()];
            match kms.allows_more().await {
                Ok(true) => return Ok(Arc::clone(kms)),
                Ok(false) => why = full(),
                Err(error) => tracing::warn!(%error, "media server passed over"),
            }
        }
        Err(why)
    }

    /// The least loaded one. Errors: 204.
    pub async fn less_loaded_kms(&self) -> Result<Arc<Kms>, RoomError> {
        self.ranked(0).await
    }

    /// The second least loaded one, or the only one. Errors: 204.
    pub async fn next_less_loaded_kms(&self) -> Result<Arc<Kms>, RoomError> {
        self.ranked(1).await
    }

    /// Those that can be reached with their loads, the least loaded first; of two that are equal, the one
    /// that was added first.
    pub async fn kmss_sorted_by_load(&self) -> Vec<(Arc<Kms>, KmsLoad)> {
        let kmss = self.kmss();
        let loads = join_all(kmss.iter().map(|kms| kms.load())).await;
        let mut known: Vec<(Arc<Kms>, KmsLoad)> = Vec::new();
        for (kms, load) in kmss.into_iter().zip(loads) {
            match load {
                Ok(load) => known.push((kms, load)),
                Err(error) => tracing::warn!(%error, "media server passed over"),
            }
        }
        known.sort_by(|(_, a), (_, b)| a.part.total_cmp(&b.part));
        known
    }

    /// The one at a rank by load, or the last before it; the least loaded one where that is full.
    async fn ranked(&self, rank: usize) -> Result<Arc<Kms>, RoomError> {
        let sorted = self.kmss_sorted_by_load().await;
        let Some(last) = sorted.len().checked_sub(1) else {
            return Err(no_media_server());
        };
        [rank.min(last), 0]
            .into_iter()
            .map(|rank| &sorted[rank])
            .find(|(_, load)| load.allows_more)
            .map(|(kms, _)| Arc::clone(kms))
            .ok_or_else(full)
    }

    async fn choose(&self, user: Option<&str>) -> Result<Client, RoomError> {
        let chosen = match &self.choice {
            KmsChoice::RoundRobin => self.next_kms().await,
            KmsChoice::LeastLoaded => self.less_loaded_kms().await,
            KmsChoice::NextLeastLoaded => self.next_less_loaded_kms().await,
            KmsChoice::ServiceLevel(pattern) => {
                if user.is_some_and(|user| pattern.matches(user)) {
                    self.less_loaded_kms().await
                } else {
                    self.next_less_loaded_kms().await
                }
            }
        }?;
        tracing::debug!(media_server = chosen.name(), "media server chosen");
        chosen.client().await
    }

    /// A room that the program creates is nobody's.
    fn check_creator(&self, session: &KurentoClientSessionInfo) -> Result<(), RoomError> {
        let (Some(pattern), Some(_)) = (&self.creators, &session.participant_id) else {
            return Ok(());
        };
        let user = session.user_name.as_deref();
        if user.is_some_and(|user| pattern.matches(user)) {
            return Ok(());
        }
        Err(RoomError::new(
            RoomErrorCode::RoomCannotBeCreated,
            format!("this user may not create room '{}'", session.room_name),
        ))
    }
}

impl KurentoClientProvider for KmsManager {
    fn kurento_client<'a>(
        &'a self,
        session: &'a KurentoClientSessionInfo,
    ) -> BoxFuture<'a, Result<Client, RoomError>> {
        Box::pin(async move {
            self.check_creator(session)?;
            self.choose(session.user_name.as_deref()).await
        })
    }

    fn replacement<'a>(
        &'a self,
        session: &'a KurentoClientSessionInfo,
        _: &'a Client,
    ) -> BoxFuture<'a, Result<Option<Client>, RoomError>> {
        Box::pin(async move { self.choose(session.user_name.as_deref()).await.map(Some) })
    }
}

fn no_media_server() -> RoomError {
    RoomError::new(
        RoomErrorCode::RoomCannotBeCreated,
        "no media server can be reached",
    )
}

fn full() -> RoomError {
    RoomError::new(
        RoomErrorCode::RoomCannotBeCreated,
        "the media servers take no more rooms",
    )
}
