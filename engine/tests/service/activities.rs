//! Activities that stand alone: their lives, what is refused, and what is left of them after a crash.

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    common::v1::ActivityType,
    enums::v1::{ActivityExecutionStatus as State, ActivityIdConflictPolicy, ActivityIdReusePolicy},
    workflowservice::v1::{
        CountActivityExecutionsRequest, CountActivityExecutionsResponse, DeleteActivityExecutionRequest,
        DeleteActivityExecutionResponse, DescribeActivityExecutionRequest, DescribeActivityExecutionResponse,
        ListActivityExecutionsRequest, ListActivityExecutionsResponse, PollActivityExecutionRequest,
        PollActivityExecutionResponse, RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse,
        RequestCancelActivityExecutionRequest, RequestCancelActivityExecutionResponse,
        RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledResponse,
        RespondActivityTaskCompletedByIdRequest, RespondActivityTaskCompletedByIdResponse,
        RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse, RespondActivityTaskFailedRequest,
        RespondActivityTaskFailedResponse, StartActivityExecutionRequest, StartActivityExecutionResponse,
        TerminateActivityExecutionRequest, TerminateActivityExecutionResponse,
    },
};
use tonic::Status;

use crate::{
    hand::{attempts, failure, payloads, queue, seconds, told},
    home::{Home, NAMESPACE},
};

fn start(id: &str) -> StartActivityExecutionRequest {
    StartActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "deed".into() }),
        task_queue: queue(id),
        start_to_close_timeout: seconds(10),
        retry_policy: attempts(2),
        input: payloads(b"input"),
        request_id: format!("start {id}"),
        ..Default::default()
    }
}

impl Home {
    async fn start_activity(
        &self,
        request: StartActivityExecutionRequest,
    ) -> Result<StartActivityExecutionResponse, Status> {
        self.call("StartActivityExecution", request).await
    }

    async fn describe_activity(&self, id: &str) -> Result<DescribeActivityExecutionResponse, Status> {
        let request = DescribeActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            include_outcome: true,
            include_last_failure: true,
            include_heartbeat_details: true,
            ..Default::default()
        };
        self.call("DescribeActivityExecution", request).await
    }

    /// What is told of an activity, but for times and ids.
    async fn shown(&self, id: &str) -> String {
        let described = self.describe_activity(id).await.unwrap();
        let info = described.info.unwrap();
        format!(
            "{id}: {:?} {:?} attempt {} of {:?}, {} heartbeats, {} transitions, cancelled for {:?}, outcome {:?}, failure {:?}",
            info.status(),
            info.run_state(),
            info.attempt,
            info.retry_policy.map(|policy| policy.maximum_attempts),
            info.total_heartbeat_count,
            info.state_transition_count,
            info.canceled_reason,
            described.outcome,
            info.last_failure.map(|failure| failure.message),
        )
    }

    async fn state_of(&self, id: &str) -> State {
        self.describe_activity(id).await.unwrap().info.unwrap().status()
    }

    async fn beat(&self, task_token: Vec<u8>) -> String {
        let request = RecordActivityTaskHeartbeatRequest {
            namespace: NAMESPACE.into(),
            task_token,
            details: payloads(b"half"),
            ..Default::default()
        };
        let answer: Result<RecordActivityTaskHeartbeatResponse, _> =
            self.call("RecordActivityTaskHeartbeat", request).await;
        answer.map_or_else(|status| told::<()>(Err(status)), |answer| format!("cancel {}", answer.cancel_requested))
    }

    async fn fail_activity_task(&self, task_token: Vec<u8>) -> String {
        let request = RespondActivityTaskFailedRequest {
            namespace: NAMESPACE.into(),
            task_token,
            failure: failure("boom"),
            ..Default::default()
        };
        told::<RespondActivityTaskFailedResponse>(self.call("RespondActivityTaskFailed", request).await)
    }

    async fn complete_activity_task(&self, task_token: Vec<u8>) -> String {
        let request = RespondActivityTaskCompletedRequest {
            namespace: NAMESPACE.into(),
            task_token,
            result: payloads(b"result"),
            ..Default::default()
        };
        told::<RespondActivityTaskCompletedResponse>(self.call("RespondActivityTaskCompleted", request).await)
    }

    async fn complete_by_id(&self, id: &str) -> String {
        let request = RespondActivityTaskCompletedByIdRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            ..Default::default()
        };
        told::<RespondActivityTaskCompletedByIdResponse>(self.call("RespondActivityTaskCompletedById", request).await)
    }

    async fn cancel_activity(&self, id: &str, request_id: &str) -> String {
        let request = RequestCancelActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            request_id: request_id.into(),
            reason: "why".into(),
            identity: "me".into(),
            ..Default::default()
        };
        told::<RequestCancelActivityExecutionResponse>(self.call("RequestCancelActivityExecution", request).await)
    }

    async fn terminate_activity(&self, id: &str, request_id: &str) -> String {
        let request = TerminateActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            request_id: request_id.into(),
            reason: "enough".into(),
            identity: "me".into(),
            ..Default::default()
        };
        told::<TerminateActivityExecutionResponse>(self.call("TerminateActivityExecution", request).await)
    }

    async fn delete_activity(&self, id: &str) -> String {
        let request = DeleteActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            ..Default::default()
        };
        told::<DeleteActivityExecutionResponse>(self.call("DeleteActivityExecution", request).await)
    }

    async fn count_activities(&self, query: &str) -> i64 {
        let request = CountActivityExecutionsRequest { namespace: NAMESPACE.into(), query: query.into() };
        let answer: CountActivityExecutionsResponse = self.call("CountActivityExecutions", request).await.unwrap();
        answer.count
    }
}

/// The lives of activities, in every way in which one ends.
async fn lives(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    home.start_activity(start("retried")).await.unwrap();
    let task = home.activity_task("retried").await;
    seen.push(format!("{:?} {:?} {} {:?}", task.input, task.workflow_execution, task.attempt, task.retry_policy));
    seen.push(home.beat(task.task_token.clone()).await);
    seen.push(home.fail_activity_task(task.task_token.clone()).await);
    seen.push(home.beat(task.task_token).await);
    seen.push(home.shown("retried").await);
    home.pass(Duration::from_secs(2)).await;
    let task = home.activity_task("retried").await;
    seen.push(format!("{} {:?}", task.attempt, task.heartbeat_details));
    seen.push(home.complete_activity_task(task.task_token.clone()).await);
    seen.push(home.complete_activity_task(task.task_token).await);
    seen.push(home.shown("retried").await);
    let poll = PollActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "retried".into(),
        ..Default::default()
    };
    let outcome: PollActivityExecutionResponse = home.call("PollActivityExecution", poll).await.unwrap();
    seen.push(format!("{:?}", outcome.outcome));

    home.start_activity(start("held")).await.unwrap();
    let task = home.activity_task("held").await;
    for request_id in ["r", "r", "s"] {
        seen.push(home.cancel_activity("held", request_id).await);
    }
    seen.push(home.beat(task.task_token.clone()).await);
    seen.push(home.shown("held").await);
    let canceled = RespondActivityTaskCanceledRequest {
        namespace: NAMESPACE.into(),
        task_token: task.task_token,
        details: payloads(b"details"),
        identity: "worker".into(),
        ..Default::default()
    };
    seen.push(told::<RespondActivityTaskCanceledResponse>(home.call("RespondActivityTaskCanceled", canceled).await));
    seen.push(home.shown("held").await);

    home.start_activity(start("waiting")).await.unwrap();
    seen.push(home.cancel_activity("waiting", "r").await);
    seen.push(home.cancel_activity("waiting", "s").await);
    seen.push(home.shown("waiting").await);

    home.start_activity(start("ended")).await.unwrap();
    seen.push(home.terminate_activity("ended", "r").await);
    seen.push(home.shown("ended").await);
    for request_id in ["r", "s"] {
        seen.push(home.terminate_activity("ended", request_id).await);
    }

    let late = StartActivityExecutionRequest { schedule_to_start_timeout: seconds(1), ..start("late") };
    home.start_activity(late).await.unwrap();
    let once = StartActivityExecutionRequest {
        start_to_close_timeout: seconds(1),
        retry_policy: attempts(1),
        ..start("once")
    };
    home.start_activity(once).await.unwrap();
    home.activity_task("once").await;
    home.pass(Duration::from_secs(3)).await;
    seen.extend([home.shown("late").await, home.shown("once").await]);

    home.start_activity(start("by id")).await.unwrap();
    home.activity_task("by id").await;
    seen.extend([home.complete_by_id("by id").await, home.complete_by_id("by id").await]);
    seen
}

/// What is refused, and in which words.
async fn refusals(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    let bad = [
        StartActivityExecutionRequest { activity_id: String::new(), ..start("a") },
        StartActivityExecutionRequest { activity_id: "x".repeat(1_001), ..start("a") },
        StartActivityExecutionRequest { activity_type: None, ..start("a") },
        StartActivityExecutionRequest { task_queue: None, ..start("a") },
        StartActivityExecutionRequest { start_to_close_timeout: None, ..start("a") },
        StartActivityExecutionRequest { start_to_close_timeout: seconds(-1), ..start("a") },
        StartActivityExecutionRequest { start_delay: seconds(-1), ..start("a") },
        StartActivityExecutionRequest { namespace: "nowhere".into(), ..start("a") },
        start("taken"),
        start("taken"),
        StartActivityExecutionRequest { request_id: "other".into(), ..start("taken") },
        StartActivityExecutionRequest {
            request_id: "other".into(),
            id_conflict_policy: ActivityIdConflictPolicy::UseExisting.into(),
            ..start("taken")
        },
    ];
    for request in bad {
        seen.push(told(home.start_activity(request).await));
    }
    let task = home.activity_task("taken").await;
    seen.push(home.complete_activity_task(task.task_token).await);
    for policy in [
        ActivityIdReusePolicy::RejectDuplicate,
        ActivityIdReusePolicy::AllowDuplicateFailedOnly,
        ActivityIdReusePolicy::AllowDuplicate,
    ] {
        let request = StartActivityExecutionRequest {
            request_id: "again".into(),
            id_reuse_policy: policy.into(),
            ..start("taken")
        };
        seen.push(told(home.start_activity(request).await));
    }
    for id in ["nobody", ""] {
        seen.push(told(home.describe_activity(id).await));
        seen.push(home.cancel_activity(id, "r").await);
        seen.push(home.terminate_activity(id, "r").await);
        seen.push(home.delete_activity(id).await);
    }
    seen.push(home.complete_by_id("nobody").await);
    let run = DescribeActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "taken".into(),
        run_id: "x".into(),
        ..Default::default()
    };
    seen.push(told::<DescribeActivityExecutionResponse>(home.call("DescribeActivityExecution", run.clone()).await));
    let token = DescribeActivityExecutionRequest { run_id: String::new(), long_poll_token: vec![1], ..run };
    seen.push(told::<DescribeActivityExecutionResponse>(home.call("DescribeActivityExecution", token).await));
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporal_server_runs_standalone_activities_the_same() {
    let Some(server) = Home::server().await else { return };
    let theirs = [Box::pin(lives(&server)).await, Box::pin(refusals(&server)).await].concat();
    let engine = Home::engine();
    let ours = [Box::pin(lives(&engine)).await, Box::pin(refusals(&engine)).await].concat();
    let differ = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs);
    let differ: Vec<_> = differ.map(|(ours, theirs)| format!("engine {ours}\nserver {theirs}")).collect();
    assert!(differ.is_empty(), "\n{}", differ.join("\n"));
    assert_eq!(ours.len(), theirs.len());
}

#[tokio::test]
async fn activities_survive_a_crash_and_go_on() {
    let mut home = Home::engine();
    home.start_activity(start("waiting")).await.unwrap();
    home.start_activity(start("held")).await.unwrap();
    home.start_activity(StartActivityExecutionRequest { start_delay: seconds(60), ..start("delayed") }).await.unwrap();
    home.start_activity(start("done")).await.unwrap();
    let done = home.activity_task("done").await;
    assert_eq!(home.complete_activity_task(done.task_token).await, "ok");
    home.activity_task("held").await;
    home.crash().await;
    assert_eq!(home.state_of("done").await, State::Completed);
    let waiting = home.activity_task("waiting").await;
    assert_eq!(waiting.input, payloads(b"input"));
    assert_eq!(home.complete_activity_task(waiting.task_token).await, "ok");
    // Its worker lived in the process that has died: the next attempt does not wait for a timeout.
    let held = home.activity_task("held").await;
    assert_eq!(held.attempt, 2);
    assert_eq!(home.complete_activity_task(held.task_token).await, "ok");
    assert_eq!(home.state_of("delayed").await, State::Running);
    home.pass(Duration::from_mins(1)).await;
    let delayed = home.activity_task("delayed").await;
    assert_eq!(home.complete_activity_task(delayed.task_token).await, "ok");
    assert_eq!(home.count_activities("ExecutionStatus = 'Completed'").await, 4);
}

#[tokio::test]
async fn activities_are_found_by_filters_and_forgotten_after_their_retention() {
    let home = Home::engine();
    for id in ["a", "b", "c"] {
        home.start_activity(start(id)).await.unwrap();
    }
    assert_eq!(home.terminate_activity("a", "r").await, "ok");
    for (query, count) in [
        ("", 3),
        ("ActivityId = 'a'", 1),
        ("ActivityType = 'deed' AND ExecutionStatus = 'Running'", 2),
        ("TaskQueue = 'b'", 1),
        ("ExecutionStatus IN ('Terminated', 'Running')", 3),
        ("CloseTime IS NULL", 2),
        ("StateTransitionCount > 1", 1),
    ] {
        assert_eq!(home.count_activities(query).await, count, "{query}");
    }
    let mut request = ListActivityExecutionsRequest {
        namespace: NAMESPACE.into(),
        page_size: 2,
        query: "ActivityType = 'deed'".into(),
        ..Default::default()
    };
    let first: ListActivityExecutionsResponse = home.call("ListActivityExecutions", request.clone()).await.unwrap();
    request.next_page_token = first.next_page_token.clone();
    let second: ListActivityExecutionsResponse = home.call("ListActivityExecutions", request).await.unwrap();
    let ids: Vec<_> = first.executions.iter().chain(&second.executions).map(|line| line.activity_id.as_str()).collect();
    assert_eq!(ids, ["c", "b", "a"]);
    assert!(!first.next_page_token.is_empty() && second.next_page_token.is_empty());
    assert_eq!(home.delete_activity("b").await, "ok");
    assert!(home.describe_activity("b").await.is_err());
    home.pass(Duration::from_hours(24 * 4)).await;
    home.pass(Duration::from_mins(11)).await;
    assert!(home.describe_activity("a").await.is_err(), "its retention is over");
    assert_eq!(home.state_of("c").await, State::Running);
}

#[tokio::test]
async fn a_describer_waits_until_an_activity_moves_on() {
    let home = Home::engine();
    home.start_activity(start("watched")).await.unwrap();
    let before = home.describe_activity("watched").await.unwrap();
    let request = DescribeActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "watched".into(),
        run_id: before.run_id,
        long_poll_token: before.long_poll_token,
        ..Default::default()
    };
    let poll = PollActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "watched".into(),
        ..Default::default()
    };
    let work = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let task = home.activity_task("watched").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        home.complete_activity_task(task.task_token).await
    };
    let (moved, outcome, done): (
        Result<DescribeActivityExecutionResponse, _>,
        Result<PollActivityExecutionResponse, _>,
        _,
    ) = tokio::join!(home.call("DescribeActivityExecution", request), home.call("PollActivityExecution", poll), work);
    assert_eq!(done, "ok");
    assert_eq!(moved.unwrap().info.unwrap().state_transition_count, 2);
    assert!(outcome.unwrap().outcome.is_some());
}
