//! Activity tasks, as workers poll and answer them, and as others answer them by id.

use temporalio_common::protos::temporal::api::{
    common::v1::{Payloads, WorkflowExecution},
    failure::v1::Failure,
    workflowservice::v1::{
        PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, RecordActivityTaskHeartbeatByIdRequest,
        RecordActivityTaskHeartbeatByIdResponse, RecordActivityTaskHeartbeatRequest,
        RecordActivityTaskHeartbeatResponse, RespondActivityTaskCanceledByIdRequest,
        RespondActivityTaskCanceledByIdResponse, RespondActivityTaskCanceledRequest,
        RespondActivityTaskCanceledResponse, RespondActivityTaskCompletedByIdRequest,
        RespondActivityTaskCompletedByIdResponse, RespondActivityTaskCompletedRequest,
        RespondActivityTaskCompletedResponse, RespondActivityTaskFailedByIdRequest,
        RespondActivityTaskFailedByIdResponse, RespondActivityTaskFailedRequest, RespondActivityTaskFailedResponse,
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
    core::{Core, PollReply},
    history::{ActivityOutcome, HeartbeatNews},
    matching::TaskKind,
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
        let limit = request.task_queue_metadata.and_then(|metadata| metadata.max_tasks_per_second);
        let limit = limit.filter(|limit| *limit >= 0.0 && limit.is_finite());
        self.poll(queue, (request.identity, request.worker_instance_key), limit, PollReply::Activity).await
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
}

fn failed(failure: Option<Failure>, details: Option<Payloads>) -> ActivityOutcome {
    ActivityOutcome::Failed(Box::new(failure.unwrap_or_default()), details)
}

fn gone() -> Status {
    Status::not_found("invalid activityID or activity already timed out or invoking workflow is completed")
}
