//! How processors are started, and what is counted of them.

use salono_media_api::processing::bridge::UriPolicy;
use std::path::PathBuf;

/// Settings of the processors of all pipelines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessorConfig {
    /// The program; `None` looks for `salono-processor` beside the running one, then in `PATH`.
    pub program: Option<PathBuf>,
    /// Processors that are kept ready for the next pipelines that need one; 0 starts each when it is needed.
    pub warm: usize,
    /// Most processors at a time, those that are kept ready not counted; beyond it none can be had.
    pub max: usize,
    /// Memory that one may have, in bytes; 0 for as much as there is.
    pub memory_bytes: u64,
    /// What processors may reach.
    pub policy: UriPolicy,
    /// Directories that third-party plugins of GStreamer are in.
    pub modules: Vec<PathBuf>,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        Self {
            program: None,
            warm: 0,
            max: 256,
            memory_bytes: 2 << 30,
            policy: UriPolicy::default(),
            modules: Vec::new(),
        }
    }
}

/// Counters of all processors since the start; gauges say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessorMetrics {
    /// Processors that belong to a pipeline now (gauge).
    pub running: u64,
    /// Processors that are kept ready now (gauge).
    pub warm: u64,
    /// Processors that were started.
    pub started: u64,
    /// Processors that ended without being told to, or had to be ended.
    pub lost: u64,
    /// Of these, those that no longer answered or took nothing.
    pub hung: u64,
    /// Times that none could be had.
    pub unavailable: u64,
}
