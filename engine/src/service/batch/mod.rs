//! Batch operations: one operation on all executions that a query finds, or that a client lists. [`check`] says what cannot be asked
//! for, [`apply`] does to one execution what was asked. How they go on is in `core::batch_jobs`.

mod apply;
mod check;
mod list;

use temporalio_common::protos::temporal::api::{
    common::v1::{Execution, WorkflowExecution},
    enums::v1::{BatchOperationState as State, BatchOperationType as Kind, ExecutionType},
    workflowservice::v1::{
        DescribeBatchOperationRequest, DescribeBatchOperationResponse, ListBatchOperationsRequest,
        ListBatchOperationsResponse, StartBatchOperationRequest, StartBatchOperationResponse,
        StopBatchOperationRequest, StopBatchOperationResponse, start_batch_operation_request::Operation,
    },
};
use tonic::Status;
use uuid::Uuid;

pub(crate) use self::apply::apply;
use super::{Service, require_id, standalone_list, status, visibility};
use crate::{
    core::{BatchJob, Core},
    history::time::timestamp,
    visibility::Query,
};

/// Batches under way in one namespace (`frontend.MaxConcurrentBatchOperationPerNamespace`).
const MAX_RUNNING: usize = 1;
/// Restricts a query to executions to which the operation can be applied.
const RUNNING: &str = "ExecutionStatus='Running'";
const OPEN_ACTIVITY: &str = "ExecutionStatus IN ('Running', 'Paused')";

impl Service {
    pub(super) async fn start_batch_operation(
        &self,
        request: StartBatchOperationRequest,
    ) -> Result<StartBatchOperationResponse, Status> {
        check::check(&request)?;
        self.core
            .call(move |core, reply| {
                let answer = start(core, request).map(|()| StartBatchOperationResponse {});
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn stop_batch_operation(
        &self,
        request: StopBatchOperationRequest,
    ) -> Result<StopBatchOperationResponse, Status> {
        require_id(&request.job_id, "JobId")?;
        require_id(&request.reason, "Reason")?;
        self.core
            .call(move |core, reply| {
                let answer = stop(core, &request).map(|()| StopBatchOperationResponse {});
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn describe_batch_operation(
        &self,
        request: DescribeBatchOperationRequest,
    ) -> Result<DescribeBatchOperationResponse, Status> {
        require_id(&request.job_id, "JobId")?;
        self.core
            .call(move |core, reply| {
                let found = core.require_namespace(&request.namespace);
                let answer = found.and_then(|()| find(core, &request.namespace, &request.job_id)).map(described);
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn list_batch_operations(
        &self,
        request: ListBatchOperationsRequest,
    ) -> Result<ListBatchOperationsResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| list::list(core, &request));
                core.reply(reply, answer);
            })
            .await
    }
}

fn start(core: &mut Core, request: StartBatchOperationRequest) -> Result<(), Status> {
    core.require_registered(&request.namespace)?;
    query_of(core, &request)?;
    if core.batch_jobs.of(&request.namespace).filter(|job| job.is_running()).count() >= MAX_RUNNING {
        return Err(status::too_many_batches());
    }
    if let Some(job) = core.batch_jobs.get(&request.namespace, &request.job_id) {
        return Err(status::already_started(&request.job_id, &job.run_id, "", false));
    }
    let now = core.now();
    let run_id = Uuid::now_v7().to_string();
    let mut job = BatchJob { request: Some(request), run_id, start_time: now, ..BatchJob::default() };
    job.set_state(State::Running);
    core.batch_jobs.put(job, now);
    Ok(())
}

fn stop(core: &mut Core, request: &StopBatchOperationRequest) -> Result<(), Status> {
    core.require_namespace(&request.namespace)?;
    let mut job = find(core, &request.namespace, &request.job_id)?.clone();
    if !job.is_running() {
        return Err(Status::not_found("workflow execution already completed"));
    }
    tracing::info!(job_id = %request.job_id, reason = %request.reason, "a batch operation is stopped");
    let now = core.now();
    job.close(State::Failed, now);
    core.batch_jobs.put(job, now);
    Ok(())
}

/// A batch, which the server has as a workflow, and misses as one.
fn find<'a>(core: &'a Core, namespace: &str, job_id: &str) -> Result<&'a BatchJob, Status> {
    let missing = || Status::not_found(format!("workflow not found for ID: {job_id}"));
    core.batch_jobs.get(namespace, job_id).ok_or_else(missing)
}

fn described(job: &BatchJob) -> DescribeBatchOperationResponse {
    let request = job.request();
    DescribeBatchOperationResponse {
        operation_type: kind(&request).into(),
        state: job.state,
        start_time: timestamp(job.start_time),
        close_time: timestamp(job.close_time),
        total_operation_count: job.total,
        complete_operation_count: job.completed,
        failure_operation_count: job.failed,
        identity: apply::identity(&request),
        executions: shown(&request),
        job_id: request.job_id,
        reason: request.reason,
        query: request.visibility_query,
    }
}

fn shown(request: &StartBatchOperationRequest) -> Vec<Execution> {
    let kind: i32 = target_type(request).into();
    let one = |run: WorkflowExecution| Execution { r#type: kind, business_id: run.workflow_id, run_id: run.run_id };
    listed(request).into_iter().map(one).collect()
}

/// What a batch is about: workflows, or activities that stand alone.
pub(crate) fn target_type(request: &StartBatchOperationRequest) -> ExecutionType {
    match kind(request) {
        Kind::CancelActivity | Kind::TerminateActivity | Kind::DeleteActivity => ExecutionType::Activity,
        _ => ExecutionType::Workflow,
    }
}

/// The executions that a request lists.
#[allow(deprecated, reason = "the field is deprecated, and clients still send it")]
pub(crate) fn listed(request: &StartBatchOperationRequest) -> Vec<WorkflowExecution> {
    let targets = request
        .target_executions
        .iter()
        .map(|target| WorkflowExecution { workflow_id: target.business_id.clone(), run_id: target.run_id.clone() });
    request.executions.iter().cloned().chain(targets).collect()
}

/// The query by which the executions are found; none where the request lists them.
///
/// # Errors
/// `INVALID_ARGUMENT`: it cannot be read.
pub(crate) fn query_of(core: &Core, request: &StartBatchOperationRequest) -> Result<Option<Query>, Status> {
    let text = &request.visibility_query;
    if text.is_empty() {
        return Ok(None);
    }
    let closed_too = matches!(kind(request), Kind::DeleteWorkflow | Kind::ResetWorkflow | Kind::DeleteActivity);
    let of_activities = target_type(request) == ExecutionType::Activity;
    let open = if of_activities { OPEN_ACTIVITY } else { RUNNING };
    let text = if closed_too { text.clone() } else { format!("({text}) AND ({open})") };
    let invalid = |status: Status| Status::invalid_argument(format!("invalid visibility query: {}", status.message()));
    let parsed = if of_activities {
        standalone_list::parse(core, &request.namespace, &text)
    } else {
        visibility::parse(&text, &core.schema(&request.namespace))
    };
    parsed.map(Some).map_err(invalid)
}

/// What kind of operation is asked for.
fn kind(request: &StartBatchOperationRequest) -> Kind {
    match request.operation {
        None => Kind::Unspecified,
        Some(Operation::TerminationOperation(_)) => Kind::TerminateWorkflow,
        Some(Operation::SignalOperation(_)) => Kind::SignalWorkflow,
        Some(Operation::CancellationOperation(_)) => Kind::CancelWorkflow,
        Some(Operation::DeletionOperation(_)) => Kind::DeleteWorkflow,
        Some(Operation::ResetOperation(_)) => Kind::ResetWorkflow,
        Some(Operation::UpdateWorkflowOptionsOperation(_)) => Kind::UpdateWorkflowExecutionOptions,
        Some(Operation::UnpauseActivitiesOperation(_)) => Kind::UnpauseActivity,
        Some(Operation::ResetActivitiesOperation(_)) => Kind::ResetActivity,
        Some(Operation::UpdateActivityOptionsOperation(_)) => Kind::UpdateActivityOptions,
        Some(Operation::CancelActivitiesOperation(_)) => Kind::CancelActivity,
        Some(Operation::TerminateActivitiesOperation(_)) => Kind::TerminateActivity,
        Some(Operation::DeleteActivitiesOperation(_)) => Kind::DeleteActivity,
    }
}
