//! Finding executions and namespaces, in memory or in the store.

use std::collections::BTreeSet;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    history::v1::{History, HistoryEvent},
    workflowservice::v1::DescribeNamespaceResponse,
};
use tonic::Status;

use super::{Core, Live, commit, reset::ClosedChange};
use crate::{
    clock::Timestamp,
    history::{
        Execution,
        state::ExecutionInfo,
        time::{Nanos, from_duration, from_timestamp},
    },
    store::{ExecutionKey, HistoryLimit, OpenExecution},
};

/// Retention of a namespace that does not say.
const DEFAULT_RETENTION: Nanos = 72 * 3_600 * 1_000_000_000;

/// How long what is due waits after a commit that failed.
pub(super) const RETRY_COMMIT: Nanos = 1_000_000_000;

/// A run that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its row.
    pub(crate) key: i64,
    /// Its run id.
    pub(crate) run_id: String,
    /// Whether it is in memory, which is to say open (or closed by this very batch).
    pub(crate) live: bool,
}

impl Core {
    /// Finds a run; without a run id, the current one.
    ///
    /// # Errors
    /// `NOT_FOUND`, in the words of Temporal's frontend; or the store cannot be read.
    pub(crate) fn find(&self, namespace: &str, execution: &WorkflowExecution) -> Result<Found, Status> {
        let id = (namespace.to_owned(), execution.workflow_id.clone());
        if let Some(key) = self.current.get(&id)
            && let Some(live) = self.live.get(key)
            && (execution.run_id.is_empty() || live.execution.info.run_id == execution.run_id)
            && !matches!(self.closed_changes.get(key), Some(ClosedChange::Delete))
        {
            return Ok(Found { key: *key, run_id: live.execution.info.run_id.clone(), live: true });
        }
        let found = self
            .store
            .find_run(namespace, &execution.workflow_id, &execution.run_id)
            .map_err(|error| commit::status_of(&error))?
            .ok_or_else(|| not_found(execution))?;
        let ExecutionKey(key) = found.key;
        if matches!(self.closed_changes.get(&key), Some(ClosedChange::Delete)) {
            return Err(not_found(execution));
        }
        Ok(Found { key, run_id: found.run_id, live: self.live.contains_key(&key) })
    }

    /// Finds a run that is open.
    ///
    /// # Errors
    /// `NOT_FOUND`: there is none, or it has closed.
    pub(crate) fn find_open(&self, namespace: &str, execution: &WorkflowExecution) -> Result<i64, Status> {
        let found = self.find(namespace, execution)?;
        match self.live.get(&found.key) {
            Some(live) if live.execution.is_open() => Ok(found.key),
            _ => Err(Status::not_found("workflow execution already completed")),
        }
    }

    /// Everything but history of a run, open or closed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn info(&self, key: i64) -> Result<ExecutionInfo, Status> {
        match self.live.get(&key) {
            Some(live) => Ok(live.execution.info.clone()),
            None => closed_info(self, key),
        }
    }

    /// The open execution of a workflow id, if there is one.
    pub(crate) fn current_open(&self, namespace: &str, workflow_id: &str) -> Option<i64> {
        let key = *self.current.get(&(namespace.to_owned(), workflow_id.to_owned()))?;
        self.live.get(&key).filter(|live| live.execution.is_open()).map(|_| key)
    }

    /// Puts a new execution into memory and makes it the current one of its id.
    pub(crate) fn adopt(&mut self, execution: Execution) {
        let id = (execution.info.namespace.clone(), execution.info.workflow_id.clone());
        let key = execution.key;
        self.current.insert(id, key);
        self.live.insert(key, Box::new(Live { execution, ..Live::default() }));
    }

    /// Events `from..` of a run, at most `limit` of them (at least one stored batch), in order. Reads what is durable only.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn events(
        &self,
        key: i64,
        from: i64,
        to: i64,
        limit: HistoryLimit,
    ) -> Result<Vec<HistoryEvent>, Status> {
        if let Some(live) = self.live.get(&key)
            && live.recent.front().is_some_and(|first| first.event_id <= from)
        {
            let wanted = |event: &&HistoryEvent| event.event_id >= from && event.event_id <= to;
            return Ok(live.recent.iter().filter(wanted).take(limit.batches).cloned().collect());
        }
        let batches = self.store.history(ExecutionKey(key), from, limit).map_err(|error| commit::status_of(&error))?;
        let mut events = Vec::new();
        for batch in batches {
            let history = History::decode(batch.events.as_slice())
                .map_err(|error| Status::data_loss(format!("a stored history cannot be read: {error}")))?;
            events.extend(history.events.into_iter().filter(|event| event.event_id >= from && event.event_id <= to));
        }
        Ok(events)
    }

    /// One event of a run.
    ///
    /// # Errors
    /// The store cannot be read, or has no such event.
    pub(crate) fn event(&self, key: i64, id: i64) -> Result<HistoryEvent, Status> {
        let recent = self.live.get(&key).and_then(|live| {
            live.recent.iter().chain(live.unsaved_events.iter()).find(|event| event.event_id == id).cloned()
        });
        if let Some(event) = recent {
            return Ok(event);
        }
        let events = self.events(key, id, id, HistoryLimit { batches: 1, bytes: usize::MAX })?;
        events.into_iter().next().ok_or_else(|| Status::data_loss(format!("event {id} is missing from the history")))
    }

    /// Sees to it that time goes on from where it was when the engine last worked. What waits would otherwise wait for as long
    /// as the machine's clock was set back.
    pub(super) fn resume_clock(&mut self) -> Result<(), crate::EngineError> {
        const BATCHES: u32 = 16;
        let times = self.store.latest_events(BATCHES)?.into_iter().filter_map(|events| {
            let history = History::decode(events.as_slice()).ok()?;
            Some(from_timestamp(history.events.last()?.event_time.as_ref()))
        });
        if let Some(last) = times.max() {
            self.clock.not_before(Timestamp(last));
        }
        Ok(())
    }

    /// Loads every open execution, takes back what died workers of the last process held, and queues what there is to do.
    pub(super) fn load_open(&mut self) -> Result<(), crate::EngineError> {
        let mut damaged = None;
        let mut loaded = Vec::new();
        self.store.load_open(|open| match decode(&open) {
            Ok(execution) => loaded.push(execution),
            Err(error) => damaged = Some(error),
        })?;
        if let Some(error) = damaged {
            return Err(crate::EngineError::Damaged(error));
        }
        for execution in loaded {
            let key = execution.key;
            self.adopt(execution);
            self.orphaned.insert(key);
            self.update(key, Execution::abandon_in_process_workers);
            self.queue_everything(key);
        }
        Ok(())
    }

    /// Lets what is due at an execution wait a moment after a failed commit: the next one would fail too, again and again.
    fn hold_back(&mut self, key: i64) {
        let Some(live) = self.live.get(&key) else { return };
        let (due, soon) = (live.execution.next_deadline(), self.now().saturating_add(RETRY_COMMIT));
        if due != 0 || self.orphaned.contains(&key) {
            self.deadlines.set(key, if self.orphaned.contains(&key) { soon } else { due.max(soon) });
        }
    }

    /// Loads those of `keys` that are open back from the store, after a failed commit.
    pub(super) fn reload(&mut self, keys: &BTreeSet<i64>) {
        let mut found = Vec::new();
        let wanted = |open: OpenExecution| {
            if keys.contains(&open.key.0) {
                found.push(decode(&open));
            }
        };
        if let Err(error) = self.store.load_open(wanted) {
            tracing::error!(%error, "cannot read executions back: {error}");
        }
        for execution in found {
            match execution {
                Ok(execution) => {
                    let key = execution.key;
                    self.adopt(execution);
                    self.queue_everything(key);
                    self.hold_back(key);
                }
                Err(error) => tracing::error!(%error, "cannot read an execution back: {error}"),
            }
        }
    }
}

/// State of a run that is not in memory.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn closed_info(core: &Core, key: i64) -> Result<ExecutionInfo, Status> {
    let row = core.store.load_execution(ExecutionKey(key)).map_err(|error| commit::status_of(&error))?;
    commit::decode_info(&row.ok_or_else(|| Status::not_found("workflow not found"))?.state)
}

fn decode(open: &OpenExecution) -> Result<Execution, String> {
    let ExecutionKey(key) = open.key;
    let damaged = |error: &dyn std::fmt::Display| format!("execution {} (row {key}): {error}", open.workflow_id);
    let info = ExecutionInfo::decode(open.state.as_slice()).map_err(|error| damaged(&error))?;
    let mut execution = Execution { key, info, ..Execution::default() };
    for row in &open.pending {
        execution.decode_pending(row.kind.0, row.id, &row.data).map_err(|error| damaged(&error))?;
    }
    Ok(execution)
}

/// How long closed executions of a namespace are kept.
pub(super) fn retention(namespace: &DescribeNamespaceResponse) -> Nanos {
    let configured = namespace.config.as_ref().and_then(|config| config.workflow_execution_retention_ttl.as_ref());
    match from_duration(configured) {
        0 => DEFAULT_RETENTION,
        retention => retention,
    }
}

fn not_found(execution: &WorkflowExecution) -> Status {
    if execution.run_id.is_empty() {
        Status::not_found(format!("workflow not found for ID: {}", execution.workflow_id))
    } else {
        Status::not_found(format!(
            "workflow execution not found for workflow ID {:?} and run ID {:?}",
            execution.workflow_id, execution.run_id
        ))
    }
}
