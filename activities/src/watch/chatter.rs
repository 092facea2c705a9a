//! Units that announce changes without changing: they are looked at less often.

use std::time::Duration;

/// How long signals about a unit that talks without changing (a status text that it sets all the time) are gathered.
pub(super) const CHATTER: Duration = Duration::from_millis(100);

/// Signals that may change nothing before a unit counts as such a one; a start or a death comes with two or three.
const IDLE_SIGNALS: u8 = 5;

/// Signals about a unit that changed nothing.
#[derive(Debug, Default)]
pub(super) struct Chatter {
    /// A signal has come that no look has answered yet.
    signalled: bool,
    /// Signals in a row that changed nothing.
    idle: u8,
    quiet_until: Option<Duration>,
}

impl Chatter {
    /// A signal has come at `now`. Whether it is to be answered at once.
    pub(super) fn signal(&mut self, now: Duration) -> bool {
        self.signalled = true;
        self.quiet_until.is_none_or(|until| now >= until)
    }

    /// A look has answered what has come until `now`.
    pub(super) fn answered(&mut self, changed: bool, now: Duration) {
        if changed {
            *self = Self::default();
        } else if std::mem::take(&mut self.signalled) {
            self.idle = self.idle.saturating_add(1);
            self.quiet_until = (self.idle >= IDLE_SIGNALS).then_some(now + CHATTER);
        }
    }
}
