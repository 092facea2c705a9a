//! The end of a workflow, told to the Nexus operations that it stands behind: in the transaction in which it closes.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use prost::Message;
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    common::v1::{Callback, Link, WorkflowExecution, callback, link},
    enums::v1::{EventType, TimeoutType},
    failure::v1::{
        ApplicationFailureInfo, CanceledFailureInfo, Failure, TerminatedFailureInfo, TimeoutFailureInfo,
        failure::FailureInfo,
    },
    history::v1::{HistoryEvent, history_event::Attributes},
};

use super::Core;
use crate::history::{Completion, OperationEnd, state::ExecutionInfo};

/// Where an engine takes the ends of operations: nowhere but in itself.
pub(crate) const SYSTEM_CALLBACK: &str = "temporal://system";
/// Headers of a callback: what names the operation here, and at the handler.
pub(crate) const TOKEN_HEADER: &str = "temporal-callback-token";
const OPERATION_TOKEN_HEADER: &str = "nexus-operation-token";

/// Names the operation that waits for a completion.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CallbackToken {
    /// Namespace of the caller, by name.
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    /// Its workflow id.
    #[prost(string, tag = "2")]
    pub(crate) workflow_id: String,
    /// Its run.
    #[prost(string, tag = "3")]
    pub(crate) run_id: String,
    /// Scheduled event of the operation there.
    #[prost(int64, tag = "4")]
    pub(crate) scheduled_event_id: i64,
    /// Request id of the operation.
    #[prost(string, tag = "5")]
    pub(crate) request_id: String,
}

impl CallbackToken {
    /// As a header's value.
    pub(crate) fn to_text(&self) -> String {
        json!({ "v": 1, "d": BASE64_STANDARD.encode(self.encode_to_vec()) }).to_string()
    }

    fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let data = BASE64_STANDARD.decode(value.get("d")?.as_str()?).ok()?;
        Self::decode(data.as_slice()).ok().filter(|token| !token.workflow_id.is_empty())
    }
}

impl Core {
    /// Tells whoever waits for the end of a run, unless it goes on in another.
    pub(super) fn tell_callers(&mut self, key: i64, close: &HistoryEvent) {
        let Some(info) = self.live.get(&key).map(|live| &live.execution.info) else { return };
        if info.callbacks.is_empty() || !info.new_run_id.is_empty() {
            return;
        }
        let info = info.clone();
        let Some(end) = end_of(close) else { return };
        let told: Vec<_> = info
            .callbacks
            .iter()
            .map(|callback| self.tell_caller(&info, callback.callback.as_ref(), end.clone()))
            .collect();
        let now = self.now();
        let Some(live) = self.live.get_mut(&key) else { return };
        for (callback, told) in live.execution.info.callbacks.iter_mut().zip(told) {
            callback.complete_time = now;
            callback.failure = told.err().map(|reason| undelivered(&reason));
        }
    }

    fn tell_caller(
        &mut self,
        handler: &ExecutionInfo,
        callback: Option<&Callback>,
        end: OperationEnd,
    ) -> Result<(), String> {
        let invalid = || "handler error (BAD_REQUEST): invalid callback token".to_owned();
        let Some(callback::Variant::Nexus(nexus)) = callback.and_then(|callback| callback.variant.as_ref()) else {
            return Err(invalid());
        };
        let token = nexus.header.get(TOKEN_HEADER).and_then(|text| CallbackToken::read(text)).ok_or_else(invalid)?;
        let gone = || "handler error (NOT_FOUND): operation not found".to_owned();
        let caller = WorkflowExecution { workflow_id: token.workflow_id, run_id: token.run_id };
        let caller = self.open_run_of(&token.namespace, &caller).ok_or_else(gone)?;
        let completion = Completion {
            scheduled_event_id: token.scheduled_event_id,
            request_id: token.request_id,
            token: nexus.header.get(OPERATION_TOKEN_HEADER).cloned().unwrap_or_default(),
            started_time: handler.start_time,
            links: vec![started_link(handler)],
            end,
        };
        let waited_for = self.update(caller, |e, now| e.complete_operation(now, completion));
        if waited_for == Some(true) { Ok(()) } else { Err(gone()) }
    }
}

/// Points to the start of a run.
pub(crate) fn started_link(info: &ExecutionInfo) -> Link {
    let reference = link::workflow_event::Reference::EventRef(link::workflow_event::EventReference {
        event_id: 1,
        event_type: EventType::WorkflowExecutionStarted.into(),
    });
    event_link(info, reference)
}

/// Points to something of a run.
pub(crate) fn event_link(info: &ExecutionInfo, reference: link::workflow_event::Reference) -> Link {
    let event = link::WorkflowEvent {
        namespace: info.namespace.clone(),
        workflow_id: info.workflow_id.clone(),
        run_id: info.run_id.clone(),
        reference: Some(reference),
    };
    Link { variant: Some(link::Variant::WorkflowEvent(event)) }
}

/// What the operation behind which a run stood is told of the run's end (`GetNexusCompletion`).
fn end_of(close: &HistoryEvent) -> Option<OperationEnd> {
    let failed = |message: &str, info| {
        OperationEnd::Failed(Box::new(Failure {
            message: message.to_owned(),
            failure_info: Some(info),
            ..Default::default()
        }))
    };
    Some(match close.attributes.as_ref()? {
        Attributes::WorkflowExecutionCompletedEventAttributes(a) => {
            OperationEnd::Completed(a.result.as_ref().and_then(|result| result.payloads.first().cloned()))
        }
        Attributes::WorkflowExecutionFailedEventAttributes(a) => {
            OperationEnd::Failed(Box::new(a.failure.clone().unwrap_or_default()))
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(a) => OperationEnd::Canceled(Box::new(Failure {
            message: "operation canceled".to_owned(),
            failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo {
                details: a.details.clone(),
                ..Default::default()
            })),
            ..Default::default()
        })),
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => {
            failed("operation terminated", FailureInfo::TerminatedFailureInfo(TerminatedFailureInfo::default()))
        }
        Attributes::WorkflowExecutionTimedOutEventAttributes(_) => failed(
            "operation exceeded internal timeout",
            FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
                timeout_type: TimeoutType::StartToClose.into(),
                last_heartbeat_details: None,
            }),
        ),
        _ => return None,
    })
}

/// Why a callback came to nothing, as it is described.
fn undelivered(reason: &str) -> Failure {
    Failure {
        message: reason.to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            non_retryable: true,
            ..Default::default()
        })),
        ..Default::default()
    }
}
