//! Resetting and deleting executions.

use temporalio_common::protos::temporal::api::{
    enums::v1::{ResetReapplyExcludeType as Exclude, ResetReapplyType as Reapply},
    workflowservice::v1::{
        DeleteWorkflowExecutionRequest, DeleteWorkflowExecutionResponse, ResetWorkflowExecutionRequest,
        ResetWorkflowExecutionResponse,
    },
};
use tonic::Status;

use super::{MAX_ID_LENGTH, Service, execution, refuse};
use crate::{
    core::{Core, ResetRequest},
    history::Reapplied,
};

impl Service {
    pub(super) async fn reset_workflow_execution(
        &self,
        request: ResetWorkflowExecutionRequest,
    ) -> Result<ResetWorkflowExecutionResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = reset(core, request);
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn delete_workflow_execution(
        &self,
        request: DeleteWorkflowExecutionRequest,
    ) -> Result<DeleteWorkflowExecutionResponse, Status> {
        let execution = execution(request.workflow_execution)?;
        self.core
            .call(move |core, reply| {
                let answer = core.delete(&request.namespace, &execution);
                core.reply(reply, answer.map(|()| DeleteWorkflowExecutionResponse {}));
            })
            .await
    }
}

/// Resets an execution.
///
/// # Errors
/// There is no such run, it cannot be reset to that point, or the request is wrong.
pub(super) fn reset(
    core: &mut Core,
    request: ResetWorkflowExecutionRequest,
) -> Result<ResetWorkflowExecutionResponse, Status> {
    let reapplied = reapplied(&request);
    let execution = execution(request.workflow_execution)?;
    if request.request_id.is_empty() {
        return Err(Status::invalid_argument("RequestId is not set on request."));
    }
    if request.request_id.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("RequestId length exceeds limit."));
    }
    refuse(!request.post_reset_operations.is_empty(), "PostResetOperations")?;
    let request = ResetRequest {
        namespace: request.namespace,
        execution,
        reason: request.reason,
        finish_event_id: request.workflow_task_finish_event_id,
        request_id: request.request_id,
        reapplied,
    };
    core.reset(&request).map(|run_id| ResetWorkflowExecutionResponse { run_id })
}

/// What is taken over of what came later (`GetResetReapplyExcludeTypes`). The other kinds that can be excluded have no events
/// that could be taken over here.
#[allow(deprecated, reason = "deprecated for SDKs; servers still have to honour it")]
fn reapplied(request: &ResetWorkflowExecutionRequest) -> Reapplied {
    let excluded = |kind: Exclude| request.reset_reapply_exclude_types.contains(&kind.into());
    Reapplied {
        signals: request.reset_reapply_type() != Reapply::None && !excluded(Exclude::Signal),
        operations: !excluded(Exclude::Nexus),
    }
}
