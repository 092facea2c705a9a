//! Workflow tasks that fail again and again: what the worker gets, and what the history keeps.

use crate::{
    hand::{complete, name},
    home::Home,
};

/// A workflow task fails three times and then completes; what the worker was shown each time, and the history at the end.
pub(crate) async fn scenario(home: &Home) -> Vec<String> {
    let id = "transient";
    home.start(id).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let task = home.workflow_task(id).await;
        seen.push(shown(&task));
        home.fail_task(task.task_token).await.unwrap();
    }
    // A server shows a transient task after the history, which its length does not count.
    let length = home.describe(id).await.workflow_execution_info.unwrap().history_length;
    let history = home.names(id).await;
    seen.push(format!("after three failures: {:?}", &history[..usize::try_from(length).unwrap()]));
    home.signal(id, "news").await.unwrap();
    let task = home.workflow_task(id).await;
    seen.push(shown(&task));
    home.fail_task(task.task_token).await.unwrap();
    let task = home.workflow_task(id).await;
    seen.push(shown(&task));
    home.complete(task.task_token, vec![complete()]).await.unwrap();
    let history = home.history(id).await;
    seen.push(format!("{:?}", history.iter().map(name).collect::<Vec<_>>()));
    seen
}

fn shown(
    task: &temporalio_common::protos::temporal::api::workflowservice::v1::PollWorkflowTaskQueueResponse,
) -> String {
    let events = task.history.clone().unwrap_or_default().events;
    let events: Vec<_> = events.iter().map(|event| format!("{} {}", event.event_id, name(event))).collect();
    format!(
        "attempt {}, started {}, previous {}: {}",
        task.attempt,
        task.started_event_id,
        task.previous_started_event_id,
        events.join(", ")
    )
}

#[tokio::test]
async fn a_failing_task_is_shown_with_events_that_the_history_does_not_keep() {
    let seen = scenario(&Home::engine()).await;
    assert_eq!(
        seen[1],
        "attempt 2, started 6, previous 0: 1 WORKFLOW_EXECUTION_STARTED, 2 WORKFLOW_TASK_SCHEDULED, \
         3 WORKFLOW_TASK_STARTED, 4 WORKFLOW_TASK_FAILED, 5 WORKFLOW_TASK_SCHEDULED, 6 WORKFLOW_TASK_STARTED"
    );
    assert!(seen[2].starts_with("attempt 3, started 6"), "{}", seen[2]);
    assert!(seen[3].ends_with("\"WORKFLOW_TASK_FAILED\"]"), "{}", seen[3]);
    assert!(seen[4].starts_with("attempt 1, started 7"), "{}", seen[4]);
}

#[tokio::test]
async fn a_task_is_answered_once() {
    let home = Home::engine();
    home.start("once").await;
    let task = home.workflow_task("once").await;
    home.complete(task.task_token.clone(), vec![complete()]).await.unwrap();
    let again = home.complete(task.task_token, vec![complete()]).await.unwrap_err();
    assert_eq!(again.code(), tonic::Code::NotFound);
}
