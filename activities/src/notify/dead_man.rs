//! The word that all is well, and whether that is so.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dixmgr_model::Plan;
use serde_json::{Value, json};

use super::{NotifyError, later};
use crate::watch::board::Board;

/// Looks may be late by that much on a machine that is busy.
const SLACK: Duration = Duration::from_secs(5);

/// Where it is said again and again that all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMan {
    /// A URL, or a reference to one.
    pub url: String,
    /// Time between two words.
    pub interval: Duration,
}

/// What is said.
pub(super) fn body() -> Value {
    json!({ "status": "ok", "from": "dixmgr" })
}

/// Whether any service was looked at within the interval, or the time in which one had to be.
///
/// # Errors
/// None was.
pub(crate) fn check(board: &Board, plan: &Plan, interval: Duration) -> Result<(), NotifyError> {
    let shortest = plan.shortest_interval().unwrap_or(interval);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    judge(since_epoch.saturating_sub(board.last_look()), interval.max(shortest) + SLACK)
}

fn judge(age: Duration, limit: Duration) -> Result<(), NotifyError> {
    if age <= limit {
        return Ok(());
    }
    Err(later(format!("no service was looked at within {} s", limit.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_well_when_nobody_looks() {
        assert!(judge(Duration::from_secs(5), Duration::from_secs(5)).is_ok());
        assert!(judge(Duration::from_secs(6), Duration::from_secs(5)).is_err());
    }
}
