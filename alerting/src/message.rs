//! What a channel is to tell: some alerts of one group, each firing or over.

use std::collections::BTreeMap;
use std::time::Duration;

use dixmgr_model::{Alert, AlertStatus, Severity, duration};
use serde::{Deserialize, Serialize};

/// Alerts that one message lists; of the others it says how many there are. Slack takes 50 blocks, a history 2 MB.
pub const LISTED: usize = 30;

/// Services that a title names.
const NAMED: usize = 5;

/// A message about the alerts of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Identity of the group: 16 hex digits.
    pub group: String,
    /// What its alerts have in common: the labels that they are grouped by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether any of them fires.
    pub status: AlertStatus,
    /// The worst first, what is over last; [`LISTED`] at most.
    pub alerts: Vec<MessageAlert>,
    /// How many fire, listed or not.
    pub firing: usize,
    /// How many are over, listed or not.
    pub resolved: usize,
    /// How many came and went while the receiver was away.
    #[serde(default)]
    pub missed: u64,
    /// Whether the receiver has heard the same before.
    #[serde(default)]
    pub repeated: bool,
    /// Names this message: one that arrives twice has the same key.
    pub key: String,
}

/// One alert in a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageAlert {
    /// The alert.
    pub alert: Alert,
    /// Whether it fires.
    pub status: AlertStatus,
    /// When it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
}

impl Message {
    /// A message about one alert that is in no group.
    #[must_use]
    pub fn about(alert: Alert, status: AlertStatus, key: String) -> Self {
        let firing = usize::from(status == AlertStatus::Firing);
        Self {
            group: alert.fingerprint.clone(),
            labels: BTreeMap::new(),
            status,
            alerts: vec![MessageAlert { alert, status, ends_at: None }],
            firing,
            resolved: 1 - firing,
            missed: 0,
            repeated: false,
            key,
        }
    }

    /// The one line that says all.
    #[must_use]
    pub fn title(&self) -> String {
        let mark = self.mark();
        match &*self.alerts {
            [only] if self.count() == 1 => format!("[{mark}] {}", only.summary()),
            alerts => {
                let state = match (self.firing, self.resolved) {
                    (firing, 0) => format!("{firing} alerts"),
                    (0, resolved) => format!("{resolved} alerts"),
                    (firing, resolved) => format!("{firing} firing, {resolved} resolved"),
                };
                format!("[{mark}] {state}: {}", self.subject(alerts))
            }
        }
    }

    /// All alerts, listed or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.firing + self.resolved
    }

    /// Alerts that are not listed.
    #[must_use]
    pub fn truncated(&self) -> usize {
        self.count() - self.alerts.len().min(self.count())
    }

    /// The worst severity of what fires, or of all when nothing does.
    #[must_use]
    pub fn severity(&self) -> Severity {
        let fires = |alert: &&MessageAlert| alert.status == self.status;
        let severities = self.alerts.iter().filter(fires).map(|alert| alert.alert.severity);
        severities.max().unwrap_or(Severity::Info)
    }

    /// Since when the oldest of them is there.
    #[must_use]
    pub fn starts_at(&self) -> u64 {
        self.alerts.iter().map(|alert| alert.alert.starts_at).min().unwrap_or_default()
    }

    /// In capitals: how bad it is, or that it is over.
    #[must_use]
    pub fn mark(&self) -> String {
        mark(self.status, self.severity())
    }

    /// Said below the alerts when that is not all; nothing when it is.
    #[must_use]
    pub fn rest(&self) -> Option<String> {
        let more = |count: u64, what: &str| (count > 0).then(|| format!("{count} more {what}"));
        let truncated = u64::try_from(self.truncated()).unwrap_or(u64::MAX);
        let parts = [more(truncated, "not listed"), more(self.missed, "came and went meanwhile")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// What a message about several is about.
    fn subject(&self, alerts: &[MessageAlert]) -> String {
        let kind = self.labels.get("alertname").cloned();
        let mut services: Vec<&str> = Vec::new();
        for alert in alerts {
            if !services.contains(&alert.alert.service.as_str()) {
                services.push(&alert.alert.service);
            }
        }
        let more = if services.len() > NAMED || self.truncated() > 0 { ", …" } else { "" };
        let services = services[..services.len().min(NAMED)].join(", ");
        match kind {
            Some(kind) => format!("{kind} ({services}{more})"),
            None => format!("{services}{more}"),
        }
    }
}

impl MessageAlert {
    /// In capitals: how bad it is, or that it is over.
    #[must_use]
    pub fn mark(&self) -> String {
        mark(self.status, self.alert.severity)
    }

    /// The alert in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let summary = self.alert.annotations.get("summary").filter(|summary| !summary.is_empty());
        summary.cloned().unwrap_or_else(|| format!("{}: {}", self.alert.service, self.alert.kind))
    }

    /// What else there is to say about it; nothing when there is nothing.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.alert.annotations.get("description").map(String::as_str).filter(|text| !text.is_empty())
    }

    /// How long it has lasted, once it is over.
    #[must_use]
    pub fn lasted(&self) -> Option<String> {
        let ends_at = self.ends_at?;
        Some(duration::format(Duration::from_millis(ends_at.saturating_sub(self.alert.starts_at))))
    }
}

fn mark(status: AlertStatus, severity: Severity) -> String {
    match status {
        AlertStatus::Firing => severity.name().to_uppercase(),
        AlertStatus::Resolved => "RESOLVED".to_owned(),
    }
}
