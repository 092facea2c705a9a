//! What one execution does to others: children, signals, cancellations, closes, the next run. All of it happens in the same
//! transaction as its cause, so none of it can be lost between two.

use temporalio_common::protos::temporal::api::{
    command::v1::StartChildWorkflowExecutionCommandAttributes,
    common::v1::WorkflowExecution,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause as CancelFailed, ParentClosePolicy,
        SignalExternalWorkflowExecutionFailedCause as SignalFailed,
        StartChildWorkflowExecutionFailedCause as ChildFailed,
    },
    history::v1::{
        HistoryEvent, WorkflowExecutionCancelRequestedEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    sdk::v1::UserMetadata,
};
use tonic::Status;
use uuid::Uuid;

use super::Core;
use crate::{
    deployment::VersionId,
    history::{
        Execution, StartInput, is_end_by_reset,
        priority::merged,
        state::{Effect, PendingChild, SignalInput, Target},
    },
    matching::TaskKind,
    service::start::{Admission, admit},
};

/// Who acts for a workflow, as Temporal's history service names itself.
pub(crate) const SENDER: &str = "history-service";

impl Core {
    pub(super) fn carry_out(&mut self, key: i64, effect: Effect) {
        match effect {
            Effect::StartChild { initiated_event_id, command, user_metadata } => {
                self.start_child(key, initiated_event_id, *command, user_metadata);
            }
            Effect::Signal { initiated_event_id, target, signal } => {
                let result = self.signal_other(key, &target, *signal);
                self.update(key, |e, now| e.signal_delivered(now, initiated_event_id, &target, result));
            }
            Effect::Cancel { initiated_event_id, target, reason } => {
                let result = self.cancel_other(key, initiated_event_id, &target, &reason);
                self.update(key, |e, now| e.cancel_delivered(now, initiated_event_id, &target, result));
            }
            Effect::Closed { event, children } => {
                let reset = is_end_by_reset(&event);
                if !reset {
                    self.tell_parent(key, &event);
                    self.tell_schedule(key, &event);
                    self.tell_callers(key, &event);
                }
                // The run in which this one goes on has these children too.
                for child in children.into_iter().filter(|_| !reset) {
                    self.apply_parent_close_policy(key, &child);
                }
            }
            Effect::ContinueAsNew { started } => self.start_next_run(key, *started),
            Effect::RunAgain { started } => self.run_again(key, *started),
        }
    }

    /// Starts a new run in memory. The caller schedules its first workflow task.
    pub(crate) fn start_execution(&mut self, input: StartInput) -> i64 {
        let key = self.next_key();
        let now = self.now();
        self.adopt(Execution::start(key, now, input));
        self.settle(key);
        key
    }

    #[allow(deprecated, reason = "the field is deprecated for SDKs, and completed by the history room")]
    fn start_child(
        &mut self,
        parent: i64,
        initiated_event_id: i64,
        command: StartChildWorkflowExecutionCommandAttributes,
        user_metadata: Option<UserMetadata>,
    ) {
        let Some(live) = self.live.get(&parent) else { return };
        let info = live.execution.info.clone();
        if !self.namespaces.contains_key(&command.namespace) {
            self.update(parent, |e, now| {
                e.child_start_failed(now, initiated_event_id, ChildFailed::NamespaceNotFound);
            });
            return;
        }
        let policy = command.workflow_id_reuse_policy();
        let admission = admit(self, &command.namespace, &command.workflow_id, policy);
        if !matches!(admission, Ok(Admission::New)) {
            self.update(parent, |e, now| {
                e.child_start_failed(now, initiated_event_id, ChildFailed::WorkflowAlreadyExists);
            });
            return;
        }
        let run_id = Uuid::now_v7().to_string();
        let parent_execution = WorkflowExecution { workflow_id: info.workflow_id.clone(), run_id: info.run_id.clone() };
        let root = info.started.as_ref().and_then(|s| s.root_workflow_execution.clone());
        let header = command.header.clone();
        let (inherited, versioning_override) = info.inherited_version();
        let queue = command.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default();
        let polls = |version: &_| {
            VersionId::of(version).is_some_and(|id| {
                self.deployments.has_queue(&info.namespace, &id, &queue, TaskKind::Workflow.queue_type())
            })
        };
        let inherited_pinned_version = inherited.filter(|version| polls(version));
        let attributes = WorkflowExecutionStartedEventAttributes {
            workflow_type: command.workflow_type,
            parent_workflow_namespace: info.namespace.clone(),
            parent_workflow_namespace_id: info.namespace_id.clone(),
            parent_workflow_execution: Some(parent_execution.clone()),
            parent_initiated_event_id: initiated_event_id,
            task_queue: command.task_queue,
            input: command.input,
            workflow_execution_timeout: command.workflow_execution_timeout,
            workflow_run_timeout: command.workflow_run_timeout,
            workflow_task_timeout: command.workflow_task_timeout,
            original_execution_run_id: run_id.clone(),
            first_execution_run_id: run_id.clone(),
            attempt: 1,
            memo: command.memo,
            search_attributes: command.search_attributes,
            header: command.header,
            retry_policy: command.retry_policy,
            cron_schedule: command.cron_schedule,
            workflow_id: command.workflow_id,
            root_workflow_execution: root.or(Some(parent_execution)),
            priority: merged(info.priority(), command.priority.as_ref()),
            inherited_pinned_version,
            versioning_override,
            ..Default::default()
        };
        let child = self.start_execution(StartInput {
            namespace: command.namespace.clone(),
            namespace_id: self.namespace_id(&command.namespace),
            attributes,
            request_id: String::new(),
            user_metadata,
            links: Vec::new(),
        });
        self.update(parent, |e, now| e.child_started(now, initiated_event_id, &run_id, header));
        self.update(child, super::super::history::Execution::schedule_workflow_task);
    }

    /// Starts a run with the input of the one before. Where that cannot be read, the whole batch fails: the run before has then
    /// not closed, and is looked at again.
    fn run_again(&mut self, previous: i64, mut started: WorkflowExecutionStartedEventAttributes) {
        match self.event(previous, 1).map(|event| event.attributes) {
            Ok(Some(Attributes::WorkflowExecutionStartedEventAttributes(first))) => {
                started.input = first.input;
                started.header = first.header;
                self.start_run(previous, started, None);
            }
            Ok(_) => self.fail_batch(Status::data_loss("a history does not begin with a start")),
            Err(status) => self.fail_batch(status),
        }
    }

    fn start_next_run(&mut self, previous: i64, started: WorkflowExecutionStartedEventAttributes) {
        let user_metadata = self.live.get(&previous).and_then(|live| live.execution.info.user_metadata.clone());
        self.start_run(previous, started, user_metadata);
    }

    fn start_run(
        &mut self,
        previous: i64,
        attributes: WorkflowExecutionStartedEventAttributes,
        user_metadata: Option<UserMetadata>,
    ) {
        let Some(live) = self.live.get(&previous) else { return };
        let info = &live.execution.info;
        let input = StartInput {
            namespace: info.namespace.clone(),
            namespace_id: info.namespace_id.clone(),
            attributes,
            request_id: Uuid::now_v7().to_string(),
            user_metadata,
            links: Vec::new(),
        };
        let key = self.start_execution(input);
        self.update(key, super::super::history::Execution::schedule_workflow_task);
    }

    fn signal_other(&mut self, sender: i64, target: &Target, signal: SignalInput) -> Result<(), SignalFailed> {
        if !self.namespaces.contains_key(&target.namespace) {
            return Err(SignalFailed::NamespaceNotFound);
        }
        let key = self.target(sender, target).ok_or(SignalFailed::ExternalWorkflowExecutionNotFound)?;
        let from = self.execution_of(sender);
        self.update(key, |e, now| {
            e.signal(now, signal, from);
            e.schedule_workflow_task(now);
        });
        Ok(())
    }

    fn cancel_other(
        &mut self,
        sender: i64,
        initiated_event_id: i64,
        target: &Target,
        reason: &str,
    ) -> Result<(), CancelFailed> {
        if !self.namespaces.contains_key(&target.namespace) {
            return Err(CancelFailed::NamespaceNotFound);
        }
        let key = self.target(sender, target).ok_or(CancelFailed::ExternalWorkflowExecutionNotFound)?;
        let request = WorkflowExecutionCancelRequestedEventAttributes {
            cause: reason.to_owned(),
            external_initiated_event_id: initiated_event_id,
            external_workflow_execution: self.execution_of(sender),
            identity: SENDER.to_owned(),
        };
        self.update(key, |e, now| e.request_cancel(now, request, ""));
        Ok(())
    }

    /// The open execution that a command names.
    fn target(&self, sender: i64, target: &Target) -> Option<i64> {
        let execution = WorkflowExecution { workflow_id: target.workflow_id.clone(), run_id: target.run_id.clone() };
        let key = self.find_open(&target.namespace, &execution).ok()?;
        if !target.child_only {
            return Some(key);
        }
        self.is_child_of(key, sender).then_some(key)
    }

    /// Whether an open execution is a child of another, or of a run that was reset to it.
    fn is_child_of(&self, child: i64, parent: i64) -> bool {
        let (Some(child), Some(parent)) = (self.live.get(&child), self.live.get(&parent)) else { return false };
        let Some(started) = child.execution.info.started.as_ref() else { return false };
        let Some(named) = started.parent_workflow_execution.as_ref() else { return false };
        let parent = &parent.execution.info;
        named.workflow_id == parent.workflow_id
            && (named.run_id == parent.run_id || self.goes_on_in(&parent.namespace, named, &parent.run_id))
    }

    fn execution_of(&self, key: i64) -> Option<WorkflowExecution> {
        let info = &self.live.get(&key)?.execution.info;
        Some(WorkflowExecution { workflow_id: info.workflow_id.clone(), run_id: info.run_id.clone() })
    }

    /// Tells the parent of a closed child, unless the child goes on in another run.
    fn tell_parent(&mut self, child: i64, close: &HistoryEvent) {
        let Some(live) = self.live.get(&child) else { return };
        let execution = &live.execution;
        if !execution.info.new_run_id.is_empty() {
            return;
        }
        let Some(started) = execution.info.started.as_ref() else { return };
        let Some(parent) = started.parent_workflow_execution.clone() else { return };
        let (initiated_event_id, namespace) =
            (started.parent_initiated_event_id, started.parent_workflow_namespace.clone());
        let run_id = execution.info.run_id.clone();
        let (workflow_id, first_run_id) = (execution.info.workflow_id.clone(), started.first_execution_run_id.clone());
        let Some(parent) = self.open_run_of(&namespace, &parent) else { return };
        self.update(parent, |e, now| {
            // A parent that was reset may have another child under that number, or none.
            let pending = e.children.get(&initiated_event_id);
            if pending.is_some_and(|child| child.workflow_id == workflow_id && child.run_id == first_run_id) {
                e.child_closed(now, initiated_event_id, &run_id, close);
            }
        });
    }

    fn apply_parent_close_policy(&mut self, parent: i64, child: &PendingChild) {
        let Some(live) = self.live.get(&parent) else { return };
        let namespace = live.execution.info.namespace.clone();
        let target =
            Target { namespace, workflow_id: child.workflow_id.clone(), run_id: String::new(), child_only: true };
        let Some(key) = self.target(parent, &target) else { return };
        match ParentClosePolicy::try_from(child.parent_close_policy).unwrap_or_default() {
            ParentClosePolicy::Abandon => {}
            ParentClosePolicy::RequestCancel => {
                let request = WorkflowExecutionCancelRequestedEventAttributes {
                    external_workflow_execution: self.execution_of(parent),
                    identity: SENDER.to_owned(),
                    ..Default::default()
                };
                self.update(key, |e, now| e.request_cancel(now, request, ""));
            }
            ParentClosePolicy::Terminate | ParentClosePolicy::Unspecified => {
                self.update(key, |e, now| e.terminate(now, "by parent close policy", None, SENDER));
            }
        }
    }

    /// Id of a namespace, empty when there is none of that name.
    pub(crate) fn namespace_id(&self, name: &str) -> String {
        let info = self.namespaces.get(name).and_then(|namespace| namespace.namespace_info.as_ref());
        info.map(|info| info.id.clone()).unwrap_or_default()
    }
}
