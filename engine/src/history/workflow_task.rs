//! Workflow tasks: scheduled, started, failed, timed out.
//!
//! | task is | event | becomes |
//! |---|---|---|
//! | none | something new for the workflow | scheduled |
//! | scheduled | a worker polls | started |
//! | scheduled on a sticky queue | its schedule-to-start timeout | timed out, scheduled on the normal queue |
//! | started | completed | none, or scheduled again when something came meanwhile |
//! | started | failed, or start-to-close timeout | scheduled again, as a transient task |
//!
//! A *transient* task (attempt > 1) leaves no events until it completes: a workflow that fails its tasks for a week does not fill
//! its history. When something new arrives first, it becomes a normal task again.
//!
//! A *speculative* task carries updates to a workflow that has nothing else to do. It has no events either, and is not even
//! stored. When the worker does nothing but reject, it is forgotten; whatever else happens writes its events first, and so
//! makes it a normal task (`convertSpeculativeWorkflowTaskToNormal`).

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    enums::v1::{SuggestContinueAsNewReason, TaskQueueKind, TimeoutType, WorkflowTaskFailedCause},
    failure::v1::Failure,
    history::v1::{
        HistoryEvent, WorkflowTaskFailedEventAttributes, WorkflowTaskScheduledEventAttributes,
        WorkflowTaskStartedEventAttributes, WorkflowTaskTimedOutEventAttributes, history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
};

use super::{
    Execution, MAX_HISTORY_BYTES, MAX_HISTORY_EVENTS, SUGGEST_CONTINUE_AS_NEW_BYTES, SUGGEST_CONTINUE_AS_NEW_EVENTS,
    state::{ExecutionInfo, WorkflowTask},
    time::{Nanos, deadline, duration, from_duration, timestamp},
};

/// Attempts after which a task's timeout grows (`workflowTaskRetryBackoffMinAttempts`).
const BACKOFF_MIN_ATTEMPTS: i32 = 3;
/// First growth, and its limit (`workflowTaskRetryInitialInterval`, `…MaxInterval`).
const BACKOFF_INITIAL: Nanos = 5_000_000_000;
const BACKOFF_MAX: Nanos = 600_000_000_000;
/// How long a speculative task may wait for a worker before a normal one takes its place
/// (`tasks.SpeculativeWorkflowTaskScheduleToStartTimeout`).
const SPECULATIVE_TIMEOUT: Nanos = 5_000_000_000;

/// Who starts a task.
#[derive(Debug, Clone, Default)]
pub struct TaskStart {
    /// The worker.
    pub identity: String,
    /// The poll request.
    pub request_id: String,
    /// Whether the worker lives in this process.
    pub in_process: bool,
}

/// A started workflow task, as its worker needs it.
#[derive(Debug, Clone)]
pub struct TaskStarted {
    /// The task.
    pub task: WorkflowTask,
    /// Started event of the task before.
    pub previous_started_event_id: i64,
    /// Events of a transient or speculative task, which the history does not hold.
    pub transient_events: Vec<HistoryEvent>,
}

impl Execution {
    /// Schedules a workflow task unless there is one, or none may be yet.
    pub fn schedule_workflow_task(&mut self, now: Nanos) {
        if !self.is_open() || self.info.workflow_task.is_some() || self.info.first_task_delayed {
            return;
        }
        if self.flush_buffered() {
            self.info.workflow_task_attempt = 1;
        }
        if self.is_paused() {
            return;
        }
        let attempt = self.info.workflow_task_attempt.max(1);
        let timeout = self.task_timeout(attempt);
        if attempt == 1 {
            let attributes = self.scheduled_attributes(attempt, timeout);
            self.record(now, Attributes::WorkflowTaskScheduledEventAttributes(attributes));
            return;
        }
        self.info.workflow_task = Some(WorkflowTask {
            scheduled_event_id: self.info.next_event_id,
            attempt,
            scheduled_time: now,
            original_scheduled_time: now,
            timeout,
            queue: self.task_queue().to_owned(),
            ..Default::default()
        });
        self.changes.dirty = true;
    }

    /// Schedules a workflow task, and the first one before its time if need be. A speculative task that is there ends the delay
    /// itself, once its events are written.
    pub fn schedule_workflow_task_early(&mut self, now: Nanos) {
        if self.info.workflow_task.is_none() && !self.is_paused() {
            self.info.first_task_delayed = false;
        }
        self.schedule_workflow_task(now);
    }

    /// Schedules a task for updates only, unless there is one anyhow. Even a start delay does not hold it back.
    pub(super) fn schedule_speculative_task(&mut self, now: Nanos) {
        if !self.is_open() || self.is_paused() || self.info.workflow_task.is_some() {
            return;
        }
        let sticky = !self.info.sticky_queue.is_empty();
        let queue = if sticky { self.info.sticky_queue.clone() } else { self.task_queue().to_owned() };
        self.info.workflow_task = Some(WorkflowTask {
            scheduled_event_id: self.info.next_event_id,
            attempt: 1,
            scheduled_time: now,
            original_scheduled_time: now,
            timeout: self.task_timeout(1),
            queue,
            sticky,
            speculative: true,
            ..Default::default()
        });
        self.changes.speculative = true;
    }

    /// Makes a speculative task a normal one: writes the events that it has owed since it was scheduled. Goes before any
    /// other event, since the worker has been told those ids.
    pub(super) fn settle_speculative_task(&mut self) {
        let Some(task) = self.info.workflow_task.as_mut().filter(|task| task.speculative) else { return };
        task.speculative = false;
        let task = task.clone();
        let started = task.started_event_id != 0;
        let [scheduled_event, started_event] = self.transient_events(&task);
        self.info.first_task_delayed = false;
        self.push(scheduled_event);
        if started {
            self.push(started_event);
        }
    }

    /// Encoded form of everything that is not a pending thing. A speculative workflow task is not stored.
    pub fn encode_info(&self) -> Vec<u8> {
        if self.info.workflow_task.as_ref().is_some_and(|task| task.speculative) {
            return ExecutionInfo { workflow_task: None, ..self.info.clone() }.encode_to_vec();
        }
        self.info.encode_to_vec()
    }

    /// Ends a transaction: what else it has changed makes a speculative task of before a normal one, and an outgrown history
    /// ends the run.
    pub fn end_transaction(&mut self, now: Nanos) {
        if self.changes.dirty && !self.changes.speculative {
            self.settle_speculative_task();
        }
        self.enforce_history_limits(now);
    }

    /// Gives the scheduled task to a worker. `None` when there is no task to give.
    pub fn start_workflow_task(&mut self, now: Nanos, start: &TaskStart) -> Option<TaskStarted> {
        let task = self.info.workflow_task.clone()?;
        if task.started_event_id != 0 || !self.is_open() {
            return None;
        }
        if task.attempt > 1 && task.scheduled_event_id != self.info.next_event_id {
            // Something was written since: the transient task becomes a normal one.
            let attributes = self.scheduled_attributes(1, task.timeout);
            self.info.workflow_task_attempt = 1;
            self.record(now, Attributes::WorkflowTaskScheduledEventAttributes(attributes));
        }
        let unwritten = self.info.workflow_task.as_ref().is_some_and(WorkflowTask::is_unwritten);
        let attributes = self.started_attributes(start);
        if unwritten {
            let suggest = attributes.suggest_continue_as_new;
            let history_size = attributes.history_size_bytes;
            if let Some(task) = self.info.workflow_task.as_mut() {
                task.started_event_id = task.scheduled_event_id + 1;
                task.started_time = now;
                task.identity.clone_from(&start.identity);
                task.request_id.clone_from(&start.request_id);
                task.suggest_continue_as_new = suggest;
                task.history_size = history_size;
            }
        } else {
            self.record(now, Attributes::WorkflowTaskStartedEventAttributes(attributes));
        }
        if let Some(task) = self.info.workflow_task.as_mut() {
            task.in_process = start.in_process;
            self.changes.dirty |= !task.speculative;
        }
        self.started_task()
    }

    /// The task that a worker holds.
    pub fn started_task(&self) -> Option<TaskStarted> {
        let task = self.info.workflow_task.clone().filter(|task| task.started_event_id != 0)?;
        let transient_events = if task.is_unwritten() { self.transient_events(&task).to_vec() } else { Vec::new() };
        Some(TaskStarted { task, previous_started_event_id: self.info.last_started_event_id, transient_events })
    }

    /// Fails the started task for `cause` and schedules the next.
    pub fn fail_workflow_task(
        &mut self,
        now: Nanos,
        cause: WorkflowTaskFailedCause,
        failure: Option<Failure>,
        identity: &str,
    ) {
        let Some(task) = self.info.workflow_task.clone() else { return };
        if task.attempt > 1 {
            self.fail_workflow_task_attempt(true);
        } else {
            let attributes = WorkflowTaskFailedEventAttributes {
                scheduled_event_id: task.scheduled_event_id,
                started_event_id: task.started_event_id,
                cause: cause.into(),
                failure,
                identity: identity.to_owned(),
                ..Default::default()
            };
            self.record(now, Attributes::WorkflowTaskFailedEventAttributes(attributes));
        }
        self.schedule_workflow_task(now);
        self.close_attempted = cause == WorkflowTaskFailedCause::UnhandledCommand;
    }

    /// Ends stickiness: the next task goes to the normal queue (`ResetStickyTaskQueue`).
    pub fn clear_sticky(&mut self) {
        self.info.sticky_queue.clear();
        if let Some(task) = self.info.workflow_task.as_mut().filter(|task| task.sticky && task.started_event_id == 0) {
            task.sticky = false;
            task.queue = self
                .info
                .started
                .as_ref()
                .and_then(|s| s.task_queue.as_ref())
                .map(|q| q.name.clone())
                .unwrap_or_default();
        }
        self.changes.dirty = true;
    }

    /// What was in the hands of workers that died with the last process: their workflow task times out now, and nobody has
    /// this execution in a cache any more.
    pub fn abandon_in_process_workers(&mut self, now: Nanos) {
        if !self.is_open() {
            return;
        }
        if self.info.workflow_task.as_ref().is_some_and(|task| task.started_event_id != 0 && task.in_process) {
            self.time_out_workflow_task(now, TimeoutType::StartToClose);
        }
        if !self.info.sticky_queue.is_empty() || self.info.workflow_task.as_ref().is_some_and(|task| task.sticky) {
            self.clear_sticky();
        }
        self.abandon_in_process_activities(now);
        self.begin_requests_anew(now);
    }

    /// When the current task times out, 0 for never. Only a sticky queue limits the wait for a worker.
    pub(super) fn workflow_task_deadline(&self) -> Nanos {
        match self.info.workflow_task.as_ref() {
            Some(task) if task.started_event_id != 0 => deadline(task.started_time, task.timeout),
            Some(task) if task.sticky => deadline(task.scheduled_time, self.info.sticky_timeout),
            Some(task) if task.speculative => deadline(task.scheduled_time, SPECULATIVE_TIMEOUT),
            None if self.info.first_task_delayed && !self.is_paused() => self.info.execution_time,
            _ => 0,
        }
    }

    pub(super) fn fire_workflow_task_deadline(&mut self, now: Nanos) {
        let due = self.workflow_task_deadline();
        if due == 0 || due > now || !self.is_open() {
            return;
        }
        if self.info.workflow_task.is_none() {
            self.info.first_task_delayed = false;
            self.schedule_workflow_task(now);
        } else if self.has_started_workflow_task() {
            self.time_out_workflow_task(now, TimeoutType::StartToClose);
        } else {
            self.time_out_workflow_task(now, TimeoutType::ScheduleToStart);
        }
    }

    fn time_out_workflow_task(&mut self, now: Nanos, timeout_type: TimeoutType) {
        let Some(task) = self.info.workflow_task.clone() else { return };
        if task.attempt > 1 {
            self.fail_workflow_task_attempt(timeout_type != TimeoutType::ScheduleToStart);
        } else {
            let attributes = WorkflowTaskTimedOutEventAttributes {
                scheduled_event_id: task.scheduled_event_id,
                started_event_id: task.started_event_id,
                timeout_type: timeout_type.into(),
            };
            self.record(now, Attributes::WorkflowTaskTimedOutEventAttributes(attributes));
        }
        self.schedule_workflow_task(now);
    }

    /// Writes the events that a transient task has owed since it was scheduled.
    pub(super) fn settle_transient_task(&mut self) {
        let Some(task) = self.info.workflow_task.clone().filter(|task| task.attempt > 1) else { return };
        for event in self.transient_events(&task) {
            self.push(event);
        }
    }

    fn transient_events(&self, task: &WorkflowTask) -> [HistoryEvent; 2] {
        let scheduled = Attributes::WorkflowTaskScheduledEventAttributes(WorkflowTaskScheduledEventAttributes {
            task_queue: Some(self.queue_of(&task.queue, task.sticky)),
            start_to_close_timeout: duration(task.timeout),
            attempt: task.attempt,
        });
        let started = Attributes::WorkflowTaskStartedEventAttributes(WorkflowTaskStartedEventAttributes {
            scheduled_event_id: task.scheduled_event_id,
            identity: task.identity.clone(),
            request_id: task.request_id.clone(),
            suggest_continue_as_new: task.suggest_continue_as_new,
            history_size_bytes: task.history_size,
            ..Default::default()
        });
        let event = |id, time, attributes: Attributes| HistoryEvent {
            event_id: id,
            event_time: timestamp(time),
            event_type: attributes.event_type().into(),
            attributes: Some(attributes),
            ..Default::default()
        };
        [
            event(task.scheduled_event_id, task.scheduled_time, scheduled),
            event(task.scheduled_event_id + 1, task.started_time, started),
        ]
    }

    fn scheduled_attributes(&self, attempt: i32, timeout: Nanos) -> WorkflowTaskScheduledEventAttributes {
        let sticky = !self.info.sticky_queue.is_empty();
        let queue = if sticky { self.info.sticky_queue.as_str() } else { self.task_queue() };
        WorkflowTaskScheduledEventAttributes {
            task_queue: Some(self.queue_of(queue, sticky)),
            start_to_close_timeout: duration(timeout),
            attempt,
        }
    }

    fn queue_of(&self, name: &str, sticky: bool) -> TaskQueue {
        let kind = if sticky { TaskQueueKind::Sticky } else { TaskQueueKind::Normal };
        let normal_name = if sticky { self.task_queue().to_owned() } else { String::new() };
        TaskQueue { name: name.to_owned(), kind: kind.into(), normal_name }
    }

    fn started_attributes(&self, start: &TaskStart) -> WorkflowTaskStartedEventAttributes {
        let task = self.info.workflow_task.as_ref();
        let too_large = self.info.history_size >= SUGGEST_CONTINUE_AS_NEW_BYTES;
        let too_many = self.last_event_id() >= SUGGEST_CONTINUE_AS_NEW_EVENTS;
        let too_many_updates = self.has_many_updates();
        let mut reasons = Vec::new();
        if too_large {
            reasons.push(SuggestContinueAsNewReason::HistorySizeTooLarge.into());
        }
        if too_many {
            reasons.push(SuggestContinueAsNewReason::TooManyHistoryEvents.into());
        }
        if too_many_updates {
            reasons.push(SuggestContinueAsNewReason::TooManyUpdates.into());
        }
        WorkflowTaskStartedEventAttributes {
            scheduled_event_id: task.map_or(0, |task| task.scheduled_event_id),
            identity: start.identity.clone(),
            request_id: start.request_id.clone(),
            suggest_continue_as_new: !reasons.is_empty(),
            suggest_continue_as_new_reasons: reasons,
            history_size_bytes: self.info.history_size,
            ..Default::default()
        }
    }

    /// Start-to-close timeout of attempt `attempt`: the configured one, longer for tasks that keep failing, since a worker does
    /// not answer those and the timeout is then what paces the retries.
    fn task_timeout(&self, attempt: i32) -> Nanos {
        let configured = self.info.started.as_ref().map_or(0, |s| from_duration(s.workflow_task_timeout.as_ref()));
        if attempt <= BACKOFF_MIN_ATTEMPTS {
            return configured;
        }
        let doublings = u32::try_from(attempt - BACKOFF_MIN_ATTEMPTS - 1).unwrap_or(0).min(16);
        configured.saturating_add(BACKOFF_INITIAL.saturating_mul(1 << doublings).min(BACKOFF_MAX))
    }

    /// Whether the history has outgrown what an execution may have.
    pub(super) fn history_is_too_long(&self) -> bool {
        self.last_event_id() >= MAX_HISTORY_EVENTS || self.info.history_size >= MAX_HISTORY_BYTES
    }
}
