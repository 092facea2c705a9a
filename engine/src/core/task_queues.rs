//! What operators have set of task queues, as it is kept: limits, and weights of fairness keys.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueueConfig;
use tonic::Status;

use super::Core;
use crate::{
    matching::{QueueKey, TaskKind},
    store::{Batch, TaskQueueRow},
};

/// Queues of which something is set, in all namespaces together.
const MAX_CONFIGURED: usize = 10_000;

/// Configurations by queue. In memory; what is stored of them is one row each.
#[derive(Debug, Default)]
pub(crate) struct TaskQueues {
    configs: BTreeMap<QueueKey, TaskQueueConfig>,
    unsaved: BTreeSet<QueueKey>,
}

impl TaskQueues {
    /// What is set of a queue.
    pub(crate) fn get(&self, key: &QueueKey) -> Option<&TaskQueueConfig> {
        self.configs.get(key)
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    pub(super) fn write(&self, batch: &mut Batch) {
        for key in &self.unsaved {
            let data = self.configs.get(key).map(TaskQueueConfig::encode_to_vec);
            batch.put_task_queues.push(TaskQueueRow {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                kind: key.kind as u8,
                data,
            });
        }
    }

    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
    }
}

impl Core {
    /// Sets what an operator wants of a queue.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`: too many queues have such settings.
    pub(crate) fn configure_task_queue(&mut self, key: &QueueKey, config: TaskQueueConfig) -> Result<(), Status> {
        if self.task_queues.configs.len() >= MAX_CONFIGURED && self.task_queues.get(key).is_none() {
            let message = format!("an engine keeps settings of {MAX_CONFIGURED} task queues at the most");
            return Err(Status::resource_exhausted(message));
        }
        self.queues.configure(key, config.clone());
        self.task_queues.configs.insert(key.clone(), config);
        self.task_queues.unsaved.insert(key.clone());
        Ok(())
    }

    /// Forgets the settings of a namespace that is deleted.
    pub(super) fn forget_task_queues_of(&mut self, namespace: &str) {
        let of_it: Vec<QueueKey> =
            self.task_queues.configs.keys().filter(|key| key.namespace == namespace).cloned().collect();
        for key in of_it {
            self.queues.configure(&key, TaskQueueConfig::default());
            self.task_queues.configs.remove(&key);
            self.task_queues.unsaved.insert(key);
        }
    }

    pub(super) fn load_task_queues(&mut self) -> Result<(), crate::EngineError> {
        for row in self.store.load_task_queues()? {
            let kinds = [TaskKind::Workflow, TaskKind::Activity, TaskKind::Nexus];
            let kind = kinds.into_iter().find(|kind| *kind as u8 == row.kind).unwrap_or(TaskKind::Activity);
            let damaged =
                |error| crate::EngineError::Damaged(format!("the settings of task queue {}: {error}", row.name));
            let config = TaskQueueConfig::decode(row.data.as_deref().unwrap_or_default()).map_err(damaged)?;
            let key = QueueKey { namespace: row.namespace, name: row.name, kind, version: None };
            self.queues.configure(&key, config.clone());
            self.task_queues.configs.insert(key, config);
        }
        Ok(())
    }

    /// The commit failed: the settings go back to what is stored.
    pub(super) fn revert_task_queues(&mut self) {
        for key in std::mem::take(&mut self.task_queues.unsaved) {
            self.task_queues.configs.remove(&key);
            self.queues.configure(&key, TaskQueueConfig::default());
        }
        if let Err(error) = self.load_task_queues() {
            tracing::error!(%error, "cannot read the settings of task queues back: {error}");
        }
    }
}
