//! What cannot be asked of a batch, in the words of Temporal's `ValidateBatchOperation`.

use temporalio_common::protos::temporal::api::{
    batch::v1::{
        BatchOperationReset, BatchOperationResetActivities, BatchOperationUnpauseActivities,
        BatchOperationUpdateActivityOptions, batch_operation_reset_activities, batch_operation_unpause_activities,
        batch_operation_update_activity_options,
    },
    common::v1::reset_options::Target,
    enums::v1::{ExecutionType, ResetType},
    workflowservice::v1::{StartBatchOperationRequest, start_batch_operation_request::Operation},
};
use tonic::Status;

use crate::service::{MAX_ID_LENGTH, refuse};

/// Executions that one request may list.
const MAX_LISTED: usize = 10_000;
const NO_ACTIVITIES: &str = "Either activity type must be set, or match all should be set to true";

/// Checks what can be checked without looking at anything else.
///
/// # Errors
/// `INVALID_ARGUMENT`; `UNIMPLEMENTED` for what this engine does not have.
pub(super) fn check(request: &StartBatchOperationRequest) -> Result<(), Status> {
    let listed = super::listed(request).len();
    let Some(operation) = request.operation.as_ref().filter(|_| is_complete(request, listed)) else {
        return Err(Status::invalid_argument(
            "must provide required parameters: BatchType,Reason,Namespace, AND one of (Query OR Executions OR TargetExecutions)",
        ));
    };
    if request.job_id.is_empty() {
        return Err(Status::invalid_argument("JobId is not set on request."));
    }
    if request.job_id.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("JobId length exceeds limit."));
    }
    check_targets(request, operation, listed)?;
    match operation {
        Operation::SignalOperation(a) if a.signal.is_empty() => invalid("must provide signal name"),
        Operation::UpdateWorkflowOptionsOperation(a) if a.workflow_execution_options.is_none() => {
            invalid("must provide UpdateOptions")
        }
        Operation::UpdateWorkflowOptionsOperation(a) if a.update_mask.is_none() => invalid("must provide UpdateMask"),
        Operation::ResetOperation(a) => check_reset(a),
        Operation::UnpauseActivitiesOperation(a) => check_unpause(a),
        Operation::ResetActivitiesOperation(a) => check_reset_activities(a),
        Operation::UpdateActivityOptionsOperation(a) => check_activity_options(a),
        _ => Ok(()),
    }
}

fn is_complete(request: &StartBatchOperationRequest, listed: usize) -> bool {
    !request.reason.is_empty() && (!request.visibility_query.is_empty() || listed != 0)
}

#[allow(deprecated, reason = "the field is deprecated, and clients still send it")]
fn check_targets(request: &StartBatchOperationRequest, operation: &Operation, listed: usize) -> Result<(), Status> {
    let given =
        [!request.visibility_query.is_empty(), !request.executions.is_empty(), !request.target_executions.is_empty()];
    if given.iter().filter(|given| **given).count() > 1 {
        return invalid("visibility query, executions, and target executions are mutually exclusive");
    }
    if listed > MAX_LISTED {
        return invalid(&format!("a batch operation lists {MAX_LISTED} executions at the most"));
    }
    let wanted = super::target_type(request);
    let other = request.target_executions.iter().position(|target| target.r#type() != wanted);
    match other.and_then(|at| Some((at, request.target_executions.get(at)?))) {
        None => Ok(()),
        Some((at, target)) => {
            let (given, wanted) = (type_name(target.r#type()), type_name(wanted));
            let kind = kind_name(operation);
            invalid(&format!("target_executions[{at}] has type {given}, but operation {kind} requires {wanted}"))
        }
    }
}

fn type_name(kind: ExecutionType) -> &'static str {
    match kind {
        ExecutionType::Unspecified => "Unspecified",
        ExecutionType::Workflow => "Workflow",
        ExecutionType::Activity => "Activity",
        ExecutionType::NexusOperation => "NexusOperation",
    }
}

/// What the server calls an operation in a message: the name of its type.
fn kind_name(operation: &Operation) -> String {
    let name = match operation {
        Operation::TerminationOperation(_) => "Termination",
        Operation::SignalOperation(_) => "Signal",
        Operation::CancellationOperation(_) => "Cancellation",
        Operation::DeletionOperation(_) => "Deletion",
        Operation::ResetOperation(_) => "Reset",
        Operation::UpdateWorkflowOptionsOperation(_) => "UpdateWorkflowOptions",
        Operation::UnpauseActivitiesOperation(_) => "UnpauseActivities",
        Operation::ResetActivitiesOperation(_) => "ResetActivities",
        Operation::UpdateActivityOptionsOperation(_) => "UpdateActivityOptions",
        Operation::CancelActivitiesOperation(_) => "CancelActivities",
        Operation::TerminateActivitiesOperation(_) => "TerminateActivities",
        Operation::DeleteActivitiesOperation(_) => "DeleteActivities",
    };
    format!("*workflowservice.StartBatchOperationRequest_{name}Operation")
}

#[allow(deprecated, reason = "the fields are deprecated, and clients still send them")]
fn check_reset(a: &BatchOperationReset) -> Result<(), Status> {
    refuse(!a.post_reset_operations.is_empty(), "PostResetOperations")?;
    match a.options.as_ref().map(|options| options.target.as_ref()) {
        Some(None) => invalid("batch reset missing target"),
        Some(Some(Target::BuildId(_))) => refuse(true, "a reset to a build id"),
        None if a.reset_type() == ResetType::Unspecified => invalid("unknown batch reset type Unspecified"),
        _ => Ok(()),
    }
}

fn check_unpause(a: &BatchOperationUnpauseActivities) -> Result<(), Status> {
    use batch_operation_unpause_activities::Activity;
    match a.activity.as_ref() {
        None => invalid("activity filter must be set"),
        Some(Activity::Type(kind)) if kind.is_empty() => invalid(NO_ACTIVITIES),
        Some(Activity::MatchAll(false)) => invalid(NO_ACTIVITIES),
        Some(_) => Ok(()),
    }
}

fn check_reset_activities(a: &BatchOperationResetActivities) -> Result<(), Status> {
    use batch_operation_reset_activities::Activity;
    match a.activity.as_ref() {
        None => invalid("must provide ActivityType or MatchAll"),
        Some(Activity::Type(kind)) if kind.is_empty() => invalid(NO_ACTIVITIES),
        Some(Activity::MatchAll(false)) => invalid(NO_ACTIVITIES),
        Some(_) => Ok(()),
    }
}

fn check_activity_options(a: &BatchOperationUpdateActivityOptions) -> Result<(), Status> {
    use batch_operation_update_activity_options::Activity;
    match (a.activity_options.is_some(), a.restore_original) {
        (true, true) => return invalid("cannot set both activity options and restore original"),
        (false, false) => {
            return invalid("Either activity type must be set, or restore original should be set to true");
        }
        _ => {}
    }
    match a.activity.as_ref() {
        Some(Activity::Type(kind)) if kind.is_empty() => invalid(NO_ACTIVITIES),
        None | Some(Activity::MatchAll(false)) => invalid(NO_ACTIVITIES),
        Some(_) => Ok(()),
    }
}

fn invalid(message: &str) -> Result<(), Status> {
    Err(Status::invalid_argument(message))
}
