#![allow(clippy::unwrap_used)]
use std::time::Duration;

use dixmgr_model::{Delivery, Health, UnitPhase, UnitStatus};
use proptest::prelude::*;

use super::*;

const T: u64 = 1_700_000_000_000;

fn policy() -> AlertPolicy {
    let mut rules = crate::defaults::rules();
    for rule in &mut rules {
        rule.hold = Duration::ZERO;
    }
    let (delivery, id_prefix) = (Delivery::default(), String::new());
    AlertPolicy { rules, delivery, routes: Vec::new(), maintenance: Vec::new(), id_prefix }
}

fn spec() -> ServiceSpec {
    serde_json::from_str(
        r#"{"name": "db", "workflow_id": "wf.svc.db", "ready_signal": "ready:svc:db", "labels": {"type": "database"},
            "target": {"unit": "db.service"}}"#,
    )
    .unwrap()
}

fn state() -> ServiceState {
    let unit = UnitStatus { phase: UnitPhase::Failed, result: "signal".to_owned(), ..UnitStatus::unknown() };
    ServiceState { unit, health: Health::healthy(), sync: None }
}

fn look(fold: &mut AlertFold, policy: &AlertPolicy, signal: Signal, value: f64, at: u64) -> Looked {
    let value = |rule: &Rule| if rule.signal == signal { Seen::Value(value) } else { Seen::Nothing };
    fold.look(policy, at, 90_000, value, |_, _, _| ())
}

/// As a workflow takes changes in.
fn learn(known: &mut KnownAlerts, changes: &AlertChanges) {
    known.retain(|print, _| !changes.resolved.contains(print));
    known.extend(changes.raised.iter().map(|raised| (raised.alert.fingerprint.clone(), raised.alert.severity)));
}

#[test]
fn only_rules_that_can_have_a_value_are_watched() {
    let kinds: Vec<_> = AlertFold::new(&policy(), &spec()).possible(&policy()).map(|(kind, _)| kind.name()).collect();
    let wanted = ["service_down", "high_cpu", "high_cpu", "high_memory", "high_memory", "high_disk_io", "restart_loop"];
    let beyond = ["unusual", "unusual", "unusual", "limit_ahead"];
    assert_eq!(kinds, [&wanted[..], &beyond].concat());
}

#[test]
fn a_worse_severity_escalates_the_one_alert() {
    let (policy, spec) = (policy(), spec());
    let mut fold = AlertFold::new(&policy, &spec);
    let mut known = KnownAlerts::new();
    look(&mut fold, &policy, Signal::Cpu, 90.0, T);
    let first = fold.changes(&policy, &spec, &known, &state());
    learn(&mut known, &first);
    look(&mut fold, &policy, Signal::Cpu, 97.0, T + 1);
    let second = fold.changes(&policy, &spec, &known, &state());
    learn(&mut known, &second);
    let [warning, critical] = [&first.raised[0].alert, &second.raised[0].alert];
    assert_eq!((warning.severity, critical.severity), (Severity::Warning, Severity::Critical));
    assert_eq!((&warning.fingerprint, warning.starts_at), (&critical.fingerprint, critical.starts_at));
    assert_eq!(critical.annotations["summary"], "db uses 97.0 % of a core");
    assert_eq!((known.len(), fold.active(&policy, &spec).len()), (1, 1));
    fold.known(&policy, &spec, &known, T + 2);
    look(&mut fold, &policy, Signal::Cpu, 3.0, T + 2);
    assert_eq!(fold.changes(&policy, &spec, &known, &state()).resolved, std::slice::from_ref(&warning.fingerprint));
}

#[test]
fn an_alert_says_what_it_is_about() {
    let (policy, spec) = (policy(), spec());
    let mut fold = AlertFold::new(&policy, &spec);
    look(&mut fold, &policy, Signal::Down, 1.0, T);
    let raised = fold.changes(&policy, &spec, &KnownAlerts::new(), &state()).raised.remove(0);
    assert_eq!(raised.workflow_id, format!("alert.{}", raised.alert.fingerprint));
    assert_eq!(raised.alert.annotations["summary"], "db is down");
    assert_eq!(raised.alert.annotations["description"], "the unit is failed (signal)");
    let labels: Vec<_> = raised.alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels, ["alertname=service_down", "service=db", "severity=critical", "type=database"]);
}

#[test]
fn a_cause_names_those_that_need_it() {
    let (policy, mut spec) = (policy(), spec());
    spec.dependents = (0..30).map(|n| format!("watch.wf.svc.web-{n}")).collect();
    let mut fold = AlertFold::new(&policy, &spec);
    look(&mut fold, &policy, Signal::Down, 1.0, T);
    let raised = fold.changes(&policy, &spec, &KnownAlerts::new(), &state()).raised.remove(0);
    let description = &raised.alert.annotations["description"];
    assert!(description.starts_with("the unit is failed (signal); needed by web-0, web-1, "), "{description}");
    assert!(description.ends_with("web-19 and 10 more"), "{description}");
}

#[test]
fn an_alert_whose_rule_is_gone_is_over_and_one_not_looked_at_yet_is_not() {
    let (policy, spec) = (policy(), spec());
    let known = KnownAlerts::from([("0123456789abcdef".to_owned(), Severity::Warning)]);
    let mut fold = AlertFold::new(&policy, &spec);
    assert_eq!(fold.changes(&policy, &spec, &known, &state()).resolved, ["0123456789abcdef"]);
    let down = KnownAlerts::from([(fingerprint(&policy.rules[0], &spec), Severity::Critical)]);
    assert!(fold.changes(&policy, &spec, &down, &state()).is_empty());
    fold.known(&policy, &spec, &down, T);
    assert_eq!(fold.active(&policy, &spec).len(), 1, "what the workflow knows holds until a look says otherwise");
    look(&mut fold, &policy, Signal::Down, 0.0, T + 1);
    assert_eq!(fold.changes(&policy, &spec, &down, &state()).resolved.len(), 1);
}

proptest! {
    /// Whatever happens, and however often either side starts anew: every alert that fired is told, and told to be over.
    #[test]
    fn who_was_told_of_a_beginning_is_told_of_the_end(
        steps in prop::collection::vec((0u8..4, 0.0..120.0f64), 1..60),
    ) {
        let (policy, spec) = (policy(), spec());
        let mut fold = AlertFold::new(&policy, &spec);
        let (mut known, mut now) = (KnownAlerts::new(), T);
        let (mut fired, mut told) = (0, 0);
        for (step, value) in steps {
            now += 1_000;
            match step {
                // The workflow asks anew, and hears what differs.
                0 => {
                    fold.known(&policy, &spec, &known, now);
                    let changes = fold.changes(&policy, &spec, &known, &state());
                    told += changes.raised.iter().filter(|raised| !known.contains_key(&raised.alert.fingerprint)).count();
                    learn(&mut known, &changes);
                    fold.known(&policy, &spec, &known, now);
                }
                // A crash: a heartbeat is all that is left.
                1 => {
                    let saved = fold.save(&policy);
                    fold = AlertFold::new(&policy, &spec);
                    fold.resume(&policy, &saved);
                    fold.known(&policy, &spec, &known, now);
                }
                _ => {
                    let before = fold.active(&policy, &spec).len();
                    look(&mut fold, &policy, Signal::Cpu, value, now);
                    // One that comes back before the workflow heard that it was over goes on, as far as it knows.
                    let began = fold.active(&policy, &spec).len() > before;
                    fired += usize::from(began && known.is_empty());
                }
            }
        }
        fold.known(&policy, &spec, &known, now);
        let changes = fold.changes(&policy, &spec, &known, &state());
        told += changes.raised.iter().filter(|raised| !known.contains_key(&raised.alert.fingerprint)).count();
        learn(&mut known, &changes);
        prop_assert_eq!(fired, told, "each alert that fired was told once");
        fold.known(&policy, &spec, &known, now);
        for look_at in 1..60 {
            look(&mut fold, &policy, Signal::Cpu, 1.0, now + look_at);
        }
        let last = fold.changes(&policy, &spec, &known, &state());
        learn(&mut known, &last);
        prop_assert!(known.is_empty(), "{:?}", known);
    }
}
