//! One event of a history as a line: its number, its time, its type, and what of it matters to whoever looks for a fault.

use serde_json::Value;

use super::text;

/// How a field is read.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Payloads,
    Failure,
}

/// What matters, in this order: the name that is printed, and the path in the event's attributes.
const DETAILS: &[(&str, &[&str], Kind)] = &[
    ("type", &["workflowType", "name"], Kind::Plain),
    ("activity", &["activityType", "name"], Kind::Plain),
    ("activity_id", &["activityId"], Kind::Plain),
    ("signal", &["signalName"], Kind::Plain),
    ("timer", &["timerId"], Kind::Plain),
    ("marker", &["markerName"], Kind::Plain),
    ("update", &["acceptedRequest", "input", "name"], Kind::Plain),
    ("workflow", &["workflowExecution", "workflowId"], Kind::Plain),
    ("workflow", &["workflowId"], Kind::Plain),
    ("parent", &["parentWorkflowExecution", "workflowId"], Kind::Plain),
    ("queue", &["taskQueue", "name"], Kind::Plain),
    ("fires_after", &["startToFireTimeout"], Kind::Plain),
    ("timeout", &["startToCloseTimeout"], Kind::Plain),
    ("attempt", &["attempt"], Kind::Plain),
    ("scheduled", &["scheduledEventId"], Kind::Plain),
    ("started", &["startedEventId"], Kind::Plain),
    ("by", &["identity"], Kind::Plain),
    ("reason", &["reason"], Kind::Plain),
    ("because", &["cause"], Kind::Plain),
    ("retry", &["retryState"], Kind::Plain),
    ("new_run", &["newExecutionRunId"], Kind::Plain),
    ("new_run", &["newRunId"], Kind::Plain),
    ("failure", &["failure"], Kind::Failure),
    ("failure", &["lastFailure"], Kind::Failure),
    ("input", &["input"], Kind::Payloads),
    ("result", &["result"], Kind::Payloads),
    ("details", &["details"], Kind::Payloads),
];

/// The line of an event in protobuf's JSON form.
pub(super) fn line(event: &Value) -> String {
    let at = |name: &str| event.get(name).unwrap_or(&Value::Null);
    let number = at("eventId").as_str().unwrap_or("?");
    let kind = text::constant(at("eventType"), "EVENT_TYPE_");
    let time = at("eventTime").as_str().unwrap_or("-");
    let attributes = event.as_object().and_then(|fields| fields.iter().find(|(name, _)| name.ends_with("Attributes")));
    let details = attributes.map(|(_, attributes)| details(attributes)).unwrap_or_default();
    format!("{number:>5}  {time:<27}  {kind:<32}  {details}").trim_end().to_owned()
}

fn details(attributes: &Value) -> String {
    let found = DETAILS.iter().filter_map(|(name, path, kind)| {
        let value = path.iter().try_fold(attributes, |value, key| value.get(key))?;
        let text = match (kind, value) {
            (Kind::Payloads, value) => text::payloads(value),
            (Kind::Failure, value) => text::failure(value),
            (Kind::Plain, Value::String(text)) => text.clone(),
            (Kind::Plain, value) => value.to_string(),
        };
        (!text.is_empty()).then(|| format!("{name}={text}"))
    });
    found.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_what_matters() {
        let event = json!({
            "eventId": "7", "eventTime": "2026-01-02T03:04:05.678Z", "eventType": "EVENT_TYPE_ACTIVITY_TASK_FAILED",
            "activityTaskFailedEventAttributes": {
                "scheduledEventId": "5", "startedEventId": "6", "identity": "w",
                "failure": { "message": "no disk" }, "retryState": "RETRY_STATE_TIMEOUT"
            }
        });
        let line = line(&event);
        assert!(line.starts_with("    7  2026-01-02T03:04:05.678Z"), "{line}");
        let told =
            "ActivityTaskFailed                scheduled=5 started=6 by=w retry=RETRY_STATE_TIMEOUT failure=no disk";
        assert!(line.ends_with(told), "{line}");
    }

    #[test]
    fn an_event_of_a_later_version_is_a_line_too() {
        assert_eq!(line(&json!({ "eventId": "1", "eventType": 99 })), format!("    1  {:<27}  99", "-"));
    }
}
