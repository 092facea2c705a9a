//! Worker deployments: what clients change of them.

use temporalio_common::protos::temporal::api::{
    deployment::v1::{VersionMetadata, WorkerDeploymentVersion},
    workflowservice::v1::{
        CreateWorkerDeploymentRequest, CreateWorkerDeploymentResponse, CreateWorkerDeploymentVersionRequest,
        CreateWorkerDeploymentVersionResponse, DeleteWorkerDeploymentRequest, DeleteWorkerDeploymentResponse,
        DeleteWorkerDeploymentVersionRequest, DeleteWorkerDeploymentVersionResponse,
        SetWorkerDeploymentCurrentVersionRequest, SetWorkerDeploymentCurrentVersionResponse,
        SetWorkerDeploymentManagerRequest, SetWorkerDeploymentManagerResponse,
        SetWorkerDeploymentRampingVersionRequest, SetWorkerDeploymentRampingVersionResponse,
        UpdateWorkerDeploymentVersionMetadataRequest, UpdateWorkerDeploymentVersionMetadataResponse,
        set_worker_deployment_manager_request::NewManagerIdentity,
    },
};
use tonic::Status;

use super::{
    Service, refuse,
    status::not_found,
    versioning::{check_build_id, check_deployment_name, named_version},
};
use crate::{
    core::Core,
    deployment::{Ask, Record, Refused, UNVERSIONED, VersionId},
};

/// Entries of a version's metadata at the most; the server bounds their bytes.
const MAX_METADATA_ENTRIES: usize = 100;

/// There is no such deployment.
pub(super) fn no_deployment(name: &str) -> Status {
    let message = format!("no Worker Deployment found with name '{name}'; does your Worker Deployment have pollers?");
    not_found(&message)
}

/// There is no such deployment, in the words of those methods that ask the server's workflow at once.
fn no_deployment_workflow(name: &str) -> Status {
    not_found(&format!("workflow not found for ID: temporal-sys-worker-deployment:{name}"))
}

fn refused(refused: &Refused) -> Status {
    match refused {
        Refused::NoVersion { .. } => not_found(&refused.to_string()),
        _ => Status::failed_precondition(refused.to_string()),
    }
}

/// The build that a request names, none for workers without a version.
fn build_id(build_id: String, old_name: &str) -> String {
    match VersionId::from_old_name(old_name) {
        Some(version) if build_id.is_empty() => version.build_id,
        _ => build_id,
    }
}

/// The deployment that a routing is asked of. Where no pollers are needed, it and the version are made.
fn routed(core: &Core, namespace: &str, name: &str, build_id: &str, make: bool) -> Result<Record, Status> {
    core.require_namespace(namespace)?;
    check_deployment_name(name)?;
    if !make || build_id.is_empty() {
        return core.deployments.get(namespace, name).cloned().ok_or_else(|| no_deployment(name));
    }
    check_build_id(build_id)?;
    let mut record = core.deployment_or_new(namespace, name)?;
    let known = record.clone();
    let polled = |id: &VersionId| core.is_polled(namespace, &known, id);
    record.add_version(build_id, core.now(), polled).map_err(|error| refused(&error))?;
    Ok(record)
}

#[allow(deprecated, reason = "deprecated for clients; the server still reads it and fills it in")]
impl Service {
    pub(super) async fn set_worker_deployment_current_version(
        &self,
        request: SetWorkerDeploymentCurrentVersionRequest,
    ) -> Result<SetWorkerDeploymentCurrentVersionResponse, Status> {
        self.core
            .call(move |core, reply| {
                let answer = set_current(core, request);
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn set_worker_deployment_ramping_version(
        &self,
        request: SetWorkerDeploymentRampingVersionRequest,
    ) -> Result<SetWorkerDeploymentRampingVersionResponse, Status> {
        if !(0.0..=100.0).contains(&request.percentage) {
            return Err(Status::invalid_argument("Percentage must be between 0 and 100 (inclusive)"));
        }
        self.core
            .call(move |core, reply| {
                let answer = set_ramping(core, request);
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn set_worker_deployment_manager(
        &self,
        request: SetWorkerDeploymentManagerRequest,
    ) -> Result<SetWorkerDeploymentManagerResponse, Status> {
        if request.identity.is_empty() {
            return Err(Status::invalid_argument("Identity is required"));
        }
        let manager = match request.new_manager_identity {
            Some(NewManagerIdentity::ManagerIdentity(manager)) => manager,
            Some(NewManagerIdentity::Self_(true)) => request.identity.clone(),
            Some(NewManagerIdentity::Self_(false)) | None => String::new(),
        };
        let ask = Ask { identity: request.identity, token: request.conflict_token };
        let (namespace, name) = (request.namespace, request.deployment_name);
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&namespace).and_then(|()| {
                    let found = core.deployments.get(&namespace, &name).cloned();
                    let mut record = found.ok_or_else(|| no_deployment_workflow(&name))?;
                    let previous = record.set_manager(&manager, &ask, core.now()).map_err(|error| refused(&error))?;
                    let conflict_token = record.conflict_token();
                    core.deployments.put(record);
                    Ok(SetWorkerDeploymentManagerResponse { conflict_token, previous_manager_identity: previous })
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn create_worker_deployment(
        &self,
        request: CreateWorkerDeploymentRequest,
    ) -> Result<CreateWorkerDeploymentResponse, Status> {
        check_deployment_name(&request.deployment_name)?;
        let (namespace, name) = (request.namespace, request.deployment_name);
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&namespace).and_then(|()| {
                    let same =
                        |record: &Record| !request.request_id.is_empty() && record.request_id == request.request_id;
                    match core.deployments.get(&namespace, &name) {
                        Some(record) if same(record) => return Ok(record.conflict_token()),
                        Some(_) => {
                            let message = format!("Worker Deployment with name {name:?} already exists");
                            return Err(Status::already_exists(message));
                        }
                        None => {}
                    }
                    let mut record = core.deployment_or_new(&namespace, &name)?;
                    record.request_id = request.request_id;
                    record.info.last_modifier_identity = request.identity;
                    let token = record.conflict_token();
                    core.deployments.put(record);
                    Ok(token)
                });
                core.reply(reply, answer.map(|conflict_token| CreateWorkerDeploymentResponse { conflict_token }));
            })
            .await
    }

    pub(super) async fn create_worker_deployment_version(
        &self,
        request: CreateWorkerDeploymentVersionRequest,
    ) -> Result<CreateWorkerDeploymentVersionResponse, Status> {
        refuse(request.compute_config.is_some(), "ComputeConfig")?;
        let version = request.deployment_version.clone().unwrap_or_default();
        check_deployment_name(&version.deployment_name)?;
        check_build_id(&version.build_id)?;
        self.core
            .call(move |core, reply| {
                let answer = create_version(core, &request, &version);
                core.reply(reply, answer.map(|()| CreateWorkerDeploymentVersionResponse::default()));
            })
            .await
    }

    pub(super) async fn delete_worker_deployment(
        &self,
        request: DeleteWorkerDeploymentRequest,
    ) -> Result<DeleteWorkerDeploymentResponse, Status> {
        check_deployment_name(&request.deployment_name)?;
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    let found = core.deployments.get(&request.namespace, &request.deployment_name);
                    if found.is_some_and(|record| !record.versions.is_empty()) {
                        return Err(Status::failed_precondition("deployment has versions, can't be deleted"));
                    }
                    core.deployments.delete(&request.namespace, &request.deployment_name);
                    Ok(DeleteWorkerDeploymentResponse {})
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn delete_worker_deployment_version(
        &self,
        request: DeleteWorkerDeploymentVersionRequest,
    ) -> Result<DeleteWorkerDeploymentVersionResponse, Status> {
        let version = named_version(request.deployment_version.as_ref(), &request.version)?;
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    core.check_drainage(&request.namespace, &version.deployment);
                    let found = core.deployments.get(&request.namespace, &version.deployment).cloned();
                    let mut record = found.ok_or_else(|| no_deployment_workflow(&version.deployment))?;
                    let polled = core.is_polled(&request.namespace, &record, &version);
                    record
                        .delete_version(&version.build_id, request.skip_drainage, polled, &request.identity)
                        .map_err(|error| refused(&error))?;
                    core.put_deployment(record);
                    Ok(DeleteWorkerDeploymentVersionResponse {})
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn update_worker_deployment_version_metadata(
        &self,
        request: UpdateWorkerDeploymentVersionMetadataRequest,
    ) -> Result<UpdateWorkerDeploymentVersionMetadataResponse, Status> {
        let version = named_version(request.deployment_version.as_ref(), &request.version)?;
        if request.upsert_entries.is_empty() && request.remove_entries.is_empty() {
            return Err(Status::invalid_argument("At least one of remove_entries or upsert_entries must be provided"));
        }
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    let metadata = update_metadata(core, request, &version)?;
                    Ok(UpdateWorkerDeploymentVersionMetadataResponse { metadata: Some(metadata) })
                });
                core.reply(reply, answer);
            })
            .await
    }
}

#[allow(deprecated, reason = "deprecated for clients; the server still reads it and fills it in")]
fn set_current(
    core: &mut Core,
    request: SetWorkerDeploymentCurrentVersionRequest,
) -> Result<SetWorkerDeploymentCurrentVersionResponse, Status> {
    let build_id = build_id(request.build_id, &request.version);
    let namespace = &request.namespace;
    let mut record = routed(core, namespace, &request.deployment_name, &build_id, request.allow_no_pollers)?;
    let before = record.routing();
    let ask = Ask { identity: request.identity, token: request.conflict_token };
    let misses =
        |record: &Record| !request.ignore_missing_task_queues && core.misses_queues(namespace, record, &build_id);
    let changed = record.set_current(&build_id, &ask, core.now(), misses).map_err(|error| refused(&error))?;
    let conflict_token = record.conflict_token();
    if changed {
        core.put_deployment(record);
    }
    Ok(SetWorkerDeploymentCurrentVersionResponse {
        conflict_token,
        previous_version: before.current_version,
        previous_deployment_version: before.current_deployment_version,
    })
}

#[allow(deprecated, reason = "deprecated for clients; the server still reads it and fills it in")]
fn set_ramping(
    core: &mut Core,
    request: SetWorkerDeploymentRampingVersionRequest,
) -> Result<SetWorkerDeploymentRampingVersionResponse, Status> {
    let given = build_id(request.build_id, &request.version);
    // Neither a version nor a part of the work: the ramp ends.
    let ends = given.is_empty() && request.percentage == 0.0 && request.version != UNVERSIONED;
    let namespace = &request.namespace;
    let mut record = routed(core, namespace, &request.deployment_name, &given, request.allow_no_pollers)?;
    let before = record.routing();
    let ask = Ask { identity: request.identity, token: request.conflict_token };
    let misses = |record: &Record| !request.ignore_missing_task_queues && core.misses_queues(namespace, record, &given);
    let version = (!ends).then_some(given.as_str());
    let changed = record.set_ramping(version, request.percentage, &ask, core.now(), misses);
    let changed = changed.map_err(|error| refused(&error))?;
    let conflict_token = record.conflict_token();
    if changed {
        core.put_deployment(record);
    }
    Ok(SetWorkerDeploymentRampingVersionResponse {
        conflict_token,
        previous_version: before.ramping_version,
        previous_deployment_version: before.ramping_deployment_version,
        previous_percentage: before.ramping_version_percentage,
    })
}

fn create_version(
    core: &mut Core,
    request: &CreateWorkerDeploymentVersionRequest,
    version: &WorkerDeploymentVersion,
) -> Result<(), Status> {
    core.require_namespace(&request.namespace)?;
    let found = core.deployments.get(&request.namespace, &version.deployment_name).cloned();
    let mut record = found.ok_or_else(|| no_deployment(&version.deployment_name))?;
    if let Some(known) = record.version(&version.build_id) {
        if !request.request_id.is_empty() && known.request_id == request.request_id {
            return Ok(());
        }
        let name = VersionId::of(version).map(|id| id.old_name()).unwrap_or_default();
        return Err(Status::already_exists(format!("Worker Deployment Version {name:?} already exists")));
    }
    let known = record.clone();
    let polled = |id: &VersionId| core.is_polled(&request.namespace, &known, id);
    let added = record.add_version(&version.build_id, core.now(), polled).map_err(|error| refused(&error))?;
    added.request_id.clone_from(&request.request_id);
    added.info.last_modifier_identity.clone_from(&request.identity);
    core.deployments.put(record);
    Ok(())
}

fn update_metadata(
    core: &mut Core,
    request: UpdateWorkerDeploymentVersionMetadataRequest,
    id: &VersionId,
) -> Result<VersionMetadata, Status> {
    let found = core.deployments.get(&request.namespace, &id.deployment).cloned();
    let missing = || not_found(&format!("workflow not found for ID: temporal-sys-worker-deployment-version:{id}"));
    let mut record = found.ok_or_else(missing)?;
    let position = record.versions.iter().position(|version| version.build_id() == id.build_id);
    let version = position.and_then(|position| record.versions.get_mut(position)).ok_or_else(missing)?;
    let metadata = version.info.metadata.get_or_insert_default();
    metadata.entries.extend(request.upsert_entries);
    metadata.entries.retain(|name, _| !request.remove_entries.contains(name));
    if metadata.entries.len() > MAX_METADATA_ENTRIES {
        let message = format!("a version has at most {MAX_METADATA_ENTRIES} entries of metadata");
        return Err(Status::invalid_argument(message));
    }
    let metadata = metadata.clone();
    version.info.last_modifier_identity = request.identity;
    core.deployments.put(record);
    Ok(metadata)
}
