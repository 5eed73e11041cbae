//! The loss-based bound (draft-ietf-rmcat-gcc-02 §6), with one addition: loss that stays although less is sent is a
//! property of the path, and not to be answered by sending ever less.

/// Loss below this lets the bound grow, above the other makes it fall.
const LOW: f64 = 0.02;
const HIGH: f64 = 0.10;
/// A window lasts this long at least, with so many packets.
const WINDOW_MS: f64 = 500.0;
const WINDOW_PACKETS: u32 = 20;
/// Growth per second.
const GROWTH: f64 = 1.08;
/// What is held to be the path's own loss follows what is seen by this share per window, up to the cap.
const LEARNING: f64 = 0.2;
const INHERENT_MAX: f64 = 0.12;
/// A bound that is this many times the estimate bounds nothing.
const LIFTED: f64 = 2.0;

/// The bound, and the window that is being filled.
#[derive(Debug, Default)]
pub(super) struct LossBound {
    bound: Option<f64>,
    lost: u32,
    received: u32,
    began: Option<f64>,
    inherent: Option<f64>,
    /// Loss of the last window.
    fraction: f64,
    queued: bool,
}

impl LossBound {
    /// Counts what one feedback packet says. `recovered` packets were counted as lost before.
    pub(super) fn count(&mut self, received: u32, lost: u32, recovered: u32) {
        self.received = self.received.saturating_add(received);
        self.lost = self.lost.saturating_add(lost).saturating_sub(recovered);
    }

    /// A queue built up in this window: loss may be its overflow.
    pub(super) const fn note_queue(&mut self) {
        self.queued = true;
    }

    /// Ends the window if it is full; true when the bound fell.
    pub(super) fn update(&mut self, estimate: f64, throughput: Option<f64>, now: f64) -> bool {
        let began = *self.began.get_or_insert(now);
        let total = self.received.saturating_add(self.lost);
        let elapsed = now - began;
        if elapsed < WINDOW_MS || total < WINDOW_PACKETS {
            return false;
        }
        let fraction = f64::from(self.lost) / f64::from(total);
        let inherent = self.inherent.unwrap_or(0.0);
        let share = if self.inherent.is_some() {
            LEARNING
        } else {
            0.5
        };
        let excess = fraction - inherent;
        // While a queue builds up, loss says nothing about the path.
        if !self.queued || excess < 0.0 {
            self.inherent = Some((inherent + share * excess).clamp(0.0, INHERENT_MAX));
        }
        self.fraction = fraction;
        (self.lost, self.received, self.queued) = (0, 0, false);
        self.began = Some(now);
        if excess > HIGH {
            let least = throughput.map_or(0.0, |bps| bps * 0.9);
            let before = self.bound.map_or(estimate, |bound| bound.min(estimate));
            self.bound = Some((before * (1.0 - 0.5 * excess)).max(least.min(before)));
            return true;
        }
        if let Some(bound) = self.bound.as_mut()
            && excess <= LOW
        {
            *bound *= GROWTH.powf((elapsed / 1_000.0).min(1.0));
        }
        if self.bound.is_some_and(|bound| bound > estimate * LIFTED) {
            self.bound = None;
        }
        false
    }

    /// A probe got through at this rate.
    pub(super) fn raise(&mut self, bps: f64) {
        self.bound = self.bound.map(|bound| bound.max(bps));
    }

    /// Bits per second; `None` while loss bounds nothing.
    pub(super) const fn bps(&self) -> Option<f64> {
        self.bound
    }

    /// Share of packets lost in the last window.
    pub(super) const fn fraction(&self) -> f64 {
        self.fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(loss: &mut LossBound, windows: u32, lost: u32, from: f64) -> f64 {
        let mut now = from;
        for _ in 0..windows {
            loss.count(100 - lost, lost, 0);
            now += WINDOW_MS;
            let estimate = loss.bps().unwrap_or(1_000_000.0);
            loss.update(estimate, Some(500_000.0), now);
        }
        now
    }

    #[test]
    fn heavy_loss_bounds_and_its_end_lifts_the_bound() {
        let mut loss = LossBound::default();
        let now = run(&mut loss, 5, 0, 0.0);
        assert_eq!(loss.bps(), None);
        let now = run(&mut loss, 4, 40, now);
        let bound = loss.bps().expect("a bound");
        assert!((440_000.0..900_000.0).contains(&bound), "{bound}");
        let mut lifted = now;
        for _ in 0..60 {
            loss.count(100, 0, 0);
            lifted += WINDOW_MS;
            loss.update(450_000.0, None, lifted);
        }
        assert_eq!(loss.bps(), None);
    }

    #[test]
    fn loss_that_the_path_always_has_does_not_bound_for_good() {
        for lost in [5, 10] {
            let mut loss = LossBound::default();
            run(&mut loss, 40, lost, 0.0);
            assert!(loss.bps().is_none_or(|bound| bound > 900_000.0), "{loss:?}");
        }
    }

    #[test]
    fn packets_that_come_late_are_not_lost() {
        let mut loss = LossBound::default();
        loss.update(1_000_000.0, None, 0.0);
        loss.count(50, 50, 0);
        loss.count(50, 0, 50);
        assert!(!loss.update(1_000_000.0, None, WINDOW_MS));
        assert!(loss.fraction() < f64::EPSILON);
    }
}
