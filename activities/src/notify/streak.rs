//! How often in a row a channel has failed. A message that arrives ends it, and so does an hour without another attempt: then
//! nobody knows whether it still fails.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::NotifyError;

/// A message that the receiver refused is not tried again, so it counts as much as this many attempts.
const REFUSED: u32 = 3;
/// Attempts are five minutes apart at most, unless the receiver wants more.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// Failures in a row.
#[derive(Debug)]
pub(super) struct Streak(Mutex<Last>);

/// The last that is known of a channel.
#[derive(Debug)]
struct Last {
    at: Instant,
    /// Absent when nothing was tried yet: it may have failed before dixmgr was started.
    failures: Option<u32>,
    trouble: Option<String>,
}

impl Streak {
    /// Nothing was tried yet, at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Last { at: now, failures: None, trouble: None }))
    }

    /// An attempt went well, or did not.
    pub(super) fn note(&self, error: Option<&NotifyError>, now: Instant) {
        let before = self.failures(now).unwrap_or_default();
        let failures = error.map_or(0, |error| {
            before.saturating_add(if matches!(error, NotifyError::Refused(_)) { REFUSED } else { 1 })
        });
        let trouble = error.map(ToString::to_string);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Last { at: now, failures: Some(failures), trouble };
    }

    /// How many there are, where that is known.
    pub(super) fn failures(&self, now: Instant) -> Option<u32> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(last.at) < FORGOTTEN { last.failures } else { Some(0) }
    }

    /// What went wrong last.
    pub(super) fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> NotifyError {
        NotifyError::Later { detail: "503".to_owned(), retry_after: None }
    }

    #[test]
    fn it_grows_until_a_message_arrives() {
        let now = Instant::now();
        let streak = Streak::new(now);
        assert_eq!((streak.failures(now), streak.trouble()), (None, None), "nobody knows");
        streak.note(Some(&later()), now);
        streak.note(Some(&later()), now);
        assert_eq!((streak.failures(now), streak.trouble()), (Some(2), Some("503".to_owned())));
        streak.note(Some(&NotifyError::Refused("400".to_owned())), now);
        assert_eq!(streak.failures(now), Some(5));
        streak.note(None, now);
        assert_eq!((streak.failures(now), streak.trouble()), (Some(0), None));
    }

    #[test]
    fn it_is_forgotten_when_nobody_tries_any_more() {
        let now = Instant::now();
        let streak = Streak::new(now);
        assert_eq!(streak.failures(now + FORGOTTEN), Some(0));
        streak.note(Some(&later()), now);
        assert_eq!(streak.failures(now + FORGOTTEN / 2), Some(1));
        assert_eq!(streak.failures(now + FORGOTTEN), Some(0));
        streak.note(Some(&later()), now + FORGOTTEN);
        assert_eq!(streak.failures(now + FORGOTTEN), Some(1));
    }
}
