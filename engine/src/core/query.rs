//! Queries: answered with a workflow task when one is under way anyhow, else by a task of their own that leaves no history.

use std::collections::BTreeMap;

use temporalio_common::protos::temporal::api::{
    enums::v1::QueryResultType,
    errordetails::v1::QueryFailedFailure,
    query::v1::{WorkflowQuery, WorkflowQueryResult},
    workflowservice::v1::QueryWorkflowResponse,
};
use tonic::{Code, Status};

use super::{Core, Reply};
use crate::{
    history::state::ExecutionInfo,
    matching::{QueueKey, Rank, Task, TaskKind},
};

/// Queries that may wait for one execution (`history.maxBufferedQueryCount` is 1; ours are cheaper).
const MAX_QUERIES: usize = 100;

/// A query that waits for its answer.
pub(crate) struct PendingQuery {
    /// What is asked.
    pub(crate) query: WorkflowQuery,
    /// Whether a worker has it, with a workflow task.
    pub(crate) attached: bool,
    /// Who asked.
    pub(crate) reply: Reply<QueryWorkflowResponse>,
}

impl Core {
    /// Takes a query for an execution, open or closed.
    pub(crate) fn query(&mut self, key: i64, query: WorkflowQuery, reply: Reply<QueryWorkflowResponse>) {
        let id = self.next_query_id;
        self.next_query_id += 1;
        if !self.live.contains_key(&key) && self.info(key).is_ok_and(|info| info.last_started_event_id == 0) {
            let _ = reply.send(Err(never_ran()));
            return;
        }
        let pending = PendingQuery { query, attached: false, reply };
        let queries = match self.live.get_mut(&key) {
            Some(live) => &mut live.queries,
            None => self.closed_queries.entry(key).or_default(),
        };
        queries.retain(|_, query| !query.reply.is_closed());
        if queries.len() >= MAX_QUERIES {
            let _ = pending.reply.send(Err(Status::resource_exhausted("too many queries wait for this workflow")));
            return;
        }
        queries.insert(id, pending);
        // A run that no worker has seen yet cannot answer: nothing of its code has run. So the query comes with its first
        // task, even while that one backs off (a run that continued as new at once) and is not scheduled.
        let waits_for_task = self.live.get(&key).is_some_and(|live| {
            let info = &live.execution.info;
            info.workflow_task.is_some() || info.last_started_event_id == 0
        });
        if !waits_for_task {
            self.queue_query(key, id);
        }
    }

    /// The query of that number, wherever it waits.
    pub(super) fn pending_query(&self, key: i64, id: u64) -> Option<&PendingQuery> {
        let open = self.live.get(&key).and_then(|live| live.queries.get(&id));
        open.or_else(|| self.closed_queries.get(&key).and_then(|queries| queries.get(&id)))
    }

    fn take_query(&mut self, key: i64, id: u64) -> Option<PendingQuery> {
        if let Some(query) = self.live.get_mut(&key).and_then(|live| live.queries.remove(&id)) {
            return Some(query);
        }
        let queries = self.closed_queries.get_mut(&key)?;
        let query = queries.remove(&id);
        if queries.is_empty() {
            self.closed_queries.remove(&key);
        }
        query
    }

    /// Sends a query to a worker by itself: the one that has the workflow in its cache, if it is there.
    fn queue_query(&mut self, key: i64, query_id: u64) {
        let Ok(info) = self.info(key) else { return };
        let queue = self.worker_queue(&info);
        self.queues.add_task(&queue, Task::Query { key, query_id }, Rank::of(info.priority()), self.now());
    }

    /// Queue of the worker that knows an execution best.
    pub(super) fn worker_queue(&self, info: &ExecutionInfo) -> QueueKey {
        let (namespace, kind) = (info.namespace.clone(), TaskKind::Workflow);
        let sticky = QueueKey { namespace, name: info.sticky_queue.clone(), kind, version: None };
        let normal = info
            .started
            .as_ref()
            .and_then(|s| s.task_queue.as_ref())
            .map(|queue| queue.name.clone())
            .unwrap_or_default();
        if !info.sticky_queue.is_empty() && self.queues.has_poller(&sticky, self.now()) && self.may_stick(info, &normal)
        {
            return sticky;
        }
        QueueKey { version: self.version_for(info, &normal, kind), name: normal, ..sticky }
    }

    /// Queries that the workflow task now being started takes along.
    pub(super) fn attach_queries(&mut self, key: i64) -> BTreeMap<String, WorkflowQuery> {
        let Some(live) = self.live.get_mut(&key) else { return BTreeMap::new() };
        live.queries.retain(|_, query| !query.reply.is_closed());
        live.queries
            .iter_mut()
            .map(|(id, query)| {
                query.attached = true;
                (id.to_string(), query.query.clone())
            })
            .collect()
    }

    /// Takes the answers that came with a workflow task. What is left waits for the next task, or gets one of its own.
    pub(crate) fn answer_queries(
        &mut self,
        key: i64,
        results: impl IntoIterator<Item = (String, WorkflowQueryResult)>,
    ) {
        for (id, result) in results {
            if let Some(query) = id.parse().ok().and_then(|id| self.take_query(key, id)) {
                self.reply(query.reply, answer(result));
            }
        }
        let Some(live) = self.live.get_mut(&key) else { return };
        let open = live.execution.is_open() && live.execution.info.workflow_task.is_some();
        let left: Vec<u64> = live.queries.iter_mut().map(|(id, query)| (*id, query.attached = false).0).collect();
        if !open && live.execution.is_open() {
            for id in left {
                self.queue_query(key, id);
            }
        }
    }

    /// The answer of a query that had a task of its own. Answers whether it was still wanted.
    pub(crate) fn answer_query(&mut self, key: i64, id: u64, result: WorkflowQueryResult) -> bool {
        let query = self.take_query(key, id);
        let wanted = query.is_some();
        if let Some(query) = query {
            self.reply(query.reply, answer(result));
        }
        wanted
    }

    /// Nobody can answer what is asked of a run that is no more. One whose state alone has changed keeps its queries.
    pub(super) fn drop_queries_of_deleted(&mut self, key: i64) {
        if self.info(key).is_ok() {
            return;
        }
        for query in self.closed_queries.remove(&key).into_iter().flat_map(BTreeMap::into_values) {
            let _ = query.reply.send(Err(Status::not_found("the workflow execution has been deleted")));
        }
    }

    /// Queries that were waiting when their execution closed are asked of its history.
    pub(super) fn requeue_queries_of_closed(
        &mut self,
        key: i64,
        queries: BTreeMap<u64, PendingQuery>,
        info: &ExecutionInfo,
    ) {
        if queries.is_empty() {
            return;
        }
        if info.last_started_event_id == 0 {
            for query in queries.into_values() {
                let _ = query.reply.send(Err(never_ran()));
            }
            return;
        }
        let queue = self.worker_queue(info);
        for query_id in queries.keys() {
            self.queues.add_task(
                &queue,
                Task::Query { key, query_id: *query_id },
                Rank::of(info.priority()),
                self.now(),
            );
        }
        self.closed_queries.entry(key).or_default().extend(queries);
    }
}

/// A run that closed before any worker saw it: there is nothing to replay.
fn never_ran() -> Status {
    Status::failed_precondition("Workflow task is not scheduled yet.")
}

fn answer(result: WorkflowQueryResult) -> Result<QueryWorkflowResponse, Status> {
    if result.result_type() == QueryResultType::Answered {
        return Ok(QueryWorkflowResponse { query_result: result.answer, ..Default::default() });
    }
    let detail = QueryFailedFailure { failure: result.failure };
    Err(crate::service::status::with_detail(
        Code::InvalidArgument,
        &result.error_message,
        "temporal.api.errordetails.v1.QueryFailedFailure",
        &detail,
    ))
}
