//! What a worker answers to a workflow task: its commands, checked as a whole before any of them takes effect.

use std::collections::BTreeSet;

use temporalio_common::protos::temporal::api::{
    command::v1::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes as C},
    common::v1::WorkerVersionStamp,
    common::v1::{MeteringMetadata, RetryPolicy},
    deployment::v1::WorkerDeploymentVersion,
    enums::v1::{VersioningBehavior, WorkflowTaskFailedCause as Cause},
    history::v1::{
        MarkerRecordedEventAttributes, UpsertWorkflowSearchAttributesEventAttributes,
        WorkflowPropertiesModifiedEventAttributes, WorkflowTaskCompletedEventAttributes, history_event::Attributes,
    },
    protocol::v1::Message,
    sdk::v1::WorkflowTaskCompletedMetadata,
};

use super::{
    Execution, MAX_PENDING, OperationTarget,
    operation_check::Operations,
    protocol::{self, Incoming},
    retry_policy::{check_policy, complete_policy},
    time::{Nanos, from_duration},
};
use crate::cron;

/// Longest id, type or name that a command may carry, bytes (`limit.maxIDLength`).
const MAX_ID_LENGTH: usize = 1_000;

/// A completed workflow task, as the worker reports it.
#[derive(Debug, Clone, Default)]
pub struct CompletedTask {
    /// The commands, in order.
    pub commands: Vec<Command>,
    /// Answers to updates; commands point to some of them.
    pub messages: Vec<Message>,
    /// The worker.
    pub identity: String,
    /// Sticky queue of the worker and how long a task may wait there, if it keeps the workflow in its cache.
    pub sticky: Option<(String, Nanos)>,
    /// Whether the worker wants another task at once (it heart-beats for local activities).
    pub force_new_task: bool,
    /// Whether the worker takes the next task, if there is one, with the answer to this one.
    pub takes_next_task: bool,
    /// Whether the worker can forget a speculative task even when other events came with it
    /// (`discard_speculative_workflow_task_with_events`).
    pub forgets_with_events: bool,
    /// Flags and SDK names.
    pub sdk_metadata: Option<WorkflowTaskCompletedMetadata>,
    /// Metering.
    pub metering_metadata: Option<MeteringMetadata>,
    /// What the workflow's code says of versions.
    pub versioning_behavior: VersioningBehavior,
    /// The version of the worker, if it has one.
    pub version: Option<WorkerDeploymentVersion>,
    /// Where the Nexus operations go that its commands schedule, in their order.
    pub operations: Vec<OperationTarget>,
}

/// What came of a completed task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskOutcome {
    /// Activities whose command asked for eager execution, by scheduled event.
    pub eager: Vec<i64>,
    /// Whether the task was speculative and has left no trace, so that the worker has to forget its events
    /// (`reset_history_event_id`).
    pub forgotten: bool,
}

/// Why commands were refused: the task fails with the cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// The cause for the history.
    pub cause: Cause,
    /// The reason for people.
    pub message: String,
}

impl Execution {
    /// Takes a completed workflow task.
    ///
    /// # Errors
    /// A command that cannot be carried out; nothing has changed then, and the caller fails the task with the cause.
    pub fn complete_workflow_task(
        &mut self,
        now: Nanos,
        task: CompletedTask,
        new_run_id: impl FnOnce() -> String,
    ) -> Result<TaskOutcome, CommandError> {
        let mut messages = protocol::decode(task.messages.clone())?;
        self.check_commands(now, &task.commands, &messages)?;
        if self.leaves_no_trace(&task, &messages) {
            self.info.workflow_task = None;
            self.close_attempted = false;
            self.take_sticky(task.sticky);
            self.take_rejections(&mut messages);
            self.reject_unprocessed_updates();
            self.schedule_task_for_updates(now, task.takes_next_task);
            return Ok(TaskOutcome { forgotten: true, ..TaskOutcome::default() });
        }
        let completed = self.record_task_completed(now, &task);
        self.take_sticky(task.sticky);
        self.take_rejections(&mut messages);
        let mut eager = Vec::new();
        let mut new_run_id = Some(new_run_id);
        let mut operations = task.operations.into_iter();
        for command in task.commands {
            let metadata = command.user_metadata.clone();
            match command.attributes {
                Some(C::ScheduleNexusOperationCommandAttributes(a)) => {
                    let target = operations.next().unwrap_or_default();
                    self.schedule_operation(now, completed, a, target, metadata);
                }
                Some(C::RequestCancelNexusOperationCommandAttributes(a)) => {
                    self.request_cancel_operation(now, completed, a.scheduled_event_id, metadata);
                }
                Some(C::ProtocolMessageCommandAttributes(a)) => {
                    if let Some(message) = protocol::take(&mut messages, &a.message_id) {
                        self.take_message(now, message);
                    }
                }
                _ => self.carry_out(now, completed, command, &task.identity, &mut eager, &mut new_run_id),
            }
        }
        if self.is_open() {
            for message in messages {
                self.take_message(now, message);
            }
            if !task.force_new_task {
                self.reject_unprocessed_updates();
            }
            let news = self.flush_buffered();
            // An activity that was cancelled before it began has already scheduled its own news.
            let unseen = self.has_news_since(completed);
            if news || unseen || task.force_new_task {
                self.schedule_workflow_task(now);
            } else {
                self.schedule_task_for_updates(now, task.takes_next_task);
            }
        }
        Ok(TaskOutcome { eager, forgotten: false })
    }

    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    fn record_task_completed(&mut self, now: Nanos, task: &CompletedTask) -> i64 {
        self.settle_transient_task();
        let (scheduled_event_id, started_event_id) =
            self.info.workflow_task.as_ref().map_or((0, 0), |task| (task.scheduled_event_id, task.started_event_id));
        let attributes = WorkflowTaskCompletedEventAttributes {
            scheduled_event_id,
            started_event_id,
            identity: task.identity.clone(),
            sdk_metadata: task.sdk_metadata.clone(),
            metering_metadata: task.metering_metadata,
            versioning_behavior: task.versioning_behavior.into(),
            worker_deployment_name: task.version.as_ref().map(|v| v.deployment_name.clone()).unwrap_or_default(),
            worker_version: task
                .version
                .as_ref()
                .map(|v| WorkerVersionStamp { build_id: v.build_id.clone(), use_versioning: false }),
            deployment_version: task.version.clone(),
            ..Default::default()
        };
        self.record(now, Attributes::WorkflowTaskCompletedEventAttributes(attributes))
    }

    fn take_sticky(&mut self, sticky: Option<(String, Nanos)>) {
        let (queue, timeout) = sticky.unwrap_or_default();
        self.info.sticky_queue = queue;
        self.info.sticky_timeout = timeout;
    }

    /// Whether carrying out the commands has itself brought news for the workflow: an activity cancelled before it began.
    fn has_news_since(&self, completed: i64) -> bool {
        let cancelled = |event: &&_| {
            let event: &temporalio_common::protos::temporal::api::history::v1::HistoryEvent = event;
            event.event_id > completed
                && matches!(event.attributes, Some(Attributes::ActivityTaskCanceledEventAttributes(_)))
        };
        self.changes.events.iter().any(|event| cancelled(&event))
    }

    #[allow(clippy::too_many_arguments, reason = "one command's whole context")]
    fn carry_out(
        &mut self,
        now: Nanos,
        completed: i64,
        command: Command,
        identity: &str,
        eager: &mut Vec<i64>,
        new_run_id: &mut Option<impl FnOnce() -> String>,
    ) {
        let metadata = command.user_metadata;
        match command.attributes {
            Some(C::ScheduleActivityTaskCommandAttributes(a)) => {
                let id = self.schedule_activity(now, completed, &a, metadata);
                if a.request_eager_execution
                    && self.activities.get(&id).is_some_and(|x| x.task_queue() == self.task_queue())
                {
                    eager.push(id);
                }
            }
            Some(C::RequestCancelActivityTaskCommandAttributes(a)) => {
                self.request_cancel_activity(now, completed, a.scheduled_event_id, identity);
            }
            Some(C::StartTimerCommandAttributes(a)) => self.start_timer(now, completed, &a, metadata),
            Some(C::CancelTimerCommandAttributes(a)) => self.cancel_timer(now, completed, &a.timer_id, identity),
            Some(C::CompleteWorkflowExecutionCommandAttributes(a)) => {
                let new_run_id = || new_run_id.take().map(|new| new()).unwrap_or_default();
                self.complete(now, completed, a.result, new_run_id);
            }
            Some(C::FailWorkflowExecutionCommandAttributes(a)) => {
                let new_run_id = || new_run_id.take().map(|new| new()).unwrap_or_default();
                self.fail(now, completed, a.failure, new_run_id);
            }
            Some(C::CancelWorkflowExecutionCommandAttributes(a)) => self.cancel(now, completed, a.details),
            Some(C::ContinueAsNewWorkflowExecutionCommandAttributes(a)) => {
                if let Some(new_run_id) = new_run_id.take() {
                    self.continue_as_new(now, completed, a, new_run_id());
                }
            }
            Some(C::RecordMarkerCommandAttributes(a)) => {
                let attributes = MarkerRecordedEventAttributes {
                    marker_name: a.marker_name,
                    details: a.details,
                    workflow_task_completed_event_id: completed,
                    header: a.header,
                    failure: a.failure,
                };
                self.record_with(now, Attributes::MarkerRecordedEventAttributes(attributes), metadata);
            }
            Some(C::StartChildWorkflowExecutionCommandAttributes(a)) => {
                self.initiate_child(now, completed, a, metadata);
            }
            Some(C::SignalExternalWorkflowExecutionCommandAttributes(a)) => {
                self.initiate_signal(now, completed, a, metadata);
            }
            Some(C::RequestCancelExternalWorkflowExecutionCommandAttributes(a)) => {
                self.initiate_cancel(now, completed, a, metadata);
            }
            Some(C::UpsertWorkflowSearchAttributesCommandAttributes(a)) => {
                let attributes = UpsertWorkflowSearchAttributesEventAttributes {
                    workflow_task_completed_event_id: completed,
                    search_attributes: a.search_attributes,
                };
                self.record(now, Attributes::UpsertWorkflowSearchAttributesEventAttributes(attributes));
            }
            Some(C::ModifyWorkflowPropertiesCommandAttributes(a)) => {
                let attributes = WorkflowPropertiesModifiedEventAttributes {
                    workflow_task_completed_event_id: completed,
                    upserted_memo: a.upserted_memo,
                };
                self.record(now, Attributes::WorkflowPropertiesModifiedEventAttributes(attributes));
            }
            // Carried out by the caller.
            Some(
                C::ProtocolMessageCommandAttributes(_)
                | C::ScheduleNexusOperationCommandAttributes(_)
                | C::RequestCancelNexusOperationCommandAttributes(_),
            )
            | None => {}
        }
    }

    /// Checks all commands against the state and each other, so that they can then be carried out without failing.
    fn check_commands(&self, now: Nanos, commands: &[Command], messages: &[Incoming]) -> Result<(), CommandError> {
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
