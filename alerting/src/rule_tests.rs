#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use std::time::Duration;

use dixmgr_model::{AlertKind, Comparison, Selector, Severity, Signal};
use proptest::prelude::*;

use super::*;

const T: u64 = 1_700_000_000_000;
const GAP: u64 = 90_000;

pub(crate) fn rule(hold: u64, keep: u64) -> Rule {
    Rule {
        name: "high_cpu".to_owned(),
        kind: AlertKind::HighCpu,
        signal: Signal::Cpu,
        comparison: Comparison::Above,
        threshold: 80.0,
        clear_threshold: None,
        hold: Duration::from_secs(hold),
        keep_firing_for: Duration::from_secs(keep),
        window: Duration::from_mins(5),
        severity: Severity::Warning,
        labels: BTreeMap::default(),
        annotations: BTreeMap::default(),
        services: Selector::default(),
        receivers: None,
    }
}

/// Reasons of looks 30 s apart.
fn looks(rule: &Rule, values: &[Option<f64>]) -> Vec<RuleReason> {
    let mut state = RuleState::default();
    let at = |index: usize| T + 30_000 * index as u64;
    values.iter().enumerate().map(|(index, value)| state.look(rule, *value, at(index), GAP, false)).collect()
}

#[test]
fn trouble_must_last_before_it_fires_and_be_over_before_it_is_resolved() {
    use RuleReason::{Began, Fine, Fired, Recovering, Relapsed, Resolved, StillFiring, Waiting};
    let (low, high) = (Some(10.0), Some(90.0));
    let values = [low, high, high, high, high, low, high, low, low, low, low];
    let wanted =
        [Fine, Began, Waiting, Fired, StillFiring, Recovering, Relapsed, Recovering, Recovering, Resolved, Fine];
    assert_eq!(looks(&rule(60, 60), &values), wanted);
    assert_eq!(looks(&rule(0, 0), &[high, low]), [Fired, Resolved]);
}

#[test]
fn what_nobody_saw_is_neither_good_nor_bad() {
    let rule = rule(300, 0);
    let mut state = RuleState::default();
    state.look(&rule, Some(90.0), T, GAP, false);
    // An hour in which dixmgr was down counts as one gap at most.
    assert_eq!(state.look(&rule, Some(90.0), T + 3_600_000, GAP, false), RuleReason::Waiting);
    assert_eq!(state.phase, Phase::Pending { held: GAP });
    assert_eq!(state.look(&rule, None, T + 3_630_000, GAP, false), RuleReason::NoValue);
    assert_eq!(state.look(&rule, Some(90.0), T + 3_660_000, GAP, false), RuleReason::Waiting);
    assert_eq!(state.phase, Phase::Pending { held: GAP }, "the time around an unknown look does not count");
}

#[test]
fn a_clear_threshold_is_what_it_must_come_back_to() {
    use RuleReason::{Fine, Fired, Resolved, StillFiring};
    let rule = Rule { clear_threshold: Some(60.0), ..rule(0, 0) };
    let values = [70.0, 90.0, 70.0, 61.0, 60.0, 70.0].map(Some);
    assert_eq!(looks(&rule, &values), [Fine, Fired, StillFiring, StillFiring, Resolved, Fine]);
}

#[test]
fn a_flapping_value_is_one_alert_until_it_settles() {
    let values: Vec<_> = (0..200).map(|look| Some(if look % 2 == 0 { 90.0 } else { 10.0 })).collect();
    let calm = vec![Some(10.0); 20];
    let reasons = looks(&rule(0, 0), &[values, calm].concat());
    let fired = reasons.iter().filter(|reason| **reason == RuleReason::Fired).count();
    assert!(fired <= 6, "fired {fired} times");
    assert!(reasons[20..200].iter().all(|reason| !reason.changes_alert()), "quiet while it flaps");
    assert_eq!(reasons[200..].iter().filter(|reason| **reason == RuleReason::Resolved).count(), 1);
}

#[test]
fn an_alert_that_nobody_heard_of_is_not_resolved() {
    let mut state = RuleState::default();
    state.look(&rule(0, 0), Some(90.0), T, GAP, true);
    assert_eq!(state.look(&rule(0, 0), Some(1.0), T + 1, GAP, true), RuleReason::Untold);
    assert_eq!(state.look(&rule(0, 0), Some(1.0), T + 2, GAP, false), RuleReason::Resolved);
}

fn any_looks() -> impl Strategy<Value = Vec<(u64, Option<f64>)>> {
    prop::collection::vec((0u64..200_000, prop::option::of(0.0..100.0)), 0..80)
}

proptest! {
    /// Firing and resolving alternate, an alert fires only after `for`, and a heartbeat between two looks changes nothing.
    #[test]
    fn holds_what_it_promises(looks in any_looks(), hold in 0u64..200, keep in 0u64..200, clear in prop::option::of(0.0..80.0)) {
        let rule = Rule { clear_threshold: clear, ..rule(hold, keep) };
        let (mut state, mut now, mut fires) = (RuleState::default(), T, false);
        let mut bad_since: Option<u64> = None;
        for (gap, value) in looks {
            now += gap;
            state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
            let before = state.phase;
            let reason = state.look(&rule, value, now, GAP, false);
            match value {
                Some(value) if value > 80.0 => { bad_since.get_or_insert(now); }
                Some(_) => bad_since = None,
                None => prop_assert_eq!((state.phase, reason), (before, RuleReason::NoValue)),
            }
            match reason {
                RuleReason::Fired => {
                    prop_assert!(!fires);
                    prop_assert!(now - bad_since.unwrap() >= hold * 1000);
                    fires = true;
                }
                RuleReason::Resolved => {
                    prop_assert!(fires && value.unwrap() <= clear.unwrap_or(80.0).max(0.0));
                    fires = false;
                }
                _ => {}
            }
            prop_assert_eq!(state.fires_since().is_some(), fires);
        }
    }
}
