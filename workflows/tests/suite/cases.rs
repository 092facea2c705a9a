//! The cases. Each names what must hold, and counts how often the world was touched.

use std::time::Duration;

use dixmgr_model::{HealthStatus, UnitPhase};
use dixmgr_workflows::restart::{Reason, Standing};
use dixmgr_workflows::{ClusterWorkflow, InfrastructureWorkflow, NodeInput};
use futures_util::FutureExt;
use temporalio_client::WorkflowSignalOptions;

use super::alerts::{
    a_caused_alert_is_told_when_it_outlives_its_cause, a_service_that_is_let_go_leaves_no_alert_behind,
    alerts_of_one_group_are_told_together, an_alert_is_told_and_told_to_be_over,
};
use super::harness::{Harness, events, record, sorted, until_cluster, until_infrastructure};
use super::run::Case;
use super::silences::{
    maintenance_windows_are_silences_and_follow_the_configuration, silences_and_subscribers_outlive_a_run,
    subscribers_are_told_of_silences_at_once_and_of_every_change,
};

/// Names each case after its function.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => { &[$((stringify!($case), |harness| $case(harness).boxed_local())),+] };
}

/// Every case.
pub const ALL: &[Case] = cases![
    a_crash_is_restarted_exactly_once,
    a_unit_that_never_ran_is_started,
    a_flapping_service_is_quarantined_and_an_operator_frees_it,
    a_paused_service_is_left_alone,
    what_comes_back_by_itself_is_not_restarted,
    poor_health_is_reported_and_by_policy_restarted,
    a_missing_unit_is_taken_up_when_it_appears,
    a_dry_run_touches_nothing_and_does_not_insist,
    a_dependent_starts_after_what_it_needs,
    a_dependent_may_start_first,
    a_lost_dependency_holds_a_restart_back,
    a_dependency_timeout_is_recorded_and_the_wait_goes_on,
    runs_hand_over_without_loss_under_load,
    an_unchanged_service_makes_no_history,
    a_new_specification_is_followed,
    a_plan_is_applied_by_difference,
    a_long_plan_is_read_in_short_runs,
    a_cluster_has_a_quorum_and_is_replaced_one_by_one,
    a_cluster_that_needs_every_replica_is_not_rolled,
    an_alert_is_told_and_told_to_be_over,
    a_caused_alert_is_told_when_it_outlives_its_cause,
    a_service_that_is_let_go_leaves_no_alert_behind,
    alerts_of_one_group_are_told_together,
    subscribers_are_told_of_silences_at_once_and_of_every_change,
    maintenance_windows_are_silences_and_follow_the_configuration,
    silences_and_subscribers_outlive_a_run,
];

async fn a_crash_is_restarted_exactly_once(harness: Harness) {
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready && status.standing == Standing::Ready).await;
    harness.world.dies("db.service");
    let status = db.until("restarted", |status| status.reason == Reason::Restarted && status.ready).await;
    assert_eq!((status.restarts_in_window, status.streak), (1, 1));
    tokio::time::sleep(Duration::from_millis(700)).await;
    let effects = harness.world.effects("db.service");
    assert_eq!(effects.len(), 1, "{effects:?}");
    assert_eq!((effects[0].replaced.as_str(), effects[0].reason.as_str()), ("invocation-1", "unit_failed"));
    db.stop_watching().await;
    db.until_closed().await;
    assert_eq!(harness.world.effects("db.service").len(), 1);
    harness.until("the closed run is counted", |_| harness.closed_nodes("completed") == 1).await;
    db.record("node-crash").await;
}

async fn a_unit_that_never_ran_is_started(harness: Harness) {
    harness.world.change("db.service", |_| {});
    let db = harness.start_node(harness.spec("db")).await;
    let status = db.until("started", |status| status.ready).await;
    assert_eq!((status.reason, status.restarts_in_window), (Reason::Started, 0));
    assert_eq!(harness.world.effects("db.service")[0].reason, "first_start");
}

async fn a_flapping_service_is_quarantined_and_an_operator_frees_it(harness: Harness) {
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    for round in 1..=3 {
        db.until("a short healthy look", |status| status.ready).await;
        harness.world.dies("db.service");
        harness.until("the next restart", |world| world.effects("db.service").len() == round).await;
    }
    db.until("a short healthy look", |status| status.ready).await;
    harness.world.dies("db.service");
    let status = db.until("quarantine", |status| status.standing == Standing::Quarantined).await;
    assert_eq!((status.reason, status.restarts_in_window), (Reason::RestartLimit, 3));
    let effects = harness.world.effects("db.service");
    let waits: Vec<_> = effects.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waits[0] >= Duration::from_millis(240) && waits[1] >= Duration::from_millis(480), "{waits:?}");
    db.restart_now().await;
    let status = db.until("freed", |status| status.standing == Standing::Ready).await;
    assert_eq!((status.reason, status.restarts_in_window), (Reason::Restarted, 0));
    assert_eq!(harness.world.effects("db.service").len(), 4);
    db.record("node-quarantine").await;
}

async fn a_paused_service_is_left_alone(harness: Harness) {
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready).await;
    db.pause().await;
    db.until("paused", |status| status.standing == Standing::Paused).await;
    harness.world.dies("db.service");
    db.until("seen dead", |status| !status.ready).await;
    db.restart_now().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(harness.world.effects("db.service").len(), 0);
    db.resume().await;
    db.until("restarted", |status| status.ready).await;
    assert_eq!(harness.world.effects("db.service").len(), 1);
}

async fn what_comes_back_by_itself_is_not_restarted(harness: Harness) {
    let mut spec = harness.spec("db");
    spec.restart.initial_backoff = Duration::from_secs(300);
    spec.restart.max_backoff = Duration::from_secs(300);
    harness.world.runs("db.service");
    let db = harness.start_node(spec).await;
    db.until("ready", |status| status.ready).await;
    harness.world.dies("db.service");
    db.until("restarted", |status| status.ready && status.streak == 1).await;
    harness.world.dies("db.service");
    db.until("backing off", |status| status.standing == Standing::BackingOff).await;
    harness.world.runs("db.service");
    let status = db.until("recovered", |status| status.ready).await;
    assert_eq!((status.reason, status.streak), (Reason::RecoveredByItself, 1));
    assert_eq!(harness.world.effects("db.service").len(), 1);
}

async fn poor_health_is_reported_and_by_policy_restarted(harness: Harness) {
    harness.world.runs("db.service");
    let mut spec = harness.spec("db");
    let db = harness.start_node(spec.clone()).await;
    db.until("ready", |status| status.ready).await;
    harness.world.change("db.service", |unit| unit.health = HealthStatus::Unhealthy);
    db.until("degraded", |status| status.reason == Reason::Degraded && !status.ready).await;
    assert_eq!(harness.world.effects("db.service").len(), 0);
    harness.world.change("db.service", |unit| unit.health = HealthStatus::Healthy);
    db.until("well again", |status| status.ready).await;
    spec.restart.on_unhealthy = true;
    db.update_spec(spec).await;
    harness.world.change("db.service", |unit| unit.health = HealthStatus::Unhealthy);
    harness.until("a restart", |world| world.effects("db.service").len() == 1).await;
    harness.world.change("db.service", |unit| unit.health = HealthStatus::Healthy);
    db.until("well again", |status| status.ready).await;
    assert_eq!(harness.world.effects("db.service")[0].reason, "unhealthy");
}

async fn a_missing_unit_is_taken_up_when_it_appears(harness: Harness) {
    let db = harness.start_node(harness.spec("db")).await;
    db.until("missing", |status| status.reason == Reason::UnitMissing).await;
    harness.world.change("db.service", |unit| unit.phase = UnitPhase::Masked);
    db.until("masked", |status| status.reason == Reason::UnitMasked).await;
    assert_eq!(harness.world.effects("db.service").len(), 0);
    harness.world.change("db.service", |unit| unit.phase = UnitPhase::Inactive);
    db.until("started", |status| status.ready).await;
    assert_eq!(harness.world.effects("db.service").len(), 1);
}

async fn a_dry_run_touches_nothing_and_does_not_insist(harness: Harness) {
    harness.world.set_dry_run();
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready).await;
    harness.world.dies("db.service");
    let status = db.until("quarantine", |status| status.standing == Standing::Quarantined).await;
    assert_eq!(status.restarts_in_window, 3);
    assert_eq!(harness.world.wished(), ["unit_failed", "backoff_elapsed", "backoff_elapsed"]);
    assert_eq!(harness.world.effects("db.service").len(), 0);
}

async fn a_dependent_starts_after_what_it_needs(harness: Harness) {
    let mut db = harness.spec("db");
    db.dependents = vec![harness.id("web")];
    harness.world.change("web.service", |_| {});
    harness.world.change("db.service", |unit| unit.phase = UnitPhase::Activating);
    let db = harness.start_node(db).await;
    db.until("activating", |status| status.reason == Reason::Activating).await;
    let web = harness.start_dependent(harness.needing("web", &["db"])).await;
    let status = web.until("waiting", |status| status.standing == Standing::WaitingForDependency).await;
    assert_eq!(status.waiting_for, ["db"]);
    assert_eq!(harness.world.effects("web.service").len(), 0);
    harness.world.runs("db.service");
    web.until("started", |status| status.ready).await;
    harness.until("the wait is recorded", |world| world.waits().len() == 1).await;
    let wait = &harness.world.waits()[0];
    assert_eq!((wait.service.as_str(), wait.dependency.as_str(), wait.timed_out), ("web", "db", false));
}

async fn a_dependent_may_start_first(harness: Harness) {
    harness.world.change("web.service", |_| {});
    harness.world.runs("db.service");
    let web = harness.start_dependent(harness.needing("web", &["db"])).await;
    web.until("waiting", |status| status.standing == Standing::WaitingForDependency).await;
    let mut db = harness.spec("db");
    db.dependents = vec![harness.id("web")];
    harness.start_node(db).await;
    web.until("started", |status| status.ready).await;
    assert_eq!(harness.world.effects("web.service").len(), 1);
}

async fn a_lost_dependency_holds_a_restart_back(harness: Harness) {
    let mut db = harness.spec("db");
    db.restart.max_restarts = 0;
    harness.world.runs("db.service");
    harness.world.runs("web.service");
    // The dependent is not named by what it needs: it is told because it asked.
    let db = harness.start_node(db).await;
    let web = harness.start_dependent(harness.needing("web", &["db"])).await;
    web.until("has what it needs", |status| status.ready && status.waiting_for.is_empty()).await;
    harness.world.dies("db.service");
    db.until("down for long", |status| status.standing == Standing::Quarantined).await;
    let status = web.until("told of the loss", |status| status.waiting_for == ["db"]).await;
    assert!(status.ready, "what runs is left running");
    harness.world.dies("web.service");
    web.until("held back", |status| status.standing == Standing::WaitingForDependency).await;
    assert_eq!(harness.world.effects("web.service").len(), 0);
    harness.world.runs("db.service");
    let status = web.until("restarted", |status| status.ready).await;
    assert_eq!(status.restarts_in_window, 1, "the wait itself is no restart");
    web.record("dependent-lost-dependency").await;
    assert_eq!(harness.world.effects("web.service").len(), 1);
}

async fn a_dependency_timeout_is_recorded_and_the_wait_goes_on(harness: Harness) {
    let mut web = harness.needing("web", &["db"]);
    web.dependency_timeout = Duration::from_millis(400);
    harness.world.change("web.service", |_| {});
    let web = harness.start_dependent(web).await;
    harness.until("the timeout", |world| world.waits().iter().any(|wait| wait.timed_out)).await;
    assert!(!harness.world.is_active("web.service"));
    harness.world.runs("db.service");
    let mut db = harness.spec("db");
    db.dependents = vec![harness.id("web")];
    harness.start_node(db).await;
    web.until("started", |status| status.ready).await;
    harness.until("both records", |world| world.waits().len() == 2).await;
    let waits: Vec<_> = harness.world.waits().iter().map(|wait| wait.timed_out).collect();
    assert_eq!(waits, [true, false]);
}

/// Crashes and operators' words keep coming while runs are as short as they get: every crash is answered, none twice.
async fn runs_hand_over_without_loss_under_load(harness: Harness) {
    let mut spec = harness.spec("db");
    spec.restart.max_restarts = 1_000;
    spec.restart.initial_backoff = Duration::from_millis(1);
    spec.restart.max_backoff = Duration::from_millis(1);
    harness.world.runs("db.service");
    let input = NodeInput { history_limit: Some(20), ..NodeInput::new(spec) };
    let db = harness.start_input(input).await;
    db.until("ready", |status| status.ready).await;
    for round in 1..=12 {
        harness.world.dies("db.service");
        db.pause().await;
        db.resume().await;
        harness.until("the next restart", |world| world.effects("db.service").len() == round).await;
        db.until("ready", |status| status.ready && status.streak == u32::try_from(round).unwrap_or(0)).await;
    }
    let effects = harness.world.effects("db.service");
    let replaced = sorted(effects.iter().map(|effect| effect.replaced.clone()));
    let mut distinct = replaced.clone();
    distinct.dedup();
    assert_eq!(replaced, distinct, "no invocation is replaced twice");
    assert!(harness.closed_nodes("continued_as_new") >= 3, "runs are short");
    assert!(db.events().await < 60, "history stays short");
}

async fn an_unchanged_service_makes_no_history(harness: Harness) {
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready).await;
    let before = db.events().await;
    for _ in 0..5 {
        harness.world.change("db.service", |_| {});
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(db.events().await, before);
    // Twelve, and three of a workflow task that a busy server lets time out.
    assert!(before <= 15, "{before} events until ready");
}

async fn a_new_specification_is_followed(harness: Harness) {
    harness.world.runs("db.service");
    harness.world.runs("other.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready).await;
    let mut spec = harness.spec("db");
    spec.target = dixmgr_model::Target::Unit("other.service".into());
    db.update_spec(spec).await;
    harness.until("another watch", |world| world.watches() >= 3).await;
    harness.world.dies("db.service");
    harness.world.dies("other.service");
    db.until("restarted", |status| status.ready && status.streak == 1).await;
    assert_eq!((harness.world.effects("db.service").len(), harness.world.effects("other.service").len()), (0, 1));
    db.stop_watching().await;
    db.until_closed().await;
}

async fn a_plan_is_applied_by_difference(harness: Harness) {
    for unit in ["a", "b", "c", "d", "e"] {
        harness.world.runs(&format!("{unit}.service"));
    }
    let plan = |names: &[&str]| names.iter().map(|name| harness.spec(name)).collect::<Vec<_>>();
    harness.world.set_plan("1", plan(&["a", "b", "c", "d"]));
    let infrastructure = harness.start_infrastructure(None).await;
    until_infrastructure(&infrastructure, "the plan", |status| status.settled && status.services.len() == 4).await;
    for name in ["a", "b", "c", "d"] {
        harness.node(name).until("ready", |status| status.ready).await;
    }
    // a goes, b ends by itself, c changes, e comes.
    harness.node("b").stop_watching().await;
    let mut second = plan(&["b", "c", "d", "e"]);
    second[1].restart.max_restarts = 0;
    harness.world.set_plan("2", second);
    let options = WorkflowSignalOptions::default;
    infrastructure.signal(InfrastructureWorkflow::plan_changed, "2".into(), options()).await.expect("signal");
    until_infrastructure(&infrastructure, "the new plan", |status| status.settled && status.revision == "2").await;
    harness.node("e").until("ready", |status| status.ready).await;
    harness.node("b").until("ready again", |status| status.ready).await;
    assert!(harness.node("b").is_running().await);
    harness.world.dies("c.service");
    harness.node("c").until("its new policy", |status| status.standing == Standing::Quarantined).await;
    harness.node("a").until_closed().await;
    assert!(harness.world.is_active("a.service"), "the service lives on");
    // What the plan's own signals still set off comes to rest first.
    let mut before = 0;
    loop {
        let now = events(infrastructure.fetch_history(Default::default())).await;
        if std::mem::replace(&mut before, now) == now {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    infrastructure.signal(InfrastructureWorkflow::plan_changed, "2".into(), options()).await.expect("signal");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = events(infrastructure.fetch_history(Default::default())).await;
    record(infrastructure.fetch_history(Default::default()), "infrastructure-plan-changed").await;
    assert!(after <= before + 4, "the same revision is no work: {before} events, then {after}");
}

async fn a_long_plan_is_read_in_short_runs(harness: Harness) {
    let names: Vec<_> = (0..20).map(|index| format!("s{index}")).collect();
    names.iter().for_each(|name| harness.world.runs(&format!("{name}.service")));
    harness.world.set_plan("1", names.iter().map(|name| harness.spec(name)).collect());
    let infrastructure = harness.start_infrastructure(Some(15)).await;
    until_infrastructure(&infrastructure, "the plan", |status| status.settled && status.services.len() == 20).await;
    for name in &names {
        harness.node(name).until("ready", |status| status.ready).await;
    }
    let events = events(infrastructure.fetch_history(Default::default())).await;
    assert!(events < 60, "{events} events in one run");
}

async fn a_cluster_has_a_quorum_and_is_replaced_one_by_one(harness: Harness) {
    let units = ["web@0.service", "web@1.service", "web@2.service"];
    units.iter().for_each(|unit| harness.world.runs(unit));
    let mut spec = harness.group("web", 3, 2);
    spec.restart.max_restarts = 0;
    let cluster = harness.start_cluster(spec).await;
    until_cluster(&cluster, "the quorum", |status| status.ready && status.ready_replicas == 3).await;
    harness.world.dies(units[0]);
    until_cluster(&cluster, "one down", |status| status.ready && status.ready_replicas == 2).await;
    harness.world.dies(units[1]);
    until_cluster(&cluster, "two down", |status| !status.ready && status.reason == "quorum_missing").await;
    harness.world.runs(units[0]);
    until_cluster(&cluster, "the quorum again", |status| status.ready && status.ready_replicas == 2).await;
    let rolling = || cluster.signal(ClusterWorkflow::rolling_restart, (), WorkflowSignalOptions::default());
    rolling().await.expect("signal");
    until_cluster(&cluster, "a hold", |status| status.reason == "quorum_would_be_lost").await;
    assert_eq!(harness.world.all_effects().len(), 0);
    harness.world.runs(units[1]);
    until_cluster(&cluster, "all replaced", |status| status.reason == "rolling_restart_finished").await;
    record(cluster.fetch_history(Default::default()), "cluster-rolling-restart").await;
    let order: Vec<_> = harness.world.all_effects().into_iter().map(|effect| effect.unit).collect();
    assert_eq!(order, units, "each once, one after the other");
}

async fn a_cluster_that_needs_every_replica_is_not_rolled(harness: Harness) {
    harness.world.runs("web@0.service");
    harness.world.runs("web@1.service");
    let cluster = harness.start_cluster(harness.group("web", 2, 2)).await;
    until_cluster(&cluster, "the quorum", |status| status.ready).await;
    cluster.signal(ClusterWorkflow::rolling_restart, (), WorkflowSignalOptions::default()).await.expect("signal");
    until_cluster(&cluster, "a refusal", |status| status.reason == "quorum_needs_all").await;
    assert_eq!(harness.world.all_effects().len(), 0);
}
