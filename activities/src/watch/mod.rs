//! The shared watcher behind `watch_service`.
//!
//! Ten thousand watches are one task, the hub. It looks at all services of an interval with one call to the unit manager,
//! samples all their processes in one window, and wakes at once on the manager's announcements. A watch is a subscription: it
//! ends when the service's state differs from what the workflow knew.
//!
//! Layers: [`entry`] is one service (pure but for its metrics handles), [`probe`] its HTTP and sync checks, [`downtime`] its
//! downtime, [`alerts`] its alert rules; [`board`] is where others read how services are, and [`telling`] keeps it and the history up to date; [`hub`] is the task that owns them all, [`sampling`] the reads of `/proc`; [`activity`] is the Temporal side.
//! Nothing here decides what is done about a change.

pub(crate) mod activity;
mod alerts;
pub mod board;
mod chatter;
mod downtime;
mod entry;
mod hub;
mod probe;
pub(crate) mod sampling;
mod telling;

use std::sync::Arc;

use dixmgr_alerting::fold::SavedRule;
use dixmgr_alerting::health::HealthFold;
use dixmgr_alerting::sync::SyncRule;
use dixmgr_model::{KnownAlerts, ServiceSpec, ServiceState};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use self::board::Board;
use crate::api::WatchReport;
use crate::breakers::CircuitBreakers;
use crate::history::History;
use crate::http::HttpChecker;
use crate::in_force::InForce;
use crate::manager::{ManagerError, TrackedUnit, UnitManager};
use crate::metrics::Metrics;
use crate::sync::SyncChecker;

/// Registrations that may wait for the hub; further ones wait in line.
const COMMAND_QUEUE: usize = 1024;

/// What the hub needs.
#[derive(Clone)]
pub struct HubOptions {
    /// Who runs the services.
    pub manager: Arc<dyn UnitManager>,
    /// Where looks are recorded.
    pub metrics: Metrics,
    /// Carries out HTTP checks.
    pub http: HttpChecker,
    /// Carries out sync checks.
    pub sync: SyncChecker,
    /// What is left alone for a while.
    pub breakers: CircuitBreakers,
    /// The configuration: its rules are what looks are judged by, and a service that is not in its plan any more is forgotten.
    pub in_force: watch::Receiver<Arc<InForce>>,
    /// Where others read how services are.
    pub board: Board,
    /// Where how they were is kept; absent when it is switched off.
    pub history: Option<History>,
}

/// The hub. Cheap to clone; it ends with its last clone.
#[derive(Clone)]
pub struct Hub {
    commands: mpsc::Sender<Registration>,
    manager: Arc<dyn UnitManager>,
}

/// What a watch resumes from when it is tried again; carried in its heartbeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchProgress {
    /// What was last seen. The folds belong to this run of the service.
    pub state: ServiceState,
    /// Health checks so far.
    pub health: HealthFold,
    /// Sync checks so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncRule>,
    /// Rules that have anything to remember.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<SavedRule>,
    /// Restarts that rules may still count, in milliseconds since the epoch, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<u64>,
}

/// What a workflow knows of a service when it begins to watch it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The state that it last decided on; absent when it knows nothing.
    pub state: Option<ServiceState>,
    /// The alerts that it has raised.
    pub alerts: KnownAlerts,
}

/// A running watch. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    /// Gives the state as soon as there is something to decide; fails if another watch of the service took its place.
    pub report: oneshot::Receiver<WatchReport>,
    /// The newest progress, whenever it has changed.
    pub progress: watch::Receiver<Option<Arc<WatchProgress>>>,
}

/// The hub's side of a [`Subscription`].
#[derive(Debug)]
struct Registration {
    spec: Arc<ServiceSpec>,
    known: Known,
    resume: Option<Arc<WatchProgress>>,
    report: oneshot::Sender<WatchReport>,
    progress: watch::Sender<Option<Arc<WatchProgress>>>,
}

/// Why a service cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Its unit cannot be tracked.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The hub has ended: dixmgr is shutting down.
    #[error("the watcher has ended")]
    Ended,
}

impl Hub {
    /// Starts the hub's task.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(options: HubOptions) -> Self {
        let (commands, registrations) = mpsc::channel(COMMAND_QUEUE);
        let manager = Arc::clone(&options.manager);
        tokio::spawn(hub::run(options, registrations));
        Self { commands, manager }
    }

    /// Watches a service until its state or its alerts differ from `known`; when no state is, until the first complete look.
    ///
    /// # Errors
    /// The unit cannot be tracked, or the hub has ended.
    pub async fn watch(
        &self,
        spec: impl Into<Arc<ServiceSpec>>,
        known: impl Into<Known>,
        resume: Option<Arc<WatchProgress>>,
    ) -> Result<Subscription, WatchError> {
        let spec = spec.into();
        let unit = spec.unit_name().to_owned();
        self.manager.track(&TrackedUnit { unit, target: spec.target.clone() }).await?;
        let (report, report_receiver) = oneshot::channel();
        let (progress, progress_receiver) = watch::channel(None);
        let registration = Registration { spec, known: known.into(), resume, report, progress };
        self.commands.send(registration).await.map_err(|_| WatchError::Ended)?;
        Ok(Subscription { report: report_receiver, progress: progress_receiver })
    }
}

impl From<Option<ServiceState>> for Known {
    fn from(state: Option<ServiceState>) -> Self {
        Self { state, alerts: KnownAlerts::new() }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubOptions").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::entry::tests::{in_force, spec};
}
