//! A run that begins with the history of another up to one of its workflow tasks (`ResetWorkflowExecution`,
//! `service/history/ndc/workflow_resetter.go`).
//!
//! The new run's history says where it parts from the old one: the workflow task there fails with `RESET_WORKFLOW`, and that
//! event names the new run. So its state, too, is the fold of its history.

use temporalio_common::protos::temporal::api::{
    enums::v1::WorkflowTaskFailedCause,
    failure::v1::{Failure, ResetWorkflowFailureInfo, failure::FailureInfo},
    history::v1::{HistoryEvent, WorkflowTaskFailedEventAttributes, history_event::Attributes},
};

use super::{
    Attachment, Execution, TaskStart,
    callback::is_attachment,
    lifecycle::SERVER,
    operation_apply::event_of_operation,
    options::options_of_event,
    state::{PendingKind, SignalInput},
    time::{Nanos, deadline, from_duration, shorter},
};

/// Who ends a run that is reset (`IdentityResetter`).
const RESETTER: &str = "history-resetter";

/// What a reset is asked to do.
#[derive(Debug, Clone, Default)]
pub struct ResetInput {
    /// Namespace, by name.
    pub namespace: String,
    /// Namespace, by id.
    pub namespace_id: String,
    /// Run that is reset.
    pub base_run_id: String,
    /// Run that goes on.
    pub new_run_id: String,
    /// Why.
    pub reason: String,
    /// Request id of the start of the run that is reset.
    pub start_request_id: String,
    /// Request id of the reset.
    pub request_id: String,
}

/// What a run that goes on takes over of what came to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reapplied {
    /// Signals.
    pub signals: bool,
    /// What has become of Nexus operations.
    pub operations: bool,
}

/// Why a run cannot be reset to a point of its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// No workflow task is scheduled or started there.
    #[error("there is no workflow task at that point of the history")]
    NoWorkflowTask,
    /// Something is on its way to another execution there, and would have to be sent again.
    #[error("a child's start, a signal or a cancellation is on its way at that point of the history")]
    Underway,
}

impl Execution {
    /// The run that goes on from `prefix`, the first events of another. The caller takes over signals ([`Self::reapply`])
    /// and schedules the workflow task.
    ///
    /// # Errors
    /// The history cannot be parted there.
    pub fn reset(key: i64, now: Nanos, prefix: Vec<HistoryEvent>, input: ResetInput) -> Result<Self, ResetError> {
        let mut execution = Self::from_history(&prefix);
        let task = execution.info.workflow_task.clone().ok_or(ResetError::NoWorkflowTask)?;
        let unstarted = execution.children.values().any(|child| child.started_event_id == 0);
        if unstarted || !execution.signals.is_empty() || !execution.cancels.is_empty() {
            return Err(ResetError::Underway);
        }
        execution.key = key;
        execution.info.namespace = input.namespace;
        execution.info.namespace_id = input.namespace_id;
        execution.info.start_request_id = input.start_request_id;
        execution.info.reset_request_id = input.request_id;
        execution.changes.events = prefix;
        execution.changes.visibility = true;
        execution.touch_everything();
        if task.started_event_id == 0 {
            let start = TaskStart { identity: SERVER.to_owned(), ..TaskStart::default() };
            execution.start_workflow_task(now, &start);
        }
        let task = execution.info.workflow_task.clone().unwrap_or(task);
        let attributes = WorkflowTaskFailedEventAttributes {
            scheduled_event_id: task.scheduled_event_id,
            started_event_id: task.started_event_id,
            cause: WorkflowTaskFailedCause::ResetWorkflow.into(),
            failure: Some(reset_failure(&input.reason)),
            identity: SERVER.to_owned(),
            base_run_id: input.base_run_id,
            new_run_id: input.new_run_id,
            ..Default::default()
        };
        execution.record(now, Attributes::WorkflowTaskFailedEventAttributes(attributes));
        Ok(execution)
    }

    /// Takes over from the run that was reset what the workflow would else not hear of: what is wanted, and the options that it was
    /// given.
    pub fn reapply(&mut self, now: Nanos, event: &HistoryEvent, wanted: Reapplied) {
        if let Some(id) = event_of_operation(event).filter(|_| wanted.operations) {
            return self.reapply_to_operation(now, id, event);
        }
        if let Some(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(a)) = event.attributes.as_ref() {
            if !is_attachment(a) {
                return self.update_options(now, options_of_event(a), &a.identity);
            }
            let (request_id, callbacks) = (a.attached_request_id.clone(), a.attached_completion_callbacks.clone());
            return self.attach(now, Attachment { request_id, callbacks, links: event.links.clone() });
        }
        let Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) =
            event.attributes.as_ref().filter(|_| wanted.signals)
        else {
            return;
        };
        let signal = SignalInput {
            name: a.signal_name.clone(),
            input: a.input.clone(),
            header: a.header.clone(),
            identity: a.identity.clone(),
            request_id: a.request_id.clone(),
        };
        self.signal(now, signal, a.external_workflow_execution.clone());
    }

    /// Ends the run, unless it has, because another goes on from a point of its workflow's history.
    pub fn end_by_reset(&mut self, now: Nanos, reason: &str) {
        if self.is_open() {
            self.terminate(now, reason, None, RESETTER);
        }
    }

    /// How the event that parts the histories changes the state: the run has its own id, its time begins anew, and so does that of
    /// the activities, none of which is with a worker.
    pub(super) fn apply_reset(&mut self, a: &WorkflowTaskFailedEventAttributes, time: Nanos) {
        self.info.run_id.clone_from(&a.new_run_id);
        if self.info.original_start_time == 0 {
            self.info.original_start_time = self.info.start_time;
        }
        self.info.start_time = time;
        self.info.execution_time = time;
        self.info.reset_time = time;
        let started = self.info.started.clone().unwrap_or_default();
        let execution = from_duration(started.workflow_execution_timeout.as_ref());
        let run = shorter(from_duration(started.workflow_run_timeout.as_ref()), execution);
        self.info.execution_expiration = deadline(time, execution);
        self.info.run_expiration = deadline(time, run);
        let activities: Vec<i64> = self.activities.keys().copied().collect();
        self.begin_requests_anew(time);
        for id in activities {
            if let Some(activity) = self.activities.get_mut(&id) {
                activity.scheduled_time = time;
                activity.attempt_scheduled_time = time;
            }
            self.touch(PendingKind::Activity, id);
        }
    }

    /// Everything pending is new to the store.
    fn touch_everything(&mut self) {
        let activities = self.activities.keys().map(|id| (PendingKind::Activity, *id));
        let timers = self.timers.keys().map(|id| (PendingKind::Timer, *id));
        let children = self.children.keys().map(|id| (PendingKind::Child, *id));
        let operations = self.operations.keys().map(|id| (PendingKind::Operation, *id));
        let all: Vec<_> = activities.chain(timers).chain(children).chain(operations).collect();
        for (kind, id) in all {
            self.touch(kind, id);
        }
    }
}

/// Whether a run was ended by a reset (`IsTerminatedByResetter`).
pub(crate) fn is_end_by_reset(close: &HistoryEvent) -> bool {
    matches!(
        close.attributes.as_ref(),
        Some(Attributes::WorkflowExecutionTerminatedEventAttributes(a)) if a.identity == RESETTER
    )
}

fn reset_failure(reason: &str) -> Failure {
    Failure {
        message: reason.to_owned(),
        failure_info: Some(FailureInfo::ResetWorkflowFailureInfo(ResetWorkflowFailureInfo::default())),
        ..Default::default()
    }
}
