//! Worker deployments: whose tasks go to which version, what is told of versions, and what is left of them after a crash.

use std::time::Duration;

use temporalio_common::protos::temporal::api::{
    deployment::v1::{WorkerDeploymentOptions, WorkerDeploymentVersion},
    enums::v1::{VersioningBehavior, WorkerDeploymentVersionStatus as VersionStatus, WorkerVersioningMode},
    workflow::v1::{
        VersioningOverride,
        versioning_override::{Override, PinnedOverride},
    },
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, CreateWorkerDeploymentRequest,
        CreateWorkerDeploymentResponse, CreateWorkerDeploymentVersionRequest, CreateWorkerDeploymentVersionResponse,
        DeleteWorkerDeploymentRequest, DeleteWorkerDeploymentResponse, DeleteWorkerDeploymentVersionRequest,
        DeleteWorkerDeploymentVersionResponse, DescribeWorkerDeploymentRequest, DescribeWorkerDeploymentResponse,
        DescribeWorkerDeploymentVersionRequest, DescribeWorkerDeploymentVersionResponse, PollWorkflowTaskQueueRequest,
        PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse,
        SetWorkerDeploymentCurrentVersionRequest, SetWorkerDeploymentCurrentVersionResponse,
        SetWorkerDeploymentManagerRequest, SetWorkerDeploymentManagerResponse,
        SetWorkerDeploymentRampingVersionRequest, SetWorkerDeploymentRampingVersionResponse,
        StartWorkflowExecutionRequest, UpdateWorkerDeploymentVersionMetadataRequest,
        UpdateWorkerDeploymentVersionMetadataResponse,
    },
};
use tonic::Status;

use crate::{
    hand::{queue, start, told},
    home::{Home, NAMESPACE},
};

const QUEUE: &str = "versioned";

fn version(build_id: &str) -> Option<WorkerDeploymentVersion> {
    Some(WorkerDeploymentVersion { deployment_name: "d".into(), build_id: build_id.into() })
}

fn options(build_id: &str) -> Option<WorkerDeploymentOptions> {
    Some(WorkerDeploymentOptions {
        deployment_name: "d".into(),
        build_id: build_id.into(),
        worker_versioning_mode: WorkerVersioningMode::Versioned.into(),
    })
}

fn versioned_start(id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest { task_queue: queue(QUEUE), ..start(id) }
}

impl Home {
    async fn poll_as(&self, build_id: &str) -> PollWorkflowTaskQueueResponse {
        let request = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: queue(QUEUE),
            identity: format!("worker {build_id}"),
            deployment_options: options(build_id),
            ..Default::default()
        };
        self.call("PollWorkflowTaskQueue", request).await.unwrap()
    }

    /// The next task of a version, which must be that of `id`; it is completed with that behavior.
    async fn serve(&self, build_id: &str, id: &str, behavior: VersioningBehavior) {
        let task = tokio::time::timeout(Duration::from_secs(20), self.poll_as(build_id)).await;
        let task = task.unwrap_or_else(|_| panic!("no task of {id} comes to version {build_id}"));
        assert_eq!(task.workflow_execution.map(|execution| execution.workflow_id).as_deref(), Some(id));
        let request = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.into(),
            task_token: task.task_token,
            identity: format!("worker {build_id}"),
            versioning_behavior: behavior.into(),
            deployment_options: options(build_id),
            ..Default::default()
        };
        let _: RespondWorkflowTaskCompletedResponse = self.call("RespondWorkflowTaskCompleted", request).await.unwrap();
    }

    /// Has workers of a version be heard of.
    async fn register(&self, build_id: &str) {
        let _ = tokio::time::timeout(Duration::from_millis(300), self.poll_as(build_id)).await;
    }

    async fn set_current(&self, build_id: &str) -> Result<SetWorkerDeploymentCurrentVersionResponse, Status> {
        let request = SetWorkerDeploymentCurrentVersionRequest {
            namespace: NAMESPACE.into(),
            deployment_name: "d".into(),
            build_id: build_id.into(),
            identity: "me".into(),
            ..Default::default()
        };
        self.call("SetWorkerDeploymentCurrentVersion", request).await
    }

    async fn set_ramping(&self, build_id: &str, percentage: f32) -> Result<(), Status> {
        let request = SetWorkerDeploymentRampingVersionRequest {
            namespace: NAMESPACE.into(),
            deployment_name: "d".into(),
            build_id: build_id.into(),
            percentage,
            identity: "me".into(),
            ..Default::default()
        };
        let answer: Result<SetWorkerDeploymentRampingVersionResponse, _> =
            self.call("SetWorkerDeploymentRampingVersion", request).await;
        answer.map(drop)
    }

    async fn describe_deployment(&self, name: &str) -> Result<DescribeWorkerDeploymentResponse, Status> {
        let (namespace, deployment_name) = (NAMESPACE.into(), name.into());
        self.call("DescribeWorkerDeployment", DescribeWorkerDeploymentRequest { namespace, deployment_name }).await
    }

    async fn describe_version(
        &self,
        deployment_version: Option<WorkerDeploymentVersion>,
    ) -> Result<DescribeWorkerDeploymentVersionResponse, Status> {
        let request = DescribeWorkerDeploymentVersionRequest {
            namespace: NAMESPACE.into(),
            deployment_version,
            ..Default::default()
        };
        self.call("DescribeWorkerDeploymentVersion", request).await
    }

    async fn status_of(&self, build_id: &str) -> VersionStatus {
        let info = self.describe_version(version(build_id)).await.unwrap().worker_deployment_version_info;
        info.unwrap().status()
    }

    async fn delete_version(&self, build_id: &str) -> String {
        let request = DeleteWorkerDeploymentVersionRequest {
            namespace: NAMESPACE.into(),
            deployment_version: version(build_id),
            ..Default::default()
        };
        let answer: Result<DeleteWorkerDeploymentVersionResponse, _> =
            self.call("DeleteWorkerDeploymentVersion", request).await;
        told(answer)
    }

    async fn count(&self, query: &str) -> i64 {
        let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query: query.into() };
        let answer: CountWorkflowExecutionsResponse = self.call("CountWorkflowExecutions", request).await.unwrap();
        answer.count
    }
}

#[tokio::test]
async fn the_pinned_stay_and_the_others_follow_the_current_version() {
    let mut home = Home::engine();
    home.register("1").await;
    home.set_current("1").await.unwrap();
    home.try_start(versioned_start("p")).await.unwrap();
    home.serve("1", "p", VersioningBehavior::Pinned).await;
    home.try_start(versioned_start("a")).await.unwrap();
    home.serve("1", "a", VersioningBehavior::AutoUpgrade).await;
    for (query, count) in [
        ("TemporalWorkerDeployment = 'd'", 2),
        ("TemporalWorkerDeploymentVersion = 'd:1'", 2),
        ("TemporalWorkflowVersioningBehavior = 'Pinned'", 1),
        ("BuildIds = 'pinned:d:1'", 1),
        ("TemporalUsedWorkerDeploymentVersions = 'd:1'", 2),
    ] {
        assert_eq!(home.count(query).await, count, "{query}");
    }
    home.register("2").await;
    home.set_current("2").await.unwrap();
    // What is known of versions is in the file, and who gets what follows from it.
    home.crash().await;
    home.signal("p", "go on").await.unwrap();
    home.signal("a", "go on").await.unwrap();
    home.serve("1", "p", VersioningBehavior::Pinned).await;
    home.serve("2", "a", VersioningBehavior::AutoUpgrade).await;
    let info = home.describe("a").await.workflow_execution_info.unwrap();
    assert_eq!(info.versioning_info.and_then(|info| info.deployment_version), version("2"));
    assert_eq!(info.worker_deployment_name, "d");
    assert_eq!(home.count("TemporalUsedWorkerDeploymentVersions = 'd:1'").await, 2);
    assert_eq!(home.status_of("1").await, VersionStatus::Draining);
    home.pass(Duration::from_mins(4)).await;
    assert_eq!(home.status_of("1").await, VersionStatus::Draining, "something pinned is open");
    home.terminate("p").await.unwrap();
    home.pass(Duration::from_mins(4)).await;
    assert_eq!(home.status_of("1").await, VersionStatus::Drained);
    home.pass(Duration::from_mins(2)).await;
    assert_eq!(home.delete_version("1").await, "ok");
    assert!(home.describe_version(version("1")).await.is_err());
}

#[tokio::test]
async fn what_waits_goes_to_the_version_that_becomes_current() {
    let home = Home::engine();
    home.try_start(versioned_start("early")).await.unwrap();
    home.register("1").await;
    assert_eq!(home.status_of("1").await, VersionStatus::Inactive);
    home.set_current("1").await.unwrap();
    home.serve("1", "early", VersioningBehavior::AutoUpgrade).await;
    // A ramp of everything, and then back to workers without a version.
    home.register("2").await;
    home.set_ramping("2", 100.0).await.unwrap();
    assert_eq!(home.status_of("2").await, VersionStatus::Ramping);
    home.signal("early", "go on").await.unwrap();
    home.serve("2", "early", VersioningBehavior::AutoUpgrade).await;
    home.set_ramping("", 0.0).await.unwrap();
    home.set_current("").await.unwrap();
    home.signal("early", "go on").await.unwrap();
    let task = home.workflow_task(QUEUE).await;
    home.complete(task.task_token, Vec::new()).await.unwrap();
    let info = home.describe("early").await.workflow_execution_info.unwrap();
    assert_eq!(info.versioning_info, None);
    assert_eq!(home.count("TemporalWorkerDeployment = 'd'").await, 0);
}

#[tokio::test]
async fn an_override_pins_a_start() {
    let home = Home::engine();
    home.register("1").await;
    home.register("2").await;
    home.set_current("1").await.unwrap();
    home.try_start(pinned_start("o", "2")).await.unwrap();
    home.serve("2", "o", VersioningBehavior::AutoUpgrade).await;
    home.signal("o", "go on").await.unwrap();
    home.serve("2", "o", VersioningBehavior::AutoUpgrade).await;
    let info = home.describe("o").await.workflow_execution_info.unwrap().versioning_info.unwrap();
    assert_eq!(info.behavior(), VersioningBehavior::AutoUpgrade);
    assert!(matches!(info.versioning_override.and_then(|given| given.r#override), Some(Override::Pinned(_))));
}

fn pinned_start(id: &str, build_id: &str) -> StartWorkflowExecutionRequest {
    let pinned = PinnedOverride { behavior: 1, version: version(build_id) };
    let given = VersioningOverride { r#override: Some(Override::Pinned(pinned)), ..Default::default() };
    StartWorkflowExecutionRequest { versioning_override: Some(given), ..versioned_start(id) }
}

/// What is refused, and in which words.
async fn refusals(home: &Home) -> Vec<String> {
    let namespace = || NAMESPACE.to_owned();
    let mut seen = vec![
        told(home.describe_deployment("d").await),
        told(home.describe_deployment("").await),
        told(home.describe_version(version("1")).await),
        told(home.describe_version(None).await),
        told(home.describe_version(version("")).await),
        told(home.set_current("1").await),
        told(home.set_ramping("1", 5.0).await),
        told(home.set_ramping("1", 101.0).await),
        home.delete_version("1").await,
    ];
    // A server notes versions a little after the poll, and one that has only just begun loses polls.
    for _ in 0..100 {
        home.register("1").await;
        if home.describe_version(version("1")).await.is_ok() {
            break;
        }
    }
    seen.extend([
        told(home.set_current("9").await),
        told(home.set_ramping("9", 5.0).await),
        told(home.try_start(pinned_start("nobody's", "9")).await),
        told(home.set_current("1").await),
        told(home.set_current("1").await),
        told(home.set_ramping("1", 5.0).await),
        home.delete_version("1").await,
        home.delete_version("9").await,
    ]);
    let delete =
        DeleteWorkerDeploymentRequest { namespace: namespace(), deployment_name: "d".into(), ..Default::default() };
    seen.push(told::<DeleteWorkerDeploymentResponse>(home.call("DeleteWorkerDeployment", delete).await));
    let current = SetWorkerDeploymentCurrentVersionRequest {
        namespace: namespace(),
        deployment_name: "d".into(),
        build_id: String::new(),
        identity: "me".into(),
        conflict_token: b"stale".to_vec(),
        ..Default::default()
    };
    seen.push(told::<SetWorkerDeploymentCurrentVersionResponse>(
        home.call("SetWorkerDeploymentCurrentVersion", current).await,
    ));
    let nothing = UpdateWorkerDeploymentVersionMetadataRequest {
        namespace: namespace(),
        deployment_version: version("1"),
        ..Default::default()
    };
    seen.push(told::<UpdateWorkerDeploymentVersionMetadataResponse>(
        home.call("UpdateWorkerDeploymentVersionMetadata", nothing).await,
    ));
    let manager = |identity: &str| SetWorkerDeploymentManagerRequest {
        namespace: NAMESPACE.into(),
        deployment_name: "d".into(),
        identity: identity.into(),
        ..Default::default()
    };
    for request in [manager(""), SetWorkerDeploymentManagerRequest { deployment_name: "e".into(), ..manager("me") }] {
        seen.push(told::<SetWorkerDeploymentManagerResponse>(home.call("SetWorkerDeploymentManager", request).await));
    }
    seen.extend(creations(home).await);
    seen
}

async fn creations(home: &Home) -> Vec<String> {
    let mut seen = Vec::new();
    for (name, request_id) in [("made", "r"), ("made", "r"), ("made", "s"), ("a.b", "r"), ("a:b", "r"), ("__a", "r")] {
        let request = CreateWorkerDeploymentRequest {
            namespace: NAMESPACE.into(),
            deployment_name: name.into(),
            request_id: request_id.into(),
            identity: "me".into(),
        };
        seen.push(told::<CreateWorkerDeploymentResponse>(home.call("CreateWorkerDeployment", request).await));
    }
    for (name, build_id, request_id) in
        [("made", "1", "r"), ("made", "1", "r"), ("made", "1", "s"), ("nowhere", "1", "r"), ("made", "", "r")]
    {
        let request = CreateWorkerDeploymentVersionRequest {
            namespace: NAMESPACE.into(),
            deployment_version: Some(WorkerDeploymentVersion {
                deployment_name: name.into(),
                build_id: build_id.into(),
            }),
            request_id: request_id.into(),
            ..Default::default()
        };
        seen.push(told::<CreateWorkerDeploymentVersionResponse>(
            home.call("CreateWorkerDeploymentVersion", request).await,
        ));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporal_server_refuses_the_same_of_deployments() {
    let Some(server) = Home::server().await else { return };
    let theirs = Box::pin(refusals(&server)).await;
    assert_eq!(Box::pin(refusals(&Home::engine())).await, theirs);
}
