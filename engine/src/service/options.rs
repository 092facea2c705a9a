//! Options of a running workflow: its priority, and how workers are chosen for it.

use temporalio_common::protos::temporal::api::{
    workflow::v1::{WorkflowExecutionOptions, versioning_override::Override},
    workflowservice::v1::{UpdateWorkflowExecutionOptionsRequest, UpdateWorkflowExecutionOptionsResponse},
};
use tonic::Status;

use super::{
    Service,
    masks::{camel_case, has_part_of, is_part_of, merge_priority},
    refuse, require_id, require_run_id,
    versioning::{check_override, check_pinned},
};
use crate::{
    core::Core,
    history::{state::ExecutionInfo, versioning::recorded},
};

/// Paths that a mask may have, besides those below a priority.
const FIELDS: [&str; 3] = ["versioning_override", "priority", "time_skipping_config"];

impl Service {
    pub(super) async fn update_workflow_execution_options(
        &self,
        request: UpdateWorkflowExecutionOptionsRequest,
    ) -> Result<UpdateWorkflowExecutionOptionsResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = update(core, request);
                core.reply(reply, answer);
            })
            .await
    }
}

/// Gives a running workflow other options.
///
/// # Errors
/// There is no such run, or the options cannot be.
pub(super) fn update(
    core: &mut Core,
    request: UpdateWorkflowExecutionOptionsRequest,
) -> Result<UpdateWorkflowExecutionOptionsResponse, Status> {
    let execution = request.workflow_execution.unwrap_or_default();
    require_id(&execution.workflow_id, "WorkflowId")?;
    require_run_id(&execution.run_id)?;
    let from = request
        .workflow_execution_options
        .ok_or_else(|| Status::invalid_argument("WorkflowExecutionOptions is required"))?;
    let mask = request.update_mask.ok_or_else(|| Status::invalid_argument("UpdateMask is required"))?.paths;
    let mask = known(&mask)?;
    let has_skipping = from.time_skipping_config.is_some() && has_part_of(&mask, "timeSkippingConfig");
    refuse(has_skipping, "TimeSkippingConfig")?;
    core.require_namespace(&request.namespace)?;
    let key = core.find_open(&request.namespace, &execution)?;
    let info = core.info(key)?;
    let merged = merged(core, &info, &from, &mask)?;
    core.update(key, |e, now| e.update_options(now, merged.clone(), &request.identity));
    if merged.versioning_override != info.options().versioning_override {
        // What waits for a worker of the version of before.
        core.sort_tasks_anew(&request.namespace);
    }
    Ok(UpdateWorkflowExecutionOptionsResponse { workflow_execution_options: Some(merged), update_time: None })
}

/// The paths of a mask, unless one is of no field.
fn known(mask: &[String]) -> Result<Vec<String>, Status> {
    let unknown = mask.iter().find(|path| !FIELDS.iter().any(|field| is_part_of(path, field)));
    match unknown {
        None => Ok(mask.iter().map(|path| camel_case(path)).collect()),
        Some(path) => Err(Status::invalid_argument(format!(
            "error parsing UpdateMask: proto:\u{a0}invalid path {path:?} for message \"temporal.api.workflow.v1.WorkflowExecutionOptions\""
        ))),
    }
}

fn merged(
    core: &Core,
    info: &ExecutionInfo,
    from: &WorkflowExecutionOptions,
    mask: &[String],
) -> Result<WorkflowExecutionOptions, Status> {
    let mut options = info.options();
    if has_part_of(mask, "versioningOverride") {
        let queue = info.started.as_ref().and_then(|started| started.task_queue.as_ref());
        let queue = queue.map_or("", |queue| &queue.name);
        let given = from.versioning_override.as_ref();
        if given.is_some_and(|given| matches!(given.r#override, Some(Override::OneTime(_)))) {
            check_pinned(core, &info.namespace, queue, given)?;
        }
        check_override(given)?;
        options.versioning_override = given.map(recorded);
        check_pinned(core, &info.namespace, queue, options.versioning_override.as_ref())?;
    }
    merge_priority(&mut options.priority, from.priority.as_ref(), mask)?;
    Ok(options)
}
