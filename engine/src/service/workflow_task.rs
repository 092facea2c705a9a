//! Workflow tasks, as workers poll and answer them.

use temporalio_common::protos::temporal::api::{
    failure::v1::{Failure, ServerFailureInfo, failure::FailureInfo},
    query::v1::WorkflowQueryResult,
    workflowservice::v1::{
        PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse, ResetStickyTaskQueueRequest,
        ResetStickyTaskQueueResponse, RespondQueryTaskCompletedRequest, RespondQueryTaskCompletedResponse,
        RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse, RespondWorkflowTaskFailedRequest,
        RespondWorkflowTaskFailedResponse, ShutdownWorkerRequest, ShutdownWorkerResponse,
    },
};
use tokio::sync::oneshot;
use tonic::Status;
use uuid::Uuid;

use super::{
    Caller, Service, TASK_POLL, execution, limits,
    nexus::targets,
    search_attributes::{RefusedCommand, admit_commands},
    token::{TaskToken, Token as _},
    versioning::{polled_queue, version_of},
};
use crate::{
    core::{Core, PollReply, PollRequest, Reply, SENDER},
    history::{ActivityStart, CommandError, CompletedTask, TaskStart, TaskStarted, time::from_duration},
    matching::{QueueKey, TaskKind},
};

impl Service {
    pub(super) async fn poll_workflow_task_queue(
        &self,
        request: PollWorkflowTaskQueueRequest,
    ) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let queue = polled_queue(
            request.namespace,
            request.task_queue,
            TaskKind::Workflow,
            request.deployment_options.as_ref(),
        )?;
        self.poll(queue, (request.identity, request.worker_instance_key), None, PollReply::Workflow).await
    }

    /// Waits for a task of one queue. After a while without one, takes the poll back and answers that there is none.
    pub(super) async fn poll<T: Send + 'static>(
        &self,
        queue: QueueKey,
        (identity, worker): (String, String),
        max_rate: Option<f64>,
        wrap: impl FnOnce(Reply<T>) -> PollReply,
    ) -> Result<T, Status> {
        let (reply, mut answer) = oneshot::channel();
        let request = PollRequest {
            queue: queue.clone(),
            identity,
            in_process: self.caller.in_process,
            poll_id: self.poll_id(),
            worker,
            max_rate,
        };
        let poll_id = request.poll_id;
        let reply = wrap(reply);
        self.core.send(Box::new(move |core| match core.require_namespace(&request.queue.namespace) {
            Ok(()) => core.poll(request, reply),
            Err(status) => reply.refuse(status),
        }))?;
        let gone = || Status::unavailable("the engine is shut down");
        if let Ok(answer) = tokio::time::timeout(TASK_POLL, &mut answer).await {
            return answer.unwrap_or_else(|_| Err(gone()));
        }
        self.core.send(Box::new(move |core| core.end_poll(&queue, poll_id)))?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(super) async fn respond_workflow_task_completed(
        &self,
        request: RespondWorkflowTaskCompletedRequest,
    ) -> Result<RespondWorkflowTaskCompletedResponse, Status> {
        let token = TaskToken::read(&request.task_token)?;
        let caller = self.caller;
        self.core.call(move |core, reply| complete(core, &token, request, caller, reply)).await
    }

    pub(super) async fn respond_workflow_task_failed(
        &self,
        request: RespondWorkflowTaskFailedRequest,
    ) -> Result<RespondWorkflowTaskFailedResponse, Status> {
        let token = TaskToken::read(&request.task_token)?;
        self.core
            .call(move |core, reply| {
                let answer = held(core, &token).map(|()| {
                    let cause = request.cause();
                    core.update(token.key, |e, now| {
                        e.fail_workflow_task(now, cause, request.failure, &request.identity);
                    });
                    core.answer_queries(token.key, std::iter::empty());
                });
                core.reply(reply, answer.map(|()| RespondWorkflowTaskFailedResponse {}));
            })
            .await
    }

    pub(super) async fn respond_query_task_completed(
        &self,
        request: RespondQueryTaskCompletedRequest,
    ) -> Result<RespondQueryTaskCompletedResponse, Status> {
        let token = TaskToken::read(&request.task_token)?;
        self.core
            .call(move |core, reply| {
                let result = WorkflowQueryResult {
                    result_type: request.completed_type,
                    answer: request.query_result,
                    error_message: request.error_message,
                    failure: request.failure,
                };
                let wanted = core.answer_query(token.key, token.query_id, result);
                let answer =
                    if wanted { Ok(()) } else { Err(Status::not_found("query task not found, or already expired")) };
                core.reply(reply, answer.map(|()| RespondQueryTaskCompletedResponse {}));
            })
            .await
    }

    pub(super) async fn reset_sticky_task_queue(
        &self,
        request: ResetStickyTaskQueueRequest,
    ) -> Result<ResetStickyTaskQueueResponse, Status> {
        let target = execution(request.execution)?;
        self.core
            .call(move |core, reply| {
                let answer = core
                    .find_open(&request.namespace, &target)
                    .map(|key| core.update(key, |e, _| e.clear_sticky()).unwrap_or_default())
                    .map(|()| ResetStickyTaskQueueResponse {});
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn shutdown_worker(
        &self,
        request: ShutdownWorkerRequest,
    ) -> Result<ShutdownWorkerResponse, Status> {
        self.core
            .call(move |core, reply| {
                if let Err(status) = core.require_namespace(&request.namespace) {
                    return core.reply(reply, Err(status));
                }
                if let Some(heartbeat) = request.worker_heartbeat {
                    core.record_worker(&request.namespace, heartbeat);
                }
                let queue = |name: &str, kind| QueueKey {
                    namespace: request.namespace.clone(),
                    name: name.to_owned(),
                    kind,
                    version: None,
                };
                if !request.sticky_task_queue.is_empty() {
                    core.end_worker(&queue(&request.sticky_task_queue, TaskKind::Workflow));
                }
                if !request.worker_instance_key.is_empty() {
                    for kind in [TaskKind::Workflow, TaskKind::Activity, TaskKind::Nexus] {
                        core.end_polls_of(&queue(&request.task_queue, kind), &request.worker_instance_key);
                    }
                }
                core.reply(reply, Ok(ShutdownWorkerResponse {}));
            })
            .await
    }
}

/// Checks that the workflow task of a token is still in the hands of the worker that carries it.
fn held(core: &Core, token: &TaskToken) -> Result<(), Status> {
    let task = core.live.get(&token.key).and_then(|live| live.execution.info.workflow_task.as_ref());
    let held = task.is_some_and(|task| {
        task.scheduled_event_id == token.scheduled_event_id
            && task.started_event_id == token.started_event_id
            && task.attempt == token.attempt
            && task.started_time == token.started_time
    });
    if held { Ok(()) } else { Err(Status::not_found("Workflow task not found.")) }
}

fn complete(
    core: &mut Core,
    token: &TaskToken,
    mut request: RespondWorkflowTaskCompletedRequest,
    caller: Caller,
    reply: Reply<RespondWorkflowTaskCompletedResponse>,
) {
    if let Err(status) = held(core, token) {
        return core.reply(reply, Err(status));
    }
    let key = token.key;
    let paused = core.live.get(&key).is_some_and(|live| live.execution.is_paused());
    if paused && request.force_create_new_workflow_task {
        let refused = "Workflow is paused and force create new workflow task is not allowed.";
        return core.reply(reply, Err(Status::failed_precondition(refused)));
    }
    let start = TaskStart {
        identity: request.identity.clone(),
        request_id: Uuid::now_v7().to_string(),
        in_process: caller.in_process,
    };
    if request.messages.iter().any(|message| message.body.is_none()) {
        return core.reply(reply, Err(Status::invalid_argument("nil message body")));
    }
    let admitted = limits::check_commands(&request.commands);
    let admitted = admitted.and_then(|()| admit_commands(core, key, &mut request.commands));
    let operations = match admitted.and_then(|()| targets(core, &request.commands)) {
        Ok(operations) => operations,
        Err(refused) => {
            let status = refuse_attributes(core, key, refused, &start.identity);
            return core.reply(reply, Err(status));
        }
    };
    let (return_new_task, heartbeat) = (request.return_new_workflow_task, request.force_create_new_workflow_task);
    let (task, results) = completed_task(request);
    let task = CompletedTask { operations, ..task };
    let done = core.update(key, |e, now| e.complete_workflow_task(now, task, || Uuid::now_v7().to_string()));
    let outcome = match done {
        None => return core.reply(reply, Err(Status::not_found("workflow execution already completed"))),
        Some(Err(error)) => {
            refuse_commands(core, key, &error, &start.identity);
            return core.reply(reply, Err(Status::invalid_argument(error.message)));
        }
        Some(Ok(outcome)) => outcome,
    };
    let activities = core.start_eagerly(key, &outcome.eager, &start);
    let next =
        return_new_task.then(|| core.update(key, |e, now| e.start_workflow_task(now, &start))).flatten().flatten();
    // A worker that heart-beats has its updates already.
    let messages = if next.is_some() { core.send_updates(key, !heartbeat) } else { Vec::new() };
    core.answer_queries(key, results);
    core.reply_with(reply, move |core| {
        let mut response = completed_response(core, key, &activities, next.as_ref())?;
        if let Some(task) = response.workflow_task.as_mut() {
            task.messages = messages;
        }
        if outcome.forgotten {
            response.reset_history_event_id = core.info(key)?.last_started_event_id;
        }
        Ok(response)
    });
}

fn completed_task(request: RespondWorkflowTaskCompletedRequest) -> (CompletedTask, Vec<(String, WorkflowQueryResult)>) {
    let versioning_behavior = request.versioning_behavior();
    let version = request.deployment_options.as_ref().and_then(version_of).map(|version| version.message());
    let sticky = request.sticky_attributes.and_then(|sticky| {
        let queue = sticky.worker_task_queue.map(|queue| queue.name).filter(|name| !name.is_empty())?;
        Some((queue, from_duration(sticky.schedule_to_start_timeout.as_ref())))
    });
    let task = CompletedTask {
        commands: request.commands,
        messages: request.messages,
        identity: request.identity,
        sticky,
        force_new_task: request.force_create_new_workflow_task,
        takes_next_task: request.return_new_workflow_task,
        forgets_with_events: request
            .capabilities
            .is_some_and(|capabilities| capabilities.discard_speculative_workflow_task_with_events),
        sdk_metadata: request.sdk_metadata,
        metering_metadata: request.metering_metadata,
        versioning_behavior,
        version,
        operations: Vec::new(),
    };
    (task, request.query_results.into_iter().collect())
}

fn refuse_commands(core: &mut Core, key: i64, error: &CommandError, identity: &str) {
    let failure = Failure {
        message: error.message.clone(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable: false })),
        ..Default::default()
    };
    core.update(key, |e, now| {
        e.fail_workflow_task(now, error.cause, Some(failure), identity);
        e.abort_sent_updates();
    });
    core.answer_queries(key, std::iter::empty());
}

/// Fails the task that asks for attributes which are refused, and ends the workflow where the server does.
fn refuse_attributes(core: &mut Core, key: i64, refused: RefusedCommand, identity: &str) -> Status {
    refuse_commands(core, key, &refused.error, identity);
    if refused.ends_workflow {
        core.update(key, |e, now| e.terminate(now, &refused.error.message, None, SENDER));
    }
    Status::invalid_argument(refused.error.message)
}

fn completed_response(
    core: &Core,
    key: i64,
    activities: &[ActivityStart],
    next: Option<&TaskStarted>,
) -> Result<RespondWorkflowTaskCompletedResponse, Status> {
    let activity_tasks =
        activities.iter().map(|started| core.activity_response(key, started)).collect::<Result<Vec<_>, _>>()?;
    let workflow_task = next.map(|started| core.workflow_task_response(key, started, true)).transpose()?;
    Ok(RespondWorkflowTaskCompletedResponse { workflow_task, activity_tasks, ..Default::default() })
}
