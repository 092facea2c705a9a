//! How events of Nexus operations change the state, and what a run that was reset takes over of them.

use temporalio_common::protos::temporal::api::{
    enums::v1::NexusOperationCancellationState,
    failure::v1::Failure,
    history::v1::{
        HistoryEvent, NexusOperationScheduledEventAttributes, NexusOperationStartedEventAttributes,
        history_event::Attributes,
    },
};

use super::{
    Execution,
    operation_state::{NexusCancellation, NexusRequest, PendingOperation},
    state::PendingKind,
    time::Nanos,
};

impl Execution {
    /// Takes over what came of an operation in the run that was reset. One that this run does not have is none of its own.
    pub(super) fn reapply_to_operation(&mut self, now: Nanos, id: i64, event: &HistoryEvent) {
        let Some(operation) = self.operations.get(&id) else { return };
        let Some(attributes) = event.attributes.clone() else { return };
        let starts = matches!(attributes, Attributes::NexusOperationStartedEventAttributes(_));
        let of_cancellation = matches!(
            attributes,
            Attributes::NexusOperationCancelRequestCompletedEventAttributes(_)
                | Attributes::NexusOperationCancelRequestFailedEventAttributes(_)
        );
        if (starts && operation.is_started()) || (of_cancellation && operation.cancellation.is_none()) {
            return;
        }
        self.record_linked(now, attributes, None, event.links.clone());
    }

    pub(super) fn apply_operation_scheduled(
        &mut self,
        a: &NexusOperationScheduledEventAttributes,
        id: i64,
        time: Nanos,
    ) {
        let operation = PendingOperation {
            scheduled: Some(NexusOperationScheduledEventAttributes { input: None, ..a.clone() }),
            scheduled_event_id: id,
            scheduled_time: time,
            start: Some(NexusRequest::begun(time)),
            ..Default::default()
        };
        self.operations.insert(id, Box::new(operation));
        self.touch(PendingKind::Operation, id);
    }

    pub(super) fn apply_operation_started(&mut self, a: &NexusOperationStartedEventAttributes, time: Nanos) {
        let Some(operation) = self.operations.get_mut(&a.scheduled_event_id) else { return };
        operation.token.clone_from(&a.operation_token);
        operation.started_time = time;
        if let Some(request) = operation.start.as_mut() {
            request.end(time, None);
        }
        if let Some(cancellation) = operation.cancellation.as_mut() {
            cancellation.begin(time);
        }
        self.touch(PendingKind::Operation, a.scheduled_event_id);
    }

    pub(super) fn apply_operation_cancel_requested(&mut self, scheduled_event_id: i64, id: i64, time: Nanos) {
        let Some(operation) = self.operations.get_mut(&scheduled_event_id) else { return };
        let mut cancellation = NexusCancellation { requested_event_id: id, ..Default::default() };
        if operation.is_started() {
            cancellation.begin(time);
        }
        operation.cancellation = Some(cancellation);
        self.touch(PendingKind::Operation, scheduled_event_id);
    }

    pub(super) fn apply_operation_cancel_outcome(
        &mut self,
        scheduled_event_id: i64,
        failure: Option<&Failure>,
        time: Nanos,
    ) {
        let operation = self.operations.get_mut(&scheduled_event_id);
        let Some(cancellation) = operation.and_then(|operation| operation.cancellation.as_mut()) else { return };
        let outcome = match failure {
            None => NexusOperationCancellationState::Succeeded,
            Some(_) => NexusOperationCancellationState::Failed,
        };
        cancellation.outcome = outcome.into();
        if let Some(request) = cancellation.request.as_mut() {
            request.end(time, failure.cloned());
        }
        self.touch(PendingKind::Operation, scheduled_event_id);
    }
}

impl NexusCancellation {
    fn begin(&mut self, now: Nanos) {
        self.requested_time = now;
        self.request = Some(NexusRequest::begun(now));
    }
}

/// The operation that an event, not of a command, is about.
pub(super) fn event_of_operation(event: &HistoryEvent) -> Option<i64> {
    match event.attributes.as_ref()? {
        Attributes::NexusOperationStartedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::NexusOperationCancelRequestCompletedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::NexusOperationCancelRequestFailedEventAttributes(a) => Some(a.scheduled_event_id),
        _ => ended_operation(event),
    }
}

/// The operation that an event ends, by its scheduled event.
pub(super) fn ended_operation(event: &HistoryEvent) -> Option<i64> {
    match event.attributes.as_ref()? {
        Attributes::NexusOperationCompletedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::NexusOperationFailedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::NexusOperationCanceledEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::NexusOperationTimedOutEventAttributes(a) => Some(a.scheduled_event_id),
        _ => None,
    }
}
