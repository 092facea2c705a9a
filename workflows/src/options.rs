//! How activities and children are started: timeouts and retries, each with its reason.

use std::time::Duration;

use dixmgr_model::ServiceSpec;
use temporalio_common::RetryPolicy;
use temporalio_sdk::{
    ActivityCloseTimeouts, ActivityOptions, ChildWorkflowOptions, ParentClosePolicy, WorkflowCancellationToken,
};

/// A watch has no end of its own; Temporal wants one all the same.
const WATCH_TIMEOUT: Duration = Duration::from_hours(10 * 365 * 24);
/// A daemon that dies without a word is noticed after this long, and the watch is started again.
const WATCH_HEARTBEAT: Duration = Duration::from_mins(5);
/// What an action's activity may take beyond the unit manager's own limit: asking before, looking after.
const ACTION_MARGIN: Duration = Duration::from_secs(30);
/// A record that could not be made within this time is not worth delaying a new run for.
const RECORD_TIMEOUT: Duration = Duration::from_mins(1);
/// One attempt to send a message; channels have a shorter limit of their own, 30 s at most.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(45);
/// A message that could not be sent for that long is given up.
const NOTIFY_PATIENCE: Duration = Duration::from_hours(7 * 24);
/// Least time for a dead-man ping with its retries.
const DEAD_MAN_TIMEOUT: Duration = Duration::from_secs(30);
/// A page of the plan is in the daemon's memory.
const PLAN_TIMEOUT: Duration = Duration::from_secs(30);

/// Unlimited tries, from 100 ms to 10 s apart: what they wait for (a daemon, a bus) comes back.
fn persistent() -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_millis(100))
        .maximum_interval(Duration::from_secs(10))
        .build()
}

/// For the watch.
pub(crate) fn watch(token: WorkflowCancellationToken) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(WATCH_TIMEOUT)
        .heartbeat_timeout(WATCH_HEARTBEAT)
        .retry_policy(persistent())
        .cancellation_token(token)
        .build()
}

/// For a start, a stop or a restart: tried until its unit manager answers.
pub(crate) fn action(spec: &ServiceSpec, token: WorkflowCancellationToken) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(spec.operation_timeout + ACTION_MARGIN)
        .retry_policy(persistent())
        .cancellation_token(token)
        .build()
}

/// For recording a wait.
pub(crate) fn record(token: WorkflowCancellationToken) -> ActivityOptions {
    ActivityOptions::with_close_timeouts(ActivityCloseTimeouts::ScheduleToClose(RECORD_TIMEOUT))
        .retry_policy(persistent())
        .cancellation_token(token)
        .build()
}

/// For a message about an alert: its receiver may be away for days.
pub(crate) fn notify(token: WorkflowCancellationToken) -> ActivityOptions {
    let retries = RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .maximum_interval(Duration::from_mins(5))
        .build();
    let timeouts = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: NOTIFY_PATIENCE,
        start_to_close: NOTIFY_TIMEOUT,
    };
    ActivityOptions::with_close_timeouts(timeouts).retry_policy(retries).cancellation_token(token).build()
}

/// For a page of the plan.
pub(crate) fn plan_page() -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(PLAN_TIMEOUT).retry_policy(persistent()).build()
}

/// For a dead-man ping: what is not said within its interval is said with the next.
pub(crate) fn dead_man(interval: Duration, token: WorkflowCancellationToken) -> ActivityOptions {
    ActivityOptions::with_close_timeouts(ActivityCloseTimeouts::ScheduleToClose(interval.max(DEAD_MAN_TIMEOUT)))
        .retry_policy(persistent())
        .cancellation_token(token)
        .build()
}

/// For the maintenance windows of a time: they follow from the daemon's configuration.
pub(crate) fn maintenance(token: WorkflowCancellationToken) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(PLAN_TIMEOUT)
        .retry_policy(persistent())
        .cancellation_token(token)
        .build()
}

/// For a service's workflow: it outlives its parent, which continues as new, and its parent's cancellation.
pub(crate) fn child(workflow_id: &str) -> ChildWorkflowOptions {
    ChildWorkflowOptions::builder()
        .workflow_id(workflow_id.to_owned())
        .parent_close_policy(ParentClosePolicy::Abandon)
        .cancellation_token(WorkflowCancellationToken::new())
        .build()
}
