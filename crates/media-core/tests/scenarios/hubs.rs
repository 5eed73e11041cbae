//! Hub ports: what comes in at one leaves by those that the hub says, and switches go unnoticed.

use super::support::*;
use super::switching::{assert_unbroken, publishers};
use salono_media_api::{ElementKey, MediaKind, Op};

/// A peer with a port of its own that it sends to and receives from.
fn join_at(world: &mut World, wish: Wish, port: ElementKey) -> usize {
    let peer = world.join_connected(wish);
    let element = world.element(peer);
    world.connect(element, port);
    world.connect(port, element);
    peer
}

fn ports<const N: usize>(world: &mut World) -> [ElementKey; N] {
    std::array::from_fn(|index| world.hub_port(1_000 + index as u64))
}

#[test]
fn a_dispatcher_switches_in_the_middle_of_a_call_without_a_gap() {
    let mut world = World::new(31);
    let [one, two, three] = ports(&mut world);
    let first = join_at(&mut world, Wish::publish(), one);
    let second = join_at(&mut world, Wish::publish(), two);
    let viewer = join_at(&mut world, Wish::subscribe(), three);
    for peer in [first, second] {
        world.start(peer);
    }
    world.run(secs(1));
    for source in [one, two, one, two] {
        let asked = world.stats(if source == one { first } else { second });
        world.route(three, Some(source));
        world.run(millis(1_500));
        let publisher = if source == one { first } else { second };
        let plis = |stats: &salono_media_api::ElementStats| -> u64 {
            stats.streams.iter().map(|stream| stream.pli_count).sum()
        };
        let now_asked = world.stats(publisher);
        assert!(plis(&now_asked) > plis(&asked), "a keyframe was asked for");
    }
    assert_unbroken(&world.peers[viewer].video, true);
    assert_unbroken(&world.peers[viewer].audio, false);
    assert_eq!(publishers(&world.peers[viewer].video), [1, 2, 1, 2]);
    assert_eq!(publishers(&world.peers[viewer].audio), [1, 2, 1, 2]);
}

#[test]
fn one_port_feeds_five_and_its_own_peer_hears_nothing_of_itself() {
    let mut world = World::new(32);
    let [one, others @ ..] = ports::<6>(&mut world);
    let publisher = join_at(&mut world, Wish::both(), one);
    let viewers = others.map(|port| join_at(&mut world, Wish::subscribe(), port));
    for port in others {
        world.route(port, Some(one));
    }
    world.start(publisher);
    world.run(secs(3));
    let until = world.now - millis(100);
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    for viewer in viewers {
        let received = &world.peers[viewer].video;
        assert_unbroken(received, true);
        assert_eq!(received.missing(1, camera, until), [0u32; 0]);
        assert_unbroken(&world.peers[viewer].audio, false);
    }
    assert!(world.peers[publisher].video.packets.is_empty());
    // Nobody is the source any more.
    for port in others {
        world.route(port, None);
    }
    world.run(millis(200));
    let before = viewers.map(|viewer| world.peers[viewer].video.packets.len());
    world.run(secs(1));
    let after = viewers.map(|viewer| world.peers[viewer].video.packets.len());
    assert_eq!(before, after);
}

#[test]
fn a_port_that_ends_silences_what_it_fed_and_nothing_else() {
    let mut world = World::new(33);
    let [one, two, three, four] = ports(&mut world);
    let first = join_at(&mut world, Wish::publish(), one);
    let second = join_at(&mut world, Wish::publish(), two);
    let viewer = join_at(&mut world, Wish::subscribe(), three);
    let bystander = join_at(&mut world, Wish::subscribe(), four);
    world.route(three, Some(one));
    world.route(four, Some(two));
    for peer in [first, second] {
        world.start(peer);
    }
    world.run(secs(1));
    world.op(Op::Release { element: one });
    world.run(millis(200));
    let seen = |world: &World, peer: usize| world.peers[peer].video.packets.len();
    let before = (seen(&world, viewer), seen(&world, bystander));
    world.run(secs(1));
    assert_eq!(seen(&world, viewer), before.0);
    assert!(seen(&world, bystander) > before.1 + 20);
    // The viewer's port takes another source.
    world.route(three, Some(two));
    world.run(secs(1));
    assert_unbroken(&world.peers[viewer].video, true);
    assert_eq!(publishers(&world.peers[viewer].video), [1, 2]);
}

#[test]
fn sound_and_picture_of_a_port_may_come_from_different_ports() {
    let mut world = World::new(34);
    let [one, two, three] = ports(&mut world);
    let first = join_at(&mut world, Wish::publish(), one);
    let second = join_at(&mut world, Wish::publish(), two);
    let viewer = join_at(&mut world, Wish::subscribe(), three);
    for (from, kind) in [(one, MediaKind::Audio), (two, MediaKind::Video)] {
        world.op(Op::Route {
            port: three,
            from: Some(from),
            kind,
        });
    }
    for peer in [first, second] {
        world.start(peer);
    }
    world.run(secs(2));
    assert_eq!(publishers(&world.peers[viewer].audio), [1]);
    assert_eq!(publishers(&world.peers[viewer].video), [2]);
}
