use super::*;
use crate::os::{Poller, Ready};
use salono_media_core::{Certificates, Codecs, Limits, Shard, ShardConfig, Transcoding};
use std::thread;
use std::time::{Duration, Instant};

const HERE: ShardId = ShardId(0);
const THERE: ShardId = ShardId(1);

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two shards' ends of the same rings.
fn pair() -> (Links, Links) {
    let [here, there] = [(); 2].map(|()| Arc::new(Bell::new().unwrap()));
    let (one, other) = connect((HERE, &here), (THERE, &there));
    let (mut here, mut there) = (Links::new(here), Links::new(there));
    here.add(one);
    there.add(other);
    (here, there)
}

/// Something that has a message to tell as often as it is asked to.
fn speaker() -> impl FnMut() -> LinkMessage {
    let config = ShardConfig {
        addresses: Vec::new(),
        siblings: Vec::new(),
        announced_v4: None,
        announced_v6: None,
        certificates: Certificates::generate().unwrap(),
        codecs: Codecs::default(),
        transcoding: Transcoding::Allow,
        limits: Limits::default(),
        unix_time: Duration::ZERO,
        seed: [1; 32],
    };
    let mut shard = Shard::new(config, Instant::now());
    move || {
        shard.announce_restart([THERE]);
        shard.poll_link(THERE).unwrap()
    }
}

fn count(links: &mut Links) -> usize {
    let mut count = 0;
    links.receive(|_, _| count += 1);
    count
}

fn rings(links: &Links) -> bool {
    let poller = Poller::new().unwrap();
    poller.add(links.bell(), 1).unwrap();
    let mut ready = Ready::new();
    poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
    ready.tokens().count() > 0
}

#[test]
fn what_a_full_ring_has_no_room_for_stays_with_its_owner() {
    let (mut here, mut there) = pair();
    let mut speak = speaker();
    let mut left = MESSAGES + 10;
    let mut next = |to| {
        assert_eq!(to, THERE);
        left = left.checked_sub(1)?;
        Some(speak())
    };
    here.send(&mut next);
    assert!(here.is_blocked() && there.has_news());
    let mut received = count(&mut there);
    assert_eq!(received, TAKEN_AT_ONCE, "a bounded number at once");
    here.send(&mut next);
    assert!(!here.is_blocked());
    while there.has_news() {
        received += count(&mut there);
    }
    assert_eq!((received, here.others()), (MESSAGES + 10, vec![THERE]));
}

#[test]
fn only_who_sleeps_is_woken_and_who_has_news_does_not_sleep() {
    let (mut here, mut there) = pair();
    let mut speak = speaker();
    let mut say_one = |links: &mut Links| {
        let mut once = Some(speak());
        links.send(|_| once.take());
    };
    say_one(&mut here);
    assert!(!rings(&there), "awake");
    assert!(!there.may_sleep(), "there is news");
    assert_eq!(count(&mut there), 1);
    assert!(there.may_sleep());
    say_one(&mut here);
    say_one(&mut here);
    assert!(rings(&there));
    there.rise();
    there.acknowledge();
    assert!(!rings(&there));
    assert_eq!(count(&mut there), 2);
}

#[test]
fn nobody_waits_for_a_shard_that_ended() {
    let (mut here, there) = pair();
    drop(there);
    let mut speak = speaker();
    let mut left = MESSAGES * 2;
    here.send(|_| {
        left = left.checked_sub(1)?;
        Some(speak())
    });
    assert!(!here.is_blocked());
}

#[test]
fn no_wake_up_is_lost_between_threads() {
    const ALL: usize = 20_000;
    let (mut here, mut there) = pair();
    let sleeper = thread::spawn(move || {
        let poller = Poller::new().unwrap();
        poller.add(there.bell(), 1).unwrap();
        let mut ready = Ready::new();
        let mut received = 0;
        while received < ALL {
            if there.may_sleep() {
                poller.wait(&mut ready, Some(PATIENCE)).unwrap();
                there.rise();
                assert!(ready.tokens().count() > 0, "woken after {received}");
                there.acknowledge();
            }
            received += count(&mut there);
        }
    });
    let mut speak = speaker();
    let mut left = ALL;
    while left > 0 {
        // One at a time now and then, so that the other side falls asleep in between.
        let mut burst = 1 + left % 7;
        here.send(|_| {
            burst = burst.checked_sub(1)?;
            left = left.checked_sub(1)?;
            Some(speak())
        });
        thread::yield_now();
    }
    sleeper.join().unwrap();
}
