//! gRPC errors with the details that Temporal's SDKs look for.

use prost::Message;
use temporalio_common::protos::temporal::api::{
    enums::v1::{ResourceExhaustedCause, ResourceExhaustedScope},
    errordetails::v1::{
        NotFoundFailure, PermissionDeniedFailure, ResourceExhaustedFailure, WorkflowExecutionAlreadyStartedFailure,
        WorkflowNotReadyFailure,
    },
};
use tonic::{Code, Status};

use crate::history::UpdateRefused;

/// `google.rpc.Status`, as it travels in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// An error with one detail message of the named type.
pub(crate) fn with_detail(code: Code, message: &str, name: &str, detail: &impl Message) -> Status {
    let any = Any { type_url: format!("type.googleapis.com/{name}"), value: detail.encode_to_vec() };
    let status = RpcStatus { code: code as i32, message: message.to_owned(), details: vec![any] };
    Status::with_details(code, message, status.encode_to_vec().into())
}

/// The details of an error, each with its type.
pub(crate) fn details(status: &Status) -> Vec<(String, Vec<u8>)> {
    let decoded = RpcStatus::decode(status.details()).unwrap_or_default();
    decoded.details.into_iter().map(|any| (any.type_url, any.value)).collect()
}

/// The caller may not do that.
pub(crate) fn permission_denied(message: &str) -> Status {
    let detail = PermissionDeniedFailure::default();
    with_detail(Code::PermissionDenied, message, "temporal.api.errordetails.v1.PermissionDeniedFailure", &detail)
}

/// There is no such thing.
pub(crate) fn not_found(message: &str) -> Status {
    let (name, detail) = ("temporal.api.errordetails.v1.NotFoundFailure", NotFoundFailure::default());
    with_detail(Code::NotFound, message, name, &detail)
}

/// The update is not carried out.
pub(crate) fn update_refused(refused: UpdateRefused) -> Status {
    let message = refused.to_string();
    let exhausted = |cause: ResourceExhaustedCause| {
        let scope = ResourceExhaustedScope::Namespace.into();
        let detail = ResourceExhaustedFailure { cause: cause.into(), scope };
        let name = "temporal.api.errordetails.v1.ResourceExhaustedFailure";
        with_detail(Code::ResourceExhausted, &message, name, &detail)
    };
    match refused {
        UpdateRefused::TaskFails | UpdateRefused::TaskFailed => {
            let (name, detail) = ("temporal.api.errordetails.v1.WorkflowNotReadyFailure", WorkflowNotReadyFailure {});
            with_detail(Code::FailedPrecondition, &message, name, &detail)
        }
        UpdateRefused::Closing => exhausted(ResourceExhaustedCause::BusyWorkflow),
        UpdateRefused::TooManyInFlight => exhausted(ResourceExhaustedCause::ConcurrentLimit),
        UpdateRefused::Closed => not_found(&message),
        UpdateRefused::TooMany => Status::failed_precondition(message),
    }
}

/// As many batch operations are under way in the namespace as may be.
pub(crate) fn too_many_batches() -> Status {
    let (cause, scope) = (ResourceExhaustedCause::ConcurrentLimit, ResourceExhaustedScope::Namespace);
    let detail = ResourceExhaustedFailure { cause: cause.into(), scope: scope.into() };
    let (message, name) =
        ("Max concurrent batch operations is reached", "temporal.api.errordetails.v1.ResourceExhaustedFailure");
    with_detail(Code::ResourceExhausted, message, name, &detail)
}

/// The workflow id is taken.
pub(crate) fn already_started(workflow_id: &str, run_id: &str, request_id: &str, running: bool) -> Status {
    let message = if running {
        format!("Workflow execution is already running. WorkflowId: {workflow_id}, RunId: {run_id}.")
    } else {
        format!(
            "Workflow execution already finished. WorkflowId: {workflow_id}, RunId: {run_id}. Workflow Id reuse policy: reject duplicate workflow Id."
        )
    };
    let detail = WorkflowExecutionAlreadyStartedFailure {
        start_request_id: request_id.to_owned(),
        run_id: run_id.to_owned(),
        ..Default::default()
    };
    with_detail(
        Code::AlreadyExists,
        &message,
        "temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure",
        &detail,
    )
}
