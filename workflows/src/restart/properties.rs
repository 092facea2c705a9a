//! What must hold whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use dixmgr_model::{ActionOutcome, RestartPolicy, UnitPhase};
use proptest::prelude::*;

use super::tests::{SECOND, START, looks, policy};
use super::*;

fn any_phase() -> impl Strategy<Value = UnitPhase> {
    prop_oneof![
        3 => Just(UnitPhase::Failed),
        2 => Just(UnitPhase::Active),
        1 => Just(UnitPhase::Inactive),
        1 => Just(UnitPhase::Unknown),
        1 => Just(UnitPhase::Missing),
        1 => Just(UnitPhase::Masked),
        1 => Just(UnitPhase::Activating),
        1 => Just(UnitPhase::AutoRestart),
        1 => Just(UnitPhase::Deactivating),
        1 => Just(UnitPhase::Completed),
    ]
}

/// One thing that may happen, with the time since the last and a draw.
#[derive(Debug, Clone)]
enum Happening {
    Looks(UnitPhase),
    Ends(ActionOutcome),
    Wakes,
    Needs(bool),
    Pauses,
    Resumes,
}

fn happenings() -> impl Strategy<Value = Vec<(Happening, u64, f64)>> {
    let outcome = prop_oneof![
        4 => Just(ActionOutcome::Done),
        1 => Just(ActionOutcome::Failed),
        1 => Just(ActionOutcome::AlreadyDone),
        1 => Just(ActionOutcome::Refused),
        1 => Just(ActionOutcome::WouldDo),
    ];
    let happening = prop_oneof![
        6 => any_phase().prop_map(Happening::Looks),
        6 => outcome.prop_map(Happening::Ends),
        6 => Just(Happening::Wakes),
        1 => any::<bool>().prop_map(Happening::Needs),
        1 => Just(Happening::Pauses),
        1 => Just(Happening::Resumes),
    ];
    prop::collection::vec((happening, 0..60_u64, 0.0..1.0_f64), 1..200)
}

/// An action: when it was decided, what and why, and what came of it.
type Act = (u64, Action, Reason, Option<ActionOutcome>);

/// What an honest world made of the happenings: each action with when it was decided and what it replaced.
fn live_through(policy: &RestartPolicy, happenings: &[(Happening, u64, f64)]) -> (RestartState, Vec<Act>) {
    let (mut state, mut now, mut invocation) = (RestartState::default(), START, 0_u32);
    let mut acts: Vec<Act> = Vec::new();
    for (happening, seconds, draw) in happenings {
        now += seconds * SECOND;
        let in_flight = matches!(state.phase, Phase::Acting(_));
        let event = match happening {
            Happening::Looks(_) if in_flight => continue,
            Happening::Looks(phase) => Event::Seen(looks(*phase, &invocation.to_string())),
            Happening::Ends(_) if !in_flight => continue,
            Happening::Ends(outcome) => {
                acts.last_mut().expect("an action is in flight").3 = Some(*outcome);
                if matches!(outcome, ActionOutcome::Done | ActionOutcome::AlreadyDone) {
                    invocation += 1;
                }
                let phase = match outcome {
                    ActionOutcome::Done | ActionOutcome::AlreadyDone => UnitPhase::Active,
                    ActionOutcome::Failed | ActionOutcome::WouldDo => UnitPhase::Failed,
                    ActionOutcome::Refused => UnitPhase::Masked,
                };
                Event::Finished { outcome: *outcome, after: looks(phase, &invocation.to_string()) }
            }
            Happening::Wakes => match state.wake_at(policy) {
                Some(at) => {
                    now = now.max(at);
                    Event::Woke
                }
                None => continue,
            },
            Happening::Needs(ready) => Event::Dependencies { ready: *ready },
            Happening::Pauses => Event::Pause,
            Happening::Resumes => Event::Resume,
        };
        let (paused, needs) = (state.paused && event != Event::Resume, state.dependencies_ready);
        let decision = decide(policy, &mut state, event.clone(), now, *draw);
        if let Some(action) = decision.action {
            assert!(!paused, "acted while paused, on {event:?}");
            assert!(needs || event == Event::Dependencies { ready: true }, "acted without what it needs");
            assert!(!in_flight || matches!(event, Event::Finished { .. }), "two actions at once");
            let phase = state.last.as_ref().expect("acted without having looked").unit.phase;
            assert!(matches!(phase, UnitPhase::Failed | UnitPhase::Inactive), "acted on {phase}");
            acts.push((now, action, decision.reason, None));
        }
    }
    (state, acts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_wait_stays_within_its_bounds(streak in 1..10_000_u32, draw in 0.0..1.0_f64) {
        let policy = policy();
        let longest = backoff(&policy, streak, 0.0);
        let wait = backoff(&policy, streak, draw);
        prop_assert!(wait <= longest && longest <= policy.max_backoff);
        prop_assert!(wait.as_secs_f64() >= longest.as_secs_f64() * (1.0 - policy.jitter) - 1e-6);
        prop_assert!(backoff(&policy, streak + 1, 0.0) >= longest);
    }

    #[test]
    fn no_window_holds_more_restarts_than_allowed(happenings in happenings()) {
        let policy = policy();
        let (_, acts) = live_through(&policy, &happenings);
        // Slow attempts and refusals aside: they are bounded by their own wait, and by needing a change.
        let counted: Vec<u64> = acts
            .iter()
            .filter(|(_, _, reason, outcome)| {
                *reason != Reason::QuarantineRetry
                    && matches!(outcome, Some(ActionOutcome::Done | ActionOutcome::Failed | ActionOutcome::WouldDo))
            })
            .map(|(at, ..)| *at)
            .collect();
        let window = u64::try_from(policy.window.as_millis()).unwrap();
        let stable = u64::try_from(policy.stable_after.as_millis()).unwrap();
        for (index, &first) in counted.iter().enumerate() {
            // A stable period in between starts the count afresh: look only at runs without one.
            let run: Vec<u64> = counted[index..]
                .iter()
                .scan(first, |last, &at| (at - *last < stable).then(|| { *last = at; at }))
                .take_while(|&at| at < first + window)
                .collect();
            prop_assert!(run.len() <= 3, "{run:?}");
        }
    }

    #[test]
    fn no_invocation_is_restarted_twice(happenings in happenings()) {
        let (_, acts) = live_through(&policy(), &happenings);
        let mut done: Vec<String> = acts
            .into_iter()
            .filter(|(.., outcome)| *outcome == Some(ActionOutcome::Done))
            .map(|(_, action, ..)| action.replaces)
            .collect();
        let all = done.len();
        done.sort();
        done.dedup();
        prop_assert_eq!(done.len(), all);
    }

    #[test]
    fn memory_is_bounded_and_wakes_lie_ahead_or_are_due(happenings in happenings()) {
        let policy = policy();
        let (mut state, _) = live_through(&policy, &happenings);
        prop_assert!(state.restarts.len() <= 3);
        // Waking a machine at its time always moves it on: no timer is ever armed twice for one deadline.
        if let Some(at) = state.wake_at(&policy) {
            decide(&policy, &mut state, Event::Woke, at, 0.5);
            prop_assert!(state.wake_at(&policy).is_none_or(|next| next > at));
        }
    }
}
