//! What a watch reports, and when; without hub, bus or clock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use dixmgr_alerting::defaults;
use dixmgr_alerting::health::CheckVerdict;
use dixmgr_model::{AlertPolicy, Delivery, Health, KnownAlerts, Plan, ServiceSpec, Severity};

use super::*;
use crate::http::HttpChecker;
use crate::in_force::InForce;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::watch::board::Board;
use crate::watch::probe::{ProbeId, ProbeResult};

/// A service named `name`, of the unit `<name>.service`, without checks.
pub(crate) fn spec(name: &str) -> ServiceSpec {
    serde_json::from_value(serde_json::json!({
        "name": name,
        "workflow_id": format!("wf.svc.{name}"),
        "ready_signal": format!("ready:svc:{name}"),
        "target": { "unit": format!("{name}.service") },
    }))
    .unwrap()
}

fn checked_spec() -> ServiceSpec {
    let mut spec = spec("a");
    spec.probes.http = vec![serde_json::from_str(r#"{"url": "http://localhost/"}"#).unwrap()];
    spec
}

/// Rules of which none ever fires.
fn no_rules() -> Arc<AlertPolicy> {
    Arc::new(AlertPolicy {
        rules: Vec::new(),
        delivery: Delivery::default(),
        routes: Vec::new(),
        maintenance: Vec::new(),
        id_prefix: String::new(),
    })
}

/// A configuration with these services, and nothing about alerts.
pub(crate) fn in_force(plan: Arc<Plan>) -> Arc<InForce> {
    let notifier = Notifier::new(Vec::new(), HttpChecker::new(), &Metrics::new("dixmgr").unwrap());
    Arc::new(InForce { plan, alerts: no_rules(), notifier: Arc::new(notifier), dead_man: None })
}

/// The default rules.
fn default_rules() -> Arc<AlertPolicy> {
    Arc::new(AlertPolicy { rules: defaults::rules(), ..(*no_rules()).clone() })
}

struct Fixture {
    entry: Entry,
    metrics: Metrics,
    looks: u64,
}

type Report = oneshot::Receiver<WatchReport>;

impl Fixture {
    fn new(spec: ServiceSpec) -> Self {
        Self::judged_by(spec, no_rules())
    }

    fn judged_by(spec: ServiceSpec, policy: Arc<AlertPolicy>) -> Self {
        let metrics = Metrics::new("dixmgr").unwrap();
        let handles = metrics.service(&spec);
        let alerts = Alerts::new(policy, &spec, &handles, metrics.alerts());
        let telling = Telling::new(Board::default().slot(&spec.name), &spec.name, None);
        Self { entry: Entry::new(Arc::new(spec), handles, alerts, telling), metrics, looks: 0 }
    }

    fn watch(&mut self, known: impl Into<Known>, resume: Option<WatchProgress>) -> Report {
        let (report, receiver) = oneshot::channel();
        let (progress, _) = watch::channel(None);
        let spec = Arc::clone(&self.entry.spec);
        let handles = self.metrics.service(&spec);
        self.entry.watch(
            Registration { spec, known: known.into(), resume: resume.map(Arc::new), report, progress },
            handles,
            self.looks + 1,
            Duration::ZERO,
        );
        receiver
    }

    fn see(&mut self, phase: UnitPhase, invocation: &str, at: u64) -> Seen {
        self.looks += 1;
        let status = UnitStatus { phase, invocation_id: invocation.into(), main_pid: 7, result: "success".into() };
        let seen = self.entry.seen(status, self.looks, Duration::from_secs(at));
        self.entry.report();
        seen
    }

    fn check(&mut self, verdict: CheckVerdict, at: u64) {
        let result = ProbeResult::Http { verdict, answered_in: None };
        self.entry.checked(ProbeId::Http(0), result, Duration::from_secs(at));
        self.entry.report();
    }

    fn downtime(&self) -> f64 {
        self.metrics.service(&self.entry.spec).downtime_seconds()
    }
}

fn told(report: &mut Report) -> Option<ServiceState> {
    report.try_recv().ok().map(|report| report.state)
}

fn failed() -> CheckVerdict {
    CheckVerdict::Failed("refused".into())
}

fn state(phase: UnitPhase, invocation: &str, health: HealthStatus) -> ServiceState {
    let unit = UnitStatus { phase, invocation_id: invocation.into(), main_pid: 7, result: "success".into() };
    ServiceState { unit, health: Health { status: health, detail: String::new() }, sync: None }
}

#[test]
fn the_first_watch_reports_the_first_look() {
    let mut fixture = Fixture::new(spec("a"));
    let mut report = fixture.watch(None, None);
    assert_eq!(told(&mut report), None);
    fixture.see(UnitPhase::Active, "1", 0);
    assert_eq!(told(&mut report), Some(state(UnitPhase::Active, "1", HealthStatus::Healthy)));
}

#[test]
fn with_checks_the_first_look_is_complete_when_they_have_run() {
    let mut fixture = Fixture::new(checked_spec());
    let mut report = fixture.watch(None, None);
    assert_eq!(fixture.see(UnitPhase::Active, "1", 0), Seen { changed: true, check: true });
    assert_eq!(told(&mut report), None);
    fixture.check(failed(), 1);
    assert_eq!(told(&mut report).unwrap().health.status, HealthStatus::Unknown, "it may still be starting");
    // A unit that does not run has nothing to be checked.
    let mut stopped = Fixture::new(checked_spec());
    let mut report = stopped.watch(None, None);
    stopped.see(UnitPhase::Inactive, "", 0);
    assert_eq!(told(&mut report).unwrap().unit.phase, UnitPhase::Inactive);
}

#[test]
fn a_watch_ends_with_a_change_and_only_then() {
    let mut fixture = Fixture::new(spec("a"));
    let mut report = fixture.watch(Some(state(UnitPhase::Active, "1", HealthStatus::Healthy)), None);
    for at in 0..5 {
        fixture.see(UnitPhase::Active, "1", at);
    }
    assert_eq!(told(&mut report), None);
    fixture.see(UnitPhase::Failed, "1", 6);
    assert_eq!(told(&mut report).unwrap().unit.phase, UnitPhase::Failed);
}

#[test]
fn an_unreachable_manager_is_no_change() {
    let mut fixture = Fixture::new(spec("a"));
    let mut report = fixture.watch(Some(state(UnitPhase::Active, "1", HealthStatus::Healthy)), None);
    // Nothing is seen at all, so nothing is told.
    fixture.entry.report();
    assert_eq!(told(&mut report), None);
}

#[test]
fn looks_that_began_before_the_watch_or_before_a_newer_look_are_void() {
    let mut fixture = Fixture::new(spec("a"));
    fixture.see(UnitPhase::Failed, "1", 0);
    let mut report = fixture.watch(Some(state(UnitPhase::Active, "2", HealthStatus::Healthy)), None);
    fixture.entry.report();
    assert_eq!(told(&mut report), None, "what was seen before the restart says nothing about after");
    let old = UnitStatus { phase: UnitPhase::Failed, ..UnitStatus::unknown() };
    fixture.see(UnitPhase::Active, "2", 1);
    assert_eq!(fixture.entry.seen(old, 1, Duration::from_secs(2)), Seen::default());
    fixture.entry.report();
    assert_eq!(told(&mut report), None);
}

#[test]
fn what_the_workflow_knew_holds_until_the_checks_know_better() {
    let known = state(UnitPhase::Active, "1", HealthStatus::Healthy);
    let mut fixture = Fixture::new(checked_spec());
    let mut report = fixture.watch(Some(known.clone()), None);
    fixture.see(UnitPhase::Active, "1", 0);
    fixture.check(failed(), 0);
    assert_eq!(told(&mut report), None, "one failure after a restart of dixmgr is no illness");
    fixture.check(failed(), 30);
    fixture.check(failed(), 60);
    let sick = told(&mut report).unwrap();
    assert_eq!((sick.health.status, sick.health.detail.as_str()), (HealthStatus::Unhealthy, "refused"));
    // Another run: what was known of the one before is void.
    let mut fixture = Fixture::new(checked_spec());
    let mut report = fixture.watch(Some(known), None);
    fixture.see(UnitPhase::Active, "2", 0);
    assert_eq!(told(&mut report).unwrap().health.status, HealthStatus::Unknown);
}

#[test]
fn a_new_run_is_checked_from_the_start() {
    let mut fixture = Fixture::new(checked_spec());
    fixture.see(UnitPhase::Active, "1", 0);
    fixture.check(CheckVerdict::Passed, 0);
    let epoch = fixture.entry.epoch;
    assert_eq!(fixture.see(UnitPhase::Failed, "1", 1), Seen { changed: true, check: false });
    assert_eq!(fixture.see(UnitPhase::Active, "2", 2), Seen { changed: true, check: true });
    assert!(fixture.entry.epoch > epoch);
    assert_eq!(fixture.entry.state().health.status, HealthStatus::Unknown);
}

#[test]
fn a_retried_watch_goes_on_from_its_heartbeat() {
    let mut first = Fixture::new(checked_spec());
    first.see(UnitPhase::Active, "1", 0);
    first.check(CheckVerdict::Passed, 0);
    first.check(failed(), 30);
    first.check(failed(), 60);
    let (health, _) = first.entry.readiness.folds();
    let resume = WatchProgress {
        state: first.entry.state(),
        health: health.clone(),
        sync: None,
        alerts: Vec::new(),
        restarts: Vec::new(),
    };
    let known = Some(state(UnitPhase::Active, "1", HealthStatus::Healthy));

    let mut second = Fixture::new(checked_spec());
    let mut report = second.watch(known.clone(), Some(resume.clone()));
    second.see(UnitPhase::Active, "1", 90);
    second.check(failed(), 90);
    assert_eq!(told(&mut report).unwrap().health.status, HealthStatus::Unhealthy, "the third failure in a row");

    let mut other_run = Fixture::new(checked_spec());
    let mut report = other_run.watch(known, Some(resume));
    other_run.see(UnitPhase::Active, "2", 90);
    assert_eq!(told(&mut report).unwrap().health.status, HealthStatus::Unknown, "the folds were of another run");
}

#[test]
fn downtime_is_exact() {
    let mut fixture = Fixture::new(spec("a"));
    fixture.see(UnitPhase::Active, "1", 100);
    fixture.see(UnitPhase::Failed, "1", 117);
    fixture.see(UnitPhase::Activating, "2", 130);
    fixture.see(UnitPhase::Active, "2", 131);
    fixture.see(UnitPhase::Active, "2", 500);
    assert!((fixture.downtime() - 14.0).abs() < 1e-9, "{}", fixture.downtime());
}

#[test]
fn illness_counts_from_its_first_failed_check() {
    let mut fixture = Fixture::new(checked_spec());
    fixture.see(UnitPhase::Active, "1", 0);
    fixture.check(CheckVerdict::Passed, 0);
    fixture.check(failed(), 30);
    fixture.check(failed(), 60);
    assert!(fixture.downtime().abs() < 1e-9);
    fixture.check(failed(), 90);
    assert!((fixture.downtime() - 60.0).abs() < 1e-9, "{}", fixture.downtime());
    fixture.check(CheckVerdict::Passed, 120);
    assert!((fixture.downtime() - 90.0).abs() < 1e-9, "{}", fixture.downtime());
}

#[test]
fn a_finished_unit_that_systemd_dropped_from_memory_is_still_finished() {
    let mut fixture = Fixture::new(spec("a"));
    fixture.see(UnitPhase::Completed, "1", 0);
    let mut report = fixture.watch(Some(state(UnitPhase::Completed, "1", HealthStatus::Healthy)), None);
    assert_eq!(fixture.see(UnitPhase::Inactive, "", 1), Seen::default());
    assert_eq!(told(&mut report), None);
    fixture.see(UnitPhase::Failed, "2", 2);
    assert!(told(&mut report).is_some());
}

#[test]
fn a_second_watch_takes_the_place_of_the_first() {
    let mut fixture = Fixture::new(spec("a"));
    let mut first = fixture.watch(None, None);
    let mut second = fixture.watch(None, None);
    fixture.see(UnitPhase::Active, "1", 0);
    assert!(matches!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    assert!(told(&mut second).is_some());
}

fn page(fixture: &Fixture) -> String {
    fixture.metrics.encode().unwrap()
}

#[test]
fn a_death_is_reported_with_its_alert_and_the_recovery_with_its_end() {
    let mut fixture = Fixture::judged_by(spec("a"), default_rules());
    let mut report = fixture.watch(Some(state(UnitPhase::Active, "1", HealthStatus::Healthy)), None);
    fixture.see(UnitPhase::Active, "1", 0);
    fixture.see(UnitPhase::Failed, "1", 1);
    let first = report.try_recv().unwrap();
    let alert = first.alerts.raised[0].alert.clone();
    assert_eq!((alert.kind.name(), alert.starts_at), ("service_down", 1_000));
    let series = "alert_type=\"service_down\",severity=\"critical\"";
    assert!(page(&fixture).contains(&format!("dixmgr_alerts_active{{{series}}} 1")), "{}", page(&fixture));
    // It is back before the workflow asks again: it hears of the beginning all the same, and then of the end.
    fixture.see(UnitPhase::Active, "2", 2);
    let known = Known { state: Some(state(UnitPhase::Active, "2", HealthStatus::Healthy)), ..Known::default() };
    let mut unaware = fixture.watch(known.clone(), None);
    fixture.see(UnitPhase::Active, "2", 3);
    assert_eq!(unaware.try_recv().unwrap().alerts.raised.len(), 1);
    let alerts = [(alert.fingerprint.clone(), alert.severity)].into();
    let mut aware = fixture.watch(Known { alerts, ..known }, None);
    fixture.see(UnitPhase::Active, "2", 4);
    assert_eq!(aware.try_recv().unwrap().alerts.resolved, [alert.fingerprint]);
    assert!(page(&fixture).contains(&format!("dixmgr_alerts_active{{{series}}} 0")), "{}", page(&fixture));
    assert!(page(&fixture).contains(&format!("dixmgr_alerts_fired_total{{{series},service=\"a\"}} 1")));
}

#[test]
fn restarts_are_counted_within_their_window_and_over_a_restart_of_ours() {
    let mut fixture = Fixture::judged_by(spec("a"), default_rules());
    fixture.see(UnitPhase::Active, "1", 1_000);
    fixture.see(UnitPhase::Active, "2", 1_010);
    fixture.see(UnitPhase::Active, "3", 1_020);
    assert!(fixture.entry.alerts.changes(&spec("a"), &KnownAlerts::default(), &fixture.entry.state()).is_empty());
    let (health, _) = fixture.entry.readiness.folds();
    let (alerts, restarts) = fixture.entry.alerts.save();
    let resume = WatchProgress { state: fixture.entry.state(), health: health.clone(), sync: None, alerts, restarts };
    let mut again = Fixture::judged_by(spec("a"), default_rules());
    let mut report = again.watch(None, Some(resume));
    // The third restart was made while nobody looked.
    again.see(UnitPhase::Active, "4", 1_030);
    let raised = report.try_recv().unwrap().alerts.raised;
    assert_eq!(raised[0].alert.annotations["summary"], "a was restarted 3 times in 5m");
}

#[test]
fn another_policy_judges_at_once_and_what_fires_goes_on_or_is_over() {
    let mut fixture = Fixture::judged_by(spec("a"), default_rules());
    let mut report = fixture.watch(Some(state(UnitPhase::Active, "1", HealthStatus::Healthy)), None);
    fixture.see(UnitPhase::Active, "1", 0);
    fixture.see(UnitPhase::Failed, "1", 1);
    let alert = report.try_recv().unwrap().alerts.raised[0].alert.clone();
    let dead = Some(state(UnitPhase::Failed, "1", HealthStatus::Unknown));
    let known = Known { alerts: [(alert.fingerprint.clone(), alert.severity)].into(), state: dead };
    // Milder: the same alert, raised again for its severity.
    let mut milder = (*default_rules()).clone();
    milder.rules.iter_mut().for_each(|rule| rule.severity = Severity::Info);
    let mut report = fixture.watch(known.clone(), None);
    fixture.see(UnitPhase::Failed, "1", 2);
    let _ = report.try_recv();
    let mut report = fixture.watch(known.clone(), None);
    fixture.entry.judge_by(&Arc::new(milder), Duration::from_secs(3));
    fixture.see(UnitPhase::Failed, "1", 3);
    let raised = report.try_recv().unwrap().alerts.raised.remove(0).alert;
    assert_eq!((raised.fingerprint.as_str(), raised.severity), (alert.fingerprint.as_str(), Severity::Info));
    assert_eq!(raised.starts_at, alert.starts_at, "it fires since it began");
    // No rule is for it any more.
    let mut report = fixture.watch(known, None);
    fixture.entry.judge_by(&no_rules(), Duration::from_secs(4));
    fixture.see(UnitPhase::Failed, "1", 4);
    assert_eq!(report.try_recv().unwrap().alerts.resolved, [alert.fingerprint]);
    assert!(page(&fixture).contains("dixmgr_alerts_active{alert_type=\"service_down\",severity=\"critical\"} 0"));
}
