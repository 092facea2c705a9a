//! The unit manager behind its breaker. Only that it cannot be reached counts: what a unit does, or how long it takes, is the
//! unit's own affair.

use std::sync::Arc;

use async_trait::async_trait;
use dixmgr_model::{ActionReport, UnitStatus};
use tokio::sync::broadcast;

use super::{Call, CircuitBreakers, Target};
use crate::manager::{Action, ManagerError, TrackedUnit, UnitManager};

/// A unit manager that is left alone for a moment after it could not be reached several times in a row.
pub struct GuardedManager {
    manager: Arc<dyn UnitManager>,
    breakers: CircuitBreakers,
}

impl GuardedManager {
    /// Guards a manager.
    #[must_use]
    pub fn new(manager: Arc<dyn UnitManager>, breakers: CircuitBreakers) -> Self {
        breakers.expect([Target::UnitManager]);
        Self { manager, breakers }
    }

    fn admit(&self) -> Result<Call, ManagerError> {
        let admitted = self.breakers.admit(&Target::UnitManager);
        admitted.map_err(|refused| ManagerError::Resting { retry_in: refused.retry_in })
    }
}

fn judge<T>(call: Call, answer: Result<T, ManagerError>) -> Result<T, ManagerError> {
    match &answer {
        Ok(_) => call.succeeded(),
        Err(ManagerError::Unreachable { .. } | ManagerError::Timeout { .. }) => call.failed(),
        Err(ManagerError::Resting { .. }) => drop(call),
    }
    answer
}

#[async_trait]
impl UnitManager for GuardedManager {
    async fn track(&self, target: &TrackedUnit) -> Result<(), ManagerError> {
        judge(self.admit()?, self.manager.track(target).await)
    }

    async fn statuses(&self, units: &[String]) -> Result<Vec<UnitStatus>, ManagerError> {
        // A look is one question for all, and made one after the other: whoever waits for the manager learns by it that it is back.
        judge(self.breakers.watch(&Target::UnitManager), self.manager.statuses(units).await)
    }

    fn changes(&self) -> broadcast::Receiver<String> {
        self.manager.changes()
    }

    async fn processes(&self, unit: &str) -> Result<Vec<u32>, ManagerError> {
        judge(self.admit()?, self.manager.processes(unit).await)
    }

    async fn act(&self, action: &Action) -> Result<ActionReport, ManagerError> {
        let call = self.admit()?;
        let report = self.manager.act(action).await;
        match &report {
            // It may be the unit that takes its time.
            Err(ManagerError::Timeout { .. } | ManagerError::Resting { .. }) => drop(call),
            Err(ManagerError::Unreachable { .. }) => call.failed(),
            Ok(_) => call.succeeded(),
        }
        report
    }
}
