//! Rules of alerts: what is looked at, what is trouble, and for which services.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ServiceSpec;
use crate::alert::{AlertKind, Receiver, Severity};

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
    /// How many of the services that it needs have kept it waiting for longer than `dependency_timeout`.
    DependencyWait,
    /// How many times its usual spread the CPU of the last half hour is from what is usual at this hour of the week.
    CpuDeviation,
    /// The same of memory.
    MemoryDeviation,
    /// The same of the response time.
    ResponseTimeDeviation,
    /// How many times their usual spread the restarts of the last 24 hours are above those of the days before.
    RestartDeviation,
    /// Hours until its memory reaches the highest threshold of the rules about it.
    MemoryForecast,
    /// Of dixmgr itself: attempts in a row that did not bring a message over a channel.
    Undelivered,
    /// Of dixmgr itself: seconds that the engine took for a commit, or a cluster for an answer, on average since the last look.
    EngineLatency,
    /// Of dixmgr itself: percent of the data directory's file system that are free.
    DiskFree,
    /// Of dixmgr itself: hours until the data directory's file system is full, by its trend.
    DiskForecast,
    /// Of dixmgr itself: seconds since a look at any service was due.
    LookDelay,
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

/// Id of the workflow that raises alerts about dixmgr itself, without the prefix of a dry run.
pub const OWN_WORKFLOW: &str = "wf.own";

impl Signal {
    /// All of them.
    pub const ALL: [Self; 22] = [
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
        Self::DependencyWait,
        Self::CpuDeviation,
        Self::MemoryDeviation,
        Self::ResponseTimeDeviation,
        Self::RestartDeviation,
        Self::MemoryForecast,
        Self::Undelivered,
        Self::EngineLatency,
        Self::DiskFree,
        Self::DiskForecast,
        Self::LookDelay,
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
            Self::DependencyWait => "dependency_wait",
            Self::CpuDeviation => "cpu_deviation",
            Self::MemoryDeviation => "memory_deviation",
            Self::ResponseTimeDeviation => "response_time_deviation",
            Self::RestartDeviation => "restart_deviation",
            Self::MemoryForecast => "memory_forecast",
            Self::Undelivered => "undelivered",
            Self::EngineLatency => "engine_latency",
            Self::DiskFree => "disk_free",
            Self::DiskForecast => "disk_forecast",
            Self::LookDelay => "look_delay",
        }
    }

    /// Whether it is 0 or 1, so that a threshold goes without saying.
    #[must_use]
    pub fn is_flag(self) -> bool {
        matches!(self, Self::Down | Self::Stalled | Self::Unhealthy)
    }

    /// Whether dixmgr looks at itself, and at no service.
    #[must_use]
    pub fn is_own(self) -> bool {
        matches!(self, Self::Undelivered | Self::EngineLatency | Self::DiskFree | Self::DiskForecast | Self::LookDelay)
    }

    /// Whether a service can ever have a value of it.
    #[must_use]
    pub fn is_of(self, spec: &ServiceSpec) -> bool {
        match self {
            Self::Down | Self::Restarts | Self::RestartDeviation => true,
            Self::Cpu
            | Self::Memory
            | Self::Disk
            | Self::DiskRead
            | Self::DiskWrite
            | Self::CpuDeviation
            | Self::MemoryDeviation
            | Self::MemoryForecast => spec.probes.resources,
            Self::Stalled | Self::Peers => spec.probes.sync.is_some(),
            Self::Unhealthy | Self::ResponseTime | Self::ResponseTimeDeviation => !spec.probes.http.is_empty(),
            Self::DependencyWait => !spec.needs.is_empty(),
            Self::Undelivered | Self::EngineLatency | Self::DiskFree | Self::DiskForecast | Self::LookDelay => {
                spec.workflow_id == OWN_WORKFLOW
            }
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
}
