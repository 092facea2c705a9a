//! Reading histories: whole, by pages, waiting for what comes next, or backwards.

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::HistoryEventFilterType,
    history::v1::{History, HistoryEvent},
    workflowservice::v1::{
        GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse,
        GetWorkflowExecutionHistoryReverseRequest, GetWorkflowExecutionHistoryReverseResponse,
    },
};
use tokio::sync::oneshot;
use tonic::Status;

use super::{
    HISTORY_POLL, Service, execution, page_size,
    token::{HistoryToken, Token as _},
};
use crate::{
    core::{Core, HistoryWaiter, Reply},
    store::{ExecutionKey, HistoryLimit},
};

/// Events of one page when the client does not say, and at the most (`history.historyMaxPageSize`).
const MAX_PAGE: usize = 256;
/// Bytes of one page.
const PAGE_BYTES: usize = 2 << 20;
/// Readers that may wait for one execution.
const MAX_WAITERS: usize = 1_000;

/// What a reader wants.
#[derive(Clone)]
struct Reading {
    target: WorkflowExecution,
    token: HistoryToken,
    page_size: usize,
    wait: bool,
    close_only: bool,
}

/// What a look found.
enum Look {
    /// A page.
    Page(GetWorkflowExecutionHistoryResponse),
    /// Nothing yet: told here when there is.
    Later(oneshot::Receiver<Result<(), Status>>),
}

impl Service {
    pub(super) async fn get_workflow_execution_history(
        &self,
        request: GetWorkflowExecutionHistoryRequest,
    ) -> Result<GetWorkflowExecutionHistoryResponse, Status> {
        let reading = self.reading(request).await?;
        let deadline = tokio::time::Instant::now() + HISTORY_POLL;
        loop {
            let next = reading.clone();
            let later = match self.core.call(move |core, reply| look(core, next, reply)).await? {
                Look::Page(page) => return Ok(page),
                Look::Later(later) => later,
            };
            match tokio::time::timeout_at(deadline, later).await {
                Ok(Ok(told)) => told?,
                Ok(Err(_)) => {}
                Err(_) => return Ok(nothing_yet(&reading)),
            }
        }
    }

    /// Finds the run that is meant and where the reading begins.
    async fn reading(&self, request: GetWorkflowExecutionHistoryRequest) -> Result<Reading, Status> {
        let target = execution(request.execution.clone())?;
        let page_size = page_size(request.maximum_page_size, MAX_PAGE);
        let close_only = request.history_event_filter_type() == HistoryEventFilterType::CloseEvent;
        let wait = request.wait_new_event;
        if !request.next_page_token.is_empty() {
            let token = HistoryToken::read(&request.next_page_token)
                .map_err(|_| Status::invalid_argument("Invalid NextPageToken."))?;
            return Ok(Reading { target, token, page_size, wait, close_only });
        }
        let (namespace, wanted) = (request.namespace, target.clone());
        let found = self
            .core
            .call(move |core, reply| {
                let answer = core.require_namespace(&namespace).and_then(|()| core.find(&namespace, &wanted));
                core.reply(reply, answer);
            })
            .await?;
        let token = HistoryToken { key: found.key, next_event_id: 1, run_id: found.run_id, ..HistoryToken::default() };
        Ok(Reading { target, token, page_size, wait, close_only })
    }

    pub(super) async fn get_workflow_execution_history_reverse(
        &self,
        request: GetWorkflowExecutionHistoryReverseRequest,
    ) -> Result<GetWorkflowExecutionHistoryReverseResponse, Status> {
        let target = execution(request.execution.clone())?;
        let size = page_size(request.maximum_page_size, MAX_PAGE);
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    core.require_namespace(&request.namespace)?;
                    let token = match request.next_page_token.as_slice() {
                        [] => HistoryToken {
                            key: core.find(&request.namespace, &target)?.key,
                            next_event_id: i64::MAX,
                            ..HistoryToken::default()
                        },
                        bytes => {
                            HistoryToken::read(bytes).map_err(|_| Status::invalid_argument("Invalid NextPageToken."))?
                        }
                    };
                    reverse(core, &token, size)
                });
            })
            .await
    }
}

/// An empty page for a reader that has waited long enough; its token goes on where it was.
fn nothing_yet(reading: &Reading) -> GetWorkflowExecutionHistoryResponse {
    GetWorkflowExecutionHistoryResponse {
        history: Some(History::default()),
        next_page_token: reading.token.to_bytes(),
        ..Default::default()
    }
}

fn look(core: &mut Core, reading: Reading, reply: Reply<Look>) {
    core.reply_with(reply, move |core| {
        let key = reading.token.key;
        let info = core.info(key)?;
        let named = |name: &str, own: &str| name.is_empty() || name == own;
        if !named(&reading.target.workflow_id, &info.workflow_id) || !named(&reading.target.run_id, &info.run_id) {
            return Err(Status::invalid_argument("Invalid NextPageToken."));
        }
        let open = core.live.get(&key).is_some_and(|live| live.execution.is_open());
        let last = if reading.token.last_event_id == 0 { info.next_event_id - 1 } else { reading.token.last_event_id };
        let transient = reading.token.transient;
        if transient {
            return Ok(Look::Page(task_page(core, &reading, last)?));
        }
        if open && reading.wait && (reading.close_only || reading.token.next_event_id > last) {
            return wait(core, &reading);
        }
        if reading.close_only {
            let event = core.event(key, last)?;
            return Ok(Look::Page(page(vec![event], Vec::new())));
        }
        let limit = HistoryLimit { batches: reading.page_size, bytes: PAGE_BYTES };
        let mut events = core.events(key, reading.token.next_event_id, last, limit)?;
        events.truncate(reading.page_size);
        let reached = events.last().map_or(last, |event| event.event_id);
        let more = reached < last || (open && reading.wait);
        let token = HistoryToken { next_event_id: reached + 1, ..reading.token };
        Ok(Look::Page(page(events, if more { token.to_bytes() } else { Vec::new() })))
    });
}

/// The rest of the history that came with a workflow task.
fn task_page(core: &Core, reading: &Reading, last: i64) -> Result<GetWorkflowExecutionHistoryResponse, Status> {
    let started = core.live.get(&reading.token.key).and_then(|live| live.execution.started_task());
    let (transient, last) = match started {
        // A speculative task has become a normal one since: what came with it is in the history now.
        Some(started) if started.transient_events.is_empty() => (Vec::new(), started.task.started_event_id.max(last)),
        Some(started) => (started.transient_events, last),
        None => (Vec::new(), last),
    };
    let (history, next_page_token) =
        core.history_page(reading.token.key, reading.token.next_event_id, last, &transient)?;
    Ok(page(history.events, next_page_token))
}

fn wait(core: &mut Core, reading: &Reading) -> Result<Look, Status> {
    let (tell, told) = oneshot::channel();
    let Some(live) = core.live.get_mut(&reading.token.key) else {
        return Err(Status::not_found("workflow execution not found"));
    };
    live.history_waiters.retain(|waiter| !waiter.reply.is_closed());
    if live.history_waiters.len() >= MAX_WAITERS {
        return Err(Status::resource_exhausted("too many readers wait for this workflow's history"));
    }
    live.history_waiters.push(HistoryWaiter {
        from_event_id: reading.token.next_event_id,
        close_only: reading.close_only,
        reply: tell,
    });
    Ok(Look::Later(told))
}

fn page(events: Vec<HistoryEvent>, next_page_token: Vec<u8>) -> GetWorkflowExecutionHistoryResponse {
    GetWorkflowExecutionHistoryResponse { history: Some(History { events }), next_page_token, ..Default::default() }
}

fn reverse(
    core: &Core,
    token: &HistoryToken,
    size: usize,
) -> Result<GetWorkflowExecutionHistoryReverseResponse, Status> {
    let limit = HistoryLimit { batches: size, bytes: PAGE_BYTES };
    let batches = core
        .store
        .history_reverse(ExecutionKey(token.key), token.next_event_id, limit)
        .map_err(|error| crate::core::status_of(&error))?;
    let mut events = Vec::new();
    for batch in batches {
        let history = History::decode(batch.events.as_slice())
            .map_err(|error| Status::data_loss(format!("a stored history cannot be read: {error}")))?;
        events.extend(history.events.into_iter().rev().filter(|event| event.event_id <= token.next_event_id));
    }
    events.truncate(size);
    let next = events.last().map_or(0, |event| event.event_id - 1);
    let next_page_token =
        if next > 0 { HistoryToken { next_event_id: next, ..token.clone() }.to_bytes() } else { Vec::new() };
    Ok(GetWorkflowExecutionHistoryReverseResponse { history: Some(History { events }), next_page_token })
}
