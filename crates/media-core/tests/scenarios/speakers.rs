//! The active speaker, levels, and forwarding of the loudest only.

use super::support::*;
use salono_media_api::{ElementKey, Event, Op, SpeakerDetection, SpeakerEvent};
use str0m::media::Direction;

const LOUD: i8 = -25;
const QUIET: i8 = -80;

fn microphone() -> Wish {
    Wish {
        audio: Some(Direction::SendOnly),
        video: None,
        ..Wish::publish()
    }
}

fn loudspeaker() -> Wish {
    Wish {
        audio: Some(Direction::RecvOnly),
        video: None,
        ..Wish::subscribe()
    }
}

pub(super) fn detect(world: &mut World, loudest: u16, interval: Option<u64>) {
    world.op(Op::DetectSpeakers {
        detection: Some(SpeakerDetection {
            loudest,
            level_interval: interval.map(millis),
        }),
    });
}

/// So many microphones, each with a listener.
fn talk(world: &mut World, count: usize) -> Vec<(usize, usize)> {
    let pairs: Vec<(usize, usize)> = (0..count)
        .map(|_| {
            let speaker = world.join_connected(microphone());
            let listener = world.join_connected(loudspeaker());
            world.connect(world.element(speaker), world.element(listener));
            (speaker, listener)
        })
        .collect();
    for (speaker, _) in &pairs {
        world.start(*speaker);
        set_level(world, *speaker, Some(QUIET));
    }
    pairs
}

pub(super) fn set_level(world: &mut World, peer: usize, level: Option<i8>) {
    world.peers[peer]
        .audio_source
        .as_mut()
        .expect("a microphone")
        .level = level;
}

/// Packets that a listener has got so far.
fn heard(world: &World, listener: usize) -> usize {
    world.peers[listener].audio.packets.len()
}

/// Which listeners get packets within a time.
fn listeners_served(world: &mut World, pairs: &[(usize, usize)], time: u64) -> Vec<usize> {
    let before: Vec<usize> = pairs.iter().map(|(_, to)| heard(world, *to)).collect();
    world.run(millis(time));
    (0..pairs.len())
        .filter(|index| heard(world, pairs[*index].1) > before[*index])
        .collect()
}

fn active(world: &World) -> Vec<Option<ElementKey>> {
    world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Speakers {
                event: SpeakerEvent::Active(element),
                ..
            } => Some(*element),
            _ => None,
        })
        .collect()
}

/// What a listener got is whole: no gap in the numbers, and time goes on as it does at the source.
fn assert_unbroken(world: &World, (speaker, listener): (usize, usize)) {
    let received = &world.peers[listener].audio;
    assert_eq!(received.gaps(), [0_u64; 0]);
    assert_eq!(received.repeats(), 0);
    assert!(received.is_sorted());
    assert_eq!(received.ssrcs().len(), 1);
    let frames = received.decoded();
    let offset = |frame: &media::Frame| {
        assert_eq!(frame.publisher, world.peers[speaker].element.0 as u8);
        frame.timestamp.wrapping_sub(960 * frame.number)
    };
    for frame in &frames {
        assert_eq!(offset(frame), offset(&frames[0]), "{frame:?}");
    }
    assert_eq!(world.peers[listener].errors, 0);
}

#[test]
fn of_ten_the_three_loudest_are_forwarded_without_a_gap() {
    let mut world = World::new(60);
    detect(&mut world, 3, None);
    let pairs = talk(&mut world, 10);
    world.run(secs(1));
    for loud in [[1, 4, 8], [2, 4, 9], [0, 5, 6], [1, 4, 8]] {
        for (index, (speaker, _)) in pairs.iter().enumerate() {
            let level = if loud.contains(&index) { LOUD } else { QUIET };
            set_level(&mut world, *speaker, Some(level));
        }
        // Those that were loud go on for half a second once they are displaced.
        world.run(millis(1_500));
        assert_eq!(listeners_served(&mut world, &pairs, 2_000), loud);
        for index in loud {
            let source = world.peers[pairs[index].0].audio_source.as_ref();
            let sent = source.expect("a microphone").sent.len() as u32;
            let frames = world.peers[pairs[index].1].audio.decoded();
            assert!(frames.last().expect("frames").number + 3 >= sent);
        }
    }
    for pair in &pairs {
        // Some are quiet all the time.
        if heard(&world, pair.1) > 0 {
            assert_unbroken(&world, *pair);
        }
    }
    assert_eq!(world.shard.metrics().rtp_lost, 0);
}

#[test]
fn whoever_begins_to_speak_is_heard_from_the_first_packets_on() {
    let mut world = World::new(61);
    detect(&mut world, 2, None);
    let pairs = talk(&mut world, 6);
    for (speaker, _) in &pairs[..2] {
        set_level(&mut world, *speaker, Some(-40));
    }
    world.run(secs(3));
    let before = heard(&world, pairs[5].1);
    assert_eq!(listeners_served(&mut world, &pairs, 1_000), [0, 1]);
    set_level(&mut world, pairs[5].0, Some(LOUD));
    world.run(millis(1_000));
    let frames = heard(&world, pairs[5].1) - before;
    assert!(frames >= 47, "{frames} of 50 packets");
    assert_unbroken(&world, pairs[5]);
}

#[test]
fn a_source_without_levels_is_forwarded_beside_the_loudest() {
    let mut world = World::new(62);
    let pairs = talk(&mut world, 4);
    set_level(&mut world, pairs[0].0, None);
    set_level(&mut world, pairs[3].0, Some(LOUD));
    detect(&mut world, 1, None);
    world.run(secs(1));
    assert_eq!(listeners_served(&mut world, &pairs, 1_000), [0, 3]);
    // And everybody again when nobody asks for it any more.
    world.op(Op::DetectSpeakers { detection: None });
    world.run(millis(100));
    assert_eq!(listeners_served(&mut world, &pairs, 200), [0, 1, 2, 3]);
    for pair in &pairs {
        assert_unbroken(&world, *pair);
    }
}

#[test]
fn a_listener_who_comes_while_its_speaker_is_held_back_hears_it_later() {
    let mut world = World::new(63);
    detect(&mut world, 1, None);
    let pairs = talk(&mut world, 2);
    set_level(&mut world, pairs[0].0, Some(LOUD));
    world.run(secs(1));
    let late = world.join_connected(loudspeaker());
    world.connect(world.element(pairs[1].0), world.element(late));
    world.run(secs(1));
    assert_eq!(heard(&world, late), 0);
    set_level(&mut world, pairs[0].0, Some(QUIET));
    set_level(&mut world, pairs[1].0, Some(LOUD));
    world.run(secs(1));
    assert!(heard(&world, late) > 40);
    assert_unbroken(&world, (pairs[1].0, late));
}

#[test]
fn the_active_speaker_is_told_once_per_change_and_ends_with_its_endpoint() {
    let mut world = World::new(64);
    let pairs = talk(&mut world, 3);
    detect(&mut world, 0, None);
    let [first, second] = [pairs[0].0, pairs[2].0];
    world.run(secs(2));
    assert_eq!(active(&world), []);
    set_level(&mut world, first, Some(LOUD));
    world.run(secs(2));
    let expected = [Some(world.element(first))];
    assert_eq!(active(&world), expected);
    set_level(&mut world, first, Some(QUIET));
    set_level(&mut world, second, Some(LOUD));
    world.run(secs(2));
    let expected = [Some(world.element(first)), Some(world.element(second))];
    assert_eq!(active(&world), expected);
    let element = world.element(second);
    world.op(Op::Release { element });
    world.run(millis(300));
    assert_eq!(active(&world), [expected[0], expected[1], None]);
}

#[test]
fn levels_come_as_often_as_asked_for_and_not_unasked() {
    let mut world = World::new(65);
    let pairs = talk(&mut world, 2);
    set_level(&mut world, pairs[1].0, Some(-30));
    detect(&mut world, 0, None);
    world.run(secs(2));
    let levels = |world: &World| {
        let events = world.events.iter();
        let levels = events.filter_map(|(_, event)| match event {
            Event::Speakers {
                event: SpeakerEvent::Levels(levels),
                ..
            } => Some(levels.clone()),
            _ => None,
        });
        levels.collect::<Vec<_>>()
    };
    assert_eq!(levels(&world).len(), 0);
    detect(&mut world, 0, Some(500));
    world.run(secs(5));
    let reports = levels(&world);
    assert!((9..=11).contains(&reports.len()), "{}", reports.len());
    for report in &reports {
        let [level] = report.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(
            (level.element, level.dbov),
            (world.element(pairs[1].0), -30)
        );
    }
}
