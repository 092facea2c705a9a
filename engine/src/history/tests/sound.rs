//! What must hold after every step.

use std::collections::BTreeMap;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{ActivityTaskScheduledEventAttributes, history_event::Attributes},
};

use super::model::Model;
use crate::history::{
    BUFFERED_EVENT_ID, Execution, MAX_IN_FLIGHT_UPDATES, Reapplied, ResetError, ResetInput, UpdateChange,
    state::{ExecutionInfo, NexusCancellation, PendingActivity, PendingChild, PendingKind, PendingOperation},
    time::{from_duration, from_timestamp},
};

const EVERYTHING: Reapplied = Reapplied { signals: true, operations: true };

impl Model {
    pub(super) fn check(&self) {
        self.ids_are_consecutive();
        self.nothing_follows_the_close();
        self.one_run_follows_where_the_close_says_so();
        self.references_point_backwards();
        self.buffers_only_while_a_task_is_started();
        self.is_the_fold_of_its_history();
        self.survives_being_stored();
        self.updates_are_bounded_and_told_of();
        self.what_is_paused_is_held_and_noted();
    }

    /// A paused workflow has no task that a worker could still get, a paused activity is not due, and listings know of both.
    fn what_is_paused_is_held_and_noted(&self) {
        let execution = &self.execution;
        if !execution.is_open() {
            return;
        }
        if execution.is_paused() {
            let waiting = execution.info.workflow_task.as_ref().filter(|task| task.started_event_id == 0);
            assert_eq!(waiting, None);
        }
        assert_eq!(execution.info.pause.is_some(), execution.is_paused());
        let paused = execution.activities.values().filter(|activity| activity.is_paused()).count();
        assert_eq!(execution.info.pauses.is_empty(), paused == 0 && !execution.is_paused());
        let wanted = usize::from(paused != 0) + usize::from(execution.is_paused());
        assert_eq!(
            execution.info.pauses.len(),
            wanted,
            "the model's activities are of one type, its pauses without a reason"
        );
    }

    fn ids_are_consecutive(&self) {
        for (expected, event) in (1_i64..).zip(&self.events) {
            assert_eq!(event.event_id, expected, "event ids have no gaps: {event:?}");
            let kind = event.attributes.as_ref().map(Attributes::event_type);
            assert_eq!(kind, Some(event.event_type()), "type and attributes agree");
        }
        assert_eq!(self.execution.last_event_id(), i64::try_from(self.events.len()).unwrap());
    }

    fn nothing_follows_the_close(&self) {
        let closed = self.events.iter().position(|event| closes(event.event_type()));
        assert_eq!(closed.is_some(), !self.execution.is_open());
        if let Some(closed) = closed {
            assert_eq!(closed, self.events.len() - 1, "the close is the last event");
            assert!(self.execution.info.workflow_task.is_none());
            assert!(self.execution.buffered.is_empty());
            assert_eq!(self.execution.next_deadline(), 0);
        }
    }

    /// The close names the run that is started, which continues this one and keeps what a chain of runs shares.
    fn one_run_follows_where_the_close_says_so(&self) {
        let named = &self.execution.info.new_run_id;
        assert_eq!(self.next_runs.len(), usize::from(!named.is_empty()));
        let Some(next) = self.next_runs.first() else { return };
        let this = self.execution.info.started.as_ref().unwrap();
        assert_eq!(
            (&next.original_execution_run_id, &next.continued_execution_run_id),
            (named, &self.execution.info.run_id)
        );
        assert_eq!(next.first_execution_run_id, this.first_execution_run_id);
        assert_eq!(next.workflow_execution_expiration_time, this.workflow_execution_expiration_time);
        assert!(next.attempt == 1 || next.attempt == this.attempt + 1);
        let allowed = this.retry_policy.as_ref().map_or(1, |policy| policy.maximum_attempts);
        assert!(next.attempt <= allowed.max(1), "attempt {} of {allowed}", next.attempt);
        assert!(from_duration(next.first_workflow_task_backoff.as_ref()) >= 0);
    }

    /// No placeholder is left, and an event names only events before it.
    fn references_point_backwards(&self) {
        for event in &self.events {
            for id in references(event.attributes.as_ref().unwrap()) {
                assert!(id != BUFFERED_EVENT_ID && id < event.event_id, "{id} in {event:?}");
            }
        }
    }

    fn buffers_only_while_a_task_is_started(&self) {
        assert!(self.execution.buffered.is_empty() || self.execution.has_started_workflow_task());
        for event in self.execution.buffered.values() {
            assert_eq!(event.event_id, BUFFERED_EVENT_ID);
        }
    }

    /// What the history says is what the live state is. Events that are still buffered have been applied to the live state
    /// already, so they are applied to the fold too.
    fn is_the_fold_of_its_history(&self) {
        let mut fold = Execution::from_history(&self.events);
        for event in self.execution.buffered.values() {
            fold.apply(event);
        }
        assert_eq!(determined(&fold.info), determined(&self.execution.info));
        assert_eq!(activities(&fold), activities(&self.execution));
        assert_eq!(fold.timers, self.execution.timers);
        assert_eq!(children(&fold), children(&self.execution));
        assert_eq!(fold.signals, self.execution.signals);
        assert_eq!(fold.cancels, self.execution.cancels);
        assert_eq!(fold.updates, self.execution.updates);
        assert_eq!(operations(&fold), operations(&self.execution));
        let task = |execution: &Execution| {
            execution
                .info
                .workflow_task
                .as_ref()
                .filter(|task| !task.is_unwritten())
                .map(|task| (task.scheduled_event_id, task.started_event_id, task.timeout))
        };
        if self.execution.info.workflow_task.as_ref().is_none_or(|task| task.attempt == 1) {
            assert_eq!(task(&fold), task(&self.execution));
        }
    }

    /// A run that goes on from any point of the history is again the fold of its own, or is refused.
    pub(super) fn can_be_reset_where_a_task_was(&self) {
        let now = from_timestamp(self.events.last().unwrap().event_time.as_ref()) + 1;
        for length in 1..self.events.len() {
            let prefix = self.events[..length].to_vec();
            let task = Execution::from_history(&prefix).info.workflow_task;
            let input = ResetInput { new_run_id: "reset run".into(), ..ResetInput::default() };
            let reset = Execution::reset(2, now, prefix, input);
            if task.is_none() {
                assert_eq!(reset.err(), Some(ResetError::NoWorkflowTask));
                continue;
            }
            let Ok(mut reset) = reset else { continue };
            self.events[length..].iter().for_each(|event| reset.reapply(now, event, EVERYTHING));
            reset.schedule_workflow_task(now);
            let changes = reset.take_changes();
            assert_eq!(changes.events[..length], self.events[..length]);
            let fold = Execution::from_history(&changes.events);
            let known = |execution: &Execution| ExecutionInfo {
                reset_request_id: String::new(),
                ..determined(&execution.info)
            };
            assert_eq!(known(&fold), known(&reset));
            assert_eq!(reset.info.run_id, "reset run");
            assert_eq!((activities(&fold), &fold.timers), (activities(&reset), &reset.timers));
            assert_eq!(children(&fold), children(&reset));
            assert_eq!(operations(&fold), operations(&reset));
            assert!(reset.is_open() && !reset.has_started_workflow_task() && reset.info.workflow_task.is_some());
            for (kind, id) in changes.pending {
                // An operation may have ended since, which is taken over.
                assert!(reset.encode_pending(kind, id).is_some() || kind == PendingKind::Operation);
            }
        }
    }

    /// No more updates are under way than may be; a closed run has none left, and a client hears the end of an update once.
    fn updates_are_bounded_and_told_of(&self) {
        let open = self.execution.updates.values().filter(|update| update.completed_event_id == 0).count();
        assert!(self.execution.admitted.len() + open <= MAX_IN_FLIGHT_UPDATES);
        assert!(self.execution.is_open() || self.execution.admitted.is_empty());
        let waits = self.execution.info.workflow_task.is_some() || self.execution.is_paused();
        assert!(self.execution.admitted.is_empty() || waits, "a workflow task brings updates to a worker");
        for update in self.execution.updates.values() {
            let told = |what: fn(&UpdateChange) -> bool| {
                self.told.iter().filter(|news| news.update_id == update.update_id && what(&news.what)).count()
            };
            let over = update.completed_event_id != 0 || !self.execution.is_open();
            assert!(told(|what| *what == UpdateChange::Accepted) == 1, "{update:?}: {:?}", self.told);
            assert!(told(|what| matches!(what, UpdateChange::Ended(_))) >= usize::from(over), "{update:?}");
        }
    }

    /// The rows that the transactions wrote, read back, are the execution.
    fn survives_being_stored(&self) {
        let info = ExecutionInfo::decode(self.execution.encode_info().as_slice()).unwrap();
        let mut stored = Execution { key: self.execution.key, info, ..Execution::default() };
        for ((kind, id), bytes) in &self.rows {
            stored.decode_pending(*kind as u8, *id, bytes).unwrap();
        }
        let task = self.execution.info.workflow_task.clone().filter(|task| !task.speculative);
        let speculative = task != self.execution.info.workflow_task;
        assert_eq!(stored.info, ExecutionInfo { workflow_task: task, ..self.execution.info.clone() });
        assert_eq!(stored.activities, self.execution.activities);
        assert_eq!(stored.timers, self.execution.timers);
        assert_eq!(stored.children, self.execution.children);
        assert_eq!(stored.signals, self.execution.signals);
        assert_eq!(stored.cancels, self.execution.cancels);
        assert_eq!(stored.updates, self.execution.updates);
        assert_eq!(stored.operations, self.execution.operations);
        assert_eq!(stored.buffered, self.execution.buffered);
        assert_eq!(stored.seen_requests, self.execution.seen_requests);
        assert!(speculative || stored.next_deadline() == self.execution.next_deadline());
    }
}

/// The part of the state that the history alone determines: no attempts, stickiness, request ids, namespaces, counters of
/// buffers and transactions, and no workflow task, which is compared by itself.
fn determined(info: &ExecutionInfo) -> ExecutionInfo {
    ExecutionInfo {
        namespace: String::new(),
        namespace_id: String::new(),
        state_transitions: 0,
        cancel_request_id: String::new(),
        start_request_id: String::new(),
        workflow_task: None,
        workflow_task_attempt: 0,
        sticky_queue: String::new(),
        sticky_timeout: 0,
        next_buffer_id: 0,
        pauses: Vec::new(),
        ..info.clone()
    }
}

fn activities(execution: &Execution) -> BTreeMap<i64, PendingActivity> {
    // Options that operators have changed are not in the history; what they cannot change is.
    let lasting = |activity: &PendingActivity| PendingActivity {
        scheduled: activity.scheduled.as_ref().map(|scheduled| ActivityTaskScheduledEventAttributes {
            activity_id: scheduled.activity_id.clone(),
            activity_type: scheduled.activity_type.clone(),
            workflow_task_completed_event_id: scheduled.workflow_task_completed_event_id,
            ..Default::default()
        }),
        scheduled_event_id: activity.scheduled_event_id,
        scheduled_time: activity.scheduled_time,
        cancel_requested_event_id: activity.cancel_requested_event_id,
        ..PendingActivity::default()
    };
    execution.activities.iter().map(|(id, activity)| (*id, lasting(activity))).collect()
}

/// Attempts of requests are not in the history; what came of them is.
fn operations(execution: &Execution) -> BTreeMap<i64, PendingOperation> {
    let cancellation = |cancellation: &NexusCancellation| NexusCancellation {
        requested_event_id: cancellation.requested_event_id,
        outcome: cancellation.outcome,
        ..NexusCancellation::default()
    };
    let lasting = |operation: &PendingOperation| PendingOperation {
        start: None,
        cancellation: operation.cancellation.as_ref().map(cancellation),
        ..operation.clone()
    };
    execution.operations.iter().map(|(id, operation)| (*id, lasting(operation))).collect()
}

fn children(execution: &Execution) -> BTreeMap<i64, PendingChild> {
    execution.children.clone()
}

fn closes(kind: EventType) -> bool {
    use EventType as E;
    matches!(
        kind,
        E::WorkflowExecutionCompleted
            | E::WorkflowExecutionFailed
            | E::WorkflowExecutionTimedOut
            | E::WorkflowExecutionCanceled
            | E::WorkflowExecutionTerminated
            | E::WorkflowExecutionContinuedAsNew
    )
}

/// Ids of other events that an event names; 0 for none.
fn references(attributes: &Attributes) -> Vec<i64> {
    use Attributes as A;
    match attributes {
        A::WorkflowTaskStartedEventAttributes(a) => vec![a.scheduled_event_id],
        A::WorkflowTaskCompletedEventAttributes(a) => vec![a.scheduled_event_id, a.started_event_id],
        A::WorkflowTaskFailedEventAttributes(a) => vec![a.scheduled_event_id, a.started_event_id],
        A::WorkflowTaskTimedOutEventAttributes(a) => vec![a.scheduled_event_id, a.started_event_id],
        A::ActivityTaskStartedEventAttributes(a) => vec![a.scheduled_event_id],
        A::ActivityTaskCompletedEventAttributes(a) => vec![a.scheduled_event_id, a.started_event_id],
        A::ActivityTaskFailedEventAttributes(a) => vec![a.scheduled_event_id, a.started_event_id],
        A::ActivityTaskTimedOutEventAttributes(a) => vec![a.scheduled_event_id, a.started_event_id],
        A::ActivityTaskCanceledEventAttributes(a) => {
            vec![a.scheduled_event_id, a.started_event_id, a.latest_cancel_requested_event_id]
        }
        A::WorkflowExecutionUpdateCompletedEventAttributes(a) => vec![a.accepted_event_id],
        A::NexusOperationStartedEventAttributes(a) => vec![a.scheduled_event_id],
        A::NexusOperationCompletedEventAttributes(a) => vec![a.scheduled_event_id],
        A::NexusOperationFailedEventAttributes(a) => vec![a.scheduled_event_id],
        A::NexusOperationCanceledEventAttributes(a) => vec![a.scheduled_event_id],
        A::NexusOperationTimedOutEventAttributes(a) => vec![a.scheduled_event_id],
        A::NexusOperationCancelRequestedEventAttributes(a) => vec![a.scheduled_event_id],
        A::NexusOperationCancelRequestCompletedEventAttributes(a) => vec![a.scheduled_event_id, a.requested_event_id],
        A::NexusOperationCancelRequestFailedEventAttributes(a) => vec![a.scheduled_event_id, a.requested_event_id],
        A::TimerFiredEventAttributes(a) => vec![a.started_event_id],
        A::TimerCanceledEventAttributes(a) => vec![a.started_event_id, a.workflow_task_completed_event_id],
        A::StartChildWorkflowExecutionFailedEventAttributes(a) => vec![a.initiated_event_id],
        A::ChildWorkflowExecutionStartedEventAttributes(a) => vec![a.initiated_event_id],
        A::ChildWorkflowExecutionCompletedEventAttributes(a) => vec![a.initiated_event_id, a.started_event_id],
        A::ChildWorkflowExecutionFailedEventAttributes(a) => vec![a.initiated_event_id, a.started_event_id],
        A::ChildWorkflowExecutionCanceledEventAttributes(a) => vec![a.initiated_event_id, a.started_event_id],
        A::ChildWorkflowExecutionTimedOutEventAttributes(a) => vec![a.initiated_event_id, a.started_event_id],
        A::ChildWorkflowExecutionTerminatedEventAttributes(a) => vec![a.initiated_event_id, a.started_event_id],
        A::ExternalWorkflowExecutionSignaledEventAttributes(a) => vec![a.initiated_event_id],
        A::SignalExternalWorkflowExecutionFailedEventAttributes(a) => vec![a.initiated_event_id],
        A::ExternalWorkflowExecutionCancelRequestedEventAttributes(a) => vec![a.initiated_event_id],
        A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(a) => vec![a.initiated_event_id],
        _ => Vec::new(),
    }
}
