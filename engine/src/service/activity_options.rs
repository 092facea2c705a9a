//! New options of an activity: those fields that a mask names, checked and completed together with the others.

use temporalio_common::protos::temporal::api::{
    activity::v1::ActivityOptions, command::v1::ScheduleActivityTaskCommandAttributes,
};
use tonic::Status;

use super::masks::{camel_case, has_part_of, merge_priority};
use crate::history::{
    Timeouts, normal_queue,
    retry_policy::{check_policy, complete_policy, fault_of_length},
    state::PendingActivity,
    time::duration,
};

/// The options of `activity`, with the fields of `from` that `mask` names. Names that no field has change nothing.
///
/// # Errors
/// `INVALID_ARGUMENT`, in the words of Temporal's history service.
pub(super) fn merged(
    activity: &PendingActivity,
    from: &ActivityOptions,
    mask: &[String],
) -> Result<ActivityOptions, Status> {
    let mask: Vec<String> = mask.iter().map(|path| camel_case(path)).collect();
    let names = |path: &str| mask.iter().any(|named| named == path);
    let mut options = activity.options();
    let queue = options.task_queue.take().unwrap_or_default().name;
    options.task_queue = Some(normal_queue(queue));
    if names("taskQueue.name") {
        let queue = from.task_queue.as_ref().ok_or_else(|| missing("TaskQueue"))?;
        options.task_queue = Some(normal_queue(queue.name.clone()));
    }
    if names("scheduleToCloseTimeout") {
        options.schedule_to_close_timeout = from.schedule_to_close_timeout;
    }
    if names("scheduleToStartTimeout") {
        options.schedule_to_start_timeout = from.schedule_to_start_timeout;
    }
    if names("startToCloseTimeout") {
        options.start_to_close_timeout = from.start_to_close_timeout;
    }
    if names("heartbeatTimeout") {
        options.heartbeat_timeout = from.heartbeat_timeout;
    }
    merge_priority(&mut options.priority, from.priority.as_ref(), &mask)?;
    merge_retry_policy(&mut options, from, &mask)?;
    with_timeouts(activity, options)
}

/// As [`merged`], of an activity that stands alone: it has a start delay, and whatever it is given is completed as at its start.
///
/// # Errors
/// `INVALID_ARGUMENT`: the options cannot be.
pub(super) fn merged_alone(
    activity: &PendingActivity,
    from: &ActivityOptions,
    mask: &[String],
) -> Result<ActivityOptions, Status> {
    let named: Vec<String> = mask.iter().map(|path| camel_case(path)).collect();
    let mut from = from.clone();
    // What is not given is the default, and no fault.
    from.retry_policy.get_or_insert_default();
    from.task_queue.get_or_insert_default();
    from.priority.get_or_insert_default();
    let mut options = merged(activity, &from, mask)?;
    if options.task_queue.as_ref().is_none_or(|queue| queue.name.is_empty()) {
        return Err(Status::invalid_argument("taskQueue is not set"));
    }
    if let Some(fault) = fault_of_length(from.start_delay.as_ref()) {
        return Err(Status::invalid_argument(format!("invalid StartDelay: {fault}")));
    }
    options.start_delay = from.start_delay.filter(|_| named.iter().any(|path| path == "startDelay"));
    let policy = complete_policy(options.retry_policy.as_ref());
    check_policy(&policy).map_err(Status::invalid_argument)?;
    options.retry_policy = Some(policy);
    Ok(options)
}

fn merge_retry_policy(options: &mut ActivityOptions, from: &ActivityOptions, mask: &[String]) -> Result<(), Status> {
    if !has_part_of(mask, "retryPolicy") {
        return Ok(());
    }
    let names = |path: &str| mask.iter().any(|named| named == path);
    let from = from.retry_policy.as_ref().ok_or_else(|| missing("RetryPolicy"))?;
    let policy = options.retry_policy.get_or_insert_default();
    if names("retryPolicy") {
        policy.clone_from(from);
        return Ok(());
    }
    if names("retryPolicy.initialInterval") {
        policy.initial_interval = from.initial_interval;
    }
    if names("retryPolicy.backoffCoefficient") {
        policy.backoff_coefficient = from.backoff_coefficient;
    }
    if names("retryPolicy.maximumInterval") {
        policy.maximum_interval = from.maximum_interval;
    }
    if names("retryPolicy.maximumAttempts") {
        policy.maximum_attempts = from.maximum_attempts;
    }
    check_policy(policy).map_err(Status::invalid_argument)
}

/// Checks the timeouts, and completes them from each other as those of a new activity are.
fn with_timeouts(activity: &PendingActivity, mut options: ActivityOptions) -> Result<ActivityOptions, Status> {
    let lengths = [
        ("ScheduleToCloseTimeout", &options.schedule_to_close_timeout),
        ("ScheduleToStartTimeout", &options.schedule_to_start_timeout),
        ("StartToCloseTimeout", &options.start_to_close_timeout),
        ("HeartbeatTimeout", &options.heartbeat_timeout),
    ];
    for (name, length) in lengths {
        if let Some(fault) = fault_of_length(length.as_ref()) {
            return Err(Status::invalid_argument(format!("invalid {name}: {fault}")));
        }
    }
    let asked = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: options.schedule_to_close_timeout,
        schedule_to_start_timeout: options.schedule_to_start_timeout,
        start_to_close_timeout: options.start_to_close_timeout,
        heartbeat_timeout: options.heartbeat_timeout,
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    let limits = Timeouts::of(&asked, 0);
    if limits.start_to_close == 0 {
        let (id, kind) = (activity.activity_id(), activity.activity_type().map_or("", |kind| &kind.name));
        return Err(Status::invalid_argument(format!(
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId={id} ActivityType={kind}"
        )));
    }
    options.schedule_to_close_timeout = duration(limits.schedule_to_close);
    options.schedule_to_start_timeout = duration(limits.schedule_to_start);
    options.start_to_close_timeout = duration(limits.start_to_close);
    options.heartbeat_timeout = duration(limits.heartbeat);
    Ok(options)
}

fn missing(field: &str) -> Status {
    Status::invalid_argument(format!("{field} is not provided"))
}
