//! Queries of open and closed runs, answered by a worker by hand.

use temporalio_common::protos::temporal::api::{
    enums::v1::{QueryRejectCondition, QueryResultType, WorkflowExecutionStatus},
    query::v1::{WorkflowQuery, WorkflowQueryResult},
    workflowservice::v1::{
        QueryWorkflowRequest, QueryWorkflowResponse, RespondQueryTaskCompletedRequest,
        RespondQueryTaskCompletedResponse, RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse,
    },
};
use tonic::{Code, Status};

use crate::{
    hand::{complete, execution, payloads, soon},
    home::{Home, NAMESPACE},
};

async fn ask(home: &Home, id: &str, reject: QueryRejectCondition) -> Result<QueryWorkflowResponse, Status> {
    let request = QueryWorkflowRequest {
        namespace: NAMESPACE.into(),
        execution: execution(id),
        query: Some(WorkflowQuery { query_type: "how".into(), ..Default::default() }),
        query_reject_condition: reject.into(),
    };
    soon(home.call("QueryWorkflow", request)).await
}

/// Answers the next query task of a queue; gives the ids of the events that came with it.
async fn answer(home: &Home, id: &str, kind: QueryResultType) -> Vec<i64> {
    let task = home.workflow_task(id).await;
    assert_eq!(task.query.unwrap().query_type, "how");
    let request = RespondQueryTaskCompletedRequest {
        task_token: task.task_token,
        completed_type: kind.into(),
        query_result: payloads(b"well"),
        error_message: "cannot say".into(),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    let _: RespondQueryTaskCompletedResponse = home.call("RespondQueryTaskCompleted", request.clone()).await.unwrap();
    let again: Result<RespondQueryTaskCompletedResponse, _> = home.call("RespondQueryTaskCompleted", request).await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound, "a query is answered once");
    task.history.unwrap().events.iter().map(|event| event.event_id).collect()
}

#[tokio::test]
async fn an_idle_run_and_a_closed_one_are_asked_by_a_task_of_its_own() {
    let mut home = Home::engine();
    let id = "asked";
    let any = QueryRejectCondition::None;
    home.start(id).await;
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![]).await.unwrap();
    let (asked, events) = tokio::join!(ask(&home, id, any), answer(&home, id, QueryResultType::Answered));
    assert_eq!(asked.unwrap().query_result, payloads(b"well"));
    assert_eq!(events, [1, 2, 3, 4]);
    let (asked, _) = tokio::join!(ask(&home, id, any), answer(&home, id, QueryResultType::Failed));
    let status = asked.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "cannot say"));

    home.signal(id, "end").await.unwrap();
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![complete()]).await.unwrap();
    for reopened in [false, true] {
        if reopened {
            home.crash().await;
        }
        let (asked, events) = tokio::join!(ask(&home, id, any), answer(&home, id, QueryResultType::Answered));
        assert_eq!(asked.unwrap().query_result, payloads(b"well"));
        assert_eq!(events.len(), 9);
        let rejected = ask(&home, id, QueryRejectCondition::NotOpen).await.unwrap().query_rejected.unwrap();
        assert_eq!(rejected.status(), WorkflowExecutionStatus::Completed);
    }
    assert_eq!(ask(&home, "nobody", any).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_query_goes_along_with_a_workflow_task_that_waits_anyhow() {
    let home = Home::engine();
    let id = "along";
    home.start(id).await;
    let work = async {
        // The query is there first.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let task = home.workflow_task(id).await;
        let (number, query) = task.queries.into_iter().next().expect("the query comes along");
        assert_eq!(query.query_type, "how");
        let result = WorkflowQueryResult {
            result_type: QueryResultType::Answered.into(),
            answer: payloads(b"fine"),
            ..Default::default()
        };
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token,
            query_results: std::iter::once((number, result)).collect(),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        let _: RespondWorkflowTaskCompletedResponse = home.call("RespondWorkflowTaskCompleted", request).await.unwrap();
    };
    let (asked, ()) = tokio::join!(ask(&home, id, QueryRejectCondition::None), work);
    assert_eq!(asked.unwrap().query_result, payloads(b"fine"));
    assert_eq!(home.names(id).await.len(), 4, "a query leaves no history");
}
