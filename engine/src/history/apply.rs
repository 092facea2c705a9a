//! `apply(event)`: how each kind of event changes the state. Used for live events and for rebuilding from a history, so
//! it may look at nothing but the state and the event.

use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, SearchAttributes},
    enums::v1::{ParentClosePolicy, TimeoutType, WorkflowExecutionStatus as Status, WorkflowTaskFailedCause},
    history::v1::{
        ActivityTaskScheduledEventAttributes, HistoryEvent, StartChildWorkflowExecutionInitiatedEventAttributes,
        WorkflowExecutionStartedEventAttributes, history_event::Attributes,
    },
};

use super::{
    Execution,
    callback::is_attachment,
    state::{PendingActivity, PendingChild, PendingExternal, PendingKind, PendingTimer, UpdateInfo, WorkflowTask},
    time::{Nanos, deadline, from_duration, from_timestamp},
};

impl Execution {
    /// Changes the state as `event` says.
    pub(super) fn apply(&mut self, event: &HistoryEvent) {
        use Attributes as A;
        let time = from_timestamp(event.event_time.as_ref());
        let id = event.event_id;
        let Some(attributes) = event.attributes.as_ref() else { return };
        match attributes {
            A::WorkflowExecutionStartedEventAttributes(a) => self.apply_started(a, event, time),
            A::WorkflowTaskScheduledEventAttributes(a) => {
                // An update may bring the first task before the start delay is over.
                self.info.first_task_delayed = false;
                self.info.workflow_task = Some(WorkflowTask {
                    scheduled_event_id: id,
                    attempt: a.attempt,
                    scheduled_time: time,
                    original_scheduled_time: time,
                    timeout: from_duration(a.start_to_close_timeout.as_ref()),
                    queue: a.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default(),
                    sticky: a.task_queue.as_ref().is_some_and(|queue| !queue.normal_name.is_empty()),
                    ..Default::default()
                });
            }
            A::WorkflowTaskStartedEventAttributes(a) => {
                if let Some(task) = self.info.workflow_task.as_mut() {
                    task.started_event_id = id;
                    task.started_time = time;
                    task.identity.clone_from(&a.identity);
                    task.request_id.clone_from(&a.request_id);
                    task.suggest_continue_as_new = a.suggest_continue_as_new;
                    task.history_size = a.history_size_bytes;
                }
            }
            A::WorkflowTaskCompletedEventAttributes(a) => {
                self.info.last_started_event_id = a.started_event_id;
                self.apply_versioning(a);
                self.end_workflow_task(1);
            }
            A::WorkflowTaskFailedEventAttributes(a) => {
                let reset = a.cause() == WorkflowTaskFailedCause::ResetWorkflow && !a.new_run_id.is_empty();
                let paused = a.cause() == WorkflowTaskFailedCause::WorkflowPauseRequestedBeforeTaskStarted;
                self.fail_workflow_task_attempt(!reset && !paused);
                if reset {
                    self.apply_reset(a, time);
                }
            }
            A::WorkflowTaskTimedOutEventAttributes(a) => {
                self.fail_workflow_task_attempt(a.timeout_type() != TimeoutType::ScheduleToStart);
            }
            A::ActivityTaskScheduledEventAttributes(a) => self.apply_activity_scheduled(a, id, time),
            A::ActivityTaskCancelRequestedEventAttributes(a) => {
                if let Some(activity) = self.activities.get_mut(&a.scheduled_event_id) {
                    activity.cancel_requested_event_id = id;
                    self.touch(PendingKind::Activity, a.scheduled_event_id);
                }
            }
            A::ActivityTaskCompletedEventAttributes(a) => self.forget(PendingKind::Activity, a.scheduled_event_id),
            A::ActivityTaskFailedEventAttributes(a) => self.forget(PendingKind::Activity, a.scheduled_event_id),
            A::ActivityTaskTimedOutEventAttributes(a) => self.forget(PendingKind::Activity, a.scheduled_event_id),
            A::ActivityTaskCanceledEventAttributes(a) => self.forget(PendingKind::Activity, a.scheduled_event_id),
            A::TimerStartedEventAttributes(a) => {
                let fire_time = time.saturating_add(from_duration(a.start_to_fire_timeout.as_ref()));
                let timer = PendingTimer { timer_id: a.timer_id.clone(), started_event_id: id, fire_time };
                self.timers.insert(id, timer);
                self.touch(PendingKind::Timer, id);
            }
            A::TimerFiredEventAttributes(a) => self.forget(PendingKind::Timer, a.started_event_id),
            A::TimerCanceledEventAttributes(a) => self.forget(PendingKind::Timer, a.started_event_id),
            A::WorkflowExecutionCancelRequestedEventAttributes(_) => self.info.cancel_requested = true,
            A::StartChildWorkflowExecutionInitiatedEventAttributes(a) => self.apply_child_initiated(a, id),
            A::StartChildWorkflowExecutionFailedEventAttributes(a) => {
                self.forget(PendingKind::Child, a.initiated_event_id);
            }
            A::ChildWorkflowExecutionStartedEventAttributes(a) => {
                if let Some(child) = self.children.get_mut(&a.initiated_event_id) {
                    child.started_event_id = id;
                    child.run_id = a.workflow_execution.as_ref().map(|e| e.run_id.clone()).unwrap_or_default();
                    self.touch(PendingKind::Child, a.initiated_event_id);
                }
            }
            A::ChildWorkflowExecutionCompletedEventAttributes(a) => {
                self.forget(PendingKind::Child, a.initiated_event_id);
            }
            A::ChildWorkflowExecutionFailedEventAttributes(a) => self.forget(PendingKind::Child, a.initiated_event_id),
            A::ChildWorkflowExecutionCanceledEventAttributes(a) => {
                self.forget(PendingKind::Child, a.initiated_event_id);
            }
            A::ChildWorkflowExecutionTimedOutEventAttributes(a) => {
                self.forget(PendingKind::Child, a.initiated_event_id);
            }
            A::ChildWorkflowExecutionTerminatedEventAttributes(a) => {
                self.forget(PendingKind::Child, a.initiated_event_id);
            }
            A::SignalExternalWorkflowExecutionInitiatedEventAttributes(_) => {
                self.signals.insert(id, PendingExternal { initiated_event_id: id });
                self.touch(PendingKind::Signal, id);
            }
            A::ExternalWorkflowExecutionSignaledEventAttributes(a) => {
                self.forget(PendingKind::Signal, a.initiated_event_id);
            }
            A::SignalExternalWorkflowExecutionFailedEventAttributes(a) => {
                self.forget(PendingKind::Signal, a.initiated_event_id);
            }
            A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(_) => {
                self.cancels.insert(id, PendingExternal { initiated_event_id: id });
                self.touch(PendingKind::Cancel, id);
            }
            A::ExternalWorkflowExecutionCancelRequestedEventAttributes(a) => {
                self.forget(PendingKind::Cancel, a.initiated_event_id);
            }
            A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(a) => {
                self.forget(PendingKind::Cancel, a.initiated_event_id);
            }
            A::UpsertWorkflowSearchAttributesEventAttributes(a) => {
                self.upsert_search_attributes(a.search_attributes.as_ref());
            }
            A::WorkflowPropertiesModifiedEventAttributes(a) => self.upsert_memo(a.upserted_memo.as_ref()),
            A::WorkflowExecutionUpdateAcceptedEventAttributes(a) => {
                let update_id = a.protocol_instance_id.clone();
                self.updates.insert(id, UpdateInfo { update_id, accepted_event_id: id, completed_event_id: 0 });
                self.touch(PendingKind::Update, id);
            }
            A::WorkflowExecutionUpdateCompletedEventAttributes(a) => {
                if let Some(update) = self.updates.get_mut(&a.accepted_event_id) {
                    update.completed_event_id = id;
                    self.touch(PendingKind::Update, a.accepted_event_id);
                }
            }
            A::WorkflowExecutionPausedEventAttributes(a) => self.apply_paused(a, time),
            A::WorkflowExecutionUnpausedEventAttributes(_) => self.apply_unpaused(),
            A::WorkflowExecutionOptionsUpdatedEventAttributes(a) => {
                if !is_attachment(a) {
                    self.apply_options(a);
                }
                self.apply_attachment(a, time);
            }
            A::NexusOperationScheduledEventAttributes(a) => self.apply_operation_scheduled(a, id, time),
            A::NexusOperationStartedEventAttributes(a) => self.apply_operation_started(a, time),
            A::NexusOperationCancelRequestedEventAttributes(a) => {
                self.apply_operation_cancel_requested(a.scheduled_event_id, id, time);
            }
            A::NexusOperationCancelRequestCompletedEventAttributes(a) => {
                self.apply_operation_cancel_outcome(a.scheduled_event_id, None, time);
            }
            A::NexusOperationCancelRequestFailedEventAttributes(a) => {
                let failure = a.failure.clone().unwrap_or_default();
                self.apply_operation_cancel_outcome(a.scheduled_event_id, Some(&failure), time);
            }
            A::NexusOperationCompletedEventAttributes(a) => {
                self.forget(PendingKind::Operation, a.scheduled_event_id);
            }
            A::NexusOperationFailedEventAttributes(a) => self.forget(PendingKind::Operation, a.scheduled_event_id),
            A::NexusOperationCanceledEventAttributes(a) => self.forget(PendingKind::Operation, a.scheduled_event_id),
            A::NexusOperationTimedOutEventAttributes(a) => self.forget(PendingKind::Operation, a.scheduled_event_id),
            A::WorkflowExecutionCompletedEventAttributes(a) => {
                self.apply_closed(Status::Completed, time, &a.new_execution_run_id);
            }
            A::WorkflowExecutionFailedEventAttributes(a) => {
                self.apply_closed(Status::Failed, time, &a.new_execution_run_id);
            }
            A::WorkflowExecutionTimedOutEventAttributes(a) => {
                self.apply_closed(Status::TimedOut, time, &a.new_execution_run_id);
            }
            A::WorkflowExecutionCanceledEventAttributes(_) => self.apply_closed(Status::Canceled, time, ""),
            A::WorkflowExecutionTerminatedEventAttributes(_) => self.apply_closed(Status::Terminated, time, ""),
            A::WorkflowExecutionContinuedAsNewEventAttributes(a) => {
                self.apply_closed(Status::ContinuedAsNew, time, &a.new_execution_run_id);
            }
            // These leave no trace in the state: markers and signals are the workflow's own affair, an activity's start
            // is written only when it ends.
            _ => {}
        }
    }

    fn apply_started(&mut self, a: &WorkflowExecutionStartedEventAttributes, event: &HistoryEvent, time: Nanos) {
        let started = WorkflowExecutionStartedEventAttributes { input: None, header: None, ..a.clone() };
        let delay = from_duration(a.first_workflow_task_backoff.as_ref());
        self.info.execution_time = time.saturating_add(delay);
        self.info.first_task_delayed = delay != 0;
        let run_timeout = from_duration(a.workflow_run_timeout.as_ref());
        self.info.run_expiration = deadline(self.info.execution_time, run_timeout);
        self.info.execution_expiration = from_timestamp(a.workflow_execution_expiration_time.as_ref());
        self.info.memo.clone_from(&a.memo);
        self.info.search_attributes.clone_from(&a.search_attributes);
        self.info.parent_initiated_id = a.parent_initiated_event_id;
        self.info.workflow_id.clone_from(&a.workflow_id);
        self.info.run_id.clone_from(&a.original_execution_run_id);
        self.info.user_metadata.clone_from(&event.user_metadata);
        self.info.status = Status::Running.into();
        self.info.start_time = time;
        self.info.workflow_task_attempt = 1;
        self.info.started = Some(started);
        self.apply_start_versioning(a);
        self.apply_callbacks(a, time);
        self.changes.visibility = true;
    }

    fn apply_activity_scheduled(&mut self, a: &ActivityTaskScheduledEventAttributes, id: i64, time: Nanos) {
        let activity = PendingActivity {
            scheduled: Some(ActivityTaskScheduledEventAttributes { input: None, header: None, ..a.clone() }),
            scheduled_event_id: id,
            scheduled_time: time,
            attempt: 1,
            attempt_scheduled_time: time,
            ..Default::default()
        };
        self.activities.insert(id, Box::new(activity));
        self.touch(PendingKind::Activity, id);
    }

    fn apply_child_initiated(&mut self, a: &StartChildWorkflowExecutionInitiatedEventAttributes, id: i64) {
        let child = PendingChild {
            initiated_event_id: id,
            workflow_id: a.workflow_id.clone(),
            workflow_type: a.workflow_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
            parent_close_policy: ParentClosePolicy::try_from(a.parent_close_policy).unwrap_or_default().into(),
            ..Default::default()
        };
        self.children.insert(id, child);
        self.touch(PendingKind::Child, id);
    }

    fn apply_closed(&mut self, status: Status, time: Nanos, new_run_id: &str) {
        new_run_id.clone_into(&mut self.info.new_run_id);
        self.info.status = status.into();
        self.info.close_time = time;
        self.info.updates = self.updates.values().cloned().collect();
        self.info.workflow_task = None;
        self.info.sticky_queue.clear();
        self.changes.visibility = true;
        self.changes.dirty = true;
    }

    /// Ends the current workflow task; the next one will be `attempt`.
    pub(super) fn end_workflow_task(&mut self, attempt: i32) {
        self.info.workflow_task = None;
        self.close_attempted = false;
        self.info.workflow_task_attempt = attempt;
        self.changes.dirty = true;
    }

    /// Ends a workflow task that failed. The worker's cache is of no use after that, so stickiness ends too.
    pub(super) fn fail_workflow_task_attempt(&mut self, count: bool) {
        let attempt = self.info.workflow_task.as_ref().map_or(1, |task| task.attempt);
        self.end_workflow_task(if count { attempt + 1 } else { 1 });
        self.info.sticky_queue.clear();
    }

    fn forget(&mut self, kind: PendingKind, id: i64) {
        match kind {
            PendingKind::Activity => {
                if self.activities.remove(&id).is_some_and(|activity| activity.is_paused()) {
                    self.note_pauses();
                }
            }
            PendingKind::Timer => drop(self.timers.remove(&id)),
            PendingKind::Child => drop(self.children.remove(&id)),
            PendingKind::Signal => drop(self.signals.remove(&id)),
            PendingKind::Cancel => drop(self.cancels.remove(&id)),
            PendingKind::Buffered => drop(self.buffered.remove(&id)),
            PendingKind::SeenRequest => drop(self.seen_requests.remove(&id)),
            PendingKind::Update => drop(self.updates.remove(&id)),
            PendingKind::Operation => drop(self.operations.remove(&id)),
        }
        self.touch(kind, id);
    }

    fn upsert_search_attributes(&mut self, upserted: Option<&SearchAttributes>) {
        let current = self.info.search_attributes.get_or_insert_default();
        for (name, value) in upserted.iter().flat_map(|s| &s.indexed_fields) {
            if value.data.is_empty() || value.data == b"null" || value.data == b"[]" {
                current.indexed_fields.remove(name);
            } else {
                current.indexed_fields.insert(name.clone(), value.clone());
            }
        }
        self.changes.visibility = true;
        self.changes.dirty = true;
    }

    fn upsert_memo(&mut self, upserted: Option<&Memo>) {
        let current = self.info.memo.get_or_insert_default();
        for (name, value) in upserted.iter().flat_map(|memo| &memo.fields) {
            if value.data.is_empty() || value.data == b"null" {
                current.fields.remove(name);
            } else {
                current.fields.insert(name.clone(), value.clone());
            }
        }
        self.changes.visibility = true;
        self.changes.dirty = true;
    }
}
