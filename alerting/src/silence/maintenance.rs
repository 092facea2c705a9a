//! Maintenance windows: when a schedule makes silences. Pure; time is an argument.

use dixmgr_model::{MAINTENANCE_PREFIX, Maintenance, Silence};
use jiff::Timestamp;

use crate::millis;

/// Most windows that are known in advance.
const MAX_WINDOWS: usize = 300;

/// Whose silences they are.
const AUTHOR: &str = "maintenance";

/// The windows that are open between `from` and `to`, in milliseconds since the epoch, as silences that are ready to be taken;
/// and until when these are all.
#[must_use]
pub fn silences(windows: &[Maintenance], from: u64, to: u64) -> (Vec<Silence>, u64) {
    let mut all: Vec<Silence> = windows.iter().flat_map(|window| of(window, from, to)).collect();
    all.sort_by_key(|silence| silence.starts_at);
    let until = all.get(MAX_WINDOWS).map_or(to, |first_unknown| first_unknown.starts_at);
    all.truncate(MAX_WINDOWS);
    (all, until)
}

/// Reads a schedule with its time zone.
///
/// # Errors
/// Says in words what is wrong with it.
pub fn check(schedule: &str, time_zone: &str) -> Result<(), String> {
    parse(schedule, time_zone).map(drop)
}

fn parse(schedule: &str, time_zone: &str) -> Result<cronexpr::Crontab, String> {
    if jiff::tz::TimeZone::get(time_zone).is_err() {
        return Err(format!("there is no time zone {time_zone:?}; write it like \"Europe/Berlin\""));
    }
    // A sixth field would be the zone.
    if schedule.split_whitespace().count() != 5 {
        return Err("has not five fields; write minute, hour, day, month and weekday, like \"0 3 * * SUN\"".to_owned());
    }
    let text = format!("{schedule} {time_zone}");
    let shown = |error: cronexpr::Error| crate::detail(error.to_string().lines().last().unwrap_or_default().trim());
    let crontab = cronexpr::parse_crontab(&text).map_err(|error| format!("is not a schedule: {}", shown(error)))?;
    // Some days never come, like the 30th of February.
    crontab.find_next(cronexpr::MakeTimestamp(Timestamp::UNIX_EPOCH)).map_err(|_| "never comes".to_owned())?;
    Ok(crontab)
}

/// The windows of one schedule. Those that overlap are one.
fn of(window: &Maintenance, from: u64, to: u64) -> Vec<Silence> {
    let Ok(crontab) = parse(&window.schedule, &window.time_zone) else { return Vec::new() };
    let length = millis(window.duration);
    // One that began earlier may still be open.
    let Some(before) = timestamp(from.saturating_sub(length)) else { return Vec::new() };
    let Ok(times) = crontab.iter_after(cronexpr::MakeTimestamp(before)) else { return Vec::new() };
    let starts = times.map_while(Result::ok).filter_map(|at| u64::try_from(at.timestamp().as_millisecond()).ok());
    let mut found: Vec<Silence> = Vec::new();
    for start in starts.take_while(|start| *start < to) {
        let end = start.saturating_add(length);
        match found.last_mut().filter(|last| start <= last.ends_at) {
            Some(last) => last.ends_at = end,
            None => found.push(silence(window, start, end)),
        }
    }
    found
}

fn silence(window: &Maintenance, starts_at: u64, ends_at: u64) -> Silence {
    Silence {
        id: format!("{MAINTENANCE_PREFIX}{}:{starts_at}", window.name),
        matchers: window.matchers.clone(),
        starts_at,
        ends_at,
        created_by: AUTHOR.to_owned(),
        comment: format!("maintenance window {}", window.name),
        updated_at: starts_at,
    }
}

fn timestamp(ms: u64) -> Option<Timestamp> {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::channel::rfc3339;

    const HOUR: u64 = 3_600_000;

    fn at(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    fn nightly(zone: &str) -> Maintenance {
        Maintenance {
            name: "nightly".to_owned(),
            matchers: Vec::new(),
            schedule: "30 3 * * *".to_owned(),
            duration: Duration::from_hours(2),
            time_zone: zone.to_owned(),
        }
    }

    fn begins(window: &Maintenance, from: u64, to: u64) -> Vec<String> {
        of(window, from, to).iter().map(|silence| rfc3339(silence.starts_at)).collect()
    }

    #[test]
    fn windows_of_two_days_and_the_one_that_is_open() {
        let now = at("2026-06-10T04:00:00Z");
        let found = begins(&nightly("UTC"), now, now + 48 * HOUR);
        assert_eq!(found, ["2026-06-10T03:30:00Z", "2026-06-11T03:30:00Z", "2026-06-12T03:30:00Z"]);
    }

    #[test]
    fn local_time_is_kept_when_clocks_are_turned() {
        // 2026-10-25, 03:00 summer time becomes 02:00.
        let now = at("2026-10-23T12:00:00Z");
        let found = begins(&nightly("Europe/Berlin"), now, now + 72 * HOUR);
        assert_eq!(found, ["2026-10-24T01:30:00Z", "2026-10-25T02:30:00Z", "2026-10-26T02:30:00Z"]);
    }

    #[test]
    fn names_are_the_same_whenever_they_are_made() {
        let now = at("2026-06-10T00:00:00Z");
        let (early, late) = (of(&nightly("UTC"), now, now + 5 * HOUR), of(&nightly("UTC"), now + HOUR, now + 5 * HOUR));
        assert_eq!(early, late);
        assert_eq!(early[0].id, "maintenance:nightly:1781062200000");
        assert_eq!(early[0].ends_at - early[0].starts_at, 2 * HOUR);
    }

    #[test]
    fn windows_that_overlap_are_one_and_all_are_bounded() {
        let every_minute = Maintenance { schedule: "* * * * *".to_owned(), ..nightly("UTC") };
        let (found, until) = silences(std::slice::from_ref(&every_minute), 100 * HOUR, 148 * HOUR);
        assert_eq!((found.len(), until), (1, 148 * HOUR));
        assert!(found[0].starts_at <= 100 * HOUR && found[0].ends_at >= 148 * HOUR, "{found:?}");
        let short = Maintenance { duration: Duration::from_secs(20), ..every_minute };
        let (found, until) = silences(&[short], 100 * HOUR, 148 * HOUR);
        assert_eq!((found.len(), until), (MAX_WINDOWS, 105 * HOUR));
    }

    #[test]
    fn what_is_no_schedule_is_told() {
        for (schedule, zone, words) in [
            ("0 3 * *", "UTC", "five fields"),
            ("0 3 * * * UTC", "UTC", "five fields"),
            ("0 25 * * *", "UTC", "is not a schedule"),
            ("0 3 * * *", "Europe/Atlantis", "no time zone"),
            ("0 0 30 2 *", "UTC", "never comes"),
        ] {
            let error = check(schedule, zone).unwrap_err();
            assert!(error.contains(words), "{schedule}: {error}");
        }
        assert_eq!(check("*/15 9-17 * * MON-FRI", "America/New_York"), Ok(()));
    }
}
