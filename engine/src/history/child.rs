//! Child workflows, from the parent's side.

use temporalio_common::protos::temporal::api::{
    command::v1::StartChildWorkflowExecutionCommandAttributes,
    common::v1::{Header, WorkflowExecution, WorkflowType},
    enums::v1::{ParentClosePolicy, StartChildWorkflowExecutionFailedCause, TaskQueueKind, WorkflowIdReusePolicy},
    history::v1::{
        ChildWorkflowExecutionCanceledEventAttributes, ChildWorkflowExecutionCompletedEventAttributes,
        ChildWorkflowExecutionFailedEventAttributes, ChildWorkflowExecutionStartedEventAttributes,
        ChildWorkflowExecutionTerminatedEventAttributes, ChildWorkflowExecutionTimedOutEventAttributes, HistoryEvent,
        StartChildWorkflowExecutionFailedEventAttributes, StartChildWorkflowExecutionInitiatedEventAttributes,
        history_event::Attributes,
    },
    sdk::v1::UserMetadata,
    taskqueue::v1::TaskQueue,
};

use super::{
    Execution,
    retry_policy::complete_policy,
    state::Effect,
    time::{Nanos, duration, from_duration, shorter},
};

impl Execution {
    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    pub(super) fn initiate_child(
        &mut self,
        now: Nanos,
        completed: i64,
        mut command: StartChildWorkflowExecutionCommandAttributes,
        user_metadata: Option<UserMetadata>,
    ) {
        self.complete_child_command(&mut command);
        let attributes = StartChildWorkflowExecutionInitiatedEventAttributes {
            namespace: command.namespace.clone(),
            namespace_id: self.info.namespace_id.clone(),
            workflow_id: command.workflow_id.clone(),
            workflow_type: command.workflow_type.clone(),
            task_queue: command.task_queue.clone(),
            input: command.input.clone(),
            workflow_execution_timeout: command.workflow_execution_timeout,
            workflow_run_timeout: command.workflow_run_timeout,
            workflow_task_timeout: command.workflow_task_timeout,
            parent_close_policy: command.parent_close_policy,
            workflow_task_completed_event_id: completed,
            workflow_id_reuse_policy: command.workflow_id_reuse_policy,
            inherit_build_id: command.inherit_build_id,
            header: command.header.clone(),
            retry_policy: command.retry_policy.clone(),
            cron_schedule: command.cron_schedule.clone(),
            memo: command.memo.clone(),
            search_attributes: command.search_attributes.clone(),
            priority: command.priority.clone(),
            ..Default::default()
        };
        let attributes = Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(attributes);
        let initiated_event_id = self.record_with(now, attributes, user_metadata.clone());
        self.changes.effects.push(Effect::StartChild { initiated_event_id, command: Box::new(command), user_metadata });
    }

    /// Fills in what the command leaves to the server: the parent's own queue, namespace and task timeout, and the defaults.
    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    fn complete_child_command(&self, command: &mut StartChildWorkflowExecutionCommandAttributes) {
        if command.namespace.is_empty() {
            command.namespace.clone_from(&self.info.namespace);
        }
        let queue = command.task_queue.as_ref().map(|queue| queue.name.clone()).filter(|name| !name.is_empty());
        command.task_queue = Some(TaskQueue {
            name: queue.unwrap_or_else(|| self.task_queue().to_owned()),
            kind: TaskQueueKind::Normal.into(),
            normal_name: String::new(),
        });
        let execution = from_duration(command.workflow_execution_timeout.as_ref());
        let run = shorter(from_duration(command.workflow_run_timeout.as_ref()), execution);
        let task = from_duration(command.workflow_task_timeout.as_ref());
        command.workflow_run_timeout = duration(run);
        command.workflow_task_timeout = duration(super::lifecycle::task_timeout(task, run));
        command.retry_policy = command.retry_policy.as_ref().map(|policy| complete_policy(Some(policy)));
        if command.parent_close_policy == i32::from(ParentClosePolicy::Unspecified) {
            command.parent_close_policy = ParentClosePolicy::Terminate.into();
        }
        if command.workflow_id_reuse_policy == i32::from(WorkflowIdReusePolicy::Unspecified) {
            command.workflow_id_reuse_policy = WorkflowIdReusePolicy::AllowDuplicate.into();
        }
    }

    /// The child runs.
    pub fn child_started(&mut self, now: Nanos, initiated_event_id: i64, run_id: &str, header: Option<Header>) {
        let Some(child) = self.children.get(&initiated_event_id) else { return };
        let attributes = ChildWorkflowExecutionStartedEventAttributes {
            namespace: self.info.namespace.clone(),
            namespace_id: self.info.namespace_id.clone(),
            initiated_event_id,
            workflow_execution: Some(WorkflowExecution {
                workflow_id: child.workflow_id.clone(),
                run_id: run_id.to_owned(),
            }),
            workflow_type: Some(WorkflowType { name: child.workflow_type.clone() }),
            header,
        };
        self.record(now, Attributes::ChildWorkflowExecutionStartedEventAttributes(attributes));
        self.schedule_workflow_task(now);
    }

    /// The child could not be started.
    pub fn child_start_failed(
        &mut self,
        now: Nanos,
        initiated_event_id: i64,
        cause: StartChildWorkflowExecutionFailedCause,
    ) {
        let Some(child) = self.children.get(&initiated_event_id) else { return };
        let attributes = StartChildWorkflowExecutionFailedEventAttributes {
            namespace: self.info.namespace.clone(),
            namespace_id: self.info.namespace_id.clone(),
            workflow_id: child.workflow_id.clone(),
            workflow_type: Some(WorkflowType { name: child.workflow_type.clone() }),
            cause: cause.into(),
            initiated_event_id,
            // The server leaves the workflow task's event out here.
            ..Default::default()
        };
        self.record(now, Attributes::StartChildWorkflowExecutionFailedEventAttributes(attributes));
        self.schedule_workflow_task(now);
    }

    /// The child has closed with `close`, its last event.
    pub fn child_closed(&mut self, now: Nanos, initiated_event_id: i64, run_id: &str, close: &HistoryEvent) {
        let Some(child) = self.children.get(&initiated_event_id) else { return };
        let namespace = self.info.namespace.clone();
        let namespace_id = self.info.namespace_id.clone();
        let workflow_execution =
            Some(WorkflowExecution { workflow_id: child.workflow_id.clone(), run_id: run_id.to_owned() });
        let workflow_type = Some(WorkflowType { name: child.workflow_type.clone() });
        let started_event_id = child.started_event_id;
        let attributes = match close.attributes.as_ref() {
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => {
                Attributes::ChildWorkflowExecutionCompletedEventAttributes(
                    ChildWorkflowExecutionCompletedEventAttributes {
                        result: a.result.clone(),
                        namespace,
                        namespace_id,
                        workflow_execution,
                        workflow_type,
                        initiated_event_id,
                        started_event_id,
                    },
                )
            }
            Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => {
                Attributes::ChildWorkflowExecutionFailedEventAttributes(ChildWorkflowExecutionFailedEventAttributes {
                    failure: a.failure.clone(),
                    namespace,
                    namespace_id,
                    workflow_execution,
                    workflow_type,
                    initiated_event_id,
                    started_event_id,
                    retry_state: a.retry_state,
                })
            }
            Some(Attributes::WorkflowExecutionCanceledEventAttributes(a)) => {
                Attributes::ChildWorkflowExecutionCanceledEventAttributes(
                    ChildWorkflowExecutionCanceledEventAttributes {
                        details: a.details.clone(),
                        namespace,
                        namespace_id,
                        workflow_execution,
                        workflow_type,
                        initiated_event_id,
                        started_event_id,
                    },
                )
            }
            Some(Attributes::WorkflowExecutionTimedOutEventAttributes(a)) => {
                Attributes::ChildWorkflowExecutionTimedOutEventAttributes(
                    ChildWorkflowExecutionTimedOutEventAttributes {
                        namespace,
                        namespace_id,
                        workflow_execution,
                        workflow_type,
                        initiated_event_id,
                        started_event_id,
                        retry_state: a.retry_state,
                    },
                )
            }
            Some(Attributes::WorkflowExecutionTerminatedEventAttributes(_)) => {
                Attributes::ChildWorkflowExecutionTerminatedEventAttributes(
                    ChildWorkflowExecutionTerminatedEventAttributes {
                        namespace,
                        namespace_id,
                        workflow_execution,
                        workflow_type,
                        initiated_event_id,
                        started_event_id,
                    },
                )
            }
            _ => return,
        };
        self.record(now, attributes);
        self.schedule_workflow_task(now);
    }
}
