//! What is done to a service, and what came of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Target, UnitStatus};

/// A start, stop or restart of one service's unit.
///
/// It names what it replaces, so that a step that is tried again after a crash finds out whether the world has moved on
/// and never restarts a unit twice for one decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRequest {
    /// The service's name, for logs and metrics.
    pub service: String,
    /// Metric label `type`.
    #[serde(default)]
    pub kind: String,
    /// The unit or command.
    pub target: Target,
    /// Invocation that this action was decided about (see [`UnitStatus::invocation_id`]); empty when the unit had never run.
    pub replaces: String,
    /// The decision's named reason.
    pub reason: String,
    /// How long the unit manager's job may take.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionReport {
    /// What happened.
    pub outcome: ActionOutcome,
    /// The unit afterwards.
    pub unit: UnitStatus,
    /// In words, for the log; empty when there is nothing to add.
    #[serde(default)]
    pub detail: String,
}

/// What happened to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    /// It was carried out and its job ended well.
    Done,
    /// It was carried out and the job failed (the unit did not come up, or timed out).
    Failed,
    /// The invocation it was to replace is already gone: someone, or this very step before a crash, has done it.
    AlreadyDone,
    /// Refused: the unit is masked or does not exist. Trying again is of no use until an operator mends it.
    Refused,
    /// Dry run (`-watch`): it would have been done.
    WouldDo,
}
