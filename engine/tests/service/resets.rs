//! Runs that are reset to an earlier workflow task, and runs that are deleted.

use std::time::Duration;

use futures::future::{FutureExt as _, join_all};
use temporalio_common::protos::temporal::api::{
    command::v1::{
        ContinueAsNewWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
        StartChildWorkflowExecutionCommandAttributes, command::Attributes as C,
    },
    common::v1::WorkflowExecution,
    enums::v1::{ResetReapplyExcludeType, ResetReapplyType},
    workflowservice::v1::{
        DeleteWorkflowExecutionRequest, DeleteWorkflowExecutionResponse, DescribeWorkflowExecutionRequest,
        DescribeWorkflowExecutionResponse, ResetWorkflowExecutionRequest, ResetWorkflowExecutionResponse,
        StartWorkflowExecutionRequest,
    },
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    hand::{activity, command, complete, seconds, start, timer},
    home::{Home, NAMESPACE},
    runs::{answer, laden, lines, start_child},
};

/// Long enough for a server to tell one execution of another.
const A_MOMENT: Duration = Duration::from_millis(700);

fn run(id: &str, run_id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: id.into(), run_id: run_id.into() })
}

/// A reset of a run, the current one with an empty run id, to where that event would have been.
fn reset(id: &str, run_id: &str, workflow_task_finish_event_id: i64) -> ResetWorkflowExecutionRequest {
    ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: run(id, run_id),
        reason: "it went wrong".into(),
        workflow_task_finish_event_id,
        request_id: Uuid::now_v7().to_string(),
        ..Default::default()
    }
}

impl Home {
    async fn try_reset(&self, request: ResetWorkflowExecutionRequest) -> Result<String, Status> {
        let answer: Result<ResetWorkflowExecutionResponse, _> = self.call("ResetWorkflowExecution", request).await;
        answer.map(|answer| answer.run_id)
    }

    async fn delete(&self, id: &str, run_id: &str) -> Result<(), Status> {
        let request =
            DeleteWorkflowExecutionRequest { namespace: NAMESPACE.into(), workflow_execution: run(id, run_id) };
        let answer: Result<DeleteWorkflowExecutionResponse, _> = self.call("DeleteWorkflowExecution", request).await;
        answer.map(drop)
    }

    async fn describe_run(&self, id: &str, run_id: &str) -> Result<DescribeWorkflowExecutionResponse, Status> {
        let request = DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: run(id, run_id) };
        self.call("DescribeWorkflowExecution", request).await
    }
}

/// What each scenario leaves: its histories, a line an event.
pub(crate) async fn scenarios(home: &Home) -> Vec<String> {
    let scenarios = [
        goes_on(home).boxed(),
        choices(home).boxed(),
        chain(home).boxed(),
        children(home).boxed(),
        refusals(home).boxed(),
        deleted(home).boxed(),
    ];
    if let Home::Server { .. } = home {
        return join_all(scenarios).await.concat();
    }
    let mut lines = Vec::new();
    for scenario in scenarios {
        lines.extend(scenario.await);
    }
    lines
}

/// What a description says of a reset.
async fn described(home: &Home, id: &str, run_id: &str) -> String {
    let described = home.describe_run(id, run_id).await.unwrap();
    let info = described.workflow_execution_info.unwrap();
    let extended = described.workflow_extended_info.unwrap();
    let begun = info.start_time.unwrap();
    let until = |time: Option<prost_wkt_types::Timestamp>| {
        let nanos = |time: prost_wkt_types::Timestamp| time.seconds * 1_000_000_000 + i64::from(time.nanos);
        // A server rounds to milliseconds.
        time.map(|time| (nanos(time) - nanos(begun) + 500_000_000) / 1_000_000_000)
    };
    format!(
        "reset {}, goes on {}, since its beginning {}, at once {}, run until {:?}, execution until {:?}, activities {}",
        extended.last_reset_time.is_some(),
        !extended.reset_run_id.is_empty(),
        extended.original_start_time == Some(begun),
        info.execution_time == Some(begun),
        until(extended.run_expiration_time).filter(|seconds| *seconds > 0),
        until(extended.execution_expiration_time),
        // A server goes on to show those of a run that has closed.
        described.pending_activities.iter().filter(|_| extended.reset_run_id.is_empty()).count(),
    )
}

/// A run with a timer, an activity and signals, reset while a worker holds its task.
async fn goes_on(home: &Home) -> Vec<String> {
    let id = "reset";
    let first = home.try_start(laden(id)).await.unwrap().run_id;
    let task = home.workflow_task(id).await;
    let limits = ScheduleActivityTaskCommandAttributes { start_to_close_timeout: seconds(300), ..Default::default() };
    home.complete(task.task_token, vec![timer("long", 500), activity(limits, "nobody-works-here")]).await.unwrap();
    home.signal(id, "one").await.unwrap();
    let task = home.workflow_task(id).await;
    home.signal(id, "two").await.unwrap();
    home.complete(task.task_token, vec![timer("other", 500)]).await.unwrap();
    home.signal(id, "three").await.unwrap();
    let held = home.workflow_task(id).await;
    home.signal(id, "four").await.unwrap();
    home.pass(A_MOMENT).await;
    // To the task that came after the first signal.
    let second = home.try_reset(reset(id, &first, 10)).await.unwrap();
    let mut seen = vec![format!("{:?}", home.complete(held.task_token, vec![complete()]).await.map_err(|s| s.code()))];
    seen.extend(lines(home, id, &first).await);
    seen.extend(lines(home, id, "").await);
    seen.push(described(home, id, &first).await);
    seen.push(described(home, id, &second).await);
    let task = home.workflow_task(id).await;
    seen.push(format!("attempt {}, previous {}", task.attempt, task.previous_started_event_id));
    home.complete(task.task_token, vec![complete()]).await.unwrap();

    // The one that has completed is reset to its first task.
    home.try_reset(reset(id, "", 4)).await.unwrap();
    seen.extend(lines(home, id, "").await);
    seen.push(described(home, id, &second).await);
    home.terminate(id).await.unwrap();
    seen
}

/// What is taken over, and a task that no worker had.
async fn choices(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    let plain = |id: &str| reset(id, "", 3);
    #[allow(deprecated, reason = "deprecated for SDKs; servers still have to honour it")]
    let none =
        |id: &str| ResetWorkflowExecutionRequest { reset_reapply_type: ResetReapplyType::None.into(), ..plain(id) };
    let excluded = |id: &str, kind: ResetReapplyExcludeType| ResetWorkflowExecutionRequest {
        reset_reapply_exclude_types: vec![kind.into()],
        ..plain(id)
    };
    for (id, request) in [
        ("reset-all", plain("reset-all")),
        ("reset-none", none("reset-none")),
        ("reset-no-signal", excluded("reset-no-signal", ResetReapplyExcludeType::Signal)),
        ("reset-no-update", excluded("reset-no-update", ResetReapplyExcludeType::Update)),
    ] {
        home.start(id).await;
        home.signal(id, "one").await.unwrap();
        home.try_reset(request).await.unwrap();
        seen.extend(lines(home, id, "").await);
    }
    seen
}

/// Signals of the runs as which the run that is reset has continued.
async fn chain(home: &Home) -> Vec<String> {
    let id = "reset-chain";
    let first = home.start(id).await;
    answer(home, id, timer("one", 500)).await;
    home.signal(id, "a").await.unwrap();
    home.pass(Duration::from_millis(1_300)).await;
    let attributes = ContinueAsNewWorkflowExecutionCommandAttributes::default();
    answer(home, id, command(C::ContinueAsNewWorkflowExecutionCommandAttributes(attributes))).await;
    home.signal(id, "b").await.unwrap();
    let _held = home.workflow_task(id).await;
    home.signal(id, "c").await.unwrap();
    home.try_reset(reset(id, &first, 4)).await.unwrap();
    lines(home, id, "").await
}

/// A child of the run that is reset reports to the run that goes on, which cannot start it a second time.
async fn children(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    let id = "reset-parent";
    home.start(id).await;
    answer(home, id, start_child(StartChildWorkflowExecutionCommandAttributes::default(), "reset-child")).await;
    home.pass(A_MOMENT).await;
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![]).await.unwrap();
    home.try_reset(reset(id, "", 9)).await.unwrap();
    home.pass(A_MOMENT).await;
    answer(home, "reset-child", complete()).await;
    home.pass(A_MOMENT).await;
    seen.extend(lines(home, id, "").await);

    let id = "reset-parent-again";
    home.start(id).await;
    answer(home, id, start_child(StartChildWorkflowExecutionCommandAttributes::default(), "reset-child-again")).await;
    home.pass(A_MOMENT).await;
    let first_child =
        home.describe("reset-child-again").await.workflow_execution_info.unwrap().execution.unwrap().run_id;
    home.try_reset(reset(id, "", 4)).await.unwrap();
    answer(home, id, start_child(StartChildWorkflowExecutionCommandAttributes::default(), "reset-child-again")).await;
    home.pass(A_MOMENT).await;
    seen.extend(lines(home, id, "").await);
    seen.extend(lines(home, "reset-child-again", &first_child).await);
    seen.push(format!(
        "another {}",
        home.describe_run("reset-child-again", "")
            .await
            .unwrap()
            .workflow_execution_info
            .unwrap()
            .execution
            .unwrap()
            .run_id
            != first_child
    ));
    seen
}

async fn refusals(home: &Home) -> Vec<String> {
    let id = "reset-refused";
    home.start(id).await;
    answer(home, id, timer("one", 500)).await;
    home.signal(id, "one").await.unwrap();
    let delayed = "reset-delayed";
    home.try_start(StartWorkflowExecutionRequest { workflow_start_delay: seconds(500), ..start(delayed) })
        .await
        .unwrap();
    home.signal(delayed, "one").await.unwrap();
    let mut seen = Vec::new();
    for request in [
        reset(id, "", 0),
        reset(id, "", 1),
        reset(id, "", 99),
        reset(delayed, "", 2),
        reset("reset-nobody", "", 4),
        reset("", "", 4),
        reset(id, "no uuid", 4),
        ResetWorkflowExecutionRequest { request_id: String::new(), ..reset(id, "", 4) },
    ] {
        let status = home.try_reset(request).await.unwrap_err();
        seen.push(format!("{:?} {}", status.code(), status.message()));
    }
    // A server says of these that it keeps events in batches.
    for finish in [2, 5, 6] {
        seen.push(format!("{:?}", home.try_reset(reset(id, "", finish)).await.unwrap_err().code()));
    }
    for (id, run_id) in [("reset-nobody", ""), ("", ""), (id, "no uuid")] {
        let status = home.delete(id, run_id).await.unwrap_err();
        seen.push(format!("{:?} {}", status.code(), status.message()));
    }
    seen.push(format!("{:?}", home.names(id).await));
    seen
}

async fn deleted(home: &Home) -> Vec<String> {
    let id = "deleted-parent";
    home.start(id).await;
    answer(home, id, start_child(StartChildWorkflowExecutionCommandAttributes::default(), "deleted-child")).await;
    home.pass(A_MOMENT).await;
    home.delete("deleted-child", "").await.unwrap();
    home.pass(A_MOMENT).await;
    let mut seen = lines(home, id, "").await;
    let status = home.describe_run("deleted-child", "").await.unwrap_err();
    seen.push(format!("{:?} {}", status.code(), status.message()));
    seen.push(format!("{:?}", home.delete("deleted-child", "").await.map_err(|status| status.code())));
    home.start("deleted-child").await;
    seen.push(format!("{:?}", home.names("deleted-child").await));
    seen
}

#[tokio::test]
async fn a_reset_run_goes_on_from_where_it_was_told() {
    let lines = scenarios(&Home::engine()).await;
    let has = |part: &str| assert!(lines.iter().any(|line| line.contains(part)), "{part}\n{lines:#?}");
    has(
        "reset true, goes on false, since its beginning false, at once true, run until Some(300), execution until Some(600)",
    );
    has("reset false, goes on true");
    has("attempt 1, previous 3");
    has("START_CHILD_WORKFLOW_EXECUTION_FAILED");
    has("another false");
}

#[tokio::test]
async fn a_reset_that_is_asked_twice_is_one_reset_and_survives_a_crash() {
    let mut home = Home::engine();
    home.start("twice").await;
    answer(&home, "twice", timer("long", 60)).await;
    for name in ["one", "two"] {
        home.signal("twice", name).await.unwrap();
    }
    let _held = home.workflow_task("twice").await;
    let request = reset("twice", "", 8);
    let second = home.try_reset(request.clone()).await.unwrap();
    assert_eq!(home.try_reset(request.clone()).await.unwrap(), second);
    let before = lines(&home, "twice", "").await;
    home.crash().await;
    assert_eq!(home.try_reset(request).await.unwrap(), second);
    assert_eq!(lines(&home, "twice", &second).await, before);
    let task = home.workflow_task("twice").await;
    home.complete(task.task_token, vec![]).await.unwrap();
    home.pass(Duration::from_secs(61)).await;
    assert!(home.names("twice").await.contains(&"TIMER_FIRED"), "the timer of the history goes on");
}

#[tokio::test]
async fn a_long_history_is_reset_whole() {
    let home = Home::engine();
    home.start("long").await;
    for number in 0..300 {
        home.signal("long", &number.to_string()).await.unwrap();
    }
    let task = home.workflow_task("long").await;
    home.complete(task.task_token, vec![]).await.unwrap();
    home.try_reset(reset("long", "", 304)).await.unwrap();
    let history = home.history("long").await;
    assert!(history.iter().zip(1..).all(|(event, id)| event.event_id == id));
    assert_eq!(history.len(), 305, "300 signals, a start, a task, its failure, and the next");
}

#[tokio::test]
async fn a_deleted_run_leaves_the_others_of_its_id() {
    let mut home = Home::engine();
    let first = home.start("id").await;
    answer(&home, "id", complete()).await;
    let second = home.start("id").await;
    home.delete("id", &first).await.unwrap();
    assert_eq!(home.describe_run("id", &first).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        home.describe_run("id", "").await.unwrap().workflow_execution_info.unwrap().execution.unwrap().run_id,
        second
    );
    home.crash().await;
    assert_eq!(home.describe_run("id", &first).await.unwrap_err().code(), Code::NotFound);
    home.delete("id", "").await.unwrap();
    home.crash().await;
    assert_eq!(home.describe_run("id", "").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(home.signal("id", "anyone").await.unwrap_err().code(), Code::NotFound);
    home.start("id").await;
}
