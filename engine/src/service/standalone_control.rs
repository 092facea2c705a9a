//! Pausing, unpausing and resetting activities by their id, and giving them other options. A request that names a workflow means
//! one of its activities, and does what the older method of the same name does; any other means one that stands alone.

use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    workflowservice::v1::{
        PauseActivityExecutionRequest, PauseActivityExecutionResponse, PauseActivityRequest,
        ResetActivityExecutionRequest, ResetActivityExecutionResponse, ResetActivityRequest,
        UnpauseActivityExecutionRequest, UnpauseActivityExecutionResponse, UnpauseActivityRequest,
        UpdateActivityExecutionOptionsRequest, UpdateActivityExecutionOptionsResponse, UpdateActivityOptionsRequest,
        pause_activity_request, reset_activity_request, unpause_activity_request, update_activity_options_request,
    },
};
use tonic::Status;

use super::{
    Service, activity_control,
    activity_control::random_below,
    activity_options,
    masks::camel_case,
    standalone::{change, check_ids, check_length, refused},
};
use crate::{
    core::Core,
    history::{normal_queue, state::ActivityPause},
    standalone::ResetActivity,
};

/// The field of a mask that only an activity which stands alone has.
const START_DELAY: &str = "startDelay";
/// Fields that a mask may name.
const FIELDS: [&str; 16] = [
    "taskQueue.name",
    "scheduleToCloseTimeout",
    "scheduleToStartTimeout",
    "startToCloseTimeout",
    "heartbeatTimeout",
    "retryPolicy",
    "retryPolicy.initialInterval",
    "retryPolicy.backoffCoefficient",
    "retryPolicy.maximumInterval",
    "retryPolicy.maximumAttempts",
    "retryPolicy.nonRetryableErrorTypes",
    "priority",
    "priority.priorityKey",
    "priority.fairnessKey",
    "priority.fairnessWeight",
    START_DELAY,
];

impl Service {
    pub(super) async fn pause_activity_execution(
        &self,
        request: PauseActivityExecutionRequest,
    ) -> Result<PauseActivityExecutionResponse, Status> {
        check(&request.activity_id, &request.run_id, &request.request_id)?;
        self.core
            .call(move |core, reply| {
                let answer = pause(core, request);
                core.reply(reply, answer.map(|()| PauseActivityExecutionResponse {}));
            })
            .await
    }

    pub(super) async fn unpause_activity_execution(
        &self,
        request: UnpauseActivityExecutionRequest,
    ) -> Result<UnpauseActivityExecutionResponse, Status> {
        check(&request.activity_id, &request.run_id, &request.request_id)?;
        self.core
            .call(move |core, reply| {
                let answer = unpause(core, request);
                core.reply(reply, answer.map(|()| UnpauseActivityExecutionResponse {}));
            })
            .await
    }

    pub(super) async fn reset_activity_execution(
        &self,
        request: ResetActivityExecutionRequest,
    ) -> Result<ResetActivityExecutionResponse, Status> {
        check(&request.activity_id, &request.run_id, &request.request_id)?;
        self.core
            .call(move |core, reply| {
                let answer = reset(core, request);
                core.reply(reply, answer.map(|()| ResetActivityExecutionResponse {}));
            })
            .await
    }

    pub(super) async fn update_activity_execution_options(
        &self,
        request: UpdateActivityExecutionOptionsRequest,
    ) -> Result<UpdateActivityExecutionOptionsResponse, Status> {
        check(&request.activity_id, &request.run_id, &request.request_id)?;
        check_update(&request)?;
        self.core
            .call(move |core, reply| {
                let answer = update_options(core, request);
                core.reply(reply, answer);
            })
            .await
    }
}

fn check(activity_id: &str, run_id: &str, request_id: &str) -> Result<(), Status> {
    check_ids(activity_id, run_id)?;
    check_length("request ID", request_id)
}

/// The run of a workflow; `None` for an activity that stands alone.
fn workflow(workflow_id: &str, run_id: &str) -> Option<WorkflowExecution> {
    let run = || WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() };
    (!workflow_id.is_empty()).then(run)
}

fn pause(core: &mut Core, request: PauseActivityExecutionRequest) -> Result<(), Status> {
    if let Some(execution) = workflow(&request.workflow_id, &request.run_id) {
        let older = PauseActivityRequest {
            namespace: request.namespace,
            execution: Some(execution),
            identity: request.identity,
            reason: request.reason,
            request_id: request.request_id,
            activity: Some(pause_activity_request::Activity::Id(request.activity_id)),
        };
        return activity_control::pause(core, older).map(drop);
    }
    let (identity, reason, request_id) = (request.identity, request.reason, request.request_id);
    change(core, &request.namespace, (&request.activity_id, &request.run_id), |record, now| {
        record.pause(ActivityPause { time: now, identity, reason, request_id })
    })
}

fn unpause(core: &mut Core, request: UnpauseActivityExecutionRequest) -> Result<(), Status> {
    if let Some(execution) = workflow(&request.workflow_id, &request.run_id) {
        let older = UnpauseActivityRequest {
            namespace: request.namespace,
            execution: Some(execution),
            identity: request.identity,
            jitter: request.jitter,
            activity: Some(unpause_activity_request::Activity::Id(request.activity_id)),
            ..UnpauseActivityRequest::default()
        };
        return activity_control::unpause(core, older).map(drop);
    }
    let delay = random_below(request.jitter.as_ref());
    change(core, &request.namespace, (&request.activity_id, &request.run_id), |record, now| {
        record.unpause(now, &request.request_id, delay)
    })
}

fn reset(core: &mut Core, request: ResetActivityExecutionRequest) -> Result<(), Status> {
    if let Some(execution) = workflow(&request.workflow_id, &request.run_id) {
        let older = ResetActivityRequest {
            namespace: request.namespace,
            execution: Some(execution),
            identity: request.identity,
            reset_heartbeat: request.reset_heartbeat,
            keep_paused: request.keep_paused,
            jitter: request.jitter,
            restore_original_options: request.restore_original_options,
            activity: Some(reset_activity_request::Activity::Id(request.activity_id)),
        };
        return activity_control::reset(core, older).map(drop);
    }
    let how = ResetActivity {
        keep_paused: request.keep_paused,
        reset_heartbeat: request.reset_heartbeat,
        restore_options: request.restore_original_options,
        delay: random_below(request.jitter.as_ref()),
    };
    change(core, &request.namespace, (&request.activity_id, &request.run_id), |record, now| record.reset(now, &how))
}

/// Checks what the request says by itself.
fn check_update(request: &UpdateActivityExecutionOptionsRequest) -> Result<(), Status> {
    let invalid = |text: &str| Err(Status::invalid_argument(text));
    let paths = request.update_mask.as_ref().map(|mask| &mask.paths);
    if request.restore_original {
        return match paths {
            Some(paths) if !paths.is_empty() => invalid("Both UpdateMask and RestoreOriginal are provided"),
            _ => Ok(()),
        };
    }
    if request.activity_options.is_none() {
        return invalid("ActivityOptions are not provided");
    }
    match paths {
        None => invalid("UpdateMask is not provided"),
        Some(paths) if paths.is_empty() => invalid("UpdateMask must specify at least one path"),
        // An activity of a workflow takes what it knows of a mask.
        Some(paths) if request.workflow_id.is_empty() => {
            let unknown = paths.iter().find(|path| !FIELDS.contains(&camel_case(path).as_str()));
            unknown.map_or(Ok(()), |path| invalid(&format!("unsupported update_mask path: {path:?}")))
        }
        Some(_) => Ok(()),
    }
}

fn update_options(
    core: &mut Core,
    request: UpdateActivityExecutionOptionsRequest,
) -> Result<UpdateActivityExecutionOptionsResponse, Status> {
    if let Some(execution) = workflow(&request.workflow_id, &request.run_id) {
        let older = UpdateActivityOptionsRequest {
            namespace: request.namespace,
            execution: Some(execution),
            identity: request.identity,
            activity_options: request.activity_options,
            update_mask: request.update_mask,
            restore_original: request.restore_original,
            activity: Some(update_activity_options_request::Activity::Id(request.activity_id)),
        };
        let answer = activity_control::update_options(core, older)?;
        return Ok(UpdateActivityExecutionOptionsResponse { activity_options: answer.activity_options });
    }
    core.require_namespace(&request.namespace)?;
    let ids = (request.activity_id.as_str(), request.run_id.as_str());
    let (_, record) = core.find_activity(&request.namespace, ids.0, ids.1)?;
    record.check_options().map_err(|error| refused(&error))?;
    let mask = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
    let delays = mask.iter().any(|path| camel_case(path) == START_DELAY);
    let options = match request.activity_options.filter(|_| !request.restore_original) {
        None => None,
        Some(from) => Some(activity_options::merged_alone(&record.activity, &from, &mask)?),
    };
    let mut options = change(core, &request.namespace, ids, |record, now| record.change_options(now, options, delays))?;
    options.task_queue = options.task_queue.map(|queue| normal_queue(queue.name));
    Ok(UpdateActivityExecutionOptionsResponse { activity_options: Some(options) })
}
