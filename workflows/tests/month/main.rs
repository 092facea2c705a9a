//! A month of five services on the embedded engine, on a virtual clock, in seconds: what is restarted, when dixmgr stops
//! trying and when it trusts a service again, with the restart policy that people have when they set nothing.
#![allow(
    clippy::default_trait_access,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::duration_suboptimal_units,
    clippy::expect_used,
    clippy::redundant_closure_for_method_calls,
    clippy::unused_async,
    reason = "tests run outside of workflows; what the macros want"
)]

// The SDK's `activities` macro names the crate `futures`; what it uses of it is in futures-util.
extern crate futures_util as futures;

mod absence;
mod machine;
#[allow(dead_code, reason = "the SDK's macro makes a constant of every activity")]
mod world;

use std::ops::RangeInclusive;
use std::time::Duration;

use dixmgr_engine::clock::Timestamp;
use dixmgr_engine::history::SUGGEST_CONTINUE_AS_NEW_EVENTS;
use dixmgr_model::{Labels, Probes, RestartPolicy, ServiceSpec, Target};
use dixmgr_workflows::restart::{Reason, Standing};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;

use machine::Machine;
use world::{HEARTBEAT, Happening, OPERATION};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS: u32 = 30;

/// 2026-01-01.
const START: Timestamp = Timestamp::from_secs(1_767_225_600);
/// How long the flapping service lives after each start.
const SHORT_LIFE: Duration = Duration::from_secs(20);
/// How long it flaps, from the first short life to its mending.
const FLAPPING: Duration = Duration::from_secs(4 * 3600);

fn day(day: u32) -> Timestamp {
    START.saturating_add(DAY * day)
}

fn spec(service: &str) -> ServiceSpec {
    ServiceSpec {
        name: service.to_owned(),
        workflow_id: service.to_owned(),
        ready_signal: format!("ready:svc:{service}"),
        labels: Labels::default(),
        target: Target::Unit(unit(service)),
        needs: Vec::new(),
        dependents: Vec::new(),
        dependency_timeout: DAY,
        probes: Probes::default(),
        restart: RestartPolicy::default(),
        operation_timeout: Duration::from_secs(90),
        replicas: None,
    }
}

fn unit(service: &str) -> String {
    format!("{service}.service")
}

/// When the crashing service crashes: every hour, a little later each time, so that it meets every part of the watch.
fn crashes() -> Vec<Timestamp> {
    (0..DAYS * 24).map(|hour| START.saturating_add(HOUR * hour + HOUR / 2 + SECOND * hour)).collect()
}

fn write_script(machine: &Machine) {
    let plan = |at: Timestamp, service: &str, what| machine.world.plan(at, &unit(service), what);
    for at in crashes() {
        plan(at, "crashing", Happening::Dies);
    }
    plan(day(10), "flapping", Happening::Flaps(SHORT_LIFE));
    plan(day(10).saturating_add(FLAPPING), "flapping", Happening::IsMended);
    plan(day(5), "moved", Happening::Vanishes);
    plan(day(5).saturating_add(HOUR * 6), "moved", Happening::Appears);
    // The second death leads to a backoff of at least eight seconds, within which somebody else starts it.
    plan(day(15), "nursed", Happening::Dies);
    plan(day(15).saturating_add(SECOND * 30), "nursed", Happening::Dies);
    plan(day(15).saturating_add(SECOND * 35), "nursed", Happening::ComesBack);
}

#[tokio::test]
async fn a_month_with_incidents() {
    tokio::task::LocalSet::new().run_until(month()).await;
}

async fn month() {
    let machine = Machine::start(START).await;
    for service in ["quiet", "crashing", "flapping", "moved", "nursed"] {
        machine.keep(spec(service)).await;
    }
    write_script(&machine);

    machine.until(day(5).saturating_add(HOUR)).await;
    assert_eq!(machine.status("moved").await.reason, Reason::UnitMissing);
    machine.until(day(10).saturating_add(HOUR * 2)).await;
    let status = machine.status("flapping").await;
    assert_eq!((status.standing, status.ready), (Standing::Quarantined, false));
    machine.until(day(10).saturating_add(FLAPPING + HOUR)).await;
    let status = machine.status("flapping").await;
    assert_eq!((status.standing, status.reason, status.streak), (Standing::Ready, Reason::Stable, 0));
    machine.until(day(15).saturating_add(SECOND * 40)).await;
    assert_eq!(machine.status("nursed").await.reason, Reason::RecoveredByItself);
    machine.until(day(DAYS)).await;

    for service in ["quiet", "crashing", "flapping", "moved", "nursed"] {
        let status = machine.status(service).await;
        assert_eq!((status.standing, status.streak, status.next), (Standing::Ready, 0, None), "{service}");
    }
    check_effects(&machine);
    check_histories(&machine).await;
}

fn check_effects(machine: &Machine) {
    let reasons = |service: &str| -> Vec<String> {
        machine.world.effects(&unit(service)).into_iter().map(|effect| effect.reason).collect()
    };
    let crashing = machine.world.effects(&unit("crashing"));
    for (effect, (at, invocation)) in crashing.iter().zip(crashes().into_iter().zip(1..)) {
        let wanted = (invocation, "unit_failed", at.saturating_add(OPERATION));
        assert_eq!((effect.replaced, effect.reason.as_str(), effect.at), wanted, "each crash is answered at once");
    }
    assert_eq!(crashing.len(), crashes().len());

    // Five restarts reach the limit within some four minutes; then one attempt each half hour, the last of which holds.
    let policy = RestartPolicy::default();
    let round = policy.quarantine_retry + OPERATION + SHORT_LIFE;
    let attempts = FLAPPING.saturating_sub(policy.window).as_secs() / round.as_secs() + 1;
    let mut wanted = vec!["unit_failed"];
    wanted.extend(["backoff_elapsed"; 4]);
    wanted.extend(std::iter::repeat_n("quarantine_retry", usize::try_from(attempts).unwrap_or(usize::MAX)));
    assert_eq!(reasons("flapping"), wanted);
    let flapping = machine.world.effects(&unit("flapping"));
    for pair in flapping.windows(2).skip(5) {
        assert_eq!(pair[1].at.since(pair[0].at), round, "attempts of a quarantine are evenly spaced");
    }

    assert_eq!(reasons("moved").len(), 1);
    assert_eq!(reasons("nursed"), ["unit_failed"]);
    assert_eq!(reasons("quiet"), Vec::<String>::new());
}

async fn check_histories(machine: &Machine) {
    let policy = RestartPolicy::default();
    // After an incident its counters are cleared once, and the watch that it made obsolete ends with its next heartbeat.
    let tail = policy.stable_after + HEARTBEAT + Duration::from_secs(60);
    let span = |from: Timestamp, length: Duration| from..=from.saturating_add(length + tail);
    let begin = span(START, Duration::ZERO);

    let quiet = machine.runs("quiet").await;
    assert_eq!(quiet.len(), 1);
    assert!(quiet[0].len() <= 12, "a month without incidents is {} events", quiet[0].len());
    check_causes("quiet", &quiet, std::slice::from_ref(&begin));

    let crashing = machine.runs("crashing").await;
    assert!(crashing.len() >= 3, "{} runs", crashing.len());
    let longest = crashing.iter().map(Vec::len).max().unwrap_or(0);
    let limit = usize::try_from(SUGGEST_CONTINUE_AS_NEW_EVENTS).unwrap_or(usize::MAX);
    assert!(longest <= limit + 50, "a run has {longest} events");
    let spans: Vec<_> = crashes().into_iter().map(|at| span(at, Duration::ZERO)).chain([begin.clone()]).collect();
    check_causes("crashing", &crashing, &spans);

    let last_attempt = FLAPPING + policy.quarantine_retry + HEARTBEAT;
    check_causes("flapping", &machine.runs("flapping").await, &[begin.clone(), span(day(10), last_attempt)]);
    check_causes("moved", &machine.runs("moved").await, &[begin.clone(), span(day(5), HOUR * 6)]);
    check_causes("nursed", &machine.runs("nursed").await, &[begin, span(day(15), SECOND * 35)]);
}

/// No workflow task without an incident.
fn check_causes(service: &str, runs: &[Vec<HistoryEvent>], spans: &[RangeInclusive<Timestamp>]) {
    let tasks = runs.iter().flatten().filter(|event| event.event_type() == EventType::WorkflowTaskScheduled);
    let times: Vec<Timestamp> = tasks.filter_map(|event| event.event_time).map(instant).collect();
    assert!(!times.is_empty(), "{service} has workflow tasks");
    for at in times {
        assert!(spans.iter().any(|span| span.contains(&at)), "{service}: a workflow task without a cause at {at}");
    }
}

fn instant(time: prost_wkt_types::Timestamp) -> Timestamp {
    Timestamp::from_secs(time.seconds).saturating_add(Duration::from_nanos(u64::try_from(time.nanos).unwrap_or(0)))
}
