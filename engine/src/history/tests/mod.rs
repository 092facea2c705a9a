//! The state machine under random treatment: whatever happens in whatever order, the history is sound and the state is its
//! fold.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what went wrong by panicking")]

mod model;
mod sound;
mod steps;

use model::Model;
use proptest::prelude::*;
use steps::{Step, step};

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_interleaving_leaves_a_sound_history(steps in prop::collection::vec(step(), 1..120)) {
        let mut model = Model::new();
        model.check();
        for step in &steps {
            model.take(step);
            model.check();
        }
    }
}

/// Runs `steps` one by one, checking after each; answers the names of the events that are left.
fn events_after(steps: &[Step]) -> Vec<&'static str> {
    let mut model = Model::new();
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
