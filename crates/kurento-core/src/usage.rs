//! What the process uses of what the system grants it, and when that is too much for more objects.

use crate::ObjectModel;
use salono_kurento_model::{Error, ErrorCode};

/// Threads and files of the process; read by the shell, see
/// [`ObjectModel::handle_usage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Threads against `RLIMIT_NPROC`.
    pub threads: Level,
    /// File descriptors against `RLIMIT_NOFILE`.
    pub files: Level,
}

/// One resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// In use.
    pub used: u64,
    /// Granted; `None` is unlimited.
    pub granted: Option<u64>,
}

impl Level {
    /// The limit that `part` of what is granted makes, if it is exceeded.
    fn exceeded(self, part: f64) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a float to integer cast saturates, and counts are far below 2^52"
        )]
        let limit = (self.granted? as f64 * part) as u64;
        (self.used > limit).then_some(limit)
    }
}

impl Usage {
    /// What is above `part` of what is granted, in Kurento's words; `None` when nothing is, or when
    /// `part` is no positive number.
    #[must_use]
    pub fn excess(&self, part: f64) -> Option<String> {
        // Not "<= 0": that would let NaN through.
        if !part.is_finite() || part <= 0.0 {
            return None;
        }
        if let Some(limit) = self.threads.exceeded(part) {
            return Some(format!("Reached KMS threads limit: {limit}"));
        }
        let limit = self.files.exceeded(part)?;
        Some(format!("Reached KMS files limit: {limit}"))
    }
}

impl ObjectModel {
    /// The shell read what the process uses. It holds for `create` until the next reading, so it
    /// should be recent when a request that may create something is handled.
    pub fn handle_usage(&mut self, usage: Usage) {
        self.usage = usage;
    }

    /// Refuses to create when the process is about to reach its limits.
    pub(crate) fn check_usage(&self) -> Result<(), Error> {
        match self.usage.excess(self.config.exception_limit) {
            Some(text) => Err(Error::new(ErrorCode::NotEnoughResources, text)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(threads: u64, files: u64) -> Usage {
        Usage {
            threads: Level {
                used: threads,
                granted: Some(100),
            },
            files: Level {
                used: files,
                granted: Some(1_024),
            },
        }
    }

    #[test]
    fn what_is_above_its_part_is_named_with_the_limit() {
        assert_eq!(usage(80, 819).excess(0.8), None);
        let threads = usage(81, 1_000).excess(0.8);
        assert_eq!(threads.as_deref(), Some("Reached KMS threads limit: 80"));
        let files = usage(1, 820).excess(0.8);
        assert_eq!(files.as_deref(), Some("Reached KMS files limit: 819"));
    }

    #[test]
    fn without_a_limit_or_a_part_nothing_is_too_much() {
        let unlimited = Usage {
            threads: Level {
                used: u64::MAX,
                granted: None,
            },
            files: Level::default(),
        };
        assert_eq!(unlimited.excess(0.8), None);
        for part in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(usage(1_000, 10_000).excess(part), None, "{part}");
        }
    }
}
