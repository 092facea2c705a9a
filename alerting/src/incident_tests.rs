#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use dixmgr_model::{AlertKind, Severity};

use super::*;

const T: u64 = 1_700_000_000_000;
const S: u64 = 1_000;

fn raised(severity: Severity, at: u64, group: &str) -> RaisedAlert {
    let alert = Alert {
        fingerprint: "00ff".to_owned(),
        kind: AlertKind::HighCpu,
        service: "db".to_owned(),
        severity,
        rule: "high_cpu".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: at,
    };
    let delivery = Delivery::default();
    let group = AlertGroup { workflow_id: group.to_owned(), labels: BTreeMap::new() };
    RaisedAlert { alert, workflow_id: String::new(), delivery, group, lacking: BTreeSet::new() }
}

fn incident() -> Incident {
    Incident::new(raised(Severity::Warning, T, "cpu"), BTreeSet::new(), T)
}

/// Group, status, and whether it is told elsewhere now.
fn reports(incident: &mut Incident) -> Vec<(String, AlertStatus, bool)> {
    let reports = incident.take_reports().into_iter();
    reports.map(|to| (to.group.workflow_id, to.report.status, to.report.moved)).collect()
}

fn to(group: &str, status: AlertStatus, moved: bool) -> (String, AlertStatus, bool) {
    (group.to_owned(), status, moved)
}

#[test]
fn each_change_is_reported_once() {
    let mut incident = incident();
    assert_eq!(reports(&mut incident), [to("cpu", AlertStatus::Firing, false)]);
    assert_eq!(reports(&mut incident), []);
    incident.acknowledge(Note { by: "ann".to_owned(), comment: String::new() }, T + S);
    let report = incident.take_reports().remove(0);
    assert!(report.report.acknowledged && report.opens());
    incident.report_again();
    assert_eq!(reports(&mut incident).len(), 1, "what did not arrive is said again");
    incident.resolve(T + 2 * S);
    assert!(!incident.is_done(T + 400 * S), "nobody has heard of it");
    assert_eq!(reports(&mut incident), [to("cpu", AlertStatus::Resolved, false)]);
    assert!(!incident.is_done(T + 301 * S), "it may come back within the dedupe window");
    assert!(incident.is_done(T + 302 * S));
}

#[test]
fn what_has_a_cause_is_not_reported_until_it_outlives_it() {
    let mut incident = Incident::new(raised(Severity::Warning, T, "cpu"), BTreeSet::from(["net".to_owned()]), T);
    assert_eq!(reports(&mut incident), []);
    incident.set_causes(BTreeSet::new(), T + S);
    assert_eq!(reports(&mut incident), [to("cpu", AlertStatus::Firing, false)]);
    incident.set_causes(BTreeSet::from(["net".to_owned()]), T + 2 * S);
    let report = incident.take_reports().remove(0);
    assert!(
        report.report.suppressed && !report.opens(),
        "who was told of it hears that nothing is to be said any more"
    );
    incident.resolve(T + 3 * S);
    assert_eq!(reports(&mut incident), [to("cpu", AlertStatus::Resolved, false)]);
}

#[test]
fn what_a_look_took_for_the_cause_holds_until_somebody_knows() {
    let lacking = RaisedAlert { lacking: BTreeSet::from(["net".to_owned()]), ..raised(Severity::Warning, T, "cpu") };
    let new = || {
        let mut incident = Incident::new(lacking.clone(), BTreeSet::new(), T);
        assert_eq!((reports(&mut incident), incident.wake_at()), (vec![], Some(T + 120 * S)));
        incident
    };
    let fires = || [to("cpu", AlertStatus::Firing, false)];
    let mut confirmed = new();
    confirmed.set_causes(BTreeSet::from(["net".to_owned()]), T + S);
    confirmed.expire(T + 120 * S);
    assert!(reports(&mut confirmed).is_empty() && confirmed.is_suppressed());
    confirmed.set_causes(BTreeSet::new(), T + 200 * S);
    assert_eq!(reports(&mut confirmed), fires());
    let mut denied = new();
    denied.set_causes(BTreeSet::new(), T + S);
    assert_eq!(reports(&mut denied), fires());
    let mut left = new();
    left.expire(T + 120 * S);
    assert_eq!(reports(&mut left), fires());
}

#[test]
fn an_alert_that_changes_its_group_ends_in_both() {
    let mut incident = incident();
    reports(&mut incident);
    incident.raise(raised(Severity::Critical, T, "pager"), BTreeSet::new(), T + S);
    let both = [to("cpu", AlertStatus::Firing, true), to("pager", AlertStatus::Firing, false)];
    assert_eq!(reports(&mut incident), both);
    incident.resolve(T + 2 * S);
    let both = [to("cpu", AlertStatus::Resolved, true), to("pager", AlertStatus::Resolved, false)];
    assert_eq!(reports(&mut incident), both);
    incident.raise(raised(Severity::Warning, T, "cpu"), BTreeSet::new(), T + 3 * S);
    assert_eq!(reports(&mut incident), [to("pager", AlertStatus::Firing, true), to("cpu", AlertStatus::Firing, false)]);
}

#[test]
fn all_that_happens_stands_in_the_ledger() {
    let mut incident = incident();
    incident.silence(Silence { until: T + 100 * S, note: Note::default() }, T);
    incident.silence(Silence { until: T, note: Note::default() }, T + S);
    incident.set_causes(BTreeSet::from(["net".to_owned()]), T + 2 * S);
    incident.raise(raised(Severity::Critical, T, "cpu"), BTreeSet::new(), T + 3 * S);
    incident.resolve(T + 4 * S);
    let what: Vec<&str> = incident.ledger.entries.iter().map(|entry| entry.what.as_str()).collect();
    let wanted = ["fired", "silenced", "unsilenced", "suppressed", "escalated", "unsuppressed", "resolved"];
    assert_eq!(what, wanted);
    let restored: Incident = serde_json::from_str(&serde_json::to_string(&incident).unwrap()).unwrap();
    assert_eq!(restored, incident);
}
