use super::*;
use crate::floor;
use std::sync::mpsc;
use std::thread;

/// A bare forwarder of its own, for as long as the tests run.
fn forwarder() -> std::net::SocketAddr {
    let (told, address) = mpsc::channel();
    thread::spawn(move || {
        floor::serve(|address| {
            told.send(address).unwrap();
            Ok(())
        })
    });
    address.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn bare_forwarder_delivers_everything_and_the_load_sees_it() {
    for scenario in [
        Scenario::OneToMany { subscribers: 6 },
        Scenario::Rooms { rooms: 2, size: 3 },
        Scenario::Audio { size: 4 },
    ] {
        let outcome = run(&Job {
            server: Server::Floor(forwarder()),
            process: Some(std::process::id()),
            scenario,
            seconds: 0.5,
            threads: 1,
            sampled: 2,
            feedback: true,
        })
        .unwrap();
        assert!(outcome.expected > 0);
        assert_eq!(outcome.delivered, outcome.expected, "{scenario}");
        let oddities = (outcome.unconnected, outcome.duplicates, outcome.reordered);
        assert_eq!(oddities, (0, 0, 0), "{scenario}");
        assert!(outcome.latencies_us.len() > 10 && outcome.server_cpu.is_some());
        assert_eq!(outcome.times.connected_us.len(), scenario.receivers());
    }
}
