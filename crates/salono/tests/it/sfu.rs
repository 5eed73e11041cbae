//! Everything that a publisher sends reaches everybody who watches it, whoever publishes to whom.
//!
//! Short forms of the measurements of `salono bench sfu`: server and load are processes, in between are real protocols.
//! No time is judged.

use std::time::Duration;

use tokio::time::timeout;

use crate::process::{Folder, salono, text};

/// For unoptimised programs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a scenario, which fails when a packet is lost.
async fn nothing_is_lost(scenario: &[&str], connections: &str) {
    let folder = Folder::new();
    let mut arguments = vec!["bench", "sfu", "--lossless", "--target", "salono"];
    // On a machine that is too busy for all this, congestion control would rightly send less.
    arguments.push("--no-feedback");
    arguments.extend(["--runs", "1", "--seconds", "2"]);
    arguments.extend(scenario);
    let output = salono(&arguments, &folder.0).output();
    let output = timeout(PATIENCE, output).await.expect("ends").unwrap();
    let (board, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{board}{error}");
    assert!(board.contains(connections), "{board}");
}

#[tokio::test]
async fn ten_subscribers_get_all_that_one_publisher_sends() {
    let scenario = ["--scenario", "one-to-many", "--subscribers", "10"];
    nothing_is_lost(&scenario, "11 connections").await;
}

#[tokio::test]
async fn participants_of_two_rooms_get_all_that_the_others_of_their_room_send() {
    let scenario = ["--scenario", "rooms", "--rooms", "2", "--room-size", "4"];
    nothing_is_lost(&scenario, "32 connections").await;
}

#[tokio::test]
async fn six_speakers_hear_each_other_without_a_gap() {
    let scenario = ["--scenario", "audio", "--speakers", "6"];
    nothing_is_lost(&scenario, "36 connections").await;
}

#[tokio::test]
async fn server_that_is_not_installed_is_named_before_anything_is_measured() {
    let folder = Folder::new();
    let peers = folder.0.join("peers");
    let arguments = ["bench", "sfu", "--target", "janus", "--peers"];
    let mut command = salono(&arguments, &folder.0);
    let output = timeout(PATIENCE, command.arg(peers).output()).await;
    let output = output.expect("ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("make bench-peers"));
}
