//! A calendar of a specification in its time zone: whether it has an instant, and which is its next. Instants are whole seconds
//! since the epoch.
//!
//! Where clocks are turned, the steps of the server (`service/worker/scheduler/calendar.go`) are taken one by one, so that the
//! same instants come out: an hour that is skipped is left out, and one that comes twice counts twice, as far as the server sees
//! that it does.

use temporalio_common::protos::temporal::api::schedule::v1::{Range, StructuredCalendarSpec};

use super::YEARS;
use crate::cron::{Civil, Zone};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The values that a field allows, as bits.
#[derive(Debug, Clone, Copy)]
struct Values {
    bits: u128,
    /// The value that the lowest bit stands for.
    low: i32,
}

impl Values {
    const ALL: Self = Self { bits: u128::MAX, low: 0 };

    fn new(ranges: &[Range], low: i32, high: i32) -> Self {
        let has = |value: i32, range: &Range| {
            let (end, step) = (range.end.max(range.start), range.step.max(1));
            (range.start..=end).contains(&value) && (i64::from(value) - i64::from(range.start)) % i64::from(step) == 0
        };
        let bit = |value: i32| u128::from(ranges.iter().any(|range| has(value, range))) << (value - low);
        Self { bits: (low..=high).map(bit).fold(0, |bits, bit| bits | bit), low }
    }

    fn has(self, value: i64) -> bool {
        u32::try_from(value - i64::from(self.low)).is_ok_and(|at| self.bits.checked_shr(at).is_some_and(|b| b & 1 == 1))
    }

    /// Whether all of `0..count` are allowed.
    fn all(self, count: u32) -> bool {
        let wanted = (1_u128 << count) - 1;
        self.bits & wanted == wanted
    }
}

/// A calendar.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    zone: Zone,
    /// `None` for every year, those that no calendar can name among them.
    years: Option<Values>,
    months: Values,
    days: Values,
    weekdays: Values,
    hours: Values,
    minutes: Values,
    seconds: Values,
}

impl Calendar {
    pub(super) fn new(spec: &StructuredCalendarSpec, zone: Zone) -> Self {
        Self {
            zone,
            years: (!spec.year.is_empty()).then(|| Values::new(&spec.year, *YEARS.start(), *YEARS.end())),
            months: Values::new(&spec.month, 0, 12),
            days: Values::new(&spec.day_of_month, 0, 31),
            weekdays: Values::new(&spec.day_of_week, 0, 6),
            hours: Values::new(&spec.hour, 0, 23),
            minutes: Values::new(&spec.minute, 0, 59),
            seconds: Values::new(&spec.second, 0, 59),
        }
    }

    /// Whether the calendar has that instant.
    pub(super) fn has(&self, at: i64) -> bool {
        let local = self.zone.local(at);
        self.has_year(local.year)
            && self.months.has(local.month)
            && self.days.has(local.day)
            && self.weekdays.has(local.weekday())
            && self.hours.has(local.hour)
            && self.minutes.has(local.minute)
            && self.seconds.has(local.second)
    }

    /// The first instant after one of this calendar that may be none of it: the end of its minute, hour or day where the calendar
    /// has all of that.
    pub(super) fn end_of_run(&self, at: i64) -> i64 {
        let local = self.zone.local(at);
        let into_hour = local.minute * 60 + local.second;
        let mut ends = Vec::new();
        if self.seconds.all(60) {
            ends.push(60 - local.second);
            if self.minutes.all(60) {
                ends.push(HOUR - into_hour);
                if self.hours.all(24) {
                    ends.push(DAY - local.hour * HOUR - into_hour);
                }
            }
        }
        // Only as far as clocks are not turned.
        let same_clock = |rest: &i64| self.zone.offset(at + rest - 1) == self.zone.offset(at);
        at + ends.into_iter().rev().find(same_clock).unwrap_or(1)
    }

    /// The first instant of the calendar after `after`; `None` when there is none before the last year ends.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let fields = [self.months, self.days, self.weekdays, self.hours, self.minutes, self.seconds];
        if fields.iter().any(|field| field.bits == 0) {
            return None;
        }
        let mut search = Search::begin(self, after);
        loop {
            search.carry();
            if search.at.year > i64::from(*YEARS.end()) {
                return None;
            }
            let fits =
                search.year() && search.month() && search.day() && search.hour() && search.minute() && search.second();
            if fits && let Some(found) = search.instant() {
                // The earlier of two equal local times, when that one has passed: the later is meant.
                let passed = (after - found).div_euclid(HOUR) + 1;
                return Some(found + passed.max(0) * HOUR);
            }
        }
    }

    fn has_year(&self, year: i64) -> bool {
        self.years.unwrap_or(Values::ALL).has(if self.years.is_some() { year } else { 0 })
    }
}

/// A search on its way through the local times of a calendar. Each step says whether its field fits; where it does not, it has
/// moved on to what is for [`Search::carry`] to complete.
struct Search<'a> {
    calendar: &'a Calendar,
    /// The local time that is looked at; a field may have run past its end.
    at: Civil,
    /// Whether the hour is one that comes for the second time.
    again: bool,
}

impl<'a> Search<'a> {
    fn begin(calendar: &'a Calendar, after: i64) -> Self {
        let local = calendar.zone.local(after);
        let again = calendar.zone.local(after - HOUR).hour == local.hour;
        Self { calendar, at: Civil { second: local.second + 1, ..local }, again }
    }

    fn carry(&mut self) {
        if self.at.second >= 60 {
            self.at = Civil { minute: self.at.minute + 1, second: 0, ..self.at };
        }
        if self.at.minute >= 60 {
            self.next_hour();
        }
        if self.at.hour >= 24 {
            self.at = Civil { day: self.at.day + 1, hour: 0, ..self.at };
        }
        // A month past the last is completed below, and has no days until then.
        if self.at.month <= 12 && self.at.day > self.at.days_in_month() {
            self.at = Civil { month: self.at.month + 1, day: 1, ..self.at };
        }
        if self.at.month > 12 {
            self.at = Civil { year: self.at.year + 1, month: 1, ..self.at };
        }
    }

    /// Goes on to the next hour, which is the same one again where clocks are turned back by an hour.
    fn next_hour(&mut self) {
        let this = Civil { minute: 0, second: 0, ..self.at };
        let next = Civil { hour: this.hour + 1, ..this };
        let zone = &self.calendar.zone;
        if !self.again && zone.instant(&next) - zone.instant(&this) > HOUR {
            (self.at, self.again) = (Civil { second: self.at.second, ..this }, true);
        } else {
            (self.at, self.again) = (Civil { second: self.at.second, ..next }, false);
        }
    }

    fn year(&mut self) -> bool {
        let fits = self.calendar.has_year(self.at.year);
        if !fits {
            self.at = Civil { year: self.at.year + 1, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
            self.again = false;
        }
        fits
    }

    fn month(&mut self) -> bool {
        while !self.calendar.months.has(self.at.month) {
            self.at = Civil { month: self.at.month + 1, day: 1, hour: 0, minute: 0, second: 0, ..self.at };
            self.again = false;
            if self.at.month > 12 {
                return false;
            }
        }
        true
    }

    fn day(&mut self) -> bool {
        while !self.fits_day() {
            self.at = Civil { day: self.at.day + 1, hour: 0, minute: 0, second: 0, ..self.at };
            self.again = false;
            if self.at.day > self.at.days_in_month() {
                return false;
            }
        }
        true
    }

    /// The weekday is that of the instant, which may be another one where midnight is skipped.
    fn fits_day(&self) -> bool {
        let zone = &self.calendar.zone;
        self.calendar.days.has(self.at.day) && self.calendar.weekdays.has(zone.local(zone.instant(&self.at)).weekday())
    }

    fn hour(&mut self) -> bool {
        while !self.calendar.hours.has(self.at.hour) {
            self.at = Civil { hour: self.at.hour + 1, minute: 0, second: 0, ..self.at };
            self.again = false;
            if self.at.hour >= 24 {
                return false;
            }
        }
        true
    }

    fn minute(&mut self) -> bool {
        while !self.calendar.minutes.has(self.at.minute) {
            self.at = Civil { minute: self.at.minute + 1, second: 0, ..self.at };
            if self.at.minute >= 60 {
                return false;
            }
        }
        true
    }

    fn second(&mut self) -> bool {
        while !self.calendar.seconds.has(self.at.second) {
            self.at.second += 1;
            if self.at.second >= 60 {
                return false;
            }
        }
        true
    }

    /// The instant of the local time, if there is such a local time; otherwise goes on.
    fn instant(&mut self) -> Option<i64> {
        let zone = &self.calendar.zone;
        let instant = zone.instant(&self.at);
        if zone.local(instant).hour != self.at.hour {
            self.at = Civil { hour: self.at.hour + 1, minute: 0, second: 0, ..self.at };
            return None;
        }
        Some(if self.again { instant + HOUR } else { instant })
    }
}
