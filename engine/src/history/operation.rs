//! Nexus operations, from the caller's side (`components/nexusoperations`): scheduled, started, cancelled, ended.

use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleNexusOperationCommandAttributes,
    common::v1::{Link, Payload},
    enums::v1::TimeoutType,
    failure::v1::{
        CanceledFailureInfo, Failure, NexusHandlerFailureInfo, NexusOperationFailureInfo, TimeoutFailureInfo,
        failure::FailureInfo,
    },
    history::v1::{
        NexusOperationCancelRequestCompletedEventAttributes, NexusOperationCancelRequestFailedEventAttributes,
        NexusOperationCancelRequestedEventAttributes, NexusOperationCanceledEventAttributes,
        NexusOperationCompletedEventAttributes, NexusOperationFailedEventAttributes,
        NexusOperationScheduledEventAttributes, NexusOperationStartedEventAttributes,
        NexusOperationTimedOutEventAttributes, history_event::Attributes,
    },
    sdk::v1::UserMetadata,
};

use super::{
    Execution,
    operation_apply::ended_operation,
    operation_state::{CallId, PendingOperation},
    state::PendingKind,
    time::{Nanos, duration, from_duration, shorter},
};

/// What the command that schedules an operation does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationTarget {
    /// Id of the endpoint.
    pub endpoint_id: String,
    /// Id of the request, the same in all its attempts.
    pub request_id: String,
}

/// How an operation ends.
#[derive(Debug, Clone, PartialEq)]
pub enum OperationEnd {
    /// With a result, which may be none.
    Completed(Option<Payload>),
    /// With a failure.
    Failed(Box<Failure>),
    /// By its cancellation.
    Canceled(Box<Failure>),
}

/// What a handler answers to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum HandlerAnswer {
    /// To a start: the operation has ended.
    Ended(OperationEnd, Vec<Link>),
    /// To a start: its end comes later.
    Started {
        /// The handler's name for the operation.
        token: String,
        /// What stands behind it.
        links: Vec<Link>,
    },
    /// To a cancellation: it is taken.
    CancelTaken,
    /// The handler cannot carry the request out.
    Error {
        /// Why.
        failure: Box<Failure>,
        /// Whether it may be asked again.
        retryable: bool,
    },
}

/// The end of an operation that a handler has started, as it comes to the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Scheduled event of the operation.
    pub scheduled_event_id: i64,
    /// Its request id; an operation with another is another operation.
    pub request_id: String,
    /// The handler's name for it.
    pub token: String,
    /// When the handler began with it.
    pub started_time: Nanos,
    /// What stood behind it.
    pub links: Vec<Link>,
    /// How it has ended.
    pub end: OperationEnd,
}

impl Execution {
    pub(super) fn schedule_operation(
        &mut self,
        now: Nanos,
        completed: i64,
        command: ScheduleNexusOperationCommandAttributes,
        target: OperationTarget,
        user_metadata: Option<UserMetadata>,
    ) {
        let run = self.info.started.as_ref().map_or(0, |started| from_duration(started.workflow_run_timeout.as_ref()));
        let to_close = shorter(from_duration(command.schedule_to_close_timeout.as_ref()), run);
        // What is not asked for is not written out, and nothing is longer than the whole.
        let within = |asked: Option<_>| match from_duration(asked.as_ref()) {
            0 => asked,
            length => duration(shorter(length, to_close)),
        };
        let attributes = NexusOperationScheduledEventAttributes {
            endpoint: command.endpoint,
            service: command.service,
            operation: command.operation,
            input: command.input,
            schedule_to_close_timeout: if to_close == 0 {
                command.schedule_to_close_timeout
            } else {
                duration(to_close)
            },
            nexus_header: command.nexus_header.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
            workflow_task_completed_event_id: completed,
            request_id: target.request_id,
            endpoint_id: target.endpoint_id,
            schedule_to_start_timeout: within(command.schedule_to_start_timeout),
            start_to_close_timeout: within(command.start_to_close_timeout),
        };
        self.record_with(now, Attributes::NexusOperationScheduledEventAttributes(attributes), user_metadata);
    }

    /// Asks for an operation's cancellation. Its end may be on its way to the workflow already; the request is noted all the same.
    pub(super) fn request_cancel_operation(
        &mut self,
        now: Nanos,
        completed: i64,
        scheduled_event_id: i64,
        user_metadata: Option<UserMetadata>,
    ) {
        if !self.knows_operation(scheduled_event_id) {
            return;
        }
        let attributes = NexusOperationCancelRequestedEventAttributes {
            scheduled_event_id,
            workflow_task_completed_event_id: completed,
        };
        self.record_with(now, Attributes::NexusOperationCancelRequestedEventAttributes(attributes), user_metadata);
    }

    /// Whether the operation is pending, or has ended without the workflow knowing yet.
    pub(super) fn knows_operation(&self, scheduled_event_id: i64) -> bool {
        self.operations.contains_key(&scheduled_event_id)
            || self.buffered.values().any(|event| ended_operation(event) == Some(scheduled_event_id))
    }

    /// Whether a handler's answer to that attempt is still waited for.
    pub fn awaits(&self, call: CallId) -> bool {
        let pending = self.operations.get(&call.scheduled_event_id).and_then(|operation| operation.call());
        self.is_open() && pending.is_some_and(|(pending, _)| pending == call)
    }

    /// Takes a handler's answer. Answers whether it was waited for.
    pub fn take_answer(&mut self, now: Nanos, call: CallId, answer: HandlerAnswer) -> bool {
        if !self.awaits(call) {
            return false;
        }
        let id = call.scheduled_event_id;
        match answer {
            HandlerAnswer::Ended(end, links) => self.end_operation(now, id, end, links),
            HandlerAnswer::Started { token, links } => self.record_operation_started(now, id, token, links),
            HandlerAnswer::CancelTaken => self.record_cancel_outcome(now, id, None),
            HandlerAnswer::Error { failure, retryable: true } => return self.back_off(now, call, *failure),
            HandlerAnswer::Error { failure, .. } if call.cancel => self.record_cancel_outcome(now, id, Some(*failure)),
            HandlerAnswer::Error { failure, .. } => {
                self.end_operation(now, id, OperationEnd::Failed(failure), Vec::new());
            }
        }
        self.schedule_workflow_task(now);
        true
    }

    /// The operation has ended after it was started. Answers whether it was waited for.
    pub fn complete_operation(&mut self, now: Nanos, completion: Completion) -> bool {
        let id = completion.scheduled_event_id;
        let Some(operation) = self.operations.get(&id).filter(|_| self.is_open()) else { return false };
        if operation.scheduled.as_ref().is_none_or(|scheduled| scheduled.request_id != completion.request_id) {
            return false;
        }
        if !operation.is_started() {
            // It was quicker than the answer that it has begun.
            self.record_operation_started(completion.started_time, id, completion.token, completion.links);
        }
        self.end_operation(now, id, completion.end, Vec::new());
        self.schedule_workflow_task(now);
        true
    }

    fn record_operation_started(&mut self, time: Nanos, id: i64, token: String, links: Vec<Link>) {
        let request_id = self.request_id_of(id);
        #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
        let attributes = NexusOperationStartedEventAttributes {
            scheduled_event_id: id,
            operation_id: token.clone(),
            request_id,
            operation_token: token,
        };
        self.record_linked(time, Attributes::NexusOperationStartedEventAttributes(attributes), None, links);
    }

    fn end_operation(&mut self, now: Nanos, scheduled_event_id: i64, end: OperationEnd, links: Vec<Link>) {
        let request_id = self.request_id_of(scheduled_event_id);
        let attributes = match end {
            OperationEnd::Completed(result) => {
                Attributes::NexusOperationCompletedEventAttributes(NexusOperationCompletedEventAttributes {
                    scheduled_event_id,
                    result,
                    request_id,
                })
            }
            OperationEnd::Failed(cause) => {
                let failure = Some(self.operation_failure(scheduled_event_id, *cause));
                Attributes::NexusOperationFailedEventAttributes(NexusOperationFailedEventAttributes {
                    scheduled_event_id,
                    failure,
                    request_id,
                })
            }
            OperationEnd::Canceled(cause) => {
                let failure = Some(self.operation_failure(scheduled_event_id, canceled(*cause)));
                Attributes::NexusOperationCanceledEventAttributes(NexusOperationCanceledEventAttributes {
                    scheduled_event_id,
                    failure,
                    request_id,
                })
            }
        };
        self.record_linked(now, attributes, None, links);
    }

    /// The handler was told of the cancellation, or (with why) will not be.
    fn record_cancel_outcome(&mut self, now: Nanos, scheduled_event_id: i64, failure: Option<Failure>) {
        let cancellation = self.operations.get(&scheduled_event_id).and_then(|o| o.cancellation.as_ref());
        let requested_event_id = cancellation.map_or(0, |cancellation| cancellation.requested_event_id);
        let attributes = match failure {
            None => Attributes::NexusOperationCancelRequestCompletedEventAttributes(
                NexusOperationCancelRequestCompletedEventAttributes {
                    requested_event_id,
                    scheduled_event_id,
                    ..Default::default()
                },
            ),
            failure => Attributes::NexusOperationCancelRequestFailedEventAttributes(
                NexusOperationCancelRequestFailedEventAttributes {
                    requested_event_id,
                    scheduled_event_id,
                    failure,
                    ..Default::default()
                },
            ),
        };
        self.record(now, attributes);
    }

    fn back_off(&mut self, now: Nanos, call: CallId, failure: Failure) -> bool {
        let operation = self.operations.get_mut(&call.scheduled_event_id);
        if let Some(request) = operation.and_then(|operation| operation.request_mut(call.cancel)) {
            request.back_off(now, failure);
        }
        self.touch(PendingKind::Operation, call.scheduled_event_id);
        true
    }

    pub(super) fn fire_operation_deadlines(&mut self, now: Nanos) {
        let due = |operation: &PendingOperation| matches!(operation.next_deadline(), time if time != 0 && time <= now);
        let due: Vec<i64> = self.operations.iter().filter(|(_, o)| due(o)).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(operation) = self.operations.get_mut(&id)
                && operation.end_backoff(now)
            {
                self.touch(PendingKind::Operation, id);
            }
            let Some(operation) = self.operations.get(&id) else { continue };
            if let Some(timeout_type) = operation.due_timeout(now) {
                self.time_out_operation(now, id, timeout_type);
            } else if let Some((call, deadline)) = operation.call()
                && deadline <= now
            {
                self.back_off(now, call, handler_failure("UPSTREAM_TIMEOUT", "upstream timeout"));
            }
        }
    }

    fn time_out_operation(&mut self, now: Nanos, scheduled_event_id: i64, timeout_type: TimeoutType) {
        let cause = Failure {
            message: "operation timed out".to_owned(),
            failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
                timeout_type: timeout_type.into(),
                last_heartbeat_details: None,
            })),
            ..Default::default()
        };
        let attributes = NexusOperationTimedOutEventAttributes {
            scheduled_event_id,
            failure: Some(self.operation_failure(scheduled_event_id, cause)),
            request_id: self.request_id_of(scheduled_event_id),
        };
        self.record(now, Attributes::NexusOperationTimedOutEventAttributes(attributes));
        self.schedule_workflow_task(now);
    }

    /// Requests that were with workers of a process that has ended are made anew.
    pub(super) fn begin_requests_anew(&mut self, now: Nanos) {
        let ids: Vec<i64> = self.operations.keys().copied().collect();
        for id in ids {
            if self.operations.get_mut(&id).is_some_and(|operation| operation.begin_anew(now)) {
                self.touch(PendingKind::Operation, id);
            }
        }
    }

    fn request_id_of(&self, scheduled_event_id: i64) -> String {
        let operation = self.operations.get(&scheduled_event_id);
        operation.and_then(|o| o.scheduled.as_ref()).map(|scheduled| scheduled.request_id.clone()).unwrap_or_default()
    }

    /// What the workflow is told of an operation that ends without a result.
    fn operation_failure(&self, scheduled_event_id: i64, cause: Failure) -> Failure {
        let operation = self.operations.get(&scheduled_event_id);
        let scheduled = operation.map(|operation| operation.attributes()).unwrap_or_default();
        let token = operation.map(|operation| operation.token.clone()).unwrap_or_default();
        #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
        let info = NexusOperationFailureInfo {
            scheduled_event_id,
            endpoint: scheduled.endpoint,
            service: scheduled.service,
            operation: scheduled.operation,
            operation_id: token.clone(),
            operation_token: token,
        };
        Failure {
            message: "nexus operation completed unsuccessfully".to_owned(),
            cause: Some(Box::new(cause)),
            failure_info: Some(FailureInfo::NexusOperationExecutionFailureInfo(info)),
            ..Default::default()
        }
    }
}

/// What an operation was cancelled for. Older SDKs send another kind of failure for it.
fn canceled(cause: Failure) -> Failure {
    match cause.failure_info {
        Some(FailureInfo::CanceledFailureInfo(_)) => cause,
        _ => Failure { failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo::default())), ..cause },
    }
}

/// Why a handler could not carry out a request, by the error types of Nexus.
pub(crate) fn handler_failure(kind: &str, message: &str) -> Failure {
    let info = NexusHandlerFailureInfo { r#type: kind.to_owned(), ..Default::default() };
    Failure {
        message: message.to_owned(),
        failure_info: Some(FailureInfo::NexusHandlerFailureInfo(info)),
        ..Default::default()
    }
}
