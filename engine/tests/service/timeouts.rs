//! Time that runs out: the four timeouts of an activity, a workflow task's, a sticky queue's, a run's.

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    command::v1::ScheduleActivityTaskCommandAttributes,
    failure::v1::failure::FailureInfo,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::{
        RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse, StartWorkflowExecutionRequest,
    },
};

use crate::{
    hand::{activity, attempts, name, payloads, seconds, start},
    home::{Home, NAMESPACE},
};

/// What each scenario leaves: its history, a line an event.
pub(crate) async fn scenarios(home: &Home) -> Vec<Vec<String>> {
    if let Home::Engine(_) = home {
        // One after the other: they share a clock.
        return vec![
            schedule_to_start(home).await,
            schedule_to_close(home).await,
            start_to_close(home).await,
            heartbeat(home).await,
            no_time_for_another_attempt(home).await,
            workflow_task(home).await,
            sticky(home).await,
            run(home).await,
        ];
    }
    let (first, second, third, fourth, fifth, sixth, seventh, eighth) = tokio::join!(
        schedule_to_start(home),
        schedule_to_close(home),
        start_to_close(home),
        heartbeat(home),
        no_time_for_another_attempt(home),
        workflow_task(home),
        sticky(home),
        run(home)
    );
    vec![first, second, third, fourth, fifth, sixth, seventh, eighth]
}

/// The limit that runs out, in seconds: long enough that a busy server gets to its next step within it.
const LIMIT: i64 = 3;
/// Longer than one limit, shorter than two.
const PAST: Duration = Duration::from_millis(4_500);

/// What an event says of a timeout.
fn line(event: &HistoryEvent) -> String {
    let detail = match event.attributes.as_ref() {
        Some(Attributes::ActivityTaskTimedOutEventAttributes(a)) => {
            let failure = a.failure.clone().unwrap_or_default();
            let info = match failure.failure_info {
                Some(FailureInfo::TimeoutFailureInfo(info)) => {
                    let details = info.last_heartbeat_details.is_some();
                    format!("{:?}, details {details}", info.timeout_type())
                }
                other => format!("{other:?}"),
            };
            let cause = failure.cause.map(|cause| cause.message);
            format!(
                " {info}, {:?}, {:?}, cause {cause:?}, started {}",
                a.retry_state(),
                failure.message,
                a.started_event_id != 0
            )
        }
        Some(Attributes::ActivityTaskFailedEventAttributes(a)) => format!(" {:?}", a.retry_state()),
        Some(Attributes::ActivityTaskStartedEventAttributes(a)) => {
            format!(" attempt {}, {:?}", a.attempt, a.last_failure.as_ref().map(|failure| &failure.message))
        }
        Some(Attributes::WorkflowTaskTimedOutEventAttributes(a)) => format!(" {:?}", a.timeout_type()),
        Some(Attributes::WorkflowTaskScheduledEventAttributes(a)) => {
            let queue = a.task_queue.clone().unwrap_or_default();
            format!(" {:?} {}", queue.kind(), a.attempt)
        }
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(a)) => format!(" {:?}", a.retry_state()),
        _ => String::new(),
    };
    format!("{}{detail}", name(event))
}

async fn lines(home: &Home, id: &str) -> Vec<String> {
    // A server shows a transient workflow task after the history; here it is of no interest.
    let length = home.describe(id).await.workflow_execution_info.unwrap().history_length;
    home.history(id).await.iter().filter(|event| event.event_id <= length).map(line).collect()
}

/// The lines that are the activity's: a busy server may lose a worker's poll, and the workflow task with it.
async fn activity_lines(home: &Home, id: &str) -> Vec<String> {
    lines(home, id).await.into_iter().filter(|line| line.starts_with("ACTIVITY_")).collect()
}

/// Starts a workflow that waits for one activity on the queue `id`.
async fn waiting_for(home: &Home, id: &str, limits: ScheduleActivityTaskCommandAttributes) {
    home.start(id).await;
    let task = home.workflow_task(id).await;
    home.complete(task.task_token, vec![activity(limits, id)]).await.unwrap();
}

async fn schedule_to_start(home: &Home) -> Vec<String> {
    let id = "schedule-to-start";
    let limits = ScheduleActivityTaskCommandAttributes {
        schedule_to_start_timeout: seconds(LIMIT),
        start_to_close_timeout: seconds(60),
        ..Default::default()
    };
    waiting_for(home, id, limits).await;
    home.pass(PAST).await;
    activity_lines(home, id).await
}

async fn schedule_to_close(home: &Home) -> Vec<String> {
    let id = "schedule-to-close";
    let limits =
        ScheduleActivityTaskCommandAttributes { schedule_to_close_timeout: seconds(LIMIT), ..Default::default() };
    waiting_for(home, id, limits).await;
    home.activity_task(id).await;
    home.pass(PAST).await;
    activity_lines(home, id).await
}

async fn start_to_close(home: &Home) -> Vec<String> {
    let id = "start-to-close";
    let limits = ScheduleActivityTaskCommandAttributes {
        start_to_close_timeout: seconds(LIMIT),
        retry_policy: attempts(2),
        ..Default::default()
    };
    waiting_for(home, id, limits).await;
    home.activity_task(id).await;
    home.pass(PAST).await;
    home.pass(PAST).await;
    let second = home.activity_task(id).await;
    assert_eq!(second.attempt, 2);
    home.pass(PAST).await;
    activity_lines(home, id).await
}

async fn heartbeat(home: &Home) -> Vec<String> {
    let id = "heartbeat";
    let limits = ScheduleActivityTaskCommandAttributes {
        start_to_close_timeout: seconds(60),
        heartbeat_timeout: seconds(LIMIT),
        retry_policy: attempts(1),
        ..Default::default()
    };
    waiting_for(home, id, limits).await;
    let task = home.activity_task(id).await;
    home.pass(Duration::from_secs(2)).await;
    let request = RecordActivityTaskHeartbeatRequest {
        task_token: task.task_token,
        details: payloads(b"half"),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    let answer: RecordActivityTaskHeartbeatResponse = home.call("RecordActivityTaskHeartbeat", request).await.unwrap();
    assert!(!answer.cancel_requested);
    home.pass(Duration::from_secs(2)).await;
    assert!(home.names(id).await.iter().all(|name| *name != "ACTIVITY_TASK_TIMED_OUT"), "the heartbeat gave it time");
    home.pass(PAST).await;
    activity_lines(home, id).await
}

/// A failed attempt whose next one would begin after the schedule-to-close timeout ends the activity.
async fn no_time_for_another_attempt(home: &Home) -> Vec<String> {
    let id = "no-time";
    let limits = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: seconds(2 * LIMIT),
        start_to_close_timeout: seconds(LIMIT),
        retry_policy: attempts(0).map(|policy| temporalio_common::protos::temporal::api::common::v1::RetryPolicy {
            initial_interval: seconds(30),
            maximum_interval: seconds(30),
            ..policy
        }),
        ..Default::default()
    };
    waiting_for(home, id, limits).await;
    home.activity_task(id).await;
    home.pass(PAST).await;
    home.pass(PAST).await;
    activity_lines(home, id).await
}

async fn workflow_task(home: &Home) -> Vec<String> {
    let id = "workflow-task";
    let request = StartWorkflowExecutionRequest { workflow_task_timeout: seconds(LIMIT), ..start(id) };
    home.try_start(request).await.unwrap();
    home.workflow_task(id).await;
    home.pass(PAST).await;
    let second = home.workflow_task(id).await;
    assert_eq!(second.attempt, 2);
    lines(home, id).await
}

/// A sticky queue whose worker has gone: the task waits there for as long as was agreed, then goes to the others.
async fn sticky(home: &Home) -> Vec<String> {
    let id = "sticky";
    let cache = "sticky-cache";
    home.start(id).await;
    let task = home.workflow_task(id).await;
    // The worker waits on its own queue, for a moment.
    let waits = tokio::time::timeout(Duration::from_millis(300), home.poll_workflow(cache)).await;
    assert!(waits.is_err(), "there is nothing there yet");
    home.complete_on(task.task_token, vec![], Some(cache)).await.unwrap();
    home.signal(id, "wake").await.unwrap();
    home.pass(Duration::from_millis(2_700)).await;
    let task = home.workflow_task(id).await;
    assert_eq!(task.history.unwrap().events.first().map(|event| event.event_id), Some(1), "the whole history");
    lines(home, id).await
}

async fn run(home: &Home) -> Vec<String> {
    let id = "run-timeout";
    let request = StartWorkflowExecutionRequest { workflow_run_timeout: seconds(2 * LIMIT), ..start(id) };
    home.try_start(request).await.unwrap();
    home.workflow_task(id).await;
    home.signal(id, "unseen").await.unwrap();
    home.pass(2 * PAST).await;
    lines(home, id).await
}

#[tokio::test]
async fn every_timeout_is_written_as_what_it_was() {
    // One engine each: their clocks move by themselves.
    let engine = Home::engine;
    let last_of = |lines: Vec<String>, kind: &str| lines.into_iter().rfind(|line| line.starts_with(kind)).unwrap();
    let timed_out = "ACTIVITY_TASK_TIMED_OUT";
    assert!(last_of(schedule_to_start(&engine()).await, timed_out).contains("ScheduleToStart, "));
    assert!(last_of(schedule_to_close(&engine()).await, timed_out).contains("ScheduleToClose, "));
    assert!(
        last_of(start_to_close(&engine()).await, timed_out)
            .contains("StartToClose, details false, MaximumAttemptsReached")
    );
    assert!(last_of(heartbeat(&engine()).await, timed_out).contains("Heartbeat, details true, MaximumAttemptsReached"));
    assert!(last_of(no_time_for_another_attempt(&engine()).await, timed_out).contains("Timeout"));
    assert_eq!(
        last_of(workflow_task(&engine()).await, "WORKFLOW_TASK_TIMED_OUT"),
        "WORKFLOW_TASK_TIMED_OUT StartToClose"
    );
    assert_eq!(last_of(sticky(&engine()).await, "WORKFLOW_TASK_TIMED_OUT"), "WORKFLOW_TASK_TIMED_OUT ScheduleToStart");
    let run = run(&engine()).await;
    assert!(run.last().unwrap().starts_with("WORKFLOW_EXECUTION_TIMED_OUT"), "{run:#?}");
}
