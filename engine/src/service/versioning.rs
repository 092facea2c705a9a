//! What polls, starts and requests say of versions of workers.

use temporalio_common::protos::temporal::api::{
    deployment::v1::{WorkerDeploymentOptions, WorkerDeploymentVersion},
    enums::v1::{TaskQueueKind, VersioningBehavior, WorkerVersioningMode},
    taskqueue::v1::TaskQueue,
    workflow::v1::{VersioningOverride, versioning_override::Override},
};
use tonic::Status;

use super::{MAX_ID_LENGTH, refuse};
use crate::{
    core::Core,
    deployment::VersionId,
    history::versioning::recorded,
    matching::{QueueKey, TaskKind},
};

/// The part of a queue that a worker polls. Sticky queues are one worker's own, and have no parts.
///
/// # Errors
/// `INVALID_ARGUMENT`: the queue or the version has no name, or one that it cannot have.
pub(super) fn polled_queue(
    namespace: String,
    queue: Option<TaskQueue>,
    kind: TaskKind,
    options: Option<&WorkerDeploymentOptions>,
) -> Result<QueueKey, Status> {
    let queue = queue.unwrap_or_default();
    if queue.name.is_empty() {
        return Err(Status::invalid_argument("taskQueue is not set"));
    }
    if queue.name.len() > MAX_ID_LENGTH {
        return Err(Status::invalid_argument("taskQueue length exceeds limit"));
    }
    let versioned = options.filter(|options| options.worker_versioning_mode() == WorkerVersioningMode::Versioned);
    if let Some(options) = versioned {
        if options.deployment_name.is_empty() || options.build_id.is_empty() {
            return Err(Status::invalid_argument("Deployment name and build id must be set together."));
        }
        check_deployment_name(&options.deployment_name)?;
        check_build_id(&options.build_id)?;
    }
    let sticky = queue.kind() == TaskQueueKind::Sticky || !queue.normal_name.is_empty();
    let version = versioned.and_then(version_of).filter(|_| !sticky);
    Ok(QueueKey { namespace, name: queue.name, kind, version })
}

/// The version of a worker, if it has one.
pub(super) fn version_of(options: &WorkerDeploymentOptions) -> Option<VersionId> {
    if options.worker_versioning_mode() != WorkerVersioningMode::Versioned {
        return None;
    }
    let (deployment_name, build_id) = (options.deployment_name.clone(), options.build_id.clone());
    VersionId::of(&WorkerDeploymentVersion { deployment_name, build_id })
}

/// Checks an override that comes with a start (`ValidateVersioningOverride`).
#[allow(deprecated, reason = "deprecated for clients; servers still read it")]
pub(super) fn check_override(given: Option<&VersioningOverride>) -> Result<(), Status> {
    let Some(given) = given else { return Ok(()) };
    let invalid = |text: &str| Err(Status::invalid_argument(text));
    if given.r#override.is_none() && given.behavior() == VersioningBehavior::Unspecified {
        return invalid("override behavior is required");
    }
    match recorded(given).r#override {
        Some(Override::Pinned(pinned)) if pinned.behavior == 0 => {
            invalid("must specify pinned override behavior if override is pinned.")
        }
        Some(Override::Pinned(pinned)) if pinned.version.as_ref().and_then(VersionId::of).is_none() => {
            invalid("must provide version if override is pinned.")
        }
        Some(Override::OneTime(_)) => refuse(true, "VersioningOverride.OneTime"),
        _ => Ok(()),
    }
}

/// Checks that workers of the version that a workflow is pinned to have polled its queue.
pub(super) fn check_pinned(
    core: &Core,
    namespace: &str,
    queue: &str,
    given: Option<&VersioningOverride>,
) -> Result<(), Status> {
    let version = match given.and_then(|given| given.r#override.as_ref()) {
        Some(Override::Pinned(pinned)) => pinned.version.as_ref(),
        Some(Override::OneTime(once)) => once.target_deployment_version.as_ref(),
        _ => None,
    };
    let Some(version) = version.and_then(VersionId::of) else { return Ok(()) };
    if core.deployments.has_queue(namespace, &version, queue, TaskKind::Workflow.queue_type()) {
        return Ok(());
    }
    let message = format!("Pinned version '{version}' is not present in task queue '{queue}' of type 'Workflow'");
    Err(Status::failed_precondition(message))
}

/// Checks the name of a deployment (`ValidateDeploymentVersionFields`).
pub(super) fn check_deployment_name(name: &str) -> Result<(), Status> {
    if let Some(found) = ['.', ':'].into_iter().find(|c| name.contains(*c)) {
        return Err(Status::invalid_argument(format!("worker deployment name cannot contain '{found}'")));
    }
    if name.starts_with("__") {
        return Err(Status::invalid_argument("WorkerDeploymentName cannot start with '__'"));
    }
    check_length("WorkerDeploymentName", name)
}

pub(super) fn check_build_id(build_id: &str) -> Result<(), Status> {
    check_length("build ID", build_id)
}

fn check_length(field: &str, value: &str) -> Result<(), Status> {
    match value.len() {
        0 => Err(Status::invalid_argument(format!("{field} cannot be empty"))),
        length if length > MAX_ID_LENGTH => {
            Err(Status::invalid_argument(format!("size of {field} larger than the maximum allowed")))
        }
        _ => Ok(()),
    }
}

/// The version that a request names, by its parts or by its older name.
pub(super) fn named_version(version: Option<&WorkerDeploymentVersion>, old_name: &str) -> Result<VersionId, Status> {
    let given = version.filter(|version| !version.deployment_name.is_empty() || !version.build_id.is_empty());
    let name = given.map_or_else(|| old_name.to_owned(), |v| format!("{}.{}", v.deployment_name, v.build_id));
    if name.is_empty() {
        return Err(Status::invalid_argument("deployment version cannot be empty"));
    }
    let malformed = || format!("invalid version string {name:?}, expected format is \"<deployment_name>.<build_id>\"");
    let found = given.and_then(VersionId::of).or_else(|| VersionId::from_old_name(old_name));
    found.ok_or_else(|| Status::invalid_argument(malformed()))
}
