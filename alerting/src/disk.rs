//! When a file system is full, by how full it was hour by hour. Pure: readings and time are arguments.
//!
//! Hours of four days are asked: room that was given back in them (a rotation of logs, somebody who tidied up) is no growth.
//! What is free now counts too, so that an alarm is over when there is room again, and not when the trend has forgotten.

use jiff::Timestamp;

use crate::baseline::HOUR;
use crate::forecast::{Course, Line, MOST_POINTS, line};

/// A trend needs so much time: one day alone may be the slope of a day.
const LEAST_SPAN: u64 = 47 * HOUR;

/// How full a file system was, hour by hour: time in milliseconds since the epoch and bytes, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiskPast(Vec<(u64, f64)>);

impl DiskPast {
    /// What was kept. What lies after `now` was noted by a clock that was wrong.
    #[must_use]
    pub fn restored(kept: &[(u64, u64)], now: u64) -> Self {
        let mut past = Self::default();
        for (at, used) in kept.iter().filter(|(at, _)| *at <= now) {
            past.note(*at, *used);
        }
        past
    }

    /// What is to be kept.
    pub fn kept(&self) -> Vec<(u64, u64)> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they were bytes")]
        self.0.iter().map(|(at, used)| (*at, *used as u64)).collect()
    }

    /// Notes how full it is, once an hour. Whether it was noted.
    pub fn note(&mut self, at: u64, used: u64) -> bool {
        // After a clock that was wrong, time begins anew.
        self.0.retain(|(before, _)| *before <= at);
        if self.0.last().is_some_and(|(before, _)| before / HOUR == at / HOUR) {
            return false;
        }
        self.0.push((at, used as f64));
        self.0.drain(..self.0.len().saturating_sub(MOST_POINTS));
        true
    }

    /// Hours until it is full, with `used` of `size` bytes now; infinite when it does not fill. `None` when too little is known.
    #[must_use]
    pub fn hours_left(&self, used: u64, size: u64) -> Option<f64> {
        hours_left(&self.0, used as f64, size as f64)
    }

    /// What there was to be told at each hour: when, the hours until it is full by what was known then, and what was free, in
    /// percent.
    pub fn told(&self, size: u64) -> impl Iterator<Item = (u64, Option<f64>, f64)> + '_ {
        self.0.iter().enumerate().map(move |(index, &(at, used))| {
            let size = size as f64;
            (at, hours_left(&self.0[..=index], used, size), free_percent(used, size))
        })
    }

    /// How it went, and where it leads; nothing while too little is known.
    #[must_use]
    pub fn course(&self, size: u64) -> Option<Course> {
        let size = size as f64;
        Some(Course { points: self.0.clone(), limit: size, line: trend(&self.0, size)? })
    }
}

/// What is free of `size` bytes with `used` of them, in percent; nothing less than none.
#[must_use]
pub fn free_percent(used: f64, size: f64) -> f64 {
    (size - used).max(0.0) * 100.0 / size
}

fn hours_left(hours: &[(u64, f64)], used: f64, size: f64) -> Option<f64> {
    let line = trend(hours, size)?;
    Some(line.hours_from(line.level.min(used), size))
}

fn trend(hours: &[(u64, f64)], size: f64) -> Option<Line> {
    let (&(first, _), &(last, _)) = (hours.first()?, hours.last()?);
    if last - first < LEAST_SPAN { None } else { line(hours, size) }
}

/// A day and an hour as people say it, in UTC: `Tuesday, 24 November, 14:00 UTC`.
#[must_use]
pub fn day_and_hour(at: u64) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
    Some(time.strftime("%A, %-d %B, %H:00 UTC").to_string())
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
