//! One execution as a state machine: `request or command, now → events`, and `apply(event)` as the only way by which an
//! event changes the state. So the state is the fold of the history by construction; what is not in the history
//! (attempts, heartbeats, which worker caches it) is marked as such in [`state`].
//!
//! Pure: no clock, no I/O, no randomness of its own. The rules and their order are those of Temporal's history service;
//! where a rule is not obvious, its name there is given.

mod activity;
pub(crate) mod activity_attempt;
mod activity_control;
pub(crate) mod activity_policy;
mod apply;
mod callback;
mod child;
mod command;
mod command_check;
mod effect;
mod event_kinds;
mod external;
mod lifecycle;
mod next_run;
mod operation;
mod operation_apply;
mod operation_check;
mod operation_state;
mod options;
mod pause;
mod pending;
pub(crate) mod priority;
mod protocol;
mod reset;
pub(crate) mod retry_policy;
pub mod state;
#[cfg(test)]
mod tests;
pub mod time;
mod timer;
mod update;
pub(crate) mod versioning;
mod workflow_task;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::Link,
    enums::v1::WorkflowExecutionStatus,
    history::v1::{HistoryEvent, history_event::Attributes},
    sdk::v1::UserMetadata,
};

pub(crate) use activity::json_payload;
pub use activity::{ActivityOutcome, ActivityStart, HeartbeatNews};
pub use activity_control::{ActivityReset, ActivityUnpause, AlreadyPaused, normal_queue, options_of};
pub(crate) use activity_policy::Timeouts;
pub use callback::Attachment;
pub use command::{CommandError, CompletedTask, TaskOutcome};
use event_kinds::{ends_pending, is_bufferable, worker_may_ignore};
pub use lifecycle::{StartInput, run_timeout};
pub(crate) use operation::handler_failure;
pub use operation::{Completion, HandlerAnswer, OperationEnd, OperationTarget};
pub use operation_state::CallId;
pub use pause::{NotPaused, WorkflowPauseRequest};
pub(crate) use reset::is_end_by_reset;
pub use reset::{Reapplied, ResetError, ResetInput};
use state::{
    Effect, ExecutionInfo, PendingActivity, PendingChild, PendingExternal, PendingKind, PendingOperation, PendingTimer,
    UpdateInfo,
};
use time::{Nanos, timestamp};
pub use update::{
    AdmittedUpdate, MAX_IN_FLIGHT_UPDATES, MAX_TOTAL_UPDATES, UpdateChange, UpdateNews, UpdateRefused, UpdateStage,
    abandoned_outcome,
};
pub use workflow_task::{TaskStart, TaskStarted};

/// Id of an event that is still buffered, as in Temporal's history service (`common.BufferedEventID`).
pub const BUFFERED_EVENT_ID: i64 = -123;

/// Number of events from which a workflow is told to continue as new (`limit.historyCount.suggestContinueAsNew`).
pub const SUGGEST_CONTINUE_AS_NEW_EVENTS: i64 = 4 * 1024;
/// Bytes of history from which a workflow is told to continue as new (`limit.historySize.suggestContinueAsNew`).
pub const SUGGEST_CONTINUE_AS_NEW_BYTES: i64 = 4 * 1024 * 1024;
/// Number of events at which an execution is terminated (`limit.historyCount.error`).
pub const MAX_HISTORY_EVENTS: i64 = 50 * 1024;
/// Bytes of history at which an execution is terminated (`limit.historySize.error`).
pub const MAX_HISTORY_BYTES: i64 = 50 * 1024 * 1024;
/// Pending activities, children, signals and cancellations that one execution may have, each (`limit.numPending*.error`).
pub const MAX_PENDING: usize = 2_000;

/// One run of a workflow.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    /// Row id in the store.
    pub key: i64,
    /// Everything that is not a pending thing.
    pub info: ExecutionInfo,
    /// Activities, by scheduled event. Boxed, since a map keeps room for eleven of what it holds, and most runs have one.
    pub activities: BTreeMap<i64, Box<PendingActivity>>,
    /// Timers, by started event.
    pub timers: BTreeMap<i64, PendingTimer>,
    /// Children, by initiated event.
    pub children: BTreeMap<i64, PendingChild>,
    /// Nexus operations, by scheduled event.
    pub operations: BTreeMap<i64, Box<PendingOperation>>,
    /// Signals to other executions under way, by initiated event.
    pub signals: BTreeMap<i64, PendingExternal>,
    /// Cancellations of other executions under way, by initiated event.
    pub cancels: BTreeMap<i64, PendingExternal>,
    /// Events that came while a worker held the workflow task, in the order of their coming.
    pub buffered: BTreeMap<i64, HistoryEvent>,
    /// Request ids of signals already taken.
    pub seen_requests: BTreeMap<i64, String>,
    /// Updates that were accepted, by accepted event.
    pub updates: BTreeMap<i64, UpdateInfo>,
    /// Updates that the workflow has not accepted or rejected yet, in the order of their coming. They are not stored: clients
    /// repeat what they have no answer for.
    pub admitted: Vec<AdmittedUpdate>,
    /// Whether the last workflow task tried to close the run and failed, so that the next most likely closes it
    /// (`workflowCloseAttempted`). Not stored.
    pub close_attempted: bool,
    /// What the current transaction has changed.
    pub changes: Changes,
}

/// What one transaction changed, for the store and the task queues.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// New events, with their final ids.
    pub events: Vec<HistoryEvent>,
    /// Pending things to write or, when they are gone, to delete.
    pub pending: BTreeSet<(PendingKind, i64)>,
    /// What must happen to others.
    pub effects: Vec<Effect>,
    /// What has become of updates, for their clients.
    pub updates: Vec<UpdateNews>,
    /// Whether the transaction ended with a new speculative workflow task.
    pub speculative: bool,
    /// Whether what listings show has changed.
    pub visibility: bool,
    /// Whether anything at all has changed.
    pub dirty: bool,
}

impl Execution {
    /// Status as its enum.
    pub fn status(&self) -> WorkflowExecutionStatus {
        WorkflowExecutionStatus::try_from(self.info.status).unwrap_or_default()
    }

    /// Whether it has not closed.
    pub fn is_open(&self) -> bool {
        matches!(self.status(), WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Paused)
    }

    /// Whether a worker holds the workflow task, so that what comes in is buffered.
    pub fn has_started_workflow_task(&self) -> bool {
        self.info.workflow_task.as_ref().is_some_and(|task| task.started_event_id != 0)
    }

    /// Id of the last event written.
    pub fn last_event_id(&self) -> i64 {
        self.info.next_event_id - 1
    }

    /// Normal task queue of its workflow tasks.
    pub fn task_queue(&self) -> &str {
        self.info.started.as_ref().and_then(|s| s.task_queue.as_ref()).map_or("", |queue| queue.name.as_str())
    }

    /// Workflow type.
    pub fn workflow_type(&self) -> &str {
        self.info.started.as_ref().and_then(|s| s.workflow_type.as_ref()).map_or("", |kind| kind.name.as_str())
    }

    /// Rebuilds the state of an execution from its history.
    pub fn from_history(events: &[HistoryEvent]) -> Self {
        let mut execution = Self::default();
        for event in events {
            execution.apply(event);
            execution.info.next_event_id = event.event_id + 1;
            execution.info.history_size += encoded_size(event);
        }
        execution.changes = Changes::default();
        execution
    }

    /// Takes what the current transaction has changed.
    pub fn take_changes(&mut self) -> Changes {
        if self.changes.dirty {
            self.info.state_transitions += 1;
        }
        std::mem::take(&mut self.changes)
    }

    /// Writes one event (or buffers it while a worker holds the workflow task) and applies it. Answers its id.
    fn record(&mut self, now: Nanos, attributes: Attributes) -> i64 {
        self.record_with(now, attributes, None)
    }

    /// [`Self::record`], with the command's summary.
    fn record_with(&mut self, now: Nanos, attributes: Attributes, user_metadata: Option<UserMetadata>) -> i64 {
        self.record_linked(now, attributes, user_metadata, Vec::new())
    }

    /// [`Self::record_with`], with links to what stands behind the event.
    fn record_linked(
        &mut self,
        now: Nanos,
        attributes: Attributes,
        user_metadata: Option<UserMetadata>,
        links: Vec<Link>,
    ) -> i64 {
        self.settle_speculative_task();
        let event_type = attributes.event_type();
        let buffer = self.has_started_workflow_task() && is_bufferable(event_type);
        let mut event = HistoryEvent {
            event_id: BUFFERED_EVENT_ID,
            event_time: timestamp(now),
            event_type: event_type.into(),
            worker_may_ignore: worker_may_ignore(event_type),
            attributes: Some(attributes),
            user_metadata,
            links,
            ..Default::default()
        };
        if buffer {
            self.apply(&event);
            let id = self.info.next_buffer_id;
            self.info.next_buffer_id += 1;
            self.buffered.insert(id, event);
            self.touch(PendingKind::Buffered, id);
            return BUFFERED_EVENT_ID;
        }
        event.event_id = self.info.next_event_id;
        self.apply(&event);
        self.push(event)
    }

    /// Appends an event that has been applied.
    fn push(&mut self, event: HistoryEvent) -> i64 {
        let id = event.event_id;
        self.info.next_event_id = id + 1;
        self.info.history_size += encoded_size(&event);
        self.changes.events.push(event);
        self.changes.dirty = true;
        id
    }

    /// Gives buffered events their ids and writes them, in the order in which Temporal does: those that end an activity
    /// or a child go last (`reorderBuffer`). Answers whether there were any.
    fn flush_buffered(&mut self) -> bool {
        if self.buffered.is_empty() {
            return false;
        }
        let buffered = std::mem::take(&mut self.buffered);
        for id in buffered.keys() {
            self.touch(PendingKind::Buffered, *id);
        }
        let (last, first): (Vec<_>, Vec<_>) =
            buffered.into_values().partition(|event| ends_pending(event.event_type()));
        let mut started = BTreeMap::new();
        for mut event in first.into_iter().chain(last) {
            event.event_id = self.info.next_event_id;
            self.wire(&mut event, &mut started);
            self.push(event);
        }
        true
    }

    /// Replaces placeholders for started events that had been buffered too (`wireEventIDs`).
    fn wire(&mut self, event: &mut HistoryEvent, started: &mut BTreeMap<i64, i64>) {
        let id = event.event_id;
        let lookup = |scheduled: i64, slot: &mut i64| {
            if *slot == BUFFERED_EVENT_ID
                && let Some(found) = started.get(&scheduled)
            {
                *slot = *found;
            }
        };
        match event.attributes.as_mut() {
            Some(Attributes::ActivityTaskCompletedEventAttributes(a)) => {
                lookup(a.scheduled_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ActivityTaskFailedEventAttributes(a)) => {
                lookup(a.scheduled_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ActivityTaskTimedOutEventAttributes(a)) => {
                lookup(a.scheduled_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ActivityTaskCanceledEventAttributes(a)) => {
                lookup(a.scheduled_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ChildWorkflowExecutionCompletedEventAttributes(a)) => {
                lookup(a.initiated_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ChildWorkflowExecutionFailedEventAttributes(a)) => {
                lookup(a.initiated_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ChildWorkflowExecutionCanceledEventAttributes(a)) => {
                lookup(a.initiated_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ChildWorkflowExecutionTimedOutEventAttributes(a)) => {
                lookup(a.initiated_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ChildWorkflowExecutionTerminatedEventAttributes(a)) => {
                lookup(a.initiated_event_id, &mut a.started_event_id);
            }
            Some(Attributes::ActivityTaskStartedEventAttributes(a)) => {
                started.insert(a.scheduled_event_id, id);
            }
            Some(Attributes::ChildWorkflowExecutionStartedEventAttributes(a)) => {
                started.insert(a.initiated_event_id, id);
                if let Some(child) = self.children.get_mut(&a.initiated_event_id) {
                    child.started_event_id = id;
                    let initiated = a.initiated_event_id;
                    self.touch(PendingKind::Child, initiated);
                }
            }
            _ => {}
        }
    }

    /// Marks a pending thing as changed.
    fn touch(&mut self, kind: PendingKind, id: i64) {
        self.changes.pending.insert((kind, id));
        self.changes.dirty = true;
    }

    /// The earliest time at which something falls due by itself, 0 for never.
    pub fn next_deadline(&self) -> Nanos {
        if !self.is_open() {
            return 0;
        }
        let activities = self.activities.values().map(|activity| activity_policy::next_deadline(activity));
        let timers = self.timers.values().map(|timer| timer.fire_time);
        let operations = self.operations.values().map(|operation| operation.next_deadline());
        let own = [self.info.run_expiration, self.info.execution_expiration, self.workflow_task_deadline()];
        activities.chain(timers).chain(operations).chain(own).filter(|deadline| *deadline != 0).min().unwrap_or(0)
    }

    /// Does everything that is due at `now`, in the order of the deadlines. `new_run_id` names the run that may follow.
    pub fn fire_due(&mut self, now: Nanos, new_run_id: impl FnOnce() -> String) {
        if self.expire_run(now, new_run_id) {
            return;
        }
        self.fire_timers(now);
        self.fire_activity_deadlines(now);
        self.fire_operation_deadlines(now);
        self.fire_workflow_task_deadline(now);
    }
}

/// Bytes that an event takes in a stored batch: itself and the tag and length before it.
fn encoded_size(event: &HistoryEvent) -> i64 {
    let length = event.encoded_len();
    i64::try_from(length + prost::length_delimiter_len(length) + 1).unwrap_or(i64::MAX)
}
