//! How long it takes from wanting to enter a room to the first picture of somebody in it.
//!
//! The time of one join is that of everything a participant waits for: opening the WebSocket, `joinRoom`,
//! `receiveVideoFrom`, ICE, DTLS, and the first whole picture.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::participant::{FakeError, FakeParticipant, Options};

/// How long one join may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is seen.
const PRESENTER: &str = "presenter";

/// What joins took, sorted.
#[derive(Debug, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this share of the joins did not exceed, 0.5 for the median; zero without joins.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the place lies within the list"
    )]
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let place = (share.clamp(0.0, 1.0) * last as f64).round() as usize;
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// Both ways of joining as a table in Markdown; times in milliseconds.
#[must_use]
pub fn table(one_after_the_other: &Times, at_once: &Times) -> String {
    let row = |what: &str, times: &Times| {
        let millis = |share| times.quantile(share).as_secs_f64() * 1e3;
        let (half, most, last) = (millis(0.5), millis(0.95), millis(1.0));
        let count = times.count();
        format!("| {what} | {count} | {half:.0} ms | {most:.0} ms | {last:.0} ms |\n")
    };
    format!(
        "| joins | count | p50 | p95 | longest |\n| --- | --- | --- | --- | --- |\n{}{}",
        row("one after the other", one_after_the_other),
        row("at once", at_once)
    )
}

/// So many enter a room in which somebody publishes, one after the other; each leaves before the next one comes.
///
/// # Errors
/// [`FakeError`] of the first that does not get through.
pub async fn one_after_the_other(options: &Options, count: usize) -> Result<Times, FakeError> {
    let presenter = present(options).await?;
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let (member, time) = enter(options, number).await?;
        times.push(time);
        member.leave().await;
    }
    presenter.leave().await;
    Ok(Times::new(times))
}

/// So many enter at once.
///
/// # Errors
/// [`FakeError`] of the first that does not get through.
pub async fn all_at_once(options: &Options, count: usize) -> Result<Times, FakeError> {
    let presenter = present(options).await?;
    let entered = try_join_all((0..count).map(|number| enter(options, number))).await?;
    let mut times = Vec::with_capacity(count);
    let mut members = Vec::with_capacity(count);
    for (member, time) in entered {
        times.push(time);
        members.push(member.leave());
    }
    futures_util::future::join_all(members).await;
    presenter.leave().await;
    Ok(Times::new(times))
}

async fn present(options: &Options) -> Result<FakeParticipant, FakeError> {
    let presenter = FakeParticipant::join(&options.clone().showing_only(), PRESENTER).await?;
    presenter.is_seen(PATIENCE).await?;
    Ok(presenter)
}

async fn enter(options: &Options, number: usize) -> Result<(FakeParticipant, Duration), FakeError> {
    let began = Instant::now();
    let options = options.clone().watching_only();
    let member = FakeParticipant::join(&options, &format!("user{number}")).await?;
    let seen = member.sees(PRESENTER, PATIENCE).await?;
    let time = seen.first_picture.unwrap_or_else(Instant::now) - began;
    Ok((member, time))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Times;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let times = Times::new((1..=101).rev().map(Duration::from_millis).collect());
        assert_eq!(times.count(), 101);
        assert_eq!(times.quantile(0.5), Duration::from_millis(51));
        assert_eq!(times.quantile(0.95), Duration::from_millis(96));
        assert_eq!(times.quantile(1.0), Duration::from_millis(101));
        assert_eq!(Times::new(Vec::new()).quantile(0.5), Duration::ZERO);
    }
}
