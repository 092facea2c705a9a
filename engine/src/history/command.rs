//! What a worker answers to a workflow task: its commands, checked as a whole before any of them takes effect.

use temporalio_common::protos::temporal::api::{
    command::v1::{Command, command::Attributes as C},
    common::v1::{MeteringMetadata, WorkerVersionStamp},
    deployment::v1::WorkerDeploymentVersion,
    enums::v1::{VersioningBehavior, WorkflowTaskFailedCause as Cause},
    history::v1::{
        MarkerRecordedEventAttributes, UpsertWorkflowSearchAttributesEventAttributes,
        WorkflowPropertiesModifiedEventAttributes, WorkflowTaskCompletedEventAttributes, history_event::Attributes,
    },
    protocol::v1::Message,
    sdk::v1::WorkflowTaskCompletedMetadata,
};

use super::{Execution, OperationTarget, protocol, time::Nanos};

/// A completed workflow task, as the worker reports it.
#[derive(Debug, Clone, Default)]
pub struct CompletedTask {
    /// The commands, in order.
    pub commands: Vec<Command>,
    /// Answers to updates; commands point to some of them.
    pub messages: Vec<Message>,
    /// The worker.
    pub identity: String,
    /// Sticky queue of the worker and how long a task may wait there, if it keeps the workflow in its cache.
    pub sticky: Option<(String, Nanos)>,
    /// Whether the worker wants another task at once (it heart-beats for local activities).
    pub force_new_task: bool,
    /// Whether the worker takes the next task, if there is one, with the answer to this one.
    pub takes_next_task: bool,
    /// Whether the worker can forget a speculative task even when other events came with it
    /// (`discard_speculative_workflow_task_with_events`).
    pub forgets_with_events: bool,
    /// Flags and SDK names.
    pub sdk_metadata: Option<WorkflowTaskCompletedMetadata>,
    /// Metering.
    pub metering_metadata: Option<MeteringMetadata>,
    /// What the workflow's code says of versions.
    pub versioning_behavior: VersioningBehavior,
    /// The version of the worker, if it has one.
    pub version: Option<WorkerDeploymentVersion>,
    /// Where the Nexus operations go that its commands schedule, in their order.
    pub operations: Vec<OperationTarget>,
}

/// What came of a completed task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskOutcome {
    /// Activities whose command asked for eager execution, by scheduled event.
    pub eager: Vec<i64>,
    /// Whether the task was speculative and has left no trace, so that the worker has to forget its events
    /// (`reset_history_event_id`).
    pub forgotten: bool,
}

/// Why commands were refused: the task fails with the cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// The cause for the history.
    pub cause: Cause,
    /// The reason for people.
    pub message: String,
}

impl Execution {
    /// Takes a completed workflow task.
    ///
    /// # Errors
    /// A command that cannot be carried out; nothing has changed then, and the caller fails the task with the cause.
    pub fn complete_workflow_task(
        &mut self,
        now: Nanos,
        task: CompletedTask,
        new_run_id: impl FnOnce() -> String,
    ) -> Result<TaskOutcome, CommandError> {
        let mut messages = protocol::decode(task.messages.clone())?;
        self.check_commands(now, &task.commands, &messages)?;
        if self.leaves_no_trace(&task, &messages) {
            self.info.workflow_task = None;
            self.close_attempted = false;
            self.take_sticky(task.sticky);
            self.take_rejections(&mut messages);
            self.reject_unprocessed_updates();
            self.schedule_task_for_updates(now, task.takes_next_task);
            return Ok(TaskOutcome { forgotten: true, ..TaskOutcome::default() });
        }
        let completed = self.record_task_completed(now, &task);
        self.take_sticky(task.sticky);
        self.take_rejections(&mut messages);
        let mut eager = Vec::new();
        let mut new_run_id = Some(new_run_id);
        let mut operations = task.operations.into_iter();
        for command in task.commands {
            let metadata = command.user_metadata.clone();
            match command.attributes {
                Some(C::ScheduleNexusOperationCommandAttributes(a)) => {
                    let target = operations.next().unwrap_or_default();
                    self.schedule_operation(now, completed, a, target, metadata);
                }
                Some(C::RequestCancelNexusOperationCommandAttributes(a)) => {
                    self.request_cancel_operation(now, completed, a.scheduled_event_id, metadata);
                }
                Some(C::ProtocolMessageCommandAttributes(a)) => {
                    if let Some(message) = protocol::take(&mut messages, &a.message_id) {
                        self.take_message(now, message);
                    }
                }
                _ => self.carry_out(now, completed, command, &task.identity, &mut eager, &mut new_run_id),
            }
        }
        if self.is_open() {
            for message in messages {
                self.take_message(now, message);
            }
            if !task.force_new_task {
                self.reject_unprocessed_updates();
            }
            let news = self.flush_buffered();
            // An activity that was cancelled before it began has already scheduled its own news.
            let unseen = self.has_news_since(completed);
            if news || unseen || task.force_new_task {
                self.schedule_workflow_task(now);
            } else {
                self.schedule_task_for_updates(now, task.takes_next_task);
            }
        }
        Ok(TaskOutcome { eager, forgotten: false })
    }

    #[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
    fn record_task_completed(&mut self, now: Nanos, task: &CompletedTask) -> i64 {
        self.settle_transient_task();
        let (scheduled_event_id, started_event_id) =
            self.info.workflow_task.as_ref().map_or((0, 0), |task| (task.scheduled_event_id, task.started_event_id));
        let attributes = WorkflowTaskCompletedEventAttributes {
            scheduled_event_id,
            started_event_id,
            identity: task.identity.clone(),
            sdk_metadata: task.sdk_metadata.clone(),
            metering_metadata: task.metering_metadata,
            versioning_behavior: task.versioning_behavior.into(),
            worker_deployment_name: task.version.as_ref().map(|v| v.deployment_name.clone()).unwrap_or_default(),
            worker_version: task
                .version
                .as_ref()
                .map(|v| WorkerVersionStamp { build_id: v.build_id.clone(), use_versioning: false }),
            deployment_version: task.version.clone(),
            ..Default::default()
        };
        self.record(now, Attributes::WorkflowTaskCompletedEventAttributes(attributes))
    }

    fn take_sticky(&mut self, sticky: Option<(String, Nanos)>) {
        let (queue, timeout) = sticky.unwrap_or_default();
        self.info.sticky_queue = queue;
        self.info.sticky_timeout = timeout;
    }

    /// Whether carrying out the commands has itself brought news for the workflow: an activity cancelled before it began.
    fn has_news_since(&self, completed: i64) -> bool {
        let cancelled = |event: &&_| {
            let event: &temporalio_common::protos::temporal::api::history::v1::HistoryEvent = event;
            event.event_id > completed
                && matches!(event.attributes, Some(Attributes::ActivityTaskCanceledEventAttributes(_)))
        };
        self.changes.events.iter().any(|event| cancelled(&event))
    }

    #[allow(clippy::too_many_arguments, reason = "one command's whole context")]
    fn carry_out(
        &mut self,
        now: Nanos,
        completed: i64,
        command: Command,
        identity: &str,
        eager: &mut Vec<i64>,
        new_run_id: &mut Option<impl FnOnce() -> String>,
    ) {
        let metadata = command.user_metadata;
        match command.attributes {
            Some(C::ScheduleActivityTaskCommandAttributes(a)) => {
                let id = self.schedule_activity(now, completed, &a, metadata);
                if a.request_eager_execution
                    && self.activities.get(&id).is_some_and(|x| x.task_queue() == self.task_queue())
                {
                    eager.push(id);
                }
            }
            Some(C::RequestCancelActivityTaskCommandAttributes(a)) => {
                self.request_cancel_activity(now, completed, a.scheduled_event_id, identity);
            }
            Some(C::StartTimerCommandAttributes(a)) => self.start_timer(now, completed, &a, metadata),
            Some(C::CancelTimerCommandAttributes(a)) => self.cancel_timer(now, completed, &a.timer_id, identity),
            Some(C::CompleteWorkflowExecutionCommandAttributes(a)) => {
                let new_run_id = || new_run_id.take().map(|new| new()).unwrap_or_default();
                self.complete(now, completed, a.result, new_run_id);
            }
            Some(C::FailWorkflowExecutionCommandAttributes(a)) => {
                let new_run_id = || new_run_id.take().map(|new| new()).unwrap_or_default();
                self.fail(now, completed, a.failure, new_run_id);
            }
            Some(C::CancelWorkflowExecutionCommandAttributes(a)) => self.cancel(now, completed, a.details),
            Some(C::ContinueAsNewWorkflowExecutionCommandAttributes(a)) => {
                if let Some(new_run_id) = new_run_id.take() {
                    self.continue_as_new(now, completed, a, new_run_id());
                }
            }
            Some(C::RecordMarkerCommandAttributes(a)) => {
                let attributes = MarkerRecordedEventAttributes {
                    marker_name: a.marker_name,
                    details: a.details,
                    workflow_task_completed_event_id: completed,
                    header: a.header,
                    failure: a.failure,
                };
                self.record_with(now, Attributes::MarkerRecordedEventAttributes(attributes), metadata);
            }
            Some(C::StartChildWorkflowExecutionCommandAttributes(a)) => {
                self.initiate_child(now, completed, a, metadata);
            }
            Some(C::SignalExternalWorkflowExecutionCommandAttributes(a)) => {
                self.initiate_signal(now, completed, a, metadata);
            }
            Some(C::RequestCancelExternalWorkflowExecutionCommandAttributes(a)) => {
                self.initiate_cancel(now, completed, a, metadata);
            }
            Some(C::UpsertWorkflowSearchAttributesCommandAttributes(a)) => {
                let attributes = UpsertWorkflowSearchAttributesEventAttributes {
                    workflow_task_completed_event_id: completed,
                    search_attributes: a.search_attributes,
                };
                self.record(now, Attributes::UpsertWorkflowSearchAttributesEventAttributes(attributes));
            }
            Some(C::ModifyWorkflowPropertiesCommandAttributes(a)) => {
                let attributes = WorkflowPropertiesModifiedEventAttributes {
                    workflow_task_completed_event_id: completed,
                    upserted_memo: a.upserted_memo,
                };
                self.record(now, Attributes::WorkflowPropertiesModifiedEventAttributes(attributes));
            }
            // Carried out by the caller.
            Some(
                C::ProtocolMessageCommandAttributes(_)
                | C::ScheduleNexusOperationCommandAttributes(_)
                | C::RequestCancelNexusOperationCommandAttributes(_),
            )
            | None => {}
        }
    }
}
