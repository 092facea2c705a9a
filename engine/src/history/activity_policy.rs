//! When an attempt of an activity times out, and whether another follows: the rules, apart from their use in
//! [`super::activity`].

use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, TimeoutFailureInfo, failure::FailureInfo},
};

use super::{
    retry_policy::{backoff_after, is_retryable_by, timeout_name},
    state::PendingActivity,
    time::{Nanos, deadline, from_duration, shorter},
};

/// The four timeouts of an activity, completed from each other as the server does (`validateActivityScheduleAttributes`);
/// 0 means none.
pub(crate) struct Timeouts {
    pub(crate) schedule_to_close: Nanos,
    pub(crate) schedule_to_start: Nanos,
    pub(crate) start_to_close: Nanos,
    pub(crate) heartbeat: Nanos,
}

impl Timeouts {
    pub(crate) fn of(command: &ScheduleActivityTaskCommandAttributes, run_timeout: Nanos) -> Self {
        let mut schedule_to_close = from_duration(command.schedule_to_close_timeout.as_ref());
        let mut schedule_to_start = from_duration(command.schedule_to_start_timeout.as_ref());
        let mut start_to_close = from_duration(command.start_to_close_timeout.as_ref());
        if schedule_to_close != 0 {
            schedule_to_start = shorter(schedule_to_start, schedule_to_close);
            start_to_close = shorter(start_to_close, schedule_to_close);
        } else {
            schedule_to_close = run_timeout;
            if schedule_to_start == 0 {
                schedule_to_start = run_timeout;
            }
        }
        schedule_to_close = shorter(schedule_to_close, run_timeout);
        schedule_to_start = shorter(schedule_to_start, run_timeout);
        start_to_close = shorter(start_to_close, run_timeout);
        let heartbeat = from_duration(command.heartbeat_timeout.as_ref());
        let heartbeat = if heartbeat == 0 { 0 } else { shorter(heartbeat, start_to_close) };
        Self { schedule_to_close, schedule_to_start, start_to_close, heartbeat }
    }
}

/// The earliest time at which something happens to an activity of a workflow by itself, 0 for never.
pub(crate) fn next_deadline(activity: &PendingActivity) -> Nanos {
    // No timeout ends it while it is paused; those that have passed meanwhile do when it is unpaused.
    if activity.is_paused() { 0 } else { next_timeout(activity) }
}

/// When an activity has taken as long as it may in all, 0 for never.
pub(crate) fn last_deadline(activity: &PendingActivity) -> Nanos {
    let limit = activity.scheduled.as_ref().map_or(0, |s| from_duration(s.schedule_to_close_timeout.as_ref()));
    deadline(activity.scheduled_time, limit)
}

/// The earliest time at which a timeout or the end of a backoff is due, whether the activity is paused or not; 0 for never.
pub(crate) fn next_timeout(activity: &PendingActivity) -> Nanos {
    let Some(limits) = activity.scheduled.as_ref() else { return 0 };
    let attempt = if activity.backing_off {
        activity.attempt_scheduled_time
    } else if activity.is_started() {
        let start_to_close = deadline(activity.started_time, from_duration(limits.start_to_close_timeout.as_ref()));
        shorter(start_to_close, heartbeat_deadline(activity))
    } else {
        start_deadline(activity)
    };
    shorter(last_deadline(activity), attempt)
}

/// When an attempt has waited for a worker as long as it may, 0 for never.
pub(crate) fn start_deadline(activity: &PendingActivity) -> Nanos {
    let limit = activity.scheduled.as_ref().map_or(0, |s| from_duration(s.schedule_to_start_timeout.as_ref()));
    deadline(activity.attempt_scheduled_time, limit)
}

fn heartbeat_deadline(activity: &PendingActivity) -> Nanos {
    let limit = activity.scheduled.as_ref().map_or(0, |s| from_duration(s.heartbeat_timeout.as_ref()));
    deadline(activity.started_time.max(activity.last_heartbeat_time), limit)
}

/// Which timeout is due; `None` when it is the end of a backoff.
pub(crate) fn due_timeout(activity: &PendingActivity, now: Nanos) -> Option<TimeoutType> {
    let limits = activity.scheduled.as_ref()?;
    let passed = |start: Nanos, limit: Nanos| limit != 0 && start.saturating_add(limit) <= now;
    if passed(activity.scheduled_time, from_duration(limits.schedule_to_close_timeout.as_ref())) {
        return Some(TimeoutType::ScheduleToClose);
    }
    if activity.backing_off {
        return None;
    }
    if !activity.is_started() {
        return Some(TimeoutType::ScheduleToStart);
    }
    if passed(activity.started_time, from_duration(limits.start_to_close_timeout.as_ref())) {
        return Some(TimeoutType::StartToClose);
    }
    Some(TimeoutType::Heartbeat)
}

/// How long to wait before the next attempt, or why there is none (`RetryActivity`). A paused activity waits until it is unpaused,
/// whatever the number of its attempts, unless the failure itself forbids another.
pub(super) fn next_backoff(
    activity: &PendingActivity,
    now: Nanos,
    failure: &Failure,
) -> Result<Option<Nanos>, RetryState> {
    let Some(policy) = activity.retry_policy() else { return Err(RetryState::RetryPolicyNotSet) };
    if activity.cancel_requested_event_id != 0 {
        return Err(RetryState::CancelRequested);
    }
    if activity.is_paused() {
        return if is_retryable_by(policy, failure) { Ok(None) } else { Err(RetryState::NonRetryableFailure) };
    }
    backoff_after(policy, activity.attempt, now, last_deadline(activity), Some(failure)).map(Some)
}

pub(crate) fn timeout_failure(timeout_type: TimeoutType) -> Failure {
    let name = timeout_name(timeout_type);
    Failure {
        message: format!("activity {name} timeout"),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: timeout_type.into(),
            last_heartbeat_details: None,
        })),
        ..Default::default()
    }
}
