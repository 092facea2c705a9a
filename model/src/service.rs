//! What a service is: the unit or command behind it, how it is looked at, and what is done when it dies.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One service of the resolved plan. Carried as workflow input, so it holds no secret: headers and credentials are references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique name, as operators and metrics know it.
    pub name: String,
    /// Id of the workflow that keeps it, such as `wf.svc.dixfe`.
    pub workflow_id: String,
    /// Name by which its readiness is announced, such as `ready:svc:dixfe`.
    pub ready_signal: String,
    /// Metric labels `type` and `chain`.
    #[serde(default)]
    pub labels: Labels,
    /// What runs it.
    pub target: Target,
    /// Services that must be ready before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Dependency>,
    /// Workflow ids that want to hear of this service's readiness.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
    /// How long it waits for what it needs before that is counted and reported as a timeout. It goes on waiting afterwards.
    #[serde(with = "crate::duration", default = "default_dependency_timeout")]
    pub dependency_timeout: Duration,
    /// How it is looked at.
    #[serde(default)]
    pub probes: Probes,
    /// What is done when it dies.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Longest time that one start, stop or restart may take.
    #[serde(with = "crate::duration", default = "default_operation_timeout")]
    pub operation_timeout: Duration,
    /// Set when the service is a group of equal replicas (its `target` then names them with `{i}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
}

/// Metric labels of a service besides its name; both may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// Kind of service: `relay`, `parachain`, `sidecar`, `proxy`, or the user's own word.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Chain it serves.
    #[serde(default)]
    pub chain: String,
}

/// What runs a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A systemd unit, by its full name.
    Unit(String),
    /// A command that dixmgr itself runs (`-process-manager direct`).
    Command(Command),
}

/// A command line for direct mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and its arguments; the first is never empty.
    pub argv: Vec<String>,
    /// Working directory; dixmgr's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Variables added to dixmgr's environment. Values may be `env:`/`file:` references, resolved when the process starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Whether the process ends with dixmgr. By default it lives on and is adopted by the next dixmgr.
    #[serde(default)]
    pub die_with_parent: bool,
}

/// A service that must be ready first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// Its name.
    pub service: String,
    /// Its workflow.
    pub workflow_id: String,
}

/// How a service is looked at. An absent probe does not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// Time between two looks at unit state and resources. Crashes are seen at once, through signals, whatever it is.
    #[serde(with = "crate::duration")]
    pub interval: Duration,
    /// Whether CPU, memory and disk are sampled.
    pub resources: bool,
    /// HTTP checks; all must pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpCheck>,
    /// Node sync check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncCheck>,
    /// Consecutive failed looks before a service counts as unhealthy (a passed one makes it healthy at once).
    #[serde(default = "default_failure_threshold")]
    pub failure_threshold: u32,
}

/// One HTTP health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// Absolute `http` or `https` URL.
    pub url: String,
    /// Request method; `GET` by default.
    #[serde(default = "default_method")]
    pub method: String,
    /// Headers. Values may be `env:`/`file:` references.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Time between two checks; the service's interval when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub interval: Option<Duration>,
    /// Longest time for the whole exchange.
    #[serde(with = "crate::duration", default = "default_http_timeout")]
    pub timeout: Duration,
    /// The one good status; any 2xx when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_status: Option<u16>,
    /// Text that the body must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_body: Option<String>,
    /// Where in a JSON body the verdict stands: `status.healthy`, `checks.0.ok`, or JSONPath when it starts with `$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_path: Option<String>,
    /// Slower answers count as failed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub max_response_time: Option<Duration>,
}

/// Node sync check over JSON-RPC 2.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncCheck {
    /// URL of the node's JSON-RPC endpoint.
    pub endpoint: String,
    /// Time between two checks; the service's interval when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub interval: Option<Duration>,
    /// Longest time for one call.
    #[serde(with = "crate::duration", default = "default_http_timeout")]
    pub timeout: Duration,
}

/// When a dead service is restarted, and when dixmgr stops trying.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Restarts allowed within `window`; one more and the service is quarantined.
    pub max_restarts: u32,
    /// Length of the sliding window in which restarts are counted.
    #[serde(with = "crate::duration")]
    pub window: Duration,
    /// Wait before the second restart in a row (the first is immediate).
    #[serde(with = "crate::duration")]
    pub initial_backoff: Duration,
    /// Longest wait between two restarts.
    #[serde(with = "crate::duration")]
    pub max_backoff: Duration,
    /// Growth of the wait from one restart to the next; at least 1.
    pub backoff_coefficient: f64,
    /// Share of the wait that is random, 0 to 1: a wait of `b` is drawn from `[b × (1 − jitter), b]`.
    pub jitter: f64,
    /// How long a service must stay ready before its counters start afresh.
    #[serde(with = "crate::duration")]
    pub stable_after: Duration,
    /// Wait between two attempts while quarantined.
    #[serde(with = "crate::duration")]
    pub quarantine_retry: Duration,
    /// Whether failing HTTP checks restart a running service too.
    #[serde(default)]
    pub on_unhealthy: bool,
}

/// A group of equal services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// How many are kept; at least 1.
    pub count: u32,
    /// How many must be ready for the group to be ready; 1 to `count`.
    pub quorum: u32,
}

impl ServiceSpec {
    /// Names under which it and each of its replicas are known.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        let replicas = self.replicas.map_or(0, |replicas| replicas.count);
        std::iter::once(self.name.clone()).chain((0..replicas).map(|index| format!("{}-{index}", self.name)))
    }

    /// The unit name, or for a command the service's own name: how the unit manager knows it.
    #[must_use]
    pub fn unit_name(&self) -> &str {
        match &self.target {
            Target::Unit(unit) => unit,
            Target::Command(_) => &self.name,
        }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            resources: true,
            http: Vec::new(),
            sync: None,
            failure_threshold: default_failure_threshold(),
        }
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            max_restarts: 5,
            window: Duration::from_mins(5),
            initial_backoff: Duration::from_secs(10),
            max_backoff: Duration::from_mins(5),
            backoff_coefficient: 2.0,
            jitter: 0.2,
            stable_after: Duration::from_mins(5),
            quarantine_retry: Duration::from_mins(30),
            on_unhealthy: false,
        }
    }
}

fn default_dependency_timeout() -> Duration {
    Duration::from_hours(24)
}

fn default_operation_timeout() -> Duration {
    Duration::from_secs(90)
}

fn default_failure_threshold() -> u32 {
    3
}

fn default_http_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_method() -> String {
    "GET".to_owned()
}

/// [`crate::duration`] for an optional field.
mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => crate::duration::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| crate::duration::parse(&text).map_err(serde::de::Error::custom)).transpose()
    }
}
