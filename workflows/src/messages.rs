//! What workflows tell each other, and what operators may ask: the shapes of signals, queries and workflow inputs.
//!
//! Everything here stands in workflow histories: fields are only ever added, with a default.

use dixmgr_model::{ServiceSpec, ServiceState};
use serde::{Deserialize, Serialize};

use crate::restart::{Reason, Standing};
use crate::service::Carried;

/// Signal `dependency_ready`: a service tells a dependent, or a replica its cluster, whether it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyReady {
    /// Name of the service that says so.
    pub service: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How many actions on it have ended, so that a cluster knows when a replica has been replaced.
    #[serde(default)]
    pub actions: u64,
}

/// Signal `announce`: a dependent asks to be told of the service's readiness, now and whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// The dependent's workflow.
    pub workflow_id: String,
}

/// Input of [`crate::NodeWorkflow`] and [`crate::DependentWorkflow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeInput {
    /// The service to keep.
    pub spec: ServiceSpec,
    /// What an earlier run knew; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
    /// Events after which the workflow continues as new even if the server does not suggest it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_limit: Option<u32>,
}

impl NodeInput {
    /// Input of a first run.
    #[must_use]
    pub fn new(spec: ServiceSpec) -> Self {
        Self { spec, carried: None, history_limit: None }
    }
}

/// Answer of the query `status` of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub service: String,
    /// Where it stands.
    pub standing: Standing,
    /// Reason of the last decision.
    pub reason: Reason,
    /// Restarts within the policy's window, as of the last decision.
    pub restarts_in_window: u32,
    /// Restarts in a row since it was last stable.
    pub streak: u32,
    /// The service as last seen.
    pub last: Option<ServiceState>,
    /// Whether dependents may count on it.
    pub ready: bool,
    /// Since when it stands there, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When the next thing happens by itself (a restart, an attempt, the end of a probation), in the same unit.
    pub next: Option<u64>,
    /// What it still waits for.
    pub waiting_for: Vec<String>,
}
