//! Worker deployments: which versions of workers there are, and which of them new work goes to.
//!
//! A pure record of each deployment: what is asked of it and the time go in, a changed record or a named refusal comes out. The
//! rules and their order are those of the server's deployment workflows (`service/worker/workerdeployment`). It knows neither
//! queues nor executions: whether somebody polls and whether something is open are arguments.

mod change;
mod drainage;
mod ramp;
#[cfg(test)]
mod tests;

use prost_wkt_types::Timestamp;
use temporalio_common::protos::temporal::api::{
    deployment::v1::{
        RoutingConfig, VersionDrainageInfo, WorkerDeploymentInfo, WorkerDeploymentVersion, WorkerDeploymentVersionInfo,
    },
    enums::v1::{TaskQueueType, VersionDrainageStatus, WorkerDeploymentVersionStatus as VersionStatus},
};

pub(crate) use change::{Ask, Refused};

/// What the server calls workers without a version.
pub(crate) const UNVERSIONED: &str = "__unversioned__";
/// Versions of one deployment (`matching.maxVersionsInDeployment`).
pub(crate) const MAX_VERSIONS: usize = 100;
/// Deployments of one namespace (`matching.maxDeployments`).
pub(crate) const MAX_DEPLOYMENTS: usize = 100;
/// Task queues of one version (`matching.maxTaskQueuesInDeploymentVersion`).
const MAX_TASK_QUEUES: usize = 100;

/// Names a version of workers within a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VersionId {
    /// The deployment.
    pub(crate) deployment: String,
    /// The build.
    pub(crate) build_id: String,
}

impl VersionId {
    /// As requests and histories name it; none for an empty name.
    pub(crate) fn of(version: &WorkerDeploymentVersion) -> Option<Self> {
        let (deployment, build_id) = (version.deployment_name.clone(), version.build_id.clone());
        (!deployment.is_empty() && !build_id.is_empty()).then_some(Self { deployment, build_id })
    }

    /// From its older name, `deployment.build`.
    pub(crate) fn from_old_name(name: &str) -> Option<Self> {
        let (deployment, build_id) = name.split_once('.')?;
        Self::of(&WorkerDeploymentVersion { deployment_name: deployment.to_owned(), build_id: build_id.to_owned() })
    }

    /// As requests and histories name it.
    pub(crate) fn message(&self) -> WorkerDeploymentVersion {
        WorkerDeploymentVersion { deployment_name: self.deployment.clone(), build_id: self.build_id.clone() }
    }

    /// Its older name.
    pub(crate) fn old_name(&self) -> String {
        format!("{}.{}", self.deployment, self.build_id)
    }
}

/// As search attributes and messages to people have it.
impl std::fmt::Display for VersionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.deployment, self.build_id)
    }
}

/// A deployment, in the form in which it is stored.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct Record {
    /// Namespace, by name.
    #[prost(string, tag = "1")]
    pub(crate) namespace: String,
    /// What clients are told of it, without its versions.
    #[prost(message, required, tag = "2")]
    pub(crate) info: WorkerDeploymentInfo,
    /// Its versions, those that were made first before the others.
    #[prost(message, repeated, tag = "3")]
    pub(crate) versions: Vec<Version>,
    /// When it was last changed by a client, nanoseconds; clients carry it as their conflict token.
    #[prost(int64, tag = "4")]
    pub(crate) token: i64,
    /// Request id of its creation; empty where a worker has made it.
    #[prost(string, tag = "5")]
    pub(crate) request_id: String,
}

/// A version of a deployment, in the form in which it is stored.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct Version {
    /// What clients are told of it; its status follows from the rest.
    #[prost(message, required, tag = "1")]
    pub(crate) info: WorkerDeploymentVersionInfo,
    /// Request id of its creation; empty where a worker has made it.
    #[prost(string, tag = "2")]
    pub(crate) request_id: String,
}

/// Where a queue's new work goes, and since when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Routing {
    /// The version; none for workers without one.
    pub(crate) version: Option<VersionId>,
    /// How much of the work, in percent.
    pub(crate) percentage: f32,
    /// When that was decided.
    pub(crate) since: Timestamp,
}

/// Whether a ramp of so many percent takes a workflow.
pub(crate) fn ramp_takes(percentage: f32, workflow_id: &str) -> bool {
    ramp::takes(percentage, workflow_id)
}

impl Record {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.info.name
    }

    /// Its routing.
    pub(crate) fn routing(&self) -> RoutingConfig {
        self.info.routing_config.clone().unwrap_or_default()
    }

    /// The version of that build.
    pub(crate) fn version(&self, build_id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.build_id() == build_id)
    }

    fn version_mut(&mut self, build_id: &str) -> Option<&mut Version> {
        self.versions.iter_mut().find(|version| version.build_id() == build_id)
    }

    fn id(&self, build_id: &str) -> VersionId {
        VersionId { deployment: self.info.name.clone(), build_id: build_id.to_owned() }
    }

    /// Where it sends the work of a queue, if it has a say in that.
    pub(crate) fn current_of(&self, queue: &str, kind: TaskQueueType) -> Option<Routing> {
        let routing = self.info.routing_config.as_ref()?;
        let version = routing.current_deployment_version.as_ref()?;
        let polls = self.version(&version.build_id).is_some_and(|version| version.has_queue(queue, kind));
        polls.then(|| Routing {
            version: VersionId::of(version),
            percentage: 100.0,
            since: routing.current_version_changed_time.unwrap_or_default(),
        })
    }

    /// Where it sends a part of the work of a queue, if it does. Workers without a version get theirs on the queues of the
    /// current version.
    pub(crate) fn ramping_of(&self, queue: &str, kind: TaskQueueType) -> Option<Routing> {
        let routing = self.info.routing_config.as_ref().filter(|routing| is_ramping(routing))?;
        let version = routing.ramping_deployment_version.as_ref();
        let polls = match version.or(routing.current_deployment_version.as_ref()) {
            Some(version) => self.version(&version.build_id).is_some_and(|version| version.has_queue(queue, kind)),
            None => false,
        };
        polls.then(|| Routing {
            version: version.and_then(VersionId::of),
            percentage: routing.ramping_version_percentage,
            since: routing.ramping_version_percentage_changed_time.unwrap_or_default(),
        })
    }
}

#[allow(deprecated, reason = "a version without a name is told from none by its old name only")]
fn is_ramping(routing: &RoutingConfig) -> bool {
    !routing.ramping_version.is_empty()
}

impl Version {
    /// Its build.
    pub(crate) fn build_id(&self) -> &str {
        self.info.deployment_version.as_ref().map_or("", |version| version.build_id.as_str())
    }

    /// Whether its workers have polled that queue.
    #[allow(deprecated, reason = "the field is deprecated for clients, and kept here")]
    pub(crate) fn has_queue(&self, queue: &str, kind: TaskQueueType) -> bool {
        self.info.task_queue_infos.iter().any(|info| info.name == queue && info.r#type() == kind)
    }

    /// Whether new work goes to it.
    pub(crate) fn is_active(&self) -> bool {
        self.info.current_since_time.is_some() || self.info.ramping_since_time.is_some()
    }

    /// Its drainage, while it does not take new work any more.
    pub(crate) fn drainage(&self) -> VersionDrainageStatus {
        self.info.drainage_info.as_ref().map_or(VersionDrainageStatus::Unspecified, VersionDrainageInfo::status)
    }

    /// Its status, which follows from the rest.
    #[allow(deprecated, reason = "the field is deprecated for clients, and kept here")]
    pub(crate) fn status(&self) -> VersionStatus {
        if self.info.current_since_time.is_some() {
            return VersionStatus::Current;
        }
        if self.info.ramping_since_time.is_some() {
            return VersionStatus::Ramping;
        }
        match self.drainage() {
            VersionDrainageStatus::Draining => VersionStatus::Draining,
            VersionDrainageStatus::Drained => VersionStatus::Drained,
            VersionDrainageStatus::Unspecified if self.info.task_queue_infos.is_empty() => VersionStatus::Created,
            VersionDrainageStatus::Unspecified => VersionStatus::Inactive,
        }
    }
}
