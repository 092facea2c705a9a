//! What is too large: refused where a client can be told, and otherwise the end of what a worker speaks of.

use temporalio_common::protos::temporal::api::{
    command::v1::{
        ContinueAsNewWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes,
        RecordMarkerCommandAttributes, ScheduleActivityTaskCommandAttributes,
        SignalExternalWorkflowExecutionCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        command::Attributes as Commanded,
    },
    common::v1::Memo,
    failure::v1::Failure,
    history::v1::history_event::Attributes,
    query::v1::WorkflowQuery,
    workflowservice::v1::{
        QueryWorkflowRequest, QueryWorkflowResponse, RecordActivityTaskHeartbeatRequest,
        RecordActivityTaskHeartbeatResponse, RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledResponse,
        RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse, RespondActivityTaskFailedRequest,
        RespondActivityTaskFailedResponse, SignalWithStartWorkflowExecutionRequest,
        SignalWithStartWorkflowExecutionResponse, SignalWorkflowExecutionRequest, SignalWorkflowExecutionResponse,
        StartWorkflowExecutionRequest,
    },
};

use crate::{
    hand::{
        activity, attempts, command, complete_with, execution, failure, payloads, queue, seconds, signal, start, timer,
    },
    home::{Home, NAMESPACE},
};

/// More than may be kept, less than a request may have.
fn large() -> Vec<u8> {
    vec![b'x'; (2 << 20) + 1]
}

/// What clients are told.
async fn requests(home: &Home) -> Vec<String> {
    let mut answers = Vec::new();
    let mut note = |what: &str, answer: Result<(), tonic::Status>| {
        let told = answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()));
        answers.push(format!("{what}: {told:?}"));
    };
    let input = StartWorkflowExecutionRequest { input: payloads(&large()), ..start("large-input") };
    note("start with a large input", home.try_start(input).await.map(drop));
    let fields = [("note".to_owned(), payloads(&large()).unwrap().payloads.remove(0))].into();
    let memo = StartWorkflowExecutionRequest { memo: Some(Memo { fields }), ..start("large-memo") };
    note("start with a large memo", home.try_start(memo).await.map(drop));
    home.start("large").await;
    let request = SignalWorkflowExecutionRequest { input: payloads(&large()), ..signal("large", "s") };
    let answer: Result<SignalWorkflowExecutionResponse, _> = home.call("SignalWorkflowExecution", request).await;
    note("a large signal", answer.map(drop));
    let begun = start("large-start");
    let request = SignalWithStartWorkflowExecutionRequest {
        namespace: begun.namespace,
        workflow_id: begun.workflow_id,
        workflow_type: begun.workflow_type,
        task_queue: begun.task_queue,
        signal_name: "s".into(),
        signal_input: payloads(&large()),
        ..Default::default()
    };
    let answer: Result<SignalWithStartWorkflowExecutionResponse, _> =
        home.call("SignalWithStartWorkflowExecution", request).await;
    note("a start with a large signal", answer.map(drop));
    let query = WorkflowQuery { query_type: "q".into(), query_args: payloads(&large()), ..Default::default() };
    let request = QueryWorkflowRequest {
        namespace: NAMESPACE.into(),
        execution: execution("large"),
        query: Some(query),
        ..Default::default()
    };
    let answer: Result<QueryWorkflowResponse, _> = home.call("QueryWorkflow", request).await;
    note("a large query", answer.map(drop));
    answers
}

/// How an activity ends whose worker answers by `method`.
async fn ends<Q, A>(home: &Home, id: &str, method: &str, request: impl FnOnce(Vec<u8>) -> Q) -> String
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + std::fmt::Debug + Send + Sync + 'static,
{
    home.start(id).await;
    let task = home.workflow_task(id).await;
    let limits = ScheduleActivityTaskCommandAttributes {
        start_to_close_timeout: seconds(600),
        retry_policy: attempts(3),
        ..Default::default()
    };
    home.complete(task.task_token, vec![activity(limits, id)]).await.unwrap();
    let token = home.activity_task(id).await.task_token;
    let answer: Result<A, _> = home.call(method, request(token)).await;
    let ended = home.history(id).await.into_iter().find_map(|event| match event.attributes {
        Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => Some((failed.failure, failed.retry_state)),
        _ => None,
    });
    let (failure, retry_state) = ended.expect("it has failed");
    let Failure { message, source, failure_info, cause, .. } = failure.unwrap_or_default();
    let kept = cause.map(|cause| cause.message);
    format!("{method}: {:?}; {message} {source} {failure_info:?} {kept:?} {retry_state}", answer.map(short))
}

/// An answer, without what makes it long.
fn short(answer: impl std::fmt::Debug) -> String {
    format!("{answer:?}").chars().take(700).collect()
}

async fn activities(home: &Home) -> Vec<String> {
    let namespace = || NAMESPACE.to_owned();
    vec![
        ends::<_, RespondActivityTaskCompletedResponse>(home, "result", "RespondActivityTaskCompleted", |task_token| {
            RespondActivityTaskCompletedRequest {
                task_token,
                namespace: namespace(),
                result: payloads(&large()),
                ..Default::default()
            }
        })
        .await,
        ends::<_, RespondActivityTaskCanceledResponse>(home, "details", "RespondActivityTaskCanceled", |task_token| {
            RespondActivityTaskCanceledRequest {
                task_token,
                namespace: namespace(),
                details: payloads(&large()),
                ..Default::default()
            }
        })
        .await,
        ends::<_, RecordActivityTaskHeartbeatResponse>(home, "beat", "RecordActivityTaskHeartbeat", |task_token| {
            RecordActivityTaskHeartbeatRequest {
                task_token,
                namespace: namespace(),
                details: payloads(&large()),
                ..Default::default()
            }
        })
        .await,
        ends::<_, RespondActivityTaskFailedResponse>(home, "failure", "RespondActivityTaskFailed", |task_token| {
            let failure = failure("too much").map(|failure| Failure {
                encoded_attributes: payloads(&large()).map(|payloads| payloads.payloads[0].clone()),
                ..failure
            });
            RespondActivityTaskFailedRequest { task_token, namespace: namespace(), failure, ..Default::default() }
        })
        .await,
    ]
}

/// How a workflow ends whose worker's commands say too much.
async fn commands(home: &Home) -> Vec<String> {
    let limits = ScheduleActivityTaskCommandAttributes {
        start_to_close_timeout: seconds(600),
        input: payloads(&large()),
        ..Default::default()
    };
    let external = SignalExternalWorkflowExecutionCommandAttributes {
        execution: execution("large"),
        signal_name: "s".into(),
        input: payloads(&large()),
        ..Default::default()
    };
    let child = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: "large-child".into(),
        workflow_type: start("x").workflow_type,
        task_queue: queue("q"),
        input: payloads(&large()),
        ..Default::default()
    };
    let next = ContinueAsNewWorkflowExecutionCommandAttributes {
        workflow_type: start("x").workflow_type,
        task_queue: queue("q"),
        input: payloads(&large()),
        ..Default::default()
    };
    let marker = RecordMarkerCommandAttributes {
        marker_name: "m".into(),
        details: [("d".to_owned(), payloads(&large()).unwrap())].into(),
        ..Default::default()
    };
    let failing = failure("too much").map(|failure| Failure {
        encoded_attributes: payloads(&large()).map(|payloads| payloads.payloads[0].clone()),
        ..failure
    });
    let mut answers = Vec::new();
    for (id, too_much) in [
        ("large-activity", activity(limits, "q")),
        ("large-result", complete_with(&large())),
        ("large-external", command(Commanded::SignalExternalWorkflowExecutionCommandAttributes(external))),
        ("large-child", command(Commanded::StartChildWorkflowExecutionCommandAttributes(child))),
        ("large-next", command(Commanded::ContinueAsNewWorkflowExecutionCommandAttributes(next))),
        ("large-marker", command(Commanded::RecordMarkerCommandAttributes(marker))),
        (
            "large-failure",
            command(Commanded::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                failure: failing,
            })),
        ),
    ] {
        home.start(id).await;
        let task = home.workflow_task(id).await;
        let answer = home.complete(task.task_token, vec![timer("before", 600), too_much]).await;
        let told = answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()));
        let last = home.history(id).await.pop().map(|event| (event.event_type(), event.attributes));
        answers.push(format!("{id}: {told:?}, then {:?} {:?}", home.names(id).await, last.map(short)));
    }
    answers
}

/// Everything, as both have to answer.
pub(crate) async fn scenario(home: &Home) -> Vec<String> {
    [requests(home).await, activities(home).await, commands(home).await].concat()
}

#[tokio::test]
async fn what_is_too_large_is_refused_or_ends_what_it_is_of() {
    let answers = scenario(&Home::engine()).await;
    for said in [
        "a large signal: Err(\"InvalidArgument: Blob data size exceeds limit.\")",
        "start with a large memo: Err(\"InvalidArgument: Memo size exceeds limit.\")",
        "Complete result exceeds size limit.",
        "Heartbeat details exceed size limit.",
        "Failure exceeds size limit.",
        "BadScheduleActivityAttributes: ScheduleActivityTaskCommandAttributes.Input exceeds size limit.",
        "BadRecordMarkerAttributes: RecordMarkerCommandAttributes.Details exceeds size limit.",
    ] {
        assert!(answers.iter().any(|answer| answer.contains(said)), "{said:?} is missing from {answers:#?}");
    }
}
