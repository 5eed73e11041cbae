//! A server that is used for long stays as it was.

use std::time::Duration;

use tokio::time::timeout;

use crate::process::{Folder, salono, text};

/// For a thousand handshakes of unoptimised programs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_thousand_endpoints_come_connect_and_go_and_leave_nothing_behind() {
    let folder = Folder::new();
    let output = salono(&["bench", "leak"], &folder.0).output();
    let output = timeout(PATIENCE, output).await.expect("ends").unwrap();
    let (report, error) = (text(&output.stdout), text(&output.stderr));
    // Memory, threads, sockets, files and objects are judged by the command.
    assert_eq!(output.status.code(), Some(0), "{report}{error}");
    assert!(report.starts_with("1000 WebRtcEndpoints "), "{report}");
}
