//! Slack's form: a fallback text, and one coloured attachment that holds blocks
//! (<https://api.slack.com/reference/block-kit/blocks>). What comes from a service is escaped, so that it can neither link nor
//! call anyone, and cut to what Slack takes.

use dixmgr_model::{AlertStatus, Severity};
use serde_json::{Value, json};

use super::rfc3339;
use crate::message::{Message, MessageAlert};

/// Longest text of a section, in characters.
const SECTION: usize = 3_000;
/// Longest text of a field.
const FIELD: usize = 2_000;
/// Longest summary or description of one of several alerts.
const PART: usize = 1_000;
/// Most fields of a section.
const FIELDS: usize = 10;

/// The body.
#[must_use]
pub fn body(message: &Message) -> Value {
    let title = message.title();
    let mut blocks = vec![section(&format!("*{}*", cut(&escape(&title), SECTION - 2)))];
    match &*message.alerts {
        [only] if message.count() == 1 => blocks.extend(single(only)),
        alerts => blocks.extend(alerts.iter().map(|alert| section(&of_several(alert)))),
    }
    blocks.extend(message.rest().map(|rest| context(&escape(&rest))));
    json!({
        "text": cut(&escape(&title), SECTION),
        "attachments": [{ "color": colour(message), "fallback": cut(&escape(&title), SECTION), "blocks": blocks }],
    })
}

/// All that there is to say of the only alert.
fn single(alert: &MessageAlert) -> Vec<Value> {
    let mut blocks: Vec<Value> =
        alert.description().map(|text| section(&cut(&escape(text), SECTION))).into_iter().collect();
    blocks.push(json!({ "type": "section", "fields": fields(alert) }));
    blocks.push(context(&since(alert)));
    blocks
}

/// One of several alerts, in a few lines.
fn of_several(alert: &MessageAlert) -> String {
    let description = alert.description().map(|text| format!("\n{}", cut(&escape(text), PART)));
    let summary = cut(&escape(&alert.summary()), PART);
    format!("[{}] *{summary}*{}\n{}", alert.mark(), description.unwrap_or_default(), since(alert))
}

fn since(alert: &MessageAlert) -> String {
    let starts_at = alert.alert.starts_at;
    let when = format!("<!date^{}^{{date_short}} {{time_secs}}|{}>", starts_at / 1_000, rfc3339(starts_at));
    let lasted = alert.lasted().map(|lasted| format!(", lasted {lasted}")).unwrap_or_default();
    format!("since {when}{lasted} · {}", alert.alert.fingerprint)
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": text }] })
}

fn colour(message: &Message) -> &'static str {
    match (message.status, message.severity()) {
        (AlertStatus::Resolved, _) => "#2eb67d",
        (AlertStatus::Firing, Severity::Critical) => "#e01e5a",
        (AlertStatus::Firing, Severity::Warning) => "#f2952f",
        (AlertStatus::Firing, Severity::Info) => "#36c5f0",
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

fn fields(alert: &MessageAlert) -> Vec<Value> {
    let labels = alert.alert.labels.iter().take(FIELDS);
    let text = |name: &str, value: &str| cut(&format!("*{}*\n{}", escape(name), escape(value)), FIELD);
    labels.map(|(name, value)| json!({ "type": "mrkdwn", "text": text(name, value) })).collect()
}

/// As <https://api.slack.com/reference/surfaces/formatting#escaping> has it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most so many characters, never ending within an escape.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit - 1).collect();
    let whole = match kept.rfind('&') {
        Some(at) if !kept[at..].contains(';') => &kept[..at],
        _ => kept.as_str(),
    };
    format!("{whole}…")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::channel::tests::{alert, message, of};
    use crate::message::LISTED;

    #[test]
    fn a_service_can_call_nobody() {
        let mut message = message(AlertStatus::Firing);
        message.alerts[0].alert.annotations.insert("summary".to_owned(), "<!channel> & <http://x|y>".to_owned());
        let body = body(&message).to_string();
        assert!(body.contains("&lt;!channel&gt; &amp; &lt;http://x|y&gt;"), "{body}");
        assert!(!body.contains("<!channel>"), "{body}");
    }

    #[test]
    fn colours_tell_how_it_is() {
        let colour = |message| body(&message)["attachments"][0]["color"].clone();
        assert_eq!(colour(message(AlertStatus::Firing)), "#e01e5a");
        assert_eq!(colour(message(AlertStatus::Resolved)), "#2eb67d");
    }

    proptest! {
        #[test]
        fn slacks_limits_are_kept(
            summary in ".{0,50}", times in 1usize..400, labels in 0usize..30, alerts in 1..=LISTED
        ) {
            let mut message = of((0..alerts).map(|n| alert(&format!("s{n}"), AlertStatus::Firing)).collect());
            for alert in &mut message.alerts {
                alert.alert.annotations.insert("summary".to_owned(), summary.repeat(times));
                alert.alert.annotations.insert("description".to_owned(), "&<>".repeat(times * 10));
                alert.alert.labels.extend((0..labels).map(|n| (format!("l{n}"), "&".repeat(times))));
            }
            message.missed = 1;
            let body = body(&message);
            let blocks = body["attachments"][0]["blocks"].as_array().cloned().unwrap_or_default();
            prop_assert!(!blocks.is_empty() && blocks.len() <= 50);
            for block in blocks {
                let text = block["text"]["text"].as_str().unwrap_or_default();
                prop_assert!(text.chars().count() <= SECTION);
                let fields = block["fields"].as_array().cloned().unwrap_or_default();
                prop_assert!(fields.len() <= FIELDS);
                prop_assert!(fields.iter().all(|f| f["text"].as_str().unwrap_or_default().chars().count() <= FIELD));
            }
        }
    }
}
