//! Who runs the services: systemd, or dixmgr itself. One trait, two implementations, one contract test over both.

use std::time::Duration;

use async_trait::async_trait;
use dixmgr_model::{ActionReport, Target, UnitStatus};
use tokio::sync::broadcast;

/// A manager of units. Cheap to clone behind an `Arc`; all methods may be called at once from many activities.
#[async_trait]
pub trait UnitManager: Send + Sync + 'static {
    /// Makes a unit known, so that its changes are announced. Known units stay known; calling again is harmless.
    ///
    /// # Errors
    /// The manager cannot be reached.
    async fn track(&self, target: &TrackedUnit) -> Result<(), ManagerError>;

    /// States of many units in one exchange, in the order of `units`. A unit that does not exist is
    /// [`dixmgr_model::UnitPhase::Missing`], not an error. Of no units at all it is the question whether the manager answers.
    ///
    /// # Errors
    /// The manager cannot be reached.
    async fn statuses(&self, units: &[String]) -> Result<Vec<UnitStatus>, ManagerError>;

    /// Names of units whose state has just changed, as the manager announces them. A receiver that lags must look at
    /// all its units again.
    fn changes(&self) -> broadcast::Receiver<String>;

    /// Every process of the unit now (its control group, or process group), empty when it does not run.
    ///
    /// # Errors
    /// The manager cannot be reached.
    async fn processes(&self, unit: &str) -> Result<Vec<u32>, ManagerError>;

    /// Carries out one action and follows it to its end.
    ///
    /// # Errors
    /// The manager cannot be reached. What the unit itself does (fails to start, is masked, is unknown) is in the report.
    async fn act(&self, action: &Action) -> Result<ActionReport, ManagerError>;
}

/// A unit to track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedUnit {
    /// Name by which it is asked for.
    pub unit: String,
    /// The unit or the command.
    pub target: Target,
}

/// One thing to do to one unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The unit.
    pub unit: TrackedUnit,
    /// What to do.
    pub verb: Verb,
    /// Invocation that it was decided about; when the unit's own differs, the step is already done.
    pub replaces: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// What can be done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start it if it does not run.
    Start,
    /// Stop it.
    Stop,
    /// Stop it if it runs, then start it.
    Restart,
}

/// Why a unit manager could not be asked. All of these are worth another try.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ManagerError {
    /// It cannot be reached (bus away, permission missing, …).
    #[error("cannot reach {manager}: {detail}")]
    Unreachable {
        /// What was asked, such as `systemd`.
        manager: &'static str,
        /// What went wrong, and what to do about it.
        detail: String,
    },
    /// It failed several times in a row, and is left alone for a moment.
    #[error(
        "the unit manager failed several times in a row and is asked again in {} (circuit breaker)",
        dixmgr_model::duration::format(*.retry_in)
    )]
    Resting {
        /// When it is worth asking again.
        retry_in: Duration,
    },
    /// It did not answer in time.
    #[error("{manager} did not answer within {}", dixmgr_model::duration::format(*.within))]
    Timeout {
        /// What was asked.
        manager: &'static str,
        /// How long it was given.
        within: Duration,
    },
}
