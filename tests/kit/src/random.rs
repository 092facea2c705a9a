//! Seeded randomness: a storm that failed must be one that can be had again.

use std::env;
use std::ops::Range;
use std::time::Duration;

/// Seed of every random test, unless `DIXMGR_SEED` gives another.
const SEED: u64 = 20_260_411;

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, seeded, good enough to pick moments.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// One from `DIXMGR_SEED`, or from the fixed seed. The seed is printed.
    ///
    /// # Panics
    /// When `DIXMGR_SEED` is not a number.
    #[must_use]
    pub fn from_environment() -> Self {
        let seed = env::var("DIXMGR_SEED").map_or(SEED, |seed| seed.parse().expect("DIXMGR_SEED is a number"));
        eprintln!("seed {seed} (choose another with DIXMGR_SEED)");
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.bits() % limit as u64).expect("less than a usize")
    }

    /// A time within `range`, in whole microseconds.
    pub fn within(&mut self, range: Range<Duration>) -> Duration {
        let span = u64::try_from(range.end.saturating_sub(range.start).as_micros()).expect("a short range").max(1);
        range.start + Duration::from_micros(self.bits() % span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_storm() {
        let draw = |seed| {
            let mut random = Random { state: seed };
            (0..8).map(|_| random.bits()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let mut random = Random { state: 1 };
        let range = Duration::from_millis(5)..Duration::from_millis(9);
        assert!((0..1000).all(|_| range.contains(&random.within(range.clone()))));
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}
