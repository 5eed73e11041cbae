#![expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]

use super::*;

const PIPELINE: PipelineKey = PipelineKey(1);
const PACKET: u64 = 20;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Somebody's microphone.
#[derive(Clone, Copy)]
enum Sound {
    /// Nothing is sent.
    Nothing,
    /// Noise around a level.
    Noise(i32),
    /// Syllables, words and sentences around a level.
    Speech(i32),
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, range: std::ops::Range<i32>) -> i32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let span = u64::from((range.end - range.start).unsigned_abs());
        range.start + ((self.0 >> 33) % span) as i32
    }
}

struct Talker {
    membership: Membership,
    sound: Sound,
    dice: Dice,
    /// The burst or the pause that runs ends then.
    until: u64,
    bursts: i32,
    is_burst: bool,
    /// Of the last packet.
    forwarded: bool,
}

impl Talker {
    fn level(&mut self, at: u64) -> Option<i32> {
        match self.sound {
            Sound::Nothing => None,
            Sound::Noise(level) => Some(level + self.dice.roll(-2..3)),
            Sound::Speech(level) => {
                if at >= self.until {
                    self.is_burst = !self.is_burst;
                    let span = if self.is_burst {
                        self.bursts += 1;
                        self.dice.roll(100..320)
                    } else if self.bursts % 12 == 0 {
                        self.dice.roll(300..700)
                    } else {
                        self.dice.roll(40..160)
                    };
                    self.until = at + u64::from(span.unsigned_abs());
                }
                Some(if self.is_burst {
                    level + self.dice.roll(-6..7)
                } else {
                    -68 + self.dice.roll(-3..4)
                })
            }
        }
    }
}

/// A pipeline in virtual time.
struct Scene {
    detectors: Detectors,
    start: Instant,
    passed: u64,
    talkers: Vec<Talker>,
    events: VecDeque<Event>,
    /// Whose picture came first and since when, in milliseconds.
    turns: Vec<(u64, Option<u64>)>,
    /// Who became the active speaker and when, in milliseconds.
    changes: Vec<(u64, Option<u64>)>,
    reports: Vec<(u64, Vec<(u64, i8)>)>,
}

impl Scene {
    fn new(talkers: usize, loudest: u16) -> Self {
        let start = Instant::now();
        let mut detectors = Detectors::default();
        let settings = SpeakerDetection {
            loudest,
            level_interval: Some(ms(200)),
        };
        detectors.open(PIPELINE, settings, start);
        let talkers = (0..talkers)
            .map(|number| Talker {
                membership: detectors.join(PIPELINE, ElementKey(number as u64)).unwrap(),
                sound: Sound::Noise(-75),
                dice: Dice(number as u64 + 7),
                until: 0,
                bursts: 0,
                is_burst: false,
                forwarded: false,
            })
            .collect();
        Self {
            detectors,
            start,
            passed: 0,
            talkers,
            events: VecDeque::new(),
            turns: Vec::new(),
            changes: Vec::new(),
            reports: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        self.start + ms(self.passed)
    }

    fn run(&mut self, span: u64) {
        let end = self.passed + span;
        while self.passed < end {
            let now = self.now();
            for talker in &mut self.talkers {
                let Some(dbov) = talker.level(self.passed) else {
                    continue;
                };
                let level = Some(dbov.clamp(-127, 0).unsigned_abs() as u8 | 0x80);
                talker.forwarded = self
                    .detectors
                    .hear(talker.membership, [level].into_iter(), now);
            }
            self.detectors.tick(&mut self.events, now);
            while let Some(turn) = self.detectors.next_turn() {
                self.turns.push((self.passed, turn.to.map(|it| it.0)));
            }
            while let Some(event) = self.events.pop_front() {
                let Event::Speakers { event, .. } = event else {
                    panic!("{event:?}");
                };
                match event {
                    SpeakerEvent::Active(element) => {
                        self.changes.push((self.passed, element.map(|it| it.0)));
                    }
                    SpeakerEvent::Levels(levels) => {
                        let levels = levels.into_iter().map(|it| (it.element.0, it.dbov));
                        self.reports.push((self.passed, levels.collect()));
                    }
                }
            }
            self.passed += PACKET;
        }
    }

    /// Lets somebody begin to speak now.
    fn speak(&mut self, who: usize, level: i32) {
        let talker = &mut self.talkers[who];
        talker.sound = Sound::Speech(level);
        talker.until = self.passed;
        talker.is_burst = false;
    }

    fn active(&self) -> Option<u64> {
        self.changes.last().and_then(|(_, who)| *who)
    }

    fn forwarded(&self) -> Vec<usize> {
        let all = self.talkers.iter().enumerate();
        all.filter(|(_, talker)| talker.forwarded)
            .map(|(number, _)| number)
            .collect()
    }
}

#[test]
fn somebody_who_speaks_becomes_the_active_speaker_within_a_second() {
    for seed in 0..50 {
        let mut scene = Scene::new(4, 0);
        scene.talkers[2].dice = Dice(seed);
        scene.run(3_000);
        assert_eq!(scene.changes, [], "nobody speaks");
        scene.talkers[2].sound = Sound::Speech(-28);
        scene.run(1_000);
        assert_eq!(scene.active(), Some(2), "seed {seed}");
        scene.run(30_000);
        assert_eq!(scene.changes.len(), 1, "seed {seed}: {:?}", scene.changes);
    }
}

#[test]
fn after_the_last_word_there_is_silence_once() {
    let mut scene = Scene::new(3, 0);
    scene.talkers[0].sound = Sound::Speech(-30);
    scene.run(5_000);
    scene.talkers[0].sound = Sound::Noise(-72);
    scene.run(1_500);
    assert_eq!(scene.active(), Some(0), "a pause is not the end");
    scene.run(1_500);
    assert_eq!(scene.active(), None);
    assert_eq!(scene.changes.len(), 2);
    assert!(
        scene.detectors.next().is_none(),
        "and nothing is woken any more"
    );
}

#[test]
fn whose_microphone_stops_sending_falls_silent_too() {
    let mut scene = Scene::new(2, 0);
    scene.talkers[0].sound = Sound::Speech(-30);
    scene.talkers[1].sound = Sound::Nothing;
    scene.run(5_000);
    assert_eq!(scene.active(), Some(0));
    scene.talkers[0].sound = Sound::Nothing;
    scene.run(3_000);
    assert_eq!(scene.active(), None);
    assert!(scene.detectors.next().is_none());
}

#[test]
fn steady_noise_is_no_speaker_even_when_it_is_loud() {
    let mut scene = Scene::new(3, 0);
    scene.talkers[0].sound = Sound::Noise(-45);
    scene.talkers[1].sound = Sound::Noise(-52);
    scene.run(30_000);
    assert_eq!(scene.changes, []);
    scene.talkers[1].sound = Sound::Speech(-30);
    scene.run(10_000);
    assert_eq!(scene.active(), Some(1));
    assert_eq!(scene.changes.len(), 1);
}

#[test]
fn a_cough_makes_no_speaker_and_an_interjection_takes_nothing_over() {
    let mut scene = Scene::new(3, 0);
    scene.run(1_000);
    scene.talkers[1].sound = Sound::Noise(-15);
    scene.run(240);
    scene.talkers[1].sound = Sound::Noise(-75);
    scene.run(2_000);
    assert_eq!(scene.changes, []);
    scene.talkers[0].sound = Sound::Speech(-30);
    scene.run(4_000);
    for _ in 0..10 {
        scene.talkers[1].sound = Sound::Noise(-25);
        scene.run(300);
        scene.talkers[1].sound = Sound::Noise(-75);
        scene.run(1_700);
    }
    assert_eq!(scene.changes.len(), 1, "{:?}", scene.changes);
    assert_eq!(scene.active(), Some(0));
}

#[test]
fn two_who_interrupt_each_other_do_not_flap() {
    for seed in 0..50 {
        let mut scene = Scene::new(2, 0);
        scene.talkers[0].dice = Dice(seed);
        scene.talkers[1].dice = Dice(seed + 1_000);
        scene.talkers[0].sound = Sound::Speech(-28);
        scene.run(3_000);
        scene.talkers[1].sound = Sound::Speech(-30);
        scene.run(20_000);
        assert!(scene.changes.len() < 10, "seed {seed}: {:?}", scene.changes);
        for pair in scene.changes.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 1_000, "{:?}", scene.changes);
        }
        // One gives in: the other has the floor soon and keeps it.
        scene.talkers[0].sound = Sound::Noise(-70);
        scene.run(2_200);
        assert_eq!(scene.active(), Some(1), "seed {seed}");
        let changes = scene.changes.len();
        scene.run(10_000);
        assert_eq!(scene.changes.len(), changes);
    }
}

#[test]
fn turns_are_followed_within_a_second_and_a_half() {
    let mut scene = Scene::new(5, 0);
    scene.run(500);
    for turn in 0..20 {
        let who = (turn * 3) % 5;
        scene.speak(who, -32);
        scene.run(1_500);
        assert_eq!(scene.active(), Some(who as u64), "turn {turn}");
        scene.run(2_500);
        scene.talkers[who].sound = Sound::Noise(-70);
    }
    assert_eq!(scene.changes.len(), 20, "{:?}", scene.changes);
}

#[test]
fn the_echo_of_a_speaker_is_not_the_speaker() {
    let mut scene = Scene::new(2, 0);
    // The echo begins as long as its origin, but 15 dB below.
    scene.talkers[0].sound = Sound::Speech(-25);
    scene.talkers[1].dice = Dice(7);
    scene.talkers[1].sound = Sound::Speech(-40);
    scene.run(20_000);
    assert_eq!(scene.changes.first().unwrap().1, Some(0));
    assert_eq!(scene.changes.len(), 1, "{:?}", scene.changes);
}

#[test]
fn whoever_ends_while_speaking_is_the_speaker_no_longer() {
    let mut scene = Scene::new(2, 0);
    scene.talkers[1].sound = Sound::Speech(-30);
    scene.run(2_000);
    assert_eq!(scene.active(), Some(1));
    let gone = scene.talkers.pop().unwrap();
    scene.detectors.leave(gone.membership);
    scene.run(200);
    assert_eq!(scene.active(), None);
}

#[test]
fn levels_are_reported_five_times_a_second_while_somebody_is_to_be_heard() {
    let mut scene = Scene::new(3, 0);
    scene.run(2_000);
    assert_eq!(scene.reports, [], "nobody is to be heard");
    scene.talkers[0].sound = Sound::Noise(-50);
    scene.talkers[2].sound = Sound::Noise(-20);
    scene.run(10_000);
    assert!((49..=51).contains(&scene.reports.len()));
    let (_, last) = scene.reports.last().unwrap();
    let [(2, loud), (0, quiet)] = last.as_slice() else {
        panic!("{last:?}");
    };
    assert!(
        (-24..-16).contains(loud) && (-54..-46).contains(quiet),
        "{last:?}"
    );
    scene.talkers[0].sound = Sound::Noise(-80);
    scene.talkers[2].sound = Sound::Noise(-80);
    scene.run(3_000);
    assert_eq!(scene.reports.last().unwrap().1, []);
    let empty = scene.reports.iter().filter(|(_, levels)| levels.is_empty());
    assert_eq!(empty.count(), 1);
}

#[test]
fn only_the_loudest_are_forwarded_and_a_new_one_at_once() {
    let mut scene = Scene::new(10, 3);
    scene.run(1_000);
    assert_eq!(scene.forwarded().len(), 3);
    for who in [7, 8, 9] {
        scene.talkers[who].sound = Sound::Noise(-30);
    }
    scene.run(PACKET * 4);
    for who in [7, 8, 9] {
        assert!(scene.talkers[who].forwarded, "{who}");
    }
    scene.run(1_000);
    assert_eq!(scene.forwarded(), [7, 8, 9]);
    // A fourth, and louder: whoever is the quietest goes on for half a second.
    let quietest = if scene.active() == Some(8) { 9 } else { 8 };
    scene.talkers[quietest].sound = Sound::Noise(-40);
    scene.run(1_000);
    scene.talkers[0].sound = Sound::Noise(-20);
    scene.run(300);
    assert_eq!(scene.forwarded(), [0, 7, 8, 9], "hang-over");
    scene.run(400);
    assert_eq!(scene.forwarded(), [0, 7, if quietest == 8 { 9 } else { 8 }]);
}

#[test]
fn equally_loud_voices_do_not_take_each_others_place() {
    let mut scene = Scene::new(10, 3);
    for talker in &mut scene.talkers {
        talker.sound = Sound::Noise(-50);
    }
    scene.run(1_000);
    let before = scene.forwarded();
    assert_eq!(before.len(), 3);
    for _ in 0..200 {
        scene.run(100);
        assert_eq!(scene.forwarded(), before);
    }
}

#[test]
fn the_active_speaker_is_forwarded_among_the_louder() {
    let mut scene = Scene::new(4, 2);
    scene.talkers[0].sound = Sound::Speech(-35);
    scene.run(3_000);
    assert_eq!(scene.active(), Some(0));
    for who in [1, 2, 3] {
        scene.speak(who, -20);
    }
    scene.run(200);
    assert_eq!(scene.forwarded(), [0, 1, 2]);
    for _ in 0..100 {
        scene.run(20);
        assert!(scene.talkers[0].forwarded || scene.active() != Some(0));
    }
}

#[test]
fn who_tells_no_level_is_forwarded_always() {
    let mut scene = Scene::new(3, 1);
    scene.talkers[0].sound = Sound::Nothing;
    scene.talkers[1].sound = Sound::Noise(-20);
    scene.run(1_000);
    let (now, silent) = (scene.now(), scene.talkers[0].membership);
    assert!(scene.detectors.hear(silent, [None].into_iter(), now));
    assert_eq!(scene.forwarded(), [1]);
}

#[test]
fn a_wider_limit_and_the_end_of_detection_let_everybody_through() {
    let mut scene = Scene::new(4, 1);
    scene.run(1_000);
    assert_eq!(scene.forwarded().len(), 1);
    let mut settings = SpeakerDetection {
        loudest: 0,
        level_interval: None,
    };
    scene.detectors.open(PIPELINE, settings, scene.now());
    scene.run(PACKET);
    assert_eq!(scene.forwarded().len(), 4);
    settings.loudest = 2;
    scene.detectors.open(PIPELINE, settings, scene.now());
    scene.run(1_000);
    assert_eq!(scene.forwarded().len(), 2);
    let known = scene.talkers[0].membership;
    assert!(scene.detectors.knows(known));
    scene.detectors.close(PIPELINE);
    assert!(!scene.detectors.knows(known));
    scene.run(PACKET);
    assert_eq!(scene.forwarded().len(), 4);
    assert_eq!(scene.detectors.join(PIPELINE, ElementKey(9)), None);
}

#[test]
fn whose_picture_comes_first_stays_through_silence_and_changes_seldom() {
    let mut scene = Scene::new(3, 0);
    scene.speak(1, -28);
    scene.run(3_000);
    scene.talkers[1].sound = Sound::Noise(-72);
    scene.run(5_000);
    assert_eq!(scene.active(), None);
    let who =
        |scene: &Scene| -> Vec<Option<u64>> { scene.turns.iter().map(|(_, who)| *who).collect() };
    assert_eq!(who(&scene), [Some(1)]);
    // Two who interrupt each other all the time.
    for round in 0..30 {
        let (talks, listens) = if round % 2 == 0 { (0, 2) } else { (2, 0) };
        scene.talkers[listens].sound = Sound::Noise(-75);
        scene.speak(talks, -26);
        scene.run(700);
    }
    let times: Vec<u64> = scene.turns.iter().map(|(at, _)| *at).collect();
    let least = times.windows(2).map(|pair| pair[1] - pair[0]).min();
    assert!(least >= Some(1_500), "{:?}", scene.turns);
    scene.detectors.close(PIPELINE);
    let turn = scene.detectors.next_turn().unwrap();
    assert_eq!(turn.to, None, "nobody's comes first without a detector");
}
