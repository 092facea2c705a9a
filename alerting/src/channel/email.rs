//! E-mail: subject, text, HTML, and the ids by which a mail program puts what belongs together into one thread. Pure: headers and
//! transport are `activities/`'s business.

use std::fmt::Write as _;

use dixmgr_model::{AlertStatus, Severity};

use super::since;
use crate::message::{Message, MessageAlert};

/// Longest subject, in characters.
const SUBJECT: usize = 200;
/// Alerts by which a message belongs to a thread; a line of a header has its limits.
const THREADS: usize = 10;

/// The subject, on one line.
#[must_use]
pub fn subject(message: &Message) -> String {
    message.title().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SUBJECT).collect()
}

/// The id of this message: one that is sent twice has it twice.
#[must_use]
pub fn message_id(message: &Message) -> String {
    id(&message.key)
}

/// Ids of the threads to which a message belongs: one for each time that one of its alerts fired. So its end follows it,
/// whatever else was told in between.
#[must_use]
pub fn threads(message: &Message) -> Vec<String> {
    let alerts = message.alerts.iter().take(THREADS);
    alerts.map(|own| id(&format!("alert-{}-{}", own.alert.fingerprint, own.alert.starts_at))).collect()
}

/// RFC 5322, 3.6.4. Nothing that could end the header gets into it.
fn id(name: &str) -> String {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    format!("<{name}@dixmgr.invalid>")
}

/// The text, for those who read no HTML.
#[must_use]
pub fn text(message: &Message) -> String {
    let mut text = format!("{}\n", subject(message));
    for alert in &message.alerts {
        let _ = writeln!(text, "\n[{}] {}", alert.mark(), alert.summary());
        if let Some(description) = alert.description() {
            let _ = writeln!(text, "{description}");
        }
        let _ = writeln!(text, "{}", since(alert));
        for (name, value) in &alert.alert.labels {
            let _ = writeln!(text, "  {name} = {value}");
        }
        let _ = writeln!(text, "  alert {}", alert.alert.fingerprint);
    }
    if let Some(rest) = message.rest() {
        let _ = writeln!(text, "\n{rest}");
    }
    text
}

/// The HTML: a table, styles in place, nothing from elsewhere.
#[must_use]
pub fn html(message: &Message) -> String {
    let alerts: String = message.alerts.iter().map(row).collect();
    let rest = message.rest().map(|rest| format!("<p>{}</p>", escape(&rest))).unwrap_or_default();
    format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"></head>\
         <body style=\"font-family:sans-serif;color:#1d1c1d;margin:16px\">\
         <h2 style=\"font-size:18px;border-left:6px solid {};padding-left:10px\">{}</h2>\
         <table role=\"presentation\" cellpadding=\"8\" style=\"border-collapse:collapse;max-width:680px\">{alerts}</table>{rest}\
         <p style=\"color:#616061;font-size:12px\">dixmgr, group {}</p></body></html>",
        colour(message.status, message.severity()),
        escape(&subject(message)),
        escape(&message.group),
    )
}

fn row(alert: &MessageAlert) -> String {
    let description = alert.description().map(|text| format!("<br>{}", escape(text))).unwrap_or_default();
    let labels: Vec<String> =
        alert.alert.labels.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    format!(
        "<tr><td style=\"border-left:4px solid {};border-bottom:1px solid #dddddd\"><b>[{}] {}</b>{description}\
         <br><span style=\"color:#616061;font-size:12px\">{} · {}</span></td></tr>",
        colour(alert.status, alert.alert.severity),
        escape(&alert.mark()),
        escape(&alert.summary()),
        escape(&since(alert)),
        labels.join(" · "),
    )
}

/// The colours of the other forms.
fn colour(status: AlertStatus, severity: Severity) -> &'static str {
    match (status, severity) {
        (AlertStatus::Resolved, _) => "#2eb67d",
        (AlertStatus::Firing, Severity::Critical) => "#e01e5a",
        (AlertStatus::Firing, Severity::Warning) => "#f2952f",
        (AlertStatus::Firing, Severity::Info) => "#36c5f0",
    }
}

fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::channel::tests::message;

    #[test]
    fn the_end_is_in_the_thread_of_the_beginning() {
        let (firing, mut resolved) = (message(AlertStatus::Firing), message(AlertStatus::Resolved));
        resolved.key = "another".to_owned();
        assert_eq!(threads(&firing), threads(&resolved));
        assert_eq!(threads(&firing), ["<alert-0123456789abcdef-1700000000000@dixmgr.invalid>"]);
        assert_ne!(message_id(&firing), message_id(&resolved));
    }

    #[test]
    fn both_forms_say_what_and_since_when() {
        let message = message(AlertStatus::Firing);
        for form in [text(&message), html(&message)] {
            for part in ["db is down", "the unit is failed (signal)", "2023-11-14T22:13:20Z", "CRITICAL"] {
                assert!(form.contains(part), "{part} is missing from {form}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_service_can_write_neither_headers_nor_markup(summary in ".{0,300}", key in ".{0,50}") {
            let mut message = message(AlertStatus::Firing);
            message.alerts[0].alert.annotations.insert("summary".to_owned(), format!("{summary}\r\nBcc: x\u{0}<script>"));
            message.key = format!("{key}\r\n>");
            prop_assert!(subject(&message).chars().all(|c| !c.is_control()));
            prop_assert!(subject(&message).chars().count() <= SUBJECT);
            prop_assert!(!html(&message).contains("<script"));
            let id = message_id(&message);
            prop_assert_eq!((id.matches('<').count(), id.matches('>').count(), id.contains('\r')), (1, 1, false));
        }
    }
}
