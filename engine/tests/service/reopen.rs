//! The process dies at any moment and comes back: what was acknowledged is there, and what its worker held is free at once.

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    enums::v1::WorkflowExecutionStatus,
    workflowservice::v1::{
        RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse, RespondActivityTaskCompletedRequest,
        RespondActivityTaskCompletedResponse,
    },
};
use tonic::Code;

use crate::{
    hand::{activity, attempts, complete, payloads, seconds, timer},
    home::{Home, NAMESPACE},
};

/// A small workflow by hand: signal, activity with a heartbeat and a failure, timer, end. Dies after step `dies_after`
/// (and after every step when that is `None`), and must end the same way.
async fn small_workflow(dies_after: Option<usize>) -> Vec<&'static str> {
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
    let id = "small";
    let run_id = home.start(id).await;
    died!();
    assert_eq!(home.describe(id).await.workflow_execution_info.unwrap().execution.unwrap().run_id, run_id);
    home.signal(id, "first").await.unwrap();
    died!();
    assert!(home.names(id).await.contains(&"WORKFLOW_EXECUTION_SIGNALED"));

    let mut task = home.workflow_task(id).await;
    if died!() {
        let old = home.complete(task.task_token, vec![]).await.unwrap_err();
        assert_eq!(old.code(), Code::NotFound, "the task of the dead worker is not its own any more");
        task = home.workflow_task(id).await;
        assert_eq!(task.attempt, 2);
    }
    let limits = ScheduleActivityTaskCommandAttributes {
        start_to_close_timeout: seconds(3_600),
        heartbeat_timeout: seconds(600),
        retry_policy: attempts(9),
        ..Default::default()
    };
    home.complete(task.task_token, vec![activity(limits, id), timer("nap", 60)]).await.unwrap();
    died!();
    let mut deed = home.activity_task(id).await;
    let request = RecordActivityTaskHeartbeatRequest {
        task_token: deed.task_token.clone(),
        details: payloads(b"half"),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    let _: RecordActivityTaskHeartbeatResponse = home.call("RecordActivityTaskHeartbeat", request).await.unwrap();
    if died!() {
        deed = home.activity_task(id).await;
        assert_eq!(deed.heartbeat_details, payloads(b"half"), "the next attempt knows how far the last one came");
        assert!(deed.attempt > 1);
    }
    home.fail_activity(deed.task_token, "once more").await.unwrap();
    died!();
    home.pass(Duration::from_secs(2)).await;
    died!();
    let deed = home.activity_task(id).await;
    assert_eq!(deed.heartbeat_details, payloads(b"half"));
    let request = RespondActivityTaskCompletedRequest {
        task_token: deed.task_token,
        result: payloads(b"result"),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    let _: RespondActivityTaskCompletedResponse = home.call("RespondActivityTaskCompleted", request).await.unwrap();
    died!();
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![]).await.unwrap();
    died!();
    home.pass(Duration::from_secs(61)).await;
    died!();
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![complete()]).await.unwrap();
    died!();
    let info = home.describe(id).await.workflow_execution_info.unwrap();
    assert_eq!(info.status(), WorkflowExecutionStatus::Completed);
    home.names(id).await
}

#[tokio::test]
async fn a_workflow_survives_a_death_at_every_step() {
    let undisturbed = small_workflow(Some(usize::MAX)).await;
    for step in 1..=10 {
        let history = small_workflow(Some(step)).await;
        let lasting = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().copied().filter(|name| !name.starts_with("WORKFLOW_TASK_")).collect()
        };
        assert_eq!(lasting(&history), lasting(&undisturbed), "dead after step {step}");
        assert_eq!(history.contains(&"WORKFLOW_TASK_TIMED_OUT"), step == 3, "dead after step {step}");
    }
    small_workflow(None).await;
}

#[tokio::test]
async fn an_engine_that_was_shut_down_has_freed_its_file() {
    let mut home = Home::engine();
    home.start("stays").await;
    for _ in 0..5 {
        home.embedded().reopen(dixmgr_engine::store::StoreOptions::default()).await;
    }
    let old = home.embedded().handle().clone();
    old.shutdown().await;
    let refused = home.signal("stays", "late").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}
