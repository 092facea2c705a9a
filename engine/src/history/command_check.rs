//! Whether the commands of a workflow task can be carried out: all of them, against the state and each other, before any takes
//! effect.

use std::collections::BTreeSet;

use temporalio_common::protos::temporal::api::{
    command::v1::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes as C},
    common::v1::RetryPolicy,
    enums::v1::WorkflowTaskFailedCause as Cause,
};

use super::{
    CommandError, Execution, MAX_PENDING,
    operation_check::Operations,
    protocol::{self, Incoming},
    retry_policy::{check_policy, complete_policy},
    time::{Nanos, from_duration},
};
use crate::cron;

/// Longest id, type or name that a command may carry, bytes (`limit.maxIDLength`).
const MAX_ID_LENGTH: usize = 1_000;

impl Execution {
    /// Checks all commands against the state and each other, so that they can then be carried out without failing.
    pub(super) fn check_commands(
        &self,
        now: Nanos,
        commands: &[Command],
        messages: &[Incoming],
    ) -> Result<(), CommandError> {
        let mut seen = Seen::new(self, now, messages);
        let mut closes = false;
        for command in commands {
            if closes {
                return Err(bad(Cause::UnhandledCommand, "a command follows the one that closes the workflow"));
            }
            closes = self.check_command(command, &mut seen)?;
        }
        if closes && self.has_unseen_events() {
            return Err(bad(Cause::UnhandledCommand, "UnhandledCommand"));
        }
        seen.updates.rest(closes)
    }

    /// Whether something came that the worker has not seen, so that it may not close the workflow.
    fn has_unseen_events(&self) -> bool {
        !self.buffered.is_empty()
    }

    /// Checks one command; answers whether it closes the workflow.
    fn check_command(&self, command: &Command, seen: &mut Seen<'_>) -> Result<bool, CommandError> {
        match command.attributes.as_ref() {
            Some(C::ScheduleActivityTaskCommandAttributes(a)) => check_activity(a, seen)?,
            Some(C::RequestCancelActivityTaskCommandAttributes(a)) => {
                let known = a.scheduled_event_id > 0 && a.scheduled_event_id < self.info.next_event_id + seen.scheduled;
                require(known, Cause::BadRequestCancelActivityAttributes, || {
                    format!("scheduledEventId {} is not of an activity", a.scheduled_event_id)
                })?;
            }
            Some(C::StartTimerCommandAttributes(a)) => {
                require_id(&a.timer_id, Cause::BadStartTimerAttributes, "timerId")?;
                require(from_duration(a.start_to_fire_timeout.as_ref()) > 0, Cause::BadStartTimerAttributes, || {
                    format!("timer {:?} has no positive startToFireTimeout", a.timer_id)
                })?;
                let fresh = seen.timers.insert(a.timer_id.clone());
                require(fresh, Cause::StartTimerDuplicateId, || format!("timer {:?} exists already", a.timer_id))?;
            }
            Some(C::CancelTimerCommandAttributes(a)) => {
                let known = seen.timers.remove(&a.timer_id) || self.knows_timer(&a.timer_id);
                require(known, Cause::BadCancelTimerAttributes, || format!("timer {:?} does not exist", a.timer_id))?;
            }
            Some(C::RecordMarkerCommandAttributes(a)) => {
                require_id(&a.marker_name, Cause::BadRecordMarkerAttributes, "markerName")?;
            }
            Some(C::StartChildWorkflowExecutionCommandAttributes(a)) => {
                let cause = Cause::BadStartChildExecutionAttributes;
                require_id(&a.workflow_id, cause, "workflowId")?;
                require_id(a.workflow_type.as_ref().map_or("", |kind| &kind.name), cause, "workflowType")?;
                let name = "StartChildWorkflowExecutionCommand";
                check_retry_policy(a.retry_policy.as_ref(), cause, name)?;
                cron::check(&a.cron_schedule, seen.now)
                    .map_err(|error| bad(cause, &format!("invalid CronSchedule on {name}: {error}")))?;
                seen.children += 1;
                require(seen.children <= MAX_PENDING, Cause::PendingChildWorkflowsLimitExceeded, || {
                    too_many("child workflows")
                })?;
            }
            Some(C::SignalExternalWorkflowExecutionCommandAttributes(a)) => {
                let cause = Cause::BadSignalWorkflowExecutionAttributes;
                require_id(a.execution.as_ref().map_or("", |e| &e.workflow_id), cause, "workflowId")?;
                require_id(&a.signal_name, cause, "signalName")?;
                seen.signals += 1;
                require(seen.signals <= MAX_PENDING, Cause::PendingSignalsLimitExceeded, || too_many("signals"))?;
            }
            Some(C::RequestCancelExternalWorkflowExecutionCommandAttributes(a)) => {
                require_id(&a.workflow_id, Cause::BadRequestCancelExternalWorkflowExecutionAttributes, "workflowId")?;
                seen.cancels += 1;
                require(seen.cancels <= MAX_PENDING, Cause::PendingRequestCancelLimitExceeded, || {
                    too_many("cancellations")
                })?;
            }
            Some(C::UpsertWorkflowSearchAttributesCommandAttributes(a)) => {
                let some = a.search_attributes.as_ref().is_some_and(|s| !s.indexed_fields.is_empty());
                require(some, Cause::BadSearchAttributes, || "searchAttributes is empty".to_owned())?;
            }
            Some(C::ModifyWorkflowPropertiesCommandAttributes(a)) => {
                let some = a.upserted_memo.is_some();
                require(some, Cause::BadModifyWorkflowPropertiesAttributes, || "no property to modify".to_owned())?;
            }
            Some(C::FailWorkflowExecutionCommandAttributes(a)) => {
                let some = a.failure.is_some();
                require(some, Cause::BadFailWorkflowExecutionAttributes, || "failure is not set".to_owned())?;
                return Ok(true);
            }
            Some(C::ContinueAsNewWorkflowExecutionCommandAttributes(a)) => {
                let name = "ContinueAsNewWorkflowExecutionCommand";
                check_retry_policy(a.retry_policy.as_ref(), Cause::BadContinueAsNewAttributes, name)?;
                return Ok(true);
            }
            Some(C::CompleteWorkflowExecutionCommandAttributes(_) | C::CancelWorkflowExecutionCommandAttributes(_)) => {
                return Ok(true);
            }
            Some(C::ProtocolMessageCommandAttributes(a)) => seen.updates.command(&a.message_id)?,
            Some(C::ScheduleNexusOperationCommandAttributes(a)) => seen.operations.schedule(a)?,
            Some(C::RequestCancelNexusOperationCommandAttributes(a)) => {
                seen.operations.cancel(a.scheduled_event_id)?;
            }
            None => return Err(bad(Cause::UnhandledCommand, "a command has no attributes")),
        }
        Ok(false)
    }
}

/// Names in use, before and among the commands of one task.
struct Seen<'a> {
    now: Nanos,
    activities: BTreeSet<String>,
    timers: BTreeSet<String>,
    children: usize,
    signals: usize,
    cancels: usize,
    /// Activities scheduled by earlier commands of the task, whose event ids are not known yet.
    scheduled: i64,
    operations: Operations<'a>,
    updates: protocol::Check<'a>,
}

impl<'a> Seen<'a> {
    fn new(execution: &'a Execution, now: Nanos, messages: &[Incoming]) -> Self {
        Self {
            now,
            activities: execution.activities.values().map(|a| a.activity_id().to_owned()).collect(),
            timers: execution.timers.values().map(|timer| timer.timer_id.clone()).collect(),
            children: execution.children.len(),
            signals: execution.signals.len(),
            cancels: execution.cancels.len(),
            scheduled: 0,
            operations: Operations::new(execution),
            updates: protocol::Check::new(execution, messages),
        }
    }
}

fn check_activity(a: &ScheduleActivityTaskCommandAttributes, seen: &mut Seen<'_>) -> Result<(), CommandError> {
    let cause = Cause::BadScheduleActivityAttributes;
    require_id(&a.activity_id, cause, "activityId")?;
    require_id(a.activity_type.as_ref().map_or("", |kind| &kind.name), cause, "activityType")?;
    let limited =
        from_duration(a.schedule_to_close_timeout.as_ref()) > 0 || from_duration(a.start_to_close_timeout.as_ref()) > 0;
    require(limited, cause, || {
        format!("a valid StartToClose or ScheduleToCloseTimeout is not set on activity {:?}", a.activity_id)
    })?;
    let fresh = seen.activities.insert(a.activity_id.clone());
    require(fresh, Cause::ScheduleActivityDuplicateId, || format!("activity {:?} exists already", a.activity_id))?;
    seen.scheduled += 1;
    require(seen.activities.len() <= MAX_PENDING, Cause::PendingActivitiesLimitExceeded, || too_many("activities"))
}

/// A wrong schedule of a run that continues is no fault: the server takes it, and it never comes due.
fn check_retry_policy(policy: Option<&RetryPolicy>, cause: Cause, name: &str) -> Result<(), CommandError> {
    let Some(policy) = policy else { return Ok(()) };
    check_policy(&complete_policy(Some(policy)))
        .map_err(|reason| bad(cause, &format!("invalid WorkflowRetryPolicy on {name}: {reason}")))
}

fn require_id(id: &str, cause: Cause, field: &str) -> Result<(), CommandError> {
    require(!id.is_empty(), cause, || format!("{field} is not set on command"))?;
    require(id.len() <= MAX_ID_LENGTH, cause, || format!("{field} is longer than {MAX_ID_LENGTH} bytes"))
}

fn require(holds: bool, cause: Cause, message: impl FnOnce() -> String) -> Result<(), CommandError> {
    if holds { Ok(()) } else { Err(bad(cause, &message())) }
}

fn bad(cause: Cause, message: &str) -> CommandError {
    CommandError { cause, message: message.to_owned() }
}

fn too_many(what: &str) -> String {
    format!("the number of pending {what} has reached the limit of {MAX_PENDING}")
}
