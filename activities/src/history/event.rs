//! What is told to the history. Times are milliseconds since the epoch.

use std::sync::Arc;
use std::time::Duration;

use dixmgr_model::{ActionOutcome, AlertKind, Availability, HealthStatus, ServiceState, Severity, UnitPhase};

/// Something that happened to a service, or was seen of it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) service: Arc<str>,
    pub(crate) at: u64,
    pub(crate) what: What,
}

/// What it was.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// It is otherwise than before.
    State(Box<Told>),
    /// What its processes used.
    Used {
        /// 100 is one core busy.
        cpu_percent: f64,
        /// Resident memory.
        memory_bytes: f64,
    },
    /// How long an answer took, in seconds.
    Answered(f64),
    /// dixmgr did something to it, or would have.
    Acted(Box<Act>),
    /// An alert fires.
    Fires(Box<Alarm>),
    /// It does not any more.
    Resolved {
        /// Its identity.
        fingerprint: String,
    },
    /// It is watched no more.
    Forgotten,
}

/// How a service is, as it stands in the file.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) availability: Availability,
    pub(crate) condition: &'static str,
    pub(crate) phase: &'static str,
    pub(crate) result: String,
    pub(crate) invocation: String,
    pub(crate) detail: String,
    /// Why it is down, in one word.
    pub(crate) cause: &'static str,
}

/// An action.
#[derive(Debug, Clone)]
pub struct Act {
    /// What was done: `start`, `stop`, `restart`.
    pub verb: &'static str,
    /// Why.
    pub reason: String,
    /// How it ended, in one word.
    pub outcome: &'static str,
    /// What there is to say of that.
    pub detail: String,
}

/// An alert.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    pub(crate) fingerprint: String,
    pub(crate) kind: AlertKind,
    pub(crate) severity: Severity,
}

/// Longest text that is kept of what others say.
const MAX_TEXT: usize = 500;

impl Told {
    /// What there is to tell of a state.
    pub(crate) fn of(state: &ServiceState) -> Self {
        let sync = state.sync.as_ref().map(|sync| sync.detail.as_str());
        let detail = if state.health.detail.is_empty() { sync.unwrap_or_default() } else { &state.health.detail };
        Self {
            availability: state.availability(),
            condition: state.condition().name(),
            phase: state.unit.phase.name(),
            result: bounded(&state.unit.result),
            invocation: bounded(&state.unit.invocation_id),
            detail: bounded(detail),
            cause: cause(state),
        }
    }

    /// Nobody can tell how it is.
    pub(crate) fn unseen() -> Self {
        let detail = "the unit manager does not answer".to_owned();
        let (result, invocation) = Default::default();
        let (condition, phase) = ("unknown", UnitPhase::Unknown.name());
        Self { availability: Availability::Unknown, condition, phase, result, invocation, detail, cause: "unknown" }
    }
}

/// Why a service is down. The words stand in the file: they are only ever added to.
fn cause(state: &ServiceState) -> &'static str {
    match (state.unit.phase, state.health.status) {
        (UnitPhase::Failed, _) => "failed",
        (UnitPhase::Inactive, _) => "stopped",
        (UnitPhase::Missing, _) => "missing",
        (UnitPhase::Masked, _) => "masked",
        (UnitPhase::Activating, _) => "starting",
        (UnitPhase::Deactivating, _) => "stopping",
        (UnitPhase::AutoRestart, _) => "restarting",
        (UnitPhase::Active | UnitPhase::Completed, HealthStatus::Unhealthy) => "unhealthy",
        (UnitPhase::Active | UnitPhase::Completed | UnitPhase::Unknown, _) => "unknown",
    }
}

/// Causes that say less of an incident than what is seen afterwards.
pub(super) const PASSING: [&str; 4] = ["starting", "stopping", "restarting", "unknown"];

/// The name of an outcome, as in the serialised form.
pub(crate) fn outcome(outcome: ActionOutcome) -> &'static str {
    match outcome {
        ActionOutcome::Done => "done",
        ActionOutcome::Failed => "failed",
        ActionOutcome::AlreadyDone => "already_done",
        ActionOutcome::Refused => "refused",
        ActionOutcome::WouldDo => "would_do",
    }
}

/// A text of bounded length.
pub(crate) fn bounded(text: &str) -> String {
    let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(at, _)| at);
    text[..end].to_owned()
}

/// Milliseconds since the epoch.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
