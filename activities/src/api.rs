//! The contract between workflows and activities: names and the shape of inputs and outputs.
//!
//! Both the real activities and the simulated ones of tests implement these definitions, so a workflow cannot tell them
//! apart. Inputs and outputs stand in workflow histories: fields are added with defaults, never renamed.
#![allow(missing_docs, reason = "activity_definitions expands every declaration to an undocumented constant")]

use std::sync::Arc;
use std::time::Duration;

use dixmgr_alerting::message::Message;
use dixmgr_model::{
    ActionReport, ActionRequest, AlertChanges, KnownAlerts, PlanPage, ServiceSpec, ServiceState, Silence,
};
use serde::{Deserialize, Serialize};
use temporalio_macros::activity_definitions;
use temporalio_sdk::activities::ActivityError;

/// What to watch, and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchRequest {
    /// The service.
    pub spec: Arc<ServiceSpec>,
    /// What the workflow last decided on. The watch returns as soon as what it sees differs from this
    /// ([`ServiceState::differs`]); absent on the first watch, which then returns after its first complete look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<ServiceState>,
    /// The alerts that the workflow has raised. The watch also returns when those that fire are others.
    #[serde(default, skip_serializing_if = "KnownAlerts::is_empty")]
    pub alerts: KnownAlerts,
}

/// Why a watch returned: the service as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchReport {
    /// What was seen.
    pub state: ServiceState,
    /// What differs from the alerts that the workflow knew of.
    #[serde(default, skip_serializing_if = "AlertChanges::is_empty")]
    pub alerts: AlertChanges,
}

/// How long one dependency kept a service waiting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DependencyWait {
    /// The service that waited.
    pub service: String,
    /// What it waited for.
    pub dependency: String,
    /// How long, until it was ready or until the timeout.
    #[serde(with = "dixmgr_model::duration")]
    pub waited: Duration,
    /// Whether `dependency_timeout` passed first. The service goes on waiting.
    pub timed_out: bool,
}

/// Asks for a message to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifyRequest {
    /// Name of the channel in the daemon's configuration, which alone knows where it leads and with what secrets.
    pub channel: String,
    /// What to tell.
    pub message: Message,
}

/// Asks for a part of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// Index of the first service wanted.
    pub from: usize,
}

/// Asks for the word that all is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadManRequest {
    /// Time between two such words; services must have been looked at within it.
    #[serde(with = "dixmgr_model::duration")]
    pub interval: Duration,
}

/// Asks dixmgr to look at itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchOwnRequest {
    /// The alerts that the workflow has raised. The watch returns when those that fire are others.
    #[serde(default)]
    pub alerts: KnownAlerts,
}

/// Asks for the maintenance windows of a time. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceRequest {
    /// From when on.
    pub from: u64,
    /// Until when.
    pub to: u64,
}

/// Maintenance windows, as the silences that they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceReport {
    /// The silences.
    pub silences: Vec<Silence>,
    /// Until when these are all.
    pub known_until: u64,
}

/// Activities of the service workflows, by their Temporal names.
#[derive(Debug)]
pub struct ServiceActivities;

#[allow(
    clippy::missing_errors_doc,
    clippy::needless_pass_by_value,
    clippy::unimplemented,
    unused_variables,
    missing_docs,
    reason = "the macro wants exactly this body and documents nothing"
)]
#[activity_definitions]
impl ServiceActivities {
    /// Watches a service for as long as nothing changes. Heartbeats; cancellable.
    #[activity(name = "watch_service")]
    pub fn watch_service(request: WatchRequest) -> Result<WatchReport, ActivityError> {
        unimplemented!()
    }

    /// Starts a unit that is not running.
    #[activity(name = "start_unit")]
    pub fn start_unit(request: ActionRequest) -> Result<ActionReport, ActivityError> {
        unimplemented!()
    }

    /// Restarts a unit, following its job to the end.
    #[activity(name = "restart_unit")]
    pub fn restart_unit(request: ActionRequest) -> Result<ActionReport, ActivityError> {
        unimplemented!()
    }

    /// Stops a unit, following its job to the end.
    #[activity(name = "stop_unit")]
    pub fn stop_unit(request: ActionRequest) -> Result<ActionReport, ActivityError> {
        unimplemented!()
    }

    /// Counts a dependency wait in the metrics.
    #[activity(name = "record_dependency_wait")]
    pub fn record_dependency_wait(wait: DependencyWait) -> Result<(), ActivityError> {
        unimplemented!()
    }

    /// A page of the plan that this daemon was configured with.
    #[activity(name = "plan_page")]
    pub fn plan_page(request: PlanRequest) -> Result<PlanPage, ActivityError> {
        unimplemented!()
    }

    /// Calls the configured URL if services are looked at. Answers with what was said there.
    #[activity(name = "dead_man_ping")]
    pub fn dead_man_ping(request: DeadManRequest) -> Result<String, ActivityError> {
        unimplemented!()
    }

    /// dixmgr looks at itself for as long as its alerts are the same. Heartbeats; cancellable.
    #[activity(name = "watch_own")]
    pub fn watch_own(request: WatchOwnRequest) -> Result<AlertChanges, ActivityError> {
        unimplemented!()
    }

    /// The maintenance windows of the daemon's configuration that are open at any time of a span.
    #[activity(name = "maintenance_windows")]
    pub fn maintenance_windows(request: MaintenanceRequest) -> Result<MaintenanceReport, ActivityError> {
        unimplemented!()
    }

    /// Sends a message over a channel. Answers with what the receiver said.
    #[activity(name = "notify")]
    pub fn notify(request: NotifyRequest) -> Result<String, ActivityError> {
        unimplemented!()
    }
}

/// The definitions as types, for those who implement them (`#[activity(definition = ...)]`).
pub mod definitions {
    pub use super::service_activities::{
        DeadManPing, MaintenanceWindows, Notify, PlanPage, RecordDependencyWait, RestartUnit, StartUnit, StopUnit,
        WatchOwn, WatchService,
    };
}
