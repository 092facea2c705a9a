//! When a service is restarted, and when dixmgr stops trying: a pure state machine with named reasons.
//!
//! Knows no clock, no randomness and no Temporal. Time (milliseconds since the Unix epoch) and a random draw are
//! arguments, so a month of incidents is tested in a millisecond and a replay decides the same again.

mod backoff;
mod machine;
#[cfg(test)]
mod properties;
mod reason;
mod state;
#[cfg(test)]
mod tests;
mod verdict;

pub use backoff::backoff;
pub use machine::decide;
pub use reason::Reason;
pub(crate) use state::after;
pub use state::{Acting, Phase, RestartState, Standing};
pub use verdict::{Verdict, verdict};

use dixmgr_model::{ActionOutcome, ServiceState};
use serde::{Deserialize, Serialize};

/// Something that a decision may follow from.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The watch returned with what it saw.
    Seen(ServiceState),
    /// The action in flight ended.
    Finished {
        /// What came of it.
        outcome: ActionOutcome,
        /// The service afterwards.
        after: ServiceState,
    },
    /// The action in flight was given up by its activity; what became of the unit is not known.
    Abandoned,
    /// The time named by [`RestartState::wake_at`] has come.
    Woke,
    /// Whether everything that the service needs is ready.
    Dependencies {
        /// All of them.
        ready: bool,
    },
    /// An operator wants the service restarted now.
    RestartNow,
    /// An operator wants it left alone.
    Pause,
    /// An operator wants it kept again.
    Resume,
    /// Its restart policy changed.
    PolicyChanged,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done now; most events call for nothing.
    pub action: Option<Action>,
    /// Why, by name.
    pub reason: Reason,
}

/// One thing to do to the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What to do.
    pub verb: Verb,
    /// Invocation that this is decided about; empty when the unit has never run.
    pub replaces: String,
}

/// What can be done to a dead unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Start a unit that has never run.
    Start,
    /// Start a unit again, stopping first what is left of it.
    Restart,
}

impl Verb {
    /// Its name in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Restart => "restart",
        }
    }
}
