//! ntfy's JSON form (<https://docs.ntfy.sh/publish/#publish-as-json>).

use dixmgr_model::{AlertStatus, Severity};
use serde_json::{Value, json};

use super::words;
use crate::message::Message;

/// Where messages go unless a configuration says otherwise.
pub const URL: &str = "https://ntfy.sh";

/// Longest text, in characters: ntfy makes an attachment of more than 4,096 bytes.
const TEXT: usize = 1_000;

/// The body, for a topic.
#[must_use]
pub fn body(message: &Message, topic: &str) -> Value {
    let (priority, tag) = match (message.status, message.severity()) {
        (AlertStatus::Resolved, _) => (3, "white_check_mark"),
        (AlertStatus::Firing, Severity::Critical) => (5, "rotating_light"),
        (AlertStatus::Firing, Severity::Warning) => (4, "warning"),
        (AlertStatus::Firing, Severity::Info) => (3, "information_source"),
    };
    json!({
        "topic": topic,
        "title": message.title().chars().take(250).collect::<String>(),
        "message": words(message).chars().take(TEXT).collect::<String>(),
        "priority": priority,
        "tags": [tag],
    })
}
