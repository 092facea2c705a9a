//! Why a decision was taken, by name: in logs, in tests and on the screen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares the reasons once: variant, name and sentence cannot drift apart.
macro_rules! reasons {
    ($($variant:ident = $name:literal, $sentence:literal;)+) => {
        /// The named reason of a decision.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $(#[doc = $sentence] #[serde(rename = $name)] $variant,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name: stable, for logs, queries and metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, as the end of a sentence that begins with the service's name.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

reasons! {
    NotObserved = "not_observed", "has not been looked at yet";
    Ready = "ready", "is ready";
    Running = "running", "runs; its health is not known yet";
    Syncing = "syncing", "runs and catches up with its chain";
    Completed = "completed", "ran to its end with success";
    Degraded = "degraded", "runs, but its health checks fail";
    Activating = "activating", "is being started";
    Deactivating = "deactivating", "is being stopped";
    AutoRestart = "auto_restart", "is being restarted by systemd";
    UnitMissing = "unit_missing", "has no unit; nothing is done until one appears";
    UnitMasked = "unit_masked", "is masked; nothing is done until it is unmasked";
    Unobservable = "unobservable", "cannot be observed; nothing is done blindly";
    UnitFailed = "unit_failed", "failed";
    UnitInactive = "unit_inactive", "is not running";
    Unhealthy = "unhealthy", "runs, but its health checks fail, which its policy answers with a restart";
    FirstStart = "first_start", "has never run";
    BackingOff = "backing_off", "died again; it is restarted after a wait";
    BackoffElapsed = "backoff_elapsed", "has waited long enough";
    RestartLimit = "restart_limit", "was restarted too often; it is quarantined";
    Quarantined = "quarantined", "is quarantined; the next attempt is far off";
    QuarantineRetry = "quarantine_retry", "is quarantined and gets its slow attempt";
    WaitingForDependency = "waiting_for_dependency", "waits for what it needs";
    DependenciesReady = "dependencies_ready", "has what it needs";
    DependencyLost = "dependency_lost", "lost something that it needs; it is left running";
    DependencyTimeout = "dependency_timeout", "has waited too long for something that it needs, and goes on waiting";
    RecoveredByItself = "recovered_by_itself", "came back without us";
    Restarted = "restarted", "was restarted";
    Started = "started", "was started";
    AlreadyReplaced = "already_replaced", "had been restarted already";
    WouldAct = "would_act", "would have been restarted; this is a dry run";
    Refused = "refused", "cannot be started; nothing is done until an operator mends it";
    ActionInFlight = "action_in_flight", "is being acted on";
    NothingInFlight = "nothing_in_flight", "was not being acted on";
    OperatorRestart = "operator_restart", "is restarted at an operator's word";
    Paused = "paused", "is paused; it is watched and left alone";
    Resumed = "resumed", "is kept again";
    Stable = "stable", "has been ready long enough; its counters start afresh";
    SpecUpdated = "spec_updated", "has a new specification";
    WatchFailed = "watch_failed", "cannot be watched; another try follows";
    Stopped = "stopped", "is no longer watched; it lives on";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
