//! When specifications come due.

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;
use temporalio_common::protos::temporal::api::schedule::v1::{CalendarSpec, IntervalSpec, ScheduleSpec};

use super::{HOUR, SECOND, at, cron, every, text, times};
use crate::{
    cron::tests::{field, fits},
    history::time::{Nanos, duration, timestamp},
};

const ZONES: [&str; 10] = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Africa/Casablanca",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
];

const EXTREMES: [i64; 9] = [i64::MIN, -9_223_372_036, -1, 0, 1, 86_400, 1_700_000_000, 9_223_372_036, i64::MAX];

/// What a Temporal server 1.32 lists where clocks are turned: an hour that comes twice, one that is skipped, a midnight that does
/// not exist, half an hour. That London and Casablanca have more midnights than days, and fewer quarters than hours, is its doing.
#[test]
fn where_clocks_are_turned_the_times_are_the_server_s() {
    let table: [(&str, &str, &str, &str, &[&str]); 15] = [
        ("America/New_York", "30 1,2 * * *", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z", &["2026-03-08T06:30:00Z"]),
        (
            "America/New_York",
            "30 1,2 * * *",
            "2026-10-31T22:00:00Z",
            "2026-11-02T00:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"],
        ),
        ("America/New_York", "0 0 * * *", "2026-10-31T22:00:00Z", "2026-11-02T00:00:00Z", &["2026-11-01T04:00:00Z"]),
        (
            "America/Sao_Paulo",
            "0 0 * * *",
            "2018-11-03T00:00:00Z",
            "2018-11-05T12:00:00Z",
            &["2018-11-03T03:00:00Z", "2018-11-05T02:00:00Z"],
        ),
        ("America/Sao_Paulo", "0 0 * * SUN", "2018-11-03T00:00:00Z", "2018-11-05T12:00:00Z", &[]),
        (
            "Australia/Lord_Howe",
            "30 1,2 * * *",
            "2026-04-04T12:00:00Z",
            "2026-04-05T00:00:00Z",
            &["2026-04-04T15:00:00Z", "2026-04-04T16:00:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "30 1,2 * * *",
            "2026-10-03T12:00:00Z",
            "2026-10-04T00:00:00Z",
            &["2026-10-03T15:00:00Z", "2026-10-03T15:30:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "0 0 * * SUN",
            "2026-10-03T12:00:00Z",
            "2026-10-04T00:00:00Z",
            &["2026-10-03T13:30:00Z"],
        ),
        (
            "Europe/London",
            "15,45 * * * *",
            "2026-10-24T22:00:00Z",
            "2026-10-25T03:00:00Z",
            &[
                "2026-10-24T22:15:00Z",
                "2026-10-24T22:45:00Z",
                "2026-10-24T23:15:00Z",
                "2026-10-24T23:45:00Z",
                "2026-10-25T00:15:00Z",
                "2026-10-25T01:45:00Z",
                "2026-10-25T02:15:00Z",
                "2026-10-25T02:45:00Z",
            ],
        ),
        (
            "Europe/London",
            "30 1,2 * * *",
            "2026-10-24T22:00:00Z",
            "2026-10-25T04:00:00Z",
            &["2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"],
        ),
        (
            "Europe/London",
            "0 0 * * SUN",
            "2026-10-24T22:00:00Z",
            "2026-10-25T04:00:00Z",
            &["2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z"],
        ),
        (
            "Africa/Casablanca",
            "30 1,2 * * *",
            "2026-02-14T22:00:00Z",
            "2026-02-16T22:00:00Z",
            &["2026-02-15T00:30:00Z", "2026-02-15T01:30:00Z", "2026-02-16T01:30:00Z", "2026-02-16T02:30:00Z"],
        ),
        (
            "Africa/Casablanca",
            "0 0 * * *",
            "2026-02-14T22:00:00Z",
            "2026-02-16T22:00:00Z",
            &["2026-02-14T23:00:00Z", "2026-02-16T00:00:00Z"],
        ),
        ("Asia/Gaza", "30 1,2 * * *", "2026-03-27T20:00:00Z", "2026-03-28T22:00:00Z", &["2026-03-27T23:30:00Z"]),
        (
            "Asia/Gaza",
            "0 0 * * *",
            "2026-03-27T20:00:00Z",
            "2026-03-28T22:00:00Z",
            &["2026-03-27T22:00:00Z", "2026-03-28T21:00:00Z"],
        ),
    ];
    for (zone, string, from, to, expected) in table {
        let times = times(ScheduleSpec { timezone_name: zone.into(), ..cron(&[string]) });
        let found: Vec<_> =
            times.after(at(from)).map(|due| due.nominal).take_while(|time| *time <= at(to)).map(text).collect();
        assert_eq!(found, expected, "{string} in {zone} from {from}");
    }
}

fn next(spec: ScheduleSpec, after: &str) -> Option<String> {
    times(spec).next(at(after)).map(|due| text(due.nominal))
}

#[test]
fn intervals_are_counted_from_the_epoch() {
    assert_eq!(next(cron(&["@every 1h/5m"]), "2026-11-21T07:05:00Z").as_deref(), Some("2026-11-21T08:05:00Z"));
    assert_eq!(next(cron(&["@every 90m"]), "2026-11-21T07:13:33.5Z").as_deref(), Some("2026-11-21T07:30:00Z"));
    let both = cron(&["@every 90m", "15 * * * *"]);
    assert_eq!(next(both, "2026-11-21T07:13:33.5Z").as_deref(), Some("2026-11-21T07:15:00Z"));
    let long = ScheduleSpec { interval: times_of(i64::MAX), ..Default::default() };
    assert_eq!(times(long).next(at("2026-11-21T07:00:00Z")), None, "past the last year");
}

fn times_of(seconds: i64) -> Vec<IntervalSpec> {
    let interval = Some(prost_wkt_types::Duration { seconds, nanos: 0 });
    vec![IntervalSpec { interval, phase: None }]
}

#[test]
fn a_schedule_has_a_first_and_a_last_time() {
    let spec = ScheduleSpec {
        start_time: timestamp(at("2026-11-21T08:00:00Z")),
        end_time: timestamp(at("2026-11-21T10:00:00Z")),
        ..every(3_600)
    };
    let found: Vec<_> = times(spec).after(at("2020-01-01T00:00:00Z")).map(|due| text(due.nominal)).collect();
    assert_eq!(found, ["2026-11-21T08:00:00Z", "2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z"]);
    assert_eq!(next(cron(&["0 0 30 2 *"]), "2026-11-21T07:00:00Z"), None, "no such day");
    assert_eq!(next(every(3_600), "2100-12-31T23:00:00Z"), None, "past the last year");
    assert_eq!(next(ScheduleSpec::default(), "2026-11-21T07:00:00Z"), None);
}

#[test]
fn what_is_excluded_is_passed_over_and_that_has_a_bound() {
    let exclude = |spec: ScheduleSpec, second: &str, hour: &str, year: &str| {
        let calendar = CalendarSpec {
            second: second.into(),
            minute: "*".into(),
            hour: hour.into(),
            year: year.into(),
            ..Default::default()
        };
        #[allow(deprecated, reason = "servers still have to take it")]
        ScheduleSpec { exclude_calendar: vec![calendar], ..spec }
    };
    let night = exclude(every(1_800), "*", "20-23,0-5", "*");
    assert_eq!(next(night, "2026-11-21T19:30:00Z").as_deref(), Some("2026-11-22T06:00:00Z"));
    let years = exclude(every(1), "*", "*", "2026-2050");
    assert_eq!(next(years, "2026-11-21T19:30:00Z").as_deref(), Some("2051-01-01T00:00:00Z"));
    assert_eq!(next(exclude(every(1), "*", "*", "*"), "2026-11-21T19:30:00Z"), None);
    assert_eq!(next(exclude(every(2), "*/2", "*", "*"), "2026-11-21T19:30:00Z"), None, "second by second, without end");
}

#[test]
fn jitter_does_not_reach_the_next_time() {
    let times = times(ScheduleSpec { jitter: duration(24 * HOUR), ..every(60) });
    let found: Vec<_> = times.after(at("2026-11-21T19:30:00Z")).take(500).collect();
    assert!(found.iter().all(|due| (0..60 * SECOND).contains(&(due.actual - due.nominal))));
    assert!(found.iter().any(|due| due.actual != due.nominal));
    assert!(found.is_sorted_by_key(|due| due.nominal), "none is left out");
    assert_eq!(found[499].nominal - found[0].nominal, 499 * 60 * SECOND);
    assert_eq!(times.next(found[3].nominal).map(|due| due.nominal), Some(found[4].nominal), "always the same");
}

/// Sundays are days 0 and 7.
fn fits_weekday(text: &str, weekday: i64) -> bool {
    fits(text, weekday, 0, 7) || (weekday == 0 && fits(text, 7, 0, 7))
}

fn whole_day_of_one_clock(zone: &TimeZone, around: i64) -> bool {
    let offset = |second: i64| zone.to_offset(Timestamp::from_second(second).unwrap());
    (-26..=26).all(|hours| offset(around + hours * 3_600) == offset(around))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_next_time_of_a_calendar_is_the_first_that_fits(
        fields in (field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)),
        zone in prop::sample::select(&ZONES[..]),
        start in 1_000_000_000_i64..4_000_000_000,
    ) {
        let (second, minute, hour, day, month, weekday) = &fields;
        let string = format!("{second} {minute} {hour} {day} {month} {weekday} *");
        let spec = ScheduleSpec { timezone_name: zone.into(), ..cron(&[&string]) };
        let Some(found) = times(spec).next(start * SECOND) else { return Ok(()) };
        let found = found.nominal / SECOND;
        let zone = TimeZone::get(zone).unwrap();
        prop_assume!(whole_day_of_one_clock(&zone, found));
        let fits_all = |at: i64| {
            let local = Timestamp::from_second(at).unwrap().to_zoned(zone.clone());
            fits(second, local.second().into(), 0, 59)
                && fits(minute, local.minute().into(), 0, 59)
                && fits(hour, local.hour().into(), 0, 23)
                && fits(day, local.day().into(), 1, 31)
                && fits(month, local.month().into(), 1, 12)
                && fits_weekday(weekday, local.weekday().to_sunday_zero_offset().into())
        };
        prop_assert!(found > start && fits_all(found));
        // Every second of the hour before it, and every minute of the week before that at the seconds that could fit.
        let seconds = (found - 3_600).max(start + 1)..found;
        let minutes = ((found - 24 * 3_600).max(start + 1)..found).rev().step_by(60).chain((start + 1..found).take(60));
        prop_assert_eq!(seconds.chain(minutes).find(|at| fits_all(*at)), None);
    }

    #[test]
    fn intervals_and_exclusions_agree_with_a_search_second_by_second(
        (length, phase) in (1_i64..4_000).prop_flat_map(|length| (Just(length), 0..length)),
        (minute, hour) in (field(0, 59), field(0, 23)),
        start in 1_000_000_000_i64..2_000_000_000,
    ) {
        let exclude = CalendarSpec {
            second: "*".into(), minute: minute.clone(), hour: hour.clone(), ..Default::default()
        };
        #[allow(deprecated, reason = "servers still have to take it")]
        let spec = ScheduleSpec { exclude_calendar: vec![exclude], ..cron(&[&format!("@every {length}s/{phase}s")]) };
        let found = times(spec).next(start * SECOND).map(|due| due.nominal / SECOND);
        let excluded = |at: i64| fits(&minute, at / 60 % 60, 0, 59) && fits(&hour, at / 3_600 % 24, 0, 23);
        let day = start + 1..start + 86_400;
        let expected = day.clone().find(|at| (at - phase) % length == 0 && !excluded(*at));
        match found {
            Some(found) if day.contains(&found) => prop_assert_eq!(Some(found), expected),
            _ => prop_assert_eq!(expected, None),
        }
    }

    #[test]
    fn times_always_go_on_wherever_clocks_are_turned(
        fields in (field(0, 59), field(0, 59), field(0, 23)),
        zone in prop::sample::select(&ZONES[..]),
        year in 2000_i64..2040,
        turn in 0_usize..4,
        before in 0_i64..14_400,
    ) {
        let zoned = TimeZone::get(zone).unwrap();
        let new_year = Timestamp::from_second((year - 1970) * 31_556_952).unwrap();
        let Some(turn) = zoned.following(new_year).nth(turn).map(|turn| turn.timestamp()) else { return Ok(()) };
        let start: Nanos = (turn.as_second() - before) * SECOND;
        let string = format!("{} {} {} * * * *", fields.0, fields.1, fields.2);
        let times = times(ScheduleSpec { timezone_name: zone.into(), ..cron(&[&string]) });
        let found: Vec<_> = times.after(start).take(400).map(|due| due.nominal).collect();
        prop_assert!(found.first().is_none_or(|first| *first > start));
        prop_assert!(found.is_sorted_by(|a, b| a < b), "{string} in {zone}: {found:?}");
    }

    #[test]
    fn the_longest_and_the_furthest_do_not_panic(
        extremes in proptest::array::uniform5(prop::sample::select(&EXTREMES[..])),
        after in prop::sample::select(&EXTREMES[..]),
    ) {
        let [start, end, jitter, interval, phase] = extremes;
        let time = |seconds| Some(prost_wkt_types::Timestamp { seconds, nanos: 999_999_999 });
        let length = |seconds| Some(prost_wkt_types::Duration { seconds, nanos: 0 });
        let spec = ScheduleSpec {
            start_time: time(start),
            end_time: time(end),
            jitter: length(jitter),
            interval: vec![IntervalSpec { interval: length(interval), phase: length(phase) }],
            ..cron(&["0 0 29 2 MON"])
        };
        if let Ok(spec) = crate::schedule::canonical(spec) {
            let times = crate::schedule::Times::new(&spec, "a namespace and a schedule".to_owned()).unwrap();
            prop_assert!(times.after(after).take(50).map(|due| due.nominal).is_sorted());
        }
    }
}
