//! Three cameras in layers to one viewer: what its path carries is used.

use super::bandwidth::{estimate, narrow};
use super::prominence::Stage;
use super::support::*;
use std::time::Duration;

/// Video of all three that the viewer got in the last `time`, in bits per second.
fn got(stage: &Stage, time: Duration) -> f64 {
    let peer = &stage.world.peers[stage.viewer];
    let all = [&peer.video, &peer.screen, &peer.more[0].1];
    let (from, until) = (stage.world.now - time, stage.world.now);
    all.into_iter()
        .map(|received| received.bps(from, until))
        .sum()
}

#[test]
fn three_cameras_use_what_the_path_of_their_viewer_carries() {
    let mut stage = Stage::with_viewer(601, str::to_owned);
    let viewer = stage.viewer;
    stage.world.peers[viewer].down = narrow(2_900_000, 25);
    stage.world.run(secs(7));
    for _ in 0..20 {
        stage.world.run(secs(1));
        // One in full and the others at their middle layers take 2.5 Mbit/s.
        let bps = got(&stage, secs(1));
        assert!(bps > 2_000_000.0, "{bps}");
        let found = estimate(&mut stage.world, viewer).expect("an estimate");
        assert!((2_200_000..3_300_000).contains(&found), "{found}");
    }
    let bps = got(&stage, secs(20));
    assert!(bps > 2_300_000.0, "{bps}");
}
