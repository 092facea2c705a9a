//! The one form in which a specification is kept: structured calendars and intervals, with the time zone beside them
//! (`canonicalizeSpec` in `service/worker/scheduler/spec.go`).

use temporalio_common::protos::temporal::api::schedule::v1::{
    IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec,
};

use super::{
    YEARS,
    text::{self, Cron},
};
use crate::{
    cron::{Zone, ZoneError},
    history::time::from_signed_duration,
};

/// Longest comment of one calendar, in bytes.
const MAX_COMMENT: usize = 200;
/// Calendars, cron strings, intervals and exclusions of one schedule together: a bound of this engine.
const MAX_ENTRIES: usize = 200;
const SECOND: i64 = 1_000_000_000;

/// Why a specification is none, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SpecError(String);

impl From<String> for SpecError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<ZoneError> for SpecError {
    fn from(error: ZoneError) -> Self {
        Self(error.to_string())
    }
}

/// Brings a specification into its canonical form, and checks it. What is canonical already stays as it is.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn canonical(mut spec: ScheduleSpec) -> Result<ScheduleSpec, SpecError> {
    check_size(&spec)?;
    for calendar in std::mem::take(&mut spec.calendar) {
        spec.structured_calendar.push(text::calendar(&calendar)?);
    }
    #[allow(deprecated, reason = "deprecated for clients; servers still have to take it")]
    for calendar in std::mem::take(&mut spec.exclude_calendar) {
        spec.exclude_structured_calendar.push(text::calendar(&calendar)?);
    }
    take_cron_strings(&mut spec)?;
    spec.structured_calendar.iter().try_for_each(check_calendar)?;
    spec.interval.iter().try_for_each(check_interval)?;
    zone(&spec)?;
    Ok(spec)
}

/// The time zone of a specification.
///
/// # Errors
/// There is none of that name, or its data cannot be read.
pub(super) fn zone(spec: &ScheduleSpec) -> Result<Zone, SpecError> {
    let zone = if spec.timezone_data.is_empty() {
        Zone::named(&spec.timezone_name)
    } else {
        Zone::from_data(&spec.timezone_name, &spec.timezone_data)
    };
    Ok(zone?)
}

/// Writes out what a range leaves to its defaults, for those who are shown it (`CleanSpec`).
pub(super) fn spell_out(spec: &mut ScheduleSpec) {
    for calendar in spec.structured_calendar.iter_mut().chain(&mut spec.exclude_structured_calendar) {
        let StructuredCalendarSpec { second, minute, hour, day_of_month, month, year, day_of_week, comment: _ } =
            calendar;
        for range in [second, minute, hour, day_of_month, month, year, day_of_week].into_iter().flatten() {
            range.end = range.end.max(range.start);
            range.step = if range.step == 0 { 1 } else { range.step };
        }
    }
}

#[allow(deprecated, reason = "deprecated for clients; servers still have to take it")]
fn check_size(spec: &ScheduleSpec) -> Result<(), SpecError> {
    let entries = [
        spec.structured_calendar.len(),
        spec.calendar.len(),
        spec.cron_string.len(),
        spec.interval.len(),
        spec.exclude_calendar.len(),
        spec.exclude_structured_calendar.len(),
    ];
    if entries.iter().sum::<usize>() > MAX_ENTRIES {
        return Err(SpecError(format!("more than {MAX_ENTRIES} calendars, intervals and exclusions")));
    }
    Ok(())
}

/// Turns the cron strings into calendars and intervals. They have one time zone together, which may not be another than the
/// specification's.
fn take_cron_strings(spec: &mut ScheduleSpec) -> Result<(), SpecError> {
    let conflict = || SpecError("conflicting timezone names".to_owned());
    let mut common: Option<String> = None;
    for string in std::mem::take(&mut spec.cron_string) {
        let zone = match text::cron(&string)? {
            Cron::Calendar(calendar, zone) => {
                spec.structured_calendar.push(*calendar);
                zone
            }
            Cron::Interval(interval) => {
                spec.interval.push(interval);
                String::new()
            }
        };
        if *common.get_or_insert_with(|| zone.clone()) != zone {
            return Err(conflict());
        }
    }
    let Some(zone) = common.filter(|zone| !zone.is_empty()) else { return Ok(()) };
    if !spec.timezone_data.is_empty() || (!spec.timezone_name.is_empty() && spec.timezone_name != zone) {
        return Err(conflict());
    }
    spec.timezone_name = zone;
    Ok(())
}

fn check_calendar(calendar: &StructuredCalendarSpec) -> Result<(), SpecError> {
    let mut errors = Vec::new();
    let mut check = |ranges: &[Range], name: &str, min: i32, max: i32| {
        for range in ranges {
            if !(min..=max).contains(&range.start) {
                errors.push(format!("{name} Start is not in range [{min}-{max}]"));
            }
            if range.end != 0 && !(range.start..=max).contains(&range.end) {
                errors.push(format!("{name} End is before Start or not in range [{min}-{max}]"));
            }
            if range.step < 0 {
                errors.push(format!("{name} has invalid Step"));
            }
        }
    };
    check(&calendar.second, "Second", 0, 59);
    check(&calendar.minute, "Minute", 0, 59);
    check(&calendar.hour, "Hour", 0, 23);
    check(&calendar.day_of_month, "DayOfMonth", 1, 31);
    check(&calendar.month, "Month", 1, 12);
    check(&calendar.year, "Year", *YEARS.start(), *YEARS.end());
    check(&calendar.day_of_week, "DayOfWeek", 0, 6);
    if calendar.comment.len() > MAX_COMMENT {
        errors.push("comment is too long".to_owned());
    }
    if errors.is_empty() { Ok(()) } else { Err(SpecError(format!("invalid calendar spec: {}", errors.join(", ")))) }
}

fn check_interval(interval: &IntervalSpec) -> Result<(), SpecError> {
    let (length, phase) =
        (from_signed_duration(interval.interval.as_ref()), from_signed_duration(interval.phase.as_ref()));
    let fault = match () {
        () if length < SECOND => "interval is too small",
        () if phase < 0 => "phase is negative",
        () if phase >= length => "phase cannot be greater than Interval",
        () => return Ok(()),
    };
    Err(SpecError(fault.to_owned()))
}
