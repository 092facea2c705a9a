//! Examples of each row of the table.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;
use dixmgr_model::{ActionOutcome, Health, HealthStatus, RestartPolicy, ServiceState, UnitPhase, UnitStatus};

pub(super) const SECOND: u64 = 1_000;
pub(super) const START: u64 = 1_700_000_000_000;

pub(super) fn policy() -> RestartPolicy {
    RestartPolicy {
        max_restarts: 3,
        window: Duration::from_mins(5),
        initial_backoff: Duration::from_secs(10),
        max_backoff: Duration::from_mins(1),
        backoff_coefficient: 2.0,
        jitter: 0.5,
        stable_after: Duration::from_mins(2),
        quarantine_retry: Duration::from_mins(10),
        on_unhealthy: false,
    }
}

pub(super) fn looks(phase: UnitPhase, invocation: &str) -> ServiceState {
    let unit = UnitStatus { phase, invocation_id: invocation.into(), main_pid: 0, result: String::new() };
    ServiceState { unit, health: Health::healthy(), sync: None }
}

/// A machine with its clock; the draw is always 0, so waits are the longest.
struct Bench {
    policy: RestartPolicy,
    state: RestartState,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self { policy: policy(), state: RestartState::default(), now: START }
    }

    fn on(&mut self, event: Event) -> Decision {
        decide(&self.policy, &mut self.state, event, self.now, 0.0)
    }

    fn sees(&mut self, phase: UnitPhase, invocation: &str) -> Decision {
        self.on(Event::Seen(looks(phase, invocation)))
    }

    fn finishes(&mut self, outcome: ActionOutcome, phase: UnitPhase, invocation: &str) -> Decision {
        self.on(Event::Finished { outcome, after: looks(phase, invocation) })
    }

    /// Lets time pass until the machine wants to be woken, and wakes it.
    fn wakes(&mut self) -> Decision {
        self.now = self.state.wake_at(&self.policy).expect("nothing to wake up for");
        self.on(Event::Woke)
    }

    /// From never seen to dead for the second time in a row, so that it backs off.
    fn backing_off() -> Self {
        let mut bench = Self::new();
        bench.sees(UnitPhase::Failed, "a");
        bench.finishes(ActionOutcome::Done, UnitPhase::Active, "b");
        assert_eq!(bench.sees(UnitPhase::Failed, "b"), waits(Reason::BackingOff));
        bench
    }
}

fn waits(reason: Reason) -> Decision {
    Decision { action: None, reason }
}

fn restarts(replaces: &str, reason: Reason) -> Decision {
    Decision { action: Some(Action { verb: Verb::Restart, replaces: replaces.into() }), reason }
}

#[test]
fn the_first_restart_is_immediate_and_the_next_backs_off() {
    let mut bench = Bench::new();
    assert_eq!(bench.sees(UnitPhase::Active, "a"), waits(Reason::Ready));
    assert_eq!(bench.sees(UnitPhase::Failed, "a"), restarts("a", Reason::UnitFailed));
    assert_eq!(bench.finishes(ActionOutcome::Done, UnitPhase::Active, "b"), waits(Reason::Restarted));
    assert_eq!(bench.sees(UnitPhase::Inactive, "b"), waits(Reason::BackingOff));
    assert_eq!(bench.state.wake_at(&bench.policy), Some(START + 10 * SECOND));
    assert_eq!(bench.wakes(), restarts("b", Reason::BackoffElapsed));
}

#[test]
fn a_unit_that_never_ran_is_started_and_that_is_no_restart() {
    let mut bench = Bench::new();
    let started = bench.sees(UnitPhase::Inactive, "");
    assert_eq!(started.action, Some(Action { verb: Verb::Start, replaces: String::new() }));
    assert_eq!(started.reason, Reason::FirstStart);
    assert_eq!(bench.finishes(ActionOutcome::Done, UnitPhase::Active, "a"), waits(Reason::Started));
    assert_eq!(bench.state.streak, 0);
    assert_eq!(bench.sees(UnitPhase::Failed, "a"), restarts("a", Reason::UnitFailed));
}

#[test]
fn a_first_start_without_an_invocation_is_free_only_once() {
    let mut bench = Bench::new();
    assert!(bench.sees(UnitPhase::Inactive, "").action.is_some());
    let again = bench.finishes(ActionOutcome::Done, UnitPhase::Inactive, "");
    assert!(again.action.is_some(), "the second start is the first that counts");
    assert_eq!(bench.finishes(ActionOutcome::Done, UnitPhase::Inactive, ""), waits(Reason::BackingOff));
}

#[test]
fn what_cannot_be_helped_is_watched() {
    for (phase, reason) in [
        (UnitPhase::Missing, Reason::UnitMissing),
        (UnitPhase::Masked, Reason::UnitMasked),
        (UnitPhase::AutoRestart, Reason::AutoRestart),
        (UnitPhase::Activating, Reason::Activating),
        (UnitPhase::Deactivating, Reason::Deactivating),
        (UnitPhase::Completed, Reason::Completed),
        (UnitPhase::Unknown, Reason::Unobservable),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.sees(phase, "a"), waits(reason), "{phase}");
        assert_eq!(bench.sees(UnitPhase::Inactive, "a").reason, Reason::UnitInactive, "{phase}, then back");
    }
}

#[test]
fn poor_health_restarts_only_where_the_policy_says_so() {
    let ill = ServiceState {
        health: Health { status: HealthStatus::Unhealthy, detail: "503".into() },
        ..looks(UnitPhase::Active, "a")
    };
    let mut bench = Bench::new();
    assert_eq!(bench.on(Event::Seen(ill.clone())), waits(Reason::Degraded));
    bench.policy.on_unhealthy = true;
    assert_eq!(bench.on(Event::PolicyChanged), restarts("a", Reason::Unhealthy));
    bench.finishes(ActionOutcome::Done, UnitPhase::Active, "b");
    assert_eq!(bench.on(Event::Seen(ill)), waits(Reason::BackingOff));
}

#[test]
fn coming_back_by_itself_ends_the_backoff_but_not_the_count() {
    let mut bench = Bench::backing_off();
    assert_eq!(bench.sees(UnitPhase::Active, "c"), waits(Reason::RecoveredByItself));
    assert_eq!(bench.state.streak, 1);
    assert_eq!(bench.sees(UnitPhase::Failed, "c"), waits(Reason::BackingOff));
}

#[test]
fn short_healthy_looks_do_not_keep_a_flapping_service_out_of_quarantine() {
    let mut bench = Bench::new();
    bench.sees(UnitPhase::Failed, "0");
    for round in 1..=3_u32 {
        assert_eq!(bench.finishes(ActionOutcome::Done, UnitPhase::Active, &round.to_string()).action, None);
        bench.now += 2 * SECOND;
        let decision = bench.sees(UnitPhase::Failed, &round.to_string());
        if round < 3 {
            assert_eq!(decision.reason, Reason::BackingOff);
            assert_eq!(bench.wakes().reason, Reason::BackoffElapsed);
        } else {
            assert_eq!(decision, waits(Reason::RestartLimit));
        }
    }
    assert_eq!(bench.state.standing(), Standing::Quarantined);
    let limit = bench.now;
    assert_eq!(bench.wakes(), restarts("3", Reason::QuarantineRetry));
    assert_eq!(bench.now, limit + 600 * SECOND);
    assert_eq!(bench.finishes(ActionOutcome::Done, UnitPhase::Active, "4"), waits(Reason::Restarted));
    assert_eq!(bench.state.standing(), Standing::Quarantined, "until it is stable");
    assert_eq!(bench.wakes(), waits(Reason::Stable));
    assert_eq!(bench.now, limit + 720 * SECOND);
    assert_eq!(bench.state.standing(), Standing::Ready);
    assert_eq!(bench.state.wake_at(&bench.policy), None);
}

#[test]
fn a_restart_out_of_quarantine_that_fails_waits_for_the_next_slow_attempt() {
    let mut bench = Bench::new();
    bench.policy.max_restarts = 0;
    assert_eq!(bench.sees(UnitPhase::Failed, "a"), waits(Reason::RestartLimit));
    assert_eq!(bench.wakes(), restarts("a", Reason::QuarantineRetry));
    assert_eq!(bench.finishes(ActionOutcome::Failed, UnitPhase::Failed, "b"), waits(Reason::Quarantined));
}

#[test]
fn an_operator_is_obeyed_out_of_backoff_quarantine_and_health() {
    let mut bench = Bench::backing_off();
    assert_eq!(bench.on(Event::RestartNow), restarts("b", Reason::OperatorRestart));
    assert_eq!(bench.finishes(ActionOutcome::Done, UnitPhase::Active, "c"), waits(Reason::Restarted));
    assert_eq!(bench.state.streak, 0, "the operator's restart is not held against the service");
    assert_eq!(bench.on(Event::RestartNow), restarts("c", Reason::OperatorRestart));
}

#[test]
fn an_operators_restart_waits_until_the_unit_can_be_seen() {
    let mut bench = Bench::new();
    assert_eq!(bench.on(Event::RestartNow), waits(Reason::NotObserved));
    assert_eq!(bench.sees(UnitPhase::Unknown, ""), waits(Reason::Unobservable));
    assert_eq!(bench.sees(UnitPhase::Active, "a"), restarts("a", Reason::OperatorRestart));
}

#[test]
fn a_paused_service_is_left_alone_until_it_is_resumed() {
    let mut bench = Bench::backing_off();
    assert_eq!(bench.on(Event::Pause), waits(Reason::Paused));
    assert_eq!(bench.state.wake_at(&bench.policy), None);
    assert_eq!(bench.sees(UnitPhase::Failed, "c"), waits(Reason::Paused));
    assert_eq!(bench.on(Event::RestartNow), waits(Reason::Paused));
    assert_eq!(bench.on(Event::Resume), waits(Reason::BackingOff));
}

#[test]
fn a_restart_waits_for_what_the_service_needs_and_that_wait_is_no_restart() {
    let mut bench = Bench::new();
    bench.on(Event::Dependencies { ready: false });
    assert_eq!(bench.sees(UnitPhase::Active, "a"), waits(Reason::Ready), "what runs already is left alone");
    assert_eq!(bench.sees(UnitPhase::Failed, "a"), waits(Reason::WaitingForDependency));
    assert_eq!(bench.state.streak, 0);
    assert_eq!(bench.on(Event::Dependencies { ready: true }), restarts("a", Reason::UnitFailed));
}

#[test]
fn a_backoff_that_is_over_is_not_begun_again_by_a_missing_dependency() {
    let mut bench = Bench::backing_off();
    bench.on(Event::Dependencies { ready: false });
    assert_eq!(bench.wakes(), waits(Reason::WaitingForDependency));
    assert_eq!(bench.on(Event::Dependencies { ready: true }), restarts("b", Reason::BackoffElapsed));
}

#[test]
fn refusal_waits_for_a_change() {
    let mut bench = Bench::new();
    bench.sees(UnitPhase::Failed, "a");
    assert_eq!(bench.finishes(ActionOutcome::Refused, UnitPhase::Failed, "a"), waits(Reason::Refused));
    assert_eq!((bench.state.streak, bench.state.wake_at(&bench.policy)), (0, None));
}

#[test]
fn a_dry_run_goes_through_the_same_backoff() {
    let mut bench = Bench::new();
    assert_eq!(bench.sees(UnitPhase::Failed, "a"), restarts("a", Reason::UnitFailed));
    assert_eq!(bench.finishes(ActionOutcome::WouldDo, UnitPhase::Failed, "a"), waits(Reason::BackingOff));
    assert_eq!(bench.wakes(), restarts("a", Reason::BackoffElapsed));
}

#[test]
fn what_was_done_already_is_not_counted_again() {
    let mut bench = Bench::new();
    bench.sees(UnitPhase::Failed, "a");
    assert_eq!(bench.finishes(ActionOutcome::AlreadyDone, UnitPhase::Active, "b"), waits(Reason::AlreadyReplaced));
    assert_eq!(bench.state.streak, 0);
}

#[test]
fn an_action_given_up_by_its_activity_is_tried_again_later() {
    let mut bench = Bench::new();
    bench.sees(UnitPhase::Failed, "a");
    assert_eq!(bench.on(Event::Abandoned), waits(Reason::BackingOff));
    assert_eq!(bench.on(Event::Abandoned), waits(Reason::NothingInFlight));
}

#[test]
fn nothing_starts_a_second_action_while_one_is_in_flight() {
    let mut bench = Bench::new();
    bench.sees(UnitPhase::Failed, "a");
    for event in [
        Event::Seen(looks(UnitPhase::Failed, "z")),
        Event::Woke,
        Event::PolicyChanged,
        Event::RestartNow,
        Event::Pause,
        Event::Resume,
        Event::Dependencies { ready: false },
        Event::Dependencies { ready: true },
    ] {
        assert_eq!(bench.on(event.clone()).action, None, "{event:?}");
        assert_eq!(bench.state.standing(), Standing::Acting, "{event:?}");
    }
}

#[test]
fn reasons_have_distinct_names_that_serde_agrees_with() {
    let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for &reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), serde_json::json!(reason.name()));
    }
}

#[test]
fn a_state_survives_its_serialised_form() {
    let state = Bench::backing_off().state;
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<RestartState>(&text).unwrap(), state);
}
