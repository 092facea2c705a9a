//! What is remembered of a service between two decisions. It stands in workflow inputs: fields are only ever added.

use std::time::Duration;

use dixmgr_model::{RestartPolicy, ServiceState};
use serde::{Deserialize, Serialize};

use super::Verb;

/// What is remembered of a service. All times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each of which may hold in every phase")]
pub struct RestartState {
    /// Where the decision stands.
    pub phase: Phase,
    /// The service as it was last seen, or as the last action left it.
    pub last: Option<ServiceState>,
    /// Whether an operator paused it.
    #[serde(default)]
    pub paused: bool,
    /// Whether everything that it needs is ready.
    #[serde(default = "yes")]
    pub dependencies_ready: bool,
    /// Whether it is under quarantine. It stays so while it is up, until it has been ready for `stable_after`.
    #[serde(default)]
    pub quarantined: bool,
    /// When it was restarted, within the policy's window, oldest first; never more than the policy's `max_restarts`.
    #[serde(default)]
    pub restarts: Vec<u64>,
    /// Restarts in a row since it was last stable.
    #[serde(default)]
    pub streak: u32,
    /// Whether the first start, which is not counted as a restart, was used up.
    #[serde(default)]
    pub started: bool,
    /// Since when it has been ready without interruption.
    #[serde(default)]
    pub ready_since: Option<u64>,
    /// Whether an operator's restart waits until the unit can be observed.
    #[serde(default)]
    pub operator_asked: bool,
    /// How many actions have ended, whatever came of them.
    #[serde(default)]
    pub actions: u64,
}

/// Where the decision stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is to be done for now.
    Observing,
    /// Dead; restarted at `until` unless it comes back by itself.
    BackingOff {
        /// When.
        until: u64,
    },
    /// Dead; restarted when what it needs is ready.
    AwaitingDependencies {
        /// Whether its backoff is already over.
        backed_off: bool,
    },
    /// An action is in flight.
    Acting(Acting),
    /// Dead and quarantined; the next attempt is at `until`.
    Quarantined {
        /// When.
        until: u64,
    },
}

/// The action in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acting {
    /// What is being done.
    pub verb: Verb,
    /// The invocation that it replaces.
    pub replaces: String,
    /// Whether success counts as a restart: an operator's word and the very first start do not.
    pub counted: bool,
}

/// Where a service stands, in one word, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not looked at yet.
    Starting,
    /// Ready.
    Ready,
    /// Not ready, and nothing is to be done about it for now.
    NotReady,
    /// Being started or restarted.
    Acting,
    /// Waiting before the next restart.
    BackingOff,
    /// Waiting for what it needs.
    WaitingForDependency,
    /// Under quarantine.
    Quarantined,
    /// Paused by an operator.
    Paused,
}

impl Default for RestartState {
    fn default() -> Self {
        Self {
            phase: Phase::Observing,
            last: None,
            paused: false,
            dependencies_ready: true,
            quarantined: false,
            restarts: Vec::new(),
            streak: 0,
            started: false,
            ready_since: None,
            operator_asked: false,
            actions: 0,
        }
    }
}

impl RestartState {
    /// Whether dependents may count on the service. One that is being restarted is not ready, however it looked before.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !matches!(self.phase, Phase::Acting(_)) && self.last.as_ref().is_some_and(ServiceState::is_ready)
    }

    /// Where it stands, in one word.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.phase {
            Phase::Acting(_) => Standing::Acting,
            _ if self.paused => Standing::Paused,
            _ if self.last.is_none() => Standing::Starting,
            Phase::AwaitingDependencies { .. } => Standing::WaitingForDependency,
            _ if self.quarantined => Standing::Quarantined,
            Phase::BackingOff { .. } => Standing::BackingOff,
            _ if self.is_ready() => Standing::Ready,
            _ => Standing::NotReady,
        }
    }

    /// When [`super::Event::Woke`] is due next; nothing changes by itself before.
    #[must_use]
    pub fn wake_at(&self, policy: &RestartPolicy) -> Option<u64> {
        let decision = match self.phase {
            Phase::BackingOff { until } | Phase::Quarantined { until } => Some(until),
            Phase::Observing | Phase::AwaitingDependencies { .. } | Phase::Acting(_) => None,
        };
        let stable = self.ready_since.filter(|_| self.remembers()).map(|since| after(since, policy.stable_after));
        [decision, stable].into_iter().flatten().min()
    }

    /// Whether there is anything that a stable period would clear.
    pub(super) fn remembers(&self) -> bool {
        self.quarantined || self.streak > 0 || !self.restarts.is_empty()
    }

    /// Starts the counters afresh.
    pub(super) fn clear(&mut self) {
        self.quarantined = false;
        self.streak = 0;
        self.restarts.clear();
    }

    /// Counts one restart at `now`.
    pub(super) fn count(&mut self, policy: &RestartPolicy, now: u64) {
        self.streak = self.streak.saturating_add(1);
        self.restarts.push(now);
        let limit = usize::try_from(policy.max_restarts).unwrap_or(usize::MAX);
        let surplus = self.restarts.len().saturating_sub(limit);
        self.restarts.drain(..surplus);
    }

    /// Forgets restarts that have left the window, and says whether the rest reach the limit.
    pub(super) fn at_limit(&mut self, policy: &RestartPolicy, now: u64) -> bool {
        self.restarts.retain(|&at| after(at, policy.window) > now);
        self.restarts.len() >= usize::try_from(policy.max_restarts).unwrap_or(usize::MAX)
    }
}

/// `at` plus `by`, in milliseconds.
pub(crate) fn after(at: u64, by: Duration) -> u64 {
    at.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
}

fn yes() -> bool {
    true
}
