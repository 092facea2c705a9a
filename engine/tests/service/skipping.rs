//! Time that is skipped, by a client and a worker by hand: when it is, and what stands against it.

use std::time::Duration;

use temporalio_common::protos::temporal::api::testservice::v1::{
    GetCurrentTimeResponse, LockTimeSkippingRequest, LockTimeSkippingResponse, SleepRequest, SleepResponse,
    UnlockTimeSkippingRequest, UnlockTimeSkippingResponse,
};
use tonic::Code;

use crate::{
    hand::{complete, seconds, soon, timer},
    home::Home,
};

const DAY: i64 = 24 * 3600;
/// Long enough for time to be skipped, if it were.
const A_WHILE: Duration = Duration::from_millis(300);

async fn now(home: &Home) -> i64 {
    let answer: GetCurrentTimeResponse = home.test("GetCurrentTime", ()).await.unwrap();
    answer.time.unwrap().seconds
}

async fn unlock(home: &Home) {
    let _: UnlockTimeSkippingResponse =
        home.test("UnlockTimeSkipping", UnlockTimeSkippingRequest {}).await.expect("it was locked");
}

#[tokio::test]
async fn an_engine_for_work_skips_no_time() {
    let home = Home::engine();
    let refused = |answer: Result<SleepResponse, tonic::Status>| {
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains("-time-skipping"), "{status:?}");
    };
    refused(home.test("Sleep", SleepRequest { duration: seconds(1) }).await);
    refused(home.test("UnlockTimeSkippingWithSleep", SleepRequest { duration: seconds(1) }).await);
    let lock: Result<LockTimeSkippingResponse, _> = home.test("LockTimeSkipping", LockTimeSkippingRequest {}).await;
    assert_eq!(lock.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(now(&home).await, 1_700_000_000, "it tells its time all the same");
}

#[tokio::test]
async fn time_waits_for_workers_and_for_locks() {
    let home = Home::skipping();
    let began = now(&home).await;
    home.start("skips").await;
    let task = home.workflow_task("skips").await;
    unlock(&home).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(now(&home).await < began + 60, "a worker has a task");

    let lock: Result<LockTimeSkippingResponse, _> = home.test("LockTimeSkipping", LockTimeSkippingRequest {}).await;
    lock.unwrap();
    home.complete(task.task_token, vec![timer("a month", 30 * DAY)]).await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    assert!(now(&home).await < began + 60, "it is locked");

    unlock(&home).await;
    let task = soon(home.workflow_task("skips")).await;
    let fired = now(&home).await;
    assert!((began + 30 * DAY..began + 30 * DAY + 60).contains(&fired), "{began} {fired}");
    home.complete(task.task_token, vec![complete()]).await.unwrap();

    home.start("waits for a worker").await;
    let sleep: Result<SleepResponse, _> =
        tokio::time::timeout(A_WHILE, home.test("Sleep", SleepRequest { duration: seconds(DAY) }))
            .await
            .unwrap_or_else(|_| Ok(SleepResponse::default()));
    sleep.unwrap();
    assert!(now(&home).await < fired + 60, "a worker could come");
    home.terminate("waits for a worker").await.unwrap();
    let _: SleepResponse = soon(home.test("Sleep", SleepRequest { duration: seconds(DAY) })).await.unwrap();
    assert!(now(&home).await >= fired + DAY);
}

#[tokio::test]
async fn a_sleep_that_unlocks_locks_again() {
    let home = Home::skipping();
    let began = now(&home).await;
    let _: SleepResponse =
        soon(home.test("UnlockTimeSkippingWithSleep", SleepRequest { duration: seconds(DAY) })).await.unwrap();
    let slept = now(&home).await;
    assert!((began + DAY..began + DAY + 60).contains(&slept));
    home.start("held").await;
    let task = home.workflow_task("held").await;
    home.complete(task.task_token, vec![timer("a day", DAY)]).await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    assert!(now(&home).await < slept + 60, "it is locked again");
    unlock(&home).await;
    soon(home.workflow_task("held")).await;
    let again: Result<UnlockTimeSkippingResponse, _> =
        home.test("UnlockTimeSkipping", UnlockTimeSkippingRequest {}).await;
    assert_eq!(again.unwrap_err().code(), Code::FailedPrecondition);
    let wrong: Result<SleepResponse, _> = home.test("SleepUntil", ()).await;
    assert_eq!(wrong.unwrap_err().code(), Code::InvalidArgument);
}
