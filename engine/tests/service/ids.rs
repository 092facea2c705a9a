//! Who may take a workflow id: the last run's state, the reuse policy and the conflict policy, as a table.

use std::time::Duration;

use futures::future::join_all;
use temporalio_common::protos::temporal::api::{
    enums::v1::{WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse},
    workflowservice::v1::{
        SignalWithStartWorkflowExecutionRequest, SignalWithStartWorkflowExecutionResponse,
        StartWorkflowExecutionRequest,
    },
};
use tonic::Code;

use crate::{
    hand::{complete, soon, start},
    home::{Home, NAMESPACE},
};

/// The run that has the id already.
#[derive(Debug, Clone, Copy)]
enum Last {
    None,
    Running,
    Completed,
    Terminated,
}

const LAST: [Last; 4] = [Last::None, Last::Running, Last::Completed, Last::Terminated];
const CONFLICT: [Conflict; 4] =
    [Conflict::Unspecified, Conflict::Fail, Conflict::UseExisting, Conflict::TerminateExisting];

#[allow(deprecated, reason = "deprecated for SDKs; servers still have to honour it")]
const REUSE: [Reuse; 4] =
    [Reuse::AllowDuplicate, Reuse::AllowDuplicateFailedOnly, Reuse::RejectDuplicate, Reuse::TerminateIfRunning];

/// What each combination leads to, a line each.
pub(crate) async fn table(home: &Home) -> Vec<String> {
    let mut cases = Vec::new();
    for last in LAST {
        for reuse in REUSE {
            for conflict in CONFLICT {
                cases.push(async move {
                    format!("{last:?} {reuse:?} {conflict:?}: {}", outcome(home, last, reuse, conflict).await)
                });
            }
        }
    }
    join_all(cases).await
}

async fn outcome(home: &Home, last: Last, reuse: Reuse, conflict: Conflict) -> String {
    let id = format!("{last:?}-{reuse:?}-{conflict:?}");
    let first = prepare(home, &id, last).await;
    let request = StartWorkflowExecutionRequest {
        workflow_id_reuse_policy: reuse.into(),
        workflow_id_conflict_policy: conflict.into(),
        ..start(&id)
    };
    let answer = match home.try_start(request).await {
        Ok(answer) if answer.run_id == first => format!("the same run, started {}", answer.started),
        Ok(answer) => format!("a new run, started {}", answer.started),
        Err(status) => format!("{:?}", status.code()),
    };
    if matches!(last, Last::Running) && answer.starts_with("a new run") {
        let closed = home.names_of_run(&id, &first).await;
        return format!("{answer}, the old one {}", closed.last().unwrap());
    }
    answer
}

async fn prepare(home: &Home, id: &str, last: Last) -> String {
    if matches!(last, Last::None) {
        return String::new();
    }
    let run_id = home.start(id).await;
    match last {
        Last::None | Last::Running => {}
        Last::Completed => {
            let task = home.workflow_task(id).await;
            home.complete(task.task_token, vec![complete()]).await.unwrap();
        }
        Last::Terminated => home.terminate(id).await.unwrap(),
    }
    // A server takes a new run of an id only a second after the last.
    if matches!(home, Home::Server { .. }) {
        home.pass(Duration::from_millis(1_500)).await;
    }
    run_id
}

#[tokio::test]
async fn policies_decide_who_may_take_an_id() {
    let table = table(&Home::engine()).await;
    let expect = |line: &str| assert!(table.iter().any(|found| found == line), "{line}\n{table:#?}");
    expect("None RejectDuplicate Fail: a new run, started true");
    expect("Running AllowDuplicate Unspecified: AlreadyExists");
    expect("Running AllowDuplicate UseExisting: the same run, started false");
    expect(
        "Running AllowDuplicate TerminateExisting: a new run, started true, the old one WORKFLOW_EXECUTION_TERMINATED",
    );
    expect("Running RejectDuplicate TerminateExisting: InvalidArgument");
    expect("Running TerminateIfRunning Fail: InvalidArgument");
    expect("Completed AllowDuplicate Fail: a new run, started true");
    expect("Completed AllowDuplicateFailedOnly Fail: AlreadyExists");
    expect("Completed RejectDuplicate UseExisting: AlreadyExists");
    expect("Terminated AllowDuplicateFailedOnly Fail: a new run, started true");
    expect("Terminated RejectDuplicate Fail: AlreadyExists");
    assert_eq!(table.len(), 64);
}

#[tokio::test]
async fn a_start_that_is_asked_twice_is_one_start_even_after_the_run_has_closed() {
    let home = Home::engine();
    let request = start("once");
    let first = home.try_start(request.clone()).await.unwrap();
    let again = home.try_start(request.clone()).await.unwrap();
    assert_eq!((again.run_id, again.started), (first.run_id.clone(), true));
    home.terminate("once").await.unwrap();
    let after = home.try_start(request.clone()).await.unwrap();
    assert_eq!(after.run_id, first.run_id);
    let status = home.try_start(StartWorkflowExecutionRequest { workflow_id: "once".into(), ..start("once") }).await;
    assert_ne!(status.unwrap().run_id, first.run_id);
}

#[tokio::test]
async fn signal_with_start_signals_what_runs_and_starts_what_does_not() {
    let home = Home::engine();
    let request = |name: &str| {
        let start = start("both");
        SignalWithStartWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_id: start.workflow_id,
            workflow_type: start.workflow_type,
            task_queue: start.task_queue,
            request_id: start.request_id,
            signal_name: name.into(),
            ..Default::default()
        }
    };
    let send = |name: &'static str| {
        let request = request(name);
        let home = &home;
        async move {
            let answer: SignalWithStartWorkflowExecutionResponse =
                soon(home.call("SignalWithStartWorkflowExecution", request)).await.unwrap();
            answer
        }
    };
    let first = send("one").await;
    let second = send("two").await;
    assert_eq!((first.started, second.started, &second.run_id), (true, false, &first.run_id));
    assert_eq!(
        home.names("both").await,
        [
            "WORKFLOW_EXECUTION_STARTED",
            "WORKFLOW_EXECUTION_SIGNALED",
            "WORKFLOW_TASK_SCHEDULED",
            "WORKFLOW_EXECUTION_SIGNALED"
        ]
    );
    let unnamed: Result<SignalWithStartWorkflowExecutionResponse, _> =
        home.call("SignalWithStartWorkflowExecution", request("")).await;
    assert_eq!(unnamed.unwrap_err().code(), Code::InvalidArgument);
}
