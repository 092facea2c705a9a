//! What a configuration means, once resolved.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ServiceSpec;

/// Everything that dixmgr keeps, in start order: a service stands after all that it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Changes whenever anything in the plan does: a hash of its content, in hex.
    pub revision: String,
    /// The services, topologically ordered by `needs`.
    pub services: Vec<ServiceSpec>,
}

impl Plan {
    /// The shortest time between two routine looks at a service; nothing when there is none to look at.
    #[must_use]
    pub fn shortest_interval(&self) -> Option<Duration> {
        self.services.iter().map(|spec| spec.probes.interval).min()
    }

    /// Names of all services, and of their replicas.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.services.iter().flat_map(ServiceSpec::names)
    }
}

/// A part of a plan, small enough for a workflow history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanPage {
    /// Revision of the plan that this is a part of.
    pub revision: String,
    /// Services of this page.
    pub services: Vec<ServiceSpec>,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
}

/// Whether decisions are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `-watch`: observe, and say what would be done.
    Watch,
    /// `-exec`: also act.
    Exec,
}
