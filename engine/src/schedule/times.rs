//! When a specification comes due.

use temporalio_common::protos::temporal::api::schedule::v1::{IntervalSpec, ScheduleSpec};

use super::{SpecError, YEARS, calendar::Calendar, canonical::zone, jitter::jitter};
use crate::{
    cron::Civil,
    history::time::{Nanos, from_signed_duration, from_timestamp},
};

const SECOND: Nanos = 1_000_000_000;
/// Excluded times that a search for one time, or for several in a row, passes over at the most: what comes after them is not
/// found. Whole excluded minutes, hours and days count as one. (The server has such a bound too, a higher one.)
const MAX_EXCLUDED: usize = 20_000;

/// A time at which a schedule comes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The time that the specification says.
    pub(crate) nominal: Nanos,
    /// That time with its jitter.
    pub(crate) actual: Nanos,
}

/// A specification, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    calendars: Vec<Calendar>,
    excluded: Vec<Calendar>,
    intervals: Vec<Interval>,
    start: Nanos,
    end: Nanos,
    jitter: Nanos,
    seed: String,
}

/// Every so many seconds since the epoch, so many seconds late.
#[derive(Debug, Clone, Copy)]
struct Interval {
    length: i64,
    phase: i64,
}

impl Times {
    /// Reads a canonical specification. The seed names the schedule.
    ///
    /// # Errors
    /// Its time zone is not known.
    pub(crate) fn new(spec: &ScheduleSpec, seed: String) -> Result<Self, SpecError> {
        let zone = zone(spec)?;
        let calendars = |specs: &[_]| specs.iter().map(|spec| Calendar::new(spec, zone.clone())).collect();
        let end = spec.end_time.as_ref().map_or(Nanos::MAX, |end| from_timestamp(Some(end)));
        Ok(Self {
            calendars: calendars(&spec.structured_calendar),
            excluded: calendars(&spec.exclude_structured_calendar),
            intervals: spec.interval.iter().map(Interval::new).collect(),
            start: from_timestamp(spec.start_time.as_ref()),
            end: end.min(end_of_years()),
            jitter: from_signed_duration(spec.jitter.as_ref()),
            seed,
        })
    }

    /// The first time after `after`; `None` when there is none.
    pub(crate) fn next(&self, after: Nanos) -> Option<Due> {
        self.next_within(after, &mut { MAX_EXCLUDED })
    }

    fn next_within(&self, after: Nanos, patience: &mut usize) -> Option<Due> {
        let mut after = after.max(self.start.saturating_sub(SECOND)).div_euclid(SECOND);
        while *patience > 0 {
            let at = self.next_included(after)?;
            let nominal = at.checked_mul(SECOND).filter(|nominal| *nominal <= self.end)?;
            let excluded = self.excluded.iter().filter(|calendar| calendar.has(at)).map(|c| c.end_of_run(at)).max();
            let Some(end) = excluded else { return Some(self.moved(at, nominal)) };
            after = end - 1;
            *patience -= 1;
        }
        None
    }

    /// Times after `after`, in order.
    pub(crate) fn after(&self, after: Nanos) -> impl Iterator<Item = Due> {
        let (mut after, mut patience) = (after, MAX_EXCLUDED);
        std::iter::from_fn(move || {
            let due = self.next_within(after, &mut patience)?;
            after = due.actual;
            Some(due)
        })
    }

    /// How far a time may be moved at the most.
    pub(crate) fn jitter(&self) -> Nanos {
        self.jitter.max(0)
    }

    /// A time with its jitter, which does not reach the time after it.
    fn moved(&self, at: i64, nominal: Nanos) -> Due {
        let gap = self.next_included(at).map_or(Nanos::MAX, |following| (following - at).saturating_mul(SECOND));
        let moved = if self.jitter > 0 { jitter(&self.seed, at, self.jitter.min(gap)) } else { 0 };
        Due { nominal, actual: nominal.saturating_add(moved) }
    }

    /// The next second that a calendar or an interval has, excluded or not.
    fn next_included(&self, after: i64) -> Option<i64> {
        let calendars = self.calendars.iter().filter_map(|calendar| calendar.next(after));
        let intervals = self.intervals.iter().filter_map(|interval| interval.next(after));
        calendars.chain(intervals).min()
    }
}

impl Interval {
    fn new(spec: &IntervalSpec) -> Self {
        let seconds = |length| from_signed_duration(length) / SECOND;
        Self { length: seconds(spec.interval.as_ref()).max(1), phase: seconds(spec.phase.as_ref()).max(0) }
    }

    fn next(self, after: i64) -> Option<i64> {
        ((after - self.phase) / self.length + 1).checked_mul(self.length)?.checked_add(self.phase)
    }
}

/// The last second that a calendar can name, which ends intervals too.
fn end_of_years() -> Nanos {
    let first = Civil { year: i64::from(*YEARS.end()) + 1, month: 1, day: 1, ..Civil::default() };
    (first.seconds() - 1).saturating_mul(SECOND)
}
