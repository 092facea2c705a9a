//! Signals to, and cancellations of, other executions, from the sender's side.

use temporalio_common::protos::temporal::api::{
    command::v1::{
        RequestCancelExternalWorkflowExecutionCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
    },
    common::v1::WorkflowExecution,
    enums::v1::{CancelExternalWorkflowExecutionFailedCause, SignalExternalWorkflowExecutionFailedCause},
    history::v1::{
        ExternalWorkflowExecutionCancelRequestedEventAttributes, ExternalWorkflowExecutionSignaledEventAttributes,
        RequestCancelExternalWorkflowExecutionFailedEventAttributes,
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
        SignalExternalWorkflowExecutionFailedEventAttributes, SignalExternalWorkflowExecutionInitiatedEventAttributes,
        history_event::Attributes,
    },
    sdk::v1::UserMetadata,
};

use super::{
    Execution,
    state::{Effect, SignalInput, Target},
    time::Nanos,
};

/// Who sends signals and cancellations on behalf of workflows, as Temporal's history service names itself.
const SENDER: &str = "history-service";

impl Execution {
    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    pub(super) fn initiate_signal(
        &mut self,
        now: Nanos,
        completed: i64,
        command: SignalExternalWorkflowExecutionCommandAttributes,
        user_metadata: Option<UserMetadata>,
    ) {
        let execution = command.execution.clone().unwrap_or_default();
        let namespace =
            if command.namespace.is_empty() { self.info.namespace.clone() } else { command.namespace.clone() };
        let attributes = SignalExternalWorkflowExecutionInitiatedEventAttributes {
            workflow_task_completed_event_id: completed,
            namespace: namespace.clone(),
            namespace_id: self.info.namespace_id.clone(),
            workflow_execution: Some(execution.clone()),
            signal_name: command.signal_name.clone(),
            input: command.input.clone(),
            control: command.control.clone(),
            child_workflow_only: command.child_workflow_only,
            header: command.header.clone(),
        };
        let attributes = Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(attributes);
        let initiated_event_id = self.record_with(now, attributes, user_metadata);
        let signal = SignalInput {
            name: command.signal_name,
            input: command.input,
            header: command.header,
            identity: SENDER.to_owned(),
            request_id: String::new(),
        };
        let target = Target {
            namespace,
            workflow_id: execution.workflow_id,
            run_id: execution.run_id,
            child_only: command.child_workflow_only,
        };
        self.changes.effects.push(Effect::Signal { initiated_event_id, target, signal: Box::new(signal) });
    }

    /// A signal arrived at its target, or there was none.
    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    pub fn signal_delivered(
        &mut self,
        now: Nanos,
        initiated_event_id: i64,
        target: &Target,
        result: Result<(), SignalExternalWorkflowExecutionFailedCause>,
    ) {
        if !self.signals.contains_key(&initiated_event_id) {
            return;
        }
        let workflow_execution = Some(execution_of(target));
        let (namespace, namespace_id) = (target.namespace.clone(), self.info.namespace_id.clone());
        let attributes = match result {
            Ok(()) => Attributes::ExternalWorkflowExecutionSignaledEventAttributes(
                ExternalWorkflowExecutionSignaledEventAttributes {
                    initiated_event_id,
                    namespace,
                    namespace_id,
                    workflow_execution,
                    control: String::new(),
                },
            ),
            Err(cause) => Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(
                SignalExternalWorkflowExecutionFailedEventAttributes {
                    cause: cause.into(),
                    workflow_task_completed_event_id: 0,
                    namespace,
                    namespace_id,
                    workflow_execution,
                    initiated_event_id,
                    control: String::new(),
                },
            ),
        };
        self.record(now, attributes);
        self.schedule_workflow_task(now);
    }

    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    pub(super) fn initiate_cancel(
        &mut self,
        now: Nanos,
        completed: i64,
        command: RequestCancelExternalWorkflowExecutionCommandAttributes,
        user_metadata: Option<UserMetadata>,
    ) {
        let namespace =
            if command.namespace.is_empty() { self.info.namespace.clone() } else { command.namespace.clone() };
        let execution = WorkflowExecution { workflow_id: command.workflow_id.clone(), run_id: command.run_id.clone() };
        let attributes = RequestCancelExternalWorkflowExecutionInitiatedEventAttributes {
            workflow_task_completed_event_id: completed,
            namespace: namespace.clone(),
            namespace_id: self.info.namespace_id.clone(),
            workflow_execution: Some(execution),
            control: command.control.clone(),
            child_workflow_only: command.child_workflow_only,
            reason: command.reason.clone(),
        };
        let attributes = Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(attributes);
        let initiated_event_id = self.record_with(now, attributes, user_metadata);
        let target = Target {
            namespace,
            workflow_id: command.workflow_id,
            run_id: command.run_id,
            child_only: command.child_workflow_only,
        };
        self.changes.effects.push(Effect::Cancel { initiated_event_id, target, reason: command.reason });
    }

    /// A cancellation arrived at its target, or there was none.
    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    pub fn cancel_delivered(
        &mut self,
        now: Nanos,
        initiated_event_id: i64,
        target: &Target,
        result: Result<(), CancelExternalWorkflowExecutionFailedCause>,
    ) {
        if !self.cancels.contains_key(&initiated_event_id) {
            return;
        }
        let workflow_execution = Some(execution_of(target));
        let (namespace, namespace_id) = (target.namespace.clone(), self.info.namespace_id.clone());
        let attributes = match result {
            Ok(()) => Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(
                ExternalWorkflowExecutionCancelRequestedEventAttributes {
                    initiated_event_id,
                    namespace,
                    namespace_id,
                    workflow_execution,
                },
            ),
            Err(cause) => Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(
                RequestCancelExternalWorkflowExecutionFailedEventAttributes {
                    cause: cause.into(),
                    workflow_task_completed_event_id: 0,
                    namespace,
                    namespace_id,
                    workflow_execution,
                    initiated_event_id,
                    control: String::new(),
                },
            ),
        };
        self.record(now, attributes);
        self.schedule_workflow_task(now);
    }
}

fn execution_of(target: &Target) -> WorkflowExecution {
    WorkflowExecution { workflow_id: target.workflow_id.clone(), run_id: target.run_id.clone() }
}
