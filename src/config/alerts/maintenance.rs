//! `[[alerts.maintenance]]`: windows in which nobody is to be told.

use std::time::Duration;

use dixmgr_alerting::silence::text::matcher;
use dixmgr_alerting::silence::{check_matchers, maintenance};
use dixmgr_model::{Maintenance, Matcher, duration};

use super::super::check;
use super::super::fault::Located;
use super::super::reader::TableReader;

/// Time zone of a schedule that names none.
const TIME_ZONE: &str = "UTC";
/// Longest window; what is to be quiet for longer is a silence, or not watched.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Reads one table.
pub(super) fn read(mut table: TableReader<'_>) -> Option<Located<Maintenance>> {
    for (key, advice) in [
        ("name", "write name = \"…\""),
        ("matchers", "write matchers = ['service=~\"db-.*\"']"),
        ("schedule", "write schedule = \"0 3 * * SUN\": minute, hour, day, month, weekday"),
        ("duration", "write duration = \"2h\""),
    ] {
        if !table.has(key) {
            table.faults().report(table.place(), format!("has no {key}"), advice);
        }
    }
    let name = table.parsed("name", check::service_name);
    if let Some(name) = &name {
        table.rename(format!("alerts.maintenance[{}]", name.value));
    }
    let (matchers, schedule, length) = (matchers(&table), schedule(&table), length(&table));
    table.finish();
    let (name, matchers, (schedule, time_zone), duration) = (name?, matchers?, schedule?, length?);
    let window = Maintenance { name: name.value, matchers, schedule, duration, time_zone };
    Some(Located { value: window, place: name.place })
}

fn matchers(table: &TableReader<'_>) -> Option<Vec<Matcher>> {
    let written = table.strings("matchers")?;
    let mut found = Vec::new();
    let count = written.value.len();
    for text in written.value {
        match matcher(&text.value) {
            Ok(matcher) => found.push(matcher),
            Err(error) => table.faults().report(&text.place, error.to_string(), ""),
        }
    }
    if found.len() < count {
        return None;
    }
    if let Err(error) = check_matchers(&found) {
        table.faults().report(&written.place, error.to_string(), "");
        return None;
    }
    Some(found)
}

/// The schedule and its time zone.
fn schedule(table: &TableReader<'_>) -> Option<(String, String)> {
    let (schedule, zone) = (table.string("schedule"), table.string("time_zone"));
    let zone = zone.unwrap_or_else(|| Located { value: TIME_ZONE.to_owned(), place: table.place().clone() });
    // A schedule that is always right shows whether it is the zone that is not.
    if let Err(error) = maintenance::check("* * * * *", &zone.value) {
        table.faults().report(&zone.place, error, "");
        return None;
    }
    let schedule = schedule?;
    if let Err(error) = maintenance::check(&schedule.value, &zone.value) {
        table.faults().report(&schedule.place, error, "");
        return None;
    }
    Some((schedule.value, zone.value))
}

fn length(table: &TableReader<'_>) -> Option<Duration> {
    let written = table.duration("duration")?;
    if written.value > LONGEST {
        let advice = format!("write at most \"{}\", or a silence", duration::format(LONGEST));
        table.faults().report(&written.place, "is too long for a window", advice);
        return None;
    }
    Some(written.value)
}
