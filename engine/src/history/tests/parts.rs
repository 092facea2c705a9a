//! Small parts of requests and events for the model.

use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::{
        HistoryEvent, WorkflowExecutionCanceledEventAttributes, WorkflowExecutionCompletedEventAttributes,
        WorkflowExecutionFailedEventAttributes, WorkflowExecutionTerminatedEventAttributes,
        WorkflowExecutionTimedOutEventAttributes, history_event::Attributes,
    },
    protocol::v1::Message,
    update::v1::{Meta, Outcome, Response},
};

use super::steps::Closing;
use crate::history::state::Target;

pub(super) fn pick<T>(mut among: Vec<T>, which: u8) -> Option<T> {
    let index = usize::from(which).checked_rem(among.len())?;
    Some(among.swap_remove(index))
}

pub(super) fn payloads(data: &[u8]) -> Payloads {
    Payloads { payloads: vec![Payload { data: data.to_vec(), ..Default::default() }] }
}

/// One of three fields, set or (every fourth time) taken out.
pub(super) fn field(number: u8) -> std::collections::HashMap<String, Payload> {
    let data = if number.is_multiple_of(4) { b"null".to_vec() } else { vec![number] };
    std::iter::once((format!("field {}", number % 3), Payload { data, ..Default::default() })).collect()
}

pub(super) fn failure(non_retryable: bool) -> Failure {
    Failure {
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            non_retryable,
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn target() -> Target {
    Target { namespace: "ns".into(), workflow_id: "other".into(), run_id: String::new(), child_only: false }
}

pub(super) fn closing(how: Closing) -> HistoryEvent {
    let attributes = match how {
        Closing::Completed => {
            Attributes::WorkflowExecutionCompletedEventAttributes(WorkflowExecutionCompletedEventAttributes::default())
        }
        Closing::Failed => {
            Attributes::WorkflowExecutionFailedEventAttributes(WorkflowExecutionFailedEventAttributes::default())
        }
        Closing::Canceled => {
            Attributes::WorkflowExecutionCanceledEventAttributes(WorkflowExecutionCanceledEventAttributes::default())
        }
        Closing::TimedOut => {
            Attributes::WorkflowExecutionTimedOutEventAttributes(WorkflowExecutionTimedOutEventAttributes::default())
        }
        Closing::Terminated => {
            Attributes::WorkflowExecutionTerminatedEventAttributes(WorkflowExecutionTerminatedEventAttributes::default())
        }
    };
    HistoryEvent { attributes: Some(attributes), ..Default::default() }
}

/// A message of a worker, named after its update and type.
pub(super) fn message(update_id: &str, kind: &str, body: &impl prost::Message) -> Message {
    Message {
        id: format!("{update_id} {kind}"),
        protocol_instance_id: update_id.to_owned(),
        body: Some(prost_wkt_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.update.v1.{kind}"),
            value: body.encode_to_vec(),
        }),
        ..Message::default()
    }
}

pub(super) fn response(update_id: &str) -> Response {
    let meta = Some(Meta { update_id: update_id.to_owned(), ..Meta::default() });
    Response { meta, outcome: Some(Outcome::default()) }
}
