//! Activity tasks, as workers poll and answer them, and as others answer them by id.

use temporalio_common::protos::temporal::api::{
    common::v1::{Payloads, WorkflowExecution},
    deployment::v1::WorkerDeploymentOptions,
    enums::v1::{TaskQueueType, WorkerVersioningMode},
    failure::v1::Failure,
    taskqueue::v1::{PollerInfo, TaskQueuePartitionMetadata, TaskQueueStats, TaskQueueVersioningInfo},
    workflowservice::v1::{
        DescribeTaskQueueRequest, DescribeTaskQueueResponse, ListTaskQueuePartitionsRequest,
        ListTaskQueuePartitionsResponse, PollActivityTaskQueueRequest, PollActivityTaskQueueResponse,
        RecordActivityTaskHeartbeatByIdRequest, RecordActivityTaskHeartbeatByIdResponse,
        RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatResponse,
        RespondActivityTaskCanceledByIdRequest, RespondActivityTaskCanceledByIdResponse,
        RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledResponse,
        RespondActivityTaskCompletedByIdRequest, RespondActivityTaskCompletedByIdResponse,
        RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse,
        RespondActivityTaskFailedByIdRequest, RespondActivityTaskFailedByIdResponse, RespondActivityTaskFailedRequest,
        RespondActivityTaskFailedResponse,
    },
};
use tonic::Status;

use super::{
    Service, limits, require_id,
    standalone::Holder,
    token::{TaskToken, Token as _},
    versioning::polled_queue,
};
use crate::{
    core::{Core, POLLER_MEMORY, PollReply},
    deployment::{UNVERSIONED, VersionId},
    history::{ActivityOutcome, HeartbeatNews, time::timestamp},
    matching::{QueueKey, Seen, TaskKind},
};

/// An attempt, by the worker's token or by the names that others know.
enum Attempt {
    Token(TaskToken),
    Id {
        namespace: String,
        execution: WorkflowExecution,
        activity_id: String,
    },
    /// Of an activity that belongs to no workflow.
    Standalone(Holder),
}

impl Attempt {
    fn token(bytes: &[u8]) -> Result<Self, Status> {
        let token = TaskToken::read(bytes)?;
        if token.standalone.is_empty() {
            return Ok(Self::Token(token));
        }
        Ok(Self::Standalone(Holder::Token(token)))
    }

    fn id(namespace: String, workflow_id: String, run_id: String, activity_id: String) -> Result<Self, Status> {
        require_id(&activity_id, "ActivityId")?;
        if workflow_id.is_empty() {
            return Ok(Self::Standalone(Holder::Id { namespace, activity_id, run_id }));
        }
        require_id(&workflow_id, "WorkflowId")?;
        Ok(Self::Id { namespace, execution: WorkflowExecution { workflow_id, run_id }, activity_id })
    }

    /// The execution, the scheduled event, and the attempt that is meant (none: whichever is under way).
    fn resolve(&self, core: &Core) -> Result<(i64, i64, Option<i32>), Status> {
        match self {
            Self::Token(token) => Ok((token.key, token.scheduled_event_id, Some(token.attempt))),
            Self::Id { namespace, execution, activity_id } => {
                let key = core.find_open(namespace, execution)?;
                let id = core.live.get(&key).and_then(|live| live.execution.activity_by_id(activity_id));
                let id = id.ok_or_else(|| {
                    Status::not_found(format!("cannot find pending activity with ActivityID {activity_id}"))
                })?;
                Ok((key, id, None))
            }
            Self::Standalone(_) => Err(gone()),
        }
    }
}

impl Service {
    pub(super) async fn poll_activity_task_queue(
        &self,
        request: PollActivityTaskQueueRequest,
    ) -> Result<PollActivityTaskQueueResponse, Status> {
        let queue = polled_queue(
            request.namespace,
            request.task_queue,
            TaskKind::Activity,
            request.deployment_options.as_ref(),
        )?;
        self.poll(queue, request.identity, request.worker_instance_key, PollReply::Activity).await
    }

    pub(super) async fn record_activity_task_heartbeat(
        &self,
        request: RecordActivityTaskHeartbeatRequest,
    ) -> Result<RecordActivityTaskHeartbeatResponse, Status> {
        let news = self.heartbeat(Attempt::token(&request.task_token)?, request.details).await?;
        Ok(RecordActivityTaskHeartbeatResponse {
            cancel_requested: news.cancel_requested,
            activity_paused: news.paused,
            activity_reset: news.reset,
        })
    }

    pub(super) async fn record_activity_task_heartbeat_by_id(
        &self,
        request: RecordActivityTaskHeartbeatByIdRequest,
    ) -> Result<RecordActivityTaskHeartbeatByIdResponse, Status> {
        let attempt = Attempt::id(request.namespace, request.workflow_id, request.run_id, request.activity_id)?;
        let news = self.heartbeat(attempt, request.details).await?;
        Ok(RecordActivityTaskHeartbeatByIdResponse {
            cancel_requested: news.cancel_requested,
            activity_paused: news.paused,
            activity_reset: news.reset,
        })
    }

    pub(super) async fn respond_activity_task_completed(
        &self,
        request: RespondActivityTaskCompletedRequest,
    ) -> Result<RespondActivityTaskCompletedResponse, Status> {
        let attempt = Attempt::token(&request.task_token)?;
        self.end(attempt, request.identity, ActivityOutcome::Completed(request.result)).await?;
        Ok(RespondActivityTaskCompletedResponse {})
    }

    pub(super) async fn respond_activity_task_completed_by_id(
        &self,
        request: RespondActivityTaskCompletedByIdRequest,
    ) -> Result<RespondActivityTaskCompletedByIdResponse, Status> {
        let attempt = Attempt::id(request.namespace, request.workflow_id, request.run_id, request.activity_id)?;
        self.end(attempt, request.identity, ActivityOutcome::Completed(request.result)).await?;
        Ok(RespondActivityTaskCompletedByIdResponse {})
    }

    pub(super) async fn respond_activity_task_failed(
        &self,
        request: RespondActivityTaskFailedRequest,
    ) -> Result<RespondActivityTaskFailedResponse, Status> {
        let attempt = Attempt::token(&request.task_token)?;
        let outcome = failed(request.failure, request.last_heartbeat_details);
        let failures = self.end(attempt, request.identity, outcome).await?;
        Ok(RespondActivityTaskFailedResponse { failures })
    }

    pub(super) async fn respond_activity_task_failed_by_id(
        &self,
        request: RespondActivityTaskFailedByIdRequest,
    ) -> Result<RespondActivityTaskFailedByIdResponse, Status> {
        let attempt = Attempt::id(request.namespace, request.workflow_id, request.run_id, request.activity_id)?;
        let outcome = failed(request.failure, request.last_heartbeat_details);
        let failures = self.end(attempt, request.identity, outcome).await?;
        Ok(RespondActivityTaskFailedByIdResponse { failures })
    }

    pub(super) async fn respond_activity_task_canceled(
        &self,
        request: RespondActivityTaskCanceledRequest,
    ) -> Result<RespondActivityTaskCanceledResponse, Status> {
        let attempt = Attempt::token(&request.task_token)?;
        self.end(attempt, request.identity, ActivityOutcome::Canceled(request.details)).await?;
        Ok(RespondActivityTaskCanceledResponse {})
    }

    pub(super) async fn respond_activity_task_canceled_by_id(
        &self,
        request: RespondActivityTaskCanceledByIdRequest,
    ) -> Result<RespondActivityTaskCanceledByIdResponse, Status> {
        let attempt = Attempt::id(request.namespace, request.workflow_id, request.run_id, request.activity_id)?;
        self.end(attempt, request.identity, ActivityOutcome::Canceled(request.details)).await?;
        Ok(RespondActivityTaskCanceledByIdResponse {})
    }

    async fn heartbeat(&self, attempt: Attempt, details: Option<Payloads>) -> Result<HeartbeatNews, Status> {
        if let Some(fault) = limits::heartbeat_fault(details.as_ref()) {
            // The worker is to stop: its activity has failed.
            let stop = HeartbeatNews { cancel_requested: true, ..HeartbeatNews::default() };
            let outcome = ActivityOutcome::Failed(Box::new(fault), None);
            return self.end(attempt, String::new(), outcome).await.map(|_| stop);
        }
        if let Attempt::Standalone(holder) = attempt {
            return self.heartbeat_standalone(holder, details).await;
        }
        self.core
            .call(move |core, reply| {
                let answer = attempt.resolve(core).and_then(|(key, id, number)| {
                    core.update(key, |e, now| e.heartbeat(now, id, number, details)).flatten().ok_or_else(gone)
                });
                core.reply(reply, answer);
            })
            .await
    }

    /// Ends an attempt. Answers the failures that its worker is to hear of.
    async fn end(&self, attempt: Attempt, identity: String, outcome: ActivityOutcome) -> Result<Vec<Failure>, Status> {
        let (outcome, failures) = limits::bounded(outcome);
        if let Attempt::Standalone(holder) = attempt {
            return self.end_standalone(holder, identity, outcome).await.map(|()| failures);
        }
        self.core
            .call(move |core, reply| {
                let answer = attempt.resolve(core).and_then(|(key, id, number)| {
                    let ended = core.update(key, |e, now| e.end_activity(now, id, number, &identity, outcome));
                    if ended == Some(true) { Ok(failures) } else { Err(gone()) }
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn describe_task_queue(
        &self,
        request: DescribeTaskQueueRequest,
    ) -> Result<DescribeTaskQueueResponse, Status> {
        let name = request.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default();
        require_id(&name, "TaskQueue")?;
        let kind =
            if request.task_queue_type() == TaskQueueType::Activity { TaskKind::Activity } else { TaskKind::Workflow };
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).map(|()| {
                    let key = QueueKey { namespace: request.namespace, name, kind, version: None };
                    let (pollers, backlog) = core.queues.describe(&key, core.now().saturating_sub(POLLER_MEMORY));
                    let described = describe_queue(pollers, backlog);
                    DescribeTaskQueueResponse { versioning_info: Some(versioning_info(core, &key)), ..described }
                });
                core.reply(reply, answer);
            })
            .await
    }

    /// Every queue is in one piece here, which has the name of the queue.
    pub(super) async fn list_task_queue_partitions(
        &self,
        request: ListTaskQueuePartitionsRequest,
    ) -> Result<ListTaskQueuePartitionsResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    let name = request.task_queue.map(|queue| queue.name).filter(|name| !name.is_empty());
                    let key = name.ok_or_else(|| Status::invalid_argument("taskQueue is not set"))?;
                    let only = vec![TaskQueuePartitionMetadata { key, ..Default::default() }];
                    Ok(ListTaskQueuePartitionsResponse {
                        activity_task_queue_partitions: only.clone(),
                        workflow_task_queue_partitions: only,
                    })
                });
                core.reply(reply, answer);
            })
            .await
    }
}

/// Where the new work of a queue goes.
#[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
fn versioning_info(core: &Core, key: &QueueKey) -> TaskQueueVersioningInfo {
    let (current, ramping) = core.deployments.routing(&key.namespace, &key.name, key.kind.queue_type());
    let name = |version: Option<&VersionId>| version.map_or_else(|| UNVERSIONED.to_owned(), VersionId::old_name);
    let version = current.as_ref().and_then(|current| current.version.as_ref());
    let part = ramping.as_ref().and_then(|ramping| ramping.version.as_ref());
    let since =
        current.iter().chain(&ramping).map(|routing| routing.since).max_by_key(|time| (time.seconds, time.nanos));
    TaskQueueVersioningInfo {
        current_deployment_version: version.map(VersionId::message),
        current_version: name(version),
        ramping_deployment_version: part.map(VersionId::message),
        ramping_version: ramping.as_ref().map(|_| name(part)).unwrap_or_default(),
        ramping_version_percentage: ramping.as_ref().map_or(0.0, |ramping| ramping.percentage),
        update_time: since,
    }
}

#[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
fn describe_queue(pollers: Vec<Seen>, backlog: usize) -> DescribeTaskQueueResponse {
    let info = |seen: Seen| PollerInfo {
        last_access_time: timestamp(seen.last_poll),
        identity: seen.identity,
        deployment_options: seen.version.map(|version| WorkerDeploymentOptions {
            deployment_name: version.deployment,
            build_id: version.build_id,
            worker_versioning_mode: WorkerVersioningMode::Versioned.into(),
        }),
        ..Default::default()
    };
    let pollers = pollers.into_iter().map(info).collect();
    let approximate_backlog_count = i64::try_from(backlog).unwrap_or(i64::MAX);
    DescribeTaskQueueResponse {
        pollers,
        stats: Some(TaskQueueStats { approximate_backlog_count, ..Default::default() }),
        ..Default::default()
    }
}

fn failed(failure: Option<Failure>, details: Option<Payloads>) -> ActivityOutcome {
    ActivityOutcome::Failed(Box::new(failure.unwrap_or_default()), details)
}

fn gone() -> Status {
    Status::not_found("invalid activityID or activity already timed out or invoking workflow is completed")
}
