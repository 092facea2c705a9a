//! A store without room: requests are refused, nothing acknowledged is lost, and work goes on when there is room.

use std::time::Duration;

use dixmgr_engine::store::StoreOptions;
use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    workflowservice::v1::{
        SignalWorkflowExecutionRequest, SignalWorkflowExecutionResponse, StartWorkflowExecutionRequest,
    },
};
use tonic::{Code, Status};

use crate::{
    hand::{activity, complete, payloads, seconds, signal, start, timer},
    home::Home,
};

const SMALL: u64 = 1 << 20;

fn limited(max_bytes: u64) -> StoreOptions {
    StoreOptions { max_bytes: Some(max_bytes), ..StoreOptions::default() }
}

async fn big_signal(home: &Home, id: &str, bytes: usize) -> Result<(), Status> {
    let request = SignalWorkflowExecutionRequest { input: payloads(&vec![7; bytes]), ..signal(id, "big") };
    let answer: Result<SignalWorkflowExecutionResponse, _> = home.call("SignalWorkflowExecution", request).await;
    answer.map(drop)
}

/// Sends signals, ever smaller ones, until not even a byte fits. Answers how many were acknowledged.
async fn fill(home: &Home, id: &str) -> usize {
    let (mut acknowledged, mut bytes) = (0, 20_000);
    loop {
        match big_signal(home, id, bytes).await {
            Ok(()) => acknowledged += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                if bytes == 1 {
                    return acknowledged;
                }
                bytes = 1.max(bytes / 8);
            }
        }
    }
}

async fn signals(home: &Home, id: &str) -> usize {
    home.names(id).await.into_iter().filter(|name| *name == "WORKFLOW_EXECUTION_SIGNALED").count()
}

#[tokio::test]
async fn a_full_store_refuses_and_loses_nothing() {
    let mut home = Home::engine_with(limited(SMALL));
    home.start("full").await;
    let acknowledged = fill(&home, "full").await;
    assert!(acknowledged > 10);
    // New runs too large for what is left, and workers, are refused as well.
    let large = StartWorkflowExecutionRequest { input: payloads(&vec![7; 60_000]), ..start("late") };
    assert_eq!(home.try_start(large).await.unwrap_err().code(), Code::ResourceExhausted);
    let before = home.describe("full").await;
    assert_eq!(signals(&home, "full").await, acknowledged);

    home.embedded().reopen(limited(SMALL)).await;
    assert_eq!(home.describe("full").await, before, "what memory said is what the store says");
    assert_eq!(signals(&home, "full").await, acknowledged);

    home.embedded().reopen(limited(4 * SMALL)).await;
    big_signal(&home, "full", 20_000).await.unwrap();
    let task = home.workflow_task("full").await;
    home.complete(task.task_token, vec![complete()]).await.unwrap();
    assert_eq!(signals(&home, "full").await, acknowledged + 1);
    home.start("late").await;
}

/// Without a restart: old runs are forgotten after their retention, and that makes room. A timer that fell due meanwhile
/// fires then.
#[tokio::test]
async fn room_in_the_running_engine_lets_work_go_on() {
    let mut home = Home::engine_with(limited(SMALL));
    home.start("old").await;
    for _ in 0..20 {
        big_signal(&home, "old", 20_000).await.unwrap();
    }
    home.terminate("old").await.unwrap();
    home.start("waits").await;
    let task = home.workflow_task("waits").await;
    home.complete(task.task_token, vec![timer("nap", 60)]).await.unwrap();
    home.start("full").await;
    fill(&home, "full").await;

    // There may be no room to write down that the timer has fired, and whoever asks in that batch is refused.
    home.embedded().advance(Duration::from_secs(61));
    home.pass(Duration::from_hours(73)).await;
    for _ in 0..5 {
        home.pass(Duration::from_secs(700)).await;
    }
    assert!(home.names("waits").await.contains(&"TIMER_FIRED"));
    big_signal(&home, "full", 20_000).await.unwrap();
}

/// Even when there is no room to write down that a worker died with its process, its tasks are free once there is.
#[tokio::test]
async fn tasks_of_a_dead_worker_come_back_though_the_store_was_full_when_it_opened() {
    let mut home = Home::engine_with(limited(SMALL));
    home.start("old").await;
    for _ in 0..20 {
        big_signal(&home, "old", 20_000).await.unwrap();
    }
    home.terminate("old").await.unwrap();
    home.start("held").await;
    let task = home.workflow_task("held").await;
    let limits =
        ScheduleActivityTaskCommandAttributes { start_to_close_timeout: seconds(10_000 * 3_600), ..Default::default() };
    home.complete(task.task_token, vec![activity(limits, "held")]).await.unwrap();
    assert_eq!(home.activity_task("held").await.attempt, 1);
    home.start("full").await;
    fill(&home, "full").await;
    home.crash().await;
    home.settle().await;

    home.pass(Duration::from_hours(73)).await;
    for _ in 0..5 {
        home.pass(Duration::from_secs(700)).await;
    }
    assert_eq!(home.activity_task("held").await.attempt, 2);
}
