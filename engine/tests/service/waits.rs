//! Policies, schedules and delays that are wrong, and those that wait while the process dies.

use std::time::Duration;

use futures::future::join_all;
use temporalio_common::protos::temporal::api::{
    common::v1::RetryPolicy, history::v1::history_event::Attributes, workflowservice::v1::StartWorkflowExecutionRequest,
};
use tonic::Status;

use crate::{
    hand::{attempts, complete, fail, payloads, queue, seconds, start},
    home::Home,
    runs::{answer, laden},
};

/// What each wrong start is answered with, and that one which looks wrong is not.
pub(crate) async fn refusals(home: &Home) -> Vec<String> {
    let policy = |policy| StartWorkflowExecutionRequest { retry_policy: Some(policy), ..start("") };
    let cron = |schedule: &str| StartWorkflowExecutionRequest { cron_schedule: schedule.into(), ..start("") };
    let delay = |length| StartWorkflowExecutionRequest { workflow_start_delay: seconds(length), ..start("") };
    let requests = vec![
        policy(RetryPolicy { backoff_coefficient: 0.5, ..Default::default() }),
        policy(RetryPolicy { maximum_attempts: -1, ..Default::default() }),
        policy(RetryPolicy { initial_interval: seconds(5), maximum_interval: seconds(1), ..Default::default() }),
        policy(RetryPolicy { initial_interval: seconds(-1), ..Default::default() }),
        policy(RetryPolicy { maximum_interval: seconds(-1), ..Default::default() }),
        policy(RetryPolicy { non_retryable_error_types: vec!["TemporalTimeout:Foo".into()], ..Default::default() }),
        policy(RetryPolicy { maximum_attempts: 1, backoff_coefficient: 0.1, ..Default::default() }),
        StartWorkflowExecutionRequest { workflow_start_delay: seconds(1), ..cron("* * * * *") },
        delay(-1),
        cron("x"),
        cron("* * * * * *"),
        cron("0 0 30 2 *"),
        cron("0 0 * * 7"),
        cron("CRON_TZ=Nowhere/X 0 3 * * *"),
        cron("CRON_TZ=Europe/Berlin 0 3 * * *"),
        cron("@reboot"),
        cron("@every 1x"),
        // Which fault comes first.
        StartWorkflowExecutionRequest { workflow_type: None, ..cron("x") },
        StartWorkflowExecutionRequest { retry_policy: attempts(-1), ..cron("x") },
    ];
    let answers = requests.into_iter().enumerate().map(async |(number, request)| {
        let id = format!("refused-{number}");
        let request = StartWorkflowExecutionRequest { workflow_id: id.clone(), task_queue: queue(&id), ..request };
        let answer = home
            .try_start(request)
            .await
            .map(drop)
            .map_err(|status: Status| format!("{:?} {}", status.code(), status.message()));
        if answer.is_ok() {
            home.terminate(&id).await.unwrap();
        }
        format!("{id}: {answer:?}")
    });
    join_all(answers).await
}

/// Reads one number of the current run: its attempt, and how long its first task waits.
async fn waits(home: &Home, id: &str) -> (i32, i64) {
    let history = home.history(id).await;
    match history.first().and_then(|event| event.attributes.as_ref()) {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) => {
            (a.attempt, a.first_workflow_task_backoff.unwrap_or_default().seconds)
        }
        other => panic!("not a start: {other:?}"),
    }
}

#[tokio::test]
async fn a_process_that_dies_while_a_first_task_waits_keeps_the_wait() {
    let mut home = Home::engine();
    home.try_start(StartWorkflowExecutionRequest { workflow_start_delay: seconds(60), ..start("delay") })
        .await
        .unwrap();
    home.try_start(StartWorkflowExecutionRequest { cron_schedule: "@every 60s".into(), ..start("cron") })
        .await
        .unwrap();
    let policy = RetryPolicy { initial_interval: seconds(60), ..attempts(3).unwrap() };
    home.try_start(StartWorkflowExecutionRequest { retry_policy: Some(policy), ..laden("retry") }).await.unwrap();
    answer(&home, "retry", fail("Passing")).await;
    home.crash().await;
    assert_eq!(waits(&home, "delay").await, (1, 60));
    assert_eq!(waits(&home, "cron").await, (1, 60));
    assert_eq!(waits(&home, "retry").await, (2, 60));
    home.pass(Duration::from_secs(59)).await;
    for id in ["delay", "cron", "retry"] {
        home.signal(id, "too early").await.unwrap();
        assert_eq!(home.names(id).await, ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_EXECUTION_SIGNALED"], "{id}");
    }
    home.crash().await;
    home.pass(Duration::from_secs(2)).await;
    for id in ["delay", "cron"] {
        answer(&home, id, complete()).await;
    }
    // The run before had closed, and its input was only in the file.
    let task = home.workflow_task("retry").await;
    let events = task.history.unwrap().events;
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) = events[0].attributes.as_ref() else { panic!() };
    assert_eq!(a.input, payloads(b"input"));
    assert_eq!(waits(&home, "cron").await, (1, 59), "counted from when the last run was due");
}

#[tokio::test]
async fn a_run_whose_input_is_only_in_the_file_is_tried_again_with_it() {
    let mut home = Home::engine();
    home.try_start(StartWorkflowExecutionRequest { retry_policy: attempts(2), ..laden("far") }).await.unwrap();
    let task = home.workflow_task("far").await;
    home.crash().await;
    assert!(home.complete(task.task_token, vec![fail("Passing")]).await.is_err());
    answer(&home, "far", fail("Passing")).await;
    let history = home.history("far").await;
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) = history[0].attributes.as_ref() else { panic!() };
    assert_eq!((a.attempt, a.input.clone(), a.header.is_some()), (2, payloads(b"input"), true));
}
