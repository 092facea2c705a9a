//! The state machine under random treatment: whatever happens in whatever order, the history is sound and the state is its
//! fold.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by panicking")]

mod control;
mod model;
mod operations;
mod parts;
mod sound;
mod steps;
mod updates;

use model::Model;
use proptest::prelude::*;
use steps::{Beginning, Step, beginning, step};

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_leaves_a_sound_history(
        beginning in beginning(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut model = Model::new(beginning);
        model.check();
        for step in &steps {
            model.take(step);
            model.check();
        }
        model.can_be_reset_where_a_task_was();
    }
}

/// Runs `steps` one by one, checking after each; answers the names of the events that are left.
fn events_after(steps: &[Step]) -> Vec<&'static str> {
    events_of(Beginning::default(), steps)
}

/// The same for a run that begins as told.
fn events_of(beginning: Beginning, steps: &[Step]) -> Vec<&'static str> {
    let mut model = Model::new(beginning);
    for step in steps {
        model.take(step);
        model.check();
    }
    model.events.iter().map(|event| event.event_type().as_str_name().trim_start_matches("EVENT_TYPE_")).collect()
}

#[test]
fn what_comes_while_a_worker_holds_the_task_waits_for_its_end() {
    let events = events_after(&[Step::StartTask, Step::Signal(1), Step::Signal(2), Step::Complete(vec![])]);
    assert_eq!(
        events,
        [
            "WORKFLOW_EXECUTION_STARTED",
            "WORKFLOW_TASK_SCHEDULED",
            "WORKFLOW_TASK_STARTED",
            "WORKFLOW_TASK_COMPLETED",
            "WORKFLOW_EXECUTION_SIGNALED",
            "WORKFLOW_EXECUTION_SIGNALED",
            "WORKFLOW_TASK_SCHEDULED",
        ]
    );
}

#[test]
fn a_task_that_keeps_failing_leaves_one_failure() {
    let failing: Vec<_> = (0..5).flat_map(|_| [Step::StartTask, Step::FailTask]).collect();
    let events = events_after(&failing);
    assert_eq!(
        events,
        ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED", "WORKFLOW_TASK_FAILED",]
    );
}

#[test]
fn a_close_is_refused_while_something_is_unseen() {
    let events = events_after(&[Step::StartTask, Step::Signal(1), Step::Complete(vec![steps::Deed::Complete])]);
    assert_eq!(events[3..], ["WORKFLOW_TASK_FAILED", "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_SCHEDULED"]);
}

#[test]
fn a_signal_waits_for_the_start_delay_to_end_and_a_cancellation_does_not() {
    let delayed = Beginning { delay: 10, ..Beginning::default() };
    let started = "WORKFLOW_EXECUTION_STARTED";
    let signalled = "WORKFLOW_EXECUTION_SIGNALED";
    assert_eq!(events_of(delayed, &[Step::Signal(1), Step::Pass(9), Step::StartTask]), [started, signalled]);
    assert_eq!(
        events_of(delayed, &[Step::Signal(1), Step::Pass(10), Step::StartTask]),
        [started, signalled, "WORKFLOW_TASK_SCHEDULED", "WORKFLOW_TASK_STARTED"]
    );
    assert_eq!(
        events_of(delayed, &[Step::RequestCancel, Step::Pass(11)]),
        [started, "WORKFLOW_EXECUTION_CANCEL_REQUESTED", "WORKFLOW_TASK_SCHEDULED"]
    );
    assert_eq!(
        events_of(delayed, &[Step::SignalEarly(1), Step::Pass(11)]),
        [started, signalled, "WORKFLOW_TASK_SCHEDULED"]
    );
}
