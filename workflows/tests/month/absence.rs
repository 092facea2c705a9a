//! A receiver is away for three days, in which alerts come and go by the hour: what it hears when it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dixmgr_model::{Alert, AlertGroup, AlertKind, AlertStatus, Delivery, RaisedAlert, Receiver, Severity};
use dixmgr_workflows::AlertInput;

use super::machine::Machine;
use super::{DAY, HOUR, SECOND, START, day};

/// Hours of the absence in which one service more comes and goes.
const HOURS: u32 = 70;

fn alert(service: &str, starts_at: u64) -> AlertInput {
    let alert = Alert {
        fingerprint: service.to_owned(),
        kind: AlertKind::ServiceDown,
        service: service.to_owned(),
        severity: Severity::Critical,
        rule: "service_down".to_owned(),
        labels: BTreeMap::from([("service".to_owned(), service.to_owned())]),
        annotations: BTreeMap::from([("summary".to_owned(), format!("{service} is down"))]),
        starts_at,
    };
    let receivers = vec![Receiver { channel: "ops".to_owned(), after: Duration::ZERO }];
    let delivery = Delivery { receivers, ..Delivery::default() };
    let group = AlertGroup { workflow_id: "alert-group.00ff".to_owned(), labels: BTreeMap::new() };
    let raised = RaisedAlert { alert, workflow_id: id(service), delivery, group, lacking: BTreeSet::new() };
    AlertInput { raised, causes: BTreeSet::new(), carried: None }
}

fn id(service: &str) -> String {
    format!("alert.{service}")
}

#[tokio::test]
async fn a_receiver_that_was_away_for_three_days_hears_how_things_are() {
    tokio::task::LocalSet::new().run_until(absence()).await;
}

async fn absence() {
    let machine = Machine::start(START).await;
    machine.world.receiver_is_away_until(day(3));
    machine.raise(alert("a", 0)).await;
    machine.until(START.saturating_add(HOUR)).await;
    for hour in 1..=HOURS {
        let at = START.saturating_add(HOUR * hour);
        machine.until(at).await;
        machine.raise(alert("b", u64::from(hour))).await;
        machine.until(at.saturating_add(HOUR / 2)).await;
        machine.resolve(&id("b")).await;
    }
    machine.resolve(&id("a")).await;
    machine.raise(alert("c", 1)).await;
    machine.until(day(3).saturating_add(HOUR)).await;
    machine.resolve(&id("c")).await;
    machine.until(day(4)).await;

    let (heard, attempts) = machine.world.heard();
    let told: Vec<(AlertStatus, Vec<&str>, u64)> = heard
        .iter()
        .map(|(_, message)| {
            let services = message.alerts.iter().map(|alert| alert.alert.service.as_str());
            (message.status, services.collect(), message.missed)
        })
        .collect();
    let wanted = [
        (AlertStatus::Firing, vec!["a"], 0),
        (AlertStatus::Firing, vec!["c", "a"], u64::from(HOURS)),
        (AlertStatus::Resolved, vec!["c"], 0),
    ];
    assert_eq!(told, wanted, "what was on its way, then how things are, then the end");
    let back = heard[0].0;
    assert!(back >= day(3) && back <= day(3).saturating_add(Duration::from_secs(300)), "found within five minutes");
    assert_eq!(heard[1].0, back, "nothing more to wait for");
    // Every five minutes at the most often, and a few at first.
    let most = u32::try_from(DAY.as_secs() * 3 / 300).unwrap_or(u32::MAX) + 30;
    assert!(attempts <= most, "{attempts} attempts");
    assert!(heard[2].0 >= back.saturating_add(SECOND * 60), "one message in a group_interval");
}
