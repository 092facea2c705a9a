//! What workers get with their tasks: made once the batch is durable, from the state and the stored history.

use temporalio_common::protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::TaskQueueKind,
    history::v1::{History, HistoryEvent, history_event::Attributes},
    query::v1::WorkflowQuery,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse},
};
use tonic::Status;

use super::{Core, Live};
use crate::{
    history::{ActivityStart, TaskStarted, priority::merged, state::ExecutionInfo, time::timestamp},
    service::token::{HistoryToken, TaskToken, Token as _},
    store::HistoryLimit,
};

/// How much history one response carries; the worker pages for more.
pub(crate) const HISTORY_PAGE: HistoryLimit = HistoryLimit { batches: 1_000, bytes: 2 << 20 };

/// A history that costs less to send than to be asked for: some tens of kilobytes.
const SHORT_HISTORY: i64 = 100;

impl Core {
    /// What a worker gets with a workflow task. With `sticky`, only what it has not seen.
    pub(crate) fn workflow_task_response(
        &self,
        key: i64,
        started: &TaskStarted,
        sticky: bool,
    ) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let info = self.info(key)?;
        let task = &started.task;
        let next = started.previous_started_event_id + 1;
        let from = if sticky && !self.is_forgotten(key, next) { next } else { 1 };
        let last = if task.is_unwritten() { task.scheduled_event_id - 1 } else { task.started_event_id };
        let (history, next_page_token) = self.history_page(key, from, last, &started.transient_events)?;
        let token = TaskToken {
            key,
            scheduled_event_id: task.scheduled_event_id,
            started_event_id: task.started_event_id,
            attempt: task.attempt,
            started_time: task.started_time,
            ..TaskToken::default()
        };
        Ok(PollWorkflowTaskQueueResponse {
            task_token: token.to_bytes(),
            previous_started_event_id: started.previous_started_event_id,
            started_event_id: task.started_event_id,
            attempt: task.attempt,
            history: Some(history),
            next_page_token,
            scheduled_time: timestamp(task.scheduled_time),
            started_time: timestamp(task.started_time),
            ..self.workflow_response(&info)
        })
    }

    /// Whether a run has rested for so long that its worker has most likely let go of it, as we have of its latest events. Its
    /// history is then sent from the start, if it is short: the worker would ask for it, and something waits.
    fn is_forgotten(&self, key: i64, next_event_id: i64) -> bool {
        let cold = |live: &Live| live.recent.front().is_none_or(|first| first.event_id > next_event_id);
        next_event_id < SHORT_HISTORY && self.live.get(&key).is_none_or(|live| cold(live))
    }

    /// What every task of a workflow says of it.
    #[allow(clippy::unused_self, reason = "a method like its siblings")]
    fn workflow_response(&self, info: &ExecutionInfo) -> PollWorkflowTaskQueueResponse {
        let started = info.started.clone().unwrap_or_default();
        let queue = started.task_queue.map(|queue| queue.name).unwrap_or_default();
        PollWorkflowTaskQueueResponse {
            workflow_execution: Some(WorkflowExecution {
                workflow_id: info.workflow_id.clone(),
                run_id: info.run_id.clone(),
            }),
            workflow_type: started.workflow_type,
            workflow_execution_task_queue: Some(TaskQueue {
                name: queue,
                kind: TaskQueueKind::Normal.into(),
                normal_name: String::new(),
            }),
            ..Default::default()
        }
    }

    pub(super) fn query_response(
        &self,
        key: i64,
        query_id: u64,
        query: WorkflowQuery,
        queue: &str,
    ) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let info = self.info(key)?;
        let from = if queue == info.sticky_queue { info.last_started_event_id + 1 } else { 1 };
        let (history, next_page_token) = self.history_page(key, from, info.next_event_id - 1, &[])?;
        Ok(PollWorkflowTaskQueueResponse {
            task_token: TaskToken { key, query_id, ..TaskToken::default() }.to_bytes(),
            previous_started_event_id: info.last_started_event_id,
            attempt: 1,
            history: Some(history),
            next_page_token,
            query: Some(query),
            ..self.workflow_response(&info)
        })
    }

    /// One page of a task's history, and the token of the next.
    pub(crate) fn history_page(
        &self,
        key: i64,
        from: i64,
        last: i64,
        transient: &[HistoryEvent],
    ) -> Result<(History, Vec<u8>), Status> {
        let mut events = if from > last { Vec::new() } else { self.events(key, from, last, HISTORY_PAGE)? };
        let reached = events.last().map_or(from - 1, |event| event.event_id);
        if reached >= last {
            events.extend(transient.iter().cloned());
            return Ok((History { events }, Vec::new()));
        }
        let token = HistoryToken {
            key,
            next_event_id: reached + 1,
            last_event_id: last,
            transient: !transient.is_empty(),
            ..HistoryToken::default()
        };
        Ok((History { events }, token.to_bytes()))
    }

    /// What a worker gets with an activity task.
    pub(crate) fn activity_response(
        &self,
        key: i64,
        started: &ActivityStart,
    ) -> Result<PollActivityTaskQueueResponse, Status> {
        let activity = &started.activity;
        let info = self.info(key)?;
        let event = self.event(key, activity.scheduled_event_id)?;
        let Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) = event.attributes else {
            return Err(Status::data_loss("an activity's scheduled event is something else"));
        };
        // It may have changed since. Of the timeouts the worker is told what the workflow once asked for, as by the server.
        let options = activity.options();
        let priority = info.priority().cloned();
        let token = TaskToken {
            key,
            scheduled_event_id: activity.scheduled_event_id,
            attempt: activity.attempt,
            activity: true,
            ..TaskToken::default()
        };
        Ok(PollActivityTaskQueueResponse {
            task_token: token.to_bytes(),
            workflow_namespace: info.namespace.clone(),
            workflow_type: Some(WorkflowType {
                name: info.started.and_then(|s| s.workflow_type).map(|kind| kind.name).unwrap_or_default(),
            }),
            workflow_execution: Some(WorkflowExecution { workflow_id: info.workflow_id, run_id: info.run_id }),
            activity_type: scheduled.activity_type,
            activity_id: scheduled.activity_id,
            header: scheduled.header,
            input: scheduled.input,
            heartbeat_details: activity.heartbeat_details.clone(),
            scheduled_time: timestamp(activity.scheduled_time),
            current_attempt_scheduled_time: timestamp(activity.attempt_scheduled_time),
            started_time: timestamp(activity.started_time),
            attempt: activity.attempt,
            schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
            start_to_close_timeout: scheduled.start_to_close_timeout,
            heartbeat_timeout: scheduled.heartbeat_timeout,
            retry_policy: options.retry_policy,
            priority: merged(priority.as_ref(), options.priority.as_ref()),
            ..Default::default()
        })
    }
}
