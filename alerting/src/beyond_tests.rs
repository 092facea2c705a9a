//! What is said of quiet services, and of those that are not.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a rate of false alarms is reported")]

use std::collections::BTreeMap;

use dixmgr_model::{AlertPolicy, Delivery};

use super::*;
use crate::backtest::{PastLook, judge};
use crate::defaults;

/// A Monday, 00:00 UTC.
const MONDAY: u64 = 1_700_438_400_000;
const MIB: f64 = 1_048_576.0;
const MONTH: u64 = 30 * 24;

/// Reproducible noise between -1 and 1, denser around 0, with no crate that the room does not have.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut uniform = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..4).map(|_| uniform()).sum::<f64>() / 2.0 - 1.0
    }
}

/// A service that is busy by day, does a backup each Sunday night, and is restarted now and then.
fn quiet(seed: u64, hours: u64) -> Past {
    let mut noise = Noise(seed);
    let mut memory = 400.0 * MIB;
    let hour = |hour: u64| {
        let (day, of_day) = (hour / 24 % 7, hour % 24);
        let busy = if day < 5 && (8..18).contains(&of_day) { 1.0 } else { 0.2 };
        let backup = if day == 6 && of_day == 3 { 60.0 } else { 0.0 };
        // A cache that fills and empties.
        memory += (500.0 * MIB - memory) * 0.1 + noise.next() * 40.0 * MIB;
        let means = Means {
            cpu: Some((busy * 40.0 + backup + noise.next() * 12.0).max(0.1)),
            memory: Some(memory + busy * 100.0 * MIB),
            response: Some((0.05 + 0.1 * busy + noise.next() * 0.04).max(0.001)),
        };
        (MONDAY + hour * HOUR, means)
    };
    let hours: Vec<_> = (0..hours).map(hour).collect();
    let restarts = (0..hours.len() as u64).filter(|hour| (hour * 2_654_435_761 + seed).is_multiple_of(97));
    Past { restarts: restarts.map(|hour| MONDAY + hour * HOUR).collect(), hours }
}

fn policy() -> AlertPolicy {
    AlertPolicy {
        rules: defaults::rules(),
        delivery: Delivery::default(),
        routes: Vec::new(),
        maintenance: Vec::new(),
        id_prefix: String::new(),
    }
}

fn spec() -> dixmgr_model::ServiceSpec {
    let spec = serde_json::json!({
        "name": "db", "workflow_id": "wf.svc.db", "ready_signal": "ready:svc:db",
        "target": { "unit": "db.service" },
        "probes": { "interval": "10s", "resources": true, "http": [{ "url": "http://127.0.0.1/" }] },
    });
    serde_json::from_value(spec).expect("a service")
}

/// The rules that need a history and that fire from hour `from` on, with the hours after it in which they begin to.
fn fired(past: &Past, from: u64) -> Vec<(String, u64)> {
    let (policy, spec) = (policy(), spec());
    let limit = memory_limit(&policy, &spec);
    let mut looks = Vec::new();
    for (start, means) in past.hours.iter().filter(|(start, _)| *start >= MONDAY + from * HOUR) {
        let signals = past.expected(*start, limit).signals(*means);
        looks.extend(signals.map(|(signal, value)| PastLook {
            at: start + HOUR,
            signal,
            value,
            longest_gap: 3 * HOUR,
        }));
    }
    let firings = judge(&policy, &spec, &looks, &[]);
    firings.into_iter().map(|firing| (firing.rule, (firing.from - MONDAY) / HOUR - from)).collect()
}

#[test]
fn a_quiet_month_of_a_dozen_services_is_quiet() {
    let mut false_alarms: BTreeMap<String, usize> = BTreeMap::new();
    let services = 12;
    for seed in 1..=services {
        for (rule, _) in fired(&quiet(seed, 2 * MONTH), MONTH) {
            *false_alarms.entry(rule).or_default() += 1;
        }
    }
    let all: usize = false_alarms.values().sum();
    println!("{all} false alarms in {services} months of services: {false_alarms:?}");
    assert!(all <= 1, "one a service in a year at the most: {false_alarms:?}");
}

#[test]
fn what_is_not_usual_is_found_within_hours() {
    let disturbed = |change: fn(&mut Means, u64)| {
        let mut past = quiet(7, MONTH + 48);
        let (_, new) = past.hours.split_at_mut(usize::try_from(MONTH).expect("a month"));
        new.iter_mut().zip(0..).for_each(|((_, means), hour)| change(means, hour));
        fired(&past, MONTH)
    };
    let first =
        |fired: &[(String, u64)], rule: &str| fired.iter().find(|(name, _)| name == rule).map(|(_, hour)| *hour);
    let busy = disturbed(|means, _| means.cpu = Some(100.0));
    assert!(first(&busy, "unusual_cpu").is_some_and(|hour| hour <= 3), "{busy:?}");
    let dead = disturbed(|means, hour| {
        if hour >= 30 {
            means.response = Some(1.5);
        }
    });
    assert!(first(&dead, "unusual_response_time").is_some_and(|hour| (30..=33).contains(&hour)), "{dead:?}");
    let leak = disturbed(|means, hour| means.memory = means.memory.map(|memory| memory + hour as f64 * 80.0 * MIB));
    assert!(first(&leak, "unusual_memory").is_some_and(|hour| hour <= 24), "{leak:?}");
}

#[test]
fn a_leak_is_foretold_before_it_reaches_the_limit() {
    let mut past = quiet(3, MONTH + 96);
    past.restarts.retain(|restart| *restart < MONDAY + MONTH * HOUR);
    let (_, new) = past.hours.split_at_mut(usize::try_from(MONTH).expect("a month"));
    for ((_, means), hour) in new.iter_mut().zip(0..) {
        // From 600 MiB to the default limit of 4 GiB in three days.
        means.memory = Some((600.0 + 48.0 * f64::from(hour)) * MIB);
    }
    past.restarts.push(MONDAY + MONTH * HOUR);
    let fired = fired(&past, MONTH);
    let foretold = fired.iter().find(|(rule, _)| rule == "memory_forecast").map(|(_, hour)| *hour);
    assert!(foretold.is_some_and(|hour| (44..=60).contains(&hour)), "a day before its 73rd hour: {fired:?}");
}

#[test]
fn many_restarts_are_unusual_and_few_are_not() {
    let mut past = quiet(5, MONTH);
    let now = MONDAY + MONTH * HOUR;
    let deviation = |past: &Past| past.expected(now, None).signals(Means::default())[3].1.expect("enough is known");
    assert!(deviation(&past) < 2.0);
    past.restarts.extend((0..12).map(|index| now - (12 - index) * HOUR));
    assert!(deviation(&past) > 4.0);
    let young = Past { hours: past.hours.split_off(past.hours.len() - 100), restarts: past.restarts };
    assert_eq!(
        young.expected(now, None).signals(Means::default()).map(|(_, value)| value),
        [None; 5],
        "nothing is known"
    );
}
