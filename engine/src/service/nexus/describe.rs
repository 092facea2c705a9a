//! What is told of an execution's Nexus operations, and of its completion callbacks.

use temporalio_common::protos::temporal::api::{
    enums::v1::PendingNexusOperationState,
    workflow::v1::{
        CallbackInfo, NexusOperationCancellationInfo, PendingNexusOperationInfo,
        callback_info::{Trigger, WorkflowClosed, trigger},
    },
};

use crate::history::{
    Execution,
    state::{CompletionCallback, ExecutionInfo, NexusCancellation, PendingOperation},
    time::timestamp,
};

/// The operations that have not ended.
pub(in crate::service) fn pending_operations(execution: &Execution) -> Vec<PendingNexusOperationInfo> {
    execution.operations.values().map(|operation| pending(operation)).collect()
}

fn pending(operation: &PendingOperation) -> PendingNexusOperationInfo {
    let scheduled = operation.attributes();
    let start = operation.start.clone().unwrap_or_default();
    let state = if operation.is_started() {
        PendingNexusOperationState::Started
    } else if start.backing_off {
        PendingNexusOperationState::BackingOff
    } else {
        PendingNexusOperationState::Scheduled
    };
    #[allow(deprecated, reason = "the field is deprecated for clients, and still written by the server")]
    PendingNexusOperationInfo {
        endpoint: scheduled.endpoint,
        service: scheduled.service,
        operation: scheduled.operation,
        operation_id: operation.token.clone(),
        schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
        scheduled_time: timestamp(operation.scheduled_time),
        state: state.into(),
        attempt: start.attempts,
        last_attempt_complete_time: timestamp(start.last_attempt_complete_time),
        last_attempt_failure: start.last_failure,
        next_attempt_schedule_time: start.backing_off.then(|| timestamp(start.time)).flatten(),
        cancellation_info: operation.cancellation.as_ref().map(cancellation),
        scheduled_event_id: operation.scheduled_event_id,
        blocked_reason: String::new(),
        operation_token: operation.token.clone(),
        schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
        start_to_close_timeout: scheduled.start_to_close_timeout,
    }
}

fn cancellation(cancellation: &NexusCancellation) -> NexusOperationCancellationInfo {
    let request = cancellation.request.clone().unwrap_or_default();
    NexusOperationCancellationInfo {
        requested_time: timestamp(cancellation.requested_time),
        state: cancellation.state().into(),
        attempt: request.attempts,
        last_attempt_complete_time: timestamp(request.last_attempt_complete_time),
        last_attempt_failure: request.last_failure,
        next_attempt_schedule_time: request.backing_off.then(|| timestamp(request.time)).flatten(),
        blocked_reason: String::new(),
    }
}

/// Who is told of an execution's end.
pub(in crate::service) fn callbacks(info: &ExecutionInfo) -> Vec<CallbackInfo> {
    info.callbacks.iter().map(callback).collect()
}

fn callback(callback: &CompletionCallback) -> CallbackInfo {
    CallbackInfo {
        callback: callback.callback.clone(),
        trigger: Some(Trigger { variant: Some(trigger::Variant::WorkflowClosed(WorkflowClosed {})) }),
        registration_time: timestamp(callback.registration_time),
        state: callback.state().into(),
        attempt: i32::from(callback.complete_time != 0),
        last_attempt_complete_time: timestamp(callback.complete_time),
        last_attempt_failure: callback.failure.clone(),
        ..Default::default()
    }
}
