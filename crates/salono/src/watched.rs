//! Files that are replaced while the server runs, such as certificates and keys.
//!
//! Every few seconds, when somebody needs what is in them, the files are looked at; when they have
//! changed, they are read again. What cannot be used is complained of, and the last good state stays.

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How often files are looked at, unless somebody asks.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// Counts how often somebody asked.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Whoever needs files next looks at them, whenever these were looked at last.
pub(crate) fn look_again() {
    ASKED.fetch_add(1, Ordering::Relaxed);
}

/// What a file looked like: when it was written, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// What some files hold.
pub(crate) struct Watched<T> {
    paths: Vec<PathBuf>,
    state: Mutex<State<T>>,
}

/// As it was read last.
struct State<T> {
    value: Arc<T>,
    /// Of what was read last, good or not.
    stamps: Vec<Stamp>,
    looked: Instant,
    asked: u64,
}

impl<T> Watched<T> {
    /// Reads the files for the first time.
    pub(crate) fn read<E>(
        paths: Vec<PathBuf>,
        read: impl FnOnce(&[PathBuf]) -> Result<T, E>,
    ) -> Result<Self, E> {
        let stamps = stamps(&paths);
        let value = Arc::new(read(&paths)?);
        let state = Mutex::new(State {
            value,
            stamps,
            looked: Instant::now(),
            asked: ASKED.load(Ordering::Relaxed),
        });
        Ok(Self { paths, state })
    }

    /// The files.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What they hold now; `read` reads them again, if need be.
    pub(crate) fn get<E: Display>(
        &self,
        now: Instant,
        read: impl FnOnce(&[PathBuf]) -> Result<T, E>,
    ) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = ASKED.load(Ordering::Relaxed);
        if asked == state.asked && now.saturating_duration_since(state.looked) < INTERVAL {
            return Arc::clone(&state.value);
        }
        (state.asked, state.looked) = (asked, now);
        let stamps = stamps(&self.paths);
        if stamps != state.stamps {
            state.stamps = stamps;
            match read(&self.paths) {
                Ok(value) => {
                    state.value = Arc::new(value);
                    tracing::info!(paths = ?self.paths, "files that were replaced are read");
                }
                Err(error) => {
                    tracing::warn!(%error, "files that were replaced cannot be used, what was in them stays");
                }
            }
        }
        Arc::clone(&state.value)
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let about = fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    paths.iter().map(stamp).collect()
}
