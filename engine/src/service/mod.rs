//! Temporal's `WorkflowService`, `OperatorService` and `TestService`, method by method: decode, validate, hand to the core, encode. Thin.
//!
//! The tables of methods in this file are the one list of what is supported; everything else answers `UNIMPLEMENTED` with its name.

mod activity;
mod activity_control;
mod activity_options;
pub(crate) mod batch;
#[cfg(test)]
mod compatibility;
mod deployment;
mod deployment_view;
mod describe;
mod history;
mod limits;
mod masks;
mod multi;
pub(crate) mod namespace;
pub(crate) mod nexus;
mod operator;
mod options;
mod pause;
mod reset;
mod schedule;
mod schedule_check;
mod schedule_list;
pub(crate) mod search_attributes;
mod standalone;
mod standalone_control;
pub(crate) mod standalone_list;
mod standalone_start;
mod standalone_view;
pub(crate) mod start;
pub(crate) mod status;
mod system;
mod task_queue;
mod test_service;
pub(crate) mod token;
mod update;
mod versioning;
mod visibility;
mod worker;
mod worker_filter;
mod workflow;
mod workflow_task;

use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use prost::Message;
use temporalio_client::callback_based::GrpcRequest;
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use tonic::{Code, Status};

use crate::{
    core::CoreHandle,
    metrics::{EngineMetrics, OTHER_METHOD},
};

/// Full name of the service.
pub(crate) const WORKFLOW_SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";
/// Full name of the operators' service.
pub(crate) const OPERATOR_SERVICE: &str = "temporal.api.operatorservice.v1.OperatorService";
/// Full name of the service that Temporal's test server has.
pub(crate) const TEST_SERVICE: &str = "temporal.api.testservice.v1.TestService";
/// Full name of the standard health service.
pub(crate) const HEALTH_SERVICE: &str = "grpc.health.v1.Health";

/// How long a poll waits for a task, and a reader for an event, before an empty answer (`matching.longPollExpirationInterval`,
/// `history.longPollExpirationInterval`).
const TASK_POLL: Duration = Duration::from_mins(1);
const HISTORY_POLL: Duration = Duration::from_secs(20);
/// How long a query waits for a worker to answer it.
const QUERY_WAIT: Duration = Duration::from_secs(30);

/// Longest id, type or name (`limit.maxIDLength`).
const MAX_ID_LENGTH: usize = 1_000;

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Whether it lives in this process.
    pub(crate) in_process: bool,
}

/// The service, for one kind of caller.
pub(crate) struct Service {
    core: CoreHandle,
    caller: Caller,
    metrics: EngineMetrics,
    next_poll_id: AtomicU64,
}

/// A method's answer on its way. On the heap: on the stack, the futures of all methods together would take a large part of it.
type Answering<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Status>> + Send + 'a>>;

/// Makes the dispatcher from the table of methods.
macro_rules! methods {
    ($service:ident, $supported:ident, $known:ident, $dispatch:ident: $($name:literal => $handler:ident,)*) => {
        /// Names of the methods in the table.
        #[cfg(any(test, feature = "fuzzing"))]
        pub(crate) const $supported: &[&str] = &[$($name),*];

        impl Service {
            /// That method's name, if it is in the table.
            fn $known(method: &str) -> Option<&'static str> {
                match method {
                    $($name => Some($name),)*
                    _ => None,
                }
            }

            async fn $dispatch(&self, method: &str, body: &[u8]) -> Result<Vec<u8>, Status> {
                match method {
                    $($name => self.answering(body, Self::$handler)?.await,)*
                    other => Err(Status::unimplemented(format!("{}/{other} is not supported by this engine", $service))),
                }
            }
        }
    };
}

methods! {
    WORKFLOW_SERVICE, SUPPORTED, known, dispatch:
    "GetSystemInfo" => get_system_info,
    "GetClusterInfo" => get_cluster_info,
    "DescribeNamespace" => describe_namespace,
    "ListNamespaces" => list_namespaces,
    "RegisterNamespace" => register_namespace,
    "UpdateNamespace" => update_namespace,
    "DeprecateNamespace" => deprecate_namespace,
    "StartWorkflowExecution" => start_workflow_execution,
    "SignalWithStartWorkflowExecution" => signal_with_start_workflow_execution,
    "SignalWorkflowExecution" => signal_workflow_execution,
    "RequestCancelWorkflowExecution" => request_cancel_workflow_execution,
    "TerminateWorkflowExecution" => terminate_workflow_execution,
    "ResetWorkflowExecution" => reset_workflow_execution,
    "DeleteWorkflowExecution" => delete_workflow_execution,
    "DescribeWorkflowExecution" => describe_workflow_execution,
    "GetWorkflowExecutionHistory" => get_workflow_execution_history,
    "GetWorkflowExecutionHistoryReverse" => get_workflow_execution_history_reverse,
    "ExecuteMultiOperation" => execute_multi_operation,
    "UpdateWorkflowExecution" => update_workflow_execution,
    "PollWorkflowExecutionUpdate" => poll_workflow_execution_update,
    "PauseWorkflowExecution" => pause_workflow_execution,
    "UnpauseWorkflowExecution" => unpause_workflow_execution,
    "UpdateWorkflowExecutionOptions" => update_workflow_execution_options,
    "QueryWorkflow" => query_workflow,
    "ListWorkflowExecutions" => list_workflow_executions,
    "CountWorkflowExecutions" => count_workflow_executions,
    "ListOpenWorkflowExecutions" => list_open_workflow_executions,
    "ListClosedWorkflowExecutions" => list_closed_workflow_executions,
    "ScanWorkflowExecutions" => scan_workflow_executions,
    "ListArchivedWorkflowExecutions" => list_archived_workflow_executions,
    "GetSearchAttributes" => get_search_attributes,
    "PollWorkflowTaskQueue" => poll_workflow_task_queue,
    "RespondWorkflowTaskCompleted" => respond_workflow_task_completed,
    "RespondWorkflowTaskFailed" => respond_workflow_task_failed,
    "RespondQueryTaskCompleted" => respond_query_task_completed,
    "ResetStickyTaskQueue" => reset_sticky_task_queue,
    "PollActivityTaskQueue" => poll_activity_task_queue,
    "RecordActivityTaskHeartbeat" => record_activity_task_heartbeat,
    "RecordActivityTaskHeartbeatById" => record_activity_task_heartbeat_by_id,
    "RespondActivityTaskCompleted" => respond_activity_task_completed,
    "RespondActivityTaskCompletedById" => respond_activity_task_completed_by_id,
    "RespondActivityTaskFailed" => respond_activity_task_failed,
    "RespondActivityTaskFailedById" => respond_activity_task_failed_by_id,
    "RespondActivityTaskCanceled" => respond_activity_task_canceled,
    "RespondActivityTaskCanceledById" => respond_activity_task_canceled_by_id,
    "PauseActivity" => pause_activity,
    "UnpauseActivity" => unpause_activity,
    "ResetActivity" => reset_activity,
    "UpdateActivityOptions" => update_activity_options,
    "ShutdownWorker" => shutdown_worker,
    "DescribeWorkerDeployment" => describe_worker_deployment,
    "ListWorkerDeployments" => list_worker_deployments,
    "DescribeWorkerDeploymentVersion" => describe_worker_deployment_version,
    "SetWorkerDeploymentCurrentVersion" => set_worker_deployment_current_version,
    "SetWorkerDeploymentRampingVersion" => set_worker_deployment_ramping_version,
    "SetWorkerDeploymentManager" => set_worker_deployment_manager,
    "CreateWorkerDeployment" => create_worker_deployment,
    "CreateWorkerDeploymentVersion" => create_worker_deployment_version,
    "DeleteWorkerDeployment" => delete_worker_deployment,
    "DeleteWorkerDeploymentVersion" => delete_worker_deployment_version,
    "UpdateWorkerDeploymentVersionMetadata" => update_worker_deployment_version_metadata,
    "StartActivityExecution" => start_activity_execution,
    "DescribeActivityExecution" => describe_activity_execution,
    "PollActivityExecution" => poll_activity_execution,
    "ListActivityExecutions" => list_activity_executions,
    "CountActivityExecutions" => count_activity_executions,
    "RequestCancelActivityExecution" => request_cancel_activity_execution,
    "TerminateActivityExecution" => terminate_activity_execution,
    "DeleteActivityExecution" => delete_activity_execution,
    "PauseActivityExecution" => pause_activity_execution,
    "UnpauseActivityExecution" => unpause_activity_execution,
    "ResetActivityExecution" => reset_activity_execution,
    "UpdateActivityExecutionOptions" => update_activity_execution_options,
    "PollNexusTaskQueue" => poll_nexus_task_queue,
    "RespondNexusTaskCompleted" => respond_nexus_task_completed,
    "RespondNexusTaskFailed" => respond_nexus_task_failed,
    "RecordWorkerHeartbeat" => record_worker_heartbeat,
    "ListWorkers" => list_workers,
    "CountWorkers" => count_workers,
    "DescribeWorker" => describe_worker,
    "DescribeTaskQueue" => describe_task_queue,
    "UpdateTaskQueueConfig" => update_task_queue_config,
    "ListTaskQueuePartitions" => list_task_queue_partitions,
    "StartBatchOperation" => start_batch_operation,
    "StopBatchOperation" => stop_batch_operation,
    "DescribeBatchOperation" => describe_batch_operation,
    "ListBatchOperations" => list_batch_operations,
    "CreateSchedule" => create_schedule,
    "DescribeSchedule" => describe_schedule,
    "UpdateSchedule" => update_schedule,
    "PatchSchedule" => patch_schedule,
    "ListScheduleMatchingTimes" => list_schedule_matching_times,
    "DeleteSchedule" => delete_schedule,
    "ListSchedules" => list_schedules,
    "CountSchedules" => count_schedules,
}

methods! {
    OPERATOR_SERVICE, OPERATOR_SUPPORTED, known_of_operator, dispatch_operator:
    "AddSearchAttributes" => add_search_attributes,
    "RemoveSearchAttributes" => remove_search_attributes,
    "ListSearchAttributes" => list_search_attributes,
    "DeleteNamespace" => delete_namespace,
    "ListClusters" => list_clusters,
    "GetNexusEndpoint" => get_nexus_endpoint,
    "CreateNexusEndpoint" => create_nexus_endpoint,
    "UpdateNexusEndpoint" => update_nexus_endpoint,
    "DeleteNexusEndpoint" => delete_nexus_endpoint,
    "ListNexusEndpoints" => list_nexus_endpoints,
}

methods! {
    TEST_SERVICE, TEST_SUPPORTED, known_of_test, dispatch_test:
    "LockTimeSkipping" => lock_time_skipping,
    "UnlockTimeSkipping" => unlock_time_skipping,
    "Sleep" => sleep,
    "SleepUntil" => sleep_until,
    "UnlockTimeSkippingWithSleep" => unlock_time_skipping_with_sleep,
    "GetCurrentTime" => get_current_time,
}

impl Service {
    pub(crate) fn new(core: CoreHandle, caller: Caller, metrics: EngineMetrics) -> Self {
        Self { core, caller, metrics, next_poll_id: AtomicU64::new(1) }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// The gRPC status, as Temporal's frontend would give it.
    pub(crate) async fn handle(&self, request: &GrpcRequest) -> Result<Vec<u8>, Status> {
        let began = Instant::now();
        let answer = self.answer(request).await;
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        self.metrics.request(method_label(request), code, began.elapsed());
        answer
    }

    async fn answer(&self, request: &GrpcRequest) -> Result<Vec<u8>, Status> {
        match (request.service.as_str(), request.rpc.as_str()) {
            (WORKFLOW_SERVICE, method) => self.dispatch(method, &request.proto).await,
            (OPERATOR_SERVICE, method) => self.dispatch_operator(method, &request.proto).await,
            (TEST_SERVICE, method) => self.dispatch_test(method, &request.proto).await,
            (HEALTH_SERVICE, "Check") => Ok(self.check_health().await?.encode_to_vec()),
            (service, method) => {
                Err(Status::unimplemented(format!("{service}/{method} is not supported by this engine")))
            }
        }
    }

    /// The answer of a method's handler, on its way.
    fn answering<'a, Q, A, F>(
        &'a self,
        body: &[u8],
        handler: impl FnOnce(&'a Self, Q) -> F,
    ) -> Result<Answering<'a>, Status>
    where
        Q: Message + Default,
        A: Message,
        F: Future<Output = Result<A, Status>> + Send + 'a,
    {
        let answer = handler(self, decode(body)?);
        Ok(Box::pin(async move { Ok(answer.await?.encode_to_vec()) }))
    }

    fn poll_id(&self) -> u64 {
        self.next_poll_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// The method as a label's value: of a closed set, whatever a client asks for.
fn method_label(request: &GrpcRequest) -> &'static str {
    let known = match request.service.as_str() {
        WORKFLOW_SERVICE => Service::known(&request.rpc),
        OPERATOR_SERVICE => Service::known_of_operator(&request.rpc),
        TEST_SERVICE => Service::known_of_test(&request.rpc),
        _ => None,
    };
    known.unwrap_or(OTHER_METHOD)
}

fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    M::decode(body).map_err(|error| Status::invalid_argument(format!("the request cannot be decoded: {error}")))
}

/// The execution of a request.
fn execution(execution: Option<WorkflowExecution>) -> Result<WorkflowExecution, Status> {
    let execution = execution.ok_or_else(|| Status::invalid_argument("Execution is not set on request."))?;
    require_id(&execution.workflow_id, "WorkflowId")?;
    if !execution.run_id.is_empty() && uuid::Uuid::parse_str(&execution.run_id).is_err() {
        return Err(Status::invalid_argument("Invalid RunId."));
    }
    Ok(execution)
}

/// Checks a run id that need not be given, in the words of the newer methods.
fn require_run_id(run_id: &str) -> Result<(), Status> {
    if run_id.is_empty() || uuid::Uuid::parse_str(run_id).is_ok() {
        return Ok(());
    }
    Err(Status::invalid_argument("RunId is not valid UUID."))
}

/// Entries of one page: as many as the client asks for, but no more than `most`, which is also what it gets without asking.
fn page_size(asked: i32, most: usize) -> usize {
    usize::try_from(asked).ok().filter(|size| *size > 0).unwrap_or(most).min(most)
}

fn require_id(id: &str, field: &str) -> Result<(), Status> {
    if id.is_empty() {
        return Err(Status::invalid_argument(format!("{field} is not set on request.")));
    }
    if id.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument(format!("{field} length exceeds limit.")));
    }
    Ok(())
}

/// Refuses a field whose feature this engine does not have: better said than ignored.
fn refuse(given: bool, feature: &str) -> Result<(), Status> {
    if given { Err(Status::unimplemented(format!("{feature} is not supported by this engine"))) } else { Ok(()) }
}
