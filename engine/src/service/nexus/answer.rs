//! What handlers answer, in the present form and in that of older workers, and what the caller makes of it
//! (`common/nexus/failure.go`, `components/nexusoperations/executors.go`).

use prost::Message as _;
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    common::v1::{Link, Payload},
    enums::v1::NexusHandlerErrorRetryBehavior as RetryBehavior,
    failure::v1::{ApplicationFailureInfo, Failure, NexusHandlerFailureInfo, failure::FailureInfo},
    nexus::v1::{
        Failure as NexusFailure, HandlerError, Response, StartOperationResponse, UnsuccessfulOperationError, response,
        start_operation_response::{Async, Sync, Variant},
    },
};
use tonic::Status;

use super::link::links;
use crate::{
    history::{HandlerAnswer, OperationEnd, handler_failure, json_payload},
    service::limits::MAX_BLOB_BYTES,
};

/// Longest token of an operation, bytes (`component.nexusoperations.limit.operation.token.length`).
const MAX_TOKEN: usize = 4_096;
/// What marks a failure of Temporal's own inside of one of Nexus.
const TEMPORAL_FAILURE: &str = "temporal.api.failure.v1.Failure";

/// What a worker answers to a request.
///
/// # Errors
/// `INVALID_ARGUMENT`: it names the operation that it has started by no token, or by one that is too long.
#[allow(deprecated, reason = "older workers answer in forms that are deprecated for others")]
pub(super) fn answered(cancel: bool, response: Option<Response>) -> Result<HandlerAnswer, Status> {
    let variant = response.and_then(|response| response.variant);
    if cancel {
        return Ok(HandlerAnswer::CancelTaken);
    }
    let start = match variant {
        Some(response::Variant::StartOperation(StartOperationResponse { variant })) => variant,
        _ => None,
    };
    Ok(match start {
        Some(Variant::SyncSuccess(Sync { payload, links: given })) => succeeded(payload, links(&given)),
        Some(Variant::AsyncSuccess(Async { operation_id, links: given, operation_token })) => {
            let token = if operation_token.is_empty() { operation_id } else { operation_token };
            check_token(&token)?;
            HandlerAnswer::Started { token, links: links(&given) }
        }
        Some(Variant::Failure(failure)) => {
            let canceled = matches!(failure.failure_info, Some(FailureInfo::CanceledFailureInfo(_)));
            ended(canceled, failure)
        }
        Some(Variant::OperationError(error)) => operation_error(error),
        None => unusable("empty outcome"),
    })
}

/// A handler could not carry out a request.
pub(super) fn failed(failure: Failure) -> HandlerAnswer {
    let retryable = match &failure.failure_info {
        Some(FailureInfo::NexusHandlerFailureInfo(info)) => is_retryable(info),
        _ => true,
    };
    HandlerAnswer::Error { failure: Box::new(failure), retryable }
}

/// The same, as older workers say it.
pub(super) fn handler_error(error: HandlerError) -> HandlerAnswer {
    let info = NexusHandlerFailureInfo { retry_behavior: error.retry_behavior, r#type: error.error_type };
    failed(Failure {
        cause: Some(Box::new(error.failure.map(translated).unwrap_or_default())),
        failure_info: Some(FailureInfo::NexusHandlerFailureInfo(info)),
        ..Default::default()
    })
}

fn succeeded(payload: Option<Payload>, links: Vec<Link>) -> HandlerAnswer {
    if payload.as_ref().is_some_and(|payload| payload.encoded_len() > MAX_BLOB_BYTES) {
        let too_large = Failure {
            message: "http: response body too large".to_owned(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: "CallError".to_owned(),
                non_retryable: true,
                ..Default::default()
            })),
            ..Default::default()
        };
        return ended(false, too_large);
    }
    let nothing = || Payload {
        metadata: std::iter::once(("encoding".to_owned(), b"binary/null".to_vec())).collect(),
        ..Default::default()
    };
    HandlerAnswer::Ended(OperationEnd::Completed(Some(payload.unwrap_or_else(nothing))), links)
}

fn ended(canceled: bool, failure: Failure) -> HandlerAnswer {
    let failure = Box::new(failure);
    let end = if canceled { OperationEnd::Canceled(failure) } else { OperationEnd::Failed(failure) };
    HandlerAnswer::Ended(end, Vec::new())
}

fn operation_error(error: UnsuccessfulOperationError) -> HandlerAnswer {
    match error.operation_state.as_str() {
        state @ ("failed" | "canceled") => {
            ended(state == "canceled", error.failure.map(translated).unwrap_or_default())
        }
        _ => unusable(""),
    }
}

/// An answer that says nothing is as good as none.
fn unusable(message: &str) -> HandlerAnswer {
    HandlerAnswer::Error { failure: Box::new(handler_failure("INTERNAL", message)), retryable: true }
}

fn check_token(token: &str) -> Result<(), Status> {
    if token.is_empty() {
        return Err(Status::invalid_argument("missing opration token in response"));
    }
    if token.len() > MAX_TOKEN {
        let message = format!("operation token length exceeds allowed limit ({}/{MAX_TOKEN})", token.len());
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}

/// Whether a handler may be asked again, by what it says or else by the kind of its error.
fn is_retryable(info: &NexusHandlerFailureInfo) -> bool {
    const FINAL: [&str; 6] =
        ["BAD_REQUEST", "UNAUTHENTICATED", "UNAUTHORIZED", "NOT_FOUND", "NOT_IMPLEMENTED", "CONFLICT"];
    match info.retry_behavior() {
        RetryBehavior::Retryable => true,
        RetryBehavior::NonRetryable => false,
        RetryBehavior::Unspecified => !FINAL.contains(&info.r#type.as_str()),
    }
}

/// A failure of Nexus as one of Temporal: what it was, if it was that before, or else everything that it says.
fn translated(failure: NexusFailure) -> Failure {
    let is_temporals = failure.metadata.get("type").is_some_and(|kind| kind == TEMPORAL_FAILURE);
    let read = || serde_json::from_slice::<Failure>(&failure.details).ok();
    let mut known = if is_temporals { read() } else { None }.unwrap_or_else(|| foreign(&failure));
    known.message = failure.message;
    known.stack_trace = failure.stack_trace;
    if let Some(cause) = failure.cause {
        known.cause = Some(Box::new(translated(*cause)));
    }
    known
}

fn foreign(failure: &NexusFailure) -> Failure {
    let metadata = (!failure.metadata.is_empty()).then(|| json!(failure.metadata));
    let details = serde_json::from_slice::<Value>(&failure.details).ok();
    // In the server's order.
    let said = [("metadata", metadata), ("details", details)];
    let said = said.into_iter().filter_map(|(name, value)| Some(format!("{name:?}:{}", value?)));
    let said = said.collect::<Vec<_>>().join(",");
    let details = (!said.is_empty()).then(|| json_payload(&format!("{{{said}}}")));
    let info = ApplicationFailureInfo { r#type: "NexusFailure".to_owned(), details, ..Default::default() };
    Failure { failure_info: Some(FailureInfo::ApplicationFailureInfo(info)), ..Default::default() }
}
