//! A media processor without media: sends every packet back, and misbehaves when told, which the real one never
//! does. It is the test program itself, started once more by a script.

#![expect(unsafe_code, reason = "descriptors are passed by number")]

use salono_media_api::processing::bridge::{
    BridgeCommand, BridgeEvent, CONTROL_FD, MEDIA_FD, VERSION,
};
use salono_media_api::processing::frames::{self, Frame, INITIAL_CREDIT, MAX_MESSAGE};
use salono_media_api::processing::{ProcessorCall, ProcessorReply};
use salono_media_api::{ElementKey, Token};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A directory of a test's own; removed with this.
pub(super) struct Directory(PathBuf);

impl Directory {
    /// An empty one.
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("salono-double-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A program that runs the test of this name of this test program, which is to call [`run`].
    pub(super) fn double(&self, test: &str) -> PathBuf {
        let this = std::env::current_exe().unwrap();
        let this = this.display();
        self.script(&format!(
            "echo started with $$ >&2\nexec '{this}' --exact {test} --ignored --nocapture"
        ))
    }

    /// A program that is a shell script.
    pub(super) fn script(&self, body: &str) -> PathBuf {
        let path = self.0.join("processor");
        // Replaced as a whole: one that is being written cannot be started.
        let written = self.0.join("written");
        fs::write(&written, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&written, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&written, &path).unwrap();
        path
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a double was told to do wrong.
static READS_MEDIA: AtomicBool = AtomicBool::new(true);

/// Is the processor, if this program was started as one.
pub(super) fn run() {
    let is_socket = |fd: i32| {
        let link = fs::read_link(format!("/proc/self/fd/{fd}"));
        link.is_ok_and(|link| link.to_string_lossy().starts_with("socket:"))
    };
    if !is_socket(CONTROL_FD) || !is_socket(MEDIA_FD) {
        return;
    }
    // SAFETY: passed on to this program, and used nowhere else.
    let (control, media) = unsafe {
        (
            UnixStream::from_raw_fd(CONTROL_FD),
            OwnedFd::from_raw_fd(MEDIA_FD),
        )
    };
    let media = socket2::Socket::from(media);
    let of_thread = media.try_clone().unwrap();
    thread::spawn(move || echo(of_thread));
    serve(control, &media);
}

fn say(mut control: &UnixStream, event: &BridgeEvent) {
    let mut line = serde_json::to_vec(event).unwrap();
    line.push(b'\n');
    if control.write_all(&line).is_err() {
        exit(0);
    }
}

fn serve(control: UnixStream, media: &socket2::Socket) {
    say(&control, &BridgeEvent::Ready { version: VERSION });
    let mut stubborn = false;
    for line in BufReader::new(&control).lines() {
        match serde_json::from_str(&line.unwrap()).unwrap() {
            BridgeCommand::Begin { policy, .. } => {
                eprintln!("WARN may read {:?}", policy.read_roots);
            }
            BridgeCommand::Call { token, call, .. } => {
                let ProcessorCall::GetProperty { name } = call else {
                    panic!("{call:?} is not played")
                };
                stubborn |= name == "stubborn";
                obey(&name, token, &control, media);
            }
            BridgeCommand::Ping => say(&control, &BridgeEvent::Pong),
            BridgeCommand::End if !stubborn => exit(0),
            BridgeCommand::End
            | BridgeCommand::Create { .. }
            | BridgeCommand::Release { .. }
            | BridgeCommand::Link { .. }
            | BridgeCommand::OpenInlet { .. }
            | BridgeCommand::CloseInlet { .. }
            | BridgeCommand::OpenOutlet { .. }
            | BridgeCommand::CloseOutlet { .. }
            | BridgeCommand::SetEncoding { .. }
            | BridgeCommand::Message { .. } => {}
        }
    }
    exit(0);
}

fn obey(name: &str, token: Token, mut control: &UnixStream, media: &socket2::Socket) {
    let json = match name {
        "pid" => std::process::id().to_string(),
        "fds" => {
            let fds = fs::read_dir("/proc/self/fd").unwrap();
            fds.count().to_string()
        }
        "environment" => {
            let names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
            names.join(" ")
        }
        "silence" => return,
        "sleep" => loop {
            thread::park();
        },
        "flood" => loop {
            let element = ElementKey(1);
            let state = "x".repeat(100);
            say(control, &BridgeEvent::Checkpoint { element, state });
        },
        "garbage" => {
            control.write_all(b"\xff\x00 no JSON\n").unwrap();
            return;
        }
        "endless" => loop {
            if control.write_all(&[b'{'; 65_536]).is_err() {
                exit(0);
            }
        },
        "media garbage" => {
            media.send(&[0xff; 1_000]).unwrap();
            return;
        }
        "too much credit" => {
            let mut message = Vec::new();
            assert!(frames::push_credit(&mut message, u32::MAX));
            media.send(&message).unwrap();
            return;
        }
        "close media" => {
            media.shutdown(std::net::Shutdown::Both).unwrap();
            return;
        }
        "ignore media" => {
            READS_MEDIA.store(false, Ordering::SeqCst);
            String::new()
        }
        "exit" => {
            eprintln!("cannot go on");
            exit(3);
        }
        name => name.to_owned(),
    };
    let result = Ok(ProcessorReply::Json(json));
    say(control, &BridgeEvent::Replied { token, result });
}

/// Sends packets back within the credit that there is.
fn echo(mut media: socket2::Socket) {
    let mut buffer = vec![0; MAX_MESSAGE];
    let (mut credit, mut owed) = (INITIAL_CREDIT, 0);
    loop {
        while !READS_MEDIA.load(Ordering::SeqCst) {
            thread::park_timeout(Duration::from_millis(10));
        }
        let Ok(received @ 1..) = media.read(&mut buffer) else {
            return;
        };
        let mut message = Vec::new();
        let mut bytes = 0;
        for frame in frames::read(&buffer[..received]) {
            match frame {
                Frame::Credit(more) => credit += more,
                Frame::Packet(packet) => {
                    owed += packet.len() as u32;
                    if credit >= bytes + packet.len() as u32
                        && frames::push_packet(&mut message, packet)
                    {
                        bytes += packet.len() as u32;
                    }
                }
            }
        }
        if !message.is_empty() && media.send(&message).is_ok() {
            credit -= bytes;
        }
        if owed > 100_000 {
            let mut message = Vec::new();
            assert!(frames::push_credit(&mut message, owed));
            media.send(&message).unwrap();
            owed = 0;
        }
    }
}
