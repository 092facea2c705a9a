//! Workflows as operators pause them.
//!
//! | a workflow task is | pausing it |
//! |---|---|
//! | none | no task is scheduled until it is unpaused |
//! | scheduled | takes the task back: it fails, without counting as a failed attempt |
//! | started | lets the worker end it; its commands are carried out, and no task follows |
//!
//! Signals, cancellations and what activities report are written meanwhile, timers fire, and timeouts of the run go on. No activity
//! is handed out.

use std::collections::BTreeSet;

use temporalio_common::protos::temporal::api::{
    enums::v1::{WorkflowExecutionStatus as Status, WorkflowTaskFailedCause},
    history::v1::{
        WorkflowExecutionPausedEventAttributes, WorkflowExecutionUnpausedEventAttributes,
        WorkflowTaskFailedEventAttributes, history_event::Attributes,
    },
};

use super::{Execution, lifecycle::SERVER, state::PendingKind, time::Nanos};

/// Who has paused a workflow, in the form in which it is stored.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct WorkflowPause {
    /// When.
    #[prost(int64, tag = "1")]
    pub time: i64,
    /// Who.
    #[prost(string, tag = "2")]
    pub identity: String,
    /// Why.
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// Who wants a workflow paused or unpaused.
#[derive(Debug, Clone, Default)]
pub struct WorkflowPauseRequest {
    /// Who.
    pub identity: String,
    /// Why.
    pub reason: String,
    /// The request.
    pub request_id: String,
}

/// The workflow is paused already, or is not, where it should be the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPaused;

impl Execution {
    /// Whether the workflow is paused.
    pub fn is_paused(&self) -> bool {
        self.status() == Status::Paused
    }

    /// Pauses the workflow.
    ///
    /// # Errors
    /// It is paused.
    pub fn pause(&mut self, now: Nanos, request: WorkflowPauseRequest) -> Result<(), NotPaused> {
        if self.is_paused() {
            return Err(NotPaused);
        }
        self.take_back_workflow_task(now);
        let attributes = WorkflowExecutionPausedEventAttributes {
            identity: request.identity,
            reason: request.reason,
            request_id: request.request_id,
        };
        self.record(now, Attributes::WorkflowExecutionPausedEventAttributes(attributes));
        self.note_pauses();
        Ok(())
    }

    /// Lets the workflow go on, with a workflow task unless a worker still holds one.
    ///
    /// # Errors
    /// It is not paused.
    pub fn unpause(&mut self, now: Nanos, request: WorkflowPauseRequest) -> Result<(), NotPaused> {
        if !self.is_paused() {
            return Err(NotPaused);
        }
        let attributes = WorkflowExecutionUnpausedEventAttributes {
            identity: request.identity,
            reason: request.reason,
            request_id: request.request_id,
        };
        self.record(now, Attributes::WorkflowExecutionUnpausedEventAttributes(attributes));
        self.note_pauses();
        // They were not handed out, and are looked at again.
        for id in self.activities.keys().copied().collect::<Vec<_>>() {
            self.touch(PendingKind::Activity, id);
        }
        self.schedule_workflow_task(now);
        Ok(())
    }

    /// Takes back a workflow task that no worker has. One that owes its events leaves no trace.
    fn take_back_workflow_task(&mut self, now: Nanos) {
        let Some(task) = self.info.workflow_task.clone().filter(|task| task.started_event_id == 0) else { return };
        if task.is_unwritten() {
            self.end_workflow_task(1);
            return;
        }
        let attributes = WorkflowTaskFailedEventAttributes {
            scheduled_event_id: task.scheduled_event_id,
            cause: WorkflowTaskFailedCause::WorkflowPauseRequestedBeforeTaskStarted.into(),
            identity: SERVER.to_owned(),
            ..Default::default()
        };
        self.record(now, Attributes::WorkflowTaskFailedEventAttributes(attributes));
    }

    pub(super) fn apply_paused(&mut self, a: &WorkflowExecutionPausedEventAttributes, time: Nanos) {
        let (identity, reason) = (a.identity.clone(), a.reason.clone());
        self.info.pause = Some(WorkflowPause { time, identity, reason });
        self.info.status = Status::Paused.into();
        self.changes.visibility = true;
    }

    pub(super) fn apply_unpaused(&mut self) {
        self.info.pause = None;
        self.info.status = Status::Running.into();
        self.info.workflow_task_attempt = 1;
        // It goes on at once, whatever its first task has waited for.
        self.info.first_task_delayed = false;
        self.changes.visibility = true;
    }

    /// Notes for listings what is paused (`updatePauseInfoSearchAttribute`): the workflow, and the types of activities.
    pub(super) fn note_pauses(&mut self) {
        let mut noted = Vec::new();
        if let Some(pause) = &self.info.pause {
            noted.push(format!("Workflow:{}", self.info.workflow_id));
            if !pause.reason.is_empty() {
                noted.push(format!("Reason:{}", pause.reason));
            }
        }
        let paused = self.activities.values().filter(|activity| activity.is_paused());
        let kinds: BTreeSet<&str> =
            paused.filter_map(|activity| activity.activity_type()).map(|kind| kind.name.as_str()).collect();
        noted.extend(kinds.into_iter().map(|kind| format!("property:activityType={kind}")));
        if self.info.pauses != noted {
            self.info.pauses = noted;
            self.changes.visibility = true;
            self.changes.dirty = true;
        }
    }
}
