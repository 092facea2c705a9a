//! Alertmanager's webhook form, version 4
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), which many receivers read.

use std::collections::BTreeMap;

use dixmgr_model::AlertStatus;
use serde_json::{Value, json};

use super::rfc3339;
use crate::message::{Message, MessageAlert};

/// An end that has not come, as Go writes its zero time.
const NOT_YET: &str = "0001-01-01T00:00:00Z";

/// The body for the receiver of this name.
#[must_use]
pub fn body(message: &Message, receiver: &str) -> Value {
    json!({
        "version": "4",
        "groupKey": group_key(&message.labels),
        "truncatedAlerts": message.truncated(),
        "status": status(message.status),
        "receiver": receiver,
        "groupLabels": message.labels,
        "commonLabels": common(&message.alerts, |alert| &alert.alert.labels),
        "commonAnnotations": common(&message.alerts, |alert| &alert.alert.annotations),
        "externalURL": "",
        "alerts": message.alerts.iter().map(one).collect::<Vec<_>>(),
    })
}

fn one(alert: &MessageAlert) -> Value {
    json!({
        "status": status(alert.status),
        "labels": alert.alert.labels,
        "annotations": alert.alert.annotations,
        "startsAt": rfc3339(alert.alert.starts_at),
        "endsAt": alert.ends_at.map_or_else(|| NOT_YET.to_owned(), rfc3339),
        "generatorURL": "",
        "fingerprint": alert.alert.fingerprint,
    })
}

fn status(status: AlertStatus) -> &'static str {
    match status {
        AlertStatus::Firing => "firing",
        AlertStatus::Resolved => "resolved",
    }
}

/// As Alertmanager writes the key of a group of its first route.
fn group_key(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", labels.join(", "))
}

/// What is the same in all of them.
fn common(
    alerts: &[MessageAlert],
    texts: impl Fn(&MessageAlert) -> &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut common = alerts.first().map(&texts).cloned().unwrap_or_default();
    for alert in alerts {
        common.retain(|name, value| texts(alert).get(name) == Some(value));
    }
    common
}
