//! The run that follows a closed one: by the workflow's wish (continue as new), by its retry policy, by its cron schedule.
//!
//! | run | retries left | cron schedule | next run |
//! |---|---|---|---|
//! | continues as new | | | what the command says |
//! | completed | | yes | at the next time of the schedule |
//! | failed or its run timed out | yes | | after the policy's interval, one attempt more |
//! | failed or its run timed out | no | yes | at the next time of the schedule |
//! | cancelled, terminated, its execution timed out | | | none |

use temporalio_common::protos::temporal::api::{
    command::v1::ContinueAsNewWorkflowExecutionCommandAttributes,
    common::v1::{Payloads, WorkflowType},
    enums::v1::{ContinueAsNewInitiator as Initiator, RetryState, TaskQueueKind, TimeoutType},
    failure::v1::{Failure, TimeoutFailureInfo, failure::FailureInfo},
    history::v1::{
        WorkflowExecutionContinuedAsNewEventAttributes, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    taskqueue::v1::TaskQueue,
};

use super::{
    Execution,
    retry_policy::{backoff_after, complete_policy},
    state::Effect,
    time::{Nanos, duration, from_duration},
};
use crate::cron;

/// Shortest time from the beginning of a run to that of the next (`history.workflowIdReuseMinimalInterval`): a loop of empty runs
/// is slowed down to one a second.
const MIN_INTERVAL: Nanos = 1_000_000_000;

/// Why and when a run follows by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follow {
    initiator: Initiator,
    backoff: Nanos,
}

/// What a run leaves to the one that follows it by itself.
#[derive(Debug, Clone)]
pub(super) enum Left {
    /// Its result, which may be none.
    Result(Option<Payloads>),
    /// Its failure, besides the last result before it.
    Failure(Option<Box<Failure>>),
}

/// The failure of a run that has timed out, for the run after it.
pub(super) fn run_timeout_failure() -> Failure {
    Failure {
        message: "workflow timeout".to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: TimeoutType::StartToClose.into(),
            last_heartbeat_details: None,
        })),
        ..Default::default()
    }
}

impl Execution {
    /// What follows a failure: another attempt, or why there is none, and the schedule's next run then.
    pub(super) fn after_failure(&self, now: Nanos, failure: Option<&Failure>) -> (RetryState, Option<Follow>) {
        match self.retry_backoff(now, failure) {
            Ok(backoff) => (RetryState::InProgress, Some(Follow { initiator: Initiator::Retry, backoff })),
            Err(state) => (state, self.next_scheduled(now)),
        }
    }

    /// How long to wait before another attempt, or why there is none (`GetRetryBackoffDuration`).
    fn retry_backoff(&self, now: Nanos, failure: Option<&Failure>) -> Result<Nanos, RetryState> {
        let started = self.info.started.as_ref();
        let policy = started.and_then(|s| s.retry_policy.as_ref()).ok_or(RetryState::RetryPolicyNotSet)?;
        let attempt = started.map_or(1, |s| s.attempt);
        backoff_after(policy, attempt, now, self.info.execution_expiration, failure)
    }

    /// The schedule's next run, if there is a schedule (`GetCronBackoffDuration`).
    pub(super) fn next_scheduled(&self, now: Nanos) -> Option<Follow> {
        let schedule = self.info.started.as_ref().map_or("", |s| s.cron_schedule.as_str());
        let backoff = cron::backoff(schedule, self.info.execution_time, now)?;
        Some(Follow { initiator: Initiator::CronSchedule, backoff })
    }

    /// Has the next run started with this one's input, if there is to be one; answers its run id, empty for none.
    /// (`SetupNewWorkflowForRetryOrCron`: memo and search attributes are those of this run's start.)
    pub(super) fn follow(
        &mut self,
        now: Nanos,
        follow: Option<Follow>,
        left: Left,
        new_run_id: impl FnOnce() -> String,
    ) -> String {
        let (Some(Follow { initiator, backoff }), Some(previous)) = (follow, self.info.started.clone()) else {
            return String::new();
        };
        let new_run_id = new_run_id();
        let (last_completion_result, continued_failure) = match left {
            Left::Result(result) => (result, None),
            Left::Failure(failure) => (previous.last_completion_result, failure.map(|failure| *failure)),
        };
        let started = WorkflowExecutionStartedEventAttributes {
            continued_execution_run_id: self.info.run_id.clone(),
            initiator: initiator.into(),
            original_execution_run_id: new_run_id.clone(),
            attempt: if initiator == Initiator::Retry { previous.attempt + 1 } else { 1 },
            continued_failure,
            last_completion_result,
            first_workflow_task_backoff: duration(self.min_backoff(now, backoff)),
            identity: String::new(),
            ..previous
        };
        self.changes.effects.push(Effect::RunAgain { started: Box::new(started) });
        new_run_id
    }

    /// The wait before the next run, and at least what its shortest interval asks for (`ContinueAsNewMinBackoff`).
    fn min_backoff(&self, now: Nanos, asked: Nanos) -> Nanos {
        let lived = now.saturating_sub(self.info.execution_time);
        asked.max(MIN_INTERVAL.saturating_sub(lived)).max(0)
    }

    #[allow(deprecated, reason = "the field is deprecated for SDKs, and still written by the server")]
    pub(super) fn continue_as_new(
        &mut self,
        now: Nanos,
        completed: i64,
        command: ContinueAsNewWorkflowExecutionCommandAttributes,
        new_run_id: String,
    ) {
        let started = self.continued(now, &command, &new_run_id);
        let attributes = WorkflowExecutionContinuedAsNewEventAttributes {
            new_execution_run_id: new_run_id,
            workflow_type: started.workflow_type.clone(),
            task_queue: started.task_queue.clone(),
            input: started.input.clone(),
            workflow_run_timeout: started.workflow_run_timeout,
            workflow_task_timeout: started.workflow_task_timeout,
            workflow_task_completed_event_id: completed,
            backoff_start_interval: started.first_workflow_task_backoff,
            initiator: command.initiator,
            inherit_build_id: command.inherit_build_id,
            failure: command.failure,
            last_completion_result: command.last_completion_result,
            header: started.header.clone(),
            memo: started.memo.clone(),
            search_attributes: started.search_attributes.clone(),
            ..Default::default()
        };
        self.changes.effects.push(Effect::ContinueAsNew { started: Box::new(started) });
        self.close(now, Attributes::WorkflowExecutionContinuedAsNewEventAttributes(attributes));
    }

    /// Start attributes of the run that continues this one: what the command names, the rest inherited; but for the retry policy
    /// and the schedule, which the command gives or the next run does not have.
    fn continued(
        &self,
        now: Nanos,
        command: &ContinueAsNewWorkflowExecutionCommandAttributes,
        new_run_id: &str,
    ) -> WorkflowExecutionStartedEventAttributes {
        let previous = self.info.started.clone().unwrap_or_default();
        let kind = command.workflow_type.clone().filter(|kind| !kind.name.is_empty());
        let queue = command.task_queue.as_ref().map(|queue| queue.name.clone()).filter(|name| !name.is_empty());
        let run = from_duration(command.workflow_run_timeout.as_ref());
        let task = from_duration(command.workflow_task_timeout.as_ref());
        let backoff = self.min_backoff(now, from_duration(command.backoff_start_interval.as_ref()));
        let same_queue = queue.as_ref().is_none_or(|queue| queue == self.task_queue());
        let (inherited_pinned_version, versioning_override) = self.info.inherited_version();
        let initiator = match command.initiator() {
            Initiator::Unspecified => Initiator::Workflow,
            given => given,
        };
        WorkflowExecutionStartedEventAttributes {
            workflow_type: kind.or(previous.workflow_type).or(Some(WorkflowType::default())),
            task_queue: Some(TaskQueue {
                name: queue.unwrap_or_else(|| self.task_queue().to_owned()),
                kind: TaskQueueKind::Normal.into(),
                normal_name: String::new(),
            }),
            input: command.input.clone(),
            header: command.header.clone(),
            workflow_run_timeout: duration(if run == 0 {
                from_duration(previous.workflow_run_timeout.as_ref())
            } else {
                run
            }),
            workflow_task_timeout: if task == 0 { previous.workflow_task_timeout } else { duration(task) },
            continued_execution_run_id: self.info.run_id.clone(),
            initiator: initiator.into(),
            original_execution_run_id: new_run_id.to_owned(),
            attempt: if initiator == Initiator::Retry { previous.attempt + 1 } else { 1 },
            retry_policy: command.retry_policy.as_ref().map(|policy| complete_policy(Some(policy))),
            cron_schedule: command.cron_schedule.clone(),
            continued_failure: command.failure.clone(),
            // One that is not asked for and not needed is not written out.
            first_workflow_task_backoff: if backoff == 0 { command.backoff_start_interval } else { duration(backoff) },
            memo: command.memo.clone().or_else(|| self.info.memo.clone()),
            versioning_override,
            // Workers of a version may know nothing of other queues.
            inherited_pinned_version: inherited_pinned_version.filter(|_| same_queue),
            // Not inherited: SDKs name those that go on.
            search_attributes: command.search_attributes.clone(),
            identity: String::new(),
            last_completion_result: command.last_completion_result.clone(),
            ..previous
        }
    }
}
