//! Namespaces as they are kept: loaded at the start, written with the batch, and deleted with everything in them.
//!
//! A deleted namespace keeps its row, marked as deleted, until the last of its executions is gone. So a deletion goes on after
//! a crash, and nobody can take the name before it has come to its end.

use prost::Message as _;
use temporalio_common::protos::temporal::api::{
    enums::v1::NamespaceState, workflowservice::v1::DescribeNamespaceResponse,
};

use super::{Core, effects::SENDER, reset::ClosedChange};
use crate::{
    history::time::Nanos,
    store::{Batch, ExecutionKey, NamespaceRow},
};

/// Executions that one step forgets.
const PER_STEP: usize = 100;
/// How long a deletion waits after a fault of the store.
const RETRY: Nanos = 1_000_000_000;

impl Core {
    pub(super) fn load_namespaces(&mut self) -> Result<(), crate::EngineError> {
        for row in self.store.load_namespaces()? {
            let namespace = DescribeNamespaceResponse::decode(row.data.as_slice())
                .map_err(|error| crate::EngineError::Damaged(format!("namespace {}: {error}", row.name)))?;
            let is_deleted =
                namespace.namespace_info.as_ref().is_some_and(|info| info.state() == NamespaceState::Deleted);
            let namespaces = if is_deleted { &mut self.deleted_namespaces } else { &mut self.namespaces };
            namespaces.insert(row.name, namespace);
        }
        for name in crate::service::namespace::BUILT_IN {
            if !self.namespaces.contains_key(*name) {
                self.namespaces.insert((*name).to_owned(), crate::service::namespace::new(name));
                self.unsaved_namespaces.insert((*name).to_owned());
            }
        }
        Ok(())
    }

    /// Takes the namespaces that a failed commit has not written back to what is stored.
    pub(super) fn reload_namespaces(&mut self) {
        for name in std::mem::take(&mut self.unsaved_namespaces) {
            self.namespaces.remove(&name);
            self.deleted_namespaces.remove(&name);
        }
        if let Err(error) = self.load_namespaces() {
            tracing::error!(%error, "cannot read the namespaces back: {error}");
        }
    }

    /// Adds what has changed of the namespaces to the batch.
    pub(super) fn write_namespaces(&self, batch: &mut Batch) {
        for name in &self.unsaved_namespaces {
            match self.namespaces.get(name).or_else(|| self.deleted_namespaces.get(name)) {
                Some(namespace) => {
                    batch.put_namespaces.push(NamespaceRow { name: name.clone(), data: namespace.encode_to_vec() });
                }
                None => batch.delete_namespaces.push(name.clone()),
            }
        }
    }

    /// Takes a namespace away from clients, and its schedules, worker deployments and standalone activities with it. Its executions are forgotten in the batches to come.
    pub(crate) fn delete_namespace(&mut self, name: &str) {
        let Some(mut namespace) = self.namespaces.remove(name) else { return };
        namespace.namespace_info.get_or_insert_default().state = NamespaceState::Deleted.into();
        self.deleted_namespaces.insert(name.to_owned(), namespace);
        self.unsaved_namespaces.insert(name.to_owned());
        self.schedules.delete_of(name);
        self.batch_jobs.delete_of(name);
        self.deployments.delete_of(name);
        self.forget_task_queues_of(name);
        self.delete_activities_of(name);
    }

    /// Whether a namespace of that name was deleted, and some of its executions are still there.
    pub(crate) fn is_being_deleted(&self, name: &str) -> bool {
        self.deleted_namespaces.contains_key(name)
    }

    /// How many namespaces there are, those that are being deleted among them.
    pub(crate) fn namespace_count(&self) -> usize {
        self.namespaces.len() + self.deleted_namespaces.len()
    }

    /// When the deletion of namespaces goes on, if there is something to delete.
    pub(super) fn next_deletion(&self) -> Option<Nanos> {
        (!self.deleted_namespaces.is_empty()).then_some(self.delete_after)
    }

    /// Lets deletions wait a moment: what they need of the store has failed, and would fail again at once.
    pub(super) fn hold_back_deletions(&mut self) {
        self.delete_after = self.now().saturating_add(RETRY);
    }

    /// Forgets some executions of a deleted namespace, open ones among them, or the namespace itself when none is left.
    pub(super) fn delete_namespaces_step(&mut self, now: Nanos) {
        if self.next_deletion().is_none_or(|next| next > now) {
            return;
        }
        let Some(name) = self.deleted_namespaces.keys().next().cloned() else { return };
        let keys = match self.store.keys_of_namespace(&name, PER_STEP) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(namespace = %name, %error, "cannot go on with a deletion; trying again later: {error}");
                return self.hold_back_deletions();
            }
        };
        if keys.is_empty() && !self.has_unsaved_executions(&name) {
            self.deleted_namespaces.remove(&name);
            self.unsaved_namespaces.insert(name);
        }
        for ExecutionKey(key) in keys {
            if self.live.get(&key).is_some_and(|live| live.execution.is_open()) {
                self.update(key, |e, now| e.terminate(now, "Delete workflow execution", None, SENDER));
            }
            self.closed_changes.insert(key, ClosedChange::Delete);
        }
        self.pump();
    }

    /// Whether the batch under way has an execution of the namespace that is not stored yet.
    fn has_unsaved_executions(&self, namespace: &str) -> bool {
        let of_it = |key| self.live.get(key).is_some_and(|live| live.execution.info.namespace == namespace);
        self.touched.iter().any(of_it)
    }
}
