//! Kinds of events by what they mean for the order of a history.

use temporalio_common::protos::temporal::api::enums::v1::EventType;

/// Whether an event waits while a worker holds the workflow task (`bufferEvent`): those that the outside causes do,
/// those that a workflow task's commands or its own life cause do not.
pub(super) fn is_bufferable(event_type: EventType) -> bool {
    use EventType as E;
    matches!(
        event_type,
        E::ActivityTaskStarted
            | E::ActivityTaskCompleted
            | E::ActivityTaskFailed
            | E::ActivityTaskTimedOut
            | E::ActivityTaskCanceled
            | E::TimerFired
            | E::WorkflowExecutionCancelRequested
            | E::WorkflowExecutionSignaled
            | E::StartChildWorkflowExecutionFailed
            | E::ChildWorkflowExecutionStarted
            | E::ChildWorkflowExecutionCompleted
            | E::ChildWorkflowExecutionFailed
            | E::ChildWorkflowExecutionCanceled
            | E::ChildWorkflowExecutionTimedOut
            | E::ChildWorkflowExecutionTerminated
            | E::ExternalWorkflowExecutionSignaled
            | E::SignalExternalWorkflowExecutionFailed
            | E::ExternalWorkflowExecutionCancelRequested
            | E::RequestCancelExternalWorkflowExecutionFailed
            | E::WorkflowExecutionOptionsUpdated
            | E::WorkflowExecutionPaused
            | E::WorkflowExecutionUnpaused
            | E::NexusOperationStarted
            | E::NexusOperationCompleted
            | E::NexusOperationFailed
            | E::NexusOperationCanceled
            | E::NexusOperationTimedOut
            | E::NexusOperationCancelRequestCompleted
            | E::NexusOperationCancelRequestFailed
    )
}

/// Whether a worker that does not know an event may go on as if it were not there: it says nothing to the workflow's code.
pub(super) fn worker_may_ignore(event_type: EventType) -> bool {
    use EventType as E;
    matches!(
        event_type,
        E::WorkflowExecutionOptionsUpdated
            | E::WorkflowExecutionPaused
            | E::WorkflowExecutionUnpaused
            | E::NexusOperationCancelRequestCompleted
            | E::NexusOperationCancelRequestFailed
    )
}

/// Whether an event ends an activity, a child or a Nexus operation.
pub(super) fn ends_pending(event_type: EventType) -> bool {
    use EventType as E;
    matches!(
        event_type,
        E::ActivityTaskCompleted
            | E::ActivityTaskFailed
            | E::ActivityTaskTimedOut
            | E::ActivityTaskCanceled
            | E::ChildWorkflowExecutionCompleted
            | E::ChildWorkflowExecutionFailed
            | E::ChildWorkflowExecutionCanceled
            | E::ChildWorkflowExecutionTimedOut
            | E::ChildWorkflowExecutionTerminated
            | E::NexusOperationCompleted
            | E::NexusOperationFailed
            | E::NexusOperationCanceled
            | E::NexusOperationTimedOut
    )
}
