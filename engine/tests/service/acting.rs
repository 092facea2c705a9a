//! Paused and reset activities, paused workflows, and eager starts, where a process dies in between. What a server answers is
//! compared over the network, in the end-to-end tests.

use std::time::Duration;

use prost_wkt_types::FieldMask;
use temporalio_common::protos::temporal::api::{
    activity::v1::ActivityOptions,
    command::v1::ScheduleActivityTaskCommandAttributes,
    common::v1::RetryPolicy,
    enums::v1::{PendingActivityState as State, WorkflowExecutionStatus as Status},
    workflow::v1::PendingActivityInfo,
    workflowservice::v1::{
        PauseActivityRequest, PauseActivityResponse, PauseWorkflowExecutionRequest, PauseWorkflowExecutionResponse,
        RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse, ResetActivityRequest,
        ResetActivityResponse, StartWorkflowExecutionRequest, UnpauseActivityRequest, UnpauseActivityResponse,
        UnpauseWorkflowExecutionRequest, UnpauseWorkflowExecutionResponse, UpdateActivityOptionsRequest,
        UpdateActivityOptionsResponse, pause_activity_request, reset_activity_request, unpause_activity_request,
        update_activity_options_request,
    },
};

use crate::{
    hand::{activity, attempts, complete, execution, queue, seconds, start, timer},
    home::{Home, NAMESPACE},
};

/// A workflow with one activity, which waits for a worker of the queue `id`.
async fn with_activity(home: &Home, id: &str, limits: ScheduleActivityTaskCommandAttributes) {
    home.start(id).await;
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![activity(limits, id)]).await.unwrap();
}

fn a_minute() -> ScheduleActivityTaskCommandAttributes {
    ScheduleActivityTaskCommandAttributes { start_to_close_timeout: seconds(60), ..Default::default() }
}

async fn pause(home: &Home, id: &str) {
    let request = PauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: execution(id),
        activity: Some(pause_activity_request::Activity::Id("deed".into())),
        reason: "why".into(),
        ..Default::default()
    };
    let _: PauseActivityResponse = home.call("PauseActivity", request).await.unwrap();
}

async fn unpause(home: &Home, id: &str, jitter: i64) {
    let request = UnpauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: execution(id),
        activity: Some(unpause_activity_request::Activity::UnpauseAll(true)),
        jitter: seconds(jitter),
        ..Default::default()
    };
    let _: UnpauseActivityResponse = home.call("UnpauseActivity", request).await.unwrap();
}

async fn pending(home: &Home, id: &str) -> PendingActivityInfo {
    home.describe(id).await.pending_activities.remove(0)
}

/// Whether a worker that polls the queue waits in vain.
async fn waits(home: &Home, queue: &str) -> bool {
    tokio::time::timeout(Duration::from_millis(200), home.poll_activity(queue)).await.is_err()
}

async fn pause_workflow(home: &Home, id: &str) {
    let request = PauseWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: id.into(),
        reason: "why".into(),
        ..Default::default()
    };
    let _: PauseWorkflowExecutionResponse = home.call("PauseWorkflowExecution", request).await.unwrap();
}

async fn unpause_workflow(home: &Home, id: &str) {
    let request =
        UnpauseWorkflowExecutionRequest { namespace: NAMESPACE.into(), workflow_id: id.into(), ..Default::default() };
    let _: UnpauseWorkflowExecutionResponse = home.call("UnpauseWorkflowExecution", request).await.unwrap();
}

#[tokio::test]
async fn a_paused_activity_stays_so_over_a_crash_and_does_not_time_out() {
    let mut home = Home::engine();
    let limits = ScheduleActivityTaskCommandAttributes {
        schedule_to_start_timeout: seconds(10),
        schedule_to_close_timeout: seconds(3_600),
        ..a_minute()
    };
    with_activity(&home, "paused", limits).await;
    pause(&home, "paused").await;
    home.crash().await;
    home.pass(Duration::from_mins(10)).await;
    let found = pending(&home, "paused").await;
    assert!(found.paused && found.state() == State::Paused, "{found:?}");
    assert!(waits(&home, "paused").await);
    unpause(&home, "paused", 0).await;
    assert_eq!(home.activity_task("paused").await.attempt, 1);
}

#[tokio::test]
async fn the_failure_of_a_paused_attempt_waits_for_its_retry_until_it_is_unpaused() {
    let mut home = Home::engine();
    let limits = ScheduleActivityTaskCommandAttributes { retry_policy: attempts(2), ..a_minute() };
    with_activity(&home, "failing", limits).await;
    let task = home.activity_task("failing").await;
    pause(&home, "failing").await;
    let heartbeat = RecordActivityTaskHeartbeatRequest { task_token: task.task_token.clone(), ..Default::default() };
    let told: RecordActivityTaskHeartbeatResponse = home.call("RecordActivityTaskHeartbeat", heartbeat).await.unwrap();
    assert!(told.activity_paused && !told.activity_reset && !told.cancel_requested);
    home.fail_activity(task.task_token, "no").await.unwrap();
    home.crash().await;
    home.pass(Duration::from_mins(1)).await;
    assert!(waits(&home, "failing").await);
    unpause(&home, "failing", 0).await;
    assert_eq!(home.activity_task("failing").await.attempt, 2);
}

#[tokio::test]
async fn jitter_spreads_what_is_unpaused_over_its_time() {
    let home = Home::engine();
    with_activity(&home, "spread", a_minute()).await;
    pause(&home, "spread").await;
    unpause(&home, "spread", 3_600).await;
    let found = pending(&home, "spread").await;
    assert!(found.state() == State::Scheduled && found.next_attempt_schedule_time.is_some(), "{found:?}");
    assert!(waits(&home, "spread").await);
    home.pass(Duration::from_hours(1)).await;
    home.activity_task("spread").await;
}

#[tokio::test]
async fn a_reset_ends_a_backoff_and_counts_attempts_anew() {
    let home = Home::engine();
    let retry_policy = Some(RetryPolicy { initial_interval: seconds(600), ..Default::default() });
    with_activity(&home, "reset", ScheduleActivityTaskCommandAttributes { retry_policy, ..a_minute() }).await;
    let task = home.activity_task("reset").await;
    home.fail_activity(task.task_token, "no").await.unwrap();
    assert!(waits(&home, "reset").await);
    let request = ResetActivityRequest {
        namespace: NAMESPACE.into(),
        execution: execution("reset"),
        activity: Some(reset_activity_request::Activity::MatchAll(true)),
        ..Default::default()
    };
    let _: ResetActivityResponse = home.call("ResetActivity", request).await.unwrap();
    assert_eq!(home.activity_task("reset").await.attempt, 1);
}

#[tokio::test]
async fn another_queue_takes_an_activity_away_from_the_workers_of_the_old_one() {
    let mut home = Home::engine();
    with_activity(&home, "moved", a_minute()).await;
    let options = ActivityOptions { task_queue: queue("elsewhere"), ..Default::default() };
    let request = UpdateActivityOptionsRequest {
        namespace: NAMESPACE.into(),
        execution: execution("moved"),
        activity: Some(update_activity_options_request::Activity::Id("deed".into())),
        activity_options: Some(options),
        update_mask: Some(FieldMask { paths: vec!["task_queue.name".into()] }),
        ..Default::default()
    };
    let answer: UpdateActivityOptionsResponse = home.call("UpdateActivityOptions", request).await.unwrap();
    assert_eq!(answer.activity_options.unwrap().task_queue.unwrap().name, "elsewhere");
    home.crash().await;
    assert!(waits(&home, "moved").await);
    home.activity_task("elsewhere").await;
}

#[tokio::test]
async fn a_paused_workflow_stays_so_over_a_crash_and_goes_on_with_what_came_meanwhile() {
    let mut home = Home::engine();
    home.start("stopped").await;
    let task = home.workflow_task("stopped").await;
    home.complete(task.task_token, vec![timer("t", 60), activity(a_minute(), "stopped")]).await.unwrap();
    pause_workflow(&home, "stopped").await;
    home.signal("stopped", "hello").await.unwrap();
    home.crash().await;
    home.pass(Duration::from_mins(1)).await;
    assert!(waits(&home, "stopped").await, "its activities are not handed out");
    let found = home.describe("stopped").await;
    assert_eq!(found.workflow_execution_info.unwrap().status(), Status::Paused);
    assert_eq!(found.workflow_extended_info.unwrap().pause_info.unwrap().reason, "why");
    assert_eq!(found.pending_workflow_task, None);
    unpause_workflow(&home, "stopped").await;
    let names = home.names("stopped").await;
    let since = [
        "WORKFLOW_EXECUTION_PAUSED",
        "WORKFLOW_EXECUTION_SIGNALED",
        "TIMER_FIRED",
        "WORKFLOW_EXECUTION_UNPAUSED",
        "WORKFLOW_TASK_SCHEDULED",
    ];
    assert!(names.ends_with(&since), "{names:?}");
    home.activity_task("stopped").await;
    let task = home.workflow_task("stopped").await;
    home.complete(task.task_token, vec![complete()]).await.unwrap();
}

#[tokio::test]
async fn an_eager_start_brings_the_first_task_once_and_gives_it_again_to_the_same_request() {
    let home = Home::engine();
    let request = StartWorkflowExecutionRequest { request_eager_execution: true, ..start("eager") };
    let first = home.try_start(request.clone()).await.unwrap().eager_workflow_task.unwrap();
    let again = home.try_start(request.clone()).await.unwrap().eager_workflow_task.unwrap();
    assert_eq!(again.task_token, first.task_token);
    assert_eq!(first.history.unwrap().events.len(), 3);
    home.complete(first.task_token, vec![complete()]).await.unwrap();
    let late = home.try_start(request).await.unwrap();
    assert_eq!(late.eager_workflow_task, None);
}
