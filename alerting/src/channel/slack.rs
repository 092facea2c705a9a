//! Slack's form: a fallback text, and one coloured attachment that holds blocks
//! (<https://api.slack.com/reference/block-kit/blocks>). What comes from a service is escaped, so that it can neither link nor
//! call anyone, and cut to what Slack takes.

use dixmgr_model::{AlertStatus, Severity};
use serde_json::{Value, json};

use crate::incident::AlertMessage;

/// Longest text of a section, in characters.
const SECTION: usize = 3_000;
/// Longest text of a field.
const FIELD: usize = 2_000;
/// Most fields of a section.
const FIELDS: usize = 10;

/// The body.
#[must_use]
pub fn body(message: &AlertMessage) -> Value {
    let title = message.title();
    let mut blocks = vec![section(&format!("*{}*", cut(&escape(&title), SECTION - 2)))];
    let description = message.alert.annotations.get("description").filter(|text| !text.is_empty());
    if let Some(text) = description {
        blocks.push(section(&cut(&escape(text), SECTION)));
    }
    blocks.push(json!({ "type": "section", "fields": fields(message) }));
    let when = format!("<!date^{}^{{date_short}} {{time_secs}}|{}>", message.alert.starts_at / 1_000, started(message));
    let context = match message.lasted() {
        Some(lasted) => format!("since {when}, lasted {lasted} · {}", message.alert.fingerprint),
        None => format!("since {when} · {}", message.alert.fingerprint),
    };
    blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": context }] }));
    json!({
        "text": cut(&escape(&title), SECTION),
        "attachments": [{ "color": colour(message), "fallback": cut(&escape(&title), SECTION), "blocks": blocks }],
    })
}

fn colour(message: &AlertMessage) -> &'static str {
    match (message.status, message.alert.severity) {
        (AlertStatus::Resolved, _) => "#2eb67d",
        (AlertStatus::Firing, Severity::Critical) => "#e01e5a",
        (AlertStatus::Firing, Severity::Warning) => "#f2952f",
        (AlertStatus::Firing, Severity::Info) => "#36c5f0",
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

fn fields(message: &AlertMessage) -> Vec<Value> {
    let labels = message.alert.labels.iter().take(FIELDS);
    let text = |name: &str, value: &str| cut(&format!("*{}*\n{}", escape(name), escape(value)), FIELD);
    labels.map(|(name, value)| json!({ "type": "mrkdwn", "text": text(name, value) })).collect()
}

fn started(message: &AlertMessage) -> String {
    super::rfc3339(message.alert.starts_at)
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
    use crate::channel::tests::message;

    #[test]
    fn a_service_can_call_nobody() {
        let mut message = message(AlertStatus::Firing);
        message.alert.annotations.insert("summary".to_owned(), "<!channel> & <http://x|y>".to_owned());
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
        fn slacks_limits_are_kept(summary in ".{0,50}", times in 1usize..400, labels in 0usize..30) {
            let mut message = message(AlertStatus::Firing);
            message.alert.annotations.insert("summary".to_owned(), summary.repeat(times));
            message.alert.annotations.insert("description".to_owned(), "&<>".repeat(times * 10));
            message.alert.labels.extend((0..labels).map(|n| (format!("l{n}"), "&".repeat(times))));
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
