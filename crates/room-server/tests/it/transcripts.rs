//! Replays every transcript: in virtual time within the process, and over real WebSockets unless it
//! needs time to pass.

use std::fs;
use std::path::PathBuf;

use crate::support::transcript::{Replay, Way};
use crate::support::{access, listen, start};
use salono_room_server::RoomServerConfig;

fn transcripts() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut found: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(found.len() > 10);
    found
}

fn needs_virtual_time(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("T+"))
}

/// What the transcript says of its server.
fn config(text: &str) -> RoomServerConfig {
    let mut config = RoomServerConfig::default();
    if text.lines().any(|line| line == "S! tokens") {
        config.access = access(false);
    } else if text.lines().any(|line| line == "S! tokens or open") {
        config.access = access(true);
    }
    config
}

#[test]
fn every_transcript_holds_in_virtual_time() {
    for (name, text) in transcripts() {
        // A runtime of its own: what one transcript leaves behind does not reach the next.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (server, kurento) = start(config(&text));
            Replay::new(server, kurento, Way::Within)
                .run(&name, &text)
                .await;
        });
    }
}

#[test]
fn every_transcript_without_waiting_holds_over_real_sockets() {
    for (name, text) in transcripts() {
        if needs_virtual_time(&text) {
            continue;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (server, kurento) = start(config(&text));
            let address = listen(&server).await;
            Replay::new(server, kurento, Way::Tcp(address))
                .run(&name, &text)
                .await;
        });
    }
}

#[test]
fn the_compatibility_table_names_every_transcript() {
    let table = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/compat-room.md");
    let table = fs::read_to_string(table).unwrap();
    for (name, _) in transcripts() {
        assert!(
            table.contains(&format!("`{name}`")),
            "{name} is not in docs/compat-room.md"
        );
    }
    // And names none that is not there.
    let names: Vec<String> = transcripts().into_iter().map(|(name, _)| name).collect();
    for word in table.split('`').skip(1).step_by(2) {
        let looks_like_one = word.len() > 3
            && word.as_bytes()[..2].iter().all(u8::is_ascii_digit)
            && word.as_bytes()[2] == b'_';
        if looks_like_one {
            assert!(
                names.iter().any(|name| name == word),
                "no transcript {word}"
            );
        }
    }
}
