//! From wanting to enter a room to the first picture of somebody in it.
//!
//! This program starts itself once more, as `salono serve` on the loopback interface. Fakes of the test
//! kit enter a room in which another one shows a film: one after the other, then all at once. What is
//! timed is everything a person waits for: WebSocket, `joinRoom`, `receiveVideoFrom`, ICE, DTLS, and the
//! first whole picture. Fakes and server share the machine.

use std::env;
use std::fs;
use std::io;
use std::process::Stdio;

use salono_room_test::{Options, joins};
use tokio::process::Command;

use super::JoinArgs;
use super::process::wait_for;
use crate::failure::Failure;

/// Measures, and prints a table.
pub(super) fn measure(args: &JoinArgs) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("cannot start the runtime"))?;
    let folder = env::temp_dir().join(format!("salono-bench-{}", std::process::id()));
    let measured = runtime.block_on(async {
        fs::create_dir_all(&folder)?;
        let ports = folder.join("ports.json");
        // A file of a process that had this id before.
        let _ = fs::remove_file(&ports);
        let mut child = Command::new(env::current_exe()?)
            .arg("serve")
            .args([
                "--https",
                "off",
                "--http",
                "127.0.0.1:0",
                "--kurento",
                "off",
            ])
            .args(["--media-ip", "127.0.0.1", "--log", "error"])
            .env("SALONO_PROCESSOR_WARM", "0")
            .arg("--ports-file")
            .arg(&ports)
            .arg("--data-dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let ports = wait_for(&ports, &mut child).await?;
        let address = ports["http"].as_str().unwrap_or_default();
        let options = Options::new(format!("ws://{address}/room"), "bench");
        let serial = joins::one_after_the_other(&options, args.count)
            .await
            .map_err(io::Error::other)?;
        let parallel = joins::all_at_once(&options, args.count)
            .await
            .map_err(io::Error::other)?;
        Ok((serial, parallel))
    });
    // Nothing of value; a failure to remove it is not one of the measurement.
    let _ = fs::remove_dir_all(&folder);
    let (serial, parallel) = measured.map_err(Failure::system("cannot measure joins"))?;
    let table = joins::table(&serial, &parallel);
    Ok(format!(
        "## Joining a room, until the first picture\n\n{table}"
    ))
}
