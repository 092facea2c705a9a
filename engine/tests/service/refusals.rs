//! What clients get wrong, and how they are told.

use temporalio_common::protos::temporal::api::{
    common::v1::{WorkflowExecution, WorkflowType},
    workflowservice::v1::{
        DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse, PollWorkflowTaskQueueRequest,
        PollWorkflowTaskQueueResponse, RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse,
        SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest,
    },
};
use tonic::{Code, Status};

use crate::{
    hand::{queue, signal, start},
    home::{Home, NAMESPACE},
};

/// What each wrong request is answered with.
pub(crate) async fn scenario(home: &Home) -> Vec<String> {
    let long = "x".repeat(1_001);
    let mut answers = Vec::new();
    let mut note = |what: &str, status: Status| answers.push(format!("{what}: {:?}", status.code()));

    for (what, request) in [
        ("start without an id", StartWorkflowExecutionRequest { workflow_id: String::new(), ..start("a") }),
        ("start with a long id", StartWorkflowExecutionRequest { workflow_id: long.clone(), ..start("a") }),
        ("start without a type", StartWorkflowExecutionRequest { workflow_type: None, ..start("a") }),
        (
            "start with a long type",
            StartWorkflowExecutionRequest { workflow_type: Some(WorkflowType { name: long.clone() }), ..start("a") },
        ),
        ("start without a queue", StartWorkflowExecutionRequest { task_queue: None, ..start("a") }),
        ("start on a long queue", StartWorkflowExecutionRequest { task_queue: queue(&long), ..start("a") }),
        ("start nowhere", StartWorkflowExecutionRequest { namespace: "nowhere".into(), ..start("a") }),
        ("start in no namespace", StartWorkflowExecutionRequest { namespace: String::new(), ..start("a") }),
        ("start with a long request id", StartWorkflowExecutionRequest { request_id: long.clone(), ..start("a") }),
    ] {
        note(what, home.try_start(request).await.unwrap_err());
    }
    note("signal nobody", home.signal("nobody", "s").await.unwrap_err());
    note("signal without a name", home.signal("nobody", "").await.unwrap_err());
    note("signal with a long name", home.signal("nobody", &long).await.unwrap_err());
    let nowhere = SignalWorkflowExecutionRequest { namespace: "nowhere".into(), ..signal("a", "s") };
    note("signal nowhere", home.call::<_, ()>("SignalWorkflowExecution", nowhere).await.unwrap_err());
    let nobody = SignalWorkflowExecutionRequest { workflow_execution: None, ..signal("a", "s") };
    note("signal without a workflow", home.call::<_, ()>("SignalWorkflowExecution", nobody).await.unwrap_err());
    note("terminate nobody", home.terminate("nobody").await.unwrap_err());
    note("complete with no token", home.complete(Vec::new(), Vec::new()).await.unwrap_err());
    note("complete with a made-up token", home.complete(b"\xff\xff\xff".to_vec(), Vec::new()).await.unwrap_err());
    let made_up = RespondActivityTaskCompletedRequest {
        task_token: b"\xff\xff\xff".to_vec(),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    let status = home.call::<_, RespondActivityTaskCompletedResponse>("RespondActivityTaskCompleted", made_up).await;
    note("complete an activity with a made-up token", status.unwrap_err());
    let run = WorkflowExecution { workflow_id: "a".into(), run_id: "no uuid".into() };
    let request = DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(run) };
    let status = home.call::<_, DescribeWorkflowExecutionResponse>("DescribeWorkflowExecution", request).await;
    note("describe a run id that is none", status.unwrap_err());
    let poll =
        PollWorkflowTaskQueueRequest { namespace: NAMESPACE.into(), task_queue: queue(""), ..Default::default() };
    let status = home.call::<_, PollWorkflowTaskQueueResponse>("PollWorkflowTaskQueue", poll).await;
    note("poll no queue", status.unwrap_err());
    let poll =
        PollWorkflowTaskQueueRequest { namespace: "nowhere".into(), task_queue: queue("q"), ..Default::default() };
    let status = home.call::<_, PollWorkflowTaskQueueResponse>("PollWorkflowTaskQueue", poll).await;
    note("poll nowhere", status.unwrap_err());
    note("history of nobody", home.page("nobody", 1, false, Vec::new()).await.unwrap_err());
    answers
}

#[tokio::test]
async fn wrong_requests_get_the_status_of_their_fault() {
    let answers = scenario(&Home::engine()).await;
    for answer in &answers {
        let expected = match answer.split_once(": ").unwrap().0 {
            "start nowhere" | "signal nobody" | "signal nowhere" | "terminate nobody" | "poll nowhere"
            | "history of nobody" => "NotFound",
            _ => "InvalidArgument",
        };
        assert!(answer.ends_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_supported_says_so_by_name() {
    let mut home = Home::engine();
    let engine = home.embedded();
    for (service, method) in [
        ("temporal.api.workflowservice.v1.WorkflowService", "DescribeWorkflowRule"),
        ("temporal.api.workflowservice.v1.WorkflowService", "NoSuchMethod"),
        ("temporal.api.operatorservice.v1.OperatorService", "AddOrUpdateRemoteCluster"),
    ] {
        let status = engine.raw(service, method, Vec::new()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains(method), "{}", status.message());
    }
    let service = "temporal.api.workflowservice.v1.WorkflowService";
    let status = engine.raw(service, "StartWorkflowExecution", vec![0xff; 7]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "bytes that are no request");
}

#[tokio::test]
async fn a_page_token_belongs_to_the_run_that_it_was_given_for() {
    let home = Home::engine();
    home.start("a").await;
    home.start("b").await;
    let token = home.page("a", 1, false, Vec::new()).await.unwrap().next_page_token;
    assert_eq!(home.page("a", 1, false, token.clone()).await.unwrap().history.unwrap().events.len(), 1);
    assert_eq!(home.page("b", 1, false, token).await.unwrap_err().code(), Code::InvalidArgument);
    let garbage = home.page("a", 1, false, b"\xff\xff".to_vec()).await.unwrap_err();
    assert_eq!(garbage.code(), Code::InvalidArgument);
}
