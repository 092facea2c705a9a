//! Cases whose workflows must leave the same history on the engine as on a real Temporal server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use dixmgr_testkit::history;
use dixmgr_workflows::NodeWorkflow;
use serde_json::Value;
use temporalio_client::{Client, WorkflowFetchHistoryOptions};
use temporalio_common::protos::temporal::api::history::v1::{
    ActivityTaskScheduledEventAttributes, HistoryEvent, history_event::Attributes,
};

use super::backend::Backend;
use super::run::{Case, run_then};
use super::{WARM, cases};

/// One thing at a time: the order of events is given, so histories are equal event by event.
const ONE_AT_A_TIME: &[(&str, &[&str])] = &[
    ("a_crash_is_restarted_exactly_once", &["db"]),
    ("a_unit_that_never_ran_is_started", &["db"]),
    ("what_comes_back_by_itself_is_not_restarted", &["db"]),
    ("a_missing_unit_is_taken_up_when_it_appears", &["db"]),
    ("a_dry_run_touches_nothing_and_does_not_insist", &["db"]),
];

/// Here a watch ends while an action does, or workflows signal each other: which of these shares a workflow task with which is a
/// matter of timing, on one backend as much as between two. What is done to the world is the same all the same, so the
/// actions are compared, with everything that they are told.
const SIDE_BY_SIDE: &[(&str, &[&str])] = &[
    ("a_flapping_service_is_quarantined_and_an_operator_frees_it", &["db"]),
    ("a_paused_service_is_left_alone", &["db"]),
    ("a_dependent_starts_after_what_it_needs", &["web"]),
    ("a_lost_dependency_holds_a_restart_back", &["web"]),
];

/// Waits that hold a random share or the time that passed since something else.
const DRAWN: &[&str] = &["start_to_fire_timeout"];

type Histories = BTreeMap<String, Vec<HistoryEvent>>;

#[tokio::test]
async fn histories_agree_with_a_temporal_server() {
    let Some(server) = Backend::server() else { return };
    let plan: Vec<_> = ONE_AT_A_TIME.iter().chain(SIDE_BY_SIDE).copied().collect();
    let wanted = histories(server.client().await, &plan).await;
    let found = histories(Backend::engine().client().await, &plan).await;
    let mut report = String::new();
    compare(ONE_AT_A_TIME, ordered, &wanted, &found, &mut report);
    compare(SIDE_BY_SIDE, actions, &wanted, &found, &mut report);
    assert!(report.is_empty(), "{report}");
}

/// Runs the named cases and collects the named services' histories, each once it has come to rest.
async fn histories(client: Client, plan: &[(&'static str, &'static [&'static str])]) -> Histories {
    let services: BTreeMap<_, _> = plan.iter().copied().collect();
    let chosen: Vec<Case> = cases::ALL.iter().filter(|(name, _)| services.contains_key(name)).copied().collect();
    assert_eq!(chosen.len(), plan.len(), "every case exists");
    let all = run_then(client.clone(), WARM, &chosen, |case| {
        let (client, services) = (client.clone(), services[case]);
        async move {
            let mut found = Vec::new();
            for service in services {
                let id = format!("{case}.{service}");
                found.push((id.clone(), at_rest(&client, &id).await));
            }
            found
        }
    });
    all.await.into_iter().flatten().collect()
}

/// A workflow's events, once none was added for a while.
async fn at_rest(client: &Client, workflow_id: &str) -> Vec<HistoryEvent> {
    let mut last = Vec::new();
    loop {
        let handle = client.get_workflow_handle::<NodeWorkflow>(workflow_id);
        let events = handle.fetch_history(WorkflowFetchHistoryOptions::default()).into_events().await.expect("history");
        if !events.is_empty() && events.len() == last.len() {
            return events;
        }
        last = events;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

fn compare(
    plan: &[(&str, &[&str])],
    lines: fn(&[HistoryEvent]) -> Vec<String>,
    wanted: &Histories,
    found: &Histories,
    report: &mut String,
) {
    for id in plan.iter().flat_map(|(case, services)| services.iter().map(move |service| format!("{case}.{service}"))) {
        let (wanted, found) = (lines(&wanted[&id]), lines(&found[&id]));
        assert!(!wanted.is_empty(), "{id} has something to compare");
        if let Some(at) = (0..wanted.len().max(found.len())).find(|&at| wanted.get(at) != found.get(at)) {
            let _ = writeln!(report, "{id}: {} lines on the server, {} on the engine", wanted.len(), found.len());
            let near = at.saturating_sub(2)..at + 6;
            for (side, lines) in [("server", &wanted), ("engine", &found)] {
                for line in near.clone().filter_map(|at| lines.get(at)) {
                    let _ = writeln!(report, "  {side} {line:.400}");
                }
            }
        }
    }
}

fn ordered(events: &[HistoryEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{} {} {}", event.event_id, kind(event), attributes(event))).collect()
}

/// Starts and restarts in order, by their inputs.
fn actions(events: &[HistoryEvent]) -> Vec<String> {
    let scheduled = events.iter().filter_map(|event| match &event.attributes {
        Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) => Some(scheduled),
        _ => None,
    });
    let line = |scheduled: &ActivityTaskScheduledEventAttributes| {
        let name = &scheduled.activity_type.as_ref()?.name;
        let input = &scheduled.input.as_ref()?.payloads.first()?.data;
        name.ends_with("_unit").then(|| format!("{name} {}", String::from_utf8_lossy(input)))
    };
    scheduled.filter_map(line).collect()
}

fn kind(event: &HistoryEvent) -> &'static str {
    event.event_type().as_str_name()
}

fn attributes(event: &HistoryEvent) -> Value {
    let mut value = history::attributes(&serde_json::to_value(event).expect("an event is plain data"));
    forget_drawn(&mut value);
    value
}

fn forget_drawn(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !DRAWN.contains(&name.as_str()));
            fields.values_mut().for_each(forget_drawn);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_drawn),
        _ => {}
    }
}
