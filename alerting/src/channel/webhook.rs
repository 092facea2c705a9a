//! Alertmanager's webhook form, version 4
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), which many receivers read.

use dixmgr_model::AlertStatus;
use serde_json::{Value, json};

use super::rfc3339;
use crate::incident::AlertMessage;

/// An end that has not come, as Go writes its zero time.
const NOT_YET: &str = "0001-01-01T00:00:00Z";

/// The body for the receiver of this name.
#[must_use]
pub fn body(message: &AlertMessage, receiver: &str) -> Value {
    let AlertMessage { alert, status, ends_at, .. } = message;
    let status = match status {
        AlertStatus::Firing => "firing",
        AlertStatus::Resolved => "resolved",
    };
    let one = json!({
        "status": status,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": rfc3339(alert.starts_at),
        "endsAt": ends_at.map_or_else(|| NOT_YET.to_owned(), rfc3339),
        "generatorURL": "",
        "fingerprint": alert.fingerprint,
    });
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname=\"{}\", service=\"{}\"}}", alert.kind, alert.service),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": { "alertname": alert.kind.name(), "service": alert.service },
        "commonLabels": alert.labels,
        "commonAnnotations": alert.annotations,
        "externalURL": "",
        "alerts": [one],
    })
}
