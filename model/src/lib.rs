//! Plain data that crosses rooms: what a service is, what was seen of it, what is to be done to it.
//!
//! Knows serde and nothing else: no I/O, no clock, no Temporal. Everything here may end up in a workflow history,
//! so a field, once released, is only ever added (with a default), never renamed or given a second meaning.

pub mod action;
pub mod alert;
pub mod duration;
pub mod hash;
pub mod observation;
pub mod plan;
pub mod rule;
pub mod service;
pub mod silence;
pub mod size;

pub use action::{ActionOutcome, ActionReport, ActionRequest};
pub use alert::{
    ALL_LABELS, Alert, AlertChanges, AlertGroup, AlertKind, AlertPolicy, AlertStatus, Delivery, KnownAlerts,
    RaisedAlert, Receiver, Route, Severity,
};
pub use observation::{
    Availability, Condition, Health, HealthStatus, ServiceState, SyncState, SyncStatus, UnitPhase, UnitStatus,
};
pub use plan::{Mode, Plan, PlanPage};
pub use rule::{Comparison, OWN_WORKFLOW, Rule, Selector, Signal};
pub use service::{
    Command, Dependency, HttpCheck, Labels, Probes, Replicas, RestartPolicy, ServiceSpec, SyncCheck, Target,
};
pub use silence::{MAINTENANCE_PREFIX, Maintenance, Matcher, Silence, SilenceState};
