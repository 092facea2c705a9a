//! Listing open and closed executions by the filters that were there before the list filter.

use temporalio_common::protos::temporal::api::{
    filter::v1::{StartTimeFilter, StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter},
    workflowservice::v1::{
        ListClosedWorkflowExecutionsRequest, ListClosedWorkflowExecutionsResponse, ListOpenWorkflowExecutionsRequest,
        ListOpenWorkflowExecutionsResponse, list_closed_workflow_executions_request::Filters as Closed,
        list_open_workflow_executions_request::Filters as Open,
    },
};
use tonic::Status;

use super::{PageRequest, Service};
use crate::{
    history::time::from_timestamp,
    visibility::{Comparison, Condition, Field, Query, SystemField, Test, Value},
};

/// Number of `WORKFLOW_EXECUTION_STATUS_RUNNING`, and of the last status.
const RUNNING: i64 = 1;
const LAST_STATUS: i64 = 8;

impl Service {
    pub(in crate::service) async fn list_open_workflow_executions(
        &self,
        request: ListOpenWorkflowExecutionsRequest,
    ) -> Result<ListOpenWorkflowExecutionsResponse, Status> {
        let mut conditions = vec![is(SystemField::ExecutionStatus, Value::Int(RUNNING))];
        conditions.push(within(SystemField::StartTime, request.start_time_filter)?);
        match request.filters {
            Some(Open::ExecutionFilter(filter)) => conditions.push(of_workflow(filter)),
            Some(Open::TypeFilter(filter)) => conditions.push(of_type(filter)),
            None => {}
        }
        let (namespace, token) = (request.namespace, request.next_page_token);
        let page = PageRequest { namespace, size: request.maximum_page_size, token };
        let (executions, next_page_token) = self.list(page, |_| Ok(Query::all_of(conditions))).await?;
        Ok(ListOpenWorkflowExecutionsResponse { executions, next_page_token })
    }

    pub(in crate::service) async fn list_closed_workflow_executions(
        &self,
        request: ListClosedWorkflowExecutionsRequest,
    ) -> Result<ListClosedWorkflowExecutionsResponse, Status> {
        let running = Test::Compare(Comparison::NotEqual, Value::Int(RUNNING));
        let mut conditions = vec![condition(SystemField::ExecutionStatus, running)];
        conditions.push(within(SystemField::CloseTime, request.start_time_filter)?);
        match request.filters {
            Some(Closed::ExecutionFilter(filter)) => conditions.push(of_workflow(filter)),
            Some(Closed::TypeFilter(filter)) => conditions.push(of_type(filter)),
            Some(Closed::StatusFilter(filter)) => conditions.push(of_status(filter)?),
            None => {}
        }
        let (namespace, token) = (request.namespace, request.next_page_token);
        let page = PageRequest { namespace, size: request.maximum_page_size, token };
        let (executions, next_page_token) = self.list(page, |_| Ok(Query::all_of(conditions))).await?;
        Ok(ListClosedWorkflowExecutionsResponse { executions, next_page_token })
    }
}

fn condition(field: SystemField, test: Test) -> Condition {
    Condition { field: Field::System(field), test }
}

fn is(field: SystemField, value: Value) -> Condition {
    condition(field, Test::Compare(Comparison::Equal, value))
}

/// By the time that the filter names; for closed executions, the server takes the time of their close.
fn within(field: SystemField, filter: Option<StartTimeFilter>) -> Result<Condition, Status> {
    let filter = filter.unwrap_or_default();
    let earliest = filter.earliest_time.map_or(0, |time| from_timestamp(Some(&time)));
    let latest = filter.latest_time.map_or(i64::MAX, |time| from_timestamp(Some(&time)));
    if earliest > latest {
        let message = "EarliestTime in StartTimeFilter should not be larger than LatestTime.";
        return Err(Status::invalid_argument(message));
    }
    let test = Test::Between { low: Value::Int(earliest), high: Value::Int(latest), negated: false };
    Ok(condition(field, test))
}

/// All runs of the workflow id; the server does not look at the run id either.
fn of_workflow(filter: WorkflowExecutionFilter) -> Condition {
    is(SystemField::WorkflowId, Value::Text(filter.workflow_id))
}

fn of_type(filter: WorkflowTypeFilter) -> Condition {
    is(SystemField::WorkflowType, Value::Text(filter.name))
}

fn of_status(filter: StatusFilter) -> Result<Condition, Status> {
    match i64::from(filter.status) {
        0 | RUNNING => Err(Status::invalid_argument("StatusFilter must be specified and must be not Running.")),
        status @ 2..=LAST_STATUS => Ok(is(SystemField::ExecutionStatus, Value::Int(status))),
        other => {
            let message = format!("invalid query: invalid expression: invalid ExecutionStatus value '{other}'");
            Err(Status::invalid_argument(message))
        }
    }
}
