//! Label values and names that are safe to put on the page: bounded, and escaped as the text format wants.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Longest label value, in characters.
pub(super) const MAX_CHARS: usize = 128;

/// `value` if it is short enough; otherwise its beginning and a hash of the whole, so that two long values that begin
/// alike stay two series (one series twice would make Prometheus refuse the page).
pub(crate) fn bounded(value: &str) -> Cow<'_, str> {
    // Bytes are never fewer than characters, and most values are short ASCII.
    if value.len() <= MAX_CHARS || value.chars().count() <= MAX_CHARS {
        return Cow::Borrowed(value);
    }
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    let beginning: String = value.chars().take(MAX_CHARS - 17).collect();
    Cow::Owned(format!("{beginning}~{:016x}", hasher.finish()))
}

/// Appends `name="value"`, the value bounded and escaped.
pub(super) fn render(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(name);
    out.push_str("=\"");
    for c in bounded(value).chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether a metric's name may begin with `text` (Prometheus' data model; no colons, which are for recording rules).
pub(super) fn is_metric_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
