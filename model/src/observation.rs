//! What was seen of a service.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything that decides about a service, as it was at one look. Two equal states need no decision: the watch goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// The unit or process.
    pub unit: UnitStatus,
    /// Verdict of the health checks.
    pub health: Health,
    /// Verdict of the sync check, for nodes that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncState>,
}

/// A unit as its manager reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// Where it stands.
    pub phase: UnitPhase,
    /// What identifies this run of it: systemd's `InvocationID` in hex, or `<pid>:<start time in clock ticks>` of a process.
    /// Empty when it has never run.
    pub invocation_id: String,
    /// Main process, 0 when there is none.
    #[serde(default)]
    pub main_pid: u32,
    /// systemd's `Result` (`success`, `exit-code`, `signal`, `oom-kill`, …) or how the process ended.
    #[serde(default)]
    pub result: String,
}

/// Where a unit stands: systemd's load, active and sub states folded to what a decision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitPhase {
    /// Not looked at yet, or its manager could not be asked.
    Unknown,
    /// No such unit file (`LoadState=not-found`), or it cannot be loaded (`bad-setting`, `error`).
    Missing,
    /// `LoadState=masked`.
    Masked,
    /// Not running, and it did not fail.
    Inactive,
    /// A `Type=oneshot` unit that ran to its end with success.
    Completed,
    /// Being started.
    Activating,
    /// `activating (auto-restart)`: systemd restarts it by its own `Restart=`.
    AutoRestart,
    /// Running.
    Active,
    /// Being stopped.
    Deactivating,
    /// It failed.
    Failed,
}

/// Verdict of a service's health checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Why, in words; empty when healthy.
    #[serde(default)]
    pub detail: String,
}

/// Whether the health checks pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Not checked yet.
    Unknown,
    /// All checks pass, or there are none.
    Healthy,
    /// A check failed `failure_threshold` times in a row.
    Unhealthy,
}

/// A node's synchronisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// The verdict.
    pub status: SyncStatus,
    /// Why, in words.
    #[serde(default)]
    pub detail: String,
}

/// Whether a node follows its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// Not known: not asked yet, or it does not answer.
    Unknown,
    /// Catching up.
    Syncing,
    /// At the head of the chain, with peers.
    Synced,
    /// It should gain blocks and does not.
    Stalled,
}

/// How a service is, in one word for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It runs (or is a oneshot that is done) and its checks pass.
    Up,
    /// It runs, and follows its chain from behind.
    Syncing,
    /// It runs, and does not gain blocks.
    Stalled,
    /// It runs, and its checks fail.
    Unhealthy,
    /// It is being started, or not all of its checks have run.
    Starting,
    /// It is being stopped.
    Stopping,
    /// systemd restarts it by its own `Restart=`.
    Restarting,
    /// It does not run.
    Down,
    /// It was not looked at, or could not be.
    Unknown,
}

/// Whether a service did its work, as downtime is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It ran, and no check had failed often enough to say otherwise.
    Up,
    /// It did not run, or its checks failed.
    Down,
    /// Nobody could tell.
    Unknown,
}

impl ServiceState {
    /// How it is, in one word.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self.unit.phase {
            UnitPhase::Unknown => Condition::Unknown,
            UnitPhase::Activating => Condition::Starting,
            UnitPhase::Deactivating => Condition::Stopping,
            UnitPhase::AutoRestart => Condition::Restarting,
            UnitPhase::Missing | UnitPhase::Masked | UnitPhase::Inactive | UnitPhase::Failed => Condition::Down,
            UnitPhase::Active | UnitPhase::Completed => self.condition_of_running(),
        }
    }

    fn condition_of_running(&self) -> Condition {
        let sync = self.sync.as_ref().map(|sync| sync.status);
        match (self.health.status, sync) {
            (HealthStatus::Unhealthy, _) => Condition::Unhealthy,
            (HealthStatus::Unknown, _) | (_, Some(SyncStatus::Unknown)) => Condition::Starting,
            (HealthStatus::Healthy, None | Some(SyncStatus::Synced)) => Condition::Up,
            (HealthStatus::Healthy, Some(SyncStatus::Syncing)) => Condition::Syncing,
            (HealthStatus::Healthy, Some(SyncStatus::Stalled)) => Condition::Stalled,
        }
    }

    /// Whether it does its work. The same rule counts `service_downtime_seconds_total`.
    #[must_use]
    pub fn availability(&self) -> Availability {
        match (self.unit.phase, self.health.status) {
            (UnitPhase::Unknown, _) => Availability::Unknown,
            (UnitPhase::Active | UnitPhase::Completed, HealthStatus::Healthy | HealthStatus::Unknown) => {
                Availability::Up
            }
            _ => Availability::Down,
        }
    }

    /// Whether dependents may start: running (or a oneshot that is done), not unhealthy, and for a node, synced.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.unit.phase, UnitPhase::Active | UnitPhase::Completed)
            && self.health.status == HealthStatus::Healthy
            && self.sync.as_ref().is_none_or(|sync| sync.status == SyncStatus::Synced)
    }

    /// Whether a decision about `self` and one about `other` could differ. Details in words do not count.
    #[must_use]
    pub fn differs(&self, other: &Self) -> bool {
        (self.unit.phase, &self.unit.invocation_id, self.health.status)
            != (other.unit.phase, &other.unit.invocation_id, other.health.status)
            || self.sync.as_ref().map(|sync| sync.status) != other.sync.as_ref().map(|sync| sync.status)
    }
}

impl UnitStatus {
    /// A unit that was not looked at yet.
    #[must_use]
    pub fn unknown() -> Self {
        Self { phase: UnitPhase::Unknown, invocation_id: String::new(), main_pid: 0, result: String::new() }
    }
}

impl UnitPhase {
    /// Its name in logs, as in the serialised form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Masked => "masked",
            Self::Inactive => "inactive",
            Self::Completed => "completed",
            Self::Activating => "activating",
            Self::AutoRestart => "auto_restart",
            Self::Active => "active",
            Self::Deactivating => "deactivating",
            Self::Failed => "failed",
        }
    }
}

impl Condition {
    /// All of them, the worst first.
    pub const ALL: [Self; 9] = [
        Self::Down,
        Self::Unhealthy,
        Self::Stalled,
        Self::Restarting,
        Self::Stopping,
        Self::Starting,
        Self::Syncing,
        Self::Unknown,
        Self::Up,
    ];

    /// Its name, as in the serialised form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Syncing => "syncing",
            Self::Stalled => "stalled",
            Self::Unhealthy => "unhealthy",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

impl Availability {
    /// Its name, as in the serialised form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for UnitPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Health {
    /// Nothing checked yet.
    #[must_use]
    pub fn unknown() -> Self {
        Self { status: HealthStatus::Unknown, detail: String::new() }
    }

    /// All is well.
    #[must_use]
    pub fn healthy() -> Self {
        Self { status: HealthStatus::Healthy, detail: String::new() }
    }
}
