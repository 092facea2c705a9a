//! When something that grows reaches its limit.
//!
//! A line by Theil and Sen: the median of the slopes between all pairs of points, which a few wild values do not turn. It counts
//! only where nearly all pairs agree that it grows (Kendall's tau), over a day at least: what goes up by day and down by night
//! has no trend. Memory that a restart gave back grows anew, so what was before it is not asked for.

use std::time::Duration;

use crate::baseline::{HOUR, median};

/// Points that a forecast needs: by the hour, a day.
const LEAST_POINTS: usize = 24;
/// The most that it looks at: the newest.
pub const MOST_POINTS: usize = 96;
/// Part of all pairs that have to grow.
const AGREED: f64 = 0.9;
/// Growth over all points that is worth a word, as a part of the limit.
const WORTH: f64 = 0.05;

/// Where what grows is led by its trend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Time of its last point, in milliseconds since the epoch.
    pub at: u64,
    /// The trend's value there.
    pub level: f64,
    /// Growth in an hour; 0 when it does not grow.
    pub slope: f64,
}

/// How something went, and where that leads: what a picture of a forecast shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Time in milliseconds since the epoch, and value; the oldest first.
    pub points: Vec<(u64, f64)>,
    /// What it must not reach.
    pub limit: f64,
    /// Its trend.
    pub line: Line,
}

/// Hours until `points` (means of hours since the last restart: time in milliseconds since the epoch, value; the oldest first) reach `limit` if they go on as they
/// did: 0 when they have, infinite when they do not grow. `None` when too little is known.
#[must_use]
pub fn hours_until(points: &[(u64, f64)], limit: f64) -> Option<f64> {
    line(points, limit).map(|line| line.hours_until(limit))
}

/// The trend of `points`, as for [`hours_until`]. `None` when too little is known.
#[must_use]
pub fn line(points: &[(u64, f64)], limit: f64) -> Option<Line> {
    let points: Vec<_> = points.iter().filter(|(_, value)| value.is_finite()).copied().collect();
    let points = &points[points.len().saturating_sub(MOST_POINTS)..];
    let (&(first, _), &(last, _)) = (points.first()?, points.last()?);
    if points.len() < LEAST_POINTS || last <= first {
        return None;
    }
    let (slope, agreed) = trend(points);
    let hours = |from: u64, to: u64| to.saturating_sub(from) as f64 / HOUR as f64;
    let level = median(&mut points.iter().map(|(at, value)| value + slope * hours(*at, last)).collect::<Vec<_>>());
    let grows = agreed >= AGREED && slope * hours(first, last) >= limit * WORTH;
    Some(Line { at: last, level, slope: if grows { slope } else { 0.0 } })
}

/// The time that lies so many hours after `at`, in milliseconds since the epoch; nothing when there is no such time.
#[must_use]
pub fn hours_after(at: u64, hours: f64) -> Option<u64> {
    let left = Duration::try_from_secs_f64(hours * 3600.0).ok()?;
    at.checked_add(u64::try_from(left.as_millis()).ok()?)
}

impl Line {
    /// Hours from its last point until it reaches `limit`: 0 when it has, infinite when it never does.
    #[must_use]
    pub fn hours_until(&self, limit: f64) -> f64 {
        self.hours_from(self.level, limit)
    }

    /// The same, if `value` is what there is.
    #[must_use]
    pub fn hours_from(&self, value: f64, limit: f64) -> f64 {
        if value >= limit {
            return 0.0;
        }
        if self.slope > 0.0 { (limit - value) / self.slope } else { f64::INFINITY }
    }
}

/// The median slope of all pairs, in units an hour, and the part of them that grows.
fn trend(points: &[(u64, f64)]) -> (f64, f64) {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, (from, before)) in points.iter().enumerate() {
        for (to, after) in &points[index + 1..] {
            if to > from {
                slopes.push((after - before) * HOUR as f64 / (to - from) as f64);
            }
        }
    }
    let growing = slopes.iter().filter(|slope| **slope > 0.0).count();
    let agreed = growing as f64 / slopes.len().max(1) as f64;
    (median(&mut slopes), agreed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn points(count: u64, value: impl Fn(u64) -> f64) -> Vec<(u64, f64)> {
        (0..count).map(|hour| (hour * HOUR, value(hour))).collect()
    }

    #[test]
    fn a_leak_reaches_its_limit_when_it_does() {
        let leak = points(48, |hour| 1_000.0 + 10.0 * hour as f64);
        let hours = hours_until(&leak, 2_000.0).expect("enough points");
        assert!((hours - 53.0).abs() < 0.1, "{hours}");
        assert_eq!(hours_until(&leak, 1_400.0), Some(0.0), "it has reached it");
        assert_eq!(hours_until(&leak[..6], 2_000.0), None, "too little is known");
    }

    #[test]
    fn days_and_nights_are_no_trend() {
        let wave = points(72, |hour| 1_000.0 + 500.0 * (hour as f64 * std::f64::consts::TAU / 24.0).sin());
        assert_eq!(hours_until(&wave, 2_000.0), Some(f64::INFINITY));
        assert_eq!(hours_until(&points(48, |_| 1_000.0), 2_000.0), Some(f64::INFINITY), "nor is what stays");
        let creeping = points(48, |hour| 1_000.0 + 0.1 * hour as f64);
        assert_eq!(hours_until(&creeping, 2_000.0), Some(f64::INFINITY), "what creeps is not worth a word");
    }

    proptest! {
        #[test]
        fn a_noisy_line_is_met_where_it_leads(
            slope in 10.0..50.0f64, noise in prop::collection::vec(-8.0..8.0f64, 60), wild in 0usize..60,
        ) {
            let mut line = points(60, |hour| 1_000.0 + slope * hour as f64);
            line.iter_mut().zip(&noise).for_each(|(point, noise)| point.1 += noise);
            line[wild].1 *= 1.3;
            let limit = 1_000.0 + slope * 120.0;
            let hours = hours_until(&line, limit).expect("enough points");
            prop_assert!((hours - 61.0).abs() < 6.0, "{hours}");
        }

        #[test]
        fn nothing_makes_it_panic(points in prop::collection::vec((0..u64::MAX / 2, prop::num::f64::ANY), 0..120), limit in prop::num::f64::ANY) {
            let _ = hours_until(&points, limit);
        }
    }
}
