//! Calendars and cron strings as text, and the structured calendars and intervals that they stand for.

use temporalio_common::protos::temporal::api::schedule::v1::{CalendarSpec, IntervalSpec, StructuredCalendarSpec};

use super::ranges::{self, Field};
use crate::{
    cron::{Units, length_of},
    history::time::duration,
};

/// What a cron string stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cron {
    /// A calendar, and the time zone that the string names; empty for none.
    Calendar(Box<StructuredCalendarSpec>, String),
    /// An interval, for which a time zone means nothing.
    Interval(IntervalSpec),
}

/// Reads a calendar of which each field is text (`parseCalendarToStructured`).
///
/// # Errors
/// All that is wrong with it, in the server's words.
pub(super) fn calendar(calendar: &CalendarSpec) -> Result<StructuredCalendarSpec, String> {
    let mut errors = Vec::new();
    let mut parse = |text: &str, field: &Field| {
        ranges::parse(text, field).unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        })
    };
    let structured = StructuredCalendarSpec {
        second: parse(&calendar.second, &ranges::SECOND),
        minute: parse(&calendar.minute, &ranges::MINUTE),
        hour: parse(&calendar.hour, &ranges::HOUR),
        day_of_week: parse(&calendar.day_of_week, &ranges::DAY_OF_WEEK),
        day_of_month: parse(&calendar.day_of_month, &ranges::DAY_OF_MONTH),
        month: parse(&calendar.month, &ranges::MONTH),
        year: parse(&calendar.year, &ranges::YEAR),
        comment: calendar.comment.clone(),
    };
    if errors.is_empty() { Ok(structured) } else { Err(errors.join(", ")) }
}

/// Reads a cron string: five to seven fields, a descriptor (`@daily`) or an interval (`@every 2h/30m`), after a time zone and
/// before a comment if there is one (`parseCronString`).
///
/// # Errors
/// What is wrong with it, in the server's words.
pub(super) fn cron(text: &str) -> Result<Cron, String> {
    let text = text.trim();
    let (zone, rest) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
        Some(rest) => rest.split_once(' ').ok_or("CronString has time zone but missing fields")?,
        None => ("", text),
    };
    let (rest, comment) = rest.split_once('#').unwrap_or((rest, ""));
    let rest = rest.trim();
    if rest.starts_with("@every") {
        return interval(rest).map(Cron::Interval);
    }
    let spec = CalendarSpec { comment: comment.trim().to_owned(), ..fields(described(rest))? };
    Ok(Cron::Calendar(Box::new(calendar(&spec)?), zone.to_owned()))
}

fn described(text: &str) -> &str {
    match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    }
}

fn fields(text: &str) -> Result<CalendarSpec, String> {
    let fields: Vec<_> = text.split_whitespace().collect();
    let (second, fields, year) = match fields.as_slice() {
        fields @ [_, _, _, _, _] => ("", fields, ""),
        [fields @ .., year] if fields.len() == 5 => ("", fields, *year),
        [second, fields @ .., year] if fields.len() == 5 => (*second, fields, *year),
        _ => return Err("CronString does not have 5-7 fields".to_owned()),
    };
    let field = |index: usize| fields.get(index).copied().unwrap_or_default().to_owned();
    Ok(CalendarSpec {
        second: second.to_owned(),
        minute: field(0),
        hour: field(1),
        day_of_month: field(2),
        month: field(3),
        day_of_week: field(4),
        year: year.to_owned(),
        comment: String::new(),
    })
}

fn interval(text: &str) -> Result<IntervalSpec, String> {
    let (_, lengths) = text.split_once(' ').ok_or("CronString does not have interval after @every")?;
    let (interval, phase) = lengths.split_once('/').unwrap_or((lengths, ""));
    let length = |text: &str| {
        length_of(text, Units::Days).ok_or_else(|| format!("time: invalid duration {text:?}")).map(duration)
    };
    Ok(IntervalSpec { interval: length(interval)?, phase: if phase.is_empty() { None } else { length(phase)? } })
}
