//! Worker deployments and their versions, described and listed.

use std::cmp::Reverse;

use temporalio_common::protos::temporal::api::{
    deployment::v1::{
        WorkerDeploymentInfo, WorkerDeploymentVersionInfo, worker_deployment_info::WorkerDeploymentVersionSummary,
    },
    workflowservice::v1::{
        DescribeWorkerDeploymentRequest, DescribeWorkerDeploymentResponse, DescribeWorkerDeploymentVersionRequest,
        DescribeWorkerDeploymentVersionResponse, ListWorkerDeploymentsRequest, ListWorkerDeploymentsResponse,
        describe_worker_deployment_version_response::VersionTaskQueue,
        list_worker_deployments_response::WorkerDeploymentSummary,
    },
};
use tonic::Status;

use super::{
    Service,
    deployment::no_deployment,
    page_size, refuse,
    status::not_found,
    versioning::{check_deployment_name, named_version},
    visibility::MAX_PAGE,
};
use crate::{
    core::Core,
    deployment::{Record, Version},
    history::time::from_timestamp,
};

impl Service {
    pub(super) async fn describe_worker_deployment(
        &self,
        request: DescribeWorkerDeploymentRequest,
    ) -> Result<DescribeWorkerDeploymentResponse, Status> {
        check_deployment_name(&request.deployment_name)?;
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    core.check_drainage(&request.namespace, &request.deployment_name);
                    let found = core.deployments.get(&request.namespace, &request.deployment_name);
                    let record = found.ok_or_else(|| no_deployment(&request.deployment_name))?;
                    Ok(DescribeWorkerDeploymentResponse {
                        conflict_token: record.conflict_token(),
                        worker_deployment_info: Some(info(record)),
                    })
                });
                core.reply(reply, answer);
            })
            .await
    }

    #[allow(deprecated, reason = "deprecated for clients; the server still reads it and fills it in")]
    pub(super) async fn describe_worker_deployment_version(
        &self,
        request: DescribeWorkerDeploymentVersionRequest,
    ) -> Result<DescribeWorkerDeploymentVersionResponse, Status> {
        let version = named_version(request.deployment_version.as_ref(), &request.version)?;
        refuse(request.report_task_queue_stats, "ReportTaskQueueStats")?;
        self.core
            .call(move |core, reply| {
                let answer = core.require_namespace(&request.namespace).and_then(|()| {
                    core.check_drainage(&request.namespace, &version.deployment);
                    let record = core.deployments.get(&request.namespace, &version.deployment);
                    let found = record.and_then(|record| record.version(&version.build_id));
                    let found = found.ok_or_else(|| not_found("Worker Deployment Version not found"))?;
                    let queues = found.info.task_queue_infos.iter().map(|queue| VersionTaskQueue {
                        name: queue.name.clone(),
                        r#type: queue.r#type,
                        ..Default::default()
                    });
                    Ok(DescribeWorkerDeploymentVersionResponse {
                        version_task_queues: queues.collect(),
                        worker_deployment_version_info: Some(version_info(found)),
                    })
                });
                core.reply(reply, answer);
            })
            .await
    }

    pub(super) async fn list_worker_deployments(
        &self,
        request: ListWorkerDeploymentsRequest,
    ) -> Result<ListWorkerDeploymentsResponse, Status> {
        let after = String::from_utf8_lossy(&request.next_page_token).into_owned();
        self.core
            .call(move |core, reply| {
                let size = page_size(request.page_size, MAX_PAGE);
                let answer = core.require_namespace(&request.namespace).map(|()| {
                    let names: Vec<String> =
                        core.deployments.of(&request.namespace).map(|record| record.name().to_owned()).collect();
                    for name in names {
                        core.check_drainage(&request.namespace, &name);
                    }
                    page(core, &request.namespace, &after, size)
                });
                core.reply(reply, answer);
            })
            .await
    }
}

/// A page of the deployments, those that were made last before the others; a page ends with the name that its token is.
fn page(core: &Core, namespace: &str, after: &str, size: usize) -> ListWorkerDeploymentsResponse {
    let mut all: Vec<&Record> = core.deployments.of(namespace).collect();
    let order = |record: &Record| (Reverse(from_timestamp(record.info.create_time.as_ref())), record.name().to_owned());
    all.sort_by_key(|record| order(record));
    let begin = all.iter().position(|record| record.name() == after).map_or(0, |position| position + 1);
    let found = all.get(begin..).unwrap_or_default();
    let more = found.len() > size;
    let shown = found.get(..size).unwrap_or(found);
    let last = shown.last().filter(|_| more).map(|record| record.name().as_bytes().to_vec());
    ListWorkerDeploymentsResponse {
        worker_deployments: shown.iter().map(|record| summary(record)).collect(),
        next_page_token: last.unwrap_or_default(),
    }
}

fn summary(record: &Record) -> WorkerDeploymentSummary {
    let routing = record.routing();
    let of = |build_id: &str| record.version(build_id).map(version_summary);
    let current = routing.current_deployment_version.as_ref().and_then(|version| of(&version.build_id));
    let ramping = routing.ramping_deployment_version.as_ref().and_then(|version| of(&version.build_id));
    WorkerDeploymentSummary {
        name: record.name().to_owned(),
        create_time: record.info.create_time,
        latest_version_summary: record.versions.last().map(version_summary),
        current_version_summary: current,
        ramping_version_summary: ramping,
        routing_config: Some(routing),
    }
}

fn info(record: &Record) -> WorkerDeploymentInfo {
    let version_summaries = record.versions.iter().rev().map(version_summary).collect();
    WorkerDeploymentInfo { version_summaries, ..record.info.clone() }
}

fn version_info(version: &Version) -> WorkerDeploymentVersionInfo {
    WorkerDeploymentVersionInfo { status: version.status().into(), ..version.info.clone() }
}

#[allow(deprecated, reason = "deprecated for clients; the server still fills it in")]
fn version_summary(version: &Version) -> WorkerDeploymentVersionSummary {
    let info = version.info.clone();
    WorkerDeploymentVersionSummary {
        version: info.version,
        status: version.status().into(),
        deployment_version: info.deployment_version,
        create_time: info.create_time,
        drainage_status: version.drainage().into(),
        drainage_info: info.drainage_info,
        current_since_time: info.current_since_time,
        ramping_since_time: info.ramping_since_time,
        routing_update_time: info.routing_changed_time,
        first_activation_time: info.first_activation_time,
        last_current_time: info.last_current_time,
        last_deactivation_time: info.last_deactivation_time,
        ..Default::default()
    }
}
