//! Alerts: what calls for one, what one is, and how it is to be told.
//!
//! [`Rule`] and [`AlertPolicy`] are configuration and live in the daemon's memory. [`Alert`], [`Delivery`] and what holds them
//! stand in workflow histories; their fields are only ever added, with a default. Neither holds a secret: a channel is a name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ServiceSpec;

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
}

/// What a rule looks at. Each is a number; one that is not known now is neither good nor bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// 1 when the unit does not run, 0 when it does (or, for a oneshot, has run to its end).
    Down,
    /// CPU in percent of one core.
    Cpu,
    /// Resident memory, in bytes.
    Memory,
    /// Bytes read and written a second.
    Disk,
    /// Bytes read a second.
    DiskRead,
    /// Bytes written a second.
    DiskWrite,
    /// Restarts within the rule's window, whoever made them.
    Restarts,
    /// 1 when the node's synchronisation has stalled, 0 when not.
    Stalled,
    /// The node's peers.
    Peers,
    /// 1 when the health checks fail, 0 when they pass.
    Unhealthy,
    /// Longest of the last answers of the HTTP checks, in seconds.
    ResponseTime,
}

/// How a value is compared with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

/// When a service is in trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Unique name, by which it is found in a configuration.
    pub name: String,
    /// What its alerts are about.
    pub kind: AlertKind,
    /// What it looks at.
    pub signal: Signal,
    /// How [`Rule::threshold`] is compared.
    pub comparison: Comparison,
    /// The value from which on there is trouble.
    pub threshold: f64,
    /// The value to which it must come back before the trouble is over; the threshold when absent.
    pub clear_threshold: Option<f64>,
    /// How long the trouble must last before the alert fires (`for`).
    pub hold: Duration,
    /// How long it must be over before the alert is resolved.
    pub keep_firing_for: Duration,
    /// Time in which restarts are counted.
    pub window: Duration,
    /// How bad it is.
    pub severity: Severity,
    /// Labels of its alerts, beside those that all have. They are part of an alert's identity.
    pub labels: BTreeMap<String, String>,
    /// Texts of its alerts, with `{{ }}` templates.
    pub annotations: BTreeMap<String, String>,
    /// Which services it is for.
    pub services: Selector,
    /// Channels to tell, in place of the policy's.
    pub receivers: Option<Vec<Receiver>>,
}

/// Which services are meant. An empty list means any; all three must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// Names, in which `*` stands for any text.
    pub names: Vec<String>,
    /// Labels `type`, likewise.
    pub kinds: Vec<String>,
    /// Labels `chain`, likewise.
    pub chains: Vec<String>,
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
    /// Who is told, and when.
    pub delivery: Delivery,
    /// Before the ids of alerts' workflows: dry runs keep to themselves.
    pub id_prefix: String,
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
    pub const ALL: [Self; 10] = [
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
        }
    }
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Down,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::DiskRead,
        Self::DiskWrite,
        Self::Restarts,
        Self::Stalled,
        Self::Peers,
        Self::Unhealthy,
        Self::ResponseTime,
    ];

    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::DiskRead => "disk_read",
            Self::DiskWrite => "disk_write",
            Self::Restarts => "restarts",
            Self::Stalled => "stalled",
            Self::Peers => "peers",
            Self::Unhealthy => "unhealthy",
            Self::ResponseTime => "response_time",
        }
    }

    /// Whether it is 0 or 1, so that a threshold goes without saying.
    #[must_use]
    pub fn is_flag(self) -> bool {
        matches!(self, Self::Down | Self::Stalled | Self::Unhealthy)
    }

    /// Whether a service can ever have a value of it.
    #[must_use]
    pub fn is_of(self, spec: &ServiceSpec) -> bool {
        match self {
            Self::Down | Self::Restarts => true,
            Self::Cpu | Self::Memory | Self::Disk | Self::DiskRead | Self::DiskWrite => spec.probes.resources,
            Self::Stalled | Self::Peers => spec.probes.sync.is_some(),
            Self::Unhealthy | Self::ResponseTime => !spec.probes.http.is_empty(),
        }
    }
}

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Above, Self::AtLeast, Self::Below, Self::AtMost];

    /// Whether `value` is on the bad side of `threshold`.
    #[must_use]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
        }
    }

    /// Its sign.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

impl Selector {
    /// Whether it means this service.
    #[must_use]
    pub fn selects(&self, spec: &ServiceSpec) -> bool {
        let any = |patterns: &[String], text: &str| patterns.is_empty() || patterns.iter().any(|p| matches(p, text));
        any(&self.names, &spec.name) && any(&self.kinds, &spec.labels.kind) && any(&self.chains, &spec.labels.chain)
    }
}

/// Whether `text` fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| matches(tail, &rest[at..]))
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
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("api", "api", true),
            ("api", "api-1", false),
            ("api-*", "api-1", true),
            ("*", "", true),
            ("*-node-*", "relay-node-polkadot", true),
            ("*-node", "relay-node-polkadot", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

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
