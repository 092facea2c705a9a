//! Silences: which alerts nobody is to be told of for a while, in Alertmanager's terms. And maintenance windows, from which
//! the clock makes silences.
//!
//! [`Silence`] stands in workflow histories; [`Maintenance`] is configuration and lives in the daemon's memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Before the id of a silence that a maintenance window made.
pub const MAINTENANCE_PREFIX: &str = "maintenance:";

/// While it is in force, nobody is told that alerts which fit all of its matchers fire. Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Unique; a UUID, or the name of a maintenance window and its beginning.
    pub id: String,
    /// All of them must fit.
    pub matchers: Vec<Matcher>,
    /// When it begins.
    pub starts_at: u64,
    /// When it is over.
    pub ends_at: u64,
    /// Whose it is.
    #[serde(default)]
    pub created_by: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
    /// When it was last changed.
    #[serde(default)]
    pub updated_at: u64,
}

/// What a label has to be. A label that an alert does not have counts as empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// Name of the label.
    pub name: String,
    /// Its value, or a regular expression for the whole of it.
    pub value: String,
    /// Whether the value is a regular expression.
    #[serde(default)]
    pub is_regex: bool,
    /// Whether it has to fit (`=`, `=~`), or must not (`!=`, `!~`).
    #[serde(default = "fits")]
    pub is_equal: bool,
}

/// Where a silence is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SilenceState {
    /// It is in force.
    Active,
    /// It has not begun.
    Pending,
    /// It is over.
    Expired,
}

/// A silence that comes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Unique name.
    pub name: String,
    /// What it silences.
    pub matchers: Vec<Matcher>,
    /// When it begins: five fields of cron.
    pub schedule: String,
    /// How long it lasts.
    pub duration: Duration,
    /// Time zone of the schedule, by its name in the IANA database.
    pub time_zone: String,
}

/// What a matcher means unless it says otherwise: Alertmanager before 0.22 knew nothing else.
fn fits() -> bool {
    true
}

impl Silence {
    /// Where it is in its life at `now`, as Alertmanager has it: at its end it is over.
    #[must_use]
    pub fn state(&self, now: u64) -> SilenceState {
        if now < self.starts_at {
            SilenceState::Pending
        } else if now < self.ends_at {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }

    /// Whether a maintenance window made it.
    #[must_use]
    pub fn is_maintenance(&self) -> bool {
        self.id.starts_with(MAINTENANCE_PREFIX)
    }

    /// Bytes of its texts.
    #[must_use]
    pub fn size(&self) -> usize {
        let matchers = self.matchers.iter().map(|matcher| matcher.name.len() + matcher.value.len());
        self.id.len() + self.created_by.len() + self.comment.len() + matchers.sum::<usize>()
    }
}

impl Matcher {
    /// The sign between name and value.
    #[must_use]
    pub fn sign(&self) -> &'static str {
        match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        }
    }
}

impl std::fmt::Display for Matcher {
    /// As Alertmanager writes it: `service=~"db-.*"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.sign(), self.value)
    }
}

impl SilenceState {
    /// Its name, as in the serialised form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_silence_is_over_at_its_end() {
        let silence = Silence { starts_at: 10, ends_at: 20, ..Silence::default() };
        let states = [9, 10, 19, 20].map(|now| silence.state(now).name());
        assert_eq!(states, ["pending", "active", "active", "expired"]);
    }

    #[test]
    fn a_matcher_of_old_fits() {
        let matcher: Matcher = serde_json::from_value(serde_json::json!({ "name": "a", "value": "b" })).unwrap();
        assert_eq!(matcher.to_string(), "a=\"b\"");
    }
}
