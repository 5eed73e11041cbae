//! Conversations that were recorded with a genuine Kurento Media Server, held again with this one.
//!
//! The server is whole: object model, media engine on the loopback interface, real WebSockets. Every
//! difference to the recording has its row in the table of `docs/compat.md`; see [`table`].
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod compare;
mod live;
mod names;
mod player;
mod processing;
mod recording;
mod replay;
mod sdp;
mod table;
mod witness;

use recording::Recording;
use std::fmt::Write as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_frame_is_answered_as_recorded_or_as_the_table_says() {
    let only = std::env::var("TRACE").ok();
    let table = table::Table::read();
    let mut found = Vec::new();
    for recording in Recording::all() {
        if only
            .as_deref()
            .is_some_and(|only| !recording.name.contains(only))
        {
            continue;
        }
        found.extend(replay::replay(&recording, &table).await);
    }
    let verdict = table.judge(&found, only.is_none());
    let mut report = String::new();
    for row in &verdict.unlisted {
        writeln!(report, "{row}").unwrap();
    }
    for row in &verdict.stale {
        writeln!(report, "no longer so: {row}").unwrap();
    }
    assert!(report.is_empty(), "\n{report}");
}
