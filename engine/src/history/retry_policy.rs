//! Retry policies: their defaults, what is wrong with one, and how long to wait before another attempt. One set of rules for
//! activities and workflows (`common/retrypolicy`, `service/history/workflow/retry.go`).

use prost_wkt_types::Duration;
use temporalio_common::protos::temporal::api::{
    common::v1::RetryPolicy,
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
};

use super::time::{Nanos, duration, from_duration};

/// Defaults of Temporal's retry policies (`history.defaultActivityRetryPolicy`, `history.defaultWorkflowRetryPolicy`).
const DEFAULT_INITIAL_INTERVAL: Nanos = 1_000_000_000;
const DEFAULT_BACKOFF_COEFFICIENT: f64 = 2.0;
const DEFAULT_MAXIMUM_INTERVAL_FACTOR: i64 = 100;
/// What precedes the name of a timeout among the non-retryable types (`TimeoutFailureTypePrefix`).
const TIMEOUT_PREFIX: &str = "TemporalTimeout:";

/// The policy with what it leaves open filled in (`EnsureDefaults`).
pub(crate) fn complete_policy(policy: Option<&RetryPolicy>) -> RetryPolicy {
    let mut policy = policy.cloned().unwrap_or_default();
    if is_zero(policy.initial_interval.as_ref()) {
        policy.initial_interval = duration(DEFAULT_INITIAL_INTERVAL);
    }
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = DEFAULT_BACKOFF_COEFFICIENT;
    }
    if is_zero(policy.maximum_interval.as_ref()) {
        let initial = from_duration(policy.initial_interval.as_ref());
        policy.maximum_interval = duration(initial.saturating_mul(DEFAULT_MAXIMUM_INTERVAL_FACTOR));
    }
    policy
}

/// What is wrong with a completed policy, in the words of Temporal's `retrypolicy.Validate`. One that allows a single attempt
/// is not looked at any further.
///
/// # Errors
/// The reason.
pub(crate) fn check_policy(policy: &RetryPolicy) -> Result<(), String> {
    if policy.maximum_attempts == 1 {
        return Ok(());
    }
    check_length(policy.initial_interval.as_ref(), "InitialInterval")?;
    if policy.backoff_coefficient < 1.0 {
        return Err("BackoffCoefficient cannot be less than 1 on retry policy.".to_owned());
    }
    check_length(policy.maximum_interval.as_ref(), "MaximumInterval")?;
    let maximum = from_duration(policy.maximum_interval.as_ref());
    if maximum > 0 && maximum < from_duration(policy.initial_interval.as_ref()) {
        return Err("MaximumInterval cannot be less than InitialInterval on retry policy.".to_owned());
    }
    if policy.maximum_attempts < 0 {
        return Err("MaximumAttempts cannot be negative on retry policy.".to_owned());
    }
    let unknown = policy
        .non_retryable_error_types
        .iter()
        .filter_map(|name| name.strip_prefix(TIMEOUT_PREFIX))
        .find(|name| !TIMEOUTS.iter().any(|timeout| timeout_name(*timeout) == *name));
    unknown.map_or(Ok(()), |name| Err(format!("Invalid timeout type value: {name}.")))
}

/// What is wrong with a length from outside (`timestamp.ValidateProtoDuration`), if anything is.
pub(crate) fn fault_of_length(length: Option<&Duration>) -> Option<&'static str> {
    length.filter(|length| length.seconds < 0 || length.nanos < 0).map(|_| "negative duration")
}

fn check_length(length: Option<&Duration>, field: &str) -> Result<(), String> {
    fault_of_length(length).map_or(Ok(()), |fault| Err(format!("invalid {field} set on retry policy: {fault}")))
}

fn is_zero(length: Option<&Duration>) -> bool {
    length.is_none_or(|length| length.seconds == 0 && length.nanos == 0)
}

/// How long to wait after `attempt` has failed, or why there is no other attempt (`getBackoffInterval`). `expiration` is the
/// time at which attempts end, 0 for never.
pub(super) fn backoff_after(
    policy: &RetryPolicy,
    attempt: i32,
    now: Nanos,
    expiration: Nanos,
    failure: Option<&Failure>,
) -> Result<Nanos, RetryState> {
    if !failure.is_none_or(|failure| is_retryable(failure, &policy.non_retryable_error_types)) {
        return Err(RetryState::NonRetryableFailure);
    }
    if policy.maximum_attempts > 0 && attempt >= policy.maximum_attempts {
        return Err(RetryState::MaximumAttemptsReached);
    }
    let maximum = from_duration(policy.maximum_interval.as_ref());
    let asked = failure.and_then(requested_delay).unwrap_or_else(|| exponential(policy, attempt));
    if maximum == 0 && asked <= 0 {
        return Err(RetryState::Timeout);
    }
    let interval = if maximum != 0 && (asked <= 0 || asked > maximum) { maximum } else { asked };
    if expiration != 0 && now.saturating_add(interval) > expiration {
        return Err(RetryState::Timeout);
    }
    Ok(interval)
}

/// Whether a policy allows another attempt after that failure.
pub(super) fn is_retryable_by(policy: &RetryPolicy, failure: &Failure) -> bool {
    is_retryable(failure, &policy.non_retryable_error_types)
}

/// The interval that belongs to an attempt's own number, with the policy's limit.
pub(super) fn interval_of_attempt(policy: &RetryPolicy, attempt: i32) -> Nanos {
    let maximum = from_duration(policy.maximum_interval.as_ref());
    let interval = exponential(policy, attempt);
    if maximum != 0 && (interval <= 0 || interval > maximum) { maximum } else { interval }
}

/// Interval after an attempt, without a limit (`ExponentialBackoffAlgorithm`).
#[allow(clippy::cast_possible_truncation, reason = "a float too large for i64 saturates, and is capped right after")]
fn exponential(policy: &RetryPolicy, attempt: i32) -> Nanos {
    let initial = from_duration(policy.initial_interval.as_ref());
    (initial as f64 * policy.backoff_coefficient.powi(attempt.max(1) - 1)) as i64
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
            let name = format!("{TIMEOUT_PREFIX}{}", timeout_name(info.timeout_type()));
            matches!(info.timeout_type(), TimeoutType::StartToClose | TimeoutType::Heartbeat)
                && !non_retryable.contains(&name)
        }
        Some(FailureInfo::ServerFailureInfo(info)) => !info.non_retryable,
        Some(FailureInfo::ApplicationFailureInfo(info)) => !info.non_retryable && !non_retryable.contains(&info.r#type),
        _ => true,
    }
}

const TIMEOUTS: [TimeoutType; 4] =
    [TimeoutType::StartToClose, TimeoutType::ScheduleToStart, TimeoutType::ScheduleToClose, TimeoutType::Heartbeat];

/// A timeout's name, as it stands in messages and among the non-retryable types.
pub(super) fn timeout_name(timeout_type: TimeoutType) -> &'static str {
    match timeout_type {
        TimeoutType::StartToClose => "StartToClose",
        TimeoutType::ScheduleToStart => "ScheduleToStart",
        TimeoutType::ScheduleToClose => "ScheduleToClose",
        TimeoutType::Heartbeat => "Heartbeat",
        TimeoutType::Unspecified => "Unspecified",
    }
}
