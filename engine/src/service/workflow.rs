//! Signals, cancellations, terminations and queries from outside.

use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::{QueryRejectCondition, WorkflowExecutionStatus},
    history::v1::WorkflowExecutionCancelRequestedEventAttributes,
    query::v1::QueryRejected,
    workflowservice::v1::{
        QueryWorkflowRequest, QueryWorkflowResponse, RequestCancelWorkflowExecutionRequest,
        RequestCancelWorkflowExecutionResponse, SignalWorkflowExecutionRequest, SignalWorkflowExecutionResponse,
        TerminateWorkflowExecutionRequest, TerminateWorkflowExecutionResponse,
    },
};
use tonic::Status;

use super::{QUERY_WAIT, Service, execution, limits, require_id};
use crate::{
    core::{Core, Reply},
    history::state::SignalInput,
};

/// What a termination says of which nobody said why or who (`defaultUserTerminateReason`, `defaultUserTerminateIdentity` in the
/// server's frontend).
const TERMINATE_REASON: &str = "terminated by user via frontend";
const TERMINATE_IDENTITY: &str = "frontend-service";

impl Service {
    pub(super) async fn signal_workflow_execution(
        &self,
        request: SignalWorkflowExecutionRequest,
    ) -> Result<SignalWorkflowExecutionResponse, Status> {
        let target = execution(request.workflow_execution)?;
        require_id(&request.signal_name, "SignalName")?;
        limits::check_blob(request.input.as_ref())?;
        let signal = SignalInput {
            name: request.signal_name,
            input: request.input,
            header: request.header,
            identity: request.identity,
            request_id: request.request_id,
        };
        let namespace = request.namespace;
        self.core
            .call(move |core, reply| {
                let answer =
                    core.require_namespace(&namespace).and_then(|()| core.find_open(&namespace, &target)).map(|key| {
                        core.update(key, |e, now| {
                            e.signal(now, signal, None);
                            e.schedule_workflow_task(now);
                        });
                    });
                core.reply(reply, answer.map(|()| SignalWorkflowExecutionResponse::default()));
            })
            .await
    }

    pub(super) async fn request_cancel_workflow_execution(
        &self,
        request: RequestCancelWorkflowExecutionRequest,
    ) -> Result<RequestCancelWorkflowExecutionResponse, Status> {
        let target = execution(request.workflow_execution)?;
        let attributes = WorkflowExecutionCancelRequestedEventAttributes {
            cause: request.reason,
            identity: request.identity,
            ..Default::default()
        };
        let (namespace, first, request_id) = (request.namespace, request.first_execution_run_id, request.request_id);
        self.core
            .call(move |core, reply| {
                let answer = open_in_chain(core, &namespace, &target, &first).map(|key| {
                    core.update(key, |e, now| e.request_cancel(now, attributes, &request_id)).unwrap_or_default();
                });
                core.reply(reply, answer.map(|()| RequestCancelWorkflowExecutionResponse::default()));
            })
            .await
    }

    pub(super) async fn terminate_workflow_execution(
        &self,
        request: TerminateWorkflowExecutionRequest,
    ) -> Result<TerminateWorkflowExecutionResponse, Status> {
        let target = execution(request.workflow_execution)?;
        let (namespace, first) = (request.namespace, request.first_execution_run_id);
        let or = |given: String, default: &str| if given.is_empty() { default.to_owned() } else { given };
        let (reason, identity) = (or(request.reason, TERMINATE_REASON), or(request.identity, TERMINATE_IDENTITY));
        let details = request.details;
        self.core
            .call(move |core, reply| {
                let answer = open_in_chain(core, &namespace, &target, &first).map(|key| {
                    core.update(key, |e, now| e.terminate(now, &reason, details, &identity)).unwrap_or_default();
                });
                core.reply(reply, answer.map(|()| TerminateWorkflowExecutionResponse::default()));
            })
            .await
    }

    pub(super) async fn query_workflow(&self, request: QueryWorkflowRequest) -> Result<QueryWorkflowResponse, Status> {
        let answer = self.core.call(move |core, reply| ask(core, request, reply));
        let late = |_| {
            Err(Status::deadline_exceeded(
                "no worker has answered the query; is one polling the workflow's task queue?",
            ))
        };
        tokio::time::timeout(QUERY_WAIT, answer).await.unwrap_or_else(late)
    }
}

/// The open run that a client means, of the chain of runs that it means.
fn open_in_chain(core: &Core, namespace: &str, target: &WorkflowExecution, first_run_id: &str) -> Result<i64, Status> {
    core.require_namespace(namespace)?;
    let key = core.find_open(namespace, target)?;
    same_chain(core, key, first_run_id)
}

/// Checks that a run belongs to the chain of runs that a client means.
pub(super) fn same_chain(core: &Core, key: i64, first_run_id: &str) -> Result<i64, Status> {
    let info = core.info(key)?;
    let first = info.started.map(|started| started.first_execution_run_id).unwrap_or_default();
    if first_run_id.is_empty() || first == first_run_id {
        Ok(key)
    } else {
        Err(Status::not_found("workflow execution not found"))
    }
}

fn ask(core: &mut Core, request: QueryWorkflowRequest, reply: Reply<QueryWorkflowResponse>) {
    match checked(core, &request) {
        Ok((_, Some(rejected))) => {
            let answer = QueryWorkflowResponse { query_rejected: Some(rejected), ..Default::default() };
            core.reply(reply, Ok(answer));
        }
        Ok((key, None)) => core.query(key, request.query.unwrap_or_default(), reply),
        Err(status) => core.reply(reply, Err(status)),
    }
}

fn checked(core: &Core, request: &QueryWorkflowRequest) -> Result<(i64, Option<QueryRejected>), Status> {
    core.require_namespace(&request.namespace)?;
    let target = execution(request.execution.clone())?;
    let query = request.query.as_ref().ok_or_else(|| Status::invalid_argument("Query is not set on request."))?;
    require_id(&query.query_type, "QueryType")?;
    limits::check_blob(query.query_args.as_ref())?;
    let key = core.find(&request.namespace, &target)?.key;
    let info = core.info(key)?;
    let status = WorkflowExecutionStatus::try_from(info.status).unwrap_or_default();
    let rejected = match request.query_reject_condition() {
        // No workflow task goes out, nor does a query.
        _ if status == WorkflowExecutionStatus::Paused => true,
        QueryRejectCondition::NotOpen => status != WorkflowExecutionStatus::Running,
        QueryRejectCondition::NotCompletedCleanly => {
            !matches!(status, WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Completed)
        }
        _ => false,
    };
    Ok((key, rejected.then_some(QueryRejected { status: info.status })))
}
