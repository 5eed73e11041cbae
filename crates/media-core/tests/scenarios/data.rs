//! Data channels: opened from both sides, routed like media, contents untouched.

use super::support::*;
use salono_media_api::{DataChannelSpec, ElementEvent, ElementKey, MediaKind, Op};
use std::slice::from_ref;
use str0m::channel::{ChannelConfig, Reliability};

fn channel_of(world: &World, peer: usize, label: &str) -> str0m::channel::ChannelId {
    world.peers[peer]
        .channels
        .iter()
        .find(|(_, known)| known == label)
        .unwrap_or_else(|| panic!("{label} is open: {:?}", world.peers[peer].channels))
        .0
}

fn send(world: &mut World, peer: usize, label: &str, binary: bool, bytes: &[u8]) {
    let channel = channel_of(world, peer, label);
    let peer = &mut world.peers[peer];
    let mut channel = peer.rtc.channel(channel).expect("a channel");
    assert!(channel.write(binary, bytes).expect("room"));
    peer.wake = world.now;
}

/// Opens a channel at a peer.
fn open(world: &mut World, peer: usize, config: ChannelConfig) {
    let peer = &mut world.peers[peer];
    let mut change = peer.rtc.sdp_api();
    change.add_channel_with_config(config);
    assert!(change.apply().is_none(), "nothing to negotiate");
    peer.wake = world.now;
}

/// Opens a channel at the shard's end of a peer.
fn open_ours(world: &mut World, peer: usize, channel: DataChannelSpec) {
    let element = world.element(peer);
    world
        .ask(|token| Op::CreateDataChannel {
            token,
            element,
            channel,
        })
        .expect("a channel");
}

/// What was told of channels: their ids, opened and closed.
fn told(world: &World, element: ElementKey) -> (Vec<u16>, Vec<u16>) {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for event in world.element_events(element) {
        match event {
            ElementEvent::DataChannelOpened { channel } => opened.push(*channel),
            ElementEvent::DataChannelClosed { channel } => closed.push(*channel),
            _ => {}
        }
    }
    (opened, closed)
}

/// What a peer has received on a channel.
fn received(world: &World, peer: usize, label: &str) -> Vec<(bool, Vec<u8>)> {
    let channel = channel_of(world, peer, label);
    let messages = world.peers[peer].messages.iter();
    messages
        .filter(|message| message.id == channel)
        .map(|message| (message.binary, message.data.clone()))
        .collect()
}

fn two_peers(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let left = world.join_connected(Wish::data());
    let right = world.join_connected(Wish::data());
    for (source, sink) in [(left, right), (right, left)] {
        world.connect(world.element(source), world.element(sink));
    }
    assert!(world.run_until(secs(5), |world| {
        world.peers.iter().all(|peer| !peer.channels.is_empty())
    }));
    (world, left, right)
}

#[test]
fn messages_are_routed_and_stay_what_they_are() {
    let (mut world, left, right) = two_peers(51);
    let big: Vec<u8> = (0..60_000u32).map(|at| at as u8).collect();
    // Empty messages are missing here because str0m cannot send them; the association has a test.
    let sent: [(bool, &[u8]); 5] = [
        (false, "grüezi".as_bytes()),
        (true, &[0, 1, 2, 255]),
        (true, &[0]),
        (false, b"\0"),
        (true, &big),
    ];
    for (binary, bytes) in sent {
        send(&mut world, left, "first", binary, bytes);
        world.run(millis(300));
    }
    world.run(secs(1));
    let received: Vec<(bool, &[u8])> = world.peers[right]
        .messages
        .iter()
        .map(|message| (message.binary, message.data.as_slice()))
        .collect();
    assert_eq!(received, sent);
    assert!(world.peers[left].messages.is_empty(), "nothing comes back");
    send(&mut world, right, "first", false, b"and back");
    world.run(secs(1));
    assert_eq!(world.peers[left].messages.len(), 1);
}

#[test]
fn loss_costs_data_nothing_but_time() {
    let mut world = World::new(52);
    let left = world.join_connected(Wish::data().over(Link::BAD));
    let right = world.join_connected(Wish::data().over(Link::BAD));
    world.connect(world.element(left), world.element(right));
    assert!(world.run_until(secs(20), |world| {
        world.peers.iter().all(|peer| !peer.channels.is_empty())
    }));
    for number in 0..100u32 {
        send(&mut world, left, "first", true, &number.to_be_bytes());
        world.run(millis(10));
    }
    assert!(
        world.run_until(secs(30), |world| world.peers[right].messages.len() >= 100),
        "{} messages",
        world.peers[right].messages.len()
    );
    for (number, message) in world.peers[right].messages.iter().enumerate() {
        assert_eq!(message.data, (number as u32).to_be_bytes());
    }
}

#[test]
fn a_channel_of_ours_opens_at_the_peer_and_closes_there() {
    let (mut world, left, _) = two_peers(53);
    let element = world.element(left);
    let channel = DataChannelSpec {
        label: "from the server".into(),
        ordered: true,
        ..DataChannelSpec::default()
    };
    world
        .ask(|token| Op::CreateDataChannel {
            token,
            element,
            channel,
        })
        .expect("a channel");
    world.run(secs(1));
    let at_peer = channel_of(&world, left, "from the server");
    let id = world
        .element_events(element)
        .filter_map(|event| match event {
            ElementEvent::DataChannelOpened { channel } => Some(*channel),
            _ => None,
        })
        .last()
        .expect("reported");
    world
        .ask(|token| Op::CloseDataChannel {
            token,
            element,
            channel: id,
        })
        .expect("closed");
    world.run(secs(2));
    assert!(world.peers[left].closed_channels.contains(&at_peer));
    assert!(world.has(element, &ElementEvent::DataChannelClosed { channel: id }));
    let stats = world.stats(left);
    assert_eq!(stats.data_channels_closed, 1);
}

#[test]
fn disconnected_data_goes_nowhere() {
    let (mut world, left, right) = two_peers(54);
    let (source, sink) = (world.element(left), world.element(right));
    let kind = MediaKind::Data;
    world.op(Op::Disconnect {
        source: source.into(),
        sink: sink.into(),
        kind,
    });
    send(&mut world, left, "first", false, b"into the void");
    world.run(secs(1));
    assert!(world.peers[right].messages.is_empty());
}

#[test]
fn messages_go_to_the_channel_of_the_same_name_of_every_sink() {
    let mut world = World::new(55);
    let [source, near, far, only_first] = [(); 4].map(|()| world.join_connected(Wish::data()));
    let relay = world.pass_through(1_001);
    world.connect(world.element(source), world.element(near));
    world.connect(world.element(source), world.element(only_first));
    world.connect(world.element(source), relay);
    world.connect(relay, world.element(far));
    let second = |ordered, reliability| ChannelConfig {
        label: "second".to_owned(),
        ordered,
        reliability,
        ..ChannelConfig::default()
    };
    // Opened by the peer or by us, of whatever kind: the name is what counts.
    open(&mut world, source, second(true, Reliability::Reliable));
    let retransmits = Reliability::MaxRetransmits { retransmits: 2 };
    open(&mut world, near, second(false, retransmits));
    let ours = DataChannelSpec {
        label: "second".to_owned(),
        max_packet_life_time: Some(500),
        ..DataChannelSpec::default()
    };
    open_ours(&mut world, far, ours);
    world.run(secs(2));
    let of_first: (bool, &[u8]) = (false, b"on the first");
    let of_second: (bool, &[u8]) = (true, b"on the second");
    send(&mut world, source, "first", of_first.0, of_first.1);
    send(&mut world, source, "second", of_second.0, of_second.1);
    world.run(secs(1));
    let [first, second] = [of_first, of_second].map(|(binary, text)| (binary, text.to_vec()));
    for sink in [near, far] {
        assert_eq!(received(&world, sink, "first").as_slice(), from_ref(&first));
        assert_eq!(
            received(&world, sink, "second").as_slice(),
            from_ref(&second)
        );
    }
    // Who has no channel of that name gets everything on the one that there is.
    assert_eq!(received(&world, only_first, "first"), [first, second]);
}

#[test]
fn channels_of_a_peer_and_ours_have_different_ids_and_close_from_both_sides() {
    let (mut world, left, _) = two_peers(56);
    for label in ["second", "third"] {
        let config = ChannelConfig {
            label: label.to_owned(),
            ..ChannelConfig::default()
        };
        open(&mut world, left, config);
        let ours = DataChannelSpec {
            label: format!("our {label}"),
            ordered: true,
            ..DataChannelSpec::default()
        };
        open_ours(&mut world, left, ours);
    }
    world.run(secs(2));
    let element = world.element(left);
    let mut stats = world.stats(left).data_channels;
    stats.sort_by_key(|channel| channel.id);
    let parity_of_peer = stats.iter().find(|at| at.label == "first").expect("it").id % 2;
    assert_eq!(stats.len(), 5);
    for channel in &stats {
        let is_ours = channel.label.starts_with("our ");
        assert_eq!(is_ours, channel.id % 2 != parity_of_peer, "{channel:?}");
    }
    let id_of = |label: &str| stats.iter().find(|at| at.label == label).expect("it").id;
    // Two are closed by the peer, two by us, one stays.
    for label in ["second", "our second"] {
        let channel = channel_of(&world, left, label);
        let peer = &mut world.peers[left];
        peer.rtc.direct_api().close_data_channel(channel);
        peer.wake = world.now;
    }
    for label in ["third", "our third"] {
        let channel = id_of(label);
        world
            .ask(|token| Op::CloseDataChannel {
                token,
                element,
                channel,
            })
            .expect("closed");
    }
    world.run(secs(2));
    let (mut opened, mut closed) = told(&world, element);
    opened.sort_unstable();
    closed.sort_unstable();
    let all: Vec<u16> = stats.iter().map(|channel| channel.id).collect();
    assert_eq!(opened, all, "told once each");
    let mut gone = ["second", "our second", "third", "our third"].map(id_of);
    gone.sort_unstable();
    assert_eq!(closed, gone, "told once each");
    assert_eq!(world.peers[left].closed_channels.len(), 4);
    let stays = channel_of(&world, left, "first");
    assert!(!world.peers[left].closed_channels.contains(&stays));
    let left_over = world.stats(left).data_channels;
    assert_eq!(left_over.len(), 1);
    assert_eq!(left_over[0].label, "first");
}

#[test]
fn the_last_message_before_a_close_goes_where_the_others_went() {
    let (mut world, left, right) = two_peers(57);
    for peer in [left, right] {
        let config = ChannelConfig {
            label: "second".to_owned(),
            ..ChannelConfig::default()
        };
        open(&mut world, peer, config);
    }
    world.run(secs(1));
    send(&mut world, left, "second", false, b"last words");
    let channel = channel_of(&world, left, "second");
    let peer = &mut world.peers[left];
    peer.rtc.direct_api().close_data_channel(channel);
    world.run(secs(2));
    let words = (false, b"last words".to_vec());
    assert_eq!(received(&world, right, "second"), [words]);
    assert!(received(&world, right, "first").is_empty());
}

#[test]
fn channels_are_closed_when_the_peer_leaves() {
    let (mut world, left, _) = two_peers(58);
    let element = world.element(left);
    world.peers[left].rtc.close().expect("a goodbye");
    world.peers[left].wake = world.now;
    world.run(secs(60));
    let (opened, closed) = told(&world, element);
    assert_eq!(opened.len(), 1);
    assert_eq!(closed, opened, "told once");
}
