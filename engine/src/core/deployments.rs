//! Worker deployments as they are kept, and to which version a task goes.
//!
//! A queue has one part for each version whose workers poll it, and one for workers without a version. A task goes to the part that
//! its execution and the routing of the queue name; when a routing changes, what waits is sorted anew.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use temporalio_common::protos::temporal::api::enums::v1::TaskQueueType;
use tonic::Status;

use super::Core;
use crate::{
    deployment::{MAX_DEPLOYMENTS, Record, Routing, VersionId, ramp_takes},
    history::{state::ExecutionInfo, time::Nanos},
    matching::{QueueKey, Rank, Task, TaskKind},
    store::{Batch, DeploymentRow},
};

/// How long after its last poll a worker counts as there (`matching.PollerHistoryTTL`).
pub(crate) const POLLER_MEMORY: Nanos = 300_000_000_000;
/// How long after its last task a queue counts as in use, as the server's rates have it.
const IN_USE: Nanos = 30_000_000_000;

/// Names a deployment: namespace and name.
type Id = (String, String);

/// The deployments. In memory; what is stored of them is one row each.
#[derive(Debug, Default)]
pub(crate) struct Deployments {
    records: BTreeMap<Id, Record>,
    unsaved: BTreeSet<Id>,
}

impl Deployments {
    /// The deployment of that name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&Record> {
        self.records.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All deployments of a namespace, by name.
    pub(crate) fn of<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Record> + use<'a> {
        let wanted = namespace.to_owned();
        let range = self.records.range((namespace.to_owned(), String::new())..);
        range.take_while(move |((namespace, _), _)| *namespace == wanted).map(|(_, record)| record)
    }

    /// Puts a deployment in, or in the place of what it was before.
    pub(crate) fn put(&mut self, record: Record) {
        let id = (record.namespace.clone(), record.name().to_owned());
        self.unsaved.insert(id.clone());
        self.records.insert(id, record);
    }

    /// Forgets a deployment.
    pub(crate) fn delete(&mut self, namespace: &str, name: &str) {
        let id = (namespace.to_owned(), name.to_owned());
        if self.records.remove(&id).is_some() {
            self.unsaved.insert(id);
        }
    }

    /// Forgets all deployments of a namespace.
    pub(super) fn delete_of(&mut self, namespace: &str) {
        let names: Vec<String> = self.of(namespace).map(|record| record.name().to_owned()).collect();
        for name in names {
            self.delete(namespace, &name);
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    pub(super) fn write(&self, batch: &mut Batch) {
        for id in &self.unsaved {
            match self.records.get(id) {
                Some(record) => {
                    let (namespace, name) = id.clone();
                    batch.put_deployments.push(DeploymentRow { namespace, name, data: record.encode_to_vec() });
                }
                None => batch.delete_deployments.push(id.clone()),
            }
        }
    }

    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
    }

    /// Where the new work of a queue goes, and a part of it. What was decided last has the say.
    pub(crate) fn routing(
        &self,
        namespace: &str,
        queue: &str,
        kind: TaskQueueType,
    ) -> (Option<Routing>, Option<Routing>) {
        let last = |routings: Vec<Routing>| {
            routings.into_iter().max_by_key(|routing| (routing.since.seconds, routing.since.nanos))
        };
        let current = self.of(namespace).filter_map(|record| record.current_of(queue, kind)).collect();
        let ramping = self.of(namespace).filter_map(|record| record.ramping_of(queue, kind)).collect();
        (last(current), last(ramping))
    }

    /// The version that new work of a queue goes to; none for workers without one.
    pub(super) fn target(
        &self,
        namespace: &str,
        queue: &str,
        kind: TaskQueueType,
        workflow_id: &str,
    ) -> Option<VersionId> {
        if self.records.is_empty() {
            return None;
        }
        let (current, ramping) = self.routing(namespace, queue, kind);
        match ramping.filter(|ramping| ramp_takes(ramping.percentage, workflow_id)) {
            Some(ramping) => ramping.version,
            None => current.and_then(|current| current.version),
        }
    }

    /// Whether workers of a version have polled a queue.
    pub(crate) fn has_queue(&self, namespace: &str, version: &VersionId, queue: &str, kind: TaskQueueType) -> bool {
        let record = self.get(namespace, &version.deployment);
        let version = record.and_then(|record| record.version(&version.build_id));
        version.is_some_and(|version| version.has_queue(queue, kind))
    }
}

impl TaskKind {
    /// As the API has it.
    pub(crate) fn queue_type(self) -> TaskQueueType {
        match self {
            Self::Workflow => TaskQueueType::Workflow,
            Self::Activity => TaskQueueType::Activity,
            Self::Nexus => TaskQueueType::Nexus,
        }
    }

    /// The kind that the API means.
    pub(crate) fn of(queue_type: TaskQueueType) -> Self {
        match queue_type {
            TaskQueueType::Activity => Self::Activity,
            TaskQueueType::Nexus => Self::Nexus,
            TaskQueueType::Workflow | TaskQueueType::Unspecified => Self::Workflow,
        }
    }
}

impl Core {
    pub(super) fn load_deployments(&mut self) -> Result<(), crate::EngineError> {
        for row in self.store.load_deployments()? {
            let record = Record::decode(row.data.as_slice())
                .map_err(|error| crate::EngineError::Damaged(format!("worker deployment {}: {error}", row.name)))?;
            self.deployments.records.insert((row.namespace, row.name), record);
        }
        Ok(())
    }

    /// The commit failed: the deployments go back to what is stored.
    pub(super) fn revert_deployments(&mut self) {
        if !self.deployments.has_changes() {
            return;
        }
        let unsaved = std::mem::take(&mut self.deployments);
        if let Err(error) = self.load_deployments() {
            tracing::error!(%error, "cannot read the worker deployments back: {error}");
            self.deployments.records = unsaved.records;
        }
        let namespaces: BTreeSet<String> = unsaved.unsaved.into_iter().map(|(namespace, _)| namespace).collect();
        for namespace in namespaces {
            self.sort_tasks_anew(&namespace);
        }
    }

    /// Notes that workers of a version poll a queue.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION`: there are too many of something.
    pub(crate) fn register_version(&mut self, queue: &QueueKey) -> Result<(), Status> {
        let Some(version) = queue.version.as_ref() else { return Ok(()) };
        let (namespace, kind) = (queue.namespace.as_str(), queue.kind.queue_type());
        if self.deployments.has_queue(namespace, version, &queue.name, kind) {
            return Ok(());
        }
        let mut record = self.deployment_or_new(namespace, &version.deployment)?;
        let now = self.now();
        let refuse = |refused: crate::deployment::Refused| Status::failed_precondition(refused.to_string());
        let polled = |id: &VersionId| self.is_polled(namespace, &record, id);
        let mut changed = record.clone();
        changed
            .add_version(&version.build_id, now, polled)
            .map_err(refuse)?
            .add_queue(&queue.name, kind)
            .map_err(refuse)?;
        record = changed;
        self.deployments.put(record);
        // It may be the current version already.
        self.sort_tasks_anew(namespace);
        Ok(())
    }

    /// A deployment, made if need be; the caller puts it back.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION`: there are too many.
    pub(crate) fn deployment_or_new(&self, namespace: &str, name: &str) -> Result<Record, Status> {
        if let Some(record) = self.deployments.get(namespace, name) {
            return Ok(record.clone());
        }
        if self.deployments.of(namespace).count() >= MAX_DEPLOYMENTS {
            let message = format!("reached maximum deployments in namespace ({MAX_DEPLOYMENTS})");
            return Err(Status::failed_precondition(message));
        }
        Ok(Record::new(namespace, name, self.now()))
    }

    /// Whether workers of a version have polled lately.
    #[allow(deprecated, reason = "the field is deprecated for clients, and kept in the record")]
    pub(crate) fn is_polled(&self, namespace: &str, record: &Record, version: &VersionId) -> bool {
        let since = self.now().saturating_sub(POLLER_MEMORY);
        let queues = record.version(&version.build_id).map(|version| version.info.task_queue_infos.as_slice());
        queues.unwrap_or_default().iter().any(|info| {
            let kind = TaskKind::of(info.r#type());
            let (namespace, name) = (namespace.to_owned(), info.name.clone());
            let key = QueueKey { namespace, name, kind, version: Some(version.clone()) };
            self.queues.last_poll(&key).is_some_and(|last| last >= since)
        })
    }

    /// Whether a queue of the current version that is in use is none of another's.
    #[allow(deprecated, reason = "the field is deprecated for clients, and kept in the record")]
    pub(crate) fn misses_queues(&self, namespace: &str, record: &Record, build_id: &str) -> bool {
        let current = record.routing().current_deployment_version;
        let current = current.and_then(|version| record.version(&version.build_id));
        let (Some(current), Some(proposed)) = (current, record.version(build_id)) else { return false };
        let since = self.now().saturating_sub(IN_USE);
        current.info.task_queue_infos.iter().any(|info| {
            let kind = TaskKind::of(info.r#type());
            !proposed.has_queue(&info.name, info.r#type()) && self.queues.is_in_use(namespace, &info.name, kind, since)
        })
    }

    /// Whether something is open that is pinned to a version.
    pub(crate) fn is_pinned_to(&self, namespace: &str, version: &VersionId) -> bool {
        self.live.values().any(|live| {
            let info = &live.execution.info;
            live.execution.is_open() && info.namespace == namespace && info.pinned_version().as_ref() == Some(version)
        })
    }

    /// The version whose workers get an execution's tasks on a queue; none for workers without one.
    pub(super) fn version_for(&self, info: &ExecutionInfo, queue: &str, kind: TaskKind) -> Option<VersionId> {
        if let Some(pinned) = info.pinned_version() {
            // Activities may run on queues that another deployment has.
            let polls = || self.deployments.has_queue(&info.namespace, &pinned, queue, kind.queue_type());
            if kind == TaskKind::Workflow || polls() {
                return Some(pinned);
            }
        }
        self.deployments.target(&info.namespace, queue, kind.queue_type(), &info.workflow_id)
    }

    /// Whether the worker that has an execution in its cache is of the version that its next task goes to.
    pub(super) fn may_stick(&self, info: &ExecutionInfo, normal_queue: &str) -> bool {
        self.version_for(info, normal_queue, TaskKind::Workflow) == info.last_version()
    }

    /// Gives what waits in a namespace to the versions that it goes to by now.
    pub(crate) fn sort_tasks_anew(&mut self, namespace: &str) {
        for task in self.queues.take_tasks(namespace) {
            match task {
                Task::Workflow { key } => self.requeue(key),
                Task::Activity { key, scheduled_event_id, attempt } => {
                    if let Some(live) = self.live.get_mut(&key) {
                        live.queued.remove(&(scheduled_event_id, attempt));
                    }
                    self.enqueue_tasks(key, std::iter::once(scheduled_event_id));
                }
                Task::Standalone { key, .. } => self.requeue_activity(key),
                Task::Nexus { key, call } => self.requeue_call(key, call),
                Task::Query { key, .. } => {
                    if let Ok(info) = self.info(key) {
                        let queue = self.worker_queue(&info);
                        self.queues.add_task(&queue, task, Rank::of(info.priority()), self.now());
                    }
                }
            }
        }
    }

    /// Changes a deployment, and sorts what waits by what it says then.
    pub(crate) fn put_deployment(&mut self, record: Record) {
        let namespace = record.namespace.clone();
        self.deployments.put(record);
        self.sort_tasks_anew(&namespace);
    }

    /// Looks at the drainage of a deployment's versions.
    pub(crate) fn check_drainage(&mut self, namespace: &str, name: &str) {
        let Some(mut record) = self.deployments.get(namespace, name).cloned() else { return };
        let now = self.now();
        let mut changed = false;
        for version in &mut record.versions {
            changed |= version.check_drainage(now, |id| self.is_pinned_to(namespace, id));
        }
        if changed {
            self.deployments.put(record);
        }
    }
}
