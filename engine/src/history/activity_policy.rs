//! When an attempt of an activity times out, and whether another follows: the rules, apart from their use in
//! [`super::activity`].

use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    common::v1::RetryPolicy,
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, TimeoutFailureInfo, failure::FailureInfo},
};

use super::{
    state::PendingActivity,
    time::{Nanos, deadline, duration, from_duration, shorter},
};

/// Defaults of Temporal's activity retry policy (`history.defaultActivityRetryPolicy`).
const DEFAULT_INITIAL_INTERVAL: Nanos = 1_000_000_000;
const DEFAULT_BACKOFF_COEFFICIENT: f64 = 2.0;
const DEFAULT_MAXIMUM_INTERVAL_FACTOR: i64 = 100;

/// The four timeouts of an activity, completed from each other as the server does (`validateActivityScheduleAttributes`);
/// 0 means none.
pub(super) struct Timeouts {
    pub(super) schedule_to_close: Nanos,
    pub(super) schedule_to_start: Nanos,
    pub(super) start_to_close: Nanos,
    pub(super) heartbeat: Nanos,
}

impl Timeouts {
    pub(super) fn of(command: &ScheduleActivityTaskCommandAttributes, run_timeout: Nanos) -> Self {
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

/// The earliest time at which something happens to an activity by itself, 0 for never.
pub(super) fn next_deadline(activity: &PendingActivity) -> Nanos {
    let Some(limits) = activity.scheduled.as_ref() else { return 0 };
    let schedule_to_close = deadline(activity.scheduled_time, from_duration(limits.schedule_to_close_timeout.as_ref()));
    let attempt = if activity.backing_off {
        activity.attempt_scheduled_time
    } else if activity.is_started() {
        let start_to_close = deadline(activity.started_time, from_duration(limits.start_to_close_timeout.as_ref()));
        shorter(start_to_close, heartbeat_deadline(activity))
    } else {
        deadline(activity.attempt_scheduled_time, from_duration(limits.schedule_to_start_timeout.as_ref()))
    };
    shorter(schedule_to_close, attempt)
}

fn heartbeat_deadline(activity: &PendingActivity) -> Nanos {
    let limit = activity.scheduled.as_ref().map_or(0, |s| from_duration(s.heartbeat_timeout.as_ref()));
    deadline(activity.started_time.max(activity.last_heartbeat_time), limit)
}

/// Which timeout is due; `None` when it is the end of a backoff.
pub(super) fn due_timeout(activity: &PendingActivity, now: Nanos) -> Option<TimeoutType> {
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

/// How long to wait before the next attempt, or why there is none (`getBackoffInterval`, `isRetryable`).
pub(super) fn next_backoff(activity: &PendingActivity, now: Nanos, failure: &Failure) -> Result<Nanos, RetryState> {
    let Some(policy) = activity.retry_policy() else { return Err(RetryState::RetryPolicyNotSet) };
    if activity.cancel_requested_event_id != 0 {
        return Err(RetryState::CancelRequested);
    }
    if !is_retryable(failure, &policy.non_retryable_error_types) {
        return Err(RetryState::NonRetryableFailure);
    }
    if policy.maximum_attempts > 0 && activity.attempt >= policy.maximum_attempts {
        return Err(RetryState::MaximumAttemptsReached);
    }
    let backoff = requested_delay(failure).unwrap_or_else(|| exponential(policy, activity.attempt));
    let limit = activity.scheduled.as_ref().map_or(0, |s| from_duration(s.schedule_to_close_timeout.as_ref()));
    let expiration = deadline(activity.scheduled_time, limit);
    if expiration != 0 && now.saturating_add(backoff) > expiration {
        return Err(RetryState::Timeout);
    }
    Ok(backoff)
}

#[allow(clippy::cast_possible_truncation, reason = "a float too large for i64 saturates, and is capped right after")]
fn exponential(policy: &RetryPolicy, attempt: i32) -> Nanos {
    let initial = from_duration(policy.initial_interval.as_ref());
    let maximum = from_duration(policy.maximum_interval.as_ref());
    let interval = (initial as f64 * policy.backoff_coefficient.powi(attempt - 1)) as i64;
    if maximum != 0 && (interval <= 0 || interval > maximum) { maximum } else { interval.max(0) }
}

fn requested_delay(failure: &Failure) -> Option<Nanos> {
    match failure.failure_info.as_ref() {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            info.next_retry_delay.as_ref().map(|delay| from_duration(Some(delay)))
        }
        _ => None,
    }
}

fn is_retryable(failure: &Failure, non_retryable: &[String]) -> bool {
    match failure.failure_info.as_ref() {
        Some(FailureInfo::TerminatedFailureInfo(_) | FailureInfo::CanceledFailureInfo(_)) => false,
        Some(FailureInfo::TimeoutFailureInfo(info)) => {
            matches!(info.timeout_type(), TimeoutType::StartToClose | TimeoutType::Heartbeat)
        }
        Some(FailureInfo::ServerFailureInfo(info)) => !info.non_retryable,
        Some(FailureInfo::ApplicationFailureInfo(info)) => !info.non_retryable && !non_retryable.contains(&info.r#type),
        _ => true,
    }
}

pub(super) fn complete_policy(policy: Option<&RetryPolicy>) -> RetryPolicy {
    let mut policy = policy.cloned().unwrap_or_default();
    if from_duration(policy.initial_interval.as_ref()) == 0 {
        policy.initial_interval = duration(DEFAULT_INITIAL_INTERVAL);
    }
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = DEFAULT_BACKOFF_COEFFICIENT;
    }
    if from_duration(policy.maximum_interval.as_ref()) == 0 {
        let initial = from_duration(policy.initial_interval.as_ref());
        policy.maximum_interval = duration(initial.saturating_mul(DEFAULT_MAXIMUM_INTERVAL_FACTOR));
    }
    policy
}

pub(super) fn timeout_failure(timeout_type: TimeoutType) -> Failure {
    let name = match timeout_type {
        TimeoutType::StartToClose => "StartToClose",
        TimeoutType::ScheduleToStart => "ScheduleToStart",
        TimeoutType::ScheduleToClose => "ScheduleToClose",
        TimeoutType::Heartbeat => "Heartbeat",
        TimeoutType::Unspecified => "Unspecified",
    };
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
