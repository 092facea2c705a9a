//! Cron schedules, as Temporal reads them: the five fields, descriptors and time zones of robfig/cron v3 (`ParseStandard`), and
//! when a workflow's next run is due (`common/backoff/cron.go`). Knows nothing of workflows.

mod civil;
mod parse;
#[cfg(test)]
pub(crate) mod tests;
mod zone;

use crate::history::time::Nanos;
pub(crate) use civil::Civil;
pub(crate) use parse::{Units, length_of};
pub(crate) use zone::{Zone, ZoneError};

const SECOND: Nanos = 1_000_000_000;
/// How far ahead a matching day is looked for.
const YEARS: i64 = 5;

/// What a schedule's text is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CronError {
    /// It cannot be read.
    #[error("invalid CronSchedule.")]
    Unreadable,
    /// No time fits, as the 30th of February.
    #[error("invalid CronSchedule, no time can be found to satisfy the schedule")]
    Never,
}

/// When something is done again and again.
#[derive(Debug, Clone)]
pub(crate) enum Schedule {
    /// After a fixed number of whole seconds.
    Every(Nanos),
    /// At the times that fit all fields.
    Fields(Box<Fields>),
}

/// The values that each field allows, as bits.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the day of the month, or of the week, was left open: both must fit then, and not one of them.
    any_day: bool,
    zone: Zone,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn parse(text: &str) -> Result<Self, CronError> {
        parse::schedule(text).ok_or(CronError::Unreadable)
    }

    /// The first time after `time`, at a whole second; `None` when there is none within five years.
    pub(crate) fn next(&self, time: Nanos) -> Option<Nanos> {
        let second = time.div_euclid(SECOND);
        match self {
            Self::Every(delay) => Some(second.saturating_mul(SECOND).saturating_add(*delay)),
            Self::Fields(fields) => fields.first_from(second + 1).map(|next| next.saturating_mul(SECOND)),
        }
    }

    /// The first time of the schedule from `scheduled` on that has not passed at `now`. Counts fixed delays from `scheduled`.
    fn next_from(&self, scheduled: Nanos, now: Nanos) -> Option<Nanos> {
        let first = match self {
            Self::Every(_) => self.next(scheduled)?,
            Self::Fields(_) => return self.next(scheduled.max(now - 1)),
        };
        let Self::Every(delay) = self else { return Some(first) };
        let missed = now.saturating_sub(first).max(0);
        Some(first.saturating_add((missed + delay - 1) / delay * delay))
    }
}

/// Checks a schedule (`ValidateSchedule`); an empty one is none, and right.
///
/// # Errors
/// It cannot be read, or no time fits it.
pub(crate) fn check(text: &str, now: Nanos) -> Result<(), CronError> {
    if text.is_empty() {
        return Ok(());
    }
    Schedule::parse(text)?.next(now).map(drop).ok_or(CronError::Never)
}

/// How long after `now` the run is due that follows one due at `scheduled`, in whole seconds (`GetBackoffForNextSchedule`).
/// `None` without a schedule, with one that cannot be read, and when no time fits.
pub(crate) fn backoff(text: &str, scheduled: Nanos, now: Nanos) -> Option<Nanos> {
    if text.is_empty() {
        return None;
    }
    let schedule = Schedule::parse(text).ok()?;
    let next = if now < scheduled { scheduled } else { schedule.next_from(scheduled, now)? };
    let wait = next.saturating_sub(now);
    Some(wait.saturating_add(SECOND - 1) / SECOND * SECOND)
}

impl Fields {
    /// The first fitting second from `from` on, in the steps in which robfig/cron looks for it (`SpecSchedule.Next`), so that it
    /// is the same one where clocks are turned.
    fn first_from(&self, from: i64) -> Option<i64> {
        let mut search = Search { fields: self, at: from, moved: false };
        let limit = search.local().year + YEARS;
        loop {
            if search.local().year > limit {
                return None;
            }
            if search.month() && search.day() && search.hour() && search.minute() {
                return Some(search.at);
            }
        }
    }

    fn fits_day(&self, local: &Civil) -> bool {
        let day = self.days & (1 << local.day) != 0;
        let weekday = self.weekdays & (1 << local.weekday()) != 0;
        if self.any_day { day && weekday } else { day || weekday }
    }
}

/// A search on its way through the calendar.
struct Search<'a> {
    fields: &'a Fields,
    /// Seconds since the epoch.
    at: i64,
    /// Whether a field has been moved on, so that the smaller ones begin at zero.
    moved: bool,
}

impl Search<'_> {
    fn local(&self) -> Civil {
        self.fields.zone.local(self.at)
    }

    fn instant(&self, local: &Civil) -> i64 {
        self.fields.zone.instant(local)
    }

    /// Begins the smaller fields at zero, unless they do already.
    fn begin(&mut self, local: impl FnOnce(&Self) -> Civil) {
        if !self.moved {
            self.moved = true;
            self.at = self.instant(&local(self));
        }
    }

    /// Moves on to a fitting month; `false` when a new year has begun on the way.
    fn month(&mut self) -> bool {
        while self.fields.months & (1 << self.local().month) == 0 {
            self.begin(|search| Civil { day: 1, ..search.local().midnight() });
            let next = self.local().next_month();
            self.at = self.instant(&next);
            if self.local().month == 1 {
                return false;
            }
        }
        true
    }

    /// Moves on to a fitting day; `false` when a new month has begun on the way.
    fn day(&mut self) -> bool {
        while !self.fields.fits_day(&self.local()) {
            self.begin(|search| search.local().midnight());
            let next = self.local().next_day();
            self.at = self.instant(&next);
            // Where midnight does not exist.
            let hour = self.local().hour;
            self.at += if hour > 12 { (24 - hour) * 3_600 } else { -hour * 3_600 };
            if self.local().day == 1 {
                return false;
            }
        }
        true
    }

    /// Moves on to a fitting hour; `false` when a new day has begun on the way.
    fn hour(&mut self) -> bool {
        while self.fields.hours & (1 << self.local().hour) == 0 {
            self.begin(|search| Civil { minute: 0, second: 0, ..search.local() });
            self.at += 3_600;
            if self.local().hour == 0 {
                return false;
            }
        }
        true
    }

    /// Moves on to the beginning of a fitting minute; `false` when a new hour has begun on the way.
    fn minute(&mut self) -> bool {
        loop {
            let local = self.local();
            let fits = self.fields.minutes & (1 << local.minute) != 0;
            if fits && local.second == 0 {
                return true;
            }
            self.moved = true;
            self.at += 60 - self.at.rem_euclid(60);
            if self.local().minute == 0 {
                return false;
            }
        }
    }
}
