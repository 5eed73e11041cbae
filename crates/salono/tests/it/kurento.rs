//! What those rely on who ran Kurento Media Server before.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use salono_kurento_client::{Client as TypedClient, Config, MediaPipeline, Trust, WebRtcEndpoint};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::{Client, Folder, PATIENCE, Server, salono, text};

/// A link to the program by the name of Kurento's, without settings of the surroundings.
fn kurento_media_server(arguments: &[&str], folder: &Folder) -> Command {
    let link = folder.0.join("kurento-media-server");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_salono"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command
        .args(arguments)
        .current_dir(&folder.0)
        .env_clear()
        .env("XDG_DATA_HOME", &folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A file in a folder.
fn file(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let path = folder.0.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// Certificate and key in one file, and the certificate alone.
fn certificate(folder: &Folder, name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let params = rcgen::CertificateParams::new(names).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    file(folder, name, &(certificate.clone() + &key.serialize_pem()));
    certificate
}

#[tokio::test]
async fn a_configuration_with_a_certificate_serves_ws_and_wss() {
    let folder = Folder::new();
    let trusted = certificate(&folder, "conf/own.pem");
    let conf = file(
        &folder,
        "conf/kurento.conf.json",
        r#"{ "mediaServer": { "net": { "websocket": { "path": "media",
               "secure": { "certificate": "own.pem" } } } },
             "metadata": { "rack": 7 } }"#,
    );
    let more = ["--kurento-tls", "127.0.0.1:0", "-f", conf.to_str().unwrap()];
    let server = Server::start("media", &more, &folder).await;
    let connect = async |scheme: &str, listener: &str, trust: Trust| {
        let url = format!("{scheme}://{}/media", server.address(listener));
        let mut config = Config::default();
        config.trust = trust;
        let (client, driver) = TypedClient::connect_with(&url, config).await.unwrap();
        tokio::spawn(driver.run());
        client
    };
    let trust = Trust::roots_pem(trusted.as_bytes()).unwrap();
    let secure = connect("wss", "kurento_tls", trust).await;
    let plain = connect("ws", "kurento", Trust::default()).await;
    let pipeline = MediaPipeline::create(&secure).await.unwrap();
    let pipelines = plain.server_manager().pipelines().await.unwrap();
    assert_eq!(pipelines.len(), 1);
    let metadata = plain.server_manager().metadata().await.unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata, json!({ "rack": 7 }));
    pipeline.release().await.unwrap();
}

#[tokio::test]
async fn configured_defaults_are_what_endpoints_say_and_offer() {
    let folder = Folder::new();
    let conf = file(&folder, "kurento.conf.json", r#"{ "mediaServer": {} }"#);
    file(
        &folder,
        "modules/kurento/SdpEndpoint.conf.json",
        r#"{ "audioCodecs": [{ "name": "PCMU/8000" }, { "name": "AMR/8000" }],
             "videoCodecs": [{ "name": "H264/90000" }, { "name": "VP8/90000" }] }"#,
    );
    file(
        &folder,
        "modules/kurento/WebRtcEndpoint.conf.ini",
        "stunServerAddress=127.0.0.1\nstunServerPort=9\nexternalIPv4=198.51.100.1\niceTcp=0\n",
    );
    file(
        &folder,
        "modules/kurento/BaseRtpEndpoint.conf.ini",
        "mtu=1111\n",
    );
    file(
        &folder,
        "modules/kurento/MediaElement.conf.ini",
        "encoderBitrate=500000\nmaxEncoderBitrate=0\n",
    );
    let more = ["--conf-file", conf.to_str().unwrap()];
    let server = Server::start("media", &more, &folder).await;
    let client = server.typed_client().await;
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    let endpoint = WebRtcEndpoint::create(&pipeline).await.unwrap();
    assert_eq!(endpoint.stun_server_address().await.unwrap(), "127.0.0.1");
    assert_eq!(endpoint.stun_server_port().await.unwrap(), 9);
    assert_eq!(endpoint.external_ipv4().await.unwrap(), "198.51.100.1");
    assert!(!endpoint.ice_tcp().await.unwrap());
    assert_eq!(endpoint.mtu().await.unwrap(), 1_111);
    assert_eq!(endpoint.encoder_bitrate().await.unwrap(), 500_000);
    let offer = endpoint.generate_offer().await.unwrap();
    let codecs: Vec<&str> = offer
        .lines()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split([' ', '/']).nth(1))
        .filter(|name| *name != "rtx")
        .collect();
    let mut distinct = codecs.clone();
    distinct.dedup();
    assert!(
        offer.contains("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"),
        "{offer}"
    );
    let video: Vec<&str> = distinct
        .into_iter()
        .filter(|name| *name != "PCMU")
        .collect();
    assert_eq!(video, ["H264", "VP8"], "{offer}");
    // Candidates carry the configured address, and none is for TCP.
    let mut found = endpoint.on_ice_candidate_found().await.unwrap();
    endpoint.gather_candidates().await.unwrap();
    let candidate = timeout(PATIENCE, found.recv()).await.expect("comes");
    let candidate = candidate.unwrap().unwrap().candidate.candidate;
    assert!(candidate.contains(" 198.51.100.1 "), "{candidate}");
    assert!(!candidate.to_lowercase().contains("tcp"), "{candidate}");
}

#[tokio::test]
async fn wss_without_a_certificate_of_its_own_shows_that_of_https() {
    let folder = Folder::new();
    let more = ["--kurento-tls", "127.0.0.1:0"];
    let server = Server::start("media", &more, &folder).await;
    let kept = std::fs::read(folder.0.join("salono/tls/certificate.pem")).unwrap();
    let mut config = Config::default();
    config.trust = Trust::roots_pem(&kept).unwrap();
    let url = format!("wss://{}/kurento", server.address("kurento_tls"));
    let (client, driver) = TypedClient::connect_with(&url, config).await.unwrap();
    tokio::spawn(driver.run());
    client.server_manager().info().await.unwrap();
}

#[tokio::test]
async fn started_as_kurento_it_serves_logs_to_files_and_ends_with_0() {
    let folder = Folder::new();
    let conf = file(
        &folder,
        "kurento.conf.json",
        r#"{ "mediaServer": { "net": { "websocket": { "port": 0 } } } }"#,
    );
    let ports = folder.0.join("ports.json");
    let mut command = kurento_media_server(
        &[
            "--gst-debug-level=3",
            "--conf-file",
            conf.to_str().unwrap(),
            "--ports-file",
            ports.to_str().unwrap(),
            "--kurento",
            "127.0.0.1:0",
            "--media-ip=127.0.0.1",
            "--whatever",
        ],
        &folder,
    );
    command.env("KURENTO_LOGS_PATH", folder.0.join("logs"));
    let server = Server::spawn(command, &ports).await;
    let mut client = server.kurento_client().await;
    client
        .result("create", json!({ "type": "MediaPipeline" }))
        .await;
    server.terminate().await;
    let output = server.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let logs: Vec<PathBuf> = std::fs::read_dir(folder.0.join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    let log = std::fs::read_to_string(&logs[0]).unwrap();
    assert!(log.contains("mediaServer.net.websocket.port"), "{log}");
}

#[tokio::test]
async fn started_as_kurento_it_answers_what_scripts_ask() {
    let folder = Folder::new();
    let broken = file(&folder, "broken.conf.json", "{");
    let run = async |arguments: &[&str]| {
        let output = kurento_media_server(arguments, &folder).output();
        let output = timeout(PATIENCE, output).await.expect("ends").unwrap();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, version, _) = run(&["--version"]).await;
    assert_eq!(code, Some(0));
    let expected = "Kurento Media Server version: 7.3.0\nFound modules:\n\t'core' version ";
    assert!(version.starts_with(expected), "{version}");
    let (code, list, _) = run(&["-l", "--gst-version"]).await;
    assert_eq!(code, Some(0));
    assert!(list.starts_with("Available factories:\n"), "{list}");
    for name in ["\tWebRtcEndpoint\n", "\tkurento.WebRtcEndpoint\n"] {
        assert!(list.contains(name), "{list}");
    }
    let (code, help, _) = run(&["--help"]).await;
    assert_eq!(code, Some(0));
    assert!(help.contains("--modules-config-path"), "{help}");
    let (code, _, error) = run(&["--log-file-size", "many"]).await;
    assert_eq!(code, Some(1));
    assert!(error.starts_with("Error : "), "{error}");
    for conf in [broken.to_str().unwrap(), "/nonexistent/kurento.conf.json"] {
        let (code, _, error) = run(&["-f", conf]).await;
        assert_eq!(code, Some(1));
        assert!(error.contains(conf), "{error}");
    }
}

#[tokio::test]
async fn an_address_of_all_takes_ipv4_and_ipv6() {
    let folder = Folder::new();
    let ports = folder.0.join("ports.json");
    let arguments = [
        "media",
        "--ports-file",
        ports.to_str().unwrap(),
        "--kurento",
        "[::]:0",
        "--media-ip",
        "127.0.0.1",
    ];
    let server = Server::spawn(salono(&arguments, &folder.0), &ports).await;
    let address: SocketAddr = server.address("kurento").parse().unwrap();
    let mut hosts = vec!["127.0.0.1"];
    // Where IPv6 is switched off, the server listens on IPv4 alone.
    if address.is_ipv6() {
        hosts.push("[::1]");
    }
    for host in hosts {
        let url = format!("ws://{host}:{}/kurento", address.port());
        let mut client = Client::connect(&url).await;
        let pong = client.result("ping", json!({})).await;
        assert_eq!(pong["value"], "pong");
    }
}

#[tokio::test]
async fn above_the_kill_limit_an_idle_server_ends_with_0() {
    let folder = Folder::new();
    let conf = file(
        &folder,
        "kurento.conf.json",
        r#"{ "mediaServer": { "resources": { "killLimit": 1e-9 } } }"#,
    );
    let more = ["--conf-file", conf.to_str().unwrap()];
    let server = Server::start("media", &more, &folder).await;
    let mut client = server.kurento_client().await;
    let pipeline = client
        .result("create", json!({ "type": "MediaPipeline" }))
        .await;
    let params = json!({ "object": pipeline["value"] });
    client.result("release", params).await;
    let output = server.ended().await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[tokio::test]
async fn without_descriptors_it_waits_longer_and_longer_and_then_serves_again() {
    let folder = Folder::new();
    let ports = folder.0.join("ports.json");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -n 64; exec \"$0\" media --ports-file \"$1\" --kurento 127.0.0.1:0 \
             --media-ip 127.0.0.1",
        ])
        .arg(env!("CARGO_BIN_EXE_salono"))
        .arg(&ports)
        .current_dir(&folder.0)
        .env_clear()
        .env("XDG_DATA_HOME", &folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut server = Server::spawn(command, &ports).await;
    let mut log = BufReader::new(server.child.stderr.take().unwrap()).lines();
    let mut idle = Vec::new();
    for _ in 0..80 {
        idle.push(TcpStream::connect(server.address("kurento")).await.unwrap());
    }
    let mut pauses = Vec::new();
    while pauses.len() < 3 {
        let line = timeout(PATIENCE, log.next_line()).await.expect("is logged");
        let line = line.unwrap().unwrap();
        if let Some((_, pause)) = line.split_once("pause=")
            && line.contains("connection not accepted")
        {
            pauses.push(pause.trim().to_owned());
        }
    }
    assert_eq!(pauses, ["50ms", "100ms", "200ms"]);
    drop(idle);
    let mut client = server.kurento_client().await;
    client
        .result("create", json!({ "type": "MediaPipeline" }))
        .await;
}

#[tokio::test]
async fn a_room_server_uses_media_servers_over_tls() {
    let folder = Folder::new();
    let more = ["--kurento-tls", "127.0.0.1:0"];
    let media = Server::start("media", &more, &folder).await;
    let kept = folder.0.join("salono/tls/certificate.pem");
    let url = format!("wss://{}/kurento", media.address("kurento_tls"));
    let toml = format!("[room]\nkms_certificates = {:?}\n", kept.to_str().unwrap());
    file(&folder, "salono.toml", &toml);
    let rooms = Server::start("room", &["--kms", &url], &folder).await;
    let mut client = rooms.room_client().await;
    let join = json!({ "room": "parlour", "user": "ana", "dataChannels": false });
    let joined = client.result("joinRoom", join).await;
    assert_eq!(joined["value"], json!([]), "{joined}");
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    let folder = Folder::new();
    file(
        &folder,
        "salono.toml",
        "[room]\nkms_certificates = \"none.pem\"\n",
    );
    let output = salono(&["room", "--https", "127.0.0.1:0"], Path::new(&folder.0)).output();
    let output = timeout(PATIENCE, output).await.expect("ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("none.pem"), "{error}");
}

#[tokio::test]
async fn graphs_are_written_where_the_environment_says() {
    let folder = Folder::new();
    let conf = file(&folder, "kurento.conf.json", r#"{ "mediaServer": {} }"#);
    let ports = folder.0.join("ports.json");
    let arguments = ["--conf-file", conf.to_str().unwrap(), "--ports-file"];
    let more = ["--kurento", "127.0.0.1:0", "--media-ip=127.0.0.1"];
    let mut command = kurento_media_server(
        &[&arguments[..], &[ports.to_str().unwrap()], &more[..]].concat(),
        &folder,
    );
    let graphs = folder.0.join("graphs");
    std::fs::create_dir(&graphs).unwrap();
    command.env("GST_DEBUG_DUMP_DOT_DIR", &graphs);
    let server = Server::spawn(command, &ports).await;
    let client = server.typed_client().await;
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    let endpoint = WebRtcEndpoint::create(&pipeline).await.unwrap();
    endpoint.connect(&endpoint).await.unwrap();
    pipeline.dump_gstreamer_dot().await.unwrap();
    endpoint.dump_gstreamer_dot().await.unwrap();
    // Files are written beside the answers; an orderly end waits for them.
    server.terminate().await;
    assert_eq!(server.ended().await.status.code(), Some(0));
    let mut written: Vec<(String, String)> = std::fs::read_dir(&graphs)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    written.sort();
    let [(whole, graph), (part, _)] = written.as_slice() else {
        panic!("{written:?}");
    };
    let plain = |id: &str| id.replace(['.', '/'], "_");
    assert!(
        whole.ends_with(&format!("-{}.dot", plain(pipeline.id()))),
        "{whole}"
    );
    assert!(
        part.ends_with(&format!("-{}.dot", plain(endpoint.id()))),
        "{part}"
    );
    assert!(
        graph.starts_with("digraph") && graph.contains(endpoint.id()),
        "{graph}"
    );
}
