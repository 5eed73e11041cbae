//! Media in the place of a recorded player: sound and pictures of a stranger, which come in by an
//! endpoint of a session of its own.

use crate::live::{Client, Live, PATIENCE};
use salono_kurento_model::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::UdpSocket, task::JoinHandle, time::timeout};

/// A packet of either kind each.
const INTERVAL: Duration = Duration::from_millis(20);

/// Ticks of the RTP clocks in that time.
const AUDIO_TICKS: u32 = 960;
const VIDEO_TICKS: u32 = 1_800;

/// Payload types of what is sent.
const OPUS: u8 = 96;
const VP8: u8 = 97;

/// A whole key frame of VP8 in one packet: a start of partition 0, the tag of a key frame, its start
/// code and a size of 16 × 16 (RFC 7741 §4.2, RFC 6386 §9.1).
const KEY_FRAME: &[u8] = &[
    0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x10, 0x00, 0x10, 0x00, 0, 0, 0, 0, 0,
];

/// Something that Opus may look like.
const SOUND: &[u8] = &[0xfc, 0xff, 0xfe, 1, 2, 3, 4, 5];

/// A stand-in for a player.
pub(crate) struct Player {
    client: Client,
    next_id: u64,
    object: String,
    socket: Option<UdpSocket>,
    /// Where sound and pictures go to.
    addresses: [SocketAddr; 2],
    playing: Option<JoinHandle<()>>,
}

impl Player {
    /// Makes an endpoint in somebody else's pipeline.
    pub(crate) async fn new(live: &Live, pipeline: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut player = Self {
            client: live.connect("/kurento").await,
            next_id: 0,
            object: String::new(),
            socket: Some(socket),
            addresses: [SocketAddr::from(([127, 0, 0, 1], 9)); 2],
            playing: None,
        };
        let params = json!({"mediaPipeline": pipeline});
        let params = json!({"type": "RtpEndpoint", "constructorParams": params});
        let object = player.ask("create", params).await;
        player.object = object.as_str().unwrap().to_owned();
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {OPUS}\r\na=rtpmap:{OPUS} opus/48000/2\r\na=sendonly\r\n\
             m=video {port} RTP/AVP {VP8}\r\na=rtpmap:{VP8} VP8/90000\r\na=sendonly\r\n"
        );
        let answer = player.invoke("processOffer", json!({"offer": offer})).await;
        let ports = answer.as_str().unwrap().lines().filter_map(|line| {
            let (_, rest) = line.strip_prefix("m=")?.split_once(' ')?;
            rest.split_once(' ')?.0.parse().ok()
        });
        let ports: Vec<u16> = ports.collect();
        player.addresses = <[u16; 2]>::try_from(ports)
            .unwrap()
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        player
    }

    /// Gives what it plays to an element.
    pub(crate) async fn connect(&mut self, sink: &str) {
        for kind in ["AUDIO", "VIDEO"] {
            let params = json!({"sink": sink, "mediaType": kind});
            self.invoke("connect", params).await;
        }
    }

    /// Plays until it leaves.
    pub(crate) fn play(&mut self) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        let addresses = self.addresses;
        self.playing = Some(tokio::spawn(async move {
            let mut clock = tokio::time::interval(INTERVAL);
            for number in 0_u32.. {
                clock.tick().await;
                let sound = packet(OPUS, number, AUDIO_TICKS, 1, SOUND);
                let picture = packet(VP8, number, VIDEO_TICKS, 2, KEY_FRAME);
                for (packet, address) in [sound, picture].iter().zip(addresses) {
                    // The endpoint may be gone.
                    let _ = socket.send_to(packet, address).await;
                }
            }
        }));
    }

    /// Plays no more.
    pub(crate) async fn leave(mut self) {
        if let Some(playing) = self.playing.take() {
            playing.abort();
        }
        self.client.close().await;
    }

    async fn invoke(&mut self, operation: &str, params: Value) -> Value {
        let object = self.object.clone();
        let params = json!({"object": object, "operation": operation, "operationParams": params});
        self.ask("invoke", params).await
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = Value::from(self.next_id);
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.client.send(&request.to_string(), false).await;
        let answer = timeout(PATIENCE, self.client.answer(&id)).await;
        let mut answer = answer.unwrap().expect("the connection lives");
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"]["value"].take()
    }
}

/// An RTP packet that ends a frame.
fn packet(payload_type: u8, number: u32, ticks: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0x80 | payload_type];
    packet.extend_from_slice(&number.to_be_bytes()[2..]);
    packet.extend_from_slice(&number.wrapping_mul(ticks).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}
