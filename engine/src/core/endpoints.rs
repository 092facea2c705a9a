//! Nexus endpoints as they are kept: all in memory, by id, which is the order in which they are listed; and found by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;
use temporalio_common::protos::temporal::api::nexus::v1::{
    Endpoint,
    endpoint_target::{Variant, Worker},
};

use super::Core;
use crate::store::{Batch, EndpointRow};

/// Endpoints by id. In memory; what is stored of them is one row each.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    by_id: BTreeMap<String, Endpoint>,
    /// Ids by name.
    by_name: HashMap<String, String>,
    unsaved: BTreeSet<String>,
}

impl Endpoints {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The endpoint of that id.
    pub(crate) fn get(&self, id: &str) -> Option<&Endpoint> {
        self.by_id.get(id)
    }

    /// The endpoint of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&Endpoint> {
        self.by_name.get(name).and_then(|id| self.by_id.get(id))
    }

    /// Those from an id on, in order.
    pub(crate) fn from<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Endpoint> {
        self.by_id.range(id.to_owned()..).map(|(_, endpoint)| endpoint)
    }

    /// The first one whose tasks go to a namespace.
    pub(crate) fn leading_to(&self, namespace: &str) -> Option<&Endpoint> {
        self.by_id.values().find(|endpoint| worker(endpoint).is_some_and(|worker| worker.namespace == namespace))
    }

    /// Adds an endpoint, or puts it in the place of the one with its id.
    pub(crate) fn put(&mut self, endpoint: Endpoint) {
        self.unsaved.insert(endpoint.id.clone());
        self.keep(endpoint);
    }

    /// Forgets an endpoint. Answers whether it was there.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let there = self.forget(id);
        if there {
            self.unsaved.insert(id.to_owned());
        }
        there
    }

    fn keep(&mut self, endpoint: Endpoint) {
        self.forget(&endpoint.id);
        self.by_name.insert(name(&endpoint).to_owned(), endpoint.id.clone());
        self.by_id.insert(endpoint.id.clone(), endpoint);
    }

    fn forget(&mut self, id: &str) -> bool {
        let Some(endpoint) = self.by_id.remove(id) else { return false };
        self.by_name.remove(name(&endpoint));
        true
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    pub(super) fn write(&self, batch: &mut Batch) {
        for id in &self.unsaved {
            let data = self.by_id.get(id).map(Endpoint::encode_to_vec);
            batch.put_endpoints.push(EndpointRow { id: id.clone(), data });
        }
    }

    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
    }
}

impl Core {
    pub(super) fn load_endpoints(&mut self) -> Result<(), crate::EngineError> {
        self.endpoints = Endpoints::default();
        for row in self.store.load_endpoints()? {
            let damaged = |error| crate::EngineError::Damaged(format!("Nexus endpoint {}: {error}", row.id));
            let endpoint = Endpoint::decode(row.data.as_deref().unwrap_or_default()).map_err(damaged)?;
            self.endpoints.keep(endpoint);
        }
        Ok(())
    }

    /// The commit failed: the endpoints go back to what is stored.
    pub(super) fn revert_endpoints(&mut self) {
        if self.endpoints.has_changes()
            && let Err(error) = self.load_endpoints()
        {
            tracing::error!(%error, "cannot read the Nexus endpoints back: {error}");
        }
    }
}

fn name(endpoint: &Endpoint) -> &str {
    endpoint.spec.as_ref().map_or("", |spec| spec.name.as_str())
}

/// The namespace and task queue that an endpoint's tasks go to.
pub(super) fn worker(endpoint: &Endpoint) -> Option<&Worker> {
    match endpoint.spec.as_ref()?.target.as_ref()?.variant.as_ref()? {
        Variant::Worker(worker) => Some(worker),
        Variant::External(_) => None,
    }
}
