//! A client and a worker by hand: one request each.

use std::time::Duration;

use prost_wkt_types::Duration as Proto;
use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command, CompleteWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes,
        ScheduleActivityTaskCommandAttributes, StartTimerCommandAttributes, command::Attributes,
    },
    common::v1::{ActivityType, Payload, Payloads, RetryPolicy, WorkflowExecution, WorkflowType},
    enums::v1::{CommandType, TaskQueueKind},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::HistoryEvent,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::{
        DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse, GetWorkflowExecutionHistoryRequest,
        GetWorkflowExecutionHistoryResponse, PollActivityTaskQueueRequest, PollActivityTaskQueueResponse,
        PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse, RespondActivityTaskFailedRequest,
        RespondActivityTaskFailedResponse, RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse,
        RespondWorkflowTaskFailedRequest, RespondWorkflowTaskFailedResponse, SignalWorkflowExecutionRequest,
        SignalWorkflowExecutionResponse, StartWorkflowExecutionRequest, StartWorkflowExecutionResponse,
        TerminateWorkflowExecutionRequest, TerminateWorkflowExecutionResponse,
    },
};
use tonic::Status;

use crate::home::{Home, NAMESPACE};

/// Long enough for everything that does not wait for its time, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A length in seconds.
pub(crate) fn seconds(seconds: i64) -> Option<Proto> {
    Some(Proto { seconds, nanos: 0 })
}

/// A queue by name.
pub(crate) fn queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue { name: name.into(), kind: TaskQueueKind::Normal.into(), ..Default::default() })
}

/// The current run of `id`.
pub(crate) fn execution(id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: id.into(), run_id: String::new() })
}

/// One payload.
pub(crate) fn payloads(data: &[u8]) -> Option<Payloads> {
    Some(Payloads { payloads: vec![Payload { data: data.to_vec(), ..Default::default() }] })
}

/// A start of `id`, with a queue of the same name.
pub(crate) fn start(id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: "by hand".into() }),
        task_queue: queue(id),
        request_id: uuid::Uuid::now_v7().to_string(),
        identity: "client".into(),
        ..Default::default()
    }
}

/// A signal to `id`.
pub(crate) fn signal(id: &str, name: &str) -> SignalWorkflowExecutionRequest {
    SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: execution(id),
        signal_name: name.into(),
        request_id: uuid::Uuid::now_v7().to_string(),
        ..Default::default()
    }
}

/// The command that schedules an activity, on the queue of that name.
pub(crate) fn activity(attributes: ScheduleActivityTaskCommandAttributes, queue_name: &str) -> Command {
    command(Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
        activity_id: "deed".into(),
        activity_type: Some(ActivityType { name: "deed".into() }),
        task_queue: queue(queue_name),
        ..attributes
    }))
}

/// A policy of so many attempts, a second apart.
pub(crate) fn attempts(maximum_attempts: i32) -> Option<RetryPolicy> {
    Some(RetryPolicy { initial_interval: seconds(1), backoff_coefficient: 1.0, maximum_attempts, ..Default::default() })
}

/// The command that starts a timer.
pub(crate) fn timer(id: &str, length: i64) -> Command {
    command(Attributes::StartTimerCommandAttributes(StartTimerCommandAttributes {
        timer_id: id.into(),
        start_to_fire_timeout: seconds(length),
    }))
}

/// The command that completes the workflow.
pub(crate) fn complete() -> Command {
    command(Attributes::CompleteWorkflowExecutionCommandAttributes(
        CompleteWorkflowExecutionCommandAttributes::default(),
    ))
}

/// A command with these attributes.
pub(crate) fn command(attributes: Attributes) -> Command {
    let command_type = match &attributes {
        Attributes::ScheduleActivityTaskCommandAttributes(_) => CommandType::ScheduleActivityTask,
        Attributes::StartTimerCommandAttributes(_) => CommandType::StartTimer,
        Attributes::CompleteWorkflowExecutionCommandAttributes(_) => CommandType::CompleteWorkflowExecution,
        Attributes::FailWorkflowExecutionCommandAttributes(_) => CommandType::FailWorkflowExecution,
        Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(_) => CommandType::ContinueAsNewWorkflowExecution,
        Attributes::StartChildWorkflowExecutionCommandAttributes(_) => CommandType::StartChildWorkflowExecution,
        Attributes::ProtocolMessageCommandAttributes(_) => CommandType::ProtocolMessage,
        Attributes::UpsertWorkflowSearchAttributesCommandAttributes(_) => CommandType::UpsertWorkflowSearchAttributes,
        Attributes::SignalExternalWorkflowExecutionCommandAttributes(_) => CommandType::SignalExternalWorkflowExecution,
        Attributes::RecordMarkerCommandAttributes(_) => CommandType::RecordMarker,
        Attributes::ScheduleNexusOperationCommandAttributes(_) => CommandType::ScheduleNexusOperation,
        Attributes::RequestCancelNexusOperationCommandAttributes(_) => CommandType::RequestCancelNexusOperation,
        other => panic!("no test needs {other:?}"),
    };
    Command { command_type: command_type.into(), attributes: Some(attributes), ..Default::default() }
}

/// The command that completes the workflow with a result.
pub(crate) fn complete_with(result: &[u8]) -> Command {
    command(Attributes::CompleteWorkflowExecutionCommandAttributes(CompleteWorkflowExecutionCommandAttributes {
        result: payloads(result),
    }))
}

/// The command that fails the workflow, with an error of that type.
pub(crate) fn fail(kind: &str) -> Command {
    let mut failure = failure("boom");
    if let Some(FailureInfo::ApplicationFailureInfo(info)) = failure.as_mut().and_then(|f| f.failure_info.as_mut()) {
        kind.clone_into(&mut info.r#type);
    }
    command(Attributes::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes { failure }))
}

/// A failure of an attempt.
pub(crate) fn failure(message: &str) -> Option<Failure> {
    Some(Failure {
        message: message.into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo::default())),
        ..Default::default()
    })
}

/// Whether something was done, or in which words it was refused.
pub(crate) fn told<T>(answer: Result<T, Status>) -> String {
    answer.map_or_else(|status| format!("{:?}: {}", status.code(), status.message()), |_| "ok".to_owned())
}

impl Home {
    pub(crate) async fn start(&self, id: &str) -> String {
        self.try_start(start(id)).await.unwrap().run_id
    }

    pub(crate) async fn try_start(
        &self,
        request: StartWorkflowExecutionRequest,
    ) -> Result<StartWorkflowExecutionResponse, Status> {
        self.call("StartWorkflowExecution", request).await
    }

    pub(crate) async fn signal(&self, id: &str, name: &str) -> Result<(), Status> {
        let answer: Result<SignalWorkflowExecutionResponse, _> =
            self.call("SignalWorkflowExecution", signal(id, name)).await;
        answer.map(drop)
    }

    pub(crate) async fn terminate(&self, id: &str) -> Result<(), Status> {
        let request = TerminateWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: execution(id),
            ..Default::default()
        };
        let answer: Result<TerminateWorkflowExecutionResponse, _> =
            self.call("TerminateWorkflowExecution", request).await;
        answer.map(drop)
    }

    pub(crate) async fn describe(&self, id: &str) -> DescribeWorkflowExecutionResponse {
        let request = DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: execution(id) };
        self.call("DescribeWorkflowExecution", request).await.unwrap()
    }

    /// The next workflow task of a queue; the test fails when there is none in time.
    pub(crate) async fn workflow_task(&self, queue_name: &str) -> PollWorkflowTaskQueueResponse {
        let task = tokio::time::timeout(SOON, self.poll_workflow(queue_name)).await;
        task.unwrap_or_else(|_| panic!("no workflow task comes on {queue_name}")).unwrap()
    }

    pub(crate) async fn poll_workflow(&self, queue_name: &str) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let request = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: queue(queue_name),
            identity: "worker".into(),
            ..Default::default()
        };
        self.call("PollWorkflowTaskQueue", request).await
    }

    /// The next activity task of a queue; the test fails when there is none in time.
    pub(crate) async fn activity_task(&self, queue_name: &str) -> PollActivityTaskQueueResponse {
        let task = tokio::time::timeout(SOON, self.poll_activity(queue_name)).await;
        task.unwrap_or_else(|_| panic!("no activity task comes on {queue_name}")).unwrap()
    }

    pub(crate) async fn poll_activity(&self, queue_name: &str) -> Result<PollActivityTaskQueueResponse, Status> {
        let request = PollActivityTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: queue(queue_name),
            identity: "worker".into(),
            ..Default::default()
        };
        self.call("PollActivityTaskQueue", request).await
    }

    pub(crate) async fn complete(&self, task_token: Vec<u8>, commands: Vec<Command>) -> Result<(), Status> {
        self.complete_on(task_token, commands, None).await
    }

    /// Completes a workflow task, with the sticky queue of that name.
    pub(crate) async fn complete_on(
        &self,
        task_token: Vec<u8>,
        commands: Vec<Command>,
        sticky: Option<&str>,
    ) -> Result<(), Status> {
        let sticky_attributes = sticky.map(|name| StickyExecutionAttributes {
            worker_task_queue: Some(TaskQueue {
                name: name.into(),
                kind: TaskQueueKind::Sticky.into(),
                ..Default::default()
            }),
            schedule_to_start_timeout: seconds(2),
        });
        let request = RespondWorkflowTaskCompletedRequest {
            task_token,
            commands,
            sticky_attributes,
            identity: "worker".into(),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        let answer: Result<RespondWorkflowTaskCompletedResponse, _> =
            self.call("RespondWorkflowTaskCompleted", request).await;
        answer.map(drop)
    }

    pub(crate) async fn fail_task(&self, task_token: Vec<u8>) -> Result<(), Status> {
        let request = RespondWorkflowTaskFailedRequest {
            task_token,
            failure: failure("cannot"),
            identity: "worker".into(),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        let answer: Result<RespondWorkflowTaskFailedResponse, _> =
            self.call("RespondWorkflowTaskFailed", request).await;
        answer.map(drop)
    }

    pub(crate) async fn fail_activity(&self, task_token: Vec<u8>, message: &str) -> Result<(), Status> {
        let request = RespondActivityTaskFailedRequest {
            task_token,
            failure: failure(message),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        let answer: Result<RespondActivityTaskFailedResponse, _> =
            self.call("RespondActivityTaskFailed", request).await;
        answer.map(drop)
    }

    /// One page of a history.
    pub(crate) async fn page(
        &self,
        id: &str,
        maximum_page_size: i32,
        wait_new_event: bool,
        next_page_token: Vec<u8>,
    ) -> Result<GetWorkflowExecutionHistoryResponse, Status> {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.into(),
            execution: execution(id),
            maximum_page_size,
            wait_new_event,
            next_page_token,
            ..Default::default()
        };
        self.call("GetWorkflowExecutionHistory", request).await
    }

    /// The whole history of a run that is not being changed.
    pub(crate) async fn history(&self, id: &str) -> Vec<HistoryEvent> {
        let (mut events, mut token) = (Vec::new(), Vec::new());
        loop {
            let page = self.page(id, 100, false, token).await.unwrap();
            events.extend(page.history.unwrap_or_default().events);
            token = page.next_page_token;
            if token.is_empty() {
                return events;
            }
        }
    }

    /// Names of the first events of one run.
    pub(crate) async fn names_of_run(&self, id: &str, run_id: &str) -> Vec<&'static str> {
        self.history_of(id, run_id).await.iter().map(name).collect()
    }

    /// The first page of one run's history; of the current one with an empty run id.
    pub(crate) async fn history_of(&self, id: &str, run_id: &str) -> Vec<HistoryEvent> {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.into(),
            execution: Some(WorkflowExecution { workflow_id: id.into(), run_id: run_id.into() }),
            ..Default::default()
        };
        let page: GetWorkflowExecutionHistoryResponse =
            self.call("GetWorkflowExecutionHistory", request).await.unwrap();
        page.history.unwrap_or_default().events
    }

    /// Names of the events of a history.
    pub(crate) async fn names(&self, id: &str) -> Vec<&'static str> {
        self.history(id).await.iter().map(name).collect()
    }
}

/// Name of an event's type.
pub(crate) fn name(event: &HistoryEvent) -> &'static str {
    event.event_type().as_str_name().trim_start_matches("EVENT_TYPE_")
}

/// The result of something that must not take long.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("it does not take long")
}
