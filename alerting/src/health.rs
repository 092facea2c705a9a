//! From single health checks to a service's health: one failure is weather, several in a row are a fact.
//!
//! | the check so far | passes | fails |
//! |---|---|---|
//! | unknown (never passed, failed less often than the threshold) | healthy | unknown until the threshold, then unhealthy |
//! | healthy | healthy | healthy until the threshold, then unhealthy |
//! | unhealthy | healthy | unhealthy |
//!
//! The service is unhealthy when one check is, healthy when all are, and unknown otherwise.

use std::fmt;
use std::time::Duration;

use dixmgr_model::{Health, HealthStatus};
use serde::{Deserialize, Serialize};

/// What one look of one check gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// It passed.
    Passed,
    /// It failed, with what the check said of it.
    Failed(String),
}

/// Why a service's health is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthReason<'a> {
    /// It has no checks: running is healthy enough.
    NoChecks,
    /// Every check passes, or has not failed often enough to count.
    AllPass,
    /// Some checks have neither passed nor failed often enough yet.
    NotAllSeen {
        /// How many have.
        seen: usize,
        /// How many there are.
        checks: usize,
    },
    /// A check failed as often in a row as the threshold allows, or more.
    Failing {
        /// Which, counted from 0.
        check: usize,
        /// Failures in a row.
        failures: u32,
        /// First of them, since the epoch.
        since: Duration,
        /// What the last one said.
        error: &'a str,
    },
}

/// The health of one run of a service, folded from its checks. Begin a new one ([`HealthFold::reset`]) when the service
/// starts anew: that the run before was healthy says nothing about this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthFold {
    threshold: u32,
    checks: Vec<CheckFold>,
}

/// One check's past, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CheckFold {
    status: HealthStatus,
    /// Failures in a row.
    #[serde(default)]
    failures: u32,
    /// When the first of them was, in milliseconds since the epoch.
    #[serde(default)]
    since_ms: u64,
    /// What the last of them said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    error: String,
}

impl CheckFold {
    const NEW: Self = Self { status: HealthStatus::Unknown, failures: 0, since_ms: 0, error: String::new() };

    fn fold(&mut self, verdict: CheckVerdict, threshold: u32, now: Duration) {
        match verdict {
            CheckVerdict::Passed => *self = Self { status: HealthStatus::Healthy, ..Self::NEW },
            CheckVerdict::Failed(error) => {
                if self.failures == 0 {
                    self.since_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
                }
                self.failures = self.failures.saturating_add(1);
                self.error = crate::detail(&error);
                if self.failures >= threshold {
                    self.status = HealthStatus::Unhealthy;
                }
            }
        }
    }
}

impl HealthFold {
    /// A service with so many checks, none of them seen yet. A `threshold` of 0 counts as 1.
    #[must_use]
    pub fn new(checks: usize, threshold: u32) -> Self {
        Self { threshold: threshold.max(1), checks: vec![CheckFold::NEW; checks] }
    }

    /// Whether this fold, perhaps from a heartbeat, belongs to a service with so many checks and this threshold.
    #[must_use]
    pub fn fits(&self, checks: usize, threshold: u32) -> bool {
        self.checks.len() == checks && self.threshold == threshold.max(1)
    }

    /// Forgets everything: the service has started anew.
    pub fn reset(&mut self) {
        self.checks.fill(CheckFold::NEW);
    }

    /// Takes in one look of the check with this index, made at `now`, and gives that check's own verdict.
    /// An index that does not exist is ignored, and unknown.
    pub fn fold(&mut self, check: usize, verdict: CheckVerdict, now: Duration) -> HealthStatus {
        let threshold = self.threshold;
        self.checks.get_mut(check).map_or(HealthStatus::Unknown, |fold| {
            fold.fold(verdict, threshold, now);
            fold.status
        })
    }

    /// Why the health is what it is.
    #[must_use]
    pub fn reason(&self) -> HealthReason<'_> {
        let failing = self.checks.iter().position(|check| check.status == HealthStatus::Unhealthy);
        let seen = self.checks.iter().filter(|check| check.status != HealthStatus::Unknown).count();
        match failing {
            Some(index) => {
                let CheckFold { failures, since_ms, ref error, .. } = self.checks[index];
                HealthReason::Failing { check: index, failures, since: Duration::from_millis(since_ms), error }
            }
            None if self.checks.is_empty() => HealthReason::NoChecks,
            None if seen < self.checks.len() => HealthReason::NotAllSeen { seen, checks: self.checks.len() },
            None => HealthReason::AllPass,
        }
    }

    /// The service's health.
    #[must_use]
    pub fn verdict(&self) -> Health {
        let reason = self.reason();
        let status = match reason {
            HealthReason::NoChecks | HealthReason::AllPass => return Health::healthy(),
            HealthReason::NotAllSeen { .. } => HealthStatus::Unknown,
            HealthReason::Failing { .. } => HealthStatus::Unhealthy,
        };
        Health { status, detail: crate::detail(&reason.to_string()) }
    }
}

impl fmt::Display for HealthReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChecks => f.write_str("no health checks"),
            Self::AllPass => f.write_str("all health checks pass"),
            Self::NotAllSeen { seen, checks } => write!(f, "{seen} of {checks} health checks have given a verdict"),
            // No count and no time: the text must not change from look to look while nothing else does.
            Self::Failing { error, .. } => f.write_str(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const T: Duration = Duration::from_secs(1_700_000_000);

    fn failed() -> CheckVerdict {
        CheckVerdict::Failed("connection refused".to_owned())
    }

    #[test]
    fn without_checks_a_service_is_healthy() {
        assert_eq!(HealthFold::new(0, 3).verdict(), Health::healthy());
    }

    #[test]
    fn health_is_unknown_until_every_check_was_seen() {
        let mut fold = HealthFold::new(2, 3);
        assert_eq!(fold.verdict().status, HealthStatus::Unknown);
        fold.fold(1, CheckVerdict::Passed, T);
        assert_eq!(fold.reason(), HealthReason::NotAllSeen { seen: 1, checks: 2 });
        fold.fold(0, CheckVerdict::Passed, T);
        assert_eq!(fold.verdict(), Health::healthy());
    }

    #[test]
    fn only_the_threshold_makes_unhealthy_and_one_pass_heals() {
        let mut fold = HealthFold::new(1, 3);
        fold.fold(0, CheckVerdict::Passed, T);
        fold.fold(0, failed(), T);
        fold.fold(0, failed(), T + Duration::from_secs(30));
        assert_eq!(fold.verdict(), Health::healthy());
        fold.fold(0, failed(), T + Duration::from_mins(1));
        assert_eq!(
            fold.reason(),
            HealthReason::Failing { check: 0, failures: 3, since: T, error: "connection refused" }
        );
        assert_eq!(fold.verdict().status, HealthStatus::Unhealthy);
        assert_eq!(fold.fold(0, CheckVerdict::Passed, T), HealthStatus::Healthy);
        assert_eq!(fold.verdict(), Health::healthy());
    }

    #[test]
    fn a_check_that_never_passed_is_unknown_before_it_is_unhealthy() {
        let mut fold = HealthFold::new(1, 2);
        assert_eq!(fold.fold(0, failed(), T), HealthStatus::Unknown);
        assert_eq!(fold.fold(0, failed(), T), HealthStatus::Unhealthy);
    }

    #[test]
    fn one_failing_check_is_enough_even_when_others_were_not_seen() {
        let mut fold = HealthFold::new(3, 1);
        fold.fold(2, failed(), T);
        assert_eq!(fold.verdict().status, HealthStatus::Unhealthy);
        fold.reset();
        assert_eq!(fold, HealthFold::new(3, 1));
    }

    #[test]
    fn a_check_that_does_not_exist_is_ignored() {
        let mut fold = HealthFold::new(1, 1);
        assert_eq!(fold.fold(7, failed(), T), HealthStatus::Unknown);
        assert_eq!(fold, HealthFold::new(1, 1));
    }

    proptest! {
        /// The fold agrees with the definition: the last `threshold` looks decide, and so does whether it ever passed.
        #[test]
        fn agrees_with_its_definition(looks in prop::collection::vec(any::<bool>(), 0..40), threshold in 0u32..6) {
            let mut fold = HealthFold::new(1, threshold);
            for pass in &looks {
                fold.fold(0, if *pass { CheckVerdict::Passed } else { failed() }, T);
            }
            let in_a_row = looks.iter().rev().take_while(|pass| !**pass).count();
            let expected = if in_a_row >= threshold.max(1) as usize {
                HealthStatus::Unhealthy
            } else if looks.contains(&true) {
                HealthStatus::Healthy
            } else {
                HealthStatus::Unknown
            };
            prop_assert_eq!(fold.verdict().status, expected);
        }

        /// A crash between any two looks changes nothing.
        #[test]
        fn survives_a_heartbeat(looks in prop::collection::vec((0usize..3, any::<bool>(), ".{0,400}"), 0..40)) {
            let mut fold = HealthFold::new(3, 3);
            let mut resumed = fold.clone();
            for (check, pass, error) in looks {
                let verdict = if pass { CheckVerdict::Passed } else { CheckVerdict::Failed(error) };
                fold.fold(check, verdict.clone(), T);
                resumed = serde_json::from_str(&serde_json::to_string(&resumed).unwrap()).unwrap();
                resumed.fold(check, verdict, T);
                prop_assert_eq!(&fold, &resumed);
                prop_assert!(fold.verdict().detail.chars().count() <= crate::MAX_DETAIL);
            }
            prop_assert!(resumed.fits(3, 3) && !resumed.fits(2, 3) && !resumed.fits(3, 4));
        }
    }
}
