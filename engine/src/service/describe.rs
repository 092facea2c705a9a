//! One execution, described.

use temporalio_common::protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    enums::v1::{PendingActivityState, PendingWorkflowTaskState, TaskQueueKind},
    taskqueue::v1::TaskQueue,
    workflow::v1::{
        PendingActivityInfo, PendingChildExecutionInfo, PendingWorkflowTaskInfo, WorkflowExecutionConfig,
        WorkflowExecutionExtendedInfo, WorkflowExecutionInfo, WorkflowExecutionPauseInfo,
        pending_activity_info::{
            PauseInfo,
            pause_info::{Manual, PausedBy},
        },
    },
    workflowservice::v1::{DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse},
};
use tonic::Status;

use super::{
    Service, execution,
    nexus::describe::{callbacks, pending_operations},
    search_attributes::{of_run, shown},
};
use crate::{
    core::{Core, closed_info},
    history::{
        Execution,
        state::{ActivityPause, ExecutionInfo, PendingActivity, PendingChild, WorkflowTask},
        time::{deadline, duration, from_duration, timestamp},
    },
};

impl Service {
    pub(super) async fn describe_workflow_execution(
        &self,
        request: DescribeWorkflowExecutionRequest,
    ) -> Result<DescribeWorkflowExecutionResponse, Status> {
        let target = execution(request.execution)?;
        self.core
            .call(move |core, reply| {
                let answer = core
                    .require_namespace(&request.namespace)
                    .and_then(|()| core.find(&request.namespace, &target))
                    .and_then(|found| describe(core, found.key))
                    .map(|answer| with_known_attributes(core, &request.namespace, answer));
                core.reply(reply, answer);
            })
            .await
    }
}

/// Without the search attributes that the namespace does not have (any more).
fn with_known_attributes(
    core: &Core,
    namespace: &str,
    mut answer: DescribeWorkflowExecutionResponse,
) -> DescribeWorkflowExecutionResponse {
    if let Some(info) = answer.workflow_execution_info.as_mut() {
        info.search_attributes = info.search_attributes.take().map(|given| shown(given, &core.schema(namespace)));
    }
    answer
}

fn describe(core: &Core, key: i64) -> Result<DescribeWorkflowExecutionResponse, Status> {
    let Some(live) = core.live.get(&key) else {
        let info = closed_info(core, key)?;
        return Ok(DescribeWorkflowExecutionResponse {
            execution_config: Some(config(&info)),
            workflow_execution_info: Some(summary(&info)),
            workflow_extended_info: Some(extended(&info)),
            callbacks: callbacks(&info),
            ..Default::default()
        });
    };
    let execution = &live.execution;
    Ok(DescribeWorkflowExecutionResponse {
        execution_config: Some(config(&execution.info)),
        workflow_execution_info: Some(summary(&execution.info)),
        pending_activities: pending_activities(execution),
        pending_children: execution.children.values().map(pending_child).collect(),
        pending_workflow_task: execution.info.workflow_task.as_ref().map(pending_task),
        workflow_extended_info: Some(extended(&execution.info)),
        pending_nexus_operations: pending_operations(execution),
        callbacks: callbacks(&execution.info),
    })
}

fn config(info: &ExecutionInfo) -> WorkflowExecutionConfig {
    let started = info.started.clone().unwrap_or_default();
    WorkflowExecutionConfig {
        task_queue: started.task_queue.map(|queue| TaskQueue { kind: TaskQueueKind::Normal.into(), ..queue }),
        workflow_execution_timeout: started.workflow_execution_timeout,
        workflow_run_timeout: started.workflow_run_timeout,
        default_workflow_task_timeout: started.workflow_task_timeout,
        user_metadata: info.user_metadata.clone(),
    }
}

fn summary(info: &ExecutionInfo) -> WorkflowExecutionInfo {
    let started = info.started.clone().unwrap_or_default();
    let closed = info.close_time != 0;
    let own = WorkflowExecution { workflow_id: info.workflow_id.clone(), run_id: info.run_id.clone() };
    WorkflowExecutionInfo {
        execution: Some(own.clone()),
        r#type: Some(WorkflowType { name: started.workflow_type.map(|kind| kind.name).unwrap_or_default() }),
        start_time: timestamp(info.start_time),
        close_time: timestamp(info.close_time),
        status: info.status,
        history_length: info.next_event_id - 1,
        parent_namespace_id: started.parent_workflow_namespace_id,
        parent_execution: started.parent_workflow_execution,
        execution_time: timestamp(info.execution_time),
        memo: Some(info.memo.clone().unwrap_or_default()),
        search_attributes: Some(of_run(info).unwrap_or_default()),
        task_queue: started.task_queue.map(|queue| queue.name).unwrap_or_default(),
        state_transition_count: info.state_transitions,
        history_size_bytes: info.history_size,
        execution_duration: closed.then(|| duration(info.close_time - info.execution_time)).flatten(),
        root_execution: Some(started.root_workflow_execution.unwrap_or(own)),
        first_run_id: started.first_execution_run_id,
        priority: started.priority,
        worker_deployment_name: info.last_version().map(|version| version.deployment).unwrap_or_default(),
        versioning_info: info.versioning.clone(),
        ..Default::default()
    }
}

fn extended(info: &ExecutionInfo) -> WorkflowExecutionExtendedInfo {
    WorkflowExecutionExtendedInfo {
        execution_expiration_time: timestamp(info.execution_expiration),
        run_expiration_time: timestamp(info.run_expiration),
        cancel_requested: info.cancel_requested,
        last_reset_time: timestamp(info.reset_time),
        original_start_time: timestamp(if info.original_start_time == 0 {
            info.start_time
        } else {
            info.original_start_time
        }),
        reset_run_id: info.reset_run_id.clone(),
        pause_info: info.pause.as_ref().map(|pause| WorkflowExecutionPauseInfo {
            identity: pause.identity.clone(),
            paused_time: timestamp(pause.time),
            reason: pause.reason.clone(),
        }),
        ..Default::default()
    }
}

fn pending_activities(execution: &Execution) -> Vec<PendingActivityInfo> {
    execution.activities.values().map(|activity| pending_activity(activity)).collect()
}

/// Who has paused an activity. There are no rules here that could have.
fn pause_info(pause: &ActivityPause) -> PauseInfo {
    let manual = Manual { identity: pause.identity.clone(), reason: pause.reason.clone() };
    PauseInfo { pause_time: timestamp(pause.time), paused_by: Some(PausedBy::Manual(manual)) }
}

fn pending_activity(activity: &PendingActivity) -> PendingActivityInfo {
    let mut options = activity.options();
    if let Some(queue) = options.task_queue.as_mut() {
        queue.normal_name.clone_from(&queue.name);
    }
    if let Some(policy) = options.retry_policy.as_mut() {
        policy.non_retryable_error_types.clear();
    }
    let scheduled = activity.scheduled.clone().unwrap_or_default();
    let state = match (activity.cancel_requested_event_id != 0, activity.is_started(), activity.is_paused()) {
        (true, ..) => PendingActivityState::CancelRequested,
        (false, true, true) => PendingActivityState::PauseRequested,
        (false, true, false) => PendingActivityState::Started,
        (false, false, true) => PendingActivityState::Paused,
        (false, false, false) => PendingActivityState::Scheduled,
    };
    let retries = activity.backing_off && !activity.is_paused();
    let limit = from_duration(scheduled.schedule_to_close_timeout.as_ref());
    let retry_interval = activity.attempt_scheduled_time - activity.last_attempt_complete_time;
    PendingActivityInfo {
        activity_id: scheduled.activity_id,
        activity_type: scheduled.activity_type,
        state: state.into(),
        heartbeat_details: activity.heartbeat_details.clone(),
        last_heartbeat_time: timestamp(activity.last_heartbeat_time),
        last_started_time: timestamp(activity.started_time),
        attempt: activity.attempt,
        maximum_attempts: scheduled.retry_policy.as_ref().map_or(0, |policy| policy.maximum_attempts),
        scheduled_time: timestamp(activity.attempt_scheduled_time),
        expiration_time: timestamp(deadline(activity.scheduled_time, limit)),
        last_failure: activity.last_failure.clone(),
        last_worker_identity: activity.identity.clone(),
        current_retry_interval: retries.then(|| duration(retry_interval)).flatten(),
        last_attempt_complete_time: timestamp(activity.last_attempt_complete_time),
        next_attempt_schedule_time: retries.then(|| timestamp(activity.attempt_scheduled_time)).flatten(),
        priority: scheduled.priority,
        paused: activity.is_paused(),
        pause_info: activity.pause.as_ref().map(pause_info),
        activity_options: Some(options),
        ..Default::default()
    }
}

fn pending_child(child: &PendingChild) -> PendingChildExecutionInfo {
    PendingChildExecutionInfo {
        workflow_id: child.workflow_id.clone(),
        run_id: child.run_id.clone(),
        workflow_type_name: child.workflow_type.clone(),
        initiated_id: child.initiated_event_id,
        parent_close_policy: child.parent_close_policy,
    }
}

fn pending_task(task: &WorkflowTask) -> PendingWorkflowTaskInfo {
    let state = if task.started_event_id == 0 {
        PendingWorkflowTaskState::Scheduled
    } else {
        PendingWorkflowTaskState::Started
    };
    PendingWorkflowTaskInfo {
        state: state.into(),
        scheduled_time: timestamp(task.scheduled_time),
        original_scheduled_time: timestamp(task.original_scheduled_time),
        started_time: timestamp(task.started_time),
        attempt: task.attempt,
    }
}
