//! Schedules against what robfig/cron v3 says of the same texts, and against a search minute by minute.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by panicking")]

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::{CronError, SECOND, Schedule, backoff, check, civil::Civil};
use crate::history::time::Nanos;

fn at(text: &str) -> Nanos {
    text.parse::<Timestamp>().unwrap().as_second() * SECOND
}

/// The next time after `time`, as text.
fn next(schedule: &str, time: &str) -> String {
    let next = Schedule::parse(schedule).unwrap().next(at(time)).unwrap();
    Timestamp::from_second(next / SECOND).unwrap().to_string()
}

#[test]
fn schedules_come_due_when_the_server_says() {
    for (schedule, time, expected) in [
        // From the tests of robfig/cron (`spec_test.go`).
        ("0/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00Z"),
        ("20-35/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:20:00Z"),
        ("*/15 * * * *", "2012-07-09T23:46:00Z", "2012-07-10T00:00:00Z"),
        ("20-35/15 1/2 * * *", "2012-07-09T23:35:51Z", "2012-07-10T01:20:00Z"),
        ("0 0 9 apr-oct ?", "2012-07-09T23:35:00Z", "2012-08-09T00:00:00Z"),
        ("0 0 */5 apr,aug,oct Mon", "2012-07-09T23:35:00Z", "2012-08-01T00:00:00Z"),
        ("0 0 */5 Oct Mon", "2012-07-09T23:35:00Z", "2012-10-01T00:00:00Z"),
        ("0 0 * Feb Mon", "2012-07-09T23:35:00Z", "2013-02-04T00:00:00Z"),
        ("0 0 29 Feb ?", "2012-07-09T23:35:00Z", "2016-02-29T00:00:00Z"),
        // Clocks are turned: an hour that is skipped, one that comes twice, a midnight that does not exist.
        ("CRON_TZ=America/New_York 0 2 11 Mar ?", "2012-03-11T05:00:00Z", "2013-03-11T06:00:00Z"),
        ("TZ=America/New_York 0 * * * *", "2012-03-11T06:30:00Z", "2012-03-11T07:00:00Z"),
        ("TZ=America/New_York 0 1 * * *", "2012-11-04T05:00:00Z", "2012-11-04T06:00:00Z"),
        ("TZ=America/Sao_Paulo 0 9 10 10 *", "2018-10-10T11:00:00Z", "2018-10-10T12:00:00Z"),
        ("TZ=America/Sao_Paulo 0 0 * * *", "2018-11-03T12:00:00Z", "2018-11-05T02:00:00Z"),
        ("CRON_TZ=Europe/Berlin 30 3 * * *", "2026-07-01T00:00:00Z", "2026-07-01T01:30:00Z"),
        // Descriptors and fixed delays, which are counted from the whole second.
        ("@daily", "2012-07-09T23:35:51Z", "2012-07-10T00:00:00Z"),
        ("@hourly", "2012-07-09T23:35:51Z", "2012-07-10T00:00:00Z"),
        ("@weekly", "2012-07-09T23:35:51Z", "2012-07-15T00:00:00Z"),
        ("@monthly", "2012-07-09T23:35:51Z", "2012-08-01T00:00:00Z"),
        ("@yearly", "2012-07-09T23:35:51Z", "2013-01-01T00:00:00Z"),
        ("TZ=Asia/Tokyo @daily", "2012-07-09T23:35:51Z", "2012-07-10T15:00:00Z"),
        ("@every 1h30m", "2012-07-09T23:35:51Z", "2012-07-10T01:05:51Z"),
        ("@every 1.5s", "2012-07-09T23:35:51Z", "2012-07-09T23:35:52Z"),
        ("@every -5m", "2012-07-09T23:35:51Z", "2012-07-09T23:35:52Z"),
        // Both days count when both are given, and either when one is open.
        ("0 0 13 * fri", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"),
        ("0 0 */2 * fri", "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z"),
        ("0 0 * * fri", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"),
    ] {
        assert_eq!(next(schedule, time), expected, "{schedule} after {time}");
    }
}

#[test]
fn what_the_server_takes_is_taken_and_nothing_else() {
    let now = at("2026-11-21T05:00:00Z");
    for schedule in [
        "",
        "? ? ? ? ?",
        "  0 0 * * *  ",
        "1,,2 0 * * *",
        "0 0 * jan-MAR sun,Mon",
        "*-5 * * * *",
        "+5 * * * *",
        "TZ= 0 0 * * *",
        "TZ=Local 0 0 * * *",
        "CRON_TZ=Europe/Berlin 0 3 * * *",
        "@every 0s",
        "@every -1s",
        "@midnight",
    ] {
        assert_eq!(check(schedule, now), Ok(()), "{schedule:?}");
    }
    for schedule in [
        "x",
        "* * * *",
        "* * * * * *",
        "@reboot",
        " @daily",
        "0 0 * * 7",
        "*/0 * * * *",
        "60 * * * *",
        "5-1 * * * *",
        "-5 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "@every",
        "@every 1x",
        "@every 1",
        "@every .s",
        "CRON_TZ=Nowhere/X 0 3 * * *",
        "TZ=europe/berlin 0 0 * * *",
        "CRON_TZ=UTC",
    ] {
        assert_eq!(check(schedule, now), Err(CronError::Unreadable), "{schedule:?}");
    }
    for schedule in ["0 0 30 2 *", ", * * * *"] {
        assert_eq!(check(schedule, now), Err(CronError::Never), "{schedule:?}");
    }
}

#[test]
fn a_run_that_took_long_is_followed_at_the_next_time_that_is_to_come() {
    let scheduled = at("2026-11-21T05:00:00Z");
    assert_eq!(backoff("@every 10s", scheduled, scheduled + 3 * SECOND + 1), Some(7 * SECOND));
    assert_eq!(backoff("@every 10s", scheduled, scheduled + 20 * SECOND), Some(0));
    assert_eq!(backoff("@every 10s", scheduled, scheduled + 1_000_004 * SECOND), Some(6 * SECOND));
    assert_eq!(backoff("*/5 * * * *", scheduled, scheduled), Some(300 * SECOND));
    assert_eq!(backoff("*/5 * * * *", scheduled, scheduled + 300 * SECOND), Some(0));
    assert_eq!(backoff("*/5 * * * *", scheduled, scheduled + 301 * SECOND), Some(299 * SECOND));
    assert_eq!(backoff("*/5 * * * *", scheduled, scheduled - 30 * SECOND), Some(30 * SECOND), "begun before its time");
    assert_eq!(backoff("nonsense", scheduled, scheduled), None);
    assert_eq!(backoff("", scheduled, scheduled), None);
}

/// A field that is open, a value, a range, a list, or one of them with a step.
pub(crate) fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let value = min..=max;
    prop_oneof![
        4 => Just("*".to_owned()),
        3 => value.clone().prop_map(|value| value.to_string()),
        2 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        2 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{a},{b}")),
        2 => (1_u32..12).prop_map(|step| format!("*/{step}")),
        1 => (value, 1_u32..12).prop_map(|(first, step)| format!("{first}/{step}")),
    ]
}

/// Whether `value` fits a field: an open one, or one of its items.
pub(crate) fn fits(field: &str, value: i64, min: i64, max: i64) -> bool {
    field.split(',').any(|item| {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let step: i64 = step.map_or(1, |step| step.parse().unwrap());
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None if item.contains('/') => (range.parse().unwrap(), max),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (first..=last).contains(&value) && (value - first) % step == 0
    })
}

fn fits_all(fields: &[String; 5], local: &Civil) -> bool {
    let day = fits(&fields[2], local.day, 1, 31);
    let weekday = fits(&fields[4], local.weekday(), 0, 6);
    let open = |field: &str| field == "*" || field == "*/1";
    fits(&fields[0], local.minute, 0, 59)
        && fits(&fields[1], local.hour, 0, 23)
        && fits(&fields[3], local.month, 1, 12)
        && if open(&fields[2]) || open(&fields[4]) { day && weekday } else { day || weekday }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_next_time_is_the_first_that_fits(
        fields in (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)),
        start in 1_000_000_000_i64..2_000_000_000,
    ) {
        let fields = [fields.0, fields.1, fields.2, fields.3, fields.4];
        let schedule = Schedule::parse(&fields.join(" ")).unwrap();
        let Some(next) = schedule.next(start * SECOND) else { return Ok(()) };
        let next = next / SECOND;
        prop_assert!(next > start && next % 60 == 0 && fits_all(&fields, &Civil::from_seconds(next)));
        // Not every minute of years: the ten thousand before it.
        let before = (next - 60 * 10_000).max(start - start % 60 + 60);
        let earlier = (before..next).step_by(60).find(|minute| *minute % 60 == 0 && *minute > start
            && fits_all(&fields, &Civil::from_seconds(*minute)));
        prop_assert_eq!(earlier, None);
    }

    #[test]
    fn dates_are_those_of_the_calendar(seconds in -10_000_000_000_i64..10_000_000_000) {
        let civil = Civil::from_seconds(seconds);
        let zoned = Timestamp::from_second(seconds).unwrap().to_zoned(TimeZone::UTC);
        prop_assert_eq!(civil.year, i64::from(zoned.year()));
        prop_assert_eq!((civil.month, civil.day), (i64::from(zoned.month()), i64::from(zoned.day())));
        prop_assert_eq!(civil.weekday(), i64::from(zoned.weekday().to_sunday_zero_offset()));
        prop_assert_eq!(civil.seconds(), seconds);
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "(TZ=[A-Za-z/]{0,9} )?[-@*/,?0-9a-z.: ]{0,24}") {
        let _ = check(&text, at("2026-11-21T05:00:00Z"));
    }

    #[test]
    fn the_wait_ends_at_a_time_of_the_schedule(every in 1_i64..5_000, late in 0_i64..100_000_000) {
        let scheduled = at("2026-11-21T05:00:00Z");
        let now = scheduled + late * 1_000_000;
        let wait = backoff(&format!("@every {every}s"), scheduled, now).unwrap();
        prop_assert!((0..=every * SECOND).contains(&wait) && wait % SECOND == 0);
        let due = (now + wait - scheduled) / SECOND * SECOND;
        prop_assert_eq!(due % (every * SECOND), 0);
    }
}
