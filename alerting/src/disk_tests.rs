#![allow(clippy::expect_used, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
use super::*;

const GB: f64 = 1e9;
const SIZE: u64 = 100_000_000_000;
/// The threshold of the default rule.
const SOON: f64 = 48.0;
/// A Saturday at noon.
const BEGIN: u64 = 494_084 * HOUR;

/// What is said hour by hour while a disk has so many gigabytes: hours left, where something is.
fn said(hours: u64, used: impl Fn(u64) -> f64) -> Vec<(u64, f64)> {
    let mut past = DiskPast::default();
    let look = |hour: u64| {
        let bytes = (used(hour) * GB) as u64;
        assert!(past.note(BEGIN + hour * HOUR, bytes));
        past.hours_left(bytes, SIZE).map(|left| (hour, left))
    };
    (0..hours).filter_map(look).collect()
}

fn alarms(said: &[(u64, f64)]) -> usize {
    said.iter().filter(|(_, left)| *left < SOON).count()
}

/// Between -1 and 1, the same for the same hour.
fn noise(hour: u64) -> f64 {
    let mixed = (hour + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) as f64 / u64::MAX as f64 * 2.0 - 1.0
}

#[test]
fn what_fills_steadily_is_foretold_two_days_ahead() {
    // Half a gigabyte an hour: full after 120 hours.
    let said = said(119, |hour| 40.0 + 0.5 * hour as f64 + 0.2 * noise(hour));
    assert_eq!(said.first().map(|(hour, _)| *hour), Some(47), "two days have to be known");
    let first = said.iter().find(|(_, left)| *left < SOON).expect("an alarm").0;
    assert!((71..=74).contains(&first), "{first}");
    assert!(said.iter().filter(|(hour, _)| *hour > first).all(|(_, left)| *left < SOON), "it stays");
    let (hour, left) = said.last().expect("something is said");
    assert!((left - (120 - hour) as f64).abs() < 2.0, "{left}");
}

#[test]
fn logs_that_are_rotated_are_no_alarm() {
    let daily = said(28 * 24, |hour| 70.0 + (hour % 24) as f64);
    let weekly = said(28 * 24, |hour| 50.0 + 0.15 * (hour % 168) as f64);
    assert_eq!((alarms(&daily), alarms(&weekly)), (0, 0));
}

#[test]
fn a_quiet_month_is_quiet() {
    let still = said(28 * 24, |_| 85.0);
    let noisy = said(28 * 24, |hour| 85.0 + 2.0 * noise(hour));
    let waves = said(28 * 24, |hour| 80.0 + 8.0 * (hour as f64 * std::f64::consts::TAU / 24.0).sin() + noise(hour));
    let creeping = said(28 * 24, |hour| 85.0 + 0.01 * hour as f64);
    assert_eq!([still, noisy, waves, creeping].map(|said| alarms(&said)), [0; 4]);
}

#[test]
fn room_that_is_there_again_ends_the_alarm_at_once() {
    let mut past = DiskPast::default();
    for hour in 0..48 {
        past.note(BEGIN + hour * HOUR, SIZE / 100 * (45 + hour));
    }
    let full = past.hours_left(SIZE / 100 * 92, SIZE).expect("enough is known");
    assert!((full - 8.0).abs() < 0.5, "{full}");
    let tidied = past.hours_left(SIZE / 100 * 30, SIZE).expect("enough is known");
    assert!(tidied > SOON, "{tidied}");
}

#[test]
fn what_is_kept_is_bounded_and_survives() {
    let mut past = DiskPast::default();
    for look in 0..20_000 {
        past.note(BEGIN + look * 60_000, look);
    }
    let kept = past.kept();
    assert_eq!(kept.len(), MOST_POINTS);
    assert_eq!(DiskPast::restored(&kept, u64::MAX), past);
    let (last, _) = kept[kept.len() - 1];
    assert_eq!(DiskPast::restored(&kept, last - 1).kept().len(), MOST_POINTS - 1, "a clock that was wrong");
    assert!(past.note(BEGIN, 1) && past.kept().len() == 1, "and one that is set back");
}

#[test]
fn a_time_is_said_as_people_say_it() {
    assert_eq!(day_and_hour(1_763_993_700_000).as_deref(), Some("Monday, 24 November, 14:00 UTC"));
    assert_eq!(day_and_hour(u64::MAX), None);
}

#[test]
fn a_backtest_finds_what_would_have_been_foretold() {
    let mut past = DiskPast::default();
    for hour in 0..90 {
        assert!(past.note(BEGIN + hour * HOUR, ((40.0 + 0.5 * hour as f64) * GB) as u64));
    }
    let looks: Vec<_> = past.told(SIZE).collect();
    assert_eq!(looks.len(), 90);
    assert!(looks[..47].iter().all(|(_, left, _)| left.is_none()), "two days have to be known");
    let (at, left, free) = looks[80];
    let said = left.expect("hours left");
    assert_eq!(at, BEGIN + 80 * HOUR);
    assert!((said - 40.0).abs() < 1.0 && (free - 20.0).abs() < 0.1, "{said} {free}");
}
