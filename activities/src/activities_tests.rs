//! What the activities do around the unit manager: dry runs, counts, errors, pages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Mutex;

use async_trait::async_trait;
use dixmgr_model::UnitPhase;
use tokio::sync::broadcast;

use super::*;
use crate::watch::tests::spec;

/// A manager of units that always run, and that notes what it is told to do.
struct Scripted {
    outcome: Result<ActionOutcome, ManagerError>,
    acted: Mutex<Vec<(Verb, String)>>,
    changes: broadcast::Sender<String>,
}

fn running() -> UnitStatus {
    UnitStatus { phase: UnitPhase::Active, invocation_id: "1".into(), main_pid: 7, result: "success".into() }
}

#[async_trait]
impl UnitManager for Scripted {
    async fn track(&self, _target: &TrackedUnit) -> Result<(), ManagerError> {
        Ok(())
    }

    async fn statuses(&self, units: &[String]) -> Result<Vec<UnitStatus>, ManagerError> {
        Ok(units.iter().map(|_| running()).collect())
    }

    fn changes(&self) -> broadcast::Receiver<String> {
        self.changes.subscribe()
    }

    async fn processes(&self, _unit: &str) -> Result<Vec<u32>, ManagerError> {
        Ok(vec![std::process::id()])
    }

    async fn act(&self, action: &Action) -> Result<ActionReport, ManagerError> {
        self.acted.lock().unwrap().push((action.verb, action.replaces.clone()));
        let outcome = self.outcome.clone()?;
        Ok(ActionReport { outcome, unit: running(), detail: String::new() })
    }
}

fn activities(mode: Mode, outcome: Result<ActionOutcome, ManagerError>) -> (Activities, Arc<Scripted>) {
    let manager = Arc::new(Scripted { outcome, acted: Mutex::default(), changes: broadcast::Sender::new(8) });
    let plan = Arc::new(Plan { revision: "r".into(), services: vec![spec("a")] });
    let options = ActivitiesOptions {
        mode,
        manager: Arc::clone(&manager) as Arc<dyn UnitManager>,
        metrics: Metrics::new("dixmgr").unwrap(),
        in_force: watch::channel(crate::watch::tests::in_force(plan)).1,
        http: HttpChecker::new(),
        breakers: crate::breakers::CircuitBreakers::default(),
        board: Board::default(),
        history: None,
        disk: crate::disk::Disk::default(),
        engine: tokio::sync::watch::channel(None).1,
    };
    (Activities::new(options), manager)
}

fn request(replaces: &str) -> ActionRequest {
    ActionRequest {
        service: "a".into(),
        kind: String::new(),
        target: Target::Unit("a.service".into()),
        replaces: replaces.into(),
        reason: "test".into(),
        timeout: Duration::from_secs(1),
    }
}

fn restarts(activities: &Activities) -> u64 {
    activities.options.metrics.service(&spec("a")).restarts()
}

#[tokio::test]
async fn a_dry_run_touches_nothing() {
    let (activities, manager) = activities(Mode::Watch, Ok(ActionOutcome::Done));
    for verb in [Verb::Start, Verb::Stop, Verb::Restart] {
        let report = activities.act(1, verb, request("1")).await.unwrap();
        assert_eq!((report.outcome, report.unit), (ActionOutcome::WouldDo, running()));
    }
    assert!(manager.acted.lock().unwrap().is_empty());
    assert_eq!(restarts(&activities), 0);
}

#[tokio::test]
async fn restarts_are_counted_when_they_were_carried_out() {
    let table = [
        (Verb::Restart, "1", ActionOutcome::Done, 1),
        (Verb::Restart, "1", ActionOutcome::Failed, 1),
        (Verb::Start, "1", ActionOutcome::Done, 1),
        (Verb::Start, "", ActionOutcome::Done, 0),
        (Verb::Stop, "1", ActionOutcome::Done, 0),
        (Verb::Restart, "1", ActionOutcome::AlreadyDone, 0),
        (Verb::Restart, "1", ActionOutcome::Refused, 0),
    ];
    for (verb, replaces, outcome, expected) in table {
        let (activities, manager) = activities(Mode::Exec, Ok(outcome));
        let report = activities.act(1, verb, request(replaces)).await.unwrap();
        assert_eq!(report.outcome, outcome);
        assert_eq!(restarts(&activities), expected, "{verb:?} {replaces:?} {outcome:?}");
        assert_eq!(*manager.acted.lock().unwrap(), [(verb, replaces.to_owned())]);
    }
}

#[tokio::test]
async fn an_operator_replaces_the_run_that_is_there() {
    let (activities, manager) = activities(Mode::Exec, Ok(ActionOutcome::Done));
    activities.operate(1, Verb::Restart, "a.service".into()).await.unwrap();
    assert_eq!(*manager.acted.lock().unwrap(), [(Verb::Restart, "1".to_owned())]);
    assert_eq!(restarts(&activities), 1, "the unit is a service of the plan");
}

#[tokio::test]
async fn errors_say_whether_another_try_may_help() {
    let away = ManagerError::Unreachable { manager: "systemd", detail: "away".into() };
    let (activities, _) = activities(Mode::Exec, Err(away));
    let failure = |error: ActivityError| match error {
        ActivityError::Application(failure) => (failure.type_name().map(str::to_owned), failure.is_non_retryable()),
        other => panic!("{other:?}"),
    };
    let unreachable = activities.act(1, Verb::Start, request("1")).await.unwrap_err();
    assert_eq!(failure(unreachable), (Some("ManagerUnreachable".into()), false));
    let nameless = ActionRequest { target: Target::Unit(String::new()), ..request("1") };
    let bad = activities.act(1, Verb::Start, nameless).await.unwrap_err();
    assert_eq!(failure(bad), (Some("BadInput".into()), true));
    let check: HttpCheck = serde_json::from_str(r#"{"url": "not a url"}"#).unwrap();
    let bad = activities.check_http(&check).await.unwrap_err();
    assert_eq!(failure(bad), (Some("BadInput".into()), true));
}

#[tokio::test]
async fn one_look_at_resources() {
    let (_, manager) = activities(Mode::Exec, Ok(ActionOutcome::Done));
    let report = resources(manager.as_ref(), "a.service").await.unwrap();
    assert_eq!(report.processes, 1);
    assert!(report.memory_bytes > 0 && report.cpu_percent >= 0.0);
}

#[test]
fn a_plan_is_read_page_by_page() {
    let services: Vec<ServiceSpec> = (0..450).map(|index| spec(&format!("s{index}"))).collect();
    let plan = Plan { revision: "r".into(), services };
    let mut read = Vec::new();
    let mut from = Some(0);
    while let Some(index) = from {
        let page = page(&plan, index).unwrap();
        assert!(page.services.len() <= PAGE);
        read.extend(page.services);
        from = page.next;
    }
    assert_eq!(read, plan.services);
    assert!(page(&plan, 450).unwrap().services.is_empty());
    assert!(page(&plan, 451).is_err());
}
