//! The SIP bridge of the examples: `sipp` calls it and hears itself.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use sip_bridge::Bridge;
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::{Folder, PATIENCE, Server, text};

/// Packets of speech that have to come back: one second.
const PACKETS: usize = 50;

/// A caller. Its speech is sent by `sipp` itself and is to come back at a port of the test.
const SCENARIO: &str = include_str!("../../../../examples/sip-bridge/caller.xml");

/// A bridge in front of a media server; where to call.
async fn bridge(server: &Server) -> std::net::SocketAddr {
    let client = server.typed_client().await;
    let bridge = Bridge::bind("127.0.0.1:0".parse().unwrap(), client)
        .await
        .unwrap();
    let address = bridge.address();
    tokio::spawn(bridge.run());
    address
}

async fn sipp(folder: &Path, arguments: &[&str]) {
    let output = Command::new("sipp")
        .args(arguments)
        .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-m", "1", "-nostdin"])
        .args(["-timeout", "40s", "-timeout_error"])
        .current_dir(folder)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("ends").unwrap();
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{printed}");
}

#[tokio::test]
async fn a_caller_hears_what_it_says() {
    let folder = Folder::new();
    let server = Server::start("media", &[], &folder).await;
    let target = bridge(&server).await.to_string();
    let back = UdpSocket::bind("127.0.0.1:0").unwrap();
    back.set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    // A second of a constant tone in A-law.
    std::fs::write(folder.0.join("speech.raw"), [0x55; 8_000]).unwrap();
    let scenario = SCENARIO
        .replace("[speech]", "speech.raw")
        .replace("[back]", &back.local_addr().unwrap().port().to_string());
    std::fs::write(folder.0.join("caller.xml"), scenario).unwrap();
    sipp(&folder.0, &["-sf", "caller.xml", &target]).await;

    let mut buffer = [0; 2_000];
    let mut heard = 0;
    while let Ok(length) = back.recv(&mut buffer) {
        let is_speech =
            buffer[1] & 0x7f == 8 && buffer[12..length].iter().all(|byte| *byte == 0x55);
        heard += usize::from(is_speech && length > 100);
    }
    assert!(heard >= PACKETS, "{heard} packets came back");

    // Everything ended with the call.
    let mut kurento = server.kurento_client().await;
    let params =
        serde_json::json!({ "object": "manager_ServerManager", "operation": "getPipelines" });
    loop {
        let pipelines = kurento.result("invoke", params.clone()).await;
        if pipelines["value"] == serde_json::json!([]) {
            break;
        }
    }
}

/// A telephone of the test's own.
struct Phone {
    sip: tokio::net::UdpSocket,
    target: std::net::SocketAddr,
    sequence: u32,
}

impl Phone {
    async fn new(target: std::net::SocketAddr) -> Self {
        let sip = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self {
            sip,
            target,
            sequence: 0,
        }
    }

    /// Sends a request of the one call.
    async fn send(&mut self, method: &str, body: &str) {
        if method != "ACK" {
            self.sequence += 1;
        }
        let (target, sequence, length) = (self.target, self.sequence, body.len());
        let request = format!(
            "{method} sip:echo@{target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{sequence}\r\n\
             From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:echo@{target}>\r\nCall-ID: call\r\n\
             CSeq: {sequence} {method}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.sip.send_to(request.as_bytes(), target).await.unwrap();
    }

    /// The final response to the last request.
    async fn response(&self) -> String {
        let sequence = format!("\r\nCSeq: {} ", self.sequence);
        let mut buffer = vec![0; 4_000];
        loop {
            let received = timeout(PATIENCE, self.sip.recv(&mut buffer)).await;
            let answer = text(&buffer[..received.expect("answers").unwrap()]);
            if !answer.starts_with("SIP/2.0 1") && answer.contains(&sequence) {
                return answer;
            }
        }
    }

    async fn ask(&mut self, method: &str, body: &str) -> String {
        self.send(method, body).await;
        self.response().await
    }
}

/// Where speech goes: a port of the test's own and what it offers.
struct Speech {
    socket: tokio::net::UdpSocket,
    offer: String,
}

impl Speech {
    async fn new() -> Self {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let offer = format!(
            "v=0\r\no=- 1 {port} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
        );
        Self { socket, offer }
    }

    /// Speaks to where an answer says until it hears itself.
    async fn hears_itself(&self, answer: &str) {
        let (_, rest) = answer.split_once("\r\nm=audio ").unwrap();
        let port: u16 = rest.split(' ').next().unwrap().parse().unwrap();
        let mut packet = vec![0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        packet.resize(12 + 160, 0x55);
        let mut clock = tokio::time::interval(Duration::from_millis(20));
        let mut buffer = [0; 2_000];
        let echo = async {
            for number in 1_u16.. {
                packet[2..4].copy_from_slice(&number.to_be_bytes());
                packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
                self.socket
                    .send_to(&packet, ("127.0.0.1", port))
                    .await
                    .unwrap();
                tokio::select! {
                    _ = clock.tick() => {}
                    received = self.socket.recv(&mut buffer) => {
                        assert_eq!(buffer[12..received.unwrap()], packet[12..]);
                        return;
                    }
                }
            }
        };
        timeout(PATIENCE, echo).await.expect("hears itself");
    }
}

#[tokio::test]
async fn a_call_changes_its_port_and_goes_on() {
    let folder = Folder::new();
    let server = Server::start("media", &[], &folder).await;
    let mut phone = Phone::new(bridge(&server).await).await;
    let (first, second) = (Speech::new().await, Speech::new().await);
    let answer = phone.ask("INVITE", &first.offer).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    phone.send("ACK", "").await;
    first.hears_itself(&answer).await;

    // A refresh changes nothing.
    let same = phone.ask("INVITE", &first.offer).await;
    let sdp = |message: &str| message.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(sdp(&same), sdp(&answer));
    phone.send("ACK", "").await;

    // Nothing that we can do, and the call goes on.
    let other = first.offer.replace(" 8\r\n", " 3\r\n");
    let refused = phone.ask("INVITE", &other.replace("8 PCMA", "3 GSM")).await;
    assert!(refused.starts_with("SIP/2.0 488"), "{refused}");
    phone.send("ACK", "").await;
    first.hears_itself(&answer).await;

    let answer = phone.ask("INVITE", &second.offer).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    phone.send("ACK", "").await;
    second.hears_itself(&answer).await;

    // In a call as outside of it.
    let answer = phone.ask("OPTIONS", "").await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    assert!(
        answer.contains("\r\nAccept: application/sdp\r\n"),
        "{answer}"
    );
    assert!(phone.ask("BYE", "").await.starts_with("SIP/2.0 200"));
    assert!(phone.ask("BYE", "").await.starts_with("SIP/2.0 481"));
}

#[tokio::test]
async fn requests_outside_of_calls_are_answered() {
    let folder = Folder::new();
    let server = Server::start("media", &[], &folder).await;
    let target = bridge(&server).await;
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = vec![0; 4_000];
    for (method, body, status) in [
        ("OPTIONS", "", "200 OK"),
        ("BYE", "", "481 "),
        ("CANCEL", "", "481 "),
        ("REGISTER", "", "405 "),
        ("INVITE", "no description", "488 "),
        ("INVITE", "v=0\r\nm=audio 9 RTP/AVP 3\r\n", "488 "),
    ] {
        let call = format!("{method}-{}", body.len());
        let request = format!(
            "{method} sip:echo@{target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{call}\r\n\
             From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:echo@{target}>\r\nCall-ID: {call}\r\n\
             CSeq: 1 {method}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        phone.send_to(request.as_bytes(), target).await.unwrap();
        loop {
            let received = timeout(PATIENCE, phone.recv(&mut buffer))
                .await
                .expect("answers");
            let answer = text(&buffer[..received.unwrap()]);
            if !answer.starts_with("SIP/2.0 100") {
                assert!(
                    answer.starts_with(&format!("SIP/2.0 {status}")),
                    "{call}: {answer}"
                );
                break;
            }
        }
    }
}
