//! The decisions: workflows that keep services running, written against the Temporal SDK.
//!
//! Deterministic. Nothing here reads a clock, draws randomness of its own, spawns or does I/O: time is
//! `workflow_time`, randomness is the SDK's, and the world is touched only through the activities that
//! `dixmgr_activities::api` names. `clippy.toml` in this crate bans the rest, with reasons.
//!
//! - [`restart`]: when a service is restarted, and when dixmgr stops trying. Pure.
//! - [`NodeWorkflow`], [`DependentWorkflow`]: keep one service.
//! - [`ClusterWorkflow`]: keeps a group of equal replicas.
//! - [`AlertWorkflow`]: keeps one alert; [`AlertGroupWorkflow`]: sees that alerts are told, and told to be over.
//! - [`SilencesWorkflow`]: the silences of a daemon.
//! - [`DeadManWorkflow`]: tells somebody outside that all is well.
//! - [`OwnWorkflow`]: alerts about dixmgr itself.
//! - [`InfrastructureWorkflow`]: starts all of these, as the plan says.

pub mod restart;

mod alert;
mod alert_group;
mod children;
mod cluster;
mod dead_man;
mod dependent;
mod digest;
mod infrastructure;
mod interceptors;
mod log;
mod messages;
mod node;
mod options;
mod outbox;
mod own;
mod service;
mod silences;

pub use alert::{AlertInput, AlertWorkflow, SilenceRequest};
pub use alert_group::{AlertGroupWorkflow, GroupInput};
pub use children::Kind;
pub use cluster::{CarriedCluster, ClusterInput, ClusterStatus, ClusterWorkflow, Group, Replica, replica_spec};
pub use dead_man::{DeadManInput, DeadManWorkflow};
pub use dependent::DependentWorkflow;
pub use infrastructure::{
    Book, InfrastructureInput, InfrastructureStatus, InfrastructureWorkflow, Known, ServiceEntry,
};
pub use interceptors::interceptors;
pub use log::TARGET as DECISION_LOG;
pub use messages::{Announce, DependencyReady, NodeInput, ServiceStatus};
pub use node::NodeWorkflow;
pub use own::{OwnInput, OwnWorkflow};
pub use service::{Carried, Need, Needs, ServiceAlerts};
pub use silences::{CarriedSilences, SilencesInput, SilencesWorkflow};

/// Id of the one [`InfrastructureWorkflow`].
pub const INFRASTRUCTURE_ID: &str = "wf.infra";

/// Id of the one [`DeadManWorkflow`].
pub const DEAD_MAN_ID: &str = "wf.dead-man";

/// Id of the one [`OwnWorkflow`].
pub const OWN_ID: &str = dixmgr_model::OWN_WORKFLOW;

/// Id of the one [`SilencesWorkflow`].
pub const SILENCES_ID: &str = "wf.silences";
