//! What channels send, as bytes of their formats. Pure: who sends them stands in `activities/`.

pub mod email;
pub mod ntfy;
pub mod pagerduty;
pub mod slack;
pub mod telegram;
pub mod webhook;

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::message::{Message, MessageAlert};

/// A time in milliseconds since the epoch, as RFC 3339 has it, in UTC.
#[must_use]
pub fn rfc3339(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// All that a short message says below its title.
fn words(message: &Message) -> String {
    let single = message.count() == 1;
    let mut lines: Vec<String> = Vec::new();
    for alert in &message.alerts {
        if !single {
            lines.push(format!("[{}] {}", alert.mark(), alert.summary()));
        }
        lines.extend(alert.description().map(str::to_owned));
        lines.push(format!("{} · alert {}", since(alert), alert.alert.fingerprint));
    }
    lines.extend(message.rest());
    lines.join("\n")
}

/// Since when an alert is there, and how long it lasted.
fn since(alert: &MessageAlert) -> String {
    let since = format!("since {}", rfc3339(alert.alert.starts_at));
    alert.lasted().map_or(since.clone(), |lasted| format!("{since}, lasted {lasted}"))
}

/// What an HTTP header `Retry-After` asks for at `now` since the epoch: seconds, or a date (RFC 9110, 10.2.3).
#[must_use]
pub fn retry_after(text: &str, now: Duration) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::from_secs(u64::try_from(at.as_second()).ok()?).saturating_sub(now))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use dixmgr_model::{Alert, AlertKind, AlertStatus, Severity};

    use super::*;

    /// A message about a dead database.
    pub(crate) fn message(status: AlertStatus) -> Message {
        of(vec![alert("db", status)])
    }

    /// A message about these.
    pub(crate) fn of(alerts: Vec<MessageAlert>) -> Message {
        let firing = alerts.iter().filter(|alert| alert.status == AlertStatus::Firing).count();
        Message {
            group: "fedcba9876543210".to_owned(),
            labels: BTreeMap::from([("alertname".to_owned(), "service_down".to_owned())]),
            status: if firing > 0 { AlertStatus::Firing } else { AlertStatus::Resolved },
            firing,
            resolved: alerts.len() - firing,
            alerts,
            missed: 0,
            repeated: false,
            key: "key".to_owned(),
        }
    }

    /// A service that is down, or was.
    pub(crate) fn alert(service: &str, status: AlertStatus) -> MessageAlert {
        let texts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let alert = Alert {
            fingerprint: "0123456789abcdef".to_owned(),
            kind: AlertKind::ServiceDown,
            service: service.to_owned(),
            severity: Severity::Critical,
            rule: "service_down".to_owned(),
            labels: texts(&[("alertname", "service_down"), ("service", service), ("severity", "critical")]),
            annotations: texts(&[
                ("summary", &*format!("{service} is down")),
                ("description", "the unit is failed (signal)"),
            ]),
            starts_at: 1_700_000_000_000,
        };
        let ends_at = (status == AlertStatus::Resolved).then_some(1_700_000_090_000);
        MessageAlert { alert, status, ends_at }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(u64::MAX), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn short_forms_say_what_and_since_when() {
        let event = pagerduty::body(&message(AlertStatus::Resolved), "routing");
        let wanted = ["routing", "resolve", "fedcba9876543210"];
        let keys = ["routing_key", "event_action", "dedup_key"];
        assert_eq!(keys.map(|key| event[key].as_str().unwrap()), wanted);
        assert_eq!(event["payload"]["summary"], "[RESOLVED] db is down");
        assert_eq!(event["payload"]["timestamp"], "2023-11-14T22:13:20Z");
        let text = "[RESOLVED] db is down\nthe unit is failed (signal)\nsince 2023-11-14T22:13:20Z, lasted 1m30s · alert 0123456789abcdef";
        assert_eq!(telegram::body(&message(AlertStatus::Resolved), "-100")["text"], text);
        let push = ntfy::body(&message(AlertStatus::Firing), "ops");
        assert_eq!((push["title"].as_str().unwrap(), push["priority"].as_u64().unwrap()), ("[CRITICAL] db is down", 5));
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = Duration::from_secs(1_445_412_400);
        assert_eq!(retry_after("120", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(80)));
        assert_eq!(retry_after("Wed, 21 Oct 2009 07:28:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn the_webhook_form_is_alertmanagers() {
        let body = webhook::body(&message(AlertStatus::Resolved), "ops");
        let wanted = serde_json::json!({
            "version": "4",
            "groupKey": "{}:{alertname=\"service_down\"}",
            "truncatedAlerts": 0,
            "status": "resolved",
            "receiver": "ops",
            "groupLabels": { "alertname": "service_down" },
            "commonLabels": { "alertname": "service_down", "service": "db", "severity": "critical" },
            "commonAnnotations": { "summary": "db is down", "description": "the unit is failed (signal)" },
            "externalURL": "",
            "alerts": [{
                "status": "resolved",
                "labels": { "alertname": "service_down", "service": "db", "severity": "critical" },
                "annotations": { "summary": "db is down", "description": "the unit is failed (signal)" },
                "startsAt": "2023-11-14T22:13:20Z",
                "endsAt": "2023-11-14T22:14:50Z",
                "generatorURL": "",
                "fingerprint": "0123456789abcdef",
            }],
        });
        assert_eq!(body, wanted);
        assert_eq!(webhook::body(&message(AlertStatus::Firing), "ops")["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    }

    #[test]
    fn several_alerts_are_one_message() {
        let (down, over) = (alert("db", AlertStatus::Firing), alert("web", AlertStatus::Resolved));
        let mut message = of(vec![down, over]);
        message.firing = 41;
        message.missed = 3;
        let text = telegram::body(&message, "")["text"].as_str().unwrap().to_owned();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "[CRITICAL] 41 firing, 1 resolved: service_down (db, web, …)");
        assert_eq!((lines[1], lines[4]), ("[CRITICAL] db is down", "[RESOLVED] web is down"));
        assert_eq!(lines.last(), Some(&"40 more not listed, 3 more came and went meanwhile"));
        let body = webhook::body(&message, "ops");
        assert_eq!((body["status"].as_str(), body["truncatedAlerts"].as_u64()), (Some("firing"), Some(40)));
        assert_eq!(body["commonLabels"], serde_json::json!({ "alertname": "service_down", "severity": "critical" }));
        assert_eq!(body["commonAnnotations"], serde_json::json!({ "description": "the unit is failed (signal)" }));
        assert_eq!(
            (&body["alerts"][0]["status"], &body["alerts"][1]["status"]),
            (&"firing".into(), &"resolved".into())
        );
    }
}
