//! Workers that say what they are: who is listed, found, described and forgotten.

use std::time::Duration;

use prost_wkt_types::Timestamp;
use temporalio_common::protos::temporal::api::{
    deployment::v1::WorkerDeploymentVersion,
    enums::v1::WorkerStatus,
    worker::v1::{WorkerHeartbeat, WorkerHostInfo},
    workflowservice::v1::{
        CountWorkersRequest, CountWorkersResponse, DescribeWorkerRequest, DescribeWorkerResponse, ListWorkersRequest,
        ListWorkersResponse, RecordWorkerHeartbeatRequest, RecordWorkerHeartbeatResponse, ShutdownWorkerRequest,
        ShutdownWorkerResponse,
    },
};

use crate::home::{Home, NAMESPACE};

/// What a filter may ask, where the server understands it.
const FILTERS: [&str; 20] = [
    "",
    "WorkerInstanceKey='k1'",
    "HostName='h' AND TaskQueue='q'",
    "DeploymentName='d'",
    "BuildId='b'",
    "SdkName!='s'",
    "SdkVersion STARTS_WITH '1'",
    "WorkerIdentity NOT STARTS_WITH 'id'",
    "Status='Running'",
    "WorkerStatus!='Running'",
    "Status='WORKER_STATUS_RUNNING'",
    "Status STARTS_WITH 'Shut'",
    "StartTime>'2026-01-02T00:00:00Z'",
    "StartTime='2026-01-02T00:00:00Z'",
    "StartTime BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-02T12:00:00Z'",
    "HeartbeatTime>'2026-01-02T00:00:00Z'",
    "(WorkerIdentity='id1') OR HostName='elsewhere'",
    "HostName IS NULL",
    "HostName IS NOT NULL",
    "DeploymentName IS NULL",
];

fn heartbeat(number: i64) -> WorkerHeartbeat {
    // The first of January 2026, and the days after.
    let day = |number: i64| Some(Timestamp { seconds: 1_767_225_600 + number * 86_400, nanos: 0 });
    let host = WorkerHostInfo { host_name: "h".into(), process_id: "7".into(), ..Default::default() };
    WorkerHeartbeat {
        worker_instance_key: format!("k{number}"),
        worker_identity: format!("id{}", number % 2),
        host_info: (number != 2).then_some(host),
        task_queue: "q".into(),
        deployment_version: (number == 1)
            .then(|| WorkerDeploymentVersion { deployment_name: "d".into(), build_id: "b".into() }),
        sdk_name: "s".into(),
        sdk_version: "1.2".into(),
        status: if number == 2 { WorkerStatus::ShuttingDown } else { WorkerStatus::Running }.into(),
        start_time: day(number),
        heartbeat_time: day(4),
        ..Default::default()
    }
}

impl Home {
    async fn heartbeat(&self, namespace: &str, worker_heartbeat: Vec<WorkerHeartbeat>) -> String {
        let namespace = namespace.to_owned();
        let request = RecordWorkerHeartbeatRequest { namespace, worker_heartbeat, ..Default::default() };
        let answer: Result<RecordWorkerHeartbeatResponse, _> = self.call("RecordWorkerHeartbeat", request).await;
        told(answer.map(|_| "ok"))
    }

    async fn list_workers(&self, page_size: i32, next_page_token: Vec<u8>) -> ListWorkersResponse {
        let request =
            ListWorkersRequest { namespace: NAMESPACE.into(), page_size, next_page_token, ..Default::default() };
        self.call("ListWorkers", request).await.unwrap()
    }

    async fn count_workers(&self, query: &str) -> String {
        let request = CountWorkersRequest { namespace: NAMESPACE.into(), query: query.into(), ..Default::default() };
        let answer: Result<CountWorkersResponse, _> = self.call("CountWorkers", request).await;
        told(answer.map(|answer| answer.count))
    }

    async fn describe_worker(&self, key: &str) -> String {
        let request = DescribeWorkerRequest { namespace: NAMESPACE.into(), worker_instance_key: key.into() };
        let answer: Result<DescribeWorkerResponse, _> = self.call("DescribeWorker", request).await;
        told(answer.map(|answer| answer.worker_info))
    }

    async fn shut_worker_down(&self, namespace: &str, heartbeat: WorkerHeartbeat) -> String {
        let request = ShutdownWorkerRequest {
            namespace: namespace.into(),
            worker_heartbeat: Some(heartbeat),
            ..Default::default()
        };
        let answer: Result<ShutdownWorkerResponse, _> = self.call("ShutdownWorker", request).await;
        told(answer.map(|_| "ok"))
    }
}

fn told<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// Three workers come, are asked for in every way, and go.
async fn scenario(home: &Home) -> Vec<String> {
    let mut seen = vec![
        home.heartbeat(NAMESPACE, (0..3).map(heartbeat).collect()).await,
        home.heartbeat(NAMESPACE, Vec::new()).await,
        home.heartbeat("nowhere", vec![heartbeat(0)]).await,
    ];
    for filter in FILTERS {
        seen.push(format!("{filter}: {}", home.count_workers(filter).await));
    }
    let first = home.list_workers(2, Vec::new()).await;
    let second = home.list_workers(2, first.next_page_token.clone()).await;
    seen.extend([format!("{first:?}"), format!("{second:?}")]);
    let bad = ListWorkersRequest { namespace: NAMESPACE.into(), next_page_token: vec![1], ..Default::default() };
    let bad: Result<ListWorkersResponse, _> = home.call("ListWorkers", bad).await;
    seen.push(told(bad));
    seen.extend([home.describe_worker("k0").await, home.describe_worker("nobody").await]);
    let shutting = WorkerHeartbeat { status: WorkerStatus::ShuttingDown.into(), ..heartbeat(0) };
    let shut = WorkerHeartbeat { status: WorkerStatus::Shutdown.into(), ..heartbeat(1) };
    seen.push(home.shut_worker_down("nowhere", shut.clone()).await);
    seen.push(home.shut_worker_down(NAMESPACE, shutting).await);
    seen.push(home.shut_worker_down(NAMESPACE, shut).await);
    seen.extend([home.describe_worker("k0").await, home.describe_worker("k1").await, home.count_workers("").await]);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporal_server_tells_the_same_of_workers() {
    let Some(server) = Home::server().await else { return };
    let theirs = Box::pin(scenario(&server)).await;
    assert_eq!(Box::pin(scenario(&Home::engine())).await, theirs);
}

#[tokio::test]
async fn a_worker_is_listed_as_long_as_it_is_heard_of() {
    let home = Home::engine();
    let seen = scenario(&home).await;
    assert_eq!(seen[3], ": 3");
    assert!(seen.last().is_some_and(|count| count == "2"), "{seen:#?}");
    home.pass(Duration::from_hours(23)).await;
    home.heartbeat(NAMESPACE, vec![heartbeat(0)]).await;
    home.pass(Duration::from_hours(2)).await;
    assert_eq!(home.count_workers("").await, "1");
    assert!(home.describe_worker("k2").await.starts_with("NotFound"));
}

#[tokio::test]
async fn a_filter_on_what_workers_do_not_have_is_refused() {
    let home = Home::engine();
    for filter in ["WorkflowId='x'", "BuildIds='x'", "Nonsense='x'", "GROUP BY ExecutionStatus"] {
        let told = home.count_workers(filter).await;
        assert!(told.starts_with("InvalidArgument"), "{filter}: {told}");
    }
}
