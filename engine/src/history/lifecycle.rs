//! An execution's own life: started, signalled, asked to cancel, closed in every way.

use temporalio_common::protos::temporal::api::{
    common::v1::{Link, Payloads, WorkflowExecution},
    enums::v1::{ContinueAsNewInitiator, RetryState, WorkflowTaskFailedCause},
    failure::v1::Failure,
    history::v1::{
        WorkflowExecutionCancelRequestedEventAttributes, WorkflowExecutionCanceledEventAttributes,
        WorkflowExecutionCompletedEventAttributes, WorkflowExecutionFailedEventAttributes,
        WorkflowExecutionSignaledEventAttributes, WorkflowExecutionStartedEventAttributes,
        WorkflowExecutionTerminatedEventAttributes, WorkflowExecutionTimedOutEventAttributes,
        history_event::Attributes,
    },
    sdk::v1::UserMetadata,
};

use super::{
    Execution,
    next_run::{Left, run_timeout_failure},
    state::{Effect, PendingKind, SignalInput},
    time::{Nanos, duration, from_duration, shorter, timestamp},
};
use crate::cron;

/// Workflow task timeout when none is asked for (`history.defaultWorkflowTaskTimeout`), and the longest allowed.
const DEFAULT_TASK_TIMEOUT: Nanos = 10_000_000_000;
const MAX_TASK_TIMEOUT: Nanos = 120_000_000_000;
/// Who closes executions that have outgrown their history.
pub(super) const SERVER: &str = "history-service";
/// Request ids of signals remembered per run; the oldest are forgotten first.
const MAX_SEEN_REQUESTS: usize = 1_000;

/// What a new run begins with.
#[derive(Debug, Clone, Default)]
pub struct StartInput {
    /// Namespace, by name.
    pub namespace: String,
    /// Namespace, by id.
    pub namespace_id: String,
    /// Attributes of the start event, complete.
    pub attributes: WorkflowExecutionStartedEventAttributes,
    /// Request id of the start.
    pub request_id: String,
    /// Summary and details.
    pub user_metadata: Option<UserMetadata>,
    /// What stands behind the start.
    pub links: Vec<Link>,
}

/// The run timeout in force: no longer than the execution's.
pub fn run_timeout(run: Nanos, execution: Nanos) -> Nanos {
    shorter(run, execution)
}

/// The workflow task timeout in force (`GetWorkflowTaskStartToCloseTimeout`).
pub(super) fn task_timeout(asked: Nanos, run_timeout: Nanos) -> Nanos {
    let timeout = if asked == 0 { DEFAULT_TASK_TIMEOUT } else { asked.min(MAX_TASK_TIMEOUT) };
    shorter(timeout, run_timeout)
}

impl Execution {
    /// Starts a run. The caller schedules the first workflow task, after a signal that comes with the start.
    pub fn start(key: i64, now: Nanos, input: StartInput) -> Self {
        let mut execution = Self { key, ..Self::default() };
        execution.info.namespace = input.namespace;
        execution.info.namespace_id = input.namespace_id;
        execution.info.next_event_id = 1;
        execution.info.start_request_id = input.request_id;
        let mut attributes = input.attributes;
        let execution_timeout = from_duration(attributes.workflow_execution_timeout.as_ref());
        let run = run_timeout(from_duration(attributes.workflow_run_timeout.as_ref()), execution_timeout);
        let task = task_timeout(from_duration(attributes.workflow_task_timeout.as_ref()), run);
        if run != 0 {
            // A limit that was not asked for is not written out.
            attributes.workflow_run_timeout = duration(run);
        }
        attributes.workflow_task_timeout = duration(task);
        let mut backoff = from_duration(attributes.first_workflow_task_backoff.as_ref());
        if !attributes.cron_schedule.is_empty() && attributes.continued_execution_run_id.is_empty() {
            attributes.initiator = ContinueAsNewInitiator::CronSchedule.into();
            backoff = cron::backoff(&attributes.cron_schedule, now, now).unwrap_or(0);
        }
        if backoff != 0 || attributes.continued_execution_run_id.is_empty() {
            attributes.first_workflow_task_backoff = duration(backoff);
        }
        if execution_timeout != 0 && attributes.workflow_execution_expiration_time.is_none() {
            // A wait before the first task counts.
            attributes.workflow_execution_expiration_time = timestamp(now.saturating_add(execution_timeout));
        }
        execution.record_linked(
            now,
            Attributes::WorkflowExecutionStartedEventAttributes(attributes),
            input.user_metadata,
            input.links,
        );
        execution
    }

    /// Takes a signal. One whose request id was seen before changes nothing.
    pub fn signal(&mut self, now: Nanos, signal: SignalInput, from: Option<WorkflowExecution>) {
        if !signal.request_id.is_empty() {
            if self.seen_requests.values().any(|seen| *seen == signal.request_id) {
                return;
            }
            self.remember_request(&signal.request_id);
        }
        let attributes = WorkflowExecutionSignaledEventAttributes {
            signal_name: signal.name,
            input: signal.input,
            identity: signal.identity,
            header: signal.header,
            external_workflow_execution: from,
            request_id: signal.request_id,
            ..Default::default()
        };
        self.record(now, Attributes::WorkflowExecutionSignaledEventAttributes(attributes));
    }

    fn remember_request(&mut self, request_id: &str) {
        let id = self.seen_requests.last_key_value().map_or(0, |(id, _)| id + 1);
        self.seen_requests.insert(id, request_id.to_owned());
        self.touch(PendingKind::SeenRequest, id);
        if self.seen_requests.len() > MAX_SEEN_REQUESTS
            && let Some((oldest, _)) = self.seen_requests.pop_first()
        {
            self.touch(PendingKind::SeenRequest, oldest);
        }
    }

    /// Asks the workflow to cancel, even before its first task was due. Asking again changes nothing.
    pub fn request_cancel(
        &mut self,
        now: Nanos,
        request: WorkflowExecutionCancelRequestedEventAttributes,
        request_id: &str,
    ) {
        if self.info.cancel_requested {
            return;
        }
        request_id.clone_into(&mut self.info.cancel_request_id);
        self.record(now, Attributes::WorkflowExecutionCancelRequestedEventAttributes(request));
        self.schedule_workflow_task_early(now);
    }

    /// Ends the run from outside.
    pub fn terminate(&mut self, now: Nanos, reason: &str, details: Option<Payloads>, identity: &str) {
        self.release_workflow_task(now);
        let attributes = WorkflowExecutionTerminatedEventAttributes {
            reason: reason.to_owned(),
            details,
            identity: identity.to_owned(),
        };
        self.close(now, Attributes::WorkflowExecutionTerminatedEventAttributes(attributes));
    }

    /// Ends the run when its history has outgrown its limits. Answers whether it did.
    pub fn enforce_history_limits(&mut self, now: Nanos) -> bool {
        let too_long = self.is_open() && self.history_is_too_long();
        if too_long {
            self.terminate(now, "Workflow history size / count exceeds limit.", None, SERVER);
        }
        too_long
    }

    /// Times the run out when it is due, and has another follow where the time of the whole execution is not up. Answers
    /// whether it did.
    pub(super) fn expire_run(&mut self, now: Nanos, new_run_id: impl FnOnce() -> String) -> bool {
        let due = shorter(self.info.run_expiration, self.info.execution_expiration);
        if due == 0 || due > now || !self.is_open() {
            return false;
        }
        self.release_workflow_task(now);
        let failure = run_timeout_failure();
        let whole = self.info.execution_expiration != 0 && self.info.execution_expiration <= now;
        let (state, follow) = if whole { (RetryState::Timeout, None) } else { self.after_failure(now, Some(&failure)) };
        let left = Left::Failure(Some(Box::new(failure)));
        let attributes = WorkflowExecutionTimedOutEventAttributes {
            retry_state: state.into(),
            new_execution_run_id: self.follow(now, follow, left, new_run_id),
        };
        self.close(now, Attributes::WorkflowExecutionTimedOutEventAttributes(attributes));
        true
    }

    /// Takes the workflow task back from its worker, and lets go what was buffered, before a close from outside.
    fn release_workflow_task(&mut self, now: Nanos) {
        // A speculative task that nobody has seen leaves no trace.
        self.info.workflow_task.take_if(|task| task.speculative && task.started_event_id == 0);
        if self.has_started_workflow_task() {
            let cause = WorkflowTaskFailedCause::ForceCloseCommand;
            let attempt = self.info.workflow_task.as_ref().map_or(1, |task| task.attempt);
            if attempt > 1 {
                self.fail_workflow_task_attempt(true);
            } else {
                self.record_task_failed(now, cause);
            }
            self.flush_buffered();
        }
    }

    fn record_task_failed(&mut self, now: Nanos, cause: WorkflowTaskFailedCause) {
        let Some(task) = self.info.workflow_task.clone() else { return };
        let attributes = temporalio_common::protos::temporal::api::history::v1::WorkflowTaskFailedEventAttributes {
            scheduled_event_id: task.scheduled_event_id,
            started_event_id: task.started_event_id,
            cause: cause.into(),
            identity: SERVER.to_owned(),
            ..Default::default()
        };
        self.record(now, Attributes::WorkflowTaskFailedEventAttributes(attributes));
    }

    pub(super) fn complete(
        &mut self,
        now: Nanos,
        completed: i64,
        result: Option<Payloads>,
        new_run_id: impl FnOnce() -> String,
    ) {
        let left = Left::Result(result.clone());
        let attributes = WorkflowExecutionCompletedEventAttributes {
            result,
            workflow_task_completed_event_id: completed,
            new_execution_run_id: self.follow(now, self.next_scheduled(now), left, new_run_id),
        };
        self.close(now, Attributes::WorkflowExecutionCompletedEventAttributes(attributes));
    }

    pub(super) fn fail(
        &mut self,
        now: Nanos,
        completed: i64,
        failure: Option<Failure>,
        new_run_id: impl FnOnce() -> String,
    ) {
        let (state, follow) = self.after_failure(now, failure.as_ref());
        let left = Left::Failure(failure.clone().map(Box::new));
        let attributes = WorkflowExecutionFailedEventAttributes {
            failure,
            retry_state: state.into(),
            workflow_task_completed_event_id: completed,
            new_execution_run_id: self.follow(now, follow, left, new_run_id),
        };
        self.close(now, Attributes::WorkflowExecutionFailedEventAttributes(attributes));
    }

    pub(super) fn cancel(&mut self, now: Nanos, completed: i64, details: Option<Payloads>) {
        let attributes =
            WorkflowExecutionCanceledEventAttributes { workflow_task_completed_event_id: completed, details };
        self.close(now, Attributes::WorkflowExecutionCanceledEventAttributes(attributes));
    }

    /// Writes the closing event. The children that are left get their parent-close policy from the caller.
    pub(super) fn close(&mut self, now: Nanos, attributes: Attributes) {
        let id = self.record(now, attributes);
        let children = self.children.values().cloned().collect();
        let Some(event) = self.changes.events.iter().find(|event| event.event_id == id).cloned() else { return };
        self.changes.effects.push(Effect::Closed { event: Box::new(event), children });
        self.abort_updates();
    }
}
