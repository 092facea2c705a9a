//! Reads a schedule's text, with the liberties and refusals of robfig/cron v3 (`parser.go`).

use super::{Fields, SECOND, Schedule, Zone};
use crate::history::time::Nanos;

/// What a field may say.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

pub(super) fn schedule(text: &str) -> Option<Schedule> {
    let (zone, text) = zone(text)?;
    if let Some(descriptor) = text.strip_prefix('@') {
        return described(descriptor, zone);
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = fields.try_into().ok()?;
    read_fields([minutes, hours, days, months, weekdays], zone)
}

/// Takes the time zone off the front. Without one, times are UTC.
fn zone(text: &str) -> Option<(Zone, &str)> {
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else {
        return Some((Zone::UTC, text));
    };
    let (name, rest) = rest.split_once(' ')?;
    Some((Zone::named(name).ok()?, rest.trim()))
}

fn described(descriptor: &str, zone: Zone) -> Option<Schedule> {
    if let Some(length) = descriptor.strip_prefix("every ") {
        let length = length_of(length, Units::Go)?;
        return Some(Schedule::Every((length - length % SECOND).max(SECOND)));
    }
    let fields = match descriptor {
        "yearly" | "annually" => ["0", "0", "1", "1", "*"],
        "monthly" => ["0", "0", "1", "*", "*"],
        "weekly" => ["0", "0", "*", "*", "0"],
        "daily" | "midnight" => ["0", "0", "*", "*", "*"],
        "hourly" => ["0", "*", "*", "*", "*"],
        _ => return None,
    };
    read_fields(fields, zone)
}

fn read_fields([minutes, hours, days, months, weekdays]: [&str; 5], zone: Zone) -> Option<Schedule> {
    let (days, any_day) = field(days, &DAYS)?;
    let (weekdays, any_weekday) = field(weekdays, &WEEKDAYS)?;
    Some(Schedule::Fields(Box::new(Fields {
        minutes: field(minutes, &MINUTES)?.0,
        hours: field(hours, &HOURS)?.0,
        days,
        months: field(months, &MONTHS)?.0,
        weekdays,
        any_day: any_day || any_weekday,
        zone,
    })))
}

/// The values of a list of ranges, as bits, and whether one of them is open. Empty items of a list are passed over.
fn field(text: &str, bounds: &Bounds) -> Option<(u64, bool)> {
    let mut all = (0, false);
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let (bits, open) = range(item, bounds)?;
        all = (all.0 | bits, all.1 | open);
    }
    Some(all)
}

/// `*`, `?`, a value or `first-last`, each with `/step` or without. A single value with a step goes on to the last.
fn range(text: &str, bounds: &Bounds) -> Option<(u64, bool)> {
    let mut parts = text.split('/');
    let ends: Vec<_> = parts.next()?.split('-').collect();
    let step = parts.next();
    if parts.next().is_some() {
        return None;
    }
    let open = matches!(ends.first(), Some(&("*" | "?")));
    let (first, mut last) = match ends.as_slice() {
        _ if open => (bounds.min, bounds.max),
        [one] => (value(one, bounds)?, value(one, bounds)?),
        [first, last] => (value(first, bounds)?, value(last, bounds)?),
        _ => return None,
    };
    if step.is_some() && ends.len() == 1 {
        last = bounds.max;
    }
    let step = step.map_or(Some(1), number)?;
    if first < bounds.min || last > bounds.max || first > last || step == 0 {
        return None;
    }
    let bits = (first..=last).step_by(usize::try_from(step).ok()?).fold(0, |bits, value| bits | 1_u64 << value);
    Some((bits, open && step == 1))
}

fn value(text: &str, bounds: &Bounds) -> Option<u32> {
    let named = bounds.names.iter().position(|name| text.eq_ignore_ascii_case(name));
    match named {
        Some(index) => Some(bounds.min + u32::try_from(index).ok()?),
        None => number(text),
    }
}

/// A number as Go's `Atoi` reads it: digits, after a sign if need be.
fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

/// Which units a length may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Units {
    /// Those of Go, up to hours.
    Go,
    /// Days too, of 24 hours each, as the server's own lengths may have.
    Days,
}

/// A length as Go's `time.ParseDuration` reads it: `1h30m`, `1.5s`, `-2m`.
pub(crate) fn length_of(text: &str, units: Units) -> Option<Nanos> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: Nanos = 0;
    while !rest.is_empty() {
        let (part, after) = part_of_length(rest, units)?;
        total = total.checked_add(part)?;
        rest = after;
    }
    Some(if negative { -total } else { total })
}

/// One number with its unit, and what follows it.
fn part_of_length(text: &str, units: Units) -> Option<(Nanos, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit: Nanos = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" if units == Units::Days => 86_400 * SECOND,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: Nanos = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (part, _) = fraction.bytes().fold((0, unit), |(sum, place), digit| {
        let place = place / 10;
        (sum + Nanos::from(digit - b'0') * place, place)
    });
    Some((whole.checked_mul(unit)?.checked_add(part)?, rest))
}
