//! The SIP bridge of the examples: `sipp` calls it and hears itself.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use salono_kurento_client::Client;
use sip_bridge::Bridge;
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::{Folder, PATIENCE, Server, text};

/// Packets of speech that have to come back: one second.
const PACKETS: usize = 50;

/// A caller: OPTIONS aside, everything that a telephone does. Its speech is sent by `sipp` itself
/// and is to come back at a port of the test.
const SCENARIO: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="speaks and listens">
  <send retrans="500"><![CDATA[
INVITE sip:echo@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid][call_number]
To: <sip:echo@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio [back] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="200" rtd="true"/>
  <send><![CDATA[
ACK sip:echo@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid][call_number]
To: <sip:echo@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

  ]]></send>
  <nop><action><exec rtp_stream="[speech],-1,8"/></action></nop>
  <pause milliseconds="3000"/>
  <send retrans="500"><![CDATA[
BYE sip:echo@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid][call_number]
To: <sip:echo@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

  ]]></send>
  <recv response="200"/>
</scenario>
"#;

/// A bridge in front of a media server; where to call.
async fn bridge(server: &Server) -> std::net::SocketAddr {
    let url = format!("ws://{}/kurento", server.address("kurento"));
    let (client, driver) = Client::connect(&url).await.unwrap();
    tokio::spawn(driver.run());
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
