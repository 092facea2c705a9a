//! What an operator sets of a task queue holds, also when the process dies; on a clock that the test moves.

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    common::v1::ActivityType,
    enums::v1::{RateLimitSource, TaskQueueType},
    taskqueue::v1::RateLimit,
    workflowservice::v1::{
        DescribeTaskQueueRequest, DescribeTaskQueueResponse, StartActivityExecutionRequest,
        StartActivityExecutionResponse, UpdateTaskQueueConfigRequest, UpdateTaskQueueConfigResponse,
        update_task_queue_config_request::RateLimitUpdate,
    },
};

use crate::{
    hand::{queue, seconds, soon},
    home::{Home, NAMESPACE},
};

const QUEUE: &str = "slow";

async fn limit(home: &Home, requests_per_second: Option<f32>) {
    let rate_limit = requests_per_second.map(|requests_per_second| RateLimit { requests_per_second });
    let request = UpdateTaskQueueConfigRequest {
        namespace: NAMESPACE.into(),
        task_queue: QUEUE.into(),
        task_queue_type: TaskQueueType::Activity.into(),
        update_queue_rate_limit: Some(RateLimitUpdate { rate_limit, reason: "why".into() }),
        set_fairness_weight_overrides: [("key".to_owned(), 2.0)].into(),
        ..Default::default()
    };
    let _: UpdateTaskQueueConfigResponse = home.call("UpdateTaskQueueConfig", request).await.unwrap();
}

async fn described(home: &Home) -> DescribeTaskQueueResponse {
    let request = DescribeTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: queue(QUEUE),
        task_queue_type: TaskQueueType::Activity.into(),
        report_stats: true,
        report_config: true,
        ..Default::default()
    };
    home.call("DescribeTaskQueue", request).await.unwrap()
}

async fn start(home: &Home, id: &str) {
    let request = StartActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "deed".into() }),
        task_queue: queue(QUEUE),
        start_to_close_timeout: seconds(3_600),
        ..Default::default()
    };
    let _: StartActivityExecutionResponse = home.call("StartActivityExecution", request).await.unwrap();
}

#[tokio::test]
async fn a_limit_holds_and_survives_a_crash() {
    let mut home = Home::engine();
    limit(&home, Some(0.1)).await;
    home.crash().await;
    let told = described(&home).await;
    let config = told.config.unwrap();
    assert_eq!(config.fairness_weight_overrides, [("key".to_owned(), 2.0)].into());
    assert_eq!(config.queue_rate_limit.unwrap().metadata.unwrap().reason, "why");
    assert_eq!(told.effective_rate_limit.unwrap().rate_limit_source(), RateLimitSource::Api);

    for id in ["first", "second", "third"] {
        start(&home, id).await;
    }
    assert_eq!(soon(home.activity_task(QUEUE)).await.activity_id, "first");
    let stats = described(&home).await.stats.unwrap();
    assert_eq!((stats.approximate_backlog_count, stats.rate_limiting_active), (2, true));
    let (second, ()) = tokio::join!(home.activity_task(QUEUE), async {
        home.pass(Duration::from_secs(9)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(described(&home).await.stats.unwrap().approximate_backlog_count, 2, "not before its time");
        home.pass(Duration::from_secs(2)).await;
    });
    assert_eq!(second.activity_id, "second");
    let (third, ()) = tokio::join!(soon(home.activity_task(QUEUE)), limit(&home, None));
    assert_eq!(third.activity_id, "third", "without the limit, at once");
}
