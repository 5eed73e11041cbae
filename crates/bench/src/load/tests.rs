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
            patience: 60.0,
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

#[test]
fn server_that_never_answers_a_receiver_ends_the_measurement_in_time() {
    // Takes everything and says nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = run(&Job {
        server: Server::Floor(silent.local_addr().unwrap()),
        process: None,
        scenario: Scenario::OneToMany { subscribers: 3 },
        seconds: 0.5,
        patience: 0.5,
        threads: 1,
        sampled: 1,
        feedback: false,
    })
    .unwrap_err();
    let expected = "did not finish: after 0 s, 1 of 1 publishers and 0 of 3 receivers had joined";
    assert_eq!(error.to_string(), expected);
}
