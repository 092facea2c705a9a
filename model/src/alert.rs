//! Alerts: what one is, and how it is to be told.
//!
//! [`AlertPolicy`] and its rules ([`crate::rule`]) are configuration and live in the daemon's memory. [`Alert`], [`Delivery`] and what holds them
//! stand in workflow histories; their fields are only ever added, with a default. Neither holds a secret: a channel is a name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Maintenance, Matcher, Rule};

/// How bad it is, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at soon.
    Warning,
    /// To be looked at now.
    Critical,
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// It does not run.
    ServiceDown,
    /// It runs, but not as it should; for rules of users.
    ServiceDegraded,
    /// It uses much CPU.
    HighCpu,
    /// It uses much memory.
    HighMemory,
    /// It reads and writes much.
    HighDiskIo,
    /// It was restarted too often.
    RestartLoop,
    /// The node does not gain blocks.
    SyncStalled,
    /// The node has few peers.
    LowPeerCount,
    /// It waits for something that it needs.
    DependencyTimeout,
    /// Its HTTP checks fail.
    HealthCheckFailed,
    /// It is otherwise than it usually is at this hour of the week.
    Unusual,
    /// It will reach its limit if it goes on as it does.
    LimitAhead,
    /// dixmgr itself: messages over a channel do not arrive.
    NotificationFailed,
    /// dixmgr itself: what makes it durable is slow.
    EngineSlow,
    /// dixmgr itself: the file system of its data directory fills up.
    DiskFilling,
    /// dixmgr itself: services are not looked at when they should be.
    ProbesBehind,
}

/// A channel, and how long it is left in peace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// Name of the channel.
    pub channel: String,
    /// Told only when the alert was not acknowledged for that long since its first message: an escalation step.
    #[serde(with = "crate::duration", default, skip_serializing_if = "Duration::is_zero")]
    pub after: Duration,
}

/// How alerts of a daemon are told.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertPolicy {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Who is told, and when, of what no route is for.
    pub delivery: Delivery,
    /// Who is told otherwise; the first that fits decides.
    pub routes: Vec<Route>,
    /// Maintenance windows.
    pub maintenance: Vec<Maintenance>,
    /// Before the ids of alerts' workflows: dry runs keep to themselves.
    pub id_prefix: String,
}

/// Alerts that are told in a way of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// All of them must fit an alert's labels.
    pub matchers: Vec<Matcher>,
    /// Who is told, and when.
    pub delivery: Delivery,
}

/// Who is told of an alert, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The channels.
    pub receivers: Vec<Receiver>,
    /// Wait before the first message: trouble that is over by then, or has another cause, is not told.
    #[serde(with = "crate::duration")]
    pub group_wait: Duration,
    /// Time between two messages about an alert that goes on.
    #[serde(with = "crate::duration")]
    pub repeat_interval: Duration,
    /// Least time between two messages that the same alert fires.
    #[serde(with = "crate::duration")]
    pub dedupe_window: Duration,
    /// Name of the route that these are of; part of the identity of its groups.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub route: String,
    /// Labels whose values say which alerts are told together; with [`ALL_LABELS`], each alert is told by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// Least time between two messages about one group to one channel.
    #[serde(with = "crate::duration", default, skip_serializing_if = "Duration::is_zero")]
    pub group_interval: Duration,
}

impl Default for Delivery {
    /// As it is unless a configuration says otherwise: to nobody, alerts of one name together, no storm of messages.
    fn default() -> Self {
        Self {
            receivers: Vec::new(),
            // Within that time a remedy may help.
            group_wait: Duration::from_secs(10),
            repeat_interval: Duration::from_hours(4),
            dedupe_window: Duration::from_mins(5),
            route: String::new(),
            group_by: vec!["alertname".to_owned()],
            group_interval: Duration::from_mins(1),
        }
    }
}

/// Stands for every label in [`Delivery::group_by`], as in Alertmanager.
pub const ALL_LABELS: &str = "...";

/// Alerts that are told together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertGroup {
    /// The workflow that tells them.
    pub workflow_id: String,
    /// What they have in common.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// One trouble of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its identity, of kind, service and labels without severity: 16 hex digits.
    pub fingerprint: String,
    /// What it is about.
    pub kind: AlertKind,
    /// Name of the service.
    pub service: String,
    /// How bad it is now.
    pub severity: Severity,
    /// Rule that fired, the worst one when several did.
    pub rule: String,
    /// `alertname`, `service`, `severity`, where set `type` and `chain`, and the rule's own.
    pub labels: BTreeMap<String, String>,
    /// Texts for people, templates filled in.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When it fired, in milliseconds since the epoch.
    pub starts_at: u64,
}

/// An alert that fires, with all that telling it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RaisedAlert {
    /// The alert.
    pub alert: Alert,
    /// Its workflow: one for each fingerprint.
    pub workflow_id: String,
    /// Who is told.
    pub delivery: Delivery,
    /// What it is told together with.
    #[serde(default)]
    pub group: AlertGroup,
    /// Services that it needs and that were seen not to run at that moment: most likely its cause.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lacking: BTreeSet<String>,
}

/// What differs between the alerts of a service and those that its workflow knows of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertChanges {
    /// Alerts that are new, or of another severity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raised: Vec<RaisedAlert>,
    /// Fingerprints of alerts that are over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved: Vec<String>,
}

/// Alerts that the workflow of a service has raised, by fingerprint.
pub type KnownAlerts = BTreeMap<String, Severity>;

/// Whether an alert is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// It is.
    Firing,
    /// It was.
    Resolved,
}

impl AlertChanges {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raised.is_empty() && self.resolved.is_empty()
    }
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Its name in labels, as in the serialised form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ServiceDown,
        Self::ServiceDegraded,
        Self::HighCpu,
        Self::HighMemory,
        Self::HighDiskIo,
        Self::RestartLoop,
        Self::SyncStalled,
        Self::LowPeerCount,
        Self::DependencyTimeout,
        Self::HealthCheckFailed,
        Self::Unusual,
        Self::LimitAhead,
        Self::NotificationFailed,
        Self::EngineSlow,
        Self::DiskFilling,
        Self::ProbesBehind,
    ];

    /// Its name in labels, as in the serialised form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceDown => "service_down",
            Self::ServiceDegraded => "service_degraded",
            Self::HighCpu => "high_cpu",
            Self::HighMemory => "high_memory",
            Self::HighDiskIo => "high_disk_io",
            Self::RestartLoop => "restart_loop",
            Self::SyncStalled => "sync_stalled",
            Self::LowPeerCount => "low_peer_count",
            Self::DependencyTimeout => "dependency_timeout",
            Self::HealthCheckFailed => "health_check_failed",
            Self::Unusual => "unusual",
            Self::LimitAhead => "limit_ahead",
            Self::NotificationFailed => "notification_failed",
            Self::EngineSlow => "engine_slow",
            Self::DiskFilling => "disk_filling",
            Self::ProbesBehind => "probes_behind",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_serialised_form() {
        for kind in AlertKind::ALL {
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.name().into()));
        }
        for severity in Severity::ALL {
            assert_eq!(serde_json::to_value(severity).ok(), Some(severity.name().into()));
        }
    }
}
