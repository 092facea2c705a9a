//! Checks what a client says of a schedule, as Temporal's frontend does.

use prost::Message;
use temporalio_common::protos::temporal::api::{
    common::v1::{Memo, SearchAttributes},
    enums::v1::{TaskQueueKind, WorkflowIdReusePolicy as Reuse},
    schedule::v1::{Schedule, SchedulePatch, schedule_action::Action},
    taskqueue::v1::TaskQueue,
    workflow::v1::NewWorkflowExecutionInfo,
};
use tonic::Status;

use super::{MAX_ID_LENGTH, limits::MAX_BLOB_BYTES, status};
use crate::{
    history::retry_policy::fault_of_length,
    schedule::{Change, canonical},
};

/// Before a schedule's id in errors: on a Temporal server, a schedule is a workflow of that id.
const WORKFLOW_ID_PREFIX: &str = "temporal-sys-scheduler:";
/// What is added to the workflow ids that a schedule starts has this length (`AppendedTimestampForValidation`).
const ADDED_TO_ID: usize = "-2009-11-10T23:00:00Z".len();
/// Longest notes of a pause, in bytes.
const MAX_NOTES: usize = 1_000;

/// Checks the length of the id of a schedule that is to be created.
pub(super) fn check_new_id(schedule_id: &str) -> Result<(), Status> {
    check_workflow_id(WORKFLOW_ID_PREFIX.len() + schedule_id.len())
}

/// Checks that there is an id.
pub(super) fn check_given(schedule_id: &str) -> Result<(), Status> {
    if schedule_id.is_empty() {
        return Err(Status::invalid_argument("Can't load workflow execution.  WorkflowId not set."));
    }
    Ok(())
}

/// Checks the id of a request that is carried out once.
pub(super) fn check_request_id(request_id: &str) -> Result<(), Status> {
    if request_id.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("RequestId length exceeds limit."));
    }
    Ok(())
}

/// There is no such schedule.
pub(super) fn not_found(schedule_id: &str) -> Status {
    status::not_found(&format!("workflow not found for ID: {WORKFLOW_ID_PREFIX}{schedule_id}"))
}

/// A schedule as it is to be, from what the client wants.
pub(super) fn change_of(
    schedule: Option<Schedule>,
    memo: Option<Memo>,
    search_attributes: Option<SearchAttributes>,
    request_id: String,
) -> Result<Change, Status> {
    check_request_id(&request_id)?;
    let schedule = schedule.unwrap_or_default();
    let sizes = [
        schedule.encoded_len(),
        memo.as_ref().map_or(0, Message::encoded_len),
        search_attributes.as_ref().map_or(0, Message::encoded_len),
    ];
    if sizes.iter().sum::<usize>() > MAX_BLOB_BYTES {
        return Err(Status::invalid_argument("Blob data size exceeds limit."));
    }
    let spec = canonical(schedule.spec.unwrap_or_default())
        .map_err(|error| Status::invalid_argument(format!("Invalid schedule spec: {error}")))?;
    let action = match schedule.action.and_then(|action| action.action) {
        Some(Action::StartWorkflow(start)) => Some(checked(start)?),
        None => None,
    };
    Ok(Change {
        spec,
        action,
        policies: schedule.policies.unwrap_or_default(),
        state: schedule.state.unwrap_or_default(),
        search_attributes,
        memo,
        request_id,
    })
}

/// Checks a patch.
pub(super) fn check_patch(patch: Option<SchedulePatch>) -> Result<SchedulePatch, Status> {
    let patch = patch.ok_or_else(|| Status::invalid_argument("Patch is not set on request."))?;
    if patch.pause.len() > MAX_NOTES || patch.unpause.len() > MAX_NOTES {
        return Err(Status::invalid_argument("Schedule notes exceeds limit."));
    }
    Ok(patch)
}

/// Checks what a schedule is to start (`validateStartWorkflowArgsForSchedule`).
fn checked(mut start: NewWorkflowExecutionInfo) -> Result<NewWorkflowExecutionInfo, Status> {
    check_workflow_id(start.workflow_id.len() + ADDED_TO_ID)?;
    let kind = start.workflow_type.as_ref().map_or("", |kind| kind.name.as_str());
    if kind.is_empty() {
        return Err(Status::invalid_argument("WorkflowType is not set on request."));
    }
    if kind.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("WorkflowType length exceeds limit."));
    }
    check_queue(start.task_queue.as_mut())?;
    check_lengths(&start)?;
    if !start.cron_schedule.is_empty() {
        return Err(Status::invalid_argument("Scheduled workflow must not contain CronSchedule"));
    }
    if !matches!(start.workflow_id_reuse_policy(), Reuse::Unspecified | Reuse::AllowDuplicate) {
        return Err(Status::invalid_argument("Scheduled workflow must not contain WorkflowIDReusePolicy"));
    }
    Ok(start)
}

/// Checks the queue, and completes it.
fn check_queue(queue: Option<&mut TaskQueue>) -> Result<(), Status> {
    let queue = queue.ok_or_else(|| Status::invalid_argument("taskQueue is not set"))?;
    if queue.name.is_empty() {
        return Err(Status::invalid_argument("missing task queue name"));
    }
    if queue.name.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("taskQueue length exceeds limit"));
    }
    queue.kind = TaskQueueKind::Normal.into();
    Ok(())
}

fn check_lengths(start: &NewWorkflowExecutionInfo) -> Result<(), Status> {
    for (length, name) in [
        (&start.workflow_execution_timeout, "WorkflowExecutionTimeoutSeconds"),
        (&start.workflow_run_timeout, "WorkflowRunTimeoutSeconds"),
        (&start.workflow_task_timeout, "WorkflowTaskTimeoutSeconds"),
    ] {
        if let Some(fault) = fault_of_length(length.as_ref()) {
            return Err(Status::invalid_argument(format!("An invalid {name} is set on request. cause: {fault}")));
        }
    }
    Ok(())
}

fn check_workflow_id(length: usize) -> Result<(), Status> {
    if length > MAX_ID_LENGTH {
        let message = format!("WorkflowId exceeds maximum allowed length ({length}/{MAX_ID_LENGTH})");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}
