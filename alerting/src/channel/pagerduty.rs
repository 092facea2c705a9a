//! `PagerDuty`'s Events API, version 2 (<https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>). The group
//! is the key by which `PagerDuty` knows an incident, so that what joins it is no second one, and the end of all ends it.

use dixmgr_model::{AlertStatus, Severity};
use serde_json::{Value, json};

use super::rfc3339;
use crate::message::Message;

/// Where events go unless a configuration says otherwise.
pub const URL: &str = "https://events.pagerduty.com";

/// Longest summary, in characters.
const SUMMARY: usize = 1_024;
/// Alerts that are described: an event may have 512 kB.
const DETAILS: usize = 10;

/// The body. `routing_key` is the secret: it stands in nothing else.
#[must_use]
pub fn body(message: &Message, routing_key: &str) -> Value {
    let action = match message.status {
        AlertStatus::Firing => "trigger",
        AlertStatus::Resolved => "resolve",
    };
    let severity = match message.severity() {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let source = message.alerts.first().map_or("dixmgr", |first| &first.alert.service);
    let details = message.alerts.iter().take(DETAILS).map(|alert| {
        json!({ "summary": alert.summary(), "labels": alert.alert.labels, "annotations": alert.alert.annotations })
    });
    json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": message.group,
        "payload": {
            "summary": message.title().chars().take(SUMMARY).collect::<String>(),
            "source": source,
            "severity": severity,
            "timestamp": rfc3339(message.starts_at()),
            "component": source,
            "class": message.labels.get("alertname"),
            "custom_details": {
                "firing": message.firing,
                "resolved": message.resolved,
                "alerts": details.collect::<Vec<_>>(),
            },
        },
    })
}
