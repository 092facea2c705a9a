//! Standalone activities, without a core around them.

use prost_wkt_types::Duration;
use temporalio_common::protos::temporal::api::{
    common::v1::RetryPolicy, history::v1::ActivityTaskScheduledEventAttributes,
};

use super::*;
use crate::history::state::ActivityPause;

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
    assert_eq!(held.heartbeat(2 * SECOND, Some(1), None).map(|news| news.cancel_requested), Some(true));
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

#[test]
fn one_that_is_paused_waits_but_not_for_ever() {
    let mut record = record();
    let pause = || ActivityPause { request_id: "p".into(), ..Default::default() };
    assert_eq!(record.pause(pause()), Ok(()));
    assert_eq!((record.shown_status(), record.waits_for_worker()), (Status::Paused, false));
    assert_eq!(record.pause(ActivityPause::default()), Err(Refused::Pause("Paused")));
    assert_eq!(record.next_deadline(), 61 * SECOND, "only what it may take in all");
    assert_eq!(record.unpause(5 * SECOND, "u", 0), Ok(()));
    assert!(record.begin(6 * SECOND, 1, &TaskStart::default()));
    assert_eq!(record.pause(pause()), Ok(()));
    assert!(record.end(7 * SECOND, Some(1), "w", failed()));
    assert_eq!((record.phase(), record.activity.attempt), (Phase::Paused, 2));
    record.fire(61 * SECOND);
    assert_eq!(record.status(), Status::TimedOut);
}

#[test]
fn one_that_is_reset_begins_anew_whatever_its_policy_says() {
    let mut record = record();
    assert!(record.begin(2 * SECOND, 1, &TaskStart::default()));
    assert!(record.end(3 * SECOND, Some(1), "w", failed()));
    record.fire(4 * SECOND);
    assert!(record.begin(4 * SECOND, 2, &TaskStart::default()));
    assert_eq!(record.reset(5 * SECOND, &ResetActivity::default()), Ok(()));
    assert_eq!(record.heartbeat(5 * SECOND, Some(2), None).map(|news| news.reset), Some(true));
    record.fire(15 * SECOND);
    assert_eq!((record.activity.attempt, record.waits_for_worker()), (1, true));
    assert_eq!(record.request_cancel(16 * SECOND, "c", "", ""), Ok(true));
    assert_eq!(record.reset(16 * SECOND, &ResetActivity::default()), Err(Refused::ResetClosed));
}
