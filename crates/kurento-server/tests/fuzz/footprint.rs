//! What this process has open, as the kernel counts it.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How long something may take to end; far more than it does.
const PATIENCE: Duration = Duration::from_secs(20);

/// Distance of looks at what only changes by itself.
const LOOK: Duration = Duration::from_millis(20);

/// Sockets, other open files and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footprint {
    pub(crate) sockets: usize,
    pub(crate) files: usize,
    pub(crate) threads: usize,
}

impl Footprint {
    /// What there is now.
    pub(crate) fn now() -> Self {
        let open: Vec<bool> = fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| {
                let target = fs::read_link(entry.ok()?.path()).ok()?;
                Some(target.to_string_lossy().starts_with("socket:"))
            })
            .collect();
        let sockets = open.iter().filter(|socket| **socket).count();
        Self {
            sockets,
            files: open.len() - sockets,
            threads: fs::read_dir("/proc/self/task").unwrap().count(),
        }
    }

    /// Waits until there is no more than this, and no less.
    #[allow(
        clippy::disallowed_methods,
        reason = "nothing tells when the kernel has taken something back; no executor waits here"
    )]
    pub(crate) fn is_back(self, when: &str) {
        let began = Instant::now();
        while Self::now() != self {
            let now = Self::now();
            assert!(began.elapsed() < PATIENCE, "{when}: {now:?}, not {self:?}");
            thread::sleep(LOOK);
        }
    }
}
