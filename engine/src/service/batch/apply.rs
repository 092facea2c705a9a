//! What a batch does to one execution: what the method of the same name does.

use temporalio_common::protos::temporal::api::{
    batch::v1::{
        BatchOperationReset, BatchOperationSignal, batch_operation_reset_activities as reset_activities,
        batch_operation_unpause_activities as unpause_activities,
        batch_operation_update_activity_options as update_activity_options,
    },
    common::v1::{WorkflowExecution, reset_options::Target},
    enums::v1::ResetType,
    history::v1::WorkflowExecutionCancelRequestedEventAttributes,
    workflowservice::v1::{
        DeleteActivityExecutionRequest, RequestCancelActivityExecutionRequest, ResetActivityRequest,
        ResetWorkflowExecutionRequest, StartBatchOperationRequest, TerminateActivityExecutionRequest,
        UnpauseActivityRequest, UpdateActivityOptionsRequest, UpdateWorkflowExecutionOptionsRequest,
        reset_activity_request, start_batch_operation_request::Operation, unpause_activity_request,
        update_activity_options_request,
    },
};
use tonic::Status;
use uuid::Uuid;

use crate::{
    core::Core,
    history::state::SignalInput,
    service::{activity_control, limits::check_blob, options, reset, standalone},
};

/// Does to an execution what a batch was asked for.
///
/// # Errors
/// What the method of the same name answers; `NOT_FOUND` for an execution that has closed or is gone.
pub(crate) fn apply(
    core: &mut Core,
    request: &StartBatchOperationRequest,
    execution: WorkflowExecution,
) -> Result<(), Status> {
    let namespace = request.namespace.clone();
    let identity = identity(request);
    match request.operation.clone() {
        Some(Operation::TerminationOperation(a)) => {
            check_blob(a.details.as_ref())?;
            let key = core.find_open(&namespace, &execution)?;
            core.update(key, |e, now| e.terminate(now, &request.reason, a.details, &identity));
        }
        Some(Operation::CancellationOperation(_)) => {
            let key = core.find_open(&namespace, &execution)?;
            let attributes = WorkflowExecutionCancelRequestedEventAttributes { identity, ..Default::default() };
            let request_id = Uuid::now_v7().to_string();
            core.update(key, |e, now| e.request_cancel(now, attributes, &request_id));
        }
        Some(Operation::SignalOperation(a)) => signal(core, &namespace, &execution, a)?,
        Some(Operation::DeletionOperation(_)) => core.delete(&namespace, &execution)?,
        Some(Operation::ResetOperation(a)) => reset_to_point(core, request, execution, a)?,
        Some(Operation::UpdateWorkflowOptionsOperation(a)) => {
            let update = UpdateWorkflowExecutionOptionsRequest {
                namespace,
                workflow_execution: Some(execution),
                workflow_execution_options: a.workflow_execution_options,
                update_mask: a.update_mask,
                identity,
            };
            options::update(core, update)?;
        }
        Some(
            Operation::CancelActivitiesOperation(_)
            | Operation::TerminateActivitiesOperation(_)
            | Operation::DeleteActivitiesOperation(_),
        ) => apply_to_activity(core, request, execution)?,
        Some(operation) => apply_to_activities(core, namespace, execution, operation)?,
        None => {}
    }
    Ok(())
}

/// Does to an activity that stands alone what a batch was asked for.
fn apply_to_activity(
    core: &mut Core,
    request: &StartBatchOperationRequest,
    activity: WorkflowExecution,
) -> Result<(), Status> {
    let (namespace, identity) = (request.namespace.clone(), identity(request));
    let (activity_id, run_id) = (activity.workflow_id, activity.run_id);
    let request_id = Uuid::now_v7().to_string();
    match request.operation.as_ref() {
        Some(Operation::CancelActivitiesOperation(a)) => {
            let reason = a.reason.clone();
            let cancel =
                RequestCancelActivityExecutionRequest { namespace, activity_id, run_id, identity, request_id, reason };
            standalone::cancel(core, &cancel)
        }
        Some(Operation::TerminateActivitiesOperation(a)) => {
            let reason = a.reason.clone();
            let terminate =
                TerminateActivityExecutionRequest { namespace, activity_id, run_id, identity, request_id, reason };
            standalone::terminate(core, &terminate)
        }
        _ => standalone::delete(core, &DeleteActivityExecutionRequest { namespace, activity_id, run_id }),
    }
}

fn apply_to_activities(
    core: &mut Core,
    namespace: String,
    execution: WorkflowExecution,
    operation: Operation,
) -> Result<(), Status> {
    let execution = Some(execution);
    match operation {
        Operation::UnpauseActivitiesOperation(a) => {
            let activity = a.activity.map(|activity| match activity {
                unpause_activities::Activity::Type(kind) => unpause_activity_request::Activity::Type(kind),
                unpause_activities::Activity::MatchAll(all) => unpause_activity_request::Activity::UnpauseAll(all),
            });
            let (reset_attempts, reset_heartbeat, jitter) = (a.reset_attempts, a.reset_heartbeat, a.jitter);
            let identity = a.identity;
            activity_control::unpause(
                core,
                UnpauseActivityRequest {
                    namespace,
                    execution,
                    identity,
                    activity,
                    reset_attempts,
                    reset_heartbeat,
                    jitter,
                },
            )
            .map(drop)
        }
        Operation::ResetActivitiesOperation(a) => {
            let activity = a.activity.map(|activity| match activity {
                reset_activities::Activity::Type(kind) => reset_activity_request::Activity::Type(kind),
                reset_activities::Activity::MatchAll(all) => reset_activity_request::Activity::MatchAll(all),
            });
            let reset = ResetActivityRequest {
                namespace,
                execution,
                identity: a.identity,
                activity,
                reset_heartbeat: a.reset_heartbeat,
                keep_paused: a.keep_paused,
                jitter: a.jitter,
                restore_original_options: a.restore_original_options,
            };
            activity_control::reset(core, reset).map(drop)
        }
        Operation::UpdateActivityOptionsOperation(a) => {
            let activity = a.activity.map(|activity| match activity {
                update_activity_options::Activity::Type(kind) => update_activity_options_request::Activity::Type(kind),
                update_activity_options::Activity::MatchAll(all) => {
                    update_activity_options_request::Activity::MatchAll(all)
                }
            });
            let update = UpdateActivityOptionsRequest {
                namespace,
                execution,
                identity: a.identity,
                activity_options: a.activity_options,
                update_mask: a.update_mask,
                activity,
                restore_original: a.restore_original,
            };
            activity_control::update_options(core, update).map(drop)
        }
        // Not about activities of workflows.
        _ => Ok(()),
    }
}

fn signal(
    core: &mut Core,
    namespace: &str,
    execution: &WorkflowExecution,
    a: BatchOperationSignal,
) -> Result<(), Status> {
    check_blob(a.input.as_ref())?;
    let key = core.find_open(namespace, execution)?;
    let signal = SignalInput {
        name: a.signal,
        input: a.input,
        header: a.header,
        identity: a.identity,
        request_id: Uuid::now_v7().to_string(),
    };
    core.update(key, |e, now| {
        e.signal(now, signal, None);
        e.schedule_workflow_task(now);
    });
    Ok(())
}

#[allow(deprecated, reason = "the fields are deprecated, and clients still send them")]
fn reset_to_point(
    core: &mut Core,
    request: &StartBatchOperationRequest,
    execution: WorkflowExecution,
    a: BatchOperationReset,
) -> Result<(), Status> {
    let last_task = a.reset_type() == ResetType::LastWorkflowTask;
    let reapply = a.options.as_ref().map_or(a.reset_reapply_type, |options| options.reset_reapply_type);
    let options = a.options.unwrap_or_default();
    let point = match options.target {
        Some(Target::WorkflowTaskId(id)) => id,
        Some(Target::LastWorkflowTask(())) => core.reset_point(&request.namespace, &execution, true)?,
        Some(_) => core.reset_point(&request.namespace, &execution, false)?,
        None => core.reset_point(&request.namespace, &execution, last_task)?,
    };
    let reset = ResetWorkflowExecutionRequest {
        namespace: request.namespace.clone(),
        workflow_execution: Some(execution),
        reason: request.reason.clone(),
        workflow_task_finish_event_id: point,
        request_id: Uuid::now_v7().to_string(),
        reset_reapply_type: reapply,
        reset_reapply_exclude_types: options.reset_reapply_exclude_types,
        identity: a.identity,
        ..ResetWorkflowExecutionRequest::default()
    };
    reset::reset(core, reset).map(drop)
}

/// Who has asked for the operation.
pub(super) fn identity(request: &StartBatchOperationRequest) -> String {
    match request.operation.as_ref() {
        Some(Operation::TerminationOperation(a)) => a.identity.clone(),
        Some(Operation::SignalOperation(a)) => a.identity.clone(),
        Some(Operation::CancellationOperation(a)) => a.identity.clone(),
        Some(Operation::DeletionOperation(a)) => a.identity.clone(),
        Some(Operation::ResetOperation(a)) => a.identity.clone(),
        Some(Operation::UpdateWorkflowOptionsOperation(a)) => a.identity.clone(),
        Some(Operation::UnpauseActivitiesOperation(a)) => a.identity.clone(),
        Some(Operation::ResetActivitiesOperation(a)) => a.identity.clone(),
        Some(Operation::UpdateActivityOptionsOperation(a)) => a.identity.clone(),
        Some(Operation::CancelActivitiesOperation(a)) => a.identity.clone(),
        Some(Operation::TerminateActivitiesOperation(a)) => a.identity.clone(),
        _ => String::new(),
    }
}
