//! What happens as time goes by, without any passing.

use super::*;
use crate::recorder::format::Codec;

#[derive(Debug, PartialEq, Eq)]
enum Done {
    Open,
    Close(u64),
    Ask,
    State(UriState),
}

#[derive(Default)]
struct Log {
    done: Vec<Done>,
    refuses: bool,
}

impl Shell for Log {
    fn open(&mut self) -> Result<(), Failed> {
        self.done.push(Done::Open);
        if self.refuses { Err(Failed) } else { Ok(()) }
    }

    fn write(
        &mut self,
        _append: &[u8],
        _patches: &[(u64, Vec<u8>)],
        _end: u64,
    ) -> Result<(), Failed> {
        if self.refuses { Err(Failed) } else { Ok(()) }
    }

    fn close(&mut self, duration: u64) {
        self.done.push(Done::Close(duration / 1_000_000));
    }

    fn ask_keyframe(&mut self) {
        self.done.push(Done::Ask);
    }

    fn state(&mut self, state: UriState) {
        self.done.push(Done::State(state));
    }
}

struct Test {
    session: Session<Log>,
    now: Instant,
}

impl Test {
    fn new() -> Self {
        let mut session = Session::new(Container::Webm, Log::default());
        let now = Instant::now();
        session.format(Slot::Audio, format(Codec::Opus));
        session.format(Slot::Video, format(Codec::Vp8));
        session.link(Slot::Audio, true);
        Self { session, now }
    }

    fn audio(&mut self, milliseconds: u64) {
        self.frame(Slot::Audio, milliseconds, true);
    }

    fn frame(&mut self, slot: Slot, milliseconds: u64, key: bool) {
        let time = milliseconds * 1_000_000;
        // A keyframe of VP8 of 16x16.
        let data = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0];
        let frame = Frame {
            pts: time,
            dts: time,
            duration: 20_000_000,
            key,
            data: Data::Owned(data),
        };
        self.session.sample(self.now, slot, frame);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.tick(self.now);
    }

    fn done(&mut self) -> Vec<Done> {
        std::mem::take(&mut self.session.shell().done)
    }
}

fn format(codec: Codec) -> Format {
    Format {
        codec,
        private: Vec::new(),
        width: 0,
        height: 0,
        rate: 48_000,
        channels: 1,
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_tried_again_less_and_less_often() {
    let mut test = Test::new();
    test.session.record(test.now);
    test.session.shell().refuses = true;
    test.audio(0);
    assert_eq!(test.done(), [Done::Open]);
    for (wait, opens) in [(4, 0), (1, 1), (9, 0), (1, 1), (19, 0), (1, 1)] {
        test.pass(Duration::from_secs(wait));
        test.audio(100);
        assert_eq!(test.done().len(), opens, "after {wait} s more");
    }
    test.session.shell().refuses = false;
    test.pass(MAX_WAIT);
    test.audio(9_000);
    assert_eq!(test.done(), [Done::Open, Done::State(UriState::Start)]);
    assert!(test.session.stop(test.now));
    assert_eq!(test.done(), [Done::Close(20), Done::State(UriState::Stop)]);
}

/// Longer than between any attempts.
const MAX_WAIT: Duration = Duration::from_secs(61);

#[test]
fn a_keyframe_is_asked_for_until_it_comes() {
    let mut test = Test::new();
    test.session.link(Slot::Video, true);
    test.session.record(test.now);
    assert_eq!(test.done(), [Done::Ask]);
    test.frame(Slot::Video, 0, false);
    assert_eq!(test.done(), [], "not twice at once");
    for _ in 0..3 {
        test.pass(Duration::from_millis(500));
        assert_eq!(test.done(), [Done::Ask]);
    }
    test.frame(Slot::Video, 1_500, true);
    test.audio(1_500);
    assert_eq!(test.done(), [Done::Open, Done::State(UriState::Start)]);
    test.pass(Duration::from_secs(1));
    assert_eq!(test.done(), []);
}

#[test]
fn after_two_seconds_nobody_is_waited_for() {
    let mut test = Test::new();
    test.session.link(Slot::Video, true);
    test.session.record(test.now);
    test.audio(0);
    test.pass(Duration::from_millis(1_900));
    assert!(!test.done().contains(&Done::Open));
    test.pass(Duration::from_millis(100));
    assert!(test.done().contains(&Done::Open));
}

#[test]
fn requests_that_do_not_suit_the_state_change_nothing() {
    let mut test = Test::new();
    assert!(!test.session.pause(test.now));
    assert!(test.session.record(test.now));
    assert!(!test.session.record(test.now));
    assert!(test.session.stop(test.now));
    assert!(!test.session.stop(test.now));
    assert!(!test.session.record(test.now));
    assert!(!test.session.pause(test.now));
    test.audio(0);
    assert_eq!(test.done(), []);
}

#[test]
fn a_pause_before_anything_came_is_a_pause() {
    let mut test = Test::new();
    test.session.record(test.now);
    assert!(test.session.pause(test.now));
    test.audio(0);
    assert_eq!(test.done(), [Done::State(UriState::Pause)]);
    assert!(test.session.record(test.now));
    test.audio(1_000);
    assert_eq!(test.done(), [Done::State(UriState::Start), Done::Open]);
}
