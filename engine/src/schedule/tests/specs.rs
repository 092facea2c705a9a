//! What is a specification and what is none, and its canonical form: each as a Temporal server 1.32 answered.

use temporalio_common::protos::temporal::api::schedule::v1::{
    CalendarSpec, IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec,
};

use super::cron;
use crate::{history::time::duration, schedule::canonical};

fn refusal(spec: ScheduleSpec) -> String {
    canonical(spec).unwrap_err().to_string()
}

fn range(start: i32, end: i32, step: i32) -> Range {
    Range { start, end, step }
}

#[test]
fn cron_strings_that_are_none_are_refused_in_the_server_s_words() {
    for (string, refused) in [
        ("* * * * * * * *", "CronString does not have 5-7 fields"),
        ("1 2", "CronString does not have 5-7 fields"),
        ("@nope", "CronString does not have 5-7 fields"),
        ("60 * * * *", "Minute is not in range [0-59]"),
        ("* 5-3 * * *", "Hour End is before Start or not in range [0-23]"),
        ("* * * * 8", "DayOfWeek is not in range [0-7]"),
        ("* * * * ? *", "DayOfWeek is not in range [0-7]"),
        ("*/0 * * * *", "Minute has invalid Step"),
        ("*/x * * * *", "strconv.Atoi: parsing \"x\": invalid syntax"),
        ("1/2/3 * * * *", "Minute has too many slashes"),
        ("1-2-3 * * * *", "Minute has too many dashes"),
        ("1,,2 * * * *", "Minute is not in range [0-59]"),
        ("* * * foo *", "Month is not in range [1-12]"),
        ("1 2 3 4 5 1999", "Year is not in range [2000-2100]"),
        ("CRON_TZ=Nowhere/X * * * * *", "unknown time zone Nowhere/X"),
        ("TZ=UTC", "CronString has time zone but missing fields"),
        ("@every", "CronString does not have interval after @every"),
        ("@every x", "time: invalid duration \"x\""),
        ("@every 0s", "interval is too small"),
        ("@every -1h", "interval is too small"),
        ("@every 1h/2h", "phase cannot be greater than Interval"),
    ] {
        assert_eq!(refusal(cron(&[string])), refused, "{string}");
    }
    assert_eq!(refusal(cron(&["TZ=UTC 0 0 * * *", "0 0 * * *"])), "conflicting timezone names");
}

#[test]
fn other_specifications_that_are_none_are_refused_in_the_server_s_words() {
    let calendar = |calendar| ScheduleSpec { structured_calendar: vec![calendar], ..Default::default() };
    let zone = |name: &str| ScheduleSpec { timezone_name: name.into(), ..Default::default() };
    let hours = |range| calendar(StructuredCalendarSpec { hour: vec![range], ..Default::default() });
    let long = StructuredCalendarSpec { year: vec![range(1990, 0, 0)], comment: "x".repeat(201), ..Default::default() };
    let interval = IntervalSpec { interval: duration(10), phase: None };
    let texts = CalendarSpec { hour: "25".into(), minute: "61".into(), ..Default::default() };
    for (spec, refused) in [
        (hours(range(24, 0, 0)), "invalid calendar spec: Hour Start is not in range [0-23]"),
        (hours(range(5, 3, 0)), "invalid calendar spec: Hour End is before Start or not in range [0-23]"),
        (hours(range(5, 0, -1)), "invalid calendar spec: Hour has invalid Step"),
        (calendar(long), "invalid calendar spec: Year Start is not in range [2000-2100], comment is too long"),
        (ScheduleSpec { interval: vec![interval], ..Default::default() }, "interval is too small"),
        (
            ScheduleSpec { calendar: vec![texts], ..Default::default() },
            "Minute is not in range [0-59], Hour is not in range [0-23]",
        ),
        (zone("europe/berlin"), "unknown time zone europe/berlin"),
        (zone("../x"), "time: invalid location name"),
        (ScheduleSpec { timezone_data: vec![0, 0], ..Default::default() }, "malformed time zone information"),
        (
            ScheduleSpec { timezone_name: "Europe/Berlin".into(), ..cron(&["TZ=UTC 0 0 * * *"]) },
            "conflicting timezone names",
        ),
        (cron(&["@hourly"; 201]), "more than 200 calendars, intervals and exclusions"),
    ] {
        assert_eq!(refusal(spec), refused);
    }
}

#[test]
fn all_forms_of_a_calendar_become_one() {
    let spec = canonical(cron(&["TZ=Europe/Berlin 5 4 3 JAN-mar sund,Mon 2030 #  a # b "])).unwrap();
    assert_eq!(spec.timezone_name, "Europe/Berlin");
    assert!(spec.cron_string.is_empty());
    let expected = StructuredCalendarSpec {
        second: vec![range(0, 0, 0)],
        minute: vec![range(5, 0, 0)],
        hour: vec![range(4, 0, 0)],
        day_of_month: vec![range(3, 0, 0)],
        month: vec![range(1, 3, 0)],
        year: vec![range(2030, 0, 0)],
        day_of_week: vec![range(0, 0, 0), range(1, 0, 0)],
        comment: "a # b".into(),
    };
    assert_eq!(spec.structured_calendar, [expected]);
    assert_eq!(canonical(spec.clone()).unwrap(), spec, "what is canonical stays as it is");
}

#[test]
fn the_sunday_at_the_end_of_a_week_is_the_one_at_its_beginning() {
    for (weekdays, expected) in [
        ("7", vec![range(0, 0, 0)]),
        ("0-7", vec![range(0, 6, 0)]),
        ("1-7", vec![range(1, 6, 0)]),
        ("3-7", vec![range(0, 0, 0), range(3, 6, 0)]),
        ("3-7/3", vec![range(3, 6, 3)]),
        ("1-7/2", vec![range(0, 0, 0), range(1, 6, 2)]),
        ("*", vec![range(0, 6, 0)]),
    ] {
        let spec = canonical(cron(&[&format!("0 0 * * {weekdays}")])).unwrap();
        assert_eq!(spec.structured_calendar[0].day_of_week, expected, "{weekdays}");
    }
}

#[test]
fn intervals_as_text_may_be_late_and_count_days() {
    for (string, interval, phase) in
        [("@every 1d", 86_400, None), ("@every 1h/5m", 3_600, Some(300)), ("TZ=Asia/Tokyo @every 90m # x", 5_400, None)]
    {
        let spec = canonical(cron(&[string])).unwrap();
        let length = |seconds: i64| duration(seconds * 1_000_000_000);
        assert_eq!(spec.interval, [IntervalSpec { interval: length(interval), phase: phase.and_then(length) }]);
        assert_eq!(spec.timezone_name, "", "{string}");
    }
}

#[test]
fn no_text_panics() {
    let ranges = "[-*/,0-9a-z#@= ]{0,12}";
    proptest::proptest!(|(text in "(TZ=[A-Za-z/.]{0,9} )?(@every )?[-*/,0-9a-z#@= .]{0,24}", hour in ranges, year in ranges)| {
        let _ = canonical(cron(&[&text]));
        let calendar = CalendarSpec { hour, year, ..Default::default() };
        let _ = canonical(ScheduleSpec { calendar: vec![calendar], ..Default::default() });
    });
}
