//! One rule and one service: from a value at a time to whether the alert fires, with a named reason.
//!
//! | phase | bad look | good look |
//! |---|---|---|
//! | inactive | pending, or firing when there is no `for` | inactive |
//! | pending | firing once it was bad for `for` | inactive |
//! | firing | firing | recovering, or inactive when there is no `keep_firing_for` |
//! | recovering | firing | inactive once it was good for `keep_firing_for` |
//!
//! A look without a value changes nothing, and the time around it counts for neither side: what nobody saw is neither good
//! nor bad. While the alert fires, "bad" means beyond the clear threshold, if there is one. A value that changed sides in
//! most of its last 20 looks is flapping: an alert that fires then stays until it settles, instead of coming and going.

use dixmgr_model::Rule;
use serde::{Deserialize, Serialize};

/// Looks that flapping is judged by.
const FLAP_LOOKS: u32 = 20;
/// More changes among them than this is flapping.
const FLAP_BEGINS: u32 = 10;
/// It has settled when there are no more than this.
const FLAP_ENDS: u32 = 4;

/// What is remembered of a rule between two looks. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleState {
    /// Where it stands.
    pub phase: Phase,
    /// When the last value was seen; absent after a look without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    /// Whether the last value was bad by the threshold itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bad: Option<bool>,
    /// One bit for each of the last looks, the newest lowest: whether the value changed sides.
    #[serde(default)]
    changes: u32,
    #[serde(default)]
    flapping: bool,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No trouble.
    #[default]
    Inactive,
    /// Trouble, not long enough yet.
    Pending {
        /// For how long it was seen.
        held: u64,
    },
    /// The alert fires.
    Firing {
        /// Since when.
        since: u64,
    },
    /// The alert fires although the trouble is over, in case it comes back.
    Recovering {
        /// Since when it fires.
        since: u64,
        /// For how long the trouble was seen to be over.
        held: u64,
    },
}

/// Why a look led to what it led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleReason {
    /// There was no value.
    NoValue,
    /// No trouble.
    Fine,
    /// Trouble began, and has to last before the alert fires.
    Began,
    /// It lasts, not long enough yet.
    Waiting,
    /// It was over before the alert fired.
    Passed,
    /// The alert fires from now on.
    Fired,
    /// It goes on firing.
    StillFiring,
    /// The trouble is over; the alert is kept for a while.
    Recovering,
    /// The trouble came back while the alert was kept.
    Relapsed,
    /// The trouble seems over, but the value changes sides all the time.
    Flapping,
    /// The trouble is over, but nobody was told of it yet.
    Untold,
    /// The alert does not fire any more.
    Resolved,
}

impl RuleState {
    /// A rule of which only is known that its alert fires since `since`.
    #[must_use]
    pub fn firing(since: u64) -> Self {
        Self { phase: Phase::Firing { since }, ..Self::default() }
    }

    /// Since when the alert fires, if it does.
    #[must_use]
    pub fn fires_since(&self) -> Option<u64> {
        match self.phase {
            Phase::Firing { since } | Phase::Recovering { since, .. } => Some(since),
            Phase::Inactive | Phase::Pending { .. } => None,
        }
    }

    /// Whether any value was ever seen.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.bad.is_some()
    }

    /// Whether time matters to it: it waits for `for` or `keep_firing_for` to pass.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Pending { .. } | Phase::Recovering { .. })
    }

    /// Takes in one look.
    ///
    /// Of the time since the look before, at most `longest_gap` milliseconds count: the rest was not seen. With `untold` an
    /// alert that fires is not resolved, since nobody has heard of it.
    pub fn look(&mut self, rule: &Rule, value: Option<f64>, now: u64, longest_gap: u64, untold: bool) -> RuleReason {
        let Some(value) = value.filter(|value| !value.is_nan()) else {
            self.at = None;
            return RuleReason::NoValue;
        };
        let passed = self.at.map_or(0, |at| now.saturating_sub(at).min(longest_gap));
        self.at = Some(now);
        let bad = rule.comparison.holds(value, rule.threshold);
        self.count_change(bad);
        let still_bad = rule.comparison.holds(value, rule.clear_threshold.unwrap_or(rule.threshold));
        match self.phase {
            Phase::Inactive | Phase::Pending { .. } if !bad => self.calm(),
            Phase::Inactive => self.suffer(rule, 0, now),
            Phase::Pending { held } => self.suffer(rule, held + passed, now),
            Phase::Firing { since } | Phase::Recovering { since, .. } if bad || still_bad => self.insist(since),
            Phase::Firing { since } => self.recover(rule, since, 0, untold),
            Phase::Recovering { since, held } => self.recover(rule, since, held + passed, untold),
        }
    }

    fn count_change(&mut self, bad: bool) {
        let changed = self.bad.is_some_and(|last| last != bad);
        self.changes = ((self.changes << 1) | u32::from(changed)) & ((1 << FLAP_LOOKS) - 1);
        self.bad = Some(bad);
        let limit = if self.flapping { FLAP_ENDS } else { FLAP_BEGINS };
        self.flapping = self.changes.count_ones() > limit;
    }

    fn calm(&mut self) -> RuleReason {
        let before = std::mem::take(&mut self.phase);
        if before == Phase::Inactive { RuleReason::Fine } else { RuleReason::Passed }
    }

    fn suffer(&mut self, rule: &Rule, held: u64, now: u64) -> RuleReason {
        let began = self.phase == Phase::Inactive;
        if held >= crate::millis(rule.hold) {
            self.phase = Phase::Firing { since: now };
            return RuleReason::Fired;
        }
        self.phase = Phase::Pending { held };
        if began { RuleReason::Began } else { RuleReason::Waiting }
    }

    fn insist(&mut self, since: u64) -> RuleReason {
        let before = std::mem::replace(&mut self.phase, Phase::Firing { since });
        if matches!(before, Phase::Firing { .. }) { RuleReason::StillFiring } else { RuleReason::Relapsed }
    }

    fn recover(&mut self, rule: &Rule, since: u64, held: u64, untold: bool) -> RuleReason {
        let kept = held < crate::millis(rule.keep_firing_for);
        if !kept && !self.flapping && !untold {
            self.phase = Phase::Inactive;
            return RuleReason::Resolved;
        }
        self.phase = Phase::Recovering { since, held };
        match (kept, self.flapping) {
            (true, _) => RuleReason::Recovering,
            (false, true) => RuleReason::Flapping,
            (false, false) => RuleReason::Untold,
        }
    }
}

impl RuleReason {
    /// Whether the alert began or ceased to fire.
    #[must_use]
    pub fn changes_alert(self) -> bool {
        matches!(self, Self::Fired | Self::Resolved)
    }

    /// Its name in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoValue => "no_value",
            Self::Fine => "fine",
            Self::Began => "began",
            Self::Waiting => "waiting",
            Self::Passed => "passed",
            Self::Fired => "fired",
            Self::StillFiring => "still_firing",
            Self::Recovering => "recovering",
            Self::Relapsed => "relapsed",
            Self::Flapping => "flapping",
            Self::Untold => "untold",
            Self::Resolved => "resolved",
        }
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
