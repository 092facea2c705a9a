//! `PagerDuty`'s Events API, version 2 (<https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>). The alert's
//! fingerprint is the key by which `PagerDuty` knows it, so that a repetition is no second incident and a resolve ends the first.

use dixmgr_model::{AlertStatus, Severity};
use serde_json::{Value, json};

use super::rfc3339;
use crate::incident::AlertMessage;

/// Where events go unless a configuration says otherwise.
pub const URL: &str = "https://events.pagerduty.com";

/// Longest summary, in characters.
const SUMMARY: usize = 1_024;

/// The body. `routing_key` is the secret: it stands in nothing else.
#[must_use]
pub fn body(message: &AlertMessage, routing_key: &str) -> Value {
    let alert = &message.alert;
    let action = match message.status {
        AlertStatus::Firing => "trigger",
        AlertStatus::Resolved => "resolve",
    };
    let severity = match alert.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": alert.fingerprint,
        "payload": {
            "summary": message.title().chars().take(SUMMARY).collect::<String>(),
            "source": alert.service,
            "severity": severity,
            "timestamp": rfc3339(alert.starts_at),
            "component": alert.service,
            "class": alert.kind.name(),
            "custom_details": { "labels": alert.labels, "annotations": alert.annotations },
        },
    })
}
