//! Listing and counting executions.

use std::collections::BTreeMap;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, Payload, SearchAttributes, WorkflowExecution, WorkflowType},
    enums::v1::WorkflowExecutionStatus,
    workflow::v1::WorkflowExecutionInfo,
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, ListWorkflowExecutionsRequest,
        ListWorkflowExecutionsResponse, count_workflow_executions_response::AggregationGroup,
    },
};
use tonic::Status;

use super::Service;
use crate::{
    history::time::{duration, timestamp},
    store::{RunRef, VisibilityHit},
    visibility::{Query, Schema},
};

/// Executions of one page when the client does not say, and at the most (`frontend.visibilityMaxPageSize`).
pub(super) const MAX_PAGE: usize = 1_000;

impl Service {
    pub(super) async fn list_workflow_executions(
        &self,
        request: ListWorkflowExecutionsRequest,
    ) -> Result<ListWorkflowExecutionsResponse, Status> {
        let query = parse(&request.query)?;
        let size = usize::try_from(request.page_size).ok().filter(|size| *size > 0).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    core.require_namespace(&request.namespace)?;
                    let page = core
                        .store
                        .list(&request.namespace, &query, size, &request.next_page_token)
                        .map_err(|error| crate::core::status_of(&error))?;
                    let executions = page.hits.into_iter().map(info).collect();
                    Ok(ListWorkflowExecutionsResponse { executions, next_page_token: page.next_page_token })
                });
            })
            .await
    }

    pub(super) async fn count_workflow_executions(
        &self,
        request: CountWorkflowExecutionsRequest,
    ) -> Result<CountWorkflowExecutionsResponse, Status> {
        let query = parse(&request.query)?;
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    core.require_namespace(&request.namespace)?;
                    let count =
                        core.store.count(&request.namespace, &query).map_err(|error| crate::core::status_of(&error))?;
                    let groups = count.groups.into_iter().map(|(status, count)| group(status, count)).collect();
                    Ok(CountWorkflowExecutionsResponse { count: count.total, groups })
                });
            })
            .await
    }
}

fn parse(query: &str) -> Result<Query, Status> {
    Query::parse(query, &Schema::new(BTreeMap::new())).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn group(status: i32, count: i64) -> AggregationGroup {
    let name = WorkflowExecutionStatus::try_from(status).unwrap_or_default().as_str_name();
    let word: String = name.trim_start_matches("WORKFLOW_EXECUTION_STATUS_").split('_').map(capitalised).collect();
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec()), ("type".to_owned(), b"Keyword".to_vec())];
    let payload = Payload {
        metadata: metadata.into_iter().collect(),
        data: format!("\"{word}\"").into_bytes(),
        ..Default::default()
    };
    AggregationGroup { group_values: vec![payload], count }
}

fn capitalised(word: &str) -> String {
    word.split_at_checked(1).map(|(first, rest)| format!("{first}{}", rest.to_ascii_lowercase())).unwrap_or_default()
}

/// A listing's line.
fn info(hit: VisibilityHit) -> WorkflowExecutionInfo {
    let row = hit.row;
    let run = |run: RunRef| WorkflowExecution { workflow_id: run.workflow_id, run_id: run.run_id };
    let close_time = row.close_time.map(crate::clock::Timestamp::as_nanos);
    WorkflowExecutionInfo {
        execution: Some(WorkflowExecution { workflow_id: hit.workflow_id, run_id: hit.run_id }),
        r#type: Some(WorkflowType { name: row.workflow_type }),
        start_time: timestamp(row.start_time.as_nanos()),
        close_time: close_time.and_then(timestamp),
        status: row.status,
        history_length: if close_time.is_some() { row.history_length } else { 0 },
        parent_execution: row.parent.map(run),
        execution_time: timestamp(row.execution_time.as_nanos()),
        memo: Some(Memo::decode(row.memo.as_slice()).unwrap_or_default()),
        search_attributes: Some(SearchAttributes::decode(row.encoded_search_attributes.as_slice()).unwrap_or_default()),
        task_queue: row.task_queue,
        state_transition_count: if close_time.is_some() { row.state_transition_count } else { 0 },
        history_size_bytes: if close_time.is_some() { row.history_size_bytes } else { 0 },
        execution_duration: close_time.and_then(|close| duration(close.saturating_sub(row.execution_time.as_nanos()))),
        root_execution: row.root.map(run),
        ..Default::default()
    }
}
