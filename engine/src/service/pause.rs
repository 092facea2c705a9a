//! Pausing workflows, and letting them go on.

use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    workflowservice::v1::{
        PauseWorkflowExecutionRequest, PauseWorkflowExecutionResponse, UnpauseWorkflowExecutionRequest,
        UnpauseWorkflowExecutionResponse,
    },
};
use tonic::Status;

use super::{MAX_ID_LENGTH, Service, require_run_id};
use crate::{
    core::Core,
    history::{Execution, NotPaused, WorkflowPauseRequest, time::Nanos},
};

impl Service {
    pub(super) async fn pause_workflow_execution(
        &self,
        request: PauseWorkflowExecutionRequest,
    ) -> Result<PauseWorkflowExecutionResponse, Status> {
        let target = target(request.workflow_id, request.run_id)?;
        let (identity, reason, request_id) = (request.identity, request.reason, request.request_id);
        let pause = checked(WorkflowPauseRequest { identity, reason, request_id })?;
        self.core
            .call(move |core, reply| {
                let refused = "workflow is already paused.";
                let done = change(core, &request.namespace, &target, refused, |e, now| e.pause(now, pause));
                core.reply(reply, done.map(|()| PauseWorkflowExecutionResponse {}));
            })
            .await
    }

    pub(super) async fn unpause_workflow_execution(
        &self,
        request: UnpauseWorkflowExecutionRequest,
    ) -> Result<UnpauseWorkflowExecutionResponse, Status> {
        let target = target(request.workflow_id, request.run_id)?;
        let (identity, reason, request_id) = (request.identity, request.reason, request.request_id);
        let unpause = checked(WorkflowPauseRequest { identity, reason, request_id })?;
        self.core
            .call(move |core, reply| {
                let refused = "workflow is not paused.";
                let done = change(core, &request.namespace, &target, refused, |e, now| e.unpause(now, unpause));
                core.reply(reply, done.map(|()| UnpauseWorkflowExecutionResponse {}));
            })
            .await
    }
}

fn target(workflow_id: String, run_id: String) -> Result<WorkflowExecution, Status> {
    if workflow_id.is_empty() {
        return Err(Status::invalid_argument("Can't load workflow execution.  WorkflowId not set."));
    }
    require_run_id(&run_id)?;
    Ok(WorkflowExecution { workflow_id, run_id })
}

fn checked(request: WorkflowPauseRequest) -> Result<WorkflowPauseRequest, Status> {
    let fields = [("reason", &request.reason), ("request id", &request.request_id), ("identity", &request.identity)];
    match fields.iter().find(|(_, text)| text.len() > MAX_ID_LENGTH) {
        Some((field, _)) => Err(Status::invalid_argument(format!("{field} is too long."))),
        None => Ok(request),
    }
}

fn change(
    core: &mut Core,
    namespace: &str,
    target: &WorkflowExecution,
    refused: &str,
    change: impl FnOnce(&mut Execution, Nanos) -> Result<(), NotPaused>,
) -> Result<(), Status> {
    core.require_namespace(namespace)?;
    let key = core.find_open(namespace, target)?;
    match core.update(key, change) {
        Some(Err(NotPaused)) => Err(Status::failed_precondition(refused)),
        _ => Ok(()),
    }
}
