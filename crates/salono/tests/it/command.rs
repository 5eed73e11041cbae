//! The command line, without a server running.

use std::net::TcpListener;

use crate::process::{Folder, run, text};

#[tokio::test]
async fn without_a_subcommand_it_prints_its_help() {
    let folder = Folder::new();
    let output = run(&[], &folder.0).await;
    let help = text(&output.stderr);
    for word in [
        "serve",
        "media",
        "room",
        "doctor",
        "config",
        "bench",
        "Examples:",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_flag_to_change() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--https", "--http", "--kurento"] {
        let mut arguments = vec!["serve", "--media-ip", "127.0.0.1"];
        for other in ["--https", "--http", "--kurento"] {
            let address = if other == flag {
                &address
            } else {
                "127.0.0.1:0"
            };
            arguments.extend([other, address]);
        }
        let output = run(&arguments, &folder.0).await;
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(&address), "{message}");
        assert!(message.contains(&format!("with {flag} ADDR")), "{message}");
    }
}

#[tokio::test]
async fn a_media_port_in_use_is_an_error_that_names_the_flag_to_change() {
    let folder = Folder::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut arguments = vec![
        "serve",
        "--https",
        "127.0.0.1:0",
        "--kurento",
        "127.0.0.1:0",
    ];
    arguments.extend(["--media-ip", "127.0.0.1", "--media-port", &port]);
    let output = run(&arguments, &folder.0).await;
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains(&port) && message.contains("--media-port"),
        "{message}"
    );
}

#[tokio::test]
async fn an_unknown_key_is_an_error_that_names_it_and_the_nearest_one() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("salono.toml"), "[web]\nhtpps = \"off\"\n").unwrap();
    let output = run(&["serve"], &folder.0).await;
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("unknown key `web.htpps`"), "{message}");
    assert!(message.contains("did you mean `web.https`?"), "{message}");
}

#[tokio::test]
async fn the_configuration_is_printed_with_the_source_of_each_value() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("salono.toml"), "[room]\nmax_rooms = 3\n").unwrap();
    let output = run(&["config", "--https", "127.0.0.1:1"], &folder.0).await;
    let listing = text(&output.stdout);
    assert!(output.status.success());
    assert!(
        listing.contains("https = \"127.0.0.1:1\"  # flag --https"),
        "{listing}"
    );
    assert!(
        listing.contains("max_rooms = 3  # salono.toml"),
        "{listing}"
    );
    assert!(listing.contains("http = \"off\"  # default"), "{listing}");
}

#[tokio::test]
async fn the_doctor_ends_with_1_when_a_port_is_taken_and_says_how_to_mend_it() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let common = [
        "doctor",
        "--kurento",
        "127.0.0.1:0",
        "--media-ip",
        "127.0.0.1",
        "--https",
    ];
    for (https, code) in [(address.as_str(), 1), ("127.0.0.1:0", 0)] {
        let arguments: Vec<&str> = common.into_iter().chain([https]).collect();
        let output = run(&arguments, &folder.0).await;
        let report = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{report}");
        assert_eq!(report.contains("--https ADDR"), code == 1, "{report}");
        for what in [
            "UDP buffers",
            "open files",
            "certificate",
            "clock",
            "media addresses",
        ] {
            assert!(report.contains(what), "{what}: {report}");
        }
    }
}

#[tokio::test]
async fn a_server_that_no_client_could_reach_does_not_start() {
    let folder = Folder::new();
    for arguments in [
        &["serve", "--https", "off"][..],
        &["room", "--https", "off"],
        &["media", "--kurento", "off"],
    ] {
        let output = run(arguments, &folder.0).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("no client could come"));
    }
}
