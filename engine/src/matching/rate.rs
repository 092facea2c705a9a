//! How often something happens: counted in slots, over the last half minute.

use crate::history::time::Nanos;

const SLOT: Nanos = 5_000_000_000;
const SLOTS: usize = 6;

/// A count of the last 30 seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    slots: [u32; SLOTS],
    /// Number of the slot that is filled now.
    current: i64,
    /// When counting began.
    since: Nanos,
}

impl Rate {
    /// It has happened.
    pub(super) fn count(&mut self, now: Nanos) {
        if self.since == 0 {
            self.since = now;
        }
        let slot = self.roll(now);
        if let Some(count) = self.slots.get_mut(slot) {
            *count = count.saturating_add(1);
        }
    }

    /// How often it has happened in a second.
    #[allow(clippy::cast_precision_loss, reason = "a rate is shown, not reckoned with")]
    pub(super) fn per_second(&self, now: Nanos) -> f32 {
        let mut seen = self.clone();
        seen.roll(now);
        let window = SLOT * i64::try_from(SLOTS).unwrap_or(1);
        let elapsed = (now - self.since).clamp(1_000_000_000, window);
        let count: u32 = seen.slots.iter().sum();
        count as f32 / (elapsed as f32 / 1e9)
    }

    /// Empties the slots that have passed since the last call. Answers the one for now.
    fn roll(&mut self, now: Nanos) -> usize {
        let number = now / SLOT;
        let index = |number: i64| usize::try_from(number).unwrap_or(0) % SLOTS;
        if number != self.current {
            let passed = number.saturating_sub(self.current).clamp(0, 6);
            for back in 0..passed {
                if let Some(slot) = self.slots.get_mut(index(number - back)) {
                    *slot = 0;
                }
            }
            self.current = number;
        }
        index(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_forgotten_after_half_a_minute() {
        let second = 1_000_000_000;
        let mut rate = Rate::default();
        for at in 0..10 {
            rate.count((100 + at) * second);
        }
        assert!((rate.per_second(110 * second) - 1.0).abs() < 0.01);
        assert!(rate.per_second(150 * second) < 0.001);
        rate.count(151 * second);
        assert!((rate.per_second(151 * second) - 1.0 / 30.0).abs() < 0.001);
    }
}
