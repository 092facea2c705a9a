//! Update-with-start: of a new run, of one that is there, of one that must not be there.

use super::hand::{accept, answer, kept, outcome, refused, reject, respond, shown, until_there, update};

use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::WorkflowIdConflictPolicy as Conflict,
    workflowservice::v1::{
        ExecuteMultiOperationRequest, ExecuteMultiOperationResponse, StartWorkflowExecutionRequest,
        UpdateWorkflowExecutionRequest,
        execute_multi_operation_request::{Operation, operation},
        execute_multi_operation_response::response,
    },
};
use tonic::Status;

use crate::{
    hand::{complete, seconds, start},
    home::{Home, NAMESPACE},
};
/// Update-with-start: of a new run, of one that is there, of one that must not be there.
pub(super) async fn with_start(home: &Home) -> Vec<String> {
    let id = "update-with-start";
    let ask = async |update_id: &str, conflict: Conflict| {
        let operation = |operation| Operation { operation: Some(operation) };
        let start = StartWorkflowExecutionRequest { workflow_id_conflict_policy: conflict.into(), ..start(id) };
        let operations = vec![
            operation(operation::Operation::StartWorkflow(start)),
            operation(operation::Operation::UpdateWorkflow(update(id, update_id))),
        ];
        let request = ExecuteMultiOperationRequest { namespace: NAMESPACE.into(), operations, ..Default::default() };
        let answer: Result<ExecuteMultiOperationResponse, Status> = home.call("ExecuteMultiOperation", request).await;
        let responses = answer.map(|answer| answer.responses.into_iter().filter_map(|response| response.response));
        let one = |response| match response {
            response::Response::StartWorkflow(start) => {
                format!("started {}, {:?}, link {}", start.started, start.status(), start.link.is_some())
            }
            response::Response::UpdateWorkflow(update) => {
                format!("{:?} {}, link {}", update.stage(), outcome(update.outcome), update.link.is_some())
            }
        };
        responses.map_or_else(refused, |all| all.map(one).collect::<Vec<_>>().join("; "))
    };
    let mut seen = Vec::new();
    for update_id in ["u", "v"] {
        let worker = async {
            let task = home.workflow_task(id).await;
            let said = vec![accept(&task.messages[0]), respond(update_id)];
            vec![shown(&task), answer(home, task, said, vec![]).await]
        };
        let (asked, worker) = tokio::join!(ask(update_id, Conflict::UseExisting), worker);
        seen.extend(worker);
        seen.push(asked);
    }
    seen.extend([ask("u", Conflict::Fail).await, ask("new", Conflict::Fail).await, kept(home, id).await]);
    home.signal(id, "end").await.unwrap();
    let task = home.workflow_task(id).await;
    let closes = async {
        until_there(home, id, "w").await;
        answer(home, task, vec![], vec![complete()]).await;
        let task = home.workflow_task(id).await;
        let said = vec![reject(&task.messages[0])];
        vec![shown(&task), answer(home, task, said, vec![]).await]
    };
    let (asked, closes) = tokio::join!(ask("w", Conflict::UseExisting), closes);
    seen.extend(closes);
    seen.extend([asked, kept(home, id).await]);
    seen
}

/// What an update-with-start may get wrong.
pub(super) async fn wrong_starts(home: &Home) -> Vec<String> {
    let id = "update-wrong-start";
    let uuid = uuid::Uuid::now_v7().to_string();
    let run = Some(WorkflowExecution { workflow_id: id.into(), run_id: uuid.clone() });
    let pairs = [
        (StartWorkflowExecutionRequest { cron_schedule: "* * * * *".into(), ..start(id) }, update(id, "u")),
        (StartWorkflowExecutionRequest { workflow_start_delay: seconds(1), ..start(id) }, update(id, "u")),
        (StartWorkflowExecutionRequest { request_eager_execution: true, ..start(id) }, update(id, "u")),
        (start(id), update("another", "u")),
        (start(id), UpdateWorkflowExecutionRequest { workflow_execution: run, ..update(id, "u") }),
        (start(id), UpdateWorkflowExecutionRequest { first_execution_run_id: uuid, ..update(id, "u") }),
        (start(id), UpdateWorkflowExecutionRequest { request: None, ..update(id, "u") }),
    ];
    let mut seen = Vec::new();
    for (start, update) in pairs {
        let operations = vec![
            Operation { operation: Some(operation::Operation::StartWorkflow(start)) },
            Operation { operation: Some(operation::Operation::UpdateWorkflow(update)) },
        ];
        for operations in [operations.clone(), operations.into_iter().rev().collect()] {
            let request =
                ExecuteMultiOperationRequest { namespace: NAMESPACE.into(), operations, ..Default::default() };
            let answer: Result<ExecuteMultiOperationResponse, Status> =
                home.call("ExecuteMultiOperation", request).await;
            let status = answer.unwrap_err();
            // The details say which operation is at fault: they are the same bytes.
            seen.push(format!("{:?}: {} {:?}", status.code(), status.message(), status.details()));
        }
    }
    seen
}
