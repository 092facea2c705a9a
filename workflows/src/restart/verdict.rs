//! What a service's state alone demands, before any history is considered.

use dixmgr_model::{HealthStatus, RestartPolicy, ServiceState, SyncStatus, UnitPhase};

use super::{Action, Reason, Verb};

/// What one look demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, or it is done.
    Fine(Reason),
    /// Its manager is at it; wait for what comes of that.
    Busy(Reason),
    /// Only an operator can help.
    Hopeless(Reason),
    /// Not known, so never acted on.
    Blind,
    /// It is down, or has to be treated so.
    Dead(Reason),
}

/// The table of unit phase and health.
#[must_use]
pub fn verdict(policy: &RestartPolicy, seen: &ServiceState) -> Verdict {
    let unhealthy = seen.health.status == HealthStatus::Unhealthy;
    let behind = seen.sync.as_ref().is_some_and(|sync| sync.status != SyncStatus::Synced);
    match seen.unit.phase {
        UnitPhase::Unknown => Verdict::Blind,
        UnitPhase::Missing => Verdict::Hopeless(Reason::UnitMissing),
        UnitPhase::Masked => Verdict::Hopeless(Reason::UnitMasked),
        UnitPhase::Activating => Verdict::Busy(Reason::Activating),
        UnitPhase::AutoRestart => Verdict::Busy(Reason::AutoRestart),
        UnitPhase::Deactivating => Verdict::Busy(Reason::Deactivating),
        UnitPhase::Completed => Verdict::Fine(Reason::Completed),
        UnitPhase::Active if unhealthy && policy.on_unhealthy => Verdict::Dead(Reason::Unhealthy),
        UnitPhase::Active if unhealthy => Verdict::Fine(Reason::Degraded),
        UnitPhase::Active if seen.health.status == HealthStatus::Unknown => Verdict::Fine(Reason::Running),
        UnitPhase::Active if behind => Verdict::Fine(Reason::Syncing),
        UnitPhase::Active => Verdict::Fine(Reason::Ready),
        UnitPhase::Inactive => Verdict::Dead(Reason::UnitInactive),
        UnitPhase::Failed => Verdict::Dead(Reason::UnitFailed),
    }
}

/// The action that revives a service in this state.
#[must_use]
pub(super) fn remedy(seen: &ServiceState) -> Action {
    let replaces = seen.unit.invocation_id.clone();
    Action { verb: if replaces.is_empty() { Verb::Start } else { Verb::Restart }, replaces }
}
