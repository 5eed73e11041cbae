//! Random operations of several sessions on a real media engine leave nothing behind: no object, no
//! socket, no thread.
//!
//! The sequences and the reference that they are compared with are those of the object model's own
//! test. This one is alone in its process, so that what the process has open afterwards is what the
//! engine left behind.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../fuzz/footprint.rs"]
mod footprint;
#[path = "../../../kurento-core/tests/properties/reference.rs"]
mod reference;
#[path = "../../../kurento-core/tests/properties/sequence.rs"]
mod sequence;
mod world;

use footprint::Footprint;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Seed of the first sequence unless `PROPERTY_SEED` gives another one.
const SEED: u64 = 1;

/// How many sequences unless `PROPERTY_SEQUENCES` says otherwise.
const SEQUENCES: u64 = 1_000;

/// How long the engine may take to let go; far more than it does.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn objects_sockets_and_threads_of_random_sequences_are_gone_afterwards() {
    let number =
        |name: &str, default| std::env::var(name).map_or(default, |number| number.parse().unwrap());
    let first = number("PROPERTY_SEED", SEED);
    let before = Footprint::now();
    let engine = world::start_engine();
    let idle = Footprint::now();
    assert!(idle.sockets > before.sockets && idle.threads > before.threads);
    let mut most = idle.sockets;
    for seed in first..first + number("PROPERTY_SEQUENCES", SEQUENCES) {
        let ended = std::panic::catch_unwind(|| sequence::run(seed));
        assert!(ended.is_ok(), "PROPERTY_SEED={seed} shows it first");
        most = most.max(Footprint::now().sockets);
    }
    assert!(most > idle.sockets, "the sequences open sockets");
    idle.is_back("after the last sequence");
    // The engine publishes its counters from time to time.
    let began = Instant::now();
    while world::held(&engine) != 0 {
        let left = world::held(&engine);
        assert!(began.elapsed() < PATIENCE, "{left} left in the engine");
        thread::yield_now();
    }
    engine.shutdown();
    world::let_go();
    drop(engine);
    before.is_back("after the end of the engine");
}
