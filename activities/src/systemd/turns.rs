//! One action at a time for each unit.
//!
//! An attempt that was given up (its activity timed out) may still be at work when the next begins; without turns, both
//! could find the old run and restart it, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Lock = Arc<tokio::sync::Mutex<()>>;

/// Locks by unit name; there are only as many as actions at work.
#[derive(Debug, Default)]
pub(super) struct Turns {
    locks: Mutex<HashMap<String, Lock>>,
}

/// The right to act on one unit.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    unit: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the unit's turn.
    pub(super) async fn take(&self, unit: &str) -> Turn<'_> {
        let lock = Arc::clone(self.lock().entry(unit.to_owned()).or_default());
        let mut turn = Turn { turns: self, unit: unit.to_owned(), guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lock>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut locks = self.turns.lock();
        self.guard = None;
        // New holders clone the lock under `locks`, so a single reference means that nobody waits.
        if locks.get(&self.unit).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        let second = tokio::time::timeout(Duration::from_millis(20), turns.take("a")).await;
        assert!(second.is_err(), "two actions on one unit at a time");
        let other = turns.take("b").await;
        drop((first, other));
        drop(turns.take("a").await);
        assert!(turns.lock().is_empty());
    }
}
