//! Standalone activities, without a core around them.

use prost_wkt_types::Duration;
use temporalio_common::protos::temporal::api::{
    common::v1::RetryPolicy, history::v1::ActivityTaskScheduledEventAttributes,
};

use super::*;

const SECOND: i64 = 1_000_000_000;

/// One that was started at second 1, of two attempts a second apart.
fn record() -> Record {
    let seconds = |seconds| Some(Duration { seconds, nanos: 0 });
    let scheduled = ActivityTaskScheduledEventAttributes {
        activity_id: "a".into(),
        start_to_close_timeout: seconds(10),
        schedule_to_close_timeout: seconds(60),
        retry_policy: Some(RetryPolicy {
            initial_interval: seconds(1),
            backoff_coefficient: 1.0,
            maximum_interval: seconds(1),
            maximum_attempts: 2,
            ..Default::default()
        }),
        ..Default::default()
    };
    let activity = PendingActivity {
        scheduled: Some(scheduled),
        scheduled_time: SECOND,
        attempt_scheduled_time: SECOND,
        attempt: 1,
        ..Default::default()
    };
    Record { activity, status: Status::Running.into(), schedule_time: SECOND, transitions: 1, ..Default::default() }
}

fn failed() -> ActivityOutcome {
    ActivityOutcome::Failed(Box::new(Failure { message: "boom".into(), ..Default::default() }), None)
}

#[test]
fn attempts_follow_until_the_policy_has_no_more() {
    let mut record = record();
    assert!(record.begin(2 * SECOND, 1, &TaskStart::default()));
    assert!(!record.begin(2 * SECOND, 1, &TaskStart::default()), "a worker holds it");
    assert!(!record.end(3 * SECOND, Some(2), "w", failed()), "there is no such attempt yet");
    assert!(record.end(3 * SECOND, Some(1), "w", failed()));
    assert!(!record.waits_for_worker());
    record.fire(4 * SECOND);
    assert!(record.waits_for_worker() && record.begin(4 * SECOND, 2, &TaskStart::default()));
    assert_eq!(record.next_deadline(), 14 * SECOND);
    record.fire(14 * SECOND);
    assert_eq!(record.status(), Status::TimedOut);
    let state = record.outcome.as_ref().map(ActivityExecutionOutcome::retry_state);
    assert_eq!(state, Some(RetryState::MaximumAttemptsReached));
    assert_eq!(record.next_deadline(), 0);
}

#[test]
fn a_cancellation_waits_for_the_worker_that_holds_it() {
    let mut held = record();
    held.begin(SECOND, 1, &TaskStart::default());
    assert_eq!(held.request_cancel(SECOND, "r", "why", "me"), Ok(true));
    assert_eq!(held.request_cancel(SECOND, "r", "why", "me"), Ok(false));
    assert_eq!(held.request_cancel(SECOND, "s", "why", "me"), Err(Refused::CancelRequested("r".into())));
    assert_eq!(held.heartbeat(2 * SECOND, Some(1), None), Some(true));
    assert!(held.end(2 * SECOND, Some(1), "w", ActivityOutcome::Canceled(None)));
    assert_eq!(held.status(), Status::Canceled);
    let mut waiting = record();
    assert_eq!(waiting.request_cancel(SECOND, "r", "why", "me"), Ok(true));
    assert_eq!(waiting.status(), Status::Canceled);
    assert_eq!(waiting.request_cancel(SECOND, "r", "why", "me"), Err(Refused::Closed("Canceled")));
}

#[test]
fn a_termination_ends_it_once() {
    let mut record = record();
    assert_eq!(record.terminate(SECOND, "r", "enough", "me"), Ok(true));
    assert_eq!(record.terminate(SECOND, "r", "enough", "me"), Ok(false));
    assert_eq!(record.terminate(SECOND, "s", "enough", "me"), Err(Refused::Terminated("r".into())));
    assert!(!record.begin(SECOND, 1, &TaskStart::default()));
}
