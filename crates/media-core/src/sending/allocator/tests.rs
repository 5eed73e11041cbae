//! What streams get of which limits.
#![expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]

use super::*;

fn layers(bitrates: &[u64]) -> Vec<Quality> {
    bitrates
        .iter()
        .zip(0u8..)
        .map(|(bitrate, spatial)| Quality {
            layer: Layer {
                spatial,
                temporal: 0,
            },
            bitrate: *bitrate,
            height: Some(180 << spatial),
        })
        .collect()
}

fn demand(qualities: &[Quality]) -> Demand<'_> {
    Demand {
        qualities,
        preference: Preference::default(),
        is_prominent: false,
        max_bps: 0,
        is_steerable: false,
        before: Grant::default(),
    }
}

fn spatial(grant: &Grant) -> Option<u8> {
    grant.ceiling.map(|layer| layer.spatial)
}

#[test]
fn without_a_limit_everything_is_sent_unless_less_is_enough() {
    let three = layers(&[150_000, 500_000, 1_500_000]);
    let now = Instant::now();
    let all = allocate(None, &[demand(&three)], now);
    assert_eq!(all.grants, [Grant::default()]);
    assert_eq!(all.resumes_at, None);
    let mut small = demand(&three);
    small.preference.height = 300;
    assert_eq!(spatial(&allocate(None, &[small], now).grants[0]), Some(1));
    let mut bounded = demand(&three);
    bounded.max_bps = 200_000;
    assert_eq!(spatial(&allocate(None, &[bounded], now).grants[0]), Some(0));
}

#[test]
fn the_most_important_stream_is_served_first_but_nobody_starves() {
    let three = layers(&[150_000, 500_000, 1_500_000]);
    let now = Instant::now();
    let mut speaker = demand(&three);
    speaker.preference.priority = 9;
    let others = [demand(&three), speaker, demand(&three)];
    let places: Vec<_> = allocate(Some(1_100_000), &others, now)
        .grants
        .iter()
        .map(spatial)
        .collect();
    assert_eq!(places, [Some(0), Some(1), Some(0)]);
    let places: Vec<_> = allocate(Some(2_300_000), &others, now)
        .grants
        .iter()
        .map(spatial)
        .collect();
    assert_eq!(places, [Some(1), Some(2), Some(0)]);
    let places: Vec<_> = allocate(Some(200_000), &others, now)
        .grants
        .iter()
        .map(spatial)
        .collect();
    assert_eq!(places, [None, Some(0), None], "the speaker alone");
}

#[test]
fn a_quality_is_kept_and_left_at_different_limits() {
    let two = layers(&[150_000, 500_000]);
    let now = Instant::now();
    let mut sent = demand(&two);
    sent.before.ceiling = Some(two[1].layer);
    let mut not_sent = demand(&two);
    not_sent.before.ceiling = Some(two[0].layer);
    for (limit, kept, reached) in [
        (470_000, 1, 0),
        (560_000, 1, 0),
        (620_000, 1, 1),
        (400_000, 0, 0),
    ] {
        assert_eq!(
            spatial(&allocate(Some(limit), &[sent], now).grants[0]),
            Some(kept),
            "{limit}"
        );
        assert_eq!(
            spatial(&allocate(Some(limit), &[not_sent], now).grants[0]),
            Some(reached),
            "{limit}"
        );
    }
}

#[test]
fn a_plain_stream_is_paused_only_when_it_is_too_much_for_long_and_others_watch() {
    let one = layers(&[1_500_000]);
    let start = Instant::now();
    let mut stream = demand(&one);
    let mut paused_at = None;
    for tenth in 0..60 {
        let now = start + Duration::from_millis(tenth * 100);
        stream.before = allocate(Some(400_000), &[stream], now).grants[0];
        if stream.before.ceiling.is_none() {
            paused_at.get_or_insert(tenth);
        }
    }
    assert_eq!(paused_at, Some(20));
    let later = start + Duration::from_secs(10);
    assert_eq!(
        allocate(Some(1_600_000), &[stream], later).grants[0].ceiling,
        None,
        "not clearly enough"
    );
    let resumed = allocate(Some(1_900_000), &[stream], later).grants[0];
    assert_eq!(
        (resumed.ceiling, resumed.short_since),
        (Some(Layer::HIGHEST), None)
    );
    let mut steerable = demand(&one);
    steerable.is_steerable = true;
    for second in 0..10 {
        let now = start + Duration::from_secs(second);
        steerable.before = allocate(Some(400_000), &[steerable], now).grants[0];
        assert_eq!(steerable.before.ceiling, Some(Layer::HIGHEST));
        assert_eq!(steerable.before.share, Some(400_000));
    }
}

#[test]
fn a_publisher_is_told_what_its_viewer_takes_only_near_the_limit() {
    let one = layers(&[1_000_000]);
    let now = Instant::now();
    let mut stream = demand(&one);
    assert_eq!(
        allocate(Some(1_600_000), &[stream], now).grants[0].share,
        None
    );
    stream.before = allocate(Some(1_400_000), &[stream], now).grants[0];
    assert_eq!(stream.before.share, Some(1_400_000));
    stream.before = allocate(Some(1_800_000), &[stream], now).grants[0];
    assert_eq!(stream.before.share, Some(1_800_000));
    assert_eq!(
        allocate(Some(2_100_000), &[stream], now).grants[0].share,
        None
    );
}

#[test]
fn the_speaker_comes_first_unless_the_viewer_has_said_what_does() {
    let three = layers(&[150_000, 500_000, 1_500_000]);
    let now = Instant::now();
    let mut speaker = demand(&three);
    speaker.is_prominent = true;
    let mut streams = [demand(&three), speaker, demand(&three)];
    let places = |streams: &[Demand<'_>]| -> Vec<_> {
        let division = allocate(Some(1_100_000), streams, now);
        division.grants.iter().map(spatial).collect()
    };
    assert_eq!(places(&streams), [Some(0), Some(1), Some(0)]);
    streams[2].preference.priority = 1;
    assert_eq!(places(&streams), [Some(0), Some(0), Some(1)]);
}

#[test]
fn what_is_shown_larger_comes_first() {
    let three = layers(&[150_000, 500_000, 1_500_000]);
    let now = Instant::now();
    let with_height = |height| {
        let mut stream = demand(&three);
        stream.preference.height = height;
        stream
    };
    let places = |limit, heights: [u16; 3]| -> Vec<_> {
        let division = allocate(Some(limit), &heights.map(with_height), now);
        division.grants.iter().map(spatial).collect()
    };
    assert_eq!(
        places(1_100_000, [180, 360, 720]),
        [Some(0), Some(0), Some(1)]
    );
    assert_eq!(
        places(2_300_000, [360, 360, 0]),
        [Some(1), Some(0), Some(2)],
        "as large as there is"
    );
    assert_eq!(places(200_000, [180, 720, 360]), [None, Some(0), None]);
}

#[test]
fn it_is_known_from_which_limit_on_a_paused_stream_would_be_sent() {
    let three = layers(&[150_000, 500_000, 1_500_000]);
    let one = layers(&[1_000_000]);
    let start = Instant::now();
    let mut streams = [demand(&three), demand(&three), demand(&one)];
    let mut divide = |limit, second| {
        let division = allocate(Some(limit), &streams, start + Duration::from_secs(second));
        for (stream, grant) in streams.iter_mut().zip(&division.grants) {
            stream.before = *grant;
        }
        let paused: Vec<bool> = division
            .grants
            .iter()
            .map(|grant| grant.ceiling.is_none())
            .collect();
        (paused, division.resumes_at)
    };
    for second in 0..3 {
        divide(200_000, second);
    }
    let (paused, resumes_at) = divide(200_000, 3);
    assert_eq!(paused, [false, true, true]);
    let resumes_at = resumes_at.expect("two are paused");
    let (paused, _) = divide(resumes_at - 1, 4);
    assert_eq!(paused, [false, true, true]);
    let (paused, resumes_at) = divide(resumes_at, 5);
    assert_eq!(paused, [false, false, true]);
    let resumes_at = resumes_at.expect("one is paused");
    assert_eq!(divide(resumes_at, 6), (vec![false; 3], None));
}

#[test]
fn of_plain_streams_the_most_important_ones_are_sent_as_far_as_they_fit() {
    let one = layers(&[500_000]);
    let start = Instant::now();
    let mut speaker = demand(&one);
    speaker.is_prominent = true;
    let mut streams = [demand(&one), demand(&one), demand(&one), speaker];
    let mut divide = |limit, seconds| {
        let mut sent = Vec::new();
        for second in seconds {
            let now = start + Duration::from_secs(second);
            let division = allocate(Some(limit), &streams, now);
            for (stream, grant) in streams.iter_mut().zip(&division.grants) {
                stream.before = *grant;
            }
            sent = division.grants;
        }
        sent
    };
    let is_sent = |grants: &[Grant]| -> Vec<bool> {
        grants.iter().map(|grant| grant.ceiling.is_some()).collect()
    };
    let narrow = divide(1_200_000, 0..4);
    assert_eq!(is_sent(&narrow), [true, false, false, true]);
    // The publishers of the others are asked for what the speaker leaves, in case that helps.
    let asked: Vec<_> = narrow.iter().map(|grant| grant.share).collect();
    assert_eq!(asked, [Some(233_333), Some(233_333), Some(233_333), None]);
    let least = divide(450_000, 4..8);
    assert_eq!(is_sent(&least), [false, false, false, true]);
    let wide = divide(2_600_000, 8..10);
    assert_eq!(is_sent(&wide), [true; 4]);
}

#[test]
fn what_is_paused_takes_nothing_from_the_others() {
    let (one, three) = (layers(&[1_500_000]), layers(&[150_000, 500_000, 1_500_000]));
    let start = Instant::now();
    let mut streams = [demand(&one), demand(&three)];
    let mut places = Vec::new();
    for second in 0..5 {
        let division = allocate(Some(800_000), &streams, start + Duration::from_secs(second));
        for (stream, grant) in streams.iter_mut().zip(&division.grants) {
            stream.before = *grant;
        }
        places = division.grants.iter().map(spatial).collect();
    }
    assert_eq!(places, [None, Some(1)]);
}
