//! What a refusal means for each kind of target.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::metrics::Metrics;

fn breakers(metrics: &Metrics) -> CircuitBreakers {
    let settings = Settings { failures: 2, open_for: Duration::from_hours(1), trials: 3 };
    CircuitBreakers::new(settings, metrics.breakers())
}

fn open(breakers: &CircuitBreakers, target: &Target) {
    (0..2).for_each(|_| breakers.admit(target).unwrap().failed());
}

#[test]
fn names_hold_nothing_but_host_and_port() {
    let http = Target::http("https://ann:hunter2@db.example/healthz?token=x").unwrap();
    assert_eq!(http.to_string(), "http:db.example:443");
    assert_eq!(Target::rpc("http://localhost:9944").unwrap().to_string(), "rpc:localhost:9944");
    assert_eq!(Target::http("not a URL"), None);
}

#[test]
fn what_is_open_is_refused_and_shown_first() {
    let metrics = Metrics::new("dixmgr").unwrap();
    let breakers = breakers(&metrics);
    let (one, other) = (Target::Channel("ops".to_owned()), Target::Channel("log-2".to_owned()));
    breakers.expect([other.clone(), one.clone()]);
    open(&breakers, &one);
    let refused = breakers.admit(&one).unwrap_err();
    assert!(refused.retry_in <= Duration::from_mins(5), "a message is tried again after five minutes in any case");
    assert!(breakers.admit(&other).is_ok());
    let shown = breakers.list();
    assert_eq!((&shown[0].target, shown[0].state, shown[0].opened), (&one, State::Open, 1));
    let page = metrics.encode().unwrap();
    for line in [
        "dixmgr_circuit_breaker_state{target=\"channel:ops\"} 2",
        "dixmgr_circuit_breaker_state{target=\"channel:log-2\"} 0",
        "dixmgr_circuit_breaker_opened_total{target=\"channel:ops\"} 1",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    assert_eq!(breakers.reset("channel:ops").unwrap().state, State::Closed);
    assert_eq!(breakers.reset("channel:nobody"), None);
    assert!(breakers.admit(&one).is_ok());
}

#[test]
fn the_unit_manager_rests_for_a_second_at_most() {
    let breakers = breakers(&Metrics::new("dixmgr").unwrap());
    open(&breakers, &Target::UnitManager);
    assert!(breakers.admit(&Target::UnitManager).unwrap_err().retry_in <= Duration::from_secs(1));
    // Whoever learns that it answers tells all others at once.
    breakers.watch(&Target::UnitManager).succeeded();
    assert!(breakers.admit(&Target::UnitManager).is_ok());
}

#[test]
fn what_is_switched_off_refuses_nothing() {
    let breakers = CircuitBreakers::default();
    open(&breakers, &Target::UnitManager);
    assert!(breakers.admit(&Target::UnitManager).is_ok() && breakers.list().is_empty());
}

#[test]
fn there_are_no_more_than_are_allowed() {
    let breakers = breakers(&Metrics::new("dixmgr").unwrap());
    breakers.expect((0..MAX_TARGETS + 10).map(|number| Target::Http(format!("host:{number}"))));
    assert_eq!(breakers.list().len(), MAX_TARGETS);
    let further = Target::Http("further:1".to_owned());
    open(&breakers, &further);
    assert!(breakers.admit(&further).is_ok(), "called as if there were no breaker");
}
