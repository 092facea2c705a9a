//! Starting executions: who may take a workflow id, and with what a run begins.

use temporalio_common::protos::temporal::api::{
    common::v1::{Link, RetryPolicy, WorkflowExecution, WorkflowType},
    enums::v1::{
        TaskQueueKind, WorkflowExecutionStatus as RunStatus, WorkflowIdConflictPolicy as Conflict,
        WorkflowIdReusePolicy as Reuse,
    },
    history::v1::WorkflowExecutionStartedEventAttributes,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        SignalWithStartWorkflowExecutionRequest, SignalWithStartWorkflowExecutionResponse,
        StartWorkflowExecutionRequest, StartWorkflowExecutionResponse,
    },
};
use tonic::Status;
use uuid::Uuid;

use super::{
    MAX_ID_LENGTH, Service, limits,
    nexus::callback::{attach, attachment, check_attached, own_links},
    require_id,
    status::already_started,
    versioning::{check_override, check_pinned},
};
use crate::{
    core::{Core, closed_info, started_link},
    cron,
    history::{
        Attachment, StartInput, TaskStart, TaskStarted,
        retry_policy::{check_policy, complete_policy, fault_of_length},
        state::{ExecutionInfo, SignalInput},
        time::from_duration,
        versioning::recorded,
    },
};

/// Whether a new run may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    New,
    /// A run of that id is open.
    Running(i64),
}

/// Checks a workflow id against what has that id already.
///
/// # Errors
/// `ALREADY_EXISTS`: the last run has closed, and the policy does not allow another.
pub(crate) fn admit(core: &Core, namespace: &str, workflow_id: &str, policy: Reuse) -> Result<Admission, Status> {
    if let Some(key) = core.current_open(namespace, workflow_id) {
        return Ok(Admission::Running(key));
    }
    if !matches!(policy, Reuse::AllowDuplicateFailedOnly | Reuse::RejectDuplicate) {
        return Ok(Admission::New);
    }
    let execution = WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: String::new() };
    let Ok(found) = core.find(namespace, &execution) else { return Ok(Admission::New) };
    let info = if found.live { core.info(found.key)? } else { closed_info(core, found.key)? };
    let failed = matches!(
        RunStatus::try_from(info.status),
        Ok(RunStatus::Failed | RunStatus::Canceled | RunStatus::Terminated | RunStatus::TimedOut)
    );
    if policy == Reuse::AllowDuplicateFailedOnly && failed {
        return Ok(Admission::New);
    }
    Err(already_started(workflow_id, &found.run_id, &info.start_request_id, false))
}

/// A start, however it was asked for.
pub(crate) struct Start {
    namespace: String,
    workflow_id: String,
    request_id: String,
    reuse: Reuse,
    conflict: Conflict,
    input: StartInput,
    /// What it leaves at an open run that it finds.
    attachment: Option<Attachment>,
    /// Who wants the first workflow task with the answer, if anybody does.
    eager: Option<TaskStart>,
}

impl Start {
    /// The workflow id that it asks for.
    pub(super) fn workflow_id(&self) -> &str {
        &self.workflow_id
    }

    /// Whether an open run will do as well: the policy says so, or this very request has started it.
    pub(super) fn joins(&self, info: &ExecutionInfo) -> bool {
        let same = !self.request_id.is_empty() && info.start_request_id == self.request_id;
        same || self.conflict == Conflict::UseExisting
    }
}

/// What came of a start.
pub(crate) struct Started {
    /// The run that was started, or found.
    pub(crate) run_id: String,
    pub(super) first_run_id: String,
    new: bool,
    /// Where its start, or what it has left, stands in the history.
    link: Option<Link>,
    /// The run and its first workflow task, for the client that has started it.
    eager: Option<(i64, TaskStarted)>,
}

impl Service {
    pub(super) async fn start_workflow_execution(
        &self,
        request: StartWorkflowExecutionRequest,
    ) -> Result<StartWorkflowExecutionResponse, Status> {
        let default = Conflict::Fail;
        let eager = request.request_eager_execution.then(|| TaskStart {
            identity: request.identity.clone(),
            request_id: request.request_id.clone(),
            in_process: self.caller.in_process,
        });
        let start = Start { eager, ..start_of(request, default)? };
        self.core
            .call(move |core, reply| match begin(core, start, None) {
                Ok(started) => core.reply_with(reply, move |core| answer(core, started)),
                Err(status) => core.reply(reply, Err(status)),
            })
            .await
    }

    pub(super) async fn signal_with_start_workflow_execution(
        &self,
        request: SignalWithStartWorkflowExecutionRequest,
    ) -> Result<SignalWithStartWorkflowExecutionResponse, Status> {
        require_id(&request.signal_name, "SignalName")?;
        limits::check_blob(request.signal_input.as_ref())?;
        let signal = SignalInput {
            name: request.signal_name.clone(),
            input: request.signal_input.clone(),
            header: request.header.clone(),
            identity: request.identity.clone(),
            request_id: request.request_id.clone(),
        };
        let start = start_of(as_start(request), Conflict::UseExisting)?;
        self.core
            .call(move |core, reply| {
                let answer = begin(core, start, Some(signal)).map(|started| SignalWithStartWorkflowExecutionResponse {
                    run_id: started.run_id,
                    first_execution_run_id: started.first_run_id,
                    started: started.new,
                    ..Default::default()
                });
                core.reply(reply, answer);
            })
            .await
    }
}

/// What a client is told of its start, with the first workflow task where it wanted that.
fn answer(core: &Core, started: Started) -> Result<StartWorkflowExecutionResponse, Status> {
    let task = started.eager.map(|(key, task)| core.workflow_task_response(key, &task, false)).transpose()?;
    Ok(StartWorkflowExecutionResponse {
        run_id: started.run_id,
        first_execution_run_id: started.first_run_id,
        started: started.new,
        link: started.link,
        status: RunStatus::Running.into(),
        eager_workflow_task: task,
    })
}

fn as_start(request: SignalWithStartWorkflowExecutionRequest) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: request.namespace,
        workflow_id: request.workflow_id,
        workflow_type: request.workflow_type,
        task_queue: request.task_queue,
        input: request.input,
        workflow_execution_timeout: request.workflow_execution_timeout,
        workflow_run_timeout: request.workflow_run_timeout,
        workflow_task_timeout: request.workflow_task_timeout,
        identity: request.identity,
        request_id: request.request_id,
        workflow_id_reuse_policy: request.workflow_id_reuse_policy,
        workflow_id_conflict_policy: request.workflow_id_conflict_policy,
        retry_policy: request.retry_policy,
        cron_schedule: request.cron_schedule,
        memo: request.memo,
        search_attributes: request.search_attributes,
        header: request.header,
        workflow_start_delay: request.workflow_start_delay,
        user_metadata: request.user_metadata,
        priority: request.priority,
        versioning_override: request.versioning_override,
        ..Default::default()
    }
}

/// Checks a start, and completes it.
///
/// # Errors
/// `INVALID_ARGUMENT`, in the words of Temporal's frontend.
pub(crate) fn start_of(request: StartWorkflowExecutionRequest, default: Conflict) -> Result<Start, Status> {
    require_id(&request.workflow_id, "WorkflowId")?;
    let retry_policy = retry_policy(request.retry_policy.as_ref())?;
    check_wait(&request)?;
    let kind = request.workflow_type.clone().unwrap_or_default();
    require_id(&kind.name, "WorkflowType")?;
    let queue = request.task_queue.clone().unwrap_or_default();
    require_id(&queue.name, "TaskQueue")?;
    if request.request_id.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("RequestId length exceeds limit."));
    }
    limits::check_blob(request.input.as_ref())?;
    limits::check_memo(request.memo.as_ref())?;
    check_attached(&request)?;
    check_override(request.versioning_override.as_ref())?;
    let (reuse, conflict) = match (request.workflow_id_reuse_policy(), request.workflow_id_conflict_policy()) {
        (reuse, Conflict::Unspecified) if is_terminate_if_running(reuse) => {
            (Reuse::AllowDuplicate, Conflict::TerminateExisting)
        }
        (reuse, Conflict::Unspecified) => (reuse, default),
        (reuse, _) if is_terminate_if_running(reuse) => {
            return Err(Status::invalid_argument(
                "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used together with a WorkflowIDConflictPolicy.",
            ));
        }
        (Reuse::RejectDuplicate, Conflict::TerminateExisting) => {
            return Err(Status::invalid_argument(
                "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used together with WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
            ));
        }
        both => both,
    };
    let attributes =
        WorkflowExecutionStartedEventAttributes { retry_policy, ..attributes_of(&request, kind, queue.name) };
    let (attachment, links) = (attachment(&request), own_links(&request));
    Ok(Start {
        namespace: request.namespace,
        workflow_id: request.workflow_id,
        request_id: request.request_id.clone(),
        reuse,
        conflict,
        attachment,
        input: StartInput {
            attributes,
            links,
            request_id: request.request_id,
            user_metadata: request.user_metadata,
            ..StartInput::default()
        },
        eager: None,
    })
}

/// The policy in force, complete (`validateRetryPolicy`).
fn retry_policy(given: Option<&RetryPolicy>) -> Result<Option<RetryPolicy>, Status> {
    let Some(given) = given else { return Ok(None) };
    let policy = complete_policy(Some(given));
    check_policy(&policy).map_err(Status::invalid_argument)?;
    Ok(Some(policy))
}

/// Checks what the first workflow task may have to wait for (`validateWorkflowStartDelay`, `ValidateSchedule`). Whether a schedule
/// ever comes due is for [`begin`] to say, which has a clock.
fn check_wait(request: &StartWorkflowExecutionRequest) -> Result<(), Status> {
    let delay = request.workflow_start_delay.as_ref();
    if delay.is_some() && !request.cron_schedule.is_empty() {
        return Err(Status::invalid_argument("CronSchedule and WorkflowStartDelay may not be used together."));
    }
    if let Some(fault) = fault_of_length(delay) {
        let message = format!("An invalid WorkflowStartDelaySeconds is set on request. cause: {fault}");
        return Err(Status::invalid_argument(message));
    }
    if !request.cron_schedule.is_empty() {
        cron::Schedule::parse(&request.cron_schedule).map_err(|error| Status::invalid_argument(error.to_string()))?;
    }
    Ok(())
}

#[allow(deprecated, reason = "deprecated for SDKs; servers still have to honour it")]
fn is_terminate_if_running(reuse: Reuse) -> bool {
    reuse == Reuse::TerminateIfRunning
}

fn attributes_of(
    request: &StartWorkflowExecutionRequest,
    kind: WorkflowType,
    queue: String,
) -> WorkflowExecutionStartedEventAttributes {
    let run_id = Uuid::now_v7().to_string();
    WorkflowExecutionStartedEventAttributes {
        workflow_type: Some(kind),
        task_queue: Some(TaskQueue { name: queue, kind: TaskQueueKind::Normal.into(), normal_name: String::new() }),
        input: request.input.clone(),
        workflow_execution_timeout: request.workflow_execution_timeout,
        workflow_run_timeout: request.workflow_run_timeout,
        workflow_task_timeout: request.workflow_task_timeout,
        original_execution_run_id: run_id.clone(),
        first_execution_run_id: run_id,
        identity: request.identity.clone(),
        attempt: 1,
        first_workflow_task_backoff: request.workflow_start_delay,
        cron_schedule: request.cron_schedule.clone(),
        memo: request.memo.clone(),
        search_attributes: request.search_attributes.clone(),
        header: request.header.clone(),
        workflow_id: request.workflow_id.clone(),
        last_completion_result: request.last_completion_result.clone(),
        continued_failure: request.continued_failure.clone(),
        priority: request.priority.clone(),
        completion_callbacks: request.completion_callbacks.clone(),
        versioning_override: request.versioning_override.as_ref().map(recorded),
        ..Default::default()
    }
}

/// Starts a run, unless there is one of its workflow id and the policies say otherwise.
///
/// # Errors
/// `ALREADY_EXISTS`, `NOT_FOUND` for the namespace, or the store cannot be read.
pub(crate) fn begin(core: &mut Core, mut start: Start, signal: Option<SignalInput>) -> Result<Started, Status> {
    cron::check(&start.input.attributes.cron_schedule, core.now())
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    core.require_registered(&start.namespace)?;
    let attributes = start.input.attributes.search_attributes.take();
    start.input.attributes.search_attributes = core.admit_search_attributes(&start.namespace, attributes)?;
    let attributes = &start.input.attributes;
    let queue = attributes.task_queue.as_ref().map_or("", |queue| queue.name.as_str());
    check_pinned(core, &start.namespace, queue, attributes.versioning_override.as_ref())?;
    if let Some((key, info)) = asked_before(core, &start)? {
        let held = core.live.get(&key).and_then(|live| live.execution.started_task());
        // The answer with the task was lost; it is still the client's.
        let eager = start.eager.and(held).filter(|task| task.task.request_id == start.request_id);
        return Ok(Started { eager: eager.map(|task| (key, task)), ..existing(&info, true) });
    }
    if let Admission::Running(key) = admit(core, &start.namespace, &start.workflow_id, start.reuse)? {
        let info = core.info(key)?;
        match start.conflict {
            Conflict::UseExisting => {
                if let Some(signal) = signal {
                    core.update(key, |e, now| {
                        e.signal(now, signal, None);
                        // This one signal does not wait for a start delay to end.
                        e.schedule_workflow_task_early(now);
                    });
                }
                let link = attach(core, key, &info, start.attachment)?;
                return Ok(Started { link, ..existing(&info, false) });
            }
            Conflict::TerminateExisting => {
                core.update(key, |e, now| {
                    e.terminate(now, "TerminateIfRunning WorkflowIdReusePolicy Policy", None, "history-service");
                });
            }
            Conflict::Fail | Conflict::Unspecified => {
                return Err(already_started(&start.workflow_id, &info.run_id, &info.start_request_id, true));
            }
        }
    }
    start.input.namespace_id = core.namespace_id(&start.namespace);
    start.input.namespace = start.namespace;
    start.eager = start.eager.filter(|_| begins_at_once(&start.input.attributes));
    start.input.attributes.eager_execution_accepted = start.eager.is_some();
    let key = core.start_execution(start.input);
    let eager = start.eager;
    let task = core.update(key, |e, now| {
        if let Some(signal) = signal {
            e.signal(now, signal, None);
        }
        e.schedule_workflow_task(now);
        eager.and_then(|eager| e.start_workflow_task(now, &eager))
    });
    Ok(Started { eager: task.flatten().map(|task| (key, task)), ..existing(&core.info(key)?, true) })
}

/// Whether nothing holds the first workflow task back.
fn begins_at_once(attributes: &WorkflowExecutionStartedEventAttributes) -> bool {
    attributes.cron_schedule.is_empty() && from_duration(attributes.first_workflow_task_backoff.as_ref()) == 0
}

/// The current run, when this very request started it: the answer was lost, and the client asks again. It may have closed
/// meanwhile.
fn asked_before(core: &Core, start: &Start) -> Result<Option<(i64, ExecutionInfo)>, Status> {
    if start.request_id.is_empty() {
        return Ok(None);
    }
    let execution = WorkflowExecution { workflow_id: start.workflow_id.clone(), run_id: String::new() };
    let found = match core.find(&start.namespace, &execution) {
        Ok(found) => found,
        Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
        Err(status) => return Err(status),
    };
    let info = core.info(found.key)?;
    Ok((info.start_request_id == start.request_id).then_some((found.key, info)))
}

fn existing(info: &ExecutionInfo, new: bool) -> Started {
    let first_run_id = info.started.as_ref().map(|s| s.first_execution_run_id.clone()).unwrap_or_default();
    Started { run_id: info.run_id.clone(), first_run_id, new, link: Some(started_link(info)), eager: None }
}
