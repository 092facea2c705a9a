//! Nexus operations by hand, on a clock that the test moves: the process dies at any moment, workflows end before they are said to
//! have begun, runs are reset, endpoints go away.

use std::time::Duration;

use dixmgr_engine::inspect;
use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command, RequestCancelNexusOperationCommandAttributes, ScheduleNexusOperationCommandAttributes,
        command::Attributes as C,
    },
    common::v1::{Callback, callback},
    enums::v1::{CallbackState, NexusOperationCancellationState, PendingNexusOperationState},
    failure::v1::{Failure, NexusHandlerFailureInfo, failure::FailureInfo},
    history::v1::{HistoryEvent, history_event::Attributes},
    nexus::v1::{
        Endpoint, EndpointSpec, EndpointTarget, Response, StartOperationRequest, StartOperationResponse,
        endpoint_target::{Variant, Worker},
        request, response,
        start_operation_response::{Async, Variant as Started},
    },
    operatorservice::v1::{
        CreateNexusEndpointRequest, CreateNexusEndpointResponse, DeleteNexusEndpointRequest,
        DeleteNexusEndpointResponse,
    },
    workflow::v1::PendingNexusOperationInfo,
    workflowservice::v1::{
        PollNexusTaskQueueRequest, PollNexusTaskQueueResponse, ResetWorkflowExecutionRequest,
        ResetWorkflowExecutionResponse, RespondNexusTaskCompletedRequest, RespondNexusTaskCompletedResponse,
        RespondNexusTaskFailedRequest, RespondNexusTaskFailedResponse, StartWorkflowExecutionRequest,
        StartWorkflowExecutionResponse,
    },
};
use tonic::{Code, Status};

use crate::{
    hand::{command, complete_with, execution, queue, seconds, soon, start},
    home::{Home, NAMESPACE},
};

const HANDLERS: &str = "handlers";
const TOKEN: &str = "nexus-operation-token";

/// The command that schedules an operation.
fn call(limits: ScheduleNexusOperationCommandAttributes) -> Command {
    command(C::ScheduleNexusOperationCommandAttributes(ScheduleNexusOperationCommandAttributes {
        endpoint: "endpoint".into(),
        service: "service".into(),
        operation: "operation".into(),
        ..limits
    }))
}

impl Home {
    async fn endpoint(&self) -> Endpoint {
        let worker = Worker { namespace: NAMESPACE.into(), task_queue: HANDLERS.into() };
        let target = Some(EndpointTarget { variant: Some(Variant::Worker(worker)) });
        let spec = Some(EndpointSpec { name: "endpoint".into(), target, ..Default::default() });
        let made: CreateNexusEndpointResponse =
            self.operate("CreateNexusEndpoint", CreateNexusEndpointRequest { spec }).await.unwrap();
        made.endpoint.unwrap()
    }

    /// A workflow that has scheduled an operation.
    async fn caller(&self, id: &str, limits: ScheduleNexusOperationCommandAttributes) {
        self.start(id).await;
        let task = self.workflow_task(id).await;
        self.complete(task.task_token, vec![call(limits)]).await.unwrap();
    }

    /// The next request to a handler.
    async fn nexus_task(&self) -> PollNexusTaskQueueResponse {
        let request = PollNexusTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: queue(HANDLERS),
            ..Default::default()
        };
        soon(self.call("PollNexusTaskQueue", request)).await.unwrap()
    }

    async fn say_started(&self, task: &PollNexusTaskQueueResponse) -> Result<(), Status> {
        let started = Async { operation_token: "token".into(), ..Default::default() };
        let started = StartOperationResponse { variant: Some(Started::AsyncSuccess(started)) };
        let request = RespondNexusTaskCompletedRequest {
            namespace: NAMESPACE.into(),
            task_token: task.task_token.clone(),
            response: Some(Response { variant: Some(response::Variant::StartOperation(started)) }),
            ..Default::default()
        };
        self.call::<_, RespondNexusTaskCompletedResponse>("RespondNexusTaskCompleted", request).await.map(drop)
    }

    async fn say_failed(&self, task: &PollNexusTaskQueueResponse, kind: &str) {
        let info = NexusHandlerFailureInfo { r#type: kind.into(), ..Default::default() };
        let failure_info = Some(FailureInfo::NexusHandlerFailureInfo(info));
        let request = RespondNexusTaskFailedRequest {
            namespace: NAMESPACE.into(),
            task_token: task.task_token.clone(),
            failure: Some(Failure { failure_info, ..Default::default() }),
            ..Default::default()
        };
        let _: RespondNexusTaskFailedResponse = self.call("RespondNexusTaskFailed", request).await.unwrap();
    }

    /// Starts the workflow that stands behind an operation, as SDKs do.
    async fn handler(&self, id: &str, task: &PollNexusTaskQueueResponse) {
        let asked = operation(task);
        let mut header = asked.callback_header;
        header.insert(TOKEN.into(), "token".into());
        let nexus = callback::Nexus { url: asked.callback, header };
        let request = StartWorkflowExecutionRequest {
            request_id: asked.request_id,
            completion_callbacks: vec![Callback {
                variant: Some(callback::Variant::Nexus(nexus)),
                ..Default::default()
            }],
            ..start(id)
        };
        let _: StartWorkflowExecutionResponse = self.call("StartWorkflowExecution", request).await.unwrap();
    }

    async fn finish(&self, id: &str) {
        let task = self.workflow_task(id).await;
        self.complete(task.task_token, vec![complete_with(b"done")]).await.unwrap();
    }

    async fn operation(&self, id: &str) -> PendingNexusOperationInfo {
        self.describe(id).await.pending_nexus_operations.into_iter().next().expect("a pending operation")
    }

    /// What the history says of operations, in short.
    async fn of_operations(&self, id: &str) -> Vec<&'static str> {
        let names = self.names(id).await;
        names.into_iter().filter_map(|name| name.strip_prefix("NEXUS_OPERATION_")).collect()
    }
}

fn operation(task: &PollNexusTaskQueueResponse) -> StartOperationRequest {
    match task.request.as_ref().unwrap().variant.clone().unwrap() {
        request::Variant::StartOperation(start) => start,
        request::Variant::CancelOperation(_) => panic!("a request to cancel"),
    }
}

fn result(events: &[HistoryEvent]) -> Option<Vec<u8>> {
    events.iter().find_map(|event| match event.attributes.as_ref() {
        Some(Attributes::NexusOperationCompletedEventAttributes(a)) => {
            a.result.as_ref().map(|payload| payload.data.clone())
        }
        _ => None,
    })
}

/// An operation behind which a workflow stands. The process dies after step `dies_after`, or after every step.
async fn operation_by_workflow(dies_after: Option<usize>) {
    let mut home = Home::engine();
    let mut step = 0;
    macro_rules! died {
        () => {{
            step += 1;
            let dies = dies_after.is_none_or(|at| at == step);
            if dies {
                home.crash().await;
            }
            dies
        }};
    }
    home.endpoint().await;
    died!();
    home.caller("caller", ScheduleNexusOperationCommandAttributes::default()).await;
    died!();
    let mut task = home.nexus_task().await;
    if died!() {
        let again = home.nexus_task().await;
        assert_eq!(operation(&again).request_id, operation(&task).request_id, "it is the same request");
        task = again;
    }
    home.handler("handler", &task).await;
    died!();
    home.say_started(&task).await.unwrap();
    died!();
    assert_eq!(home.operation("caller").await.state(), PendingNexusOperationState::Started);
    assert_eq!(home.operation("caller").await.operation_token, "token");
    home.finish("handler").await;
    died!();
    assert_eq!(home.of_operations("caller").await, ["SCHEDULED", "STARTED", "COMPLETED"], "{dies_after:?}");
    assert_eq!(result(&home.history("caller").await), Some(b"done".to_vec()));
    assert_eq!(home.describe("handler").await.callbacks[0].state(), CallbackState::Succeeded);
    home.finish("caller").await;
    home.embedded().handle().shutdown().await;
    assert_eq!(inspect::check(home.embedded().file(), |_, _| ()).unwrap().findings, [] as [String; 0]);
}

#[tokio::test]
async fn an_operation_survives_a_crash_at_any_moment() {
    for dies_after in (1..=6).map(Some).chain([None]) {
        operation_by_workflow(dies_after).await;
    }
}

#[tokio::test]
async fn a_request_is_made_again_later_and_later() {
    let home = Home::engine();
    home.endpoint().await;
    home.caller("caller", ScheduleNexusOperationCommandAttributes::default()).await;
    let first = home.nexus_task().await;
    home.say_failed(&first, "UNAVAILABLE").await;
    let mut wait = Duration::from_secs(1);
    for attempt in 1..4 {
        let pending = home.operation("caller").await;
        assert_eq!((pending.state(), pending.attempt), (PendingNexusOperationState::BackingOff, attempt));
        home.pass(wait.checked_sub(Duration::from_millis(1)).unwrap()).await;
        assert_eq!(
            home.operation("caller").await.state(),
            PendingNexusOperationState::BackingOff,
            "not before its time"
        );
        home.pass(Duration::from_millis(1)).await;
        let task = home.nexus_task().await;
        assert_eq!(operation(&task).request_id, operation(&first).request_id);
        // Whoever has it keeps silent, and may not answer later.
        home.pass(Duration::from_secs(9)).await;
        let pending = home.operation("caller").await;
        assert_eq!(pending.last_attempt_failure.unwrap().message, "upstream timeout");
        assert_eq!(home.say_started(&task).await.unwrap_err().code(), Code::NotFound);
        wait *= 2;
    }
    assert_eq!(home.of_operations("caller").await, ["SCHEDULED"]);
}

#[tokio::test]
async fn an_end_may_come_before_the_answer_that_it_has_begun() {
    let home = Home::engine();
    home.endpoint().await;
    home.caller("caller", ScheduleNexusOperationCommandAttributes::default()).await;
    let task = home.nexus_task().await;
    home.handler("handler", &task).await;
    home.finish("handler").await;
    assert_eq!(home.say_started(&task).await.unwrap_err().code(), Code::NotFound, "nobody waits for it any more");
    let events = home.history("caller").await;
    let started = events.iter().find_map(|event| match event.attributes.as_ref() {
        Some(Attributes::NexusOperationStartedEventAttributes(a)) => {
            Some((a.operation_token.clone(), event.links.len()))
        }
        _ => None,
    });
    assert_eq!(started, Some(("token".to_owned(), 1)));
    assert_eq!(home.of_operations("caller").await, ["SCHEDULED", "STARTED", "COMPLETED"]);
}

#[tokio::test]
async fn an_end_reaches_the_run_that_goes_on() {
    let home = Home::engine();
    home.endpoint().await;
    home.caller("caller", ScheduleNexusOperationCommandAttributes::default()).await;
    let task = home.nexus_task().await;
    home.handler("handler", &task).await;
    home.say_started(&task).await.unwrap();
    let later = home.workflow_task("caller").await;
    home.complete(later.task_token, vec![]).await.unwrap();
    // To the task that heard of the start, which the new run hears of again.
    let request = ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: execution("caller"),
        reason: "it went wrong".into(),
        workflow_task_finish_event_id: 9,
        request_id: "reset".into(),
        ..Default::default()
    };
    let _: ResetWorkflowExecutionResponse = home.call("ResetWorkflowExecution", request).await.unwrap();
    assert_eq!(home.operation("caller").await.state(), PendingNexusOperationState::Started);
    home.finish("handler").await;
    assert_eq!(home.of_operations("caller").await, ["SCHEDULED", "STARTED", "COMPLETED"]);
    assert_eq!(home.describe("handler").await.callbacks[0].state(), CallbackState::Succeeded);
}

#[tokio::test]
async fn what_an_operation_has_come_to_is_taken_over_by_a_reset() {
    let home = Home::engine();
    home.endpoint().await;
    home.start("caller").await;
    let task = home.workflow_task("caller").await;
    home.complete(task.task_token, vec![call(ScheduleNexusOperationCommandAttributes::default())]).await.unwrap();
    home.signal("caller", "go").await.unwrap();
    let task = home.workflow_task("caller").await;
    home.complete(task.task_token, vec![]).await.unwrap();
    let asked = home.nexus_task().await;
    home.handler("handler", &asked).await;
    home.say_started(&asked).await.unwrap();
    home.finish("handler").await;
    let request = ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: execution("caller"),
        reason: "again".into(),
        workflow_task_finish_event_id: 9,
        request_id: "reset".into(),
        ..Default::default()
    };
    let _: ResetWorkflowExecutionResponse = home.call("ResetWorkflowExecution", request).await.unwrap();
    assert_eq!(home.of_operations("caller").await, ["SCHEDULED", "STARTED", "COMPLETED"]);
    assert_eq!(result(&home.history("caller").await), Some(b"done".to_vec()));
}

#[tokio::test]
async fn an_operation_whose_endpoint_is_no_more_fails() {
    let home = Home::engine();
    let endpoint = home.endpoint().await;
    home.caller("caller", ScheduleNexusOperationCommandAttributes::default()).await;
    let task = home.nexus_task().await;
    let request = DeleteNexusEndpointRequest { id: endpoint.id, version: 1 };
    let _: DeleteNexusEndpointResponse = home.operate("DeleteNexusEndpoint", request).await.unwrap();
    home.say_failed(&task, "INTERNAL").await;
    home.pass(Duration::from_secs(1)).await;
    assert_eq!(home.of_operations("caller").await, ["SCHEDULED", "FAILED"]);
}

#[tokio::test]
async fn a_cancellation_is_delivered_once_there_is_something_to_cancel() {
    let mut home = Home::engine();
    home.endpoint().await;
    let limits = ScheduleNexusOperationCommandAttributes { start_to_close_timeout: seconds(60), ..Default::default() };
    home.caller("caller", limits).await;
    let task = home.nexus_task().await;
    home.signal("caller", "go").await.unwrap();
    let workflow = home.workflow_task("caller").await;
    let cancel = RequestCancelNexusOperationCommandAttributes { scheduled_event_id: 5 };
    let cancel = command(C::RequestCancelNexusOperationCommandAttributes(cancel));
    home.complete(workflow.task_token, vec![cancel]).await.unwrap();
    home.crash().await;
    let state = |operation: PendingNexusOperationInfo| operation.cancellation_info.unwrap().state();
    assert_eq!(state(home.operation("caller").await), NexusOperationCancellationState::Unspecified);
    // The handler has lived through it, and its answer is as good as before.
    home.say_started(&task).await.unwrap();
    home.crash().await;
    let task = home.nexus_task().await;
    assert!(matches!(task.request.as_ref().unwrap().variant, Some(request::Variant::CancelOperation(_))));
    home.say_failed(&task, "INTERNAL").await;
    assert_eq!(state(home.operation("caller").await), NexusOperationCancellationState::BackingOff);
    home.crash().await;
    home.pass(Duration::from_secs(1)).await;
    home.say_failed(&home.nexus_task().await, "NOT_IMPLEMENTED").await;
    assert_eq!(state(home.operation("caller").await), NexusOperationCancellationState::Failed);
    home.pass(Duration::from_mins(1)).await;
    let expected = ["SCHEDULED", "CANCEL_REQUESTED", "STARTED", "CANCEL_REQUEST_FAILED", "TIMED_OUT"];
    assert_eq!(home.of_operations("caller").await, expected);
}
