//! Runs that follow each other, and first workflow tasks that wait: retry policies, cron schedules, start delays.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, join_all};
use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command, ContinueAsNewWorkflowExecutionCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        command::Attributes as C,
    },
    common::v1::{Header, Memo, Payload, RetryPolicy, WorkflowType},
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::{
        RequestCancelWorkflowExecutionRequest, RequestCancelWorkflowExecutionResponse,
        SignalWithStartWorkflowExecutionRequest, SignalWithStartWorkflowExecutionResponse,
        StartWorkflowExecutionRequest,
    },
};

use crate::{
    hand::{attempts, command, complete, complete_with, execution, fail, payloads, queue, seconds, start},
    home::{Home, NAMESPACE},
    waits,
};

/// A moment past a wait of one second, or two.
const PAST_ONE: Duration = Duration::from_millis(1_400);
const PAST_TWO: Duration = Duration::from_millis(2_400);

/// What each scenario leaves: its histories, a line an event.
pub(crate) async fn scenarios(home: &Home) -> Vec<String> {
    let scenarios: [BoxFuture<'_, Vec<String>>; 7] = [
        retried(home).boxed(),
        timed_out(home).boxed(),
        child(home).boxed(),
        continued(home).boxed(),
        delayed(home).boxed(),
        cron(home).boxed(),
        waits::refusals(home).boxed(),
    ];
    if let Home::Server { .. } = home {
        return join_all(scenarios).await.concat();
    }
    // One after the other: they share a clock.
    let mut lines = Vec::new();
    for scenario in scenarios {
        lines.extend(scenario.await);
    }
    lines
}

pub(crate) fn line(event: &HistoryEvent) -> String {
    let value = serde_json::to_value(event).unwrap();
    let line = dixmgr_testkit::history::line(event.event_id, event.event_type().as_str_name(), &value);
    match event.attributes.as_ref() {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(a)) => {
            let continues = !a.continued_execution_run_id.is_empty();
            // How long until a schedule's next time depends on when exactly the run before ended.
            let exact = !continues || a.cron_schedule.is_empty();
            let backoff = a.first_workflow_task_backoff.filter(|_| exact).map(|backoff| backoff.seconds);
            format!("{line} backoff {backoff:?}, continues {continues}")
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => {
            format!("{line} {:?} next {}", a.retry_state(), !a.new_execution_run_id.is_empty())
        }
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(a)) => {
            format!("{line} {:?} next {}", a.retry_state(), !a.new_execution_run_id.is_empty())
        }
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => {
            format!("{line} next {}", !a.new_execution_run_id.is_empty())
        }
        _ => line,
    }
}

pub(crate) async fn lines(home: &Home, id: &str, run_id: &str) -> Vec<String> {
    home.history_of(id, run_id).await.iter().map(line).collect()
}

/// Answers the next workflow task of `id` with `command`; answers the run's id.
pub(crate) async fn answer(home: &Home, id: &str, command: Command) -> String {
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![command]).await.unwrap();
    task.workflow_execution.unwrap().run_id
}

/// Everything that a next run may inherit.
pub(crate) fn laden(id: &str) -> StartWorkflowExecutionRequest {
    let field = |name: &str| {
        std::iter::once((name.to_owned(), Payload { data: name.as_bytes().to_vec(), ..Default::default() })).collect()
    };
    StartWorkflowExecutionRequest {
        input: payloads(b"input"),
        header: Some(Header { fields: field("header") }),
        memo: Some(Memo { fields: field("memo") }),
        workflow_execution_timeout: seconds(600),
        workflow_run_timeout: seconds(300),
        ..start(id)
    }
}

async fn retried(home: &Home) -> Vec<String> {
    let id = "retried";
    let policy = RetryPolicy { non_retryable_error_types: vec!["Fatal".into()], ..attempts(3).unwrap() };
    home.try_start(StartWorkflowExecutionRequest { retry_policy: Some(policy.clone()), ..laden(id) }).await.unwrap();
    let mut seen = Vec::new();
    let first = answer(home, id, fail("Passing")).await;
    seen.extend(lines(home, id, &first).await);
    home.signal(id, "while it waits").await.unwrap();
    seen.extend(lines(home, id, "").await);
    home.pass(PAST_ONE).await;
    let second = answer(home, id, fail("Fatal")).await;
    seen.extend(lines(home, id, &second).await);

    let id = "exhausted";
    home.try_start(StartWorkflowExecutionRequest { retry_policy: attempts(2), ..start(id) }).await.unwrap();
    answer(home, id, fail("Passing")).await;
    home.pass(PAST_ONE).await;
    let second = answer(home, id, fail("Passing")).await;
    seen.extend(lines(home, id, &second).await);
    seen
}

async fn timed_out(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    let request = |id: &str, retry_policy| StartWorkflowExecutionRequest {
        retry_policy,
        workflow_run_timeout: seconds(1),
        ..start(id)
    };
    let id = "run-timed-out";
    let first = home.try_start(request(id, attempts(2))).await.unwrap().run_id;
    home.pass(PAST_ONE).await;
    seen.extend(lines(home, id, &first).await);
    seen.extend(lines(home, id, "").await.into_iter().take(1));

    let id = "no-such-timeout";
    let types = vec!["TemporalTimeout:StartToClose".to_owned()];
    let policy = RetryPolicy { non_retryable_error_types: types, ..attempts(2).unwrap() };
    let first = home.try_start(request(id, Some(policy))).await.unwrap().run_id;
    home.pass(PAST_ONE).await;
    seen.extend(lines(home, id, &first).await);

    // The next attempt would come after the time of the whole execution.
    let id = "no-time-for-a-run";
    let policy = RetryPolicy { initial_interval: seconds(30), ..attempts(2).unwrap() };
    let whole = StartWorkflowExecutionRequest { workflow_execution_timeout: seconds(20), ..request(id, Some(policy)) };
    let first = home.try_start(whole).await.unwrap().run_id;
    home.pass(PAST_ONE).await;
    seen.extend(lines(home, id, &first).await);
    seen
}

pub(crate) fn start_child(attributes: StartChildWorkflowExecutionCommandAttributes, id: &str) -> Command {
    command(C::StartChildWorkflowExecutionCommandAttributes(StartChildWorkflowExecutionCommandAttributes {
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: "by hand".into() }),
        task_queue: queue(id),
        ..attributes
    }))
}

async fn child(home: &Home) -> Vec<String> {
    let id = "with-child";
    home.start(id).await;
    let policy = StartChildWorkflowExecutionCommandAttributes { retry_policy: attempts(2), ..Default::default() };
    answer(home, id, start_child(policy, "retried-child")).await;
    answer(home, "retried-child", fail("Passing")).await;
    home.pass(PAST_ONE).await;
    let mut seen = lines(home, "retried-child", "").await;
    seen.truncate(1);
    answer(home, "retried-child", fail("Passing")).await;
    home.pass(Duration::from_millis(300)).await;
    seen.extend(lines(home, id, "").await);

    let id = "with-timed-out-child";
    home.start(id).await;
    let limit = StartChildWorkflowExecutionCommandAttributes { workflow_run_timeout: seconds(1), ..Default::default() };
    answer(home, id, start_child(limit, "timed-out-child")).await;
    home.pass(PAST_ONE).await;
    seen.extend(lines(home, id, "").await);
    seen
}

async fn continued(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    for (id, attributes) in [
        ("continued", ContinueAsNewWorkflowExecutionCommandAttributes::default()),
        (
            "continued-retried",
            ContinueAsNewWorkflowExecutionCommandAttributes { retry_policy: attempts(4), ..Default::default() },
        ),
        (
            "continued-cron",
            ContinueAsNewWorkflowExecutionCommandAttributes {
                cron_schedule: "@every 30s".into(),
                ..Default::default()
            },
        ),
    ] {
        home.try_start(StartWorkflowExecutionRequest { retry_policy: attempts(3), ..start(id) }).await.unwrap();
        home.pass(PAST_ONE).await;
        let command = command(C::ContinueAsNewWorkflowExecutionCommandAttributes(attributes));
        let first = answer(home, id, command).await;
        seen.extend(lines(home, id, &first).await.into_iter().skip(4));
        seen.extend(lines(home, id, "").await);
    }
    seen
}

async fn signal_with_start(home: &Home, start: StartWorkflowExecutionRequest) {
    let request = SignalWithStartWorkflowExecutionRequest {
        namespace: start.namespace,
        workflow_id: start.workflow_id,
        workflow_type: start.workflow_type,
        task_queue: start.task_queue,
        request_id: start.request_id,
        signal_name: "with start".into(),
        workflow_start_delay: start.workflow_start_delay,
        cron_schedule: start.cron_schedule,
        ..Default::default()
    };
    let _: SignalWithStartWorkflowExecutionResponse =
        home.call("SignalWithStartWorkflowExecution", request).await.unwrap();
}

async fn cancel(home: &Home, id: &str) {
    let request = RequestCancelWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: execution(id),
        request_id: uuid::Uuid::now_v7().to_string(),
        ..Default::default()
    };
    let _: RequestCancelWorkflowExecutionResponse = home.call("RequestCancelWorkflowExecution", request).await.unwrap();
}

async fn delayed(home: &Home) -> Vec<String> {
    let delayed = |id: &str, delay: i64| StartWorkflowExecutionRequest {
        workflow_start_delay: seconds(delay),
        workflow_execution_timeout: seconds(100),
        workflow_run_timeout: seconds(50),
        ..start(id)
    };
    let mut seen = Vec::new();
    let id = "delayed";
    home.try_start(delayed(id, 2)).await.unwrap();
    home.signal(id, "while it waits").await.unwrap();
    seen.extend(lines(home, id, "").await);
    let described = home.describe(id).await;
    let info = described.workflow_execution_info.unwrap();
    let extended = described.workflow_extended_info.unwrap();
    let begun = info.start_time.unwrap().seconds;
    seen.push(format!(
        "task {:?}, execution {}, run until {}, execution until {}",
        described.pending_workflow_task,
        info.execution_time.unwrap().seconds - begun,
        extended.run_expiration_time.unwrap().seconds - begun,
        extended.execution_expiration_time.unwrap().seconds - begun,
    ));
    home.pass(PAST_TWO).await;
    seen.extend(lines(home, id, "").await);

    home.try_start(delayed("delayed-signalled", 100)).await.unwrap();
    signal_with_start(home, start("delayed-signalled")).await;
    seen.extend(lines(home, "delayed-signalled", "").await);
    signal_with_start(home, delayed("signalled-delayed", 100)).await;
    seen.extend(lines(home, "signalled-delayed", "").await);
    home.try_start(delayed("delayed-cancelled", 100)).await.unwrap();
    cancel(home, "delayed-cancelled").await;
    seen.extend(lines(home, "delayed-cancelled", "").await);
    seen
}

async fn cron(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    let id = "cron";
    let every = |id: &str| StartWorkflowExecutionRequest { cron_schedule: "@every 2s".into(), ..laden(id) };
    home.try_start(every(id)).await.unwrap();
    for command in [complete_with(b"result"), fail("Passing"), complete()] {
        home.pass(PAST_TWO).await;
        let run = answer(home, id, command).await;
        seen.extend(lines(home, id, &run).await);
    }
    seen.extend(lines(home, id, "").await);

    // A retry goes before the schedule, and the schedule goes on when no attempt is left.
    let id = "cron-retried";
    home.try_start(StartWorkflowExecutionRequest { retry_policy: attempts(2), ..every(id) }).await.unwrap();
    home.pass(PAST_TWO).await;
    for pass in [PAST_ONE, PAST_TWO] {
        let run = answer(home, id, fail("Passing")).await;
        seen.extend(lines(home, id, &run).await);
        home.pass(pass).await;
    }
    seen.extend(lines(home, id, "").await);

    let id = "cron-timed-out";
    let request = StartWorkflowExecutionRequest { workflow_run_timeout: seconds(1), ..every(id) };
    let first = home.try_start(request).await.unwrap().run_id;
    // Twice, so that the clock that is moved by hand stops where the first task is due.
    home.pass(PAST_TWO).await;
    home.pass(Duration::from_secs(1)).await;
    seen.extend(lines(home, id, &first).await);
    seen.extend(lines(home, id, "").await.into_iter().take(1));
    for id in ["cron", "cron-retried", "cron-timed-out"] {
        home.terminate(id).await.unwrap();
    }
    seen
}

#[tokio::test]
async fn runs_follow_each_other_as_their_policies_say() {
    let lines = scenarios(&Home::engine()).await;
    let has = |parts: &[&str]| {
        let found = lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?}\n{lines:#?}");
    };
    has(&["EXECUTION_FAILED", "InProgress next true"]);
    has(&["EXECUTION_STARTED", "boom", "backoff Some(1), continues true", "aW5wdXQ"]);
    has(&["EXECUTION_FAILED", "NonRetryableFailure next false"]);
    has(&["EXECUTION_FAILED", "MaximumAttemptsReached next false"]);
    has(&["EXECUTION_TIMED_OUT", "InProgress next true"]);
    has(&["EXECUTION_TIMED_OUT", "Timeout next false"]);
    has(&["execution 2, run until 52, execution until 100"]);
    has(&["EXECUTION_COMPLETED", "next true"]);
}
