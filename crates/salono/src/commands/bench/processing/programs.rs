//! `gst-launch-1.0`, `ffmpeg` and `ffprobe`: what we are measured against, and what makes streams and files.

use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::commands::bench::calls::MeasureError;

/// Runs pipelines that are written by hand.
pub(super) const LAUNCH: &str = "gst-launch-1.0";

/// Its other peer.
pub(super) const FFMPEG: &str = "ffmpeg";

/// A program at work. Ends when dropped.
pub(super) struct Program {
    child: Child,
    name: &'static str,
}

impl Program {
    /// Starts one in a directory, with arguments between blanks.
    pub(super) fn start(
        name: &'static str,
        arguments: &str,
        directory: &Path,
    ) -> Result<Self, MeasureError> {
        let child = command(name, arguments, directory)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| missing(name, &error))?;
        Ok(Self { child, name })
    }

    /// Its process id.
    pub(super) fn id(&self) -> Result<u32, MeasureError> {
        let ended = || MeasureError::Program(format!("{} ended too early", self.name));
        self.child.id().ok_or_else(ended)
    }

    /// That it still works: one that has failed costs nothing.
    pub(super) fn check(&mut self) -> Result<(), MeasureError> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(MeasureError::Program(format!(
                "{} ended too early: {status}",
                self.name
            ))),
        }
    }

    /// Ends it.
    pub(super) async fn end(mut self) -> Result<(), MeasureError> {
        Ok(self.child.kill().await?)
    }
}

/// Lets a program do its work; returns what it prints.
pub(super) async fn run(
    name: &'static str,
    arguments: &str,
    directory: &Path,
) -> Result<String, MeasureError> {
    let output = command(name, arguments, directory)
        .stderr(Stdio::piped())
        .output()
        .await
        .map_err(|error| missing(name, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(MeasureError::Program(format!("{name} fails: {last}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn command(name: &str, arguments: &str, directory: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

fn missing(name: &str, error: &io::Error) -> MeasureError {
    MeasureError::Program(format!(
        "{name}: {error}; it is in the packages gstreamer1.0-tools and ffmpeg"
    ))
}

/// An even UDP port that was free a moment ago, and the next one was.
pub(super) fn free_port() -> io::Result<u16> {
    loop {
        let first = UdpSocket::bind("127.0.0.1:0")?;
        let port = first.local_addr()?.port();
        if port % 2 == 0 && UdpSocket::bind(("127.0.0.1", port.saturating_add(1))).is_ok() {
            return Ok(port);
        }
    }
}
