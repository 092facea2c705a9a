//! Listing and counting activities that stand alone. The filter is evaluated over all that the namespace keeps, the last first.

use std::collections::BTreeMap;

use temporalio_common::protos::temporal::api::{
    activity::v1::ActivityExecutionListInfo,
    common::v1::WorkflowExecution,
    enums::v1::{ActivityExecutionStatus, WorkflowExecutionStatus},
    workflowservice::v1::{
        CountActivityExecutionsRequest, CountActivityExecutionsResponse, ListActivityExecutionsRequest,
        ListActivityExecutionsResponse, count_activity_executions_response::AggregationGroup,
    },
};
use tonic::Status;

use super::{
    Service, page_size,
    search_attributes::{self, registered},
    standalone_view::execution_duration,
    visibility::MAX_PAGE,
};
use crate::{
    clock::Timestamp,
    core::{Core, decode_activity, status_of},
    history::{time::timestamp, versioning::attribute},
    standalone::{Record, status_name},
    store::{SearchValue, VisibilityHit, VisibilityRow},
    visibility::{GroupBy, Query, Schema, SearchType},
};

/// What a filter may name beside the system's own fields.
const ID: &str = "ActivityId";
const TYPE: &str = "ActivityType";
/// Activities that are read at once.
const CHUNK: usize = 500;

impl Service {
    pub(super) async fn list_activity_executions(
        &self,
        request: ListActivityExecutionsRequest,
    ) -> Result<ListActivityExecutionsResponse, Status> {
        let before = page_token(&request.next_page_token)?;
        let size = page_size(request.page_size, MAX_PAGE);
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    let query = parse(core, &request.namespace, &request.query)?;
                    let mut found: Vec<(i64, Record)> = Vec::new();
                    scan(core, &request.namespace, before, &query, |key, record| {
                        found.push((key, record));
                        found.len() <= size
                    })?;
                    let more = found.len() > size;
                    found.truncate(size);
                    let last = found.last().filter(|_| more).map(|(key, _)| key.to_be_bytes().to_vec());
                    let schema = core.schema(&request.namespace);
                    let executions = found.iter().map(|(_, record)| line(record, &schema)).collect();
                    Ok(ListActivityExecutionsResponse { executions, next_page_token: last.unwrap_or_default() })
                });
            })
            .await
    }

    pub(super) async fn count_activity_executions(
        &self,
        request: CountActivityExecutionsRequest,
    ) -> Result<CountActivityExecutionsResponse, Status> {
        self.core
            .call(move |core, reply| {
                core.reply_with(reply, move |core| {
                    let query = parse(core, &request.namespace, &request.query)?;
                    let mut counts: BTreeMap<&'static str, i64> = BTreeMap::new();
                    scan(core, &request.namespace, i64::MAX, &query, |_, record| {
                        *counts.entry(status_name(record.shown_status())).or_default() += 1;
                        true
                    })?;
                    let group = |(name, count): (&str, i64)| AggregationGroup {
                        group_values: vec![attribute("Keyword", &name.into())],
                        count,
                    };
                    let count = counts.values().sum();
                    let groups =
                        if query.group_by.is_some() { counts.into_iter().map(group).collect() } else { Vec::new() };
                    Ok(CountActivityExecutionsResponse { count, groups })
                });
            })
            .await
    }
}

/// Hands those that match to `each`, the last first, until it wants no more.
fn scan(
    core: &Core,
    namespace: &str,
    mut before: i64,
    query: &Query,
    mut each: impl FnMut(i64, Record) -> bool,
) -> Result<(), Status> {
    loop {
        let rows = core.store.activities(namespace, before, CHUNK).map_err(|error| status_of(&error))?;
        let Some(last) = rows.last() else { return Ok(()) };
        before = last.key;
        for row in &rows {
            let record = decode_activity(row)?;
            if query.matches(&hit(&record)) && !each(row.key, record) {
                return Ok(());
            }
        }
    }
}

/// How many match.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn count(core: &Core, namespace: &str, query: &Query) -> Result<i64, Status> {
    let mut count = 0;
    scan(core, namespace, i64::MAX, query, |_, _| {
        count += 1;
        true
    })?;
    Ok(count)
}

/// The next of those that match, `most` of them, and where the others begin; that is empty when there are none.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn next(
    core: &Core,
    namespace: &str,
    query: &Query,
    most: usize,
    from: &[u8],
) -> Result<(Vec<WorkflowExecution>, Vec<u8>), Status> {
    let (mut found, mut last) = (Vec::new(), 0);
    let mut token = Vec::new();
    scan(core, namespace, page_token(from)?, query, |key, record| {
        if found.len() >= most {
            token = i64::to_be_bytes(last).to_vec();
            return false;
        }
        last = key;
        found.push(WorkflowExecution { workflow_id: record.activity_id().to_owned(), run_id: record.run_id });
        true
    })?;
    Ok((found, token))
}

fn page_token(bytes: &[u8]) -> Result<i64, Status> {
    if bytes.is_empty() {
        return Ok(i64::MAX);
    }
    let key = bytes.try_into().map(i64::from_be_bytes);
    key.map_err(|_| Status::invalid_argument("Invalid NextPageToken."))
}

/// Reads a filter, which may name the system's own fields, an activity's id and type, and the namespace's search attributes.
///
/// # Errors
/// `INVALID_ARGUMENT`: it cannot be read.
pub(super) fn parse(core: &Core, namespace: &str, text: &str) -> Result<Query, Status> {
    core.require_namespace(namespace)?;
    let mut attributes = core.namespaces.get(namespace).map(registered).unwrap_or_default();
    attributes.extend([ID, TYPE].map(|name| (name.to_owned(), SearchType::Keyword)));
    let query =
        Query::parse(text, &Schema::new(attributes)).map_err(|error| Status::invalid_argument(error.to_string()))?;
    if query.group_by == Some(GroupBy::Division) {
        return Err(Status::invalid_argument("activities belong to no divisions"));
    }
    Ok(query)
}

/// An activity as filters see it.
fn hit(record: &Record) -> VisibilityHit {
    let mut search_attributes = search_attributes::values(record.search_attributes.as_ref());
    let kind = record.activity.activity_type().map(|kind| kind.name.clone()).unwrap_or_default();
    search_attributes.insert(ID.to_owned(), SearchValue::Keyword(record.activity_id().to_owned()));
    search_attributes.insert(TYPE.to_owned(), SearchValue::Keyword(kind));
    let row = VisibilityRow {
        task_queue: record.activity.task_queue().to_owned(),
        status: filtered_status(record.shown_status()).into(),
        start_time: Timestamp(record.schedule_time),
        execution_time: Timestamp(record.activity.scheduled_time),
        close_time: (!record.is_open()).then_some(Timestamp(record.close_time)),
        state_transition_count: record.transitions,
        search_attributes,
        ..VisibilityRow::default()
    };
    VisibilityHit { workflow_id: record.activity_id().to_owned(), run_id: record.run_id.clone(), row }
}

/// The status of the same name, which is what filters know.
fn filtered_status(status: ActivityExecutionStatus) -> WorkflowExecutionStatus {
    match status {
        ActivityExecutionStatus::Unspecified => WorkflowExecutionStatus::Unspecified,
        ActivityExecutionStatus::Running => WorkflowExecutionStatus::Running,
        ActivityExecutionStatus::Completed => WorkflowExecutionStatus::Completed,
        ActivityExecutionStatus::Failed => WorkflowExecutionStatus::Failed,
        ActivityExecutionStatus::Canceled => WorkflowExecutionStatus::Canceled,
        ActivityExecutionStatus::Terminated => WorkflowExecutionStatus::Terminated,
        ActivityExecutionStatus::TimedOut => WorkflowExecutionStatus::TimedOut,
        ActivityExecutionStatus::Paused => WorkflowExecutionStatus::Paused,
    }
}

/// A listing's line.
fn line(record: &Record, schema: &Schema) -> ActivityExecutionListInfo {
    let attributes = record.search_attributes.clone().unwrap_or_default();
    ActivityExecutionListInfo {
        activity_id: record.activity_id().to_owned(),
        run_id: record.run_id.clone(),
        activity_type: record.activity.activity_type().cloned(),
        schedule_time: timestamp(record.schedule_time),
        close_time: timestamp(record.close_time),
        status: record.shown_status().into(),
        search_attributes: Some(search_attributes::listed(attributes, schema)),
        task_queue: record.activity.task_queue().to_owned(),
        state_transition_count: if record.is_open() { 0 } else { record.transitions },
        execution_duration: execution_duration(record),
        execution_time: timestamp(record.activity.scheduled_time),
        ..Default::default()
    }
}
