//! The start of a workflow that a schedule orders.

use temporalio_common::protos::temporal::api::{
    common::v1::{SearchAttributes, WorkflowExecution},
    enums::v1::{ScheduleOverlapPolicy as Policy, WorkflowExecutionStatus, WorkflowIdReusePolicy as Reuse},
    schedule::v1::ScheduleActionResult,
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use super::record::{Record, Waiting};
use crate::history::{
    time::{Nanos, timestamp},
    versioning::attribute,
};

const SECOND: Nanos = 1_000_000_000;

/// A start, and what is to be remembered of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StartOrder {
    /// The start as a client would ask for it, but for the request id.
    pub(crate) request: StartWorkflowExecutionRequest,
    /// When it came due.
    scheduled: Nanos,
    /// Whether later starts are held to overlap with it.
    pub(super) tracked: bool,
}

impl StartOrder {
    pub(super) fn new(record: &Record, action: &NewWorkflowExecutionInfo, start: &Waiting, tracked: bool) -> Self {
        let time = rfc3339(start.nominal);
        // Runs of their own have nothing before them. (The policy of the schedule is not asked: the server does not either.)
        let apart = start.overlap_policy() == Policy::AllowAll;
        let before = if apart { (None, None) } else { (record.last_result.clone(), record.last_failure.clone()) };
        let reuse = if start.manual { Reuse::AllowDuplicate } else { Reuse::RejectDuplicate };
        let request = StartWorkflowExecutionRequest {
            namespace: record.namespace.clone(),
            workflow_id: format!("{}-{time}", action.workflow_id),
            workflow_type: action.workflow_type.clone(),
            task_queue: action.task_queue.clone(),
            input: action.input.clone(),
            workflow_execution_timeout: action.workflow_execution_timeout,
            workflow_run_timeout: action.workflow_run_timeout,
            workflow_task_timeout: action.workflow_task_timeout,
            identity: identity(record),
            workflow_id_reuse_policy: reuse.into(),
            retry_policy: action.retry_policy.clone(),
            memo: action.memo.clone(),
            search_attributes: Some(search_attributes(record, action, &time)),
            header: action.header.clone(),
            last_completion_result: before.0,
            continued_failure: before.1,
            user_metadata: action.user_metadata.clone(),
            priority: action.priority.clone(),
            ..Default::default()
        };
        Self { request, scheduled: start.actual, tracked }
    }

    /// What is told of the start once it is made.
    pub(super) fn result(&self, run_id: &str, now: Nanos) -> ScheduleActionResult {
        let workflow_id = self.request.workflow_id.clone();
        ScheduleActionResult {
            schedule_time: timestamp(self.scheduled),
            actual_time: timestamp(now),
            start_workflow_result: Some(WorkflowExecution { workflow_id, run_id: run_id.to_owned() }),
            start_workflow_status: WorkflowExecutionStatus::Running.into(),
        }
    }
}

/// Who starts, cancels and terminates.
pub(super) fn identity(record: &Record) -> String {
    format!("temporal-scheduler-{}-{}", record.namespace, record.schedule_id)
}

/// The action's search attributes, and those by which its runs are found.
fn search_attributes(record: &Record, action: &NewWorkflowExecutionInfo, time: &str) -> SearchAttributes {
    let mut attributes = action.search_attributes.clone().unwrap_or_default();
    let fields = &mut attributes.indexed_fields;
    fields.insert("TemporalScheduledStartTime".to_owned(), attribute("Datetime", &time.into()));
    fields.insert("TemporalScheduledById".to_owned(), attribute("Keyword", &record.schedule_id.as_str().into()));
    attributes
}

/// A time in whole seconds of UTC, as it stands in workflow ids.
fn rfc3339(time: Nanos) -> String {
    jiff::Timestamp::from_second(time.div_euclid(SECOND)).unwrap_or_default().to_string()
}
