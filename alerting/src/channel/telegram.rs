//! Telegram's `sendMessage` (<https://core.telegram.org/bots/api#sendmessage>), as plain text: nothing that a service says is
//! markup.

use serde_json::{Value, json};

use super::words;
use crate::message::Message;

/// Where messages go unless a configuration says otherwise.
pub const URL: &str = "https://api.telegram.org";

/// Longest message, in characters.
const TEXT: usize = 4_096;

/// The body, for a chat.
#[must_use]
pub fn body(message: &Message, chat: &str) -> Value {
    let text = format!("{}\n{}", message.title(), words(message));
    json!({
        "chat_id": chat,
        "text": text.chars().take(TEXT).collect::<String>(),
        "link_preview_options": { "is_disabled": true },
    })
}
