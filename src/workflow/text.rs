//! Values as people read them: payloads, durations, and texts of others that a terminal must not obey.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Longest text of one payload, in characters; `-json` has the whole.
const LONGEST: usize = 1000;

/// A payload in protobuf's JSON form: the value when it is JSON, else its encoding and size.
pub(crate) fn payload(payload: &Value) -> String {
    let bytes =
        |text: Option<&Value>| STANDARD.decode(text.and_then(Value::as_str).unwrap_or_default()).unwrap_or_default();
    let encoding = payload.get("metadata").and_then(|metadata| metadata.get("encoding"));
    let encoding = String::from_utf8_lossy(&bytes(encoding)).into_owned();
    let data = bytes(payload.get("data"));
    match (encoding.as_str(), serde_json::from_slice::<Value>(&data)) {
        ("json/plain" | "json/protobuf", Ok(value)) => cut(&value.to_string(), LONGEST),
        ("binary/null", _) => "null".to_owned(),
        (encoding, _) => format!("<{encoding}, {} bytes>", data.len()),
    }
}

/// Several payloads, `{"payloads": [...]}` in protobuf's JSON form.
pub(crate) fn payloads(list: &Value) -> String {
    let list = list.get("payloads").and_then(Value::as_array);
    let texts: Vec<String> = list.into_iter().flatten().map(payload).collect();
    texts.join(", ")
}

/// A failure with its causes, outermost first.
pub(crate) fn failure(failure: &Value) -> String {
    let causes = std::iter::successors(Some(failure), |failure| failure.get("cause")).take(10);
    let messages = causes.filter_map(|cause| cause.get("message").and_then(Value::as_str));
    messages.collect::<Vec<_>>().join(": ")
}

/// The time between two of protobuf's JSON times, in words; nothing when one of them is none.
pub(crate) fn between(from: &Value, to: Option<&Value>) -> String {
    let read = |time: &Value| time.as_str()?.parse::<jiff::Timestamp>().ok();
    let to = to.map_or_else(|| Some(jiff::Timestamp::now()), read);
    let length = read(from).zip(to).and_then(|(from, to)| Duration::try_from(to.duration_since(from)).ok());
    // Beside seconds, milliseconds tell nobody anything.
    let length = length.map(|length| if length.as_secs() > 0 { Duration::from_secs(length.as_secs()) } else { length });
    length.map(dixmgr_model::duration::format).unwrap_or_default()
}

/// `EVENT_TYPE_WORKFLOW_EXECUTION_STARTED` without its prefix: `WorkflowExecutionStarted`.
pub(crate) fn constant(name: &Value, prefix: &str) -> String {
    let Some(name) = name.as_str() else { return name.to_string() };
    let words = name.strip_prefix(prefix).unwrap_or(name).split('_');
    words
        .map(|word| word.get(..1).unwrap_or_default().to_owned() + &word.get(1..).unwrap_or_default().to_lowercase())
        .collect()
}

/// A time of protobuf's JSON form to the second.
pub(crate) fn time(time: &Value) -> String {
    let time = time.as_str().unwrap_or_default();
    time.split_once('.').map_or_else(|| time.to_owned(), |(whole, _)| format!("{whole}Z"))
}

/// At most so many characters; an ellipsis stands for what is gone.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Control characters as escapes: ids and reasons are others' texts, and a terminal would obey them.
pub(crate) fn visible(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|letter| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(encoding: &str, data: &[u8]) -> Value {
        json!({ "metadata": { "encoding": STANDARD.encode(encoding) }, "data": STANDARD.encode(data) })
    }

    #[test]
    fn payloads_are_shown_when_they_are_json() {
        assert_eq!(payload(&written("json/plain", b"{\"a\": [1]}")), "{\"a\":[1]}");
        assert_eq!(payload(&written("binary/null", b"")), "null");
        assert_eq!(payload(&written("binary/encrypted", b"12345")), "<binary/encrypted, 5 bytes>");
        assert_eq!(payload(&written("json/plain", b"not json")), "<json/plain, 8 bytes>");
        assert_eq!(payload(&json!({})), "<, 0 bytes>");
        let both = json!({ "payloads": [written("json/plain", b"1"), written("json/plain", b"\"x\"")] });
        assert_eq!(payloads(&both), "1, \"x\"");
    }

    #[test]
    fn constants_and_times_are_short() {
        assert_eq!(constant(&json!("EVENT_TYPE_TIMER_FIRED"), "EVENT_TYPE_"), "TimerFired");
        assert_eq!(constant(&json!(99), "EVENT_TYPE_"), "99");
        assert_eq!(time(&json!("2026-01-02T03:04:05.678Z")), "2026-01-02T03:04:05Z");
        assert_eq!(between(&json!("2026-01-02T03:04:05Z"), Some(&json!("2026-01-02T04:04:06.5Z"))), "1h1s");
        assert_eq!(between(&json!("2026-01-02T03:04:05Z"), Some(&json!("2026-01-02T03:04:05.250Z"))), "250ms");
        assert_eq!(between(&Value::Null, None), "");
    }

    #[test]
    fn a_terminal_obeys_nobody_elses_text() {
        assert_eq!(visible("a\u{1b}[31mb\n\u{9b}c"), "a\\u{1b}[31mb\\n\\u{9b}c");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüx", 3), "äö…");
    }

    #[test]
    fn a_failure_tells_its_causes() {
        let failed = json!({ "message": "activity error", "cause": { "message": "no disk" } });
        assert_eq!(failure(&failed), "activity error: no disk");
    }
}
