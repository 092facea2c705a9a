//! What is usual for a service at this hour of the week, from its own past, and how far a value is from that.
//!
//! Robust on purpose: medians and median absolute deviations (Hampel's identifier), so that an incident of last week does not
//! become part of what is usual. Each hour of the week is judged by that hour and its neighbours in all weeks that are known;
//! with less than that, by the same time of other days. Hours are those of UTC: neighbours take in what a turned clock moves.

/// Milliseconds of an hour.
pub const HOUR: u64 = 3_600_000;
/// Hours of a week, and of a day.
const WEEK: usize = 168;
const DAY: usize = 24;
/// 1970-01-01 was a Thursday; weeks are counted from Monday, which matters to nobody but a reader of a debugger.
const THURSDAY: usize = 3 * DAY;
/// Hours of history before anything is said to be unusual: a week.
const ENOUGH: usize = WEEK;
/// Values that a slot is judged by at the least.
const SLOT_ENOUGH: usize = 6;
/// What turns a median absolute deviation into a standard deviation, were it a normal distribution.
const MAD_TO_SIGMA: f64 = 1.4826;

/// What is usual in one hour of the week.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// Half of the values lie below it.
    pub median: f64,
    /// How far values usually lie from it, comparable to a standard deviation; never zero.
    pub spread: f64,
}

/// The least spread: what nobody would call unusual however steady a service is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// In the value's own unit.
    pub absolute: f64,
    /// As a part of the median.
    pub relative: f64,
}

/// What is usual at `at`, from the means of past hours: when each began, in milliseconds since the epoch, and the mean. `None`
/// when there is less than a week of them, or too little about this hour.
#[must_use]
pub fn usual(hours: &[(u64, f64)], at: u64, floor: Floor) -> Option<Usual> {
    if hours.len() < ENOUGH {
        return None;
    }
    let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<f64> {
        let chosen = hours.iter().filter(|(start, value)| value.is_finite() && wanted(slot(*start)));
        chosen.map(|(_, value)| *value).collect()
    };
    // The hour itself and its neighbours; with too little of that, the same hours of all days.
    let near = |of: usize, cycle: usize| (of + 1 + cycle - slot(at) % cycle) % cycle <= 2;
    let mut values = of(&|slot| near(slot, WEEK));
    if values.len() < SLOT_ENOUGH {
        values = of(&|slot| near(slot, DAY));
    }
    (values.len() >= SLOT_ENOUGH).then(|| around(&mut values, floor))
}

impl Usual {
    /// How many times its usual spread a value is away from the median, in either direction.
    #[must_use]
    pub fn deviation(&self, value: f64) -> f64 {
        (value - self.median).abs() / self.spread
    }
}

/// The hour of the week.
#[allow(clippy::cast_possible_truncation, reason = "hours since the epoch fit")]
fn slot(at: u64) -> usize {
    ((at / HOUR) as usize + THURSDAY) % WEEK
}

fn around(values: &mut [f64], floor: Floor) -> Usual {
    let middle = median(values);
    let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let spread = median(&mut distances) * MAD_TO_SIGMA;
    let least = floor.absolute.max(floor.relative * middle.abs());
    Usual { median: middle, spread: spread.max(least).max(f64::MIN_POSITIVE) }
}

/// The middle value; the mean of both where there are two. Of none, zero.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    const FLOOR: Floor = Floor { absolute: 5.0, relative: 0.1 };
    /// A Monday, 00:00 UTC.
    const MONDAY: u64 = 1_700_438_400_000;

    /// Busy from nine to five on working days.
    fn office(hour: usize) -> f64 {
        let (day, hour) = (hour / DAY % 7, hour % DAY);
        if day < 5 && (9..17).contains(&hour) { 70.0 } else { 5.0 }
    }

    fn weeks(count: usize, value: impl Fn(usize) -> f64) -> Vec<(u64, f64)> {
        (0..count * WEEK).map(|hour| (MONDAY + hour as u64 * HOUR, value(hour))).collect()
    }

    fn deviation(hours: &[(u64, f64)], day: u64, hour: u64, value: f64) -> f64 {
        let at = MONDAY + 4 * WEEK as u64 * HOUR + (day * 24 + hour) * HOUR;
        usual(hours, at, FLOOR).expect("enough is known").deviation(value)
    }

    #[test]
    fn what_is_usual_at_noon_is_not_at_midnight() {
        let known = weeks(4, office);
        assert!(deviation(&known, 1, 12, 72.0) < 1.0);
        assert!(deviation(&known, 1, 2, 72.0) > 8.0);
        assert!(deviation(&known, 5, 12, 72.0) > 8.0, "a Saturday");
        assert!(deviation(&known, 1, 12, 3.0) > 8.0, "too little is unusual too");
    }

    #[test]
    fn nothing_is_unusual_before_a_week_is_known() {
        let week = weeks(1, office);
        assert_eq!(usual(&week[..WEEK - 1], MONDAY, FLOOR), None);
        assert!(deviation(&week, 0, 12, 70.0) < 1.0, "judged by the same hours of other days");
    }

    #[test]
    fn one_bad_day_does_not_become_usual() {
        let bad = |hour: usize| if (200..224).contains(&hour) { 400.0 } else { office(hour) };
        let known = weeks(4, bad);
        assert!(deviation(&known, 1, 12, 400.0) > 8.0);
        assert!(deviation(&known, 1, 12, 70.0) < 1.0);
    }

    proptest! {
        #[test]
        fn a_median_has_as_many_values_on_either_side(mut values in prop::collection::vec(-1e6..1e6f64, 1..50)) {
            let middle = median(&mut values);
            let below = values.iter().filter(|value| **value < middle).count();
            let above = values.iter().filter(|value| **value > middle).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
        }

        #[test]
        fn a_deviation_is_never_negative_nor_unbounded_by_a_zero(
            values in prop::collection::vec(0.0..1e12f64, WEEK..2 * WEEK), value in 0.0..1e12f64, at in 0..u64::MAX / 2,
        ) {
            let hours: Vec<_> = values.iter().enumerate().map(|(hour, value)| (hour as u64 * HOUR, *value)).collect();
            let usual = usual(&hours, at, Floor { absolute: 1.0, relative: 0.0 }).expect("every hour is known");
            let deviation = usual.deviation(value);
            prop_assert!((0.0..=1e12).contains(&deviation));
        }
    }
}
