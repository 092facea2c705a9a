//! How large what an execution holds may be: inputs, results, details, memos. What is larger is refused where somebody can be
//! told; what a worker says too much of ends what it speaks of, in the server's words, since the worker would only say it again.
//!
//! Texts and figures are those of Temporal's frontend and history service (`common/util.go`, `limit.blobSize.*`).

use prost::Message;
use temporalio_common::protos::temporal::api::{
    command::v1::{Command, command::Attributes as C},
    common::v1::{Memo, Payloads},
    enums::v1::WorkflowTaskFailedCause as Cause,
    failure::v1::{ApplicationFailureInfo, Failure, ServerFailureInfo, failure::FailureInfo},
};
use tonic::Status;

use super::search_attributes::RefusedCommand;
use crate::history::{ActivityOutcome, CommandError};

/// Largest payloads of one input, result or detail, in bytes (`limit.blobSize.error`).
pub(super) const MAX_BLOB_BYTES: usize = 2 << 20;
/// Largest memo (`limit.memoSize.error`).
const MAX_MEMO_BYTES: usize = 2 << 20;
/// Bytes that are kept of a failure that is too large (`limit.blobSize.warn`).
const KEPT_FAILURE_BYTES: usize = 512 << 10;

/// Checks what a client sends to be kept.
///
/// # Errors
/// It is too large.
pub(super) fn check_blob(blob: Option<&impl Message>) -> Result<(), Status> {
    if is_oversize(blob) { Err(Status::invalid_argument("Blob data size exceeds limit.")) } else { Ok(()) }
}

/// Checks the memo of a start.
///
/// # Errors
/// It is too large.
pub(super) fn check_memo(memo: Option<&Memo>) -> Result<(), Status> {
    let oversize = memo.is_some_and(|memo| memo.encoded_len() > MAX_MEMO_BYTES);
    if oversize { Err(Status::invalid_argument("Memo size exceeds limit.")) } else { Ok(()) }
}

/// How an attempt of an activity ends, when what its worker said of it may be too large; and the failures that its worker
/// hears of.
pub(super) fn bounded(outcome: ActivityOutcome) -> (ActivityOutcome, Vec<Failure>) {
    let failed = |failure: Failure| ActivityOutcome::Failed(Box::new(failure), None);
    match outcome {
        ActivityOutcome::Completed(result) if is_oversize(result.as_ref()) => {
            (failed(server_failure("Complete result exceeds size limit.")), Vec::new())
        }
        ActivityOutcome::Canceled(details) if is_oversize(details.as_ref()) => {
            (failed(server_failure("Cancel details exceed size limit.")), Vec::new())
        }
        ActivityOutcome::Failed(failure, details) => {
            let mut told = Vec::new();
            let details = details.filter(|details| {
                let fits = !is_oversize(Some(details));
                if !fits {
                    told.push(heartbeat_failure());
                }
                fits
            });
            let failure = if is_oversize(Some(failure.as_ref())) {
                let cause = Some(Box::new(truncated(*failure)));
                told.push(Failure { cause, ..server_failure("Failure exceeds size limit.") });
                Box::new(told[told.len() - 1].clone())
            } else {
                failure
            };
            (ActivityOutcome::Failed(failure, details), told)
        }
        fits => (fits, Vec::new()),
    }
}

/// What an activity fails with whose heartbeat says too much; `None` when it does not.
pub(super) fn heartbeat_fault(details: Option<&Payloads>) -> Option<Failure> {
    is_oversize(details).then(heartbeat_failure)
}

fn heartbeat_failure() -> Failure {
    server_failure("Heartbeat details exceed size limit.")
}

/// Checks what commands want to be kept.
///
/// # Errors
/// The first command that says too much: its task fails, and the workflow ends with it.
pub(super) fn check_commands(commands: &[Command]) -> Result<(), RefusedCommand> {
    let Some((cause, name, field)) = commands.iter().find_map(fault) else { return Ok(()) };
    let message = format!("{name}: {field} exceeds size limit.");
    Err(RefusedCommand { error: CommandError { cause, message }, ends_workflow: true })
}

/// What a command says too much of: the cause that its task fails for, that cause's name, and the field.
fn fault(command: &Command) -> Option<(Cause, &'static str, &'static str)> {
    let (oversize, fault) = match command.attributes.as_ref()? {
        C::ScheduleActivityTaskCommandAttributes(a) => (is_oversize(a.input.as_ref()), SCHEDULE_ACTIVITY),
        C::CompleteWorkflowExecutionCommandAttributes(a) => (is_oversize(a.result.as_ref()), COMPLETE_WORKFLOW),
        C::FailWorkflowExecutionCommandAttributes(a) => (is_oversize(a.failure.as_ref()), FAIL_WORKFLOW),
        C::RecordMarkerCommandAttributes(a) => {
            let bytes: usize = a.details.values().map(Message::encoded_len).sum();
            (bytes > MAX_BLOB_BYTES, RECORD_MARKER)
        }
        C::SignalExternalWorkflowExecutionCommandAttributes(a) => (is_oversize(a.input.as_ref()), SIGNAL_EXTERNAL),
        C::StartChildWorkflowExecutionCommandAttributes(a) => (is_oversize(a.input.as_ref()), START_CHILD),
        C::ContinueAsNewWorkflowExecutionCommandAttributes(a) => (is_oversize(a.input.as_ref()), CONTINUE_AS_NEW),
        _ => return None,
    };
    oversize.then_some(fault)
}

const SCHEDULE_ACTIVITY: (Cause, &str, &str) = (
    Cause::BadScheduleActivityAttributes,
    "BadScheduleActivityAttributes",
    "ScheduleActivityTaskCommandAttributes.Input",
);
/// The server's cause is that of an activity.
const COMPLETE_WORKFLOW: (Cause, &str, &str) = (
    Cause::BadScheduleActivityAttributes,
    "BadScheduleActivityAttributes",
    "CompleteWorkflowExecutionCommandAttributes.Result",
);
const FAIL_WORKFLOW: (Cause, &str, &str) = (
    Cause::BadFailWorkflowExecutionAttributes,
    "BadFailWorkflowExecutionAttributes",
    "FailWorkflowExecutionCommandAttributes.Failure",
);
const RECORD_MARKER: (Cause, &str, &str) =
    (Cause::BadRecordMarkerAttributes, "BadRecordMarkerAttributes", "RecordMarkerCommandAttributes.Details");
const SIGNAL_EXTERNAL: (Cause, &str, &str) = (
    Cause::BadSignalWorkflowExecutionAttributes,
    "BadSignalWorkflowExecutionAttributes",
    "SignalExternalWorkflowExecutionCommandAttributes.Input",
);
const START_CHILD: (Cause, &str, &str) = (
    Cause::BadStartChildExecutionAttributes,
    "BadStartChildExecutionAttributes",
    "StartChildWorkflowExecutionCommandAttributes. Input",
);
const CONTINUE_AS_NEW: (Cause, &str, &str) = (
    Cause::BadContinueAsNewAttributes,
    "BadContinueAsNewAttributes",
    "ContinueAsNewWorkflowExecutionCommandAttributes. Input",
);

fn is_oversize(blob: Option<&impl Message>) -> bool {
    blob.is_some_and(|blob| blob.encoded_len() > MAX_BLOB_BYTES)
}

fn server_failure(message: &str) -> Failure {
    Failure {
        message: message.to_owned(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable: true })),
        ..Failure::default()
    }
}

/// What is kept of a failure that is too large: its words and its kind, and nothing that it carries.
fn truncated(failure: Failure) -> Failure {
    let cut = |mut text: String| {
        text.truncate(text.floor_char_boundary(KEPT_FAILURE_BYTES / 2));
        text
    };
    let info = match failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            ApplicationFailureInfo { r#type: info.r#type, non_retryable: info.non_retryable, ..Default::default() }
        }
        _ => ApplicationFailureInfo::default(),
    };
    Failure {
        message: cut(failure.message),
        source: failure.source,
        stack_trace: cut(failure.stack_trace),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Failure::default()
    }
}
