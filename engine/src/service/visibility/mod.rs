//! Listing and counting executions.

mod by_filter;

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, Payload, SearchAttributes, WorkflowExecution, WorkflowType},
    enums::v1::WorkflowExecutionStatus,
    workflow::v1::WorkflowExecutionInfo,
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, ListArchivedWorkflowExecutionsRequest,
        ListArchivedWorkflowExecutionsResponse, ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse,
        ScanWorkflowExecutionsRequest, ScanWorkflowExecutionsResponse,
        count_workflow_executions_response::AggregationGroup,
    },
};
use tonic::Status;

use super::{Service, page_size, search_attributes};
use crate::{
    core::Core,
    history::time::{duration, timestamp},
    store::{Group, RunRef, VisibilityHit},
    visibility::{Query, Schema},
};

/// Executions of one page when the client does not say, and at the most (`frontend.visibilityMaxPageSize`).
pub(super) const MAX_PAGE: usize = 1_000;

/// Which page of a listing is wanted.
struct PageRequest {
    namespace: String,
    size: i32,
    token: Vec<u8>,
}

/// Executions of one page, and where the next one begins.
type Listed = (Vec<WorkflowExecutionInfo>, Vec<u8>);

impl Service {
    pub(super) async fn list_workflow_executions(
        &self,
        request: ListWorkflowExecutionsRequest,
    ) -> Result<ListWorkflowExecutionsResponse, Status> {
        let page =
            PageRequest { namespace: request.namespace, size: request.page_size, token: request.next_page_token };
        let (executions, next_page_token) = self.list(page, move |schema| parse(&request.query, schema)).await?;
        Ok(ListWorkflowExecutionsResponse { executions, next_page_token })
    }

    /// The same as a listing: its pages are stable as they are.
    pub(super) async fn scan_workflow_executions(
        &self,
        request: ScanWorkflowExecutionsRequest,
    ) -> Result<ScanWorkflowExecutionsResponse, Status> {
        let page =
            PageRequest { namespace: request.namespace, size: request.page_size, token: request.next_page_token };
        let (executions, next_page_token) = self.list(page, move |schema| parse(&request.query, schema)).await?;
        Ok(ScanWorkflowExecutionsResponse { executions, next_page_token })
    }

    /// Refused, as a server without an archive does.
    pub(super) async fn list_archived_workflow_executions(
        &self,
        request: ListArchivedWorkflowExecutionsRequest,
    ) -> Result<ListArchivedWorkflowExecutionsResponse, Status> {
        let none = || Status::invalid_argument("Cluster is not configured for visibility archival.");
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| Err(none()));
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn count_workflow_executions(
        &self,
        request: CountWorkflowExecutionsRequest,
    ) -> Result<CountWorkflowExecutionsResponse, Status> {
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    core.require_namespace(&request.namespace)?;
                    let query = parse(&request.query, &core.schema(&request.namespace))?;
                    let count =
                        core.store.count(&request.namespace, &query).map_err(|error| crate::core::status_of(&error))?;
                    let groups = count.groups.into_iter().map(|(common, count)| group(common, count)).collect();
                    Ok(CountWorkflowExecutionsResponse { count: count.total, groups })
                });
            })
            .await
    }

    /// Lists what the query means that `query` makes for the attributes of the namespace.
    async fn list(
        &self,
        page: PageRequest,
        query: impl FnOnce(&Schema) -> Result<Query, Status> + Send + 'static,
    ) -> Result<Listed, Status> {
        self.core.call(move |core, reply| core.reply_with(reply, move |core| listed(core, &page, query))).await
    }
}

fn listed(
    core: &Core,
    page: &PageRequest,
    query: impl FnOnce(&Schema) -> Result<Query, Status>,
) -> Result<Listed, Status> {
    core.require_namespace(&page.namespace)?;
    let schema = core.schema(&page.namespace);
    let query = query(&schema)?;
    let found = core
        .store
        .list(&page.namespace, &query, page_size(page.size, MAX_PAGE), &page.token)
        .map_err(|error| crate::core::status_of(&error))?;
    let executions = found.hits.into_iter().map(|hit| info(hit, &schema)).collect();
    Ok((executions, found.next_page_token))
}

/// Reads the text of a list filter.
///
/// # Errors
/// `INVALID_ARGUMENT`, with the place of the fault.
pub(super) fn parse(query: &str, schema: &Schema) -> Result<Query, Status> {
    let query = Query::parse(query, schema).map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(query.outside_of_divisions())
}

fn group(common: Group, count: i64) -> AggregationGroup {
    let word = match common {
        Group::Status(status) => status_name(status),
        Group::Division(division) => division.unwrap_or_default(),
    };
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec()), ("type".to_owned(), b"Keyword".to_vec())];
    let data = serde_json::Value::String(word).to_string().into_bytes();
    let payload = Payload { metadata: metadata.into(), data, ..Default::default() };
    AggregationGroup { group_values: vec![payload], count }
}

/// Name of a status as filters have it: `TimedOut`.
fn status_name(status: i32) -> String {
    let name = WorkflowExecutionStatus::try_from(status).unwrap_or_default().as_str_name();
    name.trim_start_matches("WORKFLOW_EXECUTION_STATUS_").split('_').map(capitalised).collect()
}

fn capitalised(word: &str) -> String {
    word.split_at_checked(1).map(|(first, rest)| format!("{first}{}", rest.to_ascii_lowercase())).unwrap_or_default()
}

/// A listing's line.
fn info(hit: VisibilityHit, schema: &Schema) -> WorkflowExecutionInfo {
    let row = hit.row;
    let attributes = SearchAttributes::decode(row.encoded_search_attributes.as_slice()).unwrap_or_default();
    let own = RunRef { workflow_id: hit.workflow_id.clone(), run_id: hit.run_id.clone() };
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
        search_attributes: Some(search_attributes::listed(attributes, schema)),
        task_queue: row.task_queue,
        state_transition_count: if close_time.is_some() { row.state_transition_count } else { 0 },
        history_size_bytes: if close_time.is_some() { row.history_size_bytes } else { 0 },
        execution_duration: close_time.and_then(|close| duration(close.saturating_sub(row.execution_time.as_nanos()))),
        root_execution: Some(run(row.root.unwrap_or(own))),
        ..Default::default()
    }
}
