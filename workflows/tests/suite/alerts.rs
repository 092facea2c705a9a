//! Cases about alerts: what their workflows tell, when, and what stays behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dixmgr_alerting::incident::{Incident, Note};
use dixmgr_model::{Alert, AlertGroup, AlertKind, AlertStatus, Delivery, RaisedAlert, Receiver, Severity};
use dixmgr_testkit::eventually_async;
use dixmgr_workflows::{AlertGroupWorkflow, AlertWorkflow};
use temporalio_client::{Client, WorkflowDescribeOptions, WorkflowHandle, WorkflowQueryOptions, WorkflowSignalOptions};

use super::harness::{Harness, record};
use super::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

fn raised(harness: &Harness, service: &str, severity: Severity) -> RaisedAlert {
    let fingerprint = format!("print-{service}");
    let alert = Alert {
        fingerprint: fingerprint.clone(),
        kind: AlertKind::HighCpu,
        service: service.to_owned(),
        severity,
        rule: "high_cpu".to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: 1_700_000_000_000,
    };
    let delivery = Delivery {
        receivers: vec![Receiver { channel: "ops".to_owned(), after: Duration::ZERO }],
        group_wait: Duration::from_millis(200),
        group_interval: Duration::ZERO,
        dedupe_window: Duration::from_millis(500),
        ..Delivery::default()
    };
    let group = AlertGroup { workflow_id: harness.id("alert-group"), labels: BTreeMap::new() };
    RaisedAlert {
        alert,
        workflow_id: harness.id(&format!("alert.{fingerprint}")),
        delivery,
        group,
        lacking: BTreeSet::new(),
    }
}

/// Status and severity of each message that arrived.
fn told(world: &World) -> Vec<(AlertStatus, Severity)> {
    world.notified().into_iter().map(|request| (request.message.status, request.message.severity())).collect()
}

fn alert(harness: &Harness, service: &str) -> WorkflowHandle<Client, AlertWorkflow> {
    harness.client.get_workflow_handle(harness.id(&format!("alert.print-{service}")))
}

async fn until(handle: &WorkflowHandle<Client, AlertWorkflow>, what: &str, expected: impl Fn(&Incident) -> bool) {
    eventually_async(what, PATIENCE, || async {
        let status = handle.query(AlertWorkflow::status, (), WorkflowQueryOptions::default()).await.ok().flatten();
        status.filter(&expected).map(drop)
    })
    .await;
}

async fn until_closed(handle: &WorkflowHandle<Client, AlertWorkflow>) {
    eventually_async("the alert's workflow ends", PATIENCE, || async {
        let described = handle.describe(WorkflowDescribeOptions::default()).await.ok()?;
        (!format!("{:?}", described.status()).contains("Running")).then_some(())
    })
    .await;
}

pub async fn an_alert_is_told_and_told_to_be_over(harness: Harness) {
    use AlertStatus::{Firing, Resolved};
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready).await;
    harness.world.refuse_messages(1);
    harness.world.set_alerts("db.service", vec![raised(&harness, "db", Severity::Warning)]);
    harness.until("told, the second time it is tried", |world| told(world) == [(Firing, Severity::Warning)]).await;
    let handle = alert(&harness, "db");
    let note = Note { by: "ann".to_owned(), comment: String::new() };
    handle.signal(AlertWorkflow::acknowledge, note, WorkflowSignalOptions::default()).await.expect("signal");
    until(&handle, "acknowledged", |incident| incident.acknowledged.is_some()).await;
    harness.world.set_alerts("db.service", vec![raised(&harness, "db", Severity::Critical)]);
    harness.until("a worse severity is told", |world| told(world).len() == 2).await;
    harness.world.set_alerts("db.service", Vec::new());
    let all = [(Firing, Severity::Warning), (Firing, Severity::Critical), (Resolved, Severity::Critical)];
    harness.until("resolved", |world| told(world) == all).await;
    until_closed(&handle).await;
    let keys: BTreeSet<_> = harness.world.notified().into_iter().map(|request| request.message.key).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    record(handle.fetch_history(Default::default()), "alert-escalated").await;
    db.record("node-alert").await;
}

pub async fn a_caused_alert_is_told_when_it_outlives_its_cause(harness: Harness) {
    let mut db = harness.spec("db");
    db.restart.max_restarts = 0;
    harness.world.runs("db.service");
    harness.world.runs("web.service");
    let db = harness.start_node(db).await;
    let web = harness.start_dependent(harness.needing("web", &["db"])).await;
    web.until("has what it needs", |status| status.ready && status.waiting_for.is_empty()).await;
    harness.world.dies("db.service");
    web.until("told of the loss", |status| status.waiting_for == ["db"]).await;
    harness.world.set_alerts("web.service", vec![raised(&harness, "web", Severity::Critical)]);
    let handle = alert(&harness, "web");
    until(&handle, "suppressed", |incident| incident.causes.contains("db")).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(told(&harness.world), []);
    harness.world.runs("db.service");
    db.until("back", |status| status.ready).await;
    harness.until("told", |world| told(world) == [(AlertStatus::Firing, Severity::Critical)]).await;
}

pub async fn a_service_that_is_let_go_leaves_no_alert_behind(harness: Harness) {
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready).await;
    harness.world.set_alerts("db.service", vec![raised(&harness, "db", Severity::Critical)]);
    harness.until("told", |world| told(world).len() == 1).await;
    db.stop_watching().await;
    db.until_closed().await;
    harness
        .until("told to be over", |world| told(world).last().is_some_and(|last| last.0 == AlertStatus::Resolved))
        .await;
    until_closed(&alert(&harness, "db")).await;
}

pub async fn alerts_of_one_group_are_told_together(harness: Harness) {
    use AlertStatus::{Firing, Resolved};
    harness.world.runs("db.service");
    let db = harness.start_node(harness.spec("db")).await;
    db.until("ready", |status| status.ready).await;
    let alerts = ["a", "b", "c"].map(|service| {
        let mut raised = raised(&harness, service, Severity::Warning);
        // All three report within it, also on a server that is slow.
        raised.delivery.group_wait = Duration::from_secs(8);
        raised
    });
    harness.world.set_alerts("db.service", alerts.to_vec());
    let counts = |world: &World| -> Vec<(AlertStatus, usize, usize)> {
        let messages = world.notified().into_iter().map(|request| request.message);
        messages.map(|message| (message.status, message.firing, message.resolved)).collect()
    };
    harness.until("one message about three", |world| counts(world) == [(Firing, 3, 0)]).await;
    harness.world.set_alerts("db.service", Vec::new());
    // Their ends are reported one by one, and there is no interval between messages here.
    harness
        .until("all are told to be over", |world| {
            let resolved: usize = counts(world).iter().map(|(.., resolved)| resolved).sum();
            counts(world).last().is_some_and(|last| last.0 == Resolved) && resolved == 3
        })
        .await;
    let group = harness.client.get_workflow_handle::<AlertGroupWorkflow>(harness.id("alert-group"));
    eventually_async("the group ends", PATIENCE, || async {
        let described = group.describe(WorkflowDescribeOptions::default()).await.ok()?;
        (!format!("{:?}", described.status()).contains("Running")).then_some(())
    })
    .await;
    record(group.fetch_history(Default::default()), "alert-group").await;
}
