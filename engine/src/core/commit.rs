//! Writing a batch: what the touched executions have changed becomes rows of one transaction.

use std::{collections::VecDeque, time::Instant};

use prost::Message as _;
use temporalio_common::protos::temporal::api::history::v1::History;
use tonic::Status;

use super::{Core, Live, MAX_RECENT_EVENTS, MAX_WARM_EXECUTIONS, reset::ClosedChange};
use crate::{
    clock::Timestamp,
    history::{Execution, state::ExecutionInfo},
    store::{Batch, ExecutionKey, ExecutionRow, PendingKind, RunRef, StoreError, VisibilityRow},
};

/// Events that are stored together, and read together, at the most: a reset writes a whole history.
const MAX_STORED_TOGETHER: usize = 256;

impl Core {
    /// Commits what has changed since the last commit. Answers the status for the clients when it failed.
    pub(super) fn commit(&mut self) -> Option<Status> {
        if !self.has_changes() {
            return None;
        }
        if let Some(status) = self.fault.take() {
            self.revert();
            return Some(status);
        }
        let batch = self.batch();
        let (began, executions) = (Instant::now(), self.touched.len());
        match self.store.commit(&batch) {
            Ok(()) => {
                self.metrics.commit(executions, began.elapsed(), self.store.last_sync());
                self.saved();
                None
            }
            Err(error) => {
                self.metrics.commit_error(&error);
                tracing::error!(%error, "cannot commit; the requests of this batch are refused: {error}");
                self.revert();
                Some(status_of(&error))
            }
        }
    }

    /// Whether anything has changed since the last commit.
    pub(super) fn has_changes(&self) -> bool {
        !self.touched.is_empty()
            || !self.unsaved_namespaces.is_empty()
            || !self.closed_changes.is_empty()
            || self.schedules.has_changes()
            || self.batch_jobs.has_changes()
            || self.deployments.has_changes()
            || self.activities.has_changes()
            || self.task_queues.has_changes()
            || self.endpoints.has_changes()
    }

    fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        self.write_namespaces(&mut batch);
        for key in &self.touched {
            if let Some(live) = self.live.get(key) {
                live.write(&mut batch);
            }
        }
        for (key, change) in &self.closed_changes {
            match change {
                ClosedChange::Delete => batch.delete_executions.push(ExecutionKey(*key)),
                ClosedChange::State(state) => batch.update_state.push((ExecutionKey(*key), state.clone())),
            }
        }
        self.schedules.write(&mut batch);
        self.batch_jobs.write(&mut batch);
        self.deployments.write(&mut batch);
        self.activities.write(&mut batch);
        self.task_queues.write(&mut batch);
        self.endpoints.write(&mut batch);
        batch
    }

    /// The batch is durable: events become readable, closed executions leave memory.
    fn saved(&mut self) {
        self.unsaved_namespaces.clear();
        self.schedules.take_unsaved();
        self.batch_jobs.take_unsaved();
        self.deployments.saved();
        self.task_queues.saved();
        self.endpoints.saved();
        self.activities_saved();
        self.commits += 1;
        for key in std::mem::take(&mut self.touched) {
            self.orphaned.remove(&key);
            let Some(live) = self.live.get_mut(&key) else { continue };
            live.saved(self.commits);
            self.warm.push_back((self.commits, key));
            let last = live.execution.last_event_id();
            let closed = !live.execution.is_open();
            let (due, waiting) = std::mem::take(&mut live.history_waiters)
                .into_iter()
                .filter(|waiter| !waiter.reply.is_closed())
                .partition::<Vec<_>, _>(|waiter| closed || (!waiter.close_only && waiter.from_event_id <= last));
            live.history_waiters = waiting;
            for waiter in due {
                let _ = waiter.reply.send(Ok(()));
            }
            if closed {
                self.release(key);
            }
        }
        for key in std::mem::take(&mut self.closed_changes).into_keys() {
            self.drop_queries_of_deleted(key);
        }
        self.cool();
    }

    /// Lets go of the events of executions that have not changed for the longest time.
    fn cool(&mut self) {
        while self.warm.len() > MAX_WARM_EXECUTIONS {
            let Some((commit, key)) = self.warm.pop_front() else { return };
            if let Some(live) = self.live.get_mut(&key).filter(|live| live.last_commit == commit) {
                live.recent = VecDeque::new();
            }
        }
    }

    /// Takes a closed execution out of memory.
    fn release(&mut self, key: i64) {
        self.deadlines.set(key, 0);
        let Some(live) = self.live.remove(&key) else { return };
        let id = (live.execution.info.namespace.clone(), live.execution.info.workflow_id.clone());
        if self.current.get(&id) == Some(&key) {
            self.current.remove(&id);
        }
        self.drop_calls(key, live.calls);
        self.requeue_queries_of_closed(key, live.queries, &live.execution.info);
    }

    /// The commit failed: everything touched goes back to what is stored.
    fn revert(&mut self) {
        self.effects.clear();
        self.closed_changes.clear();
        self.revert_schedules();
        self.revert_batch_jobs();
        self.reload_namespaces();
        self.hold_back_deletions();
        let touched = std::mem::take(&mut self.touched);
        for key in &touched {
            self.deadlines.set(*key, 0);
            if let Some(live) = self.live.remove(key) {
                let id = (live.execution.info.namespace.clone(), live.execution.info.workflow_id.clone());
                if self.current.get(&id) == Some(key) {
                    self.current.remove(&id);
                }
                let refused = || Status::unavailable("the store refused a write; ask again");
                for query in live.queries.into_values() {
                    let _ = query.reply.send(Err(refused()));
                }
                for wait in live.update_waits {
                    let _ = wait.reply.send(Err(refused()));
                }
            }
        }
        self.reload(&touched);
        self.revert_activities();
        self.revert_deployments();
        self.revert_task_queues();
        self.revert_endpoints();
    }
}

impl Live {
    fn write(&self, batch: &mut Batch) {
        let execution = &self.execution;
        let key = ExecutionKey(execution.key);
        let state = execution.encode_info();
        if self.unsaved_row || !execution.is_open() {
            batch.put_executions.push(ExecutionRow {
                key,
                namespace: execution.info.namespace.clone(),
                workflow_id: execution.info.workflow_id.clone(),
                run_id: execution.info.run_id.clone(),
                state,
                visibility: visibility_row(execution),
            });
        } else {
            batch.update_state.push((key, state));
        }
        if self.unsaved_events.first().is_some_and(|first| first.event_id == 1) {
            batch.set_current.push((execution.info.namespace.clone(), execution.info.workflow_id.clone(), key));
        }
        for events in self.unsaved_events.chunks(MAX_STORED_TOGETHER) {
            if let (Some(first), Some(last)) = (events.first(), events.last()) {
                let (first, last) = (first.event_id, last.event_id);
                let events = History { events: events.to_vec() }.encode_to_vec();
                batch.append_history.push((key, first, last, events));
            }
        }
        if !execution.is_open() {
            batch.close_executions.push(key);
            return;
        }
        for (kind, id) in &self.unsaved_pending {
            let stored = PendingKind(*kind as u8);
            match execution.encode_pending(*kind, *id) {
                Some(data) => batch.put_pending.push((key, stored, *id, data)),
                None => batch.delete_pending.push((key, stored, *id)),
            }
        }
    }

    fn saved(&mut self, commit: u64) {
        self.last_commit = commit;
        self.unsaved_row = false;
        self.unsaved_pending.clear();
        self.recent.extend(std::mem::take(&mut self.unsaved_events));
        let seen = self.execution.info.last_started_event_id;
        while self.recent.front().is_some_and(|event| event.event_id <= seen) || self.recent.len() > MAX_RECENT_EVENTS {
            self.recent.pop_front();
        }
        self.recent.shrink_to_fit();
    }
}

/// What listings show of an execution.
fn visibility_row(execution: &Execution) -> VisibilityRow {
    let info = &execution.info;
    let started = info.started.clone().unwrap_or_default();
    let attributes = crate::service::search_attributes::of_run(info);
    let run = |execution: Option<temporalio_common::protos::temporal::api::common::v1::WorkflowExecution>| {
        execution.map(|e| RunRef { workflow_id: e.workflow_id, run_id: e.run_id })
    };
    VisibilityRow {
        workflow_type: execution.workflow_type().to_owned(),
        task_queue: execution.task_queue().to_owned(),
        status: info.status,
        start_time: Timestamp(info.start_time),
        execution_time: Timestamp(info.execution_time),
        close_time: (!execution.is_open()).then_some(Timestamp(info.close_time)),
        history_length: execution.last_event_id(),
        history_size_bytes: info.history_size,
        state_transition_count: info.state_transitions,
        parent: run(started.parent_workflow_execution),
        root: run(started.root_workflow_execution),
        memo: info.memo.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default(),
        search_attributes: crate::service::search_attributes::values(attributes.as_ref()),
        encoded_search_attributes: attributes.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default(),
    }
}

/// What a client is told of a fault of the store.
pub(crate) fn status_of(error: &StoreError) -> Status {
    match error {
        StoreError::Full { .. } => Status::resource_exhausted(error.to_string()),
        StoreError::PageToken => Status::invalid_argument("Invalid NextPageToken."),
        StoreError::Misuse(_) => Status::internal(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    }
}

/// Reads a stored state blob.
pub(crate) fn decode_info(state: &[u8]) -> Result<ExecutionInfo, Status> {
    ExecutionInfo::decode(state)
        .map_err(|error| Status::data_loss(format!("a stored execution cannot be read: {error}")))
}
